"""Frequency tagging: what follows the rhythm of a sequence, in models and in brains.

The names load on first use, so that importing the room stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.frequency.activations import pool_tokens, sequence_activations
    from brainenc.frequency.blocks import compare_spectra, spectrum_rdms
    from brainenc.frequency.contacts import select_channels
    from brainenc.frequency.series import as_series
    from brainenc.frequency.statistics import against_neighbours, rayleigh, t2_circ
    from brainenc.frequency.tagging import tag
    from brainenc.frequency.texts import orderings, rates, scramble, unit_spans
    from brainenc.frequency.units import random_units, select_units

# one line a name, sorted; the value is the module below this folder
_WHERE: dict[str, str] = {
    "against_neighbours": "statistics",
    "as_series": "series",
    "compare_spectra": "blocks",
    "orderings": "texts",
    "pool_tokens": "activations",
    "random_units": "units",
    "rates": "texts",
    "rayleigh": "statistics",
    "scramble": "texts",
    "select_channels": "contacts",
    "select_units": "units",
    "sequence_activations": "activations",
    "spectrum_rdms": "blocks",
    "t2_circ": "statistics",
    "tag": "tagging",
    "unit_spans": "texts",
}

__all__ = [
    "against_neighbours",
    "as_series",
    "compare_spectra",
    "orderings",
    "pool_tokens",
    "random_units",
    "rates",
    "rayleigh",
    "scramble",
    "select_channels",
    "select_units",
    "sequence_activations",
    "spectrum_rdms",
    "t2_circ",
    "tag",
    "unit_spans",
]

__getattr__ = lazy(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
