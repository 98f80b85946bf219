"""How the score runs through the depth of the models, region by region."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.nouns.scores import Scores
from brainenc.viz import style
from brainenc.viz.summaries import Summary, ceiling_words, finite_mean, summarize

MAX_REGIONS = 24


def layer_profiles(scores: Scores, metric: str | None = None, *, by: str = "roi", title: str | None = None) -> Any:
    """Draw one small panel per region: the median score of each layer, in order, with the noise ceiling as a line.

    Thick lines are the mean over subjects (one line per model), thin lines the subjects; for one subject the band is the
    interquartile range over the targets of the region.

    Parameters
    ----------
    scores : Scores
    metric : str, optional
        The first metric when not given.
    by : str
        Column of ``targets`` that names the regions; the first 24 are drawn.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = summarize(scores, metric, by=by)
    shown = range(min(len(table.regions), MAX_REGIONS))
    columns = min(4, max(1, len(shown)))
    rows = -(-len(shown) // columns)
    with style.style():
        fig = style.figure(max(2.35 * columns + 0.9, 5.2), 1.85 * rows + 1.75)
        axes = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for region in shown:
            ax = axes.flat[region]
            _panel(ax, table, region)
            if region % columns == 0:
                ax.set_ylabel(style.score_label(table.metric))
        for region in range(len(shown), rows * columns):
            axes.flat[region].set_axis_off()
        for ax in axes[-1]:
            _depth_axis(ax, table)
        _limits(axes.flat[0], table)
        hidden = len(table.regions) - len(shown)
        style.heading(fig, "Score through the layers" if title is None else title, _note(table, scores, hidden))
    return fig


def _panel(ax: Any, table: Summary, region: int) -> None:
    ax.grid(axis="y")
    ax.axhline(0, color=style.FAINT, linewidth=0.8)
    for model, index in _blocks(table):
        color = style.category_colors(table.models)[model]
        score = table.score[:, index, region]
        marker = "o" if len(index) <= 24 else None
        middle = finite_mean(score)
        if len(table.subjects) == 1:
            low, high = table.low[0, index, region], table.high[0, index, region]
            ax.fill_between(index, low, high, color=color, alpha=0.16, linewidth=0)
            if len(index) == 1:
                ax.vlines(index, low, high, color=color, alpha=0.3, linewidth=3)
        else:
            ax.plot(
                index,
                score.T,
                color=color,
                linewidth=0.8,
                alpha=0.55,
                marker="." if len(index) == 1 else None,
                markersize=4,
                linestyle="-",
            )
        ax.plot(
            index,
            middle,
            color=color,
            marker=marker,
            markersize=4.2 if len(index) < 12 else 2.6,
            markeredgecolor="white",
            markeredgewidth=0.5,
        )
    ceiling = finite_mean(table.ceiling[:, [region]])[0]
    if np.isfinite(ceiling):
        ax.axhline(ceiling, color=style.CEILING, linewidth=1.1, linestyle=(0, (4, 2)))
        ax.annotate(f"ceiling {style.number(ceiling)}", (1, ceiling), xycoords=("axes fraction", "data"), xytext=(0, 2), textcoords="offset points",
                    ha="right", va="bottom", fontsize=7.5, color=style.CEILING)  # fmt: skip
    name, count = style.shorten(table.regions[region], 24), int(table.n_targets[:, region].sum())
    ax.set_title(name, pad=9)
    ax.annotate(
        f"{count} targets" if len(name) < 13 else "",
        (1, 1),
        xycoords="axes fraction",
        xytext=(0, 9),
        textcoords="offset points",
        ha="right",
        va="baseline",
        fontsize=7.5,
        color=style.FAINT,
    )


def _blocks(table: Summary) -> list[tuple[str, npt.NDArray[np.intp]]]:
    models = np.array(table.models)
    return [(model, np.flatnonzero(models == model)) for model in dict.fromkeys(table.models)]


def _depth_axis(ax: Any, table: Summary) -> None:
    n = len(table.layers)
    ticks = np.arange(n) if n <= 14 else np.unique(np.linspace(0, n - 1, 10).astype(int))
    several = len(set(table.models)) > 1
    labels = [
        style.shorten(table.models[i] if several and table.models.count(table.models[i]) == 1 else table.layers[i], 20)
        for i in ticks
    ]
    ax.set_xticks(ticks, labels, rotation=90, fontsize=7.6)
    colors = style.category_colors(table.models)
    for label, i in zip(ax.get_xticklabels(), ticks, strict=True):
        label.set_color(colors[table.models[i]])
    ax.set_xlim(-0.6, n - 0.4)


def _limits(ax: Any, table: Summary) -> None:
    bands = (table.low, table.high) if len(table.subjects) == 1 else ()
    known = np.concatenate([array.ravel() for array in (table.score, table.ceiling, *bands)])
    known = known[np.isfinite(known)]
    if len(known):
        top, bottom = max(float(known.max()), 0.1), min(float(known.min()), 0.0)
        ax.set_ylim(bottom - 0.04 * (top - bottom), top + 0.14 * (top - bottom))


def _note(table: Summary, scores: Scores, hidden: int) -> str:
    who = (
        "Thick: mean of the subjects; thin: each subject"
        if len(table.subjects) > 1
        else "Band: interquartile range over the targets"
    )
    more = f" {hidden} further regions are not drawn." if hidden else ""
    ceiling = f"Dashed: {scores.ceiling.describe(table.metric)}" if scores.ceiling and np.isfinite(table.ceiling).any() else ceiling_words(scores, table.metric)
    return f"Median over the targets of a region. {who}. {ceiling}. Split: {scores.split}.{more}"
