"""Volumes kept in plain arrays, in any order of their spatial axes, read only where a mask is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import DataError, InputError
from brainenc.io.hdf5 import read_masked
from brainenc.io.nifti import read_volume
from brainenc.io.readers import HDF5, read_array
from brainenc.loaders.nifti import volume_targets
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import VolumeSpace


def load_voxels(
    path: str | Path,
    mask: str | Path,
    *,
    axes: Sequence[str] = ("sample", "x", "y", "z"),
    key: str | None = None,
    scale: float = 1.0,
    units: str = "",
    max_bytes: str | int | None = None,
) -> Responses:
    """Read the voxels of a mask from an array of volumes.

    Parameters
    ----------
    path : path
        npy, npz, h5 or mat. HDF5 is read slab by slab, so that the whole array need not fit in memory.
    mask : path
        NIfTI or MGH volume; voxels above 0 are read, and its affine says where they are.
    axes : sequence of str
        ``"sample"`` first, then x, y and z in the file's order: what MATLAB writes as (x, y, z, sample) is (sample, z, y, x) in HDF5.
    key : str, optional
        Which array of a container.
    scale : float
        The values are multiplied by it (undo an integer coding).
    units : str
    max_bytes : str or int, optional

    Returns
    -------
    Responses
        float32 for types of up to 32 bits; ``targets`` holds i, j, k and x, y, z (mm), in the order in which `load_nifti` has them.

    Raises
    ------
    DataError, NotFoundError
        Unreadable file, unknown key, volumes of another shape than the mask.
    InputError
        Axes that are not sample, then x, y and z in some order.
    """
    order = list(axes)
    if order[:1] != ["sample"] or sorted(order[1:]) != ["x", "y", "z"]:
        raise InputError("axes of volumes are sample, then x, y and z in some order", where=path, got=order)
    volume = read_volume(mask)
    inside = np.asarray(volume.data.reshape(volume.data.shape[:3]) > 0)
    if not inside.any():
        raise DataError("mask is empty", where=mask)
    space = VolumeSpace.from_mask(inside, volume.affine)
    turned = np.transpose(inside, ["xyz".index(axis) for axis in order[1:]])
    if Path(path).suffix.lower() in HDF5:
        found = read_masked(Path(path), key, turned, max_bytes=max_bytes)
    else:
        array = read_array(path, key=key, max_bytes=max_bytes)
        if array.ndim != 4 or array.shape[1:] != turned.shape or array.dtype.kind not in "iuf":
            raise DataError(
                "volumes are on another grid than the mask", where=path, expected=f"(n, {', '.join(map(str, turned.shape))})",
                got=f"{array.dtype} of shape {array.shape}",
            )  # fmt: skip
        found = array[:, turned]
    values = _ordered(found, space.voxels, order[1:], turned.shape, scale)
    facts: dict[str, Any] = {"files": [Path(path).name], "axes": order, "mask": Path(mask).name}
    facts |= ({"key": key} if key else {}) | ({"scale": scale} if scale != 1.0 else {})
    samples = pd.DataFrame({"sample": np.arange(len(values))})
    return Responses(values=values, samples=samples, targets=volume_targets(space), space=space, units=units, provenance=facts)


def _ordered(found: npt.NDArray[Any], voxels: npt.NDArray[np.intp], axes: list[str], shape: tuple[int, ...], scale: float) -> npt.NDArray[Any]:
    """Bring columns from the file's order into that of the voxels, as native floats."""
    places = np.ravel_multi_index(tuple(voxels[:, "xyz".index(axis)] for axis in axes), shape)
    columns = np.argsort(np.argsort(places))
    dtype = np.float32 if found.dtype.itemsize <= 4 else np.float64
    values = found[:, columns].astype(dtype)
    if scale != 1.0:
        values = values * np.asarray(scale, dtype=values.dtype)
    return values
