"""Sites that integrate modalities: Δr of every comparison over time, where the sites are, and how many there are in each region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError, NotFoundError
from brainenc.viz import style

MAX_SITES = 6


def integration_courses(found: Any, *, sites: Sequence[str] | None = None, subject: str | None = None, title: str | None = None) -> Any:
    """Draw what the multimodal model gains over each comparison at some sites: a row a site, a column an event structure.

    Significant bins (q below the level of the test) are marked by a bar below the curves, in the colour of their comparison.

    Parameters
    ----------
    found : Integration
    sites : sequence of str, optional
        Channels; by default the multimodal ones, then those with the most significant bins, six at most.
    subject : str, optional
        The first, when not given.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    NotFoundError
        For a subject or site that is not there.
    """
    from matplotlib.lines import Line2D

    subject = _subject(found, subject)
    table = found.sites[found.sites["subject"] == subject]
    chosen = _chosen(table, found.comparisons) if sites is None else list(sites)
    for name in chosen:
        if name not in set(table["channel"]):
            known = list(table["channel"])
            raise NotFoundError(f"no site {name!r}", where=f"subject {subject!r}", expected=examples(known, 12), fix=did_you_mean(name, known))
    structures, labels = found.criteria["structures"], found.comparisons
    colors = style.category_colors(labels)
    bins = found.bins[(found.bins["subject"] == subject) & found.bins["channel"].isin(chosen)]
    with style.style():
        fig = style.figure(3.4 * len(structures) + 3.4, 1.45 * len(chosen) + 1.5)
        grid = fig.subplots(len(chosen), len(structures), sharex=True, sharey=True, squeeze=False)
        low, high = float(bins["difference"].min()), float(bins["difference"].max())
        span = max(high - low, 1e-6)
        for row, channel in enumerate(chosen):
            for column, structure in enumerate(structures):
                ax = grid[row, column]
                here = bins[(bins["channel"] == channel) & (bins["structure"] == structure)]
                _site(ax, here, labels, colors, found.criteria["alpha"], low - 0.08 * span, 0.06 * span)
                if row == 0:
                    ax.set_title(structure, loc="left")
                if column == 0:
                    ax.set_ylabel(_name(table, channel), rotation=0, ha="right", va="center")
        for ax in grid[-1]:
            ax.set_xlabel("time from the event (ms)")
        handles = [Line2D([], [], color=colors[label], lw=1.6, label=_words(label)) for label in labels]
        fig.legend(handles=handles, loc="outside right upper", title="Δr", alignment="left")
        note = f"Bands: 95 % intervals over events; marks: q < {found.criteria['alpha']:g}; *: multimodal site"
        style.heading(fig, f"Subject {subject}: what the multimodal model gains (Δr)" if title is None else title, note)
    return fig


def integration_map(found: Any, *, comparison: str | None = None, title: str | None = None) -> Any:
    """Draw all sites on a glass brain, coloured by the mean Δr of a comparison, multimodal sites ringed.

    Parameters
    ----------
    found : Integration
        Whose sites have x, y, z in MNI millimetres.
    comparison : str, optional
        By default ``"concatenation"``.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        For sites without coordinates.
    """
    import matplotlib.pyplot as plt
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from nilearn.plotting import plot_glass_brain

    label = comparison or "concatenation"
    table = found.to_image(label)
    if not {"x", "y", "z"} <= set(table) or not table[["x", "y", "z"]].notna().all(axis=1).any():
        raise InputError("sites have no coordinates", where="integration_map", expected="columns x, y, z (MNI mm) of the targets")
    table = table[table[["x", "y", "z"]].notna().all(axis=1)].sort_values("multimodal")
    largest = float(np.nanmax(np.abs(table["value"]))) or 1.0
    colors = style.colormap("diverging")
    shades = colors(0.5 + 0.5 * np.nan_to_num(table["value"]) / largest)
    fig = plt.figure(figsize=(9.2, 3.5), facecolor=style.PAPER)
    with style.style():
        display = plot_glass_brain(None, figure=fig, axes=(0.02, 0.08, 0.84, 0.78), display_mode="lyrz")
        points = table[["x", "y", "z"]].to_numpy(dtype=float)
        site = table["multimodal"].to_numpy(dtype=bool)
        for mask, size, edge, width in ((~site, 22, style.FAINT, 0.4), (site, 70, style.INK, 1.4)):
            if mask.any():
                display.add_markers(points[mask], marker_color=[tuple(c) for c in shades[mask]], marker_size=size, edgecolors=edge, linewidths=width)
        bar = fig.colorbar(ScalarMappable(Normalize(-largest, largest), colors), cax=fig.add_axes((0.895, 0.2, 0.012, 0.55)))
        bar.set_label(f"mean Δr {_words(label)}", fontsize=8.5)
        bar.outline.set_visible(False)
        if title != "":
            fig.text(0.02, 0.93, title or f"{int(site.sum())} of {len(found.sites)} sites are multimodal (ringed)", weight="bold", size=11, color=style.INK)
    plt.close(fig)
    return fig


def integration_regions(found: Any, *, column: str | None = None, title: str | None = None) -> Any:
    """Draw the share of multimodal sites of each region with its 95 % Wilson interval.

    Parameters
    ----------
    found : Integration
    column : str, optional
        Of the sites, see `Integration.regions`.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = found.regions(column).iloc[::-1]
    with style.style():
        fig = style.figure(6.8, 0.42 * len(table) + 1.5)
        ax = fig.subplots()
        at = np.arange(len(table))
        ax.hlines(at, table["ci_low"], table["ci_high"], color=style.FAINT, lw=2.4)
        ax.plot(table["share"], at, "o", color=style.PALETTE[0], ms=6)
        ax.set_yticks(at, [f"{row[0] or 'no region'}  ({row.n_multimodal} of {row.n_sites})" for row in table.itertuples(index=False)])
        ax.set_xlim(-0.02, 1.0)
        ax.set_xlabel("share of multimodal sites")
        note = "95 % Wilson intervals, which take sites for independent"
        style.heading(fig, "Multimodal sites by region" if title is None else title, note)
    return fig


def _site(ax: Any, here: pd.DataFrame, labels: list[str], colors: dict[str, str], alpha: float, floor: float, step: float) -> None:
    ax.axhline(0.0, color=style.FAINT, lw=0.8)
    if here["time"].min() < 0 < here["time"].max():
        ax.axvline(0.0, color=style.FAINT, lw=0.8, ls=":")
    for place, label in enumerate(labels):
        one = here[here["comparison"] == label].sort_values("time")
        at = 1000 * one["time"].to_numpy()
        ax.plot(at, one["difference"], color=colors[label], lw=1.4)
        ax.fill_between(at, one["ci_low"], one["ci_high"], color=colors[label], alpha=0.1, lw=0)
        significant = at[(one["q"] < alpha).to_numpy()]
        ax.plot(significant, np.full(len(significant), floor - place * step), "s", ms=2.6, color=colors[label])


def _chosen(table: pd.DataFrame, comparisons: list[str]) -> list[str]:
    least = table[[f"bins: {label}" for label in comparisons]].min(axis=1)
    order = np.lexsort((-table[f"bins: {comparisons[0]}"].to_numpy(), -least.to_numpy(), ~table["multimodal"].to_numpy(dtype=bool)))
    return [str(name) for name in table["channel"].to_numpy()[order[:MAX_SITES]]]


def _name(table: pd.DataFrame, channel: str) -> str:
    row = table[table["channel"] == channel].iloc[0]
    region = next((str(row[name]) for name in ("region", "roi") if name in table and pd.notna(row[name])), "")
    return f"{channel}{' *' if row['multimodal'] else ''}" + (f"\n{region}".replace(" ", "\n") if region else "")


def _words(label: str) -> str:
    known = {
        "prediction": "over zero", "unimodal": "over each unimodal model", "concatenation": "over their concatenation", "random": "over random weights"
    }  # fmt: skip
    return known.get(label, label)


def _subject(found: Any, subject: str | None) -> str:
    names = [str(name) for name in pd.unique(found.sites["subject"])]
    if subject is None:
        return names[0]
    if subject not in names:
        raise NotFoundError(f"no subject {subject!r}", where="plot of an Integration", expected=examples(names, 12), fix=did_you_mean(subject, names))
    return subject
