"""What one task does, in whatever process it runs: look in the store, compute, store."""

from __future__ import annotations

import logging
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainenc.core.errors import BrainencError, BrainencWarning
from brainenc.io.store import Store
from brainenc.study import inputs
from brainenc.study.executors import fixed_threads
from brainenc.study.plan import KINDS
from brainenc.study.tasks import EXTRACT, Settings, Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended. ``fatal``: the store cannot be written, so no other task can end well either."""

    key: str
    ok: bool
    error: str = ""
    message: str = ""
    traceback: str = ""
    fatal: bool = False
    warnings: tuple[str, ...] = ()


def execute(task: Task, settings: Settings, store_root: str) -> Outcome:
    """Run one task unless its result is stored; an error becomes part of the outcome and is never raised."""
    store = Store(Path(store_root))
    try:
        with fixed_threads(settings.threads), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", BrainencWarning)
            files = _extract(task, settings) if task.step == EXTRACT else KINDS.get(task.analysis.kind).compute(task, settings)
        notes = sorted({str(w.message) for w in caught if issubclass(w.category, BrainencWarning)})
    except Exception as error:
        detail = "" if isinstance(error, BrainencError) else where_from(error)
        logger.debug("task failed: %s", task.describe(), exc_info=True)
        return Outcome(task.key, False, type(error).__name__, str(error) or "no message", detail)
    _raise_again(caught)
    try:
        store.put(task.key, files, meta={**task.describe(), "warnings": notes})
    except Exception as error:
        return Outcome(task.key, False, type(error).__name__, str(error), fatal=True)
    return Outcome(task.key, True, warnings=tuple(notes))


def where_from(error: Exception) -> str:
    """Return the path of calls to an unforeseen error on one line, innermost last; the log has the whole traceback."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)


def _extract(task: Task, settings: Settings) -> dict[str, Any]:
    """Fill the extraction cache; the entry says that it was filled, and with what."""
    assert task.model is not None
    spaces = inputs.features(
        task.model, task.unit, layers=task.layers, batch_size=settings.batch_size, device=settings.device, seed=settings.seed
    )
    return {"layers.json": [{"layer": name, "n_features": space.n_features, "dtype": str(space.values.dtype)} for name, space in spaces.items()]}


def _raise_again(caught: list[warnings.WarningMessage]) -> None:
    for warning in caught:
        if not issubclass(warning.category, BrainencWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
