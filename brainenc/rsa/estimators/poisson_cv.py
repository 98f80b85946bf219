"""Cross-validated symmetrised divergence of Poisson rates."""

from __future__ import annotations

from typing import Any

import torch

from brainenc.linalg.distances import Cells, bilinear, condition_sums, smoothed_rates

CROSSVALIDATED, NOISE, SQUARED, PER_CHANNEL, CENTER, NONNEGATIVE, ADDITIVE = True, None, False, True, False, True, True


def distances(cells: Cells, *, noise: Any = None, prior: tuple[float, float] = (1.0, 0.1)) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Σ_k (λ_ik − λ_jk)(log μ_ik − log μ_jk) summed over all folds, and over how many channels in all folds together.

    μ are the rates of the fold, λ those of all trials of the other folds, both pulled towards the ``prior`` (rate, weight). A pair
    takes the folds and channels in which both conditions have trials in the fold and outside it.
    """
    counts = cells.counts if cells.counts.ndim > 1 else cells.counts[None, :, None].expand(1, -1, 1)
    counts = counts.to(cells.sums.dtype)
    total = condition_sums(cells)
    number = condition_sums(cells._replace(sums=counts))
    n = cells.n_conditions
    out = torch.zeros((len(cells.sums), n * (n - 1) // 2), dtype=torch.float64, device=cells.sums.device)
    channels = torch.zeros_like(out)
    for fold in range(cells.n_folds):
        rows = torch.nonzero(cells.fold == fold)[:, 0]
        here = cells.condition[rows]
        inside = torch.zeros_like(total).index_copy_(1, here, cells.sums[:, rows])
        mine = torch.zeros_like(number).index_copy_(1, here, counts[:, rows])
        valid = ((mine > 0) & (number - mine > 0)).expand_as(total)
        test = smoothed_rates(inside / mine.clamp_min(1e-30), prior).log()
        train = smoothed_rates((total - inside) / (number - mine).clamp_min(1e-30), prior)
        test, train = (torch.where(valid, part, torch.zeros_like(part)) for part in (test, train))
        found, shared = bilinear(train, test, None if bool(valid.all()) else valid)
        out += found
        channels += shared
    return out, channels
