"""A look at the stimuli."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from brainenc.core.errors import InputError
from brainenc.nouns.stimuli import StimulusSet
from brainenc.viz import style


def contact_sheet(stimuli: StimulusSet, *, n: int = 24, title: str | None = None) -> Any:
    """Draw the first ``n`` images (evenly spread over the set) with their ids, or the texts as a list.

    Parameters
    ----------
    stimuli : StimulusSet
        Of images or texts.
    n : int
        How many.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if stimuli.kind not in ("image", "text"):
        raise InputError("only images and texts can be drawn", where="contact_sheet", got=f"kind {stimuli.kind!r}")
    pick = np.unique(np.linspace(0, len(stimuli) - 1, min(n, len(stimuli))).round().astype(int))
    ids = [str(i) for i in stimuli.ids[pick]]
    heading = f"{stimuli.name}: {len(stimuli)} {stimuli.kind}s" if title is None else title
    with style.style():
        fig = _images(stimuli, ids) if stimuli.kind == "image" else _texts(stimuli, ids)
        style.heading(
            fig, heading, f"{len(ids)} of {len(stimuli)}, evenly spread over the set" if len(ids) < len(stimuli) else ""
        )
    return fig


def _images(stimuli: StimulusSet, ids: list[str]) -> Any:
    columns = min(8, len(ids))
    rows = -(-len(ids) // columns)
    fig = style.figure(1.15 * columns + 0.3, 1.35 * rows + 0.7)
    axes = np.ravel(fig.subplots(rows, columns, squeeze=False))
    for ax in axes:
        ax.set_axis_off()
    for ax, name in zip(axes, ids, strict=False):
        ax.imshow(stimuli.load(name), interpolation="antialiased")
        ax.set_title(style.shorten(name, 15), loc="center", fontsize=7, fontweight="normal", color=style.SOFT, pad=3)
    return fig


def _texts(stimuli: StimulusSet, ids: list[str]) -> Any:
    fig = style.figure(7.2, 0.3 * len(ids) + 0.9)
    ax = fig.subplots()
    ax.set(xlim=(0, 1), ylim=(len(ids) - 0.5, -0.5))
    ax.set_axis_off()
    for row, name in enumerate(ids):
        ax.text(0.0, row, style.shorten(name, 18), fontsize=8, color=style.SOFT, va="center")
        ax.text(
            0.22,
            row,
            style.plain(textwrap.shorten(str(stimuli.load(name)), 90, placeholder=" …")),
            fontsize=8.5,
            va="center",
        )
    return fig
