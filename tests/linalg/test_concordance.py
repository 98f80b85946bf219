"""Kendall's counts against loops and scipy."""

import numpy as np
import pytest
import scipy.stats
import torch

from brainenc.linalg.concordance import concordance, inversions


@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 33, 100, 257])
def test_inversions_are_those_of_a_loop(n):
    rng = np.random.default_rng(n)
    values, weights = rng.integers(max(2, n // 2), size=(3, n)), rng.integers(4, size=(3, n)).astype(float)
    upper = np.triu(np.ones((n, n)), 1)
    expected = [(upper * np.outer(w, w) * (v[:, None] > v[None, :])).sum() for v, w in zip(values, weights, strict=True)]
    found = inversions(torch.from_numpy(values), torch.from_numpy(weights))
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("levels", [3, 40, 10**6])
def test_tau_b_is_that_of_scipy(levels):
    rng = np.random.default_rng(levels)
    x = rng.integers(levels, size=(4, 301)).astype(float)
    y = x // 2 + rng.integers(levels, size=(4, 301))
    c = concordance(torch.from_numpy(x), torch.from_numpy(y))
    found = c.difference / torch.sqrt((c.total - c.tied_x) * (c.total - c.tied_y))
    expected = [scipy.stats.kendalltau(a, b).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_multiplicities_are_copies():
    rng = np.random.default_rng(0)
    x, y = rng.integers(9, size=(2, 5, 40)).astype(float)
    counts = rng.integers(4, size=40)
    few = concordance(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(counts.astype(float)))
    many = concordance(torch.from_numpy(np.repeat(x, counts, axis=1)), torch.from_numpy(np.repeat(y, counts, axis=1)))
    for one, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
