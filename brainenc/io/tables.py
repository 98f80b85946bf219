"""Tables from text files, read without guessing away what an experiment may mean.

A stimulus called ``null`` or ``NA``, a subject called ``01`` and an identifier of twenty digits all survive.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, NotFoundError
from brainenc.io.paths import check_budget, existing_file, read_errors

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None, ".parquet": "", ".json": ""}
_MISSING = {"", "n/a"}  # always missing: an empty cell, and the n/a of BIDS
_NUMBER_MISSING = {"nan", "na", "null", "none", "#n/a"}  # missing only where the rest of the column is numbers
_KEEP_TEXT = re.compile(r"[+-]?0\d+|[+-]?\d{16,}")  # 01, and identifiers too long for an exact number


def read_table(
    path: str | Path,
    *,
    header: bool = True,
    separator: str | None = None,
    text: Iterable[str] = (),
    encoding: str = "utf-8-sig",
    max_bytes: str | int | None = None,
) -> pd.DataFrame:
    """Read a table from ``.csv``, ``.tsv``, ``.txt`` (split at white space), ``.parquet`` or ``.json``.

    Empty cells and ``n/a`` are missing. A column becomes numbers when every other value in it is one (``nan``, ``NA``
    and the like then count as missing), booleans when every value is ``true`` or ``false`` in one spelling of Python or
    JSON, and else stays text; so do numbers with leading zeros or more than 15 digits.

    Parameters
    ----------
    path : str or Path
        The file; its suffix says the kind. JSON holds a list of records, or an object of columns.
    header : bool
        Whether the first row of a text file holds the column names; without, they are ``"0"``, ``"1"``, ….
    separator : str, optional
        One character between cells; None takes a comma for ``.csv``, a tab for ``.tsv``, white space for ``.txt``.
    text : iterable of str
        Columns to keep as text whatever they look like.
    encoding : str
        Of text files; a byte-order mark is dropped.
    max_bytes : str or int, optional
        Limit on the file's size; None means a tenth of the free memory.

    Raises
    ------
    DataError
        Missing or damaged file, rows of different lengths, a column name used twice, or another suffix.
    NotFoundError
        A name in ``text`` that is no column.

    Examples
    --------
    >>> read_table("events.tsv", text=["subject"])                       # doctest: +SKIP
    """
    import pandas as pd

    source = existing_file(path)
    suffix = source.suffix.lower()
    if suffix not in SEPARATORS:
        raise DataError("not a table by its name", where=source, expected=", ".join(SEPARATORS), got=suffix or "no suffix")
    check_budget(source.stat().st_size * (10 if max_bytes is None else 1), source, max_bytes)
    if suffix == ".parquet":
        with read_errors(source):
            table = pd.read_parquet(source)
        return _as_text(table, text, source)
    if suffix == ".json":
        with read_errors(source):
            table = _from_json(read_json(source), source)
        return _as_text(table, text, source)
    names, rows = _rows(source, separator or SEPARATORS[suffix], header, encoding)
    kept = set(text)
    _known(kept, names, source)
    columns = {name: _column([row[i] for row in rows], keep_text=name in kept) for i, name in enumerate(names)}
    return pd.DataFrame(columns, columns=names)


def read_json(path: str | Path, *, max_bytes: str | int = "256MB") -> Any:
    """Read JSON; a name used twice in one object is an error, not a silent choice of the last."""
    source = existing_file(path)
    check_budget(source.stat().st_size, source, max_bytes)
    with read_errors(source):
        return json.loads(source.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)


def read_toml(path: str | Path, *, max_bytes: str | int = "16MB") -> dict[str, Any]:
    """Read TOML."""
    import tomllib

    source = existing_file(path)
    check_budget(source.stat().st_size, source, max_bytes)
    with read_errors(source):
        return tomllib.loads(source.read_text(encoding="utf-8-sig"))


def _rows(source: Path, separator: str | None, header: bool, encoding: str) -> tuple[list[str], list[list[str]]]:
    with read_errors(source):
        content = source.read_bytes().decode(encoding)
        if "\0" in content:
            raise DataError("text file holds NUL bytes", where=source, fix="save it as UTF-8")
        if separator is None:
            lines = csv.reader((re.sub(r"[ \t]+", " ", line.strip()) for line in content.splitlines()), delimiter=" ", strict=True)
        else:
            lines = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
        rows = [row for row in lines if row]
    if not rows:
        raise DataError("table is empty", where=source)
    names = rows.pop(0) if header else [str(i) for i in range(len(rows[0]))]
    names = [name.strip() or f"Unnamed: {i}" for i, name in enumerate(names)]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError("column names are used twice", where=source, got=examples(doubled))
    for number, row in enumerate(rows, start=2 if header else 1):
        if len(row) != len(names):
            raise DataError("row has another length than the header", where=f"{source}, row {number}", expected=len(names), got=len(row))
    return names, rows


def _column(values: list[str], *, keep_text: bool) -> Any:
    import pandas as pd

    missing = np.array([value in _MISSING for value in values], dtype=bool)
    if not keep_text:
        numbers = _numbers(values, missing)
        if numbers is not None:
            return numbers
        found = {value for value, gone in zip(values, missing, strict=True) if not gone}
        for true, false in (("True", "False"), ("true", "false"), ("TRUE", "FALSE")):
            if found and found <= {true, false} and not missing.any():
                return np.array([value == true for value in values], dtype=bool)
    return pd.Series([None if gone else value for value, gone in zip(values, missing, strict=True)], dtype="str")


def _numbers(values: list[str], missing: Any) -> Any:
    """Return the column as numbers, or None when it is not one of numbers."""
    gone = missing | np.array([value.strip().lower() in _NUMBER_MISSING for value in values], dtype=bool)
    real = [value.strip() for value, lacks in zip(values, gone, strict=True) if not lacks]
    if not real or any(_KEEP_TEXT.fullmatch(value) or "_" in value for value in real):
        return None
    try:
        parsed = np.array([int(value) for value in real], dtype=np.int64)
    except ValueError:
        try:
            parsed = np.array([float(value) for value in real], dtype=np.float64)
        except ValueError:
            return None
    if not gone.any():
        return parsed
    column = np.full(len(values), np.nan)
    column[~gone] = parsed
    return column


def _from_json(content: Any, source: Path) -> pd.DataFrame:
    import pandas as pd

    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        return pd.DataFrame.from_records(content)
    if isinstance(content, dict) and content and all(isinstance(column, list) for column in content.values()):
        return pd.DataFrame(content)
    raise DataError("JSON file is not a table", where=source, expected="a list of records or an object of columns")


def _as_text(table: pd.DataFrame, text: Iterable[str], source: Path) -> pd.DataFrame:
    names = list(text)
    _known(names, table.columns, source)
    return table.astype(dict.fromkeys(names, "str")) if names else table


def _known(names: Iterable[str], columns: Iterable[Any], source: Path) -> None:
    unknown = sorted(set(names) - set(columns))
    if unknown:
        raise NotFoundError(f"no column {unknown[0]!r}", where=source, expected=examples(columns, 12))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"names used twice: {sorted({name for name in names if names.count(name) > 1})[:3]}")
    return content
