"""Columns that a manifest adds to a table: constants, lists, templates, and columns of array files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError
from brainenc.datasets.places import resolve
from brainenc.datasets.schema import ArrayColumn, Lookup
from brainenc.datasets.templates import fill
from brainenc.io.readers import read_array


def add_columns(
    table: pd.DataFrame, columns: Mapping[str, Any], where: str, *, fields: Sequence[Mapping[str, object]] | None = None
) -> pd.DataFrame:
    """Return the table with more columns: one value for all rows, a list of one per row, or a text filled with ``fields`` per row."""
    table = table.copy()
    for name, value in columns.items():
        if isinstance(value, tuple | list):
            if len(value) != len(table):
                raise InputError("list does not fit the table", where=f"{where}.{name}", expected=f"{len(table)} values", got=len(value))
            table[name] = list(value)
        elif isinstance(value, str) and "{" in value and fields is not None:
            table[name] = [fill(value, row, f"{where}.{name}") for row in fields]
        else:
            table[name] = [value] * len(table)
    return table


def add_arrays(table: pd.DataFrame, arrays: Sequence[ArrayColumn], folder: Path, values: Mapping[str, object], where: str) -> pd.DataFrame:
    """Return the table with columns read from array files, one value per row."""
    table = table.copy()
    for spec in arrays:
        place = f"{where}.{spec.column}"
        file = folder / resolve(spec.path, values, place)
        array = read_array(file, key=spec.key and fill(spec.key, values, place))
        if spec.index is not None:
            array = _pick(array, spec.index, file)
        array = np.asarray(array).reshape(-1)
        if spec.per_session:
            array = _stretch(array, spec.per_session, values, f"{place}: {file}::{spec.key or ''}")
        if spec.through is not None:
            array = _looked_up(array, spec.through, folder, values, place)
        if spec.add:
            array = _whole(array, place) + spec.add
        if len(array) != len(table):
            raise DataError(
                "array does not fit the table", where=f"{place}: {file}::{spec.key or ''}", expected=f"{len(table)} values", got=len(array)
            )
        table[spec.column] = array if spec.labels is None else named(array, spec.labels, place)
    return table


def _pick(array: Any, index: int, file: Path) -> Any:
    if array.ndim != 2 or not 0 <= index < array.shape[1]:
        raise DataError(
            "array has no such column",
            where=file,
            expected=f"a column below {array.shape[1] if array.ndim == 2 else 0}",
            got=f"{index} of shape {array.shape}",
        )
    return array[:, index]


def _stretch(array: Any, n: int, values: Mapping[str, object], where: str) -> Any:
    """Return the session's part of an array that runs through all sessions with ``n`` values each."""
    start = n * int(str(values.get("session_row", 0)))
    if len(array) < start + n:
        raise DataError("array ends before this session", where=where, expected=f"at least {start + n} values", got=len(array))
    return array[start : start + n]


def _looked_up(positions: Any, spec: Lookup, folder: Path, values: Mapping[str, object], where: str) -> Any:
    file = folder / resolve(spec.path, values, where)
    items = read_array(file, key=spec.key and fill(spec.key, values, where)).reshape(-1)
    index = _whole(positions, where) - spec.first
    if len(index) and (index.min() < 0 or index.max() >= len(items)):
        raise DataError(
            "positions lie outside the array they count", where=f"{where}: {file}::{spec.key or ''}",
            expected=f"{spec.first} to {spec.first + len(items) - 1}", got=f"{index.min() + spec.first} to {index.max() + spec.first}",
        )  # fmt: skip
    return items[index]


def _whole(array: Any, where: str) -> Any:
    if array.dtype.kind not in "iuf" or not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        raise DataError("values are not whole numbers", where=where, got=f"dtype {array.dtype}, e.g. {examples(array)}")
    return array.astype(np.int64)


def named(array: Any, labels: Mapping[str, str], where: str) -> list[str]:
    """Return the label of each value; a value without one is an error."""
    keys = [str(int(v)) if isinstance(v, float | np.floating) and float(v).is_integer() else str(v) for v in array.tolist()]
    unknown = sorted(set(keys) - set(labels))
    if unknown:
        raise DataError("array holds values without a label", where=where, expected=examples(labels, 12), got=examples(unknown))
    return [labels[key] for key in keys]
