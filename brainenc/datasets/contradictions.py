"""What tables of a manifest must not say together."""

from __future__ import annotations

import re

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError
from brainenc.datasets.recording_spec import check_recordings
from brainenc.datasets.schema import Manifest, ResponsesSpec, StimulusPart

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_GENERATOR = re.compile(r"brainenc\.simulate(\.[a-z][a-z0-9_]*)+:[a-z][a-z0-9_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_ROWS = 5_000_000


def check_manifest(manifest: Manifest, where: str) -> None:
    """Raise `InputError` where tables contradict each other or hold what no data set needs."""
    _check_names(manifest, where)
    if manifest.generator:
        if not _GENERATOR.fullmatch(manifest.generator):
            raise InputError(
                "generator is not allowed",
                where=f"{where}.generator",
                expected="a function of brainenc.simulate",
                got=repr(manifest.generator),
            )
        return
    if manifest.stimuli is None:
        raise InputError("key 'stimuli' is missing", where=where)
    if manifest.recordings is not None:
        _check_recorded(manifest, where)
    elif manifest.kind != "stimuli" and not getattr(manifest, manifest.kind):
        raise InputError(f"a manifest of kind {manifest.kind!r} needs the table {manifest.kind!r}", where=where)
    for other in ("responses", "rdms"):
        if other != manifest.kind and getattr(manifest, other):
            raise InputError(f"a manifest of kind {manifest.kind!r} cannot hold {other!r}", where=where)
    if manifest.stimuli.from_samples is None:
        for position, part in enumerate(manifest.stimuli.parts or (manifest.stimuli,)):
            _check_part(part, f"{where}.stimuli" + (f".parts[{position}]" if manifest.stimuli.parts else ""))
    if manifest.stimuli.from_samples is not None and (manifest.stimuli.parts or manifest.kind != "responses"):
        raise InputError("stimuli come from samples or from a list", where=f"{where}.stimuli.from_samples")
    if manifest.stimuli.parts and any((manifest.stimuli.table, manifest.stimuli.files, manifest.stimuli.ids)):
        raise InputError("stimuli have parts and also a table, files or ids of their own", where=f"{where}.stimuli")
    if manifest.responses is not None:
        _check_responses(manifest, f"{where}.responses")


def _check_recorded(manifest: Manifest, where: str) -> None:
    """Recordings bring samples, targets, space and events of their own."""
    assert manifest.recordings is not None
    other = [name for name in ("responses", "samples", "events", "targets", "confounds", "space") if getattr(manifest, name) is not None]
    if manifest.kind != "responses" or other:
        raise InputError("recordings stand in place of responses and their tables", where=f"{where}.recordings", got=other or manifest.kind)
    check_recordings(manifest.recordings, f"{where}.recordings")


def _check_names(manifest: Manifest, where: str) -> None:
    for what, names in (
        ("name", [manifest.name]),
        ("subjects", manifest.subjects),
        ("sessions", manifest.sessions()),
        ("variants", list(manifest.variants)),
    ):
        for name in names:
            if not _SAFE.fullmatch(name):
                raise InputError("name is not safe in a path", where=f"{where}.{what}", expected="letters, digits, . _ + -", got=repr(name))
    if not manifest.subjects:
        raise InputError("a data set has at least one subject", where=f"{where}.subjects")
    if len(set(manifest.subjects)) != len(manifest.subjects):
        raise InputError("a subject is listed twice", where=f"{where}.subjects", got=examples(manifest.subjects))
    for subject in manifest.session_table:
        if subject not in manifest.subjects:
            raise InputError(
                f"sessions of an unknown subject {subject!r}", where=f"{where}.sessions", fix=did_you_mean(subject, manifest.subjects)
            )
    for source in manifest.sources:
        for item in source.files:
            if not _SHA256.fullmatch(item.sha256) or item.bytes < 0:
                raise InputError(
                    "a source needs its sha256 (hex) and size",
                    where=f"{where}.sources: {item.path}",
                    got=f"{item.sha256!r}, {item.bytes} bytes",
                )


def _check_part(part: StimulusPart, where: str) -> None:
    ways = [name for name in ("table", "files", "ids") if getattr(part, name)]
    if ways == ["table", "ids"] and isinstance(part.ids, str) and part.n is None:
        return  # a table without ids of its own: the template names its rows
    if len(ways) != 1:
        raise InputError("stimuli come from exactly one of table, files or ids", where=where, got=", ".join(ways) or "none of them")
    if isinstance(part.ids, str) and part.ids and not (part.n and 0 < part.n <= MAX_ROWS):
        raise InputError("a template of ids needs n", where=where, expected=f"1 to {MAX_ROWS}", got=part.n)


def _check_files(spec: ResponsesSpec, where: str) -> None:
    if bool(spec.parts) != ("{part}" in spec.path) or (spec.parts and spec.runs):
        raise InputError("parts fill {part} of the path, and there are no runs beside them", where=f"{where}.parts", got=spec.path)
    if spec.average_repeats and "repeat" not in spec.axes:
        raise InputError("there is no axis repeat to average over", where=f"{where}.average_repeats", got=spec.axes)
    if spec.format == "sensors" and not isinstance(spec.key, str):
        raise InputError("sensors need the key of their array", where=f"{where}.key", got=repr(spec.key))


def _check_responses(manifest: Manifest, where: str) -> None:
    spec = manifest.responses
    assert spec is not None
    for label in ("t_r", "sampling_rate", "frame_time"):
        value = getattr(spec, label)
        if value is not None and value <= 0:
            raise InputError("must be a positive number", where=f"{where}.{label}", got=value)
    if spec.t_r is not None and spec.sampling_rate is not None:
        raise InputError("give t_r or sampling_rate, not both", where=where)
    if manifest.join_sessions and (spec.t_r or spec.sampling_rate) and (spec.runs or spec.run_length):
        raise InputError("sessions of a series that are joined are its runs", where=where, got="runs within them", fix="leave join_sessions out")
    if spec.labels and (isinstance(spec.key, str) or spec.key is None or len(spec.labels) != len(spec.key)):
        raise InputError("labels need as many keys", where=where, expected=len(spec.labels), got=repr(spec.key))
    _check_files(spec, where)
    for side in spec.hemispheres:
        if side not in ("left", "right"):
            raise InputError("hemispheres are left and right", where=f"{where}.hemispheres", got=repr(side))
    if spec.run_length is not None and spec.run_length < 1:
        raise InputError("runs have at least one scan", where=f"{where}.run_length", got=spec.run_length)
    if manifest.targets is not None and manifest.targets.where and not manifest.targets.path:
        raise InputError("where selects rows of a table, and there is no path", where=f"{where.replace('responses', 'targets')}.where")
    for position, roi in enumerate(manifest.targets.rois if manifest.targets else ()):
        if bool(roi.path) == bool(roi.flags) or (bool(roi.path) and bool(roi.labels) == bool(roi.names)):
            raise InputError("regions come from a path with labels or names, or from flags", where=f"{where.replace('responses', 'targets')}.rois[{position}]")
    if manifest.events is not None and bool(manifest.events.path) == bool(manifest.events.from_column):
        raise InputError("events come from exactly one of path and from_column", where=where.replace("responses", "events"))
