"""Kernels in torch, without state: decompositions, ridge paths, chunk plans.

The names load on first use, so that importing a room above does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

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

__getattr__ = lazy(__name__, _WHERE)
