"""The files of a results folder, written from the store in canonical order.

Every file depends on the stored scores only: no clock, no order of execution, no path of this machine.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from brainenc.core.checks import slug
from brainenc.core.errors import BrainencError, DataError
from brainenc.core.fingerprint import of_json
from brainenc.io import atomic
from brainenc.io.store import Store
from brainenc.nouns import Scores, SurfaceSpace
from brainenc.study import inputs
from brainenc.study.plan import Plan
from brainenc.study.steps import FULL, SCORES
from brainenc.study.tasks import Expansion, Failure, Task, responses_name

if TYPE_CHECKING:
    import pyarrow as pa

TABLE, SUMMARY, FAILURES, MAPS, PROVENANCE = "scores.parquet", "summary.csv", "failures.csv", "maps.csv", "provenance.json"
MAP_COLUMNS = ("analysis", "dataset", "subject", "session", "map", "value", "metric", "hemi", "path")
FAILURE_COLUMNS = ("step", "analysis", "dataset", "subject", "session", "model", "layer", "seed", "error", "message", "traceback")
_TEXT = ("analysis", "dataset", "subject", "session", "model", "layer", "metric", "roi", "hemi", "channel", "target_id", "split", "aggregate", "ceiling_status")
_INTEGER = ("seed", "fold", "n")
_REAL = ("time", "score", "ceiling", "inner_score", "alpha", "p", "q")
TABLE_COLUMNS = (
    "analysis", "dataset", "subject", "session", "model", "layer", "metric", "seed", "fold", "roi", "hemi", "channel", "time", "target_id",
    "score", "ceiling", "inner_score", "alpha", "p", "q", "n", "split", "aggregate", "ceiling_status",
)  # fmt: skip


def write(root: Path, plan: Plan, expansion: Expansion, failures: Sequence[Failure]) -> None:
    """Write tables, maps, failures and provenance of a finished run below ``root``."""
    with atomic.write_errors(root / PROVENANCE):
        (root / PROVENANCE).unlink(missing_ok=True)  # written last: without it the folder is not finished
    store = Store(root / "store")
    done = [task for task in expansion.scorings if store.has(task.key)]
    _write_table(root / TABLE, done, store)
    summary = [summarise(task, read_scores(store, task.key)) for task in done]
    atomic.write_csv(root / SUMMARY, pd.concat(summary, ignore_index=True) if summary else pd.DataFrame(columns=["analysis"]), index=False)
    maps, notes = _write_maps(root, done, store)
    atomic.write_csv(root / MAPS, pd.DataFrame(maps, columns=list(MAP_COLUMNS)), index=False)
    rows = [{**failure.where, "error": failure.error, "message": failure.message, "traceback": failure.traceback} for failure in failures]
    atomic.write_csv(root / FAILURES, pd.DataFrame(rows, columns=list(FAILURE_COLUMNS)), index=False)
    atomic.write_json(root / PROVENANCE, _provenance(plan, expansion, done, store, failures, notes))


def read_scores(store: Store, key: str, *, full: bool = False) -> Scores:
    """Return the scores of one task; ``full`` with predictions, where they were kept.

    Raises
    ------
    DataError
        When the entry is not there or damaged.
    """
    from brainenc.nouns import read

    entry = store.get(key)
    if entry is None:
        raise DataError("a finished task is missing from the store, or damaged", where=store.root, got=key[:12], fix="start the run again: it is computed anew")
    scores = read(entry.file(FULL if full and FULL in entry.files else SCORES))
    if not isinstance(scores, Scores):
        raise DataError("store entry holds no scores", where=entry.path)
    return scores


def summarise(task: Task, scores: Scores) -> pd.DataFrame:
    """Return one row per region and entry of one task; targets without regions are one region, "all"."""
    by = "roi" if "roi" in scores.targets and scores.targets["roi"].notna().any() else "subject"
    table = scores.by(by)
    if by == "subject":
        table.insert(1, "roi", "all")
    table["subject"] = task.unit.subject
    table.insert(0, "analysis", task.analysis.name)
    table.insert(1, "dataset", task.unit.title)
    table.insert(3, "session", task.unit.session)
    return table


def _write_table(path: Path, tasks: Sequence[Task], store: Store) -> None:
    """Write the tidy table task by task, one row group each, so that memory is that of one task."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    with atomic.atomic_write(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for task in tasks:
            where = {"analysis": task.analysis.name, "dataset": task.unit.title, "subject": task.unit.subject, "session": task.unit.session}
            frame = read_scores(store, task.key).to_frame().assign(**where)
            writer.write_table(pa.table([_column(frame, field) for field in schema], schema=schema))


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


def _write_maps(root: Path, tasks: Sequence[Task], store: Store) -> tuple[list[dict[str, Any]], list[str]]:
    """Paint, for every unit and model, the layer that inner scores choose, the same over all models, and the ceiling."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    used: set[Path] = set()
    for (analysis, unit), group in _by_unit(tasks):
        per_seed = [stack([read_scores(store, task.key) for task in same]) for same in _by_seed(group)]
        if not per_seed:
            continue
        for name, vector in _vectors(per_seed, notes, f"{analysis} {unit.label}"):
            value = "ceiling" if name == "ceiling" else "score"
            facts = {"analysis": analysis, "dataset": unit.title, "subject": unit.subject, "session": unit.session, "map": name, "value": value}
            folder = root / "maps" / slug(analysis) / slug(responses_name(unit))
            facts["metric"] = per_seed[0].entries["metric"].iloc[0]
            for hemi, path in _paint(per_seed[0].space, vector, _stem(folder / slug(name), [analysis, unit.label, name], used)):
                rows.append({**facts, "hemi": hemi, "path": path.relative_to(root).as_posix()})
    return rows, notes


def _vectors(per_seed: list[Scores], notes: list[str], where: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the values (n_targets,) of each map: means over the split seeds, of the first metric."""
    metric = per_seed[0].entries["metric"].iloc[0]
    models = list(dict.fromkeys(per_seed[0].entries["model"]))
    groups = [("best", None)] if len(models) > 1 else []
    for name, model in [*groups, *((model, model) for model in models)]:
        chosen = [scores if model is None else scores.entry(model=model) for scores in per_seed]
        try:
            yield name, np.mean([scores.vector("best", metric=metric) for scores in chosen], axis=0)
        except BrainencError as error:  # pooled scores leave no honest choice of a layer: every layer gets its map
            notes.append(f"{where}: no map of the best layer of {model or 'all models'} ({error})")
            if model is not None:
                for layer in chosen[0].layers:
                    yield layer, np.mean([scores.vector(layer, metric=metric) for scores in chosen], axis=0)
    if per_seed[0].ceiling is not None:
        yield "ceiling", np.mean([scores.vector(scores.layers[0], metric=metric, value="ceiling") for scores in per_seed], axis=0)


def _paint(space: Any, vector: np.ndarray, stem: Path) -> list[tuple[str | None, Path]]:
    """Write one vector where its space says: NIfTI, CIFTI, GIFTI per hemisphere, an evoked, a table or an array."""
    if isinstance(space, SurfaceSpace):
        return [(side, _gifti(values, side, stem)) for side, values in space.paint_arrays(vector).items()]
    painted = space.paint(vector)
    if isinstance(painted, np.ndarray):
        return [(None, atomic.write_npy(stem.with_name(stem.name + ".npy"), painted))]
    if isinstance(painted, pd.DataFrame):
        return [(None, atomic.write_csv(stem.with_name(stem.name + ".tsv"), painted))]
    if type(painted).__name__ == "Nifti1Image":
        return [(None, atomic.write_bytes(stem.with_name(stem.name + ".nii.gz"), gzip.compress(painted.to_bytes(), mtime=0)))]
    if type(painted).__name__ == "Cifti2Image":
        return [(None, atomic.write_bytes(stem.with_name(stem.name + ".dscalar.nii"), painted.to_bytes()))]
    if hasattr(painted, "ch_names"):
        target = stem.with_name(stem.name + "-ave.fif")
        with atomic.atomic_write(target) as temporary:
            painted.save(temporary, overwrite=True, verbose="error")
        return [(None, target)]
    return [(None, atomic.write_npy(stem.with_name(stem.name + ".npy"), vector))]


def _stem(stem: Path, names: list[str], used: set[Path]) -> Path:
    """Return a file name without its ending; names that look alike once made safe are told apart by a hash."""
    if stem in used:
        stem = stem.with_name(f"{stem.name}-{of_json(names)[:8]}")
    used.add(stem)
    return stem


def _gifti(values: np.ndarray, side: str, stem: Path) -> Path:
    import nibabel as nib

    structure = {"left": "CortexLeft", "right": "CortexRight"}[side]
    image = nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(values.astype(np.float32), intent="NIFTI_INTENT_SHAPE", datatype="NIFTI_TYPE_FLOAT32")])
    image.meta["AnatomicalStructurePrimary"] = structure
    letter = {"left": "L", "right": "R"}[side]
    return atomic.write_bytes(stem.with_name(f"{stem.name}_hemi-{letter}.func.gii"), image.to_bytes())


def stack(scores: Sequence[Scores]) -> Scores:
    """Join the scores of one unit and one split seed, layer after layer."""
    return scores[0] if len(scores) == 1 else Scores.stack(scores)


def _by_unit(tasks: Sequence[Task]) -> Iterator[tuple[tuple[str, inputs.Unit], list[Task]]]:
    groups: dict[tuple[str, inputs.Unit], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.analysis.name, task.unit), []).append(task)
    yield from groups.items()


def _by_seed(tasks: Sequence[Task]) -> list[list[Task]]:
    """Return the tasks of each split seed, of those layers that are there for every seed."""
    seeds = list(dict.fromkeys(task.seed for task in tasks))
    names = [{(t.model.name, t.layer) for t in tasks if t.seed == seed} for seed in seeds]
    shared = set.intersection(*names) if names else set()
    groups = [[t for t in tasks if t.seed == seed and (t.model.name, t.layer) in shared] for seed in seeds]
    return [group for group in groups if group]


def _provenance(plan: Plan, expansion: Expansion, done: Sequence[Task], store: Store, failures: Sequence[Failure], notes: list[str]) -> dict[str, Any]:
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
        "n_tasks": len(expansion.scorings),
        "n_done": len(done),
        "n_failures": len(failures),
        "warnings": dict(sorted(warned.items())),
        "notes": notes,
    }
