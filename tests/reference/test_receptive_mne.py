"""Smooth weights over delays against mne's Laplacian penalty."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.encoding import Ridge, delay_weights, smooth_delays

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
