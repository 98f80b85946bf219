"""What identifying regions or layers across subjects found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.nouns.persist import Saved
from brainenc.rsa.topology.grids import CATEGORIES, Grid

Floats = npt.NDArray[np.float64]
QUANTITIES = ("accuracy", "sensitivity", "specificity", "discriminability")


@dataclass(frozen=True, slots=True, eq=False)
class Identification(Saved):
    """Accuracy of naming the region (item) of a held-out subject's (group's) RDM, for raw RDMs, rank RDMs and every cell of the grid.

    Parameters
    ----------
    entries : DataFrame of n_entries rows
        transform ("raw", "rank", "rgtm", "rgdm"), l, u, category; raw and rank first.
    grid : Grid
        Of the cells, which are the last ``len(grid)`` entries.
    item, group : str
        Columns of the RDMs' table.
    items, groups : tuple of str
        Their values.
    accuracy : ndarray of shape (n_entries,)
        Over all rows; ties between centroids are shared evenly.
    by_group : ndarray of shape (n_entries, n_groups)
    confusion : ndarray of shape (n_entries, n_items, n_items)
        How many rows of each item (first) went to which (second).
    discriminability : ndarray of shape (n_entries, n_items)
        (B - W) / (B + W): W the mean distance of RDMs of one item in different groups, B of the item to other items in other groups.
        0: the item is no more like itself than like others; 1: it is the same in all groups. This index is ours.
    nested : float
        Accuracy where (l, u) is chosen for each group among the others only; NaN where not asked for.
    chosen : DataFrame of n_groups rows
        ``group``, l, u, category, inner (accuracy inside the others), accuracy.
    draws : ndarray of shape (n_draws, n_entries)
        Bootstrapped accuracies; ``nested_draws`` (n_draws,) likewise, the choice being repeated in every draw.
    null : ndarray of shape (n_permutations, n_entries)
        Accuracies with the items permuted within groups; ``nested_null`` likewise.
    resampled : tuple of str
        What the draws resample.
    seed : int
    """

    entries: pd.DataFrame
    grid: Grid
    item: str
    group: str
    items: tuple[str, ...]
    groups: tuple[str, ...]
    accuracy: Floats
    by_group: Floats
    confusion: Floats
    discriminability: Floats
    nested: float
    chosen: pd.DataFrame
    draws: Floats
    nested_draws: Floats
    null: Floats
    nested_null: Floats
    resampled: tuple[str, ...]
    seed: int
    provenance: Mapping[str, Any]

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1.0 / len(self.items)

    def to_frame(self) -> pd.DataFrame:
        """Return one row an entry: transform, l, u, category, accuracy, se, ci_low, ci_high, p, p_max, n_draws.

        se and the interval (95 %, percentile) are of the draws that have an accuracy, n_draws of them; p is one-sided against permuted
        items, p_max against the largest accuracy of all entries in each permutation.
        """
        out = self.entries.assign(accuracy=self.accuracy)
        low, high, se, n_draws = _interval(self.draws, len(self.accuracy))
        largest = np.nanmax(self.null, axis=1, initial=-np.inf) if len(self.null) else np.empty(0)
        p_max = [_p(largest, value) for value in self.accuracy]
        p = [_p(column, value) for column, value in zip(self.null.T, self.accuracy, strict=True)]
        return out.assign(se=se, ci_low=low, ci_high=high, p=p, p_max=p_max, n_draws=n_draws)

    def summary(self) -> pd.DataFrame:
        """Return one row a measure: raw, rank, the mean of each category's cells, nested, best.

        Columns: measure, accuracy, se, ci_low, ci_high, n_draws, p, n_cells, n_groups, n_items, chance. ``best`` is the largest of all
        cells on the same data, so it flatters: it has no interval, and its p is that of the largest permuted accuracy.
        """
        names, values, draws, null = self._measures()
        low, high, se, n_draws = _interval(draws, len(names))
        cells = [1 if name in ("raw", "rank") else len(self.grid) if name == "nested" else int((self._cells()["category"] == name).sum()) for name in names]
        out = pd.DataFrame({"measure": names, "accuracy": values, "se": se, "ci_low": low, "ci_high": high, "n_draws": n_draws})
        out = out.assign(p=[_p(column, value) for column, value in zip(null.T, values, strict=True)], n_cells=cells)
        mine = self.accuracy[-len(self.grid) :]
        best = {"measure": "best", "accuracy": mine.max(), "n_cells": len(self.grid), "n_draws": 0}
        best["p"] = _p(self.null[:, -len(self.grid) :].max(axis=1), best["accuracy"]) if len(self.null) else np.nan
        out = pd.concat([out, pd.DataFrame([best])], ignore_index=True)
        return out.assign(n_groups=len(self.groups), n_items=len(self.items), chance=self.chance)

    def differences(self) -> pd.DataFrame:
        """Return one row a pair of measures (see `summary`), paired over the draws.

        Columns: first, second, difference (first - second), se, ci_low, ci_high (95 %, percentile), p (two-sided,
        2 min(1 + #{≤ 0}, 1 + #{≥ 0}) / (1 + n)), n_draws.
        """
        if not len(self.draws):
            raise InputError("differences are tested over bootstrap draws", where="Identification.differences", fix="identify(…, n_bootstrap=1000)")
        names, values, draws, _ = self._measures()
        rows = []
        for i, j in combinations(range(len(names)), 2):
            gap = draws[:, i] - draws[:, j]
            gap = gap[np.isfinite(gap)]
            low, high = np.percentile(gap, (2.5, 97.5)) if len(gap) else (np.nan, np.nan)
            # draws that differ by rounding only count as equal
            tail = min((1 + (gap <= 1e-12).sum()), (1 + (gap >= -1e-12).sum())) / (1 + len(gap))
            rows.append(
                {
                    "first": names[i], "second": names[j], "difference": values[i] - values[j], "se": gap.std(ddof=1) if len(gap) > 1 else np.nan,
                    "ci_low": low, "ci_high": high, "p": min(1.0, 2 * tail), "n_draws": len(gap),
                }
            )  # fmt: skip
        return pd.DataFrame(rows)

    def triangle(self, quantity: str = "accuracy", item: str | None = None) -> Floats:
        """Return one number a cell as (n_l, n_u), NaN outside l ≤ u; rows are ``grid.l``, columns ``grid.u``.

        Parameters
        ----------
        quantity : {"accuracy", "sensitivity", "specificity", "discriminability"}
            Sensitivity: share of the rows of an item that were given to it. Specificity: share of the other rows that were not.
        item : str, optional
            One region or layer; the mean over all of them where not given.
        """
        one_of(quantity, QUANTITIES, "quantity")
        cells = slice(len(self.accuracy) - len(self.grid), None)
        if quantity == "accuracy" and item is None:
            return self.grid.triangle(self.accuracy[cells])
        table = self._by_item("sensitivity" if quantity == "accuracy" else quantity)[cells]
        if item is None:
            return self.grid.triangle(table.mean(axis=1))
        one_of(item, self.items, "item")
        return self.grid.triangle(table[:, self.items.index(item)])

    def _by_item(self, quantity: str) -> Floats:
        if quantity == "discriminability":
            return self.discriminability
        right = np.diagonal(self.confusion, axis1=1, axis2=2)
        given, rows = self.confusion.sum(axis=1), self.confusion.sum(axis=2)
        total = rows.sum(axis=1, keepdims=True)
        return np.asarray(right / rows if quantity == "sensitivity" else 1.0 - (given - right) / (total - rows))

    def _cells(self) -> pd.DataFrame:
        return self.entries.iloc[-len(self.grid) :]

    def _measures(self) -> tuple[list[str], Floats, Floats, Floats]:
        """Return names, values (n,), draws (n_draws, n) and null (n_permutations, n) of the measures."""
        kind = self.entries["transform"].where(self.entries["category"].isna(), self.entries["category"]).to_numpy()
        names = [name for name in ("raw", "rank", *CATEGORIES) if (kind == name).any()]
        members = np.stack([(kind == name) / (kind == name).sum() for name in names], axis=1).astype(np.float64)
        values, draws, null = self.accuracy @ members, self.draws @ members, self.null @ members
        if np.isfinite(self.nested):
            names.append("nested")
            values = np.append(values, self.nested)
            draws, null = np.column_stack([draws, self.nested_draws]), np.column_stack([null, self.nested_null])
        return names, values, draws, null

    def __repr__(self) -> str:
        where = f"{len(self.items)} of {self.item} in {len(self.groups)} of {self.group}"
        return f"Identification({where}, {len(self.accuracy)} entries, nested {self.nested:.3f}, chance {self.chance:.3f})"

    def _repr_html_(self) -> str:
        shown = {row.measure: f"{row.accuracy:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}]" for row in self.summary().itertuples()}
        return facts("Identification", {self.item: len(self.items), self.group: len(self.groups), "chance": f"{self.chance:.3f}", **shown})


def _interval(draws: Floats, n: int) -> tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]:
    """Return low, high, standard error and how many draws have an accuracy (n,)."""
    low, high, se, known = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=np.int64)
    for i, column in enumerate(draws.T):
        column = column[np.isfinite(column)]
        known[i] = len(column)
        if len(column) > 1:
            (low[i], high[i]), se[i] = np.percentile(column, (2.5, 97.5)), column.std(ddof=1)
    return low, high, se, known


def _p(null: Floats, value: float) -> float:
    return float((1 + (null >= value - 1e-12).sum()) / (1 + len(null))) if len(null) else float("nan")
