"""Plots: one verb, `plot`, for every noun, and the named figures behind it. All return a matplotlib Figure and show nothing."""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "plot": "brainenc.viz.dispatch",
    "layer_region_heatmap": "brainenc.viz.heatmap",
    "layer_profiles": "brainenc.viz.profiles",
    "score_vs_ceiling": "brainenc.viz.scatter",
    "brain_map": "brainenc.viz.maps",
    "score_map": "brainenc.viz.maps",
    "winner_map": "brainenc.viz.maps",
    "contact_sheet": "brainenc.viz.stimuli",
    "variance_spectrum": "brainenc.viz.features",
    "response_carpet": "brainenc.viz.responses",
    "rdm_panels": "brainenc.viz.rdms",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'brainenc.viz' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
