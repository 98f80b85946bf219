"""Temporal receptive fields: the change of basis is the penalty that is written, planted fields come back, delays keep to their run."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import Delays, Ridge, compact_delays, delay_weights, smooth_delays

STEP = 1 / 64
LAGS = np.arange(-2, 14) * STEP


def recording(noise=1.0, seed=0, n=600):
    """Two features drive three channels through smooth fields, in three runs at 64 Hz."""
    rng = np.random.default_rng(seed)
    run = np.repeat([1, 2, 3], n // 3)
    features = be.FeatureSpace(rng.standard_normal((n, 2)), {"run": run}, name="toy/sound", rows="sample")
    at = np.arange(len(LAGS))
    field = np.stack([np.exp(-0.5 * ((at - centre) / 2.5) ** 2) * sign for centre, sign in ((5, 1), (7, 0.5), (9, -1), (6, 1), (8, 1), (10, -0.7))])
    field = field.T.reshape(len(LAGS), 2, 3)
    signal = np.einsum("ndf,dfc->nc", features.delay(LAGS, step=STEP).values.reshape(n, len(LAGS), 2), field)
    return features, field, signal + noise * rng.standard_normal(signal.shape), run


@pytest.mark.parametrize("smoothness", [0.0, 0.5, 0.95])
def test_ridge_on_the_basis_is_the_penalised_problem(smoothness):
    features, _, Y, _ = recording()
    delayed = smooth_delays(features, LAGS, step=STEP, smoothness=smoothness)
    found = Ridge(alphas=30.0, cv=None).fit(delayed.values, Y)
    Z, k = features.delay(LAGS, step=STEP).values, len(LAGS)
    M = np.zeros((k, k))
    for d in range(k):
        M[d, d] += 1 - smoothness
    for d in range(k - 1):  # s (β_d+1 − β_d)²
        M[d, d] += smoothness
        M[d + 1, d + 1] += smoothness
        M[d, d + 1] -= smoothness
        M[d + 1, d] -= smoothness
    P = np.zeros((2 * k, 2 * k))
    for f in range(2):
        P[f::2, f::2] = M
    Zc, Yc = Z - Z.mean(axis=0), Y - Y.mean(axis=0)
    beta = np.linalg.solve(Zc.T @ Zc + 30.0 * P, Zc.T @ Yc)
    weights = delay_weights(delayed, found.coef_)
    np.testing.assert_allclose(weights, beta.reshape(k, 2, 3), atol=1e-9)
    np.testing.assert_allclose(found.predict(delayed.values), Zc @ beta + Y.mean(axis=0), atol=1e-9)


def test_a_smooth_field_is_found_better_with_a_smooth_penalty():
    errors = {}
    for smoothness in (0.0, 0.9):
        wrong = []
        for seed in range(3):
            features, field, Y, _ = recording(noise=4.0, seed=seed)
            delayed = smooth_delays(features, LAGS, step=STEP, smoothness=smoothness)
            model = Ridge(alphas=np.logspace(0, 4, 9), cv=3).fit(delayed.values, Y)
            wrong.append(np.sqrt(((delay_weights(delayed, model.coef_) - field) ** 2).mean()))
        errors[smoothness] = np.mean(wrong)
    assert errors[0.9] < 0.8 * errors[0.0]


@pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")  # of the layer without delays
def test_scores_of_a_recording():
    features, field, Y, run = recording()
    brain = be.Responses(Y, {"run": run}, sampling_rate=64.0, name="01")
    layers = {"toy/smooth": smooth_delays(features, LAGS, step=STEP), "toy/now": features.delay([0.0], step=STEP)}
    scores = be.score_layers(layers, brain, split=be.split.runs(), encoder=Ridge(alphas=np.logspace(-1, 4, 11), cv=2))
    smooth, now = scores.mean()
    power = (field**2).sum(axis=(0, 1))
    assert np.abs(smooth - np.sqrt(power / (power + 1))).max() < 0.08 and (now < smooth - 0.2).all()


def test_nothing_crosses_a_run_and_no_smoothness_is_the_delayed_matrix():
    features, *_ = recording()
    plain, same = features.delay(LAGS, step=STEP), smooth_delays(features, LAGS, step=STEP, smoothness=0.0)
    np.testing.assert_allclose(same.values, plain.values, atol=1e-12)
    values = np.array(features.values)
    values[:200] += 100.0  # the first run
    changed = smooth_delays(be.FeatureSpace(values, features.samples, name="x", rows="sample"), LAGS, step=STEP)
    np.testing.assert_array_equal(changed.values[200:], smooth_delays(features, LAGS, step=STEP).values[200:])
    small = smooth_delays(be.FeatureSpace(values.astype(np.float32), features.samples, rows="sample"), LAGS, step=STEP)
    assert small.values.dtype == np.float32 and small.n_features == 2 * len(LAGS)


def test_weights_of_weighted_delays_predict_what_the_model_predicts():
    features, _, Y, _ = recording()
    delayed = features.delay(Delays([0.0, STEP, 2 * STEP], (1.0, 0.25, 4.0)), step=STEP)
    model = Ridge(alphas=10.0, cv=None).fit(delayed.values, Y[:, 0])
    weights = delay_weights(delayed, model.coef_)
    plain = features.delay([0.0, STEP, 2 * STEP], step=STEP).values.reshape(-1, 3, 2)
    np.testing.assert_allclose(np.einsum("ndf,df->n", plain, weights[..., 0]) + model.intercept_, model.predict(delayed.values), atol=1e-10)


def test_what_has_no_smooth_weights_is_refused():
    features, _, _, _ = recording()
    for wrong, words in (
        ({"delays": [0.0, STEP, 3 * STEP]}, "evenly spaced"),
        ({"delays": [STEP, 0.0]}, "evenly spaced"),
        ({"delays": [0.0, 0.01]}, "multiple of the step"),
        ({"delays": Delays([0.0, STEP], (1.0, 2.0))}, "exclude"),
        ({"smoothness": 1.0}, "smoothness"),
    ):
        with pytest.raises(InputError, match=words):
            smooth_delays(features, **{"delays": LAGS, "step": STEP, **wrong})
    with pytest.raises(InputError, match="compact"):
        delay_weights(compact_delays(features, [0.0, STEP], step=STEP), np.ones(4))
    with pytest.raises(InputError, match="no delays"):
        delay_weights(features, np.ones(2))
    with pytest.raises(InputError, match="do not fit"):
        delay_weights(features.delay([0.0, STEP], step=STEP), np.ones((3, 5)))
