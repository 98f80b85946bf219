"""Scores of predictions against single trials, with the noise of the trials taken out of the score itself.

They need the trials and not only their mean, so they are functions of `Responses` rather than metrics of two matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import as_matrix, examples
from brainenc.core.errors import InputError
from brainenc.metrics._columns import centred, column_chunks
from brainenc.metrics._intervals import bootstrap_interval
from brainenc.metrics.ceiling_kinds.signal_power import powers
from brainenc.metrics.resample import bootstrap_weights
from brainenc.metrics.trials import Floats, Layout, count_repeats, layout_of, one_way, trials_of
from brainenc.nouns.ceiling import NoiseCeiling
from brainenc.nouns.responses import Responses
from brainenc.nouns.tables import positions_of


class Corrected(NamedTuple):
    """What the corrected scores return, an entry a target."""

    values: Floats  # (n_targets,)
    ci: Floats | None  # (2, n_targets) 95 % interval
    ceiling: NoiseCeiling  # of the mean responses, by signal power
    n_stimuli: int


class _Moments(NamedTuple):
    """Weighted sums over stimuli, (n_draws, n_targets) but for n and q: products about the means, and what noise adds to them."""

    n: Floats  # (n_draws, 1) stimuli
    yp: Floats
    pp: Floats
    yy: Floats
    signal: Floats  # signal power
    noise: Floats  # variance within stimuli
    left: Floats  # sum of p² / repeats
    q: float  # mean of 1 / repeats


def cc_norm(
    responses: Responses, predicted: npt.ArrayLike, *, stimulus_id: Sequence[Any] | None = None, n_boot: int = 0, seed: int = 0, floor: float = 0.01
) -> Corrected:
    """Return the normalised correlation: what r with the mean response would be without noise.

    CCnorm = cov(ŷ, ȳ) / √(var(ŷ) SP), with the signal power SP of ``method="signal_power"``; the same as r / CCmax with
    CCmax = √(SP / var(ȳ)).

    Parameters
    ----------
    responses : Responses
        Single trials with ``stimulus_id``, repeated; any numbers of repeats.
    predicted : array_like of shape (n_stimuli, n_targets)
        Held-out predictions, a row a stimulus.
    stimulus_id : sequence, optional
        Which stimulus each row predicts; trials of others are left aside. Where not given, the rows are all stimuli of the responses in
        the order of first appearance.
    n_boot : int
        Bootstrap draws over stimuli for a 95 % interval; none by default.
    seed : int
    floor : float
        Targets whose variance ceiling is below it have no score (NaN).

    Returns
    -------
    Corrected
        Not clipped: noise can put a good model above 1.

    Raises
    ------
    InputError
        For time series, averaged or unrepeated responses, and predictions that do not fit.

    Notes
    -----
    Schoppe et al. 2016, doi:10.3389/fncom.2016.00010; Hsu, Borst & Theunissen 2004.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.standard_normal((300, 2))
    >>> trials = be.Responses(np.tile(signal, (3, 1)) + 2 * rng.standard_normal((900, 2)), {"stimulus_id": [f"s{i}" for i in range(300)] * 3})
    >>> be.metrics.cc_norm(trials, signal).values.round(1), be.metrics.pearson(trials.average().values, signal).round(1)
    (array([1.1, 1. ]), array([0.7, 0.7]))
    """

    def score(m: _Moments) -> Floats:
        return m.yp / np.sqrt(m.pp * np.where(m.signal > 0, m.signal, np.nan) * (m.n - 1))

    return _corrected(score, responses, predicted, stimulus_id, n_boot, seed, floor)


def signal_power_explained(
    responses: Responses, predicted: npt.ArrayLike, *, stimulus_id: Sequence[Any] | None = None, n_boot: int = 0, seed: int = 0, floor: float = 0.01
) -> Corrected:
    """Return the share of the signal power that a prediction explains.

    SPE = (var(ȳ) − var(ȳ − ŷ)) / SP. Like R² it counts errors of scale, not of the mean, and has no lower bound; 1 is perfect.

    Parameters
    ----------
    responses, predicted, stimulus_id, n_boot, seed, floor
        As for `cc_norm`.

    Returns
    -------
    Corrected

    Raises
    ------
    InputError
        As `cc_norm`.

    Notes
    -----
    Sahani & Linden 2003; Schoppe et al. 2016, doi:10.3389/fncom.2016.00010.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.standard_normal((300, 2))
    >>> trials = be.Responses(np.tile(signal, (3, 1)) + rng.standard_normal((900, 2)), {"stimulus_id": [f"s{i}" for i in range(300)] * 3})
    >>> be.metrics.signal_power_explained(trials, signal).values.round(1)
    array([1., 1.])
    """

    def score(m: _Moments) -> Floats:
        return (2 * m.yp - m.pp) / (np.where(m.signal > 0, m.signal, np.nan) * (m.n - 1))

    return _corrected(score, responses, predicted, stimulus_id, n_boot, seed, floor)


def unbiased_r2(
    responses: Responses, predicted: npt.ArrayLike, *, stimulus_id: Sequence[Any] | None = None, n_boot: int = 0, seed: int = 0, floor: float = 0.01
) -> Corrected:
    """Return the squared correlation between a prediction and the noise-free response, the noise taken off numerator and denominator.

    r²_ER = (S_yp² − s² Σ_i p_i² / R_i) / (S_pp (S_yy − s² Σ_i (1 − 1/n) / R_i)), S sums of products over stimuli about the means, p the
    centred prediction, s² the variance within stimuli, R_i repeats. Squaring a noisy covariance adds its variance; the first
    subtraction takes it off, so that a model without any relation scores 0 on average, and single estimates can be negative.

    Parameters
    ----------
    responses, predicted, stimulus_id, n_boot, seed, floor
        As for `cc_norm`.

    Returns
    -------
    Corrected
        The interval is the square of that of `cc_norm`, from 0 where that holds 0: the bootstrap's own squares would be biased again.

    Raises
    ------
    InputError
        As `cc_norm`.

    Notes
    -----
    After Pospisil & Bair 2021, doi:10.1371/journal.pcbi.1009212, written from the expectations of the sums; unequal repeats and the
    interval (theirs is another one, for fixed stimuli) are our choice.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.standard_normal((300, 2))
    >>> trials = be.Responses(np.tile(signal, (3, 1)) + rng.standard_normal((900, 2)), {"stimulus_id": [f"s{i}" for i in range(300)] * 3})
    >>> be.metrics.unbiased_r2(trials, signal).values.round(1)
    array([1., 1.])
    """

    def score(m: _Moments) -> Floats:
        return (m.yp**2 - m.noise * m.left) / (m.pp * (m.yy - (m.n - 1) * m.q * m.noise))

    found = _corrected(score, responses, predicted, stimulus_id, 0, seed, floor)
    if not n_boot:
        return found
    low, high = cc_norm(responses, predicted, stimulus_id=stimulus_id, n_boot=n_boot, seed=seed, floor=floor).ci  # type: ignore[misc]
    squares = np.sort(np.stack([low**2, high**2]), axis=0)
    squares[0, (low < 0) & (high > 0)] = 0.0
    return found._replace(ci=squares)


def _corrected(
    score: Callable[[_Moments], Floats], responses: Responses, predicted: npt.ArrayLike, stimulus_id: Sequence[Any] | None,
    n_boot: int, seed: int, floor: float,
) -> Corrected:  # fmt: skip
    trials, guesses, rows = _matched(responses, predicted, stimulus_id)
    layout = layout_of(trials)
    n_stimuli, n_targets = len(layout.counts), trials.n_targets
    weights = np.ones((1, n_stimuli))
    if n_boot:
        weights = np.concatenate([weights, bootstrap_weights(n_stimuli, n_boot, seed, "corrected score")])
    values, limits, ci = np.empty(n_targets), np.empty(n_targets), np.empty((2, n_targets))
    for part in column_chunks(6 * max(len(layout.codes), len(weights)), n_targets):
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN stays in its column, and constant predictions have no score
            moments = _moments(trials, layout, np.asarray(guesses[:, part], dtype=np.float64)[rows], part, weights)
            found = score(moments)
            limits[part] = (moments.signal[0] * (n_stimuli - 1)) / moments.yy[0]
        measurable = limits[part] >= floor
        values[part] = np.where(measurable & np.isfinite(found[0]), found[0], np.nan)
        if n_boot:
            ci[:, part] = bootstrap_interval(values[part], found[1:], n_stimuli, "ratio")
    ceiling = NoiseCeiling(limits, units="variance", n_repeats=1.0 / layout.q, method="signal_power", floor=floor)
    return Corrected(values, ci if n_boot else None, ceiling, n_stimuli)


def _moments(responses: Responses, layout: Layout, guess: Floats, part: slice, weights: Floats) -> _Moments:
    trials = trials_of(responses, layout, part, 0)
    sums = trials.sums()
    signal, _ = powers(trials, weights)
    _, noise = one_way(sums, weights)
    y, p = sums.means - sums.means.mean(axis=0), centred(guess)
    n = weights.sum(axis=1, keepdims=True)
    of_y, of_p = weights @ y, weights @ p
    about = lambda a, b, of_a, of_b: weights @ (a * b) - of_a * of_b / n  # noqa: E731
    yp, pp, yy = about(y, p, of_y, of_p), about(p, p, of_p, of_p), about(y, y, of_y, of_y)
    return _Moments(n, yp, pp, yy, signal, noise, weights @ (p**2 / sums.counts[:, None]), layout.q)


def _matched(responses: Responses, predicted: npt.ArrayLike, stimulus_id: Sequence[Any] | None) -> tuple[Responses, npt.NDArray[Any], npt.NDArray[np.intp]]:
    """Return the trials of the predicted stimuli, the predictions, and the row that predicts each stimulus of the trials."""
    count_repeats(responses)  # says what is wrong with a time series
    where, guesses = f"predictions of {responses.name!r}", as_matrix(predicted, "predicted")
    known = list(dict.fromkeys(responses.samples["stimulus_id"]))
    ids = known if stimulus_id is None else [str(i) for i in stimulus_id]
    if guesses.shape != (len(ids), responses.n_targets):
        raise InputError(
            "predictions do not fit the responses", where=where, expected=f"{len(ids)} stimuli × {responses.n_targets} targets",
            got=f"shape {guesses.shape}", fix="give one row a stimulus, and name the rows with stimulus_id",
        )  # fmt: skip
    if len(set(ids)) < len(ids):
        raise InputError("a stimulus is predicted by several rows", where=where, expected="each stimulus once", got=f"{len(ids) - len(set(ids))} again")
    unknown = set(ids) - set(known)
    if unknown:
        raise InputError("predicted stimuli have no trials", where=where, got=examples(sorted(unknown)))
    trials = responses.take_rows(np.flatnonzero(responses.samples["stimulus_id"].isin(ids)))
    return trials, guesses, positions_of(list(dict.fromkeys(trials.samples["stimulus_id"])), ids, "stimulus_ids", where)
