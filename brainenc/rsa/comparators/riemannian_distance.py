"""Riemannian distance of second moments, the first scaled and with noise added as suits the second best.

min over t of √Σ log² eig(e^t0 G_x + e^t1 PΣP', G_y), G relative to the first condition and PΣP' the noise of its contrasts. The model is
the first RDM, so the distance is not symmetric. Definite second moments only: cross-validated, categorical or resampled RDMs have none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.ranks import n_of_pairs
from brainenc.linalg.second_moments import riemannian
from brainenc.rsa._forms import sigma_tensor
from brainenc.rsa.comparators._shared import pool_plain

KIND = "distance"
SUMMARY = "Riemannian distance of the implied second moments, up to scale and noise"
MISSING = "none"
SIGMA_K = True
SYMMETRIC = False
SCALE_FREE = True
Floats = npt.NDArray[np.float64]


def compare(a: Floats, b: Floats, *, sigma_k: Any = None) -> Floats:
    """Return distances of RDMs (n_a, n_pairs) from (n_b, n_pairs): (n_a, n_b)."""
    sigma = sigma_tensor(sigma_k, "riemannian_distance", n_of_pairs(a.shape[1]))
    return riemannian(torch.from_numpy(a), torch.from_numpy(b), sigma).numpy()


def pool(x: Floats) -> Floats:
    """Return the mean RDM (n_pairs,)."""
    return pool_plain(x)
