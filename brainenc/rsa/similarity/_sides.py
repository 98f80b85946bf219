"""Two sides of a comparison as arrays with the same rows, whatever they were given as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import as_matrix, examples
from brainenc.core.errors import InputError
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.responses import Responses
from brainenc.nouns.tables import need_column, positions_of

Sides = dict[str, npt.NDArray[Any]]


def named(given: Any, name: str) -> dict[str, Any]:
    """Return ``{name: one}`` of a mapping or of a single representation, which is named by itself where it can be."""
    if isinstance(given, Mapping):
        if not given:
            raise InputError("nothing to compare", where=name, got="an empty mapping")
        return {str(key): value for key, value in given.items()}
    return {str(given.name) if isinstance(given, FeatureSpace | Responses) else name: given}


def by_target(responses: Responses, column: str) -> dict[str, Responses]:
    """Return responses cut by a column of their targets (roi …), in the order of first appearance; targets without a value are left out."""
    groups = need_column(responses.targets, column, f"Responses {responses.name!r} targets")
    found = responses.targets.groupby(groups, sort=False).indices
    if not found:
        raise InputError(f"no target has a value of {column!r}", where=f"Responses {responses.name!r}")
    return {str(label): responses.take_targets(index) for label, index in found.items()}


def aligned(xs: Mapping[str, Any], ys: Mapping[str, Any], where: str) -> tuple[Sides, Sides, npt.NDArray[Any] | None]:
    """Return arrays with the same rows, and the stimulus ids of the rows where they are known.

    Trials of a stimulus are averaged. Rows are matched by stimulus_id: those of the smallest set (the first among equals), each of which
    must be in every other. Plain arrays and time series have no ids: all sides must then have as many rows, in the same order.

    Raises
    ------
    InputError
        When ids or numbers of rows do not fit, or a value is not finite.
    """
    everything = [*xs.items(), *ys.items()]
    tables = {id(one): _rows(one, name) for name, one in everything}
    ids = [tables[id(one)][1] for _, one in everything]
    if all(one is not None for one in ids):
        wanted = min((one for one in ids if one is not None), key=len)
        return _matched(xs, tables, wanted, where), _matched(ys, tables, wanted, where), wanted
    scans = [name for name, one in everything if is_series(one)]
    if scans and any(one is not None for one in ids):
        raise InputError(
            "some sides have one row per stimulus and others one row per scan", where=where, got=f"scans: {', '.join(scans)}",
            fix="build one row per scan with brainenc.design(features, responses, …)",
        )  # fmt: skip
    out: list[Sides] = []
    for side in (xs, ys):
        for name, one in side.items():
            values, own, averaged = tables[id(one)]
            if own is not None and averaged:
                what = f"{name!r} has repeats, and another side has no stimulus_id to match their means with"
                raise InputError(what, where=where, fix="average it first, or give both sides as FeatureSpace or Responses")
        out.append({name: tables[id(one)][0] for name, one in side.items()})
    sizes = {name: len(values) for side in out for name, values in side.items()}
    if len(set(sizes.values())) > 1:
        raise InputError("representations differ in their numbers of rows", where=where, got=str(sizes))
    known = [one for one in ids if one is not None]
    for side in out:
        for name, values in side.items():
            _finite(values, name, where)
    return out[0], out[1], known[0] if known else None


def is_series(one: Any) -> bool:
    return (isinstance(one, Responses) and one.is_time_series) or (isinstance(one, FeatureSpace) and one.rows == "sample")


def _rows(one: Any, name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None, bool]:
    """Return values, stimulus ids where rows are stimuli, and whether trials were averaged."""
    if isinstance(one, Responses):
        if one.is_time_series or "stimulus_id" not in one.samples:
            return one.values, None, False
        repeated = bool(one.samples["stimulus_id"].duplicated().any())
        single = one.average("stimulus_id") if repeated else one
        return single.values, single.samples["stimulus_id"].to_numpy(dtype=object), repeated
    if isinstance(one, FeatureSpace):
        return one.values, one.samples["stimulus_id"].to_numpy(dtype=object) if one.rows == "stimulus" else None, False
    return as_matrix(one, name), None, False


def _matched(side: Mapping[str, Any], tables: Mapping[int, Any], wanted: npt.NDArray[Any], where: str) -> Sides:
    out = {}
    for name, one in side.items():
        values, ids, _ = tables[id(one)]
        rows = positions_of(list(wanted), list(ids), "stimulus_ids", f"{where}, {name!r}")
        identical = len(rows) == len(values) and bool((rows == np.arange(len(rows))).all())
        out[name] = values if identical else values[rows]
        _finite(out[name], name, where)
    return out


def _finite(values: npt.NDArray[Any], name: str, where: str) -> None:
    if not len(values) or not values.shape[1]:
        raise InputError("a representation is empty", where=f"{where}, {name!r}", got=f"shape {values.shape}")
    step = max(1, 2**22 // values.shape[1])
    bad = np.concatenate([~np.isfinite(values[start : start + step]).all(axis=1) for start in range(0, len(values), step)])
    if bad.any():
        rows = np.flatnonzero(bad)
        raise InputError(
            "a representation holds NaN or infinity", where=f"{where}, {name!r}", got=f"{len(rows)} of {len(bad)} rows, e.g. {examples(rows)}",
            fix="select the targets and stimuli that are complete",
        )  # fmt: skip
