"""Kernels in torch, without state: decompositions, ridge paths, chunk plans.

The names load on first use, so that importing a room above does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brainenc.linalg.decompose import eigh, svd
    from brainenc.linalg.device import resolve_device
    from brainenc.linalg.plan import ChunkPlan, free_memory, plan_chunks
    from brainenc.linalg.ridge import RidgeFit, auto_alphas, ridge_fit

_WHERE = {
    "ChunkPlan": "plan",
    "RidgeFit": "ridge",
    "auto_alphas": "ridge",
    "eigh": "decompose",
    "free_memory": "plan",
    "plan_chunks": "plan",
    "resolve_device": "device",
    "ridge_fit": "ridge",
    "svd": "decompose",
}

__all__ = [
    "ChunkPlan",
    "RidgeFit",
    "auto_alphas",
    "eigh",
    "free_memory",
    "plan_chunks",
    "resolve_device",
    "ridge_fit",
    "svd",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'brainenc.linalg' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"brainenc.linalg.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
