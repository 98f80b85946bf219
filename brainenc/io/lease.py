"""A lock file with one holder, which another process takes over once the holder is dead."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from brainenc.core.errors import DataError
from brainenc.io import owner
from brainenc.io.atomic import write_errors

_UNREADABLE_AFTER_S = 10.0


@contextmanager
def lease(path: str | Path, *, timeout: float = 600.0, poll: float = 0.05) -> Iterator[None]:
    """Hold the lock file ``path`` for the length of the block.

    The file is made exclusively and holds ``host~pid~start~token time``. A lease whose maker ran on this host and is
    gone is taken over; one of another host is waited for.

    Parameters
    ----------
    path : str or Path
        The lock file; its folder is made if missing.
    timeout : float
        Seconds to wait for the holder.
    poll : float
        Seconds between looks.

    Raises
    ------
    DataError
        After ``timeout`` seconds, naming the holder; or when the place cannot be written.
    """
    target = Path(path)
    mine = owner.tag()
    deadline = time.monotonic() + timeout
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        while not _create(target, mine):
            if not _take_over(target, deadline) and time.monotonic() >= deadline:
                raise DataError(
                    "another process holds the lock",
                    where=target,
                    got=f"{_holder(target) or 'an unreadable holder'} after {timeout:g} s",
                    fix="wait for it, or delete the lock file if that process is gone",
                )
            time.sleep(poll)
    try:
        yield
    finally:
        if _holder(target).startswith(mine):
            owner.discard(target)


def _create(target: Path, mine: str) -> bool:
    try:
        descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, f"{mine} {time.time():.0f}".encode())
    except OSError:
        owner.discard(target)
        raise
    finally:
        os.close(descriptor)
    return True


def _take_over(target: Path, deadline: float) -> bool:
    """Remove a dead holder's lease and return True, or leave a living one's.

    Only the holder of a second lease, named after the dead one's token, may remove it, and looks again first: so two
    processes that saw the same dead lease can never remove a fresh one.
    """
    held = _holder(target)
    if not _stale(target, held):
        return False
    claim = target.with_name(f"{target.name}.{held.split()[0].split('~')[-1] if held else 'empty'}")
    left = deadline - time.monotonic()
    with lease(claim, timeout=max(left, 1.0)):
        if _holder(target) == held and _stale(target, held):
            owner.discard(target)
    return True


def _stale(target: Path, held: str) -> bool:
    if held:
        return owner.is_dead(held)
    try:  # made but never written: its maker died between the two calls
        return time.time() - target.stat().st_mtime > _UNREADABLE_AFTER_S
    except OSError:
        return False


def _holder(target: Path) -> str:
    try:
        return target.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
