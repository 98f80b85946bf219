"""Content-addressed store of finished steps: an entry is whole and checked, or it is a miss.

Layout under the root::

    objects/ab/<key>/          the files of one entry and entry.json (sizes, sha256, meta, its own sha256)
    objects/ab/.tmp~…          an entry being written; one rename makes it an entry
    locks/<key>                leases of writers
    quarantine/<key>~…         damaged entries, set aside for a person to look at
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from brainenc.core import fingerprint
from brainenc.core.checks import did_you_mean, examples, one_of
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io import atomic, owner
from brainenc.io.lease import lease
from brainenc.io.paths import read_errors

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

Content = Any  # bytes, an array, a table, JSON-like data, or a function that writes the path it is given
Verify = Literal["sha256", "size"]
HEADER = "entry.json"
SCHEMA = 1
_KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One finished step: its ``key``, the ``meta`` given to `Store.put`, and its files.

    Parameters
    ----------
    key : str
        sha256 (hex) of the step.
    path : Path
        Folder of the files; do not write there.
    meta : dict
        JSON data.
    files : dict
        File name to ``{"sha256": …, "bytes": …}``.
    """

    key: str
    path: Path
    meta: dict[str, Any]
    files: dict[str, dict[str, Any]]

    def file(self, name: str) -> Path:
        """Return the path of one file of the entry."""
        if name not in self.files:
            raise NotFoundError(
                f"the entry has no file {name!r}",
                where=self.path,
                expected=examples(self.files, 10),
                fix=did_you_mean(name, self.files),
            )
        return self.path / name

    def bytes(self, name: str) -> bytes:
        """Return the content of one file."""
        path = self.file(name)
        with read_errors(path):
            return path.read_bytes()

    def array(self, name: str, *, mmap: bool = False) -> npt.NDArray[Any]:
        """Return a ``.npy`` file as an array, or as a read-only memmap."""
        path = self.file(name)
        with read_errors(path):
            return np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)

    def table(self, name: str) -> pd.DataFrame:
        """Return a ``.parquet`` file as a table."""
        import pandas as pd

        path = self.file(name)
        with read_errors(path):
            return pd.read_parquet(path)

    def json(self, name: str) -> Any:
        """Return a JSON file's content."""
        return json.loads(self.bytes(name))

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(int(facts["bytes"]) for facts in self.files.values())


class Store:
    """A folder of finished steps, safe against kills, full disks, damaged files and several writers at once.

    Parameters
    ----------
    root : str or Path
        The folder; it is made with the first `put`.

    Examples
    --------
    >>> store = Store("cache")                                               # doctest: +SKIP
    >>> entry = store.put(key, {"values.npy": values, "rows.parquet": table}, meta={"layer": "blocks.3"})
    >>> store.get(key).array("values.npy", mmap=True)
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def put(self, key: str, files: Mapping[str, Content], meta: Mapping[str, Any] | None = None) -> Entry:
        """Store the files of one finished step and return the entry.

        A sound entry that is already there is returned as it is, and nothing is written.

        Parameters
        ----------
        key : str
            sha256 (hex) of the step.
        files : mapping of str to bytes, array, table, JSON-like data or callable
            Content by file name (letters, digits, ``. _ -``). Arrays need ``.npy``, tables ``.parquet``, dicts and
            lists ``.json``. A callable gets the path to write.
        meta : mapping, optional
            JSON data kept in the entry's header.

        Raises
        ------
        DataError
            When the disk is full or the folder cannot be written; nothing is left behind.
        """
        path = self._path(key)
        for name in files:
            _check_name(name)
        header = {"schema": SCHEMA, "key": key, "meta": json.loads(atomic.json_text(dict(meta or {}), allow_nan=True))}
        present = self.get(key)
        if present is not None:
            return present
        temporary = path.parent / f"{owner.TEMP_PREFIX}{owner.tag()}"
        with atomic.write_errors(path), atomic.made_folder(path.parent):
            owner.clean_temporaries(path.parent)
            try:
                temporary.mkdir()
                facts = {name: _write(temporary / name, content) for name, content in files.items()}
                _write_header(temporary / HEADER, {**header, "files": facts})
                atomic.sync(temporary)
                return self._publish(temporary, path, key)
            finally:
                owner.discard(temporary)

    def get(self, key: str, *, verify: Verify = "sha256") -> Entry | None:
        """Return the entry of ``key``, or None.

        A damaged or incomplete entry counts as a miss: it is logged and moved to ``quarantine/``.

        Parameters
        ----------
        key : str
            sha256 (hex) of the step.
        verify : {"sha256", "size"}
            Check the content of every file, or (faster) only that each is there with its size.
        """
        one_of(verify, ("sha256", "size"), "verify")
        path = self._path(key)
        try:
            identity = path.stat().st_ino
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DataError("cannot read the store", where=path, got=str(error)) from error
        entry, fault = _load(path, key, verify)
        if entry is None:
            self._set_aside(path, identity, fault)
        return entry

    def has(self, key: str) -> bool:
        """Return whether a sound entry is there (sizes are checked, not contents)."""
        return self.get(key, verify="size") is not None

    def keys(self) -> list[str]:
        """Return the sorted keys of all entries, unchecked."""
        return sorted(p.name for p in (self.root / "objects").glob("??/*") if _KEY.fullmatch(p.name))

    def remove(self, key: str) -> bool:
        """Remove an entry at once; return whether there was one."""
        path = self._path(key)
        gone = path.parent / f"{owner.TEMP_PREFIX}{owner.tag()}"
        with atomic.write_errors(path):
            try:
                os.rename(path, gone)
            except FileNotFoundError:
                return False
            shutil.rmtree(gone)
        return True

    def lock(self, key: str, *, timeout: float = 600.0) -> AbstractContextManager[None]:
        """Return a context in which this process alone works on ``key`` (a convention among writers, not needed by `put`)."""
        self._path(key)
        return lease(self.root / "locks" / key, timeout=timeout)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r}, {len(self.keys())} entries)"

    def _path(self, key: str) -> Path:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise InputError("a key is a sha256 in lower-case hex", where="Store", got=repr(key), fix="use core.fingerprint.of_json")
        return self.root / "objects" / key[:2] / key

    def _publish(self, temporary: Path, path: Path, key: str) -> Entry:
        for _ in range(10):
            try:
                os.rename(temporary, path)
            except OSError:
                if not path.exists():
                    raise
                entry = self.get(key)  # another writer came first: theirs is as good, or is set aside when damaged
                if entry is not None:
                    return entry
                continue
            atomic.sync(path.parent)
            entry = _load(path, key, "size")[0]
            if entry is not None:
                return entry
        raise DataError("the entry could not be kept", where=path, fix="see whether another program removes files there")

    def _set_aside(self, path: Path, identity: int, fault: str) -> None:
        place = self.root / "quarantine" / f"{path.name}~{owner.tag()}"
        try:
            if path.stat().st_ino != identity:  # already replaced by a fresh entry
                return
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, place)
        except FileNotFoundError:
            return
        except OSError as error:
            raise DataError(
                "a damaged entry cannot be set aside", where=path, got=f"{fault}; {error}", fix="remove that folder"
            ) from error
        logger.warning("damaged store entry %s (%s); moved to %s", path.name, fault, place)


def _write(path: Path, content: Content) -> dict[str, Any]:
    if callable(content):
        content(path)
        if not path.is_file():
            raise InputError("the writer wrote no file", where=path.name)
    else:
        path.write_bytes(content) if isinstance(content, bytes | bytearray | memoryview) else _write_noun(path, content)
    atomic.sync(path)
    return {"sha256": fingerprint.of_file(path), "bytes": path.stat().st_size}


def _write_noun(path: Path, content: Any) -> None:
    wanted, write = _writer(path, content)
    if path.suffix != wanted:
        raise InputError("file name does not fit the content", where=path.name, expected=f"a name ending in {wanted}")
    write(path, content)


def _writer(path: Path, content: Any) -> tuple[str, Callable[[Path, Any], Any]]:
    if isinstance(content, np.ndarray):
        return ".npy", atomic.write_npy
    if isinstance(content, dict | list):
        return ".json", atomic.write_json
    if hasattr(content, "to_parquet"):
        return ".parquet", atomic.write_parquet
    raise InputError("cannot store this content", where=path.name, got=type(content).__name__)


def _write_header(path: Path, header: dict[str, Any]) -> None:
    header["sha256"] = fingerprint.of_json(header)
    path.write_text(atomic.json_text(header, allow_nan=True), encoding="utf-8")
    atomic.sync(path)


def _load(path: Path, key: str, verify: Verify) -> tuple[Entry | None, str]:
    """Return the entry, or None and what is wrong with it."""
    try:
        header = json.loads((path / HEADER).read_bytes())
        claimed = header.pop("sha256")
        files = header["files"]
        if claimed != fingerprint.of_json(header) or header["key"] != key or header["schema"] != SCHEMA:
            return None, "header does not match its checksum, key or schema"
        for name, facts in files.items():
            size = (path / name).stat().st_size
            if size != facts["bytes"]:
                return None, f"{name} has {size} bytes, expected {facts['bytes']}"
            if verify == "sha256" and fingerprint.of_file(path / name) != facts["sha256"]:
                return None, f"{name} does not match its sha256"
    except PermissionError as error:
        raise DataError("cannot read the store", where=path, got=str(error), fix="check the permissions") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return None, f"{type(error).__name__}: {error}"
    return Entry(key=key, path=path, meta=header["meta"], files=files), ""




def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == HEADER:
        raise InputError("not a usable file name for a store entry", where=repr(name), expected="letters, digits, . _ - (not entry.json)")


