"""How sure the numbers are: bootstrap intervals over test stimuli, where predictions were kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import BrainencError
from brainenc.metrics.resample import blocks_of, bootstrap_pearson, bootstrap_weights
from brainenc.nouns import Scores

Floats = npt.NDArray[np.float64]
N_DRAWS = 1000
MAX_TARGETS = 400
SCANS_IN_A_BLOCK = 10


class Intervals:
    """95 % percentile intervals of a region's median Pearson r; the same resamples serve every region and layer of a subject.

    The statistic is the one that the report shows: the median over targets of the mean over folds of r. Test stimuli (or, for time series,
    blocks of ten scans) are drawn with replacement within each fold.
    """

    def __init__(self, scores: Scores, metric: str) -> None:
        self.scores, self.usable = scores, metric == "pearson" and bool(scores.predictions)
        self._weights: dict[str, list[tuple[npt.NDArray[np.intp], Floats]]] = {}

    def of(self, subject: str, layer: str, targets: npt.NDArray[np.intp]) -> tuple[float, float] | None:
        """Return the interval of one layer on some targets (positions among the subject's), or None where nothing was kept.

        More than 400 targets are thinned evenly.
        """
        predicted = self.scores.predictions.get(subject, {}).get(layer) if self.usable else None
        if predicted is None or not len(targets):
            return None
        chosen = targets[
            np.unique(np.linspace(0, len(targets) - 1, min(len(targets), MAX_TARGETS)).round().astype(int))
        ]
        observed = self.scores.observed[subject]
        parts = [
            bootstrap_pearson(observed[np.ix_(rows, chosen)], predicted[np.ix_(rows, chosen)], weights)
            for rows, weights in self._draws(subject)
        ]
        draws = np.mean(parts, axis=0)
        medians = [np.median(row[np.isfinite(row)]) for row in draws if np.isfinite(row).any()]
        return (float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))) if medians else None

    def _draws(self, subject: str) -> list[tuple[npt.NDArray[np.intp], Floats]]:
        if subject not in self._weights:
            rows = self.scores.test_rows[subject].reset_index(drop=True)
            pooled = self.scores.aggregate == "pooled" or "fold" not in rows
            parts = [np.arange(len(rows))] if pooled else list(rows.groupby("fold", sort=False).indices.values())
            self._weights[subject] = [
                (part, bootstrap_weights(len(part), N_DRAWS, 0, "report", n, units=_units(rows.iloc[part])))
                for n, part in enumerate(parts)
            ]
        return self._weights[subject]


def winner_rows(scores: Scores, metric: str) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of the table of winners (paired bootstrap), or none and the reason."""
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

    by = "roi" if "roi" in scores.targets and scores.targets["roi"].notna().any() else "subject"
    try:
        table = winners(scores.entry(metric=metric), by=by)
    except BrainencError as error:
        return [], f"The comparison was not possible: {error}"
    table = table.assign(region=table[by] if by == "roi" else "all targets")
    return pd.DataFrame(table).to_dict("records"), ""


def _units(rows: pd.DataFrame) -> npt.NDArray[Any]:
    if "stimulus_id" in rows and rows["stimulus_id"].notna().all():
        return rows["stimulus_id"].to_numpy()
    return blocks_of(len(rows), SCANS_IN_A_BLOCK, groups=rows["fold"] if "fold" in rows else None)
