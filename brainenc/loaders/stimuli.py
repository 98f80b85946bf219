"""One stimulus at a time, wherever it is kept: a file, a zip, or a row of an array.

The ``path`` of a stimulus is a file below the root of its set, or a place in a container::

    a.jpg      images.zip::folder/a.jpg      scenes.npy::[3]      scenes.h5::imgs[3]      scenes.mat::stim[3]
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core import fingerprint
from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError
from brainenc.io.archive import Archive
from brainenc.io.images import read_image
from brainenc.io.paths import existing_file
from brainenc.io.readers import HDF5, read_array
from brainenc.loaders.transforms import as_image
from brainenc.nouns.stimuli import StimulusSet
from brainenc.nouns.tables import need_column, positions_of

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_HELD = 4
_HELD_BYTES = 2**30
_ITEM = re.compile(r"(.*)\[(\d+)\]")
_lock = RLock()
_open: OrderedDict[tuple[str, int, int, str], Any] = OrderedDict()
_hashes: dict[tuple[str, int, int], str] = {}


def load_stimulus(stimuli: StimulusSet, stimulus_id: str) -> Any:
    """Return one stimulus: an image as ``uint8 (height, width, 3)``, a text as ``str``.

    Parameters
    ----------
    stimuli : StimulusSet
        With a ``path`` column (or ``text``), and a ``transform`` column where arrays need one.
    stimulus_id : str

    Raises
    ------
    InputError
        Unknown id, or a set whose stimuli are known by name only.
    DataError
        Missing or damaged file, or values that are no image.

    Examples
    --------
    >>> import brainenc as be
    >>> load_stimulus(be.StimulusSet({"stimulus_id": ["a"], "text": ["a red ball"]}, kind="text"), "a")
    'a red ball'
    """
    (row,) = positions_of([str(stimulus_id)], list(stimuli.ids), "stimulus_ids", f"stimuli {stimuli.name!r}")
    return _load_row(stimuli, int(row))


def load_images(stimuli: StimulusSet, ids: Iterable[str] | None = None) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield images ``uint8 (height, width, 3)`` in the order of ``ids`` (of the set when None)."""
    if stimuli.kind != "image":
        raise InputError("stimuli are no images", where=f"stimuli {stimuli.name!r}", expected="kind 'image'", got=repr(stimuli.kind))
    rows: Iterable[int] = range(len(stimuli))
    if ids is not None:
        rows = positions_of([str(i) for i in ids], list(stimuli.ids), "stimulus_ids", f"stimuli {stimuli.name!r}").tolist()
    for row in rows:
        yield _load_row(stimuli, row)


def stimulus_fingerprint(stimuli: StimulusSet) -> str:
    """Return the sha256 (hex) of the ids, in order, and the content of every stimulus; other columns and places do not count.

    Stimuli known by name only are identified by their whole table.
    """
    content: dict[str, Any] = {"kind": stimuli.kind, "ids": list(stimuli.ids)}
    if stimuli.kind == "none":
        content["table"] = fingerprint.of_table(stimuli.table)
    elif "text" in stimuli.table and stimuli.kind == "text":
        content["text"] = [str(text) for text in stimuli.table["text"]]
    else:
        digest = hashlib.sha256()
        for path in need_column(stimuli.table, "path", f"stimuli {stimuli.name!r}"):
            file, inner = _place(stimuli, path)
            digest.update(f"{_hash(file)} {inner}\n".encode())
        content["content"] = digest.hexdigest()
        if "transform" in stimuli.table:
            content["transform"] = [_text(name) for name in stimuli.table["transform"]]
    return fingerprint.of_json(content)


def _load_row(stimuli: StimulusSet, row: int) -> Any:
    where = f"stimulus {stimuli.ids[row]!r} of {stimuli.name!r}"
    if stimuli.kind == "none":
        raise InputError(
            "these stimuli are known by name only and cannot be loaded", where=where, fix="use table: features of their columns"
        )
    if stimuli.kind == "text" and "text" in stimuli.table:
        return str(stimuli.table["text"].iloc[row])
    if stimuli.kind not in ("image", "text"):
        raise InputError(
            f"{stimuli.kind} stimuli cannot be loaded here", where=where, fix=f"read the file yourself: {stimuli.table.get('path', {})}"
        )
    path = need_column(stimuli.table, "path", f"stimuli {stimuli.name!r}").iloc[row]
    file, inner = _place(stimuli, path)
    if stimuli.kind == "text":
        return existing_file(file).read_text(encoding="utf-8-sig")
    transform = _text(stimuli.table["transform"].iloc[row]) if "transform" in stimuli.table else ""
    if not inner:
        image = read_image(file)
        return as_image(image, transform, where) if transform else image
    return _from_container(file, inner, transform, where)


def _from_container(file: Path, inner: str, transform: str, where: str) -> npt.NDArray[np.uint8]:
    name = file.name.lower()
    if name.endswith(ARCHIVES):
        image = read_image(_held(file, "", Archive).read(inner), name=f"{file}::{inner}")
        return as_image(image, transform, where) if transform else image
    return as_image(_row(file, inner), transform, f"{file}::{inner}")


def _row(file: Path, inner: str) -> npt.NDArray[Any]:
    """Return one item of an array file; files without random access are read once and held."""
    match = _ITEM.fullmatch(inner)
    suffix = file.suffix.lower()
    if suffix in HDF5 or match is None:
        return read_array(file, key=inner)
    key, index = match[1] or None, int(match[2])
    if suffix not in (".npy", ".npz", ".mat"):
        raise DataError(
            "not a container of stimuli by its name",
            where=file,
            expected=", ".join((*ARCHIVES, ".npy", ".npz", ".h5", ".mat")),
            got=suffix or "no suffix",
        )
    try:
        held = _held(file, key or "", lambda path: read_array(path, key=key, mmap=suffix == ".npy"))
    except InputError:
        return read_array(file, key=inner)  # an item of a cell or struct array, which is no array as a whole
    if index >= len(held):
        raise InputError(
            "container has fewer stimuli", where=f"{file}::{key or ''}", expected=f"[0] to [{len(held) - 1}]", got=f"[{index}]"
        )
    return np.asarray(held[index])


def _held(file: Path, key: str, opener: Any) -> Any:
    """Return an open container, kept for the next stimulus; a changed file is opened afresh."""
    stat = existing_file(file).stat()
    name = (str(file), stat.st_size, stat.st_mtime_ns, key)
    with _lock:
        if name in _open:
            _open.move_to_end(name)
            return _open[name]
        content = opener(file)
        if getattr(content, "nbytes", 0) <= _HELD_BYTES or isinstance(content, np.memmap):
            _open[name] = content
        while len(_open) > _HELD:
            _open.popitem(last=False)
        return content


def _place(stimuli: StimulusSet, path: Any) -> tuple[Path, str]:
    if not isinstance(path, str) or not path:
        raise InputError(
            "a stimulus has no path", where=f"stimuli {stimuli.name!r}", got=repr(path), fix=f"see ids {examples(stimuli.ids)}"
        )
    file, _, inner = path.partition("::")
    return (Path(file) if stimuli.root is None else stimuli.root / file), inner


def _hash(file: Path) -> str:
    stat = existing_file(file).stat()
    key = (str(file), stat.st_size, stat.st_mtime_ns)
    if key not in _hashes:
        _hashes[key] = fingerprint.of_file(file)
    return _hashes[key]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
