"""Responses on the cortical surface, one file per hemisphere: GIFTI and MGH."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import DataError, InputError
from brainenc.io.nifti import open_image, read_volume
from brainenc.io.paths import read_errors
from brainenc.loaders.series import series_samples
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import SurfaceSpace
from brainenc.nouns.spaces.surface import HEMISPHERES, MESHES

_STRUCTURES = {"CortexLeft": "left", "CortexRight": "right"}


def load_surface(
    files: Mapping[str, str | Path | Sequence[str | Path]],
    *,
    mesh: str = "native",
    runs: Sequence[Any] = (),
    t_r: float | None = None,
    units: str = "",
    name: str = "subject",
) -> Responses:
    """Read vertex data of one or both hemispheres; left vertices come first.

    Parameters
    ----------
    files : mapping
        ``{"left": path or one path per run, "right": …}``. ``.gii`` (every data array is a time point or map), ``.mgh``, ``.mgz``.
    mesh : str
        ``"fsaverage5"`` and its sisters, or ``"native"``.
    runs : sequence, optional
        One label per file of a hemisphere.
    t_r : float, optional
        Seconds between maps; makes the result a time series.
    units, name : str

    Returns
    -------
    Responses
        float32; ``targets`` holds hemi and vertex.

    Raises
    ------
    DataError
        A file that is no surface data, belongs to the other hemisphere by its metadata, or has another number of vertices or maps.
    """
    for side in files:
        one_of(side, HEMISPHERES, "hemisphere")
    if not files:
        raise InputError("at least one hemisphere is needed", where="load_surface")
    one_of(mesh, (*MESHES, "native"), "mesh")
    values, sides, vertices, names = [], [], [], []
    lengths: list[int] | None = None
    sizes = dict.fromkeys(HEMISPHERES, MESHES.get(mesh, 0))
    for side in (side for side in HEMISPHERES if side in files):
        given = files[side]
        paths = [Path(p) for p in ([given] if isinstance(given, str | Path) else given)]
        parts = _read_side(paths, side, mesh)
        found = [len(part) for part in parts]
        if lengths is not None and found != lengths:
            raise DataError("hemispheres have different numbers of maps", where=paths[0], expected=lengths, got=found)
        lengths = found
        sizes[side] = n_vertices = parts[0].shape[1]
        values.append(np.concatenate(parts))
        sides += [side] * n_vertices
        vertices.append(np.arange(n_vertices))
        names += [path.name for path in paths]
    if mesh == "native":
        sizes = {side: size or 1 for side, size in sizes.items()}  # a hemisphere that was not given holds no target
    space = SurfaceSpace(mesh, np.asarray(sides), np.concatenate(vertices), n_vertices=(sizes["left"], sizes["right"]))
    targets = pd.DataFrame(
        {"target_id": [f"{s[0]}{v}" for s, v in zip(space.hemi, space.vertex, strict=True)], "hemi": space.hemi, "vertex": space.vertex}
    )
    return Responses(
        values=np.concatenate(values, axis=1), samples=series_samples(lengths or [], runs, t_r), targets=targets, space=space,
        units=units, t_r=t_r, name=name, provenance={"files": names, "mesh": mesh},
    )  # fmt: skip


def _read_side(paths: Sequence[Path], side: str, mesh: str) -> list[npt.NDArray[np.float32]]:
    parts = [read_maps(path, side) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        expected = MESHES.get(mesh, parts[0].shape[1])
        if part.shape[1] != expected:
            raise DataError("file has another number of vertices", where=path, expected=f"{expected} of {mesh}", got=part.shape[1])
    return parts


def read_maps(path: str | Path, side: str | None = None) -> npt.NDArray[np.float32]:
    """Return the maps of one hemisphere as float32 (n_maps, n_vertices)."""
    file = Path(path)
    if file.name.lower().endswith((".gii", ".gii.gz")):
        return _read_gifti(file, side)
    data = read_volume(file).data
    if data.ndim > 4 or sum(n > 1 for n in data.shape[:3]) > 1:
        raise DataError("not surface data", where=file, expected="(n_vertices, 1, 1, n_maps)", got=f"shape {data.shape}")
    n_maps = data.shape[3] if data.ndim == 4 else 1
    return np.ascontiguousarray(data.reshape(-1, n_maps).T, dtype=np.float32)


def surface_labels(files: Mapping[str, str | Path], space: SurfaceSpace) -> npt.NDArray[Any]:
    """Return the label of each target (n_targets,) from one map per hemisphere."""
    labels = np.zeros(space.n_targets)
    sizes = dict(zip(HEMISPHERES, space.n_vertices or (0, 0), strict=True))
    for side, path in files.items():
        maps = read_maps(path, side)
        if maps.shape != (1, sizes[side]):
            raise DataError(
                "label file does not fit the surface",
                where=path,
                expected=f"one map of {sizes[side]} vertices",
                got=f"{maps.shape[0]} of {maps.shape[1]}",
            )
        here = space.hemi == side
        labels[here] = maps[0, space.vertex[here]]
    return labels


def _read_gifti(file: Path, side: str | None) -> npt.NDArray[np.float32]:
    image: Any = open_image(file)
    with read_errors(file):
        arrays = [array for array in image.darrays if array.data is not None]
        structures = {array.meta.get("AnatomicalStructurePrimary") for array in arrays} | {image.meta.get("AnatomicalStructurePrimary")}
    found = {_STRUCTURES[name] for name in structures if name in _STRUCTURES}
    if side is not None and found and found != {side}:
        raise DataError("file is of another hemisphere by its metadata", where=file, expected=side, got=", ".join(sorted(found)))
    geometry = {"NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE"}
    if any(_intent(array) in geometry for array in arrays):
        raise DataError("file holds a mesh, not data on one", where=file)
    rows = [np.asarray(array.data) for array in arrays]
    rows = [row.T if row.ndim == 2 else row[None] for row in rows]
    if not rows or any(row.ndim != 2 or row.shape[1] != rows[0].shape[1] for row in rows):
        raise DataError("data arrays do not fit each other", where=file, got=[np.shape(row) for row in rows[:4]])
    return np.concatenate(rows).astype(np.float32)


def _intent(array: Any) -> str:
    from nibabel.nifti1 import intent_codes

    return str(intent_codes.niistring[array.intent])
