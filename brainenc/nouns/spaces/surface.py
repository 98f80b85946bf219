"""Vertices of the two cortical surfaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.spaces.base import HEMISPHERES, Index, as_centres, as_vector, check_radius
from brainenc.nouns.spaces.meshes import Mesh, geodesic_balls, mesh_edges, pick_mesh, rings_of, targets_at

MESHES = {"fsaverage3": 642, "fsaverage4": 2562, "fsaverage5": 10242, "fsaverage6": 40962, "fsaverage": 163842}


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

    def neighbourhoods(self, radius_mm: float, *, centres: Index | None = None, meshes: Any = None) -> Iterator[Index]:
        """Yield the targets within ``radius_mm`` of each target (or of ``centres``) along the mesh's edges (geodesic, same hemisphere).

        ``meshes``: ``{"left": (coordinates in mm, faces), "right": …}`` or a nilearn `PolyMesh`; a native surface needs it, on an
        fsaverage surface it takes the place of the pial mesh. Paths may run through vertices that are no targets.
        """
        return self._targets_near(partial(self._balls, check_radius(radius_mm)), centres, meshes)

    def rings(self, k: int, *, centres: Index | None = None, meshes: Any = None) -> Iterator[Index]:
        """Yield the targets at most ``k`` edges away from each target (or from ``centres``), in the same hemisphere."""
        return self._targets_near(partial(_rings, _check_rings(k)), centres, meshes)

    def full_sizes(self, radius_mm: float | None = None, *, rings: int | None = None, centres: Index | None = None, meshes: Any = None) -> Index:
        """Return how many vertices of the mesh, targets or not, each neighbourhood has."""
        if (radius_mm is None) == (rings is None):
            raise InputError("give either radius_mm or rings", where="SurfaceSpace.full_sizes")
        find = partial(self._balls, check_radius(radius_mm)) if radius_mm is not None else partial(_rings, _check_rings(rings))
        chosen = as_centres(centres, self.n_targets)
        sizes = np.zeros(len(chosen), dtype=np.intp)
        for places, found in self._vertices_near(find, chosen, meshes):
            sizes[places] = [len(vertices) for vertices in found]
        return sizes

    def _balls(self, radius_mm: float, mesh: Mesh, edges: Any, vertices: Index) -> list[Index]:
        return geodesic_balls(mesh[0], edges, vertices, radius_mm)

    def _vertices_near(self, find: Any, chosen: Index, meshes: Any) -> Iterator[tuple[Index, list[Index]]]:
        """Yield, for each hemisphere, the places of its centres among the chosen, and the mesh vertices near each of them."""
        for side, size in zip(HEMISPHERES, self.n_vertices or (0, 0), strict=True):
            places = np.flatnonzero(self.hemi[chosen] == side)
            if not len(places):
                continue
            mesh = load_mesh(self.mesh, side) if meshes is None else pick_mesh(meshes, side, size, "SurfaceSpace.neighbourhoods")
            edges = _edges(self.mesh, side) if meshes is None else mesh_edges(*mesh)
            yield places, find(mesh, edges, self.vertex[chosen[places]])

    def _targets_near(self, find: Any, centres: Index | None, meshes: Any) -> Iterator[Index]:
        chosen = as_centres(centres, self.n_targets)
        out: list[Index] = [np.empty(0, dtype=np.intp)] * len(chosen)
        for places, found in self._vertices_near(find, chosen, meshes):
            here = np.flatnonzero(self.hemi == self.hemi[chosen[places[0]]])
            for place, targets in zip(places, targets_at(self.vertex[here], here, found), strict=True):
                out[place] = targets
        yield from out

    def __repr__(self) -> str:
        return f"SurfaceSpace({self.mesh}, {int((self.hemi == 'left').sum())} left + {int((self.hemi == 'right').sum())} right vertices)"


@lru_cache(maxsize=8)
def load_mesh(mesh: str, hemi: str, kind: str = "pial") -> tuple[npt.NDArray[np.float64], Index]:
    """Return coordinates (n_vertices, 3) in mm and faces (n_faces, 3) of an fsaverage mesh through nilearn."""
    if mesh not in MESHES:
        fix = 'give it: meshes={"left": (coordinates, faces), "right": …}; paint_arrays needs none'
        raise InputError("a native surface has no mesh here", where="SurfaceSpace", fix=fix)
    from nilearn.datasets import load_fsaverage

    part = load_fsaverage(mesh)[kind].parts[hemi]
    return np.asarray(part.coordinates, dtype=np.float64), np.asarray(part.faces, dtype=np.intp)


@lru_cache(maxsize=4)
def _edges(mesh: str, hemi: str) -> Any:
    return mesh_edges(*load_mesh(mesh, hemi))


def _rings(k: int, mesh: Mesh, edges: Any, vertices: Index) -> list[Index]:
    return rings_of(edges, vertices, k)


def _check_rings(k: int | None) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0:
        raise InputError("rings are counted in whole edges", where="SurfaceSpace.rings", expected="0, 1, 2 …", got=repr(k))
    return int(k)


def geodesic(mesh: str, hemi: str, vertex: int | Index, limit_mm: float = np.inf) -> npt.NDArray[np.float64]:
    """Return the distance (mm) along mesh edges from one vertex, or from each of several, to every vertex of the hemisphere.

    Shape (n_vertices,), or (n_given, n_vertices); infinite beyond ``limit_mm``.

    Shortest paths along edges are slightly longer than true geodesics (up to about a tenth on these meshes).
    """
    from scipy.sparse.csgraph import dijkstra

    return np.asarray(dijkstra(_edges(mesh, hemi), directed=False, indices=vertex, limit=limit_mm))
