"""Receptive fields from second moments: the numbers of ridge on the delayed matrix, written out; runs, folds, penalties, memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneGroupOut

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import Delays, ReceptiveField, Ridge, load_model, smooth_delays

RUN = np.repeat([3, 1, 2], [100, 110, 120])
ALPHAS = np.logspace(-1, 4, 11)


def delayed(X: np.ndarray, runs: np.ndarray, shifts: Any) -> np.ndarray:
    """Features at each delay side by side, zero outside the run."""
    Z = np.zeros((len(X), len(shifts), X.shape[1]), dtype=X.dtype)
    for run in np.unique(runs):
        rows = np.flatnonzero(runs == run)
        for d, shift in enumerate(shifts):
            inside = rows[(rows - shift >= rows[0]) & (rows - shift <= rows[-1])]
            Z[inside, d] = X[inside - shift]
    return Z.reshape(len(X), -1)


def recording(shifts: Any, noise: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three features with a mean drive four channels in three runs; also the delayed matrix."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(len(RUN), 3)) + 2
    Z = delayed(X, RUN, shifts)
    return X, Z, Z @ rng.normal(size=(Z.shape[1], 4)) + noise * rng.normal(size=(len(X), 4)) + 1


def solved(Z: np.ndarray, Y: np.ndarray, penalty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and intercept of a penalised problem, from its normal equations."""
    z, y = Z.mean(0), Y.mean(0)
    beta = np.linalg.solve((Z - z).T @ (Z - z) + penalty, (Z - z).T @ (Y - y))
    return beta, y - z @ beta


@pytest.mark.parametrize("shifts", [[0], [-2, -1, 0, 1, 2, 3], [1, 2, 3], [-3, -2], [0, 2, 4, 6], [-1, 0, 3, 7]], ids=str)
@pytest.mark.parametrize("solver", ["cholesky", "eigen"])
@pytest.mark.parametrize("intercept", [True, False])
def test_it_is_ridge_on_the_delayed_matrix(shifts: list[int], solver: str, intercept: bool) -> None:
    X, Z, Y = recording(shifts)
    theirs = Ridge(ALPHAS, cv=4, fit_intercept=intercept).fit(Z, Y)
    ours = ReceptiveField(shifts, alphas=ALPHAS, cv=4, fit_intercept=intercept, solver=solver).fit(X, Y, groups=RUN)
    np.testing.assert_array_equal(ours.alpha_, theirs.alpha_)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-10)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-10)
    np.testing.assert_allclose(ours.cv_scores_, theirs.cv_scores_, atol=1e-10)
    np.testing.assert_allclose(ours.predict(X, groups=RUN), Z @ ours.coef_.T + ours.intercept_, atol=1e-10)


def test_held_out_scores_are_those_of_predictions() -> None:
    shifts, gap = [-1, 0, 1, 2, 3], 5
    X, Z, Y = recording(shifts)
    n, folds = len(X), []
    for test in np.array_split(np.arange(n), 4):
        near = np.arange(test[0] - gap, test[-1] + gap + 1)
        folds.append((np.setdiff1d(np.arange(n), near), test))
    model = ReceptiveField(shifts, alphas=ALPHAS, cv=folds).fit(X, Y, groups=RUN)
    r, r2 = np.empty((2, len(ALPHAS), 4, 4))
    for f, (train, test) in enumerate(folds):
        for a, alpha in enumerate(ALPHAS):
            beta, b = solved(Z[train], Y[train], alpha * np.eye(Z.shape[1]))
            predicted = Z[test] @ beta + b
            r[a, f] = [np.corrcoef(predicted[:, v], Y[test, v])[0, 1] for v in range(4)]
            r2[a, f] = 1 - ((Y[test] - predicted) ** 2).sum(0) / ((Y[test] - Y[train].mean(0)) ** 2).sum(0)
    np.testing.assert_allclose(model.fold_r_[0], r, atol=1e-10)
    np.testing.assert_allclose(model.fold_r2_[0], r2, atol=1e-10)
    assert model.fold_r_.shape == (1, len(ALPHAS), 4, 4)


@pytest.mark.parametrize("solver", ["cholesky", "eigen"])
def test_smoothness_is_that_of_smooth_delays(solver: str) -> None:
    lags = np.arange(-2, 6) / 64
    X, _, Y = recording(range(-2, 6))
    smooth = smooth_delays(be.FeatureSpace(X, {"run": RUN}, name="x", rows="sample"), lags, step=1 / 64, smoothness=0.8)
    theirs = Ridge(ALPHAS, cv=3).fit(smooth.values, Y)
    ours = ReceptiveField(lags, step=1 / 64, smoothness=0.8, alphas=ALPHAS, cv=3, solver=solver).fit(X, Y, groups=RUN)
    np.testing.assert_array_equal(ours.alpha_, theirs.alpha_)
    np.testing.assert_allclose(ours.receptive_fields_, be.encoding.delay_weights(smooth, theirs.coef_), atol=1e-9)


def test_penalties_of_delays_are_the_penalised_problem() -> None:
    shifts, k, s = [0, 1, 2, 3], np.array([1.0, 1.0, 5.0, 20.0]), 0.3
    X, Z, Y = recording(shifts)
    model = ReceptiveField(shifts, smoothness=s, delay_penalties=k, alphas=50.0, cv=None).fit(X, Y, groups=RUN)
    D = np.diff(np.eye(4), axis=0)
    M = np.kron((1 - s) * np.diag(k) + s * D.T @ D, np.eye(3))
    beta, b = solved(Z, Y, 50.0 * M)
    np.testing.assert_allclose(model.coef_.T, beta, atol=1e-10)
    np.testing.assert_allclose(model.intercept_, b, atol=1e-10)


def test_each_target_takes_its_own_penalty_over_delays() -> None:
    rng = np.random.default_rng(0)
    n, shifts = 1500, list(range(16))
    X = rng.normal(size=(n, 1))
    early = np.r_[rng.normal(size=4), np.zeros(12)]  # rough, then nothing: a penalty that grows with the delay
    smooth = np.exp(-0.5 * ((np.arange(16) - 8) / 3) ** 2)
    Y = delayed(X, np.zeros(n), shifts) @ np.stack([early, smooth], axis=1) + 4 * rng.normal(size=(n, 2))
    growing = np.r_[np.ones(4), np.full(12, 100.0)]
    model = ReceptiveField(shifts, smoothness=(0.0, 0.95), delay_penalties=[np.ones(16), growing], alphas=np.logspace(0, 5, 11)).fit(X, Y)
    assert model.smoothness_.tolist() == [0.0, 0.95]
    np.testing.assert_array_equal(model.delay_penalties_, [growing, np.ones(16)])
    assert model.fold_r_.shape == (4, 11, 5, 2)
    single = ReceptiveField(shifts, smoothness=0.95, alphas=np.logspace(0, 5, 11)).fit(X, Y[:, 1:])
    np.testing.assert_allclose(single.receptive_fields_[..., 0], model.receptive_fields_[..., 1], atol=1e-12)


def test_a_planted_field_and_its_delays_are_found() -> None:
    rng = np.random.default_rng(1)
    shifts, n = list(range(-8, 25)), 20_000
    X = rng.normal(size=(n, 2)).astype(np.float32)
    field = np.zeros((len(shifts), 2, 2))
    field[:, 0, 0] = np.exp(-0.5 * ((np.array(shifts) - 10) / 2.0) ** 2)
    field[:, 1, 1] = -np.exp(-0.5 * ((np.array(shifts) - 3) / 1.5) ** 2)
    Y = delayed(X, np.zeros(n), shifts) @ field.reshape(-1, 2) + 2 * rng.normal(size=(n, 2))
    model = ReceptiveField(shifts, smoothness=0.5).fit(X, Y)
    found = model.receptive_fields_
    assert found.dtype == np.float32 and np.abs(found - field).max() < 0.06
    assert shifts[np.abs(found[:, 0, 0]).argmax()] == 10 and shifts[np.abs(found[:, 1, 1]).argmax()] == 3


def test_float32_agrees_with_float64() -> None:
    X, _, Y = recording([0, 1, 2, 3], noise=10.0)
    wide, narrow = (ReceptiveField([0, 1, 2, 3], alphas=ALPHAS, cv=3).fit(X.astype(kind), Y, groups=RUN) for kind in (np.float64, np.float32))
    np.testing.assert_array_equal(wide.alpha_, narrow.alpha_)
    np.testing.assert_allclose(narrow.coef_, wide.coef_, atol=1e-5)
    assert narrow.predict(X, groups=RUN).dtype == np.float32


def test_runs_are_folds_and_delays_keep_to_them() -> None:
    shifts = [0, 1, 2]
    X, Z, Y = recording(shifts)
    whole = ReceptiveField(shifts, alphas=ALPHAS, cv=LeaveOneGroupOut()).fit(X, Y, groups=RUN)
    np.testing.assert_allclose(whole.coef_, Ridge(ALPHAS, cv=LeaveOneGroupOut()).fit(Z, Y, groups=RUN).coef_, atol=1e-10)
    loud = X.copy()
    loud[RUN == 3] += 1000.0
    np.testing.assert_array_equal(whole.predict(loud, groups=RUN)[RUN != 3], whole.predict(X, groups=RUN)[RUN != 3])
    assert (whole.predict(loud)[100] != whole.predict(X)[100]).all()  # one run where nobody says otherwise


def test_chunks_of_targets_give_the_same_numbers_and_the_smallest_budget_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(700, 4)), rng.normal(size=(700, 90))
    Y[:, 5] = 3.0
    np.save(tmp_path / "y.npy", Y)
    whole = ReceptiveField(range(5), alphas=ALPHAS).fit(X, Y)
    parts = ReceptiveField(range(5), alphas=ALPHAS, memory="1.2MB").fit(X, np.load(tmp_path / "y.npy", mmap_mode="r"))
    assert len(whole.plan_.slices()) == 1 and len(parts.plan_.slices()) > 2 and parts.plan_.expected <= 1_200_000
    np.testing.assert_allclose(parts.receptive_fields_, whole.receptive_fields_, atol=1e-12)
    np.testing.assert_allclose(parts.fold_r_, whole.fold_r_, atol=1e-12)
    assert np.isnan(whole.cv_scores_[5]) and whole.alpha_[5] == ALPHAS[-1] and not whole.receptive_fields_[..., 5].any()
    with pytest.raises(InputError, match="memory budget is too small"):
        ReceptiveField(range(5), memory="100kB").fit(X, Y)


def test_a_singular_problem_without_a_penalty_has_the_shortest_weights() -> None:
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(60, 1)), 2, axis=1)  # the same feature twice
    Y = X[:, :1] * 2.0
    model = ReceptiveField(alphas=0.0, cv=None, solver="cholesky").fit(X, Y)
    np.testing.assert_allclose(model.coef_, [[1.0, 1.0]], atol=1e-6)


@pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")
def test_score_layers_tells_it_where_runs_and_test_blocks_are() -> None:
    lags = np.arange(6) / 64
    X, _, Y = recording(range(6), noise=8.0)
    features = be.FeatureSpace(X, {"run": RUN}, name="toy/sound", rows="sample")
    brain = be.Responses(Y, {"run": RUN}, sampling_rate=64.0, name="01")
    encoder = ReceptiveField(lags, step=1 / 64, alphas=ALPHAS, cv=2)
    ours = be.score_layers(features, brain, split=be.split.runs(), encoder=encoder)
    theirs = be.score_layers(features.delay(lags, step=1 / 64), brain, split=be.split.runs(), encoder=Ridge(ALPHAS, cv=2))
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-10)
    np.testing.assert_array_equal(ours.alpha, theirs.alpha)


def test_trials_have_no_delays() -> None:
    ids = [f"image{i}" for i in range(40)]
    X = np.random.default_rng(0).normal(size=(40, 2))
    features, brain = be.FeatureSpace(X, {"stimulus_id": ids}, name="a/b"), be.Responses(X, {"stimulus_id": ids}, name="01")
    with pytest.raises(InputError, match="time series"):
        be.score_layers(features, brain, split=be.split.kfold(3), encoder=ReceptiveField())


def test_saved_and_read_again(tmp_path: Path) -> None:
    X, _, Y = recording([0, 1])
    model = ReceptiveField([0, 1], smoothness=(0.0, 0.5), alphas=(1.0, 10.0)).fit(X, Y, groups=RUN)
    again = load_model(model.save(tmp_path / "field"))
    np.testing.assert_array_equal(again.predict(X, groups=RUN), model.predict(X, groups=RUN))
    np.testing.assert_array_equal(again.fold_r_, model.fold_r_)
    assert again.shifts_ == [0, 1] and again.get_params() == model.get_params()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"delays": "late"}, "numbers of seconds"), ({"delays": [[0.0], [1.0]]}, "numbers of seconds"), ({"delays": [1.0, 0.0]}, "ascend"), ({"delays": [0.0, 0.5]}, "multiple of the step"), ({"delays": Delays([0.0, 1.0], (1.0, 2.0))}, "belong to kernels"),
        ({"delays": [0.0, 1.0, 3.0], "smoothness": 0.5}, "evenly spaced"), ({"smoothness": 1.0}, "smoothness"), ({"smoothness": "much"}, "smoothness"),
        ({"smoothness": True}, "smoothness"), ({"delay_penalties": [1.0, 2.0]}, "delay_penalties"), ({"delay_penalties": [0.0]}, "delay_penalties"),
        ({"cv": "loo"}, "neighbours in time"), ({"cv": None}, "nothing to choose"), ({"cv": None, "alphas": 1.0, "smoothness": (0.0, 0.5)}, "nothing to choose"),
        ({"solver": "magic"}, "solver"), ({"fit_intercept": "yes"}, "fit_intercept"), ({"alphas": -1.0}, "alphas"), ({"step": 0.0}, "step"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(options: dict[str, Any], words: str) -> None:
    X, _, Y = recording([0, 1])
    given = {"delays": [0.0, 1.0], **options}
    if "delay_penalties" in options and len(options["delay_penalties"]) == 2:
        given["delays"] = [0.0, 1.0, 2.0]
    with pytest.raises(InputError, match=words):
        ReceptiveField(**given).fit(X, Y)


def test_bad_data_are_refused() -> None:
    X, _, Y = recording([0, 1])
    with pytest.raises(InputError, match="do not stand together"):
        ReceptiveField().fit(X, Y, groups=np.arange(len(X)) % 2)
    with pytest.raises(InputError, match="groups do not fit"):
        ReceptiveField().fit(X, Y, groups=RUN[:-1])
    with pytest.raises(InputError, match="NaN or infinity"):
        ReceptiveField().fit(X, np.where(np.arange(len(X))[:, None] == 7, np.nan, Y))
    with pytest.raises(InputError, match="features"):
        ReceptiveField().fit(X, Y).predict(X[:, :2])
