"""Epochs are scored as any other targets: ceilings, scores and their way back keep channel and time."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be

pytestmark = pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge", "ignore:.*could not be scored")
TIMES = np.arange(-3, 9) / 50
N, REPEATS = 120, 4
SHAPE = np.r_[np.zeros(3), 0.5, 1, 2, 2, 1, 1, 0.5, 0.25, 0.25]  # of the signal over time; noise has variance 1
GAIN = np.array([1.0, 0.5, 0.0])


@pytest.fixture(scope="module")
def trials():
    rng = np.random.default_rng(0)
    ids = [f"image{i}" for i in range(N)]
    x = rng.standard_normal((N, 4))
    signal = (x @ np.full(4, 0.5))[:, None, None] * GAIN[:, None] * SHAPE
    values = np.tile(signal, (REPEATS, 1, 1)) + rng.standard_normal((REPEATS * N, 3, len(TIMES)))
    values[:, :, 2] = 0.0  # the sample that the baseline was set by
    space = be.SensorSpace({"channel": ["Oz", "Pz", "Fz"]}, TIMES)
    brain = be.Responses(values.reshape(len(values), -1), {"stimulus_id": ids * REPEATS}, space=space, name="01")
    return be.FeatureSpace(x, {"stimulus_id": ids}, name="toy/x"), brain


@pytest.mark.parametrize("method", ["split_half", "ncsnr", "anova"])
def test_ceilings_per_channel_and_time(trials, method):
    _, brain = trials
    found = be.NoiseCeiling.from_repeats(brain, method=method, n_boot=100)
    power = (GAIN[:, None] * SHAPE) ** 2
    truth = power / (power + 1 / REPEATS)
    canvas = brain.space.paint_array(found.variance)
    assert np.isnan(canvas[:, 2]).all()  # no variance, no ceiling
    known = np.delete(np.arange(len(TIMES)), 2)
    sd = np.sqrt(2 / (N - 1) + 2 / (N * (REPEATS - 1)))  # of an F ratio near 1: where there is no signal
    assert np.abs(canvas - truth)[:, known].max() < 3.5 * sd and np.abs(canvas - truth)[:, known].mean() < 0.8 * sd
    assert np.abs(canvas - truth)[:1, 4:9].max() < 0.08  # strong signal
    low, high = (brain.space.paint_array(end)[:, known] for end in found.interval("r2"))
    assert ((low <= truth[:, known]) & (truth[:, known] <= high)).mean() > 0.85


def test_scores_have_the_ceiling_of_their_own_channel_and_time(trials):
    features, brain = trials
    scores = be.score_layers(features, brain, split=be.split.kfold(3), ceiling=be.NoiseCeiling.from_repeats(brain, method="split_half"))
    share = scores.space.paint_array(scores.normalized().mean()[0])
    assert np.abs(share[0, 4:9] - 1).max() < 0.06 and np.isnan(share[:, 2]).all()
    score = scores.space.paint_array(scores.mean()[0])
    best = np.sqrt((GAIN[0] * SHAPE) ** 2 / ((GAIN[0] * SHAPE) ** 2 + 1 / REPEATS))
    assert np.abs(score[0, 4:] - best[4:]).max() < 0.12 and np.abs(score[2, 3:]).mean() < 0.2
    evoked = scores.to_image("toy/x")
    np.testing.assert_array_equal(np.isnan(evoked.get_data()), np.isnan(score))
    named = scores.where(f"target_id in [{', '.join(repr(one) for one in brain.targets['target_id'][12:24])}]")
    assert named.space.n_targets == 12 and set(named.space.channel) == {1}


def test_tables_by_channel_and_time(trials):
    features, brain = trials
    channel, time = np.repeat(["Oz", "Pz", "Fz"], len(TIMES)), np.tile(TIMES, 3)
    labelled = be.Responses(brain.values, brain.samples, brain.targets.assign(channel=channel, time=time), brain.space, name="01")
    scores = be.score_layers(features, labelled, split=be.split.kfold(3), ceiling=None)
    table = scores.by(["channel", "time"])
    assert len(table) == 36 and (table["n_targets"] == 1).all()
    np.testing.assert_array_equal(table.pivot(index="channel", columns="time", values="score").loc[["Oz", "Pz", "Fz"]], scores.space.paint_array(scores.mean()[0]))
    over = scores.by("time").set_index("time")["score"]
    np.testing.assert_allclose(over, [np.nan if t == 2 else np.median(scores.mean()[0].reshape(3, -1)[:, t]) for t in range(len(TIMES))])

