"""Where files are looked for, and files that must be there: the message for a missing one names its neighbours."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brainenc.core.checks import did_you_mean, human_bytes, parse_bytes
from brainenc.core.errors import BrainencError, DataError

_MAX_LISTED = 5000


def cache_dir() -> Path:
    """Return the folder for caches: the environment variable ``BRAINENC_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("BRAINENC_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("brainenc"))


def data_roots(root: str | Path | None = None) -> list[Path]:
    """Return the folders in which data sets are looked for, in order: argument, ``BRAINENC_DATA``, user cache."""
    roots = [Path(root).expanduser()] if root is not None else []
    if os.environ.get("BRAINENC_DATA"):
        roots.append(Path(os.environ["BRAINENC_DATA"]).expanduser())
    return [*roots, cache_dir() / "data"]


def is_offline() -> bool:
    """True where ``BRAINENC_OFFLINE`` forbids downloads."""
    return os.environ.get("BRAINENC_OFFLINE", "").lower() not in ("", "0", "false", "no")


def existing_file(path: str | Path) -> Path:
    """Return ``path`` as a Path, or raise `DataError` with the files there that look like it."""
    place = Path(path).expanduser()
    if "\0" in str(place):
        raise DataError("a file name cannot hold NUL", where=repr(str(path)))
    if place.is_file():
        return place
    if place.is_dir():
        raise DataError("this is a folder, not a file", where=place)
    if place.exists():
        raise DataError("this is not a regular file", where=place)
    folder = place.parent
    if not folder.is_dir():
        raise DataError("no such file", where=place, got=f"no folder {str(folder)!r} either")
    names = _names(folder)
    raise DataError("no such file", where=place, fix=did_you_mean(place.name, names) or f"the folder holds {len(names)} other files")


@contextmanager
def read_errors(where: object) -> Iterator[None]:
    """Turn whatever a library raises while reading into a `DataError` that names the file."""
    try:
        yield
    except BrainencError:
        raise
    except MemoryError as error:
        raise DataError("does not fit in memory", where=where, got=str(error) or None) from error
    except Exception as error:  # every library has errors of its own for damaged files
        raise DataError("cannot be read: damaged or not what its name says", where=where, got=f"{type(error).__name__}: {error}") from error


def memory_budget(max_bytes: str | int | None = None) -> int:
    """Return the bytes that one read may take: ``max_bytes``, or what is free now."""
    if max_bytes is not None:
        return parse_bytes(max_bytes)
    import psutil

    return int(psutil.virtual_memory().available)


def check_budget(n_bytes: int, where: object, max_bytes: str | int | None = None) -> None:
    """Raise `DataError` when a read of ``n_bytes`` is above the budget."""
    budget = memory_budget(max_bytes)
    if n_bytes > budget:
        raise DataError(
            "needs more memory than allowed",
            where=where,
            expected=f"at most {human_bytes(budget)}",
            got=human_bytes(n_bytes),
            fix="raise max_bytes, read part of it, or free memory",
        )


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in itertools.islice(entries, _MAX_LISTED)]
    except OSError:
        return []
