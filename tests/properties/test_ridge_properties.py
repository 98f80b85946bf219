"""What must hold for ridge regression whatever the data."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from brainenc.encoding import Ridge

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 10**6)
shapes = st.sampled_from([(24, 7), (17, 31), (20, 19), (20, 20)])
solvers = st.sampled_from(["primal", "kernel"])
GRID = np.logspace(-2, 3, 11)


def case(seed: int, n: int, p: int, t: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * rng.uniform(0.3, 3, p)
    return X, X @ rng.normal(size=(p, t)) * 0.3 + rng.normal(size=(n, t))


@quick
@given(seed=seeds, shape=shapes, solver=solvers)
def test_the_order_of_rows_does_not_matter(seed: int, shape: tuple[int, int], solver: str) -> None:
    X, Y = case(seed, *shape)
    order = np.random.default_rng(seed + 1).permutation(len(X))
    a, b = Ridge(GRID, cv="loo", solver=solver).fit(X, Y), Ridge(GRID, cv="loo", solver=solver).fit(X[order], Y[order])
    np.testing.assert_array_equal(a.alpha_, b.alpha_)
    np.testing.assert_allclose(a.coef_, b.coef_, rtol=0, atol=1e-9)


@quick
@given(seed=seeds, shape=shapes, factor=st.sampled_from([1e-3, 0.5, 7.0, 1e4]), shift=st.floats(-100, 100))
def test_units_of_targets_and_features_do_not_matter(seed: int, shape: tuple[int, int], factor: float, shift: float) -> None:
    X, Y = case(seed, *shape)
    base = Ridge(cv="loo").fit(X, Y)
    scaled = Ridge(cv="loo").fit(X * factor + shift, Y * 3 - shift)  # the automatic grid moves with the features
    np.testing.assert_allclose(scaled.alpha_, base.alpha_ * factor**2, rtol=1e-6)
    np.testing.assert_allclose(scaled.predict(X * factor + shift), base.predict(X) * 3 - shift, rtol=0, atol=1e-6)
    np.testing.assert_allclose(scaled.cv_scores_, base.cv_scores_, atol=1e-7)


@quick
@given(seed=seeds, shape=shapes)
def test_rotating_the_features_changes_no_prediction(seed: int, shape: tuple[int, int]) -> None:
    X, Y = case(seed, *shape)
    rotation = ortho_group.rvs(X.shape[1], random_state=seed)
    np.testing.assert_allclose(Ridge(GRID, cv=4).fit(X @ rotation, Y).predict(X @ rotation), Ridge(GRID, cv=4).fit(X, Y).predict(X), rtol=0, atol=1e-8)


@quick
@given(seed=seeds, shape=shapes, solver=solvers)
def test_the_limits_of_the_penalty(seed: int, shape: tuple[int, int], solver: str) -> None:
    X, Y = case(seed, *shape)
    largest = Ridge(1e12, cv=None, solver=solver).fit(X, Y)
    np.testing.assert_allclose(largest.predict(X), np.broadcast_to(Y.mean(0), Y.shape), atol=1e-6)
    none = Ridge(1e-11, cv=None, solver=solver).fit(X, Y)
    A = np.column_stack([X - X.mean(0), np.ones(len(X))])
    np.testing.assert_allclose(none.predict(X), A @ np.linalg.lstsq(A, Y, rcond=None)[0], atol=1e-5)
    norms = [np.linalg.norm(Ridge(alpha, cv=None, solver=solver).fit(X, Y).coef_) for alpha in (0.1, 1.0, 10.0)]
    assert norms[0] > norms[1] > norms[2]


@quick
@given(seed=seeds, shape=shapes, cv=st.sampled_from(["loo", "gcv", 3, 5]))
def test_primal_and_kernel_agree(seed: int, shape: tuple[int, int], cv: object) -> None:
    X, Y = case(seed, *shape)
    primal, kernel = (Ridge(GRID, cv=cv, solver=solver).fit(X, Y) for solver in ("primal", "kernel"))
    np.testing.assert_array_equal(primal.alpha_, kernel.alpha_)
    np.testing.assert_allclose(primal.coef_, kernel.coef_, rtol=0, atol=1e-9)
    np.testing.assert_allclose(primal.cv_scores_, kernel.cv_scores_, rtol=0, atol=1e-9)


@quick
@given(seed=seeds, shape=shapes)
def test_whole_weights_are_repeated_rows(seed: int, shape: tuple[int, int]) -> None:
    X, Y = case(seed, *shape)
    counts = np.random.default_rng(seed).integers(1, 4, len(X))
    weighted = Ridge(2.0, cv=None).fit(X, Y, sample_weight=counts)
    repeated = Ridge(2.0, cv=None).fit(np.repeat(X, counts, axis=0), np.repeat(Y, counts, axis=0))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=0, atol=1e-9)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, rtol=0, atol=1e-9)
