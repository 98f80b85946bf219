"""Relabelled RDMs and whitened pairs against squares, loops and dense inverses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import squareform

from brainenc.linalg.relabelling import pair_positions, relabelled, relabelled_products, whiten_pairs

N, K, G, B = 7, 3, 2, 5


@pytest.fixture
def stacks(rng):
    orders = np.stack([rng.permutation(N) for _ in range(B)])
    return rng.random((K, N * (N - 1) // 2)), rng.random((G, N * (N - 1) // 2)), orders


def test_a_relabelled_rdm_is_the_permuted_square(stacks):
    first, _, orders = stacks
    found = relabelled(torch.from_numpy(first), torch.from_numpy(orders)).numpy()
    for b, order in enumerate(orders):
        for k in range(K):
            np.testing.assert_array_equal(squareform(found[b, k]), squareform(first[k])[np.ix_(order, order)])


def test_products_do_not_depend_on_the_side_that_is_gathered(stacks):
    first, second, orders = stacks
    a, b, o = map(torch.from_numpy, (first, second, orders))
    expected = np.array([[[squareform(x)[np.ix_(p, p)][np.triu_indices(N, 1)] @ y for y in second] for x in first] for p in orders])
    np.testing.assert_allclose(relabelled_products(a, b, o).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(relabelled_products(a, torch.cat([b, b]), o).numpy(), np.concatenate([expected, expected], axis=2), atol=1e-12)


def test_positions_are_those_of_the_upper_triangle():
    table = pair_positions(N).numpy()
    assert (table[np.triu_indices(N, 1)] == np.arange(21)).all() and (table == table.T).all()


@pytest.mark.parametrize("kind", ["identity", "diagonal", "full"])
def test_whitening_is_the_dense_inverse_of_the_pair_covariance(rng, kind):
    d = rng.random((K, N * (N - 1) // 2))
    root = rng.standard_normal((N, N))
    sigma = {"identity": np.eye(N), "diagonal": np.diag(rng.random(N) + 0.5), "full": root @ root.T + np.eye(N)}[kind]
    rows, columns = np.triu_indices(N, 1)
    contrasts = np.zeros((len(rows), N))
    contrasts[np.arange(len(rows)), rows], contrasts[np.arange(len(rows)), columns] = 1, -1
    v = (contrasts @ sigma @ contrasts.T) ** 2
    given = {"identity": None, "diagonal": torch.from_numpy(np.diag(sigma).copy()), "full": torch.from_numpy(sigma)}[kind]
    np.testing.assert_allclose(whiten_pairs(torch.from_numpy(d), given).numpy(), np.linalg.solve(v, d.T).T, atol=1e-11)
