"""Sparse mappers: means of voxels on a surface, with missing voxels told, and averages over subjects there."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.encoding import average_subjects, project, read_mapper

N_VOXELS, N_VERTICES = 9, 7


@pytest.fixture
def mapper(rng):
    """Seven vertices of nine voxels; the last vertex has none."""
    dense = rng.random((N_VERTICES, N_VOXELS)) * (rng.random((N_VERTICES, N_VOXELS)) < 0.5)
    dense[:, 0] += 0.1
    dense[-1] = 0
    return dense


@pytest.fixture
def space():
    return be.SurfaceSpace("fsaverage5", ["left"] * 4 + ["right"] * 3, [5, 6, 7, 8, 0, 1, 2])


def scores_of(rng, name="01", **more):
    targets = pd.DataFrame({"subject": name, "target_id": [f"v{i}" for i in range(N_VOXELS)], "roi": "V1"})
    entries = pd.DataFrame({"model": "toy", "layer": ["one", "two"], "metric": "pearson", "seed": 0})
    return be.Scores(rng.standard_normal((2, 3, N_VOXELS)), entries, targets, {name: be.ArraySpace(N_VOXELS)}, "3 folds", n_test=10 + np.arange(27).reshape(3, 9), **more)


def test_projection_is_a_weighted_mean(rng, mapper, space):
    x = rng.standard_normal((2, 3, N_VOXELS))
    out = project(x, sparse.csr_matrix(mapper), space)
    want = [np.average(x, axis=-1, weights=row) if row.any() else np.full((2, 3), np.nan) for row in mapper]
    np.testing.assert_allclose(out, np.stack(want, axis=-1))
    np.testing.assert_allclose(project(x, mapper, space, normalize=False)[..., :-1], x @ mapper[:-1].T)


def test_missing_voxels_are_renormalised_or_propagated(rng, mapper, space):
    x = rng.standard_normal(N_VOXELS)
    x[[1, 4]] = np.nan
    known = np.isfinite(x)
    share = mapper[:, known].sum(axis=1) / np.maximum(mapper.sum(axis=1), 1e-9)
    mean = np.array([np.average(x[known], weights=row[known]) if row.any() else np.nan for row in mapper])
    np.testing.assert_allclose(project(x, mapper, space, least=1e-6), mean)
    np.testing.assert_allclose(project(x, mapper, space, least=0.7), np.where(share >= 0.7, mean, np.nan))
    touched = (mapper[:, ~known] > 0).any(axis=1)
    assert touched.any() and not touched.all()
    np.testing.assert_allclose(project(x, mapper, space, missing="propagate"), np.where(touched, np.nan, mean))
    np.testing.assert_allclose(project(x, mapper, space, normalize=False, least=1e-6), mean * mapper.sum(axis=1))
    assert np.isnan(project(np.full(N_VOXELS, np.nan), mapper, space)).all()


def test_scores_move_with_their_tables(rng, mapper, space):
    p = rng.random((2, N_VOXELS))
    scores = scores_of(rng, p=p, inner=rng.standard_normal((2, 3, N_VOXELS)))
    moved = project(scores, mapper, space)
    np.testing.assert_allclose(moved.values, project(scores.values, mapper, space))
    np.testing.assert_allclose(moved.p[:, :-1], p[:, mapper[:-1].argmax(axis=1)])
    np.testing.assert_array_equal(moved.n_test[:, :-1], scores.n_test[:, mapper[:-1].argmax(axis=1)])
    assert np.isnan(moved.p[:, -1]).all() and (moved.n_test[:, -1] == 0).all()
    assert moved.space is space and list(moved.targets["target_id"][:2]) == ["l5", "l6"] and moved.ceiling is None
    assert moved.provenance["projected"] == {"vertices": 7, "without weights": 1, "NaN in spite of weights": 0}
    assert "not projected" in moved.ceiling_status and moved.best().values.shape == (1, 3, 7)
    image = moved.to_image("two")
    np.testing.assert_allclose(image.data.parts["left"][5:9], moved.mean()[1, :4], rtol=1e-6)


def test_full_meshes_by_name():
    out = project(np.array([2.0, 4.0]), sparse.csr_matrix(([1.0, 1.0], ([0, 1283], [0, 1])), shape=(1284, 2)), "fsaverage3")
    assert out[0] == 2 and out[-1] == 4 and np.isnan(out[1:-1]).all()


def test_averages_of_subjects(rng, mapper, space):
    scores = [project(scores_of(rng, name), mapper, space) for name in ("01", "02", "03")]
    hole = scores[1].values.copy()
    hole[1, 0, 2] = np.nan
    scores[1] = replace(scores[1], values=hole)
    scores[2] = scores[2]._take_entries(np.array([1, 0]))
    turned = replace(scores[2], values=scores[2].values)
    stacked = np.stack([scores[0].mean(), scores[1].mean(), turned.mean()[::-1]])
    mean = average_subjects(scores)
    np.testing.assert_allclose(mean.mean(), stacked.mean(axis=0))
    np.testing.assert_allclose(average_subjects(scores, least=2).mean()[1, 2], np.nanmean(stacked[:, 1, 2]))
    assert mean.provenance["n_subjects"][1, 2] == 2 and mean.subjects == ["mean"] and mean.provenance["average_of"] == ["01", "02", "03"]
    with pytest.raises(InputError, match="each once"):
        average_subjects(scores[0])
    with pytest.raises(InputError, match="different targets"):
        average_subjects([scores[0], scores_of(rng, "04")])
    with pytest.raises(InputError, match="different layers"):
        average_subjects([scores[0], scores[1].entry(layer="one")])


def test_mappers_from_files(tmp_path, mapper):
    matrix = sparse.csr_matrix(mapper)
    with h5py.File(tmp_path / "S01_mappers.hdf", "w") as file:
        for part in ("data", "indices", "indptr", "shape"):
            file[f"voxel_to_fsaverage_{part}"] = np.asarray(getattr(matrix, part))
        file["voxel_to_flatmap_indptr"] = np.zeros(2)
    np.testing.assert_array_equal(read_mapper(tmp_path / "S01_mappers.hdf").toarray(), mapper)
    sparse.save_npz(tmp_path / "mapper.npz", matrix)
    np.testing.assert_array_equal(read_mapper(tmp_path / "mapper.npz", None).toarray(), mapper)
    with pytest.raises(NotFoundError, match="voxel_to_flatmap"):
        read_mapper(tmp_path / "S01_mappers.hdf", "voxel_to_moon")
    sparse.save_npz(tmp_path / "columns.npz", matrix.tocsc())
    with pytest.raises(DataError):
        read_mapper(tmp_path / "columns.npz", None)
    parts = {"data": [1.0], "indptr": [0, 1], "shape": [1, 3]}
    for indices in ([7], [-1], [1.5]):
        np.savez(tmp_path / "bad.npz", indices=indices, **parts)
        with pytest.raises(DataError, match="no sparse matrix"):
            read_mapper(tmp_path / "bad.npz", None)


def test_what_does_not_fit_is_refused(rng, mapper, space):
    for wrong, text in (((np.ones(4), mapper), "different voxels"), ((np.ones(N_VOXELS), mapper[:3]), "different vertices"), ((np.ones(N_VOXELS), -mapper), "negative")):
        with pytest.raises(InputError, match=text):
            project(*wrong, space)
    assert np.isfinite(project(np.ones(N_VOXELS), -mapper, space, normalize=False, missing="propagate")[0])
