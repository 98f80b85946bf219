"""Kernels of banded ridge against explicit fits: held-out errors from one decomposition, closed-form rows, weights, stacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brainenc.linalg import banded
from brainenc.linalg.banded_stack import simplex_weights

CPU = torch.device("cpu")
BANDS = [np.arange(3), np.arange(3, 9), np.array([10, 9, 11])]
WEIGHTS = np.array([0.2, 0.7, 0.1])


def case(n: int = 25, t: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 12)) + 2
    return X, X @ rng.normal(size=(12, t)) + rng.normal(size=(n, t)) + 5, rng.integers(1, 4, n).astype(float)


def explicit(X: np.ndarray, Y: np.ndarray, s: np.ndarray, g: np.ndarray, alpha: float, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and intercepts by the normal equations, with the penalty alpha / g of each column and none of the intercept."""
    penalty = np.empty(X.shape[1])
    for cols, one in zip(BANDS, g, strict=True):
        penalty[cols] = alpha / one
    A = np.column_stack([X, np.ones(len(X))]) if intercept else X
    P = np.diag(np.r_[penalty, 0.0] if intercept else penalty)
    W = np.linalg.solve(A.T @ (s[:, None] * A) + P, A.T @ (s[:, None] * Y))
    return (W[:-1], W[-1]) if intercept else (W, np.zeros(Y.shape[1]))


def tensors(X: np.ndarray, Y: np.ndarray, s: np.ndarray, form: str, intercept: bool) -> tuple[banded.BandDesign, torch.Tensor]:
    design = banded.make_bands(X, BANDS, s, intercept=intercept, form=form, dtype=np.dtype(np.float64), device=CPU)
    mean = np.average(Y, axis=0, weights=s) if intercept else 0.0
    return design, torch.from_numpy(np.sqrt(s)[:, None] * (Y - mean))


@pytest.mark.parametrize("form", ["primal", "kernel"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("n", [25, 9])
def test_errors_of_left_out_rows_are_those_of_a_fit_without_them(form: str, intercept: bool, n: int) -> None:
    X, Y, s = case(n)
    design, T = tensors(X, Y, s, form, intercept)
    one = banded.weigh(design, WEIGHTS)
    splits = [(np.arange(4, n), np.arange(4)), (np.arange(n - 5), np.array([n - 2, n - 1])), (np.arange(0, n, 2), np.arange(1, n, 4))]
    folds = banded.held_out_rows(splits, n, CPU)
    alpha = 3.0
    shrink = banded.shrinkage(one, torch.tensor([alpha], dtype=torch.float64))[0]
    A = one.u.T @ T
    rest = banded.residuals(one, T, A, shrink)
    rows = [one.u[fold.left_out] for fold in folds]
    for (train, test), fold, solver in zip(splits, folds, banded.solvers(rows, shrink, folds, torch.float64), strict=True):
        W, b = explicit(X[train], Y[train], s[train], WEIGHTS, alpha, intercept)
        expected = np.sqrt(s[test])[:, None] * (Y[test] - X[test] @ W - b)
        np.testing.assert_allclose(banded.fold_residuals(rest, solver, fold).numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("form", ["primal", "kernel"])
def test_rows_left_out_one_by_one(form: str) -> None:
    X, Y, s = case()
    design, T = tensors(X, Y, s, form, True)
    one = banded.weigh(design, WEIGHTS)
    shrink = banded.shrinkage(one, torch.tensor([0.7], dtype=torch.float64))[0]
    found = banded.residuals(one, T, one.u.T @ T, shrink) / banded.row_room(one, shrink, gcv=False)[:, None]
    for i in range(len(X)):
        kept = np.arange(len(X)) != i
        W, b = explicit(X[kept], Y[kept], s[kept], WEIGHTS, 0.7, True)
        np.testing.assert_allclose(found[i].numpy(), np.sqrt(s[i]) * (Y[i] - X[i] @ W - b), atol=1e-9)


@pytest.mark.parametrize("form", ["primal", "kernel"])
def test_final_weights_and_gcv(form: str) -> None:
    X, Y, s = case()
    design, T = tensors(X, Y, s, form, True)
    one = banded.weigh(design, WEIGHTS)
    A, alphas = one.u.T @ T, torch.tensor([0.5, 4.0], dtype=torch.float64)
    found = banded.final_weights(design, one, A, torch.full((7,), 4.0, dtype=torch.float64)).numpy()
    W, _ = explicit(X, Y, s, WEIGHTS, 4.0, True)
    if form == "kernel":
        found = np.concatenate([g * (X[:, cols] - design.mean[cols]).T @ found for cols, g in zip(BANDS, WEIGHTS, strict=True)])
        W = W[np.concatenate(BANDS)]
    np.testing.assert_allclose(found, W, atol=1e-9)
    scaled = np.column_stack([np.sqrt(s)[:, None] * X, np.sqrt(s)])
    penalty = np.zeros(13)
    for cols, g in zip(BANDS, WEIGHTS, strict=True):
        penalty[cols] = 0.5 / g
    H = scaled @ np.linalg.solve(scaled.T @ scaled + np.diag(penalty), scaled.T)
    y = np.sqrt(s)[:, None] * Y
    expected = ((y - H @ y) ** 2).sum(0) / (1 - np.trace(H) / 25) ** 2
    found = banded.gcv(A, banded.squares(T), banded.shrinkage(one, alphas), 25)[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_band_of_weight_zero_is_as_if_absent() -> None:
    X, Y, s = case()
    for form in ("primal", "kernel"):
        design, T = tensors(X, Y, s, form, True)
        one = banded.weigh(design, np.array([0.5, 0.0, 0.5]))
        without = banded.make_bands(X[:, [0, 1, 2, 10, 9, 11]], [np.arange(3), np.arange(3, 6)], s, intercept=True, form=form,
                                    dtype=np.dtype(np.float64), device=CPU)  # fmt: skip
        two = banded.weigh(without, np.array([0.5, 0.5]))
        np.testing.assert_allclose(one.values, two.values, rtol=1e-10)
        fitted = [w.u @ (w.u.T @ T) for w in (one, two)]
        np.testing.assert_allclose(fitted[0], fitted[1], atol=1e-9)


def test_weights_on_the_simplex_are_the_least() -> None:
    rng = np.random.default_rng(1)
    errors = rng.normal(size=(40, 30, 4)) * rng.uniform(0.5, 3, (40, 1, 4)) + rng.normal(size=(40, 30, 1))
    gram = np.einsum("tri,trj->tij", errors, errors)
    found = simplex_weights(gram)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)
    assert (found >= 0).all() and (found == 0).any()
    value = np.einsum("ti,tij,tj->t", found, gram, found)
    drawn = np.concatenate([rng.dirichlet(np.ones(4), 2000), np.eye(4), 0.98 * np.eye(4) + 0.005])
    assert (value[:, None] <= np.einsum("mi,tij,mj->tm", drawn, gram, drawn) * (1 + 1e-9)).all()
    # first-order conditions: the gradient is the same where weights are positive, and no smaller elsewhere
    gradient = np.einsum("tij,tj->ti", gram, found)
    assert (gradient >= value[:, None] * (1 - 1e-6)).all()
    np.testing.assert_allclose(simplex_weights(np.ones((1, 2, 2))), [[0.5, 0.5]])
