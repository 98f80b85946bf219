"""Pearson's correlation after whitening: the plain mean is taken away first, then as `whitened_cosine_similarity`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.rsa.comparators._shared import by_form, pool_standard

KIND = "similarity"
SUMMARY = "correlation of the dissimilarities after whitening by their covariance"
MISSING = "masked"
SIGMA_K = True
SYMMETRIC = True
SCALE_FREE = True
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return whitened correlations of RDMs (n_a, n_pairs) and (n_b, n_pairs): (n_a, n_b)."""
    return by_form("whitened_pearson", a, b, sigma_k)


def pool(x: Floats) -> Floats:
    """Return the mean of z-scored RDMs (n_pairs,)."""
    return pool_standard(x)
