"""The one-way random-effects layout: the intraclass correlation of mean responses."""

from __future__ import annotations

from brainenc.metrics.trials import Floats, Trials, one_way, share

SUMMARY = "mean squares between and within stimuli (one-way), ICC(1,k) for equal repeats; any repeats"


def estimate(trials: Trials, weights: Floats, q: float) -> Floats:
    """Return s²_signal / (s²_signal + q s²_noise) from the mean squares, for equal repeats 1 − MSW / MSB = ICC(1,k).

    It is the closed form of the mean over all split halves. Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420.
    """
    return share(*one_way(trials.sums(), weights), q)
