"""The figures of a recording: layers through time, courses of channels, scalp maps, contacts on a glass brain."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from brainenc import viz
from brainenc.nouns import ContactSpace, Scores, SensorSpace
from brainenc.reporting.figures import MAX_SUBJECTS, Figure, embed
from brainenc.viz.sensors import has_places
from brainenc.viz.style import number, score_label
from brainenc.viz.summaries import metrics_of

if TYPE_CHECKING:
    from brainenc.reporting.recordings import Reading

MAX_HEAT_CELLS = 24
N_PLACES = 4  # sensors that a map of the scalp needs


def recording_figures(reading: Reading) -> list[Figure]:
    """Return the figures of one section in reading order; one that cannot be drawn stands there with the reason."""
    figures = [*_through_time(reading), *_on_the_scalp(reading), *_on_contacts(reading)]
    scores, metric, label = reading.scores, reading.metric, score_label(reading.metric)
    first = next(iter(reading.found.values()))
    if not reading.timed and 1 < len(first.cells) <= MAX_HEAT_CELLS:
        figures.append(
            embed(
                partial(viz.layer_region_heatmap, scores, metric, by=first.by, title=""), f"Layer by {reading.what}",
                f"Heat map of {len(first.layers)} layers by {len(first.cells)} {reading.what}s. {_tops(reading)}", f"{label} on held-out data.",
            )  # fmt: skip
        )
    if any(np.isfinite(one.ceiling).any() for one in reading.found.values()):
        figures.append(
            embed(
                partial(viz.score_vs_ceiling, scores, metric, title=""), "Score against ceiling", f"Scatter plot of {label} against noise ceiling.",
                "One dot for each target; both axes are in the units of the metric.", folded=True,
            )  # fmt: skip
        )
    return figures


def _through_time(reading: Reading) -> list[Figure]:
    if not reading.timed:
        return []
    scores, metric, label = reading.scores, reading.metric, score_label(reading.metric)
    figures, several = [], len(scores.layers) > 1
    regions = reading.what == "region" and len({name for one in reading.found.values() for name in one.cells}) > 1
    by = "roi" if regions else None
    if several:
        text = f"Image of {len(scores.layers)} layers by {len(next(iter(reading.found.values())).times)} times; the colour is {label}. {_peaks(reading)}"
        figures.append(embed(partial(_times, scores, metric, by), "Layers through time", text, f"Held-out {label}."))
    text = f"Curves of {label} against time, one panel for each {reading.what}. {_tops(reading)}"
    note = f"Held-out {label} of the best layer of each model in each panel."
    figures.append(embed(partial(_course, reading), f"Every {reading.what} through time", text, note))
    if several and any(np.isfinite(one.ceiling).any() for one in reading.found.values()):
        text = "Image of layers by times; the colour is the score divided by the noise ceiling."
        figures.append(embed(partial(_times, scores, metric, by, normalized=True), "Share of the ceiling through time", text, folded=True))
    for other in metrics_of(scores):
        if several and other != metric:
            text = f"Image of layers by times; the colour is {score_label(other)}."
            figures.append(embed(partial(_times, scores, other, by), f"Layers through time, {score_label(other)}", text, folded=True))
    return figures


def _times(scores: Scores, metric: str, by: str | None, **options: Any) -> Any:
    return viz.layer_time_image(scores, metric, by=by, title="", **options)


def _course(reading: Reading) -> Any:
    return viz.score_course(reading.scores, reading.metric, title="")


def _on_the_scalp(reading: Reading) -> list[Figure]:
    """Draw one row of maps for all subjects where they have the same channels, else one for each."""
    scores, label = reading.scores, score_label(reading.metric)
    spaces = scores.spaces
    if not all(isinstance(space, SensorSpace) and has_places(space) for space in spaces.values()):
        return []
    scored = [np.isfinite(one.score).any(axis=(0, 2)).sum() for one in reading.found.values()]
    if min(scored) < N_PLACES:
        return []
    alike = len({(tuple(space.channels["channel"]), tuple(space.times)) for space in spaces.values() if isinstance(space, SensorSpace)}) == 1
    whom: list[str | None] = [None] if alike else list(scores.subjects[:MAX_SUBJECTS])
    return [
        embed(
            partial(viz.scalp_series, scores, reading.metric, subject=subject, title=""), f"On the scalp{f', subject {subject}' if subject else ''}",
            f"Scalp maps of {label}, a row for each layer. {_tops(reading, subject)}",
            f"Held-out {label}" + (", at the highest moments of six parts of the time." if reading.timed else "."),
            folded=place > 1,
        )
        for place, subject in enumerate(whom)
    ]  # fmt: skip


def _on_contacts(reading: Reading) -> list[Figure]:
    """Draw the contacts of all subjects on one glass brain."""
    from brainenc.reporting.recordings import contact_table

    if not all(isinstance(space, ContactSpace) and {"x", "y", "z"} <= set(space.table) for space in reading.scores.spaces.values()):
        return []
    table, label = contact_table(reading), score_label(reading.metric)
    values = table["score"].to_numpy(dtype=float)
    table = table.assign(channel=table["subject"].astype(str) + " " + table["channel"]).drop(columns=["time"])
    many = f"{len(table)} contacts" + (f" of {len(reading.found)} subjects" if len(reading.found) > 1 else "")
    chosen = "its training rows choose" if reading.honest else "have its highest held-out score"
    best = table.iloc[int(np.nanargmax(values))] if np.isfinite(values).any() else None
    top = "" if best is None else f" The highest is {best['channel']}, {number(float(best['score']))}."
    return [
        embed(
            partial(viz.brain_map, ContactSpace(table), values, label=label), "Where the contacts are", f"Glass brain with {many}.{top}",
            f"{many[0].upper()}{many[1:]}, each at the layer{' and time' if reading.timed else ''} that {chosen}; grey: no score.",
        )
    ]  # fmt: skip


def _tops(reading: Reading, subject: str | None = None) -> str:
    """Return the highest cells in words."""
    one = [m for name, many in reading.read.items() if subject in (None, name) for m in many if np.isfinite(m.score)]
    best = sorted(one, key=lambda m: -m.score)[:3]
    text = "; ".join(f"{m.cell} {number(m.score)}{f' at {1000 * m.time:.0f} ms' if reading.timed else ''}" for m in best)
    return f"Highest: {text}." if text else "No score."


def _peaks(reading: Reading) -> str:
    """Return when the mean over cells of each model's best layer is highest, in words."""
    one = next(iter(reading.found.values()))
    parts = []
    for i in one.best_layers():
        level = np.nanmean(one.score[i], axis=0) if np.isfinite(one.score[i]).any(axis=0).all() else np.full(len(one.times), np.nan)
        if np.isfinite(level).any():
            parts.append(f"{one.names[i]} at {1000 * one.times[int(np.nanargmax(level))]:.0f} ms")
    return f"Highest: {', '.join(parts)}." if parts else ""
