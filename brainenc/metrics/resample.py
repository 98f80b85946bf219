"""Permutations and bootstraps: the only place of the package that draws them.

What is exchangeable is said by *units*: one label a row. Rows of one unit stay together and in order, so that units of single
rows give ordinary permutations, units of consecutive scans give block permutations, and units of repeats keep an image whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.core.rng import generator
from brainenc.metrics._columns import centred, column_chunks, paired
from brainenc.metrics._null import correlations, moves_of, norm

Floats = npt.NDArray[np.float64]
TIE = 1e-12


def blocks_of(n_rows: int, length: int, *, groups: npt.ArrayLike | None = None) -> npt.NDArray[np.intp]:
    """Return unit labels that cut consecutive rows into blocks of at least ``length`` rows, never across a change of ``groups``.

    Parameters
    ----------
    n_rows : int
    length : int
        Rows in a block; a group is cut into as many blocks of nearly equal length as fit.
    groups : array_like of shape (n_rows,), optional
        Runs or folds; a block ends where the label changes.

    Examples
    --------
    >>> blocks_of(7, 3)
    array([0, 0, 0, 0, 1, 1, 1])
    """
    if length < 1:
        raise InputError("a block holds at least one row", where="blocks_of", got=length)
    labels = np.zeros(n_rows, dtype=np.intp) if groups is None else pd.factorize(np.asarray(groups))[0]
    edges = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1], True])
    out = np.empty(n_rows, dtype=np.intp)
    block = 0
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        for rows in np.array_split(np.arange(start, stop), max(1, (stop - start) // length)):
            out[rows] = block
            block += 1
    return out


def permutations(
    n_rows: int, n: int, seed: int, *keys: object, units: npt.ArrayLike | None = None, alike: bool = False
) -> Iterator[npt.NDArray[np.intp]]:
    """Yield ``n`` random orders of the rows in which the units are shuffled and the rows inside a unit keep their order.

    Parameters
    ----------
    n_rows, n : int
    seed : int
    *keys : object
        Names of what is drawn (subject, fold), see `brainenc.core.rng.generator`.
    units : array_like of shape (n_rows,), optional
        Labels; single rows where not given.
    alike : bool
        Exchange units only with units of as many rows. Repeats of an image need it: longer and shorter units would spill over
        into each other's places, which tears repeats apart and makes the null too narrow.

    Raises
    ------
    InputError
        With fewer than two units there is nothing to exchange.
    """
    members = _members(units, n_rows)
    sizes = np.array([len(rows) for rows in members])
    classes = [np.flatnonzero(sizes == size) for size in np.unique(sizes)] if alike else [np.arange(len(members))]
    if max((len(one) for one in classes), default=0) < 2:
        expected = "at least two units" + (" of as many rows" if alike else "")
        raise InputError("nothing to exchange", where="permutations", expected=expected, got=f"{len(members)} units")
    rng = generator(seed, "permutation", *keys)
    place = np.concatenate(members)
    for _ in range(n):
        drawn = np.empty(len(members), dtype=np.intp)
        for one in classes:
            drawn[one] = one[rng.permutation(len(one))]
        order = np.empty(n_rows, dtype=np.intp)
        order[place] = place[drawn] if len(members) == n_rows else np.concatenate([members[i] for i in drawn])
        yield order


def permutation_p(
    folds: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    *,
    n: int = 1000,
    seed: int = 0,
    keys: Sequence[object] = (),
    units: Sequence[npt.ArrayLike] | None = None,
    aggregate: str = "folds",
    crossed: bool = True,
    alike: bool = False,
) -> Floats:
    """Return the one-sided permutation p-value of Pearson's r of each target: p = (1 + #{r* ≥ r}) / (1 + n).

    The rows of the observed test responses are permuted within each fold, units as wholes. The model is not refitted: the null
    is that its predictions have nothing to do with the test responses. Units of several rows are multiplied once with every place
    where they come to stand, and each permutation is a sum of these products.

    Folds that train one another are not independent. With linear predictions y_f' K_fg y_g summed over the folds g that train
    fold f, each product stands in the score of f and in that of g, which doubles the variance of their sum, while permuting one
    side at a time sees it once. So for crossed folds the null r* is spread by √2 about its mean; without it 12 to 16 % of pure
    noise targets have p < 0.05. Two is the factor of many features; with few of them the null has a shorter upper tail (of one feature
    roughly |z| − 1 / |z|), so that for noise p ≤ 0.05 comes in 2 to 3 %.

    Parameters
    ----------
    folds : sequence of (observed, predicted)
        Each of shape (n_test, n_targets).
    n : int
        Permutations.
    seed : int
    keys : sequence
        Further names for the generator.
    units : sequence of array_like, optional
        Exchangeable units of each fold: blocks of scans for time series; single rows where not given.
    aggregate : {"folds", "pooled"}
        Mean of the correlations of the folds, or one correlation over all rows.
    crossed : bool
        Whether several folds train one another, as in cross-validation. A single fold is never crossed.
    alike : bool
        Exchange units only with units of as many rows, see `permutations`.

    Returns
    -------
    ndarray of shape (n_targets,)
        NaN where r is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.random.default_rng(0).standard_normal((30, 2))
    >>> permutation_p([(y, y)], n=99)
    array([0.01, 0.01])
    """
    return permuted(folds, n=n, seed=seed, keys=keys, units=units, aggregate=aggregate, crossed=crossed, alike=alike).p


class Permuted(NamedTuple):
    """What `permuted` found: r (n_targets,), its p (n_targets,), and the largest permuted r over all targets in each draw (n,)."""

    observed: Floats
    p: Floats
    tops: Floats


def permuted(folds: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], *, n: int = 1000, **how: Any) -> Permuted:
    """Return r, p and the maxima of a permutation test; parameters as for `permutation_p`.

    The same seed and keys give the same orders whatever is predicted, so maxima of several models can be joined, draw by draw, into
    the null of the largest r of all (Westfall & Young).

    Returns
    -------
    Permuted
        The maximum of a draw is −inf where no target has an r.
    """
    observed, p, tops = [], [], np.full(n, -np.inf)
    for r, null in permutation_null(folds, n=n, **how):
        # a tie with the observed value (the identity drawn again) must count as at least as large, whatever the rounding
        hits = (null >= r - TIE).sum(axis=0)
        observed.append(r)
        p.append(np.where(np.isnan(r), np.nan, (1 + hits) / (1 + n)))
        known = np.isfinite(r)
        if known.any():
            tops = np.maximum(tops, null[:, known].max(axis=1))
    return Permuted(np.concatenate(observed), np.concatenate(p), tops)


def permutation_null(
    folds: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    *,
    n: int = 1000,
    seed: int = 0,
    keys: Sequence[object] = (),
    units: Sequence[npt.ArrayLike] | None = None,
    aggregate: str = "folds",
    crossed: bool = True,
    alike: bool = False,
) -> Iterator[tuple[Floats, Floats]]:
    """Yield the observed r (n_part,) and the permuted r* (n, n_part) of consecutive parts of the targets; see `permutation_p`."""
    folds = [paired(observed, predicted) for observed, predicted in folds]
    moves = []
    for fold, (y, _) in enumerate(folds):
        labels = None if units is None else units[fold]
        orders = np.stack(list(permutations(len(y), n, seed, *keys, fold, units=labels, alike=alike)))
        moves.append(moves_of(orders, labels))
    for part in column_chunks(max(n, sum(len(y) for y, _ in folds)), folds[0][0].shape[1]):
        observed, null = correlations(folds, moves, part, pooled=aggregate == "pooled")
        if crossed and len(folds) > 1:
            middle = null.mean(axis=0)
            null = middle + np.sqrt(2.0) * (null - middle)
        yield observed, null


def bootstrap_weights(n_rows: int, n: int, seed: int, *keys: object, units: npt.ArrayLike | None = None) -> Floats:
    """Return how often each row comes in each of ``n`` bootstrap samples of the units: shape (n, n_rows).

    Parameters
    ----------
    n_rows, n : int
    seed : int
    *keys : object
        Names of what is drawn.
    units : array_like of shape (n_rows,), optional
        Rows of a unit are drawn together; single rows where not given.

    Examples
    --------
    >>> bootstrap_weights(4, 2, 0).sum(axis=1)
    array([4., 4.])
    """
    codes = np.arange(n_rows) if units is None else pd.factorize(np.asarray(units))[0]
    n_units = int(codes.max()) + 1 if n_rows else 0
    if n_units < 2:
        raise InputError("nothing to resample", where="bootstrap_weights", expected="at least two units", got=n_units)
    counts = generator(seed, "bootstrap", *keys).multinomial(n_units, np.full(n_units, 1.0 / n_units), size=n)
    return counts[:, codes].astype(np.float64)


def subsets(n_rows: int, size: int, n: int, seed: int, *keys: object, units: npt.ArrayLike | None = None) -> Iterator[npt.NDArray[np.intp]]:
    """Yield ``n`` random subsets of ``size`` units, drawn without replacement, as sorted positions of rows.

    Parameters
    ----------
    n_rows : int
    size : int
        Units (rows where none are given) in a subset.
    n, seed : int
    *keys : object
        Names of what is drawn.
    units : array_like of shape (n_rows,), optional
        Rows of a unit are drawn together.

    Examples
    --------
    >>> [len(rows) for rows in subsets(5, 3, 2, 0)]
    [3, 3]
    """
    members = _members(units, n_rows)
    if not 1 <= size <= len(members):
        raise InputError("a subset is larger than the whole, or empty", where="subsets", expected=f"1 to {len(members)} units", got=size)
    rng = generator(seed, "subset", *keys)
    for _ in range(n):
        yield np.sort(np.concatenate([members[i] for i in rng.permutation(len(members))[:size]]))


def random_halves(units: npt.ArrayLike, n: int, seed: int, *keys: object) -> Iterator[npt.NDArray[np.int8]]:
    """Yield ``n`` random halvings of the rows of every unit: 0 and 1 for the halves, −1 for rows that belong to neither.

    Both halves of a unit hold as many rows; of an odd number one is left out, another one in every draw.

    Parameters
    ----------
    units : array_like of shape (n_rows,)
        Labels, for instance the stimulus of each trial.
    n, seed : int
    *keys : object
        Names of what is drawn.

    Examples
    --------
    >>> [sorted(halves.tolist()) for halves in random_halves(["a", "a", "a"], 1, 0)]
    [[-1, 0, 1]]
    """
    codes = pd.factorize(np.asarray(units))[0]
    counts = np.bincount(codes)
    place = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    half = np.repeat(counts // 2, counts)
    sides = np.where(place < half, 0, np.where(place < 2 * half, 1, -1)).astype(np.int8)
    rng = generator(seed, "halves", *keys)
    for _ in range(n):
        out = np.empty(len(codes), dtype=np.int8)
        out[np.lexsort((rng.random(len(codes)), codes))] = sides
        yield out


def sign_flips(n_units: int, n: int, seed: int, *keys: object) -> Floats:
    """Return signs ±1 of shape (n_drawn, n_units) for tests of a symmetric null; the unflipped pattern is not among the exact ones.

    Where ``n`` is at least the 2^n_units − 1 other patterns there are, every one of them comes once, and the test is exact.

    Parameters
    ----------
    n_units, n : int
        Subjects; patterns wanted.
    seed : int
    *keys : object
        Names of what is drawn.

    Examples
    --------
    >>> sign_flips(2, 100, 0)
    array([[-1.,  1.],
           [ 1., -1.],
           [-1., -1.]])
    """
    if n_units < 2:
        raise InputError("nothing to flip", where="sign_flips", expected="at least two units", got=n_units)
    if n_units < 31 and n >= 2**n_units - 1:
        bits = (np.arange(1, 2**n_units)[:, None] >> np.arange(n_units)) & 1
        return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
    return np.asarray(1.0 - 2.0 * generator(seed, "sign flip", *keys).integers(0, 2, size=(n, n_units)), dtype=np.float64)


def shifts(n_trials: int, n_times: int, n: int, seed: int, *keys: object) -> npt.NDArray[np.intp]:
    """Return random circular shifts (n, n_trials) in samples, 0 … n_times − 1: trials of a stationary series moved against each other.

    Examples
    --------
    >>> shifts(3, 10, 2, 0).shape
    (2, 3)
    """
    if n_trials < 2 or n_times < 2:
        raise InputError("nothing to move", where="shifts", expected="at least two trials of two samples", got=f"{n_trials} of {n_times}")
    return generator(seed, "shift", *keys).integers(0, n_times, size=(n, n_trials))


def rotations(n: int, seed: int, *keys: object) -> Floats:
    """Return ``n`` rotation matrices (n, 3, 3), uniform over all rotations of the sphere: unit quaternions of four normal deviates.

    Examples
    --------
    >>> rotations(2, 0).shape
    (2, 3, 3)
    """
    q = generator(seed, "rotation", *keys).standard_normal((n, 4))
    w, x, y, z = (q / np.linalg.norm(q, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def fold_labels(n_units: int, n_folds: int, n: int, seed: int, *keys: object) -> npt.NDArray[np.intp]:
    """Return ``n`` random assignments (n, n_units) of the units to folds 0 … n_folds − 1 that differ by at most one in size.

    Examples
    --------
    >>> np.bincount(fold_labels(7, 3, 1, 0)[0])
    array([3, 2, 2])
    """
    if not 2 <= n_folds <= n_units:
        raise InputError("folds and units do not fit", where="fold_labels", expected=f"2 to {n_units} folds", got=n_folds)
    rng = generator(seed, "folds", *keys)
    return np.stack([rng.permutation(np.arange(n_units) % n_folds) for _ in range(n)])


def bootstrap_folds(rows: pd.DataFrame, n: int, seed: int, *keys: object, pooled: bool = False) -> list[tuple[npt.NDArray[np.intp], Floats]]:
    """Return the rows and bootstrap weights (n, n_rows) of each fold, or of all rows together where predictions were pooled.

    Units are drawn within folds. Where folds test the same stimuli again (draws of a split, repeats in other runs) the stimuli are
    drawn once for all folds, as the folds are then no independent evidence about new stimuli.

    Parameters
    ----------
    rows : DataFrame
        One row a test row: ``fold``, ``unit`` (labels within the fold), ``stimulus_id`` where known.
    n : int
    seed : int
    *keys : object
        Names of what is drawn.
    pooled : bool
        Join the folds.
    """
    parts = [np.flatnonzero(rows["fold"] == fold) for fold in pd.unique(rows["fold"])]
    units = rows["unit"].to_numpy()
    if _same_stimuli_again(rows):
        codes = pd.factorize(rows["stimulus_id"])[0]
        drawn = bootstrap_weights(int(codes.max()) + 1, n, seed, *keys, "stimuli")
        weights = [drawn[:, codes[part]] for part in parts]
    else:
        weights = [bootstrap_weights(len(part), n, seed, *keys, fold, units=units[part]) for fold, part in enumerate(parts)]
    return [(np.concatenate(parts), np.concatenate(weights, axis=1))] if pooled else list(zip(parts, weights, strict=True))


def n_units(rows: pd.DataFrame) -> int:
    """Return how many units `bootstrap_folds` draws from such rows: stimuli, where folds test them again, or units within folds."""
    return int(rows["stimulus_id"].nunique() if _same_stimuli_again(rows) else len(rows[["fold", "unit"]].drop_duplicates()))


def bootstrap_pearson(observed: npt.NDArray[Any], predicted: npt.NDArray[Any], weights: Floats) -> Floats:
    """Return Pearson's r of each column under each row weighting, as five matrix products.

    With w one row of ``weights``: r = (Σw Σwyŷ − Σwy Σwŷ) / √((Σw Σwy² − (Σwy)²)(Σw Σwŷ² − (Σwŷ)²)), on centred columns.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_samples, n_targets)
    weights : ndarray of shape (n_draws, n_samples)
        From `bootstrap_weights`; the same weights for two models give paired differences.

    Returns
    -------
    ndarray of shape (n_draws, n_targets)
        NaN where a column is constant under the weights.
    """
    observed, predicted = paired(observed, predicted)
    out = np.empty((len(weights), observed.shape[1]))
    for part in column_chunks(max(weights.shape), observed.shape[1]):
        out[:, part] = bootstrap_correlation(bootstrap_moments(observed[:, part], weights), bootstrap_moments(predicted[:, part], weights), weights)
    return out


class Moments(NamedTuple):
    """Unit columns (n_samples, n_targets), and their weighted sums and n² times variances (n_draws, n_targets)."""

    unit: npt.NDArray[Any]
    sums: npt.NDArray[Any]
    spread: npt.NDArray[Any]


def bootstrap_moments(values: npt.NDArray[Any], weights: npt.NDArray[Any]) -> Moments:
    """Return the share of `bootstrap_pearson` that belongs to one side, in the dtype of ``weights``, to be used for several pairs."""
    if weights.ndim != 2 or weights.shape[1] != len(values):
        raise InputError("weights and rows differ in number", where="bootstrap_pearson", expected=f"(n_draws, {len(values)})", got=weights.shape)
    unit = centred(values)
    unit = (unit / norm(unit)).astype(weights.dtype)
    total = weights.sum(axis=1, keepdims=True)
    sums = weights @ unit
    spread = total * (weights @ (unit * unit)) - sums**2
    return Moments(unit, sums, np.where(spread > 1e-6 * total, spread, np.nan))


def bootstrap_correlation(first: Moments, second: Moments, weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return Pearson's r (n_draws, n_targets) of two sides whose moments are known."""
    total = weights.sum(axis=1, keepdims=True)
    return (total * (weights @ (first.unit * second.unit)) - first.sums * second.sums) / np.sqrt(first.spread * second.spread)


def bootstrap_r2(observed: npt.NDArray[Any], predicted: npt.NDArray[Any], weights: Floats) -> Floats:
    """Return R² of each column under each row weighting: 1 − Σw Σw(y − ŷ)² / (Σw Σwy² − (Σwy)²), as three matrix products.

    Parameters and returns as for `bootstrap_pearson`.
    """
    observed, predicted = paired(observed, predicted)
    out = np.empty((len(weights), observed.shape[1]))
    total = weights.sum(axis=1, keepdims=True)
    for part in column_chunks(max(weights.shape), observed.shape[1]):
        y = centred(observed[:, part])
        scale = norm(y)
        residual = (np.asarray(observed[:, part], dtype=np.float64) - np.asarray(predicted[:, part], dtype=np.float64)) / scale
        y = y / scale
        spread = total * (weights @ (y * y)) - (weights @ y) ** 2
        out[:, part] = 1.0 - total * (weights @ (residual * residual)) / np.where(spread > 1e-6 * total, spread, np.nan)
    return out


def _same_stimuli_again(rows: pd.DataFrame) -> bool:
    """Return whether units are stimuli and some stimulus is tested in several folds; blocks of scans are not stimuli."""
    if "stimulus_id" not in rows or rows["stimulus_id"].isna().any():
        return False
    table = rows[["fold", "unit", "stimulus_id"]].drop_duplicates()
    per_unit = table.duplicated(["fold", "unit"]).any()
    per_stimulus = table.duplicated(["fold", "stimulus_id"]).any()
    return bool(not per_unit and not per_stimulus and table["stimulus_id"].duplicated().any())


def _members(units: npt.ArrayLike | None, n_rows: int) -> list[npt.NDArray[np.intp]]:
    if units is None:
        return list(np.arange(n_rows)[:, None])
    codes = pd.factorize(np.asarray(units))[0]
    if len(codes) != n_rows:
        raise InputError("units and rows differ in number", where="permutations", expected=n_rows, got=len(codes))
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
