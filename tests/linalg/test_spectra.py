"""Coefficients of a few bins and their nulls, against numpy's FFT and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch

from brainenc.linalg import spectra


@pytest.mark.parametrize("n_times", [9, 32, 200, 4096])
def test_coefficients_are_those_of_the_fft(rng, n_times):
    x = rng.standard_normal((7, n_times)) + 3
    bins = sorted({1, 2, n_times // 3, n_times // 2})
    ours = spectra.fourier(torch.from_numpy(x), spectra.fourier_columns(n_times, bins)).numpy()
    np.testing.assert_allclose(ours, scipy.fft.rfft(x)[:, bins], atol=1e-9)


def test_the_nyquist_coefficient_is_real_and_a_constant_has_no_power():
    columns = spectra.fourier_columns(1000, [500, 3])
    found = spectra.fourier(torch.full((1, 1000), 1e6, dtype=torch.float64), columns)
    assert (found == 0).all()
    assert (columns[:, 2] == 0).all() and set(columns[:, 0].tolist()) == {1.0, -1.0}


def test_long_series_lose_no_digits():
    n = 2**21
    columns = spectra.fourier_columns(n, [n // 4])
    assert columns[:, 0].abs().max() == 1 and np.abs(columns[1::2, 0].numpy()).max() < 1e-15


def test_lines_are_taken_off_as_scipy_does(rng):
    x = rng.standard_normal((3, 4, 50)).cumsum(axis=-1)
    np.testing.assert_allclose(spectra.without_line(torch.from_numpy(x)).numpy(), scipy.signal.detrend(x, axis=-1), atol=1e-10)


def test_shifting_is_a_change_of_phase(rng):
    x, n = rng.standard_normal(24), 24
    bins = [1, 5, 12]
    moved = torch.tensor([0, 1, 7, 23])
    phases = spectra.shift_phases(moved, bins, n).numpy()
    for s, phase in zip(moved.tolist(), phases, strict=True):
        np.testing.assert_allclose(np.fft.rfft(np.roll(x, s))[bins], np.fft.rfft(x)[bins] * phase, atol=1e-10)
    assert set(phases[:, 2].real.tolist()) == {1.0, -1.0} and (phases[:, 2].imag == 0).all()


def test_rotation_null_is_what_rolling_the_trials_gives(rng):
    x = rng.standard_normal((5, 4, 24))
    bins = [1, 6, 12]
    moved = rng.integers(0, 24, (60, 5))
    z = torch.from_numpy(np.fft.rfft(x)[..., bins])
    hits, top = spectra.rotation_null(z, spectra.shift_phases(torch.from_numpy(moved), bins, 24))
    power = lambda y: np.abs(np.fft.rfft(y)[..., bins].sum(axis=0)) ** 2  # noqa: E731
    drawn = np.stack([power(np.stack([np.roll(trial, s, axis=-1) for trial, s in zip(x, row, strict=True)])) for row in moved])
    np.testing.assert_array_equal(hits.numpy(), (drawn >= power(x) * (1 - 1e-9)).sum(axis=0))
    np.testing.assert_allclose(top.numpy(), (drawn / (np.abs(z.numpy()) ** 2).sum(axis=0)).max(axis=1), atol=1e-10)


def test_permutation_null_is_what_permuting_the_series_gives(rng, monkeypatch):
    x = rng.standard_normal((4, 20)) + 5
    bins, orders = [2, 5, 10], np.stack([rng.permutation(20) for _ in range(50)])
    results = []
    for limit in (2**23, 300):  # whole, and in parts
        monkeypatch.setattr(spectra, "MAX_ELEMENTS", limit)
        results.append(spectra.permutation_null(torch.from_numpy(x), spectra.fourier_columns(20, bins), torch.from_numpy(orders)))
    drawn = np.abs(np.fft.rfft(x[:, orders])[..., bins]) ** 2  # (channels, draws, bins)
    observed = np.abs(np.fft.rfft(x)[:, bins]) ** 2
    for hits, top in results:
        np.testing.assert_array_equal(hits.numpy(), (drawn >= observed[:, None] * (1 - 1e-9)).sum(axis=1))
        whole = ((x - x.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        np.testing.assert_allclose(top.numpy(), (drawn / whole[:, None, None]).max(axis=0), atol=1e-10)


def test_label_null_is_what_relabelling_gives(rng):
    a, b = (rng.standard_normal((n, 3, 2)) + 1j * rng.standard_normal((n, 3, 2)) for n in (4, 6))
    orders = np.stack([rng.permutation(10) for _ in range(40)])
    difference, hits = spectra.label_null(torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(orders))
    both = np.concatenate([a, b])
    statistic = lambda z: np.abs(z[:4].mean(axis=0)) - np.abs(z[4:].mean(axis=0))  # noqa: E731
    np.testing.assert_allclose(difference.numpy(), statistic(both), atol=1e-12)
    np.testing.assert_array_equal(hits.numpy(), sum(statistic(both[o]) >= statistic(both) - 1e-9 for o in orders))
