"""Banded ridge: equal to explicit fits, recovers what was planted, and its manners."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge as Plain
from sklearn.model_selection import GroupKFold

import brainenc as be
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.encoding import BandedRidge, Ridge, Stacking, join, load_model

SIZES = [5, 8, 11]
GRID = np.logspace(-2, 4, 13)


def case(n: int = 60, t: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets 0, 1, 2 … are driven by band 0, 1, 2, 0 …"""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 24)) * rng.uniform(0.5, 2, 24) + 3
    Y = np.empty((n, t))
    for v in range(t):
        cols = np.arange(24)[np.repeat([0, 1, 2], SIZES) == v % 3]
        signal = X[:, cols] @ rng.normal(size=len(cols))
        Y[:, v] = signal / signal.std() + rng.normal(size=n) * 0.7
    return X, Y + 10


def per_column(weights: np.ndarray) -> np.ndarray:
    return np.repeat(weights, SIZES, axis=-1)


@pytest.mark.parametrize("solver", ["primal", "kernel"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
def test_choice_and_fit_equal_scikit_learn_on_scaled_features(solver: str, weighted: bool, intercept: bool) -> None:
    X, Y = case()
    s = np.random.default_rng(1).integers(1, 4, 60).astype(float) if weighted else np.ones(60)
    search = np.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.7, 0.0, 0.3]])
    model = BandedRidge(SIZES, GRID, search=search, full=True, solver=solver, fit_intercept=intercept).fit(X, Y, sample_weight=s if weighted else None)
    errors = np.zeros((3, len(GRID), 6))
    for test in np.array_split(np.arange(60), 5):
        train = np.setdiff1d(np.arange(60), test)
        for i, g in enumerate(search):
            scale = np.sqrt(per_column(g))
            for j, alpha in enumerate(GRID):
                fit = Plain(alpha, fit_intercept=intercept, solver="cholesky").fit(X[train] * scale, Y[train], sample_weight=s[train])
                errors[i, j] += s[test] @ (Y[test] - fit.predict(X[test] * scale)) ** 2
    best = errors.reshape(-1, 6).argmin(0)
    np.testing.assert_array_equal(model.band_weights_, search[best // len(GRID)])
    np.testing.assert_array_equal(model.alpha_, GRID[best % len(GRID)])
    for v in range(6):
        scale = np.sqrt(per_column(search[best[v] // len(GRID)]))
        fit = Plain(GRID[best[v] % len(GRID)], fit_intercept=intercept, solver="cholesky").fit(X * scale, Y[:, v], sample_weight=s)
        np.testing.assert_allclose(model.coef_[v], fit.coef_ * scale, atol=1e-8)
        np.testing.assert_allclose(model.predict(X)[:, v], fit.predict(X * scale), atol=1e-8)
        np.testing.assert_allclose(model.intercept_[v], fit.intercept_, atol=1e-8)


@pytest.mark.parametrize("solver", ["primal", "kernel"])
@pytest.mark.parametrize("cv", [4, "loo", "gcv"])
def test_one_band_is_ridge(solver: str, cv: Any) -> None:
    X, Y = case(n=20)
    Y[:, 2] = 3.3
    one, plain = BandedRidge(cv=cv, solver=solver, full=True).fit(X, Y), Ridge(cv=cv, solver=solver).fit(X, Y)
    np.testing.assert_allclose(one.alpha_, plain.alpha_, rtol=1e-8)
    if cv != "gcv":
        np.testing.assert_allclose(one.cv_scores_, plain.cv_scores_, atol=1e-7)
    np.testing.assert_allclose(one.coef_, plain.coef_, atol=1e-8)
    assert np.isnan(one.cv_scores_[2]) and np.all(one.coef_[2] == 0) and one.intercept_[2] == 3.3
    assert one.edge_counts_ == plain.edge_counts_ and one.n_iter_ == 1


@pytest.mark.parametrize("search", ["guided", "random"])
@pytest.mark.parametrize("solver", ["primal", "kernel"])
def test_planted_bands_are_found(search: str, solver: str) -> None:
    X, Y = case(n=90, t=9)
    model = BandedRidge(SIZES, search=search, solver=solver).fit(X[:60], Y[:60])
    scale = np.array([X[:60, cols].var(0).sum() for cols in model.bands_.values()])
    shares = model.band_weights_ * scale
    np.testing.assert_array_equal(shares.argmax(1), np.arange(9) % 3)
    r2 = 1 - ((Y[60:] - model.predict(X[60:])) ** 2).sum(0) / ((Y[60:] - Y[60:].mean(0)) ** 2).sum(0)
    flat = Ridge().fit(X[:60], Y[:60])
    assert r2.mean() > 1 - ((Y[60:] - flat.predict(X[60:])) ** 2).sum() / ((Y[60:] - Y[60:].mean(0)) ** 2).sum() + 0.02
    assert (model.cv_scores_ >= model.search_scores_[0] - 1e-6).all()  # never below plain ridge
    np.testing.assert_allclose(model.search_scores_.max(0), model.cv_scores_, atol=1e-6)


def test_planted_delays_are_found() -> None:
    rng = np.random.default_rng(3)
    table = {"run": np.repeat([1, 2, 3], 60)}
    x = be.FeatureSpace(rng.normal(size=(180, 6)), table, rows="sample")
    delayed = x.delay([0, 2, 4, 6], step=2.0)
    planted = delayed.values[:, 12:18] @ rng.normal(size=(6, 5))  # 4 s
    brain = be.Responses(planted + rng.normal(size=planted.shape), table, t_r=2.0)
    scores = be.score_layers(delayed, brain, split=be.split.runs(), encoder=BandedRidge("delay"))
    assert scores.values.mean() > 0.8 and scores.provenance["encoder"]["params"]["bands"] == "delay"
    model = BandedRidge("delay").for_features(delayed, "here").fit(delayed.values, planted)
    assert list(model.bands_) == ["0.0", "2.0", "4.0", "6.0"]
    assert (model.band_weights_.argmax(1) == 2).all() and (model.band_weights_[:, 2] > 0.95).all()


def test_climbing_finds_what_the_whole_grid_has() -> None:
    X, Y = case(n=80, t=60)
    search = np.random.default_rng(0).dirichlet(np.ones(3), 8)
    whole, climbed = (BandedRidge(SIZES, search=search, full=full).fit(X, Y) for full in (True, False))
    assert (climbed.cv_scores_ <= whole.cv_scores_ + 1e-12).all()
    assert np.mean(climbed.cv_scores_ > whole.cv_scores_ - 1e-9) > 0.95 and np.max(whole.cv_scores_ - climbed.cv_scores_) < 0.01


def test_slow_noise_does_not_mislead_the_search() -> None:
    """Generalised cross-validation takes slow noise for signal; held-out blocks decide, and what it says is not trusted."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(0)
    slow = lambda a, *s: lfilter([1], [1, -a], rng.normal(size=(200, *s)), axis=0)  # noqa: E731
    X = np.hstack([slow(0.9, 15), slow(0.9, 25), slow(0.6, 10)])
    Y = 0.15 * X[:, :15] @ rng.normal(size=(15, 30)) + slow(0.85, 30)
    sizes = [15, 25, 10]
    whole = BandedRidge(sizes, search="random", n_iter=60, full=True).fit(X, Y)
    assert np.mean(BandedRidge(sizes, cv="gcv", search="random", n_iter=5, full=True).fit(X, Y).alpha_ < whole.alpha_) > 0.5  # it does mislead
    guided = BandedRidge(sizes).fit(X, Y)
    assert guided.n_iter_ < 60 and guided.cv_scores_.mean() > whole.cv_scores_.mean() - 0.003


def test_guided_search_matches_a_long_random_one_with_fewer_sets() -> None:
    X, Y = case(n=80, t=60, seed=2)
    mixed = Y + 0.8 * np.roll(Y, 1, axis=1)
    random, guided = (BandedRidge(SIZES, search=search).fit(X, mixed) for search in ("random", "guided"))
    assert guided.n_iter_ < 60 and random.n_iter_ == 100
    assert guided.cv_scores_.mean() > random.cv_scores_.mean() - 0.002


def test_targets_that_a_set_cannot_help_sit_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With many targets the surrogate spares most fits, and neither what is found nor what is said of it suffers."""
    from brainenc.linalg import banded_fit

    X, Y = case(n=90, t=240, seed=3)
    mixed = Y + 0.8 * np.roll(Y, 1, axis=1)
    tried, original = [], banded_fit._try
    monkeypatch.setattr(banded_fit, "_try", lambda *given: tried.append(len(given[2])) or original(*given))
    guided = BandedRidge(SIZES, n_iter=40, tol=0.0).fit(X, mixed)
    assert tried[:5] == [240] * 5 and np.mean(tried[20:]) < 120
    monkeypatch.setattr(banded_fit, "_SCREENED", 1000)
    every = BandedRidge(SIZES, n_iter=40, tol=0.0).fit(X, mixed)
    assert guided.cv_scores_.mean() > every.cv_scores_.mean() - 5e-4
    np.testing.assert_allclose(np.nanmax(guided.search_scores_, axis=0), guided.cv_scores_, atol=1e-6)
    worst = np.argsort(guided.cv_scores_ - every.cv_scores_)[:3]  # each target's score is that of folds, with the weights and penalty it got
    folds = [(np.setdiff1d(np.arange(90), test), test) for test in np.array_split(np.arange(90), 5)]
    for v in worst:
        Z, error, least = X * np.sqrt(per_column(guided.band_weights_[v])), 0.0, 0.0
        for train, test in folds:
            model = Plain(alpha=guided.alpha_[v]).fit(Z[train], mixed[train, v])
            error += ((mixed[test, v] - model.predict(Z[test])) ** 2).sum()
            least += ((mixed[test, v] - mixed[train, v].mean()) ** 2).sum()
        assert guided.cv_scores_[v] == pytest.approx(1 - error / least, abs=1e-9)


def test_chunks_do_not_change_a_guided_search() -> None:
    X, Y = case(t=260)
    whole = BandedRidge(SIZES, n_iter=20).fit(X, Y)
    chunked = BandedRidge(SIZES, n_iter=20, memory=int(whole.plan_.expected * 0.8)).fit(X, Y)
    assert chunked.plan_.chunk < 260
    np.testing.assert_allclose(chunked.candidates_, whole.candidates_, atol=1e-10)
    np.testing.assert_allclose(chunked.predict(X), whole.predict(X), atol=1e-8)


def test_the_same_seed_gives_the_same_fit() -> None:
    X, Y = case(t=9)
    for search in ("guided", "random"):
        a, b, c = (BandedRidge(SIZES, search=search, n_iter=14, seed=seed).fit(X, Y) for seed in (0, 0, 1))
        np.testing.assert_array_equal(a.candidates_, b.candidates_)
        np.testing.assert_array_equal(a.predict(X), b.predict(X))
        assert not np.array_equal(a.candidates_, c.candidates_)


@pytest.mark.parametrize("kind", [BandedRidge, Stacking])
@pytest.mark.parametrize("solver", ["primal", "kernel"])
def test_spaces_sum_to_the_prediction(kind: Any, solver: str) -> None:
    X, Y = case()
    model = kind(SIZES, solver=solver).fit(X, Y)
    parts = model.predict_by_space(X)
    assert parts.shape == (3, 60, 6)
    np.testing.assert_allclose(parts.sum(0), model.predict(X), atol=1e-10)
    bare = model.predict_by_space(X, intercept=False)
    np.testing.assert_allclose(bare.mean(1), 0, atol=1e-10)
    for k, cols in enumerate(model.bands_.values()):
        np.testing.assert_allclose(bare[k], (X[:, cols] - X[:, cols].mean(0)) @ model.coef_[:, cols].T, atol=1e-10)
    np.testing.assert_allclose(X @ model.coef_.T + model.intercept_, model.predict(X), atol=1e-10)
    shares = be.encoding.product_measure(Y, bare, mean=Y.mean(0))
    np.testing.assert_allclose(shares.sum(0), 1 - ((Y - model.predict(X)) ** 2).sum(0) / ((Y - Y.mean(0)) ** 2).sum(0), atol=1e-12)
    single = kind(SIZES, solver=solver).fit(X, Y[:, 0])
    assert single.predict(X).shape == (60,) and single.coef_.shape == (24,) and single.predict_by_space(X).shape == (3, 60)


def test_missing_responses_leave_their_rows_out() -> None:
    X, Y = case(t=5)
    Y[:7, 1] = np.nan
    Y[:59, 3] = np.nan
    for solver in ("primal", "kernel"):
        with pytest.warns(BrainencWarning, match="1 of 5 targets"):
            model = BandedRidge(SIZES, search="random", n_iter=8, solver=solver, cv="loo", alphas=GRID, full=True).fit(X, Y)
        part = BandedRidge(SIZES, search=model.candidates_[8:], solver=solver, cv="loo", alphas=GRID, full=True).fit(X[7:], Y[7:, 1])
        assert model.alpha_[1] == part.alpha_[0] and np.isnan(model.alpha_[3]) and np.isnan(model.band_weights_[3]).all()
        np.testing.assert_allclose(model.predict(X)[:, 1], part.predict(X), atol=1e-9)
        np.testing.assert_allclose(model.cv_scores_[1], part.cv_scores_[0], atol=1e-9)
        whole = BandedRidge(SIZES, search=model.candidates_[:8], solver=solver, cv="loo", alphas=GRID, full=True).fit(X, Y[:, [0, 2, 4]])
        np.testing.assert_allclose(model.predict(X)[:, [0, 2, 4]], whole.predict(X), atol=1e-9)
        assert np.isnan(model.predict(X)[:, 3]).all()


def test_chunks_dtype_and_warm_starts() -> None:
    X, Y = case(t=90)
    whole = BandedRidge(SIZES, search="random", n_iter=10).fit(X, Y)
    chunked = BandedRidge(SIZES, search="random", n_iter=10, memory=int(whole.plan_.expected * 0.8)).fit(X, Y)
    assert chunked.plan_.chunk < 90 == whole.plan_.chunk
    np.testing.assert_allclose(chunked.predict(X), whole.predict(X), atol=1e-10)
    with pytest.raises(InputError, match="memory budget is too small"):
        BandedRidge(SIZES, memory="1kB").fit(X, Y)
    whole = BandedRidge(SIZES, search="random", n_iter=10, full=True).fit(X, Y)
    narrow = BandedRidge(SIZES, search="random", n_iter=10, full=True).fit(X.astype(np.float32), Y)
    assert narrow.predict(X).dtype == narrow.coef_.dtype == np.float32
    np.testing.assert_allclose(narrow.cv_scores_, whole.cv_scores_, atol=2e-4)
    warm = BandedRidge(SIZES, n_iter=40, warm_start=True).fit(X, Y)
    favourite = warm._favourites[0].copy()
    assert (warm.band_weights_ == favourite).all(axis=1).any()
    again = warm.fit(X + 1e-3 * X**2, Y)
    np.testing.assert_allclose(again.candidates_[2], favourite)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(again)).predict(X), again.predict(X))


@pytest.mark.parametrize("solver", ["primal", "kernel"])
def test_a_saved_model_predicts_the_same_numbers(solver: str, tmp_path: Path) -> None:
    X, Y = case()
    model = BandedRidge(list(np.repeat(["a", "b", "c"], SIZES)), n_iter=8, solver=solver).fit(X, Y)
    again = load_model(model.save(tmp_path / "model", provenance={"subject": "01"}))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.predict_by_space(X), model.predict_by_space(X))
    np.testing.assert_array_equal(again.coef_, model.coef_)
    assert list(again.bands_) == ["a", "b", "c"] and again.get_params() == model.get_params()
    warm = again.set_params(warm_start=True).fit(X, Y)
    np.testing.assert_array_equal(warm.candidates_[2], model._favourites[0])


@pytest.mark.parametrize("one_target", [False, True])
def test_a_saved_stack_predicts_the_same_numbers(one_target: bool, tmp_path: Path) -> None:
    X, Y = case()
    Y[:4, 3] = np.nan
    model = Stacking(list(np.repeat(["a", "b", "c"], SIZES))).fit(X, Y[:, 0] if one_target else Y)
    again = load_model(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.predict_by_space(X), model.predict_by_space(X))
    np.testing.assert_array_equal(again.weights_, model.weights_)
    np.testing.assert_allclose(X @ again.coef_.T + again.intercept_, model.predict(X), atol=1e-9)
    assert list(again.bands_) == ["a", "b", "c"] and again.get_params() == model.get_params()


def test_groups_and_pairs_are_followed() -> None:
    X, Y = case()
    groups = np.arange(60) % 4
    a = BandedRidge(SIZES, cv=GroupKFold(4), n_iter=6).fit(X, Y, groups=groups)
    b = BandedRidge(SIZES, cv=list(GroupKFold(4).split(X, Y, groups)), n_iter=6).fit(X, Y)
    np.testing.assert_array_equal(a.cv_scores_, b.cv_scores_)


def test_bands_in_every_spelling() -> None:
    X, Y = case()
    labels = np.repeat(["a", "b", "c"], SIZES)
    ends = np.cumsum([0, *SIZES])
    slices = [slice(i, j) for i, j in zip(ends[:-1], ends[1:], strict=True)]
    spelled = [SIZES, tuple(SIZES), labels, list(labels), slices, [np.arange(24)[one] for one in slices],
               {"a": 5, "b": 8, "c": 11}, dict(zip("abc", slices, strict=True)), [np.isin(np.arange(24), np.arange(24)[one]) for one in slices]]  # fmt: skip
    found = [BandedRidge(bands, n_iter=5).fit(X, Y) for bands in spelled]
    for model in found[1:]:
        np.testing.assert_array_equal(model.predict(X), found[0].predict(X))
    assert list(found[2].bands_) == ["a", "b", "c"] and list(found[0].bands_) == ["0", "1", "2"]
    order = np.random.default_rng(0).permutation(24)
    mixed = BandedRidge(labels[order], n_iter=5, search="random").fit(X[:, order], Y)
    straight = BandedRidge(labels, n_iter=5, search="random").fit(X, Y)
    assert sorted(mixed.bands_) == ["a", "b", "c"]
    np.testing.assert_allclose(mixed.search_scores_[0], straight.search_scores_[0], atol=1e-6)


BAD = [
    ({"bands": [5, 8]}, "column counts.*24 in all"),
    ({"bands": [slice(0, 5), slice(5, 23)]}, "exactly one band.*1 columns in none"),
    ({"bands": [slice(0, 5), slice(4, 24)]}, "1 in several"),
    ({"bands": "delay"}, "names a column of a features' table"),
    ({"bands": 3}, "bands cannot be used"),
    ({"bands": {"a": [0.5]}}, "columns of a band do not fit"),
    ({"alphas": 0.0}, "alphas > 0"),
    ({"search": "grid"}, "unknown value for search"),
    ({"search": [[1, 2]]}, "rows of 3 weights"),
    ({"search": [[0, 0, 0]]}, "rows of 3 weights"),
    ({"search": [[1, -1, 1]]}, "rows of 3 weights"),
    ({"n_iter": 0}, "n_iter is a count"),
    ({"tol": -1}, "tol is a score"),
    ({"full": "yes"}, "unknown value for full"),
    ({"seed": -1}, "seed"),
    ({"cv": None}, "leaves nothing to choose by"),
    ({"solver": "dual"}, "unknown value for solver"),
]


@pytest.mark.parametrize(("parameters", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_parameters_are_named(parameters: dict[str, Any], message: str) -> None:
    X, Y = case()
    with pytest.raises(InputError, match=message):
        BandedRidge(**({"bands": SIZES} | parameters)).fit(X, Y)


def test_a_single_set_needs_no_folds() -> None:
    X, Y = case()
    model = BandedRidge(SIZES, 2.0, search=[1, 1, 2], cv=None).fit(X, Y)
    np.testing.assert_allclose(model.band_weights_, [[0.25, 0.25, 0.5]] * 6)
    assert np.isnan(model.cv_scores_).all() and (model.alpha_ == 2.0).all()
    with pytest.raises(InputError, match='cv=5, "loo"'):
        Stacking(SIZES, cv=None).fit(X, Y)


def space(values: np.ndarray, ids: list[str], name: str) -> be.FeatureSpace:
    return be.FeatureSpace(values, {"stimulus_id": ids}, name=name)


def test_joined_spaces_are_matched_by_stimulus_and_score_as_bands() -> None:
    X, Y = case(n=80)
    ids = [f"image{i}" for i in range(80)]
    back = ids[::-1]
    joined = join({"a": space(X[:, :5], ids, "m/a"), "b": space(X[::-1, 5:13], back, "m/b"), "c": space(X[:, 13:], ids, "m/c")})
    np.testing.assert_array_equal(joined.values, X)
    assert joined.features is not None and joined.features["band"].value_counts().to_dict() == {"c": 11, "b": 8, "a": 5}
    with pytest.raises(InputError, match="rows of the spaces differ"):
        join({"a": joined, "b": joined.take(ids[:70])})
    with pytest.raises(InputError, match="cannot be joined"):
        join({})
    brain = be.Responses(Y, {"stimulus_id": ids}, name="01")
    split = be.split.kfold(4)
    encoder = BandedRidge(seed=3, n_iter=12)
    scores = be.score_layers(joined, brain, split=split, encoder=encoder, metric="r2")
    assert encoder.bands is None and not hasattr(encoder, "alpha_")
    by_hand = clone(encoder).set_params(bands=SIZES)
    rows = np.array_split(np.arange(80), 4)
    for fold, test in enumerate(rows):
        train = np.setdiff1d(np.arange(80), test)
        predicted = by_hand.fit(X[train], Y[train]).predict(X[test])
        expected = 1 - ((Y[test] - predicted) ** 2).sum(0) / ((Y[test] - Y[test].mean(0)) ** 2).sum(0)
        np.testing.assert_allclose(scores.values[0, fold], expected, atol=1e-9)
    assert scores.alpha is not None and np.isfinite(scores.alpha).all()
    plain = be.score_layers(joined, brain, split=split, metric="r2")
    assert scores.values.mean() > plain.values.mean()
    with pytest.raises(InputError, match="a reduction mixes the bands"):
        be.score_layers(joined, brain, split=split, encoder=BandedRidge(), reduce="pca:5")
    with pytest.raises(InputError, match="no column 'delay'"):
        be.score_layers(joined, brain, split=split, encoder=BandedRidge("delay"))


def test_inner_folds_of_runs_stay_whole() -> None:
    rng = np.random.default_rng(0)
    table = {"run": np.repeat(["a", "b", "c", "d"], 20)}
    X, Y = case(n=80)
    joined = be.FeatureSpace(X, table, features={"band": np.repeat(["a", "b", "c"], SIZES)}, rows="sample")
    seen: list[Any] = []

    class Spy(BandedRidge):
        def fit(self, X: Any, y: Any, *, groups: Any = None, sample_weight: Any = None) -> Any:
            seen.append((self.cv, list(self.bands)))
            return super().fit(X, y, groups=groups, sample_weight=sample_weight)

    brain = be.Responses(Y + rng.normal(size=Y.shape), table, t_r=2.0)
    be.score_layers(joined, brain, split=be.split.runs(), encoder=Spy(n_iter=3))
    for folds, bands in seen:
        assert len(folds) == 3 and bands == list(np.repeat(["a", "b", "c"], SIZES))
        assert all(len(np.unique(np.arange(60)[test] // 20)) == 1 for _, test in folds)


def test_stacking_weighs_models_by_held_out_rows() -> None:
    X, Y = case()
    Y = Y + 0.7 * np.roll(Y, 1, axis=1)
    Y[:, 5] = 2.0
    model = Stacking(SIZES, GRID, cv=5).fit(X, Y)
    held = np.zeros((3, 60, 6))
    for k, cols in enumerate(model.bands_.values()):
        alone = Ridge(GRID, cv=5).fit(X[:, cols], Y)
        np.testing.assert_allclose(model.alphas_[:, k], alone.alpha_)
        np.testing.assert_allclose(model.space_scores_[:, k], alone.cv_scores_, atol=1e-9)
        for test in np.array_split(np.arange(60), 5):
            train = np.setdiff1d(np.arange(60), test)
            for v in range(6):
                held[k, test, v] = Plain(alone.alpha_[v]).fit(X[train][:, cols], Y[train, v]).predict(X[test][:, cols])
    from scipy.optimize import minimize

    for v in range(5):
        loss = lambda w, v=v: ((Y[:, v] - w @ held[:, :, v]) ** 2).sum()  # noqa: E731
        best = minimize(loss, np.full(3, 1 / 3), bounds=[(0, 1)] * 3, constraints={"type": "eq", "fun": lambda w: w.sum() - 1}, method="SLSQP", tol=1e-12)
        np.testing.assert_allclose(model.weights_[v], best.x, atol=1e-4)
        assert loss(model.weights_[v]) <= best.fun * (1 + 1e-9)
    assert np.isnan(model.cv_scores_[5]) and np.ptp(model.predict(X)[:, 5]) < 1e-12
    assert (model.cv_scores_[:5] >= model.space_scores_[:5].max(1) - 1e-9).all()
