"""How a similarity, and the layer a region looks most like, vary with the units and the stimuli that happened to be recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.rng import check_seed
from brainenc.metrics.resample import subsets
from brainenc.rsa.similarity._sides import Sides, aligned, named
from brainenc.rsa.similarity.pairing import cut, matrix, measure_of, preparer

Sizes = int | float | Sequence[int | float] | None


def subsample_stability(
    metric: str, X: Any, Y: Any, *,
    n_units: Sizes = None, n_stimuli: Sizes = None, n: int = 100, side: str = "y", by: str | None = None, seed: int = 0,
    memory: str | int | float | None = None, device: str = "auto", **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Return a similarity on random subsets of units (columns: neurons, voxels) and stimuli (rows), drawn without replacement.

    Parameters
    ----------
    metric : str
        One of `names`.
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
        All of ``X`` (layers) meet the same subset of each of ``Y`` (regions), so that their differences are paired.
    n_units, n_stimuli : int, float or sequence of these, optional
        Sizes of the subsets: counts, or shares (floats up to 1). All of them where not given. Every size of one meets every size of the
        other.
    n : int
        Draws of each size.
    side : {"y", "x", "both"}
        Whose units are drawn.
    by : str, optional
        Column of the targets that cuts `Responses` into regions.
    seed : int
    memory : str, int or float, optional
    device : str
    **options
        Of the measure.

    Returns
    -------
    DataFrame
        x, y, n_units (of the sampled side; of ``Y`` for "both"), n_stimuli, draw, value.

    Raises
    ------
    InputError
        For sizes above what there is.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 8))
    >>> table = subsample_stability("cka", x, x, n_units=[2, 0.5], n=3)
    >>> table.groupby("n_units")["value"].size().to_dict()
    {2: 3, 4: 3}
    """
    kind = measure_of(metric, options)
    one_of(side, ("y", "x", "both"), "side")
    check_seed(seed)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError("n is a count of draws", where="subsample_stability", got=repr(n))
    left, right, _ = aligned(cut(named(X, "X"), by), cut(named(Y, "Y"), by), "subsample_stability")
    prepare = preparer(kind, len(left) + 1, memory=memory, device=device, **options)
    n_samples = len(next(iter(left.values())))
    parts = []
    for name, values in right.items():
        for stimuli in _sizes(n_stimuli, n_samples, "n_stimuli"):
            for units in _unit_sizes(n_units, left, values, side):
                parts += _draws(kind, prepare, left, name, values, (units, stimuli), n, side, seed)
    return pd.DataFrame(parts, columns=["x", "y", "n_units", "n_stimuli", "draw", "value"])


def pseudo_depth(
    layers: Mapping[str, Any], regions: Any, *,
    metric: str = "ssm", by: str | None = "roi", n_units: int | float | None = 0.5, n_stimuli: int | float | None = 0.5, n: int = 100,
    level: float = 0.95, seed: int = 0, memory: str | int | float | None = None, device: str = "auto", **options: Any,
) -> pd.DataFrame:  # fmt: skip
    """Return the layer that each region looks most like, its depth, and how often random halves of units and stimuli agree.

    The depth of layer l of L is l / (L − 1), 0 for the first. After the pseudo-depth of Shi, Shea-Brown & Buice (2019), which maps each
    mouse visual area to the best-matching layer and looks at subsampled neurons and images; scaling to 0 … 1, halves as default and the
    summaries are our choice.

    The best score is chosen on the data it is reported for, so it is flattered; ``agreement`` and the interval say whether the choice is
    one. Subsamples are noisier than the whole, so the spread is somewhat too wide.

    Parameters
    ----------
    layers : mapping of name to array, FeatureSpace
        From the first layer to the last.
    regions : Responses, array or mapping of these
    metric : str
        One of `names`; for a distance the smallest is the best.
    by : str, optional
        Column of the targets that cuts `Responses` into regions; None takes them whole.
    n_units, n_stimuli : int or float, optional
        Size of the subsets: a count, a share, or all (None).
    n : int
        Subsets.
    level : float
        Of the interval of the depth over subsets.
    seed : int
    memory : str, int or float, optional
    device : str
    **options
        Of the measure.

    Returns
    -------
    DataFrame
        One row a region: region, layer, depth, score, runner_up, runner_up_score, agreement (share of subsets with the same best
        layer), depth_mean, depth_sd, depth_low, depth_high (over subsets), n_units, n_stimuli, n_draws, n_nan (subsets without a value).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> first, second = rng.standard_normal((40, 20)), rng.standard_normal((40, 20))
    >>> pseudo_depth({"first": first, "second": second}, second + 0.1 * first, n=5)["layer"].item()
    'second'
    """
    if not isinstance(layers, Mapping) or len(layers) < 2:
        raise InputError("pseudo-depth needs two layers or more", where="pseudo_depth", expected="{layer: features}, first to last")
    kind = measure_of(metric, options)
    sign = 1.0 if kind.KIND == "similarity" else -1.0
    names = [str(name) for name in layers]
    depths = np.arange(len(names)) / (len(names) - 1)
    whole = matrix(layers, regions, metric, by=by, memory=memory, device=device, **options)
    table = subsample_stability(
        metric, layers, regions, n_units=n_units, n_stimuli=n_stimuli, n=n, by=by, seed=seed, memory=memory, device=device, **options
    )  # fmt: skip
    rows = []
    for region in whole.columns:
        scores = sign * whole[region].to_numpy()
        order = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")
        mine = table[table["y"] == region]
        draws = sign * mine.pivot(index="draw", columns="x", values="value")[names].to_numpy()
        known = ~np.isnan(draws).any(axis=1)
        picks = draws[known].argmax(axis=1)
        found = depths[picks] if len(picks) else np.array([np.nan])
        tail = (1 - level) / 2
        rows.append(
            {
                "region": region, "layer": names[order[0]], "depth": depths[order[0]], "score": sign * scores[order[0]],
                "runner_up": names[order[1]], "runner_up_score": sign * scores[order[1]],
                "agreement": float((picks == order[0]).mean()) if len(picks) else np.nan, "depth_mean": found.mean(), "depth_sd": found.std(),
                "depth_low": np.quantile(found, tail), "depth_high": np.quantile(found, 1 - tail),
                "n_units": mine["n_units"].iloc[0], "n_stimuli": mine["n_stimuli"].iloc[0], "n_draws": n, "n_nan": int((~known).sum()),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _draws(
    kind: Any, prepare: Any, left: Sides, name: str, values: npt.NDArray[Any], size: tuple[int, int], n: int, side: str, seed: int
) -> list[tuple[Any, ...]]:
    units, stimuli = size
    key = ("stability", name, units, stimuli)
    rows = subsets(len(values), stimuli, n, seed, *key, "stimuli")
    columns: Any = subsets(values.shape[1], units, n, seed, *key, "units") if side != "x" else iter([slice(None)] * n)
    own = {x: subsets(one.shape[1], units, n, seed, *key, "x", x) for x, one in left.items()} if side != "y" else {}
    # what is drawn from the rows alone, where all rows are taken, is prepared once
    whole = {x: prepare(one) for x, one in left.items()} if side == "y" and stimuli == len(values) else None
    out = []
    for draw, (row, column) in enumerate(zip(rows, columns, strict=True)):
        right = prepare(values[row][:, column])
        for x, one in left.items():
            state = whole[x] if whole else prepare(one[row][:, next(own[x])] if own else one[row])
            out.append((x, name, units, stimuli, draw, kind.between(state, right)))
    return out


def _unit_sizes(n_units: Sizes, left: Sides, values: npt.NDArray[Any], side: str) -> list[int]:
    widths = [one.shape[1] for one in left.values()]
    there = {"y": values.shape[1], "x": min(widths), "both": min([*widths, values.shape[1]])}[side]
    return _sizes(n_units, there, "n_units")


def _sizes(wanted: Sizes, there: int, name: str) -> list[int]:
    """Return counts; a share is rounded to the nearest count, of at least one."""
    out = []
    for size in [1.0] if wanted is None else [wanted] if isinstance(wanted, int | float | np.number) else list(wanted):
        share = isinstance(size, float | np.floating)
        count = max(1, round(float(size) * there)) if share else int(size)
        if isinstance(size, bool) or size <= 0 or (share and size > 1) or count > there:
            raise InputError(f"{name} is a count, or a share up to 1.0", where="subsample_stability", expected=f"at most {there}", got=repr(size))
        out.append(count)
    return out
