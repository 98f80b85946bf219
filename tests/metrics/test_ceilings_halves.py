"""Bounds from halves of the repeats: their definition, planted truth between them, epochs by channel and time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.metrics.resample import random_halves

TIMES = np.arange(8) / 50


def trials(rng, n_stimuli, repeats, gain, noise=1.0):
    """Signal of variance gain² at each target, single trials in random order."""
    order = rng.permutation(np.repeat(np.arange(n_stimuli), repeats))
    signal = rng.standard_normal((n_stimuli, len(gain))) * gain
    values = signal[order] + noise * rng.standard_normal((len(order), len(gain)))
    return be.Responses(values, {"stimulus_id": [f"s{i}" for i in order]}, name="01"), signal


def test_both_bounds_are_their_definitions(rng):
    brain, _ = trials(rng, 9, 5, np.ones(7))
    ids = brain.samples["stimulus_id"].to_numpy()
    names = list(dict.fromkeys(ids))
    lower, upper = [], []
    for halves in random_halves(ids, 12, 3, "ceiling of halves"):
        a, b, whole = (np.stack([brain.values[(ids == name) & keep].mean(axis=0) for name in names]) for keep in (halves == 0, halves == 1, halves >= -1))
        lower.append([np.corrcoef(a[:, t], b[:, t])[0, 1] for t in range(7)])
        upper.append([np.corrcoef(a[:, t], whole[:, t])[0, 1] for t in range(7)])
    for bound, expected in (("lower", lower), ("upper", upper)):
        found = be.NoiseCeiling.from_halves(brain, bound=bound, n=12, seed=3)
        np.testing.assert_allclose(found.values, np.mean(expected, axis=0), atol=1e-12)
        assert found.units == "correlation" and found.n_repeats == 2 and f"({bound} bound), 12 halvings" in found.describe()


@pytest.mark.parametrize("repeats", [2, 7, 20])
def test_a_perfect_model_lies_between_the_bounds(rng, repeats):
    brain, signal = trials(rng, 300, repeats, np.full(40, 0.5))
    half = repeats // 2
    low, high = (float(np.median(be.NoiseCeiling.from_halves(brain, bound=bound, n=30).values)) for bound in ("lower", "upper"))
    s, e, every = 0.25, 1.0 / half, 1.0 / repeats
    assert low == pytest.approx(s / (s + e), abs=0.03)
    shared = s + every  # a half is in the mean of all: cov = s² + e² of all
    assert high == pytest.approx(shared / np.sqrt((s + e) * shared), abs=0.03)
    ids = brain.samples["stimulus_id"].to_numpy()
    names = [f"s{i}" for i in range(300)]
    first = np.stack([brain.values[np.flatnonzero(ids == name)[:half]].mean(axis=0) for name in names])
    perfect = float(np.median(be.metrics.pearson(first, signal)))
    assert low < perfect < high and perfect == pytest.approx(np.sqrt(s / (s + e)), abs=0.03)
    stepped = be.NoiseCeiling.from_repeats(brain, method="split_half", n_repeats=half)
    assert float(np.median(stepped.correlation)) == pytest.approx(perfect, abs=0.03)  # what the pair only brackets


def test_epochs_have_bounds_per_channel_and_time(rng):
    gain = (np.array([1.0, 0.0])[:, None] * np.r_[0, 0, 1, 2, 2, 1, 0.5, 0]).reshape(-1)
    flat, _ = trials(rng, 200, 4, gain)
    space = be.SensorSpace({"channel": ["Oz", "Fz"]}, TIMES)
    brain = replace(flat, space=space)
    low, high = (space.paint_array(be.NoiseCeiling.from_halves(brain, bound=bound, n=25).values) for bound in ("lower", "upper"))
    truth = gain.reshape(2, -1) ** 2
    np.testing.assert_allclose(low, truth / (truth + 0.5), atol=0.15)
    np.testing.assert_allclose(high, np.sqrt((truth + 0.25) / (truth + 0.5)), atol=0.15)
    assert (low < high).all() and np.abs(low[1]).mean() < 0.1
    features = be.FeatureSpace(rng.standard_normal((200, 3)), {"stimulus_id": [f"s{i}" for i in range(200)]}, name="toy/x")
    with pytest.warns(be.BrainencWarning, match="edge"):
        scores = be.score_layers(features, brain, split=be.split.kfold(3), ceiling=be.NoiseCeiling.from_halves(brain, n=5))
    assert "lower bound" in scores.ceiling_status


def test_intervals_cover_what_many_stimuli_would_show(rng):
    brain, _ = trials(rng, 80, 6, np.full(250, 0.7))
    low, high = be.NoiseCeiling.from_halves(brain, n=10, n_boot=150, seed=1).ci
    truth = 0.49 / (0.49 + 1 / 3)
    assert 0.91 <= ((low <= truth) & (truth <= high)).mean() <= 0.985


def test_what_has_no_halves_is_refused(rng):
    brain, _ = trials(rng, 9, 3, np.ones(4))
    with pytest.raises(InputError, match="averaged"):
        be.NoiseCeiling.from_halves(brain.average())
    with pytest.raises(InputError, match="n of at least 1"):
        be.NoiseCeiling.from_halves(brain, n=0)
    with pytest.raises(InputError, match="bound"):
        be.NoiseCeiling.from_halves(brain, bound="middle")
    with pytest.raises(InputError, match="three repeated"):
        few = np.concatenate([np.flatnonzero(brain.samples["stimulus_id"].isin(["s0", "s1"])), brain.samples.drop_duplicates("stimulus_id").index])
        be.NoiseCeiling.from_halves(brain.take_rows(np.unique(few)))
    holed = brain.values.copy()
    holed[3, 1], holed[:, 2] = np.nan, 5.0
    found = be.NoiseCeiling.from_halves(replace(brain, values=holed), n=3).values
    assert np.isnan(found[1:3]).all() and np.isfinite(found[[0, 3]]).all()
