"""Faulty noise ceilings that are in use, written out beside ours: what each would claim for a model that is perfect.

Signal and noise have the same variance, so a single trial has a ceiling of 1/2 on R², the mean of three 3/4, of four 4/5.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import brainenc as be
from brainenc.core.errors import InputError

N_STIMULI, N_TARGETS = 600, 60


def world(seed, n_repeats):
    """Signal (n_stimuli, n_targets), repeats (n_stimuli, n_repeats, n_targets) and the same as responses."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((N_STIMULI, N_TARGETS))
    stacked = signal[:, None] + rng.standard_normal((N_STIMULI, n_repeats, N_TARGETS))
    table = {"stimulus_id": np.repeat([f"s{i}" for i in range(N_STIMULI)], n_repeats)}
    return signal, stacked, be.Responses(stacked.reshape(-1, N_TARGETS), table)


def columns(x, y):
    return stats.pearsonr(x, y, axis=0).statistic


def perfect_r2(signal, stacked):
    """R² of the signal itself with the mean response: what no model can exceed."""
    mean = stacked.mean(axis=1)
    return 1 - ((mean - signal) ** 2).sum(axis=0) / ((mean - mean.mean(axis=0)) ** 2).sum(axis=0)


def halves(stacked, step):
    """Correlation of the first and second half of the repeats (an odd one dropped), stepped up by ``step``."""
    h = stacked.shape[1] // 2
    r = columns(stacked[:, :h].mean(axis=1), stacked[:, h : 2 * h].mean(axis=1))
    return step * r / (1 + (step - 1) * r)


@pytest.mark.parametrize(("n_repeats", "claimed"), [(3, 1.69), (4, 1.25)])
def test_the_square_of_a_reliability_is_no_ceiling_on_r2(n_repeats, claimed):
    # cortexlab 0.2.0: (Spearman-Brown r)² as the ceiling on R², the step always 2 even where a half is a third of the trials;
    # Brain-Score squared the reliability as well until the end of 2025
    signal, stacked, responses = world(1, n_repeats)
    best = perfect_r2(signal, stacked)
    assert np.median(best / halves(stacked, 2) ** 2) == pytest.approx(claimed, abs=0.06)
    for method in ("split_half", "ncsnr", "anova", "signal_power", "explainable_variance"):
        ceiling = be.NoiseCeiling.from_repeats(responses, method=method)
        assert np.median(ceiling.normalize(best, "r2")) == pytest.approx(1.0, abs=0.02)
        assert np.median(ceiling.values) == pytest.approx(n_repeats / (n_repeats + 1), abs=0.02)


def test_r2_over_a_squared_reliability_claims_a_third_more_than_perfection():
    # Brain-Score: r² / reliability², where the reliability is already in units of variance
    signal, stacked, responses = world(2, 3)
    mean = stacked.mean(axis=1)
    r, reliability = columns(signal, mean), halves(stacked, 3)
    assert np.median(r**2 / reliability**2) == pytest.approx(4 / 3, abs=0.06)
    ceiling = be.NoiseCeiling.from_repeats(responses, method="split_half")
    assert np.median(ceiling.normalize(r)) == pytest.approx(1.0, abs=0.02)
    # r over a variance ceiling, the other way to mix units, is what the type refuses to do
    assert np.median(r / ceiling.variance) == pytest.approx(1 / np.sqrt(0.75), abs=0.03)


def test_even_against_odd_images_is_no_ceiling_and_a_clip_hides_it():
    # Gaslight-Gatekeep: the responses to images 0, 2, 4 … against those to 1, 3, 5 …, floored at .01, the quotient clipped to 1
    signal, stacked, _ = world(3, 1)
    single = stacked[:, 0]
    r_half = columns(single[0::2], single[1::2])
    assert abs(np.mean(r_half)) < 0.02  # other images share nothing
    ceiling = np.sqrt(np.maximum(2 * r_half / (1 + r_half), 0.01))
    poor = 0.3 * signal + np.random.default_rng(0).standard_normal(signal.shape)
    claimed = np.clip(columns(poor, single) / np.maximum(ceiling, 0.01), None, 1)
    truth = 0.3 / np.sqrt(1.09)
    assert np.mean(claimed) > 0.85 and (claimed == 1).mean() > 0.5 and truth < 0.3
    with pytest.raises(InputError, match="no stimulus is repeated, so noise cannot be told from signal"):
        be.NoiseCeiling.from_repeats(be.Responses(single, {"stimulus_id": [f"s{i}" for i in range(N_STIMULI)]}))


def test_the_explainable_variance_of_single_repeats_is_not_the_ceiling_of_their_mean():
    # voxelwise_tutorials: the bias-corrected EV belongs to one repeat, the test responses are averaged
    signal, stacked, responses = world(4, 3)
    scaled = stats.zscore(stacked, axis=0)
    ev = scaled.mean(axis=1).var(axis=0, ddof=1) / scaled.var(axis=0, ddof=1).mean(axis=0)
    ev = ev - (1 - ev) / (3 - 1)
    best = perfect_r2(signal, stacked)
    assert np.median(ev) == pytest.approx(0.5, abs=0.02) and np.median(best / ev) == pytest.approx(1.5, abs=0.06)
    single = be.NoiseCeiling.from_repeats(responses, method="explainable_variance", n_repeats=1)
    np.testing.assert_allclose(single.values, ev, atol=1e-10)
    assert single.n_repeats == 1 and "mean of 1 repeats" in single.describe()
    of_mean = be.NoiseCeiling.from_repeats(responses, method="explainable_variance")
    assert np.median(of_mean.normalize(best, "r2")) == pytest.approx(1.0, abs=0.02)
    assert np.median(single.normalize(perfect_r2(signal, stacked[:, :1]), "r2")) == pytest.approx(1.0, abs=0.04)


def test_the_square_of_the_mean_leave_one_out_correlation_is_no_ceiling_of_the_group_mean():
    # cortexlab: mean_s r(y_s, mean of the others)², said to be the ceiling on R² of the group average
    signal, stacked, _ = world(5, 4)  # four subjects in the place of four repeats
    loo = np.mean([columns(stacked[:, s], np.delete(stacked, s, axis=1).mean(axis=1)) for s in range(4)], axis=0)
    best = perfect_r2(signal, stacked)
    assert np.median(loo**2) == pytest.approx(0.375, abs=0.03) and np.median(best) == pytest.approx(0.8, abs=0.02)
    assert np.median(best / loo**2) > 2
    people = [be.Responses(stacked[:, s], {"stimulus_id": [f"s{i}" for i in range(N_STIMULI)]}) for s in range(4)]
    low, high = (be.NoiseCeiling.from_subjects(people, bound=bound) for bound in ("lower", "upper"))
    np.testing.assert_allclose(low.values, loo, atol=1e-10)
    assert low.units == "correlation"
    # ours is said to be, and is, for the correlation with single subjects, which the true response reaches between the bounds
    r = np.mean([columns(signal, stacked[:, s]) for s in range(4)], axis=0)
    assert np.median(low.values) < np.median(r) < np.median(high.values)
    # and the mean of the group has its ceiling from the subjects taken as repeats
    as_repeats = be.Responses(np.concatenate([one.values for one in people]), {"stimulus_id": [f"s{i}" for i in range(N_STIMULI)] * 4})
    assert np.median(be.NoiseCeiling.from_repeats(as_repeats).normalize(best, "r2")) == pytest.approx(1.0, abs=0.02)


def test_below_the_floor_is_not_measurable_rather_than_not_predicted():
    # cortexlab: a ceiling below .01 gives a normalised score of exactly 0
    ceiling = be.NoiseCeiling([0.005, 0.5], n_repeats=3)
    r2 = np.array([0.004, 0.0])
    theirs = np.where(ceiling.values < 0.01, 0.0, r2 / ceiling.values)
    assert theirs.tolist() == [0.0, 0.0]
    ours = ceiling.normalize(r2, "r2")
    assert np.isnan(ours[0]) and ours[1] == 0.0
