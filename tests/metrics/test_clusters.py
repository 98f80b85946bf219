"""Clusters under given null maps, counted by hand, and subjects' t-values under flips."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from brainenc.core.errors import InputError
from brainenc.metrics.clusters import clusters_of, flipped_clusters
from brainenc.metrics.flips import flipped_t
from brainenc.metrics.tails import probabilities


def masses(row, height):
    """Sums of the stretches of a row above the height."""
    labels, n = ndimage.label(row > height)
    return ndimage.sum_labels(row, labels, range(1, n + 1)) if n else np.zeros(0)


def test_clusters_of_null_maps_are_counted(rng):
    maps = rng.standard_normal((41, 30))
    maps[0, 4:9] += 3
    z = maps / np.sqrt((maps**2).mean(axis=0))
    found = clusters_of(maps, threshold=1.0)
    tops = np.array([max(masses(row, 1.0), default=0.0) for row in z[1:]])
    mine = masses(z[0], 1.0)
    np.testing.assert_allclose(sorted(found.table["mass"]), sorted(mine))
    by_mass = found.table.set_index(found.table["mass"].round(9))["p"]
    for mass in mine:
        assert by_mass[round(mass, 9)] == (1 + (tops >= mass).sum()) / 41
    assert found.mask[4:9].all() and "1 subject, 40 permutations" in repr(found)
    assert clusters_of(maps).threshold == pytest.approx(stats.norm.isf(0.05))
    assert clusters_of(maps, tail="two-sided").threshold == pytest.approx(stats.norm.isf(0.025))


def test_bounded_memory_changes_nothing(rng):
    maps = rng.standard_normal((60, 4, 9)).astype(np.float32)
    one, two = clusters_of(maps, threshold=0.8), clusters_of(maps, threshold=0.8, memory="20KB")
    np.testing.assert_array_equal(one.p, two.p)
    np.testing.assert_array_equal(one.labels, two.labels)


def test_flips_are_one_sample_t_tests(rng):
    values = rng.standard_normal((9, 7))
    signs = np.where(rng.random((5, 9)) < 0.5, -1.0, 1.0)
    expected = [stats.ttest_1samp(values * row[:, None], 0).statistic for row in signs]
    np.testing.assert_allclose(flipped_t(values, signs), expected)


def test_the_maximum_is_never_smaller_than_the_cell(rng):
    values = rng.standard_normal((50, 8))
    families = np.repeat([0, 1], 4)
    p, p_max = probabilities(values, families, "greater")
    np.testing.assert_allclose(p, (1 + (values[1:] >= values[0]).sum(axis=0)) / 50)
    tops = values[1:].reshape(49, 2, 4).max(axis=2)
    np.testing.assert_allclose(p_max, (1 + (np.repeat(tops, 4, axis=1) >= values[0]).sum(axis=0)) / 50)


def test_maps_that_are_none_are_refused(rng):
    with pytest.raises(InputError, match="null maps"):
        clusters_of(np.ones((1, 5)))
    with pytest.raises(InputError, match="tail"):
        clusters_of(np.ones((3, 5)), tail="less")
    with pytest.raises(InputError, match="two subjects"):
        flipped_clusters(np.ones((1, 5)))
