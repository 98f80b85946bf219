"""RDMs side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from brainenc.nouns.rdms import RDMs
from brainenc.viz import style

MAX_PANELS = 16


def rdm_panels(rdms: RDMs, *, title: str | None = None) -> Any:
    """Draw each RDM as a square, on one colour scale, conditions in their order.

    Parameters
    ----------
    rdms : RDMs
        The first 16 are drawn.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure
    """
    n = min(rdms.n_rdms, MAX_PANELS)
    columns = min(4, n)
    rows = -(-n // columns)
    squares = rdms.take(np.arange(n)).square()
    squares[:, np.arange(rdms.n_conditions), np.arange(rdms.n_conditions)] = np.nan
    finite = squares[np.isfinite(squares)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    with style.style():
        size = 4.2 if n == 1 else 2.3
        fig = style.figure(size * columns + 1.0, size * rows + 0.9)
        axes = np.ravel(fig.subplots(rows, columns, squeeze=False))
        for ax in axes:
            ax.set_axis_off()
        for i, ax in enumerate(axes[:n]):
            image = ax.imshow(
                np.ma.masked_invalid(squares[i]),
                cmap=style.colormap("score"),
                vmin=low,
                vmax=high if high > low else low + 1,
            )
            if n > 1:
                ax.set_title(_label(rdms, i), loc="center", fontsize=8, fontweight="normal", pad=4)
        bar = fig.colorbar(image, ax=list(axes), shrink=0.6, aspect=22, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(f"dissimilarity ({style.plain(rdms.metric)})", fontsize=8.5)
        hidden = f", {rdms.n_rdms - n} more are not drawn" if rdms.n_rdms > n else ""
        style.heading(
            fig,
            (f"{rdms.n_rdms} RDM{'s' if rdms.n_rdms > 1 else ''}") if title is None else title,
            f"{rdms.n_conditions} conditions{hidden}",
        )
    return fig


def _label(rdms: RDMs, position: int) -> str:
    facts = [] if rdms.rdms is None else [str(v) for v in rdms.rdms.iloc[position].tolist()]
    return style.shorten(" · ".join(facts) or f"RDM {position + 1}", 26)
