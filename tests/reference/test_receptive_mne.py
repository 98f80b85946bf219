"""Receptive fields and smooth weights over delays against mne's ``TimeDelayingRidge``."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.encoding import ReceptiveField, Ridge, delay_weights, smooth_delays

decoding = pytest.importorskip("mne.decoding")


@pytest.mark.parametrize("lags", [np.arange(0, 9), np.arange(-3, 6)])
def test_near_one_smoothness_is_the_laplacian_of_mne(lags):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 3))
    features = be.FeatureSpace(X, {"run": [1] * 500}, name="toy/x", rows="sample")
    Z = features.delay(lags / 64, step=1 / 64).values
    Y = Z @ rng.standard_normal((Z.shape[1], 2)) + rng.standard_normal((500, 2))
    theirs = decoding.TimeDelayingRidge(lags[0] / 64, lags[-1] / 64, 64.0, alpha=50.0, reg_type=("laplacian", "ridge"), fit_intercept=False)
    theirs.fit(X, Y)
    s = 1 - 1e-9
    delayed = smooth_delays(features, lags / 64, step=1 / 64, smoothness=s)
    ours = delay_weights(delayed, Ridge(alphas=50.0 / s, cv=None, fit_intercept=False).fit(delayed.values, Y).coef_)
    np.testing.assert_allclose(ours.transpose(2, 1, 0), theirs.coef_, atol=1e-6)


@pytest.mark.parametrize("lags", [np.arange(0, 9), np.arange(-3, 6), np.arange(0, 1)], ids=str)
@pytest.mark.parametrize("reg_type", ["ridge", ("laplacian", "ridge")], ids=str)
def test_fields_of_several_runs_are_those_of_mne(lags, reg_type):
    """mne takes runs of one length as epochs; it takes means off before delaying, which differs at the edges, so both go without."""
    rng = np.random.default_rng(0)
    n, run = 150, np.repeat([1, 2, 3], 150)
    X = rng.standard_normal((450, 3))
    Y = rng.standard_normal((450, 2)) + X[:, :1]
    theirs = decoding.TimeDelayingRidge(lags[0] / 64, lags[-1] / 64, 64.0, alpha=50.0, reg_type=reg_type, fit_intercept=False)
    theirs.fit(X.reshape(3, n, 3).swapaxes(0, 1), Y.reshape(3, n, 2).swapaxes(0, 1))
    s = 0.0 if reg_type == "ridge" or len(lags) == 1 else 1 - 1e-9
    ours = ReceptiveField(lags / 64, step=1 / 64, smoothness=s, alphas=50.0 / (s or 1.0), cv=None, fit_intercept=False).fit(X, Y, groups=run)
    np.testing.assert_allclose(ours.receptive_fields_.transpose(2, 1, 0), theirs.coef_, atol=1e-6)
    one = np.stack([ours.predict(X, groups=run)[run == 2], theirs.predict(X[run == 2])])
    np.testing.assert_allclose(one[0], one[1], atol=1e-6)
