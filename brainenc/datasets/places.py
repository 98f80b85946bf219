"""Where the files of a data set are: argument, ``BRAINENC_DATA``, user cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from brainenc.core.checks import examples
from brainenc.core.errors import DataError
from brainenc.datasets.catalogue import is_catalogued
from brainenc.datasets.parsing import run_list
from brainenc.datasets.schema import Manifest
from brainenc.datasets.templates import field_names, fill, inside
from brainenc.io.paths import data_roots

Unit = Mapping[str, str | None]


def context(unit: Unit) -> dict[str, str]:
    """Return the fields that path templates may use for a unit."""
    return {key: value for key, value in unit.items() if value is not None}


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
    if manifest.sources:
        return f"run 'brainenc fetch {manifest.name}', or set BRAINENC_DATA to the folder that holds {manifest.folder or manifest.name!r}"
    return "check the folder and the paths in the manifest"


def needed_files(manifest: Manifest, unit: Unit) -> Iterator[str]:
    """Yield the files (relative) that loading a unit reads: all but single stimuli, which are opened when they are asked for."""
    values = context(unit)
    for template, key in _templates(manifest):
        where = f"{manifest.name}.{key}"
        fields = field_names(template)
        rows: list[dict[str, object]] = [dict(values)]
        if "run" in fields and manifest.responses is not None:
            runs = run_list(manifest.responses.runs, f"{manifest.name}.responses.runs")
            rows = [{**row, "run": run} for row in rows for run in runs]
        if "hemi" in fields and manifest.responses is not None:
            rows = [{**row, "hemi": hemi} for row in rows for hemi in manifest.responses.hemispheres.values()]
        if fields & {"id", "index", "row"}:
            continue
        for row in rows:
            yield resolve(template, row, where).partition("::")[0]


def _templates(manifest: Manifest) -> Iterator[tuple[str, str]]:
    stimuli, responses = manifest.stimuli, manifest.responses
    for part in (stimuli.parts or (stimuli,)) if stimuli else ():
        if part.table:
            yield part.table, "stimuli.table"
        if part.files:
            container, separator, _ = part.files.partition("::")
            fixed = container if separator else container.partition("*")[0].rpartition("/")[0]
            if fixed:
                yield fixed, "stimuli.files"
        if part.path and "::" in part.path:
            yield part.path.partition("::")[0], "stimuli.path"
        yield from ((column.path, "stimuli.arrays") for column in part.arrays)
    if responses is not None:
        yield responses.path, "responses.path"
        if responses.mask:
            yield responses.mask, "responses.mask"
    for table, key in (
        (manifest.samples, "samples"),
        (manifest.events, "events"),
        (manifest.targets, "targets"),
        (manifest.confounds, "confounds"),
    ):
        if table is not None and table.path:
            yield table.path, f"{key}.path"
        yield from ((column.path, f"{key}.arrays") for column in getattr(table, "arrays", ()))
    for roi in manifest.targets.rois if manifest.targets else ():
        yield roi.path, "targets.rois"
    if manifest.space is not None and manifest.space.reference:
        yield manifest.space.reference, "space.reference"
    for rdm in manifest.rdms:
        yield rdm.path, "rdms.path"
