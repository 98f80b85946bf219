"""The covariance of scores: corrections, clips, ceilings, and what it is without any bootstrap."""

import numpy as np
import pytest

import brainenc as be
from brainenc.metrics.resample import bootstrap_weights
from brainenc.rsa.variances import covariance_of_draws, differences, one_factor, two_factors

N, S = 12, 5


def spd(rng, m, scale):
    factor = rng.standard_normal((m, 3 * m))
    return scale * factor @ factor.T / (3 * m)


def scalar(v_both, v_subjects, v_conditions, n_s, n_c):
    a, b = n_s / (n_s - 1), n_c / (n_c - 1)
    v = a * v_subjects + b * v_conditions - a * b * (v_both - v_subjects - v_conditions)
    return min(max(v, a * v_subjects, b * v_conditions), v_both)


def test_every_variance_and_every_difference_is_corrected_and_held_as_if_alone(rng):
    subjects, conditions = spd(rng, 4, 1.0), spd(rng, 4, 2.0)
    both = subjects + conditions + spd(rng, 4, 1.5)
    found = two_factors(both, subjects, conditions, 7, 30)
    for i in range(4):
        assert found[i, i] == pytest.approx(scalar(both[i, i], subjects[i, i], conditions[i, i], 7, 30), rel=1e-12)
        for j in range(i):
            apart = [c[i, i] + c[j, j] - 2 * c[i, j] for c in (both, subjects, conditions)]
            assert found[i, i] + found[j, j] - 2 * found[i, j] == pytest.approx(scalar(*apart, 7, 30), rel=1e-10)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(differences(found)[0, 0], 0, atol=1e-12)


def test_the_correction_recovers_the_variance_of_means_over_two_crossed_factors():
    """x_si = a_s + b_i + e_si: the variance of the grand mean is σa²/S + σb²/n + σe²/(S n)."""
    rng = np.random.default_rng(0)
    n_s, n_c, draws = 12, 20, 600
    found = []
    for _ in range(60):
        x = rng.normal(0, 0.7, (n_s, 1)) + rng.normal(0, 0.5, (1, n_c)) + rng.normal(0, 3.0, (n_s, n_c))
        v, w = rng.multinomial(n_s, np.full(n_s, 1 / n_s), draws) / n_s, rng.multinomial(n_c, np.full(n_c, 1 / n_c), draws) / n_c
        parts = [np.var(d, ddof=1) for d in (np.einsum("bs,si,bi->b", v, x, w), v @ x.mean(axis=1), w @ x.mean(axis=0))]
        found.append([parts[0], *two_factors(*(np.array([[p]]) for p in parts), n_s, n_c)[0]])
    truth = 0.49 / n_s + 0.25 / n_c + 9.0 / (n_s * n_c)
    raw, corrected = np.mean(found, axis=0)
    assert raw > 1.4 * truth  # noise counted three times
    assert corrected == pytest.approx(truth, rel=0.15)


def test_a_column_without_numbers_takes_no_draw_with_it(rng):
    draws = rng.standard_normal((50, 3))
    draws[:, 1] = np.nan
    draws[:5, 0] = np.nan
    found, failed = covariance_of_draws(draws)
    assert failed == 5
    np.testing.assert_allclose(found[np.ix_([0, 2], [0, 2])], np.cov(draws[5:][:, [0, 2]].T))
    assert np.isnan(found[1]).all() and np.isnan(found[:, 1]).all()


@pytest.fixture
def case(rng):
    p = N * (N - 1) // 2
    shared = rng.random(p)
    conditions = {"condition": [str(i) for i in range(N)]}
    return be.RDMs(np.stack([shared, rng.random(p)]), conditions), be.RDMs(shared + rng.random((S, p)), conditions, {"subject": list("abcde")})


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_the_covariance_holds_both_ceilings_whatever_is_resampled(case, method):
    models, data = case
    for subjects, conditions in ((True, False), (False, True), (True, True)):
        found = be.rsa.bootstrap(models, data, method=method, subjects=subjects, conditions=conditions, n=40)
        assert found.covariance.shape == (1, 4, 4)
        assert np.isfinite(found.covariance).all()
        assert (found.se() > 0).all()
    draws = np.concatenate([found.draws[:, 0], found.ceiling_draws[:, 0]], axis=1)
    one = be.rsa.bootstrap(models, data, method=method, subjects=False, n=40)
    mine = np.concatenate([one.draws[:, 0], one.ceiling_draws[:, 0]], axis=1)
    np.testing.assert_allclose(one.covariance[0], np.cov(mine.T) * N / (N - 1), rtol=1e-10)
    assert one.dof == N - 1
    assert found.dof == S - 1
    # the double bootstrap: all three kinds of samples come from the same draws
    other = be.rsa.bootstrap(models, data, method=method, conditions=False, n=40)
    known = np.isfinite(np.c_[other.draws[:, 0], other.ceiling_draws[:, 0], draws, mine]).all(axis=1)
    parts = [np.cov(d[known].T) for d in (draws, np.c_[other.draws[:, 0], other.ceiling_draws[:, 0]], mine)]
    np.testing.assert_allclose(found.covariance[0], two_factors(*parts, S, N), rtol=1e-9)
    np.testing.assert_allclose(other.covariance[0], one_factor(np.cov(np.c_[other.draws[:, 0], other.ceiling_draws[:, 0]].T), S), rtol=1e-9)


def test_without_a_bootstrap_the_errors_are_those_of_the_mean_over_subjects(case):
    models, data = case
    found = be.rsa.evaluate(models, data, n=0)
    scores = be.rsa.compare(data, models, "pearson")
    np.testing.assert_allclose(found.covariance[0, :2, :2], np.cov(scores.T) / S, rtol=1e-10)
    assert found.dof == S - 1
    assert found.draws is None
    assert found.resampled == ()
    assert np.isfinite(found.covariance).all()


def test_seeds_repeat_and_differ(case):
    models, data = case
    one, again, other = (be.rsa.bootstrap(models, data, n=10, seed=s).draws for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)
    assert len(bootstrap_weights(N, 10, 1, "rsa", "conditions")) == 10
