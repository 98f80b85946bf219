"""Flexible models on held-out conditions of held-out subjects. Folds over conditions are weights of 0, so no RDM is ever cut up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.linalg.ranks import n_of_pairs
from brainenc.metrics.resample import fold_labels
from brainenc.nouns.evaluation import Evaluation
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._forms import REGISTRY, Form, sigma_tensor
from brainenc.rsa._grams import grams
from brainenc.rsa._inputs import check_complete, groups_of
from brainenc.rsa._sampled import compare_sample, pool_sample
from brainenc.rsa.bootstrapping import Draws, draw
from brainenc.rsa.flexible import Fixed, Flexible, fitting_form, flexible_models, ranked_within, training_moments
from brainenc.rsa.variances import covariance_of_draws, one_factor, two_factors

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Tensor = torch.Tensor
WHERE = "crossvalidate"
_ONE = np.ones((1, 1))
LEAST_CONDITIONS = 3  # fewer make no more than one pair, which every model fits


class Stack(NamedTuple):
    """Models and their components, all in one array (n_components, n_pairs); ``parts[m]`` are the rows of model m."""

    models: list[Flexible]
    values: Tensor
    parts: list[slice]


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidated:
    """Scores of several assignments to folds.

    Parameters
    ----------
    scores : ndarray of shape (n_assignments, n_subjects, n_models)
        Means over the folds of conditions in which they are defined; NaN for subjects that are not there.
    ceiling : ndarray of shape (n_assignments, 2)
        Lower: the pool of the training subjects; upper: the pool of all; both on the held-out conditions of held-out subjects.
    theta : list of n_models arrays (n_assignments, n_fits, n_components)
    undefined : ndarray of shape (n_models,)
        Folds (of all assignments and subjects) in which a prediction is constant over the held-out pairs, as that of a rare category
        can be, and has no score.
    """

    scores: Floats
    ceiling: Floats
    theta: list[Floats]
    undefined: Index


def crossvalidate(
    models: RDMs | Flexible | Mapping[str, RDMs | Flexible], data: RDMs, *, method: str = "pearson", by: str | Sequence[str] | None = None,
    subject: str | None = "subject", subjects: bool = True, conditions: bool = True, n: int = 0, seed: int = 0, ceiling: bool = True,
    folds_conditions: int | None = None, folds_subjects: int | None = None, n_assignments: int = 2, sigma_k: npt.ArrayLike | None = None,
    nan: str = "raise", progress: bool | None = None,
) -> Evaluation:  # fmt: skip
    """Fit models to training conditions of training subjects and score them on held-out conditions of held-out subjects.

    Every pair that is scored joins two held-out conditions and belongs to a subject that trained nothing, so neither a model that learnt
    these stimuli nor one that learnt these people is flattered. With a single subject only conditions are held out. Fixed models
    are scored on the same folds, which makes them comparable.

    Parameters
    ----------
    models : RDMs, flexible model, or mapping of names to these
        `Select`, `Weighted`, `Interpolate`, `Family`, `Fixed`; each row of plain RDMs is a fixed model.
    data : RDMs
        Several RDMs of a subject in a group are averaged first.
    method : str
        A comparator of `compare`; how models are fitted for each is said in `fitting_form`.
    by, subject
        As in `permutation_test`. All groups share the folds.
    subjects, conditions : bool
        What is resampled for errors; copies of a condition or a subject stay on one side of every fold.
    n : int
        Bootstrap samples, each cross-validated anew with its own folds; with 0 the covariance is that of the mean over these subjects.
        The samples are those of `bootstrap` with the same seed.
    seed : int
    ceiling : bool
        Whether noise ceilings are wanted.
    folds_conditions, folds_subjects : int, optional
        By default 2 below 12 conditions, 3 below 24, 4 below 40, else 5; and 2 below 6 subjects, 3 below 12, 4 below 20, else 5. Inside a
        sample the default is for the expected number of different ones.
    n_assignments : int
        Random assignments to folds, whose scores are averaged. With two or more the variance that the choice of folds adds to the
        bootstrap is taken away (see `corrected_covariance`).
    sigma_k : array_like, optional
        Noise covariance of the conditions, for whitened methods.
    nan : {"raise", "omit"}
        Pairs missing in any RDM of a group: refuse, or leave them out of that group.
    progress : bool, optional
        Show a bar over the samples; by default in a terminal.

    Returns
    -------
    Evaluation
        Scores per subject (averaged over folds and assignments), cross-validated ceilings, draws and covariance. ``provenance`` holds folds,
        assignments, failed draws and the mean weights of each model's components. With n = 0 subjects count as independent, which
        those that trained one another are not quite.

    Raises
    ------
    InputError
        Too few conditions for the folds, missing pairs, a comparator that is not scale-free.

    Examples
    --------
    >>> import numpy as np
    >>> from brainenc.rsa.flexible import Weighted
    >>> rng = np.random.default_rng(0)
    >>> x = RDMs(rng.random((2, 190)), {"condition": [str(i) for i in range(20)]}, {"model": ["a", "b"]})
    >>> data = RDMs(2 * x.values[0] + x.values[1] + 0.1 * rng.random((6, 190)), x.conditions, {"subject": list("uvwxyz")})
    >>> crossvalidate({"sum": Weighted(x), "a": x.take([0])}, data).mean.round(2).tolist()
    [[1.0, 0.9]]
    """
    one_of(nan, ("raise", "omit"), "nan")
    models = {type(models).__name__: models} if isinstance(models, Flexible) else models
    rows, flexible = zip(*flexible_models(models, WHERE), strict=True)
    stack = stacked(flexible, data.ids, method)
    values = np.array(data.values, dtype=np.float64)
    if nan == "raise":
        check_complete(values, "the data", WHERE, 'pass nan="omit" to leave such pairs out of their group')
    groups = groups_of(data, by, subject)
    n_conditions, n_subjects = data.n_conditions, len(groups.subjects)
    folds = _check_folds(n_conditions, n_subjects, folds_conditions, folds_subjects)
    if n_assignments < 1:
        raise InputError("at least one assignment to folds is needed", where=WHERE, got=n_assignments)
    draws = draw(n_conditions, n_subjects, n, seed, conditions=conditions, subjects=subjects)
    asked = (folds_conditions, folds_subjects)
    call = partial(crossvalidated_scores, stack, method=method, n_assignments=n_assignments, seed=seed, sigma_k=sigma_k, ceiling=ceiling)
    parts = [_group(call, groups.one_each(values, g), draws, folds, asked, progress) for g in range(len(groups.rows))]
    provenance = {
        "folds": {"conditions": folds[0], "subjects": folds[1]}, "n_assignments": n_assignments,
        "n_failed_draws": [part.n_failed for part in parts], "n_undefined_folds": [part.found.undefined.tolist() for part in parts],
        "weights": [_mean_weights(stack, rows, part.found) for part in parts],
    }  # fmt: skip
    known = ceiling and n_subjects > 1
    all_draws = np.stack([part.draws for part in parts], axis=1) if draws.factors else None
    levels = {"subjects": min(len(np.unique(codes)) for codes in groups.codes), "conditions": n_conditions}
    k = len(rows)
    return Evaluation(
        scores=np.stack([part.found.scores.mean(axis=0) for part in parts]), models=pd.DataFrame(list(rows)), groups=groups.table,
        subjects=pd.DataFrame({"subject": groups.subjects}), method=method, kind=REGISTRY.get(method).KIND,
        ceiling=np.stack([part.found.ceiling.mean(axis=0) for part in parts]) if known else None,
        draws=None if all_draws is None else all_draws[..., :k], ceiling_draws=all_draws[..., k:] if known and all_draws is not None else None,
        covariance=np.stack([part.covariance for part in parts]), dof=float(min(levels[name] for name in draws.factors or ("subjects",)) - 1),
        n_conditions=n_conditions, resampled=draws.factors, seed=seed, provenance=provenance,
    )  # fmt: skip


def stacked(models: Sequence[Flexible], ids: npt.ArrayLike, method: str) -> Stack:
    """Return the components of models over these conditions, once for all groups and resamples."""
    if not getattr(REGISTRY.get(method), "SCALE_FREE", True) and not all(isinstance(model, Fixed) for model in models):
        raise InputError("a flexible model has no scale of its own", where=WHERE, expected="a comparator that is scale-free", got=repr(method))
    blocks = [model.components(ids) for model in models]
    edges = np.cumsum([0, *map(len, blocks)])
    parts = [slice(int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return Stack(list(models), torch.from_numpy(np.concatenate(blocks)), parts)


def default_folds(n_conditions: float, n_subjects: float) -> tuple[int, int]:
    """Return numbers of folds over conditions and subjects; one fold of subjects where there is only one.

    Inside a bootstrap pass the expected numbers of different units, 1 − 1/e of those drawn.
    """

    def steps(n: float, edges: tuple[int, int, int]) -> int:
        return 2 + sum(n >= edge for edge in edges)

    return steps(n_conditions, (12, 24, 40)), steps(n_subjects, (6, 12, 20)) if n_subjects >= 2 else 1


def crossvalidated_scores(
    stack: Stack, data: Floats, *, method: str, condition_weights: Floats | None = None, subject_weights: Floats | None = None,
    folds: tuple[int | None, int | None] = (None, None), n_assignments: int = 2, seed: int = 0, keys: tuple[object, ...] = (),
    sigma_k: npt.ArrayLike | None = None, ceiling: bool = True,
) -> CrossValidated:  # fmt: skip
    """Return cross-validated scores of one group, on all the data or on one bootstrap sample of it.

    Parameters
    ----------
    stack : Stack
        From `stacked`.
    data : ndarray of shape (n_subjects, n_pairs)
        Rows of NaN for subjects that are not there; pairs that any other subject lacks are left out.
    method : str
    condition_weights, subject_weights : ndarray of shape (n_conditions,), (n_subjects,), optional
        Multiplicities of a bootstrap sample. Folds are of different conditions and subjects, so all copies of one stay on one side.
    folds : (int, int)
        Over conditions and subjects; None takes `default_folds`. Cut down to what a sample allows; where a fold of conditions would
        have less than 3 different ones, or only one of several subjects was drawn, all is NaN.
    n_assignments, seed, keys
        Random assignments, and names of what is drawn (the number of the sample).
    sigma_k : array_like, optional
    ceiling : bool

    Returns
    -------
    CrossValidated
    """
    form, ranked = fitting_form(method)
    there = np.isfinite(data).any(axis=1)
    v = np.where(there, 1.0 if subject_weights is None else subject_weights, 0.0)
    n = n_of_pairs(data.shape[1])
    w = np.ones(n) if condition_weights is None else np.asarray(condition_weights, dtype=np.float64)
    present, subjects = np.flatnonzero(w > 0), np.flatnonzero(v > 0)
    defaults = _bootstrap_folds(w, v)
    k_c, k_s = (own if given is None else given for given, own in zip(folds, defaults, strict=True))
    k_s = min(k_s, len(subjects)) if len(subjects) > 1 else 1
    k_c = min(k_c, len(present) // LEAST_CONDITIONS)
    out = _empty(n_assignments, len(data), stack, max(k_c, 1) * k_s)
    if k_c < 2 or len(subjects) < min(2, int(there.sum())):  # a sample of one person, copied, has no held-out subjects
        return out
    keep = torch.from_numpy(np.isfinite(data[subjects]).all(axis=0))
    y = torch.from_numpy(np.where(np.isfinite(data[subjects]), data[subjects], 0.0))
    job = _Job(stack, y, v[subjects], keep if not bool(keep.all()) else None, method, form, ranked, sigma_tensor(sigma_k, method, n), ceiling)
    labels_c = fold_labels(len(present), k_c, n_assignments, seed, *keys, "conditions")
    labels_s = fold_labels(len(subjects), k_s, n_assignments, seed, *keys, "subjects") if k_s > 1 else np.zeros((n_assignments, len(subjects)), dtype=np.intp)
    for a in range(n_assignments):
        inside = np.zeros((k_c, n), dtype=bool)
        inside[labels_c[a], present] = True
        found = _assignment(job, np.where(inside, w, 0.0), np.where(inside, 0.0, w), labels_s[a])
        out.scores[a, subjects], out.ceiling[a], thetas, undefined = found
        out.undefined[:] += undefined
        for held, theta in zip(out.theta, thetas, strict=True):
            held[a] = theta
    return out


def corrected_covariance(draws: Floats) -> Floats:
    """Return the covariance of cross-validated means as if over infinitely many assignments to folds.

    With m assignments a bootstrap sample, (m · cov(mean over assignments) − mean of cov(single assignment)) / (m − 1): what
    the choice of folds adds to the variance is taken away again.

    Parameters
    ----------
    draws : ndarray of shape (n_draws, n_assignments, k)
        Samples with NaN are left out; with fewer than two others all is NaN.

    Notes
    -----
    Schütt et al. 2023, doi:10.7554/eLife.82566. The result need not be positive; it is not clipped.
    """
    finite = np.isfinite(draws)
    columns = finite.any(axis=(0, 1))
    used, m = draws[finite[..., columns].all(axis=(1, 2))][..., columns], draws.shape[1]
    if m < 2:
        raise InputError("the correction needs two assignments to folds", where="corrected_covariance", got=m)
    out = np.full((draws.shape[2], draws.shape[2]), np.nan)
    if len(used) < 2:
        return out
    single = np.mean([np.atleast_2d(np.cov(used[:, a], rowvar=False)) for a in range(m)], axis=0)
    out[np.ix_(columns, columns)] = (m * np.atleast_2d(np.cov(used.mean(axis=1), rowvar=False)) - single) / (m - 1)
    return out


class _Group(NamedTuple):
    """One group: what was found on its data, draws (n, k + 2) of mean scores and ceilings, their covariance, draws that failed."""

    found: CrossValidated
    draws: Floats
    covariance: Floats
    n_failed: int


def _group(call: Any, data: Floats, draws: Draws, folds: tuple[int, int], asked: tuple[int | None, int | None], progress: bool | None) -> _Group:
    """Cross-validate one group on its data and on every sample."""
    found = call(data, folds=folds)
    w, v = draws
    if w is None and v is None:
        wide = np.pad(found.scores.mean(axis=0), ((0, 0), (0, 2)), constant_values=np.nan)
        return _Group(found, np.empty(0), covariance_of_draws(wide)[0] / int(np.isfinite(data).any(axis=1).sum()), 0)
    from tqdm import tqdm

    n = len(w if w is not None else v)  # type: ignore[arg-type]  # one of them is there
    kinds = [("both", w, v)] if w is None or v is None else [("both", w, v), ("subjects", None, v), ("conditions", w, None)]
    rows: dict[str, list[Floats]] = {name: [] for name, _, _ in kinds}
    for i in tqdm(range(n), desc="cross-validated samples", disable=None if progress is None else not progress, leave=False):
        for name, counts, copies in kinds:
            one = {"condition_weights": None if counts is None else counts[i], "subject_weights": None if copies is None else copies[i]}
            rows[name].append(_means(call(data, folds=asked, keys=(name, i), **one), one["subject_weights"], data))
    stacks = {name: np.stack(one) for name, one in rows.items()}
    covariances = [_of_draws(one) for one in stacks.values()]
    n_subjects, n_conditions = int(np.isfinite(data).any(axis=1).sum()), n_of_pairs(data.shape[1])
    if len(covariances) == 3:
        covariance = two_factors(covariances[0], covariances[1], covariances[2], n_subjects, n_conditions)
    else:
        covariance = one_factor(covariances[0], n_subjects if w is None else n_conditions)
    both = stacks["both"].mean(axis=1)
    return _Group(found, both, covariance, int(np.isnan(both[:, :-2]).any(axis=1).sum()))


def _means(found: CrossValidated, v: Floats | None, data: Floats) -> Floats:
    """Return mean scores and ceilings (n_assignments, k + 2) of one sample, subjects counted as often as they were drawn."""
    v = np.where(np.isfinite(data).any(axis=1), 1.0 if v is None else v, 0.0)
    drawn = v > 0
    mean = np.einsum("s,ask->ak", v[drawn], found.scores[:, drawn]) / v.sum() if drawn.any() else np.full(found.scores.shape[::2], np.nan)
    return np.concatenate([mean, found.ceiling], axis=1)


def _of_draws(draws: Floats) -> Floats:
    """Return the covariance over samples, corrected for the choice of folds where there are several."""
    if draws.shape[1] > 1:
        return corrected_covariance(draws)
    return covariance_of_draws(draws[:, 0])[0]


class _Job(NamedTuple):
    """One group: components, data (s, n_pairs), multiplicities of the subjects (s,), known pairs, and how to compare and fit."""

    stack: Stack
    data: Tensor
    v: Floats
    keep: Tensor | None
    method: str
    form: Form
    ranked: bool
    sigma: Tensor | None
    ceiling: bool


def _assignment(job: _Job, test_w: Floats, train_w: Floats, labels: Index) -> tuple[Floats, Floats, list[Floats], Index]:
    """Return scores (s, n_models), ceilings (2,), θ of every fold and counts of undefined scores (n_models,), for one assignment."""
    test, train = torch.from_numpy(test_w), torch.from_numpy(train_w)
    fits = _training_grams(job, train)
    k_s = int(labels.max()) + 1
    n_models, n_components = len(job.stack.models), len(job.stack.values)
    scores = np.full((len(test), len(job.v), n_models), np.nan)
    ceilings = np.full((len(test), len(job.v), 2), np.nan)
    thetas: list[list[Floats]] = [[] for _ in job.stack.models]
    subjects = np.arange(len(job.v)) + n_components
    for f, w in enumerate(test):
        theta = np.zeros((k_s, n_models, n_components))
        for s in range(k_s):
            v = np.where(labels == s, 0.0, job.v) if k_s > 1 else job.v
            for m, (model, part) in enumerate(zip(job.stack.models, job.stack.parts, strict=True)):
                moments = (_ONE, _ONE[0]) if isinstance(model, Fixed) else training_moments(fits[f], np.arange(part.start, part.stop), subjects, v)
                theta[s, m, part] = model.solve(*moments)
                thetas[m].append(theta[s, m, part])
        predicted = torch.from_numpy(theta.reshape(-1, n_components)) @ job.stack.values
        found = compare_sample(job.method, predicted, job.data, w, keep=job.keep, sigma_k=job.sigma).reshape(k_s, n_models, -1)
        scores[f] = found[labels, :, np.arange(len(labels))]
        ceilings[f] = _ceilings(job, w, labels, k_s)
    weights = job.v / job.v.sum()
    return _known_mean(scores), weights @ _known_mean(ceilings), [np.stack(one) for one in thetas], np.isnan(scores).sum(axis=(0, 1))


def _known_mean(values: Floats) -> Floats:
    """Return the mean over folds (axis 0) of what is defined, NaN where nothing is."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)


def _training_grams(job: _Job, train: Tensor) -> Floats:
    """Return the Grams (n_folds, t, t) of components and data over the training pairs."""
    if not job.ranked:
        return grams(torch.cat([job.stack.values, job.data]), train, job.form, sigma_k=job.sigma, keep=job.keep).numpy()
    parts = [torch.cat([job.stack.values, ranked_within(job.data, w, job.keep)]) for w in train]
    return torch.cat([grams(one, w[None], job.form, keep=job.keep) for one, w in zip(parts, train, strict=True)]).numpy()


def _ceilings(job: _Job, w: Tensor, labels: Index, k_s: int) -> Floats:
    """Return each subject's similarity (s, 2) with the pool of the training subjects and of all, on the pairs of one fold."""
    if len(job.v) < 2 or not job.ceiling:
        return np.full((len(job.v), 2), np.nan)
    v = np.stack([np.where(labels == s, 0.0, job.v) for s in range(k_s)] + [job.v])
    pools = pool_sample(job.method, job.data, v, w, keep=job.keep)
    found = compare_sample(job.method, pools, job.data, w, keep=job.keep, sigma_k=job.sigma)
    return np.stack([found[labels, np.arange(len(labels))], found[-1]], axis=1)


def _check_folds(n: int, n_subjects: int, folds_conditions: int | None, folds_subjects: int | None) -> tuple[int, int]:
    k_c, k_s = default_folds(n, n_subjects)
    k_c = k_c if folds_conditions is None else folds_conditions
    k_s = k_s if folds_subjects is None else folds_subjects
    if not 2 <= k_c <= n // LEAST_CONDITIONS:
        expected = f"2 to {n // LEAST_CONDITIONS} folds of at least {LEAST_CONDITIONS} conditions"
        raise InputError("folds over conditions do not fit", where=WHERE, expected=expected, got=f"{k_c} folds of {n} conditions")
    if not (k_s == 1 and n_subjects == 1) and not 2 <= k_s <= n_subjects:
        raise InputError("folds over subjects do not fit", where=WHERE, expected=f"2 to {n_subjects} folds", got=k_s)
    return k_c, k_s


def _bootstrap_folds(w: Floats, v: Floats) -> tuple[int, int]:
    """Return the default folds; of samples with copies, those of the expected number of different units."""
    share = 1 - np.exp(-1)
    return default_folds(*(one.sum() * (share if one.max(initial=0) > 1 else 1.0) for one in (w, v)))


def _empty(n_assignments: int, n_subjects: int, stack: Stack, n_fits: int) -> CrossValidated:
    theta = [np.full((n_assignments, n_fits, part.stop - part.start), np.nan) for part in stack.parts]
    return CrossValidated(np.full((n_assignments, n_subjects, len(stack.models)), np.nan), np.full((n_assignments, 2), np.nan), theta,
                          np.zeros(len(stack.models), dtype=np.intp))  # fmt: skip


def _mean_weights(stack: Stack, rows: Sequence[Mapping[str, Any]], found: CrossValidated) -> dict[str, dict[str, float]]:
    """Return the mean weight of each component, of θ scaled to Σ|θ| = 1, for the models that have some."""
    out = {}
    for row, model, theta in zip(rows, stack.models, found.theta, strict=True):
        if not isinstance(model, Fixed):
            size = np.abs(theta).sum(axis=-1, keepdims=True)
            unit = theta / np.where(size > 0, size, np.nan)
            out[str(row["model"])] = {name: float(value) for name, value in zip(model.names, unit.mean(axis=(0, 1)), strict=True)}
    return out
