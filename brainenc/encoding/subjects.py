"""Several subjects: every one of them, their mean, how many show an effect, and in how many of all people it would be found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import InputError
from brainenc.encoding._reading import whole
from brainenc.encoding.projecting import subjects_of
from brainenc.metrics._intervals import bootstrap_interval
from brainenc.metrics.resample import bootstrap_weights
from brainenc.nouns.scores import Scores
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]
CHUNK_VALUES = 2**22


class Prevalence(NamedTuple):
    """Most probable share of people with the effect, and the ends of its highest posterior density interval; arrays of any one shape."""

    map: Floats
    low: Floats
    high: Floats


class _Cells(NamedTuple):
    """Scores (n_entries, n_cells), whether significant (NaN where untested), targets in a cell, and the cells' labels."""

    score: Floats
    hit: Floats
    sizes: npt.NDArray[np.intp]
    labels: list[Any]


def group_table(
    scores: Scores | Sequence[Scores], *, by: str = "roi", summary: str = "median", interval: str = "t", alpha: float = 0.05, n: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Return one row a layer and region: each subject's score, their mean with its interval, and how many subjects are significant.

    Parameters
    ----------
    scores : Scores of several subjects, or sequence of Scores
        With the same layers, metrics and seeds.
    by : str
        Column of the targets that subjects share: ``"roi"``, or ``"target_id"`` in a common space (rows then stand in the order of the targets, so that
        ``space.paint(table["prevalence"])`` is the prevalence map of one layer).
    summary : {"median", "mean"}
        Over the targets of a region.
    interval : {"t", "bootstrap"}
        Of the mean over subjects, 95 %: mean ± t · s / √n, or percentiles of a bootstrap of subjects at widened levels (`brainenc.metrics.bootstrap_interval`).
    alpha : float
        Level at which a single subject counts as significant.
    n, seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        ``by``, model, layer, metric, seed, mean, sd, ci_low, ci_high, n_subjects (with a score), n_significant, n_tested, prevalence, prevalence_low,
        prevalence_high (`prevalence`), first_level, and a column for each subject, named as the subject.

    Raises
    ------
    InputError
        For a single subject, different layers, or a subject named like a column.

    Notes
    -----
    A subject is significant where p ≤ alpha; in a region of several targets where its smallest p_max is (the family-wise test that some target has an
    effect), or, without p_max, its smallest p times the number of targets (Bonferroni). ``first_level`` says which; without p-values the counts are
    missing. With four to eight deeply sampled subjects each is a replication of its own: the columns of the subjects say more than the interval of
    their mean.

    Examples
    --------
    >>> import numpy as np, pandas as pd, brainenc as be
    >>> targets = pd.DataFrame({"subject": [f"0{i}" for i in range(1, 5)], "target_id": "v1", "roi": "V1"})
    >>> entries = pd.DataFrame({"model": ["toy"], "layer": ["one"], "metric": ["pearson"], "seed": [0]})
    >>> values, spaces = np.array([[[0.1, 0.2, 0.3, 0.4]]]), {name: be.ArraySpace(1) for name in targets["subject"]}
    >>> scores = be.Scores(values, entries, targets, spaces, "toy", n_test=[[50]], p=np.array([[0.01, 0.001, 0.2, 0.001]]))
    >>> group_table(scores)[["mean", "n_significant", "prevalence", "01"]].round(3).values.tolist()
    [[0.25, 3.0, 0.737, 0.1]]
    """
    one_of(summary, ("median", "mean"), "summary")
    one_of(interval, ("t", "bootstrap"), "interval")
    _check_alpha(alpha, 1.0)
    parts = subjects_of(scores, "group_table")
    names = [part.subjects[0] for part in parts]
    found = [_cells(part, by, summary, alpha) for part in parts]
    labels = list(dict.fromkeys(label for one in found for label in one.labels))
    if not labels:
        raise InputError("no target has a region", where="group_table", got=f"column {by!r}")
    score, hit = (np.stack([_spread(getattr(one, what), one.labels, labels) for one in found]) for what in ("score", "hit"))
    mean, sd, ends, many = _means(score, interval, whole(n, 99, "n", "group_table"), seed)
    tested, hits = np.isfinite(hit).sum(axis=0), (hit == 1).sum(axis=0)
    share = prevalence(hits, np.where(tested > 0, tested, 1), alpha=alpha)
    blank = lambda values: np.where(tested > 0, values, np.nan).reshape(-1)  # noqa: E731
    entries = parts[0].entries[["model", "layer", "metric", "seed"]]
    table = entries.loc[entries.index.repeat(len(labels))].reset_index(drop=True)
    table.insert(0, by, labels * len(entries))
    columns = {
        "mean": mean, "sd": sd, "ci_low": ends[0], "ci_high": ends[1], "n_subjects": many, "n_significant": blank(hits), "n_tested": tested,
        "prevalence": blank(share.map), "prevalence_low": blank(share.low), "prevalence_high": blank(share.high),
    }  # fmt: skip
    clash = [name for name in names if name in table or name in columns or name == "first_level"]
    if clash:
        raise InputError("a subject is named like a column of the table", where="group_table", got=examples(clash))
    table = table.assign(**{name: np.reshape(values, -1) for name, values in columns.items()}, first_level=_rule(parts, found, alpha))
    return pd.concat([table, pd.DataFrame({name: score[i].reshape(-1) for i, name in enumerate(names)})], axis=1)


def prevalence(
    n_significant: npt.ArrayLike, n_subjects: npt.ArrayLike, *, alpha: float = 0.05, power: float = 1.0, level: float = 0.95
) -> Prevalence:  # fmt: skip
    """Infer in what share γ of all people an effect would be found, from how many subjects show it (Bayesian prevalence).

    A subject is significant with probability θ = γ · power + (1 − γ) · alpha. With a uniform prior on γ and k of n subjects significant the
    posterior of θ is Beta(k + 1, n − k + 1), truncated to alpha ≤ θ ≤ power.

    Parameters
    ----------
    n_significant, n_subjects : array_like of int
        k and n, broadcast against each other.
    alpha : float
        False positive rate of the test in single subjects, which it has to hold exactly or below.
    power : float
        Its power where the effect is there. With 1 the share is of people in whom this experiment would show the effect.
    level : float
        Of the highest posterior density interval.

    Returns
    -------
    Prevalence
        ``map``: the posterior mode, (k / n − alpha) / (power − alpha), or the end of 0 … 1 beyond which that lies.

    Notes
    -----
    Ince et al. 2021, doi:10.7554/eLife.62461. The interval is about people, not about the size of the effect, and needs no assumption about that.

    Examples
    --------
    >>> result = prevalence(6, 8)
    >>> [round(float(value), 3) for value in result]
    [0.737, 0.402, 0.943]
    """
    _check_alpha(alpha, power)
    if not 0.0 < level < 1.0:
        raise InputError("a level lies between 0 and 1", where="prevalence", got=level)
    k, many = np.broadcast_arrays(np.asarray(n_significant), np.asarray(n_subjects))
    if k.dtype.kind not in "iu" or many.dtype.kind not in "iu" or (many < 1).any() or (k < 0).any() or (k > many).any():
        raise InputError("counts are whole, and no more than the subjects", where="prevalence", got=f"{examples(k.ravel())} of {examples(many.ravel())}")
    pairs, back = np.unique(np.stack([k.ravel(), many.ravel()]), axis=1, return_inverse=True)
    found = np.array([_posterior(int(a), int(b), alpha, power, level) for a, b in pairs.T]).reshape(-1, 3)[back.ravel()]
    return Prevalence(*(np.asarray(found[:, i].reshape(k.shape)) for i in range(3)))


def _posterior(k: int, n: int, alpha: float, power: float, level: float) -> tuple[float, float, float]:
    """Return mode, low and high end of γ: the shortest interval of the truncated beta that holds ``level``."""
    from scipy.optimize import brentq
    from scipy.stats import beta

    posterior = beta(k + 1, n - k + 1)
    start, stop = posterior.cdf(alpha), posterior.cdf(power)
    mode = min(max(k / n, alpha), power)

    def ends(lower: float) -> tuple[float, float]:
        """Return the ends of the interval with the share ``lower`` of the posterior below it."""
        low, high = posterior.ppf([start + lower * (stop - start), start + (lower + level) * (stop - start)])
        return float(max(low, alpha)), float(min(high, power))

    def slope(lower: float) -> float:
        """Return the density at the lower end minus that at the upper: zero where the interval is shortest."""
        low, high = ends(lower)
        return float(posterior.pdf(low) - posterior.pdf(high))

    if mode <= alpha or slope(0.0) >= 0:
        low, high = ends(0.0)
    elif mode >= power or slope(1.0 - level) <= 0:
        low, high = ends(1.0 - level)
    else:
        low, high = ends(float(brentq(slope, 0.0, 1.0 - level, xtol=1e-12)))
    return tuple((value - alpha) / (power - alpha) for value in (mode, low, high))  # type: ignore[return-value]


def _check_alpha(alpha: float, power: float) -> None:
    if not 0.0 < alpha < power <= 1.0:
        raise InputError("alpha lies above 0 and below the power", where="prevalence", expected="0 < alpha < power ≤ 1", got=f"{alpha} and {power}")


def _cells(scores: Scores, by: str, summary: str, alpha: float) -> _Cells:
    need_column(scores.targets, by, "Scores.targets")
    groups = scores.targets[by].reset_index(drop=True)
    frame = pd.DataFrame(scores.mean().T)
    grouped = frame.groupby(groups, sort=False)
    score = grouped.median() if summary == "median" else grouped.mean()
    sizes = groups.value_counts(sort=False).reindex(score.index).to_numpy()
    hit = np.full((len(frame.columns), len(score)), np.nan)
    if scores.p is not None:
        p = pd.DataFrame(scores.p.T).groupby(groups, sort=False)
        lowest, known = p.min().to_numpy(), p.count().to_numpy()
        decided = lowest * np.maximum(known, 1)
        if scores.p_max is not None:
            p_max = pd.DataFrame(scores.p_max.T).groupby(groups, sort=False).min().to_numpy()
            decided = np.where((sizes > 1)[:, None], p_max, lowest)
        hit = np.where(np.isfinite(decided), decided <= alpha, np.nan).T
    return _Cells(score.to_numpy().T, hit, sizes, list(score.index))


def _spread(values: Floats, own: list[Any], labels: list[Any]) -> Floats:
    """Return columns in the order of all labels, NaN for those a subject has not."""
    if own == labels:
        return values
    out = np.full((len(values), len(labels)), np.nan)
    out[:, pd.Index(labels).get_indexer(pd.Index(own))] = values
    return out


def _means(score: Floats, interval: str, n: int, seed: int) -> tuple[Floats, Floats, Floats, npt.NDArray[np.intp]]:
    """Return mean, sd (n_entries, n_cells), ends (2, n_entries, n_cells) and number of known subjects of scores (n_subjects, n_entries, n_cells)."""
    from scipy.special import stdtrit

    known = np.isfinite(score)
    many = known.sum(axis=0)
    filled = np.where(known, score, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / np.where(many > 0, many, np.nan)
        sd = np.sqrt((np.where(known, score - mean, 0.0) ** 2).sum(axis=0) / np.where(many > 1, many - 1, np.nan))
        if interval == "t":
            width = stdtrit(np.maximum(many - 1, 1), 0.975) * sd / np.sqrt(many)
            return mean, sd, np.stack([mean - width, mean + width]), many
    flat, where, weights = filled.reshape(len(score), -1), known.reshape(len(score), -1), bootstrap_weights(len(score), n, seed, "subjects")
    ends = np.full((2, flat.shape[1]), np.nan)
    step = max(1, CHUNK_VALUES // n)
    for part in (slice(i, i + step) for i in range(0, flat.shape[1], step)):
        counts = weights @ where[:, part].astype(np.float64)
        draws = (weights @ flat[:, part]) / np.where(counts > 0, counts, np.nan)
        ends[:, part] = bootstrap_interval(mean.reshape(-1)[part], draws, len(score), "ratio")
    ends[:, many.reshape(-1) < 2] = np.nan
    return mean, sd, ends.reshape(2, *mean.shape), many


def _rule(parts: list[Scores], found: list[_Cells], alpha: float) -> str:
    tested = [part for part in parts if part.p is not None]
    if not tested:
        return "no p-values"
    if max(one.sizes.max(initial=0) for one in found) <= 1:
        return f"p ≤ {alpha:g}"
    rules = {"smallest p_max" if part.p_max is not None else "smallest p, Bonferroni over targets" for part in tested}
    return f"{' or '.join(sorted(rules))} ≤ {alpha:g}"
