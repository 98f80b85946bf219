"""References of EEG and intracranial recordings as one small matrix: average, named channels, bipolar and Laplacian along shafts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.loaders.channels import shafts

REFERENCED = ("eeg", "seeg", "ecog", "dbs")
SCHEMES = ("average", "bipolar", "laplacian")


def reference_matrix(channels: pd.DataFrame, bad: Sequence[str], scheme: str | Sequence[str]) -> tuple[npt.NDArray[np.float64], pd.DataFrame, dict[str, Any]]:
    """Return the matrix M (n_out, n_channels) of M X, the channels it makes, and what was lost.

    average
        x_c − mean over the good channels of its type.
    names
        x_c − mean of the named channels.
    bipolar
        x_c − x_{c+1} of neighbours by number on a shaft, called ``A1-A2``, at the midpoint; two contacts without each other's number are no pair.
    laplacian
        x_c − (x_{c−1} + x_{c+1})/2; contacts without two good neighbours are left out.

    Bad channels enter no reference and, in the schemes along shafts, make no channel. Numbers along a shaft or strip are neighbours; those of a
    grid are not across its rows, so grids are to be referenced otherwise. Channels that are not EEG or intracranial stay as they are.

    Raises
    ------
    InputError
        Unknown names, nothing to refer to, no pairs.
    """
    n = len(channels)
    names, types = list(channels["channel"]), channels["type"].to_numpy()
    ours, good = np.isin(types, REFERENCED), ~np.isin(names, list(bad))
    if not ours.any():
        raise InputError("no EEG or intracranial channels to refer", where="reference", got=examples(pd.unique(types)))
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        return _subtract_named(names, ours, [scheme] if isinstance(scheme, str) else list(scheme)), channels, {"scheme": "names"}
    if scheme == "average":
        matrix = np.eye(n)
        for kind in np.unique(types[ours]):
            pool = (types == kind) & good
            if pool.sum() < 2:
                raise InputError("an average reference needs two good channels of a type", where="reference", got=f"{int(pool.sum())} of type {kind}")
            matrix[np.ix_(types == kind, pool)] -= 1.0 / pool.sum()
        return matrix, channels, {"scheme": "average", "n_averaged": {str(kind): int(((types == kind) & good).sum()) for kind in np.unique(types[ours])}}
    return _along_shafts(channels, ours & good, ours, scheme)


def _subtract_named(names: list[str], ours: npt.NDArray[np.bool_], wanted: list[str]) -> npt.NDArray[np.float64]:
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise InputError("no such reference", where="reference", expected=f"{', '.join(SCHEMES)} or names like {examples(names, 5)}", got=examples(unknown))
    matrix = np.eye(len(names))
    matrix[np.ix_(ours, np.isin(names, wanted))] -= 1.0 / len(wanted)
    return matrix


def _along_shafts(
    channels: pd.DataFrame, usable: npt.NDArray[np.bool_], ours: npt.NDArray[np.bool_], scheme: str
) -> tuple[npt.NDArray[np.float64], pd.DataFrame, dict[str, Any]]:
    parts = shafts(channels["channel"])
    place = {(kind, s, i): row for row, (kind, s, i) in enumerate(zip(channels["type"], parts["shaft"], parts["number"], strict=True)) if usable[row] and s}
    rows, made = [], []
    for row in range(len(channels)):
        if not ours[row]:
            made.append(channels.iloc[row].to_dict())
            rows.append(_line(len(channels), {row: 1.0}))
            continue
        kind, shaft, number = channels["type"].iloc[row], parts["shaft"][row], parts["number"][row]
        before, after = place.get((kind, shaft, number - 1)), place.get((kind, shaft, number + 1))
        if not usable[row] or (kind, shaft, number) not in place:
            continue
        if scheme == "bipolar" and after is not None:
            made.append(_pair(channels.iloc[row], channels.iloc[after]))
            rows.append(_line(len(channels), {row: 1.0, after: -1.0}))
        if scheme == "laplacian" and before is not None and after is not None:
            made.append(channels.iloc[row].to_dict())
            rows.append(_line(len(channels), {row: 1.0, before: -0.5, after: -0.5}))
    n_made = len(rows) - int((~ours).sum())
    if not n_made:
        raise InputError("no contacts stand beside each other on a shaft", where=f"{scheme} reference", got=examples(channels["channel"], 6))
    record = {"scheme": scheme, "n_contacts": int(ours.sum()), "n_made": n_made}
    if scheme == "laplacian":
        record["n_without_two_neighbours"] = int(ours.sum()) - n_made
    return np.array(rows), pd.DataFrame(made, columns=channels.columns).reset_index(drop=True), record


def _line(n: int, weights: dict[int, float]) -> npt.NDArray[np.float64]:
    out = np.zeros(n)
    out[list(weights)] = list(weights.values())
    return out


def _pair(first: pd.Series, second: pd.Series) -> dict[str, Any]:
    """Return the row of a bipolar channel: at the midpoint, with what both contacts share."""
    row = {name: value if value == second[name] else None for name, value in first.to_dict().items()}
    for axis in "xyz":
        if axis in first:
            row[axis] = (first[axis] + second[axis]) / 2
    return row | {"channel": f"{first['channel']}-{second['channel']}", "type": first["type"]}
