"""Strict tables: TOML into dataclasses, where an unknown key or a wrong type is an error that names its place."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import InputError

_NAMES = {str: "text", int: "an integer", float: "a number", bool: "true or false"}


def build(cls: type[Any], table: Any, where: str) -> Any:
    """Return ``cls(**table)`` after checking every key and type, tables within tables included.

    Raises
    ------
    InputError
        Unknown key (with the nearest known one), missing key, wrong type; ``where`` and the path of the key are named.
    """
    if not isinstance(table, Mapping):
        raise InputError("a table is needed", where=where, got=_shown(table))
    hints = _hints(cls)  # type: ignore[arg-type]
    for key in table:
        if key not in hints:
            raise InputError(f"unknown key {key!r}", where=where, expected=f"one of {', '.join(hints)}", fix=did_you_mean(key, hints))
    content = {key: convert(value, hints[key], f"{where}.{key}") for key, value in table.items()}
    missing = [f.name for f in fields(cls) if f.name not in content and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        raise InputError(f"key {missing[0]!r} is missing", where=where)
    return cls(**content)


def convert(value: Any, hint: Any, where: str) -> Any:
    """Return ``value`` as the type ``hint`` says, or raise `InputError`."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _union(value, get_args(hint), where)
    if origin is Literal:
        if value not in get_args(hint):
            allowed = [str(v) for v in get_args(hint)]
            raise InputError(
                "unknown value", where=where, expected=f"one of {', '.join(allowed)}", got=_shown(value), fix=did_you_mean(value, allowed)
            )
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError("a list is needed", where=where, got=_shown(value))
        return tuple(convert(item, get_args(hint)[0], f"{where}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise InputError("a table is needed", where=where, got=_shown(value))
        return {str(key): convert(item, get_args(hint)[1], f"{where}.{key}") for key, item in value.items()}
    if is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    return _plain(value, hint, where)


def _plain(value: Any, hint: type, where: str) -> Any:
    right = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value, right = float(value), True
    if not right:
        raise InputError("value has the wrong type", where=where, expected=_NAMES.get(hint, hint.__name__), got=_shown(value))
    if hint is float and not math.isfinite(value):
        raise InputError("number is not finite", where=where, got=value)
    return value


def _union(value: Any, options: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in options:
        return None
    errors = []
    for option in (option for option in options if option is not type(None)):
        try:
            return convert(value, option, where)
        except InputError as error:
            errors.append(error)
    if len(errors) == 1 or (isinstance(value, Mapping) and any(is_dataclass(o) for o in options)):
        raise errors[0]
    expected = " or ".join(
        dict.fromkeys(_NAMES.get(o, "a list" if get_origin(o) is tuple else "a table") for o in options if o is not type(None))
    )
    raise InputError("value has the wrong type", where=where, expected=expected, got=_shown(value))


@lru_cache(maxsize=64)
def _hints(cls: type) -> dict[str, Any]:
    own = {f.name for f in fields(cls) if f.init}
    return {name: hint for name, hint in get_type_hints(cls).items() if name in own}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


def update(base: Any, cls: type[Any], table: Any, where: str) -> Any:
    """Return ``base`` (an instance of ``cls`` or None) with the keys of ``table`` replaced, checked like `build`."""
    if base is None:
        return build(cls, table, where)
    if not isinstance(table, Mapping):
        raise InputError("a table is needed", where=where, got=_shown(table))
    hints = _hints(cls)  # type: ignore[arg-type]
    for key in table:
        if key not in hints:
            raise InputError(f"unknown key {key!r}", where=where, expected=f"one of {', '.join(hints)}", fix=did_you_mean(key, hints))
    return replace(base, **{key: convert(value, hints[key], f"{where}.{key}") for key, value in table.items()})
