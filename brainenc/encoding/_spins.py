"""Where each cell of a map comes from when the sphere it lies on is turned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.metrics.resample import rotations
from brainenc.nouns.spaces.surface import MESHES, SurfaceSpace, load_mesh

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
MIRROR = np.diag([-1.0, 1.0, 1.0])
NESTED = "fsaverage5"  # comes with nilearn; coarser meshes of the family are its first vertices


def parcel_spins(coordinates: Floats, hemi: npt.NDArray[Any], n: int, seed: int, *, assignment: str) -> Iterator[Index]:
    """Yield ``n`` times the cell (n_cells,) whose value comes to stand at each cell.

    The right hemisphere is turned by the mirror image of the left one's rotation, so that both stay symmetric to each other
    (Alexander-Bloch et al. 2018).

    Parameters
    ----------
    coordinates : ndarray of shape (n_cells, 3)
        On a sphere about the origin, each hemisphere on its own.
    hemi : ndarray of shape (n_cells,)
    n, seed : int
    assignment : {"hungarian", "nearest"}
        Every cell gives its value once, at the smallest total distance; or each place takes the nearest rotated cell, and some values come
        several times, others not at all.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial import KDTree

    unit = coordinates / np.linalg.norm(coordinates, axis=1, keepdims=True)
    sides = [(np.flatnonzero(hemi == side), side == "right") for side in dict.fromkeys(hemi.tolist())]
    trees = [KDTree(unit[cells]) for cells, _ in sides]
    for turn in rotations(n, seed, "spin"):
        source = np.empty(len(unit), dtype=np.intp)
        for (cells, right), tree in zip(sides, trees, strict=True):
            own = MIRROR @ turn @ MIRROR if right else turn
            back = unit[cells] @ own  # rows are Rᵀ p: which cell does the rotation bring to the place p
            if assignment == "nearest":
                source[cells] = cells[tree.query(back)[1]]
            else:
                apart = np.arccos(np.clip(back @ unit[cells].T, -1.0, 1.0))
                source[cells] = cells[linear_sum_assignment(apart)[1]]
        yield source


def vertex_spins(space: SurfaceSpace, n: int, seed: int, *, spheres: Mapping[str, npt.ArrayLike] | None = None) -> Iterator[Index]:
    """Yield ``n`` times the target (n_targets,) whose value comes to stand at each target, −1 where a vertex comes that is no target.

    Each vertex takes the nearest rotated vertex of the whole mesh of its hemisphere.
    """
    sizes = space.n_vertices or (0, 0)
    canvas, unit, hemi, of_target = [], [], [], np.empty(space.n_targets, dtype=np.intp)
    start = 0
    for side, size in zip(("left", "right"), sizes, strict=True):
        here = np.flatnonzero(space.hemi == side)
        if not len(here):
            continue
        back = np.full(size, -1, dtype=np.intp)
        back[space.vertex[here]] = here
        of_target[here] = start + space.vertex[here]
        canvas.append(back)
        unit.append(_sphere(space, side, size, spheres))
        hemi += [side] * size
        start += size
    target = np.concatenate(canvas)
    for source in parcel_spins(np.concatenate(unit), np.array(hemi), n, seed, assignment="nearest"):
        yield target[source[of_target]]


def _sphere(space: SurfaceSpace, side: str, size: int, spheres: Mapping[str, npt.ArrayLike] | None) -> Floats:
    if spheres is not None:
        if side not in spheres or np.shape(spheres[side]) != (size, 3):
            got = np.shape(spheres[side]) if side in spheres else "none"
            raise InputError("sphere and space do not fit", where=f"spheres[{side!r}]", expected=f"({size}, 3)", got=got)
        return np.asarray(spheres[side], dtype=np.float64)
    if space.mesh not in MESHES:
        raise InputError("a native surface has no sphere here", where="map_association", fix='pass spheres={"left": coordinates of sphere.reg, …}')
    nested = size <= MESHES[NESTED]
    return load_mesh(NESTED if nested else space.mesh, side, "sphere")[0][:size]
