"""Encoding models: from features to responses.

The names load on first use, so that importing the room stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brainenc.encoding.ridge import Ridge, RidgePath, fit_path

_WHERE = {"Ridge": "ridge", "RidgePath": "ridge", "fit_path": "ridge"}

__all__ = ["Ridge", "RidgePath", "fit_path"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'brainenc.encoding' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"brainenc.encoding.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
