"""What the hierarchy read-outs share: scores of layers by cells with draws, depths of layers, correlations over known cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.encoding._resampled import CROSSED, SUMMARIES, cells, is_crossed, layer_draws, need_predictions, summarised
from brainenc.metrics.resample import bootstrap_folds, bootstrap_weights, n_units
from brainenc.nouns.persist import Saved
from brainenc.nouns.scores import Scores

Floats = npt.NDArray[np.float64]
TIE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Readout(Saved):
    """A read-out of the hierarchy, the cells it was computed from, and its draws.

    Parameters
    ----------
    table : DataFrame
        One row a subject and model: score, ci_low, ci_high, how many cells were used and how many left out and why.
    cells : DataFrame
        One row a region (spatial) or layer (temporal) behind it, with its interval.
    draws : ndarray of shape (n_rows, n)
        The read-out in each bootstrap draw, a row for each of ``table``; no columns where nothing could be resampled.
    """

    table: pd.DataFrame
    cells: pd.DataFrame
    draws: Floats

    def __repr__(self) -> str:
        return f"Readout(\n{self.table.to_string(index=False)}\n)"


class Part(NamedTuple):
    """Scores (n_layers, n_cells) of one subject and model, their draws (n, n_layers, n_cells), labels, and cells below the floor."""

    labels: pd.DataFrame
    point: Floats
    draws: Floats
    low: npt.NDArray[np.bool_]


class How(NamedTuple):
    """What is drawn and summarised, and how."""

    by: str
    metric: str
    n: int
    seed: int
    summary: str


def array_part(values: npt.ArrayLike, how: How, where: str) -> Part:
    """Return an array (n_layers, n_cells), or replicates of it (n_replicates, n_layers, n_cells) whose mean counts and which are resampled."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError("scores have two or three axes", where=where, expected="([n_replicates,] n_layers, n_cells)", got=f"shape {array.shape}")
    point = array if array.ndim == 2 else array.mean(axis=0)
    draws = np.empty((0, *point.shape))
    if array.ndim == 3 and len(array) > 1:
        weights = bootstrap_weights(len(array), how.n, how.seed, "replicates") / len(array)
        draws = np.einsum("nr,rlc->nlc", weights, array)
        draws = point + np.sqrt(len(array) / (len(array) - 1)) * (draws - point)
    return Part(pd.DataFrame({"cell": np.arange(point.shape[1])}), point, draws, np.zeros(point.shape[1], dtype=bool))


def score_parts(scores: Scores, subject: str, names: Sequence[str], how: How, where: str) -> Iterator[Part]:
    """Yield the scores of a subject chunk by chunk, with draws over the test stimuli where predictions were kept.

    Draws are spread about the point by √(u / (u − 1)) for u resampled units, and by √2 more for folds that train one another, as in
    `brainenc.encoding.bootstrap`.
    """
    collapse = SUMMARIES[how.summary]
    mine = np.flatnonzero((scores.targets["subject"] == subject).to_numpy())
    kept = _above_floor(scores)[mine]
    drawn = bool(scores.predictions)
    held = scores.entry(metric=how.metric)
    order = [int(np.flatnonzero((held.entries["model"] + "/" + held.entries["layer"]) == name)[0]) for name in names]
    mean = held.mean()[order][:, mine]
    folds, factor = [], 1.0
    if drawn:
        need_predictions(scores, where, how.n, 20)
        rows = scores.test_rows[subject]
        folds, many = bootstrap_folds(rows, how.n, how.seed, subject, pooled=scores.aggregate == "pooled"), n_units(rows)
        factor = np.sqrt(many / (many - 1)) * (CROSSED if is_crossed(rows) else 1.0)
    for labels, index, joined in cells(scores, subject, how.by, how.n * len(names)):
        used = index[kept[index]] if joined else index
        low = np.array([not len(used)]) if joined else ~kept[index]
        columns = used if len(used) else index
        point, draws = mean[:, columns], np.empty((0, len(names), len(columns)))
        if drawn:
            found = [layer_draws(scores.observed[subject][:, columns], scores.predictions[subject][name][:, columns], folds, how.metric) for name in names]
            draws = np.stack([one[1] for one in found], axis=1)
        if joined:
            parts = [summarised(point[i], draws[:, i], collapse) for i in range(len(names))]
            point, draws = np.stack([one[0] for one in parts]), np.stack([one[1] for one in parts], axis=1)
        yield Part(labels, point, point + factor * (draws - point), low)


def _above_floor(scores: Scores) -> npt.NDArray[np.bool_]:
    """Return which targets have a ceiling above its floor; all of them where there is no ceiling."""
    if scores.ceiling is None:
        return np.ones(scores.values.shape[2], dtype=bool)
    return np.asarray(scores.ceiling.variance >= scores.ceiling.floor)


def layers_by_model(scores: Scores, where: str) -> dict[str, list[str]]:
    """Return the layers ("model/layer") of each model; each needs two, with one seed."""
    if scores.entries["seed"].nunique() > 1:
        raise InputError("scores of several split seeds", where=where, fix="choose one: scores.entry(seed=0)")
    out: dict[str, list[str]] = {}
    for model, layer in zip(scores.entries["model"], scores.entries["layer"], strict=True):
        names = out.setdefault(model, [])
        if f"{model}/{layer}" not in names:
            names.append(f"{model}/{layer}")
    few = [model for model, names in out.items() if len(names) < 2]
    if few:
        raise InputError("a model with one layer has no hierarchy", where=where, expected="at least two layers a model", got=examples(few))
    return out


def depths_of(names: Sequence[str] | int, given: Mapping[str, float] | npt.ArrayLike | None, where: str) -> Floats:
    """Return the depth of each layer: as given, or 0 for the first to 1 for the last."""
    many = names if isinstance(names, int) else len(names)
    if given is None:
        return np.linspace(0.0, 1.0, many)
    if isinstance(given, Mapping):
        if isinstance(names, int):
            raise InputError("layers of an array have no names", where=f"{where}, depth", expected=f"{many} numbers")
        missing = [name for name in names if name not in given]
        if missing:
            raise InputError("layers without a depth", where=f"{where}, depth", expected="one number a layer", got=examples(missing))
        return np.array([float(given[name]) for name in names])
    depth = np.asarray(given, dtype=np.float64)
    if depth.shape != (many,) or not np.isfinite(depth).all():
        raise InputError("one finite depth per layer is needed", where=f"{where}, depth", expected=f"({many},)", got=f"shape {depth.shape}")
    return depth


def peak_depths(values: Floats, depth: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the depth of the best layer (…, n_cells) of scores (…, n_layers, n_cells), NaN for ties and missing layers; and the ties."""
    known = np.asarray(np.isfinite(values).all(axis=-2))
    filled = np.where(known[..., None, :], values, 0.0)
    ordered = np.sort(filled, axis=-2)
    tied = known & (ordered[..., -1, :] - ordered[..., -2, :] <= TIE)
    return np.where(known & ~tied, depth[filled.argmax(axis=-2)], np.nan), tied


def pearson_known(x: Floats, y: Floats) -> Floats:
    """Return Pearson's r along the last axis over the entries known on both sides; NaN with fewer than three or without spread."""
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    known = np.isfinite(x) & np.isfinite(y)
    many = known.sum(axis=-1, keepdims=True)
    a, b = (np.where(known, side, 0.0) for side in (x, y))
    a, b = (np.where(known, side - side.sum(axis=-1, keepdims=True) / np.maximum(many, 1), 0.0) for side in (a, b))
    size = [np.sqrt((side**2).sum(axis=-1)) for side in (a, b)]
    scale = [np.where(known, np.abs(side), 0.0).max(axis=-1, initial=0.0) for side in (x, y)]
    flat = (size[0] <= 1e-12 * scale[0]) | (size[1] <= 1e-12 * scale[1]) | (many[..., 0] < 3)
    return np.where(flat, np.nan, (a * b).sum(axis=-1) / np.where(flat, 1.0, size[0] * size[1]))


def percentiles(draws: Floats) -> Floats:
    """Return the 2.5th and 97.5th percentile (2, …) over the first axis; NaN where fewer than half of the draws are known."""
    out = np.full((2, *draws.shape[1:]), np.nan)
    if len(draws):
        usable = np.isfinite(draws).mean(axis=0) > 0.5
        if usable.any():
            out[:, usable] = np.nanpercentile(draws[:, usable], (2.5, 97.5), axis=0)
    return out


def whole(value: Any, least: int, name: str, where: str) -> int:
    """Return a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} is a whole number", where=where, expected=f"at least {least}", got=repr(value))
    return int(value)
