"""Would other stimuli and other units have chosen the same layer: encoding scores on random subsets of both.

The same protocol for measures of similarity is `brainenc.rsa.similarity.subsample_stability`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.encoding._reading import depths_of, layers_by_model, peak_depths, pearson_known, percentiles, whole
from brainenc.encoding._resampled import BOOTSTRAPS, SUMMARIES, fold_rows, need_predictions
from brainenc.metrics.resample import subsets
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]
Sizes = int | float | Sequence[int | float] | None
LEAST = 3  # stimuli without which there is no correlation


class _Region(NamedTuple):
    """Draws (n_layers, n, n_units) of scores on subsets of stimuli, the scores on all (n_layers, n_units), and depths."""

    draws: Floats
    point: Floats
    depth: Floats


def layer_stability(
    scores: Scores, *, by: str = "roi", n_stimuli: Sizes = 0.5, n_units: Sizes = 0.5, n: int = 100, seed: int = 0, metric: str = "pearson",
    summary: str = "median", depth: Mapping[str, float] | npt.ArrayLike | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Say how stable the best layer, and the order of the layers, are over random subsets of test stimuli and of a region's targets.

    Parameters
    ----------
    scores : Scores
        With kept predictions (``score_layers(…, keep_predictions=True)``).
    by : str
        Column of the targets; its regions are what units are drawn from.
    n_stimuli, n_units : int, float or sequence of these, optional
        Sizes of the subsets: counts, or shares (floats up to 1); all of them where None. Every size of one meets every size of the other.
        Stimuli (blocks of scans) are drawn within each fold, so a count is one of each fold.
    n, seed : int
        Subsets of each size, drawn without replacement; all layers meet the same.
    metric : {"pearson", "r2"}
    summary : {"median", "mean"}
        Over the drawn targets; those without a score are left out.
    depth : mapping of "model/layer" to float, or array, optional
        By default 0 for the first to 1 for the last layer of each model.

    Returns
    -------
    DataFrame
        One row a subject, model, region and size: subject, model, ``by``, n_stimuli (mean over folds), n_units, layer (best on all), depth, agreement (share of
        subsets with the same best layer), rank_correlation (mean Spearman of the layers' scores with those on all), depth_mean, depth_sd, depth_low,
        depth_high (2.5th and 97.5th percentile), n_draws, n_nan (subsets without a best layer: ties, missing scores).

    Raises
    ------
    InputError
        Without kept predictions, for models of one layer, for sizes above what there is.

    Notes
    -----
    After the robustness protocol of Shi, Shea-Brown & Buice 2019 (arXiv 1911.07986); the summaries are our choice. Models are not fitted again: the subsets
    are of test stimuli. Halves are noisier than the whole, and overlap with it. A bootstrap of the test stimuli is in `best_layer`.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> ids = [f"image{i}" for i in range(80)]
    >>> layers = {f"toy/{k}": be.FeatureSpace(rng.standard_normal((80, 5)), {"stimulus_id": ids}, name=f"toy/{k}") for k in ("one", "two")}
    >>> mixed = 0.5 * layers["toy/one"].values + layers["toy/two"].values
    >>> brain = be.Responses(mixed @ rng.standard_normal((5, 3)) + rng.standard_normal((80, 3)), {"stimulus_id": ids}, {"roi": ["V1"] * 3}, name="01")
    >>> scores = be.score_layers(layers, brain, split=be.split.kfold(4), keep_predictions=True)
    >>> layer_stability(scores, n_units=2)[["layer", "n_units", "agreement"]].values.tolist()
    [['two', 2, 1.0]]
    """
    one_of(metric, tuple(BOOTSTRAPS), "metric")
    collapse = SUMMARIES[one_of(summary, tuple(SUMMARIES), "summary")]
    n = whole(n, 2, "n", "layer_stability")
    need_predictions(scores, "layer_stability", n, 2)
    need_column(scores.targets, by, "Scores.targets")
    rows = []
    for subject, kept in scores.predictions.items():
        mine = scores.targets[scores.targets["subject"] == subject].reset_index(drop=True)
        groups = mine.groupby(by, sort=False).indices
        for size, (model, names) in itertools.product(_listed(n_stimuli), layers_by_model(scores, "layer_stability").items()):
            folds, many = _folds(scores.test_rows[subject], size, n, seed, subject)
            k_of = depths_of(names, depth, "layer_stability")
            for label, index in groups.items():
                observed = scores.observed[subject][:, index]
                region = _region(observed, [kept[name][:, index] for name in names], folds, metric, k_of)
                for units in _listed(n_units):
                    count = _count(units, len(index), f"targets in {label}", 1)
                    picks = subsets(len(index), count, n, seed, "stability", subject, label, count, "units")
                    row = _summary(region, list(picks), collapse)
                    best = row.pop("best")
                    name = None if best is None else names[best].split("/", 1)[1]
                    rows.append({"subject": subject, "model": model, by: label, "n_stimuli": many, "n_units": count, "layer": name, **row, "n_draws": n})
    table = pd.DataFrame(rows)
    return table[[*(name for name in table if name != "n_nan"), "n_nan"]]


def _region(observed: Any, predicted: list[Any], folds: list[tuple[Any, Floats]], metric: str, depth: Floats) -> _Region:
    score = BOOTSTRAPS[metric]  # rows weighted by 0 and 1: the score on a subset
    draws = [np.mean([score(observed[rows], one[rows], weights) for rows, weights in folds], axis=0) for one in predicted]
    point = [np.mean([score(observed[rows], one[rows], np.ones((1, len(rows))))[0] for rows, _ in folds], axis=0) for one in predicted]
    return _Region(np.stack(draws), np.stack(point), depth)


def _summary(region: _Region, picks: list[npt.NDArray[np.intp]], collapse: Any) -> dict[str, Any]:
    """Return what the subsets of units and stimuli say about the layers of a region."""
    from scipy.stats import rankdata

    drawn = np.stack([_collapsed(region.draws[:, i, units], collapse) for i, units in enumerate(picks)])  # (n, n_layers)
    full = _collapsed(region.point, collapse)
    k = peak_depths(full[:, None], region.depth)[0][0]
    depths = peak_depths(drawn[..., None], region.depth)[0][:, 0]
    good = np.isfinite(depths)
    best = int(full.argmax()) if np.isfinite(k) else None
    winners = np.where(np.isfinite(drawn), drawn, -np.inf).argmax(axis=1)
    ranks = rankdata(drawn, axis=1, nan_policy="propagate"), rankdata(full, nan_policy="propagate")
    alike = pearson_known(*ranks) if len(full) > 2 else np.where((ranks[0] == ranks[1]).all(axis=1), 1.0, -1.0)
    alike = alike[good & np.isfinite(alike)]
    ends = percentiles(depths[:, None])[:, 0]
    return {
        "best": best, "depth": float(k), "agreement": float((winners[good] == best).mean()) if good.any() and best is not None else np.nan,
        "rank_correlation": float(alike.mean()) if len(alike) else np.nan, "depth_mean": float(depths[good].mean()) if good.any() else np.nan,
        "depth_sd": float(depths[good].std()) if good.any() else np.nan, "depth_low": ends[0], "depth_high": ends[1], "n_nan": int((~good).sum()),
    }  # fmt: skip


def _collapsed(values: Floats, collapse: Any) -> Floats:
    """Return the summary (n_layers,) over targets (n_layers, n_units) that have a score in every layer."""
    known = np.isfinite(values).all(axis=0)
    return np.asarray(collapse(values[:, known], axis=1)) if known.any() else np.full(len(values), np.nan)


def _folds(rows: pd.DataFrame, size: int | float | None, n: int, seed: int, subject: str) -> tuple[list[tuple[Any, Floats]], float]:
    """Return the rows of each fold with n subsets of its units as weights 0 and 1, and how many units a subset has."""
    out, sizes, unit = [], [], rows["unit"].to_numpy()
    for fold, index in enumerate(fold_rows(rows)):
        labels = unit[index]
        count = _count(size, len(pd.unique(labels)), f"stimuli in fold {fold}", LEAST)
        weights = np.zeros((n, len(index)))
        for i, picked in enumerate(subsets(len(index), count, n, seed, "stability", subject, fold, count, units=labels)):
            weights[i, picked] = 1.0
        out.append((index, weights))
        sizes.append(count)
    return out, float(np.mean(sizes))


def _listed(sizes: Sizes) -> list[int | float | None]:
    return list(sizes) if isinstance(sizes, Sequence) else [sizes]


def _count(size: int | float | None, many: int, what: str, least: int) -> int:
    if size is None:
        return many
    share = isinstance(size, float | np.floating)
    count = round(float(size) * many) if share and 0.0 < size <= 1.0 else -1 if share else whole(size, 1, "a size", "layer_stability")
    count = max(count, 1) if share and count >= 0 else count
    if not least <= count <= many:
        raise InputError(f"a subset does not fit the {what}", where="layer_stability", expected=f"{least} to {many}, or a share", got=repr(size))
    return count
