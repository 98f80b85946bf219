"""Faults of himalaya's ridge estimators: ours is right by a computation of its own; where the peer is still wrong, that is shown too."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import GroupKFold

from brainenc.core.errors import BrainencWarning
from brainenc.encoding import Ridge

GRID = np.logspace(-2, 4, 13)


def case(n: int = 50, p: int = 9, t: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, p)) + 1
    return X, X @ rng.normal(size=(p, t)) / np.sqrt(p) + rng.normal(size=(n, t)) * rng.uniform(0.2, 3, t)


def peer(**options: Any) -> Any:
    himalaya = pytest.importorskip("himalaya.ridge", reason="himalaya is not installed (extra: peers)")
    return himalaya.RidgeCV(**{"alphas": GRID, "cv": 5, "fit_intercept": True, **options})


def test_one_missing_response_costs_that_response_alone() -> None:
    X, Y = case()
    Y[4, 2] = np.nan
    model = Ridge(GRID, cv="loo").fit(X, Y)
    seen = np.isfinite(Y[:, 2])
    for v, rows in ((2, seen), (5, np.ones(50, dtype=bool))):
        own = SklearnRidge(alpha=model.alpha_[v]).fit(X[rows], Y[rows, v])
        np.testing.assert_allclose(model.predict(X)[:, v], own.predict(X), atol=1e-10)
    try:
        theirs = peer().fit(X, Y)
    except ValueError as error:
        assert "NaN" in str(error)  # the peer rejects all eight targets
    else:
        assert np.isfinite(np.asarray(theirs.coef_)).any()


def test_groups_reach_the_splitter() -> None:
    X, Y = case()
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(5), 10))
    model = Ridge(GRID, cv=GroupKFold(5)).fit(X, Y, groups=groups)
    errors = np.zeros((len(GRID), 8))
    for group in range(5):
        train, test = groups != group, groups == group
        for i, alpha in enumerate(GRID):
            errors[i] += ((Y[test] - SklearnRidge(alpha=alpha).fit(X[train], Y[train]).predict(X[test])) ** 2).sum(0)
    np.testing.assert_array_equal(model.alpha_, GRID[errors.argmin(0)])
    try:
        peer(cv=GroupKFold(5)).fit(X, Y, groups=groups)  # takes no groups at all
    except (TypeError, ValueError):
        pass


def test_the_default_grid_follows_the_spectrum_and_its_edge_is_told() -> None:
    """Thousands of features make eigenvalues of thousands: penalties of 0.1 and 1 are then no penalty."""
    rng = np.random.default_rng(0)
    loadings, weights = rng.normal(size=(50, 3000)), rng.normal(size=(50, 40)) * 0.3
    latent, new = rng.normal(size=(80, 50)), rng.normal(size=(200, 50))
    X, Y = latent @ loadings, latent @ weights + 3 * rng.normal(size=(80, 40))
    model = Ridge(cv=5).fit(X, Y)
    assert model.edge_counts_[0] == 0 and model.alphas_[0] < 1e-4 * model.alphas_[-1]
    misses = [((fit.predict(new @ loadings) - new @ weights) ** 2).mean() for fit in (model, Ridge((0.1, 1), cv=5).fit(X, Y))]
    assert misses[0] < 0.5 * misses[1]  # the short grid leaves the noise in
    short = Ridge((0.1, 1), cv=5).fit(X, Y)
    assert short.edge_fraction_ == 1.0
    import brainenc as be

    ids = [f"i{k}" for k in range(80)]
    layer, brain = be.FeatureSpace(X, {"stimulus_id": ids}, name="toy/layer"), be.Responses(Y, {"stimulus_id": ids}, name="01")
    with pytest.warns(BrainencWarning, match="edge of the grid: toy/layer 100%"):
        be.score_layers(layer, brain, split=be.split.images(), encoder=Ridge((0.1, 1), cv=5))
    himalaya = pytest.importorskip("himalaya.ridge", reason="himalaya is not installed (extra: peers)")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        theirs = himalaya.RidgeCV().fit(X, Y)
    if not any("alpha" in str(one.message) and "edge" in str(one.message) for one in caught):
        assert set(np.asarray(theirs.best_alphas_)) <= {0.1, 1.0}  # without a word


MEASURE = """
from pathlib import Path
import numpy as np
from brainenc.encoding import Ridge
from himalaya.backend import set_backend
from himalaya.ridge import RidgeCV

set_backend("torch")
rng = np.random.default_rng(0)
X, Y, grid = rng.normal(size=(600, 400)).astype(np.float32), rng.normal(size=(600, 50)).astype(np.float32), np.logspace(-2, 4, 60)

def status(field):
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))

for fit in (lambda: Ridge(grid, cv=5, solver="primal").fit(X, Y), lambda: RidgeCV(alphas=grid, cv=5).fit(X, Y)):
    small = X, Y, grid
    X, Y, grid = X[:50], Y[:50], grid[:6]
    fit()  # what libraries take on first use is not counted
    X, Y, grid = small
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    fit()
    print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of the resident set can be read on Linux only")
def test_the_primal_path_holds_no_array_of_penalties_by_features_by_rows() -> None:
    """60 penalties x 400 features x 480 training rows of float32 are 46 MB, which the peer forms; ours projects the targets once."""
    pytest.importorskip("himalaya.ridge", reason="himalaya is not installed (extra: peers)")
    lines = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True).stdout.split()
    mine, theirs = map(int, lines[-2:])
    tensor = 60 * 400 * 480 * 4
    assert mine < 0.5 * tensor
    if theirs > tensor:  # still so
        assert mine < 0.5 * theirs
