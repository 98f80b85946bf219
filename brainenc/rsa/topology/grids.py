"""Grids of thresholds (l, u), and what kind of map each cell is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError

Floats = npt.NDArray[np.float64]

CATEGORIES = ("topology", "geometry", "local", "global", "intermediate")
STEP = 0.05
_EPS = 1e-9  # 0.9 - 0.1 is not 0.8 in binary


def category(l: float, u: float) -> str:  # noqa: E741
    """Return what an RGTM with these thresholds looks at.

    Tested in this order: local (l + u) / 2 ≤ 0.2; global (l + u) / 2 ≥ 0.8; geometry u - l ≥ 0.8; topology l ≥ 0.4 and u ≤ 0.6; else
    intermediate, as in the code of Lin & Kriegeskorte (2024) doi:10.1073/pnas.2317881121.

    Examples
    --------
    >>> category(0.0, 1.0), category(0.45, 0.55), category(0.0, 0.4)
    ('geometry', 'topology', 'local')
    """
    if (l + u) / 2 <= 0.2 + _EPS:
        return "local"
    if (l + u) / 2 >= 0.8 - _EPS:
        return "global"
    if u - l >= 0.8 - _EPS:
        return "geometry"
    return "topology" if l >= 0.4 - _EPS and u <= 0.6 + _EPS else "intermediate"


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """All pairs l ≤ u of two lists of thresholds but (0, 0) and (1, 1), which tell only one pair of conditions from the rest or none.

    Parameters
    ----------
    l, u : ndarray of shape (n_l,), (n_u,)
        Ascending.
    row, column : ndarray of shape (n_cells,)
        Where each cell stands in (l, u).
    """

    l: Floats  # noqa: E741
    u: Floats
    row: npt.NDArray[np.intp]
    column: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.row)

    def frame(self) -> pd.DataFrame:
        """Return one row a cell: l, u, category."""
        low, high = self.l[self.row], self.u[self.column]
        return pd.DataFrame({"l": low, "u": high, "category": [category(a, b) for a, b in zip(low, high, strict=True)]})

    def triangle(self, values: npt.ArrayLike) -> Floats:
        """Return one number a cell (n_cells,) as (n_l, n_u), NaN outside the cells."""
        out = np.full((len(self.l), len(self.u)), np.nan)
        out[self.row, self.column] = np.asarray(values, dtype=np.float64)
        return out


def make_grid(l: npt.ArrayLike | None = None, u: npt.ArrayLike | None = None) -> Grid:  # noqa: E741
    """Return the grid of thresholds l and u; each is 0, 0.05 … 1 where not given.

    Raises
    ------
    InputError
        For thresholds outside 0 … 1 and where no cell is left.

    Examples
    --------
    >>> len(make_grid()), len(make_grid([0.0, 0.5], [0.5, 1.0]))
    (229, 4)
    """
    low, high = _levels(l, "l"), _levels(u, "u")
    total = low[:, None] + high[None]
    inside = (low[:, None] <= high[None] + _EPS) & (total > _EPS) & (total < 2 - _EPS)
    row, column = np.nonzero(inside)
    if not len(row):
        raise InputError("no cell with l ≤ u is left; (0, 0) and (1, 1) are none", where="l, u", got=f"l={low.tolist()}, u={high.tolist()}")
    return Grid(low, high, row, column)


def _levels(values: npt.ArrayLike | None, name: str) -> Floats:
    if values is None:
        return np.round(np.arange(0, 1 + STEP / 2, STEP), 10)
    # 0.30000000000000004 is what linspace and arange give for 0.3
    levels = np.unique(np.round(np.atleast_1d(np.asarray(values, dtype=np.float64)).ravel(), 10))
    if not len(levels) or np.isnan(levels).any() or levels[0] < 0 or levels[-1] > 1:
        raise InputError("thresholds lie between 0 and 1", where=name, got=levels.tolist())
    return levels
