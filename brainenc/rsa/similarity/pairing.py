"""All pairs of representations under one measure; each side is prepared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean, parse_bytes
from brainenc.core.errors import InputError
from brainenc.core.registry import Registry
from brainenc.nouns.responses import Responses
from brainenc.rsa.similarity._sides import aligned, by_target, named

_REGISTRY = Registry("brainenc.rsa.similarity.kinds", "similarity measure", group="brainenc.rsa.similarity")


def names() -> list[str]:
    """Return the names of all measures."""
    return _REGISTRY.names()


def matrix(
    X: Any, Y: Any = None, metric: str = "cka", *,
    by: str | None = None, memory: str | int | float | None = None, device: str = "auto", **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Return one measure of every representation in ``X`` with every one in ``Y``.

    Parameters
    ----------
    X, Y : mapping of name to array, FeatureSpace or Responses; or a single one
        Arrays are (n_samples, n_features), rows in the same order. `FeatureSpace` and `Responses` (averaged over repeats) are matched by
        stimulus_id; the rows are those of the smallest set, which every other must hold. Without ``Y``: all pairs of ``X``.
    metric : str
        One of `names`.
    by : str, optional
        Column of the targets that cuts `Responses` into representations of their own, e.g. ``"roi"``.
    memory : str, int or float, optional
        Working memory, e.g. ``"4GB"``; half of what is free where not given. Kernels that do not fit are formed block by block.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.
    **options
        Of the measure, e.g. ``estimator="debiased"`` of `cka`.

    Returns
    -------
    DataFrame
        One row an entry of ``X``, one column an entry of ``Y``; ``attrs`` holds metric, kind, n_samples and options. A side without
        variance gives NaN.

    Raises
    ------
    InputError
        For unknown options, rows that do not match, NaN, and whatever the measure cannot take.
    NotFoundError
        For an unknown measure.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((20, 5))
    >>> matrix({"a": x, "b": 2 * x + 1}, metric="cka").round(6).loc["a", "b"].item()
    1.0
    """
    kind = measure_of(metric, options)
    ys = {} if Y is None else cut(named(Y, "Y"), by)
    left, right, _ = aligned(cut(named(X, "X"), by), ys, metric)
    first, second = prepared(kind, left, None if Y is None else right, memory=memory, device=device, **options)
    right = left if Y is None else right
    values = np.empty((len(first), len(second)))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            mirrored = second is first and kind.SYMMETRIC and j < i
            values[i, j] = values[j, i] if mirrored else kind.between(a, b)
    table = pd.DataFrame(values, index=pd.Index(list(left), name="x"), columns=pd.Index(list(right), name="y"))
    table.attrs = {"metric": metric, "kind": kind.KIND, "n_samples": len(next(iter(left.values()))), "options": options}
    return table


def measure(metric: str, X: Any, Y: Any, /, *, memory: str | int | float | None, device: str, **options: Any) -> Any:
    """Return a float of two representations, or the table of all pairs where either side is a mapping: what every public measure calls."""
    table = matrix(X, Y, metric, memory=memory, device=device, **options)
    return table if isinstance(X, Mapping) or isinstance(Y, Mapping) else float(table.iloc[0, 0])


def measure_of(metric: str, options: Mapping[str, Any]) -> Any:
    """Return the module of a measure; unknown options raise with the nearest names."""
    kind = _REGISTRY.get(metric)
    known = [name for name in inspect.signature(kind.prepare).parameters if name not in ("x", "memory", "device")]
    for name in options:
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise InputError(f"{metric} has no option {name!r}", expected=expected, got=repr(name), fix=did_you_mean(name, known))
    return kind


def preparer(kind: Any, n_items: int, /, *, memory: str | int | float | None, device: str, **options: Any) -> Callable[[npt.NDArray[Any]], Any]:
    """Return the function that prepares one side, with its share of the memory among ``n_items`` that are held at once."""
    from brainenc.linalg.device import resolve_device
    from brainenc.linalg.plan import free_memory

    budget = free_memory() // 2 if memory is None else parse_bytes(memory)
    where = resolve_device(device)
    return lambda x: kind.prepare(x, memory=budget // (n_items + 1), device=where, **options)


def prepared(kind: Any, left: Mapping[str, Any], right: Mapping[str, Any] | None, /, **how: Any) -> tuple[list[Any], list[Any]]:
    """Return the prepared entries of both sides; what stands on both is prepared once."""
    prepare = preparer(kind, len(left) + len(right or ()), **how)
    states: dict[int, Any] = {}
    for values in [*left.values(), *(right or {}).values()]:
        if id(values) not in states:
            states[id(values)] = prepare(values)
    first = [states[id(values)] for values in left.values()]
    return first, first if right is None else [states[id(values)] for values in right.values()]


def cut(side: dict[str, Any], by: str | None) -> dict[str, Any]:
    """Return a side with its `Responses` cut by a column of their targets; several keep their names before a slash."""
    if by is None or not any(isinstance(one, Responses) for one in side.values()):
        return side
    out: dict[str, Any] = {}
    for name, one in side.items():
        if isinstance(one, Responses):
            parts = by_target(one, by)
            out |= parts if len(side) == 1 else {f"{name}/{label}": part for label, part in parts.items()}
        else:
            out[name] = one
    return out
