"""Spearman's correlation: Pearson's of the mid-ranks. Models with ties can reach 1 only against RDMs with the same ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.rsa.comparators._shared import by_form, pool_ranks

KIND = "similarity"
SUMMARY = "Spearman correlation of the dissimilarities"
MISSING = "pairs"
SYMMETRIC = True
SCALE_FREE = True
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return rank correlations of RDMs (n_a, n_pairs) and (n_b, n_pairs): (n_a, n_b)."""
    return by_form("spearman", a, b, sigma_k)


def pool(x: Floats) -> Floats:
    """Return the mean of mid-ranks (n_pairs,)."""
    return pool_ranks(x)
