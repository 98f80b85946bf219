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
from brainenc.datasets.templates import field_names, fill, inside, parse
from brainenc.loaders.images import list_images
from brainenc.loaders.tables import load_table
from brainenc.loaders.transforms import check_transform
from brainenc.nouns.stimuli import StimulusSet
from brainenc.nouns.tables import need_column


def read_stimuli(manifest: Manifest, folder: Path, values: Mapping[str, object], shown: pd.DataFrame | None = None) -> StimulusSet:
    """Return the stimuli; ids are unique, image paths stay inside the folder. ``shown`` is the table of them where samples alone name them.

    Raises
    ------
    InputError, DataError, NotFoundError
        Duplicate or missing ids (with examples), a column that is not there, no image that matches.
    """
    spec = manifest.stimuli
    assert spec is not None
    parts = [_finished(spec, spec.kind, shown.copy(), folder, values, f"{manifest.name}.stimuli")] if shown is not None else [
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


def stimuli_of(samples: pd.DataFrame, columns: tuple[str, ...], where: str) -> pd.DataFrame:
    """Return the stimuli that samples or events name, in order of first showing, with columns that are the same at every showing."""
    ids = need_column(samples, "stimulus_id", where).astype(str)
    for column in columns:
        need_column(samples, column, where)
        n_values = samples.groupby(ids.to_numpy(), sort=False)[column].nunique(dropna=False)
        if (n_values > 1).any():
            raise InputError(
                "a stimulus has several values of a column", where=f"{where}, column {column}", got=examples(n_values.index[n_values > 1])
            )
    first = ~ids.duplicated()
    return samples.loc[first, list(columns)].assign(stimulus_id=ids[first]).reset_index(drop=True)[["stimulus_id", *columns]]


def only_shown(stimuli: StimulusSet, samples: pd.DataFrame) -> StimulusSet:
    """Return the stimuli that were shown, in the order of the list."""
    if "stimulus_id" not in samples:
        return stimuli
    shown = set(samples["stimulus_id"].astype(str))
    return stimuli.take([i for i in stimuli.ids if i in shown])


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
    return _finished(part, kind, table, folder, values, where)


def _finished(part: StimulusPart, kind: str, table: pd.DataFrame, folder: Path, values: Mapping[str, object], where: str) -> pd.DataFrame:
    """Return the table with what templates and arrays add to it."""
    if part.parse:
        numbers = pd.DataFrame([parse(part.parse, str(i), f"{where}.parse") for i in table["stimulus_id"]], index=table.index)
        table = table.drop(columns=[c for c in numbers if c in table]).join(numbers)
    templates = [part.path, part.text, *(str(column) for column in part.columns.values())]
    used = sorted({name for template in templates for name in field_names(template)} & set(table.columns))
    own = table[used].to_dict("records") if used else [{}] * len(table)
    fields = [
        {**row, **values, "id": i, "index": part.start + position, "row": position}
        for position, (i, row) in enumerate(zip(table["stimulus_id"], own, strict=True))
    ]
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
