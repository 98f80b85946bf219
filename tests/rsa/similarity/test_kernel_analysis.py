"""Kernel analysis against loops over the definitions."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest
import scipy.spatial.distance as spd
from sklearn.kernel_ridge import KernelRidge

import brainenc as be
from brainenc.rsa.similarity import kernel_analysis


@pytest.fixture
def data(rng):
    labels = np.repeat(["cat", "dog", "owl"], [10, 9, 8])
    x = rng.standard_normal((27, 5)) + 1.2 * rng.standard_normal((3, 5))[np.repeat([0, 1, 2], [10, 9, 8])]
    order = rng.permutation(27)
    return x[order], labels[order]


def kernels(x, quantiles=(0.1, 0.5, 0.9)):
    d = spd.squareform(spd.pdist(x))
    sigma = np.quantile(spd.pdist(x), quantiles)
    return sigma, [np.exp(-(d**2) / (2 * s**2)) for s in sigma]


def test_the_curve_of_classes(data):
    x, labels = data
    y = (labels[:, None] == np.unique(labels)).astype(float)
    found = kernel_analysis(x, labels)
    sigma, grams = kernels(x)
    np.testing.assert_allclose(found.sigma, sigma, rtol=1e-10)
    for number, K in enumerate(grams):
        values, u = np.linalg.eigh(K)
        u = u[:, np.argsort(-values)]
        errors = [(np.argmax(u[:, :d] @ u[:, :d].T @ y, 1) != y.argmax(1)).mean() for d in range(1, 28)]
        np.testing.assert_allclose(found.curves[number], errors, atol=1e-12)
    np.testing.assert_allclose(found.curve, found.curves.min(axis=0))
    assert found.auc == pytest.approx(1 - found.curve.mean())
    assert found.curve[-1] == 0, "a training-set measure: every component together is perfect"
    assert found.chance == pytest.approx(17 / 27) and found.n_classes == 3


def test_the_curve_of_numbers(data, rng):
    x, _ = data
    y = x[:, :2] ** 2 + rng.standard_normal((27, 2))
    found = kernel_analysis(x, y, loss="mse", n_dimensions=9)
    for number, K in enumerate(kernels(x)[1]):
        values, u = np.linalg.eigh(K)
        u = u[:, np.argsort(-values)]
        residual = [((y - u[:, :d] @ u[:, :d].T @ y) ** 2).sum() / (y**2).sum() for d in range(1, 10)]
        np.testing.assert_allclose(found.curves[number], residual, atol=1e-10)
    assert (np.diff(found.curves, axis=1) <= 1e-12).all() and found.chance == 1


def test_leave_one_out_is_leaving_one_out(data):
    x, labels = data
    y = (labels[:, None] == np.unique(labels)).astype(float)
    found = kernel_analysis(x, labels, penalties=[0.1, 1e-4])
    np.testing.assert_array_equal(found.penalties, [0.1, 1e-4])
    for number, K in enumerate(kernels(x)[1]):
        for place, penalty in enumerate(found.penalties):
            wrong = []
            for i in range(27):
                rest = np.delete(np.arange(27), i)
                ridge = KernelRidge(alpha=penalty, kernel="precomputed").fit(K[np.ix_(rest, rest)], y[rest])
                wrong.append(ridge.predict(K[[i]][:, rest]).argmax() != y[i].argmax())
            assert found.loo_curves[number, place] == pytest.approx(np.mean(wrong), abs=1e-12)


def test_training_error_falls_and_leave_one_out_does_not_on_noise(rng):
    x, labels = rng.standard_normal((60, 10)), np.repeat(["a", "b"], 30)
    found = kernel_analysis(x, labels)
    assert found.auc > 0.6, "optimistic on pure noise"
    assert found.loo_curves.mean() > 0.4


def test_better_features_give_a_larger_area(rng):
    codes = np.repeat([0, 1, 2, 3], 15)
    centres, noise = rng.standard_normal((4, 12)), rng.standard_normal((60, 12))
    good, poor = (kernel_analysis(gain * centres[codes] + noise, codes) for gain in (2.0, 0.5))
    assert good.auc > poor.auc + 0.05 and good.loo < poor.loo


def test_labels_by_stimulus(features):
    labels = pd.Series({f"s{i}": i % 2 for i in range(9)})
    matched = kernel_analysis(features, labels)
    assert matched.curves.tolist() == kernel_analysis(features.values, [(8 - i) % 2 for i in range(9)]).curves.tolist()
    assert matched.name == "toy/layer1"
    with pytest.raises(be.BrainencError, match="do not fit"):
        kernel_analysis(features, labels.iloc[:5])


def test_the_result_is_a_frozen_table(data):
    found = kernel_analysis(*data, n_dimensions=5)
    table = found.to_frame()
    assert list(table.columns) == ["name", "form", "sigma", "quantile", "complexity", "error"]
    assert len(table) == 3 * 5 + 3 * 25
    assert "KA-AUC" in repr(found) and "KA-AUC" in found._repr_html_()
    with pytest.raises(FrozenInstanceError):
        found.loss = "mse"


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros(27), {}, "two classes"),
        (np.arange(5), {}, "differ in number"),
        (np.array(["a"] * 27), {"loss": "mse"}, "finite numbers"),
        (np.arange(27) % 2, {"quantiles": [1.5]}, "quantiles"),
        (np.arange(27) % 2, {"penalties": [0.0]}, "penalties"),
        (np.arange(27) % 2, {"n_dimensions": 28}, "n_dimensions"),
        (np.arange(27) % 2, {"loss": "hinge"}, "unknown value for loss"),
    ],
)
def test_messages(data, labels, options, message):
    with pytest.raises(be.BrainencError, match=message):
        kernel_analysis(data[0], labels, **options)
