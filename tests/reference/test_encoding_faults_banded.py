"""Counter-tests of what goes wrong with bands elsewhere: ours is shown right by an independent computation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Plain
from sklearn.model_selection import GroupKFold, KFold

from brainenc.encoding import BandedRidge

SIZES = [6, 9, 5]
GRID = np.logspace(-2, 3, 9)


def case(n: int = 60, t: int = 6) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n, 20))
    parts = np.split(X, np.cumsum(SIZES)[:-1], axis=1)
    Y = np.stack([parts[v % 3] @ rng.normal(size=SIZES[v % 3]) for v in range(t)], axis=1) + rng.normal(size=(n, t))
    return X, Y, parts


@pytest.mark.parametrize("solver", ["primal", "kernel"])
def test_winner_take_all_works_in_either_form(solver: str) -> None:
    X, Y, parts = case()
    model = BandedRidge(SIZES, GRID, search=np.eye(3), full=True, cv=5, fit_intercept=False, solver=solver).fit(X, Y)
    errors = np.zeros((3, len(GRID), 6))
    for train, test in KFold(5).split(X):
        for k, part in enumerate(parts):
            for j, alpha in enumerate(GRID):
                errors[k, j] += ((Y[test] - Plain(alpha, fit_intercept=False).fit(part[train], Y[train]).predict(part[test])) ** 2).sum(0)
    best = errors.reshape(-1, 6).argmin(0)
    np.testing.assert_array_equal(model.band_weights_, np.eye(3)[best // len(GRID)])
    np.testing.assert_allclose(model.alpha_, GRID[best % len(GRID)])
    assert np.isfinite(model.predict(X)).all()


def test_winner_take_all_crashes_in_the_peers_primal_form() -> None:
    ridge = pytest.importorskip("himalaya.ridge", reason="himalaya is not installed (extra: peers)")
    X, Y, parts = case()
    options = {"n_iter": np.eye(3), "alphas": GRID, "progress_bar": False, "warn": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = ridge.GroupRidgeCV(groups="input", cv=KFold(5), solver_params=options).fit(parts, Y).predict(parts)
    except Exception as error:  # whatever it says, it does not fit what its documentation suggests
        assert "infs or NaNs" in str(error) or "NaN" in str(error) or isinstance(error, ValueError | FloatingPointError)
        return
    ours = BandedRidge(SIZES, GRID, search=np.eye(3), full=True, cv=5, fit_intercept=False).fit(X, Y)
    np.testing.assert_allclose(ours.predict(X), np.asarray(theirs), atol=1e-6)


def test_groups_can_be_passed_and_a_hole_concerns_its_target_only() -> None:
    X, Y, _ = case()
    groups = np.arange(60) // 12
    complete = BandedRidge(SIZES, GRID, search="random", n_iter=6, cv=GroupKFold(5)).fit(X, Y, groups=groups)
    holes = Y.copy()
    holes[:5, 2] = np.nan
    model = BandedRidge(SIZES, GRID, search="random", n_iter=6, cv=GroupKFold(5)).fit(X, holes, groups=groups)
    others = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(model.predict(X)[:, others], complete.predict(X)[:, others], atol=1e-9)
    assert np.isfinite(model.predict(X)).all() and not np.allclose(model.predict(X)[:, 2], complete.predict(X)[:, 2])
