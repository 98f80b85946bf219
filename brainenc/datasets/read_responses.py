"""The responses of a manifest: files, samples, targets, regions, events and confounds put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError
from brainenc.datasets.columns import add_arrays, add_columns, named
from brainenc.datasets.parsing import run_list
from brainenc.datasets.places import Unit, context, resolve, session_units, sides_of
from brainenc.datasets.read_events import read_events
from brainenc.datasets.read_targets import list_targets, read_targets
from brainenc.datasets.schema import Manifest, ResponsesSpec
from brainenc.datasets.templates import field_names, fill
from brainenc.io.hdf5 import read_rows
from brainenc.io.nifti import read_volume
from brainenc.io.readers import HDF5
from brainenc.loaders.arrays import join_rows, load_array
from brainenc.loaders.bdata import load_bdata
from brainenc.loaders.cifti import load_cifti
from brainenc.loaders.nifti import load_nifti, volume_targets
from brainenc.loaders.sensor_dict import load_sensor_dict
from brainenc.loaders.surface import load_surface, surface_labels
from brainenc.loaders.tables import load_table
from brainenc.loaders.voxels import load_voxels
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import SurfaceSpace, VolumeSpace
from brainenc.nouns.stimuli import StimulusSet
from brainenc.nouns.tables import need_column, positions_of


def read_responses(manifest: Manifest, folder: Path, unit: Unit, stimuli: StimulusSet | None) -> Responses:
    """Return the responses of one unit, with every stimulus_id known to ``stimuli`` (None where the samples are the only list of them)."""
    spec = manifest.responses
    assert spec is not None
    runs = run_list(spec.runs, f"{manifest.name}.responses.runs")
    units = session_units(manifest, unit)
    listed = list_targets(manifest, folder, context(manifest, units[0]))
    raw, sizes = _read_sessions(manifest, folder, units, runs, listed.kept)
    samples = _samples(manifest, raw, folder, units, sizes, stimuli)
    for column in ("subject", "session"):
        if column not in samples and unit.get(column) is not None:
            samples[column] = unit[column]
    targets, space = read_targets(manifest, raw, listed, folder, context(manifest, units[0]))
    series = spec.t_r is not None or spec.sampling_rate is not None
    if series:
        samples = _with_time(samples, spec)
    events = read_events(manifest, samples, folder, units, runs) if series and manifest.events else None
    responses = Responses(
        values=raw.values, samples=samples.drop(columns="sample"), targets=targets, space=space, units=spec.units or raw.units, t_r=spec.t_r,
        sampling_rate=spec.sampling_rate, events=events,
        name="/".join(part for part in (unit.get("subject"), unit.get("session")) if part), provenance=raw.provenance,
    )  # fmt: skip
    if stimuli is not None:
        check_shown(responses, stimuli, manifest.name)
    return responses


def format_of(path: str, given: str | None) -> str:
    """Return how a response file is read: as the manifest says, or by its suffix."""
    if given is not None:
        return given
    name = path.lower()
    if name.endswith((".dtseries.nii", ".dscalar.nii", ".dlabel.nii")):
        return "cifti"
    if name.endswith((".gii", ".gii.gz", ".mgh", ".mgz", ".mgh.gz")):
        return "surface"
    return "nifti" if name.endswith((".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")) else "array"


def _read_sessions(
    manifest: Manifest, folder: Path, units: list[Unit], runs: tuple[int, ...], kept: npt.NDArray[np.bool_] | None
) -> tuple[Responses, list[int]]:
    """Return the responses of all sessions below each other, and how many samples each session has."""
    spec = manifest.responses
    assert spec is not None
    parts: list[Responses] = []
    sizes: list[int] = []
    for unit in units:
        values = context(manifest, unit)
        if kept is not None and (chosen := _read_chosen(manifest, spec, folder, values, kept)) is not None:
            part = chosen
        else:
            part = _only_kept(_read_files(manifest, spec, folder, values, runs), kept, f"{manifest.name}.targets.where")
        joined = {"session": unit["session"]} if len(units) > 1 else {}
        parts.append(replace(part, samples=part.samples.assign(sample=part.samples["sample"] + sum(sizes), **joined)))
        sizes.append(int(part.samples["sample"].max()) + 1)
    return join_rows(parts, f"{manifest.name}.responses.path"), sizes


def _only_kept(part: Responses, kept: npt.NDArray[np.bool_] | None, where: str) -> Responses:
    if kept is None:
        return part
    if part.n_targets != len(kept):
        raise DataError("targets table and responses have different lengths", where=where, expected=f"{part.n_targets} targets", got=f"{len(kept)} rows")
    return part.take_targets(kept)


def _read_files(manifest: Manifest, spec: ResponsesSpec, folder: Path, values: Mapping[str, object], runs: tuple[int, ...]) -> Responses:
    where = f"{manifest.name}.responses.path"
    per_run = "run" in field_names(spec.path)
    kind = format_of(spec.path, spec.format)
    if spec.parts:
        return _read_parts(manifest, spec, folder, values, runs)
    if per_run and not runs:
        raise InputError("path has {run} and no runs are given", where=where, fix='add runs = "1-12"')
    rows: list[dict[str, object]] = [{**values, "run": run} for run in runs] if per_run else [dict(values)]
    labels = runs if per_run else ()
    if kind in ("array", "sensors"):
        return _read_arrays(manifest, spec, folder, rows, labels)
    if kind == "surface":
        files: dict[str, Any] = {
            side: [folder / resolve(spec.path, {**row, "hemi": hemi}, where) for row in rows] for side, hemi in sides_of(spec).items()
        }
        raw = load_surface(files, mesh=spec.mesh, runs=labels, t_r=spec.t_r, units=spec.units)
        return _scaled(_masked_surface(manifest, spec, raw, folder, values), spec.scale)
    paths = [folder / resolve(spec.path, row, where) for row in rows]
    if kind == "nifti":
        mask = folder / resolve(spec.mask, values, f"{manifest.name}.responses.mask") if spec.mask else None
        if mask is not None and spec.affine == "mask":
            return _scaled(_on_mask(paths, mask, labels, spec), spec.scale)
        return _scaled(load_nifti(paths, mask=mask, runs=labels, t_r=spec.t_r, units=spec.units), spec.scale)
    if kind == "cifti":
        return _scaled(load_cifti(paths, runs=labels, t_r=spec.t_r, units=spec.units), spec.scale)
    key = spec.key if isinstance(spec.key, str) else "VoxelData"
    return join_rows([_scaled(load_bdata(path, key=key, units=spec.units), spec.scale) for path in paths], where)


def _read_parts(manifest: Manifest, spec: ResponsesSpec, folder: Path, values: Mapping[str, object], runs: tuple[int, ...]) -> Responses:
    """Return the files of all parts below each other, their samples numbered through, each with the name of its part."""
    parts: list[Responses] = []
    first = 0
    for label, part in spec.parts.items():
        read = _read_files(manifest, replace(spec, parts={}), folder, {**values, "part": part}, runs)
        parts.append(replace(read, samples=read.samples.assign(sample=read.samples["sample"] + first, **{spec.label_column: label})))
        first = int(parts[-1].samples["sample"].max()) + 1
    return join_rows(parts, f"{manifest.name}.responses.path")


def _scaled(raw: Responses, scale: float) -> Responses:
    if scale == 1.0:
        return raw
    return replace(raw, values=raw.values * np.asarray(scale, dtype=raw.values.dtype), provenance={**raw.provenance, "scale": scale})


def _on_mask(paths: list[Path], mask: Path, labels: tuple[int, ...], spec: ResponsesSpec) -> Responses:
    """Return the voxels of a mask whose affine holds in place of the files' own."""
    volume = read_volume(mask)
    inside = volume.data.reshape(volume.data.shape[:3]) > 0
    raw = load_nifti(paths, mask=inside, runs=labels, t_r=spec.t_r, units=spec.units)
    space = VolumeSpace.from_mask(inside, volume.affine)
    return replace(raw, space=space, targets=volume_targets(space), provenance={**raw.provenance, "mask": mask.name, "affine": "of the mask"})


def _masked_surface(manifest: Manifest, spec: ResponsesSpec, raw: Responses, folder: Path, values: Mapping[str, object]) -> Responses:
    """Return the vertices above 0 of a map per hemisphere."""
    if not spec.mask:
        return raw
    assert isinstance(raw.space, SurfaceSpace)
    where = f"{manifest.name}.responses.mask"
    maps = {side: folder / resolve(spec.mask, {**values, "hemi": hemi}, where) for side, hemi in sides_of(spec).items()}
    inside = surface_labels(maps, raw.space) > 0
    if not inside.any():
        raise DataError("mask is empty", where=where, got=spec.mask)
    return raw.take_targets(inside)


def _read_arrays(
    manifest: Manifest, spec: ResponsesSpec, folder: Path, rows: list[dict[str, object]], labels: tuple[int, ...]
) -> Responses:
    keys = spec.key if isinstance(spec.key, tuple) else (spec.key,)
    parts: list[Responses] = []
    first = 0  # samples are numbered through all files, so that `sample` is the row of the samples table
    for row, run in zip(rows, labels or (None,) * len(rows), strict=True):
        for position, key in enumerate(keys):
            part = _read_array(manifest, spec, folder, row, key and fill(key, row, f"{manifest.name}.responses.key"))
            extra: dict[str, Any] = {} if run is None else {"run": run}
            if spec.labels:
                extra[spec.label_column] = spec.labels[position]
            n = int(part.samples["sample"].max()) + 1
            if spec.run_length and "repeat" not in part.samples:
                extra["run"] = _run_numbers(part, n, spec.run_length, f"{manifest.name}.responses.run_length")
            parts.append(replace(part, samples=part.samples.assign(sample=part.samples["sample"] + first, **extra)))
            first += n
    return join_rows(parts, f"{manifest.name}.responses.path")


def _read_array(manifest: Manifest, spec: ResponsesSpec, folder: Path, row: Mapping[str, object], key: str | None) -> Responses:
    where = f"{manifest.name}.responses.path"
    if spec.mask:
        mask = folder / resolve(spec.mask, row, f"{manifest.name}.responses.mask")
        return load_voxels(folder / resolve(spec.path, row, where), mask, key=key, axes=spec.axes, scale=spec.scale, units=spec.units)
    if "hemi" in field_names(spec.path):
        files = {side: folder / resolve(spec.path, {**row, "hemi": hemi}, where) for side, hemi in sides_of(spec).items()}
        sides: dict[str, Responses] = {
            side: load_array(files[side], key=key, axes=spec.axes, scale=spec.scale, units=spec.units) for side in ("left", "right") if side in files
        }
        return _side_by_side(sides, where)
    file = folder / resolve(spec.path, row, where)
    if spec.format == "sensors":
        return load_sensor_dict(
            file, key=key or "", channels=spec.channels, times=spec.times, axes=spec.axes, montage=spec.montage or None, scale=spec.scale, units=spec.units,
            average_repeats=spec.average_repeats,
        )  # fmt: skip
    part = load_array(file, key=key, axes=spec.axes, scale=spec.scale, units=spec.units)
    if spec.average_repeats:
        return part.average("sample")
    if "repeat" in part.samples and (spec.t_r is not None or spec.sampling_rate is not None):  # a series shown again is another run
        order = np.argsort(part.samples["repeat"].to_numpy(), kind="stable")
        part = part.take_rows(order)
        part = replace(part, samples=part.samples.assign(run=part.samples["repeat"].to_numpy()))
    return part


def _read_chosen(
    manifest: Manifest, spec: ResponsesSpec, folder: Path, values: Mapping[str, object], kept: npt.NDArray[np.bool_]
) -> Responses | None:
    """Read only some targets of an HDF5 matrix that may be too large to be read whole; None where the file is of another kind."""
    plain = format_of(spec.path, spec.format) == "array" and not spec.mask and not field_names(spec.path) & {"run", "hemi"}
    if not plain or spec.axes != ("target", "sample") or Path(spec.path).suffix.lower() not in HDF5 or isinstance(spec.key, tuple):
        return None
    file = folder / resolve(spec.path, values, f"{manifest.name}.responses.path")
    key = spec.key and fill(spec.key, values, f"{manifest.name}.responses.key")
    rows = read_rows(file, key, kept)
    dtype = rows.dtype if rows.dtype.kind == "f" and rows.dtype.itemsize >= 4 else np.dtype(np.float64)
    numbers = np.ascontiguousarray(rows.T, dtype=dtype)
    facts: dict[str, Any] = {"files": [file.name], "axes": list(spec.axes)} | ({"key": key} if key else {})
    raw = Responses(values=numbers, samples=pd.DataFrame({"sample": np.arange(len(numbers))}), units=spec.units, provenance=facts)
    return _scaled(raw, spec.scale)


def _side_by_side(sides: Mapping[str, Responses], where: str) -> Responses:
    """Return the columns of the left and right file next to each other."""
    parts = list(sides.values())
    if len({part.n_samples for part in parts}) > 1:
        raise DataError("hemispheres have different numbers of samples", where=where, got=[part.n_samples for part in parts])
    names = [name for part in parts for name in part.provenance["files"]]
    hemi = np.concatenate([np.full(part.n_targets, side) for side, part in sides.items()])
    ids = [f"{side[0]}{i}" for side, part in sides.items() for i in range(part.n_targets)]
    return Responses(
        values=np.concatenate([part.values for part in parts], axis=1), samples=parts[0].samples, units=parts[0].units,
        targets=pd.DataFrame({"target_id": ids, "hemi": hemi}), provenance={**parts[0].provenance, "files": names},
    )  # fmt: skip


def _run_numbers(part: Responses, n: int, length: int, where: str) -> Any:
    if n % length:
        raise DataError("samples are no whole number of runs", where=where, expected=f"a multiple of {length}", got=n)
    return part.samples["sample"].to_numpy() // length + 1


def _samples(
    manifest: Manifest, raw: Responses, folder: Path, units: list[Unit], sizes: list[int], stimuli: StimulusSet | None
) -> pd.DataFrame:
    spec = manifest.responses
    assert spec is not None
    values = context(manifest, units[0])
    base = raw.samples
    sample = base["sample"].to_numpy()
    where = f"{manifest.name}.samples"
    extra = manifest.samples
    if extra is not None:
        table = _whole_table(manifest, folder, units, sizes)
        doubled = [c for c in table.columns if c in base.columns]
        base = pd.concat([base.drop(columns=doubled), table.iloc[sample].reset_index(drop=True)], axis=1)
        if not extra.path:
            for old in extra.rename.values():
                need_column(base, old, f"{where}.rename")
            base = base.rename(columns={old: new for new, old in extra.rename.items()})
        for column, names in extra.values.items():
            base[column] = named(need_column(base, column, where).to_numpy(), names, f"{where}.values.{column}")
        base = _templated(base, extra.columns, values, where)
    if spec.ids:
        base = base.assign(stimulus_id=_ids(spec, sum(sizes), stimuli, f"{manifest.name}.responses.ids", values)[sample])
    if "stimulus_id" not in base.columns and spec.t_r is None and spec.sampling_rate is None:
        raise InputError(
            "nothing says which stimulus each sample is of", where=manifest.name,
            fix='add ids = "stimuli" (same order) or a template to [responses], or a table [samples] with stimulus_id',
        )  # fmt: skip
    if extra is not None and extra.stimulus_columns and stimuli is not None:
        base = _with_stimulus_columns(base, stimuli, extra.stimulus_columns, where)
    return base


def _with_stimulus_columns(base: pd.DataFrame, stimuli: StimulusSet, columns: tuple[str, ...], where: str) -> pd.DataFrame:
    rows = positions_of(list(need_column(base, "stimulus_id", where).astype(str)), list(stimuli.ids), "stimulus_ids of the samples", where)
    return base.assign(**{name: need_column(stimuli.table, name, f"{where}.stimulus_columns").to_numpy()[rows] for name in columns})


def _whole_table(manifest: Manifest, folder: Path, units: list[Unit], sizes: list[int]) -> pd.DataFrame:
    """Return the samples table of all units, one row a sample."""
    extra = manifest.samples
    assert extra is not None
    where = f"{manifest.name}.samples"
    subject = units[0].get("subject")
    if manifest.join_sessions and extra.path and "session" not in field_names(extra.path):
        if len(units) < len(manifest.sessions(subject)):
            raise InputError("the table of samples runs through all sessions of a subject", where=f"{where}: {extra.path}", fix="leave session out")
        units, sizes = [{**units[0], "session": None}], [sum(sizes)]
    runs = run_list(manifest.responses.runs if manifest.responses else None, f"{manifest.name}.responses.runs")
    tables = []
    for unit, n in zip(units, sizes, strict=True):
        values = context(manifest, unit)
        table = _sample_table(manifest, folder, values, runs, n)
        constant = {name: value for name, value in extra.columns.items() if not (isinstance(value, str) and "{" in value)}
        table = add_columns(table, constant, f"{where}.columns")
        tables.append(add_arrays(table, extra.arrays, folder, values, f"{where}.arrays"))
    table = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
    if extra.run_offset:
        if "run" not in table or table["run"].dtype.kind not in "iu":
            raise InputError("run_offset needs a column run of whole numbers", where=where, got=examples(table.columns, 12))
        table["run"] = table["run"] + extra.run_offset
    return table


def _templated(base: pd.DataFrame, columns: Mapping[str, Any], values: Mapping[str, object], where: str) -> pd.DataFrame:
    """Return samples with the columns that are templates of the run."""
    texts = {name: text for name, text in columns.items() if isinstance(text, str) and "{" in text}
    if not texts:
        return base
    runs = base["run"].to_numpy() if "run" in base else np.ones(len(base), dtype=int)
    codes, known = pd.factorize(runs)
    filled = {
        name: np.array([fill(text, {**values, "run": run, "run_row": row}, f"{where}.columns.{name}") for row, run in enumerate(known)], dtype=object)
        for name, text in texts.items()
    }
    return base.assign(**{name: each[codes] for name, each in filled.items()})


def _sample_table(manifest: Manifest, folder: Path, values: Mapping[str, object], runs: tuple[int, ...], n: int) -> pd.DataFrame:
    spec = manifest.samples
    assert spec is not None
    where = f"{manifest.name}.samples"
    if not spec.path:
        return pd.DataFrame(index=range(n))
    if "run" in field_names(spec.path):
        parts = [
            load_table(folder / resolve(spec.path, {**values, "run": run}, f"{where}.path"), names=spec.names, rename=spec.rename).assign(
                run=run
            )
            for run in runs
        ]
        table = pd.concat(parts, ignore_index=True)
    else:
        table = load_table(folder / resolve(spec.path, values, f"{where}.path"), names=spec.names, rename=spec.rename)
    if len(table) != n:
        raise DataError(
            "samples table and responses have different lengths",
            where=f"{where}: {spec.path}",
            expected=f"{n} samples of the responses",
            got=f"{len(table)} rows",
        )
    return table


def _ids(spec: ResponsesSpec, n: int, stimuli: StimulusSet | None, where: str, values: Mapping[str, object]) -> Any:
    if spec.ids != "stimuli":
        return np.array([fill(spec.ids, {**values, "index": spec.start + i}, where) for i in range(n)], dtype=object)
    if stimuli is None:
        raise InputError("stimuli come from the samples and cannot name them", where=where)
    listed = stimuli.where(spec.stimuli_where) if spec.stimuli_where else stimuli
    if len(listed) != n:
        raise DataError(
            "responses and stimuli have different numbers", where=where, expected=f"{n} stimuli, one per sample", got=f"{len(listed)} stimuli",
            fix="name the stimulus of each sample in a table [samples]",
        )  # fmt: skip
    return listed.ids


def _with_time(samples: pd.DataFrame, spec: ResponsesSpec) -> pd.DataFrame:
    step = spec.t_r if spec.t_r is not None else 1.0 / float(spec.sampling_rate or 1.0)
    if "run" not in samples:
        samples = samples.assign(run=samples["session"] if "session" in samples else 1)
    return samples.assign(time=samples.groupby("run", sort=False).cumcount().to_numpy() * step)


def check_shown(responses: Responses, stimuli: StimulusSet, name: str) -> None:
    """Raise `InputError` when stimuli were shown that are not among the known ones."""
    table = responses.events if responses.events is not None else responses.samples
    if "stimulus_id" not in table:
        return
    shown = pd.unique(table["stimulus_id"].astype(str))
    known = set(stimuli.ids)
    lost = [i for i in shown if i not in known]
    if lost:
        raise InputError(
            f"{len(lost)} of {len(shown)} stimuli that were shown are not among the {len(stimuli)} known ones", where=f"{name}, {responses.name}",
            expected=f"ids like {examples(stimuli.ids)}", got=examples(lost),
        )  # fmt: skip
