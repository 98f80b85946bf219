"""The files of a results folder, written from the store in canonical order.

Every file depends on the stored results only: no clock, no order of execution, no path of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from brainenc.io import atomic
from brainenc.io.store import Store
from brainenc.study.plan import KINDS, Analysis, Plan
from brainenc.study.tasks import Expansion, Failure, Task

if TYPE_CHECKING:
    import pyarrow as pa

TABLE, SUMMARY, FAILURES, MAPS, PROVENANCE = "scores.parquet", "summary.csv", "failures.csv", "maps.csv", "provenance.json"
EVALUATIONS = "evaluations"  # folder
MAP_COLUMNS = ("analysis", "dataset", "subject", "session", "map", "value", "metric", "hemi", "path")
FAILURE_COLUMNS = ("step", "analysis", "dataset", "subject", "session", "model", "layer", "seed", "error", "message", "traceback")
_TEXT = ("analysis", "dataset", "subject", "session", "model", "layer", "metric", "roi", "hemi", "channel", "target_id", "split", "aggregate", "ceiling_status")
_INTEGER = ("seed", "fold", "n")
_REAL = ("time", "score", "ceiling", "ceiling_low", "inner_score", "alpha", "p", "q", "p_max", "ci_low", "ci_high")
TABLE_COLUMNS = (
    "analysis", "dataset", "subject", "session", "model", "layer", "metric", "seed", "fold", "roi", "hemi", "channel", "time", "target_id",
    "score", "ci_low", "ci_high", "ceiling", "ceiling_low", "inner_score", "alpha", "p", "q", "p_max", "n", "split", "aggregate", "ceiling_status",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Gathering:
    """What a kind of analysis is given when the outputs are written: its finished tasks, and where to write.

    ``used`` holds the names of files that are taken.
    """

    root: Path
    plan: Plan
    analysis: Analysis
    tasks: tuple[Task, ...]
    store: Store
    used: set[Path]


def _nothing() -> Iterator[pd.DataFrame]:
    return iter(())


@dataclass(slots=True)
class Part:
    """What one analysis adds to the outputs: ``frames`` yields rows of the tidy table, piece by piece; the rest is small."""

    frames: Callable[[], Iterator[pd.DataFrame]] = _nothing
    summary: list[pd.DataFrame] = field(default_factory=list)
    maps: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write(root: Path, plan: Plan, expansion: Expansion, failures: Sequence[Failure]) -> None:
    """Write tables, maps, evaluations, failures and provenance of a finished run below ``root``."""
    with atomic.write_errors(root / PROVENANCE):
        (root / PROVENANCE).unlink(missing_ok=True)  # written last: without it the folder is not finished
    store = Store(root / "store")
    done = [task for task in expansion.scorings if store.has(task.key)]
    used: set[Path] = set()
    parts = []
    for analysis in plan.analyses:
        mine = tuple(task for task in done if task.analysis.name == analysis.name)
        parts.append(KINDS.get(analysis.kind).gather(Gathering(root, plan, analysis, mine, store, used)))
    _write_table(root / TABLE, (frame for part in parts for frame in part.frames()))
    summary = [table for part in parts for table in part.summary]
    atomic.write_csv(root / SUMMARY, pd.concat(summary, ignore_index=True) if summary else pd.DataFrame(columns=["analysis"]), index=False)
    atomic.write_csv(root / MAPS, pd.DataFrame([row for part in parts for row in part.maps], columns=list(MAP_COLUMNS)), index=False)
    failed = [*failures, *(failure for part in parts for failure in part.failures)]
    rows = [{**failure.where, "error": failure.error, "message": failure.message, "traceback": failure.traceback} for failure in failed]
    atomic.write_csv(root / FAILURES, pd.DataFrame(rows, columns=list(FAILURE_COLUMNS)), index=False)
    atomic.write_json(root / PROVENANCE, _provenance(plan, expansion, done, store, failed, parts))


def _write_table(path: Path, frames: Iterable[pd.DataFrame]) -> None:
    """Write the tidy table piece by piece, one row group each, so that memory is that of one piece."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with atomic.atomic_write(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for frame in frames:
            writer.write_table(pa.table([_column(frame, column) for column in schema], schema=schema))


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {**dict.fromkeys(_TEXT, pa.dictionary(pa.int32(), pa.string())), **dict.fromkeys(_INTEGER, pa.int64()), **dict.fromkeys(_REAL, pa.float64())}
    return pa.schema([(name, kinds[name]) for name in TABLE_COLUMNS])


def _column(frame: pd.DataFrame, field: pa.Field) -> pa.Array:
    import pyarrow as pa

    if field.name not in frame:
        return pa.nulls(len(frame), field.type)
    values = frame[field.name]
    if field.name in _TEXT:
        codes, names = pd.factorize(values.astype(object), use_na_sentinel=True)
        indices = pa.array(codes.astype(np.int32), mask=codes < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array([str(name) for name in names], pa.string()))
    return pa.array(pd.to_numeric(values), type=field.type, from_pandas=field.name not in _INTEGER)


def _provenance(
    plan: Plan, expansion: Expansion, done: Sequence[Task], store: Store, failures: Sequence[Failure], parts: Sequence[Part]
) -> dict[str, Any]:
    """Return what was done, with what, from what; and the key of every stored task."""
    entries = [{**task.describe(), "variant": task.unit.variant, "key": task.key} for task in done]
    warned: dict[str, int] = {}
    for task in done:
        entry = store.get(task.key, verify="size")
        for text in entry.meta.get("warnings", []) if entry else []:
            warned[text] = warned.get(text, 0) + 1
    return {
        "schema": 1,
        "plan": plan.to_dict(),
        "tasks": entries,
        "evaluations": [row for part in parts for row in part.evaluations],
        "n_tasks": len(expansion.scorings),
        "n_done": len(done),
        "n_failures": len(failures),
        "warnings": dict(sorted(warned.items())),
        "notes": [note for part in parts for note in part.notes],
    }
