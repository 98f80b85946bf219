"""Which models explain the same variance of an RDM, and which something of their own: R² of every subset from one Gram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of, whole
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.linalg.ranks import n_of_pairs
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import bootstrap_weights, fold_labels
from brainenc.nouns.persist import Saved
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._folds import LEAST_CONDITIONS, default_folds, fold_numbers
from brainenc.rsa._forms import Form
from brainenc.rsa._grams import grams
from brainenc.rsa._inputs import check_complete, groups_of, model_stack
from brainenc.rsa.flexible import component_names, ranked_within

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Tensor = torch.Tensor
WHERE = "partition_variance"
MAX_MODELS = 12
_CENTRED = Form(centred=True)
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, slots=True, eq=False)
class Partition(Saved):
    """Variance of RDMs partitioned among k models.

    Parameters
    ----------
    table : DataFrame
        One row a group and subset of the models: the columns of ``by``, models (``a & b``), order (size of the subset), r2 (of the
        regression on the subset), share (variance explained by every model of the subset and by no other; negative values
        are kept), r2_se, r2_ci_low, r2_ci_high, se, ci_low, ci_high (of r2 and share: bootstrap, 95 %), t, p, q (of the share over
        subjects; Benjamini-Hochberg over the table; NaN in sample), n_subjects. r2 and share are means over subjects.
    subsets : tuple of tuples of str
        Models of each subset, in the order of the last axes below.
    r2, share : ndarray of shape (n_groups, n_subjects, n_subsets)
        Of each subject; NaN where a subject lacks a group. The shares of a subject sum to the R² of all models.
    subjects : tuple of str
    cv : str or None
    ranked : bool
    n : int
        Bootstrap samples.
    seed : int
    n_failed : tuple of int
        Samples of each group with too few different conditions.
    """

    table: pd.DataFrame
    subsets: tuple[tuple[str, ...], ...]
    r2: Floats
    share: Floats
    subjects: tuple[str, ...]
    cv: str | None
    ranked: bool
    n: int
    seed: int
    n_failed: tuple[int, ...]

    def unique(self) -> pd.DataFrame:
        """Return the rows of single models: what each explains that no other does."""
        return self.table[self.table["order"] == 1].reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of ``table``."""
        return self.table.copy()

    def _repr_html_(self) -> str:
        return facts(type(self).__name__, {"found": repr(self)}) + self.table.head(24).to_html(escape=True, index=False, float_format="%.3g")

    def __repr__(self) -> str:
        names = ", ".join(self.subsets[-1])
        how = f"cross-validated over {self.cv}" if self.cv else "in sample"
        return f"Partition({names}; {self.share.shape[0]} groups, {self.share.shape[1]} subjects; {how})"


def partition_variance(
    models: RDMs | Mapping[str, RDMs], data: RDMs, *, by: str | Sequence[str] | None = None, subject: str | None = "subject", cv: str | None = None,
    ranked: bool = False, folds_conditions: int | None = None, folds_subjects: int | None = None, n_assignments: int = 2, subjects: bool = True,
    conditions: bool = True, n: int = 1000, seed: int = 0, tail: str = "greater",
) -> Partition:  # fmt: skip
    """Partition the variance of each subject's RDM among any number of model RDMs.

    R²(S) is that of the regression of the RDM on the models of subset S with a constant. The share of S is what all its models
    explain together and no model outside does,

        share(S) = Σ over U ⊆ S of (−1)^(|U| + 1) R²((M \\ S) ∪ U),

    so a single model has its unique variance, and the 2^k − 1 shares sum to R²(M) exactly. Models that suppress one another
    give negative shares, which are reported as they are.

    Parameters
    ----------
    models : RDMs or mapping of names to RDMs
        2 to 12, without missing pairs.
    data : RDMs
        Several RDMs of a subject in a group are averaged first.
    by, subject
        As in `permutation_test`.
    cv : {"conditions", "both"}, optional
        In sample, R² can only grow with the number of models, even of noise. "conditions": weights are fitted to each subject's pairs of
        training conditions and tested on pairs of held-out ones. "both": they are fitted to the mean of the training subjects, each RDM
        scaled to unit variance over the training pairs. R² = 1 − Σ(y − ŷ)² / Σy² of pairs centred within each fold, pooled over folds; it
        may be negative.
    ranked : bool
        Replace data and models by their mid-ranks within the pairs that are used (training or test pairs of a fold).
    folds_conditions, folds_subjects, n_assignments
        As in `crossvalidate`.
    subjects, conditions : bool
        What is resampled for the intervals.
    n : int
        Bootstrap samples; 0 gives no intervals.
    seed : int
    tail : {"greater", "two-sided"}
        Of the t-test of each share over subjects against 0, with ``cv`` only: in sample unique shares are never negative, so a test would
        find models of noise.

    Returns
    -------
    Partition

    Raises
    ------
    InputError
        Fewer than 2 or more than 12 models, missing pairs, too few conditions for the folds.

    Notes
    -----
    Commonality analysis: Mood 1971 (from memory). The t-tests speak of new subjects who see the same conditions; intervals are
    percentiles of the bootstrap, over both where both are resampled. Resampling conditions in sample raises R²
    a little, as fewer different pairs are fitted.

    Examples
    --------
    >>> import numpy as np
    >>> x = RDMs(np.random.default_rng(0).random((2, 190)), {"condition": [str(i) for i in range(20)]}, {"model": ["a", "b"]})
    >>> data = RDMs(x.values[:1] + x.values[1:], x.conditions)
    >>> partition_variance(x, data, n=0).table[["models", "order"]].values.tolist()
    [['a', 1], ['b', 1], ['a & b', 2]]
    """
    one_of(cv, (None, "conditions", "both"), "cv")
    one_of(tail, ("greater", "two-sided"), "tail")
    whole(n, "n", WHERE)
    x, names = _models(models, data)
    check_complete(np.asarray(data.values), "the data", WHERE, "leave out the conditions or RDMs with missing pairs")
    groups = groups_of(data, by, subject)
    values = np.array(data.values, dtype=np.float64)
    n_subjects, n_conditions = len(groups.subjects), data.n_conditions
    plan = _plan(cv, ranked, n_conditions, n_subjects, (folds_conditions, folds_subjects), n_assignments, seed)
    order, subsets = _subsets(names)
    w = bootstrap_weights(n_conditions, n, seed, "rsa", "conditions") if n and conditions else None
    v = bootstrap_weights(n_subjects, n, seed, "rsa", "subjects") if n and subjects and n_subjects > 1 else None
    labels = [" & ".join(names[i] for i in one) for one in subsets]
    r2, rows, failed = [], [], []
    for g in range(len(groups.rows)):
        y = groups.one_each(values, g)
        mine = _r2(x, y, plan, None, None)
        draws = _draws(x, y, plan, w, v, n)
        r2.append(mine[:, order])
        failed.append(int(np.isnan(draws).any(axis=1).sum()))
        rows.append(_rows(mine, draws, order, labels, None if cv is None else tail))
    which = groups.table.iloc[np.repeat(np.arange(len(rows)), len(order))].reset_index(drop=True)
    table = pd.concat([which, pd.concat(rows, ignore_index=True)], axis=1)
    table = table.assign(q=fdr_bh(table["p"]))
    shares = np.stack([commonalities(_unordered(one, order))[:, order] for one in r2])
    return Partition(table, tuple(tuple(names[i] for i in one) for one in subsets), np.stack(r2), shares, tuple(map(str, groups.subjects)), cv, ranked,
                     n, seed, tuple(failed))  # fmt: skip


def r2_of_subsets(gram: Floats, cross: Floats, total: Floats) -> Floats:
    """Return the R² (…, 2^k) of least squares on every subset of k predictors, subset s holding those with a bit in s; 0 for none.

    Parameters
    ----------
    gram : ndarray of shape (k, k)
        Inner products of the centred predictors.
    cross : ndarray of shape (…, k)
        Theirs with the centred target.
    total : ndarray of shape (…)
        Sum of squares of the centred target.
    """
    theta = subset_weights(gram, cross)
    return np.einsum("...sk,...k->...s", theta, cross) / np.where(total > 0, total, np.nan)[..., None]


def subset_weights(gram: Floats, cross: Floats) -> Floats:
    """Return the least-squares weights (…, 2^k, k) of every subset, 0 outside it; of collinear predictors those of least norm."""
    k = len(gram)
    member = ((np.arange(2**k)[:, None] >> np.arange(k)) & 1).astype(np.float64)
    scale = np.diag(gram)
    scale = np.where(scale > 0, 1.0 / np.sqrt(np.where(scale > 0, scale, 1.0)), 0.0)
    unit = scale[:, None] * gram * scale
    inverse = np.linalg.pinv(member[:, :, None] * unit * member[:, None, :], rcond=1e-10, hermitian=True)
    return scale * np.einsum("sij,...j->...si", inverse, scale * cross)


def commonalities(r2: Floats) -> Floats:
    """Return the share (…, 2^k) of every subset from the R² of all (…, 2^k), both indexed by bits; 0 for the empty one.

    With T(S) = R²(M) − R²(M \\ S), the variance that goes when S is left out, T(S) = Σ over U of the shares of the subsets that lie in S:
    the shares are the Möbius transform of T, which takes k 2^(k−1) subtractions.
    """
    size = r2.shape[-1]
    out = r2[..., -1:] - r2[..., ::-1]  # the complement of s is 2^k − 1 − s
    out = np.array(out)
    for bit in range(size.bit_length() - 1):
        has = (np.arange(size) >> bit) & 1 == 1
        out[..., has] -= out[..., np.flatnonzero(has) - (1 << bit)]
    return out


class _Plan(NamedTuple):
    """How R² is found: in sample, or in folds over conditions (asked for or by default) and subjects."""

    cv: str | None
    ranked: bool
    folds: tuple[int | None, int | None]
    n_assignments: int
    seed: int


def _models(models: RDMs | Mapping[str, RDMs], data: RDMs) -> tuple[Floats, list[str]]:
    x, table = model_stack(models, data, WHERE)
    if not 2 <= len(x) <= MAX_MODELS:
        raise InputError("variance is partitioned among several models", where=WHERE, expected=f"2 to {MAX_MODELS} RDMs", got=len(x))
    check_complete(x, "a model", WHERE, "give complete model RDMs")
    return x, component_names(RDMs(x, data.conditions, table))


def _plan(
    cv: str | None, ranked: bool, n_conditions: int, n_subjects: int, folds: tuple[int | None, int | None], n_assignments: int, seed: int
) -> _Plan:  # fmt: skip
    if cv is not None:
        k_c, k_s = (own if given is None else given for given, own in zip(folds, default_folds(n_conditions, n_subjects), strict=True))
        if not 2 <= k_c <= n_conditions // LEAST_CONDITIONS or n_assignments < 1:
            expected = f"2 to {n_conditions // LEAST_CONDITIONS} folds of at least {LEAST_CONDITIONS} conditions, one assignment or more"
            raise InputError("folds over conditions do not fit", where=WHERE, expected=expected, got=f"{k_c} folds, {n_assignments} assignments")
        if cv == "both" and not 2 <= k_s <= n_subjects:
            raise InputError("folds over subjects do not fit", where=WHERE, expected=f"2 to {n_subjects} folds", got=k_s, fix='use cv="conditions"')
    return _Plan(cv, ranked, folds, n_assignments, seed)


def _subsets(names: list[str]) -> tuple[Index, list[list[int]]]:
    """Return the bits of all subsets but the empty one, small ones first, and the models in each."""
    k = len(names)
    members = {s: [i for i in range(k) if s >> i & 1] for s in range(1, 2**k)}
    order = sorted(members, key=lambda s: (len(members[s]), members[s]))
    return np.array(order, dtype=np.intp), [members[s] for s in order]


def _unordered(ordered: Floats, order: Index) -> Floats:
    out = np.zeros((*ordered.shape[:-1], len(order) + 1))
    out[..., order] = ordered
    return out


def _r2(x: Floats, y: Floats, plan: _Plan, w: Floats | None, v: Floats | None, *keys: object) -> Floats:
    """Return R² (n_subjects, 2^k) of one group on the data or one sample; NaN for subjects that are not there, or where folds do not fit."""
    there = np.flatnonzero(np.isfinite(y).all(axis=1) & (True if v is None else v > 0))
    n = n_of_pairs(x.shape[1])
    w = np.ones(n) if w is None else w
    out = np.full((len(y), 2 ** len(x)), np.nan)
    present = np.flatnonzero(w > 0)
    stack, target = torch.from_numpy(x), torch.from_numpy(y[there])
    if not len(there) or len(present) < LEAST_CONDITIONS:
        return out
    if plan.cv is None:
        gram = _moments(stack, target, w[None], plan.ranked)[0]
        k = len(x)
        out[there] = r2_of_subsets(gram[:k, :k], gram[k:, :k], np.diag(gram)[k:])
        return out
    counts = np.ones(len(there)) if v is None else v[there]
    k_c, k_s = fold_numbers(plan.folds, w[present], counts)
    if k_c < 2 or (plan.cv == "both" and k_s < 2):
        return out
    labels_c = fold_labels(len(present), k_c, plan.n_assignments, plan.seed, *keys, "conditions")
    labels_s = fold_labels(len(there), k_s, plan.n_assignments, plan.seed, *keys, "subjects") if plan.cv == "both" else None
    found = []
    for a in range(plan.n_assignments):
        inside = np.zeros((k_c, n), dtype=bool)
        inside[labels_c[a], present] = True
        train = _moments(stack, target, np.where(inside, 0.0, w), plan.ranked)
        test = _moments(stack, target, np.where(inside, w, 0.0), plan.ranked)
        found.append(_held_out(train, test, len(x), None if labels_s is None else labels_s[a], counts))
    out[there] = np.mean(found, axis=0)
    return out


def _held_out(train: Floats, test: Floats, k: int, labels: Index | None, v: Floats) -> Floats:
    """Return 1 − Σ residual / Σ total (s, 2^k) over folds of conditions, from centred Grams (n_folds, k + s, k + s) of models and data."""
    s = train.shape[1] - k
    residual, total = np.zeros((s, 2**k)), np.zeros(s)
    for fit, held in zip(train, test, strict=True):
        size = np.sqrt(np.diag(fit)[k:])
        unit = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), np.nan)
        cross, target = fit[k:, :k] * unit[:, None], held[k:, :k] * unit[:, None]
        if labels is None:
            theta = subset_weights(fit[:k, :k], cross)
        else:
            means = np.stack([np.average(cross[labels != one], axis=0, weights=v[labels != one]) for one in range(labels.max() + 1)])
            theta = subset_weights(fit[:k, :k], means)[labels]
        own = np.diag(held)[k:] * unit**2
        fitted = 2 * np.einsum("umk,uk->um", theta, target) - np.einsum("umi,ij,umj->um", theta, held[:k, :k], theta, optimize=True)
        residual += own[:, None] - fitted
        total += own
    return 1 - residual / np.where(total > 0, total, np.nan)[:, None]


def _moments(x: Tensor, y: Tensor, w: Floats, ranked: bool) -> Floats:
    """Return the centred Grams (b, k + s, k + s) of models and data over the pairs of each sample."""
    weights = torch.from_numpy(w)
    if not ranked:
        return grams(torch.cat([x, y]), weights, _CENTRED).numpy()
    return torch.cat([grams(ranked_within(torch.cat([x, y]), one), one[None], _CENTRED) for one in weights]).numpy()


def _draws(x: Floats, y: Floats, plan: _Plan, w: Floats | None, v: Floats | None, n: int) -> Floats:
    """Return the mean R² (n, 2^k) over subjects of every bootstrap sample."""
    out = np.full((n, 2 ** len(x)), np.nan)
    if w is None and v is None:
        return out
    whole = _r2(x, y, plan, None, None) if w is None and plan.cv != "both" else None
    for i in range(n):
        counts = np.ones(len(y)) if v is None else v[i]
        # without folds over subjects, and on the same conditions, a sample of subjects is only a weighted mean
        found = whole if whole is not None else _r2(x, y, plan, None if w is None else w[i], None if v is None else v[i], "sample", i)
        counts = np.where(np.isfinite(y).all(axis=1), counts, 0.0)
        if counts.sum() > 0:
            out[i] = counts[counts > 0] @ found[counts > 0] / counts.sum()
    return out


def _rows(r2: Floats, draws: Floats, order: Index, names: list[str], tail: str | None) -> pd.DataFrame:
    """Return the table of one group from R² of subjects (n_subjects, 2^k) and of samples (n, 2^k); without a tail nothing is tested."""
    from scipy.stats import ttest_1samp

    mine = r2[np.isfinite(r2).all(axis=1)]
    shares, sampled = commonalities(mine), draws[np.isfinite(draws).all(axis=1)]
    columns: dict[str, Any] = {"models": names, "order": [s.bit_count() for s in order.tolist()]}
    unknown = np.full(len(order), np.nan)
    columns |= {"r2": mine.mean(axis=0)[order] if len(mine) else unknown, "share": shares.mean(axis=0)[order] if len(mine) else unknown}
    for prefix, values in (("r2_", sampled), ("", commonalities(sampled))):
        low, high = np.percentile(values[:, order], INTERVAL, axis=0) if len(sampled) > 1 else (unknown, unknown)
        columns |= {f"{prefix}se": values[:, order].std(axis=0, ddof=1) if len(sampled) > 1 else unknown, f"{prefix}ci_low": low, f"{prefix}ci_high": high}
    t = p = unknown
    if len(mine) > 1 and tail is not None:
        # shares that are the same in all subjects (of a model without any) have no t
        spread = np.ptp(shares[:, order], axis=0) > 1e-12
        tested = ttest_1samp(shares[:, order][:, spread], 0.0, alternative=tail)
        t, p = unknown.copy(), unknown.copy()
        t[spread], p[spread] = tested.statistic, tested.pvalue
    return pd.DataFrame(columns | {"t": t, "p": p, "n_subjects": len(mine)})
