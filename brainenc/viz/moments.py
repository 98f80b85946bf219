"""From `Scores` of recordings to courses: layers by channels (or regions) by times, and the moment at which each channel is read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.nouns.ceiling import METRIC_UNITS
from brainenc.nouns.scores import Scores
from brainenc.nouns.spaces import ContactSpace, SensorSpace
from brainenc.nouns.tables import need_column
from brainenc.viz.summaries import finite_mean, metrics_of

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Courses:
    """Scores of one subject through time.

    Attributes
    ----------
    metric, subject, by : str
        ``by``: the column that names the cells, "channel" or "roi".
    models, layers : list of str
    cells : list of str
        Channels or regions, in the order in which they appear.
    times : ndarray of shape (n_times,)
        Seconds; one NaN where the targets have no time.
    folds : ndarray of shape (n_layers, n_folds, n_cells, n_times)
        Held-out scores, the median over the targets of a cell at a time; the folds of several split seeds stand one after the other.
    inner : ndarray like ``folds``, or None
        Training-row scores, where there is one for each fold.
    shares : ndarray like ``folds``
        Median of score / ceiling; NaN without a ceiling.
    ceiling : ndarray of shape (n_cells, n_times)
        In the units of the metric; NaN where there is none.
    ci : ndarray of shape (2, n_layers, n_cells, n_times), or None
        95 % intervals, and ``q`` (n_layers, n_cells, n_times), of a single split seed whose cells are one target at each time, where known.
    q : ndarray or None
    n_targets : ndarray of int, shape (n_cells, n_times)
    index : ndarray of int, shape (n_targets, 2)
        Cell and time of each target of the subject.
    """

    metric: str
    subject: str
    by: str
    models: list[str]
    layers: list[str]
    cells: list[str]
    times: Floats
    folds: Floats
    inner: Floats | None
    shares: Floats
    ceiling: Floats
    ci: Floats | None
    q: Floats | None
    n_targets: Index
    index: Index

    @property
    def names(self) -> list[str]:
        """Return ``model/layer`` of each layer."""
        return [f"{model}/{layer}" for model, layer in zip(self.models, self.layers, strict=True)]

    @property
    def score(self) -> Floats:
        """Return the mean over folds (n_layers, n_cells, n_times)."""
        return finite_mean(self.folds.swapaxes(0, 1))

    def best_layers(self, cell: str | None = None) -> list[int]:
        """Return the layer of each model whose course stands highest, in one cell or by the mean over cells: on training rows where these are known."""
        judged = self.score if self.inner is None else finite_mean(self.inner.swapaxes(0, 1))
        level = finite_mean(judged.swapaxes(0, 1)) if cell is None else judged[:, self.cells.index(cell)]
        top = np.where(np.isfinite(level), level, -np.inf).max(axis=1)
        return [max((i for i, other in enumerate(self.models) if other == model), key=lambda i: top[i]) for model in dict.fromkeys(self.models)]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """Where one cell is read: in each fold the layer and time with the best training-row score (``honest``), or the best held-out ones.

    ``score`` is the mean over folds of the held-out score there, ``ceiling`` and ``share`` those of ceiling and score / ceiling; ``layer`` the
    one that most folds choose and ``time`` (s) the middle of the times they choose; ``picks`` (n_folds, 2) the layer and time of each fold.
    """

    cell: str
    layer: int
    time: float
    score: float
    ceiling: float
    share: float
    n_targets: int
    honest: bool
    picks: Index


def is_recording(scores: Scores) -> bool:
    """Return whether all targets are those of sensors or contacts."""
    return bool(scores.spaces) and all(isinstance(space, SensorSpace | ContactSpace) for space in scores.spaces.values())


def with_sensors(scores: Scores) -> Scores:
    """Return scores whose targets have the columns channel and time where all spaces know them."""
    if {"channel", "time"} <= set(scores.targets) or not is_recording(scores):
        return scores
    spaces, known = list(scores.spaces.values()), {}
    parts = [_places(space) for space in spaces if isinstance(space, SensorSpace | ContactSpace)]
    for name in ("channel", "time"):
        if name not in scores.targets and all(name in part for part in parts):
            known[name] = np.concatenate([part[name].to_numpy() for part in parts])
    return replace(scores, targets=scores.targets.assign(**known))


def cell_column(scores: Scores) -> str:
    """Return the column that names the cells: regions where any are known, else channels."""
    return "roi" if "roi" in scores.targets and scores.targets["roi"].notna().any() else "channel"


def courses(scores: Scores, metric: str | None = None, *, subject: str | None = None, by: str | None = None) -> Courses:
    """Return the courses of one subject.

    Parameters
    ----------
    scores : Scores
        Of sensors or contacts, or with the column ``channel`` (and ``time``, s) in ``targets``.
    metric : str, optional
        The first metric when not given.
    subject : str, optional
        Needed when there are several.
    by : str, optional
        ``"channel"``, ``"roi"`` or another column; by default regions where any are known, else channels.

    Raises
    ------
    InputError
        For several subjects without a choice.
    NotFoundError
        Without such a column.
    """
    one = with_sensors(scores if subject is None else scores.where(subject=subject))
    if len(one.subjects) > 1:
        raise InputError("courses are those of one subject", where="courses", expected="subject=…", got=", ".join(one.subjects))
    one = one.entry(metric=metric or metrics_of(one)[0])
    by = cell_column(one) if by is None else by
    named = need_column(one.targets, by, "Scores.targets")
    cell, cells = pd.factorize(named.astype(object), use_na_sentinel=True)
    when = pd.to_numeric(one.targets["time"]).to_numpy(dtype=float) if "time" in one.targets else np.full(len(named), np.nan)
    times, time = (np.array([np.nan]), np.zeros(len(named), dtype=np.intp)) if np.isnan(when).all() else np.unique(when, return_inverse=True)
    rows = one.entries[["model", "layer"]].astype(str).agg("/".join, axis=1)
    members = [np.flatnonzero(rows == label) for label in dict.fromkeys(rows)]
    index = np.stack([cell, time], axis=1)
    shape = (len(cells), len(times))
    per_fold = lambda array: _at(_layers(array, members), index, shape)  # noqa: E731
    name = str(one.entries["metric"].iloc[0])
    known = one.ceiling is not None and name in METRIC_UNITS
    limit = one.ceiling.of(name) if known else np.full(len(named), np.nan)  # type: ignore[union-attr]
    shares = one.ceiling.normalize(one.values, name) if known else np.full(one.values.shape, np.nan)  # type: ignore[union-attr]
    inner = per_fold(one.inner) if one.inner is not None and one.inner.shape == one.values.shape else None
    count = np.zeros(shape, dtype=np.intp)
    np.add.at(count, (cell[cell >= 0], time[cell >= 0]), 1)
    first = [int(m[0]) for m in members]
    models, layers = (one.entries[column].astype(str).to_numpy()[first].tolist() for column in ("model", "layer"))
    single = all(len(m) == 1 for m in members) and int(count.max(initial=0)) <= 1
    whole = lambda array: None if array is None or not single else _at(array[..., first, :], index, shape)  # noqa: E731
    return Courses(name, str(one.subjects[0]), by, models, layers, [str(c) for c in cells], times, per_fold(one.values), inner, per_fold(shares),
                   _at(limit[None], index, shape)[0], whole(one.ci), whole(one.q), count, index)  # fmt: skip


def moments(found: Courses, layer: int | None = None) -> list[Moment]:
    """Return, for each cell, the moment at which it is read; ``layer`` looks at one layer only."""
    chosen = slice(None) if layer is None else slice(layer, layer + 1)
    held = found.folds[chosen]
    honest = found.inner is not None
    judged = np.broadcast_to(found.score[chosen][:, None], held.shape) if found.inner is None else found.inner[chosen]
    n_layers, n_folds, n_cells, n_times = held.shape
    out = []
    for c, cell in enumerate(found.cells):
        level = judged[:, :, c].swapaxes(0, 1).reshape(n_folds, -1)
        picks = np.stack(np.unravel_index(np.where(np.isfinite(level), level, -np.inf).argmax(axis=1), (n_layers, n_times)), axis=1)
        there = (picks[:, 0], np.arange(n_folds), c, picks[:, 1])
        votes = np.bincount(picks[:, 0], minlength=n_layers)
        winner = int(votes.argmax())
        picks = picks + np.array([layer or 0, 0])
        middle = int(np.sort(picks[:, 1])[(n_folds - 1) // 2])
        out.append(
            Moment(cell, winner + (layer or 0), float(found.times[middle]), _mean(held[there]), _mean(found.ceiling[c, picks[:, 1]]),
                   _mean(found.shares[chosen][there]), int(found.n_targets[c, middle]), honest, picks)
        )  # fmt: skip
    return out


def moment_table(scores: Scores) -> pd.DataFrame:
    """Return one row per subject, cell, layer, metric and split seed: the score at the time that training rows choose.

    Columns: subject, roi and channel (the one of them that names the cell), time (s), model, layer, metric, seed, score, ceiling, normalized, n_targets,
    n_nan, n_test, aggregate, split, ceiling_status, time_chosen ("training rows", or "held-out rows" where no training-row scores are known).
    """
    scores = with_sensors(scores)
    n_test = scores.n_test.sum(axis=0)
    of_subject, seeds = scores.targets["subject"].astype(str).to_numpy(), dict.fromkeys(scores.entries["seed"])
    rows = []
    for subject in scores.subjects:
        tested = int(np.median(n_test[of_subject == str(subject)]))
        for metric in metrics_of(scores):
            for seed in seeds:
                found = courses(scores.entry(metric=metric, seed=seed), subject=subject)
                for i, (model, layer) in enumerate(zip(found.models, found.layers, strict=True)):
                    for one in moments(found, i):
                        where = {name: one.cell if name == found.by else None for name in dict.fromkeys(["roi", "channel", found.by])}
                        rows.append({"subject": subject, **where, "time": one.time, "model": model, "layer": layer, "metric": metric, "seed": seed,
                                     "score": one.score, "ceiling": one.ceiling, "normalized": one.share, "n_targets": one.n_targets,
                                     "n_nan": int(np.isnan(one.score)), "n_test": tested,
                                     "time_chosen": "training rows" if one.honest else "held-out rows"})  # fmt: skip
    return pd.DataFrame(rows).assign(aggregate=scores.aggregate, split=scores.split, ceiling_status=scores.ceiling_status)


def _places(space: SensorSpace | ContactSpace) -> pd.DataFrame:
    if isinstance(space, ContactSpace):
        return space.table
    return pd.DataFrame({"channel": space.channels["channel"].to_numpy()[space.channel], "time": space.times[space.time]})


def _layers(array: Floats, members: list[Index]) -> Floats:
    """Return (n_layers, n_seeds · n_folds, n_targets) of (n_entries, n_folds, n_targets)."""
    return np.stack([array[index].reshape(-1, array.shape[-1]) for index in members])


def _at(values: Floats, index: Index, shape: tuple[int, int]) -> Floats:
    """Return (…, n_cells, n_times): the median of the finite (…, n_targets) of each cell and time, NaN where there is none."""
    out = np.full((*values.shape[:-1], shape[0] * shape[1]), np.nan)
    flat = index[:, 0] * shape[1] + index[:, 1]
    kept = np.flatnonzero(index[:, 0] >= 0)
    order = kept[np.argsort(flat[kept], kind="stable")]
    places, starts, counts = np.unique(flat[order], return_index=True, return_counts=True)
    alone = counts == 1
    out[..., places[alone]] = values[..., order[starts[alone]]]
    for place, start, count in zip(places[~alone], starts[~alone], counts[~alone], strict=True):
        out[..., place] = _median(values[..., order[start : start + count]])
    return out.reshape(*values.shape[:-1], *shape)


def _mean(values: Floats) -> float:
    return float(finite_mean(values[:, None])[0])


def _median(values: Floats) -> Floats:
    """Return the median over the last axis of what is finite."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.inf), axis=-1)
    n = np.isfinite(values).sum(axis=-1)
    low, high = (np.take_along_axis(ordered, np.maximum(k, 0)[..., None], axis=-1)[..., 0] for k in ((n - 1) // 2, n // 2))
    return np.where(n > 0, (low + np.where(n > 0, high, low)) / 2, np.nan)
