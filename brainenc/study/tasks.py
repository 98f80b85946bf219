"""A plan expands to tasks: extractions (stimuli × model), then what the kind of each analysis lists.

For encoding that is unit × model × layer × split seed. The selection of regions is made before a task is keyed. A task's key is the
sha256 of its canonical step, of the fingerprints of what it reads and of the version of the step, so a finished task is found again
by content, whatever the order, the process or the plan that asked for it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from brainenc.core import fingerprint
from brainenc.core.checks import did_you_mean
from brainenc.core.errors import BrainencError, InputError
from brainenc.nouns import RDMs, Responses
from brainenc.nouns.tables import need_column
from brainenc.study import inputs
from brainenc.study.inputs import Unit
from brainenc.study.plan import KINDS, Analysis, ModelSpec, Plan

logger = logging.getLogger(__name__)

EXTRACT_VERSION = 1
EXTRACT_BASE = 600_000_000  # bytes that torch and a model of usual size take
EXTRACT = "extract"


@dataclass(frozen=True, slots=True)
class Settings:
    """What every task of a plan shares."""

    seed: int
    memory: int
    dtype: str
    device: str
    threads: int
    batch_size: int

    @classmethod
    def of(cls, plan: Plan) -> Settings:
        """Return the settings of a resolved plan."""
        return cls(
            seed=plan.seed, memory=plan.memory_bytes, dtype=plan.dtype, device=plan.device or "cpu", threads=plan.threads, batch_size=plan.batch_size
        )


@dataclass(frozen=True, slots=True)
class Task:
    """One step that is run, stored and found again as a whole; ``needs`` is the key of the extraction it reads, where it reads one."""

    step: str
    key: str
    analysis: Analysis
    unit: Unit
    model: ModelSpec | None
    layers: tuple[str, ...]
    seed: int | None
    memory: int
    needs: str | None = None

    @property
    def layer(self) -> str | None:
        """The layer of a task; the number of layers of an extraction."""
        if self.step == EXTRACT:
            return f"{len(self.layers)} layers"
        return self.layers[0] if self.layers else None

    def describe(self) -> dict[str, Any]:
        """Return the identifying columns for tables and logs."""
        return {
            "step": self.step, "analysis": self.analysis.name, "dataset": self.unit.title, "subject": self.unit.subject, "session": self.unit.session,
            "model": None if self.model is None else self.model.name, "layer": self.layer, "seed": self.seed,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a kind of analysis lists its tasks from: one loaded unit, and what the analysis looks at in it."""

    analysis: Analysis
    unit: Unit
    loaded: inputs.Loaded
    data: Responses | RDMs
    settings: Settings

    def task(
        self, step: str, facts: Mapping[str, Any], memory: int, *, model: ModelSpec | None = None, layer: str | None = None, seed: int | None = None,
        needs: str | None = None,
    ) -> Task:  # fmt: skip
        """Return a task whose key is the sha256 of ``facts``, of the step and of the settings."""
        key = fingerprint.of_json({"step": step, "settings": asdict(self.settings), **facts})
        return Task(step, key, self.analysis, self.unit, model, () if layer is None else (layer,), seed, memory, needs)


@dataclass(frozen=True, slots=True)
class Failure:
    """A part of the study that could not be done."""

    where: dict[str, Any]
    error: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Expansion:
    """The tasks of a plan in canonical order, and what failed while they were being listed."""

    extractions: tuple[Task, ...]
    scorings: tuple[Task, ...]
    failures: tuple[Failure, ...]


def expand(plan: Plan) -> Expansion:
    """List the tasks of a resolved plan, in the order of the plan: analysis, unit, model, layer (in depth), seed.

    A unit that cannot be loaded, or a model whose layers cannot be listed, becomes a `Failure`; the rest goes on. Tasks that several
    units of an analysis have in common are listed once.
    """
    settings = Settings.of(plan)
    extractions: dict[str, Task] = {}
    scorings: list[Task] = []
    failures: list[Failure] = []
    for analysis in plan.analyses:
        kind = KINDS.get(analysis.kind)
        mine: dict[str, Task] = {}
        for unit in inputs.units_of(analysis):
            try:
                loaded = inputs.load(unit)
                context = Context(analysis, unit, loaded, select(loaded.data, analysis), settings)
                of_unit = list(kind.unit_tasks(context))
            except (BrainencError, OSError) as error:
                failures.append(_failure("load", analysis, unit, None, error))
                continue
            for model in analysis.models:
                try:
                    layers = inputs.layers_of(model, unit)
                    extraction = _extraction(context, model, tuple(layers))
                    of_unit += kind.layer_tasks(context, model, layers, extraction.key)
                except (BrainencError, OSError, RuntimeError) as error:
                    failures.append(_failure("list layers", analysis, unit, model, error))
                    continue
                extractions.setdefault(extraction.key, extraction)
            for task in of_unit:
                mine.setdefault(task.key, task)
        if any(task.layers for task in mine.values()):  # data without a single layer to hold against them are no work
            scorings += mine.values()
    return Expansion(tuple(extractions.values()), tuple(scorings), tuple(failures))


def select(data: Responses | RDMs, analysis: Analysis) -> Responses | RDMs:
    """Return what an analysis looks at: the targets of responses that ``roi`` and ``where`` keep, or the RDMs (of its ``subjects``)."""
    if analysis.subjects is not None and isinstance(data, RDMs):
        there = list(dict.fromkeys(need_column(data.rdms, "subject", analysis.dataset).astype(str)))
        for name in analysis.subjects:
            if name not in there:
                expected, fix = f"one of {', '.join(there)}", did_you_mean(name, there)
                raise InputError(f"{analysis.dataset} has no subject {name!r}", where=analysis.name, expected=expected, fix=fix)
        data = data.where(subject=list(analysis.subjects))
    if analysis.roi is not None:
        data = data.where(roi=list(analysis.roi))
    if analysis.where is not None:
        data = data.where(analysis.where)
    return data


def _extraction(context: Context, model: ModelSpec, layers: tuple[str, ...]) -> Task:
    settings = context.settings
    step = {
        "step": EXTRACT, "version": EXTRACT_VERSION, "stimuli": context.loaded.stimuli_key, "model": inputs.model_key(model), "layers": layers,
        "batch_size": settings.batch_size, "device": settings.device, "threads": settings.threads, "seed": settings.seed,
    }  # fmt: skip
    return Task(EXTRACT, fingerprint.of_json(step), context.analysis, context.unit, model, layers, None, EXTRACT_BASE)


def responses_name(unit: Unit) -> str:
    """Return the name that a unit bears in Scores: the subject, and the session where there is one."""
    return unit.label.replace("/", " ")


def _failure(step: str, analysis: Analysis, unit: Unit, model: ModelSpec | None, error: Exception) -> Failure:
    where = {"step": step, "analysis": analysis.name, "dataset": unit.title, "subject": unit.subject, "session": unit.session}
    where |= {"model": model.name if model else None, "layer": None, "seed": None}
    logger.info("%s of %s %s failed: %s", step, unit.title, unit.label, error)
    return Failure(where, type(error).__name__, str(error))
