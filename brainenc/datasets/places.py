"""Where the files of a data set are: argument, ``BRAINENC_DATA``, user cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from brainenc.core.checks import examples
from brainenc.core.errors import DataError
from brainenc.datasets.catalogue import is_catalogued
from brainenc.datasets.parsing import run_list
from brainenc.datasets.schema import Manifest, ResponsesSpec
from brainenc.datasets.templates import field_names, fill, inside
from brainenc.io.paths import data_roots

Unit = Mapping[str, str | None]


def context(manifest: Manifest, unit: Unit) -> dict[str, object]:
    """Return the fields that templates may use for a unit: its names, ``{subject_row}`` and ``{session_row}`` (their places in the manifest, from 0)."""
    values: dict[str, object] = {key: value for key, value in unit.items() if value is not None}
    subject, session = unit.get("subject"), unit.get("session")
    if subject is not None:
        values["subject_row"] = manifest.subjects.index(subject)
        if session is not None:
            values["session_row"] = manifest.sessions(subject).index(session)
    return values


def session_units(manifest: Manifest, unit: Unit) -> list[Unit]:
    """Return one unit for each session that is read: the one asked for, or all that are joined."""
    sessions = manifest.sessions(unit.get("subject"))
    if unit.get("session") is not None or not (manifest.join_sessions and sessions):
        return [unit]
    return [{**unit, "session": session} for session in sessions]


def resolve(template: str, values: Mapping[str, object], where: str) -> str:
    """Return a filled template as a relative path that stays inside the folder."""
    return inside(fill(template, values, where), where)


def folders(manifest: Manifest, root: str | Path | None = None) -> list[Path]:
    """Return the folders in which the files of a data set are looked for, in order."""
    name = inside(manifest.folder, f"{manifest.name}.folder") if manifest.folder not in ("", ".") else ""
    if not is_catalogued(manifest) and manifest.file is not None:
        base = [Path(root).expanduser()] if root is not None else [manifest.file.parent]
        return [folder / name for folder in base]
    name = name or manifest.name
    found = [folder / name for folder in data_roots(root)]
    if root is not None:
        found.insert(1, Path(root).expanduser())
    return found


def sides_of(spec: ResponsesSpec | None) -> Mapping[str, str]:
    """Return what ``{hemi}`` is for the left and the right side."""
    return (spec.hemispheres if spec else {}) or {"left": "lh", "right": "rh"}


def find_folder(manifest: Manifest, unit: Unit, root: str | Path | None = None) -> Path:
    """Return the first folder that holds the files of a unit.

    Raises
    ------
    DataError
        None of them does; the message lists the folders, what is missing, and how to get it.
    """
    needed = sorted(set(needed_files(manifest, unit)))
    searched = folders(manifest, root)
    best: tuple[Path, list[str]] | None = None
    for folder in searched:
        if not folder.is_dir():
            continue
        missing = [name for name in needed if not (folder / name).exists()]
        if not missing:
            return folder
        if best is None or len(missing) < len(best[1]):
            best = (folder, missing)
    if best is None or len(best[1]) == len(needed):
        places = ", ".join(str(folder) for folder in searched)
        raise DataError(f"the files of {manifest.name} are not here", where=f"searched {places}", fix=how_to_get(manifest))
    raise DataError(
        f"files of {manifest.name} are missing",
        where=best[0],
        expected=f"{len(needed)} files",
        got=f"without {examples(best[1])}",
        fix=how_to_get(manifest),
    )


def how_to_get(manifest: Manifest) -> str:
    """Return the sentence that says how to come by the files."""
    if manifest.access.kind != "open":
        what = {"form": "a form to fill in", "account": "an account", "request": "a request"}[manifest.access.kind]
        extra = f" ({manifest.access.text})" if manifest.access.text else ""
        return f"they need {what}: {manifest.access.url}{extra}; then put them into a folder {manifest.folder or manifest.name!r} in BRAINENC_DATA"
    if manifest.sources and not any(source.files for source in manifest.sources):
        places = " and ".join(source.base for source in manifest.sources)
        return f"get them from {places}, then put them into a folder {manifest.folder or manifest.name!r} in BRAINENC_DATA"
    if manifest.sources:
        return f"run 'brainenc fetch {manifest.name}', or set BRAINENC_DATA to the folder that holds {manifest.folder or manifest.name!r}"
    return "check the folder and the paths in the manifest"


def needed_files(manifest: Manifest, unit: Unit) -> Iterator[str]:
    """Yield the files (relative) that loading a unit reads: all but single stimuli, which are opened when they are asked for."""
    joined = [context(manifest, each) for each in session_units(manifest, unit)]
    for template, key in _templates(manifest):
        where = f"{manifest.name}.{key}"
        fields = field_names(template)
        rows: list[dict[str, object]] = [dict(values) for values in (joined if fields & {"session", "session_row"} else joined[:1])]
        if "run" in fields and manifest.responses is not None:
            runs = run_list(manifest.responses.runs, f"{manifest.name}.responses.runs")
            rows = [{**row, "run": run} for row in rows for run in runs]
        if "run" in fields and manifest.recordings is not None:
            rows = [{**row, "run": run} for row in rows for run in manifest.recordings.runs]
        if "part" in fields and manifest.responses is not None:
            rows = [{**row, "part": part} for row in rows for part in manifest.responses.parts.values()]
        if "hemi" in fields and manifest.responses is not None:
            rows = [{**row, "hemi": hemi} for row in rows for hemi in sides_of(manifest.responses).values()]
        if fields & {"id", "index", "row"}:
            continue
        for row in rows:
            yield resolve(template, row, where).partition("::")[0]


def _templates(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield from _stimulus_templates(manifest)
    responses = manifest.responses
    if responses is not None:
        yield responses.path, "responses.path"
        if responses.mask:
            yield responses.mask, "responses.mask"
    recordings = manifest.recordings
    if recordings is not None:
        yield from ((path, "recordings.path") for path in (recordings.path, *recordings.companions))
        if "/" in recordings.events or "." in recordings.events:
            yield recordings.events, "recordings.events"
    for table, key in (
        (manifest.samples, "samples"),
        (manifest.events, "events"),
        (manifest.targets, "targets"),
        (manifest.confounds, "confounds"),
    ):
        if table is not None and table.path:
            yield table.path, f"{key}.path"
        for column in getattr(table, "arrays", ()):
            yield from ((place.path, f"{key}.arrays") for place in (column, column.through) if place is not None)
    for masks in manifest.targets.masks if manifest.targets else ():
        yield masks.path, "targets.masks"
    for roi in manifest.targets.rois if manifest.targets else ():
        yield from ((path, "targets.rois") for path in (roi.path, roi.names) if path)
    if manifest.space is not None:
        yield from ((path, "space") for path in (manifest.space.reference, manifest.space.vertices) if path)
    for rdm in manifest.rdms:
        yield rdm.path, "rdms.path"


def _stimulus_templates(manifest: Manifest) -> Iterator[tuple[str, str]]:
    stimuli = manifest.stimuli
    for part in (stimuli.parts or (stimuli,)) if stimuli else ():
        if part.table:
            yield part.table, "stimuli.table"
        if part.files:
            container, separator, _ = part.files.partition("::")
            fixed = container if separator else container.partition("*")[0].rpartition("/")[0]
            if fixed:
                yield fixed, "stimuli.files"
        if part.path and "::" in part.path and not (stimuli and stimuli.only_shown):
            yield part.path.partition("::")[0], "stimuli.path"
        yield from ((column.path, "stimuli.arrays") for column in part.arrays)
