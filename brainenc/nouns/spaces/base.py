"""The contract of a space, and what the kinds share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError

Index = npt.NDArray[np.intp]


@runtime_checkable
class Space(Protocol):
    """Where the columns of a response matrix live."""

    @property
    def n_targets(self) -> int:
        """Number of columns."""
        ...

    def take(self, index: Index) -> Space:
        """Return the space of these columns."""
        ...

    def paint(self, vector: npt.ArrayLike) -> Any:
        """Return the image, evoked, table or array that shows one number per target."""
        ...

    def neighbourhoods(self, radius_mm: float) -> Iterator[Index]:
        """Yield, for each target, the columns within ``radius_mm`` of it (itself among them)."""
        ...


def as_vector(vector: npt.ArrayLike, n_targets: int, space: str) -> npt.NDArray[np.float64]:
    """Return one float per target, or say how many were expected."""
    values = np.asarray(vector, dtype=np.float64)
    if values.shape != (n_targets,):
        raise InputError("one number per target is needed", where=f"{space}.paint", expected=f"shape ({n_targets},)", got=f"shape {values.shape}")
    return values


def check_radius(radius_mm: float) -> float:
    """Return a positive, finite radius in millimetres."""
    if not (np.isfinite(radius_mm) and radius_mm >= 0):
        raise InputError("radius must be a non-negative number of millimetres", got=radius_mm)
    return float(radius_mm)


def balls(coordinates: npt.NDArray[np.float64], radius_mm: float) -> Iterator[Index]:
    """Yield, for each point (mm), the sorted indices of the points within the radius."""
    from scipy.spatial import cKDTree

    finite = np.asarray(np.isfinite(coordinates).all(axis=1))
    if not finite.all():
        raise InputError("targets without coordinates have no neighbourhood", got=f"{int((~finite).sum())} of {len(finite)} without x, y, z")
    tree = cKDTree(coordinates)
    reach = check_radius(radius_mm) * (1 + 1e-12)
    for point in coordinates:
        yield np.sort(np.asarray(tree.query_ball_point(point, reach), dtype=np.intp))
