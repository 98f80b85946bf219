"""Events and confounds of time series."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError
from brainenc.core.selection import select
from brainenc.datasets.columns import add_columns
from brainenc.datasets.places import Unit, context, resolve
from brainenc.datasets.schema import EventsSpec, Manifest
from brainenc.datasets.templates import field_names
from brainenc.loaders.tables import load_table
from brainenc.nouns.tables import need_column


def read_events(
    manifest: Manifest, samples: pd.DataFrame, folder: Path, units: list[Unit], runs: tuple[int, ...]
) -> pd.DataFrame:
    """Return onset (s from the run's start), duration (s), stimulus_id, run and whatever else the table holds.

    Raises
    ------
    InputError, DataError
        No run for the events, runs that were never recorded, missing columns.
    """
    spec = manifest.events
    assert spec is not None
    where = f"{manifest.name}.events"
    table = _from_samples(samples, spec, where) if spec.from_column else _from_files(spec, folder, [context(manifest, unit) for unit in units], runs, where)
    if spec.from_column:
        table = add_columns(table, spec.columns, f"{where}.columns")
    recorded = pd.unique(samples["run"])
    if "run" not in table:
        if len(recorded) != 1:
            raise InputError(
                "events have no run", where=where, expected=f"a column run, for {len(recorded)} runs", got=examples(table.columns, 12)
            )
        table["run"] = recorded[0]
    names = {_run_name(run): run for run in recorded}
    strange = sorted({_run_name(run) for run in table["run"]} - set(names))
    if strange:
        raise DataError("events belong to runs that were not recorded", where=where, expected=examples(recorded, 12), got=examples(strange))
    table["run"] = [names[_run_name(run)] for run in table["run"]]  # in the words of the samples
    stimulus = need_column(table, "stimulus_id", where)
    if spec.rest:
        table = table[~stimulus.astype(str).isin(spec.rest)]
    if spec.onset_shift:
        table = table.assign(onset=need_column(table, "onset", where) + spec.onset_shift)
    first = ["onset", "duration", "stimulus_id", "run"]
    return table[[*[c for c in first if c in table], *[c for c in table.columns if c not in first]]].reset_index(drop=True)


def read_confounds(manifest: Manifest, n_samples: int, folder: Path, values: Mapping[str, object], runs: tuple[int, ...]) -> pd.DataFrame:
    """Return the chosen confounds as columns ``confound.<name>``, one row per sample."""
    spec = manifest.confounds
    assert spec is not None
    where = f"{manifest.name}.confounds"
    rows = [{**values, "run": run} for run in runs] if "run" in field_names(spec.path) else [dict(values)]
    tables = [load_table(folder / resolve(spec.path, row, f"{where}.path"), names=spec.names) for row in rows]
    for name in spec.columns:
        for table in tables:
            need_column(table, name, where)
    joined = pd.concat([table[list(spec.columns)] for table in tables], ignore_index=True)
    if len(joined) != n_samples:
        raise DataError(
            "confounds and responses have different lengths", where=where, expected=f"{n_samples} samples", got=f"{len(joined)} rows"
        )
    return joined.rename(columns={name: f"confound.{name}" for name in spec.columns})


def _run_name(run: object) -> str:
    text = str(int(run)) if isinstance(run, float) and run.is_integer() else str(run)
    return str(int(text)) if text.isdigit() else text


def _from_files(spec: EventsSpec, folder: Path, sessions: list[dict[str, object]], runs: tuple[int, ...], where: str) -> pd.DataFrame:
    """Return the events of every file; a file per session is that session's only run unless there is one per run too."""
    fields = field_names(spec.path)
    rows = sessions if "session" in fields else sessions[:1]
    rows = [{**row, "run": run} for row in rows for run in runs] if "run" in fields else rows
    parts = []
    for row in rows:
        table = load_table(folder / resolve(spec.path, row, f"{where}.path"), names=spec.names, rename=spec.rename)
        if spec.where:
            table = table.iloc[select(table, spec.where)]
        if "run" in fields:
            table = table.assign(run=row["run"])
        elif len(rows) > 1 and "run" not in table:
            table = table.assign(run=row["session"])
        parts.append(add_columns(table, spec.columns, f"{where}.columns", fields=[row] * len(table)))
    return pd.concat(parts, ignore_index=True)


def _from_samples(samples: pd.DataFrame, spec: EventsSpec, where: str) -> pd.DataFrame:
    """Every stretch of equal labels within a run becomes one event."""
    label = need_column(samples, spec.from_column, where).astype(str).to_numpy()
    run = samples["run"].to_numpy()
    time = samples["time"].to_numpy()
    if len(label) < 2:
        raise DataError("too few samples to find events in", where=where, got=len(label))
    begins = np.flatnonzero(np.concatenate([[True], (label[1:] != label[:-1]) | (run[1:] != run[:-1])]))
    lengths = np.diff(np.append(begins, len(label)))
    step = time[1] - time[0]
    return pd.DataFrame({"onset": time[begins], "duration": lengths * step, "stimulus_id": label[begins], "run": run[begins]})
