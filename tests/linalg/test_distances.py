"""Kernels of dissimilarity against loops over pairs."""

from itertools import combinations

import numpy as np
import pytest
import scipy.spatial.distance
import torch

from brainenc.linalg.distances import Cells, angles, bilinear, cell_sums, cross_gram, cross_time_distances, pair_distances, product


def tensor(values):
    return torch.from_numpy(np.array(values))


@pytest.mark.parametrize("metric", ["sqeuclidean", "correlation", "cosine"])
def test_batches_of_patterns_are_those_of_scipy(rng, metric):
    patterns = rng.normal(size=(2, 3, 9, 7)) + 1
    found = bilinear(tensor(patterns))[0] if metric == "sqeuclidean" else angles(tensor(patterns), centered=metric == "correlation")
    expected = [[scipy.spatial.distance.pdist(one, metric) for one in row] for row in patterns]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


def test_products_of_many_rows_are_cut_into_blocks(rng):
    rows = rng.normal(size=(2, 700, 5))
    upper = np.triu_indices(700)
    np.testing.assert_allclose(product(tensor(rows)).numpy()[:, upper[0], upper[1]], (rows @ rows.transpose(0, 2, 1))[:, upper[0], upper[1]], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(bilinear(tensor(rows))[0][1].numpy(), scipy.spatial.distance.pdist(rows[1], "sqeuclidean"), rtol=1e-10)


@pytest.mark.parametrize("centered", [False, True])
def test_angles_over_shared_channels(rng, centered):
    patterns = rng.normal(size=(6, 12)) + 5
    valid = rng.random((6, 12)) > 0.25
    found = angles(tensor(np.where(valid, patterns, 0.0)), tensor(valid), centered=centered).numpy()
    for value, (i, j) in zip(found, combinations(range(6), 2), strict=True):
        both = valid[i] & valid[j]
        expected = scipy.spatial.distance.pdist(patterns[[i, j]][:, both], "correlation" if centered else "cosine")[0]
        assert value == pytest.approx(expected, abs=1e-10)


def test_bilinear_over_shared_channels(rng):
    a, b, valid = rng.normal(size=(6, 12)), rng.normal(size=(6, 12)), rng.random((6, 12)) > 0.25
    found, channels = bilinear(tensor(a * valid), tensor(b * valid), tensor(valid))
    for value, n, (i, j) in zip(found.numpy(), channels.numpy(), combinations(range(6), 2), strict=True):
        both = valid[i] & valid[j]
        assert value == pytest.approx(((a[i] - a[j]) * (b[i] - b[j]))[both].sum(), abs=1e-10) and n == both.sum()


def test_sums_of_cells(rng):
    values, cell, weights = rng.normal(size=(2, 11, 3)), np.array([3, 0, 1, 2, 2, 0, 1, 3, 3, 1, 0]), rng.integers(1, 4, 11)
    expected = np.stack([np.stack([(one * weights[:, None])[cell == c].sum(axis=0) for c in range(4)]) for one in values])
    kept = values.copy()
    np.testing.assert_allclose(cell_sums(tensor(values), tensor(cell), 4, weights=tensor(weights), center=False).numpy(), expected)
    shared = torch.from_numpy(values)
    for order in (np.arange(11), rng.permutation(11)):
        np.testing.assert_allclose(cell_sums(shared, tensor(order), 11).numpy()[:, order], values - values.mean(axis=1, keepdims=True))
        cell_sums(shared, tensor(order), 11, center=False).zero_()
    np.testing.assert_array_equal(values, kept)


def trials(rng, empty, n=5, folds=4, p=6):
    condition, fold = (part.reshape(-1) for part in np.indices((n, folds)))
    keep = np.ones(n * folds, dtype=bool)
    keep[list(empty)] = False
    counts = rng.integers(1, 4, n * folds)[keep]
    return condition[keep], fold[keep], counts, [rng.normal(size=(c, p)) for c in counts]


@pytest.mark.parametrize("empty", [(), (0, 7, 19)])
def test_cross_validated_products_are_means_over_pairs_of_trials(rng, empty):
    condition, fold, counts, rows = trials(rng, empty)
    cells = Cells(tensor([row.sum(axis=0) for row in rows])[None], tensor(counts), tensor(condition), tensor(fold), 5, 4)
    assert cells.full == (not empty)
    gram = cross_gram(cells)[0].numpy()
    every = [(c, f, trial) for c, f, row in zip(condition, fold, rows, strict=True) for trial in row]
    for i in range(5):
        for j in range(i, 5):
            products = [a @ b for ci, fi, a in every for cj, fj, b in every if ci == i and cj == j and fi != fj]
            assert gram[i, j] == pytest.approx(np.mean(products), abs=1e-12)


@pytest.mark.parametrize("empty", [(), (0, 7, 19)])
def test_across_times(rng, empty):
    condition, fold, counts, _ = trials(rng, empty)
    rows = [rng.normal(size=(3, c, 6)) for c in counts]
    sums = np.stack([row.sum(axis=1) for row in rows], axis=1)
    cells = Cells(tensor(sums), tensor(counts), tensor(condition), tensor(fold), 5, 4)
    found = cross_time_distances(cells, 1).numpy()
    assert found.shape == (2, 10)
    every = [(c, f, trial) for c, f, row in zip(condition, fold, rows, strict=True) for trial in row.transpose(1, 0, 2)]

    def mean(i, j, t, u):
        return np.mean([a[t] @ b[u] for ci, fi, a in every for cj, fj, b in every if ci == i and cj == j and fi != fj])

    for later, u in enumerate((1, 2)):
        for value, (i, j) in zip(found[later], combinations(range(5), 2), strict=True):
            assert value == pytest.approx(mean(i, i, 1, u) + mean(j, j, 1, u) - mean(i, j, 1, u) - mean(j, i, 1, u), abs=1e-12)


def test_distances_of_a_gram_matrix(rng):
    gram = rng.normal(size=(2, 4, 4))
    expected = [[g[i, i] + g[j, j] - g[i, j] - g[j, i] for i, j in combinations(range(4), 2)] for g in gram]
    np.testing.assert_allclose(pair_distances(tensor(gram), symmetric=False).numpy(), expected)
