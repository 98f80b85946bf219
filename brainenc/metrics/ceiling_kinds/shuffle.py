"""The shuffle estimator: signal from how much the variance of the means falls when trials change places but noise does not notice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import sparse

from brainenc.core.errors import InputError
from brainenc.metrics.resample import permutations, sign_flips
from brainenc.metrics.trials import Floats, Index, Layout, Trials

SUMMARY = "variance of the means against that after exchanging and reversing runs; valid where noise is correlated within runs"
N_SHUFFLES = 100


def check(layout: Layout, own: bool, n_boot: int) -> None:
    """Refuse what has no runs, another number of repeats, intervals, and designs that no shuffle changes."""
    if "run" not in layout.samples or layout.samples["run"].isna().any():
        raise InputError("shuffles exchange and reverse whole runs", where=layout.where, expected="a column 'run' without gaps")
    if not own:
        raise InputError(
            "correlated noise does not fall as 1 / repeats, so the shuffle estimator is for these trials' own repeats", where=layout.where,
            fix="leave n_repeats out",
        )  # fmt: skip
    if n_boot:
        raise InputError("no bootstrap over stimuli keeps the order of the noise", where=f"{layout.where}, shuffle", expected="n_boot=0", got=n_boot)
    if 1.0 - np.mean([kept for _, kept in _shuffles(layout, 0)]) < 0.05:
        raise InputError("exchanging and reversing runs leaves the stimuli where they were", where=layout.where, expected="another order in each run")


def estimate(trials: Trials, weights: Floats, q: float) -> Floats:
    """Return s²_signal / MS with s²_signal = (MS − mean_P MS_P) / (1 − mean_P α_P).

    MS is the variance (n − 1) over stimuli of the mean responses, MS_P the same after the trials were permuted by P, α_P the share of the
    signal variance that stays in MS_P because trials met places of their own stimulus. P must leave the covariance of the noise as it is:
    here runs of the same length change places, each reversed or not, which is right for stationary noise that is independent between
    runs (after Benjamini & Yu 2013, doi:10.1214/13-AOAS681; which permutations, and taking the ratio of means over 100 of them, is our
    choice). Rows are taken in the order of ``onset`` or ``time`` within a run where there is such a column, else as they stand.
    """
    averages = trials.layout.averages()
    observed = (averages @ trials.values).var(axis=0, ddof=1)
    shuffled, kept = np.zeros_like(observed), []
    for order, alpha in _shuffles(trials.layout, trials.seed):
        shuffled += (averages @ trials.values[order]).var(axis=0, ddof=1)
        kept.append(alpha)
    signal = (observed - shuffled / len(kept)) / (1.0 - np.mean(kept))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(observed > 0, signal / observed, np.nan)[None]


def _shuffles(layout: Layout, seed: int) -> Iterator[tuple[Index, float]]:
    """Yield orders of the trials and the share of the signal variance that each keeps in place."""
    runs = pd.factorize(layout.samples["run"])[0]
    clock = next((layout.samples[name].to_numpy() for name in ("onset", "time") if name in layout.samples), np.arange(len(runs)))
    places = np.lexsort((clock, runs))  # trials run by run, in time
    lengths = np.bincount(runs)
    ends = np.cumsum(lengths)
    labels = np.repeat(np.arange(len(lengths)), lengths)
    exchanges = permutations(len(runs), N_SHUFFLES, seed, "shuffle", units=labels, alike=True) if _some_alike(lengths) else None
    flips = sign_flips(max(len(lengths), 2), N_SHUFFLES, seed, "shuffle")[:, : len(lengths)]
    averages = layout.averages()
    shows = sparse.csr_matrix((np.ones(len(runs)), (np.arange(len(runs)), layout.codes)), shape=(len(runs), len(layout.counts)))
    for i in range(N_SHUFFLES):
        order = np.arange(len(runs)) if exchanges is None else next(exchanges)
        parts = np.split(order, ends[:-1])
        turned = np.concatenate([part[::-1] if sign < 0 else part for part, sign in zip(parts, flips[i % len(flips)], strict=True)])
        out = np.empty(len(runs), dtype=np.intp)
        out[places] = places[turned]
        mixed = averages @ shows[out]  # (n_stimuli, n_stimuli): whose signal is now in whose mean
        alpha = (mixed.multiply(mixed).sum() - np.square(mixed.sum(axis=0)).sum() / len(layout.counts)) / (len(layout.counts) - 1)
        yield out, float(alpha)


def _some_alike(lengths: Index) -> bool:
    return bool(np.unique(lengths, return_counts=True)[1].max() > 1)
