"""Encoding through time: layers by time images, and time by time matrices of encoders."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError, NotFoundError
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column
from brainenc.viz import style
from brainenc.viz.moments import with_sensors
from brainenc.viz.summaries import Summary, ceiling_words, finite_mean, summarize

MAX_PANELS = 9
_COLUMNS = 3
Floats = npt.NDArray[np.float64]


def layer_time_image(
    scores: Scores, metric: str | None = None, *, by: str | None = None, time: str = "time", normalized: bool = False, title: str | None = None
) -> Any:  # fmt: skip
    """Draw layers (rows, first layer at the bottom, grouped by model) against time, with a dot at the best time of each layer.

    A cell is the median held-out score over the targets (channels) of a time, mean over subjects and split seeds: the numbers of
    ``scores.by("time")``, or of ``scores.by([by, "time"])`` with panels.

    Parameters
    ----------
    scores : Scores
        Whose targets have a column of times (s), or are those of sensors or contacts, which know their channels and times.
    metric : str, optional
        The first metric when not given.
    by : str, optional
        Column of ``targets`` (``"roi"``, ``"channel"`` …) whose groups make panels, of which the first 9 are drawn.
    time : str
        The column of times.
    normalized : bool
        Show the median of score / ceiling instead.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    NotFoundError
        Without such a column.
    InputError
        With fewer than two times; for a normalised image of scores without ceiling.
    """
    scores = with_sensors(scores)
    when = pd.to_numeric(need_column(scores.targets, time, "layer_time_image: Scores.targets"))
    if when.nunique() < 2 or not np.isfinite(when).all():
        raise InputError("an image of time needs at least two times", where="layer_time_image", got=f"{when.nunique()} in {time!r}")
    groups = [None] if by is None else [one for one in pd.unique(need_column(scores.targets, by, "Scores.targets")) if not pd.isna(one)]
    shown = groups[:MAX_PANELS]
    tables = [summarize(scores if by is None else scores.where(**{by: group}), metric, by=time) for group in shown]
    if normalized and not any(np.isfinite(table.normalized).any() for table in tables):
        raise InputError("scores have no ceiling to be divided by", where="layer_time_image", got=scores.ceiling_status)
    images = [_ordered(table, normalized=normalized) for table in tables]
    n_layers, n_columns = len(tables[0].layers), min(_COLUMNS, len(shown))
    n_lines = -(-len(shown) // n_columns)
    with style.style():
        wide = 6.2 if n_columns == 1 else 2.9
        fig = style.figure(wide * n_columns + 2.2, n_lines * max(1.7, 0.24 * n_layers + 0.8) + 1.0)
        axes = list(np.ravel(fig.subplots(n_lines, n_columns, sharey=True, squeeze=False)))
        colors = _colors([cells for _, cells in images])
        for i, (ax, group, (at, cells)) in enumerate(zip(axes, shown, images, strict=False)):
            image = _layers(ax, at, cells, colors)
            ax.set_title("" if group is None else style.shorten(group, 30))
            ax.set_xlabel("time (ms)" if i + n_columns >= len(shown) else "")
            if i % n_columns == 0:
                _names(ax, tables[0])
        for ax in axes[len(shown) :]:
            ax.set_axis_off()
        _bar(fig, image, axes[: len(shown)], style.score_label(tables[0].metric + ("_normalized" if normalized else "")))
        style.heading(fig, "Layers through time" if title is None else title, _note(scores, tables[0], len(groups) - len(shown), normalized=normalized))
    return fig


def encoder_time_matrix(generalization: Any, *, layer: str | None = None, channel: str | None = None, title: str | None = None) -> Any:
    """Draw how encoders of one moment predict the responses of another: training time upwards, test time to the right, a panel a layer.

    Parameters
    ----------
    generalization : TimeGeneralization
        From `brainenc.encoding.temporal_generalization`; the first 9 layers are drawn.
    layer : str, optional
        ``"model/layer"``: only this one.
    channel : str, optional
        One channel (mean over the subjects that have it); the mean over channels when not given.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    NotFoundError
        For an unknown layer or channel.
    InputError
        With fewer than two times.
    """
    names, channels = list(generalization.layers), generalization.channels["channel"].astype(str)
    if len(generalization.times) < 2:
        raise InputError("a matrix of times needs at least two", where="encoder_time_matrix", got=len(generalization.times))
    for given, known in ((layer, names), (channel, list(dict.fromkeys(channels)))):
        if given is not None and given not in known:
            raise NotFoundError("not in this result", where="encoder_time_matrix", expected=", ".join(known[:12]), got=repr(given))
    mine = np.ones(len(channels), dtype=bool) if channel is None else (channels == channel).to_numpy()
    cells = generalization.mean() if channel is None else finite_mean(generalization.values[:, mine].swapaxes(0, 1))
    chosen = [names.index(layer)] if layer is not None else list(range(min(len(names), MAX_PANELS)))
    n_columns = min(_COLUMNS, len(chosen))
    n_lines = -(-len(chosen) // n_columns)
    size = 4.6 if len(chosen) == 1 else 2.9
    ms = 1000 * generalization.times
    with style.style():
        fig = style.figure(size * n_columns + 1.4, size * n_lines + 1.1)
        axes = list(np.ravel(fig.subplots(n_lines, n_columns, squeeze=False)))
        colors = _colors([cells[i] for i in chosen])
        for i, (ax, k) in enumerate(zip(axes, chosen, strict=False)):
            image = ax.pcolormesh(ms, ms, np.ma.masked_invalid(cells[k]), shading="nearest", **colors)
            ax.plot([ms[0], ms[-1]], [ms[0], ms[-1]], color=style.FAINT, linewidth=0.7)
            if ms[0] < 0 < ms[-1]:
                ax.axvline(0, color=style.FAINT, linewidth=0.7, linestyle=(0, (3, 2)))
                ax.axhline(0, color=style.FAINT, linewidth=0.7, linestyle=(0, (3, 2)))
            ax.set(aspect="equal", xlabel="test time (ms)" if i + n_columns >= len(chosen) else "", ylabel="" if i % n_columns else "training time (ms)")
            ax.set_title(style.shorten(names[k], 30), fontsize=9.5)
        for ax in axes[len(chosen) :]:
            ax.set_axis_off()
        _bar(fig, image, axes[: len(chosen)], style.score_label("pearson"))
        what = f"mean of {int(generalization.channels['n'].sum())} channels" if channel is None else f"channel {channel}"
        parts = [what, f"split: {generalization.split}", f"{len(names) - len(chosen)} further layers are not drawn" if len(names) > MAX_PANELS else ""]
        parts.append("rows whose diagonal is not above chance have no meaning")
        style.heading(fig, "Encoders across time" if title is None else title, "; ".join(part for part in parts if part))
    return fig


def _ordered(table: Summary, *, normalized: bool) -> tuple[Floats, Floats]:
    """Return times (ms), ascending, and (n_layers, n_times)."""
    at = np.array([float(one) for one in table.regions])
    order = np.argsort(at)
    return 1000 * at[order], finite_mean(table.normalized if normalized else table.score)[:, order]


def _colors(images: list[Floats]) -> dict[str, Any]:
    finite = np.concatenate([np.ravel(image)[np.isfinite(np.ravel(image))] for image in images])
    top = float(np.abs(finite).max(initial=0.0)) or 1.0
    signed = bool((finite < -0.25 * top).any())
    return {"cmap": style.colormap("diverging" if signed else "score"), "vmin": -top if signed else 0.0, "vmax": top}


def _layers(ax: Any, at: Floats, cells: Floats, colors: dict[str, Any]) -> Any:
    place = np.arange(len(cells))
    image = ax.pcolormesh(at, place, np.ma.masked_invalid(cells), shading="nearest", **colors)
    if at[0] < 0 < at[-1]:
        ax.axvline(0, color=style.SOFT, linewidth=0.8, linestyle=(0, (3, 2)))
    known = np.isfinite(cells).any(axis=1)
    best = at[np.where(np.isfinite(cells), cells, -np.inf).argmax(axis=1)]
    ax.plot(best[known], place[known], "o", markersize=4.2, markerfacecolor=style.CEILING, markeredgecolor="white", markeredgewidth=0.8)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def _names(ax: Any, table: Summary) -> None:
    """Name the layers, in the colour of their model, and part the models."""
    several = len(set(table.models)) > 1
    names = table.names if several else table.layers
    ax.set_yticks(range(len(names)), [style.shorten(name, 30) for name in names])
    colors = style.category_colors(table.models)
    for label, model in zip(ax.get_yticklabels(), table.models, strict=True):
        label.set_color(colors[model] if several else style.INK)
    if not several:
        ax.set_ylabel(style.shorten(table.models[0], 24))


def _bar(fig: Any, image: Any, axes: list[Any], label: str) -> None:
    bar = fig.colorbar(image, ax=axes, shrink=0.8, aspect=22, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_label(style.plain(label), fontsize=8.5)


def _note(scores: Scores, table: Summary, hidden: int, *, normalized: bool) -> str:
    people = f", mean of {len(table.subjects)} subjects" if len(table.subjects) > 1 else ""
    ceiling = f" {ceiling_words(scores, table.metric)}." if normalized else ""
    more = f" {hidden} further panels are not drawn." if hidden > 0 else ""
    return f"Median over the targets of a time{people}. Split: {scores.split}. Dot: highest score of the layer.{ceiling}{more}"
