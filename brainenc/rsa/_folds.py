"""One sample of conditions and subjects, cross-validated: what folds share, and the scores of one assignment to folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.ranks import n_of_pairs
from brainenc.metrics.resample import fold_labels
from brainenc.rsa._forms import FORMS, Form, sigma_tensor
from brainenc.rsa._grams import grams
from brainenc.rsa._sampled import compare_sample, pool_sample
from brainenc.rsa.flexible import Flexible, fitting_form, ranked_within, training_targets

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Tensor = torch.Tensor
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


class Job(NamedTuple):
    """One group: components, the RDMs (s, n_pairs) of those of its n_all subjects that are there, known pairs, how to compare and fit."""

    stack: Stack
    data: Tensor
    subjects: Index
    n_all: int
    keep: Tensor | None
    method: str
    form: Form
    ranked: bool
    sigma: Tensor | None
    ceiling: bool

    @property
    def linear(self) -> bool:
        """Whether scores follow from Grams."""
        return self.method in FORMS and not self.ranked

    def restrict(self, present: npt.NDArray[np.bool_]) -> Job:
        """Return the same over some of the conditions."""
        rows, columns = np.triu_indices(len(present), 1)
        pairs = torch.from_numpy(np.flatnonzero(present[rows] & present[columns]))
        index = torch.from_numpy(np.flatnonzero(present))
        sigma = None if self.sigma is None else self.sigma[index] if self.sigma.ndim == 1 else self.sigma[index][:, index]
        stack = self.stack._replace(values=self.stack.values.index_select(1, pairs))
        return self._replace(stack=stack, data=self.data.index_select(1, pairs), keep=None if self.keep is None else self.keep[pairs], sigma=sigma)


class _Fold(NamedTuple):
    """One fold of conditions: the Gram (t, t) of components and data over its training pairs; over its test pairs, the Gram if scores
    follow from it, plain norms (s,) of the data, the test RDMs and their conditions' multiplicities."""

    train: Floats
    test: Floats | None
    plain: Floats | None
    held: Job
    w: Tensor


def make_job(stack: Stack, data: Floats, method: str, sigma_k: npt.ArrayLike | None, ceiling: bool) -> Job:
    """Return the job of a group from RDMs (n_subjects, n_pairs), rows of NaN for subjects that are not there."""
    form, ranked = fitting_form(method)
    subjects = np.flatnonzero(np.isfinite(data).any(axis=1))
    keep = torch.from_numpy(np.isfinite(data[subjects]).all(axis=0))
    y = torch.from_numpy(np.where(np.isfinite(data[subjects]), data[subjects], 0.0))
    sigma = sigma_tensor(sigma_k, method, n_of_pairs(data.shape[1]))
    return Job(stack, y, subjects, len(data), keep if not bool(keep.all()) else None, method, form, ranked, sigma, ceiling and len(subjects) > 1)


def sample(
    job: Job, w: Floats | None, vs: Sequence[Floats | None], folds: tuple[int | None, int | None], n_assignments: int, seed: int, keys: tuple[object, ...]
) -> list[CrossValidated]:  # fmt: skip
    """Cross-validate one sample of conditions with each of several samples of subjects, which share the Grams."""
    w = np.ones(n_of_pairs(job.data.shape[1])) if w is None else np.asarray(w, dtype=np.float64)
    counts = [np.ones(len(job.subjects)) if v is None else np.asarray(v, dtype=np.float64)[job.subjects] for v in vs]
    if (w == 0).any():
        job, w = job.restrict(w > 0), w[w > 0]
    drawn = [np.flatnonzero(v > 0) for v in counts]
    numbers = [fold_numbers(folds, w, v) for v in counts]
    k_c = numbers[0][0]
    out = [_empty(n_assignments, job, max(k_c, 1) * k_s) for _, k_s in numbers]
    if k_c < 2:
        return out
    labels_c = fold_labels(len(w), k_c, n_assignments, seed, *keys, "conditions")
    # a sample of one person, copied, has no held-out subjects
    usable = [j for j, index in enumerate(drawn) if len(index) >= min(2, len(job.subjects)) and len(index)]
    labels_s = {j: _subject_labels(drawn[j], len(job.subjects), numbers[j][1], n_assignments, seed, (*keys, *((j,) if len(vs) > 1 else ()))) for j in usable}
    for a in range(n_assignments):
        fitted = _folds(job, w, labels_c[a], k_c)
        for j in usable:
            at = job.subjects[drawn[j]]
            scores, out[j].ceiling[a], thetas = _assignment(job, fitted, counts[j], labels_s[j][a])
            out[j].scores[a, at] = _known_mean(scores)[drawn[j]]
            out[j].undefined[:] += np.isnan(scores[:, drawn[j]]).sum(axis=(0, 1))
            for held, theta in zip(out[j].theta, thetas, strict=True):
                held[a] = theta
    return out


def _subject_labels(drawn: Index, n: int, k_s: int, n_assignments: int, seed: int, keys: tuple[object, ...]) -> Index:
    """Return folds (n_assignments, n) of the subjects that were drawn, 0 for all where there is one, −1 for the others."""
    out = np.full((n_assignments, n), -1, dtype=np.intp)
    out[:, drawn] = fold_labels(len(drawn), k_s, n_assignments, seed, *keys, "subjects") if k_s > 1 else 0
    return out


def _folds(job: Job, w: Floats, labels: Index, k_c: int) -> list[_Fold]:
    """Return the moments of every fold of one assignment of the conditions."""
    train = torch.from_numpy(np.stack([np.where(labels == f, 0.0, w) for f in range(k_c)]))
    if job.ranked:
        parts = [torch.cat([job.stack.values, ranked_within(job.data, one, job.keep)]) for one in train]
        fits = torch.cat([grams(part, one[None], job.form, keep=job.keep) for part, one in zip(parts, train, strict=True)])
    else:
        fits = grams(torch.cat([job.stack.values, job.data]), train, job.form, sigma_k=job.sigma, keep=job.keep)
    out = []
    for f in range(k_c):
        held, test = job.restrict(labels == f), torch.from_numpy(w[labels == f])
        gram = plain = None
        if job.linear:
            gram = grams(torch.cat([held.stack.values, held.data]), test[None], held.form, sigma_k=held.sigma, keep=held.keep)[0].numpy()
            size = grams(held.data, test[None], Form(centred=job.form.centred), keep=held.keep)[0] if job.form.whitened and job.ceiling else None
            plain = np.diag(gram)[len(held.stack.values) :] if size is None else np.diag(size.numpy())
        out.append(_Fold(fits[f].numpy(), gram, plain, held, test))
    return out


def _assignment(job: Job, folds: list[_Fold], v: Floats, labels: Index) -> tuple[Floats, Floats, list[Floats]]:
    """Return scores (n_folds, s, n_models), ceilings (2,) and θ of every fit, for subjects of multiplicities v (s,) in folds (s,)."""
    k_s, k = int(labels.max()) + 1, len(job.stack.values)
    # who trains for each fold of subjects; with a single fold everyone does
    trains = np.stack([np.where(labels == s, 0.0, v) if k_s > 1 else v for s in range(k_s)])
    scores = np.full((len(folds), len(v), len(job.stack.models)), np.nan)
    ceilings = np.full((len(folds), len(v), 2), np.nan)
    thetas: list[list[Floats]] = [[] for _ in job.stack.models]
    for f, fold in enumerate(folds):
        theta = np.zeros((k_s, len(job.stack.models), k))
        targets = training_targets(fold.train, k, trains)
        for s in range(k_s):
            for m, (model, part) in enumerate(zip(job.stack.models, job.stack.parts, strict=True)):
                theta[s, m, part] = model.solve(fold.train[part, part], targets[s, part])
                thetas[m].append(theta[s, m, part])
        found = _held_out(fold, theta)
        scores[f] = np.where((v > 0)[:, None], found[labels, :, np.arange(len(labels))], np.nan)
        if job.ceiling:
            ceilings[f] = _ceilings(fold, np.concatenate([trains, v[None]]), labels)
    drawn = v > 0
    return scores, v[drawn] @ _known_mean(ceilings[:, drawn]) / v.sum(), [np.stack(one) for one in thetas]


def _held_out(fold: _Fold, theta: Floats) -> Floats:
    """Return the scores (k_s, n_models, s) of predictions θ (k_s, n_models, k) on the held-out pairs."""
    k = theta.shape[2]
    if fold.test is None:
        predicted = torch.from_numpy(theta.reshape(-1, k)) @ fold.held.stack.values
        found = compare_sample(fold.held.method, predicted, fold.held.data, fold.w, keep=fold.held.keep, sigma_k=fold.held.sigma)
        return found.reshape(*theta.shape[:2], -1)
    gram = fold.test
    size = ((theta @ gram[:k, :k]) * theta).sum(axis=2)
    own = np.diag(gram)[k:]
    size, own = (np.sqrt(np.where(one > 0, one, np.nan)) for one in (size, own))
    return theta @ gram[:k, k:] / (size[..., None] * own)


def _ceilings(fold: _Fold, v: Floats, labels: Index) -> Floats:
    """Return each subject's similarity (s, 2) with the pool of its training subjects and of all (the last of the pools v)."""
    if fold.test is None:
        pools = pool_sample(fold.held.method, fold.held.data, v, fold.w, keep=fold.held.keep)
        found = compare_sample(fold.held.method, pools, fold.held.data, fold.w, keep=fold.held.keep, sigma_k=fold.held.sigma)
    else:
        assert fold.plain is not None  # comes with the Gram
        scale = 1 / np.sqrt(np.where(fold.plain > 0, fold.plain, np.nan))
        k = len(fold.test) - len(scale)
        gram = scale[:, None] * fold.test[k:, k:] * scale
        # subjects that are in no pool may have no norm
        cross = np.where(v > 0, v, 0.0) @ np.where(np.isfinite(gram), gram, 0.0)
        size = np.einsum("ps,ps->p", cross, v)
        found = cross / np.sqrt(np.where(size > 0, size, np.nan)[:, None] * np.diag(gram))
    return np.stack([found[labels, np.arange(len(labels))], found[-1]], axis=1)


def _known_mean(values: Floats) -> Floats:
    """Return the mean over folds (axis 0) of what is defined, NaN where nothing is."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)


def default_folds(n_conditions: float, n_subjects: float) -> tuple[int, int]:
    """Return numbers of folds over conditions and subjects; one fold of subjects where there is only one.

    Inside a bootstrap pass the expected numbers of different units, 1 − 1/e of those drawn.
    """

    def steps(n: float, edges: tuple[int, int, int]) -> int:
        return 2 + sum(n >= edge for edge in edges)

    return steps(n_conditions, (12, 24, 40)), steps(n_subjects, (6, 12, 20)) if n_subjects >= 2 else 1


def fold_numbers(folds: tuple[int | None, int | None], w: Floats, v: Floats) -> tuple[int, int]:
    """Return what was asked for, else the default for the (expected number of) different units, cut down to what a sample allows."""
    share = 1 - np.exp(-1)
    defaults = default_folds(*(one.sum() * (share if one.max(initial=0) > 1 else 1.0) for one in (w, v)))
    k_c, k_s = (own if given is None else given for given, own in zip(folds, defaults, strict=True))
    n_subjects = int((v > 0).sum())
    return min(k_c, len(w) // LEAST_CONDITIONS), min(k_s, n_subjects) if n_subjects > 1 else 1


def _empty(n_assignments: int, job: Job, n_fits: int) -> CrossValidated:
    n_models = len(job.stack.models)
    theta = [np.full((n_assignments, n_fits, part.stop - part.start), np.nan) for part in job.stack.parts]
    scores = np.full((n_assignments, job.n_all, n_models), np.nan)
    return CrossValidated(scores, np.full((n_assignments, 2), np.nan), theta, np.zeros(n_models, dtype=np.intp))
