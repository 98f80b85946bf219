"""Public names that load on first use: a room lists where each lives, and nothing is imported before it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the module-level ``__getattr__`` of a package.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    where : mapping of str to str
        Public name to the module below the package that holds it.

    Examples
    --------
    >>> getattr_ = lazy("brainenc.core", {"slug": "checks"})
    >>> getattr_("slug")("a/b")
    'a-b'
    """

    def find(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{where[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
