"""Where files are looked for and where results of work are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder for caches: the environment variable ``BRAINENC_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("BRAINENC_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("brainenc"))


def data_roots(root: str | Path | None = None) -> list[Path]:
    """Return the folders in which data sets are looked for, in order: argument, ``BRAINENC_DATA``, user cache."""
    roots = [Path(root).expanduser()] if root is not None else []
    if os.environ.get("BRAINENC_DATA"):
        roots.append(Path(os.environ["BRAINENC_DATA"]).expanduser())
    return [*roots, cache_dir() / "data"]


def is_offline() -> bool:
    """True where ``BRAINENC_OFFLINE`` forbids downloads."""
    return os.environ.get("BRAINENC_OFFLINE", "") not in ("", "0")
