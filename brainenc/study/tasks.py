"""A plan expands to tasks: extractions (stimuli × model), then scorings (unit × model × layer × split seed).

All regions of a unit are columns of one scoring task: they share one decomposition of the features, which would have to
be computed again for each region otherwise. The selection of regions is made before the task is keyed.

A task's key is the sha256 of its canonical step, of the fingerprints of what it reads and of the version of the step, so a
finished task is found again by content, whatever the order, the process or the plan that asked for it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from brainenc.core import fingerprint
from brainenc.core.errors import BrainencError
from brainenc.nouns import Responses
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
    """One step that is run, stored and found again as a whole; ``needs`` is the key of the extraction it reads."""

    step: str
    key: str
    analysis: Analysis
    unit: Unit
    model: ModelSpec
    layers: tuple[str, ...]
    seed: int | None
    memory: int
    needs: str | None = None

    @property
    def layer(self) -> str:
        """The layer of a scoring task; the number of layers of an extraction."""
        return self.layers[0] if self.step != EXTRACT else f"{len(self.layers)} layers"

    def describe(self) -> dict[str, Any]:
        """Return the identifying columns for tables and logs."""
        return {
            "step": self.step, "analysis": self.analysis.name, "dataset": self.unit.title, "subject": self.unit.subject, "session": self.unit.session,
            "model": self.model.name, "layer": self.layer, "seed": self.seed,
        }  # fmt: skip


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

    A unit that cannot be loaded, or a model whose layers cannot be listed, becomes a `Failure`; the rest goes on.
    """
    settings = Settings.of(plan)
    extractions: dict[str, Task] = {}
    scorings: list[Task] = []
    failures: list[Failure] = []
    for analysis in plan.analyses:
        units = inputs.units_of(analysis)
        for unit in units:
            try:
                loaded = inputs.load(unit)
                responses = select(loaded.responses, analysis)
            except (BrainencError, OSError) as error:
                failures.append(_failure("load", analysis, unit, None, error))
                continue
            for model in analysis.models:
                try:
                    layers = inputs.layers_of(model, unit)
                    extraction = _extraction(analysis, unit, model, tuple(layers), loaded, settings)
                    here = list(_scorings(analysis, unit, model, layers, loaded, responses, settings, extraction.key))
                except (BrainencError, OSError, RuntimeError) as error:
                    failures.append(_failure("list layers", analysis, unit, model, error))
                    continue
                extractions.setdefault(extraction.key, extraction)
                scorings += here
    return Expansion(tuple(extractions.values()), tuple(scorings), tuple(failures))


def select(responses: Responses, analysis: Analysis) -> Responses:
    """Return the targets that an analysis looks at (``roi``, ``where``)."""
    if analysis.roi is not None:
        responses = responses.where(roi=list(analysis.roi))
    if analysis.where is not None:
        responses = responses.where(analysis.where)
    return responses


def _extraction(analysis: Analysis, unit: Unit, model: ModelSpec, layers: tuple[str, ...], loaded: inputs.Loaded, settings: Settings) -> Task:
    step = {
        "step": EXTRACT, "version": EXTRACT_VERSION, "stimuli": loaded.stimuli_key, "model": inputs.model_key(model), "layers": layers,
        "batch_size": settings.batch_size, "device": settings.device, "threads": settings.threads, "seed": settings.seed,
    }  # fmt: skip
    return Task(EXTRACT, fingerprint.of_json(step), analysis, unit, model, layers, None, EXTRACT_BASE)


def _scorings(
    analysis: Analysis, unit: Unit, model: ModelSpec, layers: dict[str, int], loaded: inputs.Loaded, responses: Responses, settings: Settings, needs: str
) -> Iterator[Task]:
    module = KINDS.get(analysis.kind)
    options = {name: value for name, value in analysis.options.items() if name != "split"}
    for layer, n_features in layers.items():
        memory = module.estimate(responses, n_features, settings.memory, 8 if settings.dtype == "float64" else 4)
        for seed in module.seeds(analysis.options):
            step = {
                "step": analysis.kind, "version": module.VERSION, "responses": loaded.responses_key, "stimuli": loaded.stimuli_key,
                "roi": analysis.roi, "where": analysis.where, "model": inputs.model_key(model), "layer": layer,
                "split": repr(module.make_split(analysis.options, seed)), "split_seed": seed, "options": options,
                "settings": asdict(settings), "name": responses_name(unit),
            }  # fmt: skip
            yield Task(analysis.kind, fingerprint.of_json(step), analysis, unit, model, (layer,), seed, memory, needs)


def responses_name(unit: Unit) -> str:
    """Return the name that a unit bears in Scores: the subject, and the session where there is one."""
    return unit.label.replace("/", " ")


def _failure(step: str, analysis: Analysis, unit: Unit, model: ModelSpec | None, error: Exception) -> Failure:
    where = {"step": step, "analysis": analysis.name, "dataset": unit.title, "subject": unit.subject, "session": unit.session}
    where |= {"model": model.name if model else None, "layer": None, "seed": None}
    logger.info("%s of %s %s failed: %s", step, unit.title, unit.label, error)
    return Failure(where, type(error).__name__, str(error))
