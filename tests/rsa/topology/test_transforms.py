"""RGTM and RGDM against their definitions, written again in numpy and scipy."""

import numpy as np
import pytest
import scipy.sparse.csgraph
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

import brainenc as be
from brainenc.rsa.topology import rgdm, rgtm


def _rdms(n_rdms=3, n=9, seed=0, levels=None):
    rng = np.random.default_rng(seed)
    values = rng.random((n_rdms, n * (n - 1) // 2)) if levels is None else rng.integers(levels, size=(n_rdms, n * (n - 1) // 2)).astype(float)
    return be.RDMs(values, {"stimulus_id": [f"s{i}" for i in range(n)]}, {"roi": [f"r{i}" for i in range(n_rdms)]}, "correlation")


def _by_definition(row, low, high):
    rank = rankdata(row)
    z = (rank - rank.min()) / (rank.max() - rank.min())
    a, b = np.quantile(z, low), np.quantile(z, high)
    out = np.where(z < a, 0.0, 1.0)
    inside = (z >= a) & (z <= b)
    if b > a:
        out[inside] = (z[inside] - a) / (b - a)
    else:
        out[inside] = 0.0
    return out


@pytest.mark.parametrize("levels", [None, 6])
@pytest.mark.parametrize(("low", "high"), [(0.2, 0.8), (0.0, 0.3), (0.55, 1.0), (0.4, 0.4), (0.1, 0.95)])
def test_each_rdm_follows_the_definition(low, high, levels):
    rdms = _rdms(levels=levels)
    found = rgtm(rdms, low, high)
    for row, one in zip(rdms.values, found.values, strict=True):
        np.testing.assert_allclose(one, _by_definition(row, low, high), atol=1e-12)
    assert found.metric == f"RGTM({low:g}, {high:g}) of correlation" and list(found.rdms["roi"]) == ["r0", "r1", "r2"]


def test_full_range_is_the_rank_rdm_and_equal_thresholds_an_adjacency():
    rdms = _rdms()
    ranks = rankdata(rdms.values, axis=1)
    np.testing.assert_allclose(rgtm(rdms, 0.0, 1.0).values, (ranks - 1) / (ranks.shape[1] - 1), atol=1e-12)
    for level in (0.0, 0.3, 0.5, 1.0):
        found = rgtm(rdms, level, level).values
        assert set(np.unique(found)) <= {0.0, 1.0}
        # the nearest pairs up to and with the threshold are neighbours
        np.testing.assert_array_equal((found == 0).sum(axis=1), np.floor(level * (ranks.shape[1] - 1) + 1e-9) + 1)


@pytest.mark.parametrize("monotone", [np.sqrt, lambda d: d**5, lambda d: 3 * np.log(d + 1) - 7, lambda d: np.exp(4 * d)])
@pytest.mark.parametrize("family", ["piecewise", "sigmoid", "keep", "upper"])
def test_only_the_order_matters(monotone, family):
    rdms = _rdms(levels=30)
    given = (None, None) if family == "sigmoid" else (0.25, 0.6)
    changed = be.RDMs(monotone(rdms.values), rdms.conditions)
    np.testing.assert_array_equal(rgtm(changed, *given, family=family).values, rgtm(rdms, *given, family=family).values)


def test_quantiles_are_not_pooled_over_rdms():
    """One RDM alone and in a stack with another of a thousand times the scale is the same."""
    rdms = _rdms(2)
    stack = be.RDMs(rdms.values * np.array([[1.0], [1000.0]]), rdms.conditions)
    np.testing.assert_array_equal(rgtm(stack, 0.2, 0.7).values[1], rgtm(stack.take([1]), 0.2, 0.7).values[0])
    np.testing.assert_array_equal(rgtm(stack, 0.2, 0.7).values, rgtm(rdms, 0.2, 0.7).values)


def test_the_other_families_and_the_distance_scale():
    d = np.array([2.0, 4.0, 5.0, 6.0, 8.0, 10.0])  # z = d / 10
    np.testing.assert_allclose(rgtm(d, 0.4, 0.8, family="piecewise", scale="distance"), [0, 0, 0.25, 0.5, 1, 1])
    np.testing.assert_allclose(rgtm(d, 0.4, 0.8, family="keep", scale="distance"), [0, 0, 0.5, 0.6, 1, 1])
    np.testing.assert_allclose(rgtm(d, 0.4, 0.8, family="upper", scale="distance"), [0, 0, 0.2, 0.4, 1, 1])
    np.testing.assert_allclose(rgtm(d, family="sigmoid", alpha=6, beta=0.4, scale="distance"), 1 / (1 + np.exp(-6 * (d / 10 - 0.4))))
    with pytest.raises(be.BrainencError, match="no quantiles"):
        rgtm(d, 0.2, family="sigmoid")


def test_arrays_keep_their_shape_and_inputs_stay():
    values = np.random.default_rng(1).random((2, 4, 28))
    before = values.copy()
    assert rgtm(values, 0.1, 0.9).shape == rgdm(values).shape == (2, 4, 28)
    np.testing.assert_array_equal(values, before)
    rdms = _rdms()
    stored = rdms.values.copy()
    rgtm(rdms), rgdm(rdms, 0.1, 0.3)
    np.testing.assert_array_equal(rdms.values, stored)


def test_missing_pairs_stay_missing_and_are_not_ranked():
    values = _rdms(1).values[0]
    holes = values.copy()
    holes[[3, 11]] = np.nan
    with pytest.raises(be.BrainencError, match="2 dissimilarities are missing"):
        rgtm(holes)
    for family in ("piecewise", "keep"):
        found = rgtm(holes, 0.3, 0.6, family=family, nan="omit")
        assert np.isnan(found).sum() == 2 and np.isnan(found[[3, 11]]).all()
    kept = np.delete(values, [3, 11])
    np.testing.assert_allclose(np.delete(rgtm(holes, 0.3, 0.6, nan="omit"), [3, 11]), _by_definition(kept, 0.3, 0.6), atol=1e-12)


@pytest.mark.parametrize(
    ("values", "given", "message"),
    [
        ([1.0, 2.0, 3.0], (0.6, 0.4), "0 ≤ l ≤ u ≤ 1"), ([1.0, 2.0, 3.0], (np.nan, 0.4), "0 ≤ l ≤ u ≤ 1"), ([1.0, 1.0, 1.0], (0.1, 0.4), "constant"),
        ([1.0, np.inf, 3.0], (0.1, 0.4), "infinite"), ([1.0, 2.0, 3.0, 4.0], (0.1, 0.4), "not condensed"),
    ],
)  # fmt: skip
def test_what_has_no_map_is_refused(values, given, message):
    for transform in (rgtm, rgdm):
        with pytest.raises(be.BrainencError, match=message):
            transform(np.array(values), *given)


def test_geodesics_of_the_triangle_keep_its_closest_pair():
    """{1, 2, 4} scaled to 0, 1/3, 1: the edge of length 0 is an edge, and the long way is 0 + 1/3."""
    found = rgdm(np.array([1.0, 2.0, 4.0]), graph="complete", lengths="distance", rank=False)
    np.testing.assert_allclose(found, [0.0, 1 / 3, 1 / 3], atol=1e-12)


def _scipy_geodesics(weights, keep):
    graph = squareform(np.where(keep, weights, np.inf))
    np.fill_diagonal(graph, 0.0)
    out = scipy.sparse.csgraph.shortest_path(scipy.sparse.csgraph.csgraph_from_dense(graph, null_value=np.inf))
    return squareform(out, checks=False)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.2), (0.1, 0.4), (0.3, 1.0), (0.15, 0.15)])
def test_twostep_is_scipys_with_zero_edges(low, high):
    rdms = _rdms(4, n=12, seed=3)
    for row, one in zip(rdms.values, rgdm(rdms, low, high, rank=False).values, strict=True):
        weights = _by_definition(row, low, high)
        np.testing.assert_allclose(one, _scipy_geodesics(weights, weights < 1), atol=1e-12)
    ranked = rgdm(rdms, low, high)
    np.testing.assert_allclose(ranked.values, rankdata(rgdm(rdms, low, high, rank=False).values.round(12), axis=1))


def test_geodesics_satisfy_the_triangle_inequality():
    square = be.RDMs(rgdm(_rdms(2, n=14, seed=5).values, 0.2, 0.6, rank=False), {"stimulus_id": list("abcdefghijklmn")}).square()
    assert (square[:, :, None] <= square[:, :, :, None] + square[:, None] + 1e-12).all()


def test_neighbour_graphs():
    points = np.array([0.0, 1.0, 3.0, 10.0, 11.0, 13.0])[:, None]
    d = pdist(points)
    found = squareform(rgdm(d, graph="k_nearest", k=1, lengths="hops", rank=False), checks=False)
    assert found[0, 1] == 1 and found[0, 2] == 2 and found[1, 2] == 1  # 2 reaches 1; 1's own nearest is 0
    assert np.isinf(found[2, 3]) and found[3, 5] == 2
    np.testing.assert_array_equal(rgdm(d, graph="p_nearest", p=1 / 6, lengths="hops", rank=False), rgdm(d, graph="k_nearest", k=1, lengths="hops", rank=False))
    keep = d <= np.quantile(d, 0.3)
    scaled = (d - d.min()) / (d.max() - d.min())
    np.testing.assert_allclose(rgdm(d, graph="p_shortest", p=0.3, lengths="distance", rank=False), _scipy_geodesics(scaled, keep), atol=1e-12)


def test_unconnected_pairs_are_what_was_asked_for():
    d = pdist(np.array([0.0, 1.0, 10.0, 11.0])[:, None])
    options = {"graph": "k_nearest", "lengths": "hops"}
    apart = np.isinf(rgdm(d, rank=False, **options))
    assert apart.sum() == 4
    assert np.isnan(rgdm(d, rank=False, unconnected="nan", **options)[apart]).all()
    np.testing.assert_array_equal(rgdm(d, rank=False, unconnected="largest", **options), np.ones(6))
    np.testing.assert_array_equal(rgdm(d, **options), np.where(apart, 4.5, 1.5))
    np.testing.assert_array_equal(rgdm(d, unconnected="nan", **options), np.where(apart, np.nan, 1.5))
    with pytest.raises(be.BrainencError, match="no path joins"):
        rgdm(d, unconnected="raise", **options)
    for wrong in ({"k": 0}, {"k": 4}, {"graph": "p_nearest", "p": 0.1}, {"graph": "p_shortest", "p": 0.0}):
        with pytest.raises(be.BrainencError):
            rgdm(d, **{**options, **wrong})
    with pytest.raises(be.BrainencError, match="only the two-step"):
        rgdm(d, 0.1, 0.2, graph="k_nearest")
