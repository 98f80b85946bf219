"""Representational similarity analysis: from patterns to RDMs, their comparison, and what may be claimed from it.

The names load on first use, so that importing the room stays light.
"""

from __future__ import annotations

from brainenc.core.lazy import lazy

# one line a name, sorted; the value is the module below this folder
_WHERE: dict[str, str] = {}

__all__: list[str] = []

__getattr__ = lazy(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
