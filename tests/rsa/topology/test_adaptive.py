"""The adaptive test against a plain loop; level under independence, power on a circle."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import kstest

import brainenc as be
from brainenc.metrics.resample import permutations
from brainenc.rsa.topology import adaptive_test


def _scaled(distances, low, high, family):
    """The three scalings, values divided by the largest distance."""
    d = distances / distances.max()
    middle = {"keep": d, "upper": high * (d - low) / (high - low), "piecewise": (d - low) / (high - low)}[family]
    return np.where(d <= low, 0.0, np.where(d >= high, 1.0, middle))


def _dcor(a, b):
    a, b = (m - m.mean(0) - m.mean(1)[:, None] + m.mean() for m in (a, b))
    bottom = np.sqrt((a * a).sum() * (b * b).sum())
    return np.sqrt(abs((a * b).sum() / bottom)) if bottom > 1e-20 else 0.0


def _map(x, y, levels, family):
    a, b = pdist(x), pdist(y)
    cells = [(low, high) for i, low in enumerate(levels) for high in levels[i + 1 :]]
    return np.array([[_dcor(*(squareform(_scaled(d, *cell, family)) for d, cell in ((a, first), (b, second)))) for second in cells] for first in cells])


@pytest.mark.parametrize("family", ["piecewise", "keep", "upper"])
@pytest.mark.parametrize("statistic", ["max", "ratio", "standardised"])
def test_maps_and_p_are_those_of_a_loop(family, statistic):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 2)), rng.standard_normal((9, 3))
    y[:, 0] += x[:, 1]  # dependence that the first column of x does not show
    found = adaptive_test(x, y, n_thresholds=4, statistic=statistic, family=family, n_permutations=19, seed=5)
    levels = np.linspace(0, 1, 4)
    maps = np.array([_map(x[order], y, levels, family) for order in (np.arange(9), *permutations(9, 19, 5, "adaptive"))])
    np.testing.assert_allclose(found.correlations, maps[0], atol=1e-10)
    if statistic != "max":
        maps = maps / maps.mean(axis=0)
    if statistic == "standardised":
        maps = 1 + (maps - 1) / maps.std(axis=0)
    largest = maps.reshape(20, -1).max(axis=1)
    assert found.statistic == pytest.approx(largest[0], rel=1e-9)
    np.testing.assert_allclose(found.null, largest[1:], rtol=1e-9)
    assert found.p == (largest >= largest[0] - 1e-9).sum() / 20
    cell = found.cells[(found.cells["l"] == found.best["l_x"]) & (found.cells["u"] == found.best["u_x"])].index[0]
    assert found.values[cell].max() == found.statistic


def test_dependence_without_correlation_is_found():
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 2 * np.pi, 40)
    circle = np.cos(angle) + 0.1 * rng.standard_normal(40), np.sin(angle) + 0.1 * rng.standard_normal(40)
    x = rng.standard_normal(40)
    for pair in (circle, (x, x**2 + 0.2 * rng.standard_normal(40))):
        assert adaptive_test(*pair, n_permutations=199).p <= 0.01
    assert adaptive_test(x, rng.standard_normal(40), n_permutations=199).p > 0.05


def test_rdms_and_their_samples_agree():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((8, 3)), rng.standard_normal((8, 2))
    conditions = {"stimulus_id": list("abcdefgh")}
    first, second = (be.RDMs(pdist(one)[None], conditions) for one in (x, y))
    assert adaptive_test(first, second, n_permutations=19).p == adaptive_test(x, y, n_permutations=19).p
    # ranks do not see a monotone map of the distances
    third = be.RDMs(pdist(x)[None] ** 3, conditions)
    assert adaptive_test(first, y, scale="rank", n_permutations=19).statistic == pytest.approx(adaptive_test(third, y, scale="rank", n_permutations=19).statistic)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [(np.zeros(5), np.arange(5), "constant"), (np.arange(5), np.arange(6), "different numbers"), (np.arange(3), np.arange(3), "not samples"), ([0, 1, np.nan, 3], np.arange(4), "not finite")],
)  # fmt: skip
def test_what_cannot_be_tested_is_refused(x, y, message):
    with pytest.raises(be.BrainencError, match=message):
        adaptive_test(x, y)


def _p_values(n, seed, statistic):
    out = []
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        out.append(adaptive_test(rng.standard_normal((12, 2)), rng.standard_normal((12, 1)), n_thresholds=4, statistic=statistic, n_permutations=39, seed=i).p)
    return np.array(out)


def test_p_is_not_small_too_often():
    assert (_p_values(120, 0, "max") <= 0.1).mean() < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("statistic", ["max", "ratio", "standardised"])
def test_p_is_uniform_under_independence(statistic):
    p = _p_values(1500, 1, statistic)
    # p takes 40 values: half a step at random makes it continuous
    assert kstest(p - np.random.default_rng(0).uniform(0, 1 / 40, len(p)), "uniform").pvalue > 0.001
    assert abs((p <= 0.05).mean() - 0.05) < 0.02
