"""Shortest paths against scipy, networkx and brute force."""

import itertools

import numpy as np
import pytest
import scipy.sparse.csgraph
import torch

from brainenc.linalg.paths import shortest_paths


def _graphs(n_graphs, n, share, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, size=(n_graphs, n, n)) / 4.0
    lengths = np.minimum(lengths, np.swapaxes(lengths, 1, 2))
    missing = rng.random((n_graphs, n, n)) > share
    lengths[missing | np.swapaxes(missing, 1, 2)] = np.inf
    lengths[:, np.arange(n), np.arange(n)] = 0
    return lengths


def _brute(lengths):
    """Every simple path, in every order."""
    n = len(lengths)
    out = np.full((n, n), np.inf)
    for i, j in itertools.product(range(n), repeat=2):
        if i == j:
            out[i, j] = 0
            continue
        others = [k for k in range(n) if k not in (i, j)]
        for size in range(n - 1):
            for middle in itertools.permutations(others, size):
                stops = (i, *middle, j)
                out[i, j] = min(out[i, j], sum(lengths[a, b] for a, b in itertools.pairwise(stops)))
    return out


def test_every_path_of_small_graphs_with_zero_edges():
    lengths = _graphs(6, 6, 0.6)
    lengths[:, 0, 3] = lengths[:, 3, 0] = 0.0
    found = shortest_paths(torch.from_numpy(lengths)).numpy()
    for one, graph in zip(found, lengths, strict=True):
        np.testing.assert_allclose(one, _brute(graph), atol=1e-12)
    assert np.isinf(found).any() or np.isfinite(found).all()


@pytest.mark.parametrize("share", [0.02, 0.2, 0.9])
def test_batches_are_those_of_scipy(share):
    lengths = _graphs(5, 41, share, seed=2)
    found = shortest_paths(torch.from_numpy(lengths)).numpy()
    for one, graph in zip(found, lengths, strict=True):
        sparse = scipy.sparse.csgraph.csgraph_from_dense(graph, null_value=np.inf)
        np.testing.assert_allclose(one, scipy.sparse.csgraph.shortest_path(sparse), atol=1e-12)


def test_many_batches_are_one_by_one_and_leading_axes_stay():
    lengths = torch.from_numpy(_graphs(700, 15, 0.3, seed=3)).reshape(7, 100, 15, 15)
    found = shortest_paths(lengths)
    assert found.shape == lengths.shape
    torch.testing.assert_close(found[5, 61], shortest_paths(lengths[5, 61]))


def test_directed_graphs_and_the_input_stays():
    lengths = torch.tensor([[0.0, 1.0, torch.inf], [torch.inf, 0.0, 1.0], [5.0, torch.inf, 0.0]])
    before = lengths.clone()
    assert shortest_paths(lengths).tolist() == [[0.0, 1.0, 2.0], [6.0, 0.0, 1.0], [5.0, 6.0, 0.0]]
    assert torch.equal(lengths, before)


def test_what_has_no_shortest_path_is_refused():
    with pytest.raises(ValueError, match="at least 0"):
        shortest_paths(torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="at least 0"):
        shortest_paths(torch.tensor([[0.0, torch.nan], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="square"):
        shortest_paths(torch.zeros(2, 3))
