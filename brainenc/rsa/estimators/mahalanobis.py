"""Squared Mahalanobis distance of condition means."""

from __future__ import annotations

import torch

from brainenc.linalg.distances import Cells, bilinear
from brainenc.rsa.estimators._parts import means, over_shared_channels
from brainenc.rsa.noise import NoiseModel

CROSSVALIDATED, NOISE, SQUARED, PER_CHANNEL, CENTER, NONNEGATIVE, ADDITIVE = False, "required", True, True, True, False, True


def distances(cells: Cells, *, noise: NoiseModel, prior: object = None) -> tuple[torch.Tensor, torch.Tensor | int]:
    """Return (x_i − x_j) Σ⁻¹ (x_i − x_j)' of each pair, and over how many channels.

    Of missing values a pair takes the channels valid in both, with the inverse of that block of Σ.
    """
    if cells.counts.ndim > 1:
        return over_shared_channels(cells, noise, _complete)
    return _complete(cells, noise), cells.sums.shape[2]


def _complete(cells: Cells, noise: NoiseModel) -> torch.Tensor:
    return bilinear(noise.whitener(cells.sums.device)(means(cells)[0]))[0]
