"""Kernels of similarity measures against numpy written from the definitions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial.distance as spd
import torch

from brainenc.linalg.kernel_curves import loo_predictions, spectral_errors, spectrum
from brainenc.linalg.similarity import (
    double_centre_,
    hsic,
    left_basis,
    nearest,
    neighbour_mask,
    permuted,
    procrustes_gap,
    row_blocks,
    squared_cross,
    squared_distances,
)


@pytest.fixture
def x(rng):
    return torch.from_numpy(rng.standard_normal((9, 7)))


def test_blocks_cover_every_row_once():
    for memory in (1, 100, 10**9):
        rows = [i for part in row_blocks(23, 10, memory) for i in range(23)[part]]
        assert rows == list(range(23))
    assert max(len(range(23)[part]) for part in row_blocks(23, 10, 45)) == 4


def test_double_centring(x):
    gram = (x @ x.T).numpy()
    H = np.eye(9) - 1 / 9
    np.testing.assert_allclose(double_centre_(torch.from_numpy(np.stack([gram, 2 * gram])))[1].numpy(), 2 * H @ gram @ H, atol=1e-12)


def test_distances_lose_no_digits_and_have_zeros(x):
    expected = spd.squareform(spd.pdist(x.numpy(), "sqeuclidean"))
    found = squared_distances(x - x.mean(dim=0), slice(None)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert (np.diag(found) == 0).all()
    np.testing.assert_allclose(squared_distances(x, torch.tensor([5, 2])).numpy(), expected[[5, 2]], atol=1e-12)


def test_unbiased_hsic_is_unbiased():
    rng = np.random.default_rng(0)
    values = []
    for _ in range(400):
        kernels = [double_centre_(torch.from_numpy(z @ z.T)) for z in (rng.standard_normal((6, 9)), rng.standard_normal((6, 9)))]
        K, L = kernels
        values.append([float(hsic((K * L).sum(), K.diagonal(), L.diagonal(), debiased=d)) for d in (True, False)])
    mean, error = np.mean(values, axis=0), np.std(values, axis=0) / 20
    assert abs(mean[0]) < 4 * error[0] and mean[1] > 20 * error[1]


def test_cross_products_in_chunks(x):
    expected = np.linalg.norm(x.numpy().T @ x.numpy() ** 2) ** 2
    for memory in (1, 10**9):
        assert float(squared_cross(x, x**2, memory)) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(9, 4), (9, 30), (9, 9)])
def test_bases_are_orthonormal_and_of_the_rank(rng, shape):
    data = rng.standard_normal(shape)
    data -= data.mean(axis=0)
    u, s = (part.numpy() for part in left_basis(torch.from_numpy(data)))
    rank = np.linalg.matrix_rank(data)
    assert u.shape == (9, rank)
    np.testing.assert_allclose(u.T @ u, np.eye(rank), atol=1e-12)
    np.testing.assert_allclose(s, np.linalg.svd(data, compute_uv=False)[:rank], rtol=1e-12)
    np.testing.assert_allclose(u @ u.T @ data, data, atol=1e-12)


def test_small_singular_values_of_wide_data_are_exact(rng):
    """Square roots of the eigenvalues of a Gram matrix would be noise below 1e-8 of the largest."""
    u, _ = np.linalg.qr(rng.standard_normal((6, 4)))
    v, _ = np.linalg.qr(rng.standard_normal((50, 4)))
    s = np.array([1, 1e-3, 1e-6, 1e-10])
    _, found = left_basis(torch.from_numpy((u * s) @ v.T))
    np.testing.assert_allclose(found.numpy(), s, rtol=1e-4)


@pytest.mark.parametrize("widths", [(4, 4), (3, 6), (6, 3)])
def test_procrustes_gap_is_the_nuclear_norm_formula(rng, widths):
    a, b = (rng.standard_normal((9, w)) for w in widths)
    expected = (a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a.T @ b, "nuc")
    assert float(procrustes_gap(torch.from_numpy(a), torch.from_numpy(b))) == pytest.approx(expected)


@pytest.mark.parametrize("memory", [1, 10**9])
def test_nearest_breaks_ties_by_position(memory):
    line = torch.tensor([0.0, 1, 2, 3, 3, 3])[:, None]
    found = nearest(line - line.mean(), 2, squared_euclidean=True, memory=memory)
    assert [sorted(row) for row in found.tolist()] == [[1, 2], [0, 2], [1, 3], [4, 5], [3, 5], [3, 4]]
    assert neighbour_mask(found).sum(dim=1).tolist() == [2] * 6


def test_permuted_matrices(x):
    gram = x @ x.T
    orders = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(i)) for i in range(3)])
    expected = np.stack([gram.numpy()[np.ix_(o, o)] for o in orders.numpy()])
    np.testing.assert_allclose(permuted(gram, orders).numpy(), expected, rtol=1e-12)


def test_curves_of_every_dimension(rng):
    K = np.exp(-spd.squareform(spd.pdist(rng.standard_normal((40, 3)), "sqeuclidean")))
    values, vectors = spectrum(torch.from_numpy(K))
    assert (values.diff() <= 0).all()
    y = torch.eye(4, dtype=torch.float64)[torch.from_numpy(rng.integers(0, 4, 40))]
    expected = [float(((vectors[:, :d] @ vectors[:, :d].T @ y).argmax(1) != y.argmax(1)).double().mean()) for d in range(1, 41)]
    np.testing.assert_allclose(spectral_errors(vectors, y, 40).numpy(), expected)


def test_leave_one_out_with_a_tiny_penalty(rng):
    K = np.exp(-spd.squareform(spd.pdist(rng.standard_normal((12, 3)), "sqeuclidean")))
    y = rng.standard_normal((12, 2))
    found = loo_predictions(*spectrum(torch.from_numpy(K)), torch.from_numpy(y), 1e-9).numpy()
    for i in range(12):
        rest = np.delete(np.arange(12), i)
        expected = K[i, rest] @ np.linalg.solve(K[np.ix_(rest, rest)] + 1e-9 * np.eye(11), y[rest])
        np.testing.assert_allclose(found[i], expected, rtol=1e-5, atol=1e-6)
