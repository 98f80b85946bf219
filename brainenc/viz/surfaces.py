"""Drawing on the cortical surface: fsaverage5 meshes of nilearn, projected, lit and painted triangle by triangle.

Only triangles that face the viewer are drawn, far ones first, each in the mean colour of its three vertices; the background
is the sulcal depth in two shades of grey. That takes a fraction of a second a view and needs no OpenGL.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.spaces import SurfaceSpace
from brainenc.nouns.spaces.surface import HEMISPHERES, MESHES, load_mesh

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
_GYRUS, _SULCUS = np.array([0.845, 0.845, 0.84]), np.array([0.69, 0.695, 0.70])


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
        raise InputError("a native surface has no mesh to draw on", where="brain_map", fix='plot(…, kind="distribution"), or resample to fsaverage5')
    painted = {side: np.asarray(values, dtype=np.float64) for side, values in space.paint_arrays(vector).items()}
    size, drawn = MESHES[space.mesh], MESHES[DRAWN_MESH]
    if size == drawn:
        return painted, ""
    if size > drawn:
        return {side: values[:drawn] for side, values in painted.items()}, f"{space.mesh} data, shown at the vertices it shares with {DRAWN_MESH}"
    nearest = {side: _nearest(side, size) for side in HEMISPHERES}
    return {side: values[nearest[side]] for side, values in painted.items()}, f"{space.mesh} data, each vertex of {DRAWN_MESH} showing its nearest one"


def draw_view(ax: Any, view: str, colors: dict[str, Floats], *, kind: str = "inflated") -> None:
    """Draw one view.

    Parameters
    ----------
    ax : matplotlib Axes
    view : str
        A key of `VIEWS`.
    colors : mapping of hemisphere to ndarray of shape (n_vertices, 4)
        RGBA; where alpha is 0 the sulcal background shows.
    kind : {"inflated", "pial", "white_matter"}
        Geometry.
    """
    from matplotlib.collections import PolyCollection

    sides, toward, up = VIEWS[one_of(view, tuple(VIEWS), "view")]
    polygons, shades, depths = [], [], []
    for side in sides:
        points, faces = _placed(side, kind, len(sides) == 2)
        basis = _basis(toward, up)
        seen = points @ basis.T  # columns: right, up, toward the viewer
        corners = seen[faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        front = normal[:, 2] > 0.0
        base = _background(side)[faces].mean(axis=1)
        rgba = colors[side][faces]
        weight = rgba[..., 3:].mean(axis=1)
        ink = (rgba[..., :3] * rgba[..., 3:]).sum(axis=1) / np.maximum(rgba[..., 3:].sum(axis=1), 1e-9)
        light = 0.80 + 0.20 * np.clip(normal @ np.array([-0.25, 0.35, 0.90]), 0, 1)
        rgb = (np.where(weight > 0.5, ink, base) * np.where(weight > 0.5, 0.35 + 0.65 * light[:, None], light[:, None]))[front]
        polygons.append(corners[front][..., :2])
        shades.append(rgb)
        depths.append(corners[front][..., 2].mean(axis=1))
    order = np.argsort(np.concatenate(depths), kind="stable")
    shade = np.clip(np.concatenate(shades)[order], 0, 1)
    mesh = PolyCollection(np.concatenate(polygons)[order], facecolors=shade, edgecolors=shade, linewidths=0.25, rasterized=True)
    ax.add_collection(mesh)
    ax.autoscale_view()
    ax.set_aspect("equal")
    ax.set_axis_off()


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
    share = np.clip((depth - np.quantile(depth, 0.35)) / (np.quantile(depth, 0.65) - np.quantile(depth, 0.35)), 0, 1)[:, None]
    return _GYRUS + share * (_SULCUS - _GYRUS)


@lru_cache(maxsize=8)
def _nearest(side: str, size: int) -> npt.NDArray[np.intp]:
    from scipy.spatial import cKDTree

    sphere = load_mesh(DRAWN_MESH, side, "sphere")[0]
    return np.asarray(cKDTree(sphere[:size]).query(sphere)[1], dtype=np.intp)
