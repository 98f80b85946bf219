"""From `Scores` to the small arrays that figures and reports show: subjects × layers × regions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.ceiling import METRIC_UNITS
from brainenc.nouns.scores import Scores

Floats = npt.NDArray[np.float64]
ALL = "all targets"


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Medians over the targets of each region.

    Attributes
    ----------
    metric : str
    subjects, models, layers, regions : list of str
        ``models[i]`` and ``layers[i]`` name row i.
    score : ndarray of shape (n_subjects, n_layers, n_regions)
        Median over targets of the mean over folds, then the mean over split seeds. NaN where nothing could be scored.
    low, high : ndarray of shape (n_subjects, n_layers, n_regions)
        Lower and upper quartile over targets.
    ceiling : ndarray of shape (n_subjects, n_regions)
        Median ceiling in the units of the metric; NaN where there is none.
    normalized : ndarray of shape (n_subjects, n_layers, n_regions)
        Median over targets of score / ceiling.
    n_targets, n_nan : ndarray of int, shape (n_subjects, n_regions)
    chosen : ndarray of int, shape (n_subjects, n_regions)
        The layer with the best inner (training-row) score, -1 where there are no inner scores.
    """

    metric: str
    subjects: list[str]
    models: list[str]
    layers: list[str]
    regions: list[str]
    score: Floats
    low: Floats
    high: Floats
    ceiling: Floats
    normalized: Floats
    n_targets: npt.NDArray[np.intp]
    n_nan: npt.NDArray[np.intp]
    chosen: npt.NDArray[np.intp]

    @property
    def names(self) -> list[str]:
        """Return ``model/layer`` of each row."""
        return [f"{model}/{layer}" for model, layer in zip(self.models, self.layers, strict=True)]

    def best(self) -> npt.NDArray[np.intp]:
        """Return, for each subject and region, the layer with the highest held-out score; -1 where none is finite."""
        finite = np.isfinite(self.score).any(axis=1)
        return np.where(finite, np.argmax(np.where(np.isfinite(self.score), self.score, -np.inf), axis=1), -1)


def finite_mean(values: Floats) -> Floats:
    """Return the mean over the first axis of what is finite; NaN where nothing is."""
    known = np.isfinite(values)
    return np.where(
        known.any(axis=0), np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan
    )


def ceiling_reason(scores: Scores) -> str:
    """Return what the ceiling is, or why there is none, without the words "no ceiling"."""
    return scores.ceiling_status.removeprefix("no ceiling: ").rstrip(".")


def ceiling_words(scores: Scores, metric: str) -> str:
    """Return what the ceiling beside scores of a metric is, in the metric's units, or "No ceiling: …" with the reason."""
    if metric.endswith("_normalized"):
        return f"Scores are {ceiling_reason(scores)}"
    if scores.ceiling is None or metric not in METRIC_UNITS:
        return f"No ceiling: {ceiling_reason(scores) if scores.ceiling is None else 'the metric has none'}"
    text = scores.ceiling.describe(metric)
    return f"{text[0].upper()}{text[1:]}"


def metrics_of(scores: Scores) -> list[str]:
    """Return the metrics of these scores, in order."""
    return list(dict.fromkeys(scores.entries["metric"].astype(str)))


def with_regions(scores: Scores, by: str = "roi") -> tuple[Scores, str]:
    """Return scores whose column ``by`` names a region for at least one target; a missing one becomes "all targets"."""
    if by in scores.targets and scores.targets[by].notna().any():
        return scores, by
    if by not in scores.targets and by != "roi":
        raise InputError(
            f"targets have no column {by!r}", where="viz", expected=", ".join(map(str, scores.targets.columns))
        )
    return replace(scores, targets=scores.targets.assign(**{by: ALL})), by


def summarize(scores: Scores, metric: str | None = None, *, by: str = "roi") -> Summary:
    """Return the medians of every layer in every region of every subject.

    Parameters
    ----------
    scores : Scores
    metric : str, optional
        One of the metrics of the scores; the first when not given.
    by : str
        Column of ``targets`` that groups them. Regions keep the order in which they first appear.
    """
    known = metrics_of(scores)
    name = known[0] if metric is None else one_of(metric, known, "metric")
    scores, by = with_regions(scores.entry(metric=name), by)
    rows = scores.entries[["model", "layer"]].astype(str).agg("/".join, axis=1)
    labels = list(dict.fromkeys(rows))
    members = [np.flatnonzero(rows == label) for label in labels]
    regions = [str(r) for r in pd.unique(scores.targets[by].dropna())]
    shape = (len(scores.subjects), len(labels), len(regions))
    score, low, high, normal = (np.full(shape, np.nan) for _ in range(4))
    ceiling = np.full((shape[0], shape[2]), np.nan)
    n_targets, n_nan, chosen = (np.zeros((shape[0], shape[2]), dtype=np.intp) for _ in range(3))
    mean = scores.mean()
    have = scores.ceiling is not None and name in ("pearson", "r2")
    limits = scores.ceiling.of(name) if have else np.full(mean.shape[1], np.nan)  # type: ignore[union-attr]
    ratio = scores.ceiling.normalize(mean, name) if have else np.full(mean.shape, np.nan)  # type: ignore[union-attr]
    of_subject, of_region = (
        scores.targets["subject"].astype(str).to_numpy(),
        scores.targets[by].astype(str).where(scores.targets[by].notna(), None).to_numpy(),
    )
    for s, subject in enumerate(scores.subjects):
        for r, region in enumerate(regions):
            here = np.flatnonzero((of_subject == str(subject)) & (of_region == region))
            n_targets[s, r] = len(here)
            n_nan[s, r] = int(np.isnan(mean[:, here]).all(axis=0).sum())
            ceiling[s, r] = _quantile(limits[None, here], 0.5)[0]
            chosen[s, r] = _choice(scores, members, here)
            for i, index in enumerate(members):
                score[s, i, r], low[s, i, r], high[s, i, r] = (
                    np.mean(_quantile(mean[np.ix_(index, here)], q)) for q in (0.5, 0.25, 0.75)
                )
                normal[s, i, r] = np.mean(_quantile(ratio[np.ix_(index, here)], 0.5))
    models, layers = (
        scores.entries[c].astype(str).to_numpy()[[m[0] for m in members]].tolist() for c in ("model", "layer")
    )
    subjects = [str(s) for s in scores.subjects]
    return Summary(name, subjects, models, layers, regions, score, low, high, ceiling, normal, n_targets, n_nan, chosen)


def _choice(scores: Scores, members: list[npt.NDArray[np.intp]], here: npt.NDArray[np.intp]) -> int:
    """Return the layer with the best median inner score, averaged over folds and seeds; -1 without inner scores."""
    if scores.inner is None or not len(here) or len(members) < 2:
        return -1
    inner = scores.inner[:, :, here]
    level = np.array([np.mean(_quantile(inner[index].reshape(-1, len(here)), 0.5)) for index in members])
    return int(np.nanargmax(level)) if np.isfinite(level).any() else -1


def _quantile(rows: Floats, q: float) -> Floats:
    """Return the quantile of the finite values of each row; NaN where a row has none."""
    result = np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        finite = row[np.isfinite(row)]
        if len(finite):
            result[i] = np.quantile(finite, q)
    return result
