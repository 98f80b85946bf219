"""Arrays from MATLAB files, v4 to v7 through scipy and v7.3 through `brainenc.io.hdf5`."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import DataError, InputError
from brainenc.io import hdf5, keys
from brainenc.io.paths import check_budget, memory_budget, read_errors

_COMPRESSED = 15


def list_mat(path: Path) -> list[str]:
    """Return the variables of a MATLAB file."""
    if _is_hdf5(path):
        return hdf5.list_mat73(path)
    from scipy.io import whosmat

    with read_errors(path):
        return [name for name, _, _ in whosmat(path)]


def read_mat(path: Path, key: str | None, *, max_bytes: str | int | None = None) -> npt.NDArray[Any]:
    """Return one array as MATLAB shows it (at least two axes).

    ``key`` is a variable, then fields with dots and items with ``[i]`` from 0: items of cells and struct arrays in
    MATLAB's linear (column) order, rows of numeric arrays. A struct or cell of one item needs no ``[0]``.
    """
    if _is_hdf5(path):
        return hdf5.read_mat73(path, key, max_bytes=max_bytes)
    from scipy.io import loadmat

    names = list_mat(path)
    first, *rest = keys.steps(key) if key else [keys.only(names, path)]
    if first not in names:
        raise keys.unknown(first, names, path)
    with read_errors(path):
        _check_inflated(path, max_bytes)
        value: Any = loadmat(path, variable_names=[first], squeeze_me=False, struct_as_record=True)[str(first)]
    for step in rest:
        value = _field(value, step, f"{path}::{key}") if isinstance(step, str) else _item(value, step, f"{path}::{key}")
    return _plain(value, f"{path}::{key or first}", max_bytes)


def _field(value: Any, name: str, where: str) -> Any:
    names = getattr(getattr(value, "dtype", None), "names", None)
    if not names:
        value = _single(value, where) if _is_cell(value) else value
        names = getattr(getattr(value, "dtype", None), "names", None)
    if not names:
        raise InputError("key asks a field of something that is no struct", where=where, got=f"field {name!r}")
    if name not in names:
        raise keys.unknown(name, names, where)
    return _single(value, where)[name] if isinstance(value, np.ndarray) else value[name]


def _item(value: Any, index: int, where: str) -> Any:
    if isinstance(value, np.ndarray) and value.size == 1 and _is_cell(value) and _is_cell(value.ravel()[0]):
        value = value.ravel()[0]
    if isinstance(value, np.void):  # one item of a struct array, picked before
        return _item(np.array([value]), index, where)
    if not isinstance(value, np.ndarray):
        raise InputError("key asks an item of something that is no array", where=where, got=f"[{index}] of {type(value).__name__}")
    if value.dtype.hasobject:
        keys.check_index(index, value.size, where)
        return value.ravel(order="F")[index]
    keys.check_index(index, len(value), where)
    return value[index]


def _single(value: Any, where: str) -> Any:
    if value.size != 1:
        raise InputError("key names a struct array or cell: say which item", where=where, got=f"{value.size} items", fix="add [0], [1], …")
    return value.ravel()[0]


def _is_cell(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"


def _plain(value: Any, where: str, max_bytes: str | int | None) -> npt.NDArray[Any]:
    while _is_cell(value) and value.size == 1:
        value = value.ravel()[0]
    if _is_cell(value):
        items = value.ravel()
        if all(isinstance(item, np.ndarray) and (item.dtype.kind == "U" or item.size == 0) and item.size <= 1 for item in items):
            return np.array([str(item.ravel()[0]) if item.size else "" for item in items]).reshape(value.shape)
        _single(value, where)
    if hasattr(value, "toarray"):
        check_budget(value.shape[0] * value.shape[1] * value.dtype.itemsize, where, max_bytes)
        return np.asarray(value.toarray())
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names:
        raise InputError("key is a struct, not an array", where=where, got=f"with fields {', '.join(map(repr, names))}", fix="add .field to the key")
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise InputError("cannot read this kind of MATLAB object", where=where, got=type(value).__name__)
    return array


def _is_hdf5(path: Path) -> bool:
    import h5py

    with read_errors(path):
        return bool(h5py.is_hdf5(path))


def _check_inflated(path: Path, max_bytes: str | int | None) -> None:
    """Refuse a v5 file whose compressed variables inflate beyond the budget, before scipy inflates them."""
    budget = memory_budget(max_bytes)
    size = path.stat().st_size
    with open(path, "rb") as stream:
        header = stream.read(128)
        if size * 1032 <= budget or len(header) < 128 or header[126:128] not in (b"IM", b"MI"):
            return  # deflate cannot do better than 1032 to 1; v4 is not compressed
        order = "<" if header[126:128] == b"IM" else ">"
        total = 0
        while len(tag := stream.read(8)) == 8:
            kind, n_bytes = struct.unpack(order + "II", tag)
            if kind != _COMPRESSED:
                total += n_bytes
                stream.seek(n_bytes, 1)
                continue
            total += _inflated(stream, n_bytes, budget - total)
            if total > budget:
                raise DataError("file inflates beyond the memory allowed", where=path, got=f"more than {budget} bytes", fix="raise max_bytes")


def _inflated(stream: Any, n_bytes: int, limit: int) -> int:
    engine = zlib.decompressobj()
    total = 0
    while n_bytes > 0 and total <= limit:
        chunk = stream.read(min(n_bytes, 2**16))
        if not chunk:
            break
        n_bytes -= len(chunk)
        total += len(engine.decompress(chunk, 2**26))
        while engine.unconsumed_tail and total <= limit:
            total += len(engine.decompress(engine.unconsumed_tail, 2**26))
    return total
