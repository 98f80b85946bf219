"""Steps on continuous recordings: references, power of bands, windows, holes, and what they refuse."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest

from brainenc.core.errors import InputError
from brainenc.loaders import BandPower, Preprocessing, Recording
from brainenc.loaders.band_power import band_power, window_means
from brainenc.loaders.channels import hemisphere, shafts
from brainenc.loaders.preprocessing import prepare
from brainenc.loaders.rereferencing import reference_matrix


def contacts(names, kind="seeg"):
    return pd.DataFrame({"channel": names, "type": kind, "x": np.arange(len(names)) * 3.5, "y": 1.0, "z": 2.0})


def test_shafts_and_sides():
    parts = shafts(["LA1", "LA'12", "LFP_RIGHT_0", "A-3", "7", "Cz", "T3a1"])
    assert list(parts["shaft"]) == ["LA", "LA'", "LFP_RIGHT", "A", None, None, "T3a"]
    assert list(parts["number"]) == [1, 12, 0, 3, -1, -1, 1]
    assert list(hemisphere([-1.0, 2.0, 0.0, np.nan])) == ["left", "right", None, None]


def test_bipolar_and_laplacian(rng):
    """In any order of the channels, never across shafts, never through a bad or missing contact."""
    names = ["B2", "A1", "A3", "A2", "B1", "A5", "C1"]
    data = rng.standard_normal((7, 50))
    x = dict(zip(names, data, strict=True))
    matrix, made, record = reference_matrix(contacts(names), [], "bipolar")
    assert sorted(made["channel"]) == ["A1-A2", "A2-A3", "B1-B2"] and record["n_made"] == 3
    for row, name in zip(matrix @ data, made["channel"], strict=True):
        first, second = name.split("-")
        np.testing.assert_allclose(row, x[first] - x[second])
    place = made.set_index("channel")["x"]
    assert place["A1-A2"] == pytest.approx((1 + 3) * 3.5 / 2)
    matrix, made, record = reference_matrix(contacts(names), [], "laplacian")
    assert list(made["channel"]) == ["A2"] and record["n_without_two_neighbours"] == 6
    np.testing.assert_allclose(matrix @ data, (x["A2"] - (x["A1"] + x["A3"]) / 2)[None])
    matrix, made, _ = reference_matrix(contacts(names), ["A2"], "bipolar")
    assert list(made["channel"]) == ["B1-B2"]
    with pytest.raises(InputError, match="no contacts stand beside"):
        reference_matrix(contacts(names), ["A2"], "laplacian")


def test_average_and_named_references(rng):
    table = pd.concat([contacts(["A1", "A2", "A3"]), contacts(["Cz", "Pz"], "eeg"), contacts(["grip"], "misc")], ignore_index=True)
    data = rng.standard_normal((6, 30))
    matrix, _, record = reference_matrix(table, ["A3"], "average")
    expected = data.copy()
    expected[:3] -= data[:2].mean(axis=0)
    expected[3:5] -= data[3:5].mean(axis=0)  # types are averaged apart, and what has no reference keeps its values
    np.testing.assert_allclose(matrix @ data, expected, atol=1e-12)
    assert record["n_averaged"] == {"eeg": 2, "seeg": 2}
    matrix, _, _ = reference_matrix(table, [], ["A1", "A2"])
    expected = data.copy()
    expected[:5] -= data[:2].mean(axis=0)
    np.testing.assert_allclose(matrix @ data, expected, atol=1e-12)
    with pytest.raises(InputError, match="no such reference"):
        reference_matrix(table, [], ["M1"])
    with pytest.raises(InputError, match="two good channels"):
        reference_matrix(table, ["Cz"], "average")
    with pytest.raises(InputError, match="no EEG or intracranial"):
        reference_matrix(contacts(["grip"], "misc"), [], "average")


@pytest.mark.parametrize("band", [BandPower(low=15, high=25), BandPower(low=15, high=25, method="multitaper", window=0.5, step=0.1)], ids=lambda b: b.method)
def test_power_follows_the_amplitude_of_the_band(rng, band):
    """A 20 Hz tone whose amplitude rises from 1 to 3, beside a stronger one at 60 Hz that must not be seen."""
    rate = 200.0
    time = np.arange(4000) / rate
    slow = 2 + np.sin(2 * np.pi * 0.1 * time)
    data = (slow * np.sin(2 * np.pi * 20 * time) + 10 * np.sin(2 * np.pi * 60 * time))[None]
    power, new = band_power(data, rate, band)
    at = np.arange(power.shape[1]) / new
    inner = (at > 1) & (at < 19)
    truth = np.interp(at, time, slow**2)
    assert np.corrcoef(power[0][inner], truth[inner])[0, 1] > 0.995
    if band.method == "hilbert":  # in units squared: the squared amplitude of a tone
        np.testing.assert_allclose(power[0][inner], truth[inner], rtol=0.05)
    else:
        assert new == 10.0 and power.shape[1] == 200


def test_multitaper_is_the_spectrum_of_a_window(rng):
    """One window against scipy's tapers and a plain Fourier transform; white noise gives its spectral density, variance / rate."""
    from scipy.signal.windows import dpss

    rate, band = 100.0, BandPower(low=10, high=40, method="multitaper", window=0.4, step=0.4)
    data = rng.standard_normal((2, 100_00))
    power, _ = band_power(data, rate, band)
    start = 5 * 40 - 20
    tapered = data[1, start : start + 40] * dpss(40, 2.0, 3)
    k = np.arange(40)
    total = []
    for frequency in np.arange(10, 41, 2.5):
        total.append(np.abs(tapered @ np.exp(-2j * np.pi * frequency * k / rate)) ** 2)
    assert power[1, 5] == pytest.approx(np.mean(total) / rate, rel=1e-9)
    np.testing.assert_allclose(power.mean(axis=1), data.var(axis=1) / rate, rtol=0.05)


def test_sub_bands_and_decibels(rng):
    rate = 500.0
    data = rng.standard_normal((2, 2000))
    whole, _ = band_power(data, rate, BandPower(low=70, high=150, width=20, log=True))
    parts = [band_power(data, rate, BandPower(low=low, high=low + 20, log=True))[0] for low in (70.0, 90.0, 110.0, 130.0)]
    np.testing.assert_allclose(whole, np.mean(parts, axis=0), atol=1e-9)
    plain, _ = band_power(data, rate, BandPower(low=70, high=90))
    np.testing.assert_allclose(10 * np.log10(plain), parts[0], atol=1e-9)


def test_windows_with_holes():
    data = np.arange(12.0)[None].copy()
    data[0, 5] = np.nan
    means, centres = window_means(data, np.arange(12) / 4, 1.0, 0.5)
    np.testing.assert_allclose(centres, [0.375, 0.875, 1.375, 1.875, 2.375])
    np.testing.assert_array_equal(means[0], [1.5, np.nan, np.nan, 7.5, 9.5])
    with pytest.raises(InputError, match="windows do not fit"):
        window_means(data, np.arange(12) / 4, 4.0, 1.0)


def test_holes_are_bridged_for_the_filters(rng):
    raw = mne.io.RawArray(rng.standard_normal((2, 3000)).cumsum(axis=1) * 1e-6, mne.create_info(["a", "b"], 100.0, "eeg"), verbose="error")
    raw._data[0, 1000:1050] = np.nan
    done = prepare(Recording(raw, run=1), Preprocessing(missing="mark", l_freq=1.0, resample=50.0))
    assert np.isfinite(done.data).all() and np.flatnonzero(done.holes).tolist() == list(range(500, 526))[: done.holes.sum()]
    filled = raw.get_data()
    filled[0, 1000:1050] = np.interp(np.arange(1000, 1050), [999, 1050], filled[0, [999, 1050]])
    expected = mne.filter.resample(mne.filter.filter_data(filled, 100.0, 1.0, None, verbose="error"), up=0.5, npad="auto", verbose="error")
    np.testing.assert_allclose(done.data, expected * 1e6, atol=1e-6)
    assert done.record["n_missing_samples"] == 50 and np.isnan(raw.get_data()).sum() == 50


def test_projections_are_applied_only_when_asked(rng):
    raw = mne.io.RawArray(rng.standard_normal((4, 500)) * 1e-5, mne.create_info(list("abcd"), 100.0, "eeg"), verbose="error")
    raw.set_eeg_reference("average", projection=True, verbose="error")
    plain, asked = prepare(Recording(raw), Preprocessing()), prepare(Recording(raw), Preprocessing(projections=True))
    np.testing.assert_allclose(plain.data, raw.get_data() * 1e6)
    np.testing.assert_allclose(asked.data, (raw.get_data() - raw.get_data().mean(axis=0)) * 1e6, atol=1e-9)
    assert asked.record["n_projections"] == 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Preprocessing(l_freq=30, h_freq=1), "above h_freq"),
        (lambda: Preprocessing(bad_channels="mend"), "bad_channels"),
        (lambda: Preprocessing(resample=-1), "resample"),
        (lambda: BandPower(low=100, high=50), "edges in order"),
        (lambda: BandPower(method="wavelet"), "method"),
        (lambda: BandPower(method="multitaper", width=5), "Hilbert"),
        (lambda: band_power(np.zeros((1, 500)), 100.0, BandPower(low=30, high=60)), "half the sampling rate"),
        (lambda: band_power(np.zeros((1, 10)), 100.0, BandPower(low=30, high=40, method="multitaper", window=1.0)), "window does not fit"),
        (lambda: band_power(np.zeros((1, 500)), 100.0, BandPower(low=30, high=31, method="multitaper", window=0.05)), "too short for the band"),
    ],
)
def test_steps_that_make_no_sense(make, text):
    with pytest.raises(InputError, match=text):
        make()


def test_interpolation_needs_positions(rng):
    raw = mne.io.RawArray(rng.standard_normal((3, 500)) * 1e-5, mne.create_info(list("abc"), 100.0, "eeg"), verbose="error")
    with pytest.raises(InputError, match="can be interpolated"):
        prepare(Recording(raw), Preprocessing(bads=["a"], bad_channels="interpolate"))
    with pytest.raises(InputError, match="all channels are bad"):
        prepare(Recording(raw), Preprocessing(bads=list("abc")))
    with pytest.raises(InputError, match="shorter than the filter"):
        prepare(Recording(raw), Preprocessing(l_freq=0.1))
