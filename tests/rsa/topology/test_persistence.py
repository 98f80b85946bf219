"""Persistence against spanning trees, a circle, and distances of diagrams by brute force."""

import itertools
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse.csgraph
from scipy.spatial.distance import pdist, squareform

import brainenc as be
from brainenc.rsa.topology import persistence_diagrams, persistence_distances
from brainenc.rsa.topology.persistence import bottleneck, sliced_wasserstein


def _rdms(points):
    return be.RDMs(np.stack([pdist(one) for one in points]), {"stimulus_id": [f"c{i}" for i in range(len(points[0]))]})


def _circle(n, radius=1.0, gap=0.0):
    angle = np.linspace(0, 2 * np.pi * (1 - gap), n, endpoint=False)
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_components_die_along_the_spanning_tree_and_a_circle_has_one_loop():
    pytest.importorskip("ripser")
    blob = np.random.default_rng(0).standard_normal((16, 2))
    rdms = _rdms([_circle(16), blob])
    table = persistence_diagrams(rdms, scale="distance")
    for position, row in enumerate(rdms.values):
        tree = scipy.sparse.csgraph.minimum_spanning_tree(squareform(row)).data
        mine = table[(table["rdm"] == position) & (table["dimension"] == 0)]
        np.testing.assert_allclose(np.sort(mine["death"])[:-1], np.sort(tree), rtol=1e-5)
        assert np.isinf(mine["death"]).sum() == 1 and (mine["birth"] == 0).all()
    loops = table[(table["rdm"] == 0) & (table["dimension"] == 1)]
    # born when neighbours join, filled when triangles span the circle: chords over a third of it, here 6 of 16 steps
    assert len(loops) == 1
    np.testing.assert_allclose(loops[["birth", "death"]].to_numpy()[0], [2 * np.sin(np.pi / 16), 2 * np.sin(6 * np.pi / 16)], rtol=1e-5)
    # the scale of an RDM and monotone maps do not matter to the other two
    other = be.RDMs(rdms.values * 7, rdms.conditions)
    pd.testing.assert_frame_equal(persistence_diagrams(rdms), persistence_diagrams(other), rtol=1e-5)
    pd.testing.assert_frame_equal(persistence_diagrams(rdms, scale="rank"), persistence_diagrams(be.RDMs(rdms.values**3, rdms.conditions), scale="rank"))


def test_loops_tell_circles_from_arcs():
    pytest.importorskip("ripser")
    rng = np.random.default_rng(0)
    shapes = [_circle(20) + 0.02 * rng.standard_normal((20, 2)) for _ in range(2)] + [_circle(20, gap=0.35) + 0.02 * rng.standard_normal((20, 2)) for _ in range(2)]
    for kind in ("bottleneck", "sliced_wasserstein"):
        distances = persistence_distances(persistence_diagrams(_rdms(shapes)), kind=kind)
        assert (distances == distances.T).all() and (np.diag(distances) == 0).all()
        assert min(distances[:2, 2:].ravel()) > 3 * max(distances[0, 1], distances[2, 3])


def _brute_bottleneck(first, second):
    n, m = len(first), len(second)
    left, right = [*first, *[None] * m], [*second, *[None] * n]

    def cost(a, b):
        if a is None and b is None:
            return 0.0
        if a is None or b is None:
            one = a if b is None else b
            return (one[1] - one[0]) / 2
        return max(abs(a[0] - b[0]), abs(a[1] - b[1]))

    return min(max(cost(a, right[j]) for a, j in zip(left, order, strict=True)) for order in itertools.permutations(range(n + m)))


@pytest.mark.parametrize(("n", "m"), [(3, 4), (2, 5), (0, 3), (1, 1)])
def test_bottleneck_is_the_best_of_all_matchings(n, m):
    for seed in range(4):
        rng = np.random.default_rng([n, m, seed])
        first, second = (np.sort(rng.random((k, 2)), axis=1) for k in (n, m))
        assert bottleneck(first, second) == pytest.approx(_brute_bottleneck(first, second), abs=1e-12)
        assert bottleneck(second, first) == bottleneck(first, second)


def test_sliced_wasserstein_of_single_features():
    empty = np.empty((0, 2))
    assert bottleneck(empty, empty) == sliced_wasserstein(empty, empty) == 0.0
    # one feature against its place on the diagonal, at distance c = (d - b) / sqrt(2): the mean of c |cos| over directions is 2 c / pi
    bar = np.array([[0.2, 0.8]])
    assert sliced_wasserstein(bar, empty, 2000) == pytest.approx(0.6 / np.sqrt(2) * 2 / np.pi, rel=1e-4)
    assert sliced_wasserstein(bar, bar + [[0.0, 0.0]]) == 0.0
    rng = np.random.default_rng(0)
    first, second, third = (np.sort(rng.random((k, 2)), axis=1) for k in (3, 5, 4))
    assert sliced_wasserstein(first, third) <= sliced_wasserstein(first, second) + sliced_wasserstein(second, third)


def test_without_ripser_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ripser", None)
    with pytest.raises(be.BrainencError, match=r"brainenc\[topology\]"):
        persistence_diagrams(_rdms([_circle(8)]))


def test_what_has_no_filtration_is_refused():
    pytest.importorskip("ripser")
    with pytest.raises(be.BrainencError, match="negative"):
        persistence_diagrams(be.RDMs(np.array([[1.0, -0.5, 2.0]]), {"stimulus_id": list("abc")}))
    with pytest.raises(be.BrainencError, match="no such dimension"):
        persistence_diagrams(_rdms([_circle(8)]), max_dimension=-1)
