"""Frequency tagging: what follows the rhythm of a sequence, in models and in brains.

The names load on first use, so that importing the room stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.frequency.series import as_series
    from brainenc.frequency.statistics import against_neighbours, rayleigh, t2_circ
    from brainenc.frequency.tagging import tag

# one line a name, sorted; the value is the module below this folder
_WHERE: dict[str, str] = {
    "against_neighbours": "statistics",
    "as_series": "series",
    "rayleigh": "statistics",
    "t2_circ": "statistics",
    "tag": "tagging",
}

__all__ = ["against_neighbours", "as_series", "rayleigh", "t2_circ", "tag"]

__getattr__ = lazy(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
