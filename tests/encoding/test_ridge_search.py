"""Which penalty: hybrid search and conservative choice against the full grid by brute force, and interpolation in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import LeaveOneGroupOut

from brainenc.encoding import Ridge, fit_path
from brainenc.linalg import ridge_folds, ridge_search
from brainenc.linalg import ridge_kernels as kernels

GRID = np.logspace(-3, 5, 17)


def case(n: int, p: int, t: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.arange(1, p + 1) ** -0.4 + rng.normal(size=p) * 3
    signal = (X - X.mean(0)) @ rng.normal(size=(p, t)) / np.sqrt(p)
    return X, signal + rng.normal(size=(n, t)) * rng.uniform(0.1, 4, t) + 10


def curves(X: np.ndarray, Y: np.ndarray, folds: Any, grid: np.ndarray = GRID) -> np.ndarray:
    """Return held-out squared errors (n_folds, n_alphas, n_targets), one explicit fit each."""
    out = []
    for train, test in folds:
        centred, mean = X[train] - X[train].mean(0), Y[train].mean(0)
        u, s, vt = np.linalg.svd(centred, full_matrices=False)
        rows = (X[test] - X[train].mean(0)) @ vt.T
        out.append([((Y[test] - mean - rows @ ((s / (s**2 + a))[:, None] * (u.T @ (Y[train] - mean)))) ** 2).sum(0) for a in grid])
    return np.array(out)


def contiguous(n: int, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.setdiff1d(np.arange(n), rows), rows) for rows in np.array_split(np.arange(n), k)]


@pytest.mark.parametrize(("n", "p"), [(60, 9), (40, 70)])
@pytest.mark.parametrize("solver", ["primal", "kernel"])
def test_the_hybrid_search_ends_in_a_local_optimum_and_mostly_in_the_best(n: int, p: int, solver: str) -> None:
    X, Y = case(n, p, t=200)
    groups = np.repeat(np.arange(n // 10), 10)
    for cv, folds in ((4, contiguous(n, 4)), (LeaveOneGroupOut(), list(LeaveOneGroupOut().split(X, Y, groups)))):
        total = curves(X, Y, folds).sum(0)
        model = Ridge(GRID, cv=cv, search="hybrid", solver=solver).fit(X, Y, groups=groups)
        if model.search_.startswith("full"):
            np.testing.assert_array_equal(model.alpha_, GRID[total.argmin(0)])
            continue
        found, here = np.searchsorted(GRID, model.alpha_), np.arange(200)
        for side in (np.maximum(found - 1, 0), np.minimum(found + 1, 16)):
            assert (total[found, here] <= total[side, here] + 1e-9).all()
        assert (np.abs(found - total.argmin(0)) <= 1).mean() >= 0.97
        base = sum(((Y[test] - Y[train].mean(0)) ** 2).sum(0) for train, test in folds)
        np.testing.assert_allclose(model.cv_scores_, 1 - total[found, here] / base, atol=1e-8)  # scores are by folds, not by the scan
        assert 2 <= np.median(model.n_tried_) < 8 and "targets searched in full agree" in model.search_


def test_chunks_and_groups_of_folds_do_not_change_a_hybrid_search() -> None:
    X, Y = case(120, 150, t=300)
    whole = Ridge(cv=6, search="hybrid").fit(X, Y)
    tight = Ridge(cv=6, search="hybrid", memory=int(0.45 * whole.plan_.expected)).fit(X, Y)
    assert whole.search_.startswith("hybrid") and tight.plan_.group < whole.plan_.group == 6 and tight.plan_.chunk < 300
    np.testing.assert_array_equal(tight.alpha_, whole.alpha_)
    np.testing.assert_array_equal(tight.n_tried_, whole.n_tried_)
    np.testing.assert_allclose(tight.cv_scores_, whole.cv_scores_, atol=1e-10)


def two_maxima(seed: int, t: int = 100) -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Targets whose held-out error has a second, better minimum that the scan does not see: the signal of strong features turns
    round in the held-out runs, and that of weak ones does not."""
    rng = np.random.default_rng(seed)
    n = 200
    X = rng.normal(size=(n, 12)) * np.r_[np.full(6, 10.0), np.full(6, 0.1)]
    strong, weak = X[:, :6] @ rng.normal(size=(6, t)) / 10, X[:, 6:] @ rng.normal(size=(6, t)) / 0.1
    held = np.arange(n) >= 160
    Y = np.where(held[:, None], -0.4, 1.0) * strong + 0.6 * weak + 0.3 * rng.normal(size=(n, t))
    return X, Y, [(np.flatnonzero(~held), np.flatnonzero(held))]


def test_a_scan_that_misleads_is_found_out_and_everybody_searched_in_full() -> None:
    X, Y, folds = two_maxima(0)
    grid = np.logspace(-3, 7, 21)
    total = curves(X, Y, folds, grid).sum(0)
    best = len(grid) - 1 - total[::-1].argmin(0)
    minima = ridge_search._minima(total).sum(0)
    assert (minima > 1).mean() > 0.5  # the hard case is the one meant
    model = Ridge(grid, cv=folds, search="hybrid").fit(X, Y)
    assert model.search_.startswith("full (") and "agreed with the scan" in model.search_ and (model.n_tried_ == 21).all()
    np.testing.assert_array_equal(np.searchsorted(grid, model.alpha_), best)


def test_minima_of_scans() -> None:
    curve = np.array([[5.0, 1, 1, 9], [4, 2, 1, 8], [3, 1, 1, 9], [4, 2, 1, 7], [2, 3, 1, 9.0], [2 + 1e-9, 4, 1, np.nan]])
    expected = np.zeros((6, 4), dtype=bool)
    expected[[2, 5], 0] = True  # a tie goes to the larger penalty
    expected[[0, 2], 1] = True
    expected[5, 2] = True
    expected[[1, 3], 3] = True
    np.testing.assert_array_equal(ridge_search._minima(curve), expected)


def test_short_grids_and_few_targets_are_searched_in_full() -> None:
    X, Y = case(60, 9)
    assert Ridge((1, 10, 100), search="hybrid").fit(X, Y).search_ == "full"
    few = Ridge(GRID, cv=3, search="hybrid").fit(X, Y[:, :9])
    assert few.search_ == "full" and (few.n_tried_ == 17).all()
    assert Ridge(GRID, cv="loo", search="hybrid").fit(X, Y).search_ == "closed form"
    assert Ridge(1.0, cv=None).fit(X, Y).search_ == "none"


@pytest.mark.parametrize("search", ["full", "hybrid"])
def test_the_conservative_choice_is_one_standard_error_away(search: str) -> None:
    X, Y = case(65, 9, t=120)  # folds of 17 and 16 rows
    folds = contiguous(65, 4)
    per_fold = curves(X, Y, folds)
    sizes = np.array([len(test) for _, test in folds])
    mean = per_fold.sum(0) / 65
    least = mean.argmin(0)
    expected = np.empty(120, dtype=int)
    for v in range(120):
        own = per_fold[:, least[v], v] / sizes
        se = np.sqrt(np.average((own - mean[least[v], v]) ** 2, weights=sizes) / 3)
        within = np.flatnonzero(mean[:, v] <= mean[least[v], v] + se)
        if search == "hybrid":  # climbs, so it stops at the first that is further away
            within = within[within <= least[v] + np.argmin(np.isin(np.arange(least[v], 18), within)) - 1]
        expected[v] = within.max()
    model = Ridge(GRID, cv=4, conservative=True, search=search).fit(X, Y)
    found = np.searchsorted(GRID, model.alpha_)
    assert (found == expected).mean() >= (1.0 if search == "full" else 0.97)
    assert (found >= least).mean() > 0.97 and (found > least).mean() > 0.5


@pytest.mark.parametrize(("n", "p"), [(150, 40), (100, 300)])
def test_interpolated_errors_are_the_plain_ones_to_the_tolerance(n: int, p: int) -> None:
    X, Y = case(n, p, t=50)
    grid = np.logspace(-5, 2, 20) * np.linalg.norm(X - X.mean(0), 2) ** 2
    form = "primal" if p < n else "kernel"
    design = kernels.make_design(X, np.ones(n), intercept=True, form=form, dtype=np.dtype(np.float32), device=torch.device("cpu"))
    T = torch.from_numpy((Y - Y.mean(0)).astype(np.float32))
    fold = ridge_folds.make_fold(design, *contiguous(n, 4)[1])
    nodes = ridge_folds.find_nodes(fold.factor.values, grid)
    assert nodes is not None and len(nodes.which) < 17 and nodes.error < ridge_folds.TOLERANCE and np.abs(nodes.mix).max() < 2
    held = ridge_folds.hold_out(design, fold, T, None if design.z is None else design.z.T @ T, len(nodes.which))
    expected = curves(X, Y, contiguous(n, 4)[1:2], grid)[0]
    np.testing.assert_allclose(ridge_folds.held_out_errors(held, grid, nodes), expected, rtol=3e-3)
    np.testing.assert_allclose(ridge_folds.held_out_errors(held, grid), expected, rtol=3e-4)
    assert ridge_folds.find_nodes(fold.factor.values.double(), grid) is None and ridge_folds.find_nodes(fold.factor.values, grid[:5]) is None


@pytest.mark.parametrize(("n", "p"), [(260, 60), (200, 400)])
def test_float32_chooses_within_a_step_of_float64(n: int, p: int) -> None:
    X, Y = case(n, p, t=400)
    grid = np.logspace(-5, 2, 20) * np.linalg.norm(X - X.mean(0), 2) ** 2
    wide, narrow = (fit_path(X[:-40].astype(dtype), Y[:-40], X[-40:].astype(dtype), alphas=grid, cv=5) for dtype in (np.float64, np.float32))
    steps = np.abs(np.log(narrow.alpha / wide.alpha)) / np.log(grid[1] / grid[0])
    assert (steps < 0.5).mean() >= 0.98 and (steps < 1.5).mean() >= 0.99
    held = [1 - ((Y[-40:] - fit.predictions) ** 2).mean() / Y[-40:].var(0).mean() for fit in (wide, narrow)]
    assert abs(held[0] - held[1]) < 1e-3
    np.testing.assert_allclose(narrow.cv_scores, wide.cv_scores, atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("search", ["full", "hybrid"])
def test_cuda_gives_the_same_numbers(search: str) -> None:
    X, Y = case(120, 150, t=200)
    here, there = (Ridge(GRID, cv=4, search=search, device=device).fit(X, Y) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(here.alpha_, there.alpha_)
    np.testing.assert_allclose(here.predict(X), there.predict(X), atol=1e-10)
