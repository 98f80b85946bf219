"""Small checks and conversions that every room shares."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_RESERVED = {"con", "prn", "aux", "nul"} | {f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10)}


def as_matrix(values: Any, name: str, *, n_rows: int | None = None) -> npt.NDArray[Any]:
    """Return ``values`` as a real 2-D array without copying a memmap, or say what is wrong with its shape."""
    array = np.asanyarray(values)
    if array.ndim != 2:
        raise InputError("array is not two-dimensional", where=name, expected="(rows, columns)", got=f"shape {array.shape}")
    if array.dtype.kind not in "fiub":
        raise InputError("array does not hold real numbers", where=name, got=f"dtype {array.dtype}")
    if n_rows is not None and array.shape[0] != n_rows:
        raise InputError("array and table have different lengths", where=name, expected=f"{n_rows} rows", got=array.shape[0])
    return array


def one_of(value: Any, allowed: Sequence[Any], name: str) -> Any:
    """Return ``value`` if it is allowed; else raise with the list and the nearest name."""
    if value in allowed:
        return value
    raise InputError(
        f"unknown value for {name}",
        expected=f"one of {', '.join(map(repr, allowed))}",
        got=repr(value),
        fix=did_you_mean(value, allowed),
    )


def real_array(values: Any, name: str, where: str) -> npt.NDArray[np.float64]:
    """Return values as an array of float64, or say that they are no numbers."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} are no array of numbers", where=where, got=type(values).__name__) from None


def whole(value: Any, name: str, where: str, *, least: int = 0) -> int:
    """Return a whole number of at least ``least``, or say that it is none."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} is a whole number of at least {least}", where=where, got=repr(value))
    return int(value)


def nearest(name: object, known: Iterable[object], n: int = 3) -> list[str]:
    """Return up to ``n`` known names that look like ``name``."""
    names = [str(k) for k in known]
    folded = {k.lower(): k for k in names}
    hits = difflib.get_close_matches(str(name).lower(), list(folded), n=n, cutoff=0.5)
    inside = [k for k in names if str(name).lower() in k.lower()]
    return list(dict.fromkeys([folded[h] for h in hits] + inside))[:n]


def did_you_mean(name: object, known: Iterable[object]) -> str | None:
    """Return a "did you mean …" sentence for an unknown name, or None where nothing is near."""
    hits = nearest(name, known)
    return f"did you mean {' or '.join(repr(h) for h in hits)}?" if hits else None


def examples(values: Iterable[object], n: int = 3) -> str:
    """Return the first few values as text for a message: ``'a', 'b', 'c' … (17 in all)``."""
    items = list(values)
    text = ", ".join(repr(str(v)) for v in items[:n])
    return f"{text} … ({len(items)} in all)" if len(items) > n else text


def parse_bytes(size: str | int | float) -> int:
    """Turn ``"4GB"``, ``"512 MiB"`` or a number into bytes."""
    if isinstance(size, int | float) and not isinstance(size, bool):
        number, unit = float(size), ""
    else:
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)\s*", str(size))
        if match is None or match[2].lower() not in _UNITS:
            raise InputError("not a size in bytes", expected='a number or text like "4GB"', got=repr(size))
        number, unit = float(match[1]), match[2].lower()
    if not np.isfinite(number) or number <= 0:
        raise InputError("a size must be positive", got=repr(size))
    return int(number * _UNITS[unit])


def human_bytes(n_bytes: float) -> str:
    """Return a size for people: ``12.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(n_bytes) < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def slug(text: object, max_length: int = 80) -> str:
    """Turn any identifier into a safe, short file name (letters, digits, dot, dash, underscore).

    Different identifiers can share a slug: use it for people, and a hash for keys.
    """
    folded = unicodedata.normalize("NFKD", str(text)).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", folded).strip("-. ")[:max_length].strip("-. ")
    if not safe or safe.split(".")[0].lower() in _RESERVED:
        safe = f"x-{safe}".strip("-")
    return safe
