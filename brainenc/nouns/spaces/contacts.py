"""Intracranial contacts (sEEG, ECoG)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.nouns.spaces.base import Index, as_centres, as_vector, balls, check_window
from brainenc.nouns.tables import as_table, need_column


@dataclass(frozen=True, slots=True, eq=False)
class ContactSpace:
    """Targets as contacts, or as (contact, time) pairs with one row each.

    Parameters
    ----------
    table : DataFrame of n_targets rows
        ``channel``, x, y, z (mm, MNI unless stated), and any of region, shaft, hemi, time (s).
    """

    table: pd.DataFrame

    def __post_init__(self) -> None:
        table = as_table(self.table, "ContactSpace.table")
        need_column(table, "channel", "ContactSpace.table")
        object.__setattr__(self, "table", table)

    @property
    def n_targets(self) -> int:
        """Number of contacts (or contact-time pairs)."""
        return len(self.table)

    @property
    def coordinates(self) -> npt.NDArray[np.float64]:
        """Positions in millimetres (n_targets, 3)."""
        for column in ("x", "y", "z"):
            need_column(self.table, column, "ContactSpace.table")
        return self.table[["x", "y", "z"]].to_numpy(dtype=np.float64)

    def take(self, index: Index) -> ContactSpace:
        """Return the space of these contacts."""
        return replace(self, table=self.table.iloc[index])

    def paint(self, vector: npt.ArrayLike) -> pd.DataFrame:
        """Return the contact table with a column ``value``."""
        return self.table.assign(value=as_vector(vector, self.n_targets, "ContactSpace"))

    def unpaint(self, table: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the column ``value`` of a table that `paint` made."""
        return as_vector(need_column(table, "value", "ContactSpace.unpaint"), self.n_targets, "ContactSpace")

    def neighbourhoods(self, radius_mm: float, *, centres: Index | None = None, time_window: float = 0.0) -> Iterator[Index]:
        """Yield the contacts within ``radius_mm`` of each contact (or of ``centres``).

        Where the table has times, at the same time, or at most ``time_window`` seconds away.
        """
        chosen = as_centres(centres, self.n_targets)
        if "time" not in self.table:
            yield from balls(self.coordinates, radius_mm, chosen)
            return
        times, points = self.table["time"].to_numpy(dtype=np.float64), self.coordinates
        reach = check_window(time_window) + 1e-9
        out: list[Index] = [np.empty(0, dtype=np.intp)] * len(chosen)
        for now in np.unique(times[chosen]):
            here = np.flatnonzero(np.abs(times - now) <= reach)
            places = np.flatnonzero(times[chosen] == now)
            for place, near in zip(places, balls(points[here], radius_mm, np.searchsorted(here, chosen[places])), strict=True):
                out[place] = here[near]
        yield from out

    def __repr__(self) -> str:
        return f"ContactSpace({self.n_targets} targets on {self.table['channel'].nunique()} contacts)"
