"""Ridge regression as the matrix that turns training targets into predictions: one for every penalty, whatever the targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import as_matrix
from brainenc.core.errors import InputError
from brainenc.linalg.decompose import eigh
from brainenc.linalg.device import resolve_device, to_tensor, working_dtype


def ridge_smoothers(
    X: npt.NDArray[Any], X_test: npt.NDArray[Any], alphas: npt.ArrayLike, *,
    sample_weight: npt.NDArray[np.float64] | None = None, fit_intercept: bool = True, device: str | torch.device = "auto",
) -> torch.Tensor:  # fmt: skip
    """Return ``S[a]`` of shape (n_test, n_train) with predictions ``S[a] @ Y`` of ridge regression at penalty ``alphas[a]``.

    With weights s, Z = √s (X − mean), m = s / Σ s: ``S = 1 m' + (X_test − mean) Z' (Z Z' + α)⁻¹ √s (I − 1 m')`` (without an intercept
    m = 0), through one eigendecomposition of ZZ' or Z'Z, whichever is smaller. Targets of any number, for instance the means of many
    halves of the trials, are then one product.

    Parameters
    ----------
    X : ndarray, (n_train, n_features)
        float32 is computed in float32, anything else in float64.
    X_test : ndarray, (n_test, n_features)
    alphas : array_like, (n_alphas,)
        Positive, or 0 for least squares of least norm.
    sample_weight : ndarray, (n_train,), optional
    fit_intercept : bool
    device : str or torch.device

    Returns
    -------
    torch.Tensor, (n_alphas, n_test, n_train)

    Raises
    ------
    InputError
        For penalties below zero and features that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> ridge_smoothers(np.array([[0.0], [1.0], [2.0]]), np.array([[3.0]]), [0.0])[0].round(decimals=3).tolist()
    [[-0.667, 0.333, 1.333]]
    """
    X, X_test, penalties = as_matrix(X, "X"), as_matrix(X_test, "X_test"), np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    if not (np.isfinite(penalties).all() and (penalties >= 0).all()):
        raise InputError("penalties cannot be used", where="alphas", expected="finite numbers >= 0", got=penalties.tolist())
    dtype, where = working_dtype(X), resolve_device(device)
    weights = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    share = weights / weights.sum() if fit_intercept else np.zeros(len(X))
    root = torch.from_numpy(np.sqrt(weights).astype(dtype)).to(where)
    z, probe = (_centred(values, share @ X, dtype, where) for values in (X, X_test))
    z *= root[:, None]
    left, right, values = _factors(z, probe)
    m = torch.from_numpy(share.astype(dtype)).to(where)
    right = right * root  # (r, n_train)
    right = right - torch.outer(right.sum(1), m)
    shrink = 1.0 / (values + torch.from_numpy(penalties.astype(dtype)).to(where)[:, None])  # (n_alphas, r)
    return torch.matmul(left * shrink[:, None, :], right) + m


def _centred(values: npt.NDArray[Any], mean: npt.NDArray[np.float64], dtype: np.dtype[Any], device: torch.device) -> torch.Tensor:
    out = to_tensor(values, dtype, device)
    return out.sub_(torch.from_numpy(mean.astype(dtype)).to(device))


def _factors(z: torch.Tensor, probe: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return left (n_test, r), right (r, n_train) and eigenvalues (r,) with ``probe Z' (Z Z' + α)⁻¹ = left / (values + α) right``."""
    primal = z.shape[1] <= z.shape[0]
    values, vectors, _ = eigh(z.T @ z if primal else z @ z.T)
    # directions that are empty to rounding would be blown up by small penalties
    keep = values > values[-1].clamp(min=0) * torch.finfo(z.dtype).eps * (len(values) if z.dtype == torch.float64 else 10)
    values, basis = values[keep], vectors[:, keep]
    if primal:
        return probe @ basis, basis.T @ z.T, values
    return (probe @ z.T) @ basis, basis.T, values
