"""Vertices of the two cortical surfaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.spaces.base import Index, as_vector, check_radius

MESHES = {"fsaverage3": 642, "fsaverage4": 2562, "fsaverage5": 10242, "fsaverage6": 40962, "fsaverage": 163842}
HEMISPHERES = ("left", "right")


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceSpace:
    """Vertices of a surface with two hemispheres.

    Parameters
    ----------
    mesh : str
        ``"fsaverage5"`` and its sisters, known to nilearn (fsaverage5 comes with it); ``"native"`` for any other surface.
    hemi : ndarray of str, shape (n_targets,)
        "left" or "right".
    vertex : ndarray of int, shape (n_targets,)
        Vertex number within its hemisphere.
    n_vertices : tuple of two int, optional
        Vertices of the left and right mesh; known for the fsaverage meshes.
    """

    mesh: str
    hemi: npt.NDArray[np.str_]
    vertex: Index
    n_vertices: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        one_of(self.mesh, (*MESHES, "native"), "mesh")
        hemi = np.asarray(self.hemi, dtype="U5")
        vertex = np.asarray(self.vertex, dtype=np.intp)
        sizes = self.n_vertices or ((MESHES[self.mesh],) * 2 if self.mesh in MESHES else None)
        if sizes is None:
            raise InputError("a native surface needs n_vertices of both hemispheres", where="SurfaceSpace")
        if hemi.shape != vertex.shape or hemi.ndim != 1:
            raise InputError("hemi and vertex must be equally long", where="SurfaceSpace", expected=hemi.shape, got=vertex.shape)
        if not np.isin(hemi, HEMISPHERES).all():
            raise InputError("hemi must be 'left' or 'right'", where="SurfaceSpace", got=sorted(set(hemi.tolist()) - set(HEMISPHERES)))
        limit = np.where(hemi == "left", sizes[0], sizes[1])
        if ((vertex < 0) | (vertex >= limit)).any():
            raise InputError("vertex numbers lie outside the mesh", where="SurfaceSpace", expected=f"below {sizes}", got=int(vertex.max()))
        object.__setattr__(self, "hemi", hemi)
        object.__setattr__(self, "vertex", vertex)
        object.__setattr__(self, "n_vertices", (int(sizes[0]), int(sizes[1])))

    @property
    def n_targets(self) -> int:
        """Number of vertices."""
        return len(self.vertex)

    @property
    def coordinates(self) -> npt.NDArray[np.float64]:
        """Pial coordinates in millimetres (n_targets, 3)."""
        left, right = (load_mesh(self.mesh, h)[0] for h in HEMISPHERES)
        return np.where((self.hemi == "left")[:, None], left[np.minimum(self.vertex, len(left) - 1)], right[np.minimum(self.vertex, len(right) - 1)])

    def take(self, index: Index) -> SurfaceSpace:
        """Return the space of these vertices."""
        return replace(self, hemi=self.hemi[index], vertex=self.vertex[index])

    def paint_arrays(self, vector: npt.ArrayLike) -> dict[str, npt.NDArray[np.float32]]:
        """Return ``{"left": …, "right": …}``, one value per vertex of the mesh, NaN where there is no target."""
        values = as_vector(vector, self.n_targets, "SurfaceSpace")
        painted = {}
        for side, size in zip(HEMISPHERES, self.n_vertices or (0, 0), strict=True):
            canvas = np.full(size, np.nan, dtype=np.float32)
            here = self.hemi == side
            canvas[self.vertex[here]] = values[here]
            painted[side] = canvas
        return painted

    def paint(self, vector: npt.ArrayLike) -> Any:
        """Return a `nilearn.surface.SurfaceImage` on the pial mesh, NaN where there is no target."""
        from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

        meshes = {side: InMemoryMesh(*load_mesh(self.mesh, side)) for side in HEMISPHERES}
        return SurfaceImage(mesh=PolyMesh(**meshes), data=self.paint_arrays(vector))

    def unpaint(self, image: Any) -> npt.NDArray[np.float64]:
        """Return the values (n_targets,) of a surface image on the same mesh."""
        parts = image.data.parts if hasattr(image, "data") else image
        values = np.empty(self.n_targets)
        for side, size in zip(HEMISPHERES, self.n_vertices or (0, 0), strict=True):
            part = np.asarray(parts[side]).squeeze()
            if part.shape != (size,):
                raise InputError("image is on another mesh", where="SurfaceSpace.unpaint", expected=f"{size} {side} vertices", got=part.shape)
            here = self.hemi == side
            values[here] = part[self.vertex[here]]
        return values

    def neighbourhoods(self, radius_mm: float) -> Iterator[Index]:
        """Yield the targets within ``radius_mm`` of each target along the mesh's edges (geodesic, same hemisphere)."""
        radius = check_radius(radius_mm)
        for vertex, side in zip(self.vertex, self.hemi, strict=True):
            reach = geodesic(self.mesh, str(side), int(vertex), radius)
            near = np.flatnonzero(self.hemi == side)
            yield near[np.isfinite(reach[self.vertex[near]])]

    def __repr__(self) -> str:
        return f"SurfaceSpace({self.mesh}, {int((self.hemi == 'left').sum())} left + {int((self.hemi == 'right').sum())} right vertices)"


@lru_cache(maxsize=8)
def load_mesh(mesh: str, hemi: str, kind: str = "pial") -> tuple[npt.NDArray[np.float64], Index]:
    """Return coordinates (n_vertices, 3) in mm and faces (n_faces, 3) of an fsaverage mesh through nilearn."""
    if mesh not in MESHES:
        raise InputError("a native surface has no mesh here", where="SurfaceSpace", fix="use paint_arrays, which needs none")
    from nilearn.datasets import load_fsaverage

    part = load_fsaverage(mesh)[kind].parts[hemi]
    return np.asarray(part.coordinates, dtype=np.float64), np.asarray(part.faces, dtype=np.intp)


@lru_cache(maxsize=4)
def _edges(mesh: str, hemi: str) -> Any:
    from scipy.sparse import coo_array, csr_array

    points, faces = load_mesh(mesh, hemi)
    pairs = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    return csr_array(coo_array((lengths, (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points))))


def geodesic(mesh: str, hemi: str, vertex: int | Index, limit_mm: float = np.inf) -> npt.NDArray[np.float64]:
    """Return the distance (mm) along mesh edges from one vertex, or from each of several, to every vertex of the hemisphere.

    Shape (n_vertices,), or (n_given, n_vertices); infinite beyond ``limit_mm``.

    Shortest paths along edges are slightly longer than true geodesics (up to about a tenth on these meshes).
    """
    from scipy.sparse.csgraph import dijkstra

    return np.asarray(dijkstra(_edges(mesh, hemi), directed=False, indices=vertex, limit=limit_mm))
