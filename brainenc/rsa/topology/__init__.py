"""Topological RSA: representations compared by their neighbourhoods as much as by their geometry.

Dissimilarities become ranks, and what lies below a lower and above an upper quantile is flattened (`rgtm`), or replaced by the shortest
path through near neighbours (`rgdm`). `sweep` gives every pair of quantiles, `identify` asks which of them tell regions or layers apart
across subjects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.rsa.topology.adaptive import AdaptiveTest, adaptive_test
    from brainenc.rsa.topology.alignment import GromovWasserstein, gromov_wasserstein
    from brainenc.rsa.topology.embedding import mds
    from brainenc.rsa.topology.grids import Grid, category, make_grid
    from brainenc.rsa.topology.identification import Identification
    from brainenc.rsa.topology.identifying import identify
    from brainenc.rsa.topology.persistence import persistence_diagrams, persistence_distances
    from brainenc.rsa.topology.shapes import curve_points, curves, sensitivity_ratio
    from brainenc.rsa.topology.sweeping import Sweep, sweep
    from brainenc.rsa.topology.transforms import rgdm, rgtm

# one line a name, sorted; the value is the module below this folder
_WHERE: dict[str, str] = {
    "AdaptiveTest": "adaptive",
    "Grid": "grids",
    "GromovWasserstein": "alignment",
    "Identification": "identification",
    "Sweep": "sweeping",
    "adaptive_test": "adaptive",
    "category": "grids",
    "curve_points": "shapes",
    "curves": "shapes",
    "gromov_wasserstein": "alignment",
    "identify": "identifying",
    "make_grid": "grids",
    "mds": "embedding",
    "persistence_diagrams": "persistence",
    "persistence_distances": "persistence",
    "rgdm": "transforms",
    "rgtm": "transforms",
    "sensitivity_ratio": "shapes",
    "sweep": "sweeping",
}

__all__ = [
    "AdaptiveTest",
    "Grid",
    "GromovWasserstein",
    "Identification",
    "Sweep",
    "adaptive_test",
    "category",
    "curve_points",
    "curves",
    "gromov_wasserstein",
    "identify",
    "make_grid",
    "mds",
    "persistence_diagrams",
    "persistence_distances",
    "rgdm",
    "rgtm",
    "sensitivity_ratio",
    "sweep",
]

__getattr__ = lazy(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
