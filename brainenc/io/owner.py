"""Who made a temporary file or a lock, and whether that process is still there."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
from functools import cache
from pathlib import Path

from brainenc.core.checks import slug

TEMP_PREFIX = ".tmp~"
_TAG = re.compile(r"(?P<host>[^~]+)~(?P<pid>\d+)~(?P<start>\d+)~(?P<token>[0-9a-f]+)")


def host() -> str:
    """Return this machine's name in a form that fits a file name."""
    return slug(socket.gethostname(), 40)


def tag() -> str:
    """Return ``host~pid~start~token``: unique, and enough to tell later whether its maker still runs."""
    pid = os.getpid()
    return f"{host()}~{pid}~{_own_start(pid)}~{secrets.token_hex(6)}"


def is_dead(text: str) -> bool:
    """Return True only when the maker ran on this host and is certainly gone (its pid is free or was given anew)."""
    match = _TAG.match(text)
    if match is None or match["host"] != host():
        return False
    start = _start(int(match["pid"]))
    # the clock that psutil derives start times from may be stepped by a second or two
    return start is None or abs(start - int(match["start"])) > 5


def clean_temporaries(folder: Path) -> None:
    """Remove the temporaries in ``folder`` whose makers are dead."""
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(TEMP_PREFIX)]
    except OSError:
        return
    for name in names:
        if is_dead(name.removeprefix(TEMP_PREFIX)):
            discard(folder / name)


def discard(path: Path) -> None:
    """Remove a file or a folder of ours, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass


@cache
def _own_start(pid: int) -> int:
    return _start(pid) or 0


def _start(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:  # it is there, and we may not look at it
        return 0
