"""A folder is a registry: one module, one item; third parties join through entry points."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import InputError, NotFoundError


class Registry:
    """The modules of one package, listed without importing them.

    Parameters
    ----------
    package : str
        Dotted name of the folder, for instance ``"brainenc.features.models"``.
    noun : str
        What an item is called in messages ("model family").
    group : str, optional
        Entry-point group through which other packages add items.
    """

    def __init__(self, package: str, noun: str, group: str | None = None) -> None:
        self.package = package
        self.noun = noun
        self.group = group or package

    def names(self) -> list[str]:
        """Return the sorted names of all items."""
        spec = importlib.util.find_spec(self.package)
        paths = spec.submodule_search_locations if spec else None
        own = [m.name for m in pkgutil.iter_modules(paths) if not m.name.startswith("_")]
        return sorted({*own, *(point.name for point in _entry_points(self.group))})

    def get(self, name: str) -> ModuleType | Any:
        """Import and return one item, or raise with the nearest names."""
        if not isinstance(name, str):
            raise InputError(f"the name of a {self.noun} is text", expected=f"one of {', '.join(self.names())}", got=type(name).__name__)
        for point in _entry_points(self.group):
            if point.name == name:
                return point.load()
        names = self.names()
        if name not in names:
            raise NotFoundError(
                f"unknown {self.noun} {name!r}",
                expected=f"one of {', '.join(names)}",
                fix=did_you_mean(name, names),
            )
        return importlib.import_module(f"{self.package}.{name}")


@lru_cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group; reading the metadata of every installed package takes some 15 ms."""
    return tuple(entry_points(group=group))
