"""The estimator of the Natural Scenes Dataset: variance within stimuli against the variance of all trials."""

from __future__ import annotations

import numpy as np

from brainenc.metrics.trials import Floats, Trials, mean_squares, share

SUMMARY = "noise from the variance within stimuli, signal from what is left of the variance of all trials; any repeats"


def estimate(trials: Trials, weights: Floats, q: float) -> Floats:
    """Return s²_signal / (s²_signal + q s²_noise).

    s²_noise = Σ_i (R_i − 1) s_i² / Σ_i (R_i − 1), s²_signal = var(all trials) − s²_noise, without the published clip at zero.
    Allen et al. 2022, doi:10.1038/s41593-021-00962-x.
    """
    parts = trials.sums()
    between, within, n_trials = mean_squares(parts, weights)
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw without any repeated stimulus: NaN
        noise = within / (weights @ (parts.counts - 1))[:, None]
    return share((between + within) / (n_trials - 1) - noise, noise, q)
