"""Studies: a plan becomes tasks, tasks become a results folder that survives kills and compares to the byte."""

from __future__ import annotations

import importlib
from typing import Any

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


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'brainenc.study' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"brainenc.study.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value
