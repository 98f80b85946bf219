"""Do models that fit a region better also behave differently: one number a model on either side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.encoding._reading import pearson_known, whole
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import bootstrap_weights, permutations
from brainenc.metrics.tails import probabilities

Floats = npt.NDArray[np.float64]
FEWEST = 4


class Bca(NamedTuple):
    """Ends of the interval (2, n_cells), bias correction z0 and acceleration a (n_cells,)."""

    ends: Floats
    bias: Floats
    acceleration: Floats


def relate(
    alignment: npt.ArrayLike, behaviour: npt.ArrayLike, *, rois: Sequence[str] | None = None, models: Sequence[str] | None = None, method: str = "pearson",
    n_boot: int = 10000, n_permutations: int = 10000, level: float = 0.95, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Correlate, across models, the alignment of each region with a behaviour.

    Parameters
    ----------
    alignment : array_like of shape (n_models, n_rois), or (n_models,)
        One score a model and region: noise-corrected, held out. No missing values.
    behaviour : array_like of shape (n_models,)
        Accuracy, an error rate, a rate of sycophancy …
    rois, models : sequence of str, optional
        Names, for the table.
    method : {"pearson", "spearman"}
    n_boot, n_permutations : int
    level : float
        Of the interval.
    seed : int

    Returns
    -------
    DataFrame
        One row a region: roi, r, ci_low, ci_high (BCa over models), p_two, p_greater, p_less (permutation of the models), p_max (two-sided, against the
        largest of all regions), q (Benjamini-Hochberg over p_two), loo_min, loo_max (range of r without any one model), loo_model (the model whose
        removal moves r most), d (Cohen's d = 2r / √(1 − r²)), n_models, n_degenerate (bootstrap samples without a correlation).

    Raises
    ------
    InputError
        With fewer than four models, missing values, or shapes that do not fit.

    Notes
    -----
    BCa: Efron 1987, doi:10.1080/01621459.1987.10478410. With z0 = Φ⁻¹(share of draws below r) and a = Σd³ / (6 (Σd²)^1.5) from the jackknife, d_i =
    mean − r_(−i), the ends are the draws' quantiles at Φ(z0 + (z0 ± z) / (1 − a (z0 ± z))). The statistics are those that Gaslight, Gatekeep, V1–V3
    reports, from a description of it; Cohen's d by conversion of r, and the maximum over regions, are our choice.

    Few models say little. With 12 of them |r| must exceed 0.58 for p < 0.05. The interval then covers 94 % under normality with ρ = 0.6; with fewer
    models, skewed values or an outlier it covers less, so look at loo_min and loo_max, and where interval and permutation disagree believe the
    permutation. Four models have 24 orders: p cannot fall below about 1 / 24. Models of one family are no independent evidence, and no resampling
    of models knows that.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> behaviour = rng.standard_normal(12)
    >>> alignment = np.stack([0.3 * rng.standard_normal(12) - behaviour, rng.standard_normal(12)], axis=1)
    >>> relate(alignment, behaviour, rois=["V1", "V4"], n_boot=500, n_permutations=499)[["roi", "r", "p_two", "p_max"]].round(3).values.tolist()
    [['V1', -0.931, 0.002, 0.002], ['V4', -0.482, 0.138, 0.226]]
    """
    x, y, regions, names = _checked(alignment, behaviour, rois, models)
    one_of(method, ("pearson", "spearman"), "method")
    if not 0.0 < level < 1.0:
        raise InputError("a level lies between 0 and 1", where="relate", got=level)
    many = len(y)
    r = correlate(x, y, method)
    orders = np.stack(list(permutations(many, whole(n_permutations, 99, "n_permutations", "relate"), seed, "models")))
    null = correlate(x[None], y[orders], method)
    family = np.zeros(len(r), dtype=np.intp)
    joined = np.concatenate([r[None], null])
    # two-sided about zero, as permuted correlations are centred there whatever the marginals
    p_two, p_max = probabilities(np.abs(joined), family, "greater")
    p_greater, p_less = (probabilities(side * joined, family, "greater")[0] for side in (1.0, -1.0))
    draws = bootstrap_correlations(x, y, whole(n_boot, 99, "n_boot", "relate"), seed, method)
    left = np.stack([correlate(np.delete(x, i, axis=0), np.delete(y, i), method) for i in range(many)])
    ends = bca(r, draws, left, level).ends
    moved = np.abs(left - r)
    with np.errstate(divide="ignore"):
        d = 2 * r / np.sqrt(np.maximum(1 - r**2, 0.0))
    return pd.DataFrame({
        "roi": regions, "r": r, "ci_low": ends[0], "ci_high": ends[1], "p_two": p_two, "p_greater": p_greater, "p_less": p_less, "p_max": p_max,
        "q": fdr_bh(p_two), "loo_min": left.min(axis=0), "loo_max": left.max(axis=0),
        "loo_model": [names[int(np.argmax(column))] if np.isfinite(column).all() else None for column in moved.T],
        "d": d, "n_models": many, "n_degenerate": (~np.isfinite(draws)).sum(axis=0),
    })  # fmt: skip


def correlate(x: Floats, y: Floats, method: str) -> Floats:
    """Return correlations (…, n_rois) over models of x (…, n_models, n_rois) with y (…, n_models)."""
    if method == "spearman":
        from scipy.stats import rankdata

        x, y = rankdata(x, axis=-2), rankdata(y, axis=-1)
    return pearson_known(np.moveaxis(x, -1, -2), y[..., None, :])


def bootstrap_correlations(x: Floats, y: Floats, n: int, seed: int, method: str) -> Floats:
    """Return correlations (n, n_rois) of models drawn with replacement; NaN where a sample has no spread."""
    many = len(y)
    counts = bootstrap_weights(many, n, seed, "models").astype(np.intp)
    picks = np.repeat(np.tile(np.arange(many), n), counts.reshape(-1)).reshape(n, many)
    step = max(1, 2**24 // max(x.size, 1))
    return np.concatenate([correlate(x[part], y[part], method) for part in (picks[i : i + step] for i in range(0, n, step))])


def bca(point: Floats, draws: Floats, jackknife: Floats, level: float = 0.95) -> Bca:
    """Return bias-corrected and accelerated intervals of estimates (n_cells,) from draws (n, n_cells) and leave-one-out values (n_units, n_cells).

    Draws equal to the point count half below. Draws that are NaN are left out; NaN where fewer than half are known or all lie on one side.
    """
    from scipy.special import ndtr, ndtri

    known = np.isfinite(draws)
    usable = (known.mean(axis=0) > 0.5) & np.isfinite(point) & np.isfinite(jackknife).all(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = ((draws < point) & known).sum(axis=0) + 0.5 * (draws == point).sum(axis=0)
        z0 = ndtri(below / known.sum(axis=0))
        d = jackknife.mean(axis=0) - jackknife
        size = (d**2).sum(axis=0)
        a = np.where(size > 0, (d**3).sum(axis=0) / (6.0 * size**1.5), 0.0)
        z = z0 + ndtri(np.array([[(1 - level) / 2], [(1 + level) / 2]]))
        at = ndtr(z0 + z / (1 - a * z))
    ends = np.full((2, len(point)), np.nan)
    for cell in np.flatnonzero(usable & np.isfinite(z0)):
        ends[:, cell] = np.quantile(draws[known[:, cell], cell], at[:, cell])
    return Bca(ends, z0, a)


def _checked(
    alignment: npt.ArrayLike, behaviour: npt.ArrayLike, rois: Sequence[str] | None, models: Sequence[str] | None
) -> tuple[Floats, Floats, list[str], list[str]]:  # fmt: skip
    x, y = np.asarray(alignment, dtype=np.float64), np.asarray(behaviour, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
        raise InputError("alignment and behaviour do not fit", where="relate", expected="(n_models, n_rois) and (n_models,)", got=f"{x.shape} and {y.shape}")
    if len(y) < FEWEST:
        raise InputError("too few models for a correlation across them", where="relate", expected=f"at least {FEWEST}", got=len(y))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        where = np.unique(np.argwhere(~np.isfinite(np.column_stack([x, y])))[:, 0]).tolist()
        raise InputError("values are missing", where="relate", got=f"models {where}", fix="leave these models out, or these regions")
    regions = [str(i) for i in range(x.shape[1])] if rois is None else [str(name) for name in rois]
    names = [str(i) for i in range(len(x))] if models is None else [str(name) for name in models]
    if len(regions) != x.shape[1] or len(names) != len(x):
        got = f"{len(names)}, {len(regions)}"
        raise InputError("names and values differ in number", where="relate", expected=f"{len(x)} models, {x.shape[1]} rois", got=got)
    return x, y, regions, names
