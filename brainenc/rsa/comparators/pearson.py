"""Pearson's correlation of two RDMs over the pairs of conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.rsa.comparators._shared import by_form, pool_standard

KIND = "similarity"
SUMMARY = "Pearson correlation of the dissimilarities"
MISSING = "pairs"
SYMMETRIC = True
SCALE_FREE = True
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return correlations of RDMs (n_a, n_pairs) and (n_b, n_pairs): (n_a, n_b)."""
    return by_form("pearson", a, b, sigma_k)


def pool(x: Floats) -> Floats:
    """Return the mean of z-scored RDMs (n_pairs,)."""
    return pool_standard(x)
