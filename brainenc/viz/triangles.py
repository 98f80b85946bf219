"""Maps over the thresholds (l, u) of topological RSA."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.nouns.tables import need_column
from brainenc.viz import style

Floats = npt.NDArray[np.float64]
# As in the published code, tested in this order; what fits none is intermediate.
REGIONS = ("local", "global", "geometry", "topology")
_EPS = 1e-9


def region_of(lower: Any, upper: Any) -> npt.NDArray[np.object_]:
    """Return to which region of the triangle each (l, u) belongs.

    "local" mean(l, u) ≤ 0.2; "global" mean(l, u) ≥ 0.8; "geometry" u − l ≥ 0.8; "topology" l ≥ 0.4 and u ≤ 0.6; else "intermediate".
    """
    low, high = np.broadcast_arrays(np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64))
    middle = (low + high) / 2
    tests = [middle <= 0.2 + _EPS, middle >= 0.8 - _EPS, high - low >= 0.8 - _EPS, (low >= 0.4 - _EPS) & (high <= 0.6 + _EPS)]
    return np.select(tests, REGIONS, default="intermediate").astype(object)


def triangle(
    values: Any,
    l: npt.ArrayLike | None = None,  # noqa: E741  the name that the thresholds have everywhere
    u: npt.ArrayLike | None = None,
    *,
    value: str | None = None,
    label: str = "",
    best: str | None = "max",
    chance: float | None = None,
    regions: bool = True,
    title: str | None = None,
) -> Any:
    """Draw one number for every pair of thresholds l ≤ u, with the best cell framed and the regions of the triangle outlined.

    Parameters
    ----------
    values : array of shape (n_l, n_u), DataFrame with columns ``l``, ``u`` and ``value``, or Identification
        NaN where nothing was computed, as for u < l. What `brainenc.rsa.topology.identify` returns has its thresholds and its chance with it.
    l, u : array_like of shape (n_l,) and (n_u,)
        Thresholds of an array, between 0 and 1 and in order; a table has its own, and its rows without any are left out.
    value : str, optional
        Column of a table, its last one when not given; of an identification "accuracy" (default), "sensitivity", "specificity" …
    label : str
        Of the colour bar.
    best : {"max", "min", None}
        Which cell is framed.
    chance : float, optional
        Drawn as a line in the colour bar.
    regions : bool
        Outline where maps are topology-sensitive, geometry-sensitive, local and global (`region_of`).
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        For thresholds out of order or of another number than the values.

    Examples
    --------
    >>> import numpy as np
    >>> grid = np.linspace(0, 1, 5)
    >>> figure = triangle(np.where(grid[:, None] <= grid, 0.5, np.nan), grid, grid)
    """
    chance = getattr(values, "chance", None) if chance is None and value in (None, "accuracy") else chance
    cells, low, high, name = _grid(values, l, u, value)
    with style.style():
        fig = style.figure(6.4, 5.3)
        ax = fig.subplots()
        edges = [_edges(low), _edges(high)]
        finite = cells[np.isfinite(cells)]
        bottom, top = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        mesh = ax.pcolormesh(*edges, np.ma.masked_invalid(cells.T), cmap=style.colormap("score").with_extremes(bad=(1, 1, 1, 0)), vmin=bottom,
                             vmax=top if top > bottom else bottom + 1.0, edgecolors="white", linewidth=0.4)  # fmt: skip
        _axes(ax, edges)
        bar = fig.colorbar(mesh, ax=ax, shrink=0.7, aspect=24, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(style.plain(label or name), fontsize=8.5)
        if chance is not None and bottom <= chance <= top:
            bar.ax.axhline(chance, color=style.CEILING, linewidth=1.6)
            bar.ax.annotate("chance", (0, chance), (-3, 0), xycoords=bar.ax.get_yaxis_transform(), textcoords="offset points", ha="right", va="center",
                            fontsize=7.5, color=style.CEILING)  # fmt: skip
        note = [_best_cell(ax, cells, low, high, edges, best)] if best is not None and len(finite) else []
        if regions:
            note += _outline(ax, cells, low, high, edges)
        style.heading(fig, "Thresholds l and u" if title is None else title, ". ".join(part for part in note if part))
    return fig


def _grid(values: Any, l: Any, u: Any, value: str | None) -> tuple[Floats, Floats, Floats, str]:  # noqa: E741
    if isinstance(values, pd.DataFrame):
        name = value or str(values.columns[-1])
        need = [need_column(values, column, "triangle") for column in ("l", "u", name)]
        table = pd.DataFrame({"l": need[0].astype(float), "u": need[1].astype(float), "value": need[2].astype(float)})
        table = table[table["l"].notna() & table["u"].notna()]  # rows for comparison, as the raw RDM, have no place in the triangle
        if table.duplicated(["l", "u"]).any():
            raise InputError("several values for one (l, u)", where="triangle", got=int(table.duplicated(["l", "u"]).sum()), fix="average or select them first")
        wide = table.pivot(index="l", columns="u", values="value").sort_index().sort_index(axis=1)
        return wide.to_numpy(), wide.index.to_numpy(float), wide.columns.to_numpy(float), name
    if hasattr(values, "grid") and hasattr(values, "triangle"):
        return values.triangle(value or "accuracy"), values.grid.l, values.grid.u, value or "accuracy"
    cells = np.asarray(values, dtype=np.float64)
    low, high = (np.asarray(axis if axis is not None else np.linspace(0, 1, n), dtype=np.float64) for axis, n in zip((l, u), cells.shape, strict=False))
    if cells.shape != (len(low), len(high)):
        raise InputError("values and thresholds differ in shape", where="triangle", expected=(len(low), len(high)), got=cells.shape)
    if (np.diff(low) <= 0).any() or (np.diff(high) <= 0).any():
        raise InputError("thresholds must increase", where="triangle")
    return cells, low, high, value or ""


def _edges(at: Floats) -> Floats:
    if len(at) == 1:
        return np.array([at[0] - 0.05, at[0] + 0.05])
    middle = (at[1:] + at[:-1]) / 2
    return np.r_[2 * at[0] - middle[0], middle, 2 * at[-1] - middle[-1]]


def _axes(ax: Any, edges: list[Floats]) -> None:
    ax.set(xlabel="lower threshold l (quantile of the dissimilarities)", ylabel="upper threshold u (quantile)", aspect="equal")
    ax.set(xlim=(edges[0][0], edges[0][-1]), ylim=(edges[1][0], edges[1][-1]))
    for spine in ax.spines.values():
        spine.set_visible(False)


def _best_cell(ax: Any, cells: Floats, low: Floats, high: Floats, edges: list[Floats], best: str) -> str:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    filled = np.where(np.isfinite(cells), cells, -np.inf if best == "max" else np.inf)
    i, j = np.unravel_index(int(filled.argmax() if best == "max" else filled.argmin()), cells.shape)
    box = (edges[0][i], edges[1][j], edges[0][i + 1] - edges[0][i], edges[1][j + 1] - edges[1][j])
    rim = [withStroke(linewidth=4.4, foreground=style.INK)]  # white with a dark rim shows on pale and dark cells, and is no region's colour
    ax.add_patch(Rectangle(box[:2], *box[2:], fill=False, edgecolor="white", linewidth=1.8, path_effects=rim, zorder=6, clip_on=False))
    return f"Frame: {'highest' if best == 'max' else 'lowest'} cell, {cells[i, j]:.3f} at l = {low[i]:g}, u = {high[j]:g} (chosen on what is shown)"


def _outline(ax: Any, cells: Floats, low: Floats, high: Floats, edges: list[Floats]) -> list[str]:
    """Outline each region along its cells, and list the regions with their mean in the empty corner."""
    which = region_of(low[:, None], high[None, :])
    which[~np.isfinite(cells)] = ""
    colors = dict(zip(REGIONS, (style.PALETTE[3], style.PALETTE[5], style.PALETTE[1], style.PALETTE[6]), strict=True))
    row = 0
    for name in REGIONS[::-1]:
        inside = np.pad(which == name, 1)
        if not inside.any():
            continue
        for axis in (0, 1):
            for i, j in np.argwhere(np.diff(inside.astype(int), axis=axis) != 0):
                if axis == 0:
                    line = ([edges[0][i], edges[0][i]], [edges[1][j - 1], edges[1][j]])
                else:
                    line = ([edges[0][i - 1], edges[0][i]], [edges[1][j], edges[1][j]])
                ax.plot(*line, color=colors[name], linewidth=2.2, solid_capstyle="projecting", zorder=5, clip_on=False)
        ax.annotate(name, (0.995, 0.045 + 0.062 * row), xycoords="axes fraction", ha="right", va="center", fontsize=8.6, fontweight="bold", color=colors[name])
        ax.annotate(f"mean {style.number(float(cells[which == name].mean()))}", (0.995, 0.045 + 0.062 * row), (-78, 0), xycoords="axes fraction",
                    textcoords="offset points", ha="right", va="center", fontsize=8.2, color=style.SOFT)  # fmt: skip
        row += 1
    return ["Outlines: cells that are local, global, geometry- or topology-sensitive"] if row else []
