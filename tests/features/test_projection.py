from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.features import projection
from brainenc.features.projection import Reducer, project, reduce_space, sparse_matrix


def test_the_matrix_is_sparse_seeded_and_depends_only_on_its_sizes():
    matrix = sparse_matrix(10_000, 300, 0)
    assert matrix.shape == (300, 10_000)
    assert matrix.nnz == pytest.approx(300 * 100, rel=0.03)
    assert set(np.round(np.abs(matrix.data), 6)) == {np.round(np.float32(np.sqrt(100 / 300)), 6)}
    assert np.mean(matrix.data > 0) == pytest.approx(0.5, abs=0.02)
    sparse_matrix.cache_clear()
    assert (sparse_matrix(10_000, 300, 0) != matrix).nnz == 0
    assert (sparse_matrix(10_000, 300, 1) != matrix).nnz > 0


def test_lengths_and_distances_are_kept_on_average(rng):
    x = rng.standard_normal((40, 3000)).astype(np.float32)
    y = np.mean([project(x, 500, seed=s) @ project(x, 500, seed=s).T for s in range(8)], axis=0)
    expected = x @ x.T
    assert np.abs(np.diag(y) / np.diag(expected) - 1).max() < 0.15
    assert np.corrcoef(y[np.triu_indices(40, 1)], expected[np.triu_indices(40, 1)])[0, 1] > 0.5


def test_projection_equals_the_dense_product_and_ignores_chunks(rng, monkeypatch):
    x = rng.standard_normal((9, 700))
    dense = x @ sparse_matrix(700, 40, 3).toarray().T.astype(np.float64)
    whole = project(x, 40, seed=3)
    np.testing.assert_allclose(whole, dense, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(projection, "ROWS", 2)
    np.testing.assert_array_equal(project(x, 40, seed=3), whole)
    assert project(x.astype(np.float32), 40, seed=3).dtype == np.float32


def test_a_space_is_reduced_without_looking_at_its_rows(rng):
    space = be.FeatureSpace(rng.standard_normal((9, 200)), {"stimulus_id": [f"s{i}" for i in range(9)]}, name="m/l")
    small = space.reduce("srp:20", seed=4)
    assert small.values.shape == (9, 20)
    assert small.provenance["reduce"] == "srp:20"
    np.testing.assert_allclose(space.take(["s5"]).reduce("srp:20", seed=4).values, small.take(["s5"]).values, rtol=1e-12)
    same = reduce_space(space, "srp:500")
    assert same.values is space.values
    assert same.provenance["reduce"].startswith("none")


@pytest.mark.parametrize(("n", "p"), [(30, 8), (30, 90), (30, 30)])
def test_components_are_those_of_scikit_learn(rng, n, p):
    from sklearn.decomposition import PCA

    x = rng.standard_normal((n, p)) * np.linspace(3, 0.3, p) + 5
    test = rng.standard_normal((7, p))
    ours, theirs = Reducer("pca:6").fit(x), PCA(6, svd_solver="full").fit(x)
    a, b = ours.transform(test), theirs.transform(test)
    np.testing.assert_allclose(a * np.sign((a * b).sum(0)), b, atol=1e-8)
    np.testing.assert_allclose(ours.explained_, theirs.explained_variance_ratio_, rtol=1e-8)
    np.testing.assert_allclose(ours.components_ @ ours.components_.T, np.eye(6), atol=1e-10)


def test_components_never_exceed_the_rank(rng):
    x = np.repeat(rng.standard_normal((10, 3)), 4, axis=1)
    assert Reducer("pca:50").fit(x).transform(x).shape == (10, 3)
    assert Reducer("pca:50").fit(rng.standard_normal((5, 40))).transform(np.zeros((2, 40))).shape == (2, 4)


def test_constant_features_give_one_empty_component():
    x = np.full((6, 4), 2.0)
    np.testing.assert_array_equal(Reducer("pca:3").fit(x).transform(x), np.zeros((6, 1)))


def test_float32_comes_back_as_float32(rng):
    x = rng.standard_normal((20, 9)).astype(np.float32)
    assert Reducer("pca:3").fit_transform(x).dtype == np.float32


def test_random_projection_as_a_reducer(rng):
    x = rng.standard_normal((9, 100))
    np.testing.assert_array_equal(Reducer("srp:10", seed=2).fit(x[:4]).transform(x), project(x, 10, seed=2))
    assert Reducer("srp:500").fit(x).transform(x) is x


@pytest.mark.parametrize("how", ["pca", "pca:0", "srp:-1", "ica:4", "srp:1.5", None, "srp:3 "])
def test_unknown_reductions_are_refused(how):
    with pytest.raises(InputError, match="unknown reduction"):
        Reducer(how)


def test_misuse_is_refused(rng, features):
    with pytest.raises(InputError, match="score_layers"):
        features.reduce("pca:3")
    with pytest.raises(InputError, match="other features"):
        Reducer("pca:2").fit(rng.standard_normal((5, 4))).transform(np.zeros((2, 3)))
    with pytest.raises(InputError, match="too few rows"):
        Reducer("pca:2").fit(np.zeros((1, 4)))
