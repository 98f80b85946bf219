"""The catalogue: manifests, and the generic loader and fetcher that read by them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brainenc.datasets.catalogue import describe, manifest, names, units
    from brainenc.datasets.fetching import fetch, fetch_plan
    from brainenc.datasets.loading import Loaded, load
    from brainenc.datasets.schema import Manifest

_PUBLIC = {
    "Loaded": "loading",
    "Manifest": "schema",
    "describe": "catalogue",
    "fetch": "fetching",
    "fetch_plan": "fetching",
    "load": "loading",
    "manifest": "catalogue",
    "names": "catalogue",
    "units": "catalogue",
}

__all__ = ["Loaded", "Manifest", "describe", "fetch", "fetch_plan", "load", "manifest", "names", "units"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'brainenc.datasets' has no attribute {name!r}")
    return getattr(importlib.import_module(f"brainenc.datasets.{_PUBLIC[name]}"), name)
