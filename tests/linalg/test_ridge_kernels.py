"""Pieces of the ridge engine that the estimator's tests cannot see one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brainenc.linalg import auto_alphas, ridge_fit, ridge_folds, ridge_loo
from brainenc.linalg import ridge_kernels as kernels


def case(n: int = 60, p: int = 9, t: int = 7, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) + 2
    return X, X @ rng.normal(size=(p, t)) * 0.3 + rng.normal(size=(n, t)) + 1


def folds(n: int, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.setdiff1d(np.arange(n), rows), rows) for rows in np.array_split(np.arange(n), k)]


def test_auto_grid_brackets_the_spectrum() -> None:
    X, Y = case()
    fitted = ridge_fit(X, Y, alphas=None, cv="loo")
    largest = np.linalg.svd(X - X.mean(0), compute_uv=False)[0] ** 2
    np.testing.assert_allclose(fitted.alphas[[0, -1]], largest * np.array([1e-6, 1e2]), rtol=1e-10)
    assert len(fitted.alphas) == 17 and np.allclose(np.diff(np.log10(fitted.alphas)), 0.5)
    assert auto_alphas(0.0)[0] == pytest.approx(1e-6)


@pytest.mark.parametrize("form", ["primal", "kernel"])
@pytest.mark.parametrize("intercept", [True, False])
def test_a_fold_taken_from_the_shared_gram_matrix_is_the_fold_decomposed_alone(form: str, intercept: bool) -> None:
    X, _ = case()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(X))
    cpu, f64 = torch.device("cpu"), np.dtype(np.float64)
    whole = kernels.make_design(X, weights, intercept=intercept, form=form, dtype=f64, device=cpu)
    for train, test in [(np.arange(20, 60), np.arange(5, 20)), (np.arange(12), np.arange(30, 41))]:  # with a gap; few training rows
        fold = ridge_folds.make_fold(whole, train, test)
        mean = np.average(X[train], axis=0, weights=weights[train]) if intercept else 0.0
        own = np.sqrt(weights[train])[:, None] * (X[train] - mean)
        expected = np.linalg.svd(own, compute_uv=False) ** 2
        np.testing.assert_allclose(fold.factor.values, expected[: len(fold.factor.values)], rtol=1e-9)
        assert expected[len(fold.factor.values) :].sum() < 1e-9 * expected[0]


def test_few_directions_and_many_rows_give_the_same_errors_as_the_plain_sum() -> None:
    X, Y = case(n=80, p=3)
    (train, test) = folds(80, 2)[0]
    design = kernels.make_design(X, np.ones(80), intercept=True, form="primal", dtype=np.dtype(np.float64), device=torch.device("cpu"))
    fold = ridge_folds.make_fold(design, train, test)
    assert fold.rotation is not None and len(fold.rotation) > 2 * len(fold.probe)  # the rotated path
    T = torch.from_numpy(Y - Y.mean(0))
    errors = ridge_folds.held_out_errors(ridge_folds.hold_out(design, fold, T, None, 2), np.array([0.1, 10.0]))
    for row, alpha in zip(errors, (0.1, 10.0)):
        centred = X[train] - X[train].mean(0)
        weights = np.linalg.solve(centred.T @ centred + alpha * np.eye(3), centred.T @ Y[train])
        residual = Y[test] - Y[train].mean(0) - (X[test] - X[train].mean(0)) @ weights
        np.testing.assert_allclose(row, (residual**2).sum(0), rtol=1e-10)


@pytest.mark.parametrize(("n", "p"), [(60, 9), (30, 70)])
def test_leave_one_out_bounds_drop_no_minimum(n: int, p: int) -> None:
    X, Y = case(n, p, t=200)
    grid = np.logspace(-1, 6, 22)
    design = kernels.make_design(X, np.ones(n), intercept=True, form="kernel", dtype=np.dtype(np.float64), device=torch.device("cpu"))
    loo = ridge_loo.prepare_leave_one_out(design, kernels.decompose(design.gram), grid)
    T = torch.from_numpy(Y - Y.mean(0))
    errors = ridge_loo.leave_one_out_errors(loo, T, loo.u.T @ T, grid, gcv=False).numpy()
    plain = np.empty_like(errors)
    for i, alpha in enumerate(grid):
        K = (X - X.mean(0)) @ (X - X.mean(0)).T
        hat = K @ np.linalg.inv(K + alpha * np.eye(n)) + 1 / n
        plain[i] = (((Y - hat @ Y) / (1 - np.diag(hat))[:, None]) ** 2).sum(0)
    np.testing.assert_array_equal(errors.argmin(0), plain.argmin(0))
    np.testing.assert_allclose(errors.min(0), plain.min(0), rtol=1e-8)
    assert (errors <= plain * (1 + 1e-8)).all()  # what was not computed holds a lower bound
    assert (errors < plain * (1 - 1e-6)).any()  # and something was left out indeed


def test_folds_are_decomposed_in_groups_when_memory_is_short() -> None:
    X, Y = case(n=120, p=150, t=40)
    fine = ridge_fit(X, Y, alphas=None, cv=folds(120, 10))
    tight = ridge_fit(X, Y, alphas=None, cv=folds(120, 10), memory=2_400_000)
    assert tight.plan.group < fine.plan.group == 10 and tight.plan.expected <= 2_400_000
    np.testing.assert_array_equal(tight.alpha, fine.alpha)
    assert fine.weights is not None and tight.weights is not None
    np.testing.assert_allclose(tight.weights, fine.weights, rtol=0, atol=1e-12)
