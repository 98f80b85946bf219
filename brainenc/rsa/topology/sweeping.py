"""Every (l, u) at once: one sort an RDM, then cells stream past."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of, parse_bytes
from brainenc.core.errors import InputError
from brainenc.linalg.ramps import FAMILIES, ramp
from brainenc.nouns.rdms import RDMs
from brainenc.rsa.topology.grids import Grid, make_grid
from brainenc.rsa.topology.transforms import checked_values, geodesic_values, rewrap, thresholds, twostep, unit_values

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """RDMs under every cell of a grid of thresholds; a cell is computed when it is asked for.

    Parameters
    ----------
    rdms : RDMs
        As given.
    grid : Grid
    transform, family, unconnected : str
    unit : ndarray of shape (n_rdms, n_pairs)
        Ranks between 0 and 1.
    low, high : ndarray of shape (n_rdms, n_cells)
        Thresholds on them.
    memory : int
        Bytes of the cells held at once.
    """

    rdms: RDMs
    grid: Grid
    transform: str
    family: str
    unconnected: str
    unit: Floats
    low: Floats
    high: Floats
    memory: int

    @property
    def cells(self) -> pd.DataFrame:
        """One row a cell: l, u, category."""
        return self.grid.frame()

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.grid)

    def values(self, cells: npt.ArrayLike) -> Floats:
        """Return the transformed dissimilarities (n, n_rdms, n_pairs) of these cells."""
        index = torch.from_numpy(np.atleast_1d(np.asarray(cells, dtype=np.intp)))
        low, high = (torch.from_numpy(edge).T[index][..., None] for edge in (self.low, self.high))
        out = ramp(torch.from_numpy(self.unit), low, high, self.family)
        return (geodesic_values(twostep(out), self.unconnected, True) if self.transform == "rgdm" else out).numpy()

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.intp], Floats]]:
        """Yield positions of cells and their values (n, n_rdms, n_pairs), never more at once than ``memory``."""
        step = max(1, self.memory // max(1, 3 * self.unit.nbytes))
        for start in range(0, self.n_cells, step):
            index = np.arange(start, min(start + step, self.n_cells))
            yield index, self.values(index)

    def __iter__(self) -> Iterator[tuple[float, float, Floats]]:
        """Yield l, u and the values (n_rdms, n_pairs) of each cell."""
        frame = self.cells
        for index, values in self.blocks():
            for cell, one in zip(index, values, strict=True):
                yield float(frame["l"][cell]), float(frame["u"][cell]), one

    def at(self, l: float, u: float) -> RDMs:  # noqa: E741
        """Return the RDMs of one cell of the grid."""
        frame = self.cells
        hits = np.flatnonzero(np.isclose(frame["l"], l, atol=1e-9) & np.isclose(frame["u"], u, atol=1e-9))
        if not len(hits):
            raise InputError("not a cell of this sweep", where="Sweep.at", got=f"l={l}, u={u}", fix="see Sweep.cells, or call rgtm for a single cell")
        result: RDMs = rewrap(self.rdms, torch.from_numpy(self.values(hits[0])[0]), f"{self.transform.upper()}({l:g}, {u:g})")
        return result

    def gram(self) -> Floats:
        """Return the products (n_cells, n_rdms, n_rdms) of the RDMs of each cell, about the mean RDM of the cell."""
        out = np.empty((self.n_cells, len(self.unit), len(self.unit)))
        for index, values in self.blocks():
            values -= values.mean(axis=1, keepdims=True)
            out[index] = values @ np.swapaxes(values, 1, 2)
        return out

    def distances(self) -> Floats:
        """Return the Euclidean distances (n_cells, n_rdms, n_rdms) between the RDMs of each cell."""
        gram = self.gram()
        size = np.diagonal(gram, axis1=1, axis2=2)
        squared = np.maximum(size[:, :, None] + size[:, None] - 2 * gram, 0.0)  # rounding of equal RDMs
        squared[:, np.arange(len(self.unit)), np.arange(len(self.unit))] = 0.0
        return np.asarray(np.sqrt(squared))

    def __repr__(self) -> str:
        return f"Sweep({self.transform}, {self.n_cells} cells × {len(self.unit)} RDMs × {self.rdms.n_conditions} conditions)"


def sweep(
    rdms: RDMs, l: npt.ArrayLike | None = None, u: npt.ArrayLike | None = None, *,  # noqa: E741
    transform: str = "rgtm", family: str = "piecewise", unconnected: str = "inf", memory: str | int = "256MB",
) -> Sweep:  # fmt: skip
    """Prepare RDMs for every pair of thresholds l ≤ u: ranks and quantiles are found once, for all cells.

    Parameters
    ----------
    rdms : RDMs
    l, u : array_like
        Grids of thresholds, 0, 0.05 … 1 where not given. The cells (0, 0) and (1, 1) are left out.
    transform : {"rgtm", "rgdm"}
        The latter is the two-step geodesic, ranked; see `rgdm`.
    family : {"piecewise", "keep", "upper"}
        See `rgtm`.
    unconnected : {"inf", "largest", "raise"}
        See `rgdm`; under ``"inf"`` unconnected pairs share the last rank.
    memory : str or int
        Of the cells that are held at once.

    Returns
    -------
    Sweep
        Iterate over it for (l, u, values), or ask for ``at(l, u)``, ``gram()``, ``distances()``.

    Raises
    ------
    InputError
        For missing, infinite or constant dissimilarities, and thresholds outside 0 … 1.

    Examples
    --------
    >>> rdms = RDMs(np.array([[0.1, 0.5, 0.2, 7.0, 0.3, 0.4]]), {"stimulus_id": list("abcd")})
    >>> sweep(rdms, [0.0, 0.2], [0.6, 1.0]).at(0.2, 0.6).values.round(2).tolist()
    [[0.0, 1.0, 0.0, 1.0, 0.5, 1.0]]
    """
    if not isinstance(rdms, RDMs):
        raise InputError("not RDMs", where="sweep", got=type(rdms).__name__, fix="RDMs(values, conditions) holds arrays; rgtm takes them as they are")
    one_of(transform, ("rgtm", "rgdm"), "transform")
    one_of(family, FAMILIES, "family")
    one_of(unconnected, ("inf", "largest", "raise"), "unconnected")
    grid = make_grid(l, u)
    unit = unit_values(checked_values(rdms, "sweep"), "rank")
    low, high = _edges(unit, grid)
    return Sweep(rdms, grid, transform, family, unconnected, unit.numpy(), low, high, parse_bytes(memory))


def _edges(unit: torch.Tensor, grid: Grid) -> tuple[Any, Any]:
    levels = np.concatenate([grid.l, grid.u])
    edges = thresholds(unit, levels, "rank").numpy()
    return np.ascontiguousarray(edges[:, grid.row]), np.ascontiguousarray(edges[:, len(grid.l) + grid.column])
