"""RDMs side by side, with what the conditions are along their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.stimuli import StimulusSet
from brainenc.viz import conditions as cond
from brainenc.viz import style

MAX_PANELS = 16
MAX_PANELS_WITH_IMAGES = 4
COUNT = "n_rdms"  # how many an averaged RDM is the mean of: no name
LABELLED = 32  # conditions whose names can stand at the axis of a single RDM

Floats = npt.NDArray[np.float64]


def rdm_panels(
    rdms: RDMs,
    *,
    category: str | None = "auto",
    order: str | Sequence[Any] | None = None,
    stimuli: StimulusSet | None = None,
    colors: str = "value",
    scale: str = "shared",
    titles: Sequence[str] | None = None,
    title: str | None = None,
) -> Any:
    """Draw each RDM as a square, with the categories of the conditions as coloured strips and stimuli along the axes.

    Pairs without a value are grey and counted; the diagonal is left white. Values of both signs (crossvalidated distances) get a scale
    that is even about zero.

    Parameters
    ----------
    rdms : RDMs
        The first 16 are drawn.
    category : str, optional
        Column of ``conditions`` that colours the strips; "auto" takes ``category`` where there is one, None draws none.
    order : str or sequence, optional
        A column that groups the conditions, or their ids in the wanted order. As they stand when not given.
    stimuli : StimulusSet, optional
        Images to stand along the axes (of at most 4 RDMs): all of them, or as many as fit, evenly spread.
    colors : {"value", "rank", "percentile"}
        What is coloured: dissimilarities, their mid-ranks within each RDM, or these as a percentage of the number of pairs.
    scale : {"shared", "panel"}
        One colour scale for all, or one for each RDM.
    titles : sequence of str, optional
        One a panel; by default the columns of ``rdms`` in which the panels differ.
    title : str, optional
        Above the figure; "" for none.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError, NotFoundError
        For a column that is not there, too many categories, stimuli that are no images or lack a condition.

    Examples
    --------
    >>> import brainenc as be
    >>> rdms = be.RDMs([[0.1, 0.5, 0.9]], {"condition": ["face", "body", "cat"], "category": ["human", "human", "animal"]})
    >>> figure = rdm_panels(rdms, colors="rank")
    """
    where = "rdm_panels"
    one_of(colors, ("value", "rank", "percentile"), f"{where}: colors")
    one_of(scale, ("shared", "panel"), f"{where}: scale")
    shown = rdms.take(np.arange(min(rdms.n_rdms, MAX_PANELS)))
    if titles is not None and len(titles) != shown.n_rdms:
        raise InputError("one title a panel", where=where, expected=shown.n_rdms, got=len(titles))
    places = cond.order_of(rdms.conditions, order, rdms.ids, where)
    groups = cond.categories(rdms.conditions, category, where)
    groups = None if groups is None else groups.take(places)
    squares, n_missing = _squares(shown, places, colors)
    names = list(titles) if titles is not None else panel_titles(shown)
    with style.style():
        page = _Page(shown.n_rdms, len(places), groups, stimuli, margin=0.9 if title != "" else 0.35)
        fig, axes = page.fig, page.axes
        limits = _limits(squares, colors)
        for i, ax in enumerate(axes):
            low, high, cmap = limits if scale == "shared" else _limits(squares[i : i + 1], colors)
            image = _matrix(ax, squares[i], low, high, cmap)
            if shown.n_rdms > 1 or titles is not None:
                ax.set_title(style.shorten(names[i], 30 if page.size > 2.5 else 24), loc="left", fontsize=8.6 if page.size < 3 else 10, pad=12 if groups else 5)
            if scale == "panel":
                _bar(fig, image, [ax], colors, rdms.metric if page.columns * page.rows == 1 else "")
        page.mark([str(rdms.ids[p]) for p in places], named=order is None or not isinstance(order, str))
        if scale == "shared":
            _bar(fig, image, axes, colors, rdms.metric)
        page.legend()
        style.heading(fig, _heading(rdms) if title is None else title, _note(rdms, shown, n_missing, colors, scale, page.note, places, order))
    return fig


def _squares(rdms: RDMs, places: npt.NDArray[np.intp], colors: str) -> tuple[Floats, int]:
    """Return what is coloured (n_rdms, n, n), NaN on the diagonal, and the number of pairs without a value."""
    values = np.array(rdms.values, dtype=np.float64)
    missing = ~np.isfinite(values)
    values[missing] = np.nan
    if colors != "value":
        values = np.stack([_ranks(row, percent=colors == "percentile") for row in values])
    n = rdms.n_conditions
    full = np.full((len(values), n, n), np.nan)
    rows, columns = np.triu_indices(n, 1)
    full[:, rows, columns] = full[:, columns, rows] = values
    return full[:, places][:, :, places], int(missing.sum())


def _ranks(row: Floats, *, percent: bool) -> Floats:
    import torch

    from brainenc.linalg.ranks import midranks

    known = np.isfinite(row)
    out = np.full(row.shape, np.nan)
    if known.any():
        out[known] = midranks(torch.from_numpy(row[known])).numpy()
    return 100.0 * out / max(1, int(known.sum())) if percent else out


def _limits(squares: Floats, colors: str) -> tuple[float, float, Any]:
    finite = squares[np.isfinite(squares)]
    if colors == "percentile":
        return 0.0, 100.0, style.colormap("score")
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if low < 0 and -low > 0.05 * abs(high):
        top = max(-low, high)
        return -top, top, style.colormap("diverging")
    return low, high if high > low else low + 1.0, style.colormap("score")


def _matrix(ax: Any, square: Floats, low: float, high: float, cmap: Any) -> Any:
    n = len(square)
    image = ax.imshow(np.ma.masked_invalid(square), cmap=cmap, vmin=low, vmax=high)
    white = np.zeros((n, n, 4))
    white[np.arange(n), np.arange(n)] = 1.0
    ax.imshow(white)
    ax.set(xticks=[], yticks=[], xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def _bar(fig: Any, image: Any, axes: list[Any], colors: str, metric: str) -> None:
    bar = fig.colorbar(image, ax=axes, shrink=0.62 if len(axes) > 1 else 0.5, aspect=22, pad=0.02)
    bar.outline.set_visible(False)
    words = {"value": "dissimilarity", "rank": "rank of the dissimilarity", "percentile": "percentile of the dissimilarity"}[colors]
    if metric:
        room = int(0.8 * 72 * fig.get_figheight() / 5.0)
        label = f"{words} ({metric})"
        bar.set_label(label if len(label) <= room else f"{words}\n({style.shorten(metric, max(12, room - 2))})", fontsize=8.5)


@dataclass(slots=True)
class _Size:
    """Inches of one panel and of the margins around it."""

    panel: float
    columns: int
    rows: int


def _size(n_panels: int) -> _Size:
    if n_panels == 1:
        return _Size(4.6, 1, 1)
    columns = {2: 2, 3: 3, 4: 4}.get(n_panels, 4)
    return _Size({2: 3.5, 3: 2.9}.get(n_panels, 2.35), columns, -(-n_panels // columns))


class _Page:
    """The axes of one figure, and what stands along them."""

    def __init__(self, n_panels: int, n: int, groups: cond.Categories | None, stimuli: StimulusSet | None, *, margin: float) -> None:
        size = _size(n_panels)
        self.columns, self.rows, self.size, self.n = size.columns, size.rows, size.panel, n
        self.groups, self.note = groups, ""
        self.stimuli = stimuli if n_panels <= MAX_PANELS_WITH_IMAGES else None
        if stimuli is not None and self.stimuli is None:
            self.note = f"images are drawn for at most {MAX_PANELS_WITH_IMAGES} RDMs"
        self.direct = groups is not None and cond.fits_names(groups, self.size)
        left = 0.0 if groups is None else 0.075 * max(len(style.shorten(name, 24)) for name in groups.names)  # beside the strip, or in a legend
        self.thumb = 0.0 if self.stimuli is None else max(0.17, min(0.42, self.size / n))
        grow = 1.6 * self.thumb
        above = 0.22 + (0.16 if groups is not None else 0.0)  # title and strip of each row
        self.fig = style.figure((self.size + grow) * self.columns + 1.1 + left, (self.size + grow + above) * self.rows + margin)
        grid = np.ravel(self.fig.subplots(self.rows, self.columns, squeeze=False))
        for ax in grid[n_panels:]:
            ax.set_axis_off()
        self.axes = list(grid[:n_panels])

    def mark(self, ids: list[str], *, named: bool) -> None:
        """Draw strips, names and images."""
        pad = 3.0
        if self.groups is not None:
            for ax in self.axes:
                cond.strip(ax, self.groups, "left")
                cond.strip(ax, self.groups, "top")
            pad = 10.5
        if self.stimuli is not None:
            pad += self._images(ids, pad)
        if self.groups is not None and self.direct:
            for ax in self.axes[:: self.columns]:
                cond.strip_names(ax, self.groups, self.size, pad=pad)
        elif self.stimuli is None and len(self.axes) == 1 and self.n <= LABELLED:
            self._names(ids, pad)

    def legend(self) -> None:
        """Name the colours of the strips where their names do not stand beside them."""
        if self.groups is None or self.direct:
            return
        self.fig.legend(handles=cond.legend_of(self.groups), loc="outside right upper", fontsize=8, handletextpad=0.2, labelspacing=0.7)

    def _images(self, ids: list[str], pad: float) -> float:
        """Stand images left of the first column and below every panel; return the points they take."""
        pick = cond.spread(self.n, int(self.size / self.thumb))
        pictures = cond.thumbnails(self.stimuli, [ids[i] for i in pick], "rdm_panels")  # type: ignore[arg-type]
        away, inches = 72 * self.thumb / 2, 0.94 * self.thumb
        for i, ax in enumerate(self.axes):
            down, right = {"xycoords": ax.get_yaxis_transform(), "xybox": (-pad - away, 0)}, {"xycoords": ax.get_xaxis_transform(), "xybox": (0, -3 - away)}
            for position, picture in zip(pick, pictures, strict=True):
                if i % self.columns == 0:
                    cond.picture_at(ax, picture, (0, position), inches, boxcoords="offset points", **down)
                cond.picture_at(ax, picture, (position, 0), inches, boxcoords="offset points", **right)
        if len(pick) < self.n:
            self.note = f"{len(pick)} of {self.n} stimuli stand at the axes, evenly spread"
        return 72 * self.thumb + 3

    def _names(self, ids: list[str], pad: float) -> None:
        ax = self.axes[0]
        size = 8.0 if self.n <= 20 else 6.6
        ax.set_yticks(range(self.n), [style.shorten(name, 22) for name in ids], fontsize=size)
        ax.set_xticks(range(self.n), [style.shorten(name, 22) for name in ids], fontsize=size, rotation=90)
        ax.tick_params(axis="y", pad=pad)


def panel_titles(rdms: RDMs) -> list[str]:
    """Return what tells the RDMs apart: their columns, but for those that are the same for all."""
    table = rdms.rdms
    several = len(table) > 1
    columns = [c for c in table if c != COUNT and table[c].notna().any() and (not several or table[c].astype(str).nunique() > 1)]
    rows = [[_cell(name, table[name].iloc[i]) for name in columns if _known(table[name].iloc[i])] for i in range(len(table))]
    return [" · ".join(parts) or f"RDM {i + 1}" for i, parts in enumerate(rows)]


def _cell(name: str, value: Any) -> str:
    if name == "time" and isinstance(value, float):
        return f"{1000 * value:.0f} ms"
    if name == "subject":
        return f"subject {value}" if len(str(value)) <= 4 else str(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _known(value: Any) -> bool:
    return not (value is None or (isinstance(value, float) and np.isnan(value)))


def _heading(rdms: RDMs) -> str:
    if rdms.n_rdms == 1:
        label = panel_titles(rdms)[0]
        return "1 RDM" if label == "RDM 1" else style.shorten(label, 60)
    return f"{rdms.n_rdms} RDMs"


def _note(
    rdms: RDMs, shown: RDMs, n_missing: int, colors: str, scale: str, images: str, places: npt.NDArray[np.intp], order: str | Sequence[Any] | None
) -> str:
    table = rdms.rdms
    same = [f"{c} {table[c].iloc[0]}" for c in table if c != COUNT and len(table) > 1 and table[c].notna().all() and table[c].astype(str).nunique() == 1]
    parts = [f"{len(places)} conditions" + (f" of {rdms.n_conditions}" if len(places) < rdms.n_conditions else "")]
    parts[0] += f", grouped by {order}" if isinstance(order, str) else ""
    parts += [", ".join(same)] if same else []
    if colors != "value":
        parts.append("mid-ranks within each RDM" if colors == "rank" else "percentiles of mid-ranks within each RDM")
    if scale == "panel" and shown.n_rdms > 1:
        parts.append("each RDM has its own colour scale")
    if n_missing:
        parts.append(f"grey: {n_missing} pairs without a value")
    if rdms.n_rdms > shown.n_rdms:
        parts.append(f"{rdms.n_rdms - shown.n_rdms} more RDMs are not drawn")
    parts += [images] if images else []
    return ". ".join(p[:1].upper() + p[1:] for p in parts)
