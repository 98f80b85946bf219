"""Ridge against scikit-learn and himalaya where they are right, and counter-tests where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV as SklearnRidgeCV
from sklearn.model_selection import GroupKFold, KFold

from brainenc.core.errors import InputError
from brainenc.encoding import Ridge

GRID = np.logspace(-2, 4, 13)
SHAPES = [(50, 9), (25, 60)]


def case(n: int, p: int, t: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, p)) + 1
    return X, X @ rng.normal(size=(p, t)) / np.sqrt(p) + rng.normal(size=(n, t)) * rng.uniform(0.2, 3, t)


@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("solver", ["primal", "kernel"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_equals_scikit_learn_at_one_penalty(n: int, p: int, solver: str, intercept: bool, weighted: bool) -> None:
    X, Y = case(n, p)
    weights = np.random.default_rng(0).uniform(0.1, 3, n) if weighted else None
    for alpha in (0.01, 1.0, 300.0):
        ours = Ridge(alpha, cv=None, solver=solver, fit_intercept=intercept).fit(X, Y, sample_weight=weights)
        theirs = SklearnRidge(alpha=alpha, fit_intercept=intercept, solver="cholesky").fit(X, Y, sample_weight=weights)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-8)
        np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=1e-8)
        assert ours.score(X, Y) == pytest.approx(theirs.score(X, Y), abs=1e-10)


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_leave_one_out_equals_scikit_learn(n: int, p: int) -> None:
    X, Y = case(n, p)
    theirs = SklearnRidgeCV(GRID, alpha_per_target=True, store_cv_results=True).fit(X, Y)
    ours = Ridge(GRID, cv="loo").fit(X, Y)
    np.testing.assert_array_equal(ours.alpha_, theirs.alpha_)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_folds_equal_himalaya(n: int, p: int) -> None:
    himalaya = pytest.importorskip("himalaya.kernel_ridge", reason="himalaya is not installed (extra: peers)")
    X, Y = case(n, p)
    # himalaya averages scores over folds, so the folds are of equal size here
    theirs: Any = himalaya.KernelRidgeCV(alphas=GRID, cv=KFold(5), fit_intercept=True, warn=False).fit(X, Y)
    ours = Ridge(GRID, cv=5).fit(X, Y)
    np.testing.assert_allclose(ours.alpha_, np.asarray(theirs.best_alphas_), rtol=1e-12)
    np.testing.assert_allclose(ours.predict(X), np.asarray(theirs.predict(X)), rtol=0, atol=1e-8)


def test_what_himalaya_cannot_do() -> None:
    himalaya = pytest.importorskip("himalaya.kernel_ridge", reason="himalaya is not installed (extra: peers)")
    X, Y = case(50, 9)
    groups = np.repeat(np.arange(5), 10)
    with pytest.raises((ValueError, TypeError)):
        himalaya.KernelRidgeCV(alphas=GRID, cv=GroupKFold(5), warn=False).fit(X, Y)
    assert Ridge(GRID, cv=GroupKFold(5)).fit(X, Y, groups=groups).alpha_.shape == (8,)
    himalaya.KernelRidge(alpha=-1.0, warn=False).fit(X, Y)  # accepted without a word
    with pytest.raises(InputError, match="got -1"):
        Ridge(-1.0, cv=None).fit(X, Y)


def test_one_fold_of_rows_can_be_smaller_and_rows_count_the_same() -> None:
    """Errors are summed over rows, not averaged over folds: a short last fold does not weigh more per row."""
    X, Y = case(52, 9)
    folds = list(KFold(5).split(X))
    summed = np.zeros((len(GRID), 8))
    for train, test in folds:
        for i, alpha in enumerate(GRID):
            summed[i] += ((Y[test] - SklearnRidge(alpha=alpha).fit(X[train], Y[train]).predict(X[test])) ** 2).sum(0)
    np.testing.assert_array_equal(Ridge(GRID, cv=5).fit(X, Y).alpha_, GRID[summed.argmin(0)])
