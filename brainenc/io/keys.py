"""Keys into containers: ``RDMs[0].RDM`` is a name, an index from 0, and a field."""

from __future__ import annotations

import re
from collections.abc import Iterable

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError, NotFoundError

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


def steps(key: str) -> list[str | int]:
    """Split a dotted key into names and indices."""
    found: list[str | int] = []
    position = 0
    while position < len(key):
        match = _STEP.match(key, position)
        if match is None:
            raise InputError("key cannot be read", got=repr(key), fix="write it like name, name[0] or name[0].field")
        found.append(match[1] if match[1] is not None else int(match[2]))
        position = match.end()
    if not found or isinstance(found[0], int):
        raise InputError("a key begins with a name", got=repr(key))
    return found


def split_index(key: str) -> tuple[str, int | None]:
    """Split a trailing ``[i]`` from a key that may hold any other character."""
    match = re.fullmatch(r"(.+?)\[(\d+)\]", key)
    return (match[1], int(match[2])) if match else (key, None)


def only(names: Iterable[str], where: object) -> str:
    """Return the single name, or ask for a key."""
    known = list(names)
    if len(known) != 1:
        raise InputError("file holds several arrays" if known else "file holds no array", where=where, got=examples(known, 12), fix="give key=")
    return known[0]


def unknown(name: object, names: Iterable[str], where: object) -> NotFoundError:
    """Return the error for a key that is not there."""
    known = list(names)
    return NotFoundError(f"no key {name!r}", where=where, expected=examples(known, 12) or "none", fix=did_you_mean(name, known))


def check_index(index: int, length: int, where: object) -> int:
    """Return ``index`` when it is inside, or raise `NotFoundError`."""
    if not 0 <= index < length:
        raise NotFoundError(f"no item [{index}]", where=where, expected=f"0 to {length - 1}" if length else "nothing: it is empty")
    return index
