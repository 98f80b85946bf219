"""The look of every figure: type, colours, grids. Used through a context, so that nothing leaks into the user's own plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

INK, SOFT, FAINT, RULE, PAPER = "#1d2733", "#5b6775", "#98a2ad", "#e3e7eb", "#ffffff"
# Paul Tol's "bright" and "muted" sets, ordered so that neighbours differ in lightness as well as in hue (colour-blind safe).
PALETTE = (
    "#332288",
    "#d5873c",
    "#117733",
    "#cc4466",
    "#3d9fd1",
    "#7a5a2b",
    "#aa4499",
    "#44aa99",
    "#882255",
    "#8a9a1f",
    "#4477aa",
    "#6b6f76",
)
CEILING = "#b4552d"
_FONTS = ("Inter", "Helvetica Neue", "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")
# Anchors of the colour maps; lightness is made to fall (or rise) evenly between them.
_MAPS = {
    "score": ("#fbf8f1", "#c9e3d3", "#6dbcae", "#2c86a0", "#2a4f8a", "#1d1f4f"),
    "warm": ("#5a1a5e", "#a3265c", "#dd5545", "#f39a4a", "#fbe49a"),
    "grey": ("#f4f4f2", "#3a3f46"),
}
_DIVERGING = ("#17335f", "#3f7fb5", "#a9cbe0", "#f5f3ef", "#f0b79d", "#cb5c49", "#6b1430")


@contextmanager
def style() -> Iterator[None]:
    """Apply the look inside a ``with`` block and put the user's settings back after it."""
    import matplotlib as mpl

    with mpl.rc_context(_settings()):
        yield


def figure(width: float, height: float) -> Any:
    """Return an empty figure (inches) that no pyplot state knows; call inside `style`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
    FigureCanvasAgg(fig)
    return fig


@lru_cache(maxsize=8)
def colormap(name: str) -> Any:
    """Return a perceptually even colour map: "score" (pale to navy), "warm" (for brains), "grey", "diverging" (blue to red)."""
    from matplotlib.colors import ListedColormap

    if name == "diverging":
        middle = len(_DIVERGING) // 2
        cold, hot = _even(_DIVERGING[: middle + 1], 128), _even(_DIVERGING[middle:], 128)
        rgb = np.concatenate([cold, hot])
    else:
        rgb = _even(_MAPS[name], 256)
    return ListedColormap(rgb, name=f"brainenc_{name}").with_extremes(bad="#d9dcdf")


def category_colors(names: Sequence[object]) -> dict[Any, str]:
    """Return one colour for each different name, in order; names beyond the palette begin it again."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(dict.fromkeys(names))}


def shades_of(color: str, n: int) -> list[Any]:
    """Return ``n`` shades of one hue, pale to full, for the layers of a model."""
    from matplotlib.colors import to_rgb

    full, pale = np.array(to_rgb(color)), np.array([0.93, 0.93, 0.92])
    weights = np.linspace(0.4, 1.0, n) if n > 1 else np.array([1.0])
    return [tuple(pale + w * (full - pale)) for w in weights]


def ink_on(color: Any) -> str:
    """Return the text colour, dark or white, that is legible on a background colour."""
    from matplotlib.colors import to_rgb

    linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)])
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.069 else INK


def score_label(metric: str) -> str:
    """Return the axis label of a metric."""
    base = metric.removesuffix("_normalized")
    label = {"pearson": "Pearson r", "r2": "R²", "spearman": "Spearman ρ"}.get(base, base.replace("_", " "))
    return f"{label} / ceiling" if metric.endswith("_normalized") else label


def number(value: float, digits: int = 2) -> str:
    """Return a number for a cell: ``.52``, ``−.03``, ``1.04``; an en dash where there is none."""
    if not np.isfinite(value):
        return "–"
    text = f"{abs(value):.{digits}f}"
    text = text[1:] if text.startswith("0.") else text
    return f"−{text}" if value < 0 and float(f"{value:.{digits}f}") != 0 else text


def heading(fig: Any, title: str, note: str = "") -> None:
    """Set a bold title at the upper left and a quiet note at the lower left.

    An empty title leaves both out, for pages that caption figures themselves: the note is then only the figure's label.
    """
    import textwrap

    note = f"{note[:1].upper()}{note[1:].rstrip('.')}." if note else ""
    fig.set_label(note)
    if not title:
        return
    fig.suptitle(plain(title), x=0.008, ha="left", fontsize=12.5, fontweight="bold", color=INK)
    if note:
        lines = textwrap.wrap(plain(note), max(30, int(fig.get_figwidth() * 15)))
        fig.supxlabel("\n".join(lines), x=0.008, ha="left", fontsize=8.2, color=SOFT, linespacing=1.4)


def plain(text: object) -> str:
    """Return text that matplotlib shows as it is: no mathtext, no control characters."""
    return "".join(c for c in str(text) if c.isprintable()).replace("$", r"\$")


def shorten(text: object, length: int = 26) -> str:
    """Return a label of at most ``length`` characters, cut in the middle."""
    whole = str(text)
    if len(whole) <= length:
        return plain(whole)
    head = (length - 1) // 2
    return plain(f"{whole[:head]}…{whole[-(length - 1 - head) :]}")


def legend_text(text: object, length: int = 26) -> str:
    """Return a short label that a legend shows even where it begins with an underscore."""
    label = shorten(text, length)
    return f"\u200a{label}" if label.startswith("_") else label


def _settings() -> dict[Any, Any]:
    return {
        "font.family": "sans-serif", "font.sans-serif": list(_known_fonts()), "font.size": 9.5, "axes.unicode_minus": True,
        "text.color": INK, "text.usetex": False, "axes.labelcolor": SOFT, "axes.edgecolor": FAINT, "axes.linewidth": 0.8, "axes.titlesize": 10.5,
        "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlecolor": INK, "axes.titlepad": 7, "axes.spines.top": False,
        "axes.spines.right": False, "axes.grid": False, "axes.axisbelow": True, "grid.color": RULE, "grid.linewidth": 0.8, "xtick.color": SOFT,
        "ytick.color": SOFT, "xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "xtick.major.size": 0, "ytick.major.size": 0, "legend.frameon": False,
        "legend.fontsize": 8.5, "lines.solid_capstyle": "round", "lines.linewidth": 1.8, "figure.facecolor": PAPER, "axes.facecolor": PAPER,
        "savefig.facecolor": PAPER, "image.interpolation": "nearest", "path.simplify": True,
    }  # fmt: skip


@lru_cache(maxsize=1)
def _known_fonts() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager

    known = {entry.name for entry in fontManager.ttflist}
    # DejaVu comes with matplotlib and holds every sign used here; it stands last to fill gaps.
    return (*[name for name in _FONTS[:-1] if name in known], "DejaVu Sans")


def _even(anchors: Sequence[str], n: int) -> npt.NDArray[np.float64]:
    """Return (n, 3) colours through the anchors whose CIE lightness runs in even steps from first to last."""
    from matplotlib.colors import to_rgb

    lab = np.array([_to_lab(np.array(to_rgb(a))) for a in anchors])
    lightness = np.linspace(lab[0, 0], lab[-1, 0], n)
    order = np.argsort(lab[:, 0])
    a, b = (np.interp(lightness, lab[order, 0], lab[order, k]) for k in (1, 2))
    return np.clip(_to_rgb(np.stack([lightness, a, b], axis=1)), 0, 1)


_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _XYZ.sum(axis=1)


def _to_lab(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = (_XYZ @ linear) / _WHITE
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _to_rgb(lab: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    fy = (lab[:, 0] + 16) / 116
    f = np.stack([fy + lab[:, 1] / 500, fy, fy - lab[:, 2] / 200], axis=1)
    ratio = np.where(f**3 > 216 / 24389, f**3, (116 * f - 16) / (24389 / 27))
    linear = (ratio * _WHITE) @ np.linalg.inv(_XYZ).T
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.clip(linear, 0, None) ** (1 / 2.4) - 0.055)
