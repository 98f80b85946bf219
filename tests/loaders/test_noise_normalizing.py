"""Multivariate noise normalisation: against a loop, on training trials alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.loaders import NoiseNormalizer
from brainenc.nouns.spaces import SensorSpace

C, T = 5, 4


def epochs(rng, n=60, mix=None, kind="eeg"):
    mix = np.eye(C) if mix is None else mix
    ids = np.arange(n) % 6
    signal = rng.standard_normal((6, C, T)) * 2
    data = signal[ids] + np.einsum("cd,ndt->nct", mix, rng.standard_normal((n, C, T)))
    channels = pd.DataFrame({"channel": [f"c{i}" for i in range(C)], "type": kind})
    times = np.arange(T) / 10 - 0.1
    targets = pd.DataFrame({"channel": np.repeat(channels["channel"], T).to_numpy(), "time": np.tile(times, C), "type": np.repeat(channels["type"], T).to_numpy()})
    return be.Responses(data.reshape(n, -1), {"stimulus_id": [f"s{i}" for i in ids]}, targets, SensorSpace(channels, times), units="µV")


def by_hand(responses, times):
    """Covariance by loops over conditions and times, without shrinkage."""
    cube = responses.values.reshape(-1, C, T)
    ids = responses.samples["stimulus_id"].to_numpy()
    total = np.zeros((C, C))
    for t in times:
        rest = np.concatenate([cube[ids == one, :, t] - cube[ids == one, :, t].mean(axis=0) for one in np.unique(ids)])
        total += rest.T @ rest / (len(cube) - len(np.unique(ids)))
    values, vectors = np.linalg.eigh(total / len(times))
    return vectors @ np.diag(values**-0.5) @ vectors.T


def test_equals_loops_and_ignores_test_trials(rng):
    mix = rng.standard_normal((C, C))
    data = epochs(rng, mix=mix)
    train = np.arange(40)
    whitener = NoiseNormalizer(method="full", tmin=0.0).fit(data, rows=train)
    np.testing.assert_allclose(whitener.whitening_, by_hand(data.take_rows(train), [1, 2, 3]), rtol=1e-8)
    spoiled = be.Responses(np.vstack([data.values[:40], data.values[40:] * 100]), data.samples, data.targets, data.space)
    np.testing.assert_array_equal(NoiseNormalizer(method="full", tmin=0.0).fit(spoiled, rows=train).whitening_, whitener.whitening_)
    white = whitener.transform(data)
    expected = np.einsum("cd,ndt->nct", whitener.whitening_, data.values.reshape(-1, C, T)).reshape(60, -1)
    np.testing.assert_allclose(white.values, expected, rtol=1e-9)
    assert white.units == "noise SD" and white.provenance["noise_normalization"]["n_train"] == 40
    shuffled = data.take_targets(rng.permutation(C * T))  # columns may stand in any order
    other = NoiseNormalizer(method="full", tmin=0.0).fit(shuffled, rows=train).transform(shuffled)
    place = {one: i for i, one in enumerate(other.targets["target_id"])}
    np.testing.assert_allclose(other.values[:, [place[one] for one in white.targets["target_id"]]], white.values, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", ["schaefer_strimmer", "ledoit_wolf", "full", "diagonal"])
def test_noise_becomes_white(rng, method):
    mix = np.eye(C) + 0.5 * rng.standard_normal((C, C)) if method != "diagonal" else np.diag(np.arange(1.0, C + 1))
    train, test = epochs(rng, 1200, mix), epochs(rng, 1200, mix)
    white = NoiseNormalizer(method=method).fit(train).transform(test)
    cube = white.values.reshape(-1, C, T)
    ids = white.samples["stimulus_id"].to_numpy()
    rest = np.concatenate([cube[ids == one] - cube[ids == one].mean(axis=0) for one in np.unique(ids)])
    covariance = np.mean([np.cov(rest[:, :, t].T) for t in range(T)], axis=0)
    np.testing.assert_allclose(covariance, np.eye(C), atol=0.12 if method in ("full", "diagonal") else 0.25)  # shrinkage leaves some


def test_shrinkage_equals_scikit_learn(rng):
    """Ledoit and Wolf's shrinkage at each time, scaled to the degrees of freedom, averaged over times."""
    from sklearn.covariance import ledoit_wolf

    data = epochs(rng, 90, rng.standard_normal((C, C)))
    whitener = NoiseNormalizer(method="ledoit_wolf").fit(data)
    cube, ids = data.values.reshape(-1, C, T), data.samples["stimulus_id"].to_numpy()
    rest = np.stack([trial - cube[ids == one].mean(axis=0) for trial, one in zip(cube, ids, strict=True)])
    each = [ledoit_wolf(rest[:, :, t], assume_centered=True) for t in range(T)]
    values, vectors = np.linalg.eigh(np.mean([one[0] for one in each], axis=0) * 90 / 84)
    np.testing.assert_allclose(whitener.whitening_, vectors @ np.diag(values**-0.5) @ vectors.T, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(whitener.shrinkage_, [one[1] for one in each], rtol=1e-7)


def test_what_is_refused(rng):
    data = epochs(rng)
    with pytest.raises(InputError, match="not fitted"):
        NoiseNormalizer().transform(data)
    with pytest.raises(InputError, match="too few repeats"):
        NoiseNormalizer().fit(data, rows=np.arange(6))
    with pytest.raises(InputError, match="not all pairs"):
        NoiseNormalizer().fit(data.take_targets(np.arange(C * T - 1)))
    mixed = be.Responses(data.values, data.samples, data.targets.assign(type=["eeg"] * 8 + ["mag"] * 12), data.space)
    with pytest.raises(InputError, match="different units"):
        NoiseNormalizer(method="ledoit_wolf").fit(mixed)
    with pytest.raises(InputError, match="other channels"):
        NoiseNormalizer().fit(data).transform(data.where("channel != 'c0'"))
    average = data.values.reshape(-1, C, T) - data.values.reshape(-1, C, T).mean(axis=1, keepdims=True)
    with pytest.raises(InputError, match="singular"):
        NoiseNormalizer(method="full").fit(be.Responses(average.reshape(60, -1), data.samples, data.targets, data.space))
    with pytest.raises(InputError, match="missing values"):
        NoiseNormalizer().fit(be.Responses(np.where(data.values > 3, np.nan, data.values), data.samples, data.targets, data.space))
    with pytest.raises(InputError, match="no times"):
        NoiseNormalizer(tmin=3.0).fit(data)
