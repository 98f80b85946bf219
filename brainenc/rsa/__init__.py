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
    from brainenc.rsa.condition_noise import condition_covariance
    from brainenc.rsa.movies import rdm_movie, temporal_generalization
    from brainenc.rsa.noise import NoiseModel, noise_model
    from brainenc.rsa.permuting import permutation_test, sign_flip_test

# one line a name, sorted; the value is the module below this folder
_WHERE: dict[str, str] = {
    "Clusters": "clusters",
    "NoiseModel": "noise",
    "cluster_test": "clusters",
    "compare": "comparing",
    "condition_covariance": "condition_noise",
    "noise_model": "noise",
    "permutation_test": "permuting",
    "rdm": "building",
    "rdm_movie": "movies",
    "sign_flip_test": "permuting",
    "temporal_generalization": "movies",
}

__all__ = [
    "Clusters",
    "NoiseModel",
    "cluster_test",
    "compare",
    "condition_covariance",
    "noise_model",
    "permutation_test",
    "rdm",
    "rdm_movie",
    "sign_flip_test",
    "temporal_generalization",
]

# rooms within the room, reached as be.rsa.<name>
_NAMESPACES = ("similarity", "topology")

_find = lazy(__name__, _WHERE)


def __getattr__(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}") if name in _NAMESPACES else _find(name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_NAMESPACES])
