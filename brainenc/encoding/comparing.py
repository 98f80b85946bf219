"""Which layer predicts a region best, and how sure that is: paired bootstraps over the same test stimuli."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.encoding._resampled import is_crossed, paired_interval
from brainenc.metrics.resample import bootstrap_correlation, bootstrap_folds, bootstrap_moments, n_units
from brainenc.metrics.scores import pearson
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]


def compare_layers(scores: Scores, *, by: str = "roi", n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Compare every layer with the best one of its region.

    The statistic is the median over the targets of a region of Pearson's r (mean over folds, or over joined predictions, as the
    scores are aggregated). Each bootstrap draw resamples test stimuli (blocks of scans for time series) within folds, or once for all
    folds that test the same stimuli, and is the same for every layer, so that differences are paired.

    Parameters
    ----------
    scores : Scores
        With kept predictions (``score_layers(…, keep_predictions=True)``).
    by : str
        Column of the targets; ``"subject"`` for all targets together.
    n : int
        Bootstrap draws.
    seed : int

    Returns
    -------
    DataFrame
        One row a subject, region and layer: subject, ``by``, layer, reference (the layer with the best score), score,
        reference_score, difference (score − reference_score), ci_low, ci_high (95 %), p (two-sided; NaN for the
        reference itself).

    Raises
    ------
    InputError
        Without kept predictions.

    Notes
    -----
    The reference is chosen on the same data, so its advantage over near rivals is somewhat flattered. Intervals are those of
    `brainenc.encoding.compare`, √2 wider for folds that train one another.
    """
    rows = []
    for region in _regions(scores, by, n, seed):
        best = int(np.argmax(np.where(np.isnan(region.score), -np.inf, region.score)))
        for i, layer in enumerate(region.layers):
            low, high, p = _difference(region, i, best)
            rows.append(
                {
                    "subject": region.subject, by: region.label, "layer": layer, "reference": region.layers[best],
                    "score": region.score[i], "reference_score": region.score[best], "difference": region.score[i] - region.score[best],
                    "ci_low": low, "ci_high": high, "p": np.nan if i == best else p,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def winners(scores: Scores, *, by: str = "roi", n: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Name the best layer of every region and its runner-up, and whether the paired bootstrap tells them apart.

    Parameters
    ----------
    scores, by, n, seed
        As for `compare_layers`.

    Returns
    -------
    DataFrame
        One row a subject and region: subject, ``by``, winner, score, runner_up, difference, ci_low, ci_high (95 %),
        distinct (the interval excludes 0; False where no second layer has a score).

    Raises
    ------
    InputError
        Without kept predictions.
    """
    rows = []
    for region in _regions(scores, by, n, seed):
        order = np.argsort(-np.where(np.isnan(region.score), -np.inf, region.score), kind="stable")
        row: dict[str, Any] = {"subject": region.subject, by: region.label, "winner": region.layers[order[0]], "score": region.score[order[0]]}
        row |= {"runner_up": None, "difference": np.nan, "ci_low": np.nan, "ci_high": np.nan, "distinct": False}
        if len(order) > 1 and np.isfinite(region.score[order[1]]):
            first, second = order[:2]
            low, high, _ = _difference(region, first, second)
            row |= {"runner_up": region.layers[second], "difference": region.score[first] - region.score[second]}
            row |= {"ci_low": low, "ci_high": high, "distinct": bool(low > 0 or high < 0)}
        rows.append(row)
    return pd.DataFrame(rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """Scores (n_layers,) of one region and their bootstrap draws (n_layers, n) of ``n_units`` stimuli or blocks."""

    subject: str
    label: Any
    layers: list[str]
    score: Floats
    draws: Floats
    n_units: int
    crossed: bool


def _regions(scores: Scores, by: str, n: int, seed: int) -> list[_Region]:
    if not scores.predictions:
        raise InputError("comparing layers needs the held-out predictions", where="compare_layers", fix="score with keep_predictions=True")
    if n < 20:
        raise InputError("an interval needs at least 20 bootstrap draws", where="compare_layers", got=n)
    need_column(scores.targets, by, "Scores.targets")
    out = []
    for subject in scores.predictions:
        mine = scores.targets[scores.targets["subject"] == subject].reset_index(drop=True)
        folds, many, crossed = _folds(scores, subject, n, seed), n_units(scores.test_rows[subject]), is_crossed(scores.test_rows[subject])
        predictions = scores.predictions[subject]
        for label, index in mine.groupby(by, sort=False).indices.items():
            both = _layers(scores.observed[subject][:, index], [values[:, index] for values in predictions.values()], folds)
            out.append(_Region(subject, label, list(predictions), np.array([b[0] for b in both]), np.stack([b[1] for b in both]), many, crossed))
    return out


def _folds(scores: Scores, subject: str, n: int, seed: int) -> list[tuple[npt.NDArray[np.intp], Floats]]:
    """Return rows and bootstrap weights (n, n_rows) of each fold, or of all rows together where predictions were pooled."""
    folds = bootstrap_folds(scores.test_rows[subject], n, seed, subject, pooled=scores.aggregate == "pooled")
    return [(rows, weights.astype(np.float32)) for rows, weights in folds]  # predictions are kept in float32 too


def _layers(
    observed: npt.NDArray[Any], predictions: list[npt.NDArray[Any]], folds: list[tuple[npt.NDArray[np.intp], Floats]]
) -> list[tuple[float, Floats]]:
    """Return the score and the draws of each layer of one region; what belongs to the observed values is computed once."""
    n_draws = len(folds[0][1])
    draws = [np.zeros((n_draws, observed.shape[1])) for _ in predictions]
    for rows, weights in folds:
        own = bootstrap_moments(observed[rows], weights)
        for total, predicted in zip(draws, predictions, strict=True):
            total += bootstrap_correlation(own, bootstrap_moments(predicted[rows], weights), weights) / len(folds)
    out = []
    for total, predicted in zip(draws, predictions, strict=True):
        point = np.mean([pearson(observed[rows], predicted[rows]) for rows, _ in folds], axis=0)
        known = np.isfinite(point)
        if known.any():
            out.append((float(np.median(point[known])), _median(total[:, known])))
        else:
            out.append((float("nan"), np.full(n_draws, np.nan)))
    return out


def _median(draws: Floats) -> Floats:
    """Return the median over targets of each draw; a target without a correlation in a draw is left out of that draw."""
    some = np.isfinite(draws).any(axis=1)
    out = np.full(len(draws), np.nan)
    out[some] = np.median(draws[some], axis=1) if np.isfinite(draws).all() else np.nanmedian(draws[some], axis=1)
    return out


def _difference(region: _Region, first: int, second: int) -> tuple[float, float, float]:
    point = region.score[first : first + 1] - region.score[second : second + 1]
    low, high, p = paired_interval(point, (region.draws[first] - region.draws[second]).astype(np.float64)[:, None], region.n_units, crossed=region.crossed)
    return float(low[0]), float(high[0]), float(p[0])
