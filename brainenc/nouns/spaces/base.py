"""The contract of a space, and what the kinds share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError

Index = npt.NDArray[np.intp]
HEMISPHERES = ("left", "right")
REACH = 1 + 1e-12  # a place whose distance is the radius belongs to the ball, whatever the rounding


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

    def neighbourhoods(self, radius_mm: float, *, centres: Index | None = None) -> Iterator[Index]:
        """Yield, for each target or each of ``centres``, the sorted columns within ``radius_mm`` of it (itself among them)."""
        ...


def as_vector(vector: npt.ArrayLike, n_targets: int, space: str) -> npt.NDArray[np.float64]:
    """Return one float per target, or say how many were expected."""
    values = np.asarray(vector, dtype=np.float64)
    if values.shape != (n_targets,):
        raise InputError("one number per target is needed", where=f"{space}.paint", expected=f"shape ({n_targets},)", got=f"shape {values.shape}")
    return values


def check_radius(radius_mm: float) -> float:
    """Return a positive, finite radius in millimetres."""
    if isinstance(radius_mm, bool) or not isinstance(radius_mm, int | float | np.number) or not (np.isfinite(radius_mm) and radius_mm >= 0):
        raise InputError("radius must be a non-negative number of millimetres", got=repr(radius_mm))
    return float(radius_mm)


def check_window(seconds: float) -> float:
    """Return a non-negative half-width in seconds; infinite means all times."""
    if not seconds >= 0:
        raise InputError("a time window is a non-negative number of seconds", got=seconds)
    return float(seconds)


def as_centres(centres: npt.ArrayLike | None, n_targets: int) -> Index:
    """Return the positions of the centres among the targets: all of them for None, those that are true of a mask."""
    if centres is None:
        return np.arange(n_targets)
    given = np.asarray(centres)
    if given.dtype == bool:
        if given.shape != (n_targets,):
            raise InputError("a mask of centres has one entry per target", where="neighbourhoods", expected=f"({n_targets},)", got=given.shape)
        return np.flatnonzero(given)
    if given.ndim != 1 or (given.size and (given.dtype.kind not in "iu" or given.min() < 0 or given.max() >= n_targets)):
        raise InputError("centres are positions of targets", where="neighbourhoods", expected=f"whole numbers from 0 to {n_targets - 1}", got=given)
    return given.astype(np.intp)


def rows_of(values: Index, counts: npt.NDArray[Any]) -> Iterator[Index]:
    """Yield consecutive pieces of ``values``, as many of each as ``counts`` says."""
    ends = np.cumsum(counts)
    for start, stop in zip(ends - counts, ends, strict=True):
        yield values[start:stop]


def balls(coordinates: npt.NDArray[np.float64], radius_mm: float, centres: Index | None = None) -> Iterator[Index]:
    """Yield, for each point or each of ``centres`` (mm), the sorted indices of the points within the radius."""
    from scipy.spatial import cKDTree

    finite = np.asarray(np.isfinite(coordinates).all(axis=1))
    if not finite.all():
        raise InputError("targets without coordinates have no neighbourhood", got=f"{int((~finite).sum())} of {len(finite)} without x, y, z")
    reach = check_radius(radius_mm) * REACH
    chosen = as_centres(centres, len(coordinates))
    tree = cKDTree(coordinates)
    for start in range(0, len(chosen), 1024):
        for near in tree.query_ball_point(coordinates[chosen[start : start + 1024]], reach, return_sorted=True):
            yield np.asarray(near, dtype=np.intp)
