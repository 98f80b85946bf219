"""Banded ridge against himalaya where it is right: the same sets of weights give the same choices and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import KFold

from brainenc.encoding import BandedRidge, product_measure

SIZES = [6, 9, 30]
GRID = np.logspace(-2, 4, 9)


def case(n: int = 40, t: int = 8) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n, sum(SIZES)))
    Y = X @ (rng.normal(size=(sum(SIZES), t)) * np.repeat(rng.dirichlet(np.ones(3), t).T, SIZES, axis=0)) + rng.normal(size=(n, t))
    return X, Y, np.split(X, np.cumsum(SIZES)[:-1], axis=1)


@pytest.fixture(autouse=True)
def backend() -> Any:
    pytest.importorskip("himalaya", reason="himalaya is not installed (extra: peers)")
    from himalaya.backend import set_backend

    return set_backend("numpy")


@pytest.mark.parametrize("solver", ["primal", "kernel"])
def test_equals_a_weighted_kernel_ridge_at_fixed_weights(solver: str) -> None:
    from himalaya.kernel_ridge import WeightedKernelRidge

    X, Y, parts = case()
    kernels = np.stack([part @ part.T for part in parts])
    for weights in ([0.2, 0.5, 0.3], [0.01, 0.9, 0.09]):
        ours = BandedRidge(SIZES, 3.0, search=weights, cv=None, fit_intercept=False, solver=solver).fit(X, Y)
        theirs = WeightedKernelRidge(alpha=3.0, deltas=np.log(weights), kernels="precomputed", solver_params={"max_iter": 2000, "tol": 1e-12}).fit(kernels, Y)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(kernels), rtol=0, atol=1e-8)
        split = theirs.predict(kernels, split=True)
        np.testing.assert_allclose(ours.predict_by_space(X, intercept=False), split, rtol=0, atol=1e-8)


@pytest.mark.parametrize("solver", ["primal", "kernel"])
def test_the_same_sets_of_weights_lead_to_the_same_choices(solver: str) -> None:
    from himalaya.kernel_ridge import MultipleKernelRidgeCV
    from himalaya.ridge import GroupRidgeCV

    X, Y, parts = case()
    search = np.concatenate([np.full((1, 3), 1 / 3), np.random.default_rng(0).dirichlet(np.ones(3), 12)])
    ours = BandedRidge(SIZES, GRID, search=search, full=True, cv=4, fit_intercept=False, solver=solver).fit(X, Y)
    options = {"n_iter": search, "alphas": GRID, "progress_bar": False}
    kernel = MultipleKernelRidgeCV(kernels="precomputed", cv=KFold(4), solver_params=options).fit(np.stack([part @ part.T for part in parts]), Y)
    primal = GroupRidgeCV(groups="input", cv=KFold(4), solver_params=options | {"warn": False}).fit(parts, Y)
    for theirs, x in ((kernel, np.stack([part @ part.T for part in parts])), (primal, parts)):
        deltas = ours.band_weights_.T / ours.alpha_
        np.testing.assert_allclose(np.exp(theirs.deltas_), deltas, rtol=1e-6)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(x), rtol=0, atol=1e-6)


def test_product_measure_equals_theirs() -> None:
    from himalaya.scoring import r2_score_split

    X, Y, _ = case()
    model = BandedRidge(SIZES, n_iter=10).fit(X, Y)
    centred, parts = Y - Y.mean(0), model.predict_by_space(X, intercept=False)
    np.testing.assert_allclose(product_measure(Y, parts, mean=Y.mean(0)), r2_score_split(centred, parts), atol=1e-12)
