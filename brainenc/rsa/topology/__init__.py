"""Topological RSA: representations compared by their neighbourhoods as much as by their geometry.

Dissimilarities become ranks, and what lies below a lower and above an upper quantile is flattened (`rgtm`), or replaced by the shortest
path through near neighbours (`rgdm`). `sweep` gives every pair of quantiles, `identify` asks which of them tell regions or layers apart
across subjects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.rsa.topology.grids import Grid, category, make_grid
    from brainenc.rsa.topology.identification import Identification
    from brainenc.rsa.topology.identifying import identify
    from brainenc.rsa.topology.sweeping import Sweep, sweep
    from brainenc.rsa.topology.transforms import rgdm, rgtm

# one line a name, sorted; the value is the module below this folder
_WHERE: dict[str, str] = {
    "Grid": "grids",
    "Identification": "identification",
    "Sweep": "sweeping",
    "category": "grids",
    "identify": "identifying",
    "make_grid": "grids",
    "rgdm": "transforms",
    "rgtm": "transforms",
    "sweep": "sweeping",
}

__all__ = [
    "Grid",
    "Identification",
    "Sweep",
    "category",
    "identify",
    "make_grid",
    "rgdm",
    "rgtm",
    "sweep",
]

__getattr__ = lazy(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
