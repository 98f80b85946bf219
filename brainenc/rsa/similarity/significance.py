"""How sure a similarity is: stimuli of one side permuted for a p-value, half of the stimuli drawn for an interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.core.rng import check_seed
from brainenc.metrics.resample import permutations, subsets
from brainenc.rsa.similarity._sides import aligned, is_series, named
from brainenc.rsa.similarity.pairing import cut, measure_of, prepared, preparer

Floats = npt.NDArray[np.float64]


def similarity_test(
    X: Any, Y: Any, metric: str = "cka", *,
    by: str | None = None, n: int = 1000, n_halves: int = 1000, level: float = 0.95, units: npt.ArrayLike | None = None, seed: int = 0,
    memory: str | int | float | None = None, device: str = "auto", **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Return each similarity of ``X`` with ``Y``, its permutation p-value and an interval over stimuli.

    **p.** The null is that stimuli correspond by chance: rows of Y are permuted, p = (1 + #{null ≥ value}) / (1 + n) (≤ for a distance).
    The same orders serve all pairs; ``p_max`` compares with the largest value over all of ``X`` in each permutation (the smallest, for a
    distance), which accounts for having searched through X.

    **Interval.** Half of the stimuli (b of n_samples) are drawn without replacement, again and again; with v* their values, the interval is
    value + √(b / (n_samples − b)) · (quantile of v* − mean of v*), as the spread of a half sample about the whole is, to first order, that
    of the whole about the truth. An ordinary bootstrap would not do: a stimulus drawn twice is its own nearest neighbour and a pair that
    agrees in both sides, which raises every such measure. The interval is for other stimuli like these and the same units. It is wide
    rather than narrow (up to √3 times) where there are few stimuli for the number of features, as what is not linear in the stimuli spreads
    more on halves. It does not correct a bias of the measure, and a measure with a fixed number of neighbours or components means something
    else on a half sample.

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    metric : str
        One of `names`.
    by : str, optional
        Column of the targets that cuts `Responses`.
    n : int
        Permutations; 0 for none.
    n_halves : int
        Half samples; 0 for none.
    level : float
        Of the interval.
    units : array_like of shape (n_samples,), optional
        Rows that are exchangeable only together, e.g. `brainenc.metrics.resample.blocks_of`. Needed for time series.
    seed : int
    memory : str, int or float, optional
    device : str
    **options
        Of the measure.

    Returns
    -------
    DataFrame
        One row a pair: x, y, metric, kind, value, p, p_max, null_mean, null_sd, ci_low, ci_high, n_samples, n_permutations, n_halves.

    Raises
    ------
    InputError
        For time series without ``units``; for a measure that cannot be had of half the stimuli (set ``n_halves=0``).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 4))
    >>> similarity_test(x, x[:, :2], n=99, n_halves=100)["p"].item()
    0.01
    """
    kind = measure_of(metric, options)
    xs, ys = cut(named(X, "X"), by), cut(named(Y, "Y"), by)
    _check(xs, ys, n, n_halves, level, units, seed)
    left, right, _ = aligned(xs, ys, "similarity_test")
    n_samples = len(next(iter(left.values())))
    first, second = prepared(kind, left, right, memory=memory, device=device, **options)
    values = np.array([[kind.between(a, b) for b in second] for a in first])
    null = _null(kind, first, second, n, n_samples, units, seed)
    halves, scale = _halves(kind, left, right, first, second, n_halves, units, seed, memory=memory, device=device, **options)
    better = np.greater_equal if kind.KIND == "similarity" else np.less_equal
    slack = -1e-12 if kind.KIND == "similarity" else 1e-12  # the identity drawn again ties with the value, whatever the rounding
    extreme = (np.max if kind.KIND == "similarity" else np.min)(null, axis=1, keepdims=True) if n else null
    with np.errstate(invalid="ignore"):
        low, high = _interval(values, halves, scale, level) if n_halves else (np.full(values.shape, np.nan),) * 2
        columns = {
            "value": values, "p": _p(better(null, values + slack), n), "p_max": _p(better(extreme, values + slack), n),
            "null_mean": null.mean(axis=0) if n else np.full(values.shape, np.nan), "null_sd": null.std(axis=0) if n else np.full(values.shape, np.nan),
            "ci_low": low, "ci_high": high,
        }  # fmt: skip
    columns = {name: np.where(np.isnan(values), np.nan, column).reshape(-1) for name, column in columns.items()}
    pairs = pd.MultiIndex.from_product([list(left), list(right)], names=["x", "y"]).to_frame(index=False)
    facts = {"n_samples": n_samples, "n_permutations": n, "n_halves": n_halves}
    return pairs.assign(metric=metric, kind=kind.KIND, **columns, **facts)


def _check(xs: Any, ys: Any, n: int, n_halves: int, level: float, units: Any, seed: int) -> None:
    check_seed(seed)
    for name, count in (("n", n), ("n_halves", n_halves)):
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
            raise InputError(f"{name} is a count", where="similarity_test", expected="0 or more", got=repr(count))
    if not 0 < level < 1:
        raise InputError("level is a share", where="similarity_test", expected="between 0 and 1", got=level)
    series = [name for name, one in [*xs.items(), *ys.items()] if is_series(one)]
    if series and units is None:
        raise InputError(
            "rows of a time series are not exchangeable one by one", where="similarity_test", got=", ".join(series),
            fix="give units=brainenc.metrics.resample.blocks_of(n_samples, length)",
        )  # fmt: skip


def _null(kind: Any, first: list[Any], second: list[Any], n: int, n_samples: int, units: Any, seed: int) -> Floats:
    """Return values (n, n_first, n_second) under permutations of the rows of the right side."""
    if not n:
        return np.empty((0, len(first), len(second)))
    orders = np.stack(list(permutations(n_samples, n, seed, "similarity", units=units, alike=units is not None)))
    out = np.empty((n, len(first), len(second)))
    for j, b in enumerate(second):
        if hasattr(kind, "nulls"):
            out[:, :, j] = kind.nulls(first, b, orders)
        else:
            out[:, :, j] = [[kind.between(a, moved) for a in first] for moved in (kind.reorder(b, order) for order in orders)]
    return out


def _halves(
    kind: Any, left: Any, right: Any, first: list[Any], second: list[Any], n_halves: int, units: Any, seed: int, **how: Any
) -> tuple[Floats, float]:
    """Return values (n_halves, n_first, n_second) of half samples, and the factor from their spread to that of the whole."""
    out = np.empty((n_halves, len(first), len(second)))
    if not n_halves:
        return out, 1.0
    n_samples = len(next(iter(left.values())))
    n_units = n_samples if units is None else len(pd.unique(np.asarray(units)))
    size = n_units // 2
    prepare = preparer(kind, len(first) + len(second), **how)
    for number, rows in enumerate(subsets(n_samples, max(size, 1), n_halves, seed, "similarity", units=units)):
        if hasattr(kind, "subset"):
            states = [[kind.subset(state, rows) for state in side] for side in (first, second)]
        else:
            states = [[prepare(values[rows]) for values in side.values()] for side in (left, right)]
        out[number] = [[kind.between(a, b) for b in states[1]] for a in states[0]]
    return out, float(np.sqrt(size / (n_units - size)))


def _interval(values: Floats, halves: Floats, scale: float, level: float) -> tuple[Floats, Floats]:
    tail = (1 - level) / 2
    low, high = np.quantile(halves, [tail, 1 - tail], axis=0)
    middle = halves.mean(axis=0)
    return values + scale * (low - middle), values + scale * (high - middle)


def _p(hits: npt.NDArray[np.bool_], n: int) -> Floats:
    return (1 + hits.sum(axis=0)) / (1 + n) if n else np.full(hits.shape[1:], np.nan)
