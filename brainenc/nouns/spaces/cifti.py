"""Grayordinates: cortical vertices and subcortical voxels on one axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.spaces.base import Index, as_vector


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

    def neighbourhoods(self, radius_mm: float) -> Iterator[Index]:
        """Grayordinates carry no surface geometry: refuse."""
        raise InputError("a CIFTI axis holds no surface coordinates", where="CiftiSpace.neighbourhoods", fix="project to a SurfaceSpace or VolumeSpace first")

    def __repr__(self) -> str:
        return f"CiftiSpace({self.n_targets} grayordinates, {len(set(self.structure.tolist()))} structures)"
