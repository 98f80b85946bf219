"""Responses and region labels from NIfTI (and MGH volumes)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import DataError
from brainenc.io.nifti import masked, open_image, read_volume
from brainenc.loaders.series import series_samples
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import VolumeSpace


def load_nifti(
    paths: str | Path | Sequence[str | Path],
    *,
    mask: str | Path | npt.NDArray[Any] | None = None,
    runs: Sequence[Any] = (),
    t_r: float | None = None,
    units: str = "",
    name: str = "subject",
    max_bytes: str | int | None = None,
) -> Responses:
    """Read one or more volumes or series of one grid as rows.

    Parameters
    ----------
    paths : path or sequence of paths
        3-D or 4-D images; their volumes follow each other as rows.
    mask : path or ndarray of shape (x, y, z), optional
        Image on the same grid, affine included; voxels above 0 are read. Without it every voxel is a target.
    runs : sequence, optional
        One run label per file.
    t_r : float, optional
        Seconds between volumes; makes the result a time series.
    units, name : str
    max_bytes : str or int, optional

    Returns
    -------
    Responses
        float32; ``targets`` holds i, j, k (voxel indices) and x, y, z (mm), in C order of the indices.

    Raises
    ------
    DataError
        Damaged or hostile files, another grid (both are shown), a mask that does not fit.
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
    grid, affine, facts = read_grid(files[0])
    inside: npt.NDArray[Any] = np.ones(grid, dtype=bool)
    if isinstance(mask, np.ndarray):
        _same_grid(mask.shape, affine, grid, affine, "mask")
        inside = mask > 0
    elif mask is not None:
        inside = read_mask(mask, grid, affine)
    if not inside.any():
        raise DataError("mask is empty", where="mask" if isinstance(mask, np.ndarray) else mask)
    parts, lengths = [], []
    for file in files:
        other_grid, other_affine, _ = read_grid(file)
        _same_grid(other_grid, other_affine, grid, affine, file)
        parts.append(masked(file, inside, max_bytes=max_bytes))
        lengths.append(len(parts[-1]))
    space = VolumeSpace.from_mask(inside, affine)
    provenance = {"files": [file.name for file in files], "header": {k: facts[k] for k in ("shape", "zooms", "t_r", "space_unit")}}
    if mask is not None:
        provenance["mask"] = f"{int(inside.sum())} voxels" if isinstance(mask, np.ndarray) else Path(mask).name
    return Responses(
        values=parts[0] if len(parts) == 1 else np.concatenate(parts), samples=series_samples(lengths, runs, t_r), targets=volume_targets(space),
        space=space, units=units, t_r=t_r, name=name, provenance=provenance,
    )  # fmt: skip


def read_mask(path: str | Path, grid: Sequence[int], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return the voxels above 0 of a mask on this grid, (x, y, z)."""
    volume = read_volume(path)
    _same_grid(volume.data.shape[:3], volume.affine, grid, affine, path)
    return np.asarray(volume.data.reshape(volume.data.shape[:3]) > 0)


def volume_labels(path: str | Path, space: VolumeSpace) -> npt.NDArray[Any]:
    """Return the value of a label image at each target (n_targets,); the image must be on the same grid."""
    volume = read_volume(path)
    _same_grid(volume.data.shape[:3], volume.affine, space.shape, space.affine, path)
    return np.asarray(volume.data.reshape(volume.data.shape[:3])[tuple(space.voxels.T)])


def read_grid(path: Path) -> tuple[tuple[int, ...], npt.NDArray[np.float64], dict[str, Any]]:
    """Return shape, affine and facts (shape, zooms, t_r in seconds or None, space_unit) of a volume or series, without its data."""
    image = open_image(path)
    if type(image).__name__ in ("Cifti2Image", "GiftiImage") or not 3 <= len(image.shape) <= 4:
        raise DataError(
            "not a volume or a series of volumes", where=path, got=f"{type(image).__name__} of shape {getattr(image, 'shape', None)}"
        )
    zooms = [float(z) for z in image.header.get_zooms()]
    units = image.header.get_xyzt_units() if hasattr(image.header, "get_xyzt_units") else ("mm", "msec")
    factor = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}.get(units[1])
    t_r = zooms[3] * factor if len(zooms) > 3 and factor and zooms[3] > 0 else None
    facts = {"shape": [int(n) for n in image.shape], "zooms": zooms, "t_r": t_r, "space_unit": units[0]}
    return tuple(int(n) for n in image.shape[:3]), np.asarray(image.affine, dtype=np.float64), facts


def _same_grid(
    shape: Sequence[int], affine: npt.NDArray[np.float64], grid: Sequence[int], grid_affine: npt.NDArray[np.float64], where: object
) -> None:
    if tuple(shape) != tuple(grid) or not np.allclose(affine, grid_affine, atol=1e-3):
        raise DataError(
            "image is on another grid", where=where, expected=f"shape {tuple(grid)}, affine {np.round(grid_affine, 3).tolist()}",
            got=f"shape {tuple(shape)}, affine {np.round(affine, 3).tolist()}", fix="resample it yourself: nothing is resampled here",
        )  # fmt: skip


def volume_targets(space: VolumeSpace) -> pd.DataFrame:
    """Return target_id, i, j, k and x, y, z (mm) of the voxels of a space."""
    ids = [f"v{i}-{j}-{k}" for i, j, k in space.voxels]
    table = pd.DataFrame(space.voxels, columns=["i", "j", "k"])
    table.insert(0, "target_id", ids)
    return table.assign(**dict(zip("xyz", np.round(space.coordinates, 4).T, strict=True)))
