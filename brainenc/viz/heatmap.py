"""Which layer predicts which region: one table of colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.scores import Scores
from brainenc.viz import style
from brainenc.viz.summaries import Summary, ceiling_words, finite_mean, summarize


def layer_region_heatmap(
    scores: Scores, metric: str | None = None, *, by: str = "roi", normalized: bool = False, title: str | None = None
) -> Any:
    """Draw layers (rows, grouped by model) against regions (columns) with the noise ceiling on top.

    A cell shows the median held-out score over the targets of the region (mean over subjects and split seeds). A frame marks the highest
    cell of a region; a dot stands for each subject whose inner (training-row) scores choose that layer there.

    Parameters
    ----------
    scores : Scores
    metric : str, optional
        The first metric when not given.
    by : str
        Column of ``targets`` that names the regions.
    normalized : bool
        Show the median of score / ceiling instead.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        For a normalised map of scores without ceiling.
    """
    table = summarize(scores, metric, by=by)
    if normalized and not np.isfinite(table.normalized).any():
        raise InputError(
            "scores have no ceiling to be divided by", where="layer_region_heatmap", got=scores.ceiling_status
        )
    cells = finite_mean(table.normalized if normalized else table.score)
    ceiling = np.full(len(table.regions), np.nan) if normalized else finite_mean(table.ceiling)
    label = style.score_label(table.metric + ("_normalized" if normalized else ""))
    with style.style():
        fig, axes, bar = _layout(table, has_ceiling=bool(np.isfinite(ceiling).any()))
        limit = _limit(cells, ceiling)
        image = _paint(axes[-1], table, cells, limit)
        if len(axes) == 2:
            _paint_ceiling(axes[0], ceiling, limit)
            axes[1].set_xticks([])
        _regions(axes[0], table)
        scale = fig.colorbar(image, cax=bar)
        scale.outline.set_visible(False)
        scale.set_label(label, fontsize=8.5)
        default = "Score as a share of the ceiling, layer by region" if normalized else "Score by layer and region"
        style.heading(fig, default if title is None else title, _note(table, scores))
    return fig


def _limit(cells: npt.NDArray[np.float64], ceiling: npt.NDArray[np.float64]) -> float:
    finite = np.concatenate([cells[np.isfinite(cells)], ceiling[np.isfinite(ceiling)], [0.05]])
    return float(finite.max())


def _layout(table: Summary, *, has_ceiling: bool) -> tuple[Any, list[Any], Any]:
    n_layers, n_regions = len(table.layers), len(table.regions)
    cell = 0.82 if n_regions > 4 else 1.15
    width = min(1.7 + _points_of_layers(table) / 72 + 0.085 * _longest(table.models, 24) + cell * n_regions, 17.0)
    fig = style.figure(max(width, 5.0), min(1.6 + 0.33 * (n_layers + has_ceiling), 30.0))
    ratios = [1.0, float(n_layers)] if has_ceiling else [float(n_layers)]
    grid = fig.add_gridspec(
        len(ratios), 2, height_ratios=ratios, width_ratios=[1.0, 0.16 / (cell * n_regions)], hspace=0.02
    )
    axes = [fig.add_subplot(grid[i, 0]) for i in range(len(ratios))]
    return fig, axes, fig.add_subplot(grid[-1, 1])


def _longest(names: list[str], limit: int) -> int:
    return max(len(style.shorten(name, limit)) for name in names)


def _points_of_layers(table: Summary) -> float:
    """Return the room that the names of layers take, in points."""
    return 4.9 * max(_longest(table.layers, 26), len("noise ceiling"))


def _paint(ax: Any, table: Summary, cells: npt.NDArray[np.float64], limit: float) -> Any:
    from matplotlib.patches import Rectangle

    image = ax.imshow(
        np.ma.masked_invalid(cells),
        aspect="auto",
        cmap=style.colormap("score"),
        vmin=min(0.0, float(np.nanmin([0.0, *cells.ravel()]))),
        vmax=limit,
    )
    _frame(ax, cells.shape)
    best = np.argmax(np.where(np.isfinite(cells), cells, -np.inf), axis=0)
    small = 7.0 if cells.size > 260 else 8.4
    for row, column in np.ndindex(cells.shape):
        value = float(cells[row, column])
        shade = image.cmap(image.norm(value)) if np.isfinite(value) else (0.85, 0.86, 0.87, 1.0)
        ink = style.ink_on(shade[:3])
        top = row == best[column] and np.isfinite(value) and cells.shape[0] > 1
        ax.text(
            column,
            row,
            style.number(value),
            ha="center",
            va="center",
            fontsize=small,
            color=ink,
            fontweight="bold" if top else "normal",
        )
        if top:
            ax.add_patch(
                Rectangle(
                    (column - 0.47, row - 0.45), 0.94, 0.9, fill=False, edgecolor=style.CEILING, linewidth=2.0, zorder=5
                )
            )
        dots = int((table.chosen[:, column] == row).sum())
        ax.plot(
            column + 0.36 - 0.1 * np.arange(min(dots, 7)),
            np.full(min(dots, 7), row - 0.28),
            "o",
            markersize=2.6,
            color=ink,
            markeredgewidth=0,
        )
    _models(ax, table)
    return image


def _frame(ax: Any, shape: tuple[int, ...]) -> None:
    ax.set_xticks(np.arange(-0.5, shape[1]), minor=True)
    ax.set_yticks(np.arange(-0.5, shape[0]), minor=True)
    ax.grid(which="minor", color="white", linewidth=1.4)
    ax.tick_params(which="both", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _models(ax: Any, table: Summary) -> None:
    """Label rows with their layer, and each block of rows with its model."""
    from matplotlib.transforms import ScaledTranslation

    models = np.array(table.models)
    starts = [0, *(np.flatnonzero(models[1:] != models[:-1]) + 1), len(models)]
    colors = style.category_colors(table.models)
    ax.set_yticks(range(len(models)), [style.shorten(layer) for layer in table.layers])
    ax.tick_params(axis="y", pad=12)
    trans = ax.get_yaxis_transform()
    left = ScaledTranslation(-6 / 72, 0, ax.figure.dpi_scale_trans)
    for start, stop in zip(starts[:-1], starts[1:], strict=True):
        color = colors[table.models[start]]
        ax.plot(
            [0, 0],
            [start - 0.42, stop - 0.58],
            transform=trans + left,
            color=color,
            linewidth=3.2,
            clip_on=False,
            solid_capstyle="butt",
        )
        name = style.shorten(table.models[start], 24)
        place = (-22 - _points_of_layers(table), 0)
        ax.annotate(name, (0, (start + stop - 1) / 2), place, xycoords=trans, textcoords="offset points", ha="right", va="center", fontsize=9,
                    fontweight="bold", color=color, annotation_clip=False)  # fmt: skip
        if start:
            ax.axhline(start - 0.5, color="white", linewidth=5)


def _paint_ceiling(ax: Any, ceiling: npt.NDArray[np.float64], limit: float) -> None:
    image = ax.imshow(
        np.ma.masked_invalid(ceiling[None]), aspect="auto", cmap=style.colormap("grey"), vmin=0.0, vmax=1.6 * limit
    )
    _frame(ax, (1, len(ceiling)))
    for column, value in enumerate(ceiling):
        shade = image.cmap(image.norm(value)) if np.isfinite(value) else (0.85, 0.86, 0.87, 1.0)
        ax.text(column, 0, style.number(value), ha="center", va="center", fontsize=8.4, color=style.ink_on(shade[:3]))
    ax.set_yticks([0], ["noise ceiling"])
    ax.tick_params(axis="y", pad=12)
    ax.set_xticks([])


def _regions(ax: Any, table: Summary) -> None:
    labels = [style.shorten(region, 18) for region in table.regions]
    crowded = max(map(len, labels)) > (8 if len(labels) > 4 else 12) or len(labels) > 16
    ax.set_xticks(
        range(len(labels)),
        labels,
        fontweight="bold",
        fontsize=9.5,
        color=style.INK,
        rotation=35 if crowded else 0,
        ha="left" if crowded else "center",
    )
    ax.tick_params(axis="x", labeltop=True, labelbottom=False, top=False, bottom=False)


def _note(table: Summary, scores: Scores) -> str:
    people = f", mean of {len(table.subjects)} subjects" if len(table.subjects) > 1 else ""
    dots = (
        "Dots: subjects whose training rows alone choose that layer. "
        if (table.chosen >= 0).any() and len(table.layers) > 1
        else ""
    )
    frame = "Frame: highest held-out score of the region. " if len(table.layers) > 1 else ""
    return f"Median over the targets of a region{people}. Split: {scores.split}. {frame}{dots}{ceiling_words(scores, table.metric)}."
