"""Representational dissimilarity matrices, as rows of pairs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import as_matrix
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.core.selection import select
from brainenc.nouns import persist
from brainenc.nouns.tables import as_table, need_column, unique_ids


@dataclass(frozen=True, slots=True, eq=False)
class RDMs:
    """One or more RDMs over the same conditions.

    Parameters
    ----------
    values : ndarray of shape (n_rdms, n_pairs)
        Upper triangles row by row: pairs (0, 1), (0, 2) … (n-2, n-1).
    conditions : DataFrame of n_conditions rows
        ``stimulus_id`` (or any ``condition`` name) and categories.
    rdms : DataFrame of n_rdms rows
        subject, roi, model, layer, time …
    metric : str
        The dissimilarity.
    """

    values: npt.NDArray[Any]
    conditions: pd.DataFrame
    rdms: pd.DataFrame = None  # type: ignore[assignment]  # filled in below
    metric: str = "unknown"
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = as_matrix(self.values, "RDMs.values")
        conditions = as_table(self.conditions, "RDMs.conditions")
        n = len(conditions)
        if values.shape[1] != n * (n - 1) // 2:
            wanted = f"{n * (n - 1) // 2} pairs of {n} conditions"
            raise InputError("number of pairs does not fit the conditions", where="RDMs", expected=wanted, got=values.shape[1])
        name = "stimulus_id" if "stimulus_id" in conditions else "condition"
        need_column(conditions, name, "RDMs.conditions")
        conditions[name] = unique_ids(conditions[name], name)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "conditions", conditions)
        object.__setattr__(self, "rdms", as_table(self.rdms, "RDMs.rdms", n_rows=len(values)))

    @classmethod
    def from_square(cls, square: npt.ArrayLike, conditions: Any, **rest: Any) -> RDMs:
        """Build from (n_rdms, n, n) or (n, n) symmetric matrices; an asymmetric one is refused."""
        stack = np.atleast_3d(np.asarray(square, dtype=np.float64))
        stack = stack if np.ndim(square) == 3 else np.moveaxis(stack, -1, 0)
        if stack.shape[1] != stack.shape[2]:
            raise InputError("RDMs must be square", where="RDMs.from_square", got=f"shape {stack.shape}")
        gap = np.nanmax(np.abs(stack - np.swapaxes(stack, 1, 2))) if stack.size else 0.0
        if gap > 1e-6 * max(1.0, float(np.nanmax(np.abs(stack)))):
            raise InputError("RDMs must be symmetric", where="RDMs.from_square", got=f"a difference of {gap:.3g} across the diagonal")
        upper = np.triu_indices(stack.shape[1], 1)
        return cls(values=stack[:, upper[0], upper[1]], conditions=conditions, **rest)

    @property
    def n_rdms(self) -> int:
        """Number of RDMs."""
        return int(self.values.shape[0])

    @property
    def n_conditions(self) -> int:
        """Number of conditions."""
        return len(self.conditions)

    @property
    def ids(self) -> npt.NDArray[np.object_]:
        """Names of the conditions (n_conditions,)."""
        return np.asarray(self.conditions["stimulus_id" if "stimulus_id" in self.conditions else "condition"], dtype=object)

    def square(self) -> npt.NDArray[np.float64]:
        """Return symmetric matrices (n_rdms, n_conditions, n_conditions) with a zero diagonal."""
        n = self.n_conditions
        full = np.zeros((self.n_rdms, n, n))
        rows, columns = np.triu_indices(n, 1)
        full[:, rows, columns] = full[:, columns, rows] = self.values
        return full

    def take(self, positions: npt.ArrayLike) -> RDMs:
        """Return the RDMs at these positions."""
        index = np.asarray(positions, dtype=np.intp).reshape(-1)
        return replace(self, values=self.values[index], rdms=self.rdms.iloc[index])

    def where(self, selection: str | None = None, **equals: Any) -> RDMs:
        """Return the RDMs that a selection keeps, e.g. ``where(roi="IT")``."""
        index = select(self.rdms, selection, **equals)
        if not len(index):
            raise InputError(f"selection keeps none of {self.n_rdms} RDMs", got=repr(selection or equals))
        return self.take(index)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per RDM and pair: the columns of ``rdms``, condition_a, condition_b, dissimilarity."""
        rows, columns = np.triu_indices(self.n_conditions, 1)
        pairs = pd.DataFrame({"condition_a": self.ids[rows], "condition_b": self.ids[columns]})
        parts = []
        for position in range(self.n_rdms):
            part = pairs.assign(dissimilarity=self.values[position])
            for name, value in self.rdms.iloc[position].items():
                part.insert(0, str(name), value)
            parts.append(part)
        return pd.concat(parts, ignore_index=True)

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __repr__(self) -> str:
        return f"RDMs({self.n_rdms} × {self.n_conditions} conditions, {self.metric})"

    def _repr_html_(self) -> str:
        return facts("RDMs", {"rdms": self.n_rdms, "conditions": self.n_conditions, "metric": self.metric, "columns": ", ".join(self.rdms.columns)})
