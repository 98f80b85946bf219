"""Every registered estimator of a noise ceiling, walked by one test: a new file is tested on arrival."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.metrics.ceilings import REGISTRY

NAMES = REGISTRY.names()
EQUAL, UNEQUAL = [4] * 150, [1] * 40 + [2] * 50 + [6] * 60


def trials(seed, counts, n_targets, ncsnr, n_runs=5):
    """Trials in random order over runs of unequal length, signal of variance ncsnr² and noise of variance 1, and the signal per stimulus."""
    rng = np.random.default_rng(seed)
    stimulus = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    signal = ncsnr * rng.standard_normal((len(counts), n_targets))
    table = {"stimulus_id": [f"s{i:03d}" for i in stimulus], "run": np.arange(len(stimulus)) * n_runs // len(stimulus)}
    first = list(dict.fromkeys(stimulus))
    return be.Responses(signal[stimulus] + rng.standard_normal((len(stimulus), n_targets)) + 7, table, name="01"), signal[first]


def ceiling(responses, name, **options):
    """The estimate, or None where the estimator says that it does not take such trials."""
    try:
        return be.NoiseCeiling.from_repeats(responses, method=name, **options)
    except InputError as error:
        assert any(word in str(error) for word in ("as many trials", "own repeats", "n_boot")), error
        return None


def test_the_names_of_the_brief_are_there_and_each_says_what_it_does():
    assert set(NAMES) >= {"ncsnr", "split_half", "anova", "signal_power", "explainable_variance", "shuffle"}
    assert list(be.metrics.ceiling_methods()) == NAMES
    for name in NAMES:
        module = REGISTRY.get(name)
        assert module.SUMMARY and "\n" not in module.SUMMARY and module.__doc__
        assert list(inspect.signature(module.estimate).parameters) == ["trials", "weights", "q"]
        if hasattr(module, "check"):
            assert list(inspect.signature(module.check).parameters) == ["layout", "own", "n_boot"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("counts", [EQUAL, UNEQUAL], ids=["equal", "unequal"])
@pytest.mark.parametrize("ncsnr", [0.0, 0.5, 1.0, 2.0])
def test_the_estimate_is_the_truth_whatever_the_repeats(name, counts, ncsnr):
    responses, _ = trials(1, counts, 200, ncsnr)
    found = ceiling(responses, name)
    if found is None:
        assert counts is UNEQUAL
        return
    q = np.mean(1 / np.array(counts))
    assert found.units == "variance" and found.n_repeats == pytest.approx(1 / q)
    assert np.median(found.values) == pytest.approx(ncsnr**2 / (ncsnr**2 + q), abs=0.04)


@pytest.mark.parametrize("name", NAMES)
def test_another_number_of_repeats_is_another_ceiling_or_refused(name):
    responses, _ = trials(2, EQUAL, 60, 0.8)
    for n in (1, 3, 12):
        found = ceiling(responses, name, n_repeats=n)
        assert found is None or np.median(found.values) == pytest.approx(0.64 / (0.64 + 1 / n), abs=0.04)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_a_perfect_model_scores_one_within_the_interval(name, metric):
    responses, signal = trials(3, EQUAL, 60, 1.0)
    found = ceiling(responses, name, n_boot=200) or ceiling(responses, name)
    score = be.metrics.get(metric)(responses.average().values - 7, signal)
    assert np.median(found.normalize(score, metric)) == pytest.approx(1.0, abs=0.02)
    if found.ci is None:
        return
    low, high = found.interval(metric)
    assert ((score / high <= 1) & (score / low >= 1)).mean() > 0.9
    assert (low < found.of(metric)).all() and (found.of(metric) < high).all()


@pytest.mark.parametrize("name", NAMES)
def test_units_are_never_mixed_and_below_the_floor_there_is_no_score(name):
    responses, signal = trials(4, EQUAL, 60, 1.0)
    found = ceiling(responses, name)
    r = be.metrics.pearson(responses.average().values, signal)
    assert np.median(found.normalize(r, "pearson")) == pytest.approx(np.median(found.normalize(r**2, "r2")), abs=0.03)
    assert np.median(r / found.variance) > 1.1  # the mixed-up version would claim more than perfection
    nothing, _ = trials(5, EQUAL, 60, 0.0)
    empty = ceiling(nothing, name)
    below = empty.values < empty.floor
    assert 0.2 < below.mean() < 0.9
    assert np.isnan(empty.normalize(np.full(60, 0.1))[below]).all() and np.isfinite(empty.normalize(np.full(60, 0.1))[~below]).all()


@pytest.mark.parametrize("name", NAMES)
def test_halves_of_images_scans_and_averages_are_no_repeats(name):
    one_each, _ = trials(6, [1] * 30, 4, 1.0)
    with pytest.raises(InputError, match="no stimulus is repeated"):
        be.NoiseCeiling.from_repeats(one_each, method=name)
    repeated, _ = trials(6, [3] * 9, 4, 1.0)
    with pytest.raises(InputError, match="already averaged"):
        be.NoiseCeiling.from_repeats(repeated.average(), method=name)
    scans = be.Responses(np.ones((6, 2)), {"run": [1] * 3 + [2] * 3, "stimulus_id": list("abcabc")}, t_r=2.0)
    with pytest.raises(InputError, match="time series"):
        be.NoiseCeiling.from_repeats(scans, method=name)


@pytest.mark.parametrize("name", NAMES)
def test_nan_and_constant_targets_stay_apart_and_nothing_is_changed(name):
    responses, _ = trials(7, [3] * 20, 4, 1.0)
    values = responses.values.copy()
    values[2, 1], values[:, 3] = np.nan, 5.0
    from dataclasses import replace

    broken = replace(responses, values=values)
    kept = values.copy()
    found, whole = ceiling(broken, name), ceiling(responses, name)
    assert np.isnan(found.values[[1, 3]]).all()
    np.testing.assert_allclose(found.values[[0, 2]], whole.values[[0, 2]], atol=1e-12)
    np.testing.assert_array_equal(values, kept)


@pytest.mark.parametrize("name", NAMES)
def test_scale_shift_and_chunks_do_not_matter_and_the_seed_does_all(name, monkeypatch):
    from dataclasses import replace

    from brainenc.metrics import _columns

    responses, _ = trials(8, [4] * 12, 7, 1.0)
    whole = ceiling(responses, name, seed=3)
    moved = replace(responses, values=responses.values * np.arange(1, 8) - 100)
    np.testing.assert_allclose(ceiling(moved, name, seed=3).values, whole.values, atol=1e-9)
    monkeypatch.setattr(_columns, "CHUNK_BYTES", 2 * 8 * 4 * 48)
    np.testing.assert_allclose(ceiling(responses, name, seed=3).values, whole.values, atol=1e-12)
