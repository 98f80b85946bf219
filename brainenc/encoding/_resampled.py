"""Held-out rows resampled: permutation tests and bootstrap draws of the scores of one subject."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.metrics._columns import column_chunks
from brainenc.metrics._intervals import bootstrap_interval
from brainenc.metrics.resample import bootstrap_folds, bootstrap_pearson, bootstrap_r2, n_units
from brainenc.metrics.scores import get

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
BOOTSTRAPS = {"pearson": bootstrap_pearson, "r2": bootstrap_r2}
SCALES = {"pearson": "correlation", "r2": "variance"}  # where the interval is symmetric: Fisher's z, and log(1 − R²)


def score_interval(observed: Array, predicted: Array, rows: pd.DataFrame, metric: str, *, n: int, seed: int, subject: str, pooled: bool) -> Floats:
    """Return the 95 % interval (2, n_targets) of the score over the units of the test rows; NaN for a metric without a bootstrap.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_test_rows, n_targets)
    rows : DataFrame
        One row a test row: fold, unit, stimulus_id where known.
    """
    out = np.full((2, observed.shape[1]), np.nan)
    if metric not in BOOTSTRAPS:
        return out
    folds, many = bootstrap_folds(rows, n, seed, subject, pooled=pooled), n_units(rows)
    for part in column_chunks(n, observed.shape[1]):
        y, p = observed[:, part], predicted[:, part]
        point = np.mean([get(metric)(y[index], p[index]) for index, _ in folds], axis=0)
        draws = np.mean([BOOTSTRAPS[metric](y[index], p[index], weights) for index, weights in folds], axis=0)
        out[:, part] = bootstrap_interval(point, draws, many, SCALES[metric])
    return out


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


def family_p(observed: Floats, tops: Floats) -> Floats:
    """Return p_max = (1 + #{largest r* ≥ r}) / (1 + n) for r of any shape and the maxima (n,) of its family; NaN stays NaN."""
    ordered = np.sort(tops)
    hits = len(ordered) - np.searchsorted(ordered, np.nan_to_num(observed) - 1e-12, side="left")
    return np.where(np.isnan(observed), np.nan, (1 + hits) / (1 + len(ordered)))


def subjects_of(names: Sequence[str], subjects: npt.NDArray[Any]) -> Iterator[tuple[str, npt.NDArray[np.intp]]]:
    """Yield each subject with the positions of its targets."""
    for name in names:
        yield name, np.flatnonzero(subjects == name)
