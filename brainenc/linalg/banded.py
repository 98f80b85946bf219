"""Banded ridge in spectral form: one decomposition of the weighted bands gives the errors of every fold, penalty and target.

With bands ``Z_k`` (centred, scaled by the roots ``q`` of the sample weights) and band weights ``g``, the weights of least
``|T - sum_k Z_k W_k|^2 + alpha sum_k |W_k|^2 / g_k`` are ridge weights of the features ``sqrt(g_k) Z_k``, whose samples' Gram matrix is
``K = sum_k g_k Z_k Z_k'``. Let ``u`` (n, r) and ``l`` be its eigenvectors and eigenvalues, with ``q / |q|`` as one more column of
``u`` where there is an intercept. Then ``T - u s u'T`` are the residuals, ``s = l / (l + alpha)`` and 1 for the intercept, and

    ``e_L = (I - u_L s u_L')^-1 (T - u s u'T)_L``

are exactly the errors of the rows L of a model, intercept included, that was fitted without them. So no fold is decomposed by itself.
Every function here is pure and works on tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.ridge_kernels import blocks, decompose, scaled, squares, weighted_mean

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

__all__ = [
    "BandDesign", "HeldOut", "Weighting", "final_weights", "fold_residuals", "gcv", "held_out_rows", "make_bands", "residuals", "row_room",
    "shrinkage", "solvers", "squares", "weigh",
]  # fmt: skip


class BandDesign(NamedTuple):
    """Features of all bands, centred and scaled, with what every weighting of them is made from."""

    form: str  # "primal" or "kernel"
    grams: torch.Tensor  # (n_bands, n, n) in kernel form, (p, p) of all features in primal form
    z: torch.Tensor | None  # (n, p), primal form only
    bands: tuple[Index, ...]  # columns of each band
    root: torch.Tensor  # (n,)
    mean: Floats  # (p,)
    traces: Floats  # (n_bands,) sums of squares of each band
    intercept: bool


class Weighting(NamedTuple):
    """The decomposition that belongs to one set of band weights."""

    weights: Floats  # (n_bands,)
    values: torch.Tensor  # (r,) descending, without the intercept
    u: torch.Tensor  # (n, r) or (n, r + 1), the intercept last
    back: torch.Tensor | None  # (p, r) from spectral coordinates to the features' weights, primal form only


class HeldOut(NamedTuple):
    """Rows left out together: those whose error counts, and where they stand among those that were left out."""

    left_out: torch.Tensor
    test: torch.Tensor
    place: torch.Tensor  # test = left_out[place]


def make_bands(
    X: npt.NDArray[Any], bands: Sequence[Index], weights: Floats, *, intercept: bool, form: str, dtype: np.dtype[Any], device: torch.device
) -> BandDesign:
    """Centre and scale the features and form the Gram matrices, in kernel form a block of features at a time."""
    mean = weighted_mean(X, weights) if intercept else np.zeros(X.shape[1])
    root = np.sqrt(weights)
    q = torch.from_numpy(root.astype(dtype)).to(device)
    if form == "primal":
        z = scaled(X, mean, root, dtype, device)
        gram = z.T @ z
        diagonal = gram.diagonal().double().cpu().numpy()
        return BandDesign(form, gram, z, tuple(bands), q, mean, np.array([diagonal[cols].sum() for cols in bands]), intercept)
    grams = torch.zeros(len(bands), len(X), len(X), dtype=q.dtype, device=device)
    for gram, columns in zip(grams, bands, strict=True):
        for part in blocks(len(columns)):
            z = scaled(X[:, columns[part]], mean[columns[part]], root, dtype, device)
            gram.addmm_(z, z.T)
    traces = np.array([float(gram.diagonal().double().sum()) for gram in grams])
    return BandDesign(form, grams, None, tuple(bands), q, mean, traces, intercept)


def weigh(design: BandDesign, weights: Floats) -> Weighting:
    """Decompose the bands under these weights; bands of weight zero are left out, in primal form with their columns."""
    used = np.flatnonzero(weights > 0)
    device, dtype = design.root.device, design.root.dtype
    back = None
    if design.form == "kernel":
        gram = torch.zeros_like(design.grams[0])
        for k in used:
            gram.add_(design.grams[k], alpha=float(weights[k]))
        factor = decompose(gram)
        u = factor.basis
    else:
        assert design.z is not None
        columns = np.concatenate([design.bands[k] for k in used])
        scale = torch.from_numpy(np.concatenate([np.full(len(design.bands[k]), np.sqrt(weights[k])) for k in used])).to(device, dtype)
        where = torch.from_numpy(columns).to(device)
        factor = decompose(design.grams[where][:, where] * torch.outer(scale, scale))
        turned = scale[:, None] * factor.basis / factor.values.sqrt()
        back = torch.zeros(design.z.shape[1], turned.shape[1], dtype=dtype, device=device)
        back[where] = turned
        u = design.z @ back
    if design.intercept:
        u = torch.cat([u, (design.root / design.root.norm())[:, None]], dim=1)
    return Weighting(weights, factor.values, u, back)


def shrinkage(one: Weighting, alphas: torch.Tensor) -> torch.Tensor:
    """Return ``l / (l + alpha)`` (n_alphas, r), with a last column of ones for the intercept."""
    values = one.values.double()
    s = values / (values + alphas[:, None])
    return s if one.u.shape[1] == len(values) else torch.cat([s, torch.ones(len(alphas), 1, dtype=s.dtype, device=s.device)], dim=1)


def gcv(A: torch.Tensor, total: torch.Tensor, s: torch.Tensor, n_rows: int) -> torch.Tensor:
    """Return generalised cross-validation, ``|e|^2 / (1 - trace(H) / n)^2``, (n_alphas, n_targets), from ``A = u'T`` and ``|T|^2``."""
    energy = A.square()
    outside = (total - energy.sum(0, dtype=torch.float64)).clamp_(min=0.0)
    residual = ((1.0 - s).square().to(A.dtype) @ energy).double() + outside
    room = (1.0 - s.sum(1) / n_rows).clamp_(min=1e-12)
    return residual / room.square()[:, None]


def held_out_rows(splits: Sequence[tuple[Index, Index]], n: int, device: torch.device) -> list[HeldOut]:
    """Return what each fold leaves out of all rows, and which of it counts as test rows."""
    out = []
    for train, test in splits:
        left_out = np.setdiff1d(np.arange(n), train, assume_unique=True)
        parts = (left_out, test, np.searchsorted(left_out, test))
        out.append(HeldOut(*(torch.from_numpy(np.asarray(part, dtype=np.int64)).to(device) for part in parts)))
    return out


def solvers(rows: Sequence[torch.Tensor], s: torch.Tensor, folds: Sequence[HeldOut], dtype: torch.dtype) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Return ``(I - u_L s u_L')^-1`` of each fold for one penalty: the test rows of the inverse, or a pair of factors.

    ``rows`` are ``u_L`` (n_left_out, r) of each fold in float64, ``s`` is (r,). Where fewer directions than rows are left out the inverse is
    ``I + u_L C u_L'``, and ``(u_L C, u_L')`` is returned.
    """
    out: list[tuple[torch.Tensor, torch.Tensor | None]] = []
    for u, fold in zip(rows, folds, strict=True):
        half = u * s.sqrt()
        if u.shape[1] < len(u):
            core = _inverse(-(half.T @ half))
            out.append(((half[fold.place] @ core).to(dtype), half.T.to(dtype)))
        else:
            out.append((_inverse(-(half @ half.T))[fold.place].to(dtype), None))
    return out


def _inverse(negative: torch.Tensor) -> torch.Tensor:
    """Return ``(I + negative)^-1`` of a matrix that is positive definite, or nearly."""
    negative.diagonal().add_(1.0)
    factor, failed = torch.linalg.cholesky_ex(negative)
    return torch.linalg.pinv(negative, hermitian=True) if int(failed) else torch.cholesky_inverse(factor)


def fold_residuals(residual: torch.Tensor, solver: tuple[torch.Tensor, torch.Tensor | None], fold: HeldOut) -> torch.Tensor:
    """Return the errors of a fold's test rows from the residuals (n, n_targets) of the fit to all rows."""
    left, right = solver
    if right is None:
        return left @ residual[fold.left_out]
    return residual[fold.test] + left @ (right @ residual[fold.left_out])


def row_room(one: Weighting, s: torch.Tensor, *, gcv: bool) -> torch.Tensor:
    """Return one minus the leverage of each row (n,), or the mean of the rows that count in its place."""
    room = 1.0 - (one.u.double().square() @ s)
    active = one.u.double().square().sum(1) > 0
    room = torch.where(active, room, torch.ones_like(room)).clamp_(min=1e-12)
    return room[active].mean().expand(len(room)) if gcv else room


def residuals(one: Weighting, T: torch.Tensor, A: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """Return ``T - u s u'T`` for one penalty."""
    return torch.addmm(T, one.u, s.to(A.dtype)[:, None] * A, alpha=-1)


def final_weights(design: BandDesign, one: Weighting, A: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Return features' weights (p, n_targets) in primal form, else the dual weights ``q (K + alpha)^-1 T`` (n, n_targets)."""
    r = len(one.values)
    B = A[:r] / (one.values[:, None] + alpha)
    if one.back is not None:
        return one.back @ (B * one.values[:, None])
    return (one.u[:, :r] @ B) * design.root[:, None]
