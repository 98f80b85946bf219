"""Scaling against scipy and scikit-learn's own stress, Procrustes against a known turn, and the curves whose topology differs."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import special_ortho_group

import brainenc as be
from brainenc.rsa.topology import curve_points, curves, mds, rgdm, rgtm, sensitivity_ratio


def _planar(n=9, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 2))


def _rdms(points, **table):
    points = points if points.ndim == 3 else points[None]
    return be.RDMs(np.stack([pdist(one) for one in points]), {"stimulus_id": [f"c{i}" for i in range(points.shape[1])], "kind": ["a"] * points.shape[1]}, table or None)


@pytest.mark.parametrize("method", ["classical", "metric"])
def test_planar_points_are_found_again(method):
    rdms = _rdms(_planar())
    table = mds(rdms, of="conditions", method=method)
    np.testing.assert_allclose(pdist(table[["x", "y"]]), rdms.values[0], atol=1e-4)
    assert table["stress"].max() < 1e-4 and list(table["stimulus_id"]) == [f"c{i}" for i in range(9)] and "kind" in table


def test_metric_scaling_is_never_worse_than_classical_and_repeats():
    values = np.random.default_rng(3).random((2, 36))
    rdms = be.RDMs(values, {"stimulus_id": [f"c{i}" for i in range(9)]}, {"roi": ["V1", "IT"]})
    metric, again, first = (mds(rdms, of="conditions", method=m) for m in ("metric", "metric", "classical"))
    assert (metric["stress"].to_numpy() < first["stress"].to_numpy()).all()
    np.testing.assert_array_equal(metric[["x", "y"]], again[["x", "y"]])
    for roi, row in zip(("V1", "IT"), values, strict=True):
        points = metric[metric["roi"] == roi]
        d = pdist(points[["x", "y"]])
        assert points["stress"].iloc[0] == pytest.approx(np.sqrt(((d - row) ** 2).sum() / (d**2).sum()))


def test_turned_copies_are_turned_back():
    first = _planar()
    other = first @ special_ortho_group.rvs(2, random_state=1) * [1, -1] + [5, 2]
    rdms = _rdms(np.stack([first, other, 3 * other]), session=["1", "2", "3"])
    table = mds(rdms, of="conditions", method="classical")
    one, two, three = (table.loc[table["session"] == s, ["x", "y"]].to_numpy() for s in "123")
    np.testing.assert_allclose(one, two, atol=1e-8)
    np.testing.assert_allclose(pdist(three), 3 * pdist(one), rtol=1e-8)  # without scaling distances stay
    scaled = mds(rdms, of="conditions", method="classical", scaling=True)
    np.testing.assert_allclose(scaled.loc[scaled["session"] == "3", ["x", "y"]], one, atol=1e-8)


def test_rdms_among_each_other_across_noise_levels():
    rng = np.random.default_rng(0)
    base = rng.random((4, 28))
    values = np.concatenate([base, base + 0.01 * rng.random((4, 28))])
    table = {"roi": ["V1", "V2", "V4", "IT"] * 2, "noise": ["0"] * 4 + ["1"] * 4}
    rdms = be.RDMs(values, {"stimulus_id": list("abcdefgh")}, table)
    together = mds(rdms, n_dimensions=3, method="classical")
    assert len(together) == 8 and {"x", "y", "z", "stress", "roi", "noise"} <= set(together)
    apart = mds(rdms, across="noise", match="roi", n_dimensions=3, method="classical")
    first, second = (apart.loc[apart["noise"] == n, ["x", "y", "z"]].to_numpy() for n in "01")
    np.testing.assert_allclose(pdist(first), pdist(base), atol=1e-6)  # four points fit in three dimensions
    np.testing.assert_allclose(first, second, atol=0.05)
    with pytest.raises(be.BrainencError, match="which points correspond"):
        mds(rdms, across="noise")
    with pytest.raises(be.BrainencError, match="always matched"):
        mds(rdms, of="conditions", across="noise")
    with pytest.raises(be.BrainencError, match="fewer than three"):
        mds(rdms.take([0, 1]))


def test_the_two_step_geodesic_sees_topology_where_the_rdm_sees_geometry():
    """Curves that cross themselves against curves that do not, flat or twisted, as in the published example (l = 0, u = 0.075)."""
    rdms = curves()
    points = curve_points()
    np.testing.assert_allclose(rdms.values[3], pdist(points["twisted", "loop"]), atol=1e-12)
    ratio = {name: sensitivity_ratio(one) for name, one in [("rdm", rdms), ("rank", rgtm(rdms, 0, 1)), ("rgtm", rgtm(rdms, 0, 0.075)), ("rgdm", rgdm(rdms, 0, 0.075))]}
    assert ratio["rgdm"] < 1 < ratio["rgtm"] < ratio["rdm"] < ratio["rank"]
    assert ratio["rdm"] > 3
    # the same in the plane of a scaling, where the published figure draws it
    plane = {}
    for name, one in (("rdm", rdms), ("rgdm", rgdm(rdms, 0, 0.075))):
        found = mds(one).set_index(["geometry", "topology"])[["x", "y"]]
        d = lambda a, b, found=found: np.linalg.norm(found.loc[a].to_numpy() - found.loc[b].to_numpy())  # noqa: E731
        topology = d(("flat", "eight"), ("twisted", "eight")) + d(("flat", "loop"), ("twisted", "loop"))
        plane[name] = topology / (d(("flat", "eight"), ("flat", "loop")) + d(("twisted", "eight"), ("twisted", "loop")))
    assert plane["rgdm"] < 1 < plane["rdm"]


def test_sensitivity_ratio_is_the_mean_of_the_pairs():
    values = np.array([[0.0, 0, 1], [0, 3, 1], [4, 0, 1], [4, 3, 2]])
    rdms = be.RDMs(values, {"stimulus_id": list("abc")}, {"topology": ["p", "p", "q", "q"], "geometry": ["g", "h", "g", "h"]})
    near = [np.linalg.norm(values[i] - values[j]) for i, j in ((0, 1), (2, 3))]
    far = [np.linalg.norm(values[i] - values[j]) for i, j in ((0, 2), (1, 3))]
    assert sensitivity_ratio(rdms) == pytest.approx(sum(near) / sum(far))
    with pytest.raises(be.BrainencError, match="share only their topology"):
        sensitivity_ratio(rdms.take([0, 2]))
    with pytest.raises(be.BrainencError, match="too few points"):
        curves(5)
