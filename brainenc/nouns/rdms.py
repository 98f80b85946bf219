"""Representational dissimilarity matrices, as rows of pairs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import as_matrix, examples, one_of
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.core.html import facts
from brainenc.core.resolver import resolve
from brainenc.core.selection import select
from brainenc.nouns import persist
from brainenc.nouns.tables import as_table, need_column, positions_of, unique_ids

Floats = npt.NDArray[np.float64]
TRANSFORMS = ("rank", "sqrt", "positive", "minmax", "zscore")


@dataclass(frozen=True, slots=True, eq=False)
class RDMs:
    """One or more RDMs over the same conditions. Values cannot be written to; every change makes a new object.

    Parameters
    ----------
    values : ndarray of shape (n_rdms, n_pairs)
        Upper triangles row by row: pairs (0, 1), (0, 2) … (n-2, n-1); kept as float64.
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
        if not isinstance(self.conditions, pd.DataFrame | Mapping) and not _records(self.conditions):
            fix = 'give {"condition": [names]}'
            raise InputError("conditions are a table", where="RDMs", expected="a DataFrame or a dict of columns", got=type(self.conditions).__name__, fix=fix)
        conditions = as_table(self.conditions, "RDMs.conditions")
        n = len(conditions)
        if values.shape[1] != n * (n - 1) // 2:
            wanted = f"{n * (n - 1) // 2} pairs of {n} conditions"
            raise InputError("number of pairs does not fit the conditions", where="RDMs", expected=wanted, got=values.shape[1])
        name = "stimulus_id" if "stimulus_id" in conditions else "condition"
        need_column(conditions, name, "RDMs.conditions")
        conditions[name] = unique_ids(conditions[name], name)
        object.__setattr__(self, "values", _frozen(values))
        object.__setattr__(self, "conditions", conditions)
        # a table without columns has no rows either once it has been in a file
        table = None if self.rdms is None or not len(getattr(self.rdms, "columns", (0,))) else self.rdms
        object.__setattr__(self, "rdms", as_table(table, "RDMs.rdms", n_rows=len(values)))
        object.__setattr__(self, "provenance", dict(self.provenance))

    @classmethod
    def from_square(cls, square: npt.ArrayLike, conditions: Any, **rest: Any) -> RDMs:
        """Build from (n_rdms, n, n) or (n, n) symmetric matrices; an asymmetric one is refused."""
        stack = np.atleast_3d(np.asarray(square, dtype=np.float64))
        stack = stack if np.ndim(square) == 3 else np.moveaxis(stack, -1, 0)
        if stack.shape[1] != stack.shape[2]:
            raise InputError("RDMs must be square", where="RDMs.from_square", got=f"shape {stack.shape}")
        finite = np.abs(stack[np.isfinite(stack)])
        with np.errstate(invalid="ignore"):
            gaps = np.abs(stack - np.swapaxes(stack, 1, 2))
        gap = float(np.max(gaps, where=np.isfinite(gaps), initial=0.0))
        if gap > 1e-6 * max(1.0, float(finite.max(initial=0.0))):
            raise InputError("RDMs must be symmetric", where="RDMs.from_square", got=f"a difference of {gap:.3g} across the diagonal")
        upper = np.triu_indices(stack.shape[1], 1)
        return cls(values=frozen(stack[:, upper[0], upper[1]]), conditions=conditions, **rest)

    @classmethod
    def concat(cls, parts: Iterable[RDMs], *, join: str = "same") -> RDMs:
        """Stack the RDMs of several objects; their conditions are matched by name and stand in the order of the first.

        Parameters
        ----------
        parts : iterable of RDMs
            Of one metric.
        join : {"same", "common", "all"}
            ``"same"``: all must have the same conditions, in any order. ``"common"``: only the conditions that all share.
            ``"all"``: every condition; pairs that an RDM lacks are NaN.

        Raises
        ------
        InputError
            Other metrics, or conditions that differ (both numbers and examples are named).
        """
        return _concat(list(parts), one_of(join, ("same", "common", "all"), "join"))

    @property
    def n_rdms(self) -> int:
        """Number of RDMs."""
        return int(self.values.shape[0])

    @property
    def n_conditions(self) -> int:
        """Number of conditions."""
        return len(self.conditions)

    @property
    def key(self) -> str:
        """The column of ``conditions`` that names them: ``stimulus_id`` or ``condition``."""
        return "stimulus_id" if "stimulus_id" in self.conditions else "condition"

    @property
    def ids(self) -> npt.NDArray[np.object_]:
        """Names of the conditions (n_conditions,)."""
        return np.asarray(self.conditions[self.key], dtype=object)

    def square(self) -> Floats:
        """Return symmetric matrices (n_rdms, n_conditions, n_conditions) with a zero diagonal."""
        n = self.n_conditions
        full = np.zeros((self.n_rdms, n, n))
        rows, columns = np.triu_indices(n, 1)
        full[:, rows, columns] = full[:, columns, rows] = self.values
        return full

    def take(self, positions: npt.ArrayLike) -> RDMs:
        """Return the RDMs at these positions (integers, or one boolean per RDM)."""
        index = np.asarray(positions).reshape(-1)
        if index.dtype.kind not in "biu" and index.size or (index.dtype == bool and len(index) != self.n_rdms):
            raise InputError("positions are integers, or one boolean an RDM", where="RDMs.take", expected=f"{self.n_rdms} RDMs", got=repr(positions))
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.intp)
        if len(index) and not -self.n_rdms <= index.min() <= index.max() < self.n_rdms:
            raise InputError("no such RDM", where="RDMs.take", expected=f"positions below {self.n_rdms}", got=examples(index))
        return replace(self, values=frozen(self.values[index]), rdms=self.rdms.iloc[index])

    def where(self, selection: str | None = None, **equals: Any) -> RDMs:
        """Return the RDMs that a selection keeps, e.g. ``where(roi="IT")``."""
        index = select(self.rdms, selection, **equals)
        if not len(index):
            raise InputError(f"selection keeps none of {self.n_rdms} RDMs", got=repr(selection or equals))
        return self.take(index)

    def take_conditions(self, ids: Iterable[Any]) -> RDMs:
        """Return the RDMs of these conditions, by name, in this order.

        Raises
        ------
        InputError
            For a name that is not there, a name given twice, or fewer than two names.
        """
        wanted = [str(i) for i in ids]
        if len(wanted) < 2:
            raise InputError("an RDM needs at least two conditions", where="RDMs.take_conditions", got=len(wanted))
        unique_ids(wanted, self.key)
        return _at_conditions(self, positions_of(wanted, list(self.ids), f"{self.key}s", "RDMs"))

    def where_conditions(self, selection: str | None = None, **equals: Any) -> RDMs:
        """Return the RDMs of the conditions that a selection keeps, e.g. ``where_conditions(category="face")``."""
        index = select(self.conditions, selection, **equals)
        if len(index) < 2:
            raise InputError(f"selection keeps {len(index)} of {self.n_conditions} conditions", expected="at least two", got=repr(selection or equals))
        return _at_conditions(self, index)

    def reorder(self, by: str | Sequence[str]) -> RDMs:
        """Return the same RDMs with the conditions sorted by one or more columns of ``conditions`` (ties keep their order)."""
        columns = [by] if isinstance(by, str) else list(by)
        for column in columns:
            need_column(self.conditions, column, "RDMs.conditions")
        return _at_conditions(self, np.asarray(self.conditions.sort_values(columns, kind="stable").index, dtype=np.intp))

    def transform(self, how: str) -> RDMs:
        """Return transformed RDMs; each RDM by itself, NaN pairs left as they are.

        Parameters
        ----------
        how : {"rank", "sqrt", "positive", "minmax", "zscore"}
            ``"rank"``: mid-ranks 1 … n_pairs. ``"sqrt"``: sign(d) √|d|, as cross-validated distances can be negative.
            ``"positive"``: negative values become 0. ``"minmax"``: (d − min)/(max − min). ``"zscore"``: mean 0, variance 1 (ddof 0).

        Notes
        -----
        A constant RDM has no minmax or zscore: it becomes NaN, with a warning that names it.
        """
        one_of(how, TRANSFORMS, "transform")
        values = np.array(self.values)
        for row, one in enumerate(values):
            valid = ~np.isnan(one)
            values[row, valid] = _transformed(one[valid], how)
        _say_if_constant(self, values, how)
        steps = [*self.provenance.get("transforms", []), how]
        return replace(self, values=frozen(values), provenance={**self.provenance, "transforms": steps})

    def average(self, by: str | Sequence[str] | None = None, *, nan: str = "propagate") -> RDMs:
        """Return the mean over the RDMs that agree in ``by`` (all of them without it); ``rdms["n_rdms"]`` counts them.

        Parameters
        ----------
        by : str or sequence of str, optional
            Columns of ``rdms``. Other columns that are constant within every group are kept.
        nan : {"propagate", "omit"}
            Whether a pair that is NaN in one RDM is NaN in the mean, or is averaged over the others.
        """
        one_of(nan, ("propagate", "omit"), "nan")
        keys = [] if by is None else [by] if isinstance(by, str) else list(by)
        for key in keys:
            need_column(self.rdms, key, "RDMs.rdms")
        table = self.rdms.drop(columns="n_rdms", errors="ignore")
        groups = table.groupby(keys, sort=False, dropna=False).ngroup().to_numpy() if keys else np.zeros(self.n_rdms, dtype=np.intp)
        n_groups = int(groups.max(initial=-1)) + 1
        values = np.full((n_groups, self.values.shape[1]), np.nan)
        for group in range(n_groups):
            mine = self.values[groups == group]
            if nan == "propagate":
                values[group] = mine.mean(axis=0)
                continue
            valid = ~np.isnan(mine)
            n = valid.sum(axis=0)
            values[group] = np.divide(np.where(valid, mine, 0.0).sum(axis=0), n, out=np.full(n.shape, np.nan), where=n > 0)
        constant = [c for c in table if bool((table[c].groupby(groups).nunique(dropna=False) == 1).all())]
        first = np.unique(groups, return_index=True)[1]
        rows = table.iloc[first][constant].assign(n_rdms=np.bincount(groups, minlength=n_groups))
        return replace(self, values=frozen(values), rdms=rows)

    def compare(self, other: RDMs, method: str = "pearson", **options: Any) -> Floats:
        """Return the similarity or distance (n_rdms, other.n_rdms) of each pair of RDMs, see `brainenc.rsa.compare`."""
        return resolve("brainenc.rsa:compare")(self, other, method, **options)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per RDM and pair: the columns of ``rdms``, condition_a, condition_b, dissimilarity."""
        rows, columns = np.triu_indices(self.n_conditions, 1)
        frame = self.rdms.iloc[np.repeat(np.arange(self.n_rdms), len(rows))].reset_index(drop=True)
        ids = self.ids
        return frame.assign(condition_a=np.tile(ids[rows], self.n_rdms), condition_b=np.tile(ids[columns], self.n_rdms), dissimilarity=self.values.reshape(-1))

    def to_rsatoolbox(self) -> Any:
        """Return an `rsatoolbox.rdm.RDMs` with ``conditions`` and ``rdms`` as its descriptors."""
        return resolve("brainenc.nouns.rdms_interop:to_rsatoolbox")(self)

    @classmethod
    def from_rsatoolbox(cls, rdms: Any, *, condition: str | None = None) -> RDMs:
        """Build from an `rsatoolbox.rdm.RDMs`.

        Parameters
        ----------
        rdms : rsatoolbox.rdm.RDMs
            Its descriptors become the columns of ``conditions`` and ``rdms``.
        condition : str, optional
            The pattern descriptor that names the conditions; when not given ``stimulus_id``, ``condition``, ``conds``, or the only
            descriptor with a different value for each condition, else rsatoolbox's own ``index``.
        """
        return resolve("brainenc.nouns.rdms_interop:from_rsatoolbox")(rdms, condition=condition)

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __repr__(self) -> str:
        return f"RDMs({self.n_rdms} × {self.n_conditions} conditions, {self.metric})"

    def _repr_html_(self) -> str:
        return facts("RDMs", {"rdms": self.n_rdms, "conditions": self.n_conditions, "metric": self.metric, "columns": ", ".join(self.rdms.columns)})


def frozen(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Mark an array that nobody else holds as read-only and return it: `RDMs` then keeps it without a copy."""
    values.flags.writeable = False
    return values


def _frozen(values: npt.NDArray[Any]) -> Floats:
    """Return float64 values that nobody can write to; an array that its owner could still change is copied."""
    if values.dtype == np.float64 and not values.flags.writeable:
        return np.asarray(values)
    return frozen(np.array(values, dtype=np.float64, subok=False))


def _at_conditions(rdms: RDMs, index: npt.NDArray[np.intp]) -> RDMs:
    n = rdms.n_conditions
    a, b = (index[part] for part in np.triu_indices(len(index), 1))
    low, high = np.minimum(a, b), np.maximum(a, b)
    pairs = low * n - low * (low + 1) // 2 + high - low - 1
    return replace(rdms, values=frozen(rdms.values[:, pairs]), conditions=rdms.conditions.iloc[index])


def _transformed(values: Floats, how: str) -> Floats:
    if how == "positive":
        return np.maximum(values, 0.0)
    if how == "sqrt":
        return np.sign(values) * np.sqrt(np.abs(values))
    if how == "rank":
        import torch

        from brainenc.linalg.ranks import midranks

        return midranks(torch.from_numpy(np.array(values))).numpy()
    if not len(values) or values.min() == values.max():
        return np.full(values.shape, np.nan)
    if how == "minmax":
        return (values - values.min()) / (values.max() - values.min())
    return (values - values.mean()) / values.std()


def _say_if_constant(rdms: RDMs, values: Floats, how: str) -> None:
    if how not in ("minmax", "zscore"):
        return
    lost = np.flatnonzero((np.isnan(values) & ~np.isnan(rdms.values)).any(axis=1))
    if len(lost):
        warnings.warn(f"{len(lost)} of {rdms.n_rdms} RDMs are constant and have no {how}: rows {examples(lost)} are NaN", BrainencWarning, stacklevel=3)


def _concat(parts: list[RDMs], join: str) -> RDMs:
    if not parts:
        raise InputError("nothing to join", where="RDMs.concat", expected="at least one RDMs")
    metrics = dict.fromkeys(part.metric for part in parts)
    if len(metrics) > 1:
        raise InputError("RDMs are of different metrics", where="RDMs.concat", got=examples(metrics))
    first = parts[0]
    if len(parts) == 1:
        return first
    ids = list(first.ids)
    if join == "all":
        ids = list(dict.fromkeys(i for part in parts for i in part.ids))
    elif join == "common":
        shared = set(ids).intersection(*(part.ids for part in parts[1:]))
        ids = [i for i in ids if i in shared]
    stacked = [_values_at(part, ids, join, position) for position, part in enumerate(parts)]
    table = pd.concat([part.rdms for part in parts], ignore_index=True)
    provenance = {k: v for k, v in first.provenance.items() if all(_same(part.provenance.get(k), v) for part in parts)}
    return RDMs(frozen(np.concatenate(stacked)), _conditions(parts, ids), table, first.metric, provenance)


def _values_at(part: RDMs, ids: list[Any], join: str, position: int) -> npt.NDArray[Any]:
    if list(part.ids) == ids:
        return part.values
    known = set(part.ids)
    absent = [i for i in ids if i not in known]
    extra = known.difference(ids)
    if join == "same" and (absent or extra):
        raise InputError(
            "RDMs have different conditions", where=f"RDMs.concat, part {position}", expected=f"the {len(ids)} conditions of the first part",
            got=f"{len(absent)} missing ({examples(absent)}), {len(extra)} others ({examples(sorted(extra))})", fix='use join="common" or join="all"',
        )  # fmt: skip
    if len(ids) < 2:
        raise InputError("the RDMs share fewer than two conditions", where="RDMs.concat", got=examples(ids))
    if not absent:
        return part.take_conditions(ids).values
    places = pd.Index(part.ids).get_indexer(pd.Index(ids))
    here = places >= 0
    square = np.full((part.n_rdms, len(ids), len(ids)), np.nan)
    square[np.ix_(np.arange(part.n_rdms), here, here)] = part.square()[:, places[here]][:, :, places[here]]
    rows, columns = np.triu_indices(len(ids), 1)
    return square[:, rows, columns]


def _conditions(parts: list[RDMs], ids: list[Any]) -> pd.DataFrame:
    """Return the table of conditions: the columns whose values no two parts contradict."""
    key = parts[0].key
    tables = [part.conditions.rename(columns={part.key: key}).set_index(key) for part in parts]
    out = pd.DataFrame({key: ids})
    for column in dict.fromkeys(c for table in tables for c in table.columns):
        found = pd.concat([table[column].dropna() for table in tables if column in table])
        pairs = found.groupby(level=0, sort=False).nunique()
        if bool((pairs <= 1).all()):
            out[column] = out[key].map(found[~found.index.duplicated()])
    return out


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and repr(a) == repr(b)


def _records(table: Any) -> bool:
    """Return whether this is a list of dicts, one a row."""
    return isinstance(table, list | tuple) and all(isinstance(one, Mapping) for one in table)
