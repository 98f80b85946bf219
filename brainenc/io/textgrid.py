"""Praat TextGrids: the intervals and points of every tier as a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from brainenc.core.errors import DataError
from brainenc.io.paths import check_budget, existing_file, read_errors

if TYPE_CHECKING:
    import pandas as pd

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|<(exists|absent)>|(?<![\w.!])(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?![\w.:\]])')
_MAX_TIERS = 1000


def read_textgrid(path: str | Path, *, max_bytes: str | int | None = None) -> pd.DataFrame:
    """Read a TextGrid, long or short, in UTF-8 or UTF-16.

    Parameters
    ----------
    path : str or Path
    max_bytes : str or int, optional
        Limit on the file's size; None means a tenth of the free memory.

    Returns
    -------
    DataFrame
        One row for each interval or point that has a text, in the order of the file: ``tier`` (its name), ``onset`` and ``duration`` (s; 0 for
        points) and ``text``. Intervals without a text are silence and left out.

    Raises
    ------
    DataError
        Another kind of file, one that ends too early, or intervals that end before they begin.

    Examples
    --------
    >>> read_textgrid("story.TextGrid").query("tier == 'word'")                   # doctest: +SKIP
    """
    import pandas as pd

    source = existing_file(path)
    check_budget(source.stat().st_size * (10 if max_bytes is None else 1), source, max_bytes)
    with read_errors(source):
        content = source.read_bytes()
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    tokens = _Tokens(text, source)
    if tokens.text() != "ooTextFile" or tokens.text() != "TextGrid":
        raise DataError("not a TextGrid", where=source, expected='a file that begins with "ooTextFile" and "TextGrid"')
    tokens.number()
    tokens.number()
    n_tiers = tokens.count() if tokens.flag() else 0
    if n_tiers > _MAX_TIERS:
        raise DataError("TextGrid has too many tiers", where=source, expected=f"at most {_MAX_TIERS}", got=n_tiers)
    rows: list[tuple[str, float, float, str]] = []
    for _ in range(n_tiers):
        rows += _tier(tokens, source)
    return pd.DataFrame(rows, columns=["tier", "onset", "duration", "text"])


class _Tokens:
    """The quoted texts and free-standing numbers of a file, in order: what both of Praat's layouts have in common."""

    def __init__(self, text: str, where: Path) -> None:
        self.found = _TOKEN.finditer(text)
        self.where = where

    def _next(self, kind: str) -> re.Match[str]:
        match = next(self.found, None)
        if match is None:
            raise DataError("TextGrid ends too early", where=self.where, expected=kind)
        return match

    def text(self) -> str:
        match = self._next("a text")
        if match[1] is None:
            raise DataError("TextGrid cannot be read", where=self.where, expected="a text in quotes", got=match[0])
        return match[1].replace('""', '"')

    def number(self) -> float:
        match = self._next("a number")
        if match[3] is None:
            raise DataError("TextGrid cannot be read", where=self.where, expected="a number", got=match[0])
        return float(match[3])

    def count(self) -> int:
        number = self.number()
        if number < 0 or number != int(number):
            raise DataError("TextGrid cannot be read", where=self.where, expected="a count", got=number)
        return int(number)

    def flag(self) -> bool:
        match = self._next("<exists>")
        if match[2] is None:
            raise DataError("TextGrid cannot be read", where=self.where, expected="<exists> or <absent>", got=match[0])
        return match[2] == "exists"


def _tier(tokens: _Tokens, where: Path) -> list[tuple[str, float, float, str]]:
    kind, name = tokens.text(), tokens.text()
    if kind not in ("IntervalTier", "TextTier"):
        raise DataError("TextGrid has a tier of an unknown kind", where=where, expected="IntervalTier or TextTier", got=repr(kind))
    tokens.number()
    tokens.number()
    rows = []
    for _ in range(tokens.count()):
        onset = tokens.number()
        end = tokens.number() if kind == "IntervalTier" else onset
        label = tokens.text().strip()
        if end < onset:
            raise DataError("interval ends before it begins", where=f"{where}, tier {name!r}", got=f"{onset} to {end}: {label!r}")
        if label:
            rows.append((name, onset, end - onset, label))
    return rows
