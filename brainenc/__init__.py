"""brainenc: score every layer of a model against every region of a brain.

The public names load on first use, so that ``import brainenc`` stays light::

    import brainenc as be
    stimuli, brain = be.load("insilico", subject="01")
    layers = be.extract(stimuli, "toyclip", layers="visual.*")
    scores = be.score_layers(layers, brain, split=be.split.images(test=0.2, seed=0))
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    # nouns
    "ArraySpace": "brainenc.nouns",
    "CiftiSpace": "brainenc.nouns",
    "ContactSpace": "brainenc.nouns",
    "Evaluation": "brainenc.nouns",
    "FeatureSpace": "brainenc.nouns",
    "Neighbourhoods": "brainenc.nouns",
    "NoiseCeiling": "brainenc.nouns",
    "RDMs": "brainenc.nouns",
    "Responses": "brainenc.nouns",
    "Scores": "brainenc.nouns",
    "SensorSpace": "brainenc.nouns",
    "Split": "brainenc.nouns",
    "StimulusSet": "brainenc.nouns",
    "SurfaceSpace": "brainenc.nouns",
    "TagSelection": "brainenc.nouns",
    "Tagging": "brainenc.nouns",
    "VolumeSpace": "brainenc.nouns",
    # errors and warnings
    "BrainencError": "brainenc.core.errors",
    "BrainencWarning": "brainenc.core.errors",
    # verbs
    "read": "brainenc.nouns",
    "load": "brainenc.datasets",
    "fetch": "brainenc.datasets",
    "extract": "brainenc.features",
    "design": "brainenc.encoding",
    "score_layers": "brainenc.encoding",
    "plot": "brainenc.viz",
    "run": "brainenc.study",
    "report": "brainenc.reporting",
}
_NAMESPACES = {"split": "brainenc.nouns.splits"}
_ROOMS = ("datasets", "encoding", "features", "frequency", "loaders", "metrics", "rsa", "simulate", "study", "viz")

__all__ = sorted([*_PUBLIC, *_NAMESPACES, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
    elif name in _NAMESPACES:
        value = importlib.import_module(_NAMESPACES[name])
    elif name in _ROOMS:
        return importlib.import_module(f"brainenc.{name}")
    else:
        raise AttributeError(f"module 'brainenc' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
