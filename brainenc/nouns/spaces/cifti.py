"""Grayordinates: cortical vertices and subcortical voxels on one axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.spaces.base import HEMISPHERES, Index, as_centres, as_vector, check_radius
from brainenc.nouns.spaces.lattice import lattice_balls
from brainenc.nouns.spaces.meshes import geodesic_balls, mesh_edges, pick_mesh, targets_at


@dataclass(frozen=True, slots=True, eq=False)
class CiftiSpace:
    """Grayordinates of a CIFTI-2 file, kept so that maps can be written back.

    Parameters
    ----------
    structure : ndarray of str, shape (n_targets,)
        ``CIFTI_STRUCTURE_CORTEX_LEFT`` and so on.
    vertex : ndarray of int, shape (n_targets,)
        Vertex number, -1 for voxels.
    voxel : ndarray of int, shape (n_targets, 3)
        Voxel indices, -1 for vertices.
    n_vertices : mapping
        Vertices of each surface structure.
    affine : ndarray of shape (4, 4), optional
    volume_shape : tuple of three int, optional
        Grid of the voxels.
    """

    structure: npt.NDArray[np.str_]
    vertex: Index
    voxel: Index
    n_vertices: dict[str, int]
    affine: npt.NDArray[np.float64] | None = None
    volume_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        structure = np.asarray(self.structure, dtype=str)
        n = len(structure)
        if np.shape(self.vertex) != (n,) or np.shape(self.voxel) != (n, 3):
            shapes = (np.shape(self.vertex), np.shape(self.voxel))
            raise InputError("structure, vertex and voxel must be equally long", where="CiftiSpace", expected=n, got=shapes)
        object.__setattr__(self, "structure", structure)
        object.__setattr__(self, "vertex", np.asarray(self.vertex, dtype=np.intp))
        object.__setattr__(self, "voxel", np.asarray(self.voxel, dtype=np.intp))
        object.__setattr__(self, "n_vertices", {str(k): int(v) for k, v in self.n_vertices.items()})
        object.__setattr__(self, "volume_shape", None if self.volume_shape is None else tuple(int(v) for v in self.volume_shape))

    @classmethod
    def from_axis(cls, axis: Any) -> CiftiSpace:
        """Return the space of a nibabel `BrainModelAxis`."""
        return cls(
            structure=axis.name, vertex=axis.vertex, voxel=axis.voxel, n_vertices=dict(axis.nvertices),
            affine=axis.affine, volume_shape=axis.volume_shape,
        )  # fmt: skip

    @property
    def n_targets(self) -> int:
        """Number of grayordinates."""
        return len(self.structure)

    def take(self, index: Index) -> CiftiSpace:
        """Return the space of these grayordinates."""
        return replace(self, structure=self.structure[index], vertex=self.vertex[index], voxel=self.voxel[index])

    def axis(self) -> Any:
        """Return the nibabel `BrainModelAxis` of these grayordinates."""
        from nibabel.cifti2 import BrainModelAxis

        return BrainModelAxis(
            self.structure.astype(object), voxel=self.voxel, vertex=self.vertex, affine=self.affine,
            volume_shape=self.volume_shape, nvertices=self.n_vertices,
        )  # fmt: skip

    def paint(self, vector: npt.ArrayLike) -> Any:
        """Return a CIFTI-2 scalar image (dscalar) of the grayordinates."""
        from nibabel.cifti2 import Cifti2Image, ScalarAxis

        values = as_vector(vector, self.n_targets, "CiftiSpace").astype(np.float32)
        return Cifti2Image(values[None], header=(ScalarAxis(["brainenc"]), self.axis()))

    def unpaint(self, image: Any) -> npt.NDArray[np.float64]:
        """Return the values (n_targets,) of a dscalar image with the same grayordinates."""
        axis = image.header.get_axis(1)
        if len(axis) != self.n_targets or not (np.asarray(axis.name) == self.structure).all():
            raise InputError("image has other grayordinates", where="CiftiSpace.unpaint", expected=self.n_targets, got=len(axis))
        return np.asarray(image.get_fdata()[0], dtype=np.float64)

    def neighbourhoods(self, radius_mm: float, *, centres: Index | None = None, meshes: Any = None) -> Iterator[Index]:
        """Yield the grayordinates of the same structure within ``radius_mm`` of each one (or of ``centres``).

        Vertices along the edges of ``meshes`` (``{"left": (coordinates in mm, faces), "right": …}`` or a nilearn `PolyMesh`), which a
        CIFTI file does not hold; voxels through the affine. A neighbourhood never joins two structures.
        """
        chosen = as_centres(centres, self.n_targets)
        out: list[Index] = [np.empty(0, dtype=np.intp)] * len(chosen)
        for name in np.unique(self.structure[chosen]):
            here = np.flatnonzero(self.structure == name)
            places = np.flatnonzero(self.structure[chosen] == name)
            inside = np.searchsorted(here, chosen[places])
            for place, targets in zip(places, self._near(str(name), here, inside, check_radius(radius_mm), meshes), strict=True):
                out[place] = targets
        yield from out

    def _near(self, name: str, here: Index, inside: Index, radius_mm: float, meshes: Any) -> Iterator[Index]:
        """Yield the targets near each centre of one structure; ``here`` are its targets, ``inside`` the centres' places among them."""
        if name not in self.n_vertices:
            if self.affine is None:
                raise InputError("these voxels have no affine", where="CiftiSpace.neighbourhoods", got=name)
            yield from (here[near] for near in lattice_balls(self.voxel[here], np.asarray(self.affine), radius_mm, inside))
            return
        side = next((s for s in HEMISPHERES if name.upper().endswith(f"CORTEX_{s.upper()}")), None)
        if meshes is None or side is None:
            raise InputError(
                "a CIFTI axis holds no surface coordinates", where="CiftiSpace.neighbourhoods", got=name,
                fix='give meshes={"left": (coordinates, faces), "right": …}, or project to a SurfaceSpace or VolumeSpace first',
            )  # fmt: skip
        mesh = pick_mesh(meshes, side, self.n_vertices[name], "CiftiSpace.neighbourhoods")
        found = geodesic_balls(mesh[0], mesh_edges(*mesh), self.vertex[here[inside]], radius_mm)
        yield from targets_at(self.vertex[here], here, found)

    def __repr__(self) -> str:
        return f"CiftiSpace({self.n_targets} grayordinates, {len(set(self.structure.tolist()))} structures)"
