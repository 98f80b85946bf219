"""Cosine distance of condition means."""

from __future__ import annotations

from typing import Any

import torch

from brainenc.linalg.distances import Cells, angles
from brainenc.rsa.estimators._parts import means

CROSSVALIDATED, NOISE, SQUARED, PER_CHANNEL, CENTER, NONNEGATIVE, ADDITIVE = False, None, False, False, False, False, False


def distances(cells: Cells, *, noise: Any = None, prior: Any = None) -> tuple[torch.Tensor, None]:
    """Return 1 − x_i'x_j/(‖x_i‖ ‖x_j‖) of each pair; of missing values over the channels valid in both. A pattern of zeros gives NaN."""
    patterns, valid = means(cells)
    return angles(patterns, valid, centered=False), None
