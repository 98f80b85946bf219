"""Squared Euclidean distance of condition means."""

from __future__ import annotations

from typing import Any

import torch

from brainenc.linalg.distances import Cells, bilinear
from brainenc.rsa.estimators._parts import means

CROSSVALIDATED, NOISE, SQUARED, PER_CHANNEL, CENTER, NONNEGATIVE, ADDITIVE = False, None, True, True, True, False, True


def distances(cells: Cells, *, noise: Any = None, prior: Any = None) -> tuple[torch.Tensor, torch.Tensor | int]:
    """Return Σ_k (x_ik − x_jk)² of each pair, and over how many channels; of missing values over the channels valid in both.

    Positively biased: noise alone gives 2 σ² a channel. `crossnobis` is not.
    """
    patterns, valid = means(cells)
    return bilinear(patterns, valid=valid)
