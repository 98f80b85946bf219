"""A plain array: neurons, features of an unknown place, parcels without coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.spaces.base import Index, as_vector


@dataclass(frozen=True, slots=True, eq=False)
class ArraySpace:
    """Targets as cells of an array.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array; its cells in C order are the targets.
    cells : ndarray of shape (n_targets,), optional
        Flat positions of the targets that are kept; all of them when not given.
    """

    shape: tuple[int, ...]
    cells: Index | None = None

    def __post_init__(self) -> None:
        shape = (self.shape,) if isinstance(self.shape, int | np.integer) else tuple(self.shape)
        if not shape or any(int(n) < 1 for n in shape):
            raise InputError("an array needs positive dimensions", where="ArraySpace", got=shape)
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        if self.cells is not None:
            object.__setattr__(self, "cells", np.asarray(self.cells, dtype=np.intp))

    @property
    def n_targets(self) -> int:
        """Number of columns."""
        return int(np.prod(self.shape)) if self.cells is None else len(self.cells)

    def take(self, index: Index) -> ArraySpace:
        """Return the space of these columns."""
        cells = np.arange(self.n_targets) if self.cells is None else self.cells
        return replace(self, cells=cells[index])

    def paint(self, vector: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return an array of ``shape`` with the values in their cells and NaN elsewhere."""
        values = as_vector(vector, self.n_targets, "ArraySpace")
        if self.cells is None:
            return values.reshape(self.shape)
        canvas = np.full(int(np.prod(self.shape)), np.nan)
        canvas[self.cells] = values
        return canvas.reshape(self.shape)

    def unpaint(self, array: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the vector (n_targets,) that `paint` made this array from."""
        flat = np.asarray(array, dtype=np.float64).reshape(-1)
        return flat if self.cells is None else flat[self.cells]

    def neighbourhoods(self, radius_mm: float, *, centres: Index | None = None) -> Iterator[Index]:
        """A plain array has no millimetres: refuse."""
        raise InputError("a plain array has no distances in millimetres", where="ArraySpace.neighbourhoods", fix="give the responses a space with coordinates")

    def __repr__(self) -> str:
        return f"ArraySpace({self.n_targets} of {int(np.prod(self.shape))} cells of {self.shape})"
