"""The recordings of a manifest as responses: epochs or a time series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from brainenc.core.errors import InputError
from brainenc.datasets.places import Unit, context, resolve
from brainenc.datasets.read_responses import check_shown
from brainenc.datasets.recording_spec import RecordingsSpec, StepsSpec, code_table, is_epochs
from brainenc.datasets.schema import Manifest
from brainenc.loaders.band_power import BandPower
from brainenc.loaders.bids_recordings import read_bids_recordings
from brainenc.loaders.brain_treebank import read_treebank
from brainenc.loaders.channel_parts import load_in_parts
from brainenc.loaders.epoching import load_continuous, load_epochs
from brainenc.loaders.preprocessing import Preprocessing
from brainenc.loaders.recordings import Recording, read_recording
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet


def read_recordings(manifest: Manifest, folder: Path, unit: Unit, stimuli: StimulusSet | None) -> Responses:
    """Return the responses of one subject, with every stimulus_id known to ``stimuli`` (None where the events are the only list of them)."""
    spec = manifest.recordings
    assert spec is not None
    steps = _steps(spec.steps)
    load = _loader(spec, steps, "/".join(part for part in (unit.get("subject"), unit.get("session")) if part))
    if spec.layout == "brain_treebank":
        parts = read_treebank(
            folder, subject=str(unit["subject"]), trial=str(unit["session"]), units=spec.units, reference=spec.steps.reference, memory=spec.memory or None
        )
        out = load_in_parts(parts, lambda part: load(part, None))
    else:
        out = _read_files(manifest, spec, folder, unit, load)
    named = {column: unit[column] for column in ("subject", "session") if unit.get(column) is not None and column not in out.samples}
    out = replace(out, samples=out.samples.assign(**named))
    if stimuli is not None:
        check_shown(out, stimuli, manifest.name)
    return out


def _steps(spec: StepsSpec) -> Preprocessing:
    given = {one.name: getattr(spec, one.name) for one in fields(spec)}
    return Preprocessing(**{**given, "power": None if spec.power is None else BandPower(**asdict(spec.power))})


def _loader(spec: RecordingsSpec, steps: Preprocessing, name: str) -> Callable[[Any, Any], Responses]:
    """Return what takes recordings and their events to responses, with the options of the manifest."""
    codes = code_table(spec.event_id, "recordings.event_id") or None
    how: dict[str, Any] = {"stimulus": spec.stimulus, "event_id": codes, "rest": spec.rest, "name": name, "preprocessing": steps}
    how["windows"] = (spec.windows[0], spec.windows[1]) if spec.windows else None
    if not spec.epochs and not is_epochs(spec):
        return lambda runs, events: load_continuous(runs, events, **how)
    how |= {"baseline": (spec.baseline[0], spec.baseline[1]) if spec.baseline else None, "decimate": spec.decimate, "where": spec.where}
    if is_epochs(spec):
        return lambda path, _: load_epochs(path, units=spec.units, **how)
    how |= {"tmin": spec.epochs[0], "tmax": spec.epochs[1], "reject": dict(spec.reject)}
    return lambda runs, events: load_epochs(runs, events, **how)


def _read_files(manifest: Manifest, spec: RecordingsSpec, folder: Path, unit: Unit, load: Callable[[Any, Any], Responses]) -> Responses:
    if is_epochs(spec):
        return load(folder / resolve(spec.path, context(manifest, unit), f"{manifest.name}.recordings.path"), None)
    runs = [_shifted(run, spec.onset_shift) for run in _runs(manifest, spec, folder, unit)]
    out = load(runs, _events(manifest, spec, folder, unit))
    if not spec.regressors:
        return out
    beside = load_continuous(runs, False, preprocessing=Preprocessing(channels=spec.regressors, units="as_is", resample=spec.steps.resample))
    return replace(out, samples=out.samples.assign(**{str(c): beside.values[:, i] for i, c in enumerate(beside.targets["channel"])}))


def _runs(manifest: Manifest, spec: RecordingsSpec, folder: Path, unit: Unit) -> list[Recording]:
    if spec.task:
        tree = folder / resolve(spec.tree, context(manifest, unit), f"{manifest.name}.recordings.tree") if spec.tree else folder
        return read_bids_recordings(
            tree, subject=str(unit["subject"]), task=spec.task, session=unit.get("session"), runs=spec.runs or None, space=spec.space or None,
            events=not spec.events, scale=spec.scale, montage=spec.montage or None,
        )  # fmt: skip
    values, where = context(manifest, unit), f"{manifest.name}.recordings.path"
    return [
        read_recording(
            folder / resolve(spec.path, {**values, "run": run} if run else values, where), sampling_rate=spec.sampling_rate, units=spec.units or None,
            scale=spec.scale, columns=spec.columns or None, types=dict(spec.types) or None, stim=spec.stim, montage=spec.montage or None,
            rename=dict(spec.rename) or None, key=spec.key or None, run=run or None,
        )  # fmt: skip
        for run in spec.runs or ("",)
    ]


def _shifted(run: Recording, shift: float) -> Recording:
    """Return the run with the onsets of its table of events moved by so many seconds."""
    if not shift:
        return run
    if run.events is None or "onset" not in run.events:
        raise InputError("onset_shift moves the onsets of a table of events", where=f"run {run.run}", got="none beside the recording")
    onset = pd.to_numeric(run.events["onset"], errors="coerce") + shift
    return replace(run, events=run.events.assign(onset=onset), provenance={**run.provenance, "onset_shift": shift})


def _events(manifest: Manifest, spec: RecordingsSpec, folder: Path, unit: Unit) -> Any:
    """Return what the loaders take: False for none, a file (a list of them, one a run), a name, or None."""
    if spec.events == "none":
        return False
    if "/" not in spec.events and "." not in spec.events:
        return spec.events or None
    values, where = context(manifest, unit), f"{manifest.name}.recordings.events"
    files = [folder / resolve(spec.events, {**values, "run": run} if run else values, where) for run in spec.runs or ("",)]
    return files if len(files) > 1 else files[0]
