"""Ranks and pairs against scipy."""

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import torch

from brainenc.linalg.ranks import midranks, n_of_pairs, to_condensed, to_square


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_midranks_are_those_of_scipy(levels):
    values = np.random.default_rng(0).integers(levels, size=(3, 4, 57)).astype(float)
    expected = scipy.stats.rankdata(values, axis=-1)
    np.testing.assert_array_equal(midranks(torch.from_numpy(values)).numpy(), expected)


def test_midranks_of_nothing_and_of_one():
    assert midranks(torch.zeros(2, 0)).shape == (2, 0)
    assert midranks(torch.tensor([7.0])).tolist() == [1.0]


def test_pairs_stand_in_the_order_of_scipy():
    condensed = np.random.default_rng(1).random(21)
    full = to_square(torch.from_numpy(condensed), diagonal=0.0)
    np.testing.assert_array_equal(full.numpy(), scipy.spatial.distance.squareform(condensed))
    np.testing.assert_array_equal(to_condensed(full).numpy(), condensed)
    assert to_square(torch.zeros(2, 3, 6)).shape == (2, 3, 4, 4)


def test_a_number_of_pairs_that_no_set_has():
    assert [n_of_pairs(p) for p in (0, 1, 3, 4186)] == [1, 2, 3, 92]
    with pytest.raises(ValueError, match="4 is not"):
        n_of_pairs(4)
