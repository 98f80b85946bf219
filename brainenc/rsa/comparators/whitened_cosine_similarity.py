"""Cosine after whitening: x'V⁻¹y / √(x'V⁻¹x · y'V⁻¹y), V the covariance of distances estimated from noisy patterns.

V = Ξ ∘ Ξ, Ξ = C Σ_K C'. With Σ_K = I this is the linear CKA of the second moments that the RDMs imply. A diagonal or full Σ_K needs the
centring that Σ_K itself weights (H_Σ = I − 1 1'Σ⁻¹ / 1'Σ⁻¹1); no matrix over pairs is formed. After Diedrichsen et al. 2020,
arXiv:2007.02789.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.rsa.comparators._shared import by_form, pool_unit

KIND = "similarity"
ZERO_IS_NULL = False  # dissimilarities are above zero, so unrelated RDMs are alike
SUMMARY = "cosine of the dissimilarities after whitening by their covariance"
MISSING = "masked"
SIGMA_K = True
SYMMETRIC = True
SCALE_FREE = True
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return whitened cosines of RDMs (n_a, n_pairs) and (n_b, n_pairs): (n_a, n_b)."""
    return by_form("whitened_cosine_similarity", a, b, sigma_k)


def pool(x: Floats) -> Floats:
    """Return the mean of RDMs of unit root mean square (n_pairs,)."""
    return pool_unit(x)
