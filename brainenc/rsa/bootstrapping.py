"""Bootstrap of conditions, subjects or both, exact and without writing out a single sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.errors import InputError
from brainenc.linalg.plan import plan_chunks
from brainenc.metrics.resample import bootstrap_weights
from brainenc.nouns.evaluation import Evaluation
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._samples import Engine
from brainenc.rsa.ceilings import mean_ceilings, weighted_mean
from brainenc.rsa.variances import covariance_of_draws, one_factor, two_factors

Floats = npt.NDArray[np.float64]
LEAST = 3


def bootstrap(
    models: RDMs | Mapping[str, Any], data: RDMs, *, method: str = "pearson", subjects: bool = True, conditions: bool = True, n: int = 1000, seed: int = 0,
    **rest: Any,
) -> Evaluation:  # fmt: skip
    """Resample subjects, conditions or both, and evaluate fixed models on every sample; see `evaluate`, of which this is the part.

    A sample of conditions is a vector of counts w, and every sum over its RDM is ½ w'Aw with the pairs of copies left out (an RDM has no
    dissimilarity between a condition and itself). Pearson and cosine are products of matrices; the whitened forms need one system of size
    n a sample, solved in closed form; Spearman and rho-a sort every RDM once and take weighted mid-ranks; tau is counted anew in every
    sample, in O(P log P) for P pairs; any other comparator sees the samples written out. The noise ceilings come from the same samples.

    Parameters
    ----------
    models, data, method
        As in `evaluate`.
    subjects, conditions : bool
        What is drawn with replacement.
    n : int
        Samples.
    seed : int
    **rest
        Further keywords of `evaluate`: by, subject, ceiling, sigma_k, nan, memory, device.

    Returns
    -------
    Evaluation
        With ``draws``, ``ceiling_draws``, ``covariance`` and ``dof``.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).random((4, 45))
    >>> conditions = {"condition": list("abcdefghij")}
    >>> data = RDMs(x[:1] + 0.1 * x, conditions, {"subject": list("1234")})
    >>> bootstrap({"m": RDMs(x[:1], conditions)}, data, n=20).draws.shape
    (20, 1, 1)
    """
    from brainenc.rsa.evaluating import evaluate

    if n < 2:
        raise InputError("a bootstrap needs at least two samples", where="bootstrap", got=n)
    if not (subjects or conditions):
        raise InputError("nothing is resampled", where="bootstrap", expected="subjects=True, conditions=True, or both")
    return evaluate(models, data, method=method, subjects=subjects, conditions=conditions, n=n, seed=seed, **rest)


class Draws(NamedTuple):
    """Multiplicities of the conditions (n, n_conditions) and subjects (n, n_subjects) in each sample; None where not resampled."""

    conditions: Floats | None
    subjects: Floats | None

    @property
    def factors(self) -> tuple[str, ...]:
        """What is resampled."""
        return tuple(name for name, value in (("subjects", self.subjects), ("conditions", self.conditions)) if value is not None)


def draw(n_conditions: int, n_subjects: int, n: int, seed: int, *, conditions: bool, subjects: bool) -> Draws:
    """Draw the samples that all groups and models share."""
    if subjects and n and n_subjects < 2:
        raise InputError("one subject cannot be resampled", where="subjects", expected="at least two subjects", fix="pass subjects=False")
    if conditions and n and n_conditions < LEAST:
        raise InputError("too few conditions to be resampled", where="conditions", expected=f"at least {LEAST}", got=n_conditions)
    return Draws(
        bootstrap_weights(n_conditions, n, seed, "rsa", "conditions") if conditions and n else None,
        bootstrap_weights(n_subjects, n, seed, "rsa", "subjects") if subjects and n else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """One group: scores (n_subjects, n_models) and ceilings (2,) of the data; draws (n, n_models + 2) of scores and ceilings, their
    covariance, and how many draws could not be used for it."""

    scores: Floats
    ceilings: Floats
    draws: Floats | None
    covariance: Floats
    n_failed: int


def resample_group(job: Engine, draws: Draws, shape: tuple[int, int, int], *, ceiling: bool, memory: Any, device: torch.device) -> Resampled:
    """Evaluate one group on its data and on every sample.

    Parameters
    ----------
    job : Engine
        From `brainenc.rsa._samples`.
    draws : Draws
        With the subjects of this group alone.
    shape : tuple of int
        Subjects, models and conditions.
    """
    n_subjects, n_models, n_conditions = shape
    once, all_ = torch.ones(1, n_conditions, dtype=torch.float64, device=device), torch.ones(1, n_subjects, dtype=torch.float64, device=device)
    ceiling = ceiling and n_subjects > 1
    scores, found = job(once, [all_] if ceiling else [])
    at_data = mean_ceilings(found[0], all_)[0] if ceiling else np.full(2, np.nan)
    own = scores[0].cpu().numpy()
    w, v = draws
    loop = _Loop(job, n_models, ceiling, memory, device)
    if w is None and v is None:
        return Resampled(own, at_data, None, _of_the_mean(loop, scores, own, n_models), 0)
    if v is not None:
        by_subject = loop.subjects(scores, v)
    if w is None:
        covariance, failed = covariance_of_draws(by_subject)
        return Resampled(own, at_data, by_subject, one_factor(covariance, n_subjects), failed)
    by_condition, by_both = loop.conditions(w, v, n_subjects)
    if v is None:
        covariance, failed = covariance_of_draws(by_condition)
        return Resampled(own, at_data, by_condition, one_factor(covariance, n_conditions), failed)
    # one set of samples for the three covariances
    usable = np.asarray(np.all([np.isfinite(one).any(axis=1) for one in (by_both, by_subject, by_condition)], axis=0))
    (both, failed), (subjects, _), (conditions, _) = (
        covariance_of_draws(np.where(usable[:, None], one, np.nan)) for one in (by_both, by_subject, by_condition)
    )
    return Resampled(own, at_data, by_both, two_factors(both, subjects, conditions, n_subjects, n_conditions), failed)


def _of_the_mean(loop: _Loop, scores: torch.Tensor, own: Floats, n_models: int) -> Floats:
    """Return the covariance over subjects of the mean scores and, from samples that leave one of them out (jackknife), of the ceilings.

    Ceilings are no means over subjects, as every pool holds the others: the scatter of their terms is half the variance where there is nothing
    but noise. The jackknife is right where subjects share something, and twice too large where they do not. Of mean scores it is cov / S.
    """
    n_subjects = len(own)
    out = np.full((n_models + 2, n_models + 2), np.nan)
    if loop.ceiling:
        out = covariance_of_draws(loop.subjects(scores, 1.0 - np.eye(n_subjects)))[0] * (n_subjects - 1) ** 2 / n_subjects
    out[:n_models, :n_models] = covariance_of_draws(own)[0] / n_subjects
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Loop:
    """Samples taken a bounded number at a time; each result row is n_models scores and two ceilings, NaN where a sample fails."""

    job: Engine
    n_models: int
    ceiling: bool
    memory: Any
    device: torch.device

    def subjects(self, scores: torch.Tensor, v: Floats) -> Floats:
        """Resample subjects alone: (n, n_models + 2)."""
        out = np.full((len(v), self.n_models + 2), np.nan)
        some = np.flatnonzero(v.sum(axis=1) > 0)
        for part in self._chunks(len(some)):
            counts = torch.from_numpy(v[some[part]]).to(self.device)
            out[some[part], : self.n_models] = weighted_mean(scores.expand(len(counts), -1, -1), counts).cpu().numpy()
            if self.ceiling:
                once = torch.ones(1, self.job.n_conditions, dtype=torch.float64, device=self.device)
                out[some[part], self.n_models :] = mean_ceilings(self.job(once, [counts])[1][0], counts)
        return out

    def conditions(self, w: Floats, v: Floats | None, n_subjects: int) -> tuple[Floats, Floats]:
        """Resample conditions, with all subjects and with drawn ones: (n, n_models + 2) each."""
        alone, both = (np.full((len(w), self.n_models + 2), np.nan) for _ in range(2))
        enough = (w > 0).sum(axis=1) >= LEAST
        some = np.flatnonzero(enough if v is None else enough & (v.sum(axis=1) > 0))
        for part in self._chunks(len(some)):
            index = some[part]
            all_ = torch.ones(len(index), n_subjects, dtype=torch.float64, device=self.device)
            vs = [all_] if v is None else [all_, torch.from_numpy(v[index]).to(self.device)]
            scores, found = self.job(torch.from_numpy(w[index]).to(self.device), vs if self.ceiling else [])
            for place, (target, counts) in enumerate(zip((alone, both), vs, strict=False)):
                target[index, : self.n_models] = weighted_mean(scores, counts).cpu().numpy()
                if self.ceiling:
                    target[index, self.n_models :] = mean_ceilings(found[place], counts)
        return alone, both

    def _chunks(self, n: int) -> Sequence[slice]:
        if not n:
            return []
        largest = self.job.batch if self.device.type == "cpu" else 512
        return plan_chunks(self.memory, n, fixed=self.job.fixed_bytes, per_column=self.job.sample_bytes, smallest=1, preferred=1, largest=largest).slices()
