"""Plans as TOML text: the standard library reads TOML and does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from brainenc.core.errors import InputError

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def dumps(table: Mapping[str, Any], *, arrays_of_tables: tuple[str, ...] = ("analysis",)) -> str:
    """Return TOML of a nested table; the named top-level lists are written as ``[[name]]``, the rest inline.

    Values that are None are left out (TOML has no null).
    """
    lines = [f"{_key(name)} = {_inline(value)}" for name, value in table.items() if value is not None and not _is_block(name, value, arrays_of_tables)]
    for name, value in table.items():
        if value is None or not _is_block(name, value, arrays_of_tables):
            continue
        for block in value if name in arrays_of_tables else [value]:
            header = f"[[{_key(name)}]]" if name in arrays_of_tables else f"[{_key(name)}]"
            lines += ["", header, *(f"{_key(k)} = {_inline(v)}" for k, v in block.items() if v is not None)]
    return "\n".join(lines) + "\n"


def _is_block(name: str, value: Any, arrays_of_tables: tuple[str, ...]) -> bool:
    return name in arrays_of_tables or isinstance(value, Mapping)


def _key(name: str) -> str:
    return name if _BARE.match(name) else _text(name)


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_inline(v) for v in value)}]"
    raise InputError("value has no TOML form", got=type(value).__name__)


def _text(value: str) -> str:
    # JSON's escapes are TOML's, except that TOML wants DEL escaped and knows no surrogate pairs
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
