"""The targets table, regions and space of responses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import DataError, InputError
from brainenc.datasets.columns import add_arrays, add_columns
from brainenc.datasets.places import resolve
from brainenc.datasets.schema import Manifest, RoiSpec, SpaceSpec
from brainenc.datasets.templates import field_names
from brainenc.io.nifti import open_image
from brainenc.io.readers import read_array
from brainenc.loaders.cifti import cifti_labels
from brainenc.loaders.nifti import volume_labels
from brainenc.loaders.surface import surface_labels
from brainenc.loaders.tables import load_table
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import CiftiSpace, ContactSpace, Space, SurfaceSpace, VolumeSpace
from brainenc.nouns.tables import need_column


def read_targets(manifest: Manifest, raw: Responses, folder: Path, values: Mapping[str, object]) -> tuple[pd.DataFrame, Space]:
    """Return the completed targets table and the space of the responses.

    Raises
    ------
    DataError, InputError, NotFoundError
        A table of another length, a label image on another grid, a target in two regions, columns that the space needs.
    """
    targets = raw.targets
    assert targets is not None and raw.space is not None
    spec = manifest.targets
    where = f"{manifest.name}.targets"
    if spec is not None:
        if spec.path:
            table = load_table(folder / resolve(spec.path, values, f"{where}.path"), names=spec.names, rename=spec.rename)
            if len(table) != raw.n_targets:
                raise DataError(
                    "targets table and responses have different lengths", where=f"{where}: {spec.path}",
                    expected=f"{raw.n_targets} targets of the responses", got=f"{len(table)} rows",
                )  # fmt: skip
            targets = pd.concat([targets.drop(columns=[c for c in table.columns if c in targets]), table], axis=1)
        targets = add_columns(targets, spec.columns, f"{where}.columns")
        targets = add_arrays(targets, spec.arrays, folder, values, f"{where}.arrays")
        for roi in spec.rois:
            targets = _add_roi(targets, roi, raw.space, folder, values, manifest)
    space = raw.space if manifest.space is None else _space(manifest.space, targets, folder, values, manifest.name, raw.space)
    return targets, space


def _add_roi(
    targets: pd.DataFrame, roi: RoiSpec, space: Space, folder: Path, values: Mapping[str, object], manifest: Manifest
) -> pd.DataFrame:
    where = f"{manifest.name}.targets.rois"
    codes = _labels(roi, space, folder, values, manifest, where)
    if codes.shape != (len(targets),):
        raise DataError(
            "region labels do not fit the targets",
            where=f"{where}: {roi.path}",
            expected=f"{len(targets)} values",
            got=f"shape {codes.shape}",
        )
    column = targets[roi.column].astype(object).to_numpy() if roi.column in targets else np.full(len(targets), None, dtype=object)
    for name, wanted in roi.labels.items():
        here = np.isin(codes, wanted if isinstance(wanted, tuple) else [wanted])
        taken = here & np.array([value is not None and value == value for value in column])
        if taken.any():
            raise InputError(
                "a target lies in two regions of one column", where=f"{where}: {roi.path}",
                got=f"{int(taken.sum())} targets of {name!r} and {column[taken][0]!r}",
                fix="give the second set of regions another column",
            )  # fmt: skip
        column[here] = name
    return targets.assign(**{roi.column: column})


def _labels(roi: RoiSpec, space: Space, folder: Path, values: Mapping[str, object], manifest: Manifest, where: str) -> npt.NDArray[Any]:
    if "hemi" in field_names(roi.path):
        if not isinstance(space, SurfaceSpace):
            raise InputError("{hemi} is for surfaces", where=f"{where}: {roi.path}", got=repr(space))
        sides = (manifest.responses.hemispheres if manifest.responses else {}) or {"left": "lh", "right": "rh"}
        return surface_labels({side: folder / resolve(roi.path, {**values, "hemi": hemi}, where) for side, hemi in sides.items()}, space)
    file = folder / resolve(roi.path, values, where)
    if file.name.lower().endswith((".nii", ".nii.gz", ".mgz", ".mgh")):
        if isinstance(space, CiftiSpace):
            return cifti_labels(file, space)
        if not isinstance(space, VolumeSpace):
            raise InputError("a label image needs targets that are voxels", where=f"{where}: {roi.path}", got=repr(space))
        return volume_labels(file, space)
    return read_array(file, key=roi.key).reshape(-1)


def _space(spec: SpaceSpec, targets: pd.DataFrame, folder: Path, values: Mapping[str, object], name: str, found: Space) -> Space:
    where = f"{name}.space"
    if spec.kind == "array":
        return found
    if spec.kind == "contacts":
        for column in ("channel", "x", "y", "z"):
            need_column(targets, column, f"targets, for {where}")
        return ContactSpace(targets)
    if spec.kind == "surface":
        hemi = need_column(targets, "hemi", f"targets, for {where}").map(
            {"left": "left", "right": "right", "L": "left", "R": "right", "lh": "left", "rh": "right"}
        )
        if hemi.isna().any():
            raise InputError("hemi is neither left nor right", where=f"targets, for {where}", got=f"{int(hemi.isna().sum())} targets")
        vertex = need_column(targets, "vertex", f"targets, for {where}").to_numpy(dtype=np.intp)
        sizes = (
            None
            if spec.mesh != "native"
            else tuple(int(vertex[(hemi == side).to_numpy()].max(initial=0)) + 1 for side in ("left", "right"))
        )
        return SurfaceSpace(spec.mesh, hemi.to_numpy(dtype=str), vertex, n_vertices=sizes)  # type: ignore[arg-type]
    if not spec.reference:
        raise InputError("a volume needs a reference image", where=where, fix='add reference = "mask.nii.gz"')
    image = open_image(folder / resolve(spec.reference, values, f"{where}.reference"))
    voxels = np.column_stack([need_column(targets, axis, f"targets, for {where}").to_numpy(dtype=np.intp) for axis in "ijk"])
    return VolumeSpace(tuple(int(n) for n in image.shape[:3]), image.affine, voxels)  # type: ignore[arg-type]
