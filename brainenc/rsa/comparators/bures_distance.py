"""Squared Bures distance of second moments: tr G_x + tr G_y − 2 tr((G_x^½ G_y G_x^½)^½).

Squared, as dissimilarities are; its root is a metric, the Procrustes distance of the implied patterns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.second_moments import fidelity, moment_roots
from brainenc.rsa.comparators._shared import pool_plain, refuse_sigma

KIND = "distance"
SUMMARY = "squared Bures distance of the implied second moments"
MISSING = "none"
SYMMETRIC = True
SCALE_FREE = False
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return squared Bures distances of RDMs (n_a, n_pairs) and (n_b, n_pairs): (n_a, n_b)."""
    refuse_sigma(sigma_k, "bures_distance")
    return compare_copies(a, b, None)


def compare_copies(a: Floats, b: Floats, w: Floats | None) -> Floats:
    """Return the same for samples in which condition i comes w_i times; copies have no distance from each other."""
    copies = None if w is None else torch.from_numpy(w)
    x, y = (moment_roots(torch.from_numpy(values), "bures_distance", copies) for values in (a, b))
    first, second = (x * x).sum(dim=(1, 2)), (y * y).sum(dim=(1, 2))
    # of an RDM and itself: 0 up to rounding, on either side
    return (first[:, None] + second - 2 * fidelity(x, y)).clamp_min(0).numpy()


def pool(x: Floats) -> Floats:
    """Return the mean RDM (n_pairs,). Our choice: the literature has none."""
    return pool_plain(x)
