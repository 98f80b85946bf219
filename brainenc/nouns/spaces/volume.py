"""Voxels of a volume."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.spaces.base import Index, as_centres, as_vector
from brainenc.nouns.spaces.lattice import lattice_balls, steps_within


@dataclass(frozen=True, slots=True, eq=False)
class VolumeSpace:
    """Voxels of a 3-D grid.

    Parameters
    ----------
    shape : tuple of three int
        Grid size.
    affine : ndarray of shape (4, 4)
        Voxel indices to millimetres; finite and invertible.
    voxels : ndarray of shape (n_targets, 3)
        Indices of the targets in the grid.
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]
    voxels: Index

    def __post_init__(self) -> None:
        affine = np.asarray(self.affine, dtype=np.float64)
        voxels = np.asarray(self.voxels, dtype=np.intp)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
            raise InputError("affine must be a finite, invertible 4 × 4 matrix", where="VolumeSpace", got=np.array2string(affine, precision=3))
        if voxels.ndim != 2 or voxels.shape[1] != 3:
            raise InputError("voxels must be three indices each", where="VolumeSpace", expected="(n_targets, 3)", got=f"shape {voxels.shape}")
        if len(self.shape) != 3 or (len(voxels) and ((voxels < 0).any() or (voxels >= np.array(self.shape)).any())):
            raise InputError("voxel indices lie outside the grid", where="VolumeSpace", expected=f"inside {self.shape}", got=f"up to {voxels.max(0)}")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "voxels", voxels)

    @classmethod
    def from_mask(cls, mask: npt.ArrayLike, affine: npt.ArrayLike) -> VolumeSpace:
        """Return the space of the true voxels of a mask (x, y, z), in C order."""
        inside = np.asarray(mask) > 0
        if inside.ndim != 3 or not inside.any():
            found = f"shape {inside.shape}, {int(inside.sum())} voxels"
            raise InputError("mask must be three-dimensional and not empty", where="VolumeSpace.from_mask", got=found)
        return cls(shape=inside.shape, affine=np.asarray(affine, dtype=np.float64), voxels=np.argwhere(inside))  # type: ignore[arg-type]

    @property
    def n_targets(self) -> int:
        """Number of voxels."""
        return len(self.voxels)

    @property
    def coordinates(self) -> npt.NDArray[np.float64]:
        """Voxel centres in millimetres (n_targets, 3)."""
        return self.voxels @ self.affine[:3, :3].T + self.affine[:3, 3]

    def take(self, index: Index) -> VolumeSpace:
        """Return the space of these voxels."""
        return replace(self, voxels=self.voxels[index])

    def paint(self, vector: npt.ArrayLike) -> Any:
        """Return a float32 NIfTI image with the values in their voxels and NaN elsewhere."""
        import nibabel as nib

        canvas = np.full(self.shape, np.nan, dtype=np.float32)
        canvas[tuple(self.voxels.T)] = as_vector(vector, self.n_targets, "VolumeSpace")
        return nib.Nifti1Image(canvas, self.affine)

    def unpaint(self, image: Any) -> npt.NDArray[np.float64]:
        """Return the values (n_targets,) of an image on this very grid; another grid is an error, never a resampling."""
        if image.shape[:3] != self.shape or not np.allclose(image.affine, self.affine, atol=1e-4):
            raise InputError(
                "image is on another grid", where="VolumeSpace.unpaint",
                expected=f"shape {self.shape}, affine {np.round(self.affine, 3).tolist()}",
                got=f"shape {image.shape}, affine {np.round(image.affine, 3).tolist()}",
                fix="resample it yourself, e.g. with nilearn.image.resample_to_img",
            )  # fmt: skip
        return np.asarray(np.asanyarray(image.dataobj)[tuple(self.voxels.T)], dtype=np.float64)

    def neighbourhoods(self, radius_mm: float, *, centres: Index | None = None) -> Iterator[Index]:
        """Yield the voxels within ``radius_mm`` of each voxel (or of ``centres``), measured through the affine; never a voxel outside the space."""
        return lattice_balls(self.voxels, self.affine, radius_mm, centres)

    def full_sizes(self, radius_mm: float, *, centres: Index | None = None) -> Index:
        """Return how many voxels each neighbourhood would have if nothing cut it: neither mask nor edge of the grid."""
        return np.full(len(as_centres(centres, self.n_targets)), len(steps_within(self.affine, radius_mm)))

    def __repr__(self) -> str:
        size = np.round(np.linalg.norm(self.affine[:3, :3], axis=0), 2).tolist()
        return f"VolumeSpace({self.n_targets} voxels of {self.shape}, {size} mm)"
