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
_PIECE = 2**26


def list_hdf5(path: Path) -> list[str]:
    """Return the names of all data sets (``group/name``), without following links."""
    import h5py

    found: list[str] = []
    with read_errors(path), h5py.File(path, "r") as file:
        file.visititems(lambda name, node: found.append(name) if isinstance(node, h5py.Dataset) else None)
    return [name for name in found if not name.startswith("#")]


def array_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every data set (``group/name``), without reading any and without following links."""
    import h5py

    found: dict[str, tuple[int, ...]] = {}

    def note(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = tuple(int(n) for n in node.shape or ())

    with read_errors(path), h5py.File(path, "r") as file:
        file.visititems(note)
    return found


def read_hdf5(path: Path, key: str | None, *, max_bytes: str | int | None = None) -> npt.NDArray[Any]:
    """Return one data set; ``name[i]`` reads only item ``i`` of its first axis.

    A group that pandas wrote (``DataFrame.to_hdf``, fixed format) gives its columns of fractions, rows by columns; columns of whole numbers or
    text beside them are left to tables.
    """
    import h5py

    name, index = keys.split_index(key) if key else (_only(path), None)
    with read_errors(path), h5py.File(path, "r") as file:
        node = _find(file, name, path)
        if isinstance(node, h5py.Group) and _is_frame(node) and index is None:
            return _load(_fractions(node, path), (), path, max_bytes)
        if not isinstance(node, h5py.Dataset):
            raise InputError("key is a group, not an array", where=f"{path}::{name}", got=f"with {', '.join(map(repr, list(node)[:12]))}")
        if index is None:
            return _load(node, (), path, max_bytes)
        keys.check_index(index, node.shape[0] if node.shape else 0, f"{path}::{name}")
        return _load(node, (index,), path, max_bytes)


def read_masked(path: Path, key: str | None, inside: npt.NDArray[np.bool_], *, max_bytes: str | int | None = None) -> npt.NDArray[Any]:
    """Return ``(n, n_inside)``: of each item of the first axis the values where ``inside``, in C order of the file's own axes.

    One slab of the second axis is in memory at a time, so a mask can be taken out of volumes that would not fit.
    """
    import h5py

    name = key or _only(path)
    with read_errors(path), h5py.File(path, "r") as file:
        node = _find(file, name, path)
        where = f"{path}::{name}"
        if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual or node.dtype.kind not in "iuf":
            raise DataError("not an array of real numbers in this file", where=where, got=repr(node))
        if tuple(node.shape[1:]) != inside.shape:
            expected = f"(n, {', '.join(map(str, inside.shape))})"
            raise DataError("volumes in the file are on another grid than the mask", where=where, expected=expected, got=f"shape {node.shape}")
        n, n_inside = int(node.shape[0]), int(inside.sum())
        slab_bytes = n * int(np.prod(inside.shape[1:], dtype=object)) * node.dtype.itemsize
        check_budget(n * n_inside * node.dtype.itemsize + slab_bytes, where, max_bytes)
        out = np.empty((n, n_inside), dtype=node.dtype.newbyteorder("="))
        done = 0
        for i in np.flatnonzero(inside.any(axis=tuple(range(1, inside.ndim)))):
            slab = node[:, int(i)]
            found = slab[:, inside[i]]
            out[:, done : done + found.shape[1]] = found
            done += found.shape[1]
    return out


def read_rows(path: Path, key: str | None, kept: npt.NDArray[np.bool_], *, max_bytes: str | int | None = None) -> npt.NDArray[Any]:
    """Return the rows of a matrix (or of a data frame's columns of fractions) that are ``kept``, with one piece of the file in memory at a time."""
    import h5py

    name = key or _only(path)
    with read_errors(path), h5py.File(path, "r") as file:
        node = _find(file, name, path)
        if isinstance(node, h5py.Group) and _is_frame(node):
            node = _fractions(node, path)
        where = f"{path}::{name}"
        if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual or node.ndim != 2 or node.dtype.kind not in "iuf":
            raise DataError("not a matrix of real numbers in this file", where=where, got=repr(node))
        if len(node) != len(kept):
            raise DataError("rows of the matrix do not fit the table that selects them", where=where, expected=f"{len(kept)} rows", got=f"shape {node.shape}")
        row = int(node.shape[1]) * node.dtype.itemsize
        step = max(1, _PIECE // max(1, row))
        check_budget((int(kept.sum()) + min(step, len(kept))) * row, where, max_bytes)
        out = np.empty((int(kept.sum()), int(node.shape[1])), dtype=node.dtype.newbyteorder("="))
        done = 0
        for start in range(0, len(kept), step):
            here = kept[start : start + step]
            if here.any():
                out[done : done + int(here.sum())] = node[start : start + step][here]
                done += int(here.sum())
    return out


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


def _only(path: Path) -> str:
    """Return the only array of a file, or the only data frame."""
    import h5py

    with read_errors(path), h5py.File(path, "r") as file:
        frames = [name for name in file if file.get(name, getlink=True).__class__ is h5py.HardLink and _is_frame(file[name])]
    return frames[0] if len(frames) == 1 else keys.only(list_hdf5(path), path)


def _is_frame(node: Any) -> bool:
    kind = node.attrs.get("pandas_type", b"")
    return (kind.decode() if isinstance(kind, bytes) else str(kind)) == "frame"


def _fractions(node: h5py.Group, path: Path) -> h5py.Dataset:
    """Return the block of a data frame that holds its columns of fractions; there must be one, whole and not compressed out of reach."""
    import h5py

    found = [name for name in node if name.startswith("block") and name.endswith("_values")]
    blocks = [node[name] for name in found if isinstance(node.get(name, getlink=True), h5py.HardLink) and node[name].dtype.kind == "f"]
    if len(blocks) != 1 or blocks[0].ndim != 2:
        raise DataError(
            "data frame has no single block of fractions", where=f"{path}::{node.name}", got=f"{len(blocks)} of {len(found)} blocks",
            fix="name one: key = 'frame/block0_values'",
        )  # fmt: skip
    return blocks[0]


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
