"""Cosine of two RDMs: x'y / (|x||y|), for dissimilarities whose zero means something (crossnobis)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.rsa.comparators._shared import by_form, pool_unit

KIND = "similarity"
ZERO_IS_NULL = False  # dissimilarities are above zero, so unrelated RDMs are alike
SUMMARY = "cosine of the dissimilarities"
MISSING = "pairs"
SYMMETRIC = True
SCALE_FREE = True
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return cosines of RDMs (n_a, n_pairs) and (n_b, n_pairs): (n_a, n_b)."""
    return by_form("cosine_similarity", a, b, sigma_k)


def pool(x: Floats) -> Floats:
    """Return the mean of RDMs of unit root mean square (n_pairs,)."""
    return pool_unit(x)
