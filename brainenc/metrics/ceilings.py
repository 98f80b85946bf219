"""Noise ceilings from repeats of the same stimuli, in variance units and for the mean of a stated number of repeats.

All estimators here have one estimand: c = s²_signal / (s²_signal + q · s²_noise), the share of the variance of the mean response
that is signal, where q = mean over stimuli of 1 / (repeats of the stimulus), or 1 / ``n_repeats`` where that is given. Nothing is
z-scored here: standardise responses within sessions first where sessions differ in scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.rng import generator
from brainenc.metrics._columns import column_chunks
from brainenc.metrics.resample import bootstrap_pearson, bootstrap_weights
from brainenc.nouns.ceiling import NoiseCeiling
from brainenc.nouns.responses import Responses

METHODS = ("ncsnr", "split_half", "anova")
N_HALVES = 40
Floats = npt.NDArray[np.float64]


def from_repeats(
    responses: Responses, *, method: str = "ncsnr", n_repeats: float | None = None, n_boot: int = 0, seed: int = 0
) -> NoiseCeiling:
    """Estimate the variance ceiling of each target from single trials.

    "ncsnr": s²_noise = Σ_i (R_i − 1) s_i² / Σ_i (R_i − 1), s²_signal = var(all trials) − s²_noise (the NSD estimator, without its
    clip at zero). "anova": s²_signal from the mean squares of the one-way random-effects layout, which for equal repeats is
    1 − MSW / MSB = ICC(1,k). "split_half": the mean correlation r_h between means of two random halves of each stimulus' repeats,
    stepped up by k = q_h / q to k r_h / (1 + (k − 1) r_h) (Spearman-Brown; k = 2 only for two equal halves).

    Parameters
    ----------
    responses : Responses
        Single trials (not averaged) with ``stimulus_id``.
    method : {"ncsnr", "split_half", "anova"}
    n_repeats : float, optional
        Ceiling of the mean of how many repeats; the harmonic mean of the repeats of these stimuli when not given.
    n_boot : int
        Bootstrap draws over stimuli for a 95 % interval; none by default.
    seed : int
        Of the halves and of the bootstrap.

    Returns
    -------
    NoiseCeiling
        In variance units. An estimate below zero (no signal beyond chance) is kept as it is; targets with NaN, without any
        variance, or with an estimate that has no meaning are NaN.

    Raises
    ------
    InputError
        For a time series, rows without ``stimulus_id``, averaged rows, or data in which no stimulus is repeated.

    Notes
    -----
    Allen et al. 2022, doi:10.1038/s41593-021-00962-x; Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420
    """
    one_of(method, METHODS, "method")
    codes, counts = _layout(responses)
    if n_repeats is not None and not (np.isfinite(n_repeats) and n_repeats > 0):
        raise InputError("n_repeats must be a positive number", where="NoiseCeiling.from_repeats", got=n_repeats)
    q = float(np.mean(1.0 / counts)) if n_repeats is None else 1.0 / float(n_repeats)
    weights = bootstrap_weights(len(counts), n_boot, seed, "ceiling") if n_boot else None
    n_targets = responses.n_targets
    values, ci = np.empty(n_targets), np.empty((2, n_targets))
    for part in column_chunks(4 * max(len(codes), len(counts), n_boot), n_targets):
        chunk = np.asarray(responses.values[:, part], dtype=np.float64)
        if method == "split_half":
            point, draws = _split_half(chunk, codes, counts, q, seed, weights)
        else:
            parts = _sums(chunk, codes, counts)
            estimate = _ncsnr if method == "ncsnr" else _anova
            point = estimate(parts, np.ones((1, len(counts))), q)[0]
            draws = estimate(parts, weights, q) if weights is not None else None
        values[part] = point
        if draws is not None:
            ci[:, part] = _interval(draws)
    label = method if not n_boot else f"{method}, 95 % interval from {n_boot} bootstrap draws over stimuli"
    return NoiseCeiling(values, units="variance", n_repeats=1.0 / q, method=label, ci=ci if n_boot else None)


def count_repeats(responses: Responses) -> npt.NDArray[np.int64]:
    """Return how many rows each stimulus has, in the order of first appearance; refuses what has no stimuli."""
    where = f"noise ceiling of {responses.name!r}"
    if responses.is_time_series:
        raise InputError("scans of a time series are not repeats of a stimulus", where=where, fix="estimate one response per trial first")
    if "stimulus_id" not in responses.samples.columns:
        raise InputError("responses have no stimulus_id, so nothing says which rows are repeats", where=where)
    return np.bincount(pd.factorize(responses.samples["stimulus_id"])[0])


@dataclass(frozen=True, slots=True)
class _Sums:
    """Per stimulus: repeats (n,), mean (n, t) about the grand mean, and the sum of squares within (n, t)."""

    counts: Floats
    means: Floats
    within: Floats


def _layout(responses: Responses) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    counts = count_repeats(responses)
    where = f"noise ceiling of {responses.name!r}"
    averaged = "n_repeats" in responses.samples and bool((responses.samples["n_repeats"] > 1).any())
    if averaged:
        raise InputError("responses are already averaged over repeats", where=where, fix="give the single trials")
    if counts.max() < 2:
        raise InputError(
            "no stimulus is repeated, so noise cannot be told from signal", where=where, expected="at least one stimulus_id with two rows",
            got=f"{len(counts)} stimuli, one row each", fix="pass a ceiling computed elsewhere, or score without one",
        )  # fmt: skip
    if len(counts) < 3:
        raise InputError("a ceiling needs at least three stimuli", where=where, got=len(counts))
    return pd.factorize(responses.samples["stimulus_id"])[0], counts


def _sums(values: Floats, codes: npt.NDArray[np.intp], counts: npt.NDArray[np.int64]) -> _Sums:
    values = values - values.mean(axis=0)
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    means = np.add.reduceat(values[order], starts, axis=0) / counts[:, None]
    within = np.add.reduceat((values[order] - np.repeat(means, counts, axis=0)) ** 2, starts, axis=0)
    return _Sums(counts.astype(np.float64), means, within)


def _mean_squares(parts: _Sums, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the sums of squares between and within stimuli (n_draws, t) and the number of trials (n_draws, 1)."""
    heavy = weights * parts.counts
    n_trials = heavy.sum(axis=1, keepdims=True)
    between = heavy @ parts.means**2 - (heavy @ parts.means) ** 2 / n_trials
    return between, weights @ parts.within, n_trials


def _ncsnr(parts: _Sums, weights: Floats, q: float) -> Floats:
    between, within, n_trials = _mean_squares(parts, weights)
    with np.errstate(invalid="ignore"):  # a draw without any repeated stimulus: NaN
        noise = within / (weights @ (parts.counts - 1))[:, None]
    signal = (between + within) / (n_trials - 1) - noise
    return _share(signal, noise, q)


def _anova(parts: _Sums, weights: Floats, q: float) -> Floats:
    between, within, n_trials = _mean_squares(parts, weights)
    n_stimuli = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # a draw without any repeated stimulus: NaN
        noise = within / (n_trials - n_stimuli)
    per_stimulus = (n_trials - (weights @ parts.counts**2)[:, None] / n_trials) / (n_stimuli - 1)
    signal = (between / (n_stimuli - 1) - noise) / per_stimulus
    return _share(signal, noise, q)


def _share(signal: Floats, noise: Floats, q: float) -> Floats:
    total = signal + q * noise
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((total > 0) & (signal + noise > 0), signal / total, np.nan)


def _split_half(
    values: Floats, codes: npt.NDArray[np.intp], counts: npt.NDArray[np.int64], q: float, seed: int, weights: Floats | None
) -> tuple[Floats, Floats | None]:
    twice = np.flatnonzero(counts >= 2)
    if len(twice) < 3:
        raise InputError("split halves need at least three repeated stimuli", where="NoiseCeiling.from_repeats", got=len(twice))
    half = counts[twice] // 2
    q_half = float(np.mean(1.0 / half))
    rows = [np.flatnonzero(codes == stimulus) for stimulus in twice]
    rng = generator(seed, "halves")
    one = np.ones((1, len(twice)))
    draw_weights = one if weights is None else np.concatenate([one, weights[:, twice]])
    total: Floats | float = 0.0
    for _ in range(N_HALVES):
        picks = [rng.permutation(r) for r in rows]
        first = np.stack([values[r[:h]].mean(axis=0) for r, h in zip(picks, half, strict=True)])
        second = np.stack([values[r[h : 2 * h]].mean(axis=0) for r, h in zip(picks, half, strict=True)])
        total = total + bootstrap_pearson(first, second, draw_weights)
    reliability = np.asarray(total) / N_HALVES
    step = q_half / q
    below = 1 + (step - 1) * reliability
    with np.errstate(invalid="ignore", divide="ignore"):
        stepped = np.where(below > 0, step * reliability / below, np.nan)
    return stepped[0], None if weights is None else stepped[1:]


def _interval(draws: Floats) -> Floats:
    out = np.full((2, draws.shape[1]), np.nan)
    usable = np.isfinite(draws).mean(axis=0) > 0.5
    out[:, usable] = np.nanpercentile(draws[:, usable], [2.5, 97.5], axis=0)
    return out
