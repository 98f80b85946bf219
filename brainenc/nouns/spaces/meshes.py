"""Neighbourhoods on a triangle mesh: along its edges in millimetres, or by rings of vertices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.spaces.base import REACH, Index

BATCH = 256
Mesh = tuple[npt.NDArray[np.float64], Index]


def as_mesh(mesh: Any, n_vertices: int, where: str) -> Mesh:
    """Return coordinates (n_vertices, 3) in mm and faces (n_faces, 3) of a pair or of an object that has both, as nilearn's meshes do."""
    points, faces = (mesh.coordinates, mesh.faces) if hasattr(mesh, "coordinates") else mesh
    points, faces = np.asarray(points, dtype=np.float64), np.asarray(faces, dtype=np.intp)
    if points.shape != (n_vertices, 3) or not np.isfinite(points).all():
        raise InputError("the mesh does not fit the surface", where=where, expected=f"finite coordinates ({n_vertices}, 3)", got=f"shape {points.shape}")
    if faces.ndim != 2 or faces.shape[1] != 3 or (faces.size and (faces.min() < 0 or faces.max() >= n_vertices)):
        raise InputError("faces are three vertex numbers each", where=where, expected=f"below {n_vertices}", got=f"shape {faces.shape}")
    return points, faces


def pick_mesh(meshes: Any, side: str, n_vertices: int, where: str) -> Mesh:
    """Return the mesh of a hemisphere from ``{"left": …, "right": …}`` (or an object with such ``parts``)."""
    parts = getattr(meshes, "parts", meshes)
    if not isinstance(parts, Mapping) or side not in parts:
        wanted = 'meshes={"left": (coordinates, faces), "right": …}'
        raise InputError(f"no mesh of the {side} hemisphere", where=where, expected=wanted, got=type(meshes).__name__)
    return as_mesh(parts[side], n_vertices, where)


def mesh_edges(points: npt.NDArray[np.float64], faces: Index) -> Any:
    """Return the lengths (mm) of the edges as a sparse matrix (n_vertices, n_vertices), each edge once."""
    from scipy.sparse import coo_array, csr_array

    pairs = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    lengths = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    return csr_array(coo_array((lengths, (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points))))


def geodesic_balls(points: npt.NDArray[np.float64], edges: Any, vertices: Index, radius_mm: float) -> list[Index]:
    """Return, for each of ``vertices``, the sorted vertices within ``radius_mm`` of it along the edges.

    A path along edges is never shorter than the straight line, so shortest paths are sought for a batch of nearby vertices at a
    time, on the piece of the mesh that lies within the radius of one of them: the same result as on the whole mesh.
    """
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import cKDTree

    whole = (edges + edges.T).tocsr()
    tree = cKDTree(points)
    out: list[Index] = [np.empty(0, dtype=np.intp)] * len(vertices)
    for batch in _nearby(points[vertices], radius_mm):
        centres = vertices[batch]
        reachable = tree.query_ball_point(points[centres], radius_mm * (1 + 1e-9))
        piece = np.unique(np.concatenate([np.asarray(one, dtype=np.intp) for one in reachable]))
        paths = dijkstra(whole[piece][:, piece], directed=True, indices=np.searchsorted(piece, centres), limit=radius_mm * REACH)
        for place, path in zip(batch, paths, strict=True):
            out[place] = piece[np.isfinite(path)]
    return out


def rings_of(edges: Any, vertices: Index, k: int) -> list[Index]:
    """Return, for each of ``vertices``, the sorted vertices at most ``k`` edges away (itself among them)."""
    from scipy.sparse import csr_array, eye_array

    n = edges.shape[0]
    steps = csr_array((edges + edges.T + eye_array(n)) > 0, dtype=np.float32)
    out: list[Index] = []
    for start in range(0, len(vertices), 4096):
        here = vertices[start : start + 4096]
        reached = csr_array((np.ones(len(here), dtype=np.float32), (np.arange(len(here)), here)), shape=(len(here), n))
        for _ in range(k):
            reached = reached @ steps
            reached.data[:] = 1
        reached.sort_indices()
        out += np.split(reached.indices.astype(np.intp), reached.indptr[1:-1])
    return out


def targets_at(vertex: Index, targets: Index, found: list[Index]) -> Iterator[Index]:
    """Yield, for each list of vertices, the sorted targets that sit on one of them; ``vertex[i]`` is the vertex of ``targets[i]``."""
    doubled = len(np.unique(vertex)) < len(vertex)
    place = np.full(int(vertex.max(initial=-1)) + 1, -1, dtype=np.intp)
    place[vertex] = targets
    for near in found:
        if doubled:
            yield targets[np.isin(vertex, near)]
        else:
            here = place[near[near < len(place)]]
            yield np.sort(here[here >= 0])


def _nearby(points: npt.NDArray[np.float64], radius_mm: float) -> list[Index]:
    """Return the places of the points in batches that lie in the same or in neighbouring cubes."""
    if not len(points):
        return []
    cells = np.floor((points - points.min(axis=0)) / max(2 * radius_mm, 1e-6)).astype(int)
    order = np.lexsort(cells.T)
    changes = np.flatnonzero((np.diff(cells[order], axis=0) != 0).any(axis=1)) + 1
    batches: list[Index] = []
    for cell in np.split(order, changes):
        batches += [cell[start : start + BATCH] for start in range(0, len(cell), BATCH)]
    return batches
