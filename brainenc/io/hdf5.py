"""Arrays from HDF5, and from MATLAB v7.3, which is HDF5 with conventions of its own.

Links to other files, external storage and virtual data sets are refused: a data file names no other file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import DataError, InputError
from brainenc.io import keys
from brainenc.io.paths import check_budget, read_errors

if TYPE_CHECKING:
    import h5py

_MAX_LINKS = 8


def list_hdf5(path: Path) -> list[str]:
    """Return the names of all data sets (``group/name``), without following links."""
    import h5py

    found: list[str] = []
    with read_errors(path), h5py.File(path, "r") as file:
        file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
    return [name for name in found if not name.startswith("#")]


def read_hdf5(path: Path, key: str | None, *, max_bytes: str | int | None = None) -> npt.NDArray[Any]:
    """Return one data set; ``name[i]`` reads only item ``i`` of its first axis."""
    import h5py

    name, index = keys.split_index(key) if key else (keys.only(list_hdf5(path), path), None)
    with read_errors(path), h5py.File(path, "r") as file:
        node = _find(file, name, path)
        if not isinstance(node, h5py.Dataset):
            raise InputError("key is a group, not an array", where=f"{path}::{name}", got=f"with {', '.join(map(repr, list(node)[:12]))}")
        if index is None:
            return _load(node, (), path, max_bytes)
        keys.check_index(index, node.shape[0] if node.shape else 0, f"{path}::{name}")
        return _load(node, (index,), path, max_bytes)


def list_mat73(path: Path) -> list[str]:
    """Return the variables of a MATLAB v7.3 file."""
    import h5py

    with read_errors(path), h5py.File(path, "r") as file:
        return [name for name in file if not name.startswith("#")]


def read_mat73(path: Path, key: str | None, *, max_bytes: str | int | None = None) -> npt.NDArray[Any]:
    """Return one array of a MATLAB v7.3 file in MATLAB's axis order.

    ``[i]`` counts from 0: items of cells and struct arrays in MATLAB's linear order, rows of numeric arrays.
    """
    import h5py

    names = list_mat73(path)
    first, *rest = keys.steps(key) if key else [keys.only(names, path)]
    if first not in names:
        raise keys.unknown(first, names, path)
    with read_errors(path), h5py.File(path, "r") as file:
        node: Any = _find(file, str(first), path)
        row: int | None = None
        pending: int | None = None  # an index into a struct array, waiting for its field
        for step in rest:
            if row is not None:
                raise InputError("key goes into a numeric array", where=path, got=key)
            if isinstance(step, str):
                if not isinstance(node, h5py.Group):
                    raise InputError("key asks a field of something that is no struct", where=f"{path}::{key}", got=f"field {step!r}")
                node = _field(node, step, pending, path, key)
                pending = None
            elif isinstance(node, h5py.Group):
                pending = step
            elif node.dtype.kind == "O":
                keys.check_index(step, node.size, f"{path}::{key}")
                node = file[node[()].ravel()[step]]
            else:
                keys.check_index(step, node.shape[-1], f"{path}::{key}")
                row = step
        return _mat_value(node, row, path, key, max_bytes)


def _field(node: h5py.Group, name: str, pending: int | None, path: Path, key: str | None) -> Any:
    if name not in node:
        raise keys.unknown(name, node, f"{path}::{key}")
    child = _find(node, name, path)
    is_references = getattr(child, "dtype", np.dtype(float)).kind == "O" and "MATLAB_class" not in child.attrs
    if not is_references:
        if pending:  # a single struct is stored without references, so only [0] is there
            keys.check_index(pending, 1, f"{path}::{key}")
        return child
    if pending is None:
        raise InputError("key names a struct array: say which item", where=f"{path}::{key}", got=f"{child.size} items", fix=f"write [0].{name}")
    keys.check_index(pending, child.size, f"{path}::{key}")
    return node.file[child[()].ravel()[pending]]


def _mat_value(node: Any, row: int | None, path: Path, key: str | None, max_bytes: str | int | None) -> npt.NDArray[Any]:
    import h5py

    if not isinstance(node, h5py.Dataset):
        raise InputError("key is a struct or a sparse matrix, not an array", where=f"{path}::{key}", got=f"with {', '.join(map(repr, list(node)[:12]))}")
    kind = node.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if node.attrs.get("MATLAB_empty", 0):
        return np.zeros(tuple(int(n) for n in node[()]))
    if node.dtype.kind == "O":
        return _cell(node, path, key, max_bytes)
    values = _load(node, (..., row) if row is not None else (), path, max_bytes).T
    if kind == "char":
        lines = ["".join(map(chr, line)) for line in np.atleast_2d(values)]
        return np.array(lines)
    return values.astype(bool) if kind == "logical" else values


def _cell(node: h5py.Dataset, path: Path, key: str | None, max_bytes: str | int | None) -> npt.NDArray[Any]:
    """Return a cell: its only item, or text when every item is text."""
    items = [_mat_value(node.file[reference], None, path, key, max_bytes) for reference in node[()].ravel()]
    if len(items) == 1:
        return items[0]
    if items and all(item.dtype.kind == "U" and item.size <= 1 for item in items):
        return np.array([str(item[0]) if item.size else "" for item in items]).reshape(node.shape).T
    raise InputError("key names a cell: say which item", where=f"{path}::{key}", got=f"{len(items)} items", fix="add [0], [1], …")


def _find(root: h5py.Group, name: str, path: Path, depth: int = 0) -> Any:
    """Return the node ``a/b/c``, walking every link by hand so that none leads to another file."""
    import h5py

    if depth > _MAX_LINKS:
        raise DataError("too many links in HDF5 file", where=f"{path}::{name}")
    node: Any = root.file if name.startswith("/") else root
    for part in [part for part in name.split("/") if part not in ("", ".")]:
        if not isinstance(node, h5py.Group) or part not in list(node):
            raise keys.unknown(name, _all_names(root), path)
        link = node.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise DataError("HDF5 file links to another file", where=f"{path}::{name}", got=repr(link.filename))
        node = _find(node, link.path, path, depth + 1) if isinstance(link, h5py.SoftLink) else node[part]
    return node


def _all_names(root: h5py.Group) -> list[str]:
    found: list[str] = []
    root.visit(found.append)
    return found


def _load(node: h5py.Dataset, index: tuple[Any, ...], path: Path, max_bytes: str | int | None) -> npt.NDArray[Any]:
    import h5py

    where = f"{path}::{node.name}"
    if node.external or node.is_virtual:
        raise DataError("HDF5 array is stored in other files", where=where)
    axis = {0: 0, 2: -1}.get(len(index))
    share = node.shape[axis or 0] if index and node.shape else 1
    check_budget(node.size * node.dtype.itemsize // max(share, 1) if index else node.size * node.dtype.itemsize, where, max_bytes)
    if h5py.check_string_dtype(node.dtype) is not None:
        return np.asarray(node.asstr()[index or ()], dtype=str)
    values = np.asarray(node[index or ()])
    if values.dtype.names == ("real", "imag"):
        return values["real"] + 1j * values["imag"]
    if values.dtype.hasobject:
        raise InputError("array holds references or lists of varying length", where=where, fix="name one item of it")
    return values
