"""Frequency tagging: spectra with their tagged bins, channels by tags, and how many follow what, layer by layer or region by region."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.nouns.tables import need_column
from brainenc.nouns.tagging import Tagging, TagSelection
from brainenc.viz import style

MAX_LINES = 150
MAX_CHANNELS = 160
GROUPS = ("layer", "roi", "region", "shaft")
NONE = "#c9ced4"
TESTS = {
    "t2circ": "T²circ", "neighbours": "F against neighbours", "rayleigh": "Rayleigh", "shift": "shifted trials", "sign": "signs of trials",
    "itpc": "ITPC of moved trials", "series": "permuted samples",
}  # fmt: skip


def tag_spectrum(tagging: Tagging, *, alpha: float = 0.05, title: str | None = None) -> Any:
    """Draw the amplitude spectrum: channels thin, and for each tag the mean of those with q ≤ ``alpha`` thick; tagged bins are marked.

    Parameters
    ----------
    tagging : Tagging
        With ``spectra``.
    alpha : float
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if tagging.spectra is None or tagging.frequencies is None:
        raise InputError("no spectra were kept", where="tag_spectrum", fix="call tag with spectrum=True")
    known = np.isfinite(tagging.spectra).all(axis=1)
    shown = np.flatnonzero(known)
    shown = shown[np.unique(np.linspace(0, len(shown) - 1, min(len(shown), MAX_LINES)).astype(int))] if len(shown) else shown
    colors = style.category_colors(tagging.tags["level"])
    with style.style():
        fig = style.figure(7.8, 3.7)
        ax = fig.subplots()
        ax.grid(axis="y")
        ax.plot(tagging.frequencies, tagging.spectra[shown].T, color=style.FAINT, linewidth=0.5, alpha=0.35)
        label = []
        for column, tag in enumerate(tagging.tags.itertuples()):
            color = colors[tag.level]
            mine = np.flatnonzero(known & (tagging.statistics["q"][:, column] <= alpha))
            label.append(f"{len(mine)} of {tagging.n_channels} at {tag.frequency:g} Hz")
            ax.axvline(tag.frequency, color=color, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
            name = tag.level if tag.harmonic == 1 else f"{tag.level} ×{tag.harmonic}"
            ax.annotate(
                f"{style.shorten(name, 18)}\n{tag.frequency:.3g} Hz" if f"{tag.frequency:g} Hz" != name else name, (tag.frequency, 1.01),
                xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8, color=color, fontweight="bold", linespacing=1.25,
            )  # fmt: skip
            if len(mine):
                ax.plot(tagging.frequencies, tagging.spectra[mine].mean(axis=0), color=color, linewidth=1.9)
        ax.set(xlabel="frequency (Hz)", ylabel="amplitude of the mean over trials", xlim=(0, tagging.frequencies[-1]))
        _headroom(ax, tagging.spectra[known])
        drawn = f"Thin: channels{_hidden(len(shown), int(known.sum()))}; thick: mean of those with q ≤ {alpha:g} ({'; '.join(label)})"
        note = f"{drawn}. Test: {TESTS.get(tagging.test, tagging.test)}, {tagging.n_trials} trials of {tagging.n_times / tagging.fs:g} s"
        style.heading(fig, "What follows the rhythm" if title is None else title, note)
    return fig


def tag_channels(tagging: Tagging, statistic: str = "snr", *, alpha: float = 0.05, by: str | None = None, title: str | None = None) -> Any:
    """Draw one bar a channel and tag, channels side by side in the order of their regions; those with q ≤ ``alpha`` are in colour.

    Parameters
    ----------
    tagging : Tagging
        The first 160 channels are drawn.
    statistic : str
        snr, itpc, amplitude, effect …
    alpha : float
    by : str, optional
        Column that groups the channels; layer, roi, region or shaft where there is one.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    values = tagging[statistic]
    group = _group(tagging.channels, by)
    labels = np.array(["channels"] * tagging.n_channels, dtype=object) if group is None else tagging.channels[group].astype(str).to_numpy(dtype=object)
    order = np.argsort(pd.factorize(labels)[0], kind="stable")[:MAX_CHANNELS]
    edges = np.flatnonzero(np.r_[True, labels[order][1:] != labels[order][:-1], True])
    colors = style.category_colors(tagging.tags["level"])
    with style.style():
        fig = style.figure(8.2, 1.35 * tagging.n_tags + 1.6)
        axes = np.ravel(fig.subplots(tagging.n_tags, 1, sharex=True, squeeze=False))
        for column, (ax, tag) in enumerate(zip(axes, tagging.tags.itertuples())):
            strong = tagging.statistics["q"][order, column] <= alpha
            ax.bar(np.arange(len(order)), values[order, column], width=0.82, color=np.where(strong, colors[tag.level], NONE))
            if statistic == "snr":
                ax.axhline(1.0, color=style.SOFT, linewidth=0.7, linestyle=(0, (3, 2)))
            ax.set_ylabel(style.plain(statistic.upper() if statistic in ("snr", "itpc", "ppc") else statistic))
            ax.set_title(f"{style.shorten(tag.level)}, {tag.frequency:.3g} Hz" + (f" ({tag.note})" if tag.note else ""), fontsize=9.5, pad=4)
            ax.grid(axis="y")
            for edge in edges[1:-1]:
                ax.axvline(edge - 0.5, color=style.RULE, linewidth=0.9, zorder=0)
            if not np.isfinite(values[order, column]).any():
                ax.set_yticks([])
        axes[-1].set_xlim(-0.7, len(order) - 0.3)
        middle = (edges[:-1] + edges[1:] - 1) / 2
        few = len(edges) <= 26
        names = [style.shorten(labels[order][e], 16) for e in edges[:-1]]
        turn = 0 if sum(map(len, names)) < 90 and np.diff(edges).min() >= 5 else 35
        axes[-1].set_xticks(middle if few else [], names if few else [], rotation=turn, ha="right" if turn else "center", fontsize=8)
        test = TESTS.get(tagging.test, tagging.test)
        note = f"In colour: q ≤ {alpha:g} over channels × tags, test: {test}, {tagging.n_trials} trials{_hidden(len(order), tagging.n_channels)}"
        style.heading(fig, "Channel by channel" if title is None else title, note)
    return fig


def tag_counts(found: Tagging | TagSelection, *, by: str | None = None, alpha: float = 0.05, title: str | None = None) -> Any:
    """Draw how many channels or units follow what, one bar a layer or region.

    A selection is drawn by its exclusive and shared sets; a `Tagging` by how many have q ≤ ``alpha`` at each tag.

    Parameters
    ----------
    found : Tagging or TagSelection
    by : str, optional
        Column of ``channels``; layer, roi, region or shaft where there is one.
    alpha : float
        For a `Tagging`.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    group = _group(found.channels, by)
    if isinstance(found, TagSelection):
        table = found.counts(group)
        total, table = table["n"], table.drop(columns=["n", "none"], errors="ignore")
        note = f"q ≤ {found.alpha:g} over channels × levels, both tests" if found.provenance.get("control") else f"q ≤ {found.alpha:g} over channels × levels"
    else:
        keys = np.array(["all"] * found.n_channels, dtype=object) if group is None else found.channels[group].astype(str).to_numpy(dtype=object)
        columns = {f"{t.level}, {t.frequency:.3g} Hz": found.statistics["q"][:, i] <= alpha for i, t in enumerate(found.tags.itertuples())}
        frame = pd.DataFrame(columns).groupby(keys, sort=False)
        table, total, note = frame.sum(), frame.size(), f"q ≤ {alpha:g} over channels × tags, test: {TESTS.get(found.test, found.test)}"
    stacked = isinstance(found, TagSelection)
    colors = style.category_colors(table.columns)
    place = np.arange(len(table))
    with style.style():
        fig = style.figure(max(4.6, min(0.55 * len(table) + 2.6, 11.0)), 3.6)
        ax = fig.subplots()
        ax.grid(axis="y")
        below = np.zeros(len(table))
        width = 0.72 if stacked else 0.8 / max(1, table.shape[1])
        for i, name in enumerate(table.columns):
            share = 100.0 * table[name].to_numpy() / total.reindex(table.index).to_numpy()
            at = place if stacked else place + (i - (table.shape[1] - 1) / 2) * width
            ax.bar(at, share, width=width, bottom=below if stacked else 0, color=colors[name], label=style.legend_text(name), edgecolor="white", linewidth=0.5)
            below = below + share
        names = [style.shorten(str(name).rpartition("/")[2], 20) for name in table.index]
        level = max(map(len, names)) <= 7 or len(names) <= 4
        ax.set_xticks(place, names, rotation=0 if level else 35, ha="center" if level else "right")
        ax.set(ylabel="share (%)", ylim=(0, max(float(np.nanmax(below if stacked else 100 * table.to_numpy() / total.to_numpy()[:, None])) * 1.12, 1.0)))
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        sizes = f"{int(total.min())}" if total.min() == total.max() else f"{int(total.min())} to {int(total.max())}"
        style.heading(fig, "How many follow what" if title is None else title, f"Of {sizes} a {group or 'set'}; {note}")
    return fig


def _group(channels: pd.DataFrame, by: str | None) -> str | None:
    if by is not None:
        need_column(channels, by, "channels")
        return by
    return next((name for name in GROUPS if name in channels.columns), None)


def _headroom(ax: Any, spectra: npt.NDArray[Any]) -> None:
    """Let the axis end a little above the highest line; the lowest bins of 1/f noise may be cut off where they tower over the rest."""
    if not spectra.size:
        return
    top = float(spectra.max())
    ax.set_ylim(0, top * 1.06 if top > 0 else 1.0)


def _hidden(shown: int, total: int) -> str:
    return f" ({shown} of {total} drawn)" if shown < total else ""

