"""A look at responses: every sample and target at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from brainenc.nouns.responses import Responses
from brainenc.viz import style

MAX_ROWS, MAX_COLUMNS = 1200, 1600


def response_carpet(responses: Responses, *, title: str | None = None) -> Any:
    """Draw samples (across) against targets (down, grouped by region), each target in its own standard deviations.

    Parameters
    ----------
    responses : Responses
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure
    """
    regions = responses.targets["roi"].astype(str) if "roi" in responses.targets else None
    order = np.arange(responses.n_targets) if regions is None else _regions_in_order(regions.to_numpy())
    targets = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), MAX_ROWS)).round().astype(int))]
    samples = np.unique(
        np.linspace(0, responses.n_samples - 1, min(responses.n_samples, MAX_COLUMNS)).round().astype(int)
    )
    values = np.asarray(responses.values[samples][:, targets], dtype=np.float64).T
    centre, spread = (f(values, axis=1, keepdims=True) for f in (_nan_mean, _nan_std))
    scaled = (values - centre) / np.where(spread > 0, spread, np.nan)
    with style.style():
        fig = style.figure(8.4, 4.0)
        ax = fig.subplots()
        image = ax.imshow(
            np.ma.masked_invalid(scaled),
            aspect="auto",
            cmap=style.colormap("diverging"),
            vmin=-3,
            vmax=3,
            interpolation="antialiased",
            extent=(0, responses.n_samples, len(targets), 0),
        )
        _mark_regions(ax, None if regions is None else regions.to_numpy()[targets])
        _mark_runs(ax, responses)
        ax.set_xlabel("scans" if responses.is_time_series else "trials")
        bar = fig.colorbar(image, ax=ax, shrink=0.7, aspect=22, pad=0.015)
        bar.outline.set_visible(False)
        bar.set_label("standard deviations", fontsize=8.5)
        thin = "" if len(targets) == responses.n_targets and len(samples) == responses.n_samples else ", thinned evenly"
        units = f"; units: {responses.units}" if responses.units else ""
        heading = f"Responses of {responses.name}" if title is None else title
        style.heading(
            fig,
            heading,
            f"{responses.n_samples} samples × {responses.n_targets} targets{thin}{units}. Vertical lines: runs. Grey: no value or no variance.",
        )
    return fig


def _regions_in_order(regions: Any) -> Any:
    rank = {name: i for i, name in enumerate(dict.fromkeys(regions))}
    return np.argsort([rank[name] for name in regions], kind="stable")


def _mark_regions(ax: Any, regions: Any) -> None:
    if regions is None or len(set(regions)) > 40:
        ax.set_yticks([])
        ax.set_ylabel("targets")
        return
    starts = [0, *(np.flatnonzero(regions[1:] != regions[:-1]) + 1), len(regions)]
    ax.set_yticks(
        [(a + b) / 2 for a, b in zip(starts[:-1], starts[1:], strict=True)],
        [style.shorten(regions[a], 18) for a in starts[:-1]],
    )
    for start in starts[1:-1]:
        ax.axhline(start, color="white", linewidth=1.6)


def _mark_runs(ax: Any, responses: Responses) -> None:
    if "run" not in responses.samples:
        return
    run = responses.samples["run"].astype(str).to_numpy()
    for change in np.flatnonzero(run[1:] != run[:-1]) + 1:
        ax.axvline(change, color=style.INK, linewidth=0.6, alpha=0.6)


def _nan_mean(values: Any, **where: Any) -> Any:
    known = np.isfinite(values)
    return np.where(known, values, 0).sum(**where) / np.maximum(known.sum(**where), 1)


def _nan_std(values: Any, **where: Any) -> Any:
    return np.sqrt(_nan_mean((values - _nan_mean(values, **where)) ** 2, **where))
