"""Which penalty: held-out errors of the whole grid, closed forms, or a scan whose neighbours are verified by folds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg import ridge_folds as folds
from brainenc.linalg import ridge_kernels as kernels
from brainenc.linalg import ridge_loo as closed
from brainenc.linalg.device import to_numpy
from brainenc.linalg.ridge_setup import Floats, Index, Setup, Splits, load, project

Mask = npt.NDArray[np.bool_]
SMALLEST_HYBRID = 64  # fewer targets are searched in full
_SHORTEST_GRID = 6
_AGREED = 0.98
_DENSE = 0.75  # a range of columns is taken whole where at least this share of it is wanted
_FLAT = 1e-5  # relative differences of a scan below this are no maxima or minima


class Choice(NamedTuple):
    """Each target's penalty, its inner score, how many penalties were tried on held-out rows, and how the search went."""

    alpha: Floats
    scores: Floats
    n_tried: npt.NDArray[np.int64]
    search: str


class Errors(NamedTuple):
    """Held-out squared errors, (n_alphas, n_targets); NaN where a penalty was not tried."""

    total: Floats
    base: Floats  # (n_targets,) of the training mean
    spread: Floats | None  # sum over folds of each fold's squared mean error, for the standard error


def choose(setup: Setup, cv: Splits | str | None, *, search: str = "full", conservative: bool = False) -> Choice:
    """Return each target's penalty and its inner score: least held-out squared error, the larger penalty of two equal ones.

    ``conservative``: the largest penalty whose mean error is within one standard error, over folds, of the least one.
    """
    grid, n_targets = setup.alphas, len(setup.y_mean)
    if cv is None:
        return Choice(np.full(n_targets, grid[0]), np.full(n_targets, np.nan), np.zeros(n_targets, dtype=np.int64), "none")
    tried = np.full(n_targets, len(grid))
    if isinstance(cv, str):
        errors, how = _leave_one_out(setup, gcv=cv == "gcv"), "closed form"
        if cv == "gcv":
            tried[:] = 0
    elif search == "hybrid" and len(grid) >= _SHORTEST_GRID and n_targets >= SMALLEST_HYBRID:
        errors, tried, how = _hybrid(setup, cv, conservative)
    else:
        errors, how = _cross_validate(setup, cv, conservative), "full"
    best = _best(errors, cv, conservative)
    best[setup.constant] = len(grid) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = 1.0 - errors.total[best, np.arange(n_targets)] / errors.base
    scores[setup.constant | ~np.isfinite(scores)] = np.nan
    return Choice(grid[best], scores, tried, how)


def _best(errors: Errors, cv: Splits | str, conservative: bool) -> Index:
    total = np.where(np.isnan(errors.total), np.inf, errors.total)
    best = len(total) - 1 - np.argmin(total[::-1], axis=0)  # from the largest penalty down: it wins ties
    if conservative and errors.spread is not None:
        within = total <= _limit(errors, best, cv)
        best = np.maximum(best, len(total) - 1 - np.argmax(within[::-1], axis=0))
    return best


def _limit(errors: Errors, best: Index, cv: Splits | str) -> Floats:
    """Return the least error plus one standard error of the mean over folds, in units of the sum over rows."""
    assert errors.spread is not None and not isinstance(cv, str)
    here, sizes = np.arange(len(best)), np.array([len(test) for _, test in cv], dtype=float)
    n, k = sizes.sum(), len(sizes)
    least = errors.total[best, here]
    # sum_f w_f (m_f - m)^2 = sum_f w_f m_f^2 - m^2 with m_f a fold's mean error and w_f its share of the rows
    variance = np.maximum(errors.spread[best, here] / n - (least / n) ** 2, 0.0) / max(k - 1, 1)
    return np.asarray(least + n * np.sqrt(variance))


def _cross_validate(setup: Setup, splits: Splits, conservative: bool) -> Errors:
    errors = _nothing(setup, conservative, fill=0.0)
    for group in _fold_groups(setup, splits):
        nodes = [folds.find_nodes(fold.factor.values, setup.alphas) for fold in group]
        for cols in setup.plan.slices():
            T, ZtT = load(setup, cols)
            for fold, some in zip(group, nodes, strict=True):
                held = folds.hold_out(setup.design, fold, T, ZtT, len(setup.alphas) if some is None else len(some.which))
                found = to_numpy(folds.held_out_errors(held, setup.alphas, some))
                errors.base[cols] += to_numpy(held.base)
                errors.total[:, cols] += found
                if errors.spread is not None:
                    errors.spread[:, cols] += found**2 / len(fold.test)
    return errors


def _leave_one_out(setup: Setup, *, gcv: bool) -> Errors:
    errors = _nothing(setup, conservative=False, fill=0.0)
    loo = closed.prepare_leave_one_out(setup.design, setup.factor, setup.alphas)
    # what remains of a row when the others' mean is taken off
    room = 1.0 - setup.root**2 / (setup.root**2).sum() if setup.design.intercept else np.ones(len(setup.root))
    if gcv:
        room = np.full(len(room), room[setup.root > 0].mean())
    others = torch.from_numpy(room.astype(setup.dtype)).to(setup.device)
    for cols in setup.plan.slices():
        loaded = load(setup, cols)
        B = project(setup, cols, loaded)
        errors.base[cols] = to_numpy(kernels.squares(loaded[0], others))
        errors.total[:, cols] = to_numpy(closed.leave_one_out_errors(loo, loaded[0], B, setup.alphas, gcv=gcv))
    return errors


def _hybrid(setup: Setup, splits: Splits, conservative: bool) -> tuple[Errors, npt.NDArray[np.int64], str]:
    """Scan with GCV, then climb on held-out errors from every minimum of the scan.

    A penalty is settled when both its neighbours have been tried and neither is better. Evenly spaced targets are searched in full as
    well; where fewer than 98 % of them settle within one step of their best penalty, everybody is searched in full.
    """
    grid, n_targets = len(setup.alphas), len(setup.y_mean)
    starts = _scan(setup)
    errors = _nothing(setup, conservative, fill=np.nan)
    checked = np.linspace(0, n_targets - 1, min(n_targets, max(32, min(n_targets // 50, 256)))).astype(int)
    everything = np.zeros_like(starts)
    everything[:, checked] = True
    kept: list[folds.Fold] = []
    _evaluate(setup, splits, errors, everything, kept)
    settled = _settle(errors, splits, starts[:, checked], checked, conservative)
    whole = _best(_some(errors, checked), splits, conservative)
    agreed = float((np.abs(settled[1] - whole) <= 1).mean())
    if agreed < _AGREED:
        _evaluate(setup, splits, errors, np.isnan(errors.total), kept)
        return errors, np.full(n_targets, grid), f"full ({agreed:.0%} of {len(checked)} targets agreed with the scan)"
    # checked targets are treated like the others, so that a target's penalty does not depend on who is checked
    errors.total[:, checked] = np.where(settled[0], errors.total[:, checked], np.nan)
    todo = starts
    todo[:, checked] = False
    while todo.any():
        _evaluate(setup, splits, errors, todo, kept)
        todo = _neighbours(errors, splits, conservative) & np.isnan(errors.total)
    tried = (~np.isnan(errors.total)).sum(axis=0)
    tried[checked] = grid
    return errors, tried, f"hybrid ({agreed:.0%} of {len(checked)} targets searched in full agree within a step)"


def _scan(setup: Setup) -> Mask:
    """Return the minima of each target's GCV curve and their neighbours."""
    wanted = np.zeros((len(setup.alphas), len(setup.y_mean)), dtype=bool)
    for cols in setup.plan.slices():
        loaded = load(setup, cols)
        B = project(setup, cols, loaded)
        curves = to_numpy(closed.gcv_curves(setup.design, setup.factor, loaded[0], B, setup.alphas))
        wanted[:, cols] = _widened(_minima(curves))
    return wanted


def _minima(curves: Floats) -> Mask:
    """Return the local minima down each column, the largest penalty of a flat one; differences below `_FLAT` count as none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.log(np.where(np.isnan(curves), np.inf, curves))
    step = np.round(np.nan_to_num(np.diff(level, axis=0), nan=0.0, posinf=1.0, neginf=-1.0) / _FLAT)
    found, falling = np.zeros(curves.shape, dtype=bool), np.ones(curves.shape[1], dtype=bool)
    for i in range(len(curves)):
        if i:
            falling = np.where(step[i - 1] < 0, True, np.where(step[i - 1] > 0, False, falling))
        found[i] = falling & ((step[i] > 0) if i < len(step) else True)
    return found


def _widened(mask: Mask) -> Mask:
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    return out


def _neighbours(errors: Errors, splits: Splits, conservative: bool) -> Mask:
    """Return the best penalty tried so far and its neighbours; in a conservative search also those of the choice."""
    wanted = np.zeros((len(errors.total), len(errors.base)), dtype=bool)
    here = np.arange(len(errors.base))
    wanted[_best(errors, splits, False), here] = True
    if conservative:
        wanted[_best(errors, splits, True), here] = True
    return _widened(wanted)


def _settle(errors: Errors, splits: Splits, starts: Mask, columns: Index, conservative: bool) -> tuple[Mask, Index]:
    """Return what a climb on fully known errors would have tried, and where it would have ended."""
    known = _some(errors, columns)
    tried = starts
    while True:
        partly = known._replace(total=np.where(tried, known.total, np.nan))
        more = tried | _neighbours(partly, splits, conservative)
        if (more == tried).all():
            return tried, _best(partly, splits, conservative)
        tried = more


def _some(errors: Errors, columns: Index) -> Errors:
    return Errors(errors.total[:, columns], errors.base[columns], None if errors.spread is None else errors.spread[:, columns])


def _evaluate(setup: Setup, splits: Splits, errors: Errors, todo: Mask, kept: list[folds.Fold]) -> None:
    """Fill in the held-out errors of the wanted penalties of the wanted targets, exactly."""
    columns = np.flatnonzero(todo.any(axis=0))
    # neighbours in the grid side by side, so that most products take a range of columns
    columns = columns[np.argsort(np.argmax(todo[:, columns], axis=0), kind="stable")]
    fresh = columns[np.isnan(errors.total[:, columns]).all(axis=0)]
    errors.base[fresh] = 0.0
    errors.total[todo] = 0.0
    if errors.spread is not None:
        errors.spread[todo] = 0.0
    is_fresh = np.isin(np.arange(todo.shape[1]), fresh)
    for group in _fold_groups(setup, splits, kept):
        for start in range(0, len(columns), setup.plan.chunk):
            cols = columns[start : start + setup.plan.chunk]
            wanted, first = todo[:, cols], is_fresh[cols]
            T, ZtT = load(setup, cols)
            for fold in group:
                held = folds.hold_out(setup.design, fold, T, ZtT, wanted.any(axis=1).sum())
                errors.base[cols[first]] += to_numpy(held.base)[first]
                for i in np.flatnonzero(wanted.any(axis=1)):
                    found = _errors_at(held, float(setup.alphas[i]), np.flatnonzero(wanted[i]))
                    found = np.where(np.isnan(found), np.inf, found)  # tried, and never chosen
                    errors.total[i, cols[wanted[i]]] += found
                    if errors.spread is not None:
                        errors.spread[i, cols[wanted[i]]] += found**2 / len(fold.test)


def _errors_at(held: folds.Held, alpha: float, picked: Index) -> Floats:
    low, high = int(picked[0]), int(picked[-1]) + 1
    if len(picked) >= _DENSE * (high - low):
        found: Floats = to_numpy(folds.errors_at(held, held.predictor(alpha), slice(low, high)))[picked - low]
        return found
    return to_numpy(folds.errors_at(held, held.predictor(alpha), torch.from_numpy(picked).to(held.source.device)))


def _fold_groups(setup: Setup, splits: Splits, kept: list[folds.Fold] | None = None) -> Iterator[list[folds.Fold]]:
    """Yield as many decompositions as there is room for; where all fit, ``kept`` holds them for the next time."""
    size = max(setup.plan.group, 1)
    for start in range(0, len(splits), size):
        if kept:
            yield kept
            continue
        group = [folds.make_fold(setup.design, train, test) for train, test in splits[start : start + size]]
        if kept is not None and len(group) == len(splits):
            kept.extend(group)
        yield group


def _nothing(setup: Setup, conservative: bool, *, fill: float) -> Errors:
    shape = (len(setup.alphas), len(setup.y_mean))
    return Errors(np.full(shape, fill), np.zeros(shape[1]), np.full(shape, fill) if conservative else None)
