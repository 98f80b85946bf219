"""Ridge regression for many targets at once: one decomposition per training set, a penalty per target, bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import as_matrix, examples
from brainenc.core.errors import InputError
from brainenc.linalg import ridge_kernels as kernels
from brainenc.linalg.device import resolve_device, to_numpy, to_tensor, working_dtype
from brainenc.linalg.plan import ChunkPlan, plan_chunks

Array = npt.NDArray[Any]
Splits = Sequence[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]
N_AUTO = 17
_HEAP = 1.15  # allocators keep some of the blocks that were freed


class RidgeFit(NamedTuple):
    """What `ridge_fit` returns; arrays are numpy, one entry or column per target."""

    alphas: npt.NDArray[np.float64]  # (n_alphas,) ascending
    alpha: npt.NDArray[np.float64]  # (n_targets,) the penalty chosen
    cv_scores: npt.NDArray[np.float64]  # (n_targets,) 1 - held-out error / held-out error of the training mean
    constant: npt.NDArray[np.bool_]  # (n_targets,)
    solver: str  # "primal" or "kernel"
    weights: Array | None  # (n_features, n_targets) in primal form, (n_samples, n_targets) in kernel form
    x_mean: npt.NDArray[np.float64]  # (n_features,)
    y_mean: npt.NDArray[np.float64]  # (n_targets,)
    predictions: Array | None  # (n_test, n_targets)
    plan: ChunkPlan
    decomposition: str  # the step of the retry ladder that succeeded


class _Setup(NamedTuple):
    design: kernels.Design
    factor: kernels.Factor
    alphas: npt.NDArray[np.float64]
    Y: Array
    y_mean: npt.NDArray[np.float64]
    constant: npt.NDArray[np.bool_]
    root: npt.NDArray[np.float64]
    dtype: np.dtype[Any]
    device: torch.device
    plan: ChunkPlan


def ridge_fit(
    X: Array, Y: Array, *,
    alphas: npt.NDArray[np.float64] | None, cv: Splits | str | None, sample_weight: npt.NDArray[np.float64] | None = None,
    fit_intercept: bool = True, solver: str = "auto", memory: str | int | float | None = None, device: str = "auto",
    X_test: Array | None = None, keep_weights: bool = True,
) -> RidgeFit:  # fmt: skip
    """Fit ridge regressions of every column of ``Y`` on ``X``, each with the penalty that predicts held-out rows best.

    ``W = argmin sum_i s_i |y_i - b - x_i W|^2 + alpha_v |W|^2``, b unpenalised.

    Parameters
    ----------
    X : ndarray, (n_samples, n_features)
        Finite. float32 is computed in float32, anything else in float64. May be a memmap in kernel form.
    Y : ndarray, (n_samples, n_targets)
        Finite; may be a memmap, read a chunk of columns at a time.
    alphas : ndarray, (n_alphas,), or None
        Penalties, ascending; None: see `auto_alphas`.
    cv : list of (train, test) row indices, "loo", "gcv" or None
        How the penalty is chosen; None needs exactly one penalty.
    sample_weight : ndarray, (n_samples,), optional
    fit_intercept : bool
    solver : {"auto", "primal", "kernel"}
        The side of the Gram matrix: features or samples; auto takes the smaller.
    memory : str, int, float or None
        Working memory beyond X, Y and what is returned.
    device : str
    X_test : ndarray, (n_test, n_features), optional
        Rows to predict.
    keep_weights : bool
        Return the weights (the largest array of the result).

    Returns
    -------
    RidgeFit

    Raises
    ------
    InputError
        For targets that hold NaN or infinity, or a memory budget that is too small.

    Notes
    -----
    The penalty of the least held-out squared error wins, and the larger one of two equal ones. Leave-one-out is exact.
    """
    X, Y = as_matrix(X, "X"), as_matrix(Y, "Y", n_rows=len(X))
    n, p = X.shape
    form = solver if solver != "auto" else ("primal" if p <= n else "kernel")
    dtype, where = working_dtype(X), resolve_device(device)
    weights = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    n_alphas = N_AUTO if alphas is None else len(alphas)
    plan = _plan(X, Y, cv, form=form, dtype=dtype, n_alphas=n_alphas, memory=memory, n_test=0 if X_test is None else len(X_test))
    y_mean, constant = target_statistics(Y, weights, intercept=fit_intercept)
    design = kernels.make_design(X, weights, intercept=fit_intercept, form=form, dtype=dtype, device=where)
    factor = kernels.decompose(design.gram)
    grid = auto_alphas(float(factor.values[0]) if len(factor.values) else 0.0) if alphas is None else np.asarray(alphas, dtype=np.float64)
    setup = _Setup(design, factor, grid, Y, y_mean, constant, np.sqrt(weights), dtype, where, plan)
    alpha, scores = _choose(setup, cv)
    kept, predictions = _solve(setup, alpha, X, X_test, keep_weights)
    return RidgeFit(grid, alpha, scores, constant, form, kept, design.mean, y_mean, predictions, plan, factor.how)


def auto_alphas(largest: float) -> npt.NDArray[np.float64]:
    """Return the automatic grid: 17 penalties, half a decade apart, from 1e-6 to 1e2 times the largest eigenvalue.

    Parameters
    ----------
    largest : float
        Largest eigenvalue of the centred (and weighted) features' Gram matrix; 0 stands for features without variance.

    Examples
    --------
    >>> auto_alphas(10.0)[[0, -1]].round(8).tolist()
    [1e-05, 1000.0]
    """
    return np.logspace(-6, 2, N_AUTO) * (largest if largest > 0 else 1.0)


def target_statistics(Y: Array, weights: npt.NDArray[np.float64], *, intercept: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the targets' weighted means and which of them are constant, or refuse targets that are not finite.

    Without an intercept the means are zero and only targets that are zero throughout count as constant.
    """
    mean, constant, bad = np.zeros(Y.shape[1]), np.zeros(Y.shape[1], dtype=bool), []
    used = weights > 0
    for cols in kernels.blocks(Y.shape[1], 1024):
        block = np.asarray(Y[:, cols])
        finite = np.isfinite(block).all(axis=0)
        bad.extend((np.flatnonzero(~finite) + cols.start).tolist())
        if bad:
            continue
        seen = block if used.all() else block[used]
        low, high = seen.min(axis=0), seen.max(axis=0)
        constant[cols] = (low == high) & (intercept | (high == 0))
        if intercept:
            mean[cols] = np.where(constant[cols], low, (weights / weights.sum()) @ block.astype(np.float64, copy=False))
    if bad:
        raise InputError(
            "Input Y contains NaN or infinity", where=f"columns {examples(bad)}", expected="finite targets",
            fix="fit complete targets only, or use score_layers, which groups targets by their missing rows",
        )  # fmt: skip
    return mean, constant


def _choose(setup: _Setup, cv: Splits | str | None) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each target's penalty and its inner score."""
    grid, n_targets = setup.alphas, setup.Y.shape[1]
    if cv is None:
        return np.full(n_targets, grid[0]), np.full(n_targets, np.nan)
    errors, base = _leave_one_out(setup, gcv=cv == "gcv") if isinstance(cv, str) else _cross_validate(setup, cv)
    errors = np.where(np.isnan(errors), np.inf, errors)
    best = len(grid) - 1 - np.argmin(errors[::-1], axis=0)  # from the largest penalty down: it wins ties
    best[setup.constant] = len(grid) - 1
    least = errors[best, np.arange(n_targets)]
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = 1.0 - least / base
    scores[setup.constant | ~np.isfinite(scores)] = np.nan
    return grid[best], scores


def _cross_validate(setup: _Setup, splits: Splits) -> tuple[Array, Array]:
    n_targets = setup.Y.shape[1]
    errors, base = np.zeros((len(setup.alphas), n_targets)), np.zeros(n_targets)
    for start in range(0, len(splits), max(setup.plan.group, 1)):
        folds = [kernels.make_fold(setup.design, train, test) for train, test in splits[start : start + setup.plan.group]]
        for cols in setup.plan.slices():
            T, ZtT = _load(setup, cols)
            for fold in folds:
                A, held = kernels.project_fold(setup.design, fold, T, ZtT)
                base[cols] += to_numpy(kernels.squares(held))
                errors[:, cols] += to_numpy(kernels.fold_errors(fold, A, held, setup.alphas))
        del folds
    return errors, base


def _leave_one_out(setup: _Setup, *, gcv: bool) -> tuple[Array, Array]:
    n_targets = setup.Y.shape[1]
    errors, base = np.zeros((len(setup.alphas), n_targets)), np.zeros(n_targets)
    loo = kernels.prepare_leave_one_out(setup.design, setup.factor, setup.alphas)
    # what remains of a row when the others' mean is taken off
    room = 1.0 - setup.root**2 / (setup.root**2).sum() if setup.design.intercept else np.ones(len(setup.root))
    if gcv:
        room = np.full(len(room), room[setup.root > 0].mean())
    others = torch.from_numpy(room.astype(setup.dtype)).to(setup.device)
    for cols in setup.plan.slices():
        T, ZtT = _load(setup, cols)
        base[cols] = to_numpy(kernels.squares(T, others))
        errors[:, cols] = to_numpy(kernels.leave_one_out_errors(loo, T, ZtT, setup.alphas, gcv=gcv))
    return errors, base


def _solve(setup: _Setup, alpha: npt.NDArray[np.float64], X: Array, X_test: Array | None, keep_weights: bool) -> tuple[Array | None, Array | None]:
    """Return the weights of all training rows at the chosen penalties, and predictions of new rows."""
    design, factor, n_targets = setup.design, setup.factor, setup.Y.shape[1]
    probe = None if X_test is None else _probe(setup, X, X_test)
    predictions = None if X_test is None else np.empty((len(X_test), n_targets), dtype=setup.dtype)
    weights = np.empty((len(factor.basis), n_targets), dtype=setup.dtype) if keep_weights else None
    for cols in setup.plan.slices():
        T, ZtT = _load(setup, cols)
        B = factor.basis.T @ (T if ZtT is None else ZtT)
        del T, ZtT
        penalty = torch.from_numpy(alpha[cols].astype(setup.dtype)).to(setup.device)
        B /= factor.values[:, None] + penalty
        if predictions is not None and probe is not None:
            predictions[:, cols] = to_numpy(probe @ B) + setup.y_mean[cols].astype(setup.dtype)
        if weights is not None:
            part = factor.basis @ B
            weights[:, cols] = to_numpy(part if design.form == "primal" else part * design.root[:, None])
    return weights, predictions


def _probe(setup: _Setup, X: Array, X_test: Array) -> torch.Tensor:
    """Return new rows in the coordinates of the spectrum, (n_test, r)."""
    design, dtype, device = setup.design, setup.dtype, setup.device
    if design.form == "primal":
        return kernels.scaled(X_test, design.mean, None, dtype, device) @ setup.factor.basis
    cross = torch.zeros(len(X_test), len(X), dtype=design.root.dtype, device=device)
    for cols in kernels.blocks(X.shape[1]):
        z = kernels.scaled(X[:, cols], design.mean[cols], setup.root, dtype, device)
        cross.addmm_(kernels.scaled(X_test[:, cols], design.mean[cols], None, dtype, device), z.T)
    return cross @ setup.factor.basis


def _load(setup: _Setup, cols: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return a chunk of centred, scaled targets and, in primal form, its projection on the features."""
    block, mean = setup.Y[:, cols], setup.y_mean[cols]
    if np.dtype(block.dtype).itemsize > setup.dtype.itemsize or block.dtype.kind != "f":
        # take the mean off before rounding: a large mean would otherwise eat the digits
        T = to_tensor(np.asarray(block, dtype=np.float64) - mean, setup.dtype, setup.device)
    else:
        T = to_tensor(block, setup.dtype, setup.device)
        T -= torch.from_numpy(mean.astype(setup.dtype)).to(setup.device)
    if np.any(setup.root != 1):
        T *= setup.design.root[:, None]
    if setup.constant[cols].any():
        T[:, torch.from_numpy(setup.constant[cols]).to(setup.device)] = 0.0
    z = setup.design.z
    return T, None if z is None else z.T @ T


def _plan(
    X: Array, Y: Array, cv: Splits | str | None, *,
    form: str, dtype: np.dtype[Any], n_alphas: int, memory: str | int | float | None, n_test: int,
) -> ChunkPlan:  # fmt: skip
    """Count the bytes that the fit takes beside X, Y and its result."""
    (n, p), n_targets, b = X.shape, Y.shape[1], dtype.itemsize
    m = p if form == "primal" else n
    width = min(p, kernels.FEATURE_BLOCK)
    fixed = b * (n * p if form == "primal" else 2 * n * width) + 7 * b * m * m + 8 * (n_alphas + 4) * n_targets
    fixed += b * n_test * ((p if form == "primal" else n + width) + m)
    wide = 8 if Y.dtype.itemsize > b or Y.dtype.kind != "f" else 0
    per_column = n * (2 * b + wide) + 3 * b * m + (b * m if form == "primal" else 0) + b * n_test + 8 * n_alphas
    per_group, n_groups = 0, 0
    if isinstance(cv, str):
        fixed += n * m * (2 * b + 8) + 8 * n * n_alphas
        per_column += n * b + 2 * b * m + 256 * (b + 8) + 40 * n_alphas
    elif cv is not None:
        n_train, n_held = max(len(train) for train, _ in cv), max(len(test) for _, test in cv)
        side = p if form == "primal" else n_train
        per_group, n_groups = b * side * (side + n_held) + 8 * (n_train + 2 * n_held), len(cv)
        fixed += b * n_held * (2 * p if form == "primal" else n)
        per_column += b * (n_train + 4 * n_held) + 256 * (b + 8) + 16 * n_alphas
    fixed, per_column, per_group = (int(_HEAP * part) for part in (fixed, per_column, per_group))
    return plan_chunks(memory, n_targets, fixed=fixed, per_column=per_column, per_group=per_group, n_groups=n_groups)
