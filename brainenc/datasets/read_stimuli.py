"""The stimuli of a manifest as a `StimulusSet`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError
from brainenc.datasets.columns import add_arrays, add_columns
from brainenc.datasets.places import resolve
from brainenc.datasets.schema import Manifest, StimulusPart
from brainenc.datasets.templates import fill, inside
from brainenc.loaders.images import list_images
from brainenc.loaders.tables import load_table
from brainenc.loaders.transforms import check_transform
from brainenc.nouns.stimuli import StimulusSet


def read_stimuli(manifest: Manifest, folder: Path, values: Mapping[str, object]) -> StimulusSet:
    """Return the stimuli; ids are unique, image paths stay inside the folder.

    Raises
    ------
    InputError, DataError, NotFoundError
        Duplicate or missing ids (with examples), a column that is not there, no image that matches.
    """
    spec = manifest.stimuli
    assert spec is not None
    parts = [
        _part(part, spec.kind, folder, values, f"{manifest.name}.stimuli" + (f".parts[{i}]" if spec.parts else ""))
        for i, part in enumerate(spec.parts or (spec,))
    ]
    table = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
    if spec.parts:
        table = add_columns(table, spec.columns, f"{manifest.name}.stimuli.columns")
        table = add_arrays(table, spec.arrays, folder, values, f"{manifest.name}.stimuli.arrays")
    if spec.kind == "image" and "path" not in table:
        raise InputError(
            "images need a path", where=f"{manifest.name}.stimuli", fix="add a column path to the table, files, or kind = 'none'"
        )
    if spec.kind == "text" and not {"text", "path"} & set(table.columns):
        raise InputError(
            "texts need a column text", where=f"{manifest.name}.stimuli", expected="text or path", got=examples(table.columns, 12)
        )
    if "path" in table:
        for path in table["path"]:
            if not isinstance(path, str):
                raise InputError("a stimulus has no path", where=f"{manifest.name}.stimuli", got=repr(path))
            inside(path, f"{manifest.name}.stimuli, column path")
    return StimulusSet(table, root=folder, kind=spec.kind, name=manifest.name)


def _part(part: StimulusPart, kind: str, folder: Path, values: Mapping[str, object], where: str) -> pd.DataFrame:
    check_transform(part.transform, f"{where}.transform")
    if part.table:
        table = load_table(folder / resolve(part.table, values, f"{where}.table"), names=part.names, rename=part.rename)
        if part.ids and isinstance(part.ids, str):
            if "stimulus_id" in table:
                raise InputError("the table has ids of its own", where=f"{where}.ids", got=part.ids, fix="leave ids out")
            table.insert(0, "stimulus_id", [fill(part.ids, {**values, "index": part.start + i}, f"{where}.ids") for i in range(len(table))])
        if "stimulus_id" not in table:
            raise DataError(
                "table of stimuli has no column 'stimulus_id'", where=folder / part.table, expected=examples(table.columns, 12),
                fix='name yours with rename = { stimulus_id = "…" }',
            )  # fmt: skip
        if table["stimulus_id"].isna().any():
            raise InputError(
                "stimulus_id is missing", where=folder / part.table, got=f"{int(table['stimulus_id'].isna().sum())} of {len(table)} rows"
            )
    elif part.files:
        table = _listed(part, folder, values, where)
    else:
        ids = (
            part.ids
            if isinstance(part.ids, tuple)
            else [fill(part.ids, {**values, "index": part.start + i}, f"{where}.ids") for i in range(part.n or 0)]
        )
        table = pd.DataFrame({"stimulus_id": list(ids)})
    fields = [{**values, "id": i, "index": part.start + row, "row": row} for row, i in enumerate(table["stimulus_id"])]
    if part.path:
        table["path"] = [resolve(part.path, row, f"{where}.path") for row in fields]
    if part.text:
        table["text"] = [fill(part.text, row, f"{where}.text") for row in fields]
    table = add_columns(table, part.columns, f"{where}.columns", fields=fields)
    table = add_arrays(table, part.arrays, folder, values, f"{where}.arrays")
    return table.assign(transform=part.transform) if part.transform and kind == "image" else table


def _listed(part: StimulusPart, folder: Path, values: Mapping[str, object], where: str) -> pd.DataFrame:
    paths = list_images(folder, resolve(part.files, values, f"{where}.files"))
    ids = [PurePosixPath(path.rpartition("::")[2]).stem for path in paths]
    doubled = pd.Series(ids)[pd.Series(ids).duplicated()].unique()
    if len(doubled):
        raise InputError(
            "images of different folders share a name", where=where, got=examples(doubled), fix="list them in a table with ids of your own"
        )
    return pd.DataFrame({"stimulus_id": ids, "path": paths})
