"""Single trials of repeated stimuli: which rows are repeats, and the sums that the estimators of noise ceilings share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from brainenc.core.errors import InputError
from brainenc.nouns.responses import Responses

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Which stimulus each trial shows.

    ``codes`` (n_trials,) number the stimuli in the order of first appearance, ``counts`` (n_stimuli,) are their repeats, ``samples`` is
    the table of the trials, ``where`` names the responses in messages.
    """

    codes: Index
    counts: npt.NDArray[np.int64]
    samples: pd.DataFrame
    where: str

    @property
    def q(self) -> float:
        """The mean over stimuli of 1 / repeats: the share of the trials' noise variance that is left in the mean responses."""
        return float(np.mean(1.0 / self.counts))

    @property
    def is_balanced(self) -> bool:
        """True where all stimuli have as many repeats."""
        return bool((self.counts == self.counts[0]).all())

    def averages(self, chosen: npt.NDArray[np.bool_] | None = None) -> sparse.csr_matrix:
        """Return the matrix (n_stimuli, n_trials) that averages the trials of each stimulus, or the chosen ones among them."""
        rows = np.arange(len(self.codes)) if chosen is None else np.flatnonzero(chosen)
        codes = self.codes[rows]
        counts = np.bincount(codes, minlength=len(self.counts))
        return sparse.csr_matrix((1.0 / counts[codes], (codes, rows)), shape=(len(self.counts), len(self.codes)))

    def repeat_rows(self) -> Index:
        """Return the trials of a balanced layout as (n_repeats, n_stimuli).

        Repeats are those of the column ``repeat`` where every stimulus has each of its values once, else they go by order of appearance.
        """
        order = np.argsort(self.codes, kind="stable")
        if "repeat" in self.samples:
            labels = pd.factorize(self.samples["repeat"], sort=True)[0]
            crossed = labels.max() + 1 == self.counts[0] and not self.samples[["stimulus_id", "repeat"]].duplicated().any() and labels.min() >= 0
            order = np.lexsort((labels, self.codes)) if crossed else order
        return order.reshape(len(self.counts), self.counts[0]).T


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Per stimulus: repeats (n,), mean (n, t) about the grand mean, and the sum of squares within (n, t)."""

    counts: Floats
    means: Floats
    within: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Some targets of all trials, ``values`` (n_trials, n_targets) about their grand mean, with their layout and the seed of halves."""

    layout: Layout
    values: Floats
    seed: int

    def sums(self) -> Sums:
        """Return what the one-way layout needs."""
        counts = self.layout.counts
        order = np.argsort(self.layout.codes, kind="stable")
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        means = np.add.reduceat(self.values[order], starts, axis=0) / counts[:, None]
        within = np.add.reduceat((self.values[order] - np.repeat(means, counts, axis=0)) ** 2, starts, axis=0)
        return Sums(counts.astype(np.float64), means, within)


def layout_of(responses: Responses) -> Layout:
    """Return the layout of single trials; refuses what has no repeats of stimuli."""
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
    return Layout(pd.factorize(responses.samples["stimulus_id"])[0], counts, responses.samples, where)


def count_repeats(responses: Responses) -> npt.NDArray[np.int64]:
    """Return how many rows each stimulus has, in the order of first appearance; refuses what has no stimuli."""
    where = f"noise ceiling of {responses.name!r}"
    if responses.is_time_series:
        raise InputError("scans of a time series are not repeats of a stimulus", where=where, fix="estimate one response per trial first")
    if "stimulus_id" not in responses.samples.columns:
        raise InputError("responses have no stimulus_id, so nothing says which rows are repeats", where=where)
    return np.bincount(pd.factorize(responses.samples["stimulus_id"])[0])


def trials_of(responses: Responses, layout: Layout, part: slice, seed: int) -> Trials:
    """Return a chunk of targets, in float64, about the mean of all trials."""
    values = np.asarray(responses.values[:, part], dtype=np.float64)
    return Trials(layout, values - values.mean(axis=0), seed)


def mean_squares(parts: Sums, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the sums of squares between and within stimuli (n_draws, t) and the number of trials (n_draws, 1)."""
    heavy = weights * parts.counts
    n_trials = heavy.sum(axis=1, keepdims=True)
    between = heavy @ parts.means**2 - (heavy @ parts.means) ** 2 / n_trials
    return between, weights @ parts.within, n_trials


def one_way(parts: Sums, weights: Floats) -> tuple[Floats, Floats]:
    """Return signal and noise variance (n_draws, t) from the mean squares of the one-way random-effects layout, any repeats.

    noise = SSW / (N − n), signal = (SSB / (n − 1) − noise) / k0 with k0 = (N − Σ R_i² / N) / (n − 1).
    """
    between, within, n_trials = mean_squares(parts, weights)
    n_stimuli = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw without any repeated stimulus: NaN
        noise = within / (n_trials - n_stimuli)
    per_stimulus = (n_trials - (weights @ parts.counts**2)[:, None] / n_trials) / (n_stimuli - 1)
    return (between / (n_stimuli - 1) - noise) / per_stimulus, noise


def share(signal: Floats, noise: Floats, q: float) -> Floats:
    """Return signal / (signal + q noise); NaN where that has no meaning."""
    total = signal + q * noise
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((total > 0) & (signal + noise > 0), signal / total, np.nan)


def step_up(reliability: Floats, factor: float) -> Floats:
    """Return the reliability of means of ``factor`` times as many repeats: k r / (1 + (k − 1) r); NaN where that has no meaning."""
    below = 1 + (factor - 1) * reliability
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, factor * reliability / below, np.nan)
