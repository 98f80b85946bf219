"""The recordings of a manifest as responses: epochs or a time series."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from brainenc.datasets.places import Unit, context, resolve
from brainenc.datasets.read_responses import check_shown
from brainenc.datasets.recording_spec import RecordingsSpec
from brainenc.datasets.schema import Manifest
from brainenc.loaders.bids_recordings import read_bids_recordings
from brainenc.loaders.epoching import load_continuous, load_epochs
from brainenc.loaders.preprocessing import Preprocessing
from brainenc.loaders.recordings import Recording, read_recording
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet


def read_recordings(manifest: Manifest, folder: Path, unit: Unit, stimuli: StimulusSet | None) -> Responses:
    """Return the responses of one subject, with every stimulus_id known to ``stimuli`` (None where the events are the only list of them)."""
    spec = manifest.recordings
    assert spec is not None
    steps = Preprocessing(**{one.name: getattr(spec.steps, one.name) for one in fields(spec.steps)})
    runs = _runs(manifest, spec, folder, unit)
    name = "/".join(part for part in (unit.get("subject"), unit.get("session")) if part)
    events = _events(manifest, spec, folder, unit)
    how: dict[str, Any] = {"stimulus": spec.stimulus, "event_id": dict(spec.event_id) or None, "rest": spec.rest, "name": name, "preprocessing": steps}
    if spec.epochs:
        span, baseline = spec.epochs, (spec.baseline[0], spec.baseline[1]) if spec.baseline else None
        out = load_epochs(runs, events, tmin=span[0], tmax=span[1], baseline=baseline, reject=dict(spec.reject), decimate=spec.decimate, **how)
    else:
        out = load_continuous(runs, events, **how)
        if spec.regressors:
            beside = load_continuous(runs, False, preprocessing=Preprocessing(channels=spec.regressors, units="as_is", resample=spec.steps.resample))
            out = replace(out, samples=out.samples.assign(**{str(c): beside.values[:, i] for i, c in enumerate(beside.targets["channel"])}))
    named = {column: unit[column] for column in ("subject", "session") if unit.get(column) is not None and column not in out.samples}
    out = replace(out, samples=out.samples.assign(**named))
    if stimuli is not None:
        check_shown(out, stimuli, manifest.name)
    return out


def _runs(manifest: Manifest, spec: RecordingsSpec, folder: Path, unit: Unit) -> list[Recording]:
    if spec.task:
        return read_bids_recordings(
            folder, subject=str(unit["subject"]), task=spec.task, session=unit.get("session"), runs=spec.runs or None, space=spec.space or None,
            events=not spec.events, scale=spec.scale,
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


def _events(manifest: Manifest, spec: RecordingsSpec, folder: Path, unit: Unit) -> Any:
    """Return what the loaders take: False for none, a file (a list of them, one a run), a name, or None."""
    if spec.events == "none":
        return False
    if "/" not in spec.events and "." not in spec.events:
        return spec.events or None
    values, where = context(manifest, unit), f"{manifest.name}.recordings.events"
    files = [folder / resolve(spec.events, {**values, "run": run} if run else values, where) for run in spec.runs or ("",)]
    return files if len(files) > 1 else files[0]
