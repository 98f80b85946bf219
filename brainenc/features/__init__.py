"""What models see in stimuli: ``extract`` gives one `FeatureSpace` a layer; ``list_models`` and ``list_layers`` tell what there is.

A model family is one file in ``features/models``; other packages add theirs through the entry point group
``brainenc.features.models``.
"""

from __future__ import annotations

from brainenc.core.lazy import lazy

_PUBLIC = {
    "extract": "extraction",
    "list_layers": "listing",
    "list_models": "listing",
    "split_words": "words",
}

__all__ = ["extract", "list_layers", "list_models", "split_words"]

__getattr__ = lazy(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return __all__
