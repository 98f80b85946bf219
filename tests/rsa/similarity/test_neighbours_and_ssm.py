"""Mutual neighbours, CKNNA and similarity of similarity matrices, against plain numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial.distance as spd
import scipy.stats

import brainenc as be
from brainenc.rsa.similarity import cka, cknna, mutual_knn, ssm


@pytest.fixture
def pair(rng):
    x = rng.standard_normal((25, 6)) + 0.5
    return x, x @ rng.standard_normal((6, 9)) + 2 * rng.standard_normal((25, 9))


def neighbours(x, k, nearness):
    d = {"cosine": lambda: spd.squareform(spd.pdist(x, "cosine")), "euclidean": lambda: spd.squareform(spd.pdist(x)), "inner": lambda: -x @ x.T}[nearness]()
    np.fill_diagonal(d, np.inf)
    return [set(np.argsort(row, kind="stable")[:k]) for row in d]


@pytest.mark.parametrize("memory", [None, 2000])
@pytest.mark.parametrize("nearness", ["cosine", "euclidean", "inner"])
@pytest.mark.parametrize("k", [1, 4, 24])
def test_mutual_neighbours(pair, k, nearness, memory):
    x, y = pair
    expected = np.mean([len(a & b) / k for a, b in zip(neighbours(x, k, nearness), neighbours(y, k, nearness), strict=True)])
    assert mutual_knn(x, y, k=k, nearness=nearness, memory=memory) == pytest.approx(expected, abs=1e-12)


def test_ties_go_to_the_first_stimuli():
    x = np.array([0, 0, 0, 0, 5, 5, 5, 9.0])[:, None]
    expected = np.mean([len(a & b) / 2 for a, b in zip(neighbours(x, 2, "euclidean"), neighbours(np.arange(8.0)[:, None] ** 1.1, 2, "euclidean"), strict=True)])
    assert mutual_knn(x, np.arange(8.0)[:, None] ** 1.1, k=2, nearness="euclidean") == expected


def test_unrelated_data_share_neighbours_by_chance():
    rng = np.random.default_rng(0)
    values = [mutual_knn(rng.standard_normal((21, 5)), rng.standard_normal((21, 5)), k=5) for _ in range(200)]
    assert np.mean(values) == pytest.approx(5 / 20, abs=0.01)


@pytest.mark.parametrize("memory", [None, 3000])
@pytest.mark.parametrize("nearness", ["cosine", "inner"])
@pytest.mark.parametrize("k", [3, 24])
def test_cknna(pair, k, nearness, memory):
    def kernel(x):
        x = x / np.linalg.norm(x, axis=1, keepdims=True) if nearness == "cosine" else x
        x = x - x.mean(axis=0)
        return x @ x.T

    near = [neighbours(side, k, nearness) for side in pair]
    kernels = [kernel(side) for side in pair]

    def align(a, b):
        return sum(kernels[a][i, j] * kernels[b][i, j] for i in range(25) for j in near[a][i] & near[b][i])

    expected = align(0, 1) / np.sqrt(align(0, 0) * align(1, 1))
    assert cknna(*pair, k=k, nearness=nearness, memory=memory) == pytest.approx(expected, abs=1e-12)


def test_cknna_with_all_neighbours_is_cka_without_the_diagonal(pair):
    x, y = (side - side.mean(axis=0) for side in pair)
    K, L = x @ x.T, y @ y.T
    off = ~np.eye(25, dtype=bool)
    expected = (K * L)[off].sum() / np.sqrt((K * K)[off].sum() * (L * L)[off].sum())
    assert cknna(*pair, k=24, nearness="inner") == pytest.approx(expected, abs=1e-12)
    assert cknna(*pair, k=24, nearness="inner") == pytest.approx(cka(*pair), abs=0.3)


@pytest.mark.parametrize("similarity", ["pearson", "cosine"])
def test_ssm_without_the_diagonal(pair, similarity):
    name = {"pearson": "correlation", "cosine": "cosine"}[similarity]
    expected = scipy.stats.spearmanr(spd.pdist(pair[0], name), spd.pdist(pair[1], name)).statistic
    assert ssm(*pair, similarity=similarity) == pytest.approx(expected, abs=1e-12)


def test_ssm_with_the_diagonal_is_that_of_flattened_matrices(pair):
    matrices = [np.corrcoef(side) for side in pair]
    for one in matrices:  # numpy's rounding of the diagonal and of mirrored entries would break ties
        one[:] = np.round((one + one.T) / 2, 12)
        np.fill_diagonal(one, 1.0)
    expected = scipy.stats.spearmanr(matrices[0].ravel(), matrices[1].ravel()).statistic
    assert ssm(*pair, diagonal=True) == pytest.approx(expected, abs=1e-12)
    assert ssm(*pair, diagonal=True) > ssm(*pair) + 0.01


def test_ssm_of_ranks_that_tie(rng):
    x = rng.integers(0, 2, (8, 3)) + np.array([0.0, 0.5, 2.0])
    y = rng.standard_normal((8, 4))
    r = np.corrcoef(x)
    i, j = np.triu_indices(8, 1)
    expected = scipy.stats.spearmanr(np.round(r[i, j], 9), spd.pdist(y, "correlation") * -1).statistic
    assert abs(ssm(x, y) - expected) < 0.1  # rounding splits ties of r; only their neighbourhood can move


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: mutual_knn(x, x, k=25), "number of other samples"),
        (lambda x: mutual_knn(x, x, k=0), "number of other samples"),
        (lambda x: mutual_knn(np.zeros((25, 2)), x), "row of zeros"),
        (lambda x: cknna(x, x, nearness="euclidean"), "unknown value for nearness"),
        (lambda x: ssm(np.ones((25, 3)), x), "25 of 25 stimuli"),
        (lambda x: ssm(np.full((25, 3), 0.1), x), "25 of 25 stimuli"),
        (lambda x: ssm(x[:2], x[:2]), "three stimuli"),
        (lambda x: ssm(x, x, similarity="kendall"), "unknown value for similarity"),
    ],
)
def test_messages(call, message, pair):
    with pytest.raises(be.BrainencError, match=message):
        call(pair[0])
