"""What models see in stimuli: ``extract`` gives one `FeatureSpace` a layer; ``list_models`` and ``list_layers`` tell what there is.

A model family is one file in ``features/models``; other packages add theirs through the entry point group
``brainenc.features.models``.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "extract": "brainenc.features.extraction",
    "list_layers": "brainenc.features.listing",
    "list_models": "brainenc.features.listing",
    "split_words": "brainenc.features.words",
}

__all__ = ["extract", "list_layers", "list_models", "split_words"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'brainenc.features' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
