"""The pair of bounds from random halves of the repeats that papers on THINGS-EEG draw beside encoding scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.metrics._columns import column_chunks
from brainenc.metrics._intervals import bootstrap_interval
from brainenc.metrics.resample import bootstrap_pearson, bootstrap_weights, random_halves
from brainenc.metrics.trials import Trials, layout_of, trials_of
from brainenc.nouns.ceiling import NoiseCeiling
from brainenc.nouns.responses import Responses

BOUNDS = ("lower", "upper")
Floats = npt.NDArray[np.float64]


def from_halves(responses: Responses, *, bound: str = "lower", n: int = 100, n_boot: int = 0, seed: int = 0) -> NoiseCeiling:
    """Bound how well a perfect model could correlate with the mean of half of the repeats of each stimulus.

    lower = mean over draws of r(half, other half), upper = mean over draws of r(half, all repeats). Where signal variance is s² and the noise
    variance of a half e², they estimate s² / (s² + e²) and √((s² + e² / 2) / (s² + e²)); a perfect model reaches √(s² / (s² + e²)), between
    them. Spearman-Brown (``NoiseCeiling.from_repeats(…, method="split_half")``) estimates that value itself, for any number of repeats.

    Parameters
    ----------
    responses : Responses
        Single trials with ``stimulus_id``; voxels, or (channel, time) pairs of epochs. Of an odd number of repeats one stays out of the halves, at
        random in each draw; stimuli shown once are left aside.
    bound : {"lower", "upper"}
    n : int
        Random halvings.
    n_boot : int
        Bootstrap draws over stimuli for a 95 % interval; none by default.
    seed : int
        Both bounds see the same halves.

    Returns
    -------
    NoiseCeiling
        In correlation units, ``n_repeats`` that of a half: beside scores of means of so many trials. NaN for targets with NaN or without variance.

    Raises
    ------
    InputError
        For time series, averaged rows, and fewer than three stimuli with repeats.

    Notes
    -----
    After Gifford et al. 2022, doi:10.1016/j.neuroimage.2022.119754, stated from memory (random halves, 100 draws); averaging r itself, and
    leaving one trial of an odd number out, are our choice.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> signal, ids = rng.standard_normal((200, 1)), [f"s{i}" for i in range(200)]
    >>> trials = be.Responses(np.tile(signal, (8, 1)) + 2 * rng.standard_normal((1600, 1)), {"stimulus_id": ids * 8})
    >>> [be.metrics.from_halves(trials, bound=bound, n=20).values.round(1).tolist() for bound in ("lower", "upper")]  # planted: .5, √.75
    [[0.5], [0.9]]
    """
    one_of(bound, BOUNDS, "bound")
    layout = layout_of(responses)
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise InputError("halvings are counted", where="NoiseCeiling.from_halves", expected="n of at least 1", got=repr(n))
    twice = np.flatnonzero(layout.counts >= 2)
    if len(twice) < 3:
        raise InputError("split halves need at least three repeated stimuli", where=layout.where, got=len(twice))
    weights = np.ones((1, len(twice)))
    if n_boot:
        weights = np.concatenate([weights, bootstrap_weights(len(twice), n_boot, seed, "ceiling of halves")])
    values, ci = np.empty(responses.n_targets), np.empty((2, responses.n_targets))
    for part in column_chunks(4 * max(len(layout.codes), len(weights)), responses.n_targets):
        with np.errstate(invalid="ignore"):  # NaN stays in its column
            found = _correlations(trials_of(responses, layout, part, seed), twice, weights, n, upper=bound == "upper")
        values[part] = found[0]
        if n_boot:
            ci[:, part] = bootstrap_interval(found[0], found[1:], len(twice), "correlation")
    label = f"half of the repeats against {'all' if bound == 'upper' else 'the other half'} ({bound} bound), {n} halvings"
    label += f", 95 % interval from {n_boot} bootstrap draws over stimuli" if n_boot else ""
    q = float(np.mean(1.0 / (layout.counts[twice] // 2)))
    return NoiseCeiling(values, units="correlation", n_repeats=1.0 / q, method=label, ci=ci if n_boot else None)


def _correlations(trials: Trials, twice: npt.NDArray[np.intp], weights: Floats, n: int, *, upper: bool) -> Floats:
    """Return the mean correlation (n_draws, n_targets) of half means with other halves, or with all repeats."""
    layout, total = trials.layout, np.zeros((len(weights), trials.values.shape[1]))
    everything = layout.averages()[twice] @ trials.values
    for halves in random_halves(layout.codes, n, trials.seed, "ceiling of halves"):
        first = layout.averages(halves == 0)[twice] @ trials.values
        other = everything if upper else layout.averages(halves == 1)[twice] @ trials.values
        total += bootstrap_pearson(first, other, weights)
    return total / n
