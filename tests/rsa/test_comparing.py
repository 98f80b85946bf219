"""Comparators against definitions that are written out, and their properties."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import brainenc as be
from brainenc.core.errors import InputError

N = 8
ROWS, COLUMNS = np.triu_indices(N, 1)
P = len(ROWS)


def contrasts():
    c = np.zeros((P, N))
    c[np.arange(P), ROWS], c[np.arange(P), COLUMNS] = 1, -1
    return c


def dense_v(sigma):
    return (contrasts() @ sigma @ contrasts().T) ** 2


def full_covariance(rng):
    factor = rng.standard_normal((N, 2 * N))
    return factor @ factor.T / N


def cosine(x, y, metric):
    return x @ metric @ y.T / np.sqrt(np.diag(x @ metric @ x.T)[:, None] * np.diag(y @ metric @ y.T))


def gram(d):
    square = np.zeros((N, N))
    square[ROWS, COLUMNS] = square[COLUMNS, ROWS] = d
    h = np.eye(N) - 1 / N
    return -0.5 * h @ square @ h


@pytest.mark.parametrize("kind", ["identity", "diagonal", "full"])
@pytest.mark.parametrize("missing", [0, 6])
@pytest.mark.parametrize("centred", [False, True])
def test_whitening_is_that_of_the_dense_covariance(rng, kind, missing, centred):
    x, y = rng.random((3, P)), rng.random((2, P))
    sigma = {"identity": np.eye(N), "diagonal": np.diag(rng.uniform(0.5, 2, N)), "full": full_covariance(rng)}[kind]
    given_ = {"identity": None, "diagonal": np.diag(sigma), "full": sigma}[kind]
    keep = np.ones(P, dtype=bool)
    keep[rng.permutation(P)[:missing]] = False
    v = dense_v(sigma)[np.ix_(keep, keep)]
    u, w = x[:, keep], y[:, keep]
    if centred:
        u, w = u - u.mean(axis=1, keepdims=True), w - w.mean(axis=1, keepdims=True)
    expected = cosine(u, w, np.linalg.inv(v))
    name = "whitened_pearson" if centred else "whitened_cosine_similarity"
    found = be.rsa.compare(np.where(keep, x, np.nan), y, name, sigma_k=given_)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_projecting_missing_pairs_out_is_the_inverse_of_the_known_block(rng):
    """The oblique projection: the least norm over all values that the missing pairs could have."""
    x = rng.random((2, P))
    inverse = np.linalg.inv(dense_v(np.eye(N)))
    gone = np.array([1, 5, 17])
    keep = np.setdiff1d(np.arange(P), gone)
    filled = x.copy()
    filled[:, gone] = -np.linalg.solve(inverse[np.ix_(gone, gone)], inverse[np.ix_(gone, keep)] @ x[:, keep].T).T
    expected = cosine(filled, filled, inverse)[0, 1]
    x[0, gone] = np.nan
    np.testing.assert_allclose(be.rsa.compare(x[:1], x[1:], "whitened_cosine_similarity")[0, 0], expected, rtol=1e-10)


def test_the_whitened_cosine_is_linear_cka(rng):
    patterns = [rng.standard_normal((N, k)) for k in (4, 30)]
    d = [((z[:, None] - z[None]) ** 2).sum(axis=2)[ROWS, COLUMNS] for z in patterns]
    a, b = (z - z.mean(axis=0) for z in patterns)
    cka = np.linalg.norm(b.T @ a) ** 2 / (np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    np.testing.assert_allclose(be.rsa.compare(d[0], d[1], "whitened_cosine_similarity")[0, 0], cka, rtol=1e-12)


def test_bures_is_the_definition_with_matrix_roots(rng):
    x, y = rng.standard_normal((2, N, 20))
    d = [((z[:, None] - z[None]) ** 2).mean(axis=2)[ROWS, COLUMNS] for z in (x, y)]
    g = [gram(v) for v in d]
    root = scipy.linalg.sqrtm(g[0] + 1e-14 * np.eye(N)).real
    fidelity = np.sqrt(np.linalg.eigvalsh(root @ g[1] @ root).clip(0)).sum()
    traces = [np.trace(v) for v in g]
    np.testing.assert_allclose(be.rsa.compare(d[0], d[1], "bures_similarity")[0, 0], fidelity / np.sqrt(traces[0] * traces[1]), rtol=1e-5)
    np.testing.assert_allclose(be.rsa.compare(d[0], d[1], "bures_distance")[0, 0], sum(traces) - 2 * fidelity, rtol=1e-5)


def test_the_bures_distance_is_the_procrustes_distance_of_patterns(rng):
    a, b = (z - z.mean(axis=0) for z in rng.standard_normal((2, N, 12)))
    d = [((z[:, None] - z[None]) ** 2).sum(axis=2)[ROWS, COLUMNS] for z in (a, b)]
    rotation, _ = scipy.linalg.orthogonal_procrustes(a, b)
    np.testing.assert_allclose(be.rsa.compare(d[0], d[1], "bures_distance")[0, 0], np.linalg.norm(a @ rotation - b) ** 2, rtol=1e-10)


@pytest.mark.parametrize("noise", [False, True])
def test_the_riemannian_distance_is_no_larger_than_what_a_search_over_both_numbers_finds(rng, noise):
    sigma = full_covariance(rng) if noise else None
    x, y = rng.standard_normal((2, N, 25))
    x = x * np.linspace(0.2, 2, 25)
    d = [((z[:, None] - z[None]) ** 2).mean(axis=2)[ROWS, COLUMNS] for z in (x, y)]
    p = np.concatenate([-np.ones((N - 1, 1)), np.eye(N - 1)], axis=1)
    square = [np.zeros((N, N)), np.zeros((N, N))]
    for s, v in zip(square, d, strict=True):
        s[ROWS, COLUMNS] = s[COLUMNS, ROWS] = v
    g = [-0.5 * p @ s @ p.T for s in square]
    extra = p @ (np.eye(N) if sigma is None else sigma) @ p.T
    value = lambda t: np.sqrt((np.log(scipy.linalg.eigvalsh(np.exp(t[0]) * g[0] + np.exp(t[1]) * extra, g[1])) ** 2).sum())  # noqa: E731
    starts = [scipy.optimize.minimize(value, s, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12}).fun for s in ([0, 0], [0, -3])]
    found = be.rsa.compare(d[0], d[1], "riemannian_distance", sigma_k=sigma)[0, 0]
    np.testing.assert_allclose(found, min(starts), rtol=1e-7)


def test_indefinite_rdms_are_refused_with_the_way_out(rng):
    d = rng.standard_normal((2, P))
    for name in ("bures_similarity", "bures_distance", "riemannian_distance"):
        with pytest.raises(InputError, match=r"semidefinite.*cross-validated"):
            be.rsa.compare(d[:1], d[1:], name)
    blocks = (np.arange(N)[:, None] // 4 != np.arange(N)[None] // 4)[ROWS, COLUMNS].astype(float)
    with pytest.raises(InputError, match="singular"):
        be.rsa.compare(rng.random((1, P)) + 3, blocks, "riemannian_distance")


def test_constant_rdms_are_nan_where_there_is_no_spread_to_divide_by(rng):
    flat, y = np.full((1, P), 0.7), rng.random((1, P))
    for name in ("pearson", "spearman", "tau_b", "whitened_pearson"):
        assert np.isnan(be.rsa.compare(flat, y, name)).all(), name
    assert be.rsa.compare(flat, y, "rho_a") == 0
    assert be.rsa.compare(flat, y, "tau_a") == 0
    assert np.isfinite(be.rsa.compare(flat, y, "cosine_similarity")).all()


def test_rdms_without_a_pair_in_common_are_nan(rng):
    x, y = rng.random((1, P)), rng.random((2, P))
    x[0, 1:] = np.nan
    for name in ("pearson", "tau_b", "whitened_pearson", "rho_a"):
        assert np.isnan(be.rsa.compare(x, y, name)).all(), name


def test_noise_covariances_are_refused_where_nothing_uses_them(rng):
    x = rng.random((1, P))
    for name in ("pearson", "tau_a", "bures_similarity"):
        with pytest.raises(InputError, match="no noise covariance"):
            be.rsa.compare(x, x, name, sigma_k=np.eye(N))
    with pytest.raises(InputError, match="do not fit"):
        be.rsa.compare(x, x, "whitened_pearson", sigma_k=np.eye(N + 1))


def test_a_diagonal_given_as_a_matrix_is_the_same(rng):
    x, y, s = rng.random((2, P)), rng.random((3, P)), rng.uniform(0.5, 3, N)
    for name in ("whitened_cosine_similarity", "whitened_pearson"):
        np.testing.assert_allclose(be.rsa.compare(x, y, name, sigma_k=s), be.rsa.compare(x, y, name, sigma_k=np.diag(s)), rtol=1e-10)


def test_rank_methods_equal_scipy(rng):
    x, y = rng.integers(9, size=(3, P)).astype(float), rng.random((2, P))
    for i, j in np.ndindex(3, 2):
        np.testing.assert_allclose(be.rsa.compare(x, y, "spearman")[i, j], scipy.stats.spearmanr(x[i], y[j]).statistic, rtol=1e-12)
        np.testing.assert_allclose(be.rsa.compare(x, y, "tau_b")[i, j], scipy.stats.kendalltau(x[i], y[j]).statistic, rtol=1e-12)
        np.testing.assert_allclose(be.rsa.compare(x, y, "pearson")[i, j], scipy.stats.pearsonr(x[i], y[j]).statistic, rtol=1e-12)
        signs = np.sign(x[i][:, None] - x[i]) * np.sign(y[j][:, None] - y[j])
        np.testing.assert_allclose(be.rsa.compare(x, y, "tau_a")[i, j], signs.sum() / (P * (P - 1)), rtol=1e-12)


def test_rho_a_is_the_mean_over_random_breaking_of_ties(rng):
    x, y = rng.integers(4, size=P).astype(float), rng.random(P)
    broken = [scipy.stats.spearmanr(x + 1e-6 * rng.random(P), y).statistic for _ in range(800)]
    np.testing.assert_allclose(be.rsa.compare(x, y, "rho_a")[0, 0], np.mean(broken), atol=4 * np.std(broken) / 800**0.5)


vectors = st.lists(st.integers(-50, 50), min_size=P, max_size=P).map(lambda v: np.array(v, dtype=float))


@given(vectors, vectors, st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_ranks_know_only_the_order_and_correlations_no_line(x, y, scale, shift):
    for name in ("spearman", "rho_a", "tau_a", "tau_b"):
        np.testing.assert_array_equal(be.rsa.compare(x, y, name), be.rsa.compare(np.arctan(x / 9), y, name))
    np.testing.assert_allclose(be.rsa.compare(x, y, "pearson"), be.rsa.compare(scale * x + shift, y, "pearson"), rtol=1e-7, atol=1e-9)
    for name in ("pearson", "spearman", "tau_a", "tau_b", "rho_a", "cosine_similarity", "whitened_cosine_similarity", "whitened_pearson"):
        found = be.rsa.compare(x, y, name)
        assert np.isnan(found).all() or (np.abs(found) <= 1 + 1e-12).all(), name


@given(vectors, vectors, st.permutations(range(N)))
@settings(max_examples=20, deadline=None)
def test_relabelling_both_changes_nothing(x, y, order):
    table = np.zeros((N, N), dtype=int)
    table[ROWS, COLUMNS] = table[COLUMNS, ROWS] = np.arange(P)
    places = table[np.ix_(order, order)][ROWS, COLUMNS]
    for name in ("pearson", "tau_a", "whitened_cosine_similarity", "whitened_pearson"):
        np.testing.assert_allclose(be.rsa.compare(x[places], y[places], name), be.rsa.compare(x, y, name), rtol=1e-8, atol=1e-10)
