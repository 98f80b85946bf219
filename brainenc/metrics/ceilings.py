"""Noise ceilings from repeats of the same stimuli, in variance units and for the mean of a stated number of repeats.

All estimators here have one estimand: c = s²_signal / (s²_signal + q · s²_noise), the share of the variance of the mean response
that is signal, where q = mean over stimuli of 1 / (repeats of the stimulus), or 1 / ``n_repeats`` where that is given. Nothing is
z-scored but by "explainable_variance": standardise responses within sessions first where sessions differ in scale. Each estimator is one
module of ``brainenc/metrics/ceiling_kinds``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.registry import Registry
from brainenc.metrics._columns import column_chunks
from brainenc.metrics._intervals import bootstrap_interval
from brainenc.metrics.resample import bootstrap_weights
from brainenc.metrics.trials import count_repeats, layout_of, trials_of
from brainenc.nouns.ceiling import NoiseCeiling
from brainenc.nouns.responses import Responses

__all__ = ["ceiling_methods", "count_repeats", "from_repeats"]

REGISTRY = Registry("brainenc.metrics.ceiling_kinds", "estimator of a noise ceiling", group="brainenc.metrics.ceilings")
Floats = npt.NDArray[np.float64]


def ceiling_methods() -> dict[str, str]:
    """Return the estimators that `from_repeats` knows, each with one line on what it does."""
    return {name: REGISTRY.get(name).SUMMARY for name in REGISTRY.names()}


def from_repeats(
    responses: Responses, *, method: str = "ncsnr", n_repeats: float | None = None, n_boot: int = 0, seed: int = 0
) -> NoiseCeiling:
    """Estimate the variance ceiling of each target from single trials.

    Parameters
    ----------
    responses : Responses
        Single trials (not averaged) with ``stimulus_id``.
    method : str
        "ncsnr": variance within stimuli against that of all trials (NSD), any repeats. "anova": mean squares of the one-way layout,
        ICC(1,k), any repeats. "split_half": correlation of half means with the right Spearman-Brown step. "signal_power": SP / (SP + NP / R),
        CCmax². "explainable_variance": of z-scored repeats, equal repeats only. "shuffle": valid where the noise of neighbouring trials
        is correlated; needs ``run``, for the repeats of these trials only, no interval. See `ceiling_methods`.
    n_repeats : float, optional
        Ceiling of the mean of how many repeats; the harmonic mean of the repeats of these stimuli when not given. 1 gives the ceiling of
        single trials.
    n_boot : int
        Bootstrap draws over stimuli for a 95 % interval (`brainenc.metrics.bootstrap_interval`); none by default.
    seed : int
        Of the halves, the shuffles and the bootstrap.

    Returns
    -------
    NoiseCeiling
        In variance units. An estimate below zero (no signal beyond chance) is kept as it is; targets with NaN, without any
        variance, or with an estimate that has no meaning are NaN.

    Raises
    ------
    InputError
        For a time series, rows without ``stimulus_id``, averaged rows, data in which no stimulus is repeated, and layouts that the
        estimator does not take.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.standard_normal((100, 4))
    >>> trials = be.Responses(np.tile(signal, (3, 1)) + rng.standard_normal((300, 4)), {"stimulus_id": [f"s{i}" for i in range(100)] * 3})
    >>> be.metrics.from_repeats(trials, method="anova").values.round(1)  # planted: 1 / (1 + 1 / 3)
    array([0.8, 0.7, 0.7, 0.8])

    References
    ----------
    In the modules of ``brainenc/metrics/ceiling_kinds``.
    """
    one_of(method, REGISTRY.names(), "method")
    kind, layout = REGISTRY.get(method), layout_of(responses)
    if n_repeats is not None and not (np.isfinite(n_repeats) and n_repeats > 0):
        raise InputError("n_repeats must be a positive number", where="NoiseCeiling.from_repeats", got=n_repeats)
    q = layout.q if n_repeats is None else 1.0 / float(n_repeats)
    if hasattr(kind, "check"):
        kind.check(layout, bool(np.isclose(q, layout.q)), n_boot)
    n_stimuli, n_targets = len(layout.counts), responses.n_targets
    weights = np.ones((1, n_stimuli))
    if n_boot:
        weights = np.concatenate([weights, bootstrap_weights(n_stimuli, n_boot, seed, "ceiling")])
    values, ci = np.empty(n_targets), np.empty((2, n_targets))
    for part in column_chunks(4 * max(len(layout.codes), len(weights)), n_targets):
        with np.errstate(invalid="ignore"):  # NaN stays in its column
            found = kind.estimate(trials_of(responses, layout, part, seed), weights, q)
        values[part] = found[0]
        if n_boot:
            ci[:, part] = bootstrap_interval(found[0], found[1:], n_stimuli, "variance")
    label = method if not n_boot else f"{method}, 95 % interval from {n_boot} bootstrap draws over stimuli"
    return NoiseCeiling(values, units="variance", n_repeats=1.0 / q, method=label, ci=ci if n_boot else None)
