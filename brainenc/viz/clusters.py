"""What a cluster test found: the statistic of every channel and time (or of two axes), with its clusters outlined."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.scores import Scores
from brainenc.viz import style
from brainenc.viz.moments import with_sensors

Floats = npt.NDArray[np.float64]
MAX_NAMES = 40


def cluster_image(found: Any, *, scores: Scores | None = None, title: str | None = None) -> Any:
    """Draw the statistic of a cluster test; clusters with p ≤ alpha have an outline, all other cells are pale.

    Parameters
    ----------
    found : Clusters
        Of one axis (a curve) or two (an image); those of `brainenc.encoding.cluster_test` are one cell a target.
    scores : Scores, optional
        What was tested: its targets name the channel and the time (s) of each cell, and the image is channels by times.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        For more than two axes, and for scores of other targets or without channel and time.
    """
    t, mask, rows, columns = _grid(found, scores)
    with style.style():
        if t.ndim == 1:
            fig = _curve(t, mask, columns)
        else:
            fig = _image(t, mask, rows, columns)
        n = int((found.table["p"] <= found.alpha).sum())
        what = "against the largest cluster" if found.threshold != "tfce" else "threshold-free"
        note = f"Outlined: p ≤ {found.alpha:g} ({what}, {found.n} {found.drawn}, {found.tail})"
        style.heading(fig, f"{n} of {len(found.table)} clusters" if title is None else title, note)
    return fig


def _grid(found: Any, scores: Scores | None) -> tuple[Floats, npt.NDArray[np.bool_], list[str], Floats]:
    """Return the statistic and the mask (n_rows, n_columns) or (n_columns,), names of the rows and places of the columns."""
    t, mask = np.asarray(found.t, dtype=np.float64), np.asarray(found.mask, dtype=bool)
    if t.ndim > 2:
        raise InputError("clusters of one or two axes can be drawn", where="cluster_image", expected="at most 2 axes", got=f"{t.ndim} axes")
    if scores is None:
        return t, mask, [str(i) for i in range(len(t))] if t.ndim == 2 else [], np.arange(t.shape[-1], dtype=float)
    table = with_sensors(scores).targets
    if t.ndim != 1 or len(table) != len(t) or not {"channel", "time"} <= set(table):
        got = f"{len(table)} targets with {', '.join(map(str, table.columns[:8]))}, clusters of {t.shape} cells"
        expected = "the scores that were tested, with channel and time"
        raise InputError("scores do not fit the clusters", where="cluster_image, scores", expected=expected, got=got)
    channel = table["channel"].astype(str).to_numpy()
    names = list(dict.fromkeys(channel))
    times, column = np.unique(table["time"].to_numpy(dtype=np.float64), return_inverse=True)
    row = np.array([names.index(one) for one in channel])
    image, inside = np.full((len(names), len(times)), np.nan), np.zeros((len(names), len(times)), dtype=bool)
    image[row, column], inside[row, column] = t, mask
    return image, inside, names, 1000.0 * times


def _curve(t: Floats, mask: npt.NDArray[np.bool_], at: Floats) -> Any:
    fig = style.figure(6.4, 2.9)
    ax = fig.subplots()
    ax.axhline(0.0, color=style.FAINT, lw=0.8)
    ax.plot(at, t, color=style.FAINT, lw=1.4)
    ax.plot(at, np.where(mask, t, np.nan), color=style.PALETTE[0], lw=2.2)
    ax.fill_between(at, 0, t, where=mask.tolist(), color=style.PALETTE[0], alpha=0.15, lw=0)
    ax.set(xlabel="cell", ylabel="statistic")
    return fig


def _image(t: Floats, mask: npt.NDArray[np.bool_], rows: list[str], columns: Floats) -> Any:
    fig = style.figure(7.4, min(max(0.19 * len(rows) + 1.4, 2.6), 8.0))
    ax = fig.subplots()
    largest = float(np.nanmax(np.abs(t))) if np.isfinite(t).any() else 1.0
    step = float(np.median(np.diff(columns))) if len(columns) > 1 else 1.0
    x, y = np.append(columns - step / 2, columns[-1] + step / 2), np.arange(len(rows) + 1) - 0.5
    alpha = np.where(mask, 1.0, 0.45)
    image = ax.pcolormesh(x, y, t, cmap=style.colormap("diverging"), vmin=-largest, vmax=largest, alpha=alpha, rasterized=True)
    for row, here in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], here.astype(int), [0]])))
        for start, stop in edges.reshape(-1, 2):  # sides of each stretch, and its upper and lower border where the neighbour is outside
            ax.vlines([x[start], x[stop]], row - 0.5, row + 0.5, color=style.INK, lw=1.0)
            for other, border in ((row - 1, row - 0.5), (row + 1, row + 0.5)):
                out = np.ones(stop - start, dtype=bool) if not 0 <= other < len(rows) else ~mask[other, start:stop]
                ax.hlines(np.full(int(out.sum()), border), x[start:stop][out], x[start + 1 : stop + 1][out], color=style.INK, lw=1.0)
    if columns[0] < 0 < columns[-1]:
        ax.axvline(0.0, color=style.SOFT, lw=0.8, ls=(0, (3, 2)))
    every = -(-len(rows) // MAX_NAMES)
    ax.set_yticks(np.arange(0, len(rows), every), rows[::every])
    ax.invert_yaxis()
    ax.set_xlabel("time (ms)" if rows and not rows[0].isdigit() else "cell")
    fig.colorbar(image, ax=ax, label="statistic", aspect=30, pad=0.02).outline.set_visible(False)
    return fig
