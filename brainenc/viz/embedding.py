"""Conditions, or whole RDMs, as points of a plane whose distances follow the dissimilarities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.stimuli import StimulusSet
from brainenc.nouns.tables import need_column
from brainenc.viz import conditions as cond
from brainenc.viz import style

Floats = npt.NDArray[np.float64]
MAX_LABELS = 60
MAX_STEPS = 500


def mds_map(
    data: RDMs | pd.DataFrame,
    *,
    of: str = "conditions",
    category: str | None = "auto",
    label: str | None = None,
    stimuli: StimulusSet | None = None,
    hulls: bool = True,
    title: str | None = None,
) -> Any:
    """Draw conditions (or RDMs) as points: stimuli as their pictures, categories as colours and hulls.

    Metric multidimensional scaling: from the classical solution of Torgerson, by majorisation of Σ (d_ij − ‖x_i − x_j‖)². The note
    states how much of the dissimilarities the plane loses (Kruskal's stress-1). Conditions of several RDMs are drawn from their mean,
    each RDM scaled to unit root mean square. RDMs are drawn by 1 − Spearman's correlation of their pairs.

    Parameters
    ----------
    data : RDMs, or DataFrame with columns ``x`` and ``y``
        Points of a table (from another scaling) are drawn as they are; its other columns serve ``category`` and ``label``.
    of : {"conditions", "rdms"}
        What the points of `RDMs` are.
    category : str, optional
        Column that colours the points; "auto" takes ``category`` (where there is none ``roi``, else ``model``), None draws one colour.
    label : str, optional
        Column with names to be written at the points; by default the conditions, or what tells the RDMs apart, for up to 60 points.
    stimuli : StimulusSet, optional
        Images to be drawn in place of points.
    hulls : bool
        Shade the convex hull of each category of three points or more.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError, NotFoundError
        For fewer than three points, dissimilarities that are missing, a column that is not there.

    Notes
    -----
    de Leeuw & Heiser 1980 (SMACOF); Torgerson 1952, doi:10.1007/BF02288916; stress-1: Kruskal 1964, doi:10.1007/BF02289565

    Examples
    --------
    >>> import brainenc as be
    >>> figure = mds_map(be.RDMs([[0.1, 0.5, 0.9]], {"condition": ["face", "house", "cat"]}))
    """
    points = _points(data, one_of(of, ("conditions", "rdms"), "mds_map: of"), label)
    groups = cond.categories(points.table, _auto(points, category), "mds_map")
    with style.style():
        n = len(points.xy)
        big = stimuli is not None and n > 40
        fig = style.figure(8.8 if big else 7.2, 7.4 if big else 6.0)
        ax = fig.subplots()
        size = 0.5 if n <= 40 else 0.36
        if hulls and groups is not None:
            _hulls(ax, points.xy, groups)
        if stimuli is not None:
            _pictures(ax, points, groups, stimuli, size)
        else:
            _dots(ax, points, groups)
        _frame(ax, points.xy, size if stimuli is not None else 0.12)
        if groups is not None and len(groups.names) > 1:
            fig.legend(handles=cond.legend_of(groups, marker="o"), loc="outside right upper", fontsize=8.5, handletextpad=0.2, labelspacing=0.7)
        style.heading(fig, points.heading if title is None else title, points.note)
    return fig


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """Where things stand (n, 2), what is known about them, their ids and names, and how the plane came about."""

    xy: Floats
    table: pd.DataFrame
    ids: list[str]
    names: list[str] | None
    heading: str
    note: str
    of: str


def _points(data: Any, of: str, label: str | None) -> _Points:
    if isinstance(data, pd.DataFrame):
        xy = np.column_stack([pd.to_numeric(need_column(data, axis, "mds_map")).to_numpy(dtype=np.float64) for axis in ("x", "y")])
        if not np.isfinite(xy).all():
            raise InputError("coordinates are missing", where="mds_map", got=f"{int((~np.isfinite(xy)).any(axis=1).sum())} of {len(xy)} points")
        table = data.reset_index(drop=True)
        column = label or next((c for c in ("label", "condition", "stimulus_id") if c in table), None)
        names = None if column is None else need_column(table, column, "mds_map").astype(str).tolist()
        ids = table["stimulus_id"].astype(str).tolist() if "stimulus_id" in table else names or [str(i) for i in range(len(table))]
        known = table["stress"].dropna().unique() if "stress" in table else []
        note = f"Multidimensional scaling, stress {style.number(float(known[0]))} (0: the distances are kept)" if len(known) == 1 else ""
        return _Points(xy, table, ids, names if label or len(table) <= MAX_LABELS else None, f"{len(table)} points", note, "table")
    if not isinstance(data, RDMs):
        raise InputError("cannot be mapped", where="mds_map", expected="RDMs or a table with x and y", got=type(data).__name__)
    square, table, ids, note = _of_rdms(data) if of == "rdms" else _of_conditions(data)
    if len(square) < 3:
        raise InputError("too few points for a plane", where="mds_map", expected="at least 3", got=f"{len(square)} {of}")
    xy, stress = scale_plane(square)
    names = need_column(table, label, "mds_map").astype(str).tolist() if label else ids if len(ids) <= MAX_LABELS else None
    note = f"{note}. Metric multidimensional scaling, stress {style.number(stress)} (0: the distances are kept)"
    return _Points(xy, table, ids, names, f"{len(ids)} {'RDMs' if of == 'rdms' else 'conditions'}", note, of)


def _of_conditions(rdms: RDMs) -> tuple[Floats, pd.DataFrame, list[str], str]:
    values = np.asarray(rdms.values, dtype=np.float64)
    scale = np.sqrt(np.nanmean(values**2, axis=1, keepdims=True))
    mean = (values / np.where(scale > 0, scale, 1.0)).mean(axis=0)
    if not np.isfinite(mean).all():
        raise InputError("pairs without a value cannot be placed", where="mds_map", got=f"{int((~np.isfinite(mean)).sum())} of {len(mean)} pairs")
    below = int((mean < 0).sum())
    square = RDMs(np.maximum(mean, 0.0)[None], rdms.conditions).square()[0]
    note = f"{style.plain(rdms.metric)}{f', mean of {rdms.n_rdms} RDMs scaled to unit root mean square' if rdms.n_rdms > 1 else ''}"
    return square, rdms.conditions, [str(i) for i in rdms.ids], note + (f"; {below} pairs below zero are placed at distance zero" if below else "")


def _of_rdms(rdms: RDMs) -> tuple[Floats, pd.DataFrame, list[str], str]:
    import torch

    from brainenc.linalg.ranks import midranks
    from brainenc.viz.rdms import panel_titles

    known = np.isfinite(rdms.values).all(axis=0)
    if known.sum() < 3:
        raise InputError("the RDMs share fewer than three pairs with values", where="mds_map", got=int(known.sum()))
    ranks = midranks(torch.from_numpy(np.ascontiguousarray(rdms.values[:, known], dtype=np.float64))).numpy()
    ranks -= ranks.mean(axis=1, keepdims=True)
    norm = np.sqrt((ranks**2).sum(axis=1))
    if (norm == 0).any():
        raise InputError("an RDM is constant and has no rank correlation", where="mds_map", got=f"RDM {int(np.argmin(norm)) + 1}")
    square = 1.0 - (ranks @ ranks.T) / np.outer(norm, norm)
    np.fill_diagonal(square, 0.0)
    lost = int((~known).sum())
    note = "Distance: 1 − Spearman's correlation of two RDMs" + (f" over the {int(known.sum())} pairs that all have ({lost} lack a value)" if lost else "")
    return np.maximum(square, 0.0), rdms.rdms, panel_titles(rdms), note


def scale_plane(square: Floats, *, steps: int = MAX_STEPS) -> tuple[Floats, float]:
    """Return points (n, 2) whose distances follow a symmetric matrix (n, n), and the stress-1 that is left; no random start."""
    n = len(square)
    centre = np.eye(n) - 1.0 / n
    sizes, axes = np.linalg.eigh(-0.5 * centre @ square**2 @ centre)
    xy = axes[:, -2:][:, ::-1] * np.sqrt(np.maximum(sizes[-2:][::-1], 0.0))
    xy = np.where(np.ptp(xy, axis=0) > 0, xy, 0.0)
    if not xy.any():  # all dissimilarities are equal to zero: nothing tells the points apart
        return xy, 0.0
    stress = np.inf
    for _ in range(steps):
        distance = np.sqrt(((xy[:, None] - xy[None]) ** 2).sum(axis=-1))
        new = float(((square - distance) ** 2).sum())
        if stress - new < 1e-9 * float((square**2).sum()):
            break
        stress = new
        ratio = np.divide(square, distance, out=np.zeros_like(square), where=distance > 1e-12)
        xy = (np.diag(ratio.sum(axis=1)) - ratio) @ xy / n
    distance = np.sqrt(((xy[:, None] - xy[None]) ** 2).sum(axis=-1))
    # the sign of an axis means nothing: the first point that is away from the middle stands to the right and above
    first = np.array([xy[np.argmax(np.abs(xy[:, k]) > 1e-9), k] for k in range(2)])
    xy = xy * np.where(first < 0, -1.0, 1.0)
    return xy, float(np.sqrt(((square - distance) ** 2).sum() / max(float((distance**2).sum()), 1e-300)))


def _auto(points: _Points, category: str | None) -> str | None:
    if category != "auto" or points.of == "conditions" or cond.DEFAULT_COLUMN in points.table:
        return category
    for name in ("roi", "model"):
        if name in points.table and 1 < points.table[name].nunique() <= cond.MAX_CATEGORIES:
            return name
    return None


def _hulls(ax: Any, xy: Floats, groups: cond.Categories) -> None:
    from scipy.spatial import ConvexHull, QhullError

    for code, color in enumerate(groups.colors):
        mine = xy[groups.codes == code]
        if len(mine) < 3:
            continue
        try:
            corners = mine[ConvexHull(mine).vertices]
        except QhullError:  # points on one line have no hull
            continue
        ax.fill(*corners.T, facecolor=color, alpha=0.10, edgecolor=color, linewidth=0, zorder=0.5)
        ax.plot(*np.vstack([corners, corners[:1]]).T, color=color, alpha=0.45, linewidth=1.0, zorder=0.6)


def _dots(ax: Any, points: _Points, groups: cond.Categories | None) -> None:
    n = len(points.xy)
    colors = [groups.color_of(i) for i in range(n)] if groups is not None else [style.PALETTE[10]] * n
    ax.scatter(*points.xy.T, s=58 if n <= 40 else 34, c=colors, edgecolors="white", linewidths=0.9, zorder=3)
    if points.names is None:
        return
    span = np.ptp(points.xy, axis=0).max() or 1.0
    for (x, y), name, color, side in zip(points.xy, points.names, colors, _sides(points.xy / span), strict=True):
        ax.annotate(style.shorten(name, 22), (x, y), (side[0] * 6, side[1] * 6), textcoords="offset points", fontsize=7.6 if n <= 30 else 6.6, color=color,
                    ha={1: "left", -1: "right", 0: "center"}[side[0]], va={1: "bottom", -1: "top", 0: "center"}[side[1]], zorder=4)  # fmt: skip


def _sides(xy: Floats) -> list[tuple[int, int]]:
    """Return for each point the side, of four, on which the nearest other points leave most room for a name."""
    choices = [(1, 0), (-1, 0), (0, 1), (0, -1)]
    reach = np.array([(0.09, 0.0), (-0.09, 0.0), (0.0, 0.045), (0.0, -0.045)])
    sides = []
    taken = xy.copy()
    for x in xy:
        spots = x + reach
        gaps = np.sqrt((((spots[:, None] - taken[None]) * [0.5, 1.0]) ** 2).sum(axis=-1))
        gaps[:, np.isclose(taken, x).all(axis=1)] = np.inf
        best = int(np.argmax(gaps.min(axis=1)))
        sides.append(choices[best])
        taken = np.vstack([taken, spots[best]])
    return sides


def _pictures(ax: Any, points: _Points, groups: cond.Categories | None, stimuli: StimulusSet, inches: float) -> None:
    pictures = cond.thumbnails(stimuli, points.ids, "mds_map")
    for i, picture in enumerate(pictures):
        edge = groups.color_of(i) if groups is not None else style.FAINT
        cond.picture_at(ax, picture, tuple(points.xy[i]), inches, frameon=True, pad=0.12, bboxprops={"edgecolor": edge, "linewidth": 1.3, "facecolor": "white"})


def _frame(ax: Any, xy: Floats, margin: float) -> None:
    """Equal units on both axes, no ticks (distances mean something, coordinates do not), and room for what stands at the edge."""
    low, high = xy.min(axis=0), xy.max(axis=0)
    middle, reach = (low + high) / 2, max(float((high - low).max()), 1e-9) * (0.54 + margin / 9.0)
    ax.set(xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach), xticks=[], yticks=[], aspect="equal")
    for spine in ax.spines.values():
        spine.set(visible=True, color=style.RULE)
