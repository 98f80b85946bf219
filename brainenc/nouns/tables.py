"""Checks on the tables that travel beside every array."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError, NotFoundError


def as_table(table: Any, name: str, *, n_rows: int | None = None) -> pd.DataFrame:
    """Return a fresh table with a plain 0…n-1 index and text column names; check its length."""
    if table is None:
        table = pd.DataFrame(index=range(n_rows or 0))
    if not isinstance(table, pd.DataFrame):
        try:
            table = pd.DataFrame(table)
        except (TypeError, ValueError) as error:
            raise InputError("not a table", where=name, expected="a pandas DataFrame or a dict of columns", got=str(error)) from None
    if not table.columns.is_unique:
        doubled = table.columns[table.columns.duplicated()]
        raise InputError("table has duplicate columns", where=name, got=examples(doubled))
    if n_rows is not None and len(table) != n_rows:
        raise InputError("array and table have different lengths", where=name, expected=f"{n_rows} rows", got=f"{len(table)} rows")
    keep_index = table.index.name is not None and table.index.name not in table.columns
    table = table.reset_index(drop=not keep_index)
    table.columns = pd.Index([str(column) for column in table.columns])
    return table


def text_ids(values: Any, name: str) -> npt.NDArray[np.object_]:
    """Return identifiers as an object array of text; refuse missing ones."""
    series = pd.Series(np.asarray(values, dtype=object))
    missing = np.flatnonzero(series.isna())
    if len(missing):
        raise InputError(f"{name} is missing in {len(missing)} of {len(series)} rows", where=f"rows {examples(missing)}")
    return np.array([_as_text(v) for v in series], dtype=object)


def unique_ids(values: Any, name: str) -> npt.NDArray[np.object_]:
    """Return identifiers as text; refuse duplicates with examples."""
    ids = text_ids(values, name)
    doubled = pd.unique(pd.Series(ids)[pd.Series(ids).duplicated()])
    if len(doubled):
        raise InputError(f"duplicate {name}", expected=f"{len(ids)} different ids", got=f"{len(doubled)} repeated, e.g. {examples(doubled)}")
    return ids


def positions_of(wanted: Sequence[Any], known: Sequence[Any], name: str, where: str) -> npt.NDArray[np.intp]:
    """Return where each wanted id stands in ``known``; a missing one raises with both numbers and examples."""
    index = pd.Index(known)
    positions = index.get_indexer(pd.Index(wanted))
    absent = positions < 0
    if absent.any():
        lost = pd.unique(pd.Series(list(wanted))[absent])
        n_wanted = len(set(wanted))
        raise InputError(
            f"{len(lost)} of {n_wanted} {name} are not among the {len(index)} known ones",
            where=where,
            expected=f"ids like {examples(index)}",
            got=examples(lost),
            fix="check that both come from the same data set, or select the shared ones first",
        )
    return np.asarray(positions, dtype=np.intp)


def need_column(table: pd.DataFrame, column: Hashable, where: str) -> pd.Series:
    """Return a column or raise with the columns there are."""
    if column not in table.columns:
        raise NotFoundError(
            f"no column {column!r}", where=where, expected=examples(table.columns, 12), fix=did_you_mean(column, table.columns)
        )
    return table[column]


def _as_text(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
