"""Bures similarity of second moments: tr((G_x^½ G_y G_x^½)^½) / √(tr G_x tr G_y), the fidelity of the implied patterns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.second_moments import fidelity, moment_roots
from brainenc.rsa.comparators._shared import pool_plain, refuse_sigma

KIND = "similarity"
ZERO_IS_NULL = False  # dissimilarities are above zero, so unrelated RDMs are alike
SUMMARY = "Bures similarity of the implied second moments"
MISSING = "none"
SYMMETRIC = True
SCALE_FREE = True
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return Bures similarities of RDMs (n_a, n_pairs) and (n_b, n_pairs): (n_a, n_b)."""
    refuse_sigma(sigma_k, "bures_similarity")
    return compare_copies(a, b, None)


def compare_copies(a: Floats, b: Floats, w: Floats | None) -> Floats:
    """Return the same for samples in which condition i comes w_i times; copies have no distance from each other."""
    copies = None if w is None else torch.from_numpy(w)
    x, y = (moment_roots(torch.from_numpy(values), "bures_similarity", copies) for values in (a, b))
    first, second = (x * x).sum(dim=(1, 2)), (y * y).sum(dim=(1, 2))
    return (fidelity(x, y) / torch.sqrt(first[:, None] * second)).numpy()


def pool(x: Floats) -> Floats:
    """Return the mean of RDMs of mean 1 (n_pairs,). Our choice: the literature has none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return pool_plain(x / x.mean(axis=1, keepdims=True))
