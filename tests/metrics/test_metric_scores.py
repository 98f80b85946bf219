"""Metrics against scipy and scikit-learn, and where they have no answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from brainenc import metrics
from brainenc.core.errors import InputError, NotFoundError
from brainenc.metrics import _columns


@pytest.fixture
def pair(rng):
    observed = rng.standard_normal((9, 8)) * 3 + 50
    return observed, 0.5 * observed + rng.standard_normal((9, 8))


def test_pearson_is_scipys(pair):
    expected = [stats.pearsonr(y, p).statistic for y, p in zip(pair[0].T, pair[1].T, strict=True)]
    np.testing.assert_allclose(metrics.pearson(*pair), expected, atol=1e-12)


def test_r2_is_scikit_learns(pair):
    np.testing.assert_allclose(metrics.r2(*pair), r2_score(*pair, multioutput="raw_values"), atol=1e-12)


def test_float32_sums_are_taken_in_float64(rng):
    y = (1e4 + rng.standard_normal((2000, 3))).astype(np.float32)
    p = (y + rng.standard_normal((2000, 3))).astype(np.float32)
    wide = [stats.pearsonr(a, b).statistic for a, b in zip(y.T.astype(float), p.T.astype(float), strict=True)]
    np.testing.assert_allclose(metrics.pearson(y, p), wide, atol=1e-12)


def test_chunks_do_not_change_anything(pair, monkeypatch):
    whole = metrics.pearson(*pair), metrics.r2(*pair)
    monkeypatch.setattr(_columns, "CHUNK_BYTES", 3 * 8 * 9)
    np.testing.assert_array_equal(metrics.pearson(*pair), whole[0])
    np.testing.assert_array_equal(metrics.r2(*pair), whole[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_columns_have_no_correlation(rng, dtype):
    y = rng.standard_normal((9, 3)).astype(dtype)
    p = y.copy()
    p[:, 0] = 0.1
    p[:, 1] = dtype(0.1) + np.finfo(dtype).eps * dtype(0.05) * rng.integers(-1, 2, 9).astype(dtype)  # constant but for rounding
    r = metrics.pearson(y, p)
    assert np.isnan(r[:2]).all() and r[2] == pytest.approx(1.0)
    assert np.isnan(metrics.pearson(p, y)[:2]).all()
    assert np.isnan(metrics.r2(p, y)[0])
    assert metrics.r2(y, p)[0] < 0  # a constant prediction still has an R²


def test_a_small_signal_on_a_large_mean_is_not_constant(rng):
    y = 1000 + 1e-6 * rng.standard_normal((50, 2))
    assert metrics.pearson(y, y.copy()) == pytest.approx([1.0, 1.0])


def test_nan_stays_in_its_column(pair):
    observed = pair[0].copy()
    observed[3, 2] = np.nan
    assert np.flatnonzero(np.isnan(metrics.pearson(observed, pair[1]))).tolist() == [2]
    assert np.flatnonzero(np.isnan(metrics.r2(observed, pair[1]))).tolist() == [2]


def test_shapes_must_agree(pair):
    with pytest.raises(InputError, match=r"expected \(9, 8\), got \(9, 7\)"):
        metrics.pearson(pair[0], pair[1][:, :7])
    with pytest.raises(InputError, match="at least two samples"):
        metrics.pearson(pair[0][:1], pair[1][:1])


def test_metrics_by_name(pair):
    assert {"pearson", "r2"} <= set(metrics.names())
    np.testing.assert_array_equal(metrics.get("r2")(*pair), metrics.r2(*pair))
    with pytest.raises(NotFoundError, match="pearson"):
        metrics.get("pearsn")


def test_every_metric_gives_one_number_a_target_and_one_for_a_perfect_prediction(pair):
    for name in metrics.names():
        out = metrics.get(name)(pair[0], pair[0].copy())
        assert out.shape == (8,) and out.dtype == np.float64
        np.testing.assert_allclose(out, 1.0)
