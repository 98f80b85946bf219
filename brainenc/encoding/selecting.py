"""Which layer is best where, how sure that is, and how deep it lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import BrainencError, InputError
from brainenc.encoding._resampled import (
    BOOTSTRAPS,
    CROSSED,
    SUMMARIES,
    cells,
    is_crossed,
    layer_draws,
    need_predictions,
    paired_interval,
    reblocked,
    summarised,
)
from brainenc.metrics.resample import bootstrap_folds, n_units
from brainenc.nouns.scores import Scores

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


def best_layer(
    scores: Scores, *, by: str = "target", metric: str = "pearson", n: int = 1000, seed: int = 0, depth: Mapping[str, float] | None = None,
    summary: str = "median", block: int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Name the best layer of every target or region, and say how much of that is chance.

    The best layer has the largest held-out score. Paired bootstrap draws of the test stimuli (blocks of scans), the same for all layers, say
    how often it would be best with other stimuli. Where layers were also scored on inner folds, the layer that training rows alone choose
    stands beside it, with the only score that the choice has not flattered.

    Parameters
    ----------
    scores : Scores
        Of at least two layers, with kept predictions (``score_layers(…, keep_predictions=True)``).
    by : str
        ``"target"`` for a map, or a column of the targets such as ``"roi"``: the ``summary`` over its targets.
    metric : {"pearson", "r2"}
    n, seed : int
    depth : mapping of "model/layer" to float, optional
        Depth of each layer; by default 0 for the first to 1 for the last layer of each model, in the order of the scores.
    summary : {"median", "mean"}
    block : int, optional
        Samples of a block of a time series, where its noise remembers longer than the 20 s (1 s) of the kept blocks.

    Returns
    -------
    DataFrame
        One row a target or region: subject, ``by`` (or target_id and what else is known), layer, score, confidence (share of the draws in
        which it is best), runner_up, difference, ci_low, ci_high (95 %, paired), distinct (the interval excludes 0), depth, depth_low, depth_high
        (2.5th and 97.5th percentile of the depth of the best layer over draws), inner_layer (that most folds choose on inner scores),
        stability (share of the folds that choose it), nested_score (held-out score of each fold's own inner choice). The last three are
        missing where there are no inner scores.

    Raises
    ------
    InputError
        Without kept predictions, with a single layer, or a depth that misses a layer.

    Notes
    -----
    ``score`` is that of a winner, chosen on the same rows: report ``nested_score``. The interval is that of the pair at hand; a layer is not
    distinct from a rival because it won. Draws are centred on the scores, and for folds that train one another spread by √2, see `bootstrap`.
    Peers report the maximum over layers as it is, which lies above zero in pure noise.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> ids = [f"image{i}" for i in range(80)]
    >>> layers = {f"toy/{k}": be.FeatureSpace(rng.standard_normal((80, 5)), {"stimulus_id": ids}, name=f"toy/{k}") for k in ("one", "two")}
    >>> mixed = 0.5 * layers["toy/one"].values + layers["toy/two"].values
    >>> values = mixed @ rng.standard_normal((5, 3)) + rng.standard_normal((80, 3))
    >>> brain = be.Responses(values, {"stimulus_id": ids}, name="01")
    >>> scores = be.score_layers(layers, brain, split=be.split.kfold(4), keep_predictions=True)
    >>> best_layer(scores, by="subject", n=100)[["layer", "confidence", "depth", "inner_layer"]].values.tolist()
    [['toy/two', 1.0, 1.0, 'toy/two']]
    """
    one_of(metric, tuple(BOOTSTRAPS), "metric")
    collapse = SUMMARIES[one_of(summary, tuple(SUMMARIES), "summary")]
    need_predictions(scores, "best_layer", n, 20)
    scores = reblocked(scores, block, "best_layer")
    names = scores.layers
    if len(names) < 2:
        raise InputError("the best of one layer is that layer", where="best_layer", expected="at least two layers", got=examples(names))
    depths = _depths(scores, depth)
    tables = []
    for subject, kept in scores.predictions.items():
        rows = scores.test_rows[subject]
        folds, many = bootstrap_folds(rows, n, seed, subject, pooled=scores.aggregate == "pooled"), n_units(rows)
        for labels, index, joined in cells(scores, subject, by, n * len(names)):
            found = [layer_draws(scores.observed[subject][:, index], kept[name][:, index], folds, metric) for name in names]
            if joined:
                found = [summarised(*one, collapse) for one in found]
            table = _ranked(labels, names, np.stack([one[0] for one in found]), np.stack([one[1] for one in found]), depths, many, is_crossed(rows))
            if "subject" not in table:
                table.insert(0, "subject", subject)
            where = np.flatnonzero((scores.targets["subject"] == subject).to_numpy())[index]
            tables.append(_with_inner(table, scores, metric, by, where, collapse if joined else None))
    return pd.concat(tables, ignore_index=True)


def _ranked(labels: pd.DataFrame, names: list[str], point: Floats, draws: Floats, depths: Floats, many: int, crossed: bool) -> pd.DataFrame:
    """Return the winners of scores (n_layers, n_cells) with draws (n_layers, n, n_cells)."""
    order = np.argsort(-np.where(np.isfinite(point), point, -np.inf), axis=0, kind="stable")
    known, two = np.isfinite(point).any(axis=0), np.isfinite(point).sum(axis=0) > 1
    first, second = order[:2]
    cell = np.arange(point.shape[1])
    # about the scores, as the interval is: medians over targets are biased under resampling, and differently so in each layer
    known_draws = np.isfinite(draws)
    middle = np.where(known_draws, draws, 0.0).sum(axis=1) / np.maximum(known_draws.sum(axis=1), 1)
    draws = point[:, None] + (CROSSED if crossed else 1.0) * (draws - middle[:, None])
    winners = np.argmax(np.where(np.isfinite(draws), draws, -np.inf), axis=0)  # (n, n_cells)
    drawn = np.asarray(np.isfinite(draws).any(axis=0))
    share = (drawn & (winners == first)).sum(axis=0) / np.maximum(drawn.sum(axis=0), 1)
    difference = point[first, cell] - point[second, cell]
    paired = draws[first, :, cell].T - draws[second, :, cell].T
    low, high, _ = paired_interval(difference, paired, many, crossed=False)  # the draws are spread already
    ends = [np.percentile(depths[winners[drawn[:, c], c]], (2.5, 97.5)) if drawn[:, c].any() else (np.nan, np.nan) for c in cell]
    text, blank = np.array(names, dtype=object), lambda values, here: np.where(here, values, np.nan)
    return labels.assign(
        layer=np.where(known, text[first], None), score=blank(point[first, cell], known), confidence=blank(share, known),
        runner_up=np.where(two, text[second], None), difference=blank(difference, two), ci_low=blank(low, two), ci_high=blank(high, two),
        distinct=two & ((low > 0) | (high < 0)), depth=blank(depths[first], known), depth_low=[e[0] for e in ends], depth_high=[e[1] for e in ends],
    )  # fmt: skip


def _with_inner(table: pd.DataFrame, scores: Scores, metric: str, by: str, where: Index, collapse: Any) -> pd.DataFrame:
    """Add what inner scores choose for the targets at ``where``: one row, or one row a target where nothing is summarised."""
    try:
        best = scores.best(None if by == "target" else by)
    except BrainencError:
        return table.assign(inner_layer=None, stability=np.nan, nested_score=np.nan)
    entry = list(best.entries["metric"]).index(metric) if metric in set(best.entries["metric"]) else 0
    chosen = np.asarray(best.provenance["chosen"])[entry][:, where]
    votes = np.stack([(chosen == layer).sum(axis=0) for layer in range(len(scores.layers))])
    names = np.array(scores.layers, dtype=object)[votes.argmax(axis=0)]
    stability = votes.max(axis=0) / len(chosen)
    nested = best.mean()[entry, where] if best.entries["metric"].iloc[entry] == metric else np.full(len(where), np.nan)
    if collapse is not None:  # a region has chosen as one
        names, stability, nested = names[:1], stability[:1], np.array([collapse(nested)]) if np.isfinite(nested).any() else np.full(1, np.nan)
    return table.assign(inner_layer=names, stability=stability, nested_score=nested)


def _depths(scores: Scores, given: Mapping[str, float] | None) -> Floats:
    names = scores.layers
    if given is not None:
        missing = [name for name in names if name not in given]
        if missing:
            raise InputError("layers without a depth", where="best_layer, depth", expected="one number a layer", got=examples(missing))
        return np.array([float(given[name]) for name in names])
    models = (scores.entries["model"] + "/" + scores.entries["layer"]).drop_duplicates()
    model = scores.entries["model"].loc[models.index].to_numpy()
    place = pd.Series(model).groupby(model).cumcount().to_numpy()
    size = pd.Series(model).groupby(model).transform("size").to_numpy()
    return np.asarray(place / np.maximum(size - 1, 1), dtype=np.float64)
