"""Search of band weights: every set of weights that is tried serves all targets, and each target keeps its best by held-out error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg import banded as kernels
from brainenc.linalg.device import to_numpy, to_tensor
from brainenc.linalg.plan import ChunkPlan, plan_chunks

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Splits = Sequence[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]
RELATIVE = np.logspace(-6, 2, 17)
_HEAP = 1.15
_ROWS = -1  # key under which the rows that are left out are kept
_SLACK = 0.02  # of the error of the mean: how near to a target's best its expected error has to be for a look at the exact one, at most
_LEAST_SLACK = 0.002
_FADE = 0.8  # of the slack that is left when an expectation was right
_SCREENED = 200  # targets; for fewer the decomposition is what takes the time, and all are looked at
_SHIFT, _STRIDE = 3, 3  # steps of the grid
Evaluate = Callable[[int, npt.NDArray[np.intp]], None]


class Proposal(NamedTuple):
    """What a search is told: the weights tried (m, n_bands) and, for each, the targets' held-out errors relative to that of the mean."""

    tried: Floats
    errors: npt.NDArray[np.float32]  # (m, n_targets); NaN for constant targets


class Search(Protocol):
    """What proposes weights."""

    def __call__(self, past: Proposal) -> Floats | None:
        """Return the next weights (n_bands,), or None to stop."""

    def worth(self, past: Proposal, weights: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Return which targets are to be tried with these weights, and the relative errors expected of the others."""


class BandedFit(NamedTuple):
    """What `banded_fit` returns, numpy arrays."""

    candidates: Floats  # (n_tried, n_bands)
    choice: npt.NDArray[np.intp]  # (n_targets,) row of candidates
    alpha: Floats  # (n_targets,)
    edge: npt.NDArray[np.int8]  # (n_targets,) -1 and 1 at the ends of the grid
    cv_scores: Floats  # (n_targets,)
    base: Floats  # (n_targets,) held-out squared error of the training means
    history: npt.NDArray[np.float32]  # (n_tried, n_targets) held-out error / that of the mean
    weights: Array  # (p, n_targets) in primal form, (n, n_targets) in kernel form
    plan: ChunkPlan


class Targets(NamedTuple):
    """Targets with what is needed to load a chunk of them, centred and scaled."""

    Y: Array
    columns: npt.NDArray[np.intp]  # of Y; the others below are one entry a column
    mean: Floats
    constant: npt.NDArray[np.bool_]
    missing: bool  # rows of weight zero hold NaN


def banded_fit(
    design: kernels.BandDesign, targets: Targets, *,
    alphas: Floats | None, cv: Splits | str | None, search: Search, full: bool = False, memory: str | int | float | None = None,
) -> BandedFit:  # fmt: skip
    """Try the band weights that ``search`` proposes until it returns None; keep each target's weights and penalty of least held-out error.

    For each set of weights generalised cross-validation is computed for all targets and penalties, which is cheap. Times the ratio of
    held-out error to it at a target's best so far, it tells which targets can gain: those within a slack of their best, twice what
    such expectations were off lately, at most 2 % of the variance. For them
    the exact held-out error is computed at the penalty that generalised cross-validation prefers, moved by the steps that it was off
    last time, and downhill from there. Targets for which it was seen to mislead are not screened, see `_screened`. A search that can tell
    beforehand which targets its weights may serve spares the others even that. So a choice never rests
    on anything but held-out error; where there was none, ``history`` holds the estimate, or the target's best if that is larger.

    Parameters
    ----------
    design : BandDesign
        Of the training rows.
    targets : Targets
    alphas : ndarray or None
        Positive penalties, ascending; None: 17 from 1e-6 to 1e2 times the largest eigenvalue of each weighted Gram matrix.
    cv : list of (train, test) row indices, "loo", "gcv" or None
        None needs one penalty and one proposal.
    search : callable
        Takes a `Proposal`, returns the next weights (n_bands,) or None. With 200 targets and more its ``worth(past, weights)`` is asked which
        targets are to be tried (n_targets,), and the relative errors expected of the others.
    full : bool
        Take the held-out error of every penalty for every target, rather than go downhill from the one of generalised cross-validation.
    memory : str, int, float or None
        Working memory beside what is given and returned.
    """
    n, n_targets, b = len(design.root), len(targets.columns), design.root.element_size()
    plan = _plan(design, targets, cv, memory)
    m = n if design.form == "kernel" else len(design.mean)
    state = _State(
        np.full(n_targets, np.inf), np.full(n_targets, np.nan), np.zeros(n_targets, np.intp), np.zeros(n_targets, np.intp), np.zeros(n_targets, np.intp),
        np.zeros(n_targets, dtype=bool), np.ones(n_targets), np.full(n_targets, _SLACK), np.zeros((m, n_targets), dtype=np.float32 if b == 4 else np.float64),
    )  # fmt: skip
    folds = None if cv is None or isinstance(cv, str) else kernels.held_out_rows(cv, n, design.root.device)
    base = _base(design, targets, plan, cv, folds)
    tried: list[Floats] = []
    history: list[npt.NDArray[np.float32]] = []
    while True:
        past = Proposal(np.array(tried).reshape(len(tried), len(design.bands)), np.array(history).reshape(len(history), n_targets))
        weights = search(past)
        if weights is None:
            break
        one = kernels.weigh(design, weights)
        grid = RELATIVE * _largest(one) if alphas is None else alphas
        job = _Job(design, targets, one, grid, cv, folds, full or len(grid) == 1, {})
        errors = np.empty(n_targets)
        for cols in plan.slices():
            mine, expected = _worth(search, past, weights, cols, job.full)
            errors[cols] = expected * base[cols]
            index = np.arange(cols.start, cols.stop)[mine]
            errors[index] = _try(job, state, index, base[index], len(tried))
        tried.append(weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            history.append(np.where(targets.constant | ~(base > 0), np.nan, errors / base).astype(np.float32))
    return _wrap(state, targets, base, np.array(tried), np.array(history), plan, cv, len(RELATIVE if alphas is None else alphas))


class _State(NamedTuple):
    """Each target's best so far; filled in place."""

    error: Floats
    alpha: Floats
    choice: npt.NDArray[np.intp]
    step: npt.NDArray[np.intp]
    shift: npt.NDArray[np.intp]  # steps from the penalty of generalised cross-validation to that of held-out error
    trusted: npt.NDArray[np.bool_]  # whether generalised cross-validation was right
    ratio: Floats  # held-out error over generalised cross-validation, at the best
    slack: Floats  # share of the error of the mean by which expectations were off lately, twice
    weights: Array


class _Job(NamedTuple):
    """One weighting to be tried."""

    design: kernels.BandDesign
    targets: Targets
    one: kernels.Weighting
    alphas: Floats
    cv: Splits | str | None
    folds: list[kernels.HeldOut] | None
    full: bool
    memo: dict[int, Any]


def load(design: kernels.BandDesign, targets: Targets, cols: slice | npt.NDArray[np.intp]) -> torch.Tensor:
    """Return some centred, scaled targets; constant ones are zero."""
    columns, dtype = targets.columns[cols], np.dtype(np.float32 if design.root.dtype == torch.float32 else np.float64)
    together = bool(len(columns)) and columns[-1] - columns[0] == len(columns) - 1
    block, mean = targets.Y[:, slice(columns[0], columns[-1] + 1) if together else columns], targets.mean[cols]
    # take the mean off before rounding: a large mean would otherwise eat the digits
    wide = block.dtype.itemsize > dtype.itemsize or block.dtype.kind != "f"
    T = to_tensor(np.asarray(block, dtype=np.float64) - mean if wide else block, dtype, design.root.device)
    if not wide:
        T -= torch.from_numpy(mean.astype(dtype)).to(T.device)
    if targets.missing:
        T[design.root == 0] = 0.0
    T *= design.root[:, None]
    if targets.constant[cols].any():
        T[:, torch.from_numpy(targets.constant[cols]).to(T.device)] = 0.0
    return T


def held_out_residuals(job: _Job, T: torch.Tensor, A: torch.Tensor, step: int) -> list[torch.Tensor]:
    """Return the held-out errors (n_test, n_targets) of each fold at one penalty; the job keeps what does not depend on the targets."""
    memo = job.memo
    if step not in memo:
        s = kernels.shrinkage(job.one, torch.tensor([job.alphas[step]], dtype=torch.float64, device=T.device))[0]
        if job.folds is not None:
            if _ROWS not in memo:
                memo[_ROWS] = [job.one.u[fold.left_out].double() for fold in job.folds]
            memo[step] = s, kernels.solvers(memo[_ROWS], s, job.folds, T.dtype)
        else:
            memo[step] = s, kernels.row_room(job.one, s, gcv=job.cv == "gcv").to(T.dtype)
    s, ready = memo[step]
    rest = kernels.residuals(job.one, T, A, s)
    if job.folds is None:
        return [rest / ready[:, None]]
    return [kernels.fold_residuals(rest, solver, fold) for solver, fold in zip(ready, job.folds, strict=True)]


def make_job(design: kernels.BandDesign, targets: Targets, one: kernels.Weighting, alphas: Floats, cv: Splits | str) -> _Job:
    """Return what `held_out_residuals` needs for one weighting."""
    folds = None if isinstance(cv, str) else kernels.held_out_rows(cv, len(design.root), design.root.device)
    return _Job(design, targets, one, alphas, cv, folds, True, {})


def _worth(search: Search, past: Proposal, weights: Floats, cols: slice, everyone: bool) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Return which targets of a chunk these weights may serve, and what is expected of them for the others."""
    if everyone or past.errors.shape[1] < _SCREENED:
        return np.ones(cols.stop - cols.start, dtype=bool), np.zeros(cols.stop - cols.start)
    return search.worth(past._replace(errors=past.errors[:, cols]), weights)


def _try(job: _Job, state: _State, cols: npt.NDArray[np.intp], base: Floats, number: int) -> Floats:
    """Try one weighting on some targets, keep what is better, return the least error found for each."""
    if not len(cols):
        return np.empty(0)
    T = load(job.design, job.targets, cols)
    A = job.one.u.T @ T
    n_columns = T.shape[1]
    if job.cv is None:
        step, least = np.zeros(n_columns, dtype=np.intp), np.zeros(n_columns)
    else:
        step, least = _penalties(job, T, A, state, cols, base)
    better = np.flatnonzero(least < state.error[cols])
    where = cols[better]
    alpha = job.alphas[step[better]]
    state.error[where], state.alpha[where], state.choice[where], state.step[where] = least[better], alpha, number, step[better]
    if len(better):
        part = A if len(better) == n_columns else A[:, torch.from_numpy(better).to(A.device)]
        state.weights[:, where] = to_numpy(kernels.final_weights(job.design, job.one, part, torch.from_numpy(alpha).to(A.device, A.dtype)))
    return least


def _penalties(job: _Job, T: torch.Tensor, A: torch.Tensor, state: _State, cols: npt.NDArray[np.intp], base: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the place in the grid of each target's least held-out error, the larger penalty of two equal ones, and that error."""
    n_alphas, n_columns = len(job.alphas), T.shape[1]
    errors = np.full((n_alphas, n_columns), np.inf)
    known = np.zeros((n_alphas, n_columns), dtype=bool)

    def evaluate(step: int, columns: npt.NDArray[np.intp]) -> None:
        here = torch.from_numpy(columns).to(T.device)
        mine = (T, A) if len(columns) == n_columns else (T[:, here], A[:, here])
        found = sum(kernels.squares(part) for part in held_out_residuals(job, *mine, step))
        errors[step, columns] = np.nan_to_num(to_numpy(found), nan=np.inf)  # type: ignore[arg-type]
        known[step, columns] = True

    if job.full:
        for i in range(n_alphas):
            evaluate(i, np.arange(n_columns))
    else:
        return _screened(job, T, A, state, cols, base, errors, known, evaluate)
    best = _best(errors)
    return best, errors[best, np.arange(n_columns)]


def _screened(
    job: _Job, T: torch.Tensor, A: torch.Tensor, state: _State, cols: npt.NDArray[np.intp], base: Floats, errors: Floats,
    known: npt.NDArray[np.bool_], evaluate: Evaluate,
) -> tuple[npt.NDArray[np.intp], Floats]:  # fmt: skip
    """Return places and errors as `_penalties`, with a look at held-out errors only where generalised cross-validation leaves hope.

    Where it was seen to mislead (a penalty, or a gain, off by more than 2 % of the variance: noise that is not independent between rows,
    more features than rows), it is not trusted: every third penalty is looked at, then downhill.
    """
    n_alphas, n_columns = errors.shape
    grid = torch.from_numpy(np.asarray(job.alphas)).to(T.device)
    scan = kernels.gcv(A, kernels.squares(T), kernels.shrinkage(job.one, grid), int((job.design.root > 0).sum())).min(0)
    guess, least = to_numpy(scan.indices), to_numpy(scan.values)
    trusted, slack, columns = state.trusted[cols], _SLACK * base, np.arange(n_columns)
    expected = least * state.ratio[cols]
    hopeful = ~trusted | ~(expected > state.error[cols] + state.slack[cols] * base) | (len(state.error) < _SCREENED)
    wanted = np.zeros_like(known)
    wanted[:: max(1, min(_STRIDE, n_alphas - 1))] = ~trusted
    wanted[guess, columns] |= ~trusted
    start = np.clip(guess + state.shift[cols], 0, n_alphas - 1)
    wanted[start, columns] |= trusted & hopeful
    for i in np.flatnonzero(wanted.any(axis=1)):
        evaluate(int(i), np.flatnonzero(wanted[i]))
    _downhill(errors, known, hopeful, evaluate)
    best = _best(errors)
    found = errors[best, columns]
    better = found < state.error[cols]
    with np.errstate(invalid="ignore"):
        misled = hopeful & (known[guess, columns] & (errors[guess, columns] > found + slack))
        misled |= hopeful & trusted & (np.abs(found - expected) > slack)
    with np.errstate(invalid="ignore", divide="ignore"):
        surprise = np.nan_to_num(2.0 * np.abs(found - expected) / base, nan=_SLACK, posinf=_SLACK)
    renewed = np.clip(np.maximum(surprise, _FADE * state.slack[cols]), _LEAST_SLACK, _SLACK)
    state.slack[cols] = np.where(hopeful & trusted, renewed, state.slack[cols])
    state.trusted[cols] = ~misled & (trusted | hopeful)
    state.shift[cols] = np.where(hopeful, np.clip(best - guess, -_SHIFT, _SHIFT), state.shift[cols])
    state.ratio[cols] = np.where(better, found / np.maximum(least, np.finfo(float).tiny), state.ratio[cols])
    return best, np.where(hopeful, found, np.maximum(expected, state.error[cols]))


def _downhill(errors: Floats, known: npt.NDArray[np.bool_], near: npt.NDArray[np.bool_], evaluate: Evaluate) -> None:
    """Evaluate neighbours in the grid until each target's least error has a known neighbour on either side."""
    n_alphas = len(errors)
    while True:
        best, wanted = _best(errors), np.zeros_like(known)
        columns = np.flatnonzero(near)
        for side in (-1, 1):
            place = best[columns] + side
            inside = (place >= 0) & (place < n_alphas)
            wanted[place[inside], columns[inside]] = True
        wanted &= ~known
        if not wanted.any():
            return
        for i in np.flatnonzero(wanted.any(axis=1)):
            evaluate(int(i), np.flatnonzero(wanted[i]))


def _best(errors: Floats) -> npt.NDArray[np.intp]:
    return len(errors) - 1 - np.argmin(errors[::-1], axis=0)


def _base(design: kernels.BandDesign, targets: Targets, plan: ChunkPlan, cv: Splits | str | None, folds: list[kernels.HeldOut] | None) -> Floats:
    """Return the held-out error of the training means: that of a model without features."""
    out = np.full(len(targets.columns), np.nan)
    if cv is None:
        return out
    empty = torch.zeros(0, dtype=design.root.dtype, device=design.root.device)
    u = (design.root / design.root.norm())[:, None] if design.intercept else torch.zeros(len(design.root), 0, dtype=empty.dtype, device=empty.device)
    job = _Job(design, targets, kernels.Weighting(np.zeros(len(design.bands)), empty, u, None), np.ones(1), cv, folds, True, {})
    for cols in plan.slices():
        T = load(design, targets, cols)
        out[cols] = to_numpy(sum(kernels.squares(part) for part in held_out_residuals(job, T, u.T @ T, 0)))  # type: ignore[arg-type]
    return out


def _largest(one: kernels.Weighting) -> float:
    return float(one.values[0]) if len(one.values) else 1.0


def _wrap(
    state: _State, targets: Targets, base: Floats, tried: Floats, history: npt.NDArray[np.float32], plan: ChunkPlan, cv: Any, n_alphas: int
) -> BandedFit:  # fmt: skip
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.full(len(base), np.nan) if cv is None else 1.0 - state.error / base
    scores[targets.constant | ~np.isfinite(scores)] = np.nan
    state.weights[:, targets.constant] = 0.0
    edge = np.where(state.step == 0, -1, np.where(state.step == n_alphas - 1, 1, 0)) if n_alphas > 1 else np.zeros(len(base))
    return BandedFit(tried, state.choice, state.alpha, edge.astype(np.int8), scores, base, history, state.weights, plan)


def _plan(design: kernels.BandDesign, targets: Targets, cv: Splits | str | None, memory: str | int | float | None) -> ChunkPlan:
    """Count the bytes that the search takes beside the features, the targets and the result."""
    n, b = len(design.root), design.root.element_size()
    p = len(design.mean)
    m = n if design.form == "kernel" else p
    held = max((n - len(train) for train, _ in cv), default=1) if not isinstance(cv, str | None) else 1
    folds = 1 if isinstance(cv, str | None) else len(cv)
    fixed = b * (len(design.bands) * n * n if design.form == "kernel" else n * p + p * p) + 7 * b * m * m + 2 * b * n * m
    # what solves each fold at each penalty, and the rows that are left out, in float64
    fixed += len(RELATIVE) * folds * b * held * min(held, 2 * m) + 8 * folds * held * min(n, m + 1) + 24 * held * held
    per_column = b * (2 * n + 2 * m + 3 * n + m) + 16 * 40 + (8 * n if targets.Y.dtype.itemsize > b else 0)
    return plan_chunks(memory, len(targets.columns), fixed=int(_HEAP * fixed), per_column=int(_HEAP * per_column))
