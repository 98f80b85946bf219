"""Ridge regression in spectral form: every function here is pure and works on tensors.

With weights ``s``, ``q = sqrt(s)``, centred and scaled features ``Z = q (X - mean)`` and targets ``T = q (Y - mean)``, the weights

    ``W = argmin |T - Z W|^2 + alpha |W|^2``

are ``basis @ (A / (values + alpha))`` in both forms:

=========  =================  ==================  ==========================  ====================
form       Gram matrix        eigenvectors        ``A`` (r, n_targets)        prediction of row x
=========  =================  ==================  ==========================  ====================
primal     ``Z'Z`` (p, p)     ``V``               ``V' Z'T``                  ``x V (A/(l+alpha))``
kernel     ``ZZ'`` (n, n)     ``U``               ``U' T``                    ``x Z'U (A/(l+alpha))``
=========  =================  ==================  ==========================  ====================

One Gram matrix serves all folds: rows left out are subtracted (primal) or indexed away (kernel), and the mean is corrected.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.decompose import eigh
from brainenc.linalg.device import to_tensor

FEATURE_BLOCK = 4096
_ROWS = 256


class Design(NamedTuple):
    """Features, centred and scaled, with their Gram matrix."""

    form: str
    gram: torch.Tensor  # (p, p) or (n, n)
    z: torch.Tensor | None  # (n, p), primal form only
    root: torch.Tensor  # (n,) square roots of the sample weights
    mean: npt.NDArray[np.float64]  # (p,)
    intercept: bool


class Factor(NamedTuple):
    """Spectrum of a training set's Gram matrix; directions that are numerically zero are left out."""

    values: torch.Tensor  # (r,) descending
    basis: torch.Tensor  # (m, r), m = p or n
    how: str


class Fold(NamedTuple):
    """One inner fold: a decomposition and what is needed to project targets and to predict held-out rows."""

    factor: Factor
    train: torch.Tensor
    out: torch.Tensor | None  # rows outside the training set; None when they outnumber it
    test: torch.Tensor
    offset: torch.Tensor | None  # (p,) mean of the training rows, primal form with intercept
    probe: torch.Tensor  # (n_test, r): predictions are probe @ (A / (values + alpha))


def make_design(
    X: npt.NDArray[Any], weights: npt.NDArray[np.float64], *, intercept: bool, form: str, dtype: np.dtype[Any], device: torch.device
) -> Design:
    """Centre and scale the features and form their Gram matrix, a block of features at a time in kernel form."""
    mean = weighted_mean(X, weights) if intercept else np.zeros(X.shape[1])
    root = np.sqrt(weights)
    q = torch.from_numpy(root.astype(dtype)).to(device)
    if form == "primal":
        z = scaled(X, mean, root, dtype, device)
        return Design(form, z.T @ z, z, q, mean, intercept)
    gram = torch.zeros(len(X), len(X), dtype=q.dtype, device=device)
    for cols in blocks(X.shape[1]):
        z = scaled(X[:, cols], mean[cols], root, dtype, device)
        gram.addmm_(z, z.T)
    return Design(form, gram, None, q, mean, intercept)


def scaled(
    X: npt.NDArray[Any], mean: npt.NDArray[np.float64], root: npt.NDArray[np.float64] | None, dtype: np.dtype[Any], device: torch.device
) -> torch.Tensor:
    """Return ``root (X - mean)`` as a tensor; the mean is taken off before the values are rounded any further."""
    z = to_tensor(X, dtype, device)
    z -= torch.from_numpy(mean.astype(dtype)).to(device)
    if root is not None and np.any(root != 1):
        z *= torch.from_numpy(root.astype(dtype)).to(device)[:, None]
    return z


def blocks(n: int, width: int = FEATURE_BLOCK) -> list[slice]:
    """Return slices of ``width`` that cover ``n`` columns."""
    return [slice(i, min(i + width, n)) for i in range(0, n, width)]


def weighted_mean(values: npt.NDArray[Any], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return column means in float64 without a float64 copy of the whole array."""
    total = weights.sum()
    parts = [weights @ np.asarray(values[:, cols], dtype=np.float64) for cols in blocks(values.shape[1], 1024)]
    return np.concatenate(parts) / total if parts else np.zeros(0)


def decompose(gram: torch.Tensor) -> Factor:
    """Return the spectrum of a Gram matrix without its numerically empty directions.

    The limit is relative to the largest eigenvalue: the dtype's epsilon times the matrix size in float64, and times 10 in float32,
    where the stricter limit would cut directions above the smallest useful penalties.
    """
    values, vectors, how = eigh(gram)
    values, vectors = values.flip(0), vectors.flip(1)
    eps = torch.finfo(gram.dtype).eps
    limit = values[0] * eps * (max(len(gram), 10) if gram.dtype == torch.float64 else 10)
    rank = int((values > torch.clamp(limit, min=torch.finfo(gram.dtype).tiny)).sum())
    return Factor(values[:rank].contiguous(), vectors[:, :rank].contiguous(), how)


def make_fold(design: Design, train: npt.NDArray[np.intp], test: npt.NDArray[np.intp]) -> Fold:
    """Decompose one fold's training rows and project its held-out rows."""
    device, n = design.gram.device, len(design.root)
    left_out = np.setdiff1d(np.arange(n), train, assume_unique=True)
    tr, te = torch.from_numpy(train).to(device), torch.from_numpy(test).to(device)
    q_tr, q_te = design.root[tr], design.root[te]
    total = (q_tr * q_tr).sum()
    if design.form == "kernel":
        gram = design.gram[tr][:, tr]
        cross = design.gram[te][:, tr]
        if design.intercept:
            row, cross_row = gram @ q_tr / total, cross @ q_tr / total
            inner = q_tr @ row / total
            gram -= torch.outer(row, q_tr) + torch.outer(q_tr, row) - inner * torch.outer(q_tr, q_tr)
            cross -= torch.outer(cross_row, q_tr) + torch.outer(q_te, row) - inner * torch.outer(q_te, q_tr)
        factor = decompose(gram)
        return Fold(factor, tr, None, te, None, cross @ factor.basis)
    assert design.z is not None
    out = torch.from_numpy(left_out).to(device) if len(left_out) <= len(train) else None
    if out is None:
        gram = design.z[tr].T @ design.z[tr]
    else:
        gram = design.gram - design.z[out].T @ design.z[out]
    held = design.z[te]
    offset = None
    if design.intercept:
        offset = design.z[tr].T @ q_tr / total
        gram -= total * torch.outer(offset, offset)
        held = held - torch.outer(q_te, offset)
    factor = decompose(gram)
    return Fold(factor, tr, out, te, offset, held @ factor.basis)


def project_fold(design: Design, fold: Fold, T: torch.Tensor, ZtT: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``A`` (r, n_targets) of a fold and its held-out targets minus the mean of its training rows.

    ``T`` are all rows' scaled targets and ``ZtT = Z'T`` their projection (primal form).
    """
    q_tr, T_tr = design.root[fold.train], T[fold.train]
    held = T[fold.test]
    mu = None
    if design.intercept:
        mu = q_tr @ T_tr / (q_tr * q_tr).sum()
        held = held - torch.outer(design.root[fold.test], mu)
    if design.form == "kernel":
        # the basis is orthogonal to q, so the mean of the targets drops out
        return fold.factor.basis.T @ T_tr, held
    assert design.z is not None
    cross: torch.Tensor
    if fold.out is None or ZtT is None:
        cross = design.z[fold.train].T @ T_tr
    else:
        cross = ZtT - design.z[fold.out].T @ T[fold.out]
    if mu is not None and fold.offset is not None:
        cross = cross - (q_tr * q_tr).sum() * torch.outer(fold.offset, mu)
    return fold.factor.basis.T @ cross, held


def fold_errors(fold: Fold, A: torch.Tensor, held: torch.Tensor, alphas: npt.NDArray[np.float64]) -> torch.Tensor:
    """Return the held-out sum of squared errors, (n_alphas, n_targets) in float64."""
    probe, values = fold.probe, fold.factor.values
    extra: torch.Tensor | None = None
    if len(probe) > 2 * probe.shape[1] and probe.shape[1] > 0:
        # few directions, many rows: rotate the rows so that only r of them depend on alpha
        rotation, probe = torch.linalg.qr(probe)
        inside = rotation.T @ held
        extra = squares(held - rotation @ inside)
        held = inside
    errors = torch.empty(len(alphas), held.shape[1], dtype=torch.float64, device=held.device)
    for i, alpha in enumerate(alphas):
        errors[i] = squares(torch.addmm(held, probe / (values + alpha), A, alpha=-1))
    return errors if extra is None else errors + extra


def squares(values: torch.Tensor, room: torch.Tensor | None = None) -> torch.Tensor:
    """Return the column sums of ``(values / room)^2`` in float64, ``room`` being one number a row; a few rows at a time."""
    total = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
    for start in range(0, len(values), _ROWS):
        part = values[start : start + _ROWS]
        part = part.square() if room is None else (part / room[start : start + _ROWS, None]).square_()
        total += part.sum(0, dtype=torch.float64)
    return total


class LeaveOneOut(NamedTuple):
    """What closed-form leave-one-out and generalised cross-validation need beside the spectrum."""

    factor: Factor
    u: torch.Tensor  # (n, r) orthonormal, orthogonal to root when there is an intercept
    complete: bool  # u (and root) span all rows: nothing lies outside
    room: torch.Tensor  # (n_alphas, n) one minus the leverage of each row, float64
    active: torch.Tensor  # (n,) rows whose weight is not zero


def prepare_leave_one_out(design: Design, factor: Factor, alphas: npt.NDArray[np.float64]) -> LeaveOneOut:
    """Return orthonormal row directions and ``1 - h`` for every alpha.

    ``1 - h_i = rest_i + sum_j u_ij^2 alpha / (l_j + alpha)``, where ``rest`` is what the intercept (``q_i^2 / sum q^2``, that is 1/n)
    and the directions ``u`` leave over. Summing what remains, rather than subtracting from one, keeps its digits when p > n.
    """
    if design.form == "kernel":
        u = factor.basis
    else:
        assert design.z is not None
        u = (design.z @ factor.basis) / factor.values.sqrt()
    u2 = u.double().square()
    q2 = design.root.double().square()
    taken = q2 / q2.sum() if design.intercept else torch.zeros_like(q2)
    active = q2 > 0
    complete = u.shape[1] + int(design.intercept) >= int(active.sum())
    rest = torch.zeros_like(q2) if complete else (1.0 - taken - u2.sum(1)).clamp_(min=0.0)
    penalties = torch.from_numpy(alphas).to(u.device)
    room = rest + (penalties[:, None] / (factor.values.double() + penalties[:, None])) @ u2.T
    room[:, ~active] = 1.0  # the residual of such a row is zero
    return LeaveOneOut(factor, u, complete, room, active)


def leave_one_out_errors(loo: LeaveOneOut, T: torch.Tensor, ZtT: torch.Tensor | None, alphas: npt.NDArray[np.float64], *, gcv: bool) -> torch.Tensor:
    """Return the leave-one-out (or GCV) sum of squared errors, (n_alphas, n_targets) in float64.

    The residual of row i when it is left out is ``e_i / (1 - h_i)``, exactly. Its sum of squares lies between
    ``|e|^2 / max (1-h)^2`` and ``|e|^2 / min (1-h)^2``, and ``|e|^2`` costs O(r) a target; so the O(n r) sum is done only where
    the bounds leave open that this alpha is a target's best. The others hold their lower bound, which is above the minimum.
    ``T`` is overwritten.
    """
    values, n_targets = loo.factor.values, T.shape[1]
    A = loo.u.T @ T if ZtT is None else (loo.factor.basis.T @ ZtT).div_(values.sqrt()[:, None])
    outside = None if loo.complete else T.addmm_(loo.u, A, alpha=-1)
    penalties = torch.from_numpy(alphas).to(T.device)
    shrink = penalties[:, None] / (values.double() + penalties[:, None])  # (n_alphas, r)
    total = (shrink.square().to(T.dtype) @ A.square()).double()
    if outside is not None:
        total += squares(outside)
    room = loo.room[:, loo.active]
    if gcv:
        return total / room.mean(1).square()[:, None]
    least, most = room.min(1).values, room.max(1).values
    slack = 1e-3 if T.dtype == torch.float32 else 1e-9
    errors = total / most.square()[:, None] * (1 - slack)  # the lower bound
    upper = torch.nan_to_num(total / least.square()[:, None] * (1 + slack), nan=torch.inf)
    wanted = ~(errors > upper.min(0).values)
    # two buffers for all penalties: arrays of changing width would leave the heap in pieces
    wide, thin = torch.empty(T.numel(), dtype=T.dtype, device=T.device), torch.empty(A.numel(), dtype=T.dtype, device=T.device)
    for i in range(len(alphas)):
        columns = torch.nonzero(wanted[i])[:, 0]
        n = len(columns)
        if n == 0:
            continue
        part = A if n == n_targets else torch.index_select(A, 1, columns, out=thin[: len(A) * n].view(len(A), n))
        residual = wide[: len(T) * n].view(len(T), n)
        left = loo.u * shrink[i].to(T.dtype)
        if outside is None:
            torch.mm(left, part, out=residual)
        else:
            torch.index_select(outside, 1, columns, out=residual).addmm_(left, part)
        errors[i, columns] = squares(residual, loo.room[i].to(T.dtype))
    return errors
