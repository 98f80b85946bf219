"""Group inference of an RSA: the stored RDMs of all subjects and layers, compared under the same resamples.

This is done when the outputs are written, from what finished tasks stored, in canonical order and with the plan's seed and threads, so
that the files are the same to the byte whatever the order in which tasks were done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import slug
from brainenc.core.errors import BrainencError, InputError
from brainenc.io.store import Store
from brainenc.nouns import Evaluation, RDMs
from brainenc.study.executors import fixed_threads
from brainenc.study.maps import stem_of
from brainenc.study.outputs import EVALUATIONS, Gathering, Part
from brainenc.study.schema import as_list
from brainenc.study.stored import read_rdms
from brainenc.study.tasks import Failure

EVALUATE = "rsa evaluate"
GROUPS = ("roi", "hemi", "channel", "time")  # what may tell groups apart: columns of the tidy table
FEW_SUBJECTS = 4  # with fewer, "auto" resamples conditions alone; the number is our choice
SUMMARY_COLUMNS = (
    "analysis", "dataset", "subject", "session", *GROUPS, "model", "layer", "metric", "seed", "score", "se", "ci_low", "ci_high", "ceiling_low", "ceiling",
    "p", "test", "q", "p_max", "p_ceiling", "n_subjects", "n_conditions", "n_draws", "claim",
)  # fmt: skip


def gather(given: Gathering, options: Mapping[str, Any], data_step: str) -> Part:
    """Evaluate every layer in every group with each comparison; write one file each, rows of the table and of the summary."""
    part = Part()
    done = [[task.key for task in given.tasks if (task.step == data_step) == wanted] for wanted in (True, False)]
    if not all(done):
        part.notes.append(f"{given.analysis.name}: nothing could be compared, as no {'data' if not done[0] else 'layer'} is there")
        return part
    found: list[Evaluation] = []
    try:
        data, models = collect(given.store, *done, notes=part.notes, name=given.analysis.name)
        data, by = group(_with_values(data, part.notes, given.analysis.name), options)
    except BrainencError as error:
        part.failures.append(_failure(given, error, None))
        return part
    for method in as_list(options["compare"]):
        try:
            with fixed_threads(given.plan.threads):
                found.append(_evaluate(models, data, method, by, options, given, part.notes))
        except Exception as error:
            part.failures.append(_failure(given, error, method))
            continue
        path = stem_of(given.root / EVALUATIONS / slug(f"{given.analysis.name}-{method}"), [given.analysis.name, method], given.used)
        path = found[-1].save(path.with_name(path.name + ".npz"))
        facts = {"analysis": given.analysis.name, "dataset": given.tasks[0].unit.title, "method": method}
        part.evaluations.append({**facts, "path": path.relative_to(given.root).as_posix()})
        part.summary.append(_summary(found[-1], given))

    def frames() -> Iterator[pd.DataFrame]:
        for evaluation in found:
            yield _rows(evaluation, given)

    part.frames = frames
    part.notes[:] = dict.fromkeys(part.notes)
    return part


def collect(store: Store, data: Sequence[str], layers: Sequence[str], *, notes: list[str] | None = None, name: str = "") -> tuple[RDMs, RDMs]:
    """Return the RDMs of all units and of all layers over the conditions that all of them share, in the order of the first unit.

    Raises
    ------
    InputError
        When units share fewer than three conditions.
    """
    parts = [read_rdms(store, key) for key in data]
    models = [read_rdms(store, key) for key in layers]
    shared = set(parts[0].ids).intersection(*(one.ids for one in [*parts[1:], *models]))
    ids = [i for i in parts[0].ids if i in shared]
    if len(ids) < 3:
        raise InputError("the units share too few conditions to be compared", where=name, expected="at least 3", got=len(ids))
    largest = max(part.n_conditions for part in parts)
    if len(ids) < largest and notes is not None:
        notes.append(f"{name}: RDMs are over the {len(ids)} conditions that all units share (the largest has {largest})")
    # units with the same conditions share the RDM of a layer; where units differ, each has one, and the first stands for all
    first: dict[tuple[Any, ...], RDMs] = {}
    for model in models:
        first.setdefault(tuple(model.rdms.iloc[0]), model)
    return RDMs.concat([part.take_conditions(ids) for part in parts]), RDMs.concat([model.take_conditions(ids) for model in first.values()])


def _with_values(data: RDMs, notes: list[str], name: str) -> RDMs:
    """Return the RDMs that have any value; the others are named in a note."""
    void = np.isnan(data.values).all(axis=1)
    if not void.any():
        return data
    if void.all():
        raise InputError("no RDM of the data has any value", where=name, fix="patterns over a single target have no correlation: try another metric")
    lost = data.rdms[[c for c in ("subject", *GROUPS) if c in data.rdms]][void].astype(str).agg(" ".join, axis=1).tolist()
    notes.append(f"{name}: {len(lost)} RDMs without any value are left out: {', '.join(lost[:12])}{' …' if len(lost) > 12 else ''}")
    return data.take(~void)


def group(data: RDMs, options: Mapping[str, Any]) -> tuple[RDMs, list[str]]:
    """Return the data with one RDM for each subject in each group, and the columns that make groups."""
    if "subject" not in data.rdms or data.rdms["subject"].isna().any():
        raise InputError("RDMs without a subject cannot be compared over subjects", where="rsa", expected="a column 'subject'", got=list(data.rdms.columns))
    by = as_list(options["by"]) if options["by"] is not None else ["roi"] if "roi" in data.rdms and data.rdms["roi"].notna().any() else []
    keys = ["subject", *by]
    unnamed = data.rdms[by].isna().any(axis=1).to_numpy() if by else np.zeros(data.n_rdms, dtype=bool)
    if unnamed.any():
        raise InputError(f"{int(unnamed.sum())} RDMs have no {' or no '.join(by)}", where="rsa", fix="leave them out with where = …")
    doubled = data.rdms.duplicated(keys, keep=False)
    if not doubled.any():
        return data, by
    if not options["average"]:
        differ = [c for c in data.rdms if c not in keys and data.rdms[doubled].groupby(keys, dropna=False)[c].nunique(dropna=False).max() > 1]
        raise InputError(
            f"{int(doubled.sum())} RDMs share subject and group", where="rsa", expected="one RDM a subject in each group",
            got=f"several that differ in {', '.join(map(str, differ)) or 'nothing'}",
            fix="take their mean: average = true (--average), or select: where = …",
        )  # fmt: skip
    return data.average(keys), by


def _evaluate(models: RDMs, data: RDMs, method: str, by: list[str], options: Mapping[str, Any], given: Gathering, notes: list[str]) -> Evaluation:
    from brainenc import rsa

    n_subjects = data.rdms["subject"].nunique()
    how = options["resample"]
    if how == "auto":
        how = "both" if n_subjects >= FEW_SUBJECTS else "conditions"
        if how == "conditions" and options["bootstrap"]:
            few = f"{n_subjects} subject{'s' if n_subjects > 1 else ''}"
            notes.append(f"{given.analysis.name}: with {few} conditions alone are resampled, so that intervals speak of other stimuli, not of other people")
    return rsa.evaluate(
        models, data, method=method, by=by or None, subjects=how in ("both", "subjects"), conditions=how in ("both", "conditions"),
        n=options["bootstrap"], seed=given.plan.seed, ceiling=options["ceiling"] and n_subjects > 1, permutations=options["permutations"],
    )  # fmt: skip


def ceiling_status(evaluation: Evaluation) -> str:
    """Return what the ceilings are, or why there are none."""
    n = evaluation.scores.shape[1]
    if evaluation.ceiling is None:
        return "no ceiling: " + ("one subject" if n == 1 else "none was asked for")
    return f"noise ceiling over {n} subjects: each against the pooled RDM of the others (lower) and of all (upper)"


def _rows(evaluation: Evaluation, given: Gathering) -> pd.DataFrame:
    """Return one row a group, subject and model; p and q belong to the mean over subjects and stand in every row of it."""
    n_groups, n_subjects, n_models = evaluation.scores.shape
    g, s, m = (index.ravel() for index in np.indices(evaluation.scores.shape))
    frame = evaluation.to_frame()
    of_mean = g * n_models + m
    table = pd.DataFrame({name: evaluation.groups[name].to_numpy()[g] for name in evaluation.groups if name in GROUPS})
    if "roi" not in table:
        table["roi"] = "all"
    return table.assign(
        analysis=given.analysis.name, dataset=given.tasks[0].unit.title, subject=evaluation.subjects["subject"].astype(str).to_numpy()[s],
        model=evaluation.models["model"].to_numpy()[m], layer=evaluation.models["layer"].to_numpy()[m], metric=evaluation.method, seed=evaluation.seed,
        score=evaluation.scores.ravel(), n=evaluation.n_conditions, ceiling_status=ceiling_status(evaluation),
        **{name: frame[column].to_numpy(dtype=float)[of_mean] for name, column in
           (("ceiling", "ceiling_high"), ("ceiling_low", "ceiling_low"), ("p", "p"), ("q", "q"))},
    )  # fmt: skip


def _summary(evaluation: Evaluation, given: Gathering) -> pd.DataFrame:
    frame = evaluation.to_frame().rename(columns={"method": "metric", "ceiling_high": "ceiling"})
    frame = frame.assign(analysis=given.analysis.name, dataset=given.tasks[0].unit.title, subject=None, session=None, seed=evaluation.seed)
    if "roi" not in frame:
        frame["roi"] = "all"
    return frame[[name for name in SUMMARY_COLUMNS if name in frame]]


def _failure(given: Gathering, error: Exception, method: str | None) -> Failure:
    from brainenc.study.steps import where_from

    unit = given.tasks[0].unit
    where = {"step": EVALUATE, "analysis": given.analysis.name, "dataset": unit.title, "subject": None, "session": None, "model": None}
    detail = "" if isinstance(error, BrainencError) else where_from(error)
    message = f"{method}: {error}" if method else str(error)
    return Failure({**where, "layer": None, "seed": given.plan.seed}, type(error).__name__, message, detail)
