"""Scores with the noise taken out, against definitions and planted truth."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError

SCORES = (be.metrics.cc_norm, be.metrics.signal_power_explained, be.metrics.unbiased_r2)


def world(rng, counts, n_targets, ncsnr, rho):
    """Trials in random order, and predictions (in the order of first appearance) that share rho² of the signal's variance."""
    stimulus = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    signal = ncsnr * rng.standard_normal((len(counts), n_targets))
    other = ncsnr * rng.standard_normal((len(counts), n_targets))
    guess = rho * (rho * signal + np.sqrt(1 - rho**2) * other)
    responses = be.Responses(signal[stimulus] + rng.standard_normal((len(stimulus), n_targets)), {"stimulus_id": [f"s{i}" for i in stimulus]}, name="01")
    return responses, guess[list(dict.fromkeys(stimulus))]


def test_each_score_is_its_definition(rng):
    responses, guess = world(rng, [4] * 9, 7, 1.0, 0.8)
    stacked, _ = responses.repeats()  # (n_stimuli, n_repeats, n_targets)
    mean, n_repeats = stacked.mean(axis=1), 4
    trials = stacked.var(axis=0, ddof=1).mean(axis=0)
    signal = (n_repeats * mean.var(axis=0, ddof=1) - trials) / (n_repeats - 1)
    cov = np.array([np.cov(guess[:, t], mean[:, t])[0, 1] for t in range(7)])
    good = signal / mean.var(axis=0, ddof=1) >= 0.01
    with np.errstate(invalid="ignore"):
        expected = np.where(good, cov / np.sqrt(guess.var(axis=0, ddof=1) * signal), np.nan)
    np.testing.assert_allclose(be.metrics.cc_norm(responses, guess).values, expected, atol=1e-10)
    spe = (mean.var(axis=0, ddof=1) - (mean - guess).var(axis=0, ddof=1)) / signal
    np.testing.assert_allclose(be.metrics.signal_power_explained(responses, guess).values, np.where(good, spe, np.nan), atol=1e-10)
    noise = stacked.var(axis=1, ddof=1).mean(axis=0)
    p, y = guess - guess.mean(axis=0), mean - mean.mean(axis=0)
    above = (p * y).sum(axis=0) ** 2 - noise / n_repeats * (p**2).sum(axis=0)
    below = (p**2).sum(axis=0) * ((y**2).sum(axis=0) - (9 - 1) * noise / n_repeats)
    np.testing.assert_allclose(be.metrics.unbiased_r2(responses, guess).values, np.where(good, above / below, np.nan), atol=1e-10)


@pytest.mark.parametrize("counts", [[3] * 200, [1] * 60 + [2] * 60 + [6] * 80], ids=["equal", "unequal"])
@pytest.mark.parametrize("rho", [1.0, 0.6])
def test_planted_relations_come_back_whatever_the_noise(rng, counts, rho):
    for ncsnr in (0.5, 1.5):
        responses, guess = world(rng, counts, 150, ncsnr, rho)
        found = [np.nanmedian(score(responses, guess).values) for score in SCORES]
        np.testing.assert_allclose(found, [rho, rho**2, rho**2], atol=0.05)
        mean = responses.average()
        assert np.median(be.metrics.pearson(mean.values, guess)) < rho - 0.03  # the raw correlation depends on the noise


def test_the_normalised_correlation_is_r_over_ccmax(rng):
    responses, guess = world(rng, [3] * 50, 20, 1.0, 0.7)
    found = be.metrics.cc_norm(responses, guess)
    r = be.metrics.pearson(responses.average().values, guess)
    ceiling = be.NoiseCeiling.from_repeats(responses, method="signal_power")
    np.testing.assert_allclose(found.ceiling.values, ceiling.values, atol=1e-12)
    np.testing.assert_allclose(found.values, ceiling.normalize(r), atol=1e-10)


def test_no_relation_scores_zero_on_average_where_the_plain_square_does_not(rng):
    responses, guess = world(rng, [4] * 40, 2000, 1.0, 1.0)
    guess = rng.permuted(guess, axis=0)
    found = be.metrics.unbiased_r2(responses, guess).values
    ceiling = be.NoiseCeiling.from_repeats(responses).values
    plain = be.metrics.pearson(responses.average().values, guess) ** 2 / ceiling
    # what is left is the chance covariance of 40 true responses with 40 predictions: 1 / 39 of the variance
    assert np.mean(found) == pytest.approx(1 / 39, abs=0.003) and (found < 0).mean() > 0.2
    assert np.mean(plain) > np.mean(found) + 0.005


def test_ids_say_which_row_predicts_what_and_other_trials_are_left_aside(rng):
    responses, guess = world(rng, [3] * 20, 5, 1.0, 0.9)
    ids = list(dict.fromkeys(responses.samples["stimulus_id"]))
    turn = rng.permutation(20)[:12]
    for score in SCORES:
        named = score(responses, guess[turn], stimulus_id=[ids[i] for i in turn])
        some = responses.take_rows(np.flatnonzero(responses.samples["stimulus_id"].isin([ids[i] for i in turn])))
        plain = score(some, guess[np.sort(turn)])
        np.testing.assert_allclose(named.values, plain.values, atol=1e-12)
        assert named.n_stimuli == 12


@pytest.mark.parametrize("score", SCORES)
def test_intervals_cover_planted_scores(rng, score):
    responses, guess = world(rng, [4] * 100, 400, 1.0, 0.7)
    found = score(responses, guess, n_boot=300)
    truth = 0.7 if score is be.metrics.cc_norm else 0.49
    assert 0.92 <= ((found.ci[0] <= truth) & (truth <= found.ci[1])).mean() <= 0.98
    np.testing.assert_allclose(found.values, score(responses, guess).values, atol=1e-12)


def test_the_interval_of_a_square_starts_at_zero_where_the_sign_is_open(rng):
    responses, guess = world(rng, [4] * 40, 50, 1.0, 1.0)
    found = be.metrics.unbiased_r2(responses, rng.permuted(guess, axis=0), n_boot=200)
    assert (found.ci[0] >= 0).all() and (found.ci[0] == 0).mean() > 0.8


def test_targets_without_measurable_signal_have_no_score(rng):
    responses, guess = world(rng, [2] * 30, 60, 0.0, 1.0)
    guess = rng.standard_normal(guess.shape)
    for score in SCORES:
        found = score(responses, guess)
        below = found.ceiling.values < 0.01
        assert 0.2 < below.mean() < 0.9 and np.isnan(found.values[below]).all() and np.isfinite(found.values[~below]).all()


def test_constant_predictions_and_nan_targets_have_no_score(rng):
    responses, guess = world(rng, [3] * 20, 5, 1.0, 0.9)
    guess[:, 1] = 2.0
    responses.values[4, 3] = np.nan
    for score in SCORES:
        found = score(responses, guess, n_boot=20)
        assert np.isnan(found.values[3]) and np.isfinite(found.values[[0, 2, 4]]).all()
        # a constant correlates with nothing, but it does explain a share of the power: none
        assert found.values[1] == pytest.approx(0.0, abs=1e-12) if score is be.metrics.signal_power_explained else np.isnan(found.values[1])
        assert np.isfinite(found.ci[:, [0, 2, 4]]).all()


def test_what_does_not_fit_is_refused(rng):
    responses, guess = world(rng, [3] * 9, 7, 1.0, 0.9)
    ids = list(dict.fromkeys(responses.samples["stimulus_id"]))
    with pytest.raises(InputError, match="9 stimuli × 7 targets"):
        be.metrics.cc_norm(responses, guess[:8])
    with pytest.raises(InputError, match="several rows"):
        be.metrics.cc_norm(responses, guess, stimulus_id=[ids[0], *ids[:8]])
    with pytest.raises(InputError, match="no trials"):
        be.metrics.cc_norm(responses, guess, stimulus_id=["other", *ids[1:]])
    with pytest.raises(InputError, match="already averaged"):
        be.metrics.cc_norm(responses.average(), guess)
    with pytest.raises(InputError, match="time series"):
        be.metrics.unbiased_r2(be.Responses(np.ones((9, 7)), {"stimulus_id": ids}, t_r=2.0), guess)
