"""Bands: which columns belong together, said by counts, labels, slices or a table of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.nouns.features import FeatureSpace

Index = npt.NDArray[np.intp]
COLUMN = "band"
_EXPECTED = "column counts, one label a column, slices or lists of columns, a mapping of names to these, or None"


def join(spaces: Mapping[str, FeatureSpace], name: str = "joined") -> FeatureSpace:
    """Put feature spaces side by side as bands of one space.

    Rows are matched by stimulus_id where they are stimuli, and must be the same number of samples where they are scans.

    Parameters
    ----------
    spaces : {name: FeatureSpace}
        The keys name the bands.
    name : str
        Of the result.

    Returns
    -------
    FeatureSpace of shape (n_samples, sum of n_features)
        ``features`` has the column ``band``; `BandedRidge` without ``bands`` reads it in `brainenc.score_layers`.

    Raises
    ------
    InputError
        When the rows do not match.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> a = be.FeatureSpace(np.ones((2, 3)), {"stimulus_id": ["x", "y"]})
    >>> b = be.FeatureSpace(np.zeros((2, 1)), {"stimulus_id": ["y", "x"]})
    >>> join({"a": a, "b": b}).features["band"].tolist()
    ['a', 'a', 'a', 'b']
    """
    if not isinstance(spaces, Mapping) or not spaces or not all(isinstance(one, FeatureSpace) for one in spaces.values()):
        raise InputError("spaces cannot be joined", where="join", expected="{name: FeatureSpace}", got=type(spaces).__name__)
    first = next(iter(spaces.values()))
    parts, tables = [], []
    for key, space in spaces.items():
        where = f"join, features {str(key)!r}"
        if space.rows != first.rows or space.n_samples != first.n_samples:
            expected, got = f"{first.n_samples} {first.rows} rows", f"{space.n_samples} {space.rows} rows"
            raise InputError("rows of the spaces differ", where=where, expected=expected, got=got, fix="take the same stimuli from each: space.take(ids)")
        parts.append(np.asarray((space.take(first.samples["stimulus_id"]) if first.rows == "stimulus" else space).values))
        table = pd.DataFrame({"feature": np.arange(space.n_features)}) if space.features is None else space.features
        tables.append(table.assign(**{COLUMN: str(key)}))
    record = {"bands": {str(key): {"name": space.name, **space.provenance} for key, space in spaces.items()}}
    features = pd.concat(tables, ignore_index=True)
    return FeatureSpace(np.concatenate(parts, axis=1), first.samples, name=name, features=features, rows=first.rows, provenance=record)


def labels_of(space: FeatureSpace, column: str | None, where: str) -> list[str] | None:
    """Return the label of each feature from a column of the features' table; None asks for ``band`` where there is one."""
    table = space.features
    if column is None:
        return None if table is None or COLUMN not in table else [str(v) for v in table[COLUMN]]
    if table is None or column not in table:
        known = "no table of features" if table is None else examples(table.columns, 8)
        raise InputError(f"features have no column {column!r}", where=where, got=known, fix="join({name: space}) writes 'band', delays write 'delay'")
    return [str(v) for v in table[column]]


def resolve_bands(bands: Any, n_features: int) -> dict[str, Index]:
    """Return {name: columns}; every column belongs to exactly one band."""
    if bands is None:
        return {"all": np.arange(n_features)}
    if isinstance(bands, str):
        raise InputError(
            "bands names a column of a features' table, and an array has none", where="bands", got=repr(bands), fix="pass a FeatureSpace to score_layers"
        )
    if isinstance(bands, Mapping):
        names, given = [str(name) for name in bands], list(bands.values())
        found = _counts(given, n_features) if _are_counts(given) else [_columns(one, n_features) for one in given]
    else:
        names, found = _unnamed(bands, n_features)
    _check(names, found, n_features)
    return dict(zip(names, found, strict=True))


def _unnamed(bands: Any, n_features: int) -> tuple[list[str], list[Index]]:
    if not isinstance(bands, Sequence | np.ndarray | pd.Series | pd.Index) or isinstance(bands, bytes) or not len(bands):
        raise InputError("bands cannot be used", where="bands", expected=_EXPECTED, got=repr(bands)[:80])
    items = list(bands)
    if all(np.ndim(one) == 0 and not isinstance(one, slice) for one in items) and len(items) == n_features:
        codes, labels = pd.factorize(np.asarray(items, dtype=object))
        return [str(label) for label in labels], [np.flatnonzero(codes == i) for i in range(len(labels))]
    found = _counts(items, n_features) if _are_counts(items) else [_columns(one, n_features) for one in items]
    return [str(i) for i in range(len(found))], found


def _are_counts(items: list[Any]) -> bool:
    return all(isinstance(one, int | np.integer) and not isinstance(one, bool) for one in items)


def _counts(items: list[Any], n_features: int) -> list[Index]:
    if min(items) < 1 or sum(items) != n_features:
        raise InputError("column counts of the bands do not fit", where="bands", expected=f"positive, {n_features} in all", got=items)
    ends = np.cumsum(items)
    return [np.arange(end - size, end) for end, size in zip(ends, items, strict=True)]


def _columns(one: Any, n_features: int) -> Index:
    if isinstance(one, slice):
        return np.arange(n_features)[one]
    columns = np.asarray(one)
    if columns.dtype == bool and columns.shape == (n_features,):
        return np.flatnonzero(columns)
    if columns.ndim != 1 or columns.dtype.kind not in "iu" or not len(columns) or columns.min() < 0 or columns.max() >= n_features:
        raise InputError("columns of a band do not fit", where="bands", expected=f"column numbers below {n_features}; or {_EXPECTED}", got=repr(one)[:80])
    return columns.astype(np.intp)


def _check(names: list[str], found: list[Index], n_features: int) -> None:
    count = np.bincount(np.concatenate(found), minlength=n_features)
    if len(set(names)) < len(names):
        raise InputError("two bands have the same name", where="bands", got=examples(names, 8))
    if any(not len(columns) for columns in found) or (count != 1).any():
        got = f"{int((count == 0).sum())} columns in none, {int((count > 1).sum())} in several, {sum(not len(c) for c in found)} empty bands"
        raise InputError("every column belongs to exactly one band", where="bands", expected=f"{n_features} columns", got=got)
