"""From kept predictions to claims: p, q and intervals of every target, paired differences of layers and models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean, examples, one_of
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding._resampled import (
    BOOTSTRAPS,
    SUMMARIES,
    cells,
    family_p,
    folds_of,
    is_crossed,
    layer_draws,
    need_predictions,
    paired_interval,
    reblocked,
    refuse_overlap,
    score_interval,
    stimuli_move,
    summarised,
    units_of,
    warn_of_slow_trials,
)
from brainenc.metrics.multiple import fdr_bh, fdr_by
from brainenc.metrics.resample import bootstrap_folds, n_units, permuted
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
CORRECTIONS = {"bh": fdr_bh, "by": fdr_by}


def permutation_test(
    scores: Scores, *, n: int = 1000, seed: int = 0, correction: str = "bh", maximum_over: str | Sequence[str] = ("target", "layer"),
    within: str | None = None, block: int | None = None,
) -> Scores:  # fmt: skip
    """Test whether each layer predicts each target at all, by permuting the observed test rows in blocks.

    The statistic is Pearson's r, the mean over folds or of the joined predictions, as the scores are aggregated; the test is one-sided,
    p = (1 + #{r* ≥ r}) / (1 + n). Single stimuli are exchangeable; of a time series blocks of 20 s of scans (1 s of electrophysiology)
    are, and move as wholes. Every target and layer of a subject sees the same permutations, so that the largest r* of each draw is
    a null for the largest r of all.

    This is what ``score_layers(…, permutations=n)`` does while it scores, with the same numbers; here it is done later, or otherwise.

    Parameters
    ----------
    scores : Scores
        With kept predictions (``score_layers(…, keep_predictions=True)``), also of chosen layers (``scores.best()``).
    n, seed : int
    correction : {"bh", "by"}
        Of ``q``, within subject and layer: Benjamini-Hochberg, or Benjamini-Yekutieli where targets may depend on each other negatively.
    maximum_over : sequence of {"target", "layer"}
        The family of ``p_max``: all targets and all layers of a subject, or ``"target"``: the targets of one layer.
    within : str, optional
        Column of the targets (``"roi"``) that cuts families: ``q`` and ``p_max`` then hold within each region.
    block : int, optional
        Samples of a block of a time series, where its noise remembers longer than the 20 s (1 s) of the kept blocks; or trials of a block, where
        events follow each other and their features change slowly (words of a film): single trials are then not exchangeable.

    Returns
    -------
    Scores
        The same scores with ``p``, ``q`` and ``p_max``; entries of several metrics share them.

    Raises
    ------
    InputError
        Without kept predictions, and for repeated draws of a split.

    Warns
    -----
    BrainencWarning
        Where single trials are exchanged although predictions of consecutive trials are alike.

    Notes
    -----
    Several folds train one another, so their scores are not independent and permutations of test rows alone make the null too narrow;
    for them it is spread by √2 (see `brainenc.metrics.permutation_p`). Models are not refitted.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> ids = [f"image{i}" for i in range(60)]
    >>> layer = be.FeatureSpace(rng.standard_normal((60, 5)), {"stimulus_id": ids}, name="toy/layer")
    >>> values = layer.values @ rng.standard_normal((5, 3)) + rng.standard_normal((60, 3))
    >>> brain = be.Responses(values, {"stimulus_id": ids}, name="01")
    >>> scores = be.score_layers(layer, brain, split=be.split.images(test=0.3, seed=0), keep_predictions=True)
    >>> bool((permutation_test(scores, n=99).p_max <= 0.05).all())
    True
    """
    over = {maximum_over} if isinstance(maximum_over, str) else set(maximum_over)
    if over not in ({"target"}, {"target", "layer"}):
        raise InputError("unknown family of the maximum", where="maximum_over", expected='"target", or ("target", "layer")', got=sorted(over))
    correct = CORRECTIONS[one_of(correction, tuple(CORRECTIONS), "correction")]
    need_predictions(scores, "permutation_test", n, 1)
    given, scores = scores, reblocked(scores, block, "permutation_test")
    for subject, kept in scores.predictions.items():
        if stimuli_move(scores, subject):
            warn_of_slow_trials(scores.test_rows[subject], kept, "permutation_test")
    names = scores.entries["model"] + "/" + scores.entries["layer"]
    p, q, p_max = (np.full((len(names), scores.values.shape[2]), np.nan) for _ in range(3))
    for subject, columns, family in _families(scores, within):
        rows, layers = scores.test_rows[subject], scores.predictions[subject]
        refuse_overlap(rows, "permutation_test")
        alike = stimuli_move(scores, subject)
        found = {}
        for name in layers:
            pairs = folds_of(scores.observed[subject][:, family], layers[name][:, family], rows)
            found[name] = permuted(pairs, n=n, seed=seed, keys=(subject,), units=units_of(rows), aggregate=scores.aggregate, alike=alike)
        largest = np.max([one.tops for one in found.values()], axis=0)
        for entry, name in enumerate(names):
            one = found[name]
            p[entry, columns] = one.p
            q[entry, columns] = correct(one.p)
            p_max[entry, columns] = family_p(one.observed, largest if "layer" in over else one.tops)
    facts = {"permutations": n, "seed": seed, "correction": correction, "maximum_over": sorted(over), "within": within or "subject"}
    return replace(given, p=p, q=q, p_max=p_max, provenance={**scores.provenance, **facts})


def bootstrap(scores: Scores, *, n: int = 1000, seed: int = 0, block: int | None = None) -> Scores:
    """Give each score its 95 % interval over test stimuli (blocks of scans for a time series), from bootstrap draws of the test rows.

    Pearson's r under a draw with weights w is five matrix products (`brainenc.metrics.bootstrap_pearson`), R² three. The interval is
    symmetric on Fisher's z (of R², on log(1 − R²)): point ± t · s, s the standard deviation of the draws there times √(u / (u − 1)) and t with
    u − 1 degrees of freedom, u the number of stimuli or blocks. With 30 to 150 images it covers 93 to 95 %; percentiles covered 92 to 94 % and
    BCa intervals 91 to 94 % (they estimate skewness from few units, which costs more than it gains).

    Parameters
    ----------
    scores : Scores
        With kept predictions.
    n, seed : int
    block : int, optional
        Samples of a block of a time series, where its noise remembers longer than the 20 s (1 s) of the kept blocks.

    Returns
    -------
    Scores
        The same scores with ``ci`` (2, n_entries, n_targets); NaN for metrics other than "pearson" and "r2".

    Raises
    ------
    InputError
        Without kept predictions.

    Notes
    -----
    The fitted models are taken as they are: the interval says how these models would score on other stimuli of the same kind, not how models
    fitted to other training data would. Stimuli that are tested in several folds are drawn once for all. Folds train one another, so that
    for several folds intervals are √(1 + 1 / (1 + |r|)²) wider, √2 without signal and less with it: without that 82 to 95 % are covered, with it 93
    to 98 %, most where the signal is strong and the training set large.
    Blocks need to be longer than the memory of the noise: with a correlation of 0.8 from scan to scan and blocks of ten scans 90 % are covered.
    """
    need_predictions(scores, "bootstrap", n, 20)
    given, scores = scores, reblocked(scores, block, "bootstrap")
    ci = np.full((2, *scores.values[:, 0].shape), np.nan)
    for subject, columns, family in _families(scores, None):
        for entry, (model, layer, metric) in enumerate(scores.entries[["model", "layer", "metric"]].itertuples(index=False)):
            ci[:, entry, columns] = score_interval(
                scores.observed[subject][:, family], scores.predictions[subject][f"{model}/{layer}"][:, family], scores.test_rows[subject],
                str(metric), n=n, seed=seed, subject=subject, pooled=scores.aggregate == "pooled",
            )  # fmt: skip
    return replace(given, ci=ci, provenance={**scores.provenance, "bootstrap": n, "seed": seed})


def compare(
    scores: Scores, first: str | None = None, second: str | None = None, *, by: str = "target", metric: str = "pearson", n: int = 1000, seed: int = 0,
    correction: str = "bh", summary: str = "median", block: int | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Compare layers or models pair by pair on the same bootstrap draws: one difference with its interval and p, not two p-values.

    Δ = score(first) − score(second) of each target, or of the ``summary`` over the targets of a region. Each draw resamples the test stimuli
    (blocks of scans) and is the same for both, so what they share cancels.

    Parameters
    ----------
    scores : Scores
        With kept predictions; ``scores.best(within="model")`` compares models at their best layers, chosen on training rows.
    first, second : str, optional
        Layers, ``"model/layer"``. One of them is compared with all others; none: all pairs.
    by : str
        ``"target"``, or a column of the targets such as ``"roi"`` or ``"subject"``.
    metric : {"pearson", "r2"}
    n, seed : int
    correction : {"bh", "by"}
        Of ``q``, over all rows of a subject.
    summary : {"median", "mean"}
        Over the targets of a region. Intervals of medians of few targets are somewhat too wide.
    block : int, optional
        Samples of a block of a time series, where its noise remembers longer than the 20 s (1 s) of the kept blocks.

    Returns
    -------
    DataFrame
        subject, ``by`` (or target_id and what else is known of a target), first, second, score_first, score_second, difference, ci_low, ci_high
        (95 %), p (two-sided), q.

    Raises
    ------
    NotFoundError
        For a layer without kept predictions.
    InputError
        Without kept predictions, or with a single layer.

    Notes
    -----
    Models are taken as they were fitted, see `bootstrap`. Choosing the pair by its held-out scores flatters the winner.
    """
    one_of(metric, tuple(BOOTSTRAPS), "metric")
    correct, collapse = CORRECTIONS[one_of(correction, tuple(CORRECTIONS), "correction")], SUMMARIES[one_of(summary, tuple(SUMMARIES), "summary")]
    need_predictions(scores, "compare", n, 20)
    scores = reblocked(scores, block, "compare")
    tables = []
    for subject, layers in scores.predictions.items():
        pairs = _pairs(list(layers), first, second)
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        folds, many = bootstrap_folds(scores.test_rows[subject], n, seed, subject, pooled=scores.aggregate == "pooled"), n_units(scores.test_rows[subject])
        parts = []
        for labels, index, joined in cells(scores, subject, by, n * len(names)):
            found = {name: layer_draws(scores.observed[subject][:, index], layers[name][:, index], folds, metric) for name in names}
            if joined:
                found = {name: summarised(*one, collapse) for name, one in found.items()}
            parts += [_differences(labels, pair, found, many, is_crossed(scores.test_rows[subject])) for pair in pairs]
        table = pd.concat(parts, ignore_index=True)
        if "subject" not in table:
            table.insert(0, "subject", subject)
        tables.append(table.assign(q=correct(table["p"])))
    return pd.concat(tables, ignore_index=True)


def _differences(labels: pd.DataFrame, pair: tuple[str, str], found: dict[str, tuple[Floats, Floats]], many: int, crossed: bool) -> pd.DataFrame:
    (one, draws_one), (two, draws_two) = found[pair[0]], found[pair[1]]
    low, high, p = paired_interval(one - two, draws_one - draws_two, many, crossed=crossed)
    return labels.assign(
        first=pair[0], second=pair[1], score_first=one, score_second=two, difference=one - two, ci_low=low, ci_high=high, p=p
    )  # fmt: skip


def _pairs(layers: list[str], first: str | None, second: str | None) -> list[tuple[str, str]]:
    for name in (first, second):
        if name is not None and name not in layers:
            raise NotFoundError(f"no kept predictions of {name!r}", expected=examples(layers, 12), fix=did_you_mean(name, layers))
    if first is not None and second is not None:
        pairs = [(first, second)] if first != second else []
    elif first is not None or second is not None:
        pairs = [(first or name, second or name) for name in layers if name not in (first, second)]
    else:
        pairs = list(combinations(layers, 2))
    if not pairs:
        raise InputError("a comparison needs two layers", where="compare", got=examples(layers, 12))
    return pairs


def _families(scores: Scores, within: str | None) -> Iterator[tuple[str, npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Yield subject, positions among all targets and positions among the subject's targets of each family."""
    subjects = scores.targets["subject"].to_numpy()
    if within is not None:
        need_column(scores.targets, within, "Scores.targets")
    for subject in scores.predictions:
        columns = np.flatnonzero(subjects == subject)
        if within is None:
            yield subject, columns, np.arange(len(columns))
            continue
        labels = scores.targets[within].iloc[columns].reset_index(drop=True)
        for index in labels.groupby(labels, sort=False, dropna=False).indices.values():
            yield subject, columns[index], index
