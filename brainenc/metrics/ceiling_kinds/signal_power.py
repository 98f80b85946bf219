"""Signal power: what the variance of the mean response has beyond its share of noise."""

from __future__ import annotations

import numpy as np

from brainenc.metrics.trials import Floats, Trials, one_way, share

SUMMARY = "signal power against noise power; shifts of a whole repeat do not count as noise where repeats are equal"


def estimate(trials: Trials, weights: Floats, q: float) -> Floats:
    """Return SP / (SP + q NP), the square of CCmax.

    After Sahani & Linden 2003, Hsu, Borst & Theunissen 2004 and Schoppe et al. 2016 (doi:10.3389/fncom.2016.00010). See `powers`.
    """
    return share(*powers(trials, weights), q)


def powers(trials: Trials, weights: Floats) -> tuple[Floats, Floats]:
    """Return signal power and noise power of a single trial (n_draws, n_targets).

    SP = (R var(ȳ) − mean_r var(y_r)) / (R − 1), NP = mean_r var(y_r) − SP, variances over stimuli (n − 1). It is the two-way layout of
    stimuli by repeats, ICC(3,k): what shifts a whole repeat, for instance a session, is no noise here. Stimuli with different numbers
    of repeats have no such layout: theirs come from the one-way mean squares, which have the same expectation where repeats do not shift.
    """
    if not trials.layout.is_balanced:
        return one_way(trials.sums(), weights)
    stacked = trials.values[trials.layout.repeat_rows()]
    n = weights.sum(axis=1, keepdims=True)
    mean = stacked.mean(axis=0)
    of_mean = (weights @ mean**2 - (weights @ mean) ** 2 / n) / (n - 1)
    of_trials = weights @ np.einsum("rit,rit->it", stacked, stacked)
    for repeat in stacked:
        of_trials -= (weights @ repeat) ** 2 / n
    of_trials /= (n - 1) * len(stacked)
    signal = (len(stacked) * of_mean - of_trials) / (len(stacked) - 1)
    return signal, of_trials - signal
