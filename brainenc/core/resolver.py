"""The one place where a room may name a room above it: by dotted text, resolved when called."""

from __future__ import annotations

import importlib
from typing import Any


def resolve(target: str) -> Any:
    """Return the object named by ``"package.module:attribute"``.

    Nouns use it for convenience methods (``paint``, ``reduce``, ``to_html``) whose work is done in a room above.
    """
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
