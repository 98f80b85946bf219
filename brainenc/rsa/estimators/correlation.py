"""Correlation distance of condition means."""

from __future__ import annotations

from typing import Any

import torch

from brainenc.linalg.distances import Cells, angles
from brainenc.rsa.estimators._parts import means

CROSSVALIDATED, NOISE, SQUARED, PER_CHANNEL, CENTER, NONNEGATIVE, ADDITIVE = False, None, False, False, False, False, False


def distances(cells: Cells, *, noise: Any = None, prior: Any = None) -> tuple[torch.Tensor, None]:
    """Return 1 − r of each pair, r Pearson's correlation over channels; of missing values over the channels valid in both.

    A pattern that is constant over channels has no r: its pairs are NaN. The mean pattern over conditions is not removed, as that
    would change r; the mean of each pattern over channels is, by definition.
    """
    patterns, valid = means(cells)
    return angles(patterns, valid, centered=True), None
