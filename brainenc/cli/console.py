"""What people see: logging, warnings and plain tables."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

LEVELS = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG}


@contextmanager
def quiet_libraries(level: int) -> Iterator[None]:
    """Log to stderr at a level from -1 (errors only) to 2; warnings of other packages show from 1 on."""
    from brainenc.core.errors import BrainencWarning

    logger = logging.getLogger("brainenc")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s" if level < 2 else "%(levelname)s %(name)s: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(LEVELS[max(-1, min(level, 2))])
    with warnings.catch_warnings():
        if level < 1:
            warnings.simplefilter("ignore")
        if level >= 0:
            warnings.simplefilter("always", BrainencWarning)
        warnings.showwarning = _show
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)


def progress(args: Any) -> bool | None:
    """Return what verbs take as ``progress``: never with -q, else on a terminal only."""
    return False if args.quiet else None


def say(text: str = "") -> None:
    """Print one line of results to stdout."""
    print(text, flush=True)


def show(table: pd.DataFrame, *, decimals: int = 3) -> None:
    """Print a table: text to the left, numbers to the right, missing values empty."""
    if not len(table):
        return
    columns = [_cells(table[name], decimals) for name in table.columns]
    right = [_is_number(table[name]) for name in table.columns]
    widths = [max(len(str(name)), *(len(cell) for cell in cells)) for name, cells in zip(table.columns, columns, strict=True)]
    rows = [[str(name) for name in table.columns], *map(list, zip(*columns, strict=True))]
    for row in rows:
        parts = [cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in zip(row, widths, right, strict=True)]
        say("  ".join(parts).rstrip())


def _is_number(column: pd.Series) -> bool:
    return getattr(column.dtype, "kind", "O") in "iuf"


def _cells(column: pd.Series, decimals: int) -> list[str]:
    if column.dtype.kind == "f":
        return ["" if value != value else f"{value:.{decimals}f}" for value in column]
    if column.dtype.kind == "b":
        return ["yes" if value else "no" for value in column]
    return [_printable(str(value)) if known else "" for value, known in zip(column, column.notna(), strict=True)]


def _printable(text: str) -> str:
    """Return text without control characters, which a hostile name could send to a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _show(message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None) -> None:
    from brainenc.core.errors import BrainencWarning

    text = str(message) if issubclass(category, BrainencWarning) else f"{category.__name__}: {message} ({filename}:{lineno})"
    print(f"warning: {text}", file=sys.stderr)
