"""Representational similarity analysis: from patterns to RDMs, their comparison, and what may be claimed from it.

The names load on first use, so that importing the room stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.rsa.bootstrapping import bootstrap
    from brainenc.rsa.building import rdm
    from brainenc.rsa.ceilings import noise_ceiling
    from brainenc.rsa.clusters import Clusters, cluster_test
    from brainenc.rsa.comparing import compare
    from brainenc.rsa.condition_noise import condition_covariance
    from brainenc.rsa.crossvalidating import crossvalidate
    from brainenc.rsa.evaluating import evaluate
    from brainenc.rsa.flexible import Family, Fitted, Fixed, Flexible, Interpolate, Select, Weighted, fit_model
    from brainenc.rsa.movies import rdm_movie, temporal_generalization
    from brainenc.rsa.noise import NoiseModel, noise_model
    from brainenc.rsa.partitioning import Partition, partition_variance
    from brainenc.rsa.permuting import permutation_test, sign_flip_test
    from brainenc.rsa.searchlights import searchlight

# one line a name, sorted; the value is the module below this folder
_WHERE: dict[str, str] = {
    "Clusters": "clusters",
    "Family": "flexible",
    "Fitted": "flexible",
    "Fixed": "flexible",
    "Flexible": "flexible",
    "Interpolate": "flexible",
    "NoiseModel": "noise",
    "Partition": "partitioning",
    "Select": "flexible",
    "Weighted": "flexible",
    "bootstrap": "bootstrapping",
    "cluster_test": "clusters",
    "compare": "comparing",
    "condition_covariance": "condition_noise",
    "crossvalidate": "crossvalidating",
    "evaluate": "evaluating",
    "fit_model": "flexible",
    "noise_ceiling": "ceilings",
    "noise_model": "noise",
    "partition_variance": "partitioning",
    "permutation_test": "permuting",
    "rdm": "building",
    "rdm_movie": "movies",
    "searchlight": "searchlights",
    "sign_flip_test": "permuting",
    "temporal_generalization": "movies",
}

__all__ = [
    "Clusters",
    "Family",
    "Fitted",
    "Fixed",
    "Flexible",
    "Interpolate",
    "NoiseModel",
    "Partition",
    "Select",
    "Weighted",
    "bootstrap",
    "cluster_test",
    "compare",
    "condition_covariance",
    "crossvalidate",
    "evaluate",
    "fit_model",
    "noise_ceiling",
    "noise_model",
    "partition_variance",
    "permutation_test",
    "rdm",
    "rdm_movie",
    "searchlight",
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
