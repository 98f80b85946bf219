"""CCA and its relatives, regression, Procrustes and shapes, against numpy written from the definitions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import brainenc as be
from brainenc.core.errors import BrainencWarning
from brainenc.rsa.similarity import canonical_correlations, cca, linear_predictivity, matrix, procrustes_distance, pwcca, shape_distance, svcca


@pytest.fixture
def pair(rng):
    x = rng.standard_normal((40, 5)) * np.linspace(1, 4, 5) + 2
    return x, x @ rng.standard_normal((5, 8)) + 2 * rng.standard_normal((40, 8))


def centred(x):
    return x - x.mean(axis=0)


def by_covariances(x, y):
    """Canonical correlations and variates of x the textbook way: svd(Sxx^-1/2 Sxy Syy^-1/2)."""
    x, y = centred(x), centred(y)
    root = lambda s: np.linalg.inv(scipy.linalg.sqrtm(s).real)  # noqa: E731
    u, rho, _ = np.linalg.svd(root(x.T @ x) @ x.T @ y @ root(y.T @ y))
    k = min(x.shape[1], y.shape[1])
    return rho[:k], (x @ root(x.T @ x) @ u)[:, :k]


def test_canonical_correlations(pair):
    rho, _ = by_covariances(*pair)
    np.testing.assert_allclose(canonical_correlations(*pair), rho, atol=1e-10)
    assert cca(*pair) == pytest.approx(rho.mean(), abs=1e-10)


def test_pwcca_weighs_with_the_left_side(pair):
    for x, y in (pair, pair[::-1]):
        rho, h = by_covariances(x, y)
        alpha = np.abs(h.T @ centred(x)).sum(axis=1)
        assert pwcca(x, y) == pytest.approx((alpha * rho).sum() / alpha.sum(), abs=1e-10)


@pytest.mark.parametrize(("variance", "n_kept"), [(0.6, 2), (0.99, 5), (1.0, 5)])
def test_svcca_keeps_a_share_of_the_variance(pair, variance, n_kept):
    x, y = (centred(side) for side in pair)

    def leading(z, k=None):
        u, s, vt = np.linalg.svd(z, full_matrices=False)
        k = k or np.searchsorted(np.cumsum(s**2) / (s**2).sum(), variance * (1 - 1e-12)) + 1
        return z @ vt[:k].T

    assert leading(x).shape[1] == n_kept
    assert svcca(*pair, variance=variance) == pytest.approx(by_covariances(leading(x), leading(y))[0].mean(), abs=1e-10)
    assert svcca(*pair, components=3) == pytest.approx(by_covariances(leading(x, 3), leading(y, 3))[0].mean(), abs=1e-10)


def test_dependent_columns_do_not_count(pair):
    """A column that repeats others, and columns of rounding size, would each add a correlation of noise to a pinv."""
    x, y = pair
    more = np.column_stack([x, x[:, 0] + x[:, 1], np.full(40, 0.1)])
    np.testing.assert_allclose(canonical_correlations(more, y), canonical_correlations(x, y), atol=1e-10)
    noisy = np.column_stack([x, 1e-9 * np.random.default_rng(0).standard_normal(40)])
    assert len(canonical_correlations(noisy, y)) == 6
    assert len(canonical_correlations(noisy, y, tolerance=1e-6)) == 5


def test_ill_conditioned_sides_keep_their_digits(pair):
    x, y = pair
    scales = np.logspace(0, -6, 5)
    np.testing.assert_allclose(canonical_correlations(x * scales, y), canonical_correlations(x, y), atol=1e-8)


@pytest.mark.parametrize("measure", [cca, svcca, pwcca, linear_predictivity])
def test_as_many_features_as_samples_is_refused(measure, rng):
    wide, y = rng.standard_normal((20, 30)), rng.standard_normal((20, 3))
    with pytest.raises(be.BrainencError, match="whatever the data"):
        measure(wide, y, **({"variance": 1.0} if measure is svcca else {}))
    assert np.isfinite(svcca(wide, y, components=4))


def test_correlations_that_are_certain_are_warned_of(rng):
    x, y = rng.standard_normal((20, 12)), rng.standard_normal((20, 10))
    with pytest.warns(BrainencWarning, match="3 canonical correlations are 1"):
        found = canonical_correlations(x, y)
    assert (found > 1 - 1e-10).sum() == 3


def test_linear_predictivity_is_r_squared(pair):
    x, y = (centred(side) for side in pair)
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    assert linear_predictivity(*pair) == pytest.approx(1 - (residual**2).sum() / (y**2).sum(), abs=1e-12)


def whitened(x, alpha):
    """Z = X V [α + (1 − α) λ^-1/2] V', rescaled to the variance of X."""
    x = centred(x)
    lam, v = np.linalg.eigh(x.T @ x)
    z = x @ (v * (alpha + (1 - alpha) * lam**-0.5)) @ v.T
    return z * np.linalg.norm(x) / np.linalg.norm(z)


@pytest.mark.parametrize("alpha", [1.0, 0.6, 0.0])
def test_shape_distances(pair, alpha):
    a, b = (whitened(side, alpha) for side in pair)
    nuclear = np.linalg.norm(a.T @ b, "nuc")
    angle = np.arccos(nuclear / np.linalg.norm(a) / np.linalg.norm(b))
    assert shape_distance(*pair, alpha=alpha) == pytest.approx(angle, abs=1e-8)
    euclidean = np.sqrt((a**2).sum() + (b**2).sum() - 2 * nuclear)
    assert shape_distance(*pair, alpha=alpha, kind="euclidean") == pytest.approx(euclidean, rel=1e-8)


def test_a_whitened_shape_ignores_linear_maps(pair, rng):
    x, y = pair
    assert shape_distance(x @ (rng.standard_normal((5, 5)) + 2 * np.eye(5)), y, alpha=0) == pytest.approx(shape_distance(x, y, alpha=0), abs=1e-8)
    assert abs(shape_distance(x @ np.diag([1, 2, 3, 4, 5]), y, alpha=0.5) - shape_distance(x, y, alpha=0.5)) > 1e-4


@pytest.mark.parametrize("shape", [(10, 30, 40), (10, 30, 4), (30, 4, 10)])
def test_more_features_than_samples_needs_no_padding(rng, shape):
    n, p, q = shape
    x, y = centred(rng.standard_normal((n, p))), centred(rng.standard_normal((n, q)))
    width = max(p, q)
    padded = [np.pad(z / np.linalg.norm(z), ((0, 0), (0, width - z.shape[1]))) for z in (x, y)]
    rotation, _ = scipy.linalg.orthogonal_procrustes(padded[1], padded[0])
    expected = np.linalg.norm(padded[0] - padded[1] @ rotation)
    assert procrustes_distance(x, y) == pytest.approx(expected, abs=1e-10)
    assert procrustes_distance(y, x) == pytest.approx(expected, abs=1e-10)


def test_nearly_equal_shapes_are_told_apart(rng):
    """1 − ‖X'Y‖_* loses half of the digits: below about 1e-8 it is zero or noise."""
    x = rng.standard_normal((30, 5))
    direction = rng.standard_normal((30, 5))
    far = procrustes_distance(x, x + 1e-4 * direction)
    assert procrustes_distance(x, x + 1e-10 * direction) == pytest.approx(1e-6 * far, rel=1e-3)


def test_distances_in_the_units_of_the_data(pair):
    x, y = (centred(side) for side in pair)
    expected = np.sqrt((x**2).sum() + (y**2).sum() - 2 * np.linalg.norm(x.T @ y, "nuc"))
    assert procrustes_distance(*pair, normalize=False) == pytest.approx(expected, rel=1e-10)
    assert procrustes_distance(*pair, normalize=False) == pytest.approx(shape_distance(*pair, kind="euclidean"), rel=1e-10)
    assert 2 * np.arcsin(procrustes_distance(*pair) / 2) == pytest.approx(shape_distance(*pair), abs=1e-10)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(1, 12)] * 3), st.floats(0, 1), st.sampled_from(["angular", "euclidean"]))
def test_the_triangle_inequality(seed, widths, alpha, kind):
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((9, 12))
    sides = [mix @ rng.standard_normal((12, p)) * rng.exponential() + rng.standard_normal((9, p)) for p in widths]
    d = matrix({str(i): side for i, side in enumerate(sides)}, metric="shape_distance", alpha=alpha, kind=kind).to_numpy()
    assert (d >= 0).all() and np.allclose(d, d.T, atol=0)
    assert d[0, 2] <= d[0, 1] + d[1, 2] + 1e-9


def test_bad_choices(pair):
    for call, message in (
        (lambda: shape_distance(*pair, alpha=1.5), "alpha lies"),
        (lambda: shape_distance(*pair, kind="cosine"), "unknown value for kind"),
        (lambda: svcca(*pair, variance=0.0), "variance is a share"),
        (lambda: svcca(*pair, components=0), "components is a count"),
        (lambda: cca(*pair, tolerance=2), "tolerance"),
    ):
        with pytest.raises(be.BrainencError, match=message):
            call()


def test_constant_sides_are_nan(pair):
    flat = np.full((40, 3), 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for measure in (cca, pwcca, shape_distance, procrustes_distance):
            assert np.isnan(measure(flat, pair[0])) and np.isnan(measure(pair[0], flat))
        assert np.isnan(linear_predictivity(pair[0], flat))
        assert linear_predictivity(flat, pair[0]) == 0
