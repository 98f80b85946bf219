"""Sums over bootstrap samples against samples that are written out."""

import numpy as np
import pytest
import scipy.stats
import torch

from brainenc.linalg.multiplicities import centred_products, pair_weights, pooled_ceilings, products, whitened_products
from brainenc.linalg.weighted_ranks import sorted_runs, weighted_midranks, weighted_midranks_of

N, S, K, B = 7, 3, 2, 5
PAIRS = np.triu_indices(N, 1)


@pytest.fixture
def case(rng):
    x, y = rng.random((S, len(PAIRS[0]))), rng.random((K, len(PAIRS[0])))
    w = rng.multinomial(N, np.full(N, 1 / N), size=B).astype(float)
    return x, y, w


def expand(vector, w):
    """The RDM of a sample, and the pairs of it that are not copies of one condition."""
    square = np.zeros((N, N))
    square[PAIRS] = vector
    square += square.T
    index = np.repeat(np.arange(N), w.astype(int))
    rows, columns = np.triu_indices(len(index), 1)
    return square[index[rows], index[columns]], index[rows] != index[columns], index


def dense_v(index, variances):
    """V = Ξ ∘ Ξ over all pairs of the sample, copies being conditions of their own."""
    n = len(index)
    rows, columns = np.triu_indices(n, 1)
    contrasts = np.zeros((len(rows), n))
    contrasts[np.arange(len(rows)), rows] = 1
    contrasts[np.arange(len(rows)), columns] = -1
    return (contrasts @ np.diag(variances[index]) @ contrasts.T) ** 2


def tensors(*arrays):
    return [torch.from_numpy(np.asarray(a)) for a in arrays]


def test_products_are_sums_over_the_pairs_of_the_sample(case):
    x, y, w = case
    weights = pair_weights(*tensors(w, *PAIRS))
    raw = products(weights, *tensors(x, y))
    centred = centred_products(weights, *tensors(x, y))
    for b in range(B):
        wide = np.stack([expand(v, w[b])[0][expand(v, w[b])[1]] for v in np.concatenate([x, y])])
        gram = wide @ wide.T
        np.testing.assert_allclose(raw.xx[b], gram[:S, :S], rtol=1e-12)
        np.testing.assert_allclose(raw.xy[b], gram[:S, S:], rtol=1e-12)
        np.testing.assert_allclose(raw.yy[b], np.diag(gram)[S:], rtol=1e-12)
        r = np.corrcoef(wide)
        np.testing.assert_allclose(centred.similarity()[b], r[:S, S:], rtol=1e-10)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("missing", [0, 4])
def test_whitened_products_are_those_of_the_dense_inverse(case, rng, diagonal, missing):
    x, y, w = case
    w[0] = [4.5, 1, 1, 0.5, 0, 0, 0]  # (n + 2) / 2 of one condition: the diagonal of the system vanishes
    variances = rng.uniform(0.5, 2, N) if diagonal else np.ones(N)
    keep = np.ones(len(PAIRS[0]), dtype=bool)
    keep[rng.permutation(len(keep))[:missing]] = False
    found = whitened_products(*tensors(w, x * keep, y * keep), variances=torch.from_numpy(variances), keep=torch.from_numpy(keep))
    for b in range(1, B):
        valid = expand(keep, w[b])[0].astype(bool) & expand(keep, w[b])[1]
        v = dense_v(expand(keep, w[b])[2], variances)[np.ix_(valid, valid)]
        wide = np.stack([expand(u, w[b])[0][valid] for u in np.concatenate([x, y])])
        expected = 2 * wide @ np.linalg.solve(v, wide.T)
        np.testing.assert_allclose(found.xx[b], expected[:S, :S], rtol=1e-10)
        np.testing.assert_allclose(found.xy[b], expected[:S, S:], rtol=1e-10)
        np.testing.assert_allclose(found.yy[b], np.diag(expected)[S:], rtol=1e-10)


def test_a_vanishing_diagonal_of_the_whitened_system_is_solved(rng):
    n = 6
    x = rng.random((2, 15))
    w = np.array([[4.0, 1, 1, 0, 0, 0], [4.0, 1, 1, 0, 0, 0]])
    w[1] = [1, 4, 0, 0, 0, 1]
    found = whitened_products(*tensors(w, x, x))
    for b in range(2):
        index = np.repeat(np.arange(n), w[b].astype(int))
        rows, columns = np.triu_indices(n, 1)
        square = np.zeros((2, n, n))
        square[:, rows, columns] = square[:, columns, rows] = x
        rows, columns = np.triu_indices(len(index), 1)
        valid = index[rows] != index[columns]
        wide = square[:, index[rows], index[columns]][:, valid]
        expected = 2 * wide @ np.linalg.solve(dense_v(index, np.ones(n))[np.ix_(valid, valid)], wide.T)
        np.testing.assert_allclose(found.xx[b], expected, rtol=1e-10)


@pytest.mark.parametrize("levels", [4, 60, 300, 10**9])
def test_weighted_midranks_are_the_ranks_of_the_copies(rng, levels):
    values = rng.integers(levels, size=(3, 31)).astype(float)
    counts = rng.integers(4, size=31)
    expected = scipy.stats.rankdata(np.repeat(values, counts, axis=1), axis=1)
    weights = torch.from_numpy(counts.astype(float))
    once = weighted_midranks(sorted_runs(torch.from_numpy(values)), weights).numpy()
    now = weighted_midranks_of(torch.from_numpy(values), weights).numpy()
    np.testing.assert_array_equal(np.repeat(once, counts, axis=1), expected)
    np.testing.assert_array_equal(now, once)


def test_ceilings_of_inner_products_are_those_of_pooled_vectors(rng):
    z = rng.standard_normal((4, 30)) + rng.standard_normal(30)
    v = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1], [4, 0, 0, 0]])
    lower, upper = pooled_ceilings(torch.from_numpy(z @ z.T)[None].expand(3, 4, 4), torch.from_numpy(v))
    cosine = lambda a, b: a @ b / np.sqrt(a @ a * (b @ b))  # noqa: E731
    for b in range(2):
        for s in range(4):
            rest = v[b].copy()
            rest[s] = 0
            np.testing.assert_allclose(lower[b, s], cosine(rest @ z, z[s]), rtol=1e-10)
            np.testing.assert_allclose(upper[b, s], cosine(v[b] @ z, z[s]), rtol=1e-10)
    assert torch.isnan(lower[2, 0])
    np.testing.assert_allclose(upper[2, 0], 1.0)
