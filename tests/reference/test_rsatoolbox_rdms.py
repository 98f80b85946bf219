"""RDMs and noise models against rsatoolbox, where it is right."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be

rsatoolbox = pytest.importorskip("rsatoolbox")
from rsatoolbox.data import Dataset, TemporalDataset  # noqa: E402
from rsatoolbox.data import noise as their_noise  # noqa: E402
from rsatoolbox.rdm import calc_rdm, calc_rdm_movie, calc_rdm_unbalanced  # noqa: E402

# rsatoolbox casts NaN to integers when it collects descriptors
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
N, FOLDS, P = 9, 7, 8
TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}


def precision(seed, p=P):
    rows = np.random.default_rng(seed).normal(size=(4 * p, p)) * np.linspace(0.5, 2, p)
    return np.linalg.inv(np.cov(rows, rowvar=False))


@pytest.fixture
def design(rng):
    """Nine conditions, seven folds, two trials in each cell, shuffled; labels whose order is that of text."""
    condition = np.tile(np.arange(N), 2 * FOLDS)
    fold = np.repeat(np.arange(FOLDS), 2 * N)
    order = rng.permutation(len(fold))
    values = rng.normal(size=(N, P))[condition] + rng.normal(size=(len(fold), P))
    names = np.array([f"c{i}" for i in range(N)])
    return values[order], names[condition[order]], fold[order]


def ours(values, names, **options):
    return be.rsa.rdm(values, conditions=names, **options).reorder("condition").values


def theirs(values, names, fold, **options):
    return Dataset(values, obs_descriptors={"c": names, "f": fold}), {"descriptor": "c", **options}


@pytest.mark.parametrize("metric", ["euclidean", "correlation", "poisson"])
def test_means_of_conditions(design, metric):
    values, names, fold = design
    values = np.abs(values) if metric == "poisson" else values
    data, options = theirs(values, names, fold, method=metric)
    np.testing.assert_allclose(ours(values, names, metric=metric), calc_rdm(data, **options).dissimilarities, **TOLERANCE)


def test_mahalanobis(design):
    values, names, fold = design
    data, options = theirs(values, names, fold, method="mahalanobis", noise=precision(0))
    np.testing.assert_allclose(ours(values, names, metric="mahalanobis", noise=precision(0)), calc_rdm(data, **options).dissimilarities, **TOLERANCE)


@pytest.mark.parametrize("noise", [None, "one", "each fold"])
def test_crossnobis(design, noise):
    values, names, fold = design
    model = None if noise is None else precision(1) if noise == "one" else [precision(i) for i in range(FOLDS)]
    data, options = theirs(values, names, fold, method="crossnobis", noise=model, cv_descriptor="f")
    expected = calc_rdm(data, **options).dissimilarities
    np.testing.assert_allclose(ours(values, names, metric="crossnobis", folds=fold, noise=model), expected, **TOLERANCE)
    if noise == "each fold":
        named = {i: be.rsa.NoiseModel.from_covariance(np.linalg.inv(m)) for i, m in enumerate(model)}
        np.testing.assert_allclose(ours(values, names, metric="crossnobis", folds=fold, noise=named), expected, **TOLERANCE)


@pytest.mark.parametrize("with_noise", [False, True])
def test_unbalanced_crossnobis(rng, with_noise):
    condition, fold = rng.integers(N, size=150), rng.integers(5, size=150)
    names = np.array([f"c{i}" for i in range(N)])[condition]
    values = rng.normal(size=(150, P))
    noise = precision(2) if with_noise else None
    data = Dataset(values, obs_descriptors={"c": names, "f": fold})
    found = calc_rdm_unbalanced(data, method="crossnobis", descriptor="c", cv_descriptor="f", noise=noise)
    order = [str(v) for v in found.pattern_descriptors["c"]]
    expected = be.RDMs.from_rsatoolbox(found, condition="c").take_conditions(sorted(order)).values
    mine = be.rsa.rdm(values, metric="crossnobis", conditions=names, folds=fold, noise=noise, center=False).reorder("condition").values
    np.testing.assert_allclose(mine, expected, **TOLERANCE)


def test_every_trial_its_own_fold(rng):
    names = np.array([f"c{i}" for i in range(N)])[rng.integers(N, size=80)]
    values = rng.normal(size=(80, P))
    data = Dataset(values, obs_descriptors={"c": names, "f": np.arange(80)})
    found = calc_rdm_unbalanced(data, method="crossnobis", descriptor="c", cv_descriptor="f")
    expected = be.RDMs.from_rsatoolbox(found, condition="c").reorder("condition").values
    mine = be.rsa.rdm(values, metric="crossnobis", conditions=names, folds=np.arange(80), center=False).reorder("condition").values
    np.testing.assert_allclose(mine, expected, **TOLERANCE)


@pytest.mark.parametrize("dof", [None, 20])
@pytest.mark.parametrize("shape", [(30, 7), (9, 40)])
@pytest.mark.parametrize(("method", "name"), [("ledoit_wolf", "shrinkage_eye"), ("schaefer_strimmer", "shrinkage_diag"), ("diagonal", "diag"), ("full", "full")])
def test_covariance_and_precision(rng, method, name, shape, dof):
    rows = rng.normal(size=shape) @ (np.eye(shape[1]) + 0.3 * rng.normal(size=(shape[1], shape[1]))) + 5
    model = be.rsa.noise_model(rows, method=method, dof=dof)
    np.testing.assert_allclose(model.covariance(), their_noise.cov_from_residuals(rows, dof=dof, method=name), **TOLERANCE)
    if method != "full" or shape[0] > shape[1]:
        expected = their_noise.prec_from_residuals(rows, dof=dof, method=name)
        np.testing.assert_allclose(model.precision(), expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize(("method", "name"), [("ledoit_wolf", "shrinkage_eye"), ("schaefer_strimmer", "shrinkage_diag")])
def test_residuals_of_condition_means(design, method, name):
    values, names, fold = design
    data = Dataset(values, obs_descriptors={"c": names, "f": fold})
    expected = their_noise.cov_from_unbalanced(data, "c", method=name)
    np.testing.assert_allclose(be.rsa.noise_model(values, conditions=names, method=method).covariance(), expected, **TOLERANCE)


@pytest.mark.parametrize("metric", ["euclidean", "correlation", "crossnobis"])
def test_movies(rng, metric):
    condition, fold = np.tile(np.arange(N), 4), np.repeat(np.arange(4), N)
    names = np.array([f"c{i}" for i in range(N)])[condition]
    values = rng.normal(size=(4 * N, P, 6))
    data = TemporalDataset(values, obs_descriptors={"c": names, "f": fold}, time_descriptors={"time": np.arange(6) / 10})
    cv = {"cv_descriptor": "f"} if metric == "crossnobis" else {}
    expected = calc_rdm_movie(data, method=metric, descriptor="c", **cv)
    mine = be.rsa.rdm_movie(values, np.arange(6) / 10, metric=metric, conditions=names, folds=fold if cv else None)
    np.testing.assert_allclose(mine.values, expected.dissimilarities, **TOLERANCE)
    assert mine.rdms["time"].tolist() == list(expected.rdm_descriptors["time"])


def test_there_and_back_again(rng):
    mine = be.RDMs(rng.random((2, 36)), {"stimulus_id": [f"s{i}" for i in range(N)], "category": list("abcabcabc")}, {"subject": ["x", "y"]}, metric="crossnobis")
    their = mine.to_rsatoolbox()
    assert type(their).__module__.startswith("rsatoolbox") and their.n_cond == N
    np.testing.assert_allclose(their.get_matrices(), mine.square())
    back = be.RDMs.from_rsatoolbox(their)
    np.testing.assert_array_equal(back.values, mine.values)
    assert back.conditions.equals(mine.conditions) and back.rdms["subject"].tolist() == ["x", "y"] and back.metric == "crossnobis"
    their.dissimilarities[:] = -1
    assert (mine.values >= 0).all() and (back.values >= 0).all()


def test_descriptors_of_others_become_conditions(rng):
    their = rsatoolbox.rdm.RDMs(rng.random((3, 6)), pattern_descriptors={"object": list("wxyz"), "kind": list("aabb")}, rdm_descriptors={"roi": [1, 2, 3]})
    mine = be.RDMs.from_rsatoolbox(their)
    assert mine.ids.tolist() == list("wxyz") and mine.conditions["kind"].tolist() == list("aabb") and mine.rdms["roi"].tolist() == [1, 2, 3]
    plain = be.RDMs.from_rsatoolbox(rsatoolbox.rdm.RDMs(rng.random((1, 6))))
    assert plain.ids.tolist() == ["0", "1", "2", "3"]
