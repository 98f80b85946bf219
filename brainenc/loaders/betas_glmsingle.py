"""Single-trial betas that GLMsingle estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import DataError, InputError
from brainenc.io.nifti import read_volume
from brainenc.io.npdict import list_npdict, read_npdict
from brainenc.io.readers import list_keys, read_array
from brainenc.loaders.nifti import volume_targets
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import ArraySpace, VolumeSpace
from brainenc.nouns.tables import as_table, need_column

STAGES = {"B": "TYPEB_FITHRF", "C": "TYPEC_FITHRF_GLMDENOISE", "D": "TYPED_FITHRF_GLMDENOISE_RR"}
SUFFIXES = (".npy", ".h5", ".hdf5", ".mat")
BETAS = ("betasmd", "modelmd")
MAPS = {"R2": "R2", "HRFindex": "hrf_index", "FRACvalue": "fraction", "noisepool": "noise_pool", "meanvol": "mean"}


def load_glmsingle(
    path: str | Path, trials: Any, *,
    stage: str = "D", mask: str | Path | npt.ArrayLike | None = None, units: str = "% signal change", name: str = "subject",
    max_bytes: str | int | None = None,
) -> Responses:  # fmt: skip
    """Read the betas of GLMsingle's output as trials.

    Parameters
    ----------
    path : path
        The output folder, or one of its files: ``TYPED_FITHRF_GLMDENOISE_RR`` with the suffix ``.npy`` (a pickled dictionary, read by
        `brainenc.io.npdict` without running it), ``.h5``, ``.hdf5`` or ``.mat``.
    trials : DataFrame or dict of columns, one row a trial
        In the order of the betas, which is that of presentation: stimulus_id, and run, session, onset … where known.
    stage : {"B", "C", "D"}
        In a folder: betas with a response fitted to each voxel, then denoised, then with fractional ridge.
    mask : path or array of shape (x, y, z), optional
        Voxels to keep. None keeps those that have a beta in any trial, and counts the others. A NIfTI mask also gives the space its affine.
    units, name : str
    max_bytes : str or int, optional

    Returns
    -------
    Responses
        ``targets``: R2, hrf_index, fraction, noise_pool and mean where the file has them (keys R2, HRFindex, FRACvalue, noisepool, meanvol);
        ``samples``: the trials, with ``repeat`` counting each stimulus.

    Raises
    ------
    DataError
        No such file, none of the known keys, shapes that do not fit each other or the mask.
    InputError
        Another number of trials.

    Notes
    -----
    Denoising and ridge fractions of stages C and D are chosen by how well repeats agree, so repeats are not independent and noise ceilings
    come out too high; stage B is free of that. Keys and names are those of GLMsingle's Python and MATLAB releases as we know them.

    References
    ----------
    Prince et al. (2022), doi:10.7554/eLife.77599.

    Examples
    --------
    >>> load_glmsingle("glmsingle/", {"stimulus_id": shown}, mask="brain_mask.nii.gz")                     # doctest: +SKIP
    """
    file = _file(Path(path).expanduser(), stage)
    content = _read(file, max_bytes)
    key = next((key for key in BETAS if key in content), None)
    if key is None:
        raise DataError("file holds no betas", where=file, expected=" or ".join(BETAS), got=examples(content, 12))
    betas = np.asarray(content[key])
    if betas.dtype.kind not in "fiu" or betas.ndim not in (2, 4):
        raise DataError("betas have an odd shape", where=f"{file}::{key}", expected="(x, y, z, n_trials) or (n_voxels, n_trials)", got=betas.shape)
    table = as_table(trials, "trials of load_glmsingle")
    need_column(table, "stimulus_id", "trials of load_glmsingle")
    if len(table) != betas.shape[-1]:
        raise InputError("trials and betas have different numbers", where=file, expected=f"{betas.shape[-1]} trials", got=len(table))
    grid = betas.shape[:-1]
    inside, affine, n_without = _inside(betas, mask, file)
    values = np.ascontiguousarray(betas[inside].T)
    space: Any = ArraySpace(tuple(grid), np.flatnonzero(inside.ravel())) if affine is None else VolumeSpace.from_mask(inside, affine)
    targets = pd.DataFrame({"voxel": np.flatnonzero(inside.ravel())}) if affine is None else volume_targets(space)
    for source, column in MAPS.items():
        found = content.get(source)
        if isinstance(found, np.ndarray) and found.size == inside.size and found.dtype.kind in "fiub":
            targets[column] = found.reshape(grid)[inside]
    samples = table.assign(repeat=table.groupby("stimulus_id", sort=False).cumcount() + 1)
    record = {"file": file.name, "key": key, "n_voxels_without_betas": n_without}
    return Responses(
        values if values.dtype.kind == "f" else values.astype(np.float64), samples, targets, space, units=units, name=name, provenance={"glmsingle": record}
    )


def _file(path: Path, stage: str) -> Path:
    if not path.is_dir():
        return path
    stem = STAGES[one_of(stage, tuple(STAGES), "stage")]
    found = [path / f"{stem}{suffix}" for suffix in SUFFIXES if (path / f"{stem}{suffix}").is_file()]
    if not found:
        there = sorted(one.name for one in path.iterdir() if one.suffix in SUFFIXES)
        raise DataError(f"folder has no {stem}", where=path, expected=f"one of {', '.join(SUFFIXES)}", got=examples(there, 8) or "no such files")
    return found[0]


def _read(file: Path, max_bytes: str | int | None) -> Mapping[str, Any]:
    """Return the betas and maps of a file; other entries are not looked into."""
    wanted = (*BETAS, *MAPS)
    if file.suffix.lower() == ".npy":
        return read_npdict(file, keys=[key for key in list_npdict(file, max_bytes=max_bytes) if key in wanted], max_bytes=max_bytes)
    known: Sequence[str] = list_keys(file)
    if "results" in known and not any(key in known for key in BETAS):  # a MATLAB struct
        raise DataError("file holds a struct", where=file, got="results", fix="save its fields as variables of their own, or use the Python output")
    return {key: read_array(file, key=key, max_bytes=max_bytes) for key in known if key in wanted}


def _inside(betas: npt.NDArray[Any], mask: Any, file: Path) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64] | None, int]:
    grid = betas.shape[:-1]
    without = ~np.isfinite(betas).any(axis=-1)
    if mask is None:
        if without.all():
            raise DataError("no voxel has a beta", where=file)
        return ~without, None, int(without.sum())
    affine = None
    if isinstance(mask, str | Path):
        volume = read_volume(mask)
        mask, affine = volume.data.reshape(volume.data.shape[:3]), volume.affine
    inside = np.asarray(mask) > 0
    if inside.shape != grid:
        raise DataError("mask and betas are on different grids", where=file, expected=f"shape {grid}", got=f"shape {inside.shape}")
    if not inside.any():
        raise DataError("mask is empty", where=file)
    return inside, affine, int(without[inside].sum())
