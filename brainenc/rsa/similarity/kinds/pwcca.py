"""Projection-weighted canonical correlation."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch

from brainenc.linalg.decompose import svd
from brainenc.rsa.similarity._bases import Basis, basis_of, refuse_full_rank, reorder, warn_of_certain
from brainenc.rsa.similarity._kernels import centred_columns
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "prepare", "pwcca", "reorder"]

KIND = "similarity"
SYMMETRIC = False
IDENTITY = 1.0
INVARIANT = {"x": ("translation", "scale"), "y": ("translation", "scale", "rotation", "linear")}


def pwcca(X: Any, Y: Any, *, tolerance: float | None = None, memory: str | int | float | None = None, device: str = "auto") -> Any:
    """Return the mean canonical correlation weighted by how much of ``X`` each canonical direction accounts for.

    Σ_i α_i ρ_i / Σ_i α_i with α_i = Σ_j |⟨h_i, x_j⟩|: h_i the orthonormal canonical variates of X, x_j the centred columns of X. The
    weights are always those of the left side, so ``pwcca(X, Y)`` and ``pwcca(Y, X)`` differ.

    Parameters
    ----------
    X : array (n_samples, n_features), FeatureSpace, Responses, or a mapping of these
        The side that gives the weights.
    Y : as ``X``
    tolerance : float, optional
        Singular values up to this share of the largest count as zero.
    memory : str, int or float, optional
        Not used: a basis is no larger than the data.
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs where either side is a mapping.

    Raises
    ------
    InputError
        Where a side has as many independent features as samples.

    References
    ----------
    Morcos, Raghu & Bengio (2018), arXiv:1806.05759.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 3))
    >>> round(pwcca(x, x[:, ::-1]), 6)
    1.0
    """
    return measure("pwcca", X, Y, tolerance=tolerance, memory=memory, device=device)


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, tolerance: float | None = None) -> Basis:
    """Return the basis of one side and its loadings U'X (r, n_features)."""
    fix = "use more samples, svcca with a fixed number of components, or cka(estimator='debiased')"
    basis = refuse_full_rank(basis_of(x, device, tolerance), "pwcca", fix)
    return basis._replace(extra=basis.u.T @ centred_columns(x, slice(None), device))


def between(a: Basis, b: Basis) -> float:
    """Return the weighted mean of the canonical correlations."""
    warn_of_certain(a, b, "pwcca")
    if not len(a.s) or not len(b.s):
        return float("nan")
    directions, rho, _, _ = svd(a.u.T @ b.u)
    weights = (directions.T @ a.extra).abs().sum(dim=1)
    return float((torch.clamp(rho, max=1.0) * weights).sum() / weights.sum())
