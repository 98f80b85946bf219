"""Flexible models on held-out conditions of held-out subjects. Folds over conditions are weights of 0, so no RDM is ever cut up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of, whole
from brainenc.core.errors import InputError
from brainenc.linalg.ranks import n_of_pairs
from brainenc.nouns.evaluation import Evaluation
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._folds import LEAST_CONDITIONS, CrossValidated, Job, Stack, default_folds, make_job, sample
from brainenc.rsa._forms import REGISTRY
from brainenc.rsa._inputs import check_complete, groups_of
from brainenc.rsa.bootstrapping import Draws, draw
from brainenc.rsa.flexible import Fixed, Flexible, flexible_models
from brainenc.rsa.variances import covariance_of_draws, one_factor, two_factors

Floats = npt.NDArray[np.float64]
WHERE = "crossvalidate"

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
        sample the default is for the expected number of different ones, and what is asked for is cut down to what the sample allows.
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
    whole(n_assignments, "n_assignments", WHERE, least=1)
    whole(n, "n", WHERE)
    draws = draw(n_conditions, n_subjects, n, seed, conditions=conditions, subjects=subjects)
    asked = (folds_conditions, folds_subjects)
    jobs = [make_job(stack, groups.one_each(values, g), method, sigma_k, ceiling) for g in range(len(groups.rows))]
    parts = [_group(job, draws, folds, asked, n_assignments, seed, progress) for job in jobs]
    provenance = {
        "metric": data.metric, "n_averaged": [int(np.bincount(codes).max()) for codes in groups.codes],
        "n_pairs_left_out": [0 if job.keep is None else int((~job.keep).sum()) for job in jobs],
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
        Rows of NaN for subjects that are not there; pairs that any of the others lacks are left out.
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
    job = make_job(stack, data, method, sigma_k, ceiling)
    return sample(job, condition_weights, [subject_weights], folds, n_assignments, seed, keys)[0]


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


def _group(job: Job, draws: Draws, folds: tuple[int, int], asked: tuple[int | None, int | None], n_assignments: int, seed: int, progress: Any) -> _Group:
    """Cross-validate one group on its data and on every sample."""
    found = sample(job, None, [None], folds, n_assignments, seed, ())[0]
    w, v = draws
    n_subjects, n_conditions = len(job.subjects), n_of_pairs(job.data.shape[1])
    if w is None and v is None:
        wide = np.pad(found.scores.mean(axis=0), ((0, 0), (0, 2)), constant_values=np.nan)
        return _Group(found, np.empty(0), covariance_of_draws(wide)[0] / n_subjects, 0)
    rest = (asked, n_assignments, seed)
    rows: dict[str, list[Floats]] = {"both": [], "subjects": [], "conditions": []}
    if v is not None:
        # one assignment of the conditions serves all samples of subjects alone
        counts: list[Floats | None] = list(v)
        rows["subjects"] = [_means(one, c, job) for one, c in zip(sample(job, None, counts, *rest, ("subjects",)), counts, strict=True)]
    for i, one_w in enumerate(_bar(() if w is None else w, progress)):
        counts = [None] if v is None else [None, v[i]]
        each = [_means(one, c, job) for one, c in zip(sample(job, one_w, counts, *rest, ("conditions", i)), counts, strict=True)]
        rows["conditions"].append(each[0])
        rows["both"] += each[1:]
    stacks = {name: np.stack(one) for name, one in rows.items() if one}
    covariances = {name: _of_draws(one) for name, one in stacks.items()}
    if "both" in stacks:
        covariance = two_factors(covariances["both"], covariances["subjects"], covariances["conditions"], n_subjects, n_conditions)
    else:
        covariance = one_factor(next(iter(covariances.values())), n_subjects if w is None else n_conditions)
    used = stacks.get("both", next(iter(stacks.values()))).mean(axis=1)
    return _Group(found, used, covariance, int(np.isnan(used[:, :-2]).any(axis=1).sum()))


def _bar(samples: Sequence[Floats] | Floats, progress: bool | None) -> Any:
    from tqdm import tqdm

    return tqdm(samples, desc="cross-validated samples", disable=None if progress is None else not progress, leave=False)


def _means(found: CrossValidated, v: Floats | None, job: Job) -> Floats:
    """Return mean scores and ceilings (n_assignments, k + 2) of one sample, subjects counted as often as they were drawn."""
    v = np.ones(found.scores.shape[1]) if v is None else v
    drawn = job.subjects[v[job.subjects] > 0]
    mean = np.einsum("s,ask->ak", v[drawn], found.scores[:, drawn]) / v[drawn].sum() if len(drawn) else np.full(found.scores.shape[::2], np.nan)
    return np.concatenate([mean, found.ceiling], axis=1)


def _of_draws(draws: Floats) -> Floats:
    """Return the covariance over samples, corrected for the choice of folds where there are several."""
    if draws.shape[1] > 1:
        return corrected_covariance(draws)
    return covariance_of_draws(draws[:, 0])[0]


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


def _mean_weights(stack: Stack, rows: Sequence[Mapping[str, Any]], found: CrossValidated) -> dict[str, dict[str, float]]:
    """Return the mean weight of each component, of θ scaled to Σ|θ| = 1, for the models that have some."""
    out = {}
    for row, model, theta in zip(rows, stack.models, found.theta, strict=True):
        if not isinstance(model, Fixed):
            size = np.abs(theta).sum(axis=-1, keepdims=True)
            unit = theta / np.where(size > 0, size, np.nan)
            out[str(row["model"])] = {name: float(value) for name, value in zip(model.names, unit.mean(axis=(0, 1)), strict=True)}
    return out
