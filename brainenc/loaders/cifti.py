"""Responses and labels from CIFTI-2 (dtseries, dscalar, dlabel)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import DataError
from brainenc.io.nifti import open_image
from brainenc.io.paths import check_budget, read_errors
from brainenc.loaders.series import series_samples
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import CiftiSpace


def load_cifti(
    paths: str | Path | Sequence[str | Path],
    *,
    runs: Sequence[Any] = (),
    t_r: float | None = None,
    units: str = "",
    name: str = "subject",
    max_bytes: str | int | None = None,
) -> Responses:
    """Read dense CIFTI files; rows are time points or maps, columns grayordinates.

    Parameters
    ----------
    paths : path or sequence of paths
    runs : sequence, optional
        One label per file.
    t_r : float, optional
        Seconds between rows; makes the result a time series.
    units, name : str
    max_bytes : str or int, optional

    Returns
    -------
    Responses
        float32; ``targets`` holds structure and hemi, ``samples`` the map names of a dscalar.

    Raises
    ------
    DataError
        Not a dense CIFTI file, damaged, or other grayordinates than the first file.
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
    parts: list[npt.NDArray[np.float32]] = []
    space: CiftiSpace | None = None
    step: float | None = None
    names: list[str] = []
    for file in files:
        values, found, header_step, maps = _read(file, max_bytes)
        if space is not None and (found.n_targets != space.n_targets or not (found.structure == space.structure).all()):
            raise DataError("file has other grayordinates", where=file, expected=space, got=found)
        space, step = space or found, step or header_step
        parts.append(values)
        names += maps
    assert space is not None
    samples = series_samples([len(part) for part in parts], runs, t_r)
    if len(names) == len(samples):
        samples["map"] = names
    targets = pd.DataFrame({"structure": space.structure})
    targets["hemi"] = np.select(
        [np.char.endswith(space.structure, "_LEFT"), np.char.endswith(space.structure, "_RIGHT")], ["left", "right"], ""
    )
    return Responses(
        values=parts[0] if len(parts) == 1 else np.concatenate(parts), samples=samples, targets=targets, space=space, units=units, t_r=t_r, name=name,
        provenance={"files": [file.name for file in files], "header": {"t_r": step}},
    )  # fmt: skip


def cifti_labels(path: str | Path, space: CiftiSpace) -> npt.NDArray[Any]:
    """Return the first map of a file at each grayordinate (n_targets,), matched by structure, vertex and voxel."""
    values, found, _, _ = _read(Path(path), None)
    place = pd.MultiIndex.from_arrays([found.structure, found.vertex, *found.voxel.T])
    wanted = pd.MultiIndex.from_arrays([space.structure, space.vertex, *space.voxel.T])
    rows = place.get_indexer(wanted)
    if (rows < 0).any():
        raise DataError("label file lacks grayordinates", where=path, expected=space.n_targets, got=int((rows >= 0).sum()))
    return values[0, rows]


def _read(file: Path, max_bytes: str | int | None) -> tuple[npt.NDArray[np.float32], CiftiSpace, float | None, list[str]]:
    image: Any = open_image(file, max_bytes=max_bytes)
    if type(image).__name__ != "Cifti2Image" or len(image.shape) != 2:
        raise DataError("not a dense CIFTI file", where=file, got=type(image).__name__)
    check_budget(int(np.prod(image.shape)) * 4, file, max_bytes)
    with read_errors(file):
        rows, columns = (image.header.get_axis(axis) for axis in (0, 1))
        if type(columns).__name__ != "BrainModelAxis":
            raise DataError("columns are no grayordinates", where=file, expected="a dense file", got=type(columns).__name__)
        values = np.asarray(image.dataobj, dtype=np.float32)
        step = float(rows.step) if type(rows).__name__ == "SeriesAxis" and rows.unit == "SECOND" else None
        maps = [str(name) for name in rows.name] if hasattr(rows, "name") else []
    return values, CiftiSpace.from_axis(columns), step, maps
