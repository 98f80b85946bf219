"""Held-out rows resampled: permutation tests and bootstrap draws of the scores of one subject."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import BrainencWarning, InputError
from brainenc.encoding._rows import SCANS
from brainenc.metrics._columns import CHUNK_BYTES, column_chunks
from brainenc.metrics._intervals import bootstrap_interval
from brainenc.metrics.resample import blocks_of, bootstrap_folds, bootstrap_pearson, bootstrap_r2, n_units
from brainenc.metrics.scores import get
from brainenc.nouns.scores import TARGET_COLUMNS, Scores
from brainenc.nouns.tables import need_column

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
SUMMARIES = {"median": np.nanmedian, "mean": np.nanmean}
BOOTSTRAPS = {"pearson": bootstrap_pearson, "r2": bootstrap_r2}
SCALES = {"pearson": "correlation", "r2": "variance"}  # where the interval is symmetric: Fisher's z, and log(1 − R²)
CROSSED = np.sqrt(2.0)
SLOW, SLOW_TARGETS = 0.2, 64  # correlation of consecutive trials that is told, and how many targets are looked at


def score_interval(observed: Array, predicted: Array, rows: pd.DataFrame, metric: str, *, n: int, seed: int, subject: str, pooled: bool) -> Floats:
    """Return the 95 % interval (2, n_targets) of the score over the units of the test rows; NaN for a metric without a bootstrap.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_test_rows, n_targets)
    rows : DataFrame
        One row a test row: fold, unit, stimulus_id where known.

    Notes
    -----
    Several folds train one another. The product of the noise of two rows then stands in the scores of both folds, which draws of test rows see
    as two pieces of evidence, so that intervals of several folds have to be wider, see `crossed_width`.
    """
    out = np.full((2, observed.shape[1]), np.nan)
    if metric not in BOOTSTRAPS:
        return out
    folds, many = bootstrap_folds(rows, n, seed, subject, pooled=pooled), n_units(rows)
    for part in column_chunks(n, observed.shape[1]):
        y, p = observed[:, part], predicted[:, part]
        point, draws = layer_draws(y, p, folds, metric)
        ends = bootstrap_interval(point, draws, many, SCALES[metric])
        if is_crossed(rows):
            r = point if metric == "pearson" else np.mean([get("pearson")(y[index], p[index]) for index, _ in folds], axis=0)
            ends = _spread(point, ends, metric, crossed_width(r, point if metric == "r2" else None))
        out[:, part] = ends
    return out


def crossed_width(r: Floats, r2: Floats | None = None) -> Floats:
    """Return how many times wider the interval of a score of several folds is than draws of test rows say: √(1 + η) for each r (n_targets,).

    Let features explain the share R of the variance at best, and let predictions be κ signal and 1 − κ noise of the training rows. Noise of a test
    row times noise of a training row makes up η = (1 − R)(1 − κ) / (1 − r²)² of the variance of r, and stands in the scores of two folds,
    so that the sum over folds has 1 + η times the variance that draws of test rows see. R and κ are not known, but κ R ≥ r²; the largest η, at
    R = |r|, is 1 / (1 + |r|)²: 1 without signal, 0.44 at r = 0.5. The same for R² gives (1 − |r|) / ((1 + |r|)(1 − R²)), the former where R² = r².

    Derived for normal rows and linear encoders; our derivation, whose coverage is tested. An r below zero counts as zero.
    """
    size = np.clip(np.nan_to_num(r), 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 1.0 / (1.0 + size) ** 2 if r2 is None else (1.0 - size) / ((1.0 + size) * (1.0 - np.nan_to_num(r2)))
    return np.sqrt(1.0 + np.clip(np.nan_to_num(share), 0.0, 1.0))


def _spread(point: Floats, ends: Floats, metric: str, factor: Floats) -> Floats:
    """Return an interval ``factor`` times as wide on the scale on which it is symmetric."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric == "pearson":
            return np.asarray(np.tanh(np.arctanh(point) + factor * (np.arctanh(ends) - np.arctanh(point))))
        return np.asarray(1.0 - (1.0 - point) * ((1.0 - ends) / (1.0 - point)) ** factor)


def layer_draws(
    observed: Array, predicted: Array, folds: list[tuple[npt.NDArray[np.intp], Floats]], metric: str
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return the score (n_targets,) and its bootstrap draws (n, n_targets): means over the folds of `bootstrap_folds`."""
    point = np.mean([get(metric)(observed[index], predicted[index]) for index, _ in folds], axis=0)
    draws = np.mean([BOOTSTRAPS[metric](observed[index], predicted[index], weights) for index, weights in folds], axis=0)
    return point, draws


def paired_interval(difference: Floats, draws: Floats, many: int, *, crossed: bool) -> tuple[Floats, Floats, Floats]:
    """Return low and high end of the 95 % interval and the two-sided p of differences (n_cells,) from their draws (n, n_cells).

    Δ ± t · s with s the standard deviation of the draws times √(u / (u − 1)) and t of u − 1 degrees of freedom, u = ``many`` units. Equal
    models are called different in 5 to 6.5 % with 20 to 40 images and in 5 % with 150. For ``crossed`` folds s is √2 wider, the most that
    `crossed_width` can be.
    """
    from scipy.special import stdtr, stdtrit

    known = np.isfinite(draws)
    usable = (known.mean(axis=0) > 0.5) & np.isfinite(difference)
    s = np.full(len(difference), np.nan)
    s[usable] = np.nanstd(np.where(known, draws, np.nan)[:, usable], axis=0) * np.sqrt(many / (many - 1)) * (CROSSED if crossed else 1.0)
    width = stdtrit(many - 1, 0.975) * s
    size = np.divide(np.abs(difference), s, out=np.where(difference == 0, 0.0, np.inf), where=s > 0)
    p = np.where(usable, 2.0 * stdtr(many - 1, -size), np.nan)
    return difference - width, difference + width, p


def percentile_interval(point: float, draws: Floats, *, crossed: bool) -> tuple[float, float]:
    """Return the 95 % percentile interval of draws (n,), √2 wider about the point for ``crossed`` folds, see `crossed_width`."""
    low, high = (point + (CROSSED if crossed else 1.0) * (end - point) for end in np.quantile(draws, [0.025, 0.975]))
    return float(low), float(high)


def is_crossed(rows: pd.DataFrame) -> bool:
    """Return whether the test rows come from several folds, which train one another."""
    return bool(rows["fold"].nunique() > 1)


def folds_of(observed: Array, predicted: Array, rows: pd.DataFrame) -> list[tuple[Array, Array]]:
    """Return the pairs (observed, predicted) of each fold."""
    return [(observed[index], predicted[index]) for index in fold_rows(rows)]


def fold_rows(rows: pd.DataFrame) -> list[npt.NDArray[np.intp]]:
    """Return the rows of each fold."""
    return [np.flatnonzero(rows["fold"] == fold) for fold in pd.unique(rows["fold"])]


def units_of(rows: pd.DataFrame) -> list[Array]:
    """Return the exchangeable units of each fold."""
    unit = rows["unit"].to_numpy()
    return [unit[index] for index in fold_rows(rows)]


def refuse_overlap(rows: pd.DataFrame, where: str) -> None:
    """Refuse draws of a split: they test the same responses again."""
    if "row" in rows and rows["row"].duplicated().any():
        raise InputError(
            "draws of a split test the same rows again, so their scores have no common permutation null", where=where,
            fix="use one draw, or folds: brainenc.split.kfold(n)",
        )  # fmt: skip


def warn_of_slow_trials(rows: pd.DataFrame, predictions: Mapping[str, Array], where: str) -> None:
    """Warn where single trials are to be exchanged although predictions of consecutive ones are alike, as for words of a film.

    The correlation of the predictions of each trial and the next (in the responses, of one run and fold), the median over targets.
    """
    if "row" not in rows or ("n_repeats" in rows and bool((rows["n_repeats"] > 1).any())):
        return
    run = pd.factorize(rows["run"])[0] if "run" in rows else np.zeros(len(rows), dtype=np.intp)
    follows = (np.diff(rows["row"]) == 1) & (np.diff(run) == 0) & (np.diff(pd.factorize(rows["fold"])[0]) == 0)
    first = np.flatnonzero(follows)
    if len(first) < len(rows) / 2:
        return
    for name, predicted in predictions.items():
        some = np.asarray(predicted[:, :: max(1, predicted.shape[1] // SLOW_TARGETS)], dtype=np.float64)
        for index in fold_rows(rows):
            some[index] -= some[index].mean(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            alike = np.einsum("ij,ij->j", some[first], some[first + 1]) / np.sqrt((some[first] ** 2).sum(axis=0) * (some[first + 1] ** 2).sum(axis=0))
        alike = alike[np.isfinite(alike)]
        if len(alike) and np.median(alike) > max(SLOW, 4.0 / np.sqrt(len(first))):
            warnings.warn(
                f"{where}: predictions of {name} for one trial and the next correlate by {np.median(alike):.2f}, so that single trials may not be "
                "exchangeable; pass block=, a number of trials much longer than that lasts", BrainencWarning, stacklevel=3,
            )  # fmt: skip


def family_p(observed: Floats, tops: Floats) -> Floats:
    """Return p_max = (1 + #{largest r* ≥ r}) / (1 + n) for r of any shape and the maxima (n,) of its family; NaN stays NaN."""
    ordered = np.sort(tops)
    hits = len(ordered) - np.searchsorted(ordered, np.nan_to_num(observed) - 1e-12, side="left")
    return np.where(np.isnan(observed), np.nan, (1 + hits) / (1 + len(ordered)))


def summarised(point: Floats, draws: Floats, collapse: Any) -> tuple[Floats, Floats]:
    """Return the summary over the targets of a region (1,) and its draws (n, 1); targets without a score are left out."""
    known = np.isfinite(point)
    if not known.any():
        return np.full(1, np.nan), np.full((len(draws), 1), np.nan)
    draws = draws[:, known]
    out = np.full((len(draws), 1), np.nan)
    some = np.isfinite(draws).any(axis=1)
    out[some, 0] = collapse(draws[some], axis=1)
    return np.array([collapse(point[known])]), out


def cells(scores: Scores, subject: str, by: str, n_held: int) -> Iterator[tuple[pd.DataFrame, npt.NDArray[np.intp], bool]]:
    """Yield labels, the columns of the subject they stand for, and whether these are summarised as one region."""
    mine = scores.targets[scores.targets["subject"] == subject].reset_index(drop=True)
    if by != "target":
        need_column(mine, by, "Scores.targets")
        for label, index in mine.groupby(by, sort=False).indices.items():
            yield pd.DataFrame({by: [label]}), index, True
        return
    known = [name for name in TARGET_COLUMNS if name in mine and name != "subject"]
    step = max(1, 4 * CHUNK_BYTES // (8 * n_held))
    for start in range(0, len(mine), step):
        index = np.arange(start, min(start + step, len(mine)))
        yield mine.loc[index, known].reset_index(drop=True), index, False


def reblocked(scores: Scores, block: int | None, where: str) -> Scores:
    """Return scores whose test rows are cut into blocks of at least ``block`` consecutive rows, never across a run or a fold.

    Rows are samples of a time series, or single trials that follow each other: means over repeats have no place in time.
    """
    if block is None:
        return scores
    if isinstance(block, bool) or not isinstance(block, int | np.integer) or block < 1:
        raise InputError("a block is a number of samples", where=where, expected="at least 1", got=repr(block))
    tables = {}
    for subject, rows in scores.test_rows.items():
        trials = stimuli_move(scores, subject)
        if "row" not in rows or (trials and "n_repeats" in rows and bool((rows["n_repeats"] > 1).any())):
            got = f"means over repeats of {subject!r}"
            raise InputError("only time series and single trials are cut into blocks", where=f"{where}, block", got=got, fix="score with average=False")
        unit = np.empty(len(rows), dtype=np.intp)
        for index in fold_rows(rows):
            run = pd.factorize(rows["run"].iloc[index])[0] if "run" in rows else np.zeros(len(index), dtype=np.intp)
            jumps = np.cumsum(np.r_[0, (np.diff(rows["row"].to_numpy()[index]) != 1) | (np.diff(run) != 0)])
            if trials and len(index) < block * (jumps[-1] + 1):
                raise InputError(
                    "test trials do not follow each other for as long as a block", where=f"{where}, block", expected=f"{block} trials in a row",
                    got=f"{len(index) / (jumps[-1] + 1):.3g} on average", fix="split by brainenc.split.runs() or .blocks(n)",
                )  # fmt: skip
            unit[index] = blocks_of(len(index), int(block), groups=jumps)
        tables[subject] = rows.assign(unit=unit)
    moved = {**scores.provenance, "exchangeable": dict.fromkeys(scores.test_rows, SCANS)}
    return replace(scores, test_rows=tables, provenance=moved)


def need_predictions(scores: Scores, where: str, n: int, least: int) -> None:
    """Refuse scores without the held-out predictions of every layer, and too few draws."""
    lacking = [name for name in scores.layers for kept in scores.predictions.values() if name not in kept]
    if not scores.predictions or lacking or not set(scores.predictions) <= set(scores.test_rows):
        got = f"none of {lacking[0]}" if lacking else "none"
        raise InputError("held-out predictions are needed", where=where, got=got, fix="score with keep_predictions=True, one split seed at a time")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least:
        raise InputError("too few draws", where=where, expected=f"n of at least {least}", got=repr(n))


def stimuli_move(scores: Scores, subject: str) -> bool:
    """Return whether the units of the test rows are stimuli, which are exchanged with stimuli of as many rows only."""
    moved = scores.provenance.get("exchangeable")
    if isinstance(moved, dict) and subject in moved:
        return bool(moved[subject] != SCANS)
    return "stimulus_id" in scores.test_rows[subject]
