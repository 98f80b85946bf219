"""Does the order of the layers follow the order of the areas and of time: the read-outs of a hierarchy.

For the layer that a region looks most like by similarity rather than by an encoding model see `brainenc.rsa.similarity.pseudo_depth`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import InputError
from brainenc.encoding._reading import (
    Floats,
    How,
    Part,
    Readout,
    array_part,
    depths_of,
    layers_by_model,
    peak_depths,
    pearson_known,
    percentiles,
    score_parts,
    whole,
)
from brainenc.encoding._resampled import BOOTSTRAPS, SUMMARIES
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column

Given = Mapping[str, float] | npt.ArrayLike | None


def spatial_score(
    scores: Scores | npt.ArrayLike, distances: Given = None, *, depth: Given = None, by: str = "roi", origin: str = "V1", metric: str = "pearson",
    summary: str = "median", n: int = 1000, seed: int = 0,
) -> Readout:  # fmt: skip
    """Correlate the depth of each region's best layer with the region's distance to V1: positive where deeper layers fit areas further away.

    k*_c = depth of argmax_l R_lc;  spatial score = Pearson over c of (k*_c, distance_c)

    Parameters
    ----------
    scores : Scores, or array ([n_replicates,] n_layers, n_cells)
        With kept predictions the test stimuli are resampled, with replicates (subjects, sessions) these; otherwise there are no intervals.
    distances : mapping of label to mm, or array (n_cells,), optional
        Needed for arrays; for `Scores` a mapping by region, or a number a target with ``by="target"``. By default the Euclidean distance to
        ``origin`` from the x, y, z of the targets or of their space, see `distances_to`.
    depth : mapping of "model/layer" to float, or array (n_layers,), optional
        By default 0 for the first to 1 for the last layer of each model.
    by : str
        A column of the targets, or ``"target"``.
    origin : str
    metric : {"pearson", "r2"}
    summary : {"median", "mean"}
        Over the targets of a region.
    n, seed : int
        Bootstrap draws.

    Returns
    -------
    Readout
        ``table``: subject, model, score, ci_low, ci_high, draws_mean, n_cells (used), n_tied, n_below_floor, n_missing. ``cells``: the regions with distance,
        depth (k*), depth_low, depth_high, score (of the best layer).

    Raises
    ------
    InputError
        For models of one layer, unknown regions, missing coordinates.

    Notes
    -----
    After Raugel et al. 2025 (arXiv 2508.18226), from a description of it. Intervals, the treatment of ties (two best layers equal to 1e-12: NaN)
    and of targets below the floor of their ceiling (left out of their region, or NaN) are our choice. Neighbouring areas are alike, so a p-value of
    this correlation would be wrong; see `brainenc.encoding.map_association`.

    Noise puts best layers in the wrong place, which draws the score towards zero, and percentiles of draws do not know by how much: with 8 regions
    and 12 replicates a true score of 0.42 was covered in 96 % of simulations or more, one of 0.98 in 87 % with little noise and in 5 % with much,
    where it reads 0.84. ``draws_mean`` below ``score`` is the sign of it, and the smaller part (0.05 where 0.14 were lost): scores of models,
    subjects or checkpoints that differ in noise cannot be compared.

    Examples
    --------
    >>> import numpy as np
    >>> layers, areas = np.arange(5)[:, None], np.array([0.2, 1.1, 1.9, 3.8])
    >>> spatial_score(-np.abs(layers - areas), [0.0, 20.0, 35.0, 60.0]).table["score"].round(3).tolist()
    [0.994]
    """
    how = _how(by, metric, n, seed, summary)
    if not isinstance(scores, Scores):
        part = array_part(scores, how, "spatial_score")
        k, draws, tied = _peaks([part], depths_of(len(part.point), depth, "spatial_score"))
        return _joined([_spatial({"subject": None, "model": None}, [part], (k, draws, tied), _given(distances, part.labels, "cell", "spatial_score"))])
    found = []
    for subject in scores.subjects:
        far = _distances(scores, subject, by, origin) if distances is None else distances
        for model, names in layers_by_model(scores, "spatial_score").items():
            k_of = depths_of(names, depth, "spatial_score")
            parts, peaks = [], []
            for part in score_parts(scores, subject, names, how, "spatial_score"):
                peaks.append(_peaks([part], k_of))
                parts.append(part._replace(draws=part.draws[:0]))
            joined = tuple(np.concatenate([one[i] for one in peaks], axis=-1) for i in range(3))
            labels = pd.concat([part.labels for part in parts], ignore_index=True)
            column = by if by != "target" else "target_id"
            found.append(_spatial({"subject": subject, "model": model}, parts, joined, _given(_mine(far, scores, subject), labels, column, "spatial_score")))
    return _joined(found)


def temporal_score(
    scores: Scores | npt.ArrayLike, times: npt.ArrayLike | None = None, *, depth: Given = None, threshold: float = 0.95, metric: str = "pearson",
    summary: str = "mean", n: int = 1000, seed: int = 0,
) -> Readout:  # fmt: skip
    """Correlate the depth of each layer with the time at which it fits best: positive where deeper layers fit later.

    R̃_k(t) = R_k(t) / max_t R_k;  T_max(k) = mean of the times where R̃_k ≥ threshold;  temporal score = Pearson over k of (k, T_max(k))

    Parameters
    ----------
    scores : Scores whose targets have a time, or array ([n_replicates,] n_layers, n_times)
    times : array_like of shape (n_times,), optional
        Needed for arrays; for `Scores` those of the targets.
    depth : mapping of "model/layer" to float, or array (n_layers,), optional
        By default 0 for the first to 1 for the last layer of each model.
    threshold : float
        Above 0, at most 1 (the time of the maximum alone).
    metric : {"pearson", "r2"}
    summary : {"mean", "median"}
        Over the channels at each time.
    n, seed : int
        Bootstrap draws, as in `spatial_score`.

    Returns
    -------
    Readout
        ``table``: subject, model, score, ci_low, ci_high, draws_mean, n_cells (layers used), n_missing. ``cells``: the layers with depth, latency (T_max, in
        the unit of the times), latency_low, latency_high, score (the maximum). A layer that is nowhere above zero has no latency.

    Notes
    -----
    After Raugel et al. 2025 (arXiv 2508.18226), from a description of it; intervals are percentiles of draws and our choice: they covered a true
    score of 0.90 in 99 % of simulations (6 layers, 12 replicates). A noisy curve has single high points: smooth it, or take fewer times, before its
    maximum is believed.

    Examples
    --------
    >>> import numpy as np
    >>> times = np.linspace(0.0, 1.0, 101)
    >>> curves = np.exp(-0.5 * ((times - np.array([[0.2], [0.3], [0.6]])) / 0.1) ** 2)
    >>> readout = temporal_score(curves, times)
    >>> readout.cells["latency"].round(2).tolist(), readout.table["score"].round(3).tolist()
    ([0.2, 0.3, 0.6], [0.961])
    """
    if not 0.0 < threshold <= 1.0:
        raise InputError("the threshold is a share of the maximum", where="temporal_score", expected="above 0, at most 1", got=threshold)
    how = _how("time", metric, n, seed, summary)
    if not isinstance(scores, Scores):
        part = array_part(scores, how, "temporal_score")
        when = _times(times, part.point.shape[1])
        names = [str(i) for i in range(len(part.point))]
        return _joined([_temporal({"subject": None, "model": None}, names, part, (when, depths_of(len(names), depth, "temporal_score"), threshold))])
    if times is not None:
        raise InputError("the targets have their times", where="temporal_score", fix="leave times out")
    need_column(scores.targets, "time", "Scores.targets")
    found = []
    for subject in scores.subjects:
        for model, names in layers_by_model(scores, "temporal_score").items():
            parts = list(score_parts(scores, subject, names, how, "temporal_score"))
            joined = Part(
                pd.concat([part.labels for part in parts], ignore_index=True), np.concatenate([part.point for part in parts], axis=1),
                np.concatenate([part.draws for part in parts], axis=2), np.concatenate([part.low for part in parts]),
            )  # fmt: skip
            when = joined.labels["time"].to_numpy(dtype=np.float64)
            rest = (when, depths_of(names, depth, "temporal_score"), threshold)
            found.append(_temporal({"subject": subject, "model": model}, [name.split("/", 1)[1] for name in names], joined, rest))
    return _joined(found)


def distances_to(
    coordinates: npt.ArrayLike, roi: Sequence[Any] | npt.ArrayLike, *, origin: str = "V1", hemi: npt.ArrayLike | None = None, per: str = "region"
) -> dict[str, float] | Floats:
    """Return the Euclidean distance (mm) of every region, or of every target, to the centroid of the region ``origin``.

    Parameters
    ----------
    coordinates : array_like of shape (n_targets, 3)
        Millimetres, MNI for distances that mean the same in every subject.
    roi : array_like of shape (n_targets,)
    origin : str
    hemi : array_like of shape (n_targets,), optional
        Distances are then taken within each hemisphere, to its own part of the origin, and a region's are averaged over hemispheres: the
        centroid of a region on both sides lies between them.
    per : {"region", "target"}

    Returns
    -------
    dict of label to mm, or ndarray of shape (n_targets,)
        Region centroid to origin centroid, or target to origin centroid; NaN in a hemisphere without origin.

    Examples
    --------
    >>> distances_to([[0, 0, 0], [2, 0, 0], [1, 3, 0]], ["V1", "V1", "V4"])
    {'V1': 0.0, 'V4': 3.0}
    """
    one_of(per, ("region", "target"), "per")
    xyz, labels = np.asarray(coordinates, dtype=np.float64), np.asarray(roi, dtype=object)
    if xyz.shape != (len(labels), 3):
        raise InputError("three coordinates per target are needed", where="distances_to", expected=f"({len(labels)}, 3)", got=f"shape {xyz.shape}")
    if not (labels == origin).any():
        raise InputError("no target lies in the origin", where="distances_to", expected=repr(origin), got=examples(pd.unique(labels)))
    sides = np.zeros(len(labels), dtype=object) if hemi is None else np.asarray(hemi, dtype=object)
    out = np.full(len(labels), np.nan)
    regions: dict[str, list[float]] = {str(label): [] for label in pd.unique(labels) if not pd.isna(label)}
    for side in pd.unique(sides):
        here = sides == side
        if not (here & (labels == origin)).any():
            continue
        zero = xyz[here & (labels == origin)].mean(axis=0)
        out[here] = np.linalg.norm(xyz[here] - zero, axis=1)
        for label in regions:
            if (here & (labels == label)).any():
                regions[label].append(float(np.linalg.norm(xyz[here & (labels == label)].mean(axis=0) - zero)))
    return out if per == "target" else {label: float(np.mean(found)) if found else float("nan") for label, found in regions.items()}


def _how(by: str, metric: str, n: int, seed: int, summary: str) -> How:
    one_of(metric, tuple(BOOTSTRAPS), "metric")
    one_of(summary, tuple(SUMMARIES), "summary")
    return How(by, metric, whole(n, 20, "n", "the bootstrap"), seed, summary)


def _peaks(parts: Sequence[Part], depth: Floats) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Return k* (n_cells,), its draws (n, n_cells) and the ties of one part."""
    (part,) = parts
    k, tied = peak_depths(part.point, depth)
    draws = peak_depths(part.draws, depth)[0]
    gone = part.low | ~np.isfinite(k)
    return np.where(gone, np.nan, k), np.where(gone, np.nan, draws), tied & ~part.low


def _spatial(who: dict[str, Any], parts: Sequence[Part], peaks: Any, far: Floats) -> tuple[dict[str, Any], pd.DataFrame, Floats]:
    k, draws, tied = peaks
    low = np.concatenate([part.low for part in parts])
    top = np.concatenate([part.point.max(axis=0) for part in parts])
    values = pearson_known(draws, far)
    ends, used = percentiles(values[:, None])[:, 0], np.isfinite(k) & np.isfinite(far)
    row = {**who, "score": float(pearson_known(k, far)), "ci_low": ends[0], "ci_high": ends[1], "draws_mean": _mean(values), "n_cells": int(used.sum())}
    row |= {"n_tied": int(tied.sum()), "n_below_floor": int(low.sum())}
    row["n_missing"] = len(k) - int(used.sum()) - row["n_tied"] - row["n_below_floor"]
    k_ends = percentiles(draws)
    labels = pd.concat([part.labels for part in parts], ignore_index=True)
    table = labels.assign(distance=far, depth=k, depth_low=k_ends[0], depth_high=k_ends[1], score=np.where(np.isfinite(k), top, np.nan))
    return row, pd.DataFrame({name: [value] * len(table) for name, value in who.items()}).join(table.drop(columns=list(who), errors="ignore")), values


def _temporal(who: dict[str, Any], names: list[str], part: Part, rest: tuple[Floats, Floats, float]) -> tuple[dict[str, Any], pd.DataFrame, Floats]:
    when, depth, threshold = rest
    latency, draws = (_latencies(values, when, threshold) for values in (part.point, part.draws))
    draws = np.where(np.isfinite(latency), draws, np.nan)
    values = pearson_known(draws, depth)
    ends, l_ends, used = percentiles(values[:, None])[:, 0], percentiles(draws), np.isfinite(latency)
    row = {**who, "score": float(pearson_known(latency, depth)), "ci_low": ends[0], "ci_high": ends[1], "draws_mean": _mean(values)}
    row |= {"n_cells": int(used.sum()), "n_missing": int((~used).sum())}
    table = pd.DataFrame({**{name: [value] * len(names) for name, value in who.items()}, "layer": names, "depth": depth})
    return row, table.assign(latency=latency, latency_low=l_ends[0], latency_high=l_ends[1], score=part.point.max(axis=1)), values


def _latencies(values: Floats, when: Floats, threshold: float) -> Floats:
    """Return T_max (…, n_layers) of curves (…, n_layers, n_times)."""
    top = values.max(axis=-1, keepdims=True)  # NaN where a time is missing
    with np.errstate(invalid="ignore", divide="ignore"):
        high = np.where(top > 0, values / top, -np.inf) >= threshold
        return np.asarray((high * when).sum(axis=-1) / np.where(high.any(axis=-1), high.sum(axis=-1), np.nan))


def _mean(draws: Floats) -> float:
    known = draws[np.isfinite(draws)]
    return float(known.mean()) if len(known) else float("nan")


def _joined(found: list[tuple[dict[str, Any], pd.DataFrame, Floats]]) -> Readout:
    return Readout(
        pd.DataFrame([row for row, _, _ in found]), pd.concat([table for _, table, _ in found], ignore_index=True), np.stack([draws for _, _, draws in found])
    )  # fmt: skip


def _times(times: npt.ArrayLike | None, many: int) -> Floats:
    when = np.asarray([] if times is None else times, dtype=np.float64)
    if when.shape != (many,) or not np.isfinite(when).all():
        raise InputError("one time per column of the scores is needed", where="temporal_score, times", expected=f"({many},)", got=f"shape {when.shape}")
    return when


def _given(distances: Any, labels: pd.DataFrame, column: str, where: str) -> Floats:
    """Return one distance per cell."""
    if isinstance(distances, Mapping):
        missing = [label for label in labels[column] if label not in distances]
        if missing:
            raise InputError("regions without a distance", where=f"{where}, distances", expected="one number a region", got=examples(missing))
        return np.array([float(distances[label]) for label in labels[column]])
    far = np.asarray([] if distances is None else distances, dtype=np.float64)
    if far.shape != (len(labels),):
        raise InputError("one distance per cell is needed", where=f"{where}, distances", expected=f"({len(labels)},)", got=f"shape {far.shape}")
    return far


def _mine(far: Any, scores: Scores, subject: str) -> Any:
    """Return the subject's own distances, where there is one for each target of all subjects."""
    if isinstance(far, Mapping) or len(scores.subjects) == 1 or np.shape(far) != (len(scores.targets),):
        return far
    return np.asarray(far)[(scores.targets["subject"] == subject).to_numpy()]


def _distances(scores: Scores, subject: str, by: str, origin: str) -> Any:
    mine = scores.targets[scores.targets["subject"] == subject]
    need_column(mine, "roi" if by == "target" else by, "Scores.targets")
    space = scores.spaces[subject]
    if {"x", "y", "z"} <= set(mine.columns):
        xyz = mine[["x", "y", "z"]].to_numpy(dtype=np.float64)
    elif hasattr(space, "coordinates"):
        xyz = np.asarray(space.coordinates, dtype=np.float64)
    else:
        raise InputError("targets without coordinates have no distances", where="spatial_score", fix='pass distances={"V1": 0, …}')
    hemi = mine["hemi"].to_numpy() if "hemi" in mine else getattr(space, "hemi", None)
    return distances_to(xyz, mine["roi" if by == "target" else by].to_numpy(), origin=origin, hemi=hemi, per="target" if by == "target" else "region")
