"""Figures as they stand in the report: PNG data with a caption and a text for those who cannot see them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from brainenc import viz
from brainenc.core.errors import BrainencError
from brainenc.nouns import Scores
from brainenc.viz.style import number, score_label
from brainenc.viz.summaries import Summary, finite_mean

DPI, SHOWN_DPI = 140, 100  # pixels in the file, and on the page, per inch of figure
MAX_SUBJECTS = 4


@dataclass(frozen=True, slots=True)
class Figure:
    """One embedded figure; without a source, the reason why there is none."""

    source: str
    width: int
    height: int
    alt: str
    caption: str
    title: str
    folded: bool = False


def main_figures(scores: Scores, table: Summary) -> list[Figure]:
    """Return the figures of one section in reading order; one that cannot be drawn stands there with the reason."""
    metric, label = table.metric, score_label(table.metric)
    best = "; ".join(f"{r}: {table.names[i]} {number(float(v))}" for r, i, v in _best(table))
    figures: list[Figure] = []
    if table.score.shape[1:] != (1, 1):  # a table of one cell says nothing that the claim does not
        figures.append(
            embed(
                partial(viz.layer_region_heatmap, scores, metric, title=""),
                "Layer by region",
                f"Heat map of {len(table.layers)} layers by {len(table.regions)} regions. Highest in each region: {best}.",
                f"{label} on held-out data.",
            )
        )
    if len(table.layers) > 1:
        figures.append(
            embed(
                partial(viz.layer_profiles, scores, metric, title=""),
                "Through the layers",
                f"Line plots of {label} against layer, one panel for each of {len(table.regions)} regions.",
                "Each panel is one region.",
            )  # fmt: skip
        )
    figures += _maps(scores, table)
    if np.isfinite(table.ceiling).any():
        figures.append(
            embed(
                partial(viz.score_vs_ceiling, scores, metric, title=""),
                "Score against ceiling",
                f"Scatter plot of {label} against noise ceiling, one dot per target, coloured by region.",
                "Both axes are in the units of the metric: a dot on the dashed line is predicted as well as its noise allows.",
            )  # fmt: skip
        )
    if np.isfinite(table.normalized).any():
        figures.append(
            embed(
                partial(viz.layer_region_heatmap, scores, metric, normalized=True, title=""),
                "Share of the ceiling",
                "Heat map of the median of score divided by noise ceiling, layer by region.",
                "Median over targets of score / ceiling; targets whose ceiling is too low to be measured are left out, and nothing is clipped at 1.",
                folded=True,
            )  # fmt: skip
        )
    return figures


def other_metrics(scores: Scores, metrics: list[str]) -> list[Figure]:
    """Return a folded heat map for each further metric."""
    return [
        embed(
            partial(viz.layer_region_heatmap, scores, metric, title=""),
            f"Layer by region, {score_label(metric)}",
            f"Heat map of {score_label(metric)}, layer by region.",
            f"Median {score_label(metric)} over the targets of each region.",
            folded=True,
        )  # fmt: skip
        for metric in metrics
    ]


def _maps(scores: Scores, table: Summary) -> list[Figure]:
    made: list[Figure] = []
    label = score_label(table.metric)
    for position, subject in enumerate(scores.subjects[:MAX_SUBJECTS]):
        more = len(scores.subjects) - MAX_SUBJECTS
        rest = f" {more} further subjects are not drawn." if position == MAX_SUBJECTS - 1 and more > 0 else ""
        folded = position > 1
        made.append(
            embed(
                partial(viz.score_map, scores, subject=subject, metric=table.metric, title=""),
                f"Where, subject {subject}",
                f"Map of {label} of every target of subject {subject}.",
                f"Held-out {label} of each target; grey where nothing was measured.{rest}",
                folded=folded,
            )  # fmt: skip
        )
        if len(table.layers) > 1:
            made.append(
                embed(
                    partial(viz.winner_map, scores, subject=subject, metric=table.metric, title=""),
                    f"Which layer, subject {subject}",
                    f"Map of the winning layer of every target of subject {subject}.",
                    "The layer that wins at each target; hues are models, shades run from the first layer (pale) to the last.",
                    folded=folded,
                )  # fmt: skip
            )
    return made


def embed(draw: Callable[[], Any], title: str, alt: str, caption: str = "", *, folded: bool = False) -> Figure:
    """Draw and embed; the caption is the note that the figure carries as its label, and more where there is more to say."""
    try:
        figure = draw()
    except BrainencError as error:
        return Figure("", 0, 0, alt, f"This figure could not be drawn: {error}", title, folded)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": "brainenc"}, pil_kwargs={"compress_level": 6})
    width, height = (round(SHOWN_DPI * inches) for inches in figure.get_size_inches())
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Figure(
        source=source,
        width=width,
        height=height,
        alt=alt,
        caption=f"{caption} {figure.get_label()}".strip(),
        title=title,
        folded=folded,
    )


def _best(table: Summary) -> list[tuple[str, int, float]]:
    mean = finite_mean(table.score)
    best = np.argmax(np.where(np.isfinite(mean), mean, -np.inf), axis=0)
    return [
        (r, int(best[c]), float(mean[best[c], c])) for c, r in enumerate(table.regions) if np.isfinite(mean[:, c]).any()
    ]
