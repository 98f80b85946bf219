"""Noise ceilings against planted truth, against one another and against textbook formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError

METHODS = ("ncsnr", "anova", "split_half")


def trials(rng, counts, n_targets, ncsnr):
    """Trials of stimuli with given repeats, signal of variance ncsnr² and noise of variance 1, in random order."""
    stimulus = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    signal = ncsnr * rng.standard_normal((len(counts), n_targets))
    values = signal[stimulus] + rng.standard_normal((len(stimulus), n_targets))
    return be.Responses(values + 7.0, {"stimulus_id": [f"s{i}" for i in stimulus]}, name="01"), signal


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ncsnr", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("counts", [[2] * 200, [3] * 200, [1] * 60 + [2] * 60 + [5] * 80])
def test_planted_ceilings_come_back(rng, method, ncsnr, counts):
    responses, _ = trials(rng, counts, 60, ncsnr)
    ceiling = be.NoiseCeiling.from_repeats(responses, method=method)
    q = np.mean(1 / np.array(counts))
    assert ceiling.units == "variance" and ceiling.n_repeats == pytest.approx(1 / q)
    assert np.median(ceiling.values) == pytest.approx(ncsnr**2 / (ncsnr**2 + q), abs=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_the_ceiling_of_another_number_of_repeats(rng, method):
    responses, _ = trials(rng, [3] * 300, 60, 0.8)
    for n in (1, 2, 10):
        ceiling = be.NoiseCeiling.from_repeats(responses, method=method, n_repeats=n)
        assert np.median(ceiling.values) == pytest.approx(0.64 / (0.64 + 1 / n), abs=0.03)


def test_a_perfect_model_reaches_the_ceiling_and_no_more(rng):
    responses, signal = trials(rng, [3] * 400, 40, 1.0)
    ceiling = be.NoiseCeiling.from_repeats(responses)
    mean = responses.average()
    order = [int(i[1:]) for i in mean.samples["stimulus_id"]]
    r = be.metrics.pearson(mean.values, signal[order])
    assert np.median(ceiling.normalize(r, "pearson")) == pytest.approx(1.0, abs=0.02)
    # the mixed-up version, r over a variance ceiling, would claim more than perfection
    assert np.median(r / ceiling.variance) > 1.1


def test_anova_is_the_intraclass_correlation(rng):
    responses, _ = trials(rng, [3] * 9, 8, 1.0)
    stacked, _ = responses.repeats()
    n, r = stacked.shape[:2]
    between = r * ((stacked.mean(axis=1) - stacked.mean(axis=(0, 1))) ** 2).sum(axis=0) / (n - 1)
    within = ((stacked - stacked.mean(axis=1, keepdims=True)) ** 2).sum(axis=(0, 1)) / (n * (r - 1))
    np.testing.assert_allclose(be.NoiseCeiling.from_repeats(responses, method="anova").values, 1 - within / between, atol=1e-10)


def test_ncsnr_is_the_published_formula(rng):
    counts = [3] * 5 + [2] * 6 + [1] * 7
    responses, _ = trials(rng, counts, 8, 1.0)
    groups = [np.asarray(responses.values)[(responses.samples["stimulus_id"] == s).to_numpy()] for s in responses.samples["stimulus_id"].unique()]
    noise = sum((len(g) - 1) * g.var(axis=0, ddof=1) for g in groups if len(g) > 1) / sum(len(g) - 1 for g in groups)
    signal = responses.values.var(axis=0, ddof=1) - noise
    q = (5 / 3 + 6 / 2 + 7 / 1) / 18
    np.testing.assert_allclose(be.NoiseCeiling.from_repeats(responses).values, signal / (signal + q * noise), atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_the_interval_covers_the_truth(rng, method):
    responses, _ = trials(rng, [3] * 100, 80, 0.8)
    ceiling = be.NoiseCeiling.from_repeats(responses, method=method, n_boot=200, seed=1)
    truth = 0.64 / (0.64 + 1 / 3)
    low, high = ceiling.ci
    assert (low < ceiling.values).mean() > 0.95 and (high > ceiling.values).mean() > 0.95
    assert 0.86 <= ((low <= truth) & (truth <= high)).mean() <= 1.0
    assert (high - low).max() < 0.5


def test_noise_alone_gives_estimates_on_both_sides_of_zero_and_no_normalised_score(rng):
    responses, _ = trials(rng, [2] * 60, 80, 0.0)
    ceiling = be.NoiseCeiling.from_repeats(responses)
    assert 0.2 < (ceiling.values < 0).mean() < 0.8
    below = ceiling.values < ceiling.floor
    assert np.isnan(ceiling.normalize(np.full(80, 0.1))[below]).all()


def test_nan_and_constant_targets_stay_apart(rng):
    responses, _ = trials(rng, [3] * 20, 4, 1.0)
    values = responses.values.copy()
    values[2, 1], values[:, 3] = np.nan, 5.0
    for method in METHODS:
        with np.errstate(invalid="ignore"):
            broken = be.NoiseCeiling.from_repeats(replace(responses, values=values), method=method).values
        whole = be.NoiseCeiling.from_repeats(responses, method=method).values
        assert np.isnan(broken[[1, 3]]).all()
        np.testing.assert_allclose(broken[[0, 2]], whole[[0, 2]])


def test_the_order_of_trials_does_not_matter(rng):
    responses, _ = trials(rng, [1] * 5 + [3] * 20, 8, 1.0)
    turned = responses.take_rows(rng.permutation(responses.n_samples))
    for method in ("ncsnr", "anova"):
        one, other = (be.NoiseCeiling.from_repeats(r, method=method).values for r in (responses, turned))
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_halves_of_images_are_no_repeats(rng):
    responses, _ = trials(rng, [1] * 30, 4, 1.0)
    with pytest.raises(InputError, match="no stimulus is repeated.*30 stimuli"):
        be.NoiseCeiling.from_repeats(responses)


def test_what_cannot_have_a_ceiling_is_refused(rng):
    responses, _ = trials(rng, [3] * 9, 4, 1.0)
    with pytest.raises(InputError, match="already averaged"):
        be.NoiseCeiling.from_repeats(responses.average())
    with pytest.raises(InputError, match="no stimulus_id"):
        be.NoiseCeiling.from_repeats(be.Responses(np.ones((4, 2)), {"run": [1, 1, 2, 2]}))
    with pytest.raises(InputError, match="time series"):
        be.NoiseCeiling.from_repeats(be.Responses(np.ones((4, 2)), {"run": [1, 1, 2, 2]}, t_r=2.0))
    with pytest.raises(InputError, match="one of 'anova', .*'ncsnr'"):
        be.NoiseCeiling.from_repeats(responses, method="even_odd")
    with pytest.raises(InputError, match="positive"):
        be.NoiseCeiling.from_repeats(responses, n_repeats=0)


@pytest.mark.parametrize("method", ["ncsnr", "anova"])
def test_draws_without_any_repeat_are_left_out_silently(rng, method):
    responses, _ = trials(rng, [2, 2, 2] + [1] * 17, 5, 1.0)
    ceiling = be.NoiseCeiling.from_repeats(responses, method=method, n_boot=400)  # warnings are errors here
    assert np.isfinite(ceiling.ci).all()
