"""The metrics by name and as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.registry import Registry
from brainenc.metrics.kinds.pearson import score as pearson
from brainenc.metrics.kinds.r2 import score as r2

__all__ = ["get", "names", "pearson", "r2"]

Metric = Callable[[npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[np.float64]]
_REGISTRY = Registry("brainenc.metrics.kinds", "metric", group="brainenc.metrics")


def names() -> list[str]:
    """Return the names of all metrics."""
    return _REGISTRY.names()


def get(name: str) -> Metric:
    """Return a metric ``(observed, predicted) -> (n_targets,)`` by name; an unknown one raises with the nearest names."""
    return _REGISTRY.get(name).score
