"""Kendall's tau-a: (concordant − discordant) / all pairs of pairs of conditions. Fair to models that predict ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.linalg.concordance import Concordance
from brainenc.rsa.comparators._shared import concordances, pool_ranks, refuse_sigma

KIND = "similarity"
SUMMARY = "Kendall's tau-a of the dissimilarities"
MISSING = "pairs"
SYMMETRIC = True
SCALE_FREE = True
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return tau-a of RDMs (n_a, n_pairs) and (n_b, n_pairs): (n_a, n_b), in O(n_pairs log n_pairs) each."""
    refuse_sigma(sigma_k, "tau_a")
    return from_counts(concordances(a, b))


def from_counts(counts: Concordance) -> Floats:
    """Return tau-a from Kendall's counts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(counts.difference.numpy() / counts.total.numpy())


def pool(x: Floats) -> Floats:
    """Return the mean of mid-ranks (n_pairs,): the pool that is best for Spearman, and only nearly so for tau."""
    return pool_ranks(x)
