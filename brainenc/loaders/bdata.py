"""Responses from the tables of brain decoder toolboxes: one matrix whose columns are flagged by keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, NotFoundError
from brainenc.io.readers import list_keys, read_array
from brainenc.nouns.responses import Responses


def load_bdata(path: str | Path, *, key: str = "VoxelData", units: str = "", max_bytes: str | int | None = None) -> Responses:
    """Read a table of samples whose columns are voxels, labels and design.

    The file holds ``dataSet`` (n_samples, n_columns) and ``metaData`` with ``key`` (n_keys,) and ``value`` (n_keys, n_columns): a value of 1
    flags the columns that a key is about, other numbers describe them (a voxel's position), NaN says nothing.

    Parameters
    ----------
    path : path
        HDF5; the groups may also be called ``dataset`` and ``metadata``.
    key : str
        The key whose flagged columns are the responses.
    units : str
    max_bytes : str or int, optional

    Returns
    -------
    Responses
        ``samples`` holds the values of every key that flags just one other column (``DataType``, ``Run``, ``stimulus_id`` …); ``targets`` holds
        the other keys' values at the responses (``ROI_V1``, ``voxel_x`` …), where they say anything.

    Raises
    ------
    DataError
        Another layout, or matrices that do not fit each other.
    NotFoundError
        ``key`` is none of the keys.
    """
    names = {name.lower(): name for name in list_keys(path)}
    lacking = [name for name in ("dataset", "metadata/key", "metadata/value") if name not in names]
    if lacking:
        raise DataError(
            "file has not the layout of a brain decoder table", where=path, expected="dataSet, metaData/key, metaData/value",
            got=examples(list(names.values()), 12),
        )  # fmt: skip
    keys = [str(name).strip() for name in _text(read_array(path, key=names["metadata/key"]))]
    value = read_array(path, key=names["metadata/value"]).astype(np.float64)
    data = read_array(path, key=names["dataset"], max_bytes=max_bytes)
    if data.ndim != 2 or value.shape != (len(keys), data.shape[1]):
        raise DataError("keys do not fit the columns", where=path, expected=f"({len(keys)}, {data.shape[-1]})", got=f"{value.shape} of {data.shape}")
    if key not in keys:
        raise NotFoundError(f"no key {key!r}", where=path, expected=examples(keys, 20))
    flags = value == 1
    responses = flags[keys.index(key)]
    if not responses.any():
        raise DataError("key flags no column", where=f"{path}::{key}")
    samples = {name: _whole(data[:, row.argmax()]) for name, row in zip(keys, flags, strict=True) if row.sum() == 1 and not (row & responses).any()}
    targets = {
        name: row[responses] for name, row in zip(keys, value, strict=True) if name != key and np.isfinite(row[responses]).any()
    }
    values = data[:, responses]
    return Responses(
        values=values if values.dtype.kind == "f" else values.astype(np.float64), units=units,
        samples=pd.DataFrame({"sample": np.arange(len(data)), **samples}), targets=pd.DataFrame(targets, index=range(values.shape[1])),
        provenance={"files": [Path(path).name], "key": key},
    )  # fmt: skip


def _text(array: npt.NDArray[Any]) -> list[str]:
    return [item.decode("utf-8") if isinstance(item, bytes) else str(item) for item in array.reshape(-1).tolist()]


def _whole(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Whole numbers as such, so that run 1 is not called 1.0."""
    return column.astype(np.int64) if np.isfinite(column).all() and (column == np.rint(column)).all() else column
