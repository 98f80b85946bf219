"""Faults of delays and resampling seen elsewhere: each shown by an independent computation, beside what is done here."""

import numpy as np

import brainenc as be
from brainenc.encoding import compact_delays


def concatenated_delays(X, shifts):
    """Delays of runs that were joined first, as several tutorials build them."""
    return np.concatenate([np.vstack([np.zeros((s, X.shape[1])), X[: len(X) - s]]) for s in shifts], axis=1)


def test_delays_of_joined_runs_read_the_run_before(rng):
    """Three runs, four delays: eight rows hold features of another run; here none does, and only those rows differ."""
    run = np.repeat([1, 2, 3], [70, 60, 70])
    X = rng.standard_normal((200, 5))
    space = be.FeatureSpace(X, {"run": run}, rows="sample")
    ours = space.delay([2.0, 4.0, 6.0, 8.0], step=2.0).values
    joined = concatenated_delays(X, [1, 2, 3, 4])
    differ = np.flatnonzero(np.abs(ours - joined).max(axis=1) > 0)
    assert differ.tolist() == [70, 71, 72, 73, 130, 131, 132, 133]
    alone = np.concatenate([be.FeatureSpace(X[run == r], {"run": run[run == r]}, rows="sample").delay([2.0, 4.0, 6.0, 8.0], step=2.0).values for r in (1, 2, 3)])
    np.testing.assert_array_equal(ours, alone)
    gram = compact_delays(space, [2.0, 4.0, 6.0, 8.0], step=2.0).values
    np.testing.assert_allclose(gram @ gram.T, alone @ alone.T, atol=1e-9)


def test_responses_within_runs_are_not_those_of_joined_delays(rng):
    """A response planted within runs is predicted exactly here, and not by delays of joined runs."""
    run = np.repeat(np.arange(10), 12)
    X = rng.standard_normal((120, 3))
    space = be.FeatureSpace(X, {"run": run}, rows="sample")
    within = space.delay([2.0, 4.0, 6.0], step=2.0).values
    y = within @ rng.standard_normal((9, 4))
    residual = {}
    for name, design in (("within", within), ("joined", concatenated_delays(X, [1, 2, 3]))):
        residual[name] = np.square(y - design @ np.linalg.lstsq(design, y, rcond=None)[0]).sum() / np.square(y).sum()
    assert residual["within"] < 1e-20 and residual["joined"] > 0.02


def test_nearest_sample_resampling_aliases_and_lanczos_does_not(rng):
    """A ripple faster than the scans becomes a slow wave when the nearest frame is taken; a low-pass removes it."""
    t = np.arange(0, 120, 0.1)
    ripple = np.sin(2 * np.pi * t * 0.45)  # above the Nyquist frequency of 0.25 Hz at a TR of 2 s
    frames = be.FeatureSpace(ripple[:, None], {"onset": t}, rows="sample")
    brain = be.Responses(np.zeros((60, 1)), {"run": [1] * 60}, t_r=2.0)
    nearest = ripple[np.searchsorted(t, np.arange(60) * 2.0 + 1.0)]
    smooth = be.design(frames, brain, delays=[0.0]).values[:, 0] / 20
    assert nearest[5:55].std() > 0.6 and np.abs(smooth[5:55]).max() < 0.05
