"""What released implementations of similarities got wrong, and ours does not: each fault is written out beside the definition."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.rsa.similarity import canonical_correlations, cka, matrix, minibatch_cka, pwcca, svcca


@pytest.fixture
def pair(rng):
    x = rng.standard_normal((50, 4)) * [5, 1, 0.5, 0.2]
    return x, x @ rng.standard_normal((4, 6)) + 1.5 * rng.standard_normal((50, 6)) * [4, 1, 1, 1, 1, 0.3]


def canonical(x, y):
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    (qx, _), (qy, _) = np.linalg.qr(x), np.linalg.qr(y)
    u, rho, vt = np.linalg.svd(qx.T @ qy, full_matrices=False)
    return rho, qx @ u, qy @ vt.T


def weighted(rho, variates, activations):
    alpha = np.abs(variates.T @ (activations - activations.mean(axis=0))).sum(axis=1)
    return (alpha * rho).sum() / alpha.sum()


def test_the_weights_come_from_the_side_they_are_of(pair):
    """google/svcca, compute_pwcca: where the second side is chosen, its variates are projected on the activations of the first."""
    x, y = pair
    rho, hx, hy = canonical(x, y)
    assert pwcca(x, y) == pytest.approx(weighted(rho, hx, x), abs=1e-10)
    assert pwcca(y, x) == pytest.approx(weighted(rho, hy, y), abs=1e-10)
    faulty = weighted(rho, hy, x)
    assert abs(pwcca(y, x) - faulty) > 1e-3 and abs(pwcca(y, x) - pwcca(x, y)) > 1e-3


def test_a_threshold_of_correlations_is_not_a_floor_of_variances(pair):
    """google/svcca, robust_cca_similarity: ``threshold`` arrives as ``epsilon`` and removes directions of little variance."""
    x, y = pair
    small = x * [1, 1, 1, 1e-3]
    np.testing.assert_allclose(canonical_correlations(small, y), canonical_correlations(x, y), atol=1e-8)
    assert len(canonical_correlations(small, y)) == 4


def test_streams_of_different_lengths_are_an_error_and_every_batch_counts(pair):
    """torch_cka: the number of batches is the minimum of the same loader twice, so the sums are divided by a wrong count or run out."""
    x, y = pair
    batches = [(x[i : i + 10], y[i : i + 10]) for i in range(0, 50, 10)]
    with pytest.raises(be.BrainencError, match="right stream ends before the other"):
        minibatch_cka((a for a, _ in batches), (b for _, b in batches[:3]))
    with pytest.raises(be.BrainencError, match="left stream ends before the other"):
        minibatch_cka((a for a, _ in batches[:3]), (b for _, b in batches))
    table = minibatch_cka(({"x": a}, {"y": b}) for a, b in batches)
    assert table.attrs["n_batches"] == 5
    assert table.iloc[0, 0] != minibatch_cka(batches[:4])


def test_features_are_not_z_scored(pair):
    """Net2Brain z-scores every feature before CKA, which weighs a feature of no variance like the largest."""
    x, y = pair
    centred = [side - side.mean(axis=0) for side in pair]
    a, b = centred
    expected = np.linalg.norm(a.T @ b) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    assert cka(x, y) == pytest.approx(expected, abs=1e-12)
    scaled = cka(x / x.std(axis=0), y / y.std(axis=0))
    assert abs(scaled - expected) > 0.05


def test_a_sum_threshold_always_keeps_something(pair):
    """google/svcca, sum_threshold: None where no cumulated share reaches the threshold, as rounding leaves the last one below 1."""
    x, y = pair
    rng = np.random.default_rng(0)
    for width in range(1, 30):
        many = rng.standard_normal((50, width)) * rng.gamma(1.0, size=width)
        assert np.isfinite(svcca(many, y, variance=1.0))
    assert svcca(x, y, variance=1.0) == pytest.approx(canonical(x, y)[0].mean(), abs=1e-8)


def test_each_subject_is_compared_with_patterns_of_its_own(pair):
    """PcmPy, fit_CKA_group_crossval: the patterns of the first subject stand in for those of all others (read, not run)."""
    rng = np.random.default_rng(1)
    subjects = {f"s{i}": rng.standard_normal((50, 5 + i)) * rng.gamma(1.0, size=5 + i) for i in range(4)}
    table = matrix(subjects, {"model": pair[0]})
    for name, x in subjects.items():
        a, b = x - x.mean(axis=0), pair[0] - pair[0].mean(axis=0)
        expected = np.linalg.norm(a.T @ b) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
        assert table.loc[name, "model"] == pytest.approx(expected, abs=1e-10)
    assert len(set(table["model"].round(9))) == 4
