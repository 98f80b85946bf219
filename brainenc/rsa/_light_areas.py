"""Which targets each centre of a searchlight sees, which centres are left out, and why."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.core.selection import select
from brainenc.nouns.neighbourhoods import Neighbourhoods
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces.base import check_radius

Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """How far a searchlight sees, as the caller said it."""

    radius_mm: float | None = None
    rings: int | None = None
    time_window: float | None = None
    neighbours: Any = None
    meshes: Any = None
    centres: Any = None

    def describe(self) -> str:
        """Return the reach in words."""
        if self.neighbours is not None:
            return getattr(self.neighbours, "description", "given neighbourhoods")
        parts = [] if self.radius_mm is None else [f"within {self.radius_mm:g} mm"]
        parts += [] if self.rings is None else [f"within {self.rings} ring{'s' * (self.rings != 1)}"]
        parts += [] if not self.time_window else [f"within {self.time_window:g} s"]
        return " and ".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Areas:
    """The neighbourhoods that are scored, in compressed rows, and how many were left out for which reason."""

    near: Neighbourhoods
    skipped: dict[str, int]
    omitted: dict[str, int]


def find_areas(
    responses: Responses, reach: Reach, where: str, *, min_targets: int, min_fraction: float | None, missing: Mask, constant: Mask, nan: str,
    keep_constant: str,
) -> Areas:  # fmt: skip
    """Return the neighbourhoods to score.

    Parameters
    ----------
    responses : Responses
    reach : Reach
    where : str
        For messages.
    min_targets : int
        Fewer targets, after the omissions, and a centre is left out.
    min_fraction : float, optional
        A centre is left out where the mask cuts its neighbourhood to less than this share.
    missing, constant : ndarray of bool, shape (n_targets,)
        Targets with NaN, and targets whose rows are all equal.
    nan : {"raise", "omit", "skip"}
    keep_constant : {"keep", "omit", "raise"}
    """
    one_of(nan, ("raise", "omit", "skip"), "nan")
    one_of(keep_constant, ("keep", "omit", "raise"), "constant")
    near = neighbourhoods_of(responses, reach, with_full=min_fraction is not None)
    used = np.zeros(near.n_targets, dtype=bool)
    used[near.indices] = True
    skipped: dict[str, int] = {}
    if min_fraction is not None:
        near = _keep(near, near.sizes >= _fraction(min_fraction) * np.asarray(near.full), "cut by the mask", skipped)
    missing, constant = missing & used, constant & used & ~missing
    _refuse_or_warn(responses, where, missing, constant, nan, keep_constant)
    if missing.any() and nan == "skip":
        near = _keep(near, ~near.touched(missing), "holding NaN", skipped)
    gone = (missing if nan == "omit" else np.zeros_like(missing)) | (constant if keep_constant == "omit" else np.zeros_like(constant))
    if gone.any():
        near = near.without(gone)
    near = _keep(near, near.sizes >= _fewest(min_targets), f"with fewer than {min_targets} targets", skipped)
    omitted = {"NaN": int(missing.sum()) if nan == "omit" else 0, "constant": int(constant.sum()) if keep_constant == "omit" else 0}
    if not len(near):
        reasons = ", ".join(f"{n} {why}" for why, n in skipped.items())
        raise InputError("no centre is left", where=where, got=reasons or "no centres", fix="widen the reach")
    return Areas(near, skipped, {why: n for why, n in omitted.items() if n})


def survey(responses: Responses) -> tuple[Mask, Mask]:
    """Return which targets (n_targets,) hold NaN, and which of the others are the same in all rows."""
    missing = np.zeros(responses.n_targets, dtype=bool)
    constant = np.zeros(responses.n_targets, dtype=bool)
    for start in range(0, responses.n_targets, 4096):
        columns = slice(start, start + 4096)
        values = np.asarray(responses.values[:, columns])
        missing[columns] = np.isnan(values).any(axis=0)
        constant[columns] = (values == values[:1]).all(axis=0)
    return missing, constant & ~missing


def neighbourhoods_of(responses: Responses, reach: Reach, *, with_full: bool = False) -> Neighbourhoods:
    """Return the neighbourhoods of the centres, and with ``with_full`` how large each would be without a mask."""
    n_targets, space = responses.n_targets, responses.space
    centres = chosen_centres(responses, reach.centres)
    if reach.neighbours is not None:
        if reach.radius_mm is not None or reach.rings is not None or reach.time_window is not None:
            raise InputError("neighbours leave nothing to radius_mm, rings or time_window", where="searchlight", fix="give one of them")
        near = _given(reach.neighbours, n_targets, centres)
        if with_full and near.full is None:
            raise InputError("nobody knows how large these neighbourhoods would be without a mask", where="min_fraction", fix="give Neighbourhoods with full")
        return near
    options: dict[str, Any] = {"centres": centres}
    options |= {} if reach.meshes is None else {"meshes": reach.meshes}
    if reach.rings is not None:
        if reach.radius_mm is not None or not hasattr(space, "rings"):
            raise InputError("rings are for surfaces, without radius_mm", where="searchlight", got=type(space).__name__)
        lists = space.rings(reach.rings, **options)
    else:
        lists = space.neighbourhoods(*_radius_and_window(space, reach, options), **options)
    full = None
    if with_full:
        if not hasattr(space, "full_sizes"):
            raise InputError("no mask cuts neighbourhoods of this space", where="min_fraction", expected="a volume or a surface", got=type(space).__name__)
        options.pop("time_window", None)
        full = space.full_sizes(reach.radius_mm, **options) if reach.rings is None else space.full_sizes(rings=reach.rings, **options)
    return Neighbourhoods.of(lists, n_targets, centres=centres, full=full, description=reach.describe())


def chosen_centres(responses: Responses, centres: Any) -> Index:
    """Return the positions of the centres: a selection text or mapping over ``targets``, a mask or positions."""
    n_targets = responses.n_targets
    if centres is None:
        return np.arange(n_targets)
    if isinstance(centres, str):
        index = select(responses.targets, centres)
    elif isinstance(centres, Mapping):
        index = select(responses.targets, None, **centres)
    else:
        given = np.asarray(centres)
        index = np.flatnonzero(given) if given.dtype == bool and given.shape == (n_targets,) else given
    index = np.asarray(index)
    if index.ndim != 1 or not len(index) or index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= n_targets or len(np.unique(index)) < len(index):
        expected = f"a selection, a mask ({n_targets},), or different positions below {n_targets}"
        raise InputError("centres name no targets", where=f"searchlight of {responses.name!r}", expected=expected, got=repr(centres)[:80])
    return index.astype(np.intp)


def _radius_and_window(space: Any, reach: Reach, options: dict[str, Any]) -> tuple[Any, ...]:
    """Return the positional arguments of ``space.neighbourhoods`` and add the time window to its options."""
    timed = hasattr(space, "times") or (hasattr(space, "table") and "time" in space.table)
    if reach.time_window is not None:
        if not timed:
            raise InputError("these targets have no times", where="time_window", expected="sensors, or contacts with times", got=type(space).__name__)
        options["time_window"] = reach.time_window
    if reach.radius_mm is None and not (reach.time_window is not None and hasattr(space, "times")):
        fix = "give radius_mm, rings (surfaces), or neighbours"
        raise InputError("a searchlight needs its reach", where="searchlight", fix=fix, got="neither radius_mm, rings nor neighbours")
    return (None if reach.radius_mm is None else check_radius(reach.radius_mm),)


def _given(neighbours: Any, n_targets: int, centres: Index) -> Neighbourhoods:
    if not isinstance(neighbours, Neighbourhoods):
        lists = list(neighbours)
        return Neighbourhoods.of(lists, n_targets, centres=centres)
    if neighbours.n_targets != n_targets:
        raise InputError("neighbours are those of other responses", where="searchlight", expected=f"{n_targets} targets", got=neighbours.n_targets)
    if len(centres) == n_targets:
        return neighbours
    places = np.flatnonzero(np.isin(neighbours.centres, centres))
    return neighbours.take(places)


def _keep(near: Neighbourhoods, keep: Mask, why: str, skipped: dict[str, int]) -> Neighbourhoods:
    if keep.all():
        return near
    skipped[why] = int((~keep).sum())
    return near.take(np.flatnonzero(keep))


def _refuse_or_warn(responses: Responses, where: str, missing: Mask, constant: Mask, nan: str, keep_constant: str) -> None:
    if missing.any() and nan == "raise":
        who = examples(responses.targets["target_id"][missing])
        fix = 'nan="omit" takes them out of every neighbourhood, nan="skip" leaves out the centres that see them'
        raise InputError(f"{int(missing.sum())} of {len(missing)} targets hold NaN", where=where, got=who, fix=fix)
    if constant.any() and keep_constant == "raise":
        who = examples(responses.targets["target_id"][constant])
        raise InputError(f"{int(constant.sum())} of {len(constant)} targets are constant", where=where, got=who, fix='constant="omit" or "keep"')
    if constant.any() and keep_constant == "keep":
        text = f"{int(constant.sum())} of {len(constant)} targets are constant and stay in their neighbourhoods"
        warnings.warn(f'{where}: {text}; constant="omit" takes them out', BrainencWarning, stacklevel=5)


def _fraction(value: float) -> float:
    if not 0 <= value <= 1:
        raise InputError("a fraction lies between 0 and 1", where="min_fraction", got=value)
    return float(value)


def _fewest(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError("min_targets is a positive whole number", where="min_targets", got=repr(value))
    return int(value)

