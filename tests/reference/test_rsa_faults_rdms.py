"""Faults of rsatoolbox and mne-rsa in making RDMs: ours is right by an independent computation, theirs is not (until they mend it)."""

from __future__ import annotations

import warnings
from itertools import combinations

import numpy as np
import pytest

import brainenc as be

rsatoolbox = pytest.importorskip("rsatoolbox")
from rsatoolbox.data import Dataset, TemporalDataset  # noqa: E402
from rsatoolbox.data.noise import cov_from_measurements  # noqa: E402
from rsatoolbox.rdm import calc_rdm, calc_rdm_movie, calc_rdm_unbalanced  # noqa: E402
from rsatoolbox.rdm.transform import minmax_transform, positive_transform, rank_transform, sqrt_transform  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning"),
    pytest.mark.filterwarnings("default:the peer has mended:DeprecationWarning"),
]
N, FOLDS, P = 5, 4, 6


@pytest.fixture
def design(rng):
    condition, fold = np.tile(np.arange(N), FOLDS), np.repeat(np.arange(FOLDS), N)
    return rng.gamma(2.0, size=(N * FOLDS, P)), condition, fold


def dataset(values, condition, fold, **more):
    return Dataset(values, obs_descriptors={"c": [f"c{i}" for i in condition], "f": fold, **more})


def still(differs: bool, fault: str) -> None:
    """Say where a peer has mended its fault: ours was tested before this line, so the suite does not fail for it."""
    if not differs:
        warnings.warn(f"the peer has mended: {fault}", DeprecationWarning, stacklevel=2)


def fails(call, *errors):
    try:
        call()
    except errors:
        return True
    return False


THEIRS = {"minmax": minmax_transform, "sqrt": sqrt_transform, "positive": positive_transform, "rank": rank_transform}


@pytest.mark.parametrize("how", list(THEIRS))
def test_4_transforms_overwrite_the_callers_rdms(rng, how):
    values = rng.normal(size=(2, 10))
    mine = be.RDMs(values.copy(), {"condition": list("abcde")})
    found = mine.transform(how)
    np.testing.assert_array_equal(mine.values, values)
    assert not np.array_equal(found.values, values)
    their = rsatoolbox.rdm.RDMs(values.copy())
    THEIRS[how](their)
    if how != "rank":  # of the four, ranks alone are made in an array of their own
        still(not np.array_equal(their.dissimilarities, values), f"{how}_transform overwrites its input")


def test_5_cross_validated_poisson_keeps_the_last_fold_alone(design):
    values, condition, fold = design

    def of_fold(m):
        rate = lambda x: (x + 0.1) / 1.1  # noqa: E731
        train = np.array([rate(values[(condition == c) & (fold != m)].mean(axis=0)) for c in range(N)])
        test = np.array([rate(values[(condition == c) & (fold == m)].mean(axis=0)) for c in range(N)])
        return np.array([((train[i] - train[j]) * np.log(test[i] / test[j])).mean() for i, j in combinations(range(N), 2)])

    found = be.rsa.rdm(values, metric="poisson_cv", conditions=condition, folds=fold).values[0]
    np.testing.assert_allclose(found, np.mean([of_fold(m) for m in range(FOLDS)], axis=0), rtol=1e-10)
    theirs = calc_rdm(dataset(*design), method="poisson_cv", descriptor="c", cv_descriptor="f").dissimilarities[0]
    still(np.allclose(theirs, of_fold(FOLDS - 1), rtol=1e-10), "poisson_cv")


def test_6_two_repeats_halve_the_noise(rng):
    condition = np.tile(np.arange(300), 2)
    values = rng.normal(size=(600, 9))
    data = Dataset(values.copy(), obs_descriptors={"c": condition})
    mine = be.rsa.noise_model(values, conditions=condition, method="full").covariance().diagonal().mean()
    assert mine == pytest.approx(1.0, abs=0.08)
    theirs = np.diag(cov_from_measurements(data, "c", method="full")).mean()
    still(theirs < 0.6, "degrees of freedom of cov_from_measurements")


def test_7_one_noise_for_a_list_of_data_sets(design, rng):
    values, condition, fold = design
    noise = np.linalg.inv(np.cov(rng.normal(size=(30, P)), rowvar=False))
    other = rng.gamma(2.0, size=values.shape)
    found = be.rsa.rdm([values, other], metric="crossnobis", conditions=condition, folds=fold, noise=noise).values
    for mine, one in zip(found, (values, other), strict=True):
        alone = calc_rdm(dataset(one, condition, fold), "crossnobis", "c", noise=noise, cv_descriptor="f").dissimilarities[0]
        np.testing.assert_allclose(mine, alone, rtol=1e-10, atol=1e-12)
    sets = [dataset(one, condition, fold) for one in (values, other)]
    still(fails(lambda: calc_rdm(sets, "crossnobis", "c", noise=noise, cv_descriptor="f"), ValueError, AssertionError), "one noise for a list")


def test_8_movies_of_lists_drop_their_arguments(rng):
    values, times = rng.normal(size=(2, N * FOLDS, P, 12)), np.arange(12) / 10
    condition, fold = np.tile(np.arange(N), FOLDS), np.repeat(np.arange(FOLDS), N)
    bins = [(0.0, 0.6), (0.6, 1.2)]
    found = be.rsa.rdm_movie(list(values), times, metric="crossnobis", conditions=condition, folds=fold, bins=bins)
    assert found.n_rdms == 4
    for subject in range(2):
        for i in range(2):
            mean = values[subject][:, :, 6 * i : 6 * i + 6].mean(axis=2)
            alone = calc_rdm(dataset(mean, condition, fold), "crossnobis", "c", cv_descriptor="f").dissimilarities[0]
            np.testing.assert_allclose(found.where(subject=str(subject)).values[i], alone, rtol=1e-10, atol=1e-12)
    sets = [TemporalDataset(one, obs_descriptors={"c": condition, "f": fold}, time_descriptors={"time": times}) for one in values]
    options = {"method": "euclidean", "descriptor": "c", "bins": [times[:6], times[6:]]}
    still(calc_rdm_movie(sets, **options).n_rdm != 2 * calc_rdm_movie(sets[0], **options).n_rdm, "bins of a list of movies")


def test_9_lists_lose_the_categories_of_conditions(design):
    values, condition, fold = design
    category = np.array(list("aabbc"))[condition]
    samples = {"stimulus_id": condition, "run": fold, "category": category}
    found = be.rsa.rdm([be.Responses(values, samples, name=name) for name in "xy"], metric="euclidean")
    assert found.conditions["category"].tolist() == list("aabbc")
    their = calc_rdm([dataset(values, condition, fold, category=category)] * 2, "euclidean", "c")
    still("category" not in their.pattern_descriptors, "categories of a list of data sets")


def test_12_missing_channels_are_divided_by_all_of_them(rng):
    mean = rng.normal(size=(2, 20)) + np.array([[0.0], [1.0]])
    mean[1] += 2 * mean[0]
    mean[0, :6], mean[1, 15:] = np.nan, np.nan
    both = np.isfinite(mean).all(axis=0)
    correct = 1 - np.corrcoef(mean[:, both])[0, 1]
    assert be.rsa.rdm(mean, nan="omit").values[0, 0] == pytest.approx(correct, rel=1e-10)
    theirs = calc_rdm_unbalanced(Dataset(mean, obs_descriptors={"c": [0, 1]}), method="correlation", descriptor="c").dissimilarities[0, 0]
    still(abs(theirs - correct) > 1e-3, "correlation of patterns with missing channels")


def test_12_missing_channels_take_a_block_of_the_covariance(rng):
    covariance = np.full((4, 4), 0.8) + 0.2 * np.eye(4)
    mean = rng.normal(size=(2, 4))
    mean[:, 3] = np.nan
    difference = (mean[0] - mean[1])[:3]
    correct = difference @ np.linalg.inv(covariance[:3, :3]) @ difference / 3
    found = be.rsa.rdm(mean, metric="mahalanobis", noise=be.rsa.NoiseModel.from_covariance(covariance), nan="omit").values[0, 0]
    assert found == pytest.approx(correct, rel=1e-10)
    data = Dataset(mean, obs_descriptors={"c": [0, 1]})
    theirs = calc_rdm_unbalanced(data, method="mahalanobis", descriptor="c", noise=np.linalg.inv(covariance)).dissimilarities[0, 0]
    still(abs(theirs - correct) > 1e-3, "Mahalanobis distance of patterns with missing channels")


def test_13_noise_for_each_fold_of_an_unbalanced_design(rng):
    condition, fold = np.r_[np.tile(np.arange(N), 2), rng.integers(N, size=20)], np.r_[np.repeat([0, 1], N), rng.integers(3, size=20)]
    values = rng.normal(size=(30, P))
    covariances = [np.cov(rng.normal(size=(30, P)), rowvar=False) for _ in range(3)]
    noise = [be.rsa.NoiseModel.from_covariance(one) for one in covariances]
    found = be.rsa.rdm(values, metric="crossnobis", conditions=condition, folds=fold, noise=noise, center=False)

    def similar(i, j):
        return np.mean([
            values[a] @ np.linalg.inv((covariances[fold[a]] + covariances[fold[b]]) / 2) @ values[b]
            for a in np.flatnonzero(condition == i) for b in np.flatnonzero(condition == j) if fold[a] != fold[b]
        ])  # fmt: skip

    expected = [(similar(i, i) + similar(j, j) - 2 * similar(i, j)) / P for i, j in combinations(range(N), 2)]
    np.testing.assert_allclose(found.values[0], expected, rtol=1e-10, atol=1e-12)
    data, precisions = dataset(values, condition, fold), [np.linalg.inv(one) for one in covariances]
    call = lambda: calc_rdm_unbalanced(data, method="crossnobis", descriptor="c", cv_descriptor="f", noise=precisions)  # noqa: E731
    still(fails(call, TypeError, ValueError), "noise for each fold of an unbalanced design")


def test_offset_of_all_patterns_is_noise_in_unbalanced_crossnobis(rng):
    """Not in the list of known faults: what is common to all conditions multiplies the noise of their unbalanced crossnobis."""
    condition, fold = np.r_[np.tile(np.arange(N), 2), rng.integers(N, size=20)], np.r_[np.repeat([0, 1], N), rng.integers(3, size=20)]
    values = rng.normal(size=(30, P))
    options = {"metric": "crossnobis", "conditions": condition, "folds": fold}
    np.testing.assert_allclose(be.rsa.rdm(values + 100, **options).values, be.rsa.rdm(values, **options).values, rtol=1e-8)
    theirs = [calc_rdm_unbalanced(dataset(values + shift, condition, fold), method="crossnobis", descriptor="c", cv_descriptor="f") for shift in (0, 100)]
    still(np.abs(theirs[1].dissimilarities - theirs[0].dissimilarities).max() > 1, "offsets in unbalanced crossnobis")


def test_14_two_folds_are_not_cross_validated_by_mne_rsa(rng):
    mne_rsa = pytest.importorskip("mne_rsa")
    folds = rng.normal(size=(2, 5, 30))
    condition, fold = np.tile(np.arange(5), 2), np.repeat([0, 1], 5)
    found = be.rsa.rdm(folds.reshape(10, 30), metric="crossnobis", conditions=condition, folds=fold).values[0]
    expected = [(folds[0, i] - folds[0, j]) @ (folds[1, i] - folds[1, j]) / 30 for i, j in combinations(range(5), 2)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    within = np.mean([mne_rsa.compute_rdm(one, "sqeuclidean") for one in folds], axis=0)
    still(np.allclose(mne_rsa.compute_rdm_cv(folds, "sqeuclidean"), within), "two folds of compute_rdm_cv")


def test_15_noise_alone_has_no_distance(rng):
    mne_rsa = pytest.importorskip("mne_rsa")
    folds = rng.normal(size=(8, 20, 50))
    condition, fold = np.tile(np.arange(20), 8), np.repeat(np.arange(8), 20)
    mine = be.rsa.rdm(folds.reshape(160, 50), metric="crossnobis", conditions=condition, folds=fold).values[0]
    # the mean of 190 pairs of 20 independent conditions: 19 independent contrasts, each of variance 2 · 4 / (8 · 7 · 50)
    assert abs(mine.mean()) < 4 * np.sqrt(8 / (8 * 7 * 50) / 19)
    theirs = mne_rsa.compute_rdm_cv(folds, "sqeuclidean").mean() / 50
    still(theirs > 1, "bias of compute_rdm_cv")
