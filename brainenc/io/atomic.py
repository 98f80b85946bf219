"""Writers that leave either the whole file or nothing: temporary file → fsync → rename.

Every writer turns a full disk, a missing permission or a size limit into a `DataError` that names the path and says
what to do, and removes what it had begun, including folders it made.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import human_bytes
from brainenc.core.errors import BrainencError, DataError, InputError
from brainenc.io import owner

if TYPE_CHECKING:
    import pandas as pd

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_cleaned: set[Path] = set()


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well it is synced and takes the place of ``path``.

    Parameters
    ----------
    path : str or Path
        Where the finished file shall be. Missing parent folders are made. The temporary path ends with the same name,
        so libraries that look at the suffix work.

    Raises
    ------
    DataError
        When the disk is full or the place cannot be written; nothing is left behind.

    Examples
    --------
    >>> with atomic_write("out/scores.csv") as temporary:        # doctest: +SKIP
    ...     temporary.write_text("a,b")
    """
    target = Path(path)
    with write_errors(target), made_folder(target.parent):
        if target.is_dir():
            raise DataError("cannot write a file where a folder is", where=target, fix="choose another name")
        temporary = target.parent / f"{owner.TEMP_PREFIX}{owner.tag()}~{_tail(target.name)}"
        try:
            yield temporary
            sync(temporary)
            os.replace(temporary, target)
        except BaseException:
            owner.discard(temporary)
            raise
        sync(target.parent)


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write bytes to ``path``, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, content: str) -> Path:
    """Write text to ``path`` as UTF-8 with ``\\n`` line ends, whole or not at all."""
    return write_bytes(path, content.encode())


def write_json(path: str | Path, content: Any) -> Path:
    """Write strict JSON (numpy scalars become numbers, paths become text; NaN has no JSON form and is refused)."""
    return write_text(path, json_text(content))


def write_npy(path: str | Path, array: npt.ArrayLike) -> Path:
    """Write one array as ``.npy``; arrays of Python objects are refused (they would need pickle)."""
    values = _storable(array, path)
    with atomic_write(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, values, allow_pickle=False)
    return Path(path)


def write_npz(path: str | Path, arrays: Mapping[str, npt.ArrayLike], *, compress: bool = False) -> Path:
    """Write named arrays as ``.npz``; the same arrays give the same bytes."""
    import zipfile

    values = {name: _storable(array, f"{path}:{name}") for name, array in arrays.items()}
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with atomic_write(path) as temporary, open(temporary, "wb") as stream:
        bundle = zipfile.ZipFile(stream, "w", compression=method, allowZip64=True)
        try:
            for name, array in values.items():
                # a ZipInfo of our own has the fixed date 1980-01-01, so the bytes do not depend on the clock
                member = zipfile.ZipInfo(f"{name}.npy")
                member.compress_type = method
                with bundle.open(member, "w", force_zip64=True) as out:
                    np.lib.format.write_array(out, array, allow_pickle=False)
        except BaseException:
            bundle.fp = None  # a full disk fails once; closing would write the directory and fail again
            raise
        bundle.close()
    return Path(path)


def write_parquet(path: str | Path, table: pd.DataFrame, *, index: bool | None = None) -> Path:
    """Write a table as Parquet; ``index=None`` keeps the index when it has a name."""
    keep = _keeps_index(table, index)
    with atomic_write(path) as temporary, open(temporary, "wb") as stream:
        try:
            table.to_parquet(stream, index=keep)
        except (ValueError, TypeError) as error:
            raise InputError("table cannot be stored as Parquet", where=path, got=str(error)) from error
    return Path(path)


def write_csv(path: str | Path, table: pd.DataFrame, *, index: bool | None = None) -> Path:
    """Write a table as CSV (tab-separated for ``.tsv``), UTF-8, floats in their shortest exact form."""
    separator = "\t" if Path(path).suffix.lower() == ".tsv" else ","
    missing = "n/a" if separator == "\t" else ""
    buffer = io.StringIO()
    table.to_csv(buffer, sep=separator, na_rep=missing, index=_keeps_index(table, index), lineterminator="\n")
    return write_text(path, buffer.getvalue())


def json_text(content: Any, *, allow_nan: bool = False) -> str:
    """Return indented JSON text, or raise `InputError` for what JSON cannot hold."""
    try:
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=allow_nan, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError("value has no JSON form", got=str(error), fix="use None for a missing number") from error


@contextmanager
def write_errors(path: str | Path) -> Iterator[None]:
    """Turn an `OSError` of the block into a `DataError` that names ``path`` and the remedy."""
    try:
        yield
    except BrainencError:
        raise
    except OSError as error:
        raise _explain(error, Path(path)) from error


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make ``folder``; on failure remove the folders that were made and are still empty."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder not in _cleaned:
            owner.clean_temporaries(folder)
            _cleaned.add(folder)
        yield
    except BaseException:
        for place in made:
            try:
                place.rmdir()
            except OSError:
                break
        raise


def sync(path: Path) -> None:
    """Ask the system to put a file or a folder on the disk (folders cannot be synced on Windows)."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():  # some network folders refuse
            raise
    finally:
        os.close(descriptor)


def free_bytes(path: str | Path) -> int:
    """Return the free space of the file system that holds ``path`` (or will hold it)."""
    import shutil

    place = Path(path).absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def _explain(error: OSError, path: Path) -> DataError:
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        fix = f"free some space ({human_bytes(_free(path))} are free there, limits and quotas may be lower) or choose another folder"
        return DataError("no room to write", where=path, got=reason, fix=fix)
    if error.errno in _DENIED:
        return DataError("no permission to write", where=path, got=reason, fix="choose a folder that you may write to")
    in_the_way = error.errno in (errno.EEXIST, errno.ENOTDIR)
    fix = "a part of the path is a file; choose another place" if in_the_way else "check the folder, or choose another one"
    return DataError("cannot write", where=path, got=reason, fix=fix)


def _free(path: Path) -> int:
    try:
        return free_bytes(path)
    except OSError:
        return 0


def _tail(name: str) -> str:
    """Return the last part of a file name, short enough for the temporary's own name to fit 255 bytes."""
    while len(name.encode()) > 120:
        name = name[1:]
    return name


def _storable(array: npt.ArrayLike, where: object) -> npt.NDArray[Any]:
    values = np.asanyarray(array)
    if values.dtype.hasobject:
        raise InputError("arrays of Python objects are not stored", where=where, fix="use numbers, or text with a fixed-width dtype")
    return values


def _keeps_index(table: pd.DataFrame, index: bool | None) -> bool:
    return table.index.name is not None if index is None else index


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
