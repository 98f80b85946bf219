"""Symmetrised Kullback-Leibler divergence of Poisson rates."""

from __future__ import annotations

from typing import Any

import torch

from brainenc.linalg.distances import Cells, bilinear, smoothed_rates
from brainenc.rsa.estimators._parts import means

CROSSVALIDATED, NOISE, SQUARED, PER_CHANNEL, CENTER, NONNEGATIVE, ADDITIVE = False, None, False, True, False, True, True


def distances(cells: Cells, *, noise: Any = None, prior: tuple[float, float] = (1.0, 0.1)) -> tuple[torch.Tensor, torch.Tensor | int]:
    """Return Σ_k (λ_ik − λ_jk)(log λ_ik − log λ_jk) of each pair, and over how many channels.

    λ = (x + rate · weight)/(1 + weight) of the mean counts x and the ``prior`` (rate, weight). This is the sum of both divergences,
    KL(i‖j) + KL(j‖i), not their mean.
    """
    counts, valid = means(cells)
    rates = smoothed_rates(counts, prior)
    logs = rates.log()
    if valid is not None:
        rates, logs = (torch.where(valid, part, torch.zeros_like(part)) for part in (rates, logs))
    return bilinear(rates, logs, valid)
