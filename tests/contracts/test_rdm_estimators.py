"""Every registered estimator of dissimilarity, walked by one test: a new file is tested on arrival."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.rsa._choices import ESTIMATORS

N, P, FOLDS = 7, 9, 3


def options(name):
    estimator = ESTIMATORS.get(name)
    found = {"metric": name, "conditions": np.tile(np.arange(N), 2 * FOLDS)}
    if estimator.CROSSVALIDATED:
        found["folds"] = np.repeat(np.arange(FOLDS), 2 * N)
    if estimator.NOISE == "required":
        found["noise"] = be.rsa.noise_model(np.random.default_rng(5).normal(size=(30, P)))
    return found


@pytest.fixture
def values(rng):
    return rng.gamma(2.0, size=(2 * N * FOLDS, P))


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_it_says_what_it_is(name):
    estimator = ESTIMATORS.get(name)
    for flag in ("CROSSVALIDATED", "SQUARED", "PER_CHANNEL", "CENTER", "NONNEGATIVE", "ADDITIVE"):
        assert isinstance(getattr(estimator, flag), bool), flag
    assert estimator.NOISE in (None, "optional", "required")
    assert callable(estimator.distances) and estimator.distances.__doc__
    assert not estimator.ADDITIVE or estimator.PER_CHANNEL, "only sums over channels can be added up"


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_it_is_a_dissimilarity(name, values):
    found = be.rsa.rdm(values, **options(name))
    assert found.values.shape == (1, N * (N - 1) // 2) and np.isfinite(found.values).all() and found.metric == name
    if not ESTIMATORS.get(name).CROSSVALIDATED:
        assert (found.values >= 0).all()
        same = np.repeat(values[:1], len(values), axis=0)
        assert np.abs(be.rsa.rdm(same, **options(name)).values).max() < 1e-12


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_the_order_of_trials_and_channels_does_not_matter(name, values, rng):
    expected = be.rsa.rdm(values, **options(name))
    order, channels = rng.permutation(len(values)), rng.permutation(P)
    given = options(name)
    moved = {key: given[key][order] if key in ("conditions", "folds") else given[key] for key in given}
    if "noise" in given:
        moved["noise"] = given["noise"].take(channels)
    found = be.rsa.rdm(values[order][:, channels], **moved).take_conditions(expected.ids)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_a_batch_is_a_loop_and_time_is_a_batch(name, rng):
    values = rng.gamma(2.0, size=(4, 2 * N * FOLDS, P))
    expected = np.concatenate([be.rsa.rdm(one, **options(name)).values for one in values])
    np.testing.assert_allclose(be.rsa.rdm(values, **options(name)).values, expected, rtol=1e-10, atol=1e-13)
    movie = be.rsa.rdm_movie(np.moveaxis(values, 0, -1), **options(name))
    np.testing.assert_allclose(movie.values, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ESTIMATORS.names())
@pytest.mark.parametrize("nan", ["omit", "propagate"])
def test_complete_values_need_no_policy(name, nan, values):
    np.testing.assert_array_equal(be.rsa.rdm(values, nan=nan, **options(name)).values, be.rsa.rdm(values, **options(name)).values)


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_missing_values_are_said_left_out_or_carried_on(name, values):
    values[np.ix_(options(name)["conditions"] == 2, [1, 4])] = np.nan
    with pytest.raises(InputError, match="NaN or infinity"):
        be.rsa.rdm(values, **options(name))
    omitted, carried = (be.rsa.rdm(values, nan=nan, **options(name)) for nan in ("omit", "propagate"))
    hit = np.isnan(carried.values[0])
    assert hit.sum() == N - 1 and np.isfinite(omitted.values).all()
    np.testing.assert_allclose(omitted.values[0, ~hit], carried.values[0, ~hit], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ESTIMATORS.names())
def test_it_is_deterministic_and_survives_a_file(name, values, tmp_path):
    found = be.rsa.rdm(values, **options(name))
    np.testing.assert_array_equal(found.values, be.rsa.rdm(values, **options(name)).values)
    back = be.read(found.save(tmp_path / name))
    np.testing.assert_array_equal(back.values, found.values)
    assert back.metric == name and back.provenance == found.provenance and back.conditions.equals(found.conditions)
