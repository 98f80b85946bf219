"""Tables of stimuli, samples, targets and events: read, renamed, completed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from brainenc.core.errors import DataError, InputError
from brainenc.io.npdict import read_npdict
from brainenc.io.readers import read_table
from brainenc.io.textgrid import read_textgrid
from brainenc.nouns.tables import need_column

IDENTIFIERS = ("stimulus_id", "target_id", "subject", "session")


def load_table(
    path: str | Path, *, names: Sequence[str] = (), rename: Mapping[str, str] | None = None, n_rows: int | None = None
) -> pd.DataFrame:
    """Read a table; identifiers stay text.

    Parameters
    ----------
    path : path
        csv, tsv, txt (split at white space), parquet, json, a TextGrid (tier, onset, duration, text), or a dictionary of lists in a .npy, of which
        the entries to rename are the columns.
    names : sequence of str
        Column names for a file without a header row.
    rename : mapping, optional
        ``{new name: name in the file}``, for instance ``{"stimulus_id": "trial_type"}``.
    n_rows : int, optional
        Expected number of rows.

    Raises
    ------
    DataError
        Missing or damaged file, or another number of rows.
    NotFoundError
        A column to rename is not there; the message names those that are.
    """
    wanted = dict(rename or {})
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        table = _from_dictionary(path, list(dict.fromkeys(wanted.values())))
    else:
        table = read_textgrid(path) if suffix == ".textgrid" else read_table(path, header=not names)
    if names:
        if len(names) != len(table.columns):
            raise DataError(
                "table has another number of columns", where=path, expected=f"{len(names)}: {', '.join(names)}", got=len(table.columns)
            )
        table.columns = pd.Index(list(names))
    for old in wanted.values():
        need_column(table, old, str(path))
    clash = [new for new, old in wanted.items() if new in table.columns and new != old and new not in wanted.values()]
    if clash:
        raise InputError("a renamed column is already there", where=path, got=", ".join(clash))
    texts = [str(wanted.get(name, name)) for name in IDENTIFIERS if wanted.get(name, name) in table.columns]
    if texts and suffix in (".csv", ".tsv", ".txt"):
        columns = [str(list(table.columns).index(name)) for name in texts] if names else texts
        kept = read_table(path, header=not names, text=columns)
        for name, column in zip(texts, columns, strict=True):
            table[name] = kept[column].to_numpy(dtype=object)
    table = table.rename(columns={old: new for new, old in wanted.items()})
    if n_rows is not None and len(table) != n_rows:
        raise DataError("table has another number of rows", where=path, expected=n_rows, got=len(table))
    return table


def _from_dictionary(path: str | Path, keys: list[str]) -> pd.DataFrame:
    """Return entries of equal length as columns."""
    if not keys:
        raise InputError("a dictionary has many entries", where=path, fix="name those that are columns: rename = { … }")
    entries = read_npdict(path, keys=keys)
    listed = {key: isinstance(value, list | tuple) or getattr(value, "ndim", 0) == 1 for key, value in entries.items()}
    sizes = {key: len(value) if listed[key] else None for key, value in entries.items()}
    if None in sizes.values() or len(set(sizes.values())) > 1:
        raise DataError("entries of the dictionary are no lists of one length", where=path, got=sizes)
    return pd.DataFrame(entries)
