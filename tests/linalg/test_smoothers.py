"""The matrix of ridge regression against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from brainenc.core.errors import InputError
from brainenc.linalg.smoothers import ridge_smoothers


@pytest.mark.parametrize(("n", "p"), [(30, 8), (12, 40)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_matrix_predicts_what_scikit_learn_predicts(rng, n, p, weighted, intercept):
    X, X_test, Y = rng.standard_normal((n, p)) + 3, rng.standard_normal((7, p)), rng.standard_normal((n, 5)) + 2
    weights = rng.integers(1, 4, n).astype(float) if weighted else None
    kept = X.copy()
    found = ridge_smoothers(X, X_test, [0.5, 10.0], sample_weight=weights, fit_intercept=intercept)
    assert found.shape == (2, 7, n)
    for alpha, smoother in zip((0.5, 10.0), found, strict=True):
        expected = Ridge(alpha=alpha, fit_intercept=intercept).fit(X, Y, sample_weight=weights).predict(X_test)
        np.testing.assert_allclose(smoother.numpy() @ Y, expected, atol=1e-10)
    np.testing.assert_array_equal(X, kept)


def test_float32_features_are_computed_in_float32(rng):
    X, X_test, Y = rng.standard_normal((30, 50)).astype(np.float32), rng.standard_normal((6, 50)).astype(np.float32), rng.standard_normal((30, 2))
    found = ridge_smoothers(X, X_test, 3.0)[0].numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ Y, Ridge(alpha=3.0).fit(X.astype(float), Y).predict(X_test.astype(float)), atol=1e-4)


def test_a_row_of_weight_zero_and_copies_of_a_feature_do_no_harm(rng):
    X, X_test = rng.standard_normal((20, 4)), rng.standard_normal((5, 4))
    weights = np.r_[0.0, np.ones(19)]
    found = ridge_smoothers(X, X_test, 1.0, sample_weight=weights)[0].numpy()
    np.testing.assert_allclose(found[:, 0], 0, atol=1e-12)
    np.testing.assert_allclose(found[:, 1:], ridge_smoothers(X[1:], X_test, 1.0)[0].numpy(), atol=1e-12)
    twice = ridge_smoothers(np.c_[X, X], np.c_[X_test, X_test], 0.0)[0].numpy()
    np.testing.assert_allclose(twice, ridge_smoothers(X, X_test, 0.0)[0].numpy(), atol=1e-10)


def test_penalties_below_zero_are_refused(rng):
    with pytest.raises(InputError, match="finite numbers >= 0"):
        ridge_smoothers(np.ones((3, 1)), np.ones((2, 1)), [-1.0])
