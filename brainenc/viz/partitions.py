"""What feature spaces explain by themselves and together: bars of a variance partition in every group of targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.viz import style

QUANTITIES = {"part": "unique and shared parts", "shapley": "Shapley values", "product": "product measure", "r2": "R² of every subset"}
MAX_PANELS = 12
_ROW = 0.27
_COLUMNS = 4


def partition_bars(partition: Any, *, by: str = "roi", quantity: str = "part", title: str | None = None) -> Any:
    """Draw one bar a part and group, with bootstrap intervals; negative parts go to the left of zero.

    Parameters
    ----------
    partition : VariancePartition
        From `brainenc.encoding.partition_variance`. The first 12 groups are drawn.
    by : str
        Column of the targets.
    quantity : {"part", "shapley", "product", "r2"}
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure
    """
    one_of(quantity, tuple(QUANTITIES), "partition_bars: quantity")
    if quantity == "product" and partition.product is None:
        raise InputError("this partition has no product measure", where="plot", got=f"encoder {partition.encoder}", fix="use BandedRidge or Stacking")
    table = partition.to_frame(by=by)
    table = table[table["quantity"] == quantity]
    groups = list(dict.fromkeys(table[by]))
    shown = groups[:MAX_PANELS]
    rows = list(dict.fromkeys(table["spaces"]))
    colors = _colors(rows, list(partition.names))
    n_columns = min(_COLUMNS, len(shown))
    n_lines = -(-len(shown) // n_columns)
    with style.style():
        fig = style.figure(2.2 + 2.1 * n_columns, 0.9 + n_lines * (0.75 + _ROW * len(rows)))
        axes = np.atleast_1d(fig.subplots(n_lines, n_columns, sharex=True, sharey=True, squeeze=False)).ravel()
        for ax, group in zip(axes, shown, strict=False):
            _panel(ax, table[table[by] == group], rows, colors, str(group))
        for i in range(len(shown), len(axes)):
            axes[i].set_visible(False)
            axes[i - n_columns].tick_params(axis="x", labelbottom=True)  # nothing stands below it
            axes[i - n_columns].set_xlabel("R²")
        style.heading(fig, "What explains each region" if title is None else title, _note(partition, quantity, len(groups) - len(shown)))
    return fig


def _panel(ax: Any, table: pd.DataFrame, rows: list[str], colors: dict[str, Any], group: str) -> None:
    mine = table.set_index("spaces").loc[rows]
    place = np.arange(len(rows))[::-1]
    value = mine["value"].to_numpy()
    ax.barh(place, value, height=0.62, color=[colors[row] for row in rows], zorder=2)
    low, high = mine["ci_low"].to_numpy(), mine["ci_high"].to_numpy()
    known = np.isfinite(low)
    if known.any():
        ax.hlines(place[known], low[known], high[known], color=style.INK, linewidth=1.1, zorder=3)
    ax.axvline(0, color=style.SOFT, linewidth=0.8, zorder=1)
    ax.set_yticks(place, rows)
    ax.tick_params(axis="y", length=0)
    ax.set_title(f"{group}  ({int(mine['n_targets'].iloc[0])})", loc="left", fontsize=9)
    ax.set_xlabel("R²")
    ax.label_outer()


def _colors(rows: list[str], names: list[str]) -> dict[str, Any]:
    """Return the spaces' own colours, and grey for what is shared, darker the more spaces share it."""
    own = style.category_colors(names)
    grey = style.colormap("grey")
    return {row: own[row] if row in own else grey(0.25 + 0.5 * (row.count(" & ") / max(len(names) - 1, 1))) for row in rows}


def _note(partition: Any, quantity: str, hidden: int) -> str:
    interval = f"lines: 95 % over {partition.n} resamples of test rows; " if partition.n else ""
    more = f"; {hidden} more groups" if hidden > 0 else ""
    return f"{QUANTITIES[quantity]}, mean over targets of held-out R² ({partition.encoder}); {interval}numbers of targets in brackets{more}"
