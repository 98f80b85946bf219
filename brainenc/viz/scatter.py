"""How close every target comes to its own ceiling."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.scores import Scores
from brainenc.viz import style
from brainenc.viz.summaries import Summary, ceiling_words, metrics_of, summarize, with_regions

MAX_POINTS = 20_000


def score_vs_ceiling(
    scores: Scores, metric: str | None = None, *, by: str = "roi", layer: str | None = None, title: str | None = None
) -> Any:
    """Draw one dot per target: its noise ceiling (x) and its held-out score (y), in the same units, with the identity line.

    Parameters
    ----------
    scores : Scores
    metric : str, optional
        "pearson" or "r2"; the first metric when not given.
    by : str
        Column of ``targets`` that gives the colours.
    layer : str, optional
        One layer for all; when not given, each region is shown with the layer that its training rows choose
        (or, without inner scores, with its best held-out layer: the note under the figure says which).
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        When the scores have no ceiling in the units of the metric.
    """
    name = metrics_of(scores)[0] if metric is None else metric
    if scores.ceiling is None or name not in ("pearson", "r2"):
        raise InputError(
            "scores have no ceiling to be plotted against", where="score_vs_ceiling", got=scores.ceiling_status
        )
    table = summarize(scores, name, by=by)
    marked, by = with_regions(scores.entry(metric=name), by)
    ceiling = scores.ceiling.of(name)
    score = marked.vector(layer, metric=name) if layer is not None else region_scores(marked, table, by)
    with style.style():
        fig = style.figure(6.6, 5.2)
        ax = fig.subplots()
        _frame(ax, ceiling, score, style.score_label(name))
        _dots(ax, table, marked.targets[by].astype(str).to_numpy(), ceiling, score)
        style.heading(
            fig, "Score against noise ceiling" if title is None else title, _note(table, scores, layer, ceiling, score)
        )
    return fig


def region_scores(scores: Scores, table: Summary, by: str) -> npt.NDArray[np.float64]:
    """Return one score per target, from the layer that its region's training rows choose (else the region's best layer)."""
    result = np.full(scores.values.shape[2], np.nan)
    names = scores.entries["model"].astype(str) + "/" + scores.entries["layer"].astype(str)
    mean, best = scores.mean(), table.best()
    subject, region = scores.targets["subject"].astype(str).to_numpy(), scores.targets[by].astype(str).to_numpy()
    for s, r in np.ndindex(best.shape):
        pick = table.chosen[s, r] if table.chosen[s, r] >= 0 else best[s, r]
        if pick < 0:
            continue
        here = (subject == table.subjects[s]) & (region == table.regions[r])
        result[here] = mean[np.ix_(np.flatnonzero(names == table.names[pick]), here)].mean(axis=0)
    return result


def _frame(ax: Any, ceiling: npt.NDArray[np.float64], score: npt.NDArray[np.float64], label: str) -> None:
    known = np.isfinite(ceiling) & np.isfinite(score)
    top = float(max(ceiling[known].max(), score[known].max(), 0.1)) * 1.06 if known.any() else 1.0
    bottom = float(min(score[known].min(), ceiling[known].min(), 0.0)) if known.any() else 0.0
    ax.grid(True)
    ax.plot([0, top], [0, top], color=style.CEILING, linewidth=1.2, linestyle=(0, (4, 2)))
    ax.annotate("score = ceiling", (0.16 * top, 0.16 * top), xytext=(-4, 5), textcoords="offset points", rotation=45, rotation_mode="anchor",
                transform_rotates_text=True, fontsize=8, color=style.CEILING, ha="center")  # fmt: skip
    ax.axhline(0, color=style.FAINT, linewidth=0.8)
    ax.set(
        xlabel=f"noise ceiling ({label})",
        ylabel=f"held-out score ({label})",
        xlim=(min(0.0, bottom), top),
        ylim=(min(bottom * 1.05, -0.02 * top), top),
    )


def _dots(
    ax: Any, table: Summary, region: npt.NDArray[Any], ceiling: npt.NDArray[np.float64], score: npt.NDArray[np.float64]
) -> None:
    colors = style.category_colors(table.regions)
    step = -(-len(score) // MAX_POINTS)
    for name in table.regions:
        here = np.flatnonzero((region == name) & np.isfinite(ceiling) & np.isfinite(score))
        if not len(here):
            continue
        ax.scatter(
            ceiling[here][::step],
            score[here][::step],
            s=11 if len(score) < 4000 else 4,
            color=colors[name],
            alpha=0.4,
            linewidth=0,
            rasterized=True,
        )
    for name in table.regions:
        here = np.flatnonzero((region == name) & np.isfinite(ceiling) & np.isfinite(score))
        if not len(here):
            continue
        ratio = np.median(score[here]) / np.median(ceiling[here]) if np.median(ceiling[here]) > 0 else np.nan
        label = style.legend_text(name, 20) + (f"  {100 * ratio:.0f} %" if np.isfinite(ratio) else "")
        ax.plot(
            np.median(ceiling[here]),
            np.median(score[here]),
            "o",
            markersize=9,
            color=colors[name],
            markeredgecolor="white",
            markeredgewidth=1.4,
            label=label,
            zorder=4,
        )
    if 0 < len(ax.get_legend_handles_labels()[0]) <= 24:
        ax.legend(
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            title="median score /\nmedian ceiling",
            title_fontsize=8,
            alignment="left",
            labelspacing=0.7,
            handletextpad=0.4,
        )


def _note(
    table: Summary, scores: Scores, layer: str | None, ceiling: npt.NDArray[np.float64], score: npt.NDArray[np.float64]
) -> str:
    inner = (table.chosen >= 0).any()
    which = (
        f"layer {layer}"
        if layer
        else "the layer chosen on training rows"
        if inner
        else "the layer with the best held-out score (an optimistic choice)"
    )
    if len(table.layers) == 1:
        which = f"layer {table.names[0]}"
    lost = int((~(np.isfinite(ceiling) & np.isfinite(score))).sum())
    missing = f" Left out, without a score or a ceiling: {lost}." if lost else ""
    return f"One dot per target, {which}; large dots are medians of a region. Split: {scores.split}. {ceiling_words(scores, table.metric)}.{missing}"
