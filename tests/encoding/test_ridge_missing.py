"""Targets with missing rows: grouped by what they lack, with the numbers of fits to the rows that are there."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from brainenc.core.errors import BrainencWarning, InputError
from brainenc.encoding import Ridge, fit_path
from brainenc.linalg import ridge as engine

GRID = np.logspace(-3, 5, 17)


def case(n: int, p: int, t: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Targets 0-4 complete, 5-8 without one run, 9 and 10 without some rows of their own, 11 with one row alone."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) + rng.normal(size=p) * 3
    Y = X @ rng.normal(size=(p, t)) / np.sqrt(p) + rng.normal(size=(n, t)) * rng.uniform(0.1, 4, t) + 10
    Y[:7, 5:9] = np.nan
    Y[[3, 12, n - 1], 9] = np.nan
    Y[[2, 4], 10] = np.nan
    Y[1:, 11] = np.nan
    return X, Y


def contiguous(n: int, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.setdiff1d(np.arange(n), rows), rows) for rows in np.array_split(np.arange(n), k)]


@pytest.mark.parametrize(("n", "p"), [(40, 9), (30, 50)])
@pytest.mark.parametrize("solver", ["primal", "kernel"])
@pytest.mark.parametrize("cv", ["loo", "gcv", 4, None])
@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_are_those_of_separate_fits(n: int, p: int, solver: str, cv: Any, weighted: bool) -> None:
    X, Y = case(n, p)
    grid = GRID if cv is not None else 3.0
    weights = np.random.default_rng(1).integers(1, 4, n).astype(float) if weighted else None
    new = np.random.default_rng(2).normal(size=(8, p))
    with pytest.warns(BrainencWarning, match="1 of 12 targets have too few rows"):
        model = Ridge(grid, cv=cv, solver=solver).fit(X, Y, sample_weight=weights)
    with pytest.warns(BrainencWarning, match="too few rows"):
        path = fit_path(X, Y, new, alphas=grid, cv=cv, solver=solver, sample_weight=weights)
    predicted, coef = model.predict(new), None
    assert model.n_patterns_ == 5 and model.n_unfit_ == 1
    for cols in ([0, 1, 2, 3, 4], [5, 6, 7, 8], [9], [10]):
        seen = np.isfinite(Y[:, cols[0]])
        place = np.cumsum(seen) - 1
        folds = cv
        if cv == 4:  # folds are of all rows; what is missing leaves them
            folds = [(place[train[seen[train]]], place[test[seen[test]]]) for train, test in contiguous(n, 4)]
        own = Ridge(grid, cv=folds, solver=solver).fit(X[seen], Y[np.ix_(seen, cols)], sample_weight=None if weights is None else weights[seen])
        np.testing.assert_array_equal(model.alpha_[cols], own.alpha_)
        np.testing.assert_allclose(model.cv_scores_[cols], own.cv_scores_, atol=1e-10)
        np.testing.assert_allclose(predicted[:, cols], own.predict(new), atol=1e-9)
        np.testing.assert_allclose(path.predictions[:, cols], own.predict(new), atol=1e-9)
        coef = model.coef_
        np.testing.assert_allclose(coef[cols], own.coef_, atol=1e-9)
        np.testing.assert_allclose(model.intercept_[cols], own.intercept_, atol=1e-8)
    for array in (model.alpha_[11], model.cv_scores_[11], predicted[:, 11], path.predictions[:, 11], coef[11], model.intercept_[11]):
        assert np.isnan(array).all()


def test_one_decomposition_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    X, Y = case(40, 9, t=60)
    Y[:, 12:] = np.where(np.arange(40)[:, None] < 7, np.nan, Y[:, 12:])
    calls: list[int] = []
    real = engine.kernels.decompose
    monkeypatch.setattr(engine.kernels, "decompose", lambda gram: (calls.append(len(gram)), real(gram))[1])
    with pytest.warns(BrainencWarning):
        Ridge(GRID, cv="loo").fit(X, Y)
    assert len(calls) == 4  # complete, one run, two targets of their own; the target of one row takes none
    monkeypatch.setattr(engine, "MOST_PATTERNS", 4)
    with pytest.raises(InputError, match="too many different sets of rows.*at most 4, got 5"):
        Ridge(GRID, cv="loo").fit(X, Y)


def test_the_automatic_grid_is_that_of_all_rows() -> None:
    X, Y = case(40, 9)
    with pytest.warns(BrainencWarning):
        model = Ridge(cv=3).fit(X, Y)
    np.testing.assert_allclose(model.alphas_, Ridge(cv=3).fit(X, Y[:, :5]).alphas_)


def test_hybrid_search_and_chunks_with_missing_rows() -> None:
    X, _ = case(60, 9)
    rng = np.random.default_rng(3)
    Y = X @ rng.normal(size=(9, 300)) + rng.normal(size=(60, 300)) * rng.uniform(1, 30, 300)
    Y[:6, 100:] = np.nan
    model = Ridge(GRID, cv=4, search="hybrid").fit(X, Y)
    tight = Ridge(GRID, cv=4, search="hybrid", memory=int(0.6 * model.plan_.expected)).fit(X, Y)
    full = Ridge(GRID, cv=4).fit(X, Y)
    np.testing.assert_allclose(tight.predict(X), model.predict(X), atol=1e-10)
    assert (np.abs(np.log(model.alpha_ / full.alpha_)) < 1.5 * np.log(GRID[1] / GRID[0])).mean() >= 0.98


def test_a_fold_that_lost_its_rows_is_left_out() -> None:
    X, Y = case(40, 9)
    Y = Y[:, :6].copy()
    Y[:10, 5] = np.nan  # the whole first fold of four
    model = Ridge(GRID, cv=4).fit(X, Y)
    own = Ridge(GRID, cv=3).fit(X[10:], Y[10:, [5]])
    assert model.alpha_[5] == own.alpha_[0] and model.cv_scores_[5] == pytest.approx(own.cv_scores_[0], abs=1e-10)


def test_nothing_is_warned_of_where_every_target_can_be_fitted() -> None:
    X, Y = case(40, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = Ridge(GRID, cv="loo").fit(X, Y[:, :11])
    assert model.n_unfit_ == 0 and model.edge_fraction_ <= 1
    one = Ridge(GRID, cv="loo").fit(X, Y[:, 9])
    np.testing.assert_allclose(one.predict(X), model.predict(X)[:, 9], atol=1e-10)
