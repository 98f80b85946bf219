"""Similarities against scikit-learn, scipy and the room's own comparators, where they compute the same thing."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial
import scipy.spatial.distance as spd
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.neighbors import NearestNeighbors

import brainenc as be
from brainenc.rsa.similarity import canonical_correlations, cka, linear_predictivity, mutual_knn, procrustes_distance, ssm


@pytest.fixture
def pair(rng):
    x = rng.standard_normal((60, 4)) + 1
    return x, x @ rng.standard_normal((4, 6)) + 2 * rng.standard_normal((60, 6))


def test_scikit_learns_canonical_correlations(pair):
    scores = CCA(n_components=4, scale=False, max_iter=100_000, tol=1e-12).fit(*pair).transform(*pair)
    theirs = [np.corrcoef(a, b)[0, 1] for a, b in zip(*(s.T for s in scores), strict=True)]
    np.testing.assert_allclose(canonical_correlations(*pair), theirs, atol=1e-6)


def test_scipys_procrustes(pair):
    x, y = pair
    padded = np.pad(x - x.mean(axis=0), ((0, 0), (0, 2)))
    disparity = scipy.spatial.procrustes(padded, y)[2]
    nuclear = 1 - procrustes_distance(x, y) ** 2 / 2
    assert 1 - nuclear**2 == pytest.approx(disparity, abs=1e-10)


def test_scikit_learns_neighbours(pair):
    near = [NearestNeighbors(n_neighbors=7).fit(side).kneighbors(return_distance=False) for side in pair]
    expected = np.mean([len(set(a) & set(b)) / 7 for a, b in zip(*near, strict=True)])
    assert mutual_knn(*pair, k=7, nearness="euclidean") == pytest.approx(expected, abs=1e-12)


def test_scikit_learns_regression(pair):
    x, y = pair
    expected = r2_score(y, LinearRegression().fit(x, y).predict(x), multioutput="variance_weighted")
    assert linear_predictivity(x, y) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("shape", [(92, 7, 200), (30, 100, 3)])
def test_cka_is_the_whitened_cosine_of_euclidean_rdms(rng, shape):
    n, p, q = shape
    x = rng.standard_normal((n, p)) + 2
    y = x[:, :3] @ rng.standard_normal((3, q)) + rng.standard_normal((n, q))
    rdms = [be.rsa.rdm(side, metric="euclidean") for side in (x, y)]
    assert be.rsa.compare(*rdms, "whitened_cosine_similarity").item() == pytest.approx(cka(x, y), abs=1e-10)


def test_rsatoolboxes_whitened_cosine_is_cka(pair):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    both = [rsatoolbox.rdm.RDMs(spd.pdist(side, "sqeuclidean")[None]) for side in pair]
    # their conjugate gradients stop at about 1e-8
    assert rsatoolbox.rdm.compare(*both, method="cosine_cov").item() == pytest.approx(cka(*pair), abs=1e-6)


def test_ssm_is_the_spearman_comparison_of_correlation_rdms(pair):
    rdms = [be.rsa.rdm(side, metric="correlation") for side in pair]
    assert be.rsa.compare(*rdms, "spearman").item() == pytest.approx(ssm(*pair), abs=1e-10)
