"""A look at a feature space: how many directions it really has."""

from __future__ import annotations

from typing import Any

import numpy as np

from brainenc.nouns.features import FeatureSpace
from brainenc.viz import style

MAX_SIDE = 1500


def variance_spectrum(features: FeatureSpace, *, title: str | None = None) -> Any:
    """Draw the share of variance of each principal component, and their running sum.

    The participation ratio (Σλ)² / Σλ² is marked: how many directions of equal variance would spread it as widely. More than 1,500
    rows or columns are thinned evenly; the note says so.

    Parameters
    ----------
    features : FeatureSpace
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows, columns = (_thin(n) for n in features.values.shape)
    values = np.asarray(features.values[rows][:, columns], dtype=np.float64)
    centred = values - values.mean(axis=0)
    variance = np.linalg.svd(centred, compute_uv=False) ** 2
    total = float(variance.sum())
    share = variance / total if total > 0 else variance
    ratio = float(1.0 / np.sum(share**2)) if total > 0 else float("nan")
    order = np.arange(1, len(share) + 1)
    with style.style():
        fig = style.figure(7.6, 3.2)
        left, right = fig.subplots(1, 2)
        real = share > 1e-12 * share.max() if total > 0 else share > 0  # below lies rounding
        left.loglog(order[real], share[real], color=style.PALETTE[10])
        left.set(xlabel="component", ylabel="share of variance")
        right.semilogx(order, np.cumsum(share), color=style.PALETTE[10])
        right.set(xlabel="components", ylabel="running sum", ylim=(0, 1.02))
        for ax in (left, right):
            ax.grid(True)
            if np.isfinite(ratio):
                ax.axvline(ratio, color=style.CEILING, linewidth=1.2, linestyle=(0, (4, 2)))
        if np.isfinite(ratio):
            right.annotate(
                f"participation ratio {ratio:.1f}",
                (ratio, 0.06),
                xytext=(5, 0),
                textcoords="offset points",
                fontsize=8,
                color=style.CEILING,
            )
        thinned = (
            ""
            if values.shape == features.values.shape
            else f"; {values.shape[0]} rows and {values.shape[1]} columns, evenly spread, were used"
        )
        heading = features.name if title is None else title
        style.heading(
            fig, heading, f"{features.n_samples} {features.rows} rows × {features.n_features} features{thinned}"
        )
    return fig


def _thin(n: int) -> Any:
    return slice(None) if n <= MAX_SIDE else np.unique(np.linspace(0, n - 1, MAX_SIDE).round().astype(int))
