"""Noise models: degrees of freedom, what is formed, and how they reach the metrics."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.rsa.noise import NoiseModel, pooled

METHODS = ("full", "diagonal", "ledoit_wolf", "schaefer_strimmer")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("repeats", [2, 3, 8])
def test_unit_noise_has_unit_variance_whatever_the_number_of_repeats(rng, method, repeats):
    """The mean of 600 conditions takes half of the variance of two repeats with it: degrees of freedom put it back."""
    condition = np.tile(np.arange(600), repeats)
    values = 5 * rng.normal(size=(600, 9))[condition] + rng.normal(size=(600 * repeats, 9))
    model = be.rsa.noise_model(values, conditions=condition, method=method)
    assert model.dof == 600 * (repeats - 1)
    # standard error of the mean of nine variances
    assert model.covariance().diagonal().mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / model.dof / 9))


@pytest.mark.parametrize("n", [6, 40])
@pytest.mark.parametrize("method", ["ledoit_wolf", "schaefer_strimmer", "diagonal"])
def test_lazy_products_are_those_of_the_matrices(rng, method, n):
    model = be.rsa.noise_model(rng.normal(size=(n, 12)) * np.linspace(1, 3, 12), method=method)
    precision = np.linalg.inv(model.covariance())
    X, Y = rng.normal(size=(7, 12)), rng.normal(size=(8, 12))
    np.testing.assert_allclose(model.precision(), precision, atol=1e-10)
    np.testing.assert_allclose(model.gram(X), X @ precision @ X.T, atol=1e-10)
    np.testing.assert_allclose(model.gram(X, Y), X @ precision @ Y.T, atol=1e-10)
    np.testing.assert_allclose(model.whiten(X) @ model.whiten(X).T, X @ precision @ X.T, atol=1e-10)
    batch = model.whiten(np.stack([X, 2 * X]))
    np.testing.assert_allclose(batch[1], 2 * batch[0], atol=1e-12)
    small = model.whiten(X.astype(np.float32))
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, model.whiten(X), atol=1e-5)


def test_many_channels_are_never_squared(rng):
    """40,000 channels squared would be 12.8 GB."""
    residuals, patterns = rng.normal(size=(20, 40_000)), rng.normal(size=(6, 40_000))
    model = be.rsa.noise_model(residuals)
    found = be.rsa.rdm(patterns, metric="mahalanobis", noise=model).values
    assert model.factor.shape == (20, 40_000) and np.isfinite(found).all()
    gram = model.gram(patterns)
    expected = [(gram[i, i] + gram[j, j] - 2 * gram[i, j]) / 40_000 for i in range(6) for j in range(i + 1, 6)]
    np.testing.assert_allclose(found[0], expected, rtol=1e-10)


@pytest.mark.parametrize("n", [6, 40])
def test_channels_are_taken_from_the_covariance(rng, n):
    model = be.rsa.noise_model(rng.normal(size=(n, 12)))
    given = NoiseModel.from_precision(model.precision())
    for one in (model, given, NoiseModel.from_covariance(model.covariance())):
        np.testing.assert_allclose(one.take([1, 5, 3]).covariance(), model.covariance()[np.ix_([1, 5, 3], [1, 5, 3])], atol=1e-10)


def test_means_of_models_are_means_of_covariances(rng):
    first, second = (be.rsa.noise_model(rng.normal(size=(n, 9))) for n in (4, 30))
    expected = (first.covariance() + second.covariance()) / 2
    np.testing.assert_allclose(pooled([first, second]).covariance(), expected, atol=1e-12)
    np.testing.assert_allclose(pooled([first, NoiseModel.from_covariance(second.covariance())]).covariance(), expected, atol=1e-12)
    assert pooled([first]) is first


def test_residuals_of_trials_runs_and_series(rng, responses):
    values, condition, run = rng.normal(size=(24, 5)), np.tile([0, 1, 2], 8), np.repeat([0, 1], 12)

    def covariance(cells):
        off = values.copy()
        for cell in set(cells):
            rows = [c == cell for c in cells]
            off[rows] -= values[rows].mean(axis=0)
        return off.T @ off / (24 - len(set(cells)))

    make = lambda **o: be.rsa.noise_model(values, method="full", **o)  # noqa: E731
    np.testing.assert_allclose(make().covariance(), np.cov(values, rowvar=False))
    np.testing.assert_allclose(make(conditions=condition).covariance(), covariance(list(condition)))
    np.testing.assert_allclose(make(conditions=condition, folds=run).covariance(), covariance(list(zip(condition, run, strict=True))))
    np.testing.assert_allclose(make(folds=run).covariance(), covariance(list(run)))
    np.testing.assert_allclose(make(dof=10).covariance(), np.cov(values, rowvar=False) * 23 / 10)
    each = make(conditions=condition, by=run)
    assert list(each) == [0, 1] and each[1].dof == 9
    np.testing.assert_allclose(each[1].covariance(), be.rsa.noise_model(values[12:], conditions=condition[12:], method="full").covariance())
    from_trials = be.rsa.noise_model(responses)
    assert from_trials.dof == 18 and list(be.rsa.noise_model({"a": responses, "b": responses})) == ["a", "b"]
    series = be.Responses(values, {"run": run}, t_r=2.0)
    np.testing.assert_allclose(be.rsa.noise_model(series, method="full").covariance(), covariance(list(run)))


def test_noise_by_method_is_that_of_the_residuals(rng):
    values, condition, fold = rng.normal(size=(60, 5)), np.tile(np.arange(5), 12), np.repeat(np.arange(3), 20)
    options = {"metric": "crossnobis", "conditions": condition, "folds": fold}
    model = be.rsa.noise_model(values, conditions=condition, folds=fold)
    np.testing.assert_allclose(be.rsa.rdm(values, noise="schaefer_strimmer", **options).values, be.rsa.rdm(values, noise=model, **options).values)
    np.testing.assert_array_equal(be.rsa.rdm(values, noise=True, **options).values, be.rsa.rdm(values, noise="schaefer_strimmer", **options).values)
    single = {"metric": "crossnobis", "conditions": np.tile(np.arange(5), 3), "folds": np.repeat(np.arange(3), 5)}
    model = be.rsa.noise_model(values[:15], conditions=single["conditions"])
    with pytest.warns(BrainencWarning, match="every condition comes once a fold"):
        estimated = be.rsa.rdm(values[:15], noise=True, **single)
    np.testing.assert_allclose(estimated.values, be.rsa.rdm(values[:15], noise=model, **single).values)


def test_models_cannot_be_written_to(rng):
    model = be.rsa.noise_model(rng.normal(size=(9, 4)))
    matrix = np.eye(4)
    given = NoiseModel.from_precision(matrix)
    matrix[:] = 0
    assert given.precision()[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        model.factor[0, 0] = 1
    with pytest.raises(AttributeError):
        model.method = "x"


def test_models_travel_to_other_processes(rng):
    model = be.rsa.noise_model(rng.normal(size=(9, 4)))
    X = rng.normal(size=(3, 4))
    white = model.whiten(X)
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.whiten(X), white)
    assert back.shrinkage == model.shrinkage and back.dof == model.dof


def test_what_is_refused(rng):
    rows = rng.normal(size=(9, 4))
    for change, message in [
        (lambda x: np.where(np.arange(4) == 2, 1.0, x), r"1 of 4 channels have no noise variance.*channels '2'"),
        (lambda x: np.where(np.arange(9)[:, None] == 5, np.nan, x), r"NaN or infinity.*1 rows: '5'"),
        (lambda x: x[:1], "no degrees of freedom"),
        (lambda x: x[0], "real numbers"),
        (lambda x: x[None], "two-dimensional"),
    ]:
        with pytest.raises(InputError, match=message):
            be.rsa.noise_model(change(rows))
    with pytest.raises(InputError, match="no degrees of freedom are left"):
        be.rsa.noise_model(rows, conditions=np.arange(9))
    with pytest.raises(InputError, match=r"one of 'schaefer_strimmer'"):
        be.rsa.noise_model(rows, method="shrinkage")
    with pytest.raises(InputError, match=r"singular.*Shrink it"):
        be.rsa.noise_model(rng.normal(size=(3, 9)), method="full").whiten(np.ones((2, 9)))
    with pytest.raises(InputError, match=r"singular.*Shrink it"):  # ten rows of rank five
        be.rsa.noise_model(rng.normal(size=(10, 8)), conditions=np.repeat(np.arange(5), 2), method="full").precision()
    with pytest.raises(InputError, match="different channels"):
        be.rsa.noise_model(rows).whiten(np.ones((2, 5)))
    with pytest.raises(InputError, match="symmetric"):
        NoiseModel.from_covariance(np.arange(9.0).reshape(3, 3))
    with pytest.raises(InputError, match="square"):
        NoiseModel.from_precision(np.ones((2, 3)))
    with pytest.raises(InputError, match="not a noise model"):
        be.rsa.rdm(rows, metric="mahalanobis", noise=3.0)


def test_condition_covariance_is_the_scatter_over_folds(rng):
    n, folds, p = 5, 6, 8
    condition, fold = (part.reshape(-1) for part in np.indices((n, folds)))
    values, model = rng.normal(size=(n * folds, p)), be.rsa.noise_model(rng.normal(size=(30, p)))
    white = (values @ np.linalg.cholesky(model.precision())).reshape(n, folds, p)
    expected = np.mean([np.cov(white[:, :, k]) for k in range(p)], axis=0)
    found = be.rsa.condition_covariance(values, conditions=condition, folds=fold, noise=model)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    keep = ~((condition == 2) & (fold == 0))
    fewer = be.rsa.condition_covariance(values[keep], conditions=condition[keep], folds=fold[keep], noise=model)
    assert fewer[2, 2] == pytest.approx(np.mean([np.var(white[2, 1:, k], ddof=1) for k in range(p)]))
    others = [0, 1, 3, 4]
    np.testing.assert_allclose(fewer[np.ix_(others, others)], found[np.ix_(others, others)], atol=1e-10)
