"""Orthonormal bases of centred data: what CCA, its relatives and the shape distances are made of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.errors import BrainencWarning, InputError
from brainenc.linalg.similarity import left_basis
from brainenc.rsa.similarity._kernels import centred_columns

Tensor = torch.Tensor


class Basis(NamedTuple):
    """Left singular vectors (n, r) and singular values (r,) of one side, and what a measure adds to them."""

    u: Tensor
    s: Tensor
    total: float
    extra: Any = None


def basis_of(x: npt.NDArray[Any], device: torch.device, tolerance: float | None = None) -> Basis:
    """Return the basis of centred columns, up to their numerical rank; ``total`` is ‖X‖²."""
    if tolerance is not None and not 0 <= tolerance < 1:
        raise InputError("a tolerance is a share of the largest singular value", where="tolerance", expected="0 to 1", got=tolerance)
    u, s = left_basis(centred_columns(x, slice(None), device), tolerance)
    return Basis(u, s, float(s.square().sum()))


def reorder(basis: Basis, order: npt.NDArray[np.intp]) -> Basis:
    """Return the basis with its rows in another order."""
    return basis._replace(u=basis.u[torch.from_numpy(np.ascontiguousarray(order)).to(basis.u.device)])


def refuse_full_rank(basis: Basis, measure: str, fix: str) -> Basis:
    """Return the basis, unless it spans every centred vector: then any other representation is predicted perfectly."""
    n, r = basis.u.shape
    if r >= n - 1:
        raise InputError(
            f"{measure} of as many independent features as samples is 1 whatever the data", where=measure,
            expected=f"a rank below {n - 1} of {n} samples", got=f"rank {r}", fix=fix,
        )  # fmt: skip
    return basis


def warn_of_certain(a: Basis, b: Basis, measure: str) -> None:
    """Warn where some canonical correlations are 1 whatever the data: r + s − (n − 1) of them, as the two spans must intersect."""
    n, r = a.u.shape
    certain = r + b.u.shape[1] - (n - 1)
    if certain > 0:
        warnings.warn(
            f"{measure}: {certain} canonical correlations are 1 whatever the data (ranks {r} and {b.u.shape[1]}, {n} samples); "
            "use fewer features or components, or cka(estimator='debiased')",
            BrainencWarning, stacklevel=2,
        )  # fmt: skip


def correlations(a: Basis, b: Basis) -> Tensor:
    """Return the canonical correlations, the singular values of U'V, descending."""
    if not len(a.s) or not len(b.s):
        return torch.full((1,), torch.nan, dtype=torch.float64)
    return torch.linalg.svdvals(a.u.T @ b.u).clamp(max=1.0)


def mean_correlation(a: Basis, b: Basis) -> float:
    """Return the mean canonical correlation."""
    return float(correlations(a, b).mean())


def mean_correlations(sides: Sequence[Basis], b: Basis, orders: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return mean canonical correlations (n_orders, n_sides) under many orders of the rows of ``b``, in batches."""
    place = torch.from_numpy(np.ascontiguousarray(orders)).to(b.u.device)
    out = np.full((len(orders), len(sides)), np.nan)
    for number, a in enumerate(sides):
        if len(a.s) and len(b.s):
            step = max(1, 2**22 // max(b.u.numel(), a.u.shape[1] * b.u.shape[1]))
            parts = [torch.linalg.svdvals(a.u.T @ b.u[m]).clamp(max=1.0).mean(dim=1) for m in place.split(step)]
            out[:, number] = torch.cat(parts).cpu().numpy()
    return out
