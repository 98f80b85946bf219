"""Closed-form leave-one-out and generalised cross-validation of ridge regression, on the spectrum of all rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.ridge_kernels import Design, Factor, rows_of, squares

_ROWS = 1024


class LeaveOneOut(NamedTuple):
    """What closed-form leave-one-out and generalised cross-validation need beside the spectrum."""

    factor: Factor
    u: torch.Tensor  # (n, r) orthonormal, orthogonal to root when there is an intercept
    complete: bool  # u (and root) span all rows: nothing lies outside
    room: torch.Tensor  # (n_alphas, n) one minus the leverage of each row, float64
    active: torch.Tensor  # (n,) rows whose weight is not zero
    primal: bool


def prepare_leave_one_out(design: Design, factor: Factor, alphas: npt.NDArray[np.float64]) -> LeaveOneOut:
    """Return orthonormal row directions and ``1 - h`` for every alpha.

    ``1 - h_i = rest_i + sum_j u_ij^2 alpha / (l_j + alpha)``, where ``rest`` is what the intercept (``q_i^2 / sum q^2``, that is 1/n)
    and the directions ``u`` leave over. Summing what remains, rather than subtracting from one, keeps its digits when p > n.
    """
    if design.form == "kernel":
        u = factor.basis
    else:
        u = torch.empty(len(design.root), len(factor.values), dtype=design.root.dtype, device=design.root.device)
        for start in range(0, len(u), _ROWS):
            part = slice(start, start + _ROWS)
            torch.mm(rows_of(design, part), factor.basis, out=u[part])
        u /= factor.values.sqrt()
    u2 = u.double().square()
    q2 = design.root.double().square()
    taken = q2 / q2.sum() if design.intercept else torch.zeros_like(q2)
    active = q2 > 0
    complete = u.shape[1] + int(design.intercept) >= int(active.sum())
    rest = torch.zeros_like(q2) if complete else (1.0 - taken - u2.sum(1)).clamp_(min=0.0)
    penalties = torch.from_numpy(alphas).to(u.device)
    room = rest + (penalties[:, None] / (factor.values.double() + penalties[:, None])) @ u2.T
    room[:, ~active] = 1.0  # the residual of such a row is zero
    return LeaveOneOut(factor, u, complete, room, active, design.form == "primal")


def leave_one_out_errors(loo: LeaveOneOut, T: torch.Tensor, B: torch.Tensor, alphas: npt.NDArray[np.float64], *, gcv: bool) -> torch.Tensor:
    """Return the leave-one-out (or GCV) sum of squared errors, (n_alphas, n_targets) in float64.

    The residual of row i when it is left out is ``e_i / (1 - h_i)``, exactly. Its sum of squares lies between
    ``|e|^2 / max (1-h)^2`` and ``|e|^2 / min (1-h)^2``, and ``|e|^2`` costs O(r) a target; so the O(n r) sum is done only where
    the bounds leave open that this alpha is a target's best. The others hold their lower bound, which is above the minimum.
    ``T`` are the scaled targets, overwritten; ``B`` (r, n_targets) is their projection on the basis, left as it is.
    """
    values, n_targets = loo.factor.values, T.shape[1]
    A = B / values.sqrt()[:, None] if loo.primal else B  # on the orthonormal row directions
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


def gcv_curves(
    design: Design, factor: Factor, T: torch.Tensor, B: torch.Tensor, alphas: npt.NDArray[np.float64]
) -> torch.Tensor:
    """Return the generalised cross-validation error, (n_alphas, n_targets) in float64, from the spectrum and the projections alone.

    ``|e|^2 / (1 - trace(H) / n)^2``; what lies outside the spectrum's directions is ``|T|^2 - |A|^2``, good enough to start a search.
    """
    squared = (B / factor.values.sqrt()[:, None] if design.form == "primal" else B).square()
    penalties, values = torch.from_numpy(alphas).to(T.device), factor.values.double()
    keep = penalties[:, None] / (values + penalties[:, None])
    n = int((design.root > 0).sum())
    outside = n - int(design.intercept) - len(values)
    total = (keep.square().to(T.dtype) @ squared).double()
    if outside > 0:
        total += (squares(T) - squared.sum(0, dtype=torch.float64)).clamp_(min=0.0)
    room = (keep.sum(1) + max(outside, 0)) / n
    return total / room.square()[:, None]
