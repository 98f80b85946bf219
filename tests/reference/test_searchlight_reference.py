"""The searchlight against rsatoolbox on a small isotropic volume and mne-rsa on a sensor layout, where they are right."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import brainenc as be

IDS = [f"c{i}" for i in range(7)]


@pytest.fixture
def models(rng):
    values = rng.random((2, 21))
    values[1] = rng.integers(0, 2, 21)
    return be.RDMs(values, {"stimulus_id": IDS}, {"model": ["one", "two"]})


@pytest.mark.parametrize(("metric", "method", "theirs"), [
    ("correlation", "spearman", "spearman"), ("euclidean", "pearson", "corr"), ("correlation", "tau_a", "tau-a"), ("euclidean", "cosine_similarity", "cosine"),
    ("correlation", "whitened_pearson", "corr_cov"),
])  # fmt: skip
def test_rsatoolbox_on_an_isotropic_volume(rng, models, metric, method, theirs):
    pytest.importorskip("rsatoolbox")
    from rsatoolbox.rdm import RDMs, compare
    from rsatoolbox.util.searchlight import get_searchlight_RDMs, get_volume_searchlight

    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[1:8, 1:8, 1:8] = True  # spheres of 2.2 voxels that fit are whole; the peer takes no others at threshold 1
    space = be.VolumeSpace.from_mask(mask, np.diag([2.0, 2.0, 2.0, 1.0]))
    values = rng.standard_normal((7, space.n_targets))
    brain = be.Responses(values, {"stimulus_id": IDS}, space=space)
    grid = np.zeros((7, mask.size))
    grid[:, np.flatnonzero(mask)] = values
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        centres, neighbours = get_volume_searchlight(mask, radius=2.2, threshold=1.0)
        peer = get_searchlight_RDMs(grid, centres, neighbours, np.array(IDS), method=metric)
    scores, rdms = be.rsa.searchlight(brain, models, radius_mm=4.4, min_fraction=1.0, metric=metric, method=method, return_rdms=True)
    ours = np.flatnonzero(mask)[[int(t[1:]) for t in rdms.rdms["target_id"]]]
    np.testing.assert_array_equal(np.sort(ours), np.sort(centres))
    order = np.argsort(centres)
    np.testing.assert_allclose(rdms.values[np.argsort(ours)], peer.dissimilarities[order], atol=1e-10)
    expected = compare(peer, RDMs(models.values), method=theirs)[order]
    found = scores.values[:, 0][:, np.isfinite(scores.values[0, 0])].T
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize(("method", "scorer", "theirs"), [
    ("spearman", "compare", "spearman"), ("pearson", "compare", "pearson"), ("tau_a", "compare", "kendall-tau-a"),
    ("pearson", "partial", "partial"), ("spearman", "partial", "partial-spearman"),
])  # fmt: skip
def test_mne_rsa_on_sensors_and_times(rng, models, method, scorer, theirs):
    mne_rsa = pytest.importorskip("mne_rsa")
    points = rng.random((6, 3)) * 80
    space = be.SensorSpace({"channel": list("abcdef"), **dict(zip("xyz", points.T, strict=True))}, np.arange(8) / 100)
    values = rng.standard_normal((7, 6, 8))
    brain = be.Responses(values.reshape(7, -1), {"stimulus_id": IDS}, space=space)
    patches = mne_rsa.searchlight(values.shape, dist=cdist(points, points), spatial_radius=50.0, temporal_radius=2)
    peer = mne_rsa.rsa_array(values, list(models.values), patches, data_rdm_metric="correlation", rsa_metric=theirs)
    scores = be.rsa.searchlight(brain, models, radius_mm=50.0, time_window=0.02, method=method, scorer=scorer)
    # the peer has no centres whose window runs over the edge; ours have, with the times that are there
    inner = np.asarray(scores.values[:, 0].reshape(2, 6, 8)[:, :, 2:6])
    np.testing.assert_allclose(inner, peer, atol=1e-10)
