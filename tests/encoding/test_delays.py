"""Delays: compact features predict what the delayed matrix predicts, and planted delays and responses come back."""

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import BandedRidge, Delays, Ridge, compact_delays
from brainenc.loaders import Hrf

LAGS, STEP = (2.0, 4.0, 6.0), 2.0


@pytest.fixture
def scans(rng):
    run = np.repeat([1, 2, 3], [30, 24, 27])
    wide = be.FeatureSpace(rng.standard_normal((81, 70)), {"run": run}, name="toy/wide", rows="sample")
    mixed = wide.delay(LAGS, step=STEP).values @ rng.standard_normal((210, 8)) / 14
    brain = be.Responses(mixed + 0.5 * rng.standard_normal((81, 8)), {"run": run}, t_r=STEP, name="01")
    return wide, brain


@pytest.mark.parametrize("weights", [None, (1.0, 0.2, 3.0)])
def test_ridge_is_the_same_on_compact_features(scans, weights):
    wide, brain = scans
    delays = Delays(LAGS, weights)
    explicit, compact = wide.delay(delays, step=STEP), compact_delays(wide, delays, step=STEP)
    assert explicit.n_features == 210 and compact.n_features <= 81
    np.testing.assert_allclose(compact.values @ compact.values.T, explicit.values @ explicit.values.T, atol=1e-10)
    train, test = np.arange(54), np.arange(54, 81)
    both = [
        Ridge(alphas=np.logspace(0, 4, 9), cv=3).fit(one.values[train], brain.values[train]) for one in (explicit, compact)
    ]  # fmt: skip
    np.testing.assert_allclose(both[0].alpha_, both[1].alpha_)
    np.testing.assert_allclose(both[0].predict(explicit.values[test]), both[1].predict(compact.values[test]), atol=1e-9)


def test_compact_features_score_as_the_delayed_matrix_does(scans):
    wide, brain = scans
    layers = {"explicit": wide.delay(LAGS, step=STEP), "compact": compact_delays(wide, LAGS, step=STEP)}
    scores = be.score_layers(layers, brain, split=be.split.runs(), encoder=Ridge(alphas=10.0, cv=None))
    np.testing.assert_allclose(scores.values[0], scores.values[1], atol=1e-9)
    assert np.nanmean(scores.values) > 0.1


def test_delays_are_bands(scans):
    """A band for each delay, explicit or compact, predicts the same; the planted delay wins."""
    wide, _ = scans
    rng = np.random.default_rng(3)
    Y = wide.delay([4.0], step=STEP).values @ rng.standard_normal((70, 5)) / 8 + 0.3 * rng.standard_normal((81, 5))
    spaces = [wide.delay(LAGS, step=STEP), compact_delays(wide, LAGS, step=STEP, by_delay=True)]
    assert spaces[1].features["delay"].nunique() == 3 and (spaces[1].features.groupby("delay").size() <= 81).all()
    weights = np.array([[1, 1, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]]) / np.array([[3], [1], [1], [1]])
    models = [
        BandedRidge(space.features["delay"].astype(str).tolist(), np.logspace(-1, 4, 8), search=weights, cv=3, full=True).fit(space.values, Y) for space in spaces
    ]  # fmt: skip
    np.testing.assert_allclose(models[0].band_weights_, models[1].band_weights_, atol=1e-9)
    np.testing.assert_allclose(models[0].predict(spaces[0].values), models[1].predict(spaces[1].values), atol=1e-7)
    assert (models[1].band_weights_[:, 1] == 1).all()


def test_nothing_crosses_a_run_in_compact_features(scans):
    wide, _ = scans
    other = wide.values.copy()
    other[28:30] += 100  # the last scans of run 1
    changed = be.FeatureSpace(other, wide.samples, rows="sample")
    rows = np.arange(30, 81)
    grams = [(lambda Z: Z[rows] @ Z[rows].T)(compact_delays(one, LAGS, step=STEP).values) for one in (wide, changed)]
    np.testing.assert_allclose(grams[0], grams[1], atol=1e-9)


def test_events_need_no_delayed_matrix_either(rng):
    onset = [0.0, 5.0, 16.0, 30.0, 1.0, 13.0]
    events = {"onset": onset, "duration": [4.0, 2.0, 3.0, 0.0, 2.5, 2.0], "stimulus_id": list("abcabc"), "run": [1] * 4 + [2] * 2}
    brain = be.Responses(np.zeros((35, 1)), {"run": [1] * 20 + [2] * 15}, t_r=2.0, events=events)
    layer = be.FeatureSpace(rng.standard_normal((3, 40)), {"stimulus_id": list("abc")})
    wide = be.design(layer, brain, delays=LAGS).values
    Z = compact_delays(be.design(layer, brain, delays=[0.0]), LAGS, step=2.0).values
    np.testing.assert_allclose(Z @ Z.T, wide @ wide.T, atol=1e-10)


def test_weights_scale_the_blocks_of_a_design(rng):
    events = {"onset": [4.0, 20.0], "duration": [4.0, 2.0], "stimulus_id": ["a", "b"], "run": [1, 1]}
    brain = be.Responses(np.zeros((20, 1)), {"run": [1] * 20}, t_r=2.0, events=events)
    layer = be.FeatureSpace(rng.standard_normal((2, 5)), {"stimulus_id": ["a", "b"]})
    plain, weighted = be.design(layer, brain, delays=LAGS), be.design(layer, brain, delays=Delays(LAGS, (4.0, 0.0, 1.0)))
    np.testing.assert_allclose(weighted.values, plain.values * np.repeat([2.0, 0.0, 1.0], 5))
    assert weighted.provenance["design"]["delay_weights"] == [4.0, 0.0, 1.0]


def test_derivatives_and_double_gammas_in_a_design(rng):
    from nilearn.glm.first_level import compute_regressor, spm_dispersion_derivative, spm_hrf, spm_time_derivative

    events = {"onset": [4.0, 20.0, 31.0], "duration": [4.0, 2.0, 0.0], "stimulus_id": ["a", "b", "a"], "run": [1, 1, 1]}
    brain = be.Responses(np.zeros((30, 1)), {"run": [1] * 30}, t_r=2.0, events=events)
    layer = be.FeatureSpace(rng.standard_normal((2, 5)), {"stimulus_id": ["a", "b"]})
    made = be.design(layer, brain, hrf="spm + derivative + dispersion")
    assert made.values.shape == (30, 15) and made.features["response"].tolist() == ["response"] * 5 + ["derivative"] * 5 + ["dispersion"] * 5
    amplitude = layer.values[[0, 1, 0]]
    for block, kernel in enumerate((spm_hrf, spm_time_derivative, spm_dispersion_derivative)):
        for feature in range(5):
            event = (np.array(events["onset"]), np.array(events["duration"]), amplitude[:, feature])
            expected = compute_regressor(event, kernel, np.arange(30) * 2.0 + 1.0, oversampling=50)[0][:, 0]
            np.testing.assert_allclose(made.values[:, 5 * block + feature], expected, atol=1e-10)
    np.testing.assert_allclose(be.design(layer, brain, hrf=Hrf()).values, made.values[:, :5], atol=1e-10)


def test_planted_delays_are_recovered(rng):
    """Weights of a finite impulse response peak at the delays that were planted, voxel by voxel."""
    run = np.repeat([1, 2, 3, 4], 60)
    features = be.FeatureSpace(rng.standard_normal((240, 4)), {"run": run}, rows="sample")
    lags = (0.0, 2.0, 4.0, 6.0, 8.0)
    shifted = features.delay(lags, step=2.0).values.reshape(240, 5, 4)
    planted = np.array([1, 3, 2, 4, 0, 2])
    Y = np.stack([shifted[:, d] @ rng.standard_normal(4) for d in planted], axis=1)
    model = Ridge(cv=4).fit(shifted.reshape(240, 20), Y + 0.5 * rng.standard_normal(Y.shape))
    energy = (model.coef_.reshape(6, 5, 4) ** 2).sum(axis=2)
    assert energy.argmax(axis=1).tolist() == planted.tolist()


def test_delays_that_make_no_sense_are_refused(scans):
    wide, _ = scans
    for lags, weights, message in (((), None, "different numbers"), ((1, 1), None, "different numbers"), ((1, 2), (1,), "one weight"), ((1,), (0,), "not all 0")):
        with pytest.raises(InputError, match=message):
            Delays(lags, weights)
    with pytest.raises(InputError, match="multiples of 2.0 s"):
        compact_delays(wide, [3.0], step=2.0)
    with pytest.raises(InputError, match="Call brainenc.design first"):
        compact_delays(be.FeatureSpace(np.ones((2, 2)), {"stimulus_id": ["a", "b"]}), [2.0], step=2.0)
    time = np.r_[np.arange(30), np.arange(24), np.delete(np.arange(28), 9)] * 2.0
    gap = be.FeatureSpace(wide.values, wide.samples.assign(time=time), rows="sample")
    with pytest.raises(InputError, match="left out within a run"):
        compact_delays(gap, LAGS, step=2.0)
