"""Readers that refuse before they load: no pickle, sizes checked first, one kind of error with a way out."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import DataError, InputError
from brainenc.io import hdf5, keys, matlab
from brainenc.io.images import read_image
from brainenc.io.paths import check_budget, existing_file, read_errors
from brainenc.io.tables import read_json, read_table, read_toml

__all__ = ["list_keys", "read_array", "read_image", "read_json", "read_table", "read_toml"]

HDF5 = (".h5", ".hdf5", ".hdf", ".hf5")
ARRAYS = (".npy", ".npz", *HDF5, ".mat", ".csv", ".tsv", ".txt")
EPOCH_FILES = ("-epo.fif", "_epo.fif", "-epo.fif.gz", "_epo.fif.gz")  # of mne


def read_array(
    path: str | Path,
    *,
    key: str | None = None,
    mmap: bool = False,
    header: bool | None = None,
    max_bytes: str | int | None = None,
) -> npt.NDArray[Any]:
    """Read one array; the suffix says the format.

    Parameters
    ----------
    path : str or Path
        ``.npy``, ``.npz``, HDF5 (``.h5``, ``.hdf5``, ``.hdf``, ``.hf5``), ``.mat`` (v4 to v7.3), ``.csv``/``.tsv``/``.txt`` (numbers only).
    key : str, optional
        Which array of a container. npz: a name. HDF5: ``group/name``, with ``[i]`` for one item of the first axis;
        the group of a pandas data frame gives its columns of fractions.
        MATLAB: ``name``, ``name[0].field`` …, indices from 0 (cells and struct arrays in column order, numeric arrays
        by row). Text: a column. May be left out where there is only one.
    mmap : bool
        Return a read-only memmap (``.npy`` only).
    header : bool, optional
        Whether a text file's first row holds names; None looks whether it is all numbers.
    max_bytes : str or int, optional
        Limit on the array's size; None means what memory is free. Not applied to memmaps.

    Returns
    -------
    ndarray
        MATLAB arrays as MATLAB shows them (at least two axes); text columns as ``(n_rows, n_columns)``.

    Raises
    ------
    DataError
        Missing, damaged or truncated file, Python objects inside, too large, or another suffix.
    NotFoundError
        Unknown key; the message lists the keys there.
    InputError
        A key is needed, or does not end at an array.

    Examples
    --------
    >>> read_array("92_brainRDMs.mat", key="RDMs[0].RDM").shape              # doctest: +SKIP
    (92, 92)
    """
    source = existing_file(path)
    suffix = source.suffix.lower()
    if suffix not in ARRAYS:
        raise DataError("not an array file by its name", where=source, expected=", ".join(ARRAYS), got=suffix or "no suffix")
    if mmap and suffix != ".npy":
        raise InputError("only .npy files can be memory-mapped", where=source, fix="use mmap=False")
    if suffix == ".npy":
        if key is not None:
            raise InputError("a .npy file has no keys", where=source, got=f"key={key!r}")
        return _read_npy(source, mmap, max_bytes)
    if suffix == ".npz":
        return _read_npz(source, key, max_bytes)
    if suffix == ".mat":
        return matlab.read_mat(source, key, max_bytes=max_bytes)
    if suffix in HDF5:
        return hdf5.read_hdf5(source, key, max_bytes=max_bytes)
    return _read_text(source, key, header, max_bytes)


def list_keys(path: str | Path) -> list[str]:
    """Return the keys of a container (``.npz``, ``.h5``, ``.mat``) or the columns of a table."""
    source = existing_file(path)
    suffix = source.suffix.lower()
    if suffix == ".npz":
        return list(_npz_members(source))
    if suffix in HDF5:
        return hdf5.list_hdf5(source)
    if suffix == ".mat":
        return matlab.list_mat(source)
    return [str(name) for name in read_table(source).columns]


def _read_npy(source: Path, mmap: bool, max_bytes: str | int | None) -> npt.NDArray[Any]:
    with read_errors(source), open(source, "rb") as stream:
        shape, dtype = _npy_header(stream, source)
        declared = dtype.itemsize * int(np.prod(shape, dtype=object))
        there = source.stat().st_size - stream.tell()
    if declared > there:
        raise DataError("file is shorter than its header says", where=source, expected=f"{declared} bytes of data", got=there, fix="fetch it again")
    if not mmap:
        check_budget(declared, source, max_bytes)
    with read_errors(source):
        return np.load(source, mmap_mode="r" if mmap and declared else None, allow_pickle=False)


def _read_npz(source: Path, key: str | None, max_bytes: str | int | None) -> npt.NDArray[Any]:
    members = _npz_members(source)
    name = keys.only(members, source) if key is None else key
    if name not in members:
        raise keys.unknown(name, members, source)
    where = f"{source}::{name}"
    with read_errors(where), zipfile.ZipFile(source) as bundle, bundle.open(members[name]) as stream:
        shape, dtype = _npy_header(stream, where)
        check_budget(dtype.itemsize * int(np.prod(shape, dtype=object)), where, max_bytes)
    with read_errors(where), np.load(source, allow_pickle=False) as stored:
        return np.asarray(stored[name])


def _npz_members(source: Path) -> dict[str, str]:
    with read_errors(source), zipfile.ZipFile(source) as bundle:
        return {name.removesuffix(".npy"): name for name in bundle.namelist() if name.endswith(".npy")}


def _npy_header(stream: Any, where: object) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and dtype of a npy stream, refusing Python objects and absurd headers."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:  # 3.0 is 2.0 with names in UTF-8, and is only used for structured arrays with such names
        raise DataError("npy version is not supported", where=where, got=f"{version[0]}.{version[1]}", fix="save it again as a plain array")
    if dtype.hasobject:
        raise DataError("array holds Python objects and is not read, since that would run code from the file", where=where, fix="save it as numbers or text")
    if any(n < 0 for n in shape):
        raise DataError("array has a negative size", where=where, got=str(shape))
    return shape, dtype


def _read_text(source: Path, key: str | None, header: bool | None, max_bytes: str | int | None) -> npt.NDArray[Any]:
    named = _has_names(source) if header is None else header
    table = read_table(source, header=named, max_bytes=max_bytes)
    if key is not None:
        if key not in table.columns:
            raise keys.unknown(key, map(str, table.columns), source)
        table = table[[key]]
    words = [str(name) for name in table.columns if table[name].dtype.kind not in "fiub"]
    if words:
        raise DataError("file does not hold numbers alone", where=source, got=f"text in column {words[0]!r}", fix="read it as a table, or give key=")
    return table.to_numpy()


def _has_names(source: Path) -> bool:
    """Return whether the first row holds anything that is not a number."""
    separator = {".csv": ",", ".tsv": "\t"}.get(source.suffix.lower())
    with read_errors(source), open(source, encoding="utf-8-sig") as stream:
        cells = stream.readline(10_000_000).strip().split(separator)
    try:
        [float(cell) for cell in cells if cell.strip().lower() not in ("", "n/a")]
    except ValueError:
        return True
    return False
