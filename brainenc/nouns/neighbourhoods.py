"""Which targets stand around each centre: the index lists of a searchlight, kept in one piece."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.nouns import persist

Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhoods:
    """Lists of targets, one list a centre, in compressed rows.

    Parameters
    ----------
    centres : ndarray of int, shape (n_centres,)
        Which target each list belongs to.
    indices : ndarray of int, shape (n_entries,)
        The lists one after the other, each sorted and without repeats.
    starts : ndarray of int, shape (n_centres + 1,)
        Where each list starts in ``indices``, and where the last one ends.
    n_targets : int
        Columns of the responses that the lists point into.
    full : ndarray of int, shape (n_centres,), optional
        How many places each neighbourhood would have if no mask cut it.
    description : str
        In words, for tables: "voxels within 9 mm".
    """

    centres: Index
    indices: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    n_targets: int
    full: Index | None = None
    description: str = "given neighbourhoods"

    def __post_init__(self) -> None:
        centres = np.asarray(self.centres, dtype=np.intp)
        indices = np.asarray(self.indices, dtype=np.int32)
        starts = np.asarray(self.starts, dtype=np.int64)
        n = len(centres)
        if starts.shape != (n + 1,) or starts[0] != 0 or starts[-1] != len(indices) or (np.diff(starts) < 0).any():
            raise InputError("starts do not cut indices into one list a centre", where="Neighbourhoods", expected=f"({n + 1},)", got=starts.shape)
        for name, values in (("centres", centres), ("indices", indices)):
            if len(values) and (values.min() < 0 or values.max() >= self.n_targets):
                raise InputError(f"{name} lie outside the targets", where="Neighbourhoods", expected=f"below {self.n_targets}", got=int(values.max()))
        if len(np.unique(centres)) < n:
            raise InputError("a centre stands twice", where="Neighbourhoods", expected=f"{n} different centres", got=len(np.unique(centres)))
        for name, value in (("centres", centres), ("indices", indices), ("starts", starts)):
            object.__setattr__(self, name, value)
        if self.full is not None:
            object.__setattr__(self, "full", np.asarray(self.full, dtype=np.intp))

    @classmethod
    def of(cls, lists: Iterable[npt.ArrayLike], n_targets: int, *, centres: npt.ArrayLike | None = None, **rest: Any) -> Neighbourhoods:
        """Build from any lists of target positions, for instance ``space.neighbourhoods(9.0)``.

        Parameters
        ----------
        lists : iterable of array_like of int
            One a centre; sorted here, a repeated position is refused.
        n_targets : int
        centres : array_like of int, optional
            The target of each list; target after target when not given.

        Examples
        --------
        >>> near = Neighbourhoods.of([[0, 1], [2, 0, 1], [1, 2]], 3)
        >>> near.sizes.tolist(), near[1].tolist()
        ([2, 3, 2], [0, 1, 2])
        """
        rows = [np.asarray(given, dtype=np.int32).reshape(-1) for given in lists]
        who = np.arange(len(rows)) if centres is None else np.asarray(centres)
        if len(who) != len(rows):
            raise InputError("neighbourhoods and centres differ in number", where="Neighbourhoods", expected=len(rows), got=len(who))
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        flat = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
        _sort_rows(flat, starts)
        return cls(centres=who, indices=flat, starts=starts, n_targets=n_targets, **rest)

    @property
    def sizes(self) -> Index:
        """Targets in each neighbourhood (n_centres,)."""
        return np.diff(self.starts).astype(np.intp)

    def take(self, positions: npt.ArrayLike) -> Neighbourhoods:
        """Return the neighbourhoods at these positions."""
        index = np.asarray(positions, dtype=np.intp)
        sizes = self.sizes[index]
        starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        rows = [self.indices[self.starts[i] : self.starts[i + 1]] for i in index]
        full = None if self.full is None else self.full[index]
        return replace(self, centres=self.centres[index], indices=np.concatenate(rows) if rows else self.indices[:0], starts=starts, full=full)

    def without(self, targets: npt.ArrayLike) -> Neighbourhoods:
        """Return the same centres with the targets of a mask (n_targets,) taken out of every list."""
        keep = ~np.asarray(targets, dtype=bool)[self.indices]
        kept = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])
        return replace(self, indices=self.indices[keep], starts=kept[self.starts])

    def touched(self, targets: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return which neighbourhoods (n_centres,) hold a target of a mask (n_targets,)."""
        hits = np.concatenate([[0], np.cumsum(np.asarray(targets, dtype=bool)[self.indices], dtype=np.int64)])
        return np.asarray(np.diff(hits[self.starts]) > 0)

    def batch(self, positions: Index) -> Index:
        """Return the lists at these positions, which must be of one size, as a matrix (n_positions, size)."""
        size = int(self.starts[positions[0] + 1] - self.starts[positions[0]])
        return self.indices[self.starts[positions][:, None] + np.arange(size)].astype(np.intp)

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __len__(self) -> int:
        return len(self.centres)

    def __getitem__(self, position: int) -> Index:
        return self.indices[self.starts[position] : self.starts[position + 1]].astype(np.intp)

    def __iter__(self) -> Iterator[Index]:
        return (self[position] for position in range(len(self)))

    def __repr__(self) -> str:
        sizes = self.sizes
        spread = f"{sizes.min()} to {sizes.max()} targets" if len(sizes) else "none"
        return f"Neighbourhoods({len(self)} centres among {self.n_targets} targets, {spread}; {self.description})"

    def _repr_html_(self) -> str:
        return facts("Neighbourhoods", {"centres": len(self), "targets": self.n_targets, "what": self.description, "median size": int(np.median(self.sizes))})


def _sort_rows(flat: npt.NDArray[np.int32], starts: npt.NDArray[np.int64]) -> None:
    """Sort each list in place; one that names a target twice is refused."""
    falls = np.flatnonzero(flat[1:] <= flat[:-1]) + 1
    inside = falls[~np.isin(falls, starts)]
    for row in np.unique(np.searchsorted(starts, inside, side="right") - 1):
        part = flat[starts[row] : starts[row + 1]]
        part.sort()
        if (part[1:] == part[:-1]).any():
            raise InputError("a neighbourhood lists a target twice", where=f"neighbourhood {row}", got=part.tolist()[:12])
