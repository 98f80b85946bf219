"""Ridge regression for many targets at once: one decomposition per training set, a penalty per target, bounded memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import as_matrix
from brainenc.core.errors import InputError
from brainenc.linalg import ridge_kernels as kernels
from brainenc.linalg.device import resolve_device, to_numpy, working_dtype
from brainenc.linalg.plan import ChunkPlan
from brainenc.linalg.ridge_search import choose
from brainenc.linalg.ridge_setup import Array, Floats, Index, Setup, Shape, Splits, missing_patterns, plan_fit, project, target_statistics

N_AUTO = 17
MOST_PATTERNS = 1000


class RidgeFit(NamedTuple):
    """What `ridge_fit` returns; arrays are numpy, one entry or column per target."""

    alphas: npt.NDArray[np.float64]  # (n_alphas,) ascending
    alpha: npt.NDArray[np.float64]  # (n_targets,) the penalty chosen; NaN where a target has too few rows
    cv_scores: npt.NDArray[np.float64]  # (n_targets,) 1 - held-out error / held-out error of the training mean
    constant: npt.NDArray[np.bool_]  # (n_targets,)
    solver: str  # "primal" or "kernel"
    weights: Array | None  # (n_features, n_targets) in primal form, (n_samples, n_targets) in kernel form
    x_mean: npt.NDArray[np.float64]  # (n_features,)
    y_mean: npt.NDArray[np.float64]  # (n_targets,) prediction at x_mean
    predictions: Array | None  # (n_test, n_targets)
    plan: ChunkPlan
    decomposition: str  # the step of the retry ladder that succeeded
    n_tried: npt.NDArray[np.int64]  # (n_targets,) penalties tried on held-out rows
    search: str  # how the search went
    n_patterns: int  # sets of rows, one decomposition each
    n_unfit: int  # targets with too few rows


class _Options(NamedTuple):
    intercept: bool
    form: str
    dtype: np.dtype[Any]
    device: torch.device
    search: str
    conservative: bool
    plan: ChunkPlan
    resident: bool


class _Group(NamedTuple):
    """What all targets of a group have in common; also the grid and the mean of all rows."""

    alphas: Floats
    x_mean: Floats
    how: str
    search: str


class _Results(NamedTuple):
    """What the groups of targets write into."""

    alpha: Floats
    scores: Floats
    constant: npt.NDArray[np.bool_]
    y_mean: Floats
    n_tried: npt.NDArray[np.int64]
    weights: Array | None
    predictions: Array | None


def ridge_fit(
    X: Array, Y: Array, *,
    alphas: npt.NDArray[np.float64] | None, cv: Splits | str | None, sample_weight: npt.NDArray[np.float64] | None = None,
    fit_intercept: bool = True, solver: str = "auto", memory: str | int | float | None = None, device: str = "auto",
    X_test: Array | None = None, keep_weights: bool = True, search: str = "full", conservative: bool = False, out: Array | None = None,
) -> RidgeFit:  # fmt: skip
    """Fit ridge regressions of every column of ``Y`` on ``X``, each with the penalty that predicts held-out rows best.

    ``W = argmin sum_i s_i |y_i - b - x_i W|^2 + alpha_v |W|^2``, b unpenalised.

    Parameters
    ----------
    X : ndarray, (n_samples, n_features)
        Finite. float32 is computed in float32, anything else in float64. May be a memmap: it is read in blocks.
    Y : ndarray, (n_samples, n_targets)
        May be a memmap, read a chunk of columns at a time. NaN marks missing responses: targets that lack the same rows share one
        decomposition of the other rows.
    alphas : ndarray, (n_alphas,), or None
        Penalties, ascending; None: see `auto_alphas`.
    cv : list of (train, test) row indices, "loo", "gcv" or None
        How the penalty is chosen; None needs exactly one penalty. Missing rows leave their folds.
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
    search : {"full", "hybrid"}
        Every penalty on every fold, or a GCV scan verified by folds (see `Ridge`).
    conservative : bool
        The largest penalty within one standard error over folds.
    out : ndarray, optional
        Where predictions (if ``X_test`` is given) or else weights are written, for instance a memmap.

    Returns
    -------
    RidgeFit

    Raises
    ------
    InputError
        For targets that hold infinity, targets none of which has enough rows, or a memory budget that is too small.

    Notes
    -----
    The penalty of the least held-out squared error wins, and the larger one of two equal ones. Leave-one-out is exact.
    """
    X, Y = as_matrix(X, "X"), as_matrix(Y, "Y", n_rows=len(X))
    (n, p), n_targets = X.shape, Y.shape[1]
    form = solver if solver != "auto" else ("primal" if p <= n else "kernel")
    dtype, n_test = working_dtype(X), 0 if X_test is None else len(X_test)
    y_bytes = np.dtype(Y.dtype).itemsize if Y.dtype.kind == "f" else 8
    groups = missing_patterns(Y)
    if len(groups) > MOST_PATTERNS:
        raise InputError(
            "targets lack too many different sets of rows, each of which takes a decomposition", where="Y", expected=f"at most {MOST_PATTERNS}",
            got=len(groups), fix="fit some targets at a time, or leave incomplete rows out",
        )  # fmt: skip
    apart = len(groups) > 1 or groups[0][0] is not None
    gathers = apart or (search == "hybrid" and isinstance(cv, list | tuple))
    shape = Shape(n, p, n_targets, n_test, N_AUTO if alphas is None else len(alphas), y_bytes, dtype, form, gathers, conservative)
    plan, resident = plan_fit(shape, cv, memory)
    options = _Options(fit_intercept, form, dtype, resolve_device(device), search, conservative, plan, resident)
    weights = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    results = _results(options, n_targets, n if form == "kernel" else p, n_test, keep_weights, out)
    whole = _whole(X, weights, alphas, options) if apart else None
    fits = []
    for missing, columns in groups:
        kept, splits = _observed(weights, missing, cv)
        if kept is None:
            for array in (results.weights, results.predictions):
                if array is not None:
                    array[:, columns] = np.nan
        else:
            fits.append(_fit_group(X, Y, X_test, kept, splits, alphas, options, results, columns if apart else None, whole))
    if not fits:
        raise InputError("Input Y contains NaN, and no target has enough rows", where="Y", expected="two observed rows to train on and one to test")
    return RidgeFit(
        fits[0].alphas, results.alpha, results.scores, results.constant, form, results.weights, fits[0].x_mean if whole is None else whole.x_mean,
        results.y_mean, results.predictions, plan, max(fits, key=lambda fit: fit.how != "as given").how, results.n_tried,
        "; ".join(dict.fromkeys(fit.search for fit in fits)), len(groups), int(np.isnan(results.alpha).sum()),
    )  # fmt: skip


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


def _results(options: _Options, n_targets: int, n_weights: int, n_test: int, keep_weights: bool, out: Array | None) -> _Results:
    """Make room for the results."""
    nan, predicts = np.full(n_targets, np.nan), n_test > 0
    shape = (n_test if predicts else n_weights, n_targets)
    if out is not None and (out.shape != shape or out.dtype != options.dtype or not out.flags.writeable):
        raise InputError(
            "array to write into does not fit", where="out", expected=f"writeable {options.dtype} of shape {shape}",
            got=f"{'' if out.flags.writeable else 'read-only '}{out.dtype} of shape {out.shape}",
        )  # fmt: skip
    predictions = (out if out is not None else np.empty(shape, dtype=options.dtype)) if predicts else None
    weights = np.empty((n_weights, n_targets), dtype=options.dtype) if keep_weights and (predicts or out is None) else None
    weights = out if out is not None and not predicts else weights
    return _Results(nan, nan.copy(), np.zeros(n_targets, dtype=bool), nan.copy(), np.zeros(n_targets, dtype=np.int64), weights, predictions)


def _whole(X: Array, weights: Floats, alphas: Floats | None, options: _Options) -> _Group:
    """Return the grid and the mean of all rows, which groups of targets with missing rows share."""
    if alphas is not None:
        return _Group(alphas, kernels.weighted_mean(X, weights) if options.intercept else np.zeros(X.shape[1]), "as given", "")
    design = _design(X, weights, options)
    values = kernels.decompose(design.gram).values
    return _Group(auto_alphas(float(values[0]) if len(values) else 0.0), design.mean, "as given", "")


def _design(X: Array, weights: Floats, options: _Options) -> kernels.Design:
    return kernels.make_design(
        X, weights, intercept=options.intercept, form=options.form, dtype=options.dtype, device=options.device, resident=options.resident
    )


def _observed(weights: Floats, missing: npt.NDArray[np.bool_] | None, cv: Splits | str | None) -> tuple[Floats | None, Splits | str | None]:
    """Return the weights without missing rows, and the folds without them; None where too few rows are left."""
    if missing is None:
        return weights, cv
    kept = np.where(missing, 0.0, weights)
    if (kept > 0).sum() < 2:
        return None, cv
    if cv is None or isinstance(cv, str):
        return kept, cv
    splits = [(train[kept[train] > 0], test[kept[test] > 0]) for train, test in cv]
    splits = [(train, test) for train, test in splits if len(train) > 1 and len(test)]
    return (kept, splits) if splits else (None, cv)


def _fit_group(
    X: Array, Y: Array, X_test: Array | None, weights: Floats, cv: Splits | str | None, alphas: Floats | None, options: _Options,
    results: _Results, columns: Index | None, whole: _Group | None,
) -> _Group:  # fmt: skip
    """Fit the targets that were observed in the same rows and write them into the results."""
    n_targets = Y.shape[1] if columns is None else len(columns)
    plan = replace(options.plan, n_columns=n_targets)
    y_mean, constant = target_statistics(Y, weights, intercept=options.intercept, columns=columns)
    design = _design(X, weights, options)
    factor = kernels.decompose(design.gram)
    grid = whole.alphas if whole is not None else alphas
    if grid is None:
        grid = auto_alphas(float(factor.values[0]) if len(factor.values) else 0.0)
    # leave-one-out and a scan project the targets, and so do the weights: once is enough where there is room
    twice = isinstance(cv, str) or (cv is not None and options.search == "hybrid")
    room = plan.budget - plan.expected - factor.basis.shape[1] * n_targets * options.dtype.itemsize
    setup = Setup(
        design, factor, np.asarray(grid, dtype=np.float64), Y, columns, y_mean, constant, np.sqrt(weights), options.dtype, options.device, plan,
        {} if twice and room > 0 else None,
    )  # fmt: skip
    choice = choose(setup, cv, search=options.search, conservative=options.conservative)
    where = slice(None) if columns is None else columns
    results.alpha[where], results.scores[where], results.n_tried[where] = choice.alpha, choice.scores, choice.n_tried
    results.constant[where], results.y_mean[where] = constant, y_mean
    _solve(setup, choice.alpha, X, X_test, results, None if whole is None else whole.x_mean - design.mean)
    return _Group(setup.alphas, design.mean, factor.how, choice.search)


def _solve(setup: Setup, alpha: Floats, X: Array, X_test: Array | None, results: _Results, shift: Floats | None) -> None:
    """Write the weights of all training rows at the chosen penalties, and predictions of new rows.

    ``shift``: from these rows' mean of the features to the one that weights are used with; the targets' means follow it.
    """
    design, factor = setup.design, setup.factor
    probe = None if results.predictions is None or X_test is None else _probe(setup, X, X_test)
    across = shift if shift is None or design.form == "primal" else _across(X, design.mean, shift)
    for cols in setup.plan.slices():
        where = cols if setup.columns is None else setup.columns[cols]
        penalty = torch.from_numpy(alpha[cols].astype(setup.dtype)).to(setup.device)
        B = project(setup, cols) / (factor.values[:, None] + penalty)
        if results.predictions is not None and probe is not None:
            results.predictions[:, where] = to_numpy(probe @ B) + setup.y_mean[cols].astype(setup.dtype)
        if results.weights is None:
            continue
        part = to_numpy(factor.basis @ B if design.form == "primal" else (factor.basis @ B).mul_(design.root[:, None]))
        results.weights[:, where] = part
        if across is not None:
            results.y_mean[where] += across @ part


def _across(X: Array, mean: Floats, shift: Floats) -> Floats:
    """Return ``(X - mean) shift`` in float64, a block of rows at a time."""
    parts = [(np.asarray(X[rows], dtype=np.float64) - mean) @ shift for rows in kernels.blocks(len(X), kernels.ROW_BLOCK)]
    return np.concatenate(parts)


def _probe(setup: Setup, X: Array, X_test: Array) -> torch.Tensor:
    """Return new rows in the coordinates of the spectrum, (n_test, r)."""
    design, dtype, device = setup.design, setup.dtype, setup.device
    if design.form == "primal":
        probe = torch.empty(len(X_test), setup.factor.basis.shape[1], dtype=design.root.dtype, device=device)
        for rows in kernels.blocks(len(X_test), kernels.ROW_BLOCK):
            torch.mm(kernels.scaled(X_test[rows], design.mean, None, dtype, device), setup.factor.basis, out=probe[rows])
        return probe
    cross = torch.zeros(len(X_test), len(X), dtype=design.root.dtype, device=device)
    for cols in kernels.blocks(X.shape[1]):
        z = kernels.scaled(X[:, cols], design.mean[cols], setup.root, dtype, device)
        cross.addmm_(kernels.scaled(X_test[:, cols], design.mean[cols], None, dtype, device), z.T)
    return cross @ setup.factor.basis
