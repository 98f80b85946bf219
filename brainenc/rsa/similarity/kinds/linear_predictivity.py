"""Share of variance that an unpenalised linear regression accounts for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.errors import InputError
from brainenc.rsa.similarity._bases import Basis, basis_of, reorder
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "linear_predictivity", "nulls", "prepare", "reorder"]

KIND = "similarity"
SYMMETRIC = False
IDENTITY = 1.0
INVARIANT = {"x": ("translation", "scale", "rotation", "linear"), "y": ("translation", "scale", "rotation")}


def linear_predictivity(X: Any, Y: Any, *, tolerance: float | None = None, memory: str | int | float | None = None, device: str = "auto") -> Any:
    """Return the R² of predicting ``Y`` from ``X`` by ordinary least squares, over all columns together: ‖U'Y‖² / ‖Y‖².

    U is an orthonormal basis of the centred columns of X. In-sample and without a penalty: for unrelated data it is about
    rank(X) / (n − 1). For held-out prediction use `brainenc.score_layers`.

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
        Predictors and predicted.
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
        Where ``X`` has as many independent features as samples: the fit is then perfect whatever ``Y``.

    References
    ----------
    Kornblith et al. (2019), arXiv:1905.00414 (as "linear regression", there with the sides exchanged).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 3))
    >>> round(linear_predictivity(x, x[:, :2]), 6)
    1.0
    """
    return measure("linear_predictivity", X, Y, tolerance=tolerance, memory=memory, device=device)


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, tolerance: float | None = None) -> Basis:
    """Return the basis of one side."""
    return basis_of(x, device, tolerance)


def between(a: Basis, b: Basis) -> float:
    """Return R²."""
    return float(_explained(a, b, b.u[None])[0])


def nulls(sides: Sequence[Basis], b: Basis, orders: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return R² (n_orders, n_sides) under many orders of the rows of ``b``, in batches."""
    place = torch.from_numpy(np.ascontiguousarray(orders)).to(b.u.device)
    moved = place.split(max(1, 2**22 // max(b.u.numel(), 1)))
    return np.stack([torch.cat([_explained(a, b, b.u[m]) for m in moved]).cpu().numpy() for a in sides], axis=1)


def _explained(a: Basis, b: Basis, u: torch.Tensor) -> torch.Tensor:
    n, r = a.u.shape
    if r >= n - 1:
        raise InputError(
            "a regression on as many independent features as samples is perfect whatever the data", where="linear_predictivity",
            expected=f"a rank below {n - 1} of {n} samples", got=f"rank {r}", fix="use more samples, or brainenc.score_layers",
        )  # fmt: skip
    if not len(b.s):
        return torch.full((len(u),), torch.nan, dtype=torch.float64, device=u.device)
    return ((a.u.T @ u) * b.s).square().sum(dim=(1, 2)) / b.total
