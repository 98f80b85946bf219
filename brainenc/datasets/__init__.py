"""The catalogue: manifests, and the generic loader and fetcher that read by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

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

__getattr__ = lazy(__name__, _PUBLIC)
