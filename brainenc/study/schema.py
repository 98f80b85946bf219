"""Strict reading of plan tables: an unknown key, a wrong type or a missing value is an error that names the key's path."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import InputError

REQUIRED: Any = object()
_WORDS = {str: "text", int: "an integer", float: "a number", bool: "true or false", dict: "a table", list: "a list"}


@dataclass(frozen=True, slots=True)
class Key:
    """What one key may hold: its types, its default, the values it may take, and the type of its items if it is a list."""

    types: tuple[type, ...]
    default: Any = None
    allowed: tuple[Any, ...] | None = None
    items: tuple[type, ...] | None = None
    least: float | None = None


TEXT = Key((str,))
NUMBERS = (int, float)


def read_table(table: Any, keys: Mapping[str, Key], where: str) -> dict[str, Any]:
    """Return the values of a table with defaults filled in; ``where`` is the path of the table, for messages."""
    if not isinstance(table, Mapping):
        raise InputError("not a table", where=where, expected="keys and values", got=_kind(table))
    for name in table:
        if name not in keys:
            expected = f"one of {', '.join(sorted(keys))}"
            raise InputError(f"unknown key {name!r}", where=where, expected=expected, fix=did_you_mean(name, keys))
    return {name: _value(table.get(name, REQUIRED), key, f"{where}.{name}") for name, key in keys.items()}


def check_arguments(table: Mapping[str, Any], function: Callable[..., Any], where: str) -> None:
    """Refuse a key that is not an argument of ``function``; TOML tables that are passed on as arguments use this."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]
    for name in table:
        if name not in known:
            raise InputError(f"unknown key {name!r}", where=where, expected=f"one of {', '.join(known)}", fix=did_you_mean(name, known))


def as_list(value: Any) -> list[Any]:
    """Return a list for a value that may stand alone."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _value(value: Any, key: Key, where: str) -> Any:
    if value is REQUIRED:
        if key.default is REQUIRED:
            raise InputError("a key is missing", where=where)
        return key.default
    if isinstance(value, bool) and bool not in key.types or not isinstance(value, key.types):
        raise InputError("value has the wrong type", where=where, expected=_expected(key.types), got=_kind(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError("value must be finite", where=where, got=value)
    if key.allowed is not None and value not in key.allowed:
        expected = f"one of {', '.join(map(repr, key.allowed))}"
        raise InputError("value is not allowed", where=where, expected=expected, got=repr(value), fix=did_you_mean(value, key.allowed))
    if key.least is not None and isinstance(value, int | float) and value < key.least:
        raise InputError("value is too small", where=where, expected=f"at least {key.least:g}", got=value)
    if isinstance(value, list) and key.items is not None:
        for position, item in enumerate(value):
            if not isinstance(item, key.items) or isinstance(item, bool) and bool not in key.items:
                raise InputError("item has the wrong type", where=f"{where}[{position}]", expected=_expected(key.items), got=_kind(item))
    return value


def _expected(types: tuple[type, ...]) -> str:
    words = [_WORDS.get(kind, kind.__name__) for kind in types if not (kind is int and float in types)]
    return " or ".join(words)


def _kind(value: Any) -> str:
    word = next((word for kind, word in _WORDS.items() if type(value) is kind), type(value).__name__)
    return f"{word} ({value!r})" if not isinstance(value, dict | list) else word
