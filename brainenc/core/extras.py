"""Optional dependencies: one door, one message."""

from __future__ import annotations

import importlib
from types import ModuleType

from brainenc.core.errors import MissingExtraError


def need(module: str, extra: str | None = None, *, purpose: str | None = None) -> ModuleType:
    """Import ``module`` or say which extra brings it.

    Parameters
    ----------
    module : str
        Dotted name, for instance ``"transformers"``.
    extra : str, optional
        Extra of brainenc that installs it; None for a package of its own.
    purpose : str, optional
        What it is needed for, for the message.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        install = f'run: pip install "brainenc[{extra}]"' if extra else f"run: pip install {package}"
        raise MissingExtraError(
            f"{package} is needed{f' for {purpose}' if purpose else ''} and could not be imported ({error})", fix=install
        ) from error
