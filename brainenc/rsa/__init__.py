"""Representational similarity analysis: from patterns to RDMs, their comparison, and what may be claimed from it.

The names load on first use, so that importing the room stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.rsa.building import rdm
    from brainenc.rsa.clusters import Clusters, cluster_test
    from brainenc.rsa.comparing import compare
    from brainenc.rsa.noise import NoiseModel, noise_model
    from brainenc.rsa.permuting import permutation_test, sign_flip_test

# one line a name, sorted; the value is the module below this folder
_WHERE: dict[str, str] = {
    "Clusters": "clusters",
    "NoiseModel": "noise",
    "cluster_test": "clusters",
    "compare": "comparing",
    "noise_model": "noise",
    "permutation_test": "permuting",
    "rdm": "building",
    "sign_flip_test": "permuting",
}

__all__ = [
    "Clusters",
    "NoiseModel",
    "cluster_test",
    "compare",
    "noise_model",
    "permutation_test",
    "rdm",
    "sign_flip_test",
]

# rooms within the room, reached as be.rsa.<name>
_NAMESPACES = ("similarity", "topology")

_find = lazy(__name__, _WHERE)


def __getattr__(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}") if name in _NAMESPACES else _find(name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_NAMESPACES])
