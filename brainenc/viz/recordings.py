"""Scores of recordings through time: a panel for each channel or region, and rows of scalp maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError, NotFoundError
from brainenc.nouns.scores import Scores
from brainenc.nouns.spaces import SensorSpace
from brainenc.viz import style
from brainenc.viz.maps import Scale
from brainenc.viz.moments import Courses, courses
from brainenc.viz.sensors import draw_scalp, has_places, map_times
from brainenc.viz.summaries import ceiling_words, finite_mean

MAX_PANELS = 9
MAX_MODELS = 6
MAX_ROWS = 4
N_MAPS = 6
_COLUMNS = 3
Floats = npt.NDArray[np.float64]


def score_course(
    scores: Scores, metric: str | None = None, *, subject: str | None = None, by: str | None = None, layers: Sequence[str] | None = None,
    title: str | None = None,
) -> Any:  # fmt: skip
    """Draw the held-out score against time, a panel for each channel or region and a line for each layer, with the noise ceiling.

    A point is the mean over folds of the median over the targets of the panel at that time, mean over subjects. Bands are the 95 % intervals
    ``scores.ci``, bars below the curves mark q ≤ 0.05, where the scores of one subject have them and panels are channels.

    Parameters
    ----------
    scores : Scores
        Of sensors or contacts, or with the columns ``channel`` and ``time`` (s) in ``targets``.
    metric : str, optional
        The first metric when not given.
    subject : str, optional
        Only this one.
    by : str, optional
        ``"channel"``, ``"roi"`` or another column; by default regions where any are known, else channels. The 9 whose scores reach highest are drawn.
    layers : sequence of str, optional
        ``"model/layer"``; by default the best layer of each model in each panel, as training rows see it (as held-out rows do where those are not
        known).
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        With fewer than two times, and for subjects with different times.
    NotFoundError
        For an unknown layer or column.
    """
    found = [courses(scores, metric, subject=one, by=by) for one in (scores.subjects if subject is None else [subject])]
    first = found[0]
    if len(first.times) < 2 or any(not np.array_equal(one.times, first.times) for one in found):
        raise InputError("a course needs at least two times, the same for all subjects", where="score_course",
                         got=f"{len(first.times)} times of {first.subject}", fix="name one subject")  # fmt: skip
    cells = list(dict.fromkeys(cell for one in found for cell in one.cells))
    several = layers is None and len(set(first.models)) < len(first.models)
    everywhere = _chosen(found, layers)
    lines = {cell: _chosen([one for one in found if cell in one.cells], layers, cell) if several else everywhere for cell in cells}
    score = np.stack([_of_cells(one, one.score, cells) for one in found])
    ceiling = finite_mean(np.stack([_of_cells(one, one.ceiling[None], cells)[0] for one in found]))
    mean = finite_mean(score)
    top = np.array([np.where(np.isfinite(part), part, -np.inf).max() for part in (mean[lines[cell], place] for place, cell in enumerate(cells))])
    shown = np.sort(np.argsort(-top, kind="stable")[:MAX_PANELS])
    n_columns = 2 if len(shown) == 4 else min(_COLUMNS, len(shown))
    n_lines = -(-len(shown) // n_columns)
    colors = list(style.category_colors(range(len(everywhere))).values()) if layers else _of_models(first, everywhere)
    names = [first.models[i] if several else first.names[i] for i in everywhere]
    with style.style():
        has_legend = len(names) > 1 or bool(np.isfinite(ceiling).any())
        fig = style.figure(max({1: 6.2, 2: 4.0}.get(n_columns, 2.9) * n_columns + (2.2 if has_legend else 0.7), 5.4), 1.95 * n_lines + 1.0)
        axes = list(np.ravel(fig.subplots(n_lines, n_columns, sharex=True, sharey=True, squeeze=False)))
        for place, (ax, cell) in enumerate(zip(axes, shown, strict=False)):
            mine = lines[cells[cell]]
            _panel(ax, 1000 * first.times, score[:, mine, cell], ceiling[cell], colors)
            _extras(ax, found, cells[cell], mine, colors)
            ax.set_title(style.shorten(cells[cell], 30))
            if several:
                _which(ax, [first.layers[i] for i in mine], colors, [first.models.count(first.models[i]) > 1 for i in mine])
            ax.set_ylabel(style.score_label(first.metric) if place % n_columns == 0 else "")
            if place + n_columns >= len(shown):
                ax.set_xlabel("time (ms)")
                ax.tick_params(labelbottom=True)
        for ax in axes[len(shown) :]:
            ax.set_axis_off()
        _legend(fig, names, colors, ceiling=bool(np.isfinite(ceiling).any()))
        style.heading(fig, "Scores through time" if title is None else title, _note(scores, found, len(cells) - len(shown)))
    return fig


def scalp_series(
    scores: Scores, metric: str | None = None, *, subject: str | None = None, layers: Sequence[str] | None = None, times: Sequence[float] | None = None,
    kind: str | None = None, title: str | None = None,
) -> Any:  # fmt: skip
    """Draw scalp maps of held-out scores, a row for each layer, at the moments at which they stand high.

    Parameters
    ----------
    scores : Scores
        Of a `SensorSpace` with positions. A map is the mean over folds and, where their channels and times are the same, over subjects.
    metric : str, optional
        The first metric when not given.
    subject : str, optional
        Only this one.
    layers : sequence of str, optional
        ``"model/layer"``; by default all where there are at most 4, else the best layer of each model.
    times : sequence of float, optional
        Seconds; by default the highest moments (by the median over channels of the magnitude) of 6 equal parts of the time from 0 on.
    kind : str, optional
        Type of sensors ("eeg", "mag", "grad" …); the most frequent one when not given.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        For other spaces, fewer than four sensors with positions, and subjects whose channels or times differ.
    NotFoundError
        For an unknown layer.
    """
    names = scores.subjects if subject is None else [subject]
    spaces = [one for one in (scores.spaces.get(name) for name in names) if isinstance(one, SensorSpace) and has_places(one)]
    if len(spaces) < len(names):
        raise InputError("scalp maps need sensors with positions", where="scalp_series", expected="a SensorSpace with x, y, z of at least four channels")
    found = [courses(scores, metric, subject=one, by="channel") for one in names]
    first = found[0]
    if any(one.cells != first.cells or not np.array_equal(one.times, first.times) for one in found):
        raise InputError("subjects have different channels or times", where="scalp_series", fix="name one subject")
    chosen = _chosen(found, first.names if layers is None and len(first.names) <= MAX_ROWS else layers)
    space, here = _sensors(spaces[0], first, kind)
    canvases = finite_mean(np.stack([one.score[chosen] for one in found]))[:, here]
    columns = _moments(space, canvases, times)
    if not columns:
        got = f"at most {int(np.isfinite(canvases).sum(axis=1).max(initial=0))} of {len(here)}"
        raise InputError("scalp maps need scores of at least four sensors at a time", where="scalp_series", got=got)
    scale = Scale(canvases[:, :, columns], None, None, None)
    with style.style():
        fig = style.figure(1.5 * len(columns) + 1.2, 1.62 * len(chosen) + (1.0 if len(chosen) > 1 else 0.7))
        axes = fig.subplots(len(chosen), len(columns), squeeze=False)
        for row, name in enumerate(first.names[i] for i in chosen):
            for column, moment in enumerate(columns):
                ax = axes[row, column]
                draw_scalp(ax, space, canvases[row, :, moment], scale)
                if row == 0 and np.isfinite(first.times[moment]):
                    ax.set_title(f"{1000 * first.times[moment]:.0f} ms", loc="center", fontsize=8.5, fontweight="normal", color=style.SOFT)
            if len(chosen) > 1:
                axes[row, 0].text(-1.45, 0, style.shorten(name, 24), rotation=90, ha="center", va="center", fontsize=7.6, color=style.SOFT)
        scale.bar(fig, list(axes.ravel()), style.score_label(first.metric))
        who = f"mean of {len(found)} subjects" if len(found) > 1 else ""
        what = f"{len(here)} {str(space.channels['type'].iloc[0]).upper()} channels seen from above, nose up; dots: sensors, colours between them are "
        what += "interpolated"
        parts = [what, "" if len(chosen) > 1 else first.names[chosen[0]], who]
        style.heading(fig, "Scores on the scalp" if title is None else title, ". ".join(part for part in parts if part))
    return fig


def _chosen(found: list[Courses], layers: Sequence[str] | None, cell: str | None = None) -> list[int]:
    """Return the positions of the layers that are drawn: those named, or the best one of each model (of most subjects)."""
    names = found[0].names
    if layers is None:
        best = [one.best_layers(cell) for one in found]
        return [max(dict.fromkeys(votes), key=votes.count) for votes in map(list, zip(*best, strict=True))][:MAX_MODELS]
    for name in layers:
        if name not in names:
            raise NotFoundError("no such layer", where="Scores", expected=examples(names, 12), got=repr(name), fix=did_you_mean(name, names))
    return [names.index(name) for name in layers]


def _of_cells(one: Courses, values: Floats, cells: list[str]) -> Floats:
    """Return (n, n_cells of all, n_times): NaN for cells that a subject does not have."""
    out = np.full((len(values), len(cells), len(one.times)), np.nan)
    out[:, [cells.index(cell) for cell in one.cells]] = values
    return out


def _of_models(one: Courses, chosen: list[int]) -> list[str]:
    colors = style.category_colors(one.models)
    return [colors[one.models[i]] for i in chosen]


def _panel(ax: Any, ms: Floats, score: Floats, ceiling: Floats, colors: list[str]) -> None:
    """Draw one panel: thin lines are subjects (n_subjects, n_layers, n_times) where there are several, thick ones their mean."""
    ax.grid(axis="y")
    ax.axhline(0, color=style.FAINT, linewidth=0.8)
    if ms[0] < 0 < ms[-1]:
        ax.axvline(0, color=style.SOFT, linewidth=0.8, linestyle=(0, (3, 2)))
    if np.isfinite(ceiling).any():
        ax.plot(ms, ceiling, color=style.CEILING, linewidth=1.0, linestyle=(0, (4, 2)))
    for layer, color in enumerate(colors):
        if len(score) > 1:
            ax.plot(ms, score[:, layer].T, color=color, linewidth=0.6, alpha=0.4)
        ax.plot(ms, finite_mean(score)[layer], color=color, linewidth=1.7)
    ax.set_xlim(ms[0], ms[-1])


def _extras(ax: Any, found: list[Courses], cell: str, chosen: list[int], colors: list[str]) -> None:
    """Draw intervals and significant times of the only subject."""
    one = found[0]
    if len(found) > 1 or cell not in one.cells:
        return
    row, ms = one.cells.index(cell), 1000 * one.times
    for place, (layer, color) in enumerate(zip(chosen, colors, strict=True)):
        if one.ci is not None:
            ax.fill_between(ms, *one.ci[:, layer, row], color=color, alpha=0.15, linewidth=0)
        if one.q is not None:
            with np.errstate(invalid="ignore"):
                hit = one.q[layer, row] <= 0.05
            ax.plot(ms, np.where(hit, 0.035 * (place + 1), np.nan), color=color, linewidth=2.6, solid_capstyle="butt", transform=ax.get_xaxis_transform())


def _which(ax: Any, layers: list[str], colors: list[str], named: list[bool]) -> None:
    """Name the layer of each model that has several, in the colour of its line, at the upper right."""
    texts = [(style.shorten(layer, 18), color) for layer, color, one in zip(layers, colors, named, strict=True) if one]
    for line, (text, color) in enumerate(texts):
        ax.annotate(text, (1, 1), xycoords="axes fraction", xytext=(-2, -3 - 9.5 * line), textcoords="offset points", ha="right", va="top",
                    fontsize=7.4, color=color)  # fmt: skip


def _legend(fig: Any, names: list[str], colors: list[str], *, ceiling: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color, linewidth=2.0, label=style.legend_text(name, 40)) for name, color in zip(names, colors, strict=True)]
    if ceiling:
        handles.append(Line2D([], [], color=style.CEILING, linewidth=1.0, linestyle=(0, (4, 2)), label="noise ceiling"))
    if len(handles) > 1:
        fig.legend(handles=handles, loc="outside right upper", fontsize=8.2, handlelength=1.6)


def _sensors(space: SensorSpace, one: Courses, kind: str | None) -> tuple[SensorSpace, npt.NDArray[np.intp]]:
    """Return the sensors of one type, and the row of each among the cells."""
    table = space.channels[space.channels["channel"].astype(str).isin(one.cells)]
    types = table["type"].astype(str)
    wanted = types.mode().iloc[0] if kind is None else kind
    if wanted not in set(types):
        raise NotFoundError("no sensors of this type", where="scalp_series", expected=", ".join(dict.fromkeys(types)), got=repr(wanted))
    table = table[types == wanted].reset_index(drop=True)
    rows = np.array([one.cells.index(str(name)) for name in table["channel"]], dtype=np.intp)
    return SensorSpace(table, np.where(np.isnan(one.times), 0.0, one.times)), rows


def _moments(space: SensorSpace, canvases: Floats, times: Sequence[float] | None) -> list[int]:
    """Return the columns to be mapped: those nearest to ``times``, or the highest moments of the layer that stands highest."""
    if times is not None:
        return [int(np.abs(space.times - time).argmin()) for time in times]
    finite = np.where(np.isfinite(canvases), canvases, -np.inf)
    top = canvases[int(finite.max(axis=(1, 2)).argmax())]
    start = int(np.searchsorted(space.times, 0.0)) if space.times[-1] > 0 else 0
    later = SensorSpace(space.channels, space.times[start:])
    return [start + moment for moment in map_times(later, top[:, start:], N_MAPS)]


def _note(scores: Scores, found: list[Courses], hidden: int) -> str:
    one = found[0]
    what = "channel" if one.by == "channel" else "region" if one.by == "roi" else one.by
    parts = ["Thick: mean of the subjects; thin: each subject" if len(found) > 1 else ""]
    parts.append("Median over the targets of a panel at each time" if int(one.n_targets.max(initial=0)) > 1 else "")
    parts.append("Bands: 95 % intervals" if len(found) == 1 and one.ci is not None else "")
    parts.append("Bars: q ≤ 0.05" if len(found) == 1 and one.q is not None and (one.q <= 0.05).any() else "")
    parts.append(f"Dashed: {ceiling_words(scores, one.metric)}" if np.isfinite(one.ceiling).any() else ceiling_words(scores, one.metric))
    parts.append(f"The {MAX_PANELS} {what}s with the highest scores; {hidden} further ones are not drawn" if hidden > 0 else "")
    return ". ".join(part for part in [*parts, f"Split: {scores.split}"] if part)
