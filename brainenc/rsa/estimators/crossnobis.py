"""Cross-validated squared Mahalanobis distance, unbiased by noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from brainenc.linalg.distances import Cells, cross_distances_missing, cross_gram, pair_counts, pair_distances
from brainenc.rsa.estimators._parts import over_shared_channels
from brainenc.rsa.noise import NoiseModel, pooled

CROSSVALIDATED, NOISE, SQUARED, PER_CHANNEL, CENTER, NONNEGATIVE, ADDITIVE = True, "optional", True, True, True, False, True


def distances(cells: Cells, *, noise: NoiseModel | Sequence[NoiseModel] | None = None, prior: object = None) -> tuple[torch.Tensor, torch.Tensor | int]:
    """Return K_ii + K_jj − 2 K_ij with K over pairs of trials of different folds only, and over how many channels.

    K = (B Σ⁻¹ B' − Σ_m B_m Σ⁻¹ B_m')/(q q' − Σ_m q_m q_m'), with B_m the sums of fold m and q_m its counts. With as many trials in every
    cell this is the mean over ordered pairs of folds of (A_m Σ⁻¹ A_l')_ij. With a noise model per fold the pair of folds (m, l) takes
    the inverse of (Σ_m + Σ_l)/2. Without noise it is the cross-validated squared Euclidean distance.

    References
    ----------
    Walther et al. 2016, doi:10.1016/j.neuroimage.2015.12.012; the closed forms are algebra.
    """
    missing = cells.counts.ndim > 1
    if noise is None:
        return cross_distances_missing(cells) if missing else (pair_distances(cross_gram(cells)), cells.sums.shape[2])
    if isinstance(noise, NoiseModel):
        if missing and noise.is_diagonal:
            return cross_distances_missing(cells._replace(sums=noise.whitener(cells.sums.device)(cells.sums)))
        return over_shared_channels(cells, noise, _one_noise) if missing else (_one_noise(cells, noise), cells.sums.shape[2])
    return over_shared_channels(cells, noise, _noise_per_fold) if missing else (_noise_per_fold(cells, noise), cells.sums.shape[2])


def _one_noise(cells: Cells, noise: NoiseModel) -> torch.Tensor:
    return pair_distances(cross_gram(cells._replace(sums=noise.whitener(cells.sums.device)(cells.sums))))


def _noise_per_fold(cells: Cells, noise: Sequence[NoiseModel]) -> torch.Tensor:
    n = cells.n_conditions
    gram = torch.zeros((len(cells.sums), n, n), dtype=torch.float64, device=cells.sums.device)
    rows = [torch.nonzero(cells.fold == fold)[:, 0] for fold in range(cells.n_folds)]
    for m in range(cells.n_folds):
        for other in range(m + 1, cells.n_folds):
            white = pooled([noise[m], noise[other]]).whitener(cells.sums.device)
            found = (white(cells.sums[:, rows[m]]) @ white(cells.sums[:, rows[other]]).mT).to(torch.float64)
            here, there = cells.condition[rows[m]], cells.condition[rows[other]]
            gram[:, here[:, None], there[None, :]] += found
            gram[:, there[:, None], here[None, :]] += found.mT
    return pair_distances(gram / pair_counts(cells.counts, cells))
