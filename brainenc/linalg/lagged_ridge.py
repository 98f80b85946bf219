"""Ridge on delayed features from their second moments: every penalty and fold without the delayed matrix and without predictions.

With β the weights of a training set, and C, c, s the second moments of a test set about its own means (features, features with target, target), the
test set's squared error and Pearson's r are

    E = s - 2 β'c + β'Cβ + n (ȳ_test - ȳ_train - (z̄_test - z̄_train)'β)²,    r = β'c / √(β'Cβ s)

Products of rows are in the features' dtype; they are summed, and everything after them is done, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg import lagged as lags
from brainenc.linalg.device import resolve_device, to_numpy, working_dtype
from brainenc.linalg.plan import ChunkPlan, plan_chunks
from brainenc.linalg.ridge import N_AUTO, auto_alphas
from brainenc.linalg.ridge_kernels import decompose, weighted_mean
from brainenc.linalg.ridge_setup import Splits, target_statistics

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
EIGEN_COST = 14  # Cholesky decompositions that one eigendecomposition takes as long as (2048 columns, one core)
_BEGINS = 64  # columns from which the largest eigenvalue is found by iteration
_SQUARES = 9  # matrices of all columns that are held at once


class LaggedFit(NamedTuple):
    """What `lagged_fit` returns; last axes are targets."""

    alphas: Floats  # (n_alphas,) ascending
    alpha: Floats  # (n_targets,)
    penalty: Index  # (n_targets,) which of the penalties over delays
    cv_scores: Floats  # (n_targets,) 1 - held-out error / that of the training mean
    r: Floats  # (n_penalties, n_alphas, n_folds, n_targets) held-out Pearson's r
    r2: Floats  # the same of 1 - error / error of the training mean
    weights: Array  # (n_delays, n_features, n_targets)
    intercept: Array  # (n_targets,)
    constant: npt.NDArray[np.bool_]  # (n_targets,)
    solver: str
    plan: ChunkPlan


class _Moments(NamedTuple):
    """Second moments of a set of rows about its means (or about zero)."""

    C: torch.Tensor  # (m, m)
    c: torch.Tensor  # (m, t)
    s: torch.Tensor  # (t,)
    z: torch.Tensor  # (m,) means of the delayed features
    y: torch.Tensor  # (t,)
    n: int


class _Part(NamedTuple):
    """A set of rows that the folds treat alike, with its sums."""

    rows: torch.Tensor
    features: lags.Sums


class _Work(NamedTuple):
    """What all chunks of targets share."""

    lagged: lags.Lagged
    parts: list[_Part]
    folds: list[tuple[Index, Index]]  # the parts that train, the parts that test
    alphas: Floats
    bases: list[torch.Tensor | None]
    solver: str
    intercept: bool


class _Targets(NamedTuple):
    """Sums of a chunk of targets over each part."""

    cross: list[torch.Tensor]  # (m, t)
    total: list[torch.Tensor]  # (t,)
    square: list[torch.Tensor]  # (t,)


def lagged_fit(
    X: Array, Y: Array, runs: Index, shifts: list[int], *,
    alphas: Floats | None, penalties: list[Floats | None], cv: Splits | None, fit_intercept: bool = True, solver: str = "auto",
    memory: str | int | float | None = None, device: str = "auto",
) -> LaggedFit:  # fmt: skip
    """Fit ``y_i = b + sum_d x_(i-d)' β_d`` to every target, each with the penalty that predicts held-out rows best.

    ``β = argmin sum_i (y_i - b - z_i'β)² + alpha sum_f β_f' M β_f``, β_f the weights of feature f over delays.

    Parameters
    ----------
    X : ndarray, (n_samples, n_features)
    Y : ndarray, (n_samples, n_targets)
        Finite; may be a memmap.
    runs : ndarray of int, (n_samples,)
        0, 1, …, each standing together; features outside a run are zero.
    shifts : list of int
        Delays in samples, ascending.
    alphas : ndarray, (n_alphas,), or None
        Ascending; None as `auto_alphas` of all rows, under the first penalty.
    penalties : list of ndarray (n_delays, n_delays) or None
        ``M^(-1/2)``, symmetric; None is the identity.
    cv : list of (train, test) row indices, or None
        None needs one penalty in all.
    fit_intercept : bool
    solver : {"auto", "cholesky", "eigen"}
        A Cholesky decomposition for each alpha, or one eigendecomposition for all; auto takes the cheaper.
    memory, device
        As `ridge_fit`.

    Returns
    -------
    LaggedFit

    Raises
    ------
    InputError
        For a memory budget that is too small.
    """
    n_alphas, n_targets = N_AUTO if alphas is None else len(alphas), Y.shape[1]
    solver = solver if solver != "auto" else ("eigen" if n_alphas > EIGEN_COST else "cholesky")
    dtype, where = working_dtype(X), resolve_device(device)
    groups, folds = _parts_of(len(X), cv)
    n_scores = 2 * len(penalties) * n_alphas * len(folds)
    plan = _plan(X, Y, shifts, len(groups), n_scores, dtype.itemsize, memory)
    y_mean, constant = target_statistics(Y, np.ones(len(X)), intercept=fit_intercept)
    x_mean = weighted_mean(X, np.ones(len(X))) if fit_intercept else np.zeros(X.shape[1])
    lagged = lags.lay_out(X, runs, shifts, x_mean, dtype=dtype, device=where)
    parts = [_Part(rows, lags.feature_sums(lagged, rows)) for rows in (torch.from_numpy(group).to(where) for group in groups)]
    bases = [None if one is None else torch.from_numpy(one).to(where) for one in penalties]
    work = _Work(lagged, parts, folds, np.zeros(0) if alphas is None else alphas, bases, solver, fit_intercept)
    if alphas is None:
        work = work._replace(alphas=auto_alphas(_largest(_mixed(_features(work, np.arange(len(parts)))[0], bases[0]))))
    shape = (len(bases), len(work.alphas), len(folds), n_targets)
    r, r2 = np.full(shape, np.nan), np.full(shape, np.nan)
    chosen, score = np.zeros((2, n_targets), dtype=np.intp), np.full(n_targets, np.nan)
    weights = np.empty((len(shifts) * X.shape[1], n_targets), dtype=dtype)
    intercept = np.zeros(n_targets, dtype=dtype)
    for cols in plan.slices():
        targets = _target_sums(work, np.asarray(Y[:, cols]), y_mean[cols])
        chosen[:, cols], score[cols] = _choose(work, targets, r[..., cols], r2[..., cols])
        chosen[:, cols][:, constant[cols]] = [[0], [len(work.alphas) - 1]]
        weights[:, cols], shift = _refit(work, targets, *chosen[:, cols])
        if fit_intercept:
            at_origin = np.tile(x_mean, len(shifts)) @ weights[:, cols].astype(np.float64)
            intercept[cols] = y_mean[cols] + shift - at_origin
    score[constant | ~np.isfinite(score)] = np.nan
    fields = weights.reshape(len(shifts), X.shape[1], n_targets)
    return LaggedFit(work.alphas, work.alphas[chosen[1]], chosen[0], score, r, r2, fields, intercept, constant, solver, plan)


def convolve(X: Array, runs: Index, shifts: list[int], weights: Array, intercept: Array, *, device: str = "auto") -> Array:
    """Return ``b + sum_d x_(i-d)' β_d`` (n_samples, n_targets) for weights (n_delays, n_features, n_targets), some rows at a time."""
    where = resolve_device(device)
    lagged = lags.lay_out(X, runs, shifts, np.zeros(X.shape[1]), dtype=weights.dtype, device=where)
    flat = torch.from_numpy(np.ascontiguousarray(weights.reshape(-1, weights.shape[2]))).to(where)
    out = np.empty((len(X), weights.shape[2]), dtype=weights.dtype)
    for start in range(0, len(X), lagged.chunk):
        rows = slice(start, start + lagged.chunk)
        out[rows] = to_numpy(lags.delayed_rows(lagged, lagged.at[rows]) @ flat)
    out += intercept
    return out


def _parts_of(n: int, cv: Splits | None) -> tuple[list[Index], list[tuple[Index, Index]]]:
    """Return the sets of rows that all folds treat alike, and the sets on either side of each fold."""
    if cv is None:
        return [np.arange(n)], []
    sides = np.zeros((n, 2 * len(cv)), dtype=bool)
    for i, pair in enumerate(cv):
        for side, rows in enumerate(pair):
            sides[rows, 2 * i + side] = True
    codes, which = np.unique(np.packbits(sides, axis=1), axis=0, return_inverse=True)
    groups = [np.flatnonzero(which.ravel() == code) for code in range(len(codes))]
    member = np.array([sides[rows[0]] for rows in groups])
    return groups, [(np.flatnonzero(member[:, 2 * i]), np.flatnonzero(member[:, 2 * i + 1])) for i in range(len(cv))]


def _target_sums(work: _Work, Y: Array, mean: Floats) -> _Targets:
    cross, total, square = [], [], []
    for part in work.parts:
        centred = Y[part.rows.cpu().numpy()].astype(np.float64) - mean
        device = part.rows.device
        cross.append(lags.cross_sums(work.lagged, part.rows, Y, mean))
        total.append(torch.from_numpy(centred.sum(axis=0)).to(device))
        square.append(torch.from_numpy((centred**2).sum(axis=0)).to(device))
    return _Targets(cross, total, square)


def _features(work: _Work, which: Index, *, centred: bool | None = None) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return C, z and n of some parts; without an intercept training sets are taken about zero, test sets never."""
    some = [work.parts[i] for i in which]
    rows = torch.cat([part.rows for part in some]).sort().values
    first, total = (torch.stack([part.features[i] for part in some]).sum(dim=0) for i in (0, 1))
    C = lags.second_moment(work.lagged, lags.Sums(first, total), rows)
    z = lags.wanted_columns(work.lagged, total) / len(rows)
    if work.intercept if centred is None else centred:
        C.addr_(z, z, alpha=-len(rows))
        return C, z, len(rows)
    return C, torch.zeros_like(z), len(rows)


def _moments(work: _Work, targets: _Targets, which: Index, *, centred: bool | None = None) -> _Moments:
    C, z, n = _features(work, which, centred=centred)
    c, y, s = (sum(one[i] for i in which) for one in targets)
    assert isinstance(c, torch.Tensor) and isinstance(y, torch.Tensor) and isinstance(s, torch.Tensor)
    y = y / n if (work.intercept if centred is None else centred) else torch.zeros_like(y)
    return _Moments(C, c - n * torch.outer(z, y), (s - n * y**2).clamp_(min=0.0), z, y, n)


def _choose(work: _Work, targets: _Targets, r: Floats, r2: Floats) -> tuple[Index, Floats]:
    """Return each target's (penalty over delays, alpha) and its inner score; of equal errors the larger alpha."""
    n_targets = r.shape[-1]
    if not work.folds:
        return np.zeros((2, n_targets), dtype=np.intp), np.full(n_targets, np.nan)
    errors, base = np.zeros((*r.shape[:2], n_targets)), np.zeros(n_targets)
    for number, (train, test) in enumerate(work.folds):
        fit, held = _moments(work, targets, train), _moments(work, targets, test, centred=True)
        mean_error = to_numpy(held.s + held.n * (held.y - fit.y) ** 2)
        base += mean_error
        for k, basis in enumerate(work.bases):
            for i, beta in enumerate(_solutions(fit.C, fit.c, basis, work.alphas, work.solver)):
                error, r[k, i, number] = _held_out(fit, held, beta)
                errors[k, i] += error
                with np.errstate(divide="ignore", invalid="ignore"):
                    r2[k, i, number] = 1.0 - error / mean_error
    tried = np.where(np.isnan(errors), np.inf, errors)[:, ::-1].reshape(-1, n_targets)
    best = tried.argmin(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = 1.0 - tried[best, np.arange(n_targets)] / base
    penalty, step = np.divmod(best, len(work.alphas))
    return np.stack([penalty, len(work.alphas) - 1 - step]), score


def _held_out(fit: _Moments, held: _Moments, beta: torch.Tensor) -> tuple[Floats, Floats]:
    """Return the squared error and Pearson's r of the held-out rows."""
    power, shared = (beta * (held.C @ beta)).sum(dim=0), (beta * held.c).sum(dim=0)
    shift = held.y - fit.y - (held.z - fit.z) @ beta
    error = (held.s - 2 * shared + power).clamp_(min=0.0) + held.n * shift**2
    return to_numpy(error), to_numpy(shared / (power.clamp(min=0.0) * held.s).sqrt())


def _refit(work: _Work, targets: _Targets, penalty: Index, step: Index) -> tuple[Array, Floats]:
    """Return the weights of all rows (m, t) at the chosen penalties, and what the means add to the prediction."""
    whole = _moments(work, targets, np.arange(len(work.parts)))
    out = torch.empty_like(whole.c)
    for k in np.unique(penalty):
        used = np.unique(step[penalty == k])
        for i, beta in zip(used, _solutions(whole.C, whole.c, work.bases[k], work.alphas[used], work.solver), strict=True):
            columns = torch.from_numpy(np.flatnonzero((penalty == k) & (step == i))).to(out.device)
            out[:, columns] = beta[:, columns]
    shift = whole.y - whole.z @ out
    return to_numpy(out), to_numpy(shift)


def _solutions(C: torch.Tensor, c: torch.Tensor, basis: torch.Tensor | None, alphas: Floats, solver: str) -> Iterator[torch.Tensor]:
    """Yield ``(C + alpha M)^(-1) c`` for each alpha, M given by its inverse root."""
    W, w = _mixed(C, basis), _mixed_rows(c, basis)
    factor = None
    for alpha in alphas:
        if solver == "cholesky" and factor is None:
            A = W.clone()
            A.diagonal().add_(float(alpha))
            L, failed = torch.linalg.cholesky_ex(A)
            if not int(failed):
                yield _mixed_rows(torch.cholesky_solve(w, L), basis)
                continue
        if factor is None:  # also where a penalty leaves the matrix singular
            factor = decompose(W)
            projected = factor.basis.T @ w
        yield _mixed_rows(factor.basis @ (projected / (factor.values + float(alpha))[:, None]), basis)


def _mixed(C: torch.Tensor, basis: torch.Tensor | None) -> torch.Tensor:
    return C if basis is None else _mixed_rows(_mixed_rows(C, basis).T.contiguous(), basis)


def _mixed_rows(values: torch.Tensor, basis: torch.Tensor | None) -> torch.Tensor:
    return values if basis is None else (basis @ values.reshape(len(basis), -1)).view(values.shape)


def _largest(C: torch.Tensor) -> float:
    """Return the largest eigenvalue."""
    from scipy.sparse.linalg import eigsh

    if len(C) < _BEGINS or not bool(C.any()):
        return float(torch.linalg.eigvalsh(C)[-1])
    start = C.double().square().sum(dim=0)  # the same for the same matrix, so that the result is
    return float(eigsh(to_numpy(C), k=1, v0=to_numpy(start), return_eigenvectors=False)[0])


def _plan(X: Array, Y: Array, shifts: list[int], n_parts: int, n_scores: int, b: int, memory: str | int | float | None) -> ChunkPlan:
    """Count the bytes that the fit takes beside X, Y and its weights."""
    (n, p), m = X.shape, len(shifts) * X.shape[1]
    wide = len(lags.even_shifts(shifts)[0]) * p
    chunk = min(lags.chunk_rows(wide), n)
    fixed = b * n * p * 2 + 8 * _SQUARES * m * m + 8 * wide * wide * (2 if wide > m else 0) + 8 * (n_parts + 2) * wide * (p + 1) + 2 * b * chunk * wide
    per_column = 8 * m * (n_parts + 6) + n * (8 + Y.dtype.itemsize) + 8 * n_scores + 16 * chunk
    return plan_chunks(memory, Y.shape[1], fixed=fixed + 40 * n, per_column=per_column)
