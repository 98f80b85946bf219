"""What figures of conditions share: their order, their categories as coloured strips, and small pictures of stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.nouns.stimuli import StimulusSet
from brainenc.nouns.tables import need_column, positions_of
from brainenc.viz import style

NONE = "none"
DEFAULT_COLUMN = "category"
MAX_CATEGORIES = 24  # beyond that the colours say nothing
THUMB_PIXELS = 96


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """One category a condition, as numbers into ``names``; -1 where the column has no value."""

    names: list[str]
    codes: npt.NDArray[np.intp]

    @property
    def colors(self) -> list[str]:
        """One colour a name."""
        return list(style.category_colors(range(len(self.names))).values())

    def color_of(self, position: int) -> str:
        """Return the colour of one condition; grey where it has no category."""
        code = int(self.codes[position])
        return self.colors[code] if code >= 0 else style.RULE

    def runs(self) -> list[tuple[int, int, int]]:
        """Return (code, start, stop) of every stretch of neighbours of one category."""
        edges = [0, *(np.flatnonzero(self.codes[1:] != self.codes[:-1]) + 1).tolist(), len(self.codes)]
        return [(int(self.codes[a]), a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]

    def is_blocked(self) -> bool:
        """Return whether each category is one stretch."""
        codes = [code for code, _, _ in self.runs()]
        return len(codes) == len(set(codes))

    def take(self, order: npt.NDArray[np.intp]) -> Categories:
        """Return the categories of conditions in another order."""
        return Categories(self.names, self.codes[order])


def categories(conditions: pd.DataFrame, column: str | None, where: str) -> Categories | None:
    """Return the categories of a column; "auto" takes ``category`` where it is there and tells conditions apart in few groups."""
    if column is None:
        return None
    if column == "auto":
        known = DEFAULT_COLUMN in conditions and conditions[DEFAULT_COLUMN].notna().any()
        if not known or conditions[DEFAULT_COLUMN].nunique() > min(MAX_CATEGORIES, len(conditions) - 1):
            return None
        column = DEFAULT_COLUMN
    codes, names = pd.factorize(need_column(conditions, column, where).astype(object), use_na_sentinel=True)
    if len(names) > MAX_CATEGORIES:
        raise InputError("too many categories to be told apart by colour", where=where, expected=f"at most {MAX_CATEGORIES}", got=f"{len(names)} in {column!r}")
    return Categories([str(name) for name in names], np.asarray(codes, dtype=np.intp))


def order_of(conditions: pd.DataFrame, order: str | Sequence[Any] | None, ids: npt.NDArray[np.object_], where: str) -> npt.NDArray[np.intp]:
    """Return positions of the conditions: as they are, grouped by a column (groups as they first appear), or as ids are listed."""
    if order is None:
        return np.arange(len(conditions))
    if isinstance(order, str):
        codes, _ = pd.factorize(need_column(conditions, order, where).astype(object), use_na_sentinel=True)
        return np.argsort(np.where(codes < 0, len(codes), codes), kind="stable")
    return positions_of([str(name) for name in order], list(ids), "conditions", where)


def strip(ax: Any, groups: Categories, side: str, *, points: float = 5.0, gap: float = 2.5) -> None:
    """Draw the categories as a strip along the left or the top of a matrix whose cells are one unit wide."""
    from matplotlib.transforms import ScaledTranslation

    vertical = side == "left"
    base = ax.get_yaxis_transform() if vertical else ax.get_xaxis_transform()
    shift = -(gap + points / 2) / 72 if vertical else (gap + points / 2) / 72
    trans = base + (ScaledTranslation(shift, 0, ax.figure.dpi_scale_trans) if vertical else ScaledTranslation(0, shift, ax.figure.dpi_scale_trans))
    at = 0.0 if vertical else 1.0
    for code, start, stop in groups.runs():
        ends = [start - 0.5, stop - 0.5]
        color = groups.colors[code] if code >= 0 else style.RULE
        line = ([at, at], ends) if vertical else (ends, [at, at])
        ax.plot(*line, transform=trans, color=color, linewidth=points, solid_capstyle="butt", clip_on=False, zorder=4)


def strip_names(ax: Any, groups: Categories, inches: float, *, pad: float, size: float = 8.0) -> bool:
    """Write the names beside the left strip, and say whether there was room: each category one stretch, at least a line high."""
    if not fits_names(groups, inches, size):
        return False
    trans = ax.get_yaxis_transform()
    for code, start, stop in groups.runs():
        name = style.shorten(groups.names[code] if code >= 0 else NONE, 24)
        ax.annotate(name, (0, (start + stop - 1) / 2), (-pad, 0), xycoords=trans, textcoords="offset points", ha="right", va="center", fontsize=size,
                    color=groups.colors[code] if code >= 0 else style.SOFT, fontweight="bold", annotation_clip=False)  # fmt: skip
    return True


def fits_names(groups: Categories, inches: float, size: float = 8.0) -> bool:
    """Return whether the names of the categories can stand at their stretches of an axis of this length."""
    middles = np.array([(start + stop - 1) / 2 for _, start, stop in groups.runs()])
    step = inches / max(1, len(groups.codes))
    return groups.is_blocked() and bool((np.diff(middles) * step >= 1.25 * size / 72).all())


def legend_of(groups: Categories, *, marker: str = "s") -> list[Any]:
    """Return legend handles, one a category."""
    from matplotlib.lines import Line2D

    made = [(name, color) for name, color in zip(groups.names, groups.colors, strict=True)]
    made += [(NONE, style.RULE)] if (groups.codes < 0).any() else []
    return [Line2D([], [], linestyle="", marker=marker, markersize=7, color=color, label=style.legend_text(name, 28)) for name, color in made]


def thumbnails(stimuli: StimulusSet, ids: Sequence[object], where: str) -> list[npt.NDArray[np.uint8]]:
    """Return small pictures (at most 96 pixels a side) of these stimuli.

    Raises
    ------
    InputError
        When stimuli are no images, or some condition is not among them.
    """
    from PIL import Image

    if stimuli.kind != "image":
        raise InputError("only images can stand at an axis", where=where, got=f"stimuli of kind {stimuli.kind!r}")
    positions_of([str(i) for i in ids], list(stimuli.ids), "conditions", f"{where}: stimuli {stimuli.name!r}")
    pictures = []
    for name in ids:
        picture = Image.fromarray(np.asarray(stimuli.load(str(name)), dtype=np.uint8))
        picture.thumbnail((THUMB_PIXELS, THUMB_PIXELS))
        pictures.append(np.asarray(picture))
    return pictures


def picture_at(ax: Any, picture: npt.NDArray[np.uint8], place: tuple[float, float], inches: float, **options: Any) -> Any:
    """Draw a picture with its longer side this many inches; ``options`` are those of matplotlib's AnnotationBbox."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    image = OffsetImage(picture, zoom=inches * 72 / max(picture.shape[:2]), interpolation="antialiased")
    box = AnnotationBbox(image, place, **{"frameon": False, "pad": 0.0, "annotation_clip": False, **options})
    return ax.add_artist(box)


def spread(n: int, room: int) -> npt.NDArray[np.intp]:
    """Return at most ``room`` of n positions, at equal steps."""
    step = -(-n // max(1, room))
    return np.arange((step - 1) // 2, n, step)
