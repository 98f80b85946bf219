"""When a layer begins to explain a sensor or region, and when it explains it best."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding._reading import percentiles, whole
from brainenc.encoding._resampled import BOOTSTRAPS, CROSSED, SUMMARIES, is_crossed, layer_draws, need_predictions
from brainenc.encoding.generalizing import channels_and_times
from brainenc.metrics._columns import CHUNK_BYTES
from brainenc.metrics.resample import bootstrap_folds, n_units
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]
KINDS = ("onset", "peak", "plateau")
RULES = ("share", "baseline")
LEVELS = {"share": 0.5, "baseline": 3.0}


@dataclass(frozen=True, slots=True, eq=False)
class Latencies:
    """Latencies of every layer in every channel or region, with their bootstrap draws.

    Parameters
    ----------
    table : DataFrame
        One row a subject, cell and layer, see `latencies`.
    draws : ndarray of shape (n_rows, n, 3)
        Onset, peak and plateau (s) in each draw, a row for each of ``table``; the draws of all layers and cells of a subject are of the same test
        stimuli. No draws where ``n`` is 0.
    by : str
        The column that names the cells.
    """

    table: pd.DataFrame
    draws: Floats
    by: str

    def differences(self, kind: str = "peak", *, reference: str | None = None) -> pd.DataFrame:
        """Return by how much (s) one layer is later than another in the same cell, with intervals from the same draws.

        Parameters
        ----------
        kind : {"onset", "peak", "plateau"}
        reference : str, optional
            ``"model/layer"`` that all others are compared with; all pairs of layers when not given.

        Returns
        -------
        DataFrame
            subject, ``by``, first, second, difference (latency of second − first), ci_low, ci_high (95 %, percentile), p (two-sided: twice the
            smaller of (1 + #{d ≤ 0}) / (1 + n) and (1 + #{d ≥ 0}) / (1 + n), at most 1), n_draws (with both latencies). Interval and p are
            NaN where fewer than half of the draws have both.
        """
        one_of(kind, KINDS, "kind")
        names = (self.table["model"] + "/" + self.table["layer"]).to_numpy()
        if reference is not None and reference not in names:
            raise NotFoundError("no such layer", where="Latencies.differences", expected=", ".join(dict.fromkeys(names)), got=repr(reference))
        value, rows = self.table[kind].to_numpy(), []
        for (subject, cell), index in self.table.groupby(["subject", self.by], sort=False, dropna=False).indices.items():
            first = [i for i in index if names[i] == reference]
            pairs = itertools.combinations(index, 2) if reference is None else ((i, j) for i in first for j in index if i != j)
            for i, j in pairs:
                draws = self.draws[j, :, KINDS.index(kind)] - self.draws[i, :, KINDS.index(kind)]
                known = draws[np.isfinite(draws)]
                low, high = percentiles(draws[:, None])[:, 0]
                side = min((known <= 1e-12).sum(), (known >= -1e-12).sum())
                p = min(1.0, 2.0 * (1 + side) / (1 + len(known))) if np.isfinite(low) else np.nan
                row = {"subject": subject, self.by: cell, "first": names[i], "second": names[j], "difference": value[j] - value[i]}
                rows.append({**row, "ci_low": low, "ci_high": high, "p": p, "n_draws": len(known)})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        n_cells = len(self.table[["subject", self.by]].drop_duplicates())
        return f"Latencies({len(self.table)} rows: {n_cells} of {self.by!r}; {self.draws.shape[1]} draws)"


class _How(NamedTuple):
    metric: str
    summary: str
    rule: str
    level: float
    least: int
    plateau: float
    window: tuple[float, float]
    n: int
    seed: int


def latencies(
    scores: Scores, *, by: str = "channel", rule: str = "share", level: float | None = None, least: int = 2, plateau: float = 0.95,
    window: tuple[float, float] | None = None, metric: str = "pearson", summary: str = "mean", n: int = 1000, seed: int = 0,
) -> Latencies:  # fmt: skip
    """Read onset, peak and plateau off the time course of every layer's held-out scores, in every channel or region.

    With R(t) the score of a layer at time t (mean over folds, ``summary`` over the targets of the cell at t):
    peak = argmax R;  onset = first t of a run of ``least`` samples that holds R ≥ threshold;  plateau = mean of the times where R ≥ 0.95 max R

    Parameters
    ----------
    scores : Scores
        With kept predictions (``score_layers(…, keep_predictions=True)``) unless ``n`` is 0; targets are (channel, time) pairs of a `SensorSpace`, or
        have columns ``channel`` and ``time`` (s).
    by : str
        ``"channel"``, or another column of the targets, such as ``"roi"``.
    rule : {"share", "baseline"}
        The threshold: ``level`` times the maximum of the curve, or mean + ``level`` standard deviations of the curve before time 0.
    level : float, optional
        0.5 for "share", 3 for "baseline".
    least : int
        Samples in a row that must reach the threshold; 1 takes the first that does.
    plateau : float
        Share of the maximum, as in `brainenc.encoding.temporal_score`.
    window : (float, float), optional
        Seconds, both inclusive, in which latencies are sought; all times when not given. The baseline is not cut.
    metric : {"pearson", "r2"}
    summary : {"mean", "median"}
    n, seed : int
        Bootstrap draws of test stimuli, the same for all layers and cells of a subject; 0 for none.

    Returns
    -------
    Latencies
        ``table``: subject, ``by``, model, layer; onset, peak, plateau (s) and the ends of their 95 % percentile intervals (onset_low, onset_high …);
        score (maximum in the window), threshold, n_missing (times without a score), n_nan (draws without an onset). A curve that is nowhere
        above zero in the window has no latencies, one that never stays at the threshold no onset. The onset of one that is above it already
        where the window begins is the first time of the window.

    Raises
    ------
    InputError
        Without times, or kept predictions; with fewer than three times; for "baseline" without three times before 0.

    Notes
    -----
    Draws of curves are spread about the curve as in `brainenc.encoding.bootstrap`: by √(u / (u − 1)) for u stimuli, and by √2 more for folds that
    train one another. A draw is a noisier curve than the curve itself, so intervals, and p of differences, are conservative: with two
    layers of one course, p was at most 0.05 in none of 60 simulations each of one and of three folds. Latencies of a layer
    that explains nothing are latencies of noise: test the scores first. Filters and sliding windows smear signal to earlier times.
    Thresholds, the run of samples and the p of differences are our choice.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> times = np.arange(20) / 100
    >>> curves = np.exp(-0.5 * ((times - np.array([[0.06], [0.12]])) / 0.02) ** 2)
    >>> entries = {"model": ["toy", "toy"], "layer": ["early", "late"], "metric": ["pearson"] * 2, "seed": [0, 0]}
    >>> targets = {"subject": ["01"] * 20, "target_id": [f"Oz.{i}" for i in range(20)]}
    >>> scores = be.Scores(curves[:, None], entries, targets, {"01": be.SensorSpace({"channel": ["Oz"]}, times)}, split="one fold", n_test=50)
    >>> latencies(scores, n=0).table[["layer", "onset", "peak"]].round(2).values.tolist()
    [['early', 0.04, 0.06], ['late', 0.1, 0.12]]
    """
    one_of(metric, tuple(BOOTSTRAPS), "metric")
    one_of(summary, tuple(SUMMARIES), "summary")
    level = LEVELS[one_of(rule, RULES, "rule")] if level is None else float(level)
    if not 0.0 < plateau <= 1.0 or not level > 0.0 or (rule == "share" and level > 1.0):
        expected = "plateau, and level of a share, above 0 and at most 1; level above 0"
        raise InputError("thresholds do not fit", where="latencies", expected=expected, got=f"level {level:g}, plateau {plateau:g}")
    inside = (-np.inf, np.inf) if window is None else (float(window[0]), float(window[1]))
    how = _How(metric, summary, rule, level, whole(least, 1, "least", "latencies"), plateau, inside, whole(n, 0, "n", "latencies"), seed)
    if how.n:
        need_predictions(scores, "latencies", how.n, 20)
    held = scores.entry(metric=metric)
    if held.entries["seed"].nunique() > 1:
        raise InputError("scores of several split seeds", where="latencies", fix="choose one: scores.entry(seed=0)")
    tables, draws = [], []
    for subject in held.subjects:
        mine = held if len(held.subjects) == 1 else held.where(subject=subject)
        channel, time = channels_and_times(mine, subject, "latencies")
        label = channel if by == "channel" else need_column(mine.targets, by, "Scores.targets").to_numpy()
        folds = bootstrap_folds(mine.test_rows[subject], how.n, seed, subject, pooled=mine.aggregate == "pooled") if how.n else []
        for cell, index in pd.Series(np.arange(len(label))).groupby(label, sort=False, dropna=False).indices.items():
            table, drawn = _cell(mine, subject, index, time[index], folds, how)
            tables.append(pd.DataFrame({"subject": subject, by: [cell] * len(table)}).join(table))
            draws.append(drawn)
    return Latencies(pd.concat(tables, ignore_index=True), np.concatenate(draws), by)


def _cell(scores: Scores, subject: str, index: npt.NDArray[np.intp], time: Floats, folds: list[Any], how: _How) -> tuple[pd.DataFrame, Floats]:
    """Return the rows of one cell, a layer each, and the draws (n_layers, n, 3)."""
    when, column = np.unique(time, return_inverse=True)
    if len(when) < 3:
        raise InputError("latencies need a time course", where="latencies", expected="at least three times", got=len(when))
    if how.rule == "baseline" and (when < 0).sum() < 3:
        raise InputError("no baseline", where="latencies", expected="at least three times before 0", got=int((when < 0).sum()), fix='rule="share"')
    names = (scores.entries["model"] + "/" + scores.entries["layer"]).tolist()
    curves = _over_time(scores.mean()[:, index], column, len(when), how.summary)
    found, highest, thresholds = _latencies(curves, when, how)
    table = pd.DataFrame({"model": [one.split("/", 1)[0] for one in names], "layer": [one.split("/", 1)[1] for one in names]})
    drawn = np.full((len(names), how.n, len(KINDS)), np.nan)
    for i, name in enumerate(names if how.n else []):
        resampled = _drawn(scores, subject, name, index, (column, len(when)), folds, how)
        resampled = curves[i] + _factor(scores.test_rows[subject]) * (resampled - curves[i])
        drawn[i] = _latencies(resampled, when, how)[0]
    drawn = np.where(np.isfinite(found)[:, None], drawn, np.nan)
    for k, kind in enumerate(KINDS):
        low, high = percentiles(drawn[:, :, k].T)
        table = table.assign(**{kind: found[:, k], f"{kind}_low": low, f"{kind}_high": high})
    missing = np.isnan(curves).sum(axis=1)
    return table.assign(score=highest, threshold=thresholds, n_missing=missing, n_nan=np.isnan(drawn[:, :, 0]).sum(axis=1)), drawn


def _drawn(
    scores: Scores, subject: str, name: str, index: npt.NDArray[np.intp], place: tuple[npt.NDArray[np.intp], int], folds: list[Any], how: _How
) -> Floats:  # fmt: skip
    """Return the curves (n, n_times) of the draws, some times at once."""
    column, n_times = place
    observed, predicted = scores.observed[subject], scores.predictions[subject][name]
    out = np.empty((how.n, n_times))
    step = max(1, CHUNK_BYTES * n_times // (8 * how.n * len(index)))
    for start in range(0, n_times, step):
        here = np.flatnonzero((column >= start) & (column < start + step))
        cols, stop = index[here], min(start + step, n_times)
        draws = layer_draws(observed[:, cols], predicted[:, cols], folds, how.metric)[1]
        out[:, start:stop] = _over_time(draws, column[here] - start, stop - start, how.summary)
    return out


def _over_time(values: Floats, column: npt.NDArray[np.intp], n_times: int, summary: str) -> Floats:
    """Return the summary (n, n_times) over the targets of each time of (n, n_targets); targets without a score are left out."""
    if len(column) == n_times:
        return np.asarray(values[:, np.argsort(column, kind="stable")])
    collapse: Any = SUMMARIES[summary]
    out = np.full((len(values), n_times), np.nan)
    for t in range(n_times):
        part = values[:, column == t]
        some = np.isfinite(part).any(axis=1)
        out[some, t] = collapse(part[some], axis=1)
    return out


def _latencies(curves: Floats, when: Floats, how: _How) -> tuple[Floats, Floats, Floats]:
    """Return onset, peak and plateau (n_curves, 3) of curves (n_curves, n_times), their maxima and thresholds; unknown times are passed over."""
    inside = (when >= how.window[0]) & (when <= how.window[1])
    if not inside.any():
        raise InputError("no time lies in the window", where="latencies", got=f"{how.window}, times {when[0]:g} to {when[-1]:g} s")
    filled = np.where(np.isfinite(curves), curves, -np.inf)
    sought = np.where(inside, filled, -np.inf)
    highest = sought.max(axis=1)
    good = highest > 0
    threshold = np.where(good, how.level * highest, np.nan)
    if how.rule == "baseline":
        before = curves[:, when < 0]
        known = np.isfinite(before)
        some = known.sum(axis=1) >= 3
        threshold = np.full(len(curves), np.nan)
        threshold[some] = np.nanmean(before[some], axis=1) + how.level * np.nanstd(before[some], axis=1, ddof=1)
    with np.errstate(invalid="ignore"):
        over = sought >= threshold[:, None]
    padded = np.pad(over, ((0, 0), (0, how.least - 1)))
    run = np.logical_and.reduce([padded[:, ahead : ahead + len(when)] for ahead in range(how.least)])
    onset = np.where(good & run.any(axis=1), when[run.argmax(axis=1)], np.nan)
    peak = np.where(good, when[sought.argmax(axis=1)], np.nan)
    high = (sought >= how.plateau * highest[:, None]) & good[:, None]
    plateau = np.where(good, (high * when).sum(axis=1) / np.maximum(high.sum(axis=1), 1), np.nan)
    return np.stack([onset, peak, plateau], axis=1), np.where(np.isfinite(highest), highest, np.nan), threshold


def _factor(rows: pd.DataFrame) -> float:
    many = n_units(rows)
    return float(np.sqrt(many / (many - 1)) * (CROSSED if is_crossed(rows) else 1.0))
