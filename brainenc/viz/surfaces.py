"""Drawing on the cortical surface: fsaverage5 meshes of nilearn, projected, lit and painted triangle by triangle.

Only triangles that face the viewer are drawn, far ones first, each in the mean colour of its three vertices; the background
is the sulcal depth in two shades of grey. That takes a fraction of a second a view and needs no OpenGL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.spaces import SurfaceSpace
from brainenc.nouns.spaces.surface import HEMISPHERES, MESHES, load_mesh
from brainenc.viz import style

Floats = npt.NDArray[np.float64]
DRAWN_MESH = "fsaverage5"
# view: (hemispheres, direction from the brain to the viewer, up) in RAS millimetres
VIEWS: dict[str, tuple[tuple[str, ...], tuple[float, float, float], tuple[float, float, float]]] = {
    "left": (("left",), (-1, 0, 0), (0, 0, 1)),
    "right": (("right",), (1, 0, 0), (0, 0, 1)),
    "left medial": (("left",), (1, 0, 0), (0, 0, 1)),
    "right medial": (("right",), (-1, 0, 0), (0, 0, 1)),
    "ventral": (HEMISPHERES, (0, 0, -1), (0, 1, 0)),
    "posterior": (HEMISPHERES, (0, -1, 0), (0, 0, 1)),
    "dorsal": (HEMISPHERES, (0, 0, 1), (0, 1, 0)),
    "anterior": (HEMISPHERES, (0, 1, 0), (0, 0, 1)),
}
DEFAULT_VIEWS = ("left", "posterior", "ventral", "right")
_DARK = "#20262e"
_LIGHT = np.array([-0.25, 0.35, 0.90])
_GYRUS, _SULCUS = np.array([0.845, 0.845, 0.84]), np.array([0.69, 0.695, 0.70])


_EDGES = ((0, 1), (1, 2), (2, 0))
MAX_NAMED = 12


@dataclass(frozen=True, slots=True)
class Regions:
    """Names of regions, and for each hemisphere which one a vertex belongs to (-1: none)."""

    names: list[str]
    of: dict[str, npt.NDArray[np.intp]]


def regions_on_mesh(space: SurfaceSpace, labels: Sequence[Any]) -> Regions | None:
    """Return the regions of targets on the drawn mesh; None where there are more than can be told apart (12) or none."""
    text = [None if label is None or label != label else str(label) for label in labels]
    names = list(dict.fromkeys(t for t in text if t is not None))
    if not 1 < len(names) <= MAX_NAMED:
        return None
    codes = np.array([np.nan if t is None else float(names.index(t)) for t in text])
    painted, _ = on_drawn_mesh(space, codes)
    return Regions(
        [style.shorten(n, 14) for n in names],
        {side: np.where(np.isnan(v), -1, v).astype(np.intp) for side, v in painted.items()},
    )


def on_drawn_mesh(space: SurfaceSpace, vector: npt.ArrayLike) -> tuple[dict[str, Floats], str]:
    """Return one value per vertex of fsaverage5 and hemisphere, and a note on how they got there.

    The meshes of the fsaverage family share their first vertices: finer ones are shown at the vertices that fsaverage5 has, coarser
    ones at the nearest vertex of the sphere.

    Raises
    ------
    InputError
        For a native surface, whose geometry is not known.
    """
    if space.mesh not in MESHES:
        raise InputError(
            "a native surface has no mesh to draw on",
            where="brain_map",
            fix='plot(…, kind="distribution"), or resample to fsaverage5',
        )
    painted = {side: np.asarray(values, dtype=np.float64) for side, values in space.paint_arrays(vector).items()}
    size, drawn = MESHES[space.mesh], MESHES[DRAWN_MESH]
    if size == drawn:
        return painted, ""
    if size > drawn:
        return {
            side: values[:drawn] for side, values in painted.items()
        }, f"{space.mesh} data, shown at the vertices it shares with {DRAWN_MESH}"
    nearest = {side: _nearest(side, size) for side in HEMISPHERES}
    return {
        side: values[nearest[side]] for side, values in painted.items()
    }, f"{space.mesh} data, each vertex of {DRAWN_MESH} showing its nearest one"


def draw_view(
    ax: Any, view: str, colors: dict[str, Floats], *, regions: Regions | None = None, kind: str = "inflated"
) -> None:
    """Draw one view.

    Parameters
    ----------
    ax : matplotlib Axes
    view : str
        A key of `VIEWS`.
    colors : mapping of hemisphere to ndarray of shape (n_vertices, 4)
        RGBA; where alpha is 0 the sulcal background shows.
    regions : Regions, optional
        Outlined and named.
    kind : {"inflated", "pial", "white_matter"}
        Geometry.
    """
    from matplotlib.collections import PolyCollection

    sides, toward, up = VIEWS[one_of(view, tuple(VIEWS), "view")]
    polygons, shades, depths, outlines = [], [], [], []
    for side in sides:
        points, faces = _placed(side, kind, len(sides) == 2)
        corners = (points @ _basis(toward, up).T)[faces]  # last axis: right, up, toward the viewer
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        front = normal[:, 2] > 0.0
        corners, faces = corners[front], faces[front]
        polygons.append(corners[..., :2])
        shades.append(_shade(colors[side][faces], _background(side)[faces].mean(axis=1), normal[front]))
        depths.append(corners[..., 2].mean(axis=1))
        if regions is not None:
            outlines.append((corners, regions.of[side][faces]))
    order = np.argsort(np.concatenate(depths), kind="stable")
    shade = np.clip(np.concatenate(shades)[order], 0, 1)
    triangles: Any = np.concatenate(polygons)[order]
    mesh = PolyCollection(triangles, facecolors=shade, edgecolors=shade, linewidths=0.25, rasterized=True)
    ax.add_collection(mesh)
    mesh.set_in_layout(False)
    ax.autoscale_view()
    ax.set_aspect("equal")
    ax.set_axis_off()
    if regions is not None:
        _outline(ax, regions, outlines)


def _shade(rgba: Floats, ground: Floats, normal: Floats) -> Floats:
    """Return (n_faces, 3): a face in the colour of its painted vertices where most are painted, lit from the upper left."""
    weight = rgba[..., 3:]
    painted = weight.mean(axis=1) > 0.5
    ink = (rgba[..., :3] * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    light = (0.80 + 0.20 * np.clip(normal @ _LIGHT, 0, 1))[:, None]
    return np.where(painted, ink * (0.35 + 0.65 * light), ground * light)


def _outline(ax: Any, regions: Regions, parts: list[tuple[Floats, npt.NDArray[np.intp]]]) -> None:
    """Draw the borders of regions that face the viewer, and each name once, beside its region and away from the middle."""
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    lines, spots = [], []
    for corners, labels in parts:
        lines += _borders(corners[..., :2], labels)
        middle = corners[..., :2].reshape(-1, 2).mean(axis=0)
        for number in np.unique(labels[labels >= 0]):
            inside = (labels == number).all(axis=1)
            if inside.sum() >= 25:
                spots.append((int(number), corners[inside][..., :2].reshape(-1, 2), middle))
    if lines:
        ax.add_collection(LineCollection(lines, colors=_DARK, linewidths=0.7, capstyle="round"))
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    placed: list[Floats] = []
    for number, points, middle in sorted(spots, key=lambda spot: -len(spot[1])):
        centre = points.mean(axis=0)
        away = (centre - middle) / max(float(np.linalg.norm(centre - middle)), 1e-9)
        reach = float(np.quantile(np.abs((points - centre) @ away), 0.95)) + 0.055 * (high - low)
        place = _free(centre, away, reach, placed, 0.062 * (high - low))
        placed.append(place)
        far = np.linalg.norm(place - centre) > 1.4 * reach
        leader = {"arrowstyle": "-", "linewidth": 0.5, "color": _DARK, "shrinkA": 1, "shrinkB": 0} if far else None
        edge = [withStroke(linewidth=2.4, foreground="white", alpha=0.9)]
        look = {"fontsize": 7.2, "fontweight": "bold", "color": _DARK, "ha": "center", "va": "center"}
        ax.annotate(regions.names[number], centre, place, arrowprops=leader, path_effects=edge, **look)
    ax.set(xlim=(left, right), ylim=(low, high))


def _free(centre: Floats, away: Floats, reach: float, taken: list[Floats], room: float) -> Floats:
    """Return a place for a name: outward from its region, turned and pushed until no other name is near."""
    candidates = []
    for push in (1.0, 1.35, 1.8):
        for turn in np.deg2rad([0, 35, -35, 70, -70, 110, -110, 180]):
            turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ away
            candidates.append(centre + push * reach * turned)
    for place in candidates:
        if all(abs(place[1] - other[1]) > room or abs(place[0] - other[0]) > 2.1 * room for other in taken):
            return place
    return candidates[0]


def _borders(corners: Floats, labels: npt.NDArray[np.intp]) -> list[Floats]:
    """Return the line segments, through the middles of edges, that part vertices of different labels."""
    lines: list[Floats] = []
    different = np.stack([labels[:, a] != labels[:, b] for a, b in _EDGES], axis=1)
    middles = np.stack([(corners[:, a] + corners[:, b]) / 2 for a, b in _EDGES], axis=1)
    two = different.sum(axis=1) == 2
    for triangle in np.flatnonzero(two):
        lines.append(middles[triangle][different[triangle]])
    for triangle in np.flatnonzero(different.all(axis=1)):
        centre = corners[triangle].mean(axis=0)
        lines += [np.stack([middle, centre]) for middle in middles[triangle]]
    return lines


def _basis(toward: tuple[float, float, float], up: tuple[float, float, float]) -> Floats:
    z, y = np.array(toward, dtype=float), np.array(up, dtype=float)
    return np.stack([np.cross(y, z), y, z])


@lru_cache(maxsize=8)
def _placed(side: str, kind: str, together: bool) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return a mesh whose hemispheres do not overlap when they are drawn together, with faces turned outward."""
    points, faces = load_mesh(DRAWN_MESH, side, kind)
    if together:
        edge = points[:, 0].max() if side == "left" else points[:, 0].min()
        gap = -2.0 if side == "left" else 2.0
        points = points - np.array([edge - gap, 0.0, 0.0])
    corners = points[faces] - points.mean(axis=0)
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    return points, faces if volume > 0 else faces[:, ::-1]


@lru_cache(maxsize=2)
def _background(side: str) -> Floats:
    from nilearn.datasets import load_fsaverage_data

    depth = np.asarray(load_fsaverage_data(mesh=DRAWN_MESH, data_type="sulcal").data.parts[side], dtype=np.float64)
    share = np.clip((depth - np.quantile(depth, 0.35)) / (np.quantile(depth, 0.65) - np.quantile(depth, 0.35)), 0, 1)[
        :, None
    ]
    return _GYRUS + share * (_SULCUS - _GYRUS)


@lru_cache(maxsize=8)
def _nearest(side: str, size: int) -> npt.NDArray[np.intp]:
    from scipy.spatial import cKDTree

    sphere = load_mesh(DRAWN_MESH, side, "sphere")[0]
    return np.asarray(cKDTree(sphere[:size]).query(sphere)[1], dtype=np.intp)
