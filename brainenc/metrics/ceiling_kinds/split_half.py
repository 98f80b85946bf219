"""Correlation of the means of random halves of the repeats, stepped up to all repeats."""

from __future__ import annotations

import numpy as np

from brainenc.core.errors import InputError
from brainenc.metrics.resample import bootstrap_pearson, random_halves
from brainenc.metrics.trials import Floats, Layout, Trials, step_up

SUMMARY = "correlation of half means, averaged over 40 random halvings, stepped up by Spearman-Brown with the right factor"
N_HALVES = 40


def check(layout: Layout, own: bool, n_boot: int) -> None:
    """Refuse fewer than three stimuli that can be halved."""
    n_twice = int((layout.counts >= 2).sum())
    if n_twice < 3:
        raise InputError("split halves need at least three repeated stimuli", where=layout.where, got=n_twice)


def estimate(trials: Trials, weights: Floats, q: float) -> Floats:
    """Return k r_h / (1 + (k − 1) r_h) with k = q_h / q: two only where halves hold half of the repeats each.

    r_h is the mean correlation over random halvings, an odd trial left out at random each time; q_h the mean of 1 / trials in a half.
    Stimuli with a single trial do not enter. Spearman 1910, Brown 1910.
    """
    layout = trials.layout
    twice = np.flatnonzero(layout.counts >= 2)
    heavy = weights[:, twice]
    total: Floats | float = 0.0
    for halves in random_halves(layout.codes, N_HALVES, trials.seed, "ceiling"):
        first, second = (layout.averages(halves == side)[twice] @ trials.values for side in (0, 1))
        total = total + bootstrap_pearson(first, second, heavy)
    q_half = float(np.mean(1.0 / (layout.counts[twice] // 2)))
    return step_up(np.asarray(total) / N_HALVES, q_half / q)
