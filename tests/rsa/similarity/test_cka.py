"""CKA and distance correlation against the definitions in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial.distance as spd

import brainenc as be
from brainenc.rsa.similarity import cka, distance_correlation, matrix, minibatch_cka


def biased(K, L):
    H = np.eye(len(K)) - 1 / len(K)
    a, b = H @ K @ H, H @ L @ H
    return np.trace(a @ b) / np.sqrt(np.trace(a @ a) * np.trace(b @ b))


def song(K, L):
    """HSIC_1 of Song et al. 2012, written out."""
    n = len(K)
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    one = np.ones(n)
    return (np.trace(K @ L) + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ K @ L @ one)) / (n * (n - 3))


def debiased(K, L):
    return song(K, L) / np.sqrt(song(K, K) * song(L, L))


def rbf(x):
    d = spd.squareform(spd.pdist(x))
    sigma = np.median(d[np.triu_indices(len(d), 1)])
    return np.exp(-(d**2) / (2 * sigma**2))


@pytest.fixture(params=[(17, 5, 6), (17, 40, 6), (17, 5, 40), (17, 40, 50)], ids=["thin", "wide-thin", "thin-wide", "wide"])
def pair(request, rng):
    n, p, q = request.param
    x = rng.standard_normal((n, p)) + 3
    y = x @ rng.standard_normal((p, q)) + p**0.5 * rng.standard_normal((n, q)) - 1
    return x, y


@pytest.mark.parametrize("memory", [None, 2000])
@pytest.mark.parametrize(("estimator", "expected"), [("biased", biased), ("debiased", debiased)])
def test_linear(pair, estimator, expected, memory):
    x, y = pair
    assert cka(x, y, estimator=estimator, memory=memory) == pytest.approx(expected(x @ x.T, y @ y.T), abs=1e-12)


@pytest.mark.parametrize("memory", [None, 2000])
@pytest.mark.parametrize(("estimator", "expected"), [("biased", biased), ("debiased", debiased)])
def test_rbf_whole_and_in_blocks(pair, estimator, expected, memory):
    x, y = pair
    assert cka(x, y, kernel="rbf", estimator=estimator, memory=memory) == pytest.approx(expected(rbf(x), rbf(y)), abs=1e-11)


def test_rbf_takes_a_number_and_a_fraction(pair):
    x, y = pair
    sigma = float(np.median(spd.pdist(x)))
    np.testing.assert_allclose(cka(x, x + 0.1 * y[:, :1], kernel="rbf", sigma=0.4 * sigma), cka(x, x + 0.1 * y[:, :1], kernel="rbf", fraction=0.4), rtol=0.1)
    K = np.exp(-(spd.squareform(spd.pdist(x)) ** 2) / (2 * 1.7**2))
    L = np.exp(-(spd.squareform(spd.pdist(y)) ** 2) / (2 * 1.7**2))
    assert cka(x, y, kernel="rbf", sigma=1.7) == pytest.approx(biased(K, L), abs=1e-11)


def test_rbf_tends_to_linear(pair):
    x, y = pair
    assert cka(x, y, kernel="rbf", fraction=1e3) == pytest.approx(cka(x, y), abs=1e-4)
    assert abs(cka(x, y, kernel="rbf", fraction=0.3) - cka(x, y)) > 1e-3


def test_an_offset_costs_no_digits(pair):
    x, y = pair
    for kernel in ("linear", "rbf"):
        assert cka(x + 1e6, y, kernel=kernel) == pytest.approx(cka(x, y, kernel=kernel), abs=1e-8)


def test_it_is_the_whitened_cosine_of_euclidean_rdms(pair):
    """cosine_cov with V = Ξ∘Ξ, Ξ = CC' (identity condition covariance), is linear CKA."""
    x, y = pair
    n = len(x)
    i, j = np.triu_indices(n, 1)
    C = np.zeros((len(i), n))
    C[np.arange(len(i)), i], C[np.arange(len(i)), j] = 1, -1
    V = (C @ C.T) ** 2
    a, b = spd.pdist(x, "sqeuclidean"), spd.pdist(y, "sqeuclidean")
    va, vb = np.linalg.solve(V, a), np.linalg.solve(V, b)
    assert cka(x, y) == pytest.approx(a @ vb / np.sqrt((a @ va) * (b @ vb)), abs=1e-10)


def test_the_debiased_one_is_zero_for_unrelated_data_and_the_biased_one_is_not():
    rng = np.random.default_rng(3)
    draws = [(rng.standard_normal((20, 60)), rng.standard_normal((20, 50))) for _ in range(300)]
    unbiased = np.array([cka(x, y, estimator="debiased") for x, y in draws])
    assert abs(unbiased.mean()) < 4 * unbiased.std() / np.sqrt(300)
    assert np.mean([cka(x, y) for x, y in draws]) > 0.6


def test_constant_sides_are_nan(rng):
    x = rng.standard_normal((9, 4))
    assert np.isnan(cka(np.full((9, 3), 1 / 3), x))
    assert np.isnan(cka(np.full((9, 30), 1 / 3, dtype=np.float32), x))
    assert np.isnan(distance_correlation(np.full((9, 3), 1 / 3), x))
    with pytest.raises(be.BrainencError, match="all rows are equal"):
        cka(np.ones((9, 3)), x, kernel="rbf")


def test_too_few_samples():
    with pytest.raises(be.BrainencError, match="at least 4 samples"):
        cka(np.eye(3), np.eye(3), estimator="debiased")


def test_all_pairs_as_a_table(rng):
    xs = {f"layer{i}": rng.standard_normal((12, p)) for i, p in enumerate((3, 30, 7))}
    ys = {"V1": rng.standard_normal((12, 4)), "V4": rng.standard_normal((12, 20))}
    table = cka(xs, ys, estimator="debiased")
    assert list(table.index) == list(xs) and list(table.columns) == list(ys)
    for a, x in xs.items():
        for b, y in ys.items():
            assert table.loc[a, b] == pytest.approx(debiased(x @ x.T, y @ y.T), abs=1e-12)
    square = matrix(xs, metric="cka")
    np.testing.assert_allclose(square, square.T, atol=0)
    np.testing.assert_allclose(np.diag(square), 1)
    assert square.attrs["kind"] == "similarity" and square.attrs["n_samples"] == 12


def test_each_kernel_is_formed_once(rng, monkeypatch):
    from brainenc.rsa.similarity.kinds import cka as kind

    calls = []
    original = kind.kernel_of
    monkeypatch.setattr(kind, "kernel_of", lambda x, *a, **k: calls.append(x.shape) or original(x, *a, **k))
    xs = {f"layer{i}": rng.standard_normal((12, 3 + i)) for i in range(4)}
    matrix(xs)
    assert len(calls) == 4
    matrix(xs, {"again": xs["layer0"], "other": rng.standard_normal((12, 2))})
    assert len(calls) == 4 + 5


def minibatch(batches):
    """Nguyen et al.: three means over batches, then the ratio."""
    terms = np.mean([[song(x @ x.T, y @ y.T), song(x @ x.T, x @ x.T), song(y @ y.T, y @ y.T)] for x, y in batches], axis=0)
    return terms[0] / np.sqrt(terms[1] * terms[2])


def test_minibatches_stream(rng):
    batches = [(rng.standard_normal((n, 5)), rng.standard_normal((n, 9))) for n in (8, 11, 5)]
    batches = [(x, y + x[:, :1]) for x, y in batches]
    expected = minibatch(batches)
    assert minibatch_cka(iter(batches)) == pytest.approx(expected, abs=1e-12)
    assert minibatch_cka((x for x, _ in batches), (y for _, y in batches)) == pytest.approx(expected, abs=1e-12)
    table = minibatch_cka(({"a": x, "b": y}, {"c": y}) for x, y in batches)
    assert table.loc["a", "c"] == pytest.approx(expected, abs=1e-12)
    assert table.loc["b", "c"] == pytest.approx(1)
    assert (table.attrs["n_batches"], table.attrs["n_samples"]) == (3, 24)


def test_minibatches_of_arrays_use_every_row_and_the_seed(rng):
    x = rng.standard_normal((50, 6))
    y = x[:, :4] + rng.standard_normal((50, 4))
    one = cka(x, y, estimator="debiased", batch_size=16, seed=3)
    assert one == cka(x, y, estimator="debiased", batch_size=16, seed=3) != cka(x, y, estimator="debiased", batch_size=16, seed=4)
    assert cka(x, y, estimator="debiased", batch_size=50) == pytest.approx(cka(x, y, estimator="debiased"), abs=1e-12)
    values = [cka(x, y, estimator="debiased", batch_size=16, seed=s) for s in range(60)]
    assert np.mean(values) == pytest.approx(cka(x, y, estimator="debiased"), abs=0.02)
    from brainenc.rsa.similarity.batches import in_batches

    table = in_batches({"x": x}, {"y": y}, 16, seed=0, kernel="linear", estimator="debiased", sigma="median", device="cpu")
    assert (table.attrs["n_batches"], table.attrs["n_samples"]) == (3, 50)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cka(x, x, batch_size=8), "debiased"),
        (lambda x: cka(x, x, batch_size=3, estimator="debiased"), "four samples"),
        (lambda x: cka(x, x, batch_size=8, estimator="debiased", kernel="rbf"), "one bandwidth"),
        (lambda x: minibatch_cka([]), "no batch"),
        (lambda x: minibatch_cka([(x[:3], x[:3])]), "at least 4 samples"),
        (lambda x: minibatch_cka([(x, x[:8])]), "differ in their rows"),
        (lambda x: minibatch_cka([x]), "pair"),
        (lambda x: minibatch_cka([({"a": x}, x), ({"b": x}, x)]), "different layers"),
        (lambda x: cka(x, x, kernel="poly"), "unknown value for kernel"),
        (lambda x: cka(x, x[:5]), "numbers of rows"),
        (lambda x: cka(x, x, sigma=-1, kernel="rbf"), "positive number"),
        (lambda x: cka({}, x), "nothing to compare"),
    ],
)
def test_messages(call, message, rng):
    with pytest.raises(be.BrainencError, match=message):
        call(rng.standard_normal((12, 4)))


def test_distance_correlation(pair):
    x, y = pair

    def centred(z):
        d = spd.squareform(spd.pdist(z))
        return d - d.mean(0) - d.mean(1)[:, None] + d.mean()

    a, b = centred(x), centred(y)
    expected = np.sqrt((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))
    for memory in (None, 2000):
        assert distance_correlation(x, y, memory=memory) == pytest.approx(expected, abs=1e-12)
    D, E = (spd.squareform(spd.pdist(z)) for z in (x, y))
    assert distance_correlation(x, y, estimator="debiased") == pytest.approx(debiased(D, E), abs=1e-11)


def test_distance_correlation_sees_what_correlation_does_not():
    x = np.linspace(-1, 1, 41)[:, None]
    assert abs(np.corrcoef(x[:, 0], x[:, 0] ** 2)[0, 1]) < 1e-12
    assert distance_correlation(x, x**2) > 0.4
    assert cka(x, x**2) < 1e-12
