"""Dictionaries of arrays that ``numpy.save`` or ``pickle.dump`` wrote: read without running anything the file names.

Some tools (GLMsingle among them) store a dictionary with ``numpy.save``, which is a pickle, or as a bare pickle under the name of a ``.npy``. This is
the one door for such files. The pickle is scanned first: only the instructions that dictionaries, numbers, text and arrays need may occur, and only
the names of numpy's own array constructors. While it is read these names stand for inert records, from which arrays are made afterwards, of numbers and
text only; numpy's constructors themselves, which trust what they are given, never see the file. Object arrays are allowed as the outer container alone.
"""

from __future__ import annotations

import mmap
import pickle
import pickletools
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, NotFoundError
from brainenc.io.paths import check_budget, existing_file, read_errors

_CODES = {
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "LIST", "APPEND", "APPENDS",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT",
    "BINFLOAT", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
}  # fmt: skip
_NAMES = {
    (f"numpy{core}.multiarray", name): name for core in (".core", "._core") for name in ("_reconstruct", "scalar")
} | {(f"numpy{core}.numeric", "_frombuffer"): "_frombuffer" for core in (".core", "._core")} | {
    ("numpy", "ndarray"): "ndarray", ("numpy", "dtype"): "dtype",
}  # fmt: skip
_KINDS = "biufcSU"  # of the arrays inside
_DEPTH = 8
_ITEMS = 1_000_000


def read_npdict(path: str | Path, *, keys: Iterable[str | int] | None = None, max_bytes: str | int | None = None) -> dict[Any, Any]:
    """Read a dictionary that ``numpy.save`` wrote, or that was pickled bare (protocol 2 to 5).

    Parameters
    ----------
    path : str or Path
        ``.npy`` whose only element is a dictionary with keys of text or whole numbers.
    keys : iterable of str or int, optional
        Which entries; None reads all. Entries that are not asked for are not looked into.
    max_bytes : str or int, optional
        Limit on the memory, which is about three times the file's size; None means what is free.

    Returns
    -------
    dict
        Arrays of numbers or text, numbers, text, None, and lists, tuples and dictionaries of them.

    Raises
    ------
    DataError
        Another kind of file, anything in it but arrays of numbers and text, a damaged or too large file.
    NotFoundError
        Unknown key.

    Examples
    --------
    >>> read_npdict("TYPED_FITHRF_GLMDENOISE_RR.npy", keys=["betasmd"])["betasmd"].shape                  # doctest: +SKIP
    (80, 80, 40, 750)
    """
    source = existing_file(path)
    items = _items(source, max_bytes)
    wanted = list(items) if keys is None else list(keys)
    for key in wanted:
        if key not in items:
            raise NotFoundError(f"no key {key!r}", where=source, expected=examples(items, 20))
    count = [0]
    return {key: _plain(items[key], f"{source}::{key}", 0, count) for key in wanted}


def list_npdict(path: str | Path, *, max_bytes: str | int | None = None) -> list[str]:
    """Return the keys of such a file."""
    return [str(key) for key in _items(existing_file(path), max_bytes)]


def _items(source: Path, max_bytes: str | int | None) -> dict[Any, Any]:
    """Return the entries as inert records; what the file declares is never allocated before it is known to be there, and its bytes are copied once."""
    check_budget(3 * source.stat().st_size, source, max_bytes)
    with read_errors(source), open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        bare = stream[:1] == pickle.PROTO
        if not bare:
            _check_header(stream, source)
        start = stream.tell()
        _scan(stream, source)
        stream.seek(start)
        return _outer(_Reader(stream).load(), source, bare)


class _Record:
    """A name of the pickle, or what calling it would have made; does nothing."""

    __slots__ = ("args", "kind", "state")

    def __init__(self, kind: str, args: tuple[Any, ...] | None = None) -> None:
        self.kind, self.args, self.state = kind, args, None

    def __call__(self, *args: Any) -> _Record:
        if self.args is not None or self.kind == "ndarray":
            raise DataError("pickle calls something that is no constructor", got=self.kind)
        return _Record(self.kind, args)

    def __setstate__(self, state: Any) -> None:
        if self.args is None or self.state is not None or self.kind not in ("dtype", "_reconstruct"):
            raise DataError("pickle sets the state of something that has none", got=self.kind)
        self.state = state


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise DataError("file names something that is no numpy array, and is not read, since that would run code from it", got=f"{module}.{name}")
        return _Record(_NAMES[module, name])

    def persistent_load(self, pid: Any) -> Any:
        raise DataError("file refers to something outside", got=repr(pid))


def _check_header(stream: mmap.mmap, where: object) -> None:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DataError("npy version is not supported", where=where, got=f"{version[0]}.{version[1]}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype != np.dtype(object) or shape != ():
        raise DataError("file holds no dictionary", where=where, got=f"{dtype} of shape {shape}", fix="read it with brainenc's read_array")


def _scan(stream: mmap.mmap, where: object) -> None:
    """Refuse instructions beyond the list, names beyond numpy's, and memo places that would take memory for nothing."""
    n_codes = 0
    for code, argument, _ in pickletools.genops(cast(IO[bytes], stream)):
        n_codes += 1
        if code.name not in _CODES:
            raise DataError("pickle holds an instruction that arrays do not need, and is not read", where=where, got=code.name)
        if code.name == "GLOBAL" and tuple(str(argument).split(" ", 1)) not in _NAMES:
            raise DataError("file names something that is no numpy array, and is not read, since that would run code from it", where=where, got=argument)
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > n_codes:
            raise DataError("pickle keeps things at absurd places", where=where, got=argument)


def _outer(outer: Any, where: object, bare: bool) -> dict[Any, Any]:
    """Return the dictionary inside the outer object array, or the one that was pickled bare."""
    items = outer
    if not bare and isinstance(outer, _Record) and outer.kind == "_reconstruct":
        _, shape, dtype, _, content = _state(outer, where)
        if shape != () or not _is_object(dtype) or not isinstance(content, list) or len(content) != 1:
            raise DataError("file holds no dictionary", where=where, got=f"an array of shape {shape}")
        items = content[0]
    if not isinstance(items, dict) or not all(isinstance(key, str | int) for key in items):
        raise DataError("file holds no dictionary with keys of text or whole numbers", where=where, got=type(items).__name__)
    return items


def _plain(value: Any, where: str, depth: int, count: list[int]) -> Any:
    """Make arrays of records; refuse whatever else could hide, however deep."""
    count[0] += 1
    if depth > _DEPTH or count[0] > _ITEMS:
        raise DataError("dictionary is nested too deeply or holds too many things", where=where)
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, list | tuple):
        return type(value)(_plain(item, where, depth + 1, count) for item in value)
    if isinstance(value, dict):
        if not all(isinstance(key, str | int | float | bool) for key in value):
            raise DataError("dictionary has keys that are no text or numbers", where=where)
        return {key: _plain(item, where, depth + 1, count) for key, item in value.items()}
    kind, args = (value.kind, value.args or ()) if isinstance(value, _Record) else (type(value).__name__, ())
    if kind == "_reconstruct" and args:
        _, shape, dtype, fortran, content = _state(value, where)
        return _array(content, dtype, shape, "F" if fortran else "C", where)
    if kind == "_frombuffer" and len(args) == 4:
        content, dtype, shape, order = args
        return _array(content, dtype, shape, order, where)
    if kind == "scalar" and len(args) == 2:
        return _array(args[1], args[0], (), "C", where)[()]
    raise DataError("not an array, number or text", where=where, got=kind)


def _state(record: _Record, where: object) -> tuple[Any, Any, Any, Any, Any]:
    state = record.state
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise DataError("array is damaged", where=where)
    version, shape, dtype, fortran, content = state if len(state) == 5 else (1, *state)
    return version, shape, dtype, fortran, content


def _is_object(dtype: Any) -> bool:
    args = dtype.args if isinstance(dtype, _Record) and dtype.kind == "dtype" else None
    return args is not None and len(args) > 0 and str(args[0]).lstrip("|<>=").startswith("O")


def _array(content: Any, dtype: Any, shape: Any, order: Any, where: str) -> npt.NDArray[Any]:
    """Make an array of numbers or text from bytes whose length fits."""
    if _is_object(dtype):
        raise DataError("array holds Python objects and is not read", where=where, fix="save it as numbers or text")
    kind = _dtype(dtype, where)
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
        raise DataError("array has an absurd shape", where=where, got=repr(shape)[:80])
    size = int(np.prod(shape, dtype=object)) * kind.itemsize
    if not isinstance(content, bytes | bytearray) or len(content) != size or order not in ("C", "F"):
        got = len(content) if isinstance(content, bytes | bytearray) else type(content).__name__
        raise DataError("array is damaged", where=where, expected=f"{size} bytes", got=got)
    if not size:
        return np.empty(shape, dtype=kind)
    return np.frombuffer(content, dtype=kind).reshape(shape, order=order).copy(order="K")


def _dtype(record: Any, where: str) -> np.dtype[Any]:
    """Return the dtype of a record: one of plain numbers or text, never structured."""
    is_dtype = isinstance(record, _Record) and record.kind == "dtype"
    args, state = (record.args or (None,), record.state) if is_dtype else ((None,), None)
    name = args[0]
    if not isinstance(name, str):
        raise DataError("array has no dtype", where=where)
    if len(name) > 12 or name[:1] not in _KINDS or not name[1:].isdigit():
        raise DataError("array is not of numbers or text", where=where, got=repr(name)[:40])
    order = "|"
    if state is not None:
        if not isinstance(state, tuple) or len(state) < 8 or state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise DataError("array has a dtype that is not of plain numbers or text", where=where)
        order = state[1]
    try:
        found = np.dtype(("" if order == "|" else order) + name)
    except TypeError:
        raise DataError("array is not of numbers or text", where=where, got=repr(name)) from None
    if found.kind not in _KINDS or (not found.itemsize and name[:1] not in "SU"):
        raise DataError("array is not of numbers or text", where=where, got=repr(name))
    return found
