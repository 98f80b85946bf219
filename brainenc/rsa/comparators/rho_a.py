"""rho-a: Spearman's correlation expected under random breaking of ties, 12 Σ (r_x − r̄)(r_y − r̄) / (P³ − P) over P pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.rsa.comparators._shared import by_form, pool_ranks

KIND = "similarity"
SUMMARY = "Spearman correlation expected under random breaking of ties"
MISSING = "pairs"
SYMMETRIC = True
SCALE_FREE = True
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return rho-a of RDMs (n_a, n_pairs) and (n_b, n_pairs): (n_a, n_b)."""
    return by_form("rho_a", a, b, sigma_k)


def pool(x: Floats) -> Floats:
    """Return the mean of mid-ranks (n_pairs,)."""
    return pool_ranks(x)
