"""Studies: a plan becomes tasks, tasks become a results folder that survives kills and compares to the byte."""

from __future__ import annotations

from brainenc.core.lazy import lazy

_PUBLIC = {
    "Analysis": "plan",
    "ModelSpec": "plan",
    "Plan": "plan",
    "Results": "results",
    "dask_executor": "executors",
    "preview": "runner",
    "process_pool": "executors",
    "read_results": "results",
    "run": "runner",
}

__all__ = ["Analysis", "ModelSpec", "Plan", "Results", "dask_executor", "preview", "process_pool", "read_results", "run"]

__getattr__ = lazy(__name__, _PUBLIC)
