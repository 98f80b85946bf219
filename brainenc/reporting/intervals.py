"""How sure the numbers are: bootstrap intervals over test stimuli, where predictions were kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import BrainencError, InputError
from brainenc.metrics.resample import bootstrap_folds, bootstrap_pearson, n_units
from brainenc.metrics.scores import pearson
from brainenc.nouns import Scores

Floats = npt.NDArray[np.float64]
N_DRAWS = 1000
MAX_TARGETS = 400
MIN_UNITS = 10  # stimuli or blocks; the number is our choice


class Intervals:
    """95 % percentile intervals of a region's median Pearson r; the same resamples serve every region and layer of a subject.

    For folds that train one another they are √2 wider about the score, as those of `brainenc.encoding.bootstrap`.

    The statistic is the one that the report shows: the median over targets of the mean over folds of r. The units of ``test_rows``
    (stimuli, or blocks of scans) are drawn with replacement by `brainenc.metrics.resample.bootstrap_folds`.
    """

    def __init__(self, scores: Scores, metric: str) -> None:
        self.scores, self.usable = scores, metric == "pearson" and bool(scores.predictions)
        self._draws: dict[str, list[tuple[npt.NDArray[np.intp], Floats]]] = {}

    def of(self, subject: str, layer: str, targets: npt.NDArray[np.intp]) -> tuple[float, float] | None:
        """Return the interval of one layer on some targets (positions among the subject's); None where nothing was kept or a fold is a single unit.

        More than 400 targets are thinned evenly.
        """
        predicted = self.scores.predictions.get(subject, {}).get(layer) if self.usable else None
        draws_of = self._folds(subject) if predicted is not None and len(targets) else []
        if predicted is None or not draws_of:
            return None
        chosen = targets[
            np.unique(np.linspace(0, len(targets) - 1, min(len(targets), MAX_TARGETS)).round().astype(int))
        ]
        observed = self.scores.observed[subject]
        parts = [
            bootstrap_pearson(observed[np.ix_(rows, chosen)], predicted[np.ix_(rows, chosen)], weights)
            for rows, weights in draws_of
        ]
        draws = np.mean(parts, axis=0)
        medians = [np.median(row[np.isfinite(row)]) for row in draws if np.isfinite(row).any()]
        scored = np.mean([pearson(observed[np.ix_(rows, chosen)], predicted[np.ix_(rows, chosen)]) for rows, _ in draws_of], axis=0)
        if not medians or not np.isfinite(scored).any():
            return None
        from brainenc.encoding._resampled import is_crossed, percentile_interval

        crossed = is_crossed(self.scores.test_rows[subject])
        return percentile_interval(float(np.median(scored[np.isfinite(scored)])), np.array(medians), crossed=crossed)

    def at(self, subject: str, picks: Sequence[tuple[str, npt.NDArray[np.intp]]]) -> tuple[float, float] | None:
        """Return the interval of the mean over folds of the median r, where each fold has a layer and targets of its own."""
        draws_of = self._folds(subject) if self.usable and subject in self.scores.predictions else []
        if not draws_of or len(picks) != len(draws_of) or not all(len(targets) for _, targets in picks):
            return None
        parts, points = [], []
        for (rows, weights), (layer, targets) in zip(draws_of, picks, strict=True):
            y, predicted = (array[np.ix_(rows, targets)] for array in (self.scores.observed[subject], self.scores.predictions[subject][layer]))
            parts.append(_medians(bootstrap_pearson(y, predicted, weights)))
            points.append(_medians(pearson(y, predicted)[None])[0])
        draws, point = np.mean(parts, axis=0), float(np.mean(points))
        draws = draws[np.isfinite(draws)]
        if not len(draws) or not np.isfinite(point):
            return None
        from brainenc.encoding._resampled import is_crossed, percentile_interval

        return percentile_interval(point, draws, crossed=is_crossed(self.scores.test_rows[subject]))

    def _folds(self, subject: str) -> list[tuple[npt.NDArray[np.intp], Floats]]:
        if subject not in self._draws:
            pooled = self.scores.aggregate == "pooled"
            try:
                few = n_units(self.scores.test_rows[subject]) < MIN_UNITS
                self._draws[subject] = [] if few else bootstrap_folds(self.scores.test_rows[subject], N_DRAWS, 0, "report", pooled=pooled)
            except InputError:  # a fold of one unit: nothing to resample
                self._draws[subject] = []
        return self._draws[subject]


def _medians(rows: Floats) -> Floats:
    """Return the median of what is finite in each row."""
    return np.array([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in rows])


def winner_rows(scores: Scores, metric: str, by: str | None = None) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of the table of winners (paired bootstrap) in each region, or group of ``by``, or none and the reason."""
    if metric != "pearson":
        return [], f"Paired comparisons are made for Pearson r, and these scores are {metric}."
    if not scores.predictions:
        return (
            [],
            "Predictions were not kept (or belong to several split seeds), so layers cannot be compared stimulus by stimulus.",
        )
    if len(scores.layers) < 2:
        return [], "There is only one layer to score."
    from brainenc.encoding import winners

    by = by or ("roi" if "roi" in scores.targets and scores.targets["roi"].notna().any() else "subject")
    try:
        table = winners(scores.entry(metric=metric), by=by)
    except BrainencError as error:
        return [], f"The comparison was not possible: {error}"
    table = table.assign(region="all targets" if by == "subject" else table[by])
    return pd.DataFrame(table).to_dict("records"), ""
