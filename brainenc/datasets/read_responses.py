"""The responses of a manifest: files, samples, targets, regions, events and confounds put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError
from brainenc.datasets.columns import add_arrays, add_columns
from brainenc.datasets.parsing import run_list
from brainenc.datasets.places import Unit, context, resolve
from brainenc.datasets.read_events import read_events
from brainenc.datasets.read_targets import read_targets
from brainenc.datasets.schema import Manifest, ResponsesSpec
from brainenc.datasets.templates import field_names, fill
from brainenc.loaders.arrays import join_rows, load_array
from brainenc.loaders.cifti import load_cifti
from brainenc.loaders.nifti import load_nifti
from brainenc.loaders.surface import load_surface
from brainenc.loaders.tables import load_table
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet


def read_responses(manifest: Manifest, folder: Path, unit: Unit, stimuli: StimulusSet) -> Responses:
    """Return the responses of one unit, with every stimulus_id known to ``stimuli``."""
    spec = manifest.responses
    assert spec is not None
    values = context(unit)
    runs = run_list(spec.runs, f"{manifest.name}.responses.runs")
    raw = _read_files(manifest, spec, folder, values, runs)
    samples = _samples(manifest, raw, folder, unit, stimuli)
    for column in ("subject", "session"):
        if column not in samples and unit.get(column) is not None:
            samples[column] = unit[column]
    targets, space = read_targets(manifest, raw, folder, values)
    series = spec.t_r is not None or spec.sampling_rate is not None
    if series:
        samples = _with_time(samples, spec)
    responses = Responses(
        values=raw.values, samples=samples.drop(columns="sample"), targets=targets, space=space, units=spec.units or raw.units, t_r=spec.t_r,
        sampling_rate=spec.sampling_rate, events=read_events(manifest, samples, folder, values, runs) if series and manifest.events else None,
        name="/".join(part for part in (unit.get("subject"), unit.get("session")) if part), provenance=raw.provenance,
    )  # fmt: skip
    _check_stimuli(responses, stimuli, manifest.name)
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


def _read_files(manifest: Manifest, spec: ResponsesSpec, folder: Path, values: Mapping[str, object], runs: tuple[int, ...]) -> Responses:
    where = f"{manifest.name}.responses.path"
    per_run = "run" in field_names(spec.path)
    if per_run and not runs:
        raise InputError("path has {run} and no runs are given", where=where, fix='add runs = "1-12"')
    rows: list[dict[str, object]] = [{**values, "run": run} for run in runs] if per_run else [dict(values)]
    labels = runs if per_run else ()
    kind = format_of(spec.path, spec.format)
    if kind == "surface":
        sides = spec.hemispheres or {"left": "lh", "right": "rh"}
        files: dict[str, Any] = {
            side: [folder / resolve(spec.path, {**row, "hemi": hemi}, where) for row in rows] for side, hemi in sides.items()
        }
        return load_surface(files, mesh=spec.mesh, runs=labels, t_r=spec.t_r, units=spec.units)
    paths = [folder / resolve(spec.path, row, where) for row in rows]
    if kind == "nifti":
        mask = folder / resolve(spec.mask, values, f"{manifest.name}.responses.mask") if spec.mask else None
        return load_nifti(paths, mask=mask, runs=labels, t_r=spec.t_r, units=spec.units)
    if kind == "cifti":
        return load_cifti(paths, runs=labels, t_r=spec.t_r, units=spec.units)
    keys = spec.key if isinstance(spec.key, tuple) else (spec.key,)
    parts: list[Responses] = []
    first = 0  # samples are numbered through all files, so that `sample` is the row of the samples table
    for path, run in zip(paths, labels or (None,) * len(paths), strict=True):
        for position, key in enumerate(keys):
            part = load_array(
                path, key=key and fill(key, values, f"{manifest.name}.responses.key"), axes=spec.axes, scale=spec.scale, units=spec.units
            )
            extra: dict[str, Any] = {} if run is None else {"run": run}
            if spec.labels:
                extra[spec.label_column] = spec.labels[position]
            samples = part.samples.assign(sample=part.samples["sample"] + first, **extra)
            first = int(part.samples["sample"].max()) + 1 + first
            parts.append(replace(part, samples=samples))
    return join_rows(parts, where)


def _samples(manifest: Manifest, raw: Responses, folder: Path, unit: Unit, stimuli: StimulusSet) -> pd.DataFrame:
    spec = manifest.responses
    assert spec is not None
    values = context(unit)
    runs = run_list(spec.runs, f"{manifest.name}.responses.runs")
    base = raw.samples
    sample = base["sample"].to_numpy()
    n = int(sample.max()) + 1
    where = f"{manifest.name}.samples"
    extra = manifest.samples
    if extra is not None:
        table = _sample_table(manifest, folder, values, runs, n)
        table = add_columns(table, extra.columns, f"{where}.columns")
        table = add_arrays(table, extra.arrays, folder, values, f"{where}.arrays")
        if extra.run_offset:
            if "run" not in table or table["run"].dtype.kind not in "iu":
                raise InputError("run_offset needs a column run of whole numbers", where=where, got=examples(table.columns, 12))
            table["run"] = table["run"] + extra.run_offset
        doubled = [c for c in table.columns if c in base.columns]
        base = pd.concat([base.drop(columns=doubled), table.iloc[sample].reset_index(drop=True)], axis=1)
    if spec.ids:
        base = base.assign(stimulus_id=_ids(spec, n, stimuli, f"{manifest.name}.responses.ids", values)[sample])
    if "stimulus_id" not in base.columns and spec.t_r is None and spec.sampling_rate is None:
        raise InputError(
            "nothing says which stimulus each sample is of", where=manifest.name,
            fix='add ids = "stimuli" (same order) or a template to [responses], or a table [samples] with stimulus_id',
        )  # fmt: skip
    return base


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


def _ids(spec: ResponsesSpec, n: int, stimuli: StimulusSet, where: str, values: Mapping[str, object]) -> Any:
    if spec.ids != "stimuli":
        return np.array([fill(spec.ids, {**values, "index": spec.start + i}, where) for i in range(n)], dtype=object)
    if len(stimuli) != n:
        raise DataError(
            "responses and stimuli have different numbers", where=where, expected=f"{n} stimuli, one per sample", got=f"{len(stimuli)} stimuli",
            fix="name the stimulus of each sample in a table [samples]",
        )  # fmt: skip
    return stimuli.ids


def _with_time(samples: pd.DataFrame, spec: ResponsesSpec) -> pd.DataFrame:
    step = spec.t_r if spec.t_r is not None else 1.0 / float(spec.sampling_rate or 1.0)
    if "run" not in samples:
        samples = samples.assign(run=1)
    return samples.assign(time=samples.groupby("run", sort=False).cumcount().to_numpy() * step)


def _check_stimuli(responses: Responses, stimuli: StimulusSet, name: str) -> None:
    table = responses.events if responses.events is not None else responses.samples
    if "stimulus_id" not in table:
        return
    shown = pd.unique(table["stimulus_id"].astype(str))
    lost = [i for i in shown if i not in set(stimuli.ids)]
    if lost:
        raise InputError(
            f"{len(lost)} of {len(shown)} stimuli that were shown are not among the {len(stimuli)} known ones", where=f"{name}, {responses.name}",
            expected=f"ids like {examples(stimuli.ids)}", got=examples(lost),
        )  # fmt: skip
