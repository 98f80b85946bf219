"""Explainable variance: how alike two repeats are, each scaled to unit variance."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from brainenc.core.errors import InputError
from brainenc.metrics.resample import bootstrap_correlation, bootstrap_moments
from brainenc.metrics.trials import Floats, Layout, Trials, step_up

SUMMARY = "explainable variance of z-scored repeats, bias-corrected and stepped up to their mean; equal repeats"


def check(layout: Layout, own: bool, n_boot: int) -> None:
    """Refuse stimuli with different numbers of repeats."""
    if not layout.is_balanced:
        raise InputError(
            "explainable variance compares whole repeats of all stimuli", where=layout.where, expected="as many trials of every stimulus",
            got=f"{layout.counts.min()} to {layout.counts.max()}", fix='use method="ncsnr" or "anova", which take any repeats',
        )  # fmt: skip


def estimate(trials: Trials, weights: Floats, q: float) -> Floats:
    """Return EV / (q + (1 − q) EV): for R repeats R EV / (1 + (R − 1) EV), for a single one EV.

    EV = ev − (1 − ev) / (R − 1) with ev = var(mean of z-scored repeats) / mean variance of a repeat. For z-scored repeats ev is
    (1 + (R − 1) r) / R with r the mean correlation of two repeats, so EV is r, which is how it is computed. EV alone belongs to one
    repeat (``n_repeats=1``): over the score of the mean of several it would claim more than perfection. After Sahani & Linden 2003, and
    the tutorials of Dupré la Tour, Visconti di Oleggio Castello & Gallant 2025, doi:10.1162/imag_a_00575.
    """
    rows = trials.layout.repeat_rows()
    moments = [bootstrap_moments(trials.values[one], weights) for one in rows]
    pairs = list(combinations(range(len(rows)), 2))
    total = np.zeros((len(weights), trials.values.shape[1]))
    for i, j in pairs:
        total += bootstrap_correlation(moments[i], moments[j], weights)
    return step_up(total / len(pairs), 1.0 / q)
