"""The targets table, regions and space of responses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import DataError, InputError
from brainenc.core.selection import select
from brainenc.datasets.columns import add_arrays, add_columns
from brainenc.datasets.places import resolve, sides_of
from brainenc.datasets.schema import Manifest, MaskArrays, RoiSpec, SpaceSpec
from brainenc.datasets.templates import field_names
from brainenc.io.nifti import open_image
from brainenc.io.npdict import read_npdict
from brainenc.io.paths import existing_file, read_errors
from brainenc.io.readers import list_keys, read_array
from brainenc.loaders.cifti import cifti_labels
from brainenc.loaders.nifti import volume_labels
from brainenc.loaders.surface import surface_labels
from brainenc.loaders.tables import load_table
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import ArraySpace, CiftiSpace, ContactSpace, Space, SurfaceSpace, VolumeSpace
from brainenc.nouns.spaces.surface import MESHES
from brainenc.nouns.tables import need_column


class ListedTargets(NamedTuple):
    """The targets table as its file has it after selection (None without a file), and which targets of the responses that is (None: all)."""

    table: pd.DataFrame | None = None
    kept: npt.NDArray[np.bool_] | None = None


def list_targets(manifest: Manifest, folder: Path, values: Mapping[str, object]) -> ListedTargets:
    """Read the table of targets, before the responses: it may say that only some of them are read."""
    spec = manifest.targets
    if spec is None or not spec.path:
        return ListedTargets()
    where = f"{manifest.name}.targets"
    table = load_table(folder / resolve(spec.path, values, f"{where}.path"), names=spec.names, rename=spec.rename)
    if not spec.where:
        return ListedTargets(table)
    kept = np.zeros(len(table), dtype=bool)
    kept[select(table, spec.where)] = True
    if not kept.any():
        raise InputError("selection keeps no target", where=f"{where}.where", got=spec.where)
    return ListedTargets(table.loc[kept].reset_index(drop=True), kept)


def read_targets(
    manifest: Manifest, raw: Responses, listed: ListedTargets, folder: Path, values: Mapping[str, object]
) -> tuple[pd.DataFrame, Space]:
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
        if listed.table is not None:
            table = listed.table
            if len(table) != raw.n_targets:
                raise DataError(
                    "targets table and responses have different lengths", where=f"{where}: {spec.path}",
                    expected=f"{raw.n_targets} targets of the responses", got=f"{len(table)} rows",
                )  # fmt: skip
            targets = pd.concat([targets.drop(columns=[c for c in table.columns if c in targets]), table], axis=1)
        targets = add_columns(targets, spec.columns, f"{where}.columns")
        for column in spec.arrays:
            if _at_targets(column.path):
                found = _values_at(column.path, column.key, raw.space, folder, values, manifest, f"{where}.arrays.{column.column}")
                targets = targets.assign(**{column.column: _fitting(found, len(targets), f"{where}.arrays: {column.path}")})
            else:
                targets = add_arrays(targets, [column], folder, values, f"{where}.arrays")
        for masks in spec.masks:
            targets = _add_masks(targets, masks, folder / resolve(masks.path, values, f"{where}.masks"), f"{where}.masks")
        for roi in spec.rois:
            targets = _add_roi(targets, roi, raw.space, folder, values, manifest)
    space = raw.space if manifest.space is None else _space(manifest.space, targets, folder, values, manifest, raw.space)
    if manifest.space is not None and manifest.space.vertices and isinstance(space, SurfaceSpace):
        targets = targets.assign(vertex=space.vertex)
    return targets, space


def _add_roi(
    targets: pd.DataFrame, roi: RoiSpec, space: Space, folder: Path, values: Mapping[str, object], manifest: Manifest
) -> pd.DataFrame:
    where = f"{manifest.name}.targets.rois"
    members: dict[str, npt.NDArray[np.bool_]] = {}
    if roi.path:
        codes = _fitting(_values_at(roi.path, roi.key, space, folder, values, manifest, where), len(targets), f"{where}: {roi.path}")
        labels = _names(folder / resolve(roi.names, values, f"{where}.names")) if roi.names else roi.labels
        members = {name: np.isin(codes, wanted if isinstance(wanted, tuple) else [wanted]) for name, wanted in labels.items()}
    for name, flagged in roi.flags.items():
        columns = (flagged,) if isinstance(flagged, str) else flagged
        members[name] = np.any([need_column(targets, c, f"targets, for {where}").to_numpy() == 1 for c in columns], axis=0)
    column = targets[roi.column].astype(object).to_numpy(copy=True) if roi.column in targets else np.full(len(targets), None, dtype=object)
    for name, here in members.items():
        taken = here & np.array([value is not None and value == value for value in column])
        if taken.any():
            raise InputError(
                "a target lies in two regions of one column", where=f"{where}: {roi.path or roi.column}",
                got=f"{int(taken.sum())} targets of {name!r} and {column[taken][0]!r}",
                fix="give the second set of regions another column",
            )  # fmt: skip
        column[here] = name
    return targets.assign(**{roi.column: column})


def _add_masks(targets: pd.DataFrame, masks: MaskArrays, file: Path, where: str) -> pd.DataFrame:
    for key in list_keys(file):
        name = key.removeprefix(masks.prefix)
        if name == key or not name:
            continue
        if name in targets:
            raise InputError("a mask has the name of another column", where=f"{where}: {file}", got=key)
        inside = _fitting(read_array(file, key=key).reshape(-1), len(targets), f"{where}: {file}::{key}")
        targets = targets.assign(**{name: (inside != 0).astype(np.int8)})
    return targets


def _fitting(found: npt.NDArray[Any], n: int, where: str) -> npt.NDArray[Any]:
    if found.shape != (n,):
        raise DataError("values do not fit the targets", where=where, expected=f"{n} values", got=f"shape {found.shape}")
    return found


def _names(file: Path) -> dict[str, int]:
    """Return the value of each region from a colour table (lines "index name …") or a dictionary of numbers to names; 0 and below are none."""
    if file.suffix.lower() == ".npy":
        pairs = list(read_npdict(file).items())
    else:
        with read_errors(existing_file(file)):
            lines = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip() and not line.startswith("#")]
        pairs = [(line[0], line[1]) for line in lines if len(line) > 1]
    found: dict[str, int] = {}
    for code, name in pairs:
        number = str(code).strip()
        if not number.lstrip("-").isdigit() or not isinstance(name, str):
            raise DataError("file does not name regions", where=file, expected="whole numbers and names", got=f"{code!r}: {name!r}")
        if int(number) > 0:
            if name in found:
                raise DataError("two values have one name", where=file, got=repr(name))
            found[name] = int(number)
    if not found:
        raise DataError("file names no region", where=file)
    return found


def _at_targets(path: str) -> bool:
    """Return whether a file holds values in space, to be taken at the targets."""
    return "hemi" in field_names(path) or path.lower().endswith((".nii", ".nii.gz", ".mgz", ".mgh"))


def _values_at(
    path: str, key: str | None, space: Space, folder: Path, values: Mapping[str, object], manifest: Manifest, where: str
) -> npt.NDArray[Any]:
    if "hemi" in field_names(path):
        files = {side: folder / resolve(path, {**values, "hemi": hemi}, where) for side, hemi in sides_of(manifest.responses).items()}
        if isinstance(space, ArraySpace):  # the columns of the sides stand side by side
            return np.concatenate([read_array(files[side], key=key).reshape(-1) for side in ("left", "right") if side in files])
        if not isinstance(space, SurfaceSpace):
            raise InputError("{hemi} is for surfaces", where=f"{where}: {path}", got=repr(space))
        return surface_labels(files, space)
    file = folder / resolve(path, values, where)
    if file.name.lower().endswith((".nii", ".nii.gz", ".mgz", ".mgh")):
        if isinstance(space, CiftiSpace):
            return cifti_labels(file, space)
        if not isinstance(space, VolumeSpace):
            raise InputError("a label image needs targets that are voxels", where=f"{where}: {path}", got=repr(space))
        return volume_labels(file, space)
    return read_array(file, key=key).reshape(-1)


def _masked_surface(
    spec: SpaceSpec, hemi: npt.NDArray[np.str_], folder: Path, values: Mapping[str, object], manifest: Manifest, where: str
) -> SurfaceSpace:
    """Return the vertices above 0 of one array per hemisphere, as many as there are targets of that side."""
    vertex = np.empty(len(hemi), dtype=np.intp)
    sizes = {"left": 1, "right": 1}
    for side, letters in sides_of(manifest.responses).items():
        file = folder / resolve(spec.vertices, {**values, "hemi": letters}, f"{where}.vertices")
        inside = read_array(file).reshape(-1)
        here = hemi == side
        found = np.flatnonzero(inside > 0)
        if len(found) != int(here.sum()):
            raise DataError("vertices do not fit the targets", where=file, expected=f"{int(here.sum())} {side} targets", got=f"{len(found)} vertices above 0")
        vertex[here], sizes[side] = found, len(inside)
    if spec.mesh in MESHES and set(sizes.values()) != {MESHES[spec.mesh]}:
        raise DataError("arrays are of another mesh", where=f"{where}.vertices", expected=f"{MESHES[spec.mesh]} vertices of {spec.mesh}", got=sizes)
    return SurfaceSpace(spec.mesh, hemi, vertex, n_vertices=(sizes["left"], sizes["right"]))


def _space(spec: SpaceSpec, targets: pd.DataFrame, folder: Path, values: Mapping[str, object], manifest: Manifest, found: Space) -> Space:
    where = f"{manifest.name}.space"
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
        if spec.vertices:
            return _masked_surface(spec, hemi.to_numpy(dtype=str), folder, values, manifest, where)
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
