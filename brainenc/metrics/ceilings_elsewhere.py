"""Noise ceilings where the evidence is not in repeats: in other subjects, or in the standard errors of a fitted response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import as_matrix, examples, one_of
from brainenc.core.errors import InputError
from brainenc.metrics._columns import column_chunks
from brainenc.metrics._intervals import bootstrap_interval
from brainenc.metrics.resample import bootstrap_pearson, bootstrap_weights
from brainenc.metrics.trials import count_repeats, share
from brainenc.nouns.ceiling import NoiseCeiling
from brainenc.nouns.responses import Responses
from brainenc.nouns.tables import positions_of

BOUNDS = ("lower", "upper")
Floats = npt.NDArray[np.float64]


def from_subjects(
    responses: Mapping[str, Responses] | Sequence[Responses], *, bound: str = "lower", n_boot: int = 0, seed: int = 0
) -> NoiseCeiling:
    """Estimate how well a model of the group could correlate with one subject's responses.

    lower = mean_s r(y_s, mean of the other subjects), upper = mean_s r(y_s, mean of all subjects), over stimuli, repeats averaged. With S
    subjects who share the signal variance g² and differ by e² each, the correlation of the true group response with one subject is
    g / √(g² + e²); it lies between the two, which meet as S grows.

    Parameters
    ----------
    responses : {subject: Responses} or sequence of Responses
        Three or more, with the same targets (a common space) and the same stimuli.
    bound : {"lower", "upper"}
        A fitted model is held against the lower bound: the upper one knows the subject itself.
    n_boot : int
        Bootstrap draws over stimuli for a 95 % interval, the subjects being these ones; none by default.
    seed : int

    Returns
    -------
    NoiseCeiling
        In correlation units, for single subjects' means over their repeats.

    Raises
    ------
    InputError
        For time series, fewer than three subjects, other targets or other stimuli.

    Notes
    -----
    Nili et al. 2014, doi:10.1371/journal.pcbi.1003553, who state both for RDMs.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> shared, ids = rng.standard_normal((200, 1)), {"stimulus_id": [f"s{i}" for i in range(200)]}
    >>> group = {name: be.Responses(shared + rng.standard_normal((200, 1)), ids) for name in "abcd"}
    >>> [be.metrics.from_subjects(group, bound=bound).values.round(1).tolist() for bound in ("lower", "upper")]
    [[0.6], [0.8]]
    """
    one_of(bound, BOUNDS, "bound")
    people = list(responses.values()) if isinstance(responses, Mapping) else list(responses)
    _check_group(people)
    means = [one.average("stimulus_id") for one in people]
    rows = [_rows_like(one, means[0]) for one in means]
    n_stimuli, n_targets = means[0].n_samples, means[0].n_targets
    weights = np.ones((1, n_stimuli))
    if n_boot:
        weights = np.concatenate([weights, bootstrap_weights(n_stimuli, n_boot, seed, "ceiling of subjects")])
    values, ci = np.empty(n_targets), np.empty((2, n_targets))
    for part in column_chunks((len(people) + 4) * max(n_stimuli, len(weights)), n_targets):
        stacked = np.stack([np.asarray(one.values[:, part], dtype=np.float64)[order] for one, order in zip(means, rows, strict=True)])
        found = _against_the_group(stacked, weights, own=bound == "upper")
        values[part] = found[0]
        if n_boot:
            ci[:, part] = bootstrap_interval(found[0], found[1:], n_stimuli, "correlation")
    label = f"one subject against the mean of {'all' if bound == 'upper' else 'the others'} ({bound} bound), {len(people)} subjects"
    label += f", 95 % interval from {n_boot} bootstrap draws over stimuli" if n_boot else ""
    q = float(np.mean([np.mean(1.0 / one.samples["n_repeats"]) for one in means]))
    return NoiseCeiling(values, units="correlation", n_repeats=1.0 / q, method=label, ci=ci if n_boot else None)


def from_standard_errors(responses: Responses, standard_errors: npt.ArrayLike, *, n_boot: int = 0, seed: int = 0) -> NoiseCeiling:
    """Estimate the variance ceiling of betas from the standard errors of the model that they were fitted with.

    c = 1 − mean_i SE_i² / var_i(β_i): the variance over stimuli (n − 1) holds the signal and the mean error variance, where errors of
    different stimuli are uncorrelated. Correlated errors (overlapping responses) make c too low, errors that the model of the noise
    underrates make it too high. The principle is that of Lage-Castellanos et al. 2019, doi:10.1371/journal.pcbi.1006397.

    Parameters
    ----------
    responses : Responses
        One row a stimulus.
    standard_errors : array_like of shape (n_stimuli, n_targets)
        In the units of the responses.
    n_boot : int
        Bootstrap draws over stimuli for a 95 % interval; none by default.
    seed : int

    Returns
    -------
    NoiseCeiling
        In variance units, for the responses as they are.

    Raises
    ------
    InputError
        For time series, several rows a stimulus, fewer than three stimuli, and errors that are negative or of another shape.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> betas = be.Responses(rng.standard_normal((400, 1)) + 0.5 * rng.standard_normal((400, 1)), {"stimulus_id": [f"s{i}" for i in range(400)]})
    >>> be.metrics.from_standard_errors(betas, np.full((400, 1), 0.5)).values.round(1)  # planted: 1 / (1 + 0.25)
    array([0.8])
    """
    counts, where = count_repeats(responses), f"noise ceiling of {responses.name!r}"
    if counts.max() > 1:
        raise InputError("a stimulus has several rows", where=where, expected="one beta a stimulus", fix="use NoiseCeiling.from_repeats, or average")
    errors = as_matrix(standard_errors, "standard_errors", n_rows=responses.n_samples)
    if errors.shape[1] != responses.n_targets or bool((np.nan_to_num(errors) < 0).any()):
        raise InputError("standard errors do not fit", where=where, expected=f"{responses.values.shape}, not negative", got=errors.shape)
    if len(counts) < 3:
        raise InputError("a ceiling needs at least three stimuli", where=where, got=len(counts))
    weights = np.ones((1, len(counts)))
    if n_boot:
        weights = np.concatenate([weights, bootstrap_weights(len(counts), n_boot, seed, "ceiling of betas")])
    values, ci = np.empty(responses.n_targets), np.empty((2, responses.n_targets))
    for part in column_chunks(4 * max(weights.shape), responses.n_targets):
        betas = np.asarray(responses.values[:, part], dtype=np.float64)
        betas = betas - betas.mean(axis=0)
        with np.errstate(invalid="ignore"):  # NaN stays in its column
            n = weights.sum(axis=1, keepdims=True)
            total = (weights @ betas**2 - (weights @ betas) ** 2 / n) / (n - 1)
            noise = weights @ np.asarray(errors[:, part], dtype=np.float64) ** 2 / n
            found = share(total - noise, noise, 1.0)
        values[part] = found[0]
        if n_boot:
            ci[:, part] = bootstrap_interval(found[0], found[1:], len(counts), "variance")
    label = "standard errors of betas" + (f", 95 % interval from {n_boot} bootstrap draws over stimuli" if n_boot else "")
    behind = float(1.0 / np.mean(1.0 / responses.samples["n_repeats"])) if "n_repeats" in responses.samples else 1.0
    return NoiseCeiling(values, units="variance", n_repeats=behind, method=label, ci=ci if n_boot else None)


def _against_the_group(stacked: Floats, weights: Floats, *, own: bool) -> Floats:
    """Return the mean over subjects of the correlation with the others' mean, or with everybody's, (n_draws, n_targets)."""
    total = stacked.sum(axis=0)
    with np.errstate(invalid="ignore"):  # NaN stays in its column
        return np.mean([bootstrap_pearson(one, total if own else total - one, weights) for one in stacked], axis=0)


def _check_group(people: list[Any]) -> None:
    where = "NoiseCeiling.from_subjects"
    if len(people) < 3 or not all(isinstance(one, Responses) for one in people):
        raise InputError("a group ceiling needs at least three subjects", where=where, expected="{subject: Responses}", got=f"{len(people)}")
    first = people[0]
    stimuli: set[str] = set()
    for number, one in enumerate(people):
        count_repeats(one)  # says what is wrong with a time series
        if one.n_targets != first.n_targets or list(one.targets["target_id"]) != list(first.targets["target_id"]) or type(one.space) is not type(first.space):
            raise InputError(
                "subjects are not in a common space", where=where, expected=f"{first.n_targets} targets of {first.name!r} in {first.space!r}",
                got=f"{one.n_targets} targets of {one.name!r} in {one.space!r}", fix="bring all subjects to the same targets first",
            )  # fmt: skip
        ids = set(one.samples["stimulus_id"])
        stimuli = ids if number == 0 else stimuli
        if ids != stimuli:
            missing = sorted(ids ^ stimuli)
            raise InputError(
                "subjects saw different stimuli", where=where, expected=f"the {len(stimuli)} stimuli of {first.name!r}",
                got=f"{one.name!r} differs in {examples(missing)}", fix="keep the rows of the stimuli that all subjects saw",
            )  # fmt: skip
    if len(stimuli) < 3:
        raise InputError("a ceiling needs at least three stimuli", where=where, got=len(stimuli))


def _rows_like(one: Responses, first: Responses) -> npt.NDArray[np.intp]:
    return positions_of(list(first.samples["stimulus_id"]), list(one.samples["stimulus_id"]), "stimulus_ids", f"responses {one.name!r}")
