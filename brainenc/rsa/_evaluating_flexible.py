"""Flexible models in `evaluate`: the cross-validation is repeated in every bootstrap sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.nouns.evaluation import Evaluation
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._inputs import groups_of
from brainenc.rsa.bootstrapping import Draws, draw
from brainenc.rsa.crossvalidating import Stack, corrected_covariance, crossvalidate, crossvalidated_scores, stacked
from brainenc.rsa.flexible import Flexible, flexible_models
from brainenc.rsa.variances import covariance_of_draws, one_factor, two_factors

Floats = npt.NDArray[np.float64]


def evaluate_flexible(
    models: Flexible | Mapping[str, Any], data: RDMs, *, method: str, by: str | Sequence[str] | None, subject: str | None, subjects: bool, conditions: bool,
    n: int, seed: int, ceiling: bool, sigma_k: Any, nan: str, folds_conditions: int | None, folds_subjects: int | None, n_assignments: int,
) -> Evaluation:  # fmt: skip
    """Return cross-validated scores whose errors come from bootstrap samples that are each cross-validated anew.

    All copies of a condition or subject stay on one side of every split. What the random assignment to folds adds to the variance is
    taken away again with ``n_assignments`` of at least 2 (see `corrected_covariance`), before the correction for two factors.
    """
    one_of(nan, ("omit", "raise"), "nan")
    point = crossvalidate(models, data, method=method, by=by, subject=subject, folds_conditions=folds_conditions, folds_subjects=folds_subjects, seed=seed,
                          n_assignments=n_assignments, sigma_k=sigma_k, nan=nan)  # fmt: skip
    point = point if ceiling else replace(point, ceiling=None)
    groups = groups_of(data, by, subject)
    draws = draw(data.n_conditions, len(groups.subjects), n, seed, conditions=conditions, subjects=subjects)
    if not draws.factors:
        return point
    named = {type(models).__name__: models} if isinstance(models, Flexible) else models
    stack = stacked([model for _, model in flexible_models(named, "evaluate")], data.ids, method)
    values = np.array(data.values, dtype=np.float64)
    how = {"method": method, "n_assignments": n_assignments, "seed": seed, "sigma_k": sigma_k}
    found = [_group(_Sampler(stack, groups.one_each(values, g), how), draws, np.unique(groups.codes[g])) for g in range(len(groups.table))]
    every = np.stack([one[0] for one in found], axis=1)
    n_models = len(point.models)
    levels = {"subjects": min(len(np.unique(codes)) for codes in groups.codes), "conditions": data.n_conditions}
    return replace(
        point, draws=every[..., :n_models], ceiling_draws=every[..., n_models:] if point.ceiling is not None else None,
        covariance=np.stack([one[1] for one in found]), dof=float(min(levels[name] for name in draws.factors) - 1), resampled=draws.factors,
        provenance={**point.provenance, "n_failed_draws": [one[2] for one in found]},
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Sampler:
    """One group; samples give the mean scores and ceilings of every assignment."""

    stack: Stack
    data: Floats
    how: Mapping[str, Any]

    def __call__(self, kind: str, w: Floats | None, v: Floats | None) -> Floats:
        """Return (n, n_assignments, n_models + 2), NaN where a sample has too few conditions or subjects for its folds."""
        n = len(w) if w is not None else len(v) if v is not None else 0
        there = np.isfinite(self.data).any(axis=1)
        rows = []
        for b in range(n):
            counts = np.where(there, 1.0 if v is None else v[b], 0.0)
            conditions = None if w is None else w[b]
            one = crossvalidated_scores(self.stack, self.data, condition_weights=conditions, subject_weights=counts, keys=(kind, b), **self.how)
            heavy = counts[None, :, None]
            scores = np.where(heavy > 0, heavy * one.scores, 0.0).sum(axis=1) / max(float(counts.sum()), 1.0)
            rows.append(np.concatenate([scores if counts.any() else np.full_like(scores, np.nan), one.ceiling], axis=1))
        return np.stack(rows)


def _group(sample: _Sampler, draws: Draws, here: npt.NDArray[np.intp]) -> tuple[Floats, Floats, int]:
    """Return the draws (n, n_models + 2), their corrected covariance, and how many could not be used."""
    w, v = draws
    n_conditions = 0 if w is None else w.shape[1]
    if w is None or v is None:
        only = sample("subjects" if w is None else "conditions", w, v)
        covariance, failed = _covariance(only)
        return only.mean(axis=1), one_factor(covariance, len(here) if w is None else n_conditions), failed
    both, subjects, conditions = sample("both", w, v), sample("subjects", None, v), sample("conditions", w, None)
    parts = [_covariance(one) for one in (both, subjects, conditions)]
    return both.mean(axis=1), two_factors(parts[0][0], parts[1][0], parts[2][0], len(here), n_conditions), max(part[1] for part in parts)


def _covariance(draws: Floats) -> tuple[Floats, int]:
    """Return the covariance of samples (n, n_assignments, m), without what the choice of folds adds."""
    plain, failed = covariance_of_draws(draws.mean(axis=1))
    known = np.isfinite(np.diagonal(plain))
    if draws.shape[1] > 1 and known.any():
        plain[np.ix_(known, known)] = corrected_covariance(draws[..., known])
    return plain, failed
