"""Counter-tests of known faults of rsatoolbox's geo-topological and geodesic transforms: ours by independent computation, theirs shown where it stands.

A release of rsatoolbox that mends a fault does not fail these tests.
"""

import importlib

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

import brainenc as be
from brainenc.linalg.paths import shortest_paths
from brainenc.rsa.topology import rgdm, rgtm

rsatoolbox = pytest.importorskip("rsatoolbox", reason="rsatoolbox is not installed")


def _by_definition(row, low, high):
    z = (rankdata(row) - 1) / (len(row) - 1)  # no ties here
    a, b = np.quantile(z, low), np.quantile(z, high)
    return np.clip((z - a) / (b - a), 0.0, 1.0)


def _transform(name):
    # the package has a function of the module's name
    return getattr(importlib.import_module("rsatoolbox.rdm.transform"), name)


@pytest.mark.parametrize("scale", [0.2, 1.0, 1000.0])
def test_each_rdm_has_its_own_quantiles_whatever_the_scale(scale):
    """Peer: quantiles pooled over the stack, and rescaled values are compared with the thresholds again."""
    values = np.random.default_rng(0).random((3, 45)) * np.array([[1.0], [2.0], [5.0]]) * scale
    ours = rgtm(be.RDMs(values, {"stimulus_id": [f"s{i}" for i in range(10)]}), 0.2, 0.8).values
    np.testing.assert_allclose(ours, [_by_definition(row, 0.2, 0.8) for row in values], atol=1e-12)
    theirs = _transform("geotopological_transform")(rsatoolbox.rdm.RDMs(values.copy()), 0.2, 0.8).get_vectors()
    far = (theirs > 0).mean(axis=1)  # pooled: of the RDM with small dissimilarities fewer than 80 % lie above the common quantile
    assert far[0] < 0.7 or np.allclose(far, (ours > 0).mean(axis=1), atol=0.05)


def test_values_already_rescaled_are_not_tested_again():
    """Peer: with an upper quantile below 0.3 in value, ramp values above it become 1."""
    values = np.random.default_rng(1).random((1, 45)) * 0.2
    a, b = np.quantile(values, 0.2), np.quantile(values, 0.8)
    right = np.clip((values - a) / (b - a), 0, 1)
    # on one RDM with the distance scale the same ramp, thresholds given as shares of the largest
    ours = rgtm(values, a / values.max(), b / values.max(), scale="distance")
    np.testing.assert_allclose(ours, right, atol=1e-9)
    theirs = _transform("geotopological_transform")(rsatoolbox.rdm.RDMs(values.copy()), 0.2, 0.8).get_vectors()
    wrong = (np.abs(theirs - right) > 1e-9).mean()
    assert wrong == 0 or wrong > 0.3  # 0 once it is mended


def test_the_closest_pair_keeps_its_edge():
    """Peer: an edge of length 0 is no edge for networkx, so that the nearest neighbours of a triangle are not connected."""
    ours = rgdm(np.array([1.0, 2.0, 4.0]), graph="complete", lengths="distance", rank=False)
    np.testing.assert_allclose(ours, [0.0, 1 / 3, 1 / 3], atol=1e-12)
    theirs = _transform("geodesic_transform")(rsatoolbox.rdm.RDMs(np.array([[1.0, 2.0, 4.0]]))).get_vectors()[0]
    assert np.isinf(theirs).any() or np.allclose(theirs, ours)


def test_inputs_stay_as_they_are():
    """Peer: minmax and geotopological transforms write into the caller's RDMs."""
    values = np.random.default_rng(2).random((2, 45))
    rdms = be.RDMs(values.copy(), {"stimulus_id": [f"s{i}" for i in range(10)]})
    rgtm(rdms, 0.2, 0.8), rgtm(rdms, 0.2, 0.8, scale="distance"), rgdm(rdms, 0.1, 0.4), rgdm(rdms, graph="k_nearest", k=3, lengths="distance")
    np.testing.assert_array_equal(rdms.values, values)
    peer = rsatoolbox.rdm.RDMs(values.copy())
    _transform("minmax_transform")(peer)
    # written over, or mended
    assert peer.get_vectors().min() == 0.0 or np.array_equal(peer.get_vectors(), values)


def test_connected_geodesics_without_zero_edges_agree():
    """Where no edge has length 0 and none is removed but the longest, the peer's shortest paths are ours."""
    nx = pytest.importorskip("networkx")
    values = np.random.default_rng(3).random(66) + 0.1
    square = be.RDMs(values[None], {"stimulus_id": [f"s{i}" for i in range(12)]}).square()[0]
    expected = np.asarray(nx.floyd_warshall_numpy(nx.from_numpy_array(square)))[np.triu_indices(12, 1)]
    found = shortest_paths(torch.from_numpy(square)).numpy()[np.triu_indices(12, 1)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
