"""Alignment related to behaviour across models: against scipy, by hand, and how often it errs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brainenc.core.errors import InputError
from brainenc.encoding import relate
from brainenc.encoding.behaviour import bca, bootstrap_correlations, correlate


@pytest.fixture
def planted(rng):
    behaviour = rng.standard_normal(12)
    return np.stack([0.5 * rng.standard_normal(12) - behaviour, rng.standard_normal(12), rng.gamma(1.0, size=12)], axis=1), behaviour


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlations_are_those_of_scipy(planted, method):
    x, y = planted
    table = relate(x, y, rois=["V1", "V4", "IT"], method=method, n_boot=499, n_permutations=999)
    peer = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[method]
    np.testing.assert_allclose(table["r"], [peer(x[:, i], y).statistic for i in range(3)])
    left = np.array([[peer(np.delete(x[:, i], j), np.delete(y, j)).statistic for i in range(3)] for j in range(12)])
    np.testing.assert_allclose(table["loo_min"], left.min(axis=0))
    np.testing.assert_allclose(table["loo_max"], left.max(axis=0))
    assert list(table["loo_model"]) == [str(i) for i in np.abs(left - table["r"].to_numpy()).argmax(axis=0)]
    np.testing.assert_allclose(table["d"], 2 * table["r"] / np.sqrt(1 - table["r"] ** 2))
    exact = [peer(x[:, i], y).pvalue for i in range(3)]
    np.testing.assert_allclose(table["p_two"], exact, atol=0.05)
    assert table["p_less"][0] == 0.001 and table["p_greater"][0] > 0.99 and (table["p_max"] >= table["p_two"]).all()


def test_permutation_p_of_few_models_nears_the_exact_one():
    x, y = np.array([0.1, 0.4, 0.3, 0.9, 0.5]), np.array([1.0, 2.0, 2.5, 4.0, 2.2])
    null = np.array([stats.pearsonr(x, y[list(order)]).statistic for order in itertools.permutations(range(5))])
    r = stats.pearsonr(x, y).statistic
    table = relate(x, y, n_boot=99, n_permutations=4000)
    np.testing.assert_allclose(table["p_greater"], (null >= r - 1e-12).mean(), atol=0.01)
    np.testing.assert_allclose(table["p_two"], (np.abs(null) >= abs(r) - 1e-12).mean(), atol=0.012)


def test_bca_is_that_of_scipy(planted):
    x, y = planted
    left = np.stack([correlate(np.delete(x, i, axis=0), np.delete(y, i), "pearson") for i in range(12)])
    draws = bootstrap_correlations(x, y, 20000, 0, "pearson")
    ours = bca(correlate(x, y, "pearson"), draws, left).ends
    for i in range(3):
        peer = stats.bootstrap(
            (x[:, i], y), lambda a, b, axis=-1: stats.pearsonr(a, b, axis=axis).statistic, paired=True, vectorized=True, method="BCa", n_resamples=20000,
            rng=np.random.default_rng(1),
        )  # fmt: skip
        np.testing.assert_allclose(ours[:, i], peer.confidence_interval, atol=0.03)


def test_degenerate_samples_are_counted():
    x, y = np.array([0.0, 0.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0])
    table = relate(x, y, n_boot=2000, n_permutations=99)
    share = 0.75**4 + 0.25**4  # samples without the fourth model, or of it alone
    assert abs(table["n_degenerate"].item() / 2000 - share) < 0.04


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (np.ones((3, 2)), np.ones(3), "too few models"),
        (np.ones((5, 2)), np.ones(4), "do not fit"),
        (np.array([0, 1, 2, np.nan, 4]), np.ones(5), "missing"),
    ],
)
def test_inputs_that_say_nothing(x, y, text):
    with pytest.raises(InputError, match=text):
        relate(x, y)


def test_a_constant_region_has_no_correlation():
    table = relate(np.stack([np.ones(6), np.arange(6.0)], axis=1), np.arange(6.0) ** 2, n_boot=99, n_permutations=99)
    assert np.isnan(table.loc[0, ["r", "ci_low", "p_two", "p_max", "q"]].astype(float)).all() and pd.isna(table["loo_model"][0])
    assert np.isfinite(table.loc[1, ["r", "p_two", "p_max"]].astype(float)).all()


@pytest.mark.slow
def test_error_rates_and_coverage_of_twelve_models():
    rng = np.random.default_rng(0)
    p, p_max, inside = [], [], []
    for i in range(1000):
        y = rng.standard_normal(12)
        table = relate(rng.standard_normal((12, 3)), y, n_boot=99, n_permutations=199, seed=i)
        p.append(table["p_two"][0])
        p_max.append(table["p_max"].min())
        paired = 0.6 * y + 0.8 * rng.standard_normal(12)  # ρ = 0.6
        left = np.stack([correlate(np.delete(paired, j)[:, None], np.delete(y, j), "pearson") for j in range(12)])
        low, high = bca(correlate(paired[:, None], y, "pearson"), bootstrap_correlations(paired[:, None], y, 1000, i, "pearson"), left).ends[:, 0]
        inside.append(low <= 0.6 <= high)
    assert stats.kstest(p, "uniform").pvalue > 0.001
    assert np.mean(np.array(p_max) <= 0.05) <= 0.07
    assert 0.92 <= np.mean(inside) <= 0.97
