"""Content fingerprints: the same content gives the same sha256 on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError


def canonical_json(value: Any) -> str:
    """Return sorted, compact JSON; floats keep their shortest exact form, tuples become lists."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=True)


def of_json(value: Any) -> str:
    """Return the sha256 (hex) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def of_array(array: npt.NDArray[Any]) -> str:
    """Return the sha256 of dtype, shape and bytes (row by row, so a memmap is never loaded whole)."""
    array = np.asanyarray(array)
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    if array.ndim == 0 or array.size == 0:
        digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()
    step = max(1, 2**24 // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        digest.update(np.ascontiguousarray(array[start : start + step]).data)
    return digest.hexdigest()


def of_table(table: Any) -> str:
    """Return the sha256 of a pandas table: column names, index and values in canonical JSON."""
    return of_json(
        {
            "index": [str(v) for v in table.index],
            "columns": {str(name): [_cell(v) for v in table[name]] for name in table.columns},
        }
    )


def of_file(path: str | Path) -> str:
    """Return the sha256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _cell(value: Any) -> Any:
    plain = _plain(value) if not isinstance(value, float) else value
    return "nan" if isinstance(plain, float) and plain != plain else plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(v) for v in value)
    if isinstance(value, np.ndarray):
        return {"array": of_array(value)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise InputError("value has no canonical form", where="fingerprint", got=type(value).__name__)
