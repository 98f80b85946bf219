"""Nulls of every test: uniform for white and for 1/f noise, right at the Nyquist bin, and powerful where something is there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from brainenc.frequency import tag

N_TRIALS = 10


def one_over_f(rng, shape, n_times, exponent=1.0):
    """Noise of power f^−exponent, cut out of a series four times as long, so that its ends do not meet."""
    n = 4 * n_times
    f = np.fft.rfftfreq(n)
    size = np.r_[0.0, f[1:] ** (-exponent / 2)]
    x = np.fft.irfft(size * (rng.standard_normal((*shape, len(f))) + 1j * rng.standard_normal((*shape, len(f)))), n=n)
    return x[..., n_times : 2 * n_times]


def draw(rng, kind, n_channels, n_times):
    shape = (N_TRIALS, n_channels)
    return rng.standard_normal((*shape, n_times)) if kind == "white" else one_over_f(rng, shape, n_times)


def ks(p):
    return stats.kstest(p, "uniform").pvalue


def results(x, fs, targets, n):
    found = tag(x, fs, targets, n=n, slope="fit")
    signs = tag(x, fs, targets, n=n, null="sign")
    names = ("p_t2circ", "p_rayleigh", "p_neighbours", "p_shift", "p_itpc")
    return {**{name: found[name] for name in names}, "p_sign": signs["p_sign"]}


@pytest.mark.parametrize("kind", ["white", "1/f"])
def test_no_test_claims_more_than_it_should(rng, kind):
    """A quick look: at most 7 % of 600 channels below 0.05, at least 3 %."""
    for fs, n_times, targets in ((4.0, 200, [1.0, 2.0]), (64.0, 512, [1.0, 2.0, 4.0])):
        for name, p in results(draw(rng, kind, 600, n_times), fs, targets, 199).items():
            share = (p <= 0.05).mean(axis=0)[~np.isnan(p).any(axis=0)]
            assert ((share < 0.075) & (share > 0.025)).all(), (name, share)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["white", "1/f"])
def test_p_is_uniform_under_its_null(kind):
    rng = np.random.default_rng(7)
    for fs, n_times, targets in ((4.0, 200, [1.0, 2.0]), (64.0, 1024, [1.0, 2.0, 4.0])):
        for name, p in results(draw(rng, kind, 4000, n_times), fs, targets, 999).items():
            for column, known in zip(p.T, ~np.isnan(p).any(axis=0), strict=True):
                # coefficients at the edge of a model's spectrum leak a little: neighbours of 1/f noise at Nyquist are held to the level only
                if known and name == "p_neighbours" and kind == "1/f" and fs == 4.0:
                    assert (column <= 0.05).mean() < 0.057
                elif known:
                    assert ks(column) > 0.001, (name, ks(column))
                    assert 0.04 < (column <= 0.05).mean() < 0.06


@pytest.mark.slow
def test_permuting_samples_is_uniform_for_white_noise():
    x = np.random.default_rng(3).standard_normal((2000, 200))
    p = tag(x, 4.0, [1.0, 2.0], test="series", n=999)["p"]
    assert ks(p[:, 0]) > 0.001 and ks(p[:, 1]) > 0.001


def test_permuting_samples_is_wrong_for_samples_with_memory(rng):
    """What permuting a series assumes: with 1/f noise half of silent channels 'follow' the sentence; moving trials keeps the level."""
    x = one_over_f(rng, (N_TRIALS, 400), 512)
    permuted = tag(x, 64.0, 1.0, test="series", n=199)
    moved = tag(x, 64.0, 1.0, test="shift", n=199)
    assert (permuted["p"] <= 0.05).mean() > 0.3
    assert (moved["p"] <= 0.05).mean() < 0.08


def test_the_null_of_the_nyquist_bin_has_one_degree_of_freedom(rng):
    """Amplitudes of noise at Nyquist are half-normal: the Rayleigh (two degree) threshold of the other bins is passed twice as often."""
    x = rng.standard_normal((4000, 200))
    power = np.abs(np.fft.rfft(x)) ** 2 / 200
    assert stats.kstest(power[:, 100], stats.chi2(1).cdf).pvalue > 0.001
    assert stats.kstest(2 * power[:, 50], stats.chi2(2).cdf).pvalue > 0.001
    threshold = stats.chi2(2).isf(0.05) / 2  # in units of the mean power, right at every bin but this one
    assert (power[:, 50] > threshold).mean() == pytest.approx(0.05, abs=0.012)
    assert (power[:, 100] > threshold).mean() == pytest.approx(stats.chi2(1).sf(threshold), abs=0.012) and stats.chi2(1).sf(threshold) > 0.08
    found = tag(x, 4.0, [1.0, 2.0], neighbours=8)
    assert (found["p_neighbours"] <= 0.05).mean(axis=0) == pytest.approx([0.05, 0.05], abs=0.012)
    # F with two degrees, applied to the Nyquist bin by mistake, is wrong
    f = stats.f.isf(found["p_neighbours"][:, 1], 1, 16)
    assert (stats.f.sf(f, 2, 16) <= 0.05).mean() > 0.07


def test_t2circ_at_nyquist_with_two_degrees_would_be_wrong(rng):
    found = tag(rng.standard_normal((6, 4000, 40)), 4.0, 2.0)
    assert (found["p_t2circ"] <= 0.05).mean() == pytest.approx(0.05, abs=0.012)
    assert (stats.f.sf(found["f"], 2, 10) <= 0.05).mean() > 0.07


def test_the_largest_of_silent_channels_is_held(rng):
    """p_max: in 200 silent brains of 20 channels, some channel is below 0.05 in about 5 %."""
    false = [tag(draw(rng, "1/f", 20, 64), 16.0, 2.0, n=99, seed=i, spectrum=False)["p_max"].min() <= 0.05 for i in range(200)]
    assert 0.01 <= np.mean(false) <= 0.095


def test_power_grows_with_trials_and_the_rate_of_false_discoveries_is_held(rng):
    truth = np.arange(300) < 60
    wave = 0.12 * np.cos(2 * np.pi * 2 * np.arange(128) / 16 + rng.uniform(0, 6.28, 300)[:, None])
    power, false = [], []
    for n_trials in (5, 10, 20, 40):
        x = one_over_f(rng, (n_trials, 300), 128)
        x = x / x.std() + wave * truth[:, None]
        found = tag(x, 16.0, 2.0)["q"][:, 0] <= 0.05
        power.append(found[truth].mean())
        false.append((found & ~truth).sum() / max(found.sum(), 1))
    assert power == sorted(power) and power[0] < 0.5 and power[-1] > 0.95
    assert np.mean(false) < 0.07


def test_a_response_to_the_onset_of_trials_agrees_in_phase_and_does_not_stand_out_of_the_spectrum(rng):
    """What the text of `tag` says: phases agree at every frequency without any rhythm; neighbouring bins tell, and so does cutting the onset off."""
    t = np.arange(512) / 64
    x = rng.standard_normal((20, 50, 512)) + 3 * np.exp(-t / 0.3)
    whole = tag(x, 64, [1.0, 2.0], n=99)
    assert all((whole[name] <= 0.05).mean() > 0.8 for name in ("p_t2circ", "p_rayleigh", "p_shift"))
    assert (whole["p_neighbours"] <= 0.05).mean() < 0.1
    late = tag(x[:, :, 128:], 64, [1.0, 2.0], n=99)
    assert all((late[name] <= 0.05).mean() < 0.12 for name in ("p_t2circ", "p_rayleigh", "p_shift", "p_neighbours"))
