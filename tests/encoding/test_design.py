"""Designs against nilearn, an explicit shift, and what must not cross a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError

T_R, N_SCANS = 2.0, 40


@pytest.fixture
def events():
    return pd.DataFrame(
        {
            "onset": [4.0, 20.0, 33.0, 2.0, 50.0],
            "duration": [6.0, 6.0, 0.0, 8.0, 12.0],
            "stimulus_id": ["a", "b", "c", "c", "a"],
            "run": [1, 1, 1, 2, 2],
        }
    )


@pytest.fixture
def brain(events):
    run = np.repeat([1, 2], [N_SCANS, N_SCANS - 5])
    return be.Responses(np.zeros((len(run), 2)), {"run": run}, t_r=T_R, events=events, name="01")


@pytest.fixture
def layer(rng):
    return be.FeatureSpace(rng.standard_normal((3, 7)), {"stimulus_id": ["c", "a", "b"]}, name="toy/layer")


@pytest.mark.parametrize("hrf", ["glover", "spm"])
def test_convolution_is_nilearns(brain, layer, events, hrf):
    from nilearn.glm.first_level import compute_regressor

    made = be.design(layer, brain, hrf=hrf)
    assert made.rows == "sample" and made.values.shape == (75, 7)
    for run, rows in ((1, slice(0, 40)), (2, slice(40, 75))):
        mine = events[events["run"] == run]
        times = np.arange(rows.stop - rows.start) * T_R + T_R / 2
        for feature in range(7):
            amplitude = layer.take(mine["stimulus_id"]).values[:, feature]
            expected = compute_regressor((mine["onset"].to_numpy(), mine["duration"].to_numpy(), amplitude), hrf, times, oversampling=50)[0][:, 0]
            np.testing.assert_allclose(made.values[rows, feature], expected, atol=1e-10)


def test_the_frame_time_moves_the_response(brain, layer):
    half, start = be.design(layer, brain, hrf="glover"), be.design(layer, replace(brain, provenance={"frame_time": 0.0}), hrf="glover")
    assert half.provenance["design"]["frame_time"] == 1.0
    # a scan acquired half a TR later sees more of the rise and less of the fall
    first_rise = slice(2, 4)
    assert (np.abs(half.values[first_rise]) > np.abs(start.values[first_rise])).all()


def test_delays_take_the_features_of_earlier_scans_of_the_same_run(brain, layer):
    made = be.design(layer, brain, delays=[0, 2, 4])
    now = made.values[:, :7]
    c, a, b = layer.values
    expected = np.zeros((75, 7))
    expected[2:5], expected[10:13], expected[16] = a, b, c  # 4-10 s, 20-26 s, and a point at 33 s in the scan of 32-34 s
    expected[41:45], expected[65:71] = c, a
    np.testing.assert_allclose(now, expected, atol=1e-12)
    for block, shift in ((1, 1), (2, 2)):
        for rows in (slice(0, 40), slice(40, 75)):
            run = now[rows]
            np.testing.assert_allclose(made.values[rows, 7 * block : 7 * block + 7], np.vstack([np.zeros((shift, 7)), run[:-shift]]), atol=1e-12)
    assert made.features["delay"].tolist() == [0.0] * 7 + [2.0] * 7 + [4.0] * 7


def test_a_delay_between_scans_shares_an_event_between_two(brain, layer):
    made = be.design(layer, brain, delays=[1])
    a = layer.values[1]
    np.testing.assert_allclose(made.values[2:6], [a / 2, a, a, a / 2], atol=1e-12)


def test_nothing_crosses_a_run(brain, layer, events):
    late = pd.concat([events, pd.DataFrame({"onset": [78.0], "duration": [2.0], "stimulus_id": ["b"], "run": [1]})], ignore_index=True)
    for kwargs in ({"hrf": "glover"}, {"delays": [2, 4, 6, 8]}):
        before, after = be.design(layer, brain, **kwargs), be.design(layer, replace(brain, events=late), **kwargs)
        np.testing.assert_array_equal(before.values[40:], after.values[40:])


def test_one_run_alone_gives_the_same_rows(brain, layer):
    both = be.design(layer, brain, delays=[0, 4])
    alone = be.design(layer, brain.rows(run=2), delays=[0, 4])
    np.testing.assert_array_equal(both.values[40:], alone.values)


def test_scans_that_were_cut_keep_their_time(brain, layer):
    timed = replace(brain, samples=brain.samples.assign(time=np.r_[np.arange(40), np.arange(35)] * T_R))
    whole = be.design(layer, timed, hrf="glover")
    cut = be.design(layer, timed.take_rows(np.r_[5:40, 45:75]), hrf="glover")
    np.testing.assert_allclose(cut.values, whole.values[np.r_[5:40, 45:75]], atol=1e-12)


def test_frames_are_low_passed_and_words_averaged(rng):
    n, step = 200, 0.25
    t = np.arange(n) * step
    slow, fast = np.sin(2 * np.pi * t / 20), np.sin(2 * np.pi * t / 0.8)
    frames = be.FeatureSpace(np.column_stack([slow, fast]), {"onset": t, "frame": np.arange(n)}, name="movie/energy", rows="sample")
    brain = be.Responses(np.zeros((25, 1)), {"run": np.ones(25, int)}, t_r=T_R)
    out = be.design(frames, brain, delays=[0.0]).values
    at = np.arange(25) * T_R + T_R / 2
    inner = slice(4, 21)
    # a weighted sum of eight frames a scan keeps what is slow and drops what is faster than the scans
    np.testing.assert_allclose(out[inner, 0], 8 * np.sin(2 * np.pi * at[inner] / 20), atol=0.2)
    assert np.abs(out[inner, 1]).max() < 0.1
    mean = be.design(frames, brain, delays=[0.0], resample="mean").values
    expected = frames.values.reshape(25, 8, 2).mean(axis=1)
    np.testing.assert_allclose(mean, expected, atol=1e-12)
    with pytest.raises(InputError, match="one row per scan"):
        be.design(frames, brain, delays=[0.0], resample=None)


def test_features_of_scans_pass_through_as_they_are(rng):
    brain = be.Responses(np.zeros((20, 1)), {"run": np.ones(20, int)}, t_r=T_R)
    space = be.FeatureSpace(rng.standard_normal((20, 3)), {"onset": np.arange(20) * T_R + 0.5}, rows="sample")
    np.testing.assert_array_equal(be.design(space, brain, delays=[0.0], resample=None).values, space.values)
    np.testing.assert_array_equal(be.design(space, brain, delays=[2.0], resample=None).values[1:], space.values[:-1])


def test_delaying_scans_by_hand(rng):
    run = np.repeat(["x", "y"], [6, 4])
    space = be.FeatureSpace(rng.standard_normal((10, 3)), {"run": run}, name="toy/motion", rows="sample")
    out = space.delay([0, 4, -2], step=2.0)
    zeros = np.zeros((2, 3))
    v = space.values
    np.testing.assert_array_equal(out.values[:, :3], v)
    np.testing.assert_array_equal(out.values[:, 3:6], np.vstack([zeros, v[:4], zeros, v[6:8]]))
    np.testing.assert_array_equal(out.values[:, 6:], np.vstack([v[1:6], zeros[:1], v[7:], zeros[:1]]))
    np.testing.assert_array_equal(space.delay([20], step=2.0).values, np.zeros((10, 3)))
    with pytest.raises(InputError, match="multiples of 2.0 s"):
        space.delay([3], step=2.0)


def test_electrophysiology_needs_no_lag_to_be_named(layer):
    events = {"onset": [0.1], "duration": [0.1], "stimulus_id": ["a"], "run": [1]}
    brain = be.Responses(np.zeros((50, 1)), {"run": np.ones(50, int)}, sampling_rate=100.0, events=events)
    out = be.design(layer, brain).values
    assert np.flatnonzero(out.any(axis=1)).tolist() == list(range(10, 21))


def test_designs_that_make_no_sense_are_refused(brain, layer, events):
    trials = be.Responses(np.zeros((3, 1)), {"stimulus_id": ["a", "b", "c"]})
    for bad, kwargs, message in (
        (trials, {"hrf": "glover"}, "trials need no design"),
        (brain, {}, "lags the stimulus"),
        (brain, {"hrf": "glover", "delays": [2]}, "not both"),
        (brain, {"hrf": "gamma"}, "one of 'glover', 'spm'"),
        (brain, {"delays": [2, 2]}, "different numbers"),
        (brain, {"delays": [-5, 2]}, "negative delay"),
        (replace(brain, events=None), {"hrf": "glover"}, "nothing says when"),
        (replace(brain, events=events[events["run"] == 1]), {"hrf": "glover"}, "a run of the responses has no events.*'2'"),
        (replace(brain, samples=pd.DataFrame({"run": np.tile([1, 2, 1], 25)})), {"hrf": "glover"}, "do not stand together"),
        (replace(brain, samples=pd.DataFrame({"time": np.zeros(75), "run": brain.samples["run"]})), {"hrf": "glover"}, "must rise"),
    ):
        with pytest.raises(InputError, match=message):
            be.design(layer, bad, **kwargs)
    with pytest.raises(InputError, match="'b'"):
        be.design(layer.take(["a", "c"]), brain, hrf="glover")
    with pytest.raises(InputError, match="one row per sample already"):
        be.design(be.design(layer, brain, hrf="glover"), brain, hrf="glover")


@pytest.mark.parametrize("t_r", [0.72, 1.1, 2.2, 1 / 3])
@pytest.mark.parametrize("lag", [0, 1, 3])
def test_a_point_at_the_edge_of_two_scans_counts_once(t_r, lag):
    n = 60
    onset = np.arange(n - 5) * t_r
    points = pd.DataFrame({"onset": onset, "duration": 0.0, "stimulus_id": [f"p{i}" for i in range(len(onset))], "run": 1})
    series = be.Responses(np.zeros((n, 1)), {"run": [1] * n}, t_r=t_r, events=points)
    each = be.FeatureSpace(np.eye(len(onset)), {"stimulus_id": points["stimulus_id"]})
    made = be.design(each, series, delays=[lag * t_r]).values
    np.testing.assert_array_equal(made, np.eye(n, len(onset), -lag))


@pytest.mark.parametrize("kind", [{"hrf": "glover"}, {"delays": [0, 4]}])
def test_scans_that_were_cut_keep_their_time_without_a_column_that_says_it(brain, layer, kind):
    whole, keep = be.design(layer, brain, **kind), np.r_[5:40, 45:75]
    np.testing.assert_allclose(be.design(layer, brain.take_rows(keep), **kind).values, whole.values[keep], atol=1e-12)
    twice = brain.take_rows(keep).take_rows(np.r_[10:35, 45:65])
    np.testing.assert_allclose(be.design(layer, twice, **kind).values, whole.values[keep[np.r_[10:35, 45:65]]], atol=1e-12)


def test_scans_before_the_zero_of_the_clock_know_nothing_yet(layer):
    late = pd.DataFrame({"onset": [50.0], "duration": [8.0], "stimulus_id": ["a"], "run": [1]})
    series = be.Responses(np.zeros((36, 1)), {"run": [1] * 36, "time": np.arange(36) * T_R - 10.0}, t_r=T_R, events=late)
    made = be.design(layer, series, hrf="glover").values
    assert np.abs(made[:30]).max() < 1e-12 and np.abs(made[32:]).max() > 0.1


def test_a_run_of_one_scan_has_a_design(brain, layer):
    one = be.design(layer, brain.take_rows([12]), hrf="glover")
    np.testing.assert_allclose(one.values, be.design(layer, brain, hrf="glover").values[[12]], atol=0.05)  # nilearn's grid ends earlier
    first = be.design(layer, brain.take_rows([0]), hrf="glover")
    assert first.values.shape == (1, 7)
