"""Comparisons through time: curves with their ceilings, and time by time matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.nouns.evaluation import Evaluation
from brainenc.nouns.tables import need_column
from brainenc.viz import style
from brainenc.viz.comparisons import ALPHA, Table, comparison_label, group_names, how_resampled

MAX_PANELS = 9
MAX_NAMED = 12

Floats = npt.NDArray[np.float64]


def time_course(
    evaluation: Evaluation,
    *,
    time: str = "time",
    clusters: pd.DataFrame | Mapping[str, Any] | None = None,
    ceiling: bool = True,
    alpha: float = ALPHA,
    title: str | None = None,
) -> Any:
    """Draw the score of each model against time, with intervals as bands, the noise ceiling, and bars where a model is significant.

    A bar below the curves stands where ``clusters`` lists one with p ≤ alpha; without clusters, where the permutation p-value of the
    maximum is (``p_max``), and where there is none, where q is. The note says which.

    Parameters
    ----------
    evaluation : Evaluation
        With a column of times (s) in ``groups``; further columns (roi …) make panels, of which the first 9 are drawn.
    time : str
        That column.
    clusters : mapping or DataFrame, optional
        ``{model: what brainenc.rsa.cluster_test gave for it}``, drawn in every panel, or one table with a row a cluster: ``model`` (and ``layer``
        …), the columns of the panels, ``start`` and ``stop`` (s, both inclusive) and ``p``.
    ceiling : bool
        Draw the noise ceiling as a band.
    alpha : float
        Largest p or q of what is called significant.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError, NotFoundError
        Without such a column, or with fewer than two times.
    """
    at = _times(evaluation, time, "time_course")
    table = Table(evaluation, alpha)
    names = group_names(evaluation.groups, leave_out=(time,))
    panels = list(dict.fromkeys(names))
    marks, words = _significant(table, evaluation, at, names, clusters, alpha)
    with style.style():
        shown = panels[:MAX_PANELS]
        columns = min(len(shown), 3)
        rows = -(-len(shown) // columns)
        fig = style.figure(max(6.4, 3.6 * columns + 0.8), 2.75 * rows + 1.3)
        axes = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for ax, panel in zip(axes.flat, shown, strict=False):
            here = np.flatnonzero(np.array(names) == panel)
            _curves(ax, table, here[np.argsort(at[here], kind="stable")], at, ceiling=ceiling)
            ax.set_title(style.shorten(panel, 30))
        _bars(list(axes.flat[: len(shown)]), marks, shown, table)
        for ax in axes.flat[len(shown) :]:
            ax.set_axis_off()
        for i in range(len(shown)):
            ax = axes.flat[i]
            ax.tick_params(labelbottom=i + columns >= len(shown))
            ax.set_xlabel("time (ms)" if i + columns >= len(shown) else "")
            ax.set_ylabel(style.plain(comparison_label(evaluation)) if i % columns == 0 else "")
        _legend(fig, table)
        style.heading(fig, "Models through time" if title is None else title, _note(table, words, len(panels) - len(shown), ceiling=ceiling))
    return fig


def time_matrix(
    evaluation: Evaluation,
    *,
    rows: str = "time",
    columns: str = "time_test",
    model: str | None = None,
    clusters: Mapping[str, Any] | None = None,
    alpha: float = ALPHA,
    title: str | None = None,
) -> Any:
    """Draw scores as time by time matrices (temporal generalisation), one panel a model, with what is significant outlined.

    Parameters
    ----------
    evaluation : Evaluation
        With two columns of times (s) in ``groups``. Pairs that are not there stay grey; a matrix of which one half is there is shown whole
        only if both orders were evaluated.
    rows, columns : str
        The columns of times that run upwards and to the right, as `brainenc.rsa.temporal_generalization` names them.
    model : str, optional
        Only this one; the first 9 when not given.
    clusters : mapping, optional
        ``{model: what brainenc.rsa.cluster_test gave for it}``: clusters with p ≤ alpha are outlined, instead of single pairs of times.
    alpha : float
        Largest p of a cluster, of the maximum statistic, or (where there is neither) q that is outlined.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure
    """
    first, second = _times(evaluation, rows, "time_matrix"), _times(evaluation, columns, "time_matrix")
    table = Table(evaluation, alpha)
    if model is not None and model not in table.names:
        raise InputError("no such model", where="time_matrix", expected=", ".join(table.names[:12]), got=repr(model))
    chosen = [table.names.index(model)] if model is not None else list(range(min(table.n_models, MAX_PANELS)))
    down, right = np.unique(first), np.unique(second)
    place = (np.searchsorted(down, first), np.searchsorted(right, second))
    if len(set(zip(*place, strict=True))) < len(first):
        raise InputError("several groups share a pair of times", where="time_matrix", fix='select one first, e.g. where(roi="IT")')
    significant, words = _of_maximum(table, alpha) if clusters is None else _of_clusters(table, clusters, alpha)
    with style.style():
        fig, axes = _matrix_page(len(chosen))
        cells = np.full((len(chosen), len(down), len(right)), np.nan)
        cells[:, place[0], place[1]] = table.score[:, chosen].T
        finite = cells[np.isfinite(cells)]
        top = float(np.abs(finite).max()) if len(finite) else 1.0
        signed = bool((finite < -0.1 * top).any())
        colors = {"cmap": style.colormap("diverging" if signed else "score"), "vmin": -top if signed else 0.0, "vmax": top}
        for i, (ax, m) in enumerate(zip(axes, chosen, strict=True)):
            edges = _edges(1000 * right), _edges(1000 * down)
            image = ax.pcolormesh(*edges, np.ma.masked_invalid(cells[i]), **colors)
            mask = np.zeros(cells.shape[1:], dtype=bool)
            mask[place] = significant[:, m]
            _outline(ax, mask, edges)
            ax.plot([edges[0][0], edges[0][-1]], [edges[0][0], edges[0][-1]], color=style.FAINT, linewidth=0.7)
            ax.set(aspect="equal", xlim=(edges[0][0], edges[0][-1]), ylim=(edges[1][0], edges[1][-1]), xlabel=_axis(columns))
            ax.set_title(style.shorten(table.names[m], 30), fontsize=9.5)
        axes[0].set_ylabel(_axis(rows))
        bar = fig.colorbar(image, ax=axes, shrink=0.7, aspect=22, pad=0.02)
        bar.outline.set_visible(False)
        bar.set_label(style.plain(comparison_label(evaluation)), fontsize=8.5)
        hidden = f"{table.n_models - len(chosen)} further models are not drawn" if model is None and table.n_models > len(chosen) else ""
        outlined = f"Outlined: {words}" if significant.any() else f"Nothing is significant ({words})" if words else ""
        parts = [f"{evaluation.n_conditions} conditions", outlined, hidden]
        style.heading(fig, "Generalisation over time" if title is None else title, ". ".join(part for part in parts if part))
    return fig


def _times(evaluation: Evaluation, column: str, where: str) -> Floats:
    at = pd.to_numeric(need_column(evaluation.groups, column, f"{where}: groups")).to_numpy(dtype=np.float64)
    if len(np.unique(at)) < 2 or not np.isfinite(at).all():
        raise InputError("a course needs at least two times", where=where, got=f"{len(np.unique(at))} in {column!r}")
    return at


def _curves(ax: Any, table: Table, here: npt.NDArray[np.intp], at: Floats, *, ceiling: bool) -> None:
    ms = 1000 * at[here]
    ax.grid(axis="y")
    ax.axhline(0, color=style.FAINT, linewidth=0.8)
    if ms.min() < 0 < ms.max():
        ax.axvline(0, color=style.FAINT, linewidth=0.8, linestyle=(0, (3, 2)))
    low, high = table.ceiling[here].T
    if ceiling and np.isfinite(low).any():
        ax.fill_between(ms, low, high, color=style.CEILING, alpha=0.13, linewidth=0, zorder=0.5)
        for edge in (low, high):
            ax.plot(ms, edge, color=style.CEILING, linewidth=0.8, alpha=0.7, zorder=0.6)
    for m in range(table.n_models):
        ax.fill_between(ms, table.low[here, m], table.high[here, m], color=table.colors[m], alpha=0.16, linewidth=0, zorder=1)
        ax.plot(ms, table.score[here, m], color=table.colors[m], linewidth=1.7, zorder=2)
    ax.set_xlim(ms.min(), ms.max())


def _significant(
    table: Table, evaluation: Evaluation, at: Floats, names: list[str], clusters: pd.DataFrame | None, alpha: float
) -> tuple[list[tuple[str, int, float, float]], str]:
    """Return (panel, model, start, stop) of what is significant, in seconds, and what makes it so in words."""
    found: list[tuple[str, int, float, float]] = []
    if clusters is not None:
        clusters = clusters if isinstance(clusters, pd.DataFrame) else _join(clusters, table.names)
        listed = [str(name) for name in clusters.columns]
        panel_columns = [c for c in evaluation.groups if c in listed and c != "time"]
        for i in np.flatnonzero(need_column(clusters, "p", "time_course: clusters").to_numpy(dtype=float) <= alpha):
            row = clusters.iloc[i]
            mine = [m for m in range(table.n_models) if table.names[m] == str(row["model"]) or _fits(evaluation.models.iloc[m], row, listed)]
            same = [g for g in range(table.n_groups) if all(str(evaluation.groups[c].iloc[g]) == str(row[c]) for c in panel_columns)]
            found += [(panel, m, float(row["start"]), float(row["stop"])) for m in mine for panel in dict.fromkeys(names[g] for g in same)]
        return found, f"clusters with p ≤ {alpha:g}"
    mask, words = _of_maximum(table, alpha)
    for panel in dict.fromkeys(names):
        here = np.flatnonzero(np.array(names) == panel)
        here = here[np.argsort(at[here], kind="stable")]
        half = np.median(np.diff(at[here])) / 2 if len(here) > 1 else 0.0
        for m in range(table.n_models):
            edges = np.flatnonzero(np.diff(np.r_[False, mask[here, m], False].astype(int)))
            found += [(panel, m, float(at[here[a]] - half), float(at[here[b - 1]] + half)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return found, words


def _fits(model: pd.Series, row: pd.Series, listed: list[str]) -> bool:
    """Return whether a row names this model in every column that both have."""
    return all(str(model[c]) == str(row[c]) for c in model.index if c in listed)


def _join(clusters: Mapping[str, Any], names: list[str]) -> pd.DataFrame:
    """Return the clusters of several models as one table; a model is named as the figure names it."""
    _check_names(clusters, names, "time_course")
    tables = [getattr(found, "table", found).assign(model=name) for name, found in clusters.items()]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["model", "start", "stop", "p"])


def _check_names(clusters: Mapping[str, Any], names: list[str], where: str) -> None:
    for name in clusters:
        if name not in names:
            raise InputError("clusters of an unknown model", where=where, expected=", ".join(names[:12]), got=repr(name))


def _of_clusters(table: Table, clusters: Mapping[str, Any], alpha: float) -> tuple[npt.NDArray[np.bool_], str]:
    """Return which groups (n_groups, n_models) lie in clusters of an evaluation of each model."""
    _check_names(clusters, table.names, "time_matrix")
    codes = [np.unique(table.evaluation.groups[name], return_inverse=True)[1] for name in table.evaluation.groups]
    shape = tuple(int(code.max()) + 1 for code in codes)
    mask = np.zeros(table.score.shape, dtype=bool)
    for name, found in clusters.items():
        p = np.asarray(getattr(found, "p", None), dtype=np.float64)
        if p.shape != shape:
            raise InputError("clusters are not of this evaluation", where="time_matrix", expected=f"cells of shape {shape}", got=p.shape,
                             fix="cluster_test(evaluation.take(models=[0]))")  # fmt: skip
        mask[:, table.names.index(name)] = p[tuple(codes)] <= alpha
    return mask, f"clusters with p ≤ {alpha:g}"


def _of_maximum(table: Table, alpha: float) -> tuple[npt.NDArray[np.bool_], str]:
    if np.isfinite(table.p_max).any():
        void = np.array([bool(text) for text in table.no_claim])[:, None]
        return (table.p_max <= alpha) & ~void, f"p of the maximum over the search ≤ {alpha:g}"
    if np.isfinite(table.q).any():
        return table.significant, f"q ≤ {alpha:g}"
    return np.zeros(table.score.shape, dtype=bool), ""


def _bars(axes: list[Any], marks: list[tuple[str, int, float, float]], panels: list[str], table: Table) -> None:
    """Draw the significant stretches below the curves, one row for each model that has any."""
    rows = {m: k for k, m in enumerate(sorted({m for panel, m, _, _ in marks if panel in panels}))}
    if not rows:
        return
    low, high = axes[0].get_ylim()
    step = 0.045 * (high - low)
    for panel, m, start, stop in marks:
        if panel in panels:
            y = low - step * (rows[m] + 0.8)
            axes[panels.index(panel)].plot([1000 * start, 1000 * stop], [y, y], color=table.colors[m], linewidth=3.0, solid_capstyle="butt", zorder=3)
    axes[0].set_ylim(low - step * (len(rows) + 0.8), high)


def _legend(fig: Any, table: Table) -> None:
    from matplotlib.lines import Line2D

    if table.n_models == 1 and not np.isfinite(table.ceiling).any():
        return
    handles = [Line2D([], [], color=table.colors[m], linewidth=2.2, label=style.legend_text(table.names[m], 30)) for m in range(min(table.n_models, MAX_NAMED))]
    if np.isfinite(table.ceiling).any():
        handles.append(Line2D([], [], color=style.CEILING, linewidth=7, alpha=0.25, label="noise ceiling"))
    fig.legend(handles=handles, loc="outside right upper", fontsize=8.5, handlelength=1.4, labelspacing=0.7)


def _note(table: Table, words: str, hidden: int, *, ceiling: bool) -> str:
    parts = [f"{table.evaluation.n_conditions} conditions, {table.evaluation.scores.shape[1]} subjects"]
    if np.isfinite(table.low).any():
        parts.append(f"Bands: 95 % intervals ({how_resampled(table.evaluation)})")
    if ceiling and np.isfinite(table.ceiling).any():
        parts.append("Shaded: noise ceiling, lower to upper")
    if words:
        parts.append(f"Bars below: {words}")
    if not table.larger_is_better:
        parts.append("Smaller is better")
    if table.n_models > MAX_NAMED:
        parts.append(f"{table.n_models - MAX_NAMED} models are drawn without a name")
    if hidden > 0:
        parts.append(f"{hidden} further panels are not drawn")
    return ". ".join(parts)


def _matrix_page(n: int) -> tuple[Any, list[Any]]:
    columns = min(n, 3)
    rows = -(-n // columns)
    size = 4.6 if n == 1 else 2.9
    fig = style.figure(size * columns + 1.5, size * rows + 1.2)
    axes = np.ravel(fig.subplots(rows, columns, squeeze=False))
    for ax in axes[n:]:
        ax.set_axis_off()
    return fig, list(axes[:n])


def _edges(at: Floats) -> Floats:
    middle = (at[1:] + at[:-1]) / 2
    return np.r_[2 * at[0] - middle[0], middle, 2 * at[-1] - middle[-1]]


def _outline(ax: Any, mask: npt.NDArray[np.bool_], edges: tuple[Floats, Floats]) -> None:
    from matplotlib.collections import LineCollection

    padded = np.pad(mask, 1)
    x, y = edges
    lines = [[(x[j - 1], y[i]), (x[j], y[i])] for i, j in np.argwhere(np.diff(padded.astype(int), axis=0) != 0)]
    lines += [[(x[j], y[i - 1]), (x[j], y[i])] for i, j in np.argwhere(np.diff(padded.astype(int), axis=1) != 0)]
    ax.add_collection(LineCollection(lines, colors=style.INK, linewidths=1.1, capstyle="projecting"), autolim=False)


def _axis(column: str) -> str:
    return {"time": "time (ms)", "time_test": "test time (ms)"}.get(column, style.plain(f"{column.replace('_', ' ')} (ms)"))
