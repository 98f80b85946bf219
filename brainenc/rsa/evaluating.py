"""Evaluate models on RDMs: scores, noise ceilings, bootstrap, permutations, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of, whole
from brainenc.core.errors import InputError
from brainenc.linalg.device import resolve_device
from brainenc.nouns.evaluation import Evaluation
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._forms import REGISTRY
from brainenc.rsa._inputs import Groups, groups_of, model_stack
from brainenc.rsa._samples import engine
from brainenc.rsa.bootstrapping import Draws, Resampled, draw, resample_group
from brainenc.rsa.ceilings import known_pairs
from brainenc.rsa.crossvalidating import crossvalidate
from brainenc.rsa.flexible import Flexible
from brainenc.rsa.permuting import permutation_test

Floats = npt.NDArray[np.float64]
WHERE = "evaluate"


def evaluate(
    models: Any, data: RDMs, *, method: str = "pearson", by: str | Sequence[str] | None = None, subject: str | None = "subject",
    subjects: bool = True, conditions: bool = True, n: int = 1000, seed: int = 0, ceiling: bool = True, permutations: int = 0,
    maximum_over: str | Sequence[str] = ("model",), sigma_k: Any = None, nan: str = "omit", folds_conditions: int | None = None,
    folds_subjects: int | None = None, n_assignments: int = 2, memory: str | int | None = "256MB", device: str = "cpu",
) -> Evaluation:  # fmt: skip
    """Evaluate models on the RDMs of every subject, and say how sure the scores are.

    The score of a model is the mean over subjects of the comparison of its RDM with theirs. Errors come from a bootstrap over subjects,
    conditions or both (corrected for their numbers, see `brainenc.rsa.variances`), with the noise ceilings on the same samples; all groups
    and models share the samples, so that differences can be tested.

    Parameters
    ----------
    models : RDMs, flexible model, or mapping of names to these
        Fixed models are RDMs, one a row (named by their columns model and layer). Where any is flexible (`Select`, `Weighted`,
        `Interpolate`, `Family`) all are cross-validated over conditions and subjects as in `crossvalidate`, anew in every sample; that takes
        some milliseconds a sample rather than microseconds.
    data : RDMs
        One RDM a subject and group. Several of one subject in a group (sessions, say) are averaged first, and their number is kept in
        ``provenance["n_averaged"]``.
    method : str
        A comparator of `compare`.
    by : str or sequence of str, optional
        Columns of ``data.rdms`` that make groups (roi, time …).
    subject : str, optional
        Column that names the subject; without it every RDM counts as a subject.
    subjects, conditions : bool
        What is resampled. With both the results hold for new subjects and new conditions.
    n : int
        Samples; with 0 the errors are those of the mean over these subjects, for these conditions (of ceilings by jackknife).
    seed : int
    ceiling : bool
        Whether noise ceilings are wanted; with a single subject there are none.
    permutations : int
        Relabellings of a Mantel test, see `permutation_test`; fixed models only.
    maximum_over : str or sequence of str
        What the corrected p of the permutations covers.
    sigma_k : array_like, optional
        Noise covariance of the conditions for whitened methods: variances (n_conditions,), or a full matrix where conditions are not
        resampled.
    nan : {"omit", "raise"}
        Pairs missing in any data or model RDM of a group are left out of that group and counted, or refused.
    memory : str, int or None
        Bound on what is held at once; it does not change the result.
    device : str
        ``"cpu"``, ``"cuda"`` or ``"auto"``.
    folds_conditions, folds_subjects, n_assignments : int, optional
        Of the cross-validation of flexible models, see `crossvalidate`.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        Different conditions, one subject that is to be resampled, a comparator that has no meaning for what was asked.

    Notes
    -----
    Where conditions are resampled, t-tests of weak relations err on the safe side (copies of a condition add to the variance of what is nearly
    noise); relabelled conditions (``permutations``) are exact. A model made of the same data (their mean, a fit) reaches the upper ceiling by
    construction: nothing here can tell. Nor can it tell a shared bias from a signal: where conditions differ in noise or in trials, distances that
    are not cross-validated are larger between the noisy ones in everyone, which lifts ceilings and scores; crossnobis distances are not.

    Schütt et al. 2023, doi:10.7554/eLife.82566; Nili et al. 2014, doi:10.1371/journal.pcbi.1003553.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).random((4, 45))
    >>> conditions = {"condition": list("abcdefghij")}
    >>> data = RDMs(x[:1] + 0.1 * x, conditions, {"subject": list("1234")})
    >>> evaluate({"m": RDMs(x[:1], conditions)}, data, n=100).to_frame()[["model", "n_subjects", "n_draws"]].values.tolist()
    [['m', 4, 100]]
    """
    one_of(nan, ("omit", "raise"), "nan")
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0 or n == 1:
        raise InputError("a bootstrap needs at least two samples, or none", where=WHERE, got=repr(n))
    whole(permutations, "permutations", WHERE)
    if isinstance(models, Flexible) or (isinstance(models, Mapping) and any(not isinstance(model, RDMs) for model in models.values())):
        if permutations:
            raise InputError("flexible models have no permutation test", where=WHERE, fix="test the RDM that a fit to other data predicts")
        return crossvalidate(
            models, data, method=method, by=by, subject=subject, subjects=subjects, conditions=conditions, n=n, seed=seed, ceiling=ceiling, sigma_k=sigma_k,
            nan=nan, folds_conditions=folds_conditions, folds_subjects=folds_subjects, n_assignments=n_assignments,
        )  # fmt: skip
    if folds_conditions is not None or folds_subjects is not None:
        raise InputError("only flexible models are cross-validated", where=WHERE, got="folds", fix="leave the folds out, or use crossvalidate")
    stack, table = model_stack(models, data, WHERE)
    module, groups, where_it_runs = REGISTRY.get(method), groups_of(data, by, subject), resolve_device(device)
    values = np.asarray(data.values, dtype=np.float64)
    draws = draw(data.n_conditions, len(groups.subjects), n, seed, conditions=conditions, subjects=subjects)
    found, facts, means = [], [], []
    for group in range(len(groups.table)):
        here = np.unique(groups.codes[group])
        x = groups.one_each(values, group)
        x = x if len(here) == len(x) else x[here]
        keep = known_pairs(x, stack, nan, f"{WHERE}, {dict(groups.table.iloc[group])}")
        job = engine(method, x, stack, keep=keep, sigma_k=sigma_k, device=where_it_runs, copies=draws.conditions is not None)
        mine = draws if draws.subjects is None else draws._replace(subjects=draws.subjects[:, here])
        shape = (len(here), len(stack), data.n_conditions)
        found.append((here, resample_group(job, mine, shape, ceiling=ceiling, memory=memory, device=where_it_runs)))
        facts.append(int((~keep).sum()))
        if permutations:
            means.append(x)
        del x, job
    evaluation = _wrap(found, table, groups, draws, method=method, kind=module.KIND, n_conditions=data.n_conditions, seed=seed, ceiling=ceiling)
    evaluation = _noted(evaluation, data, groups, facts, [one.n_failed for _, one in found])
    if permutations:
        return _permuted(evaluation, models, data, groups, means, n=permutations, maximum_over=maximum_over, sigma_k=sigma_k, nan=nan)
    return evaluation


def _wrap(
    found: list[tuple[npt.NDArray[np.intp], Resampled]], table: pd.DataFrame, groups: Groups, draws: Draws, *, method: str, kind: str, n_conditions: int,
    seed: int, ceiling: bool,
) -> Evaluation:  # fmt: skip
    n_models = len(table)
    scores = np.full((len(found), len(groups.subjects), n_models), np.nan)
    for group, (here, one) in enumerate(found):
        scores[group, here] = one.scores
    all_draws = None if found[0][1].draws is None else np.stack([one.draws for _, one in found if one.draws is not None], axis=1)
    n_subjects = min(len(here) for here, _ in found)
    levels = {"subjects": n_subjects, "conditions": n_conditions}
    dof = min(levels[name] for name in draws.factors or ("subjects",)) - 1
    ceilings = np.stack([one.ceilings for _, one in found]) if ceiling else None
    known = ceilings is not None and np.isfinite(ceilings).any()
    return Evaluation(
        scores=scores, models=table, groups=groups.table, subjects=pd.DataFrame({"subject": groups.subjects}), method=method, kind=kind,
        ceiling=ceilings if known else None, draws=None if all_draws is None else all_draws[..., :n_models],
        ceiling_draws=all_draws[..., n_models:] if known and all_draws is not None else None, covariance=np.stack([one.covariance for _, one in found]),
        dof=float(dof), n_conditions=n_conditions, resampled=draws.factors, seed=seed,
    )  # fmt: skip


def _noted(evaluation: Evaluation, data: RDMs, groups: Groups, left_out: list[int], failed: list[int]) -> Evaluation:
    averaged = [int(np.bincount(codes).max()) for codes in groups.codes]
    facts = {"metric": data.metric, "n_pairs_left_out": left_out, "n_failed_draws": failed, "n_averaged": averaged}
    return replace(evaluation, provenance=facts)


def _permuted(
    evaluation: Evaluation, models: Any, data: RDMs, groups: Groups, means: list[Floats], *, n: int, maximum_over: Any, sigma_k: Any, nan: str
) -> Evaluation:
    """Add the p-values of relabelled conditions, for the same RDMs that were scored."""
    tables = [
        pd.concat([groups.table.iloc[[g] * len(x)].reset_index(drop=True), pd.DataFrame({"subject": groups.subjects[np.unique(groups.codes[g])]})], axis=1)
        for g, x in enumerate(means)
    ]  # fmt: skip
    one_each = RDMs(np.concatenate(means), data.conditions, pd.concat(tables, ignore_index=True), metric=data.metric)
    found = permutation_test(models, one_each, method=evaluation.method, by=list(groups.table.columns), n=n, seed=evaluation.seed, maximum_over=maximum_over,
                             sigma_k=sigma_k, nan=nan)  # fmt: skip
    shape = (len(evaluation.groups), len(evaluation.models))
    facts = {**evaluation.provenance, "n_permutations": n, "maximum_over": [maximum_over] if isinstance(maximum_over, str) else list(maximum_over)}
    p, p_max = (np.asarray(found[name], dtype=np.float64).reshape(shape) for name in ("p", "p_max"))
    return replace(evaluation, p=p, p_max=p_max, provenance=facts)
