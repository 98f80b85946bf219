"""Epochs and time series against mne's own epoching and plain slices."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import BandPower, Preprocessing, Recording, load_continuous, load_epochs
from brainenc.nouns.spaces import ContactSpace, SensorSpace

RATE, NAMES = 128.0, ("Cz", "Pz", "Oz", "Fz")


@pytest.fixture
def raw(rng):
    out = mne.io.RawArray(rng.standard_normal((4, 5000)) * 1e-5, mne.create_info(list(NAMES), RATE, "eeg"), verbose="error")
    return out.set_montage("easycap-M1", verbose="error")


@pytest.fixture
def events():
    onsets = np.arange(1.0, 36.0, 1.3)
    return pd.DataFrame({"onset": onsets, "duration": 0.2, "stimulus_id": [f"s{i % 3}" for i in range(len(onsets))], "age": range(len(onsets))})


def by_mne(raw, events, **kwargs):
    samples = np.rint(events["onset"] * raw.info["sfreq"]).astype(int)
    table = np.column_stack([samples, np.zeros(len(samples), int), np.arange(1, len(samples) + 1)])
    return mne.Epochs(raw, table, preload=True, verbose="error", on_missing="ignore", **kwargs)


def test_epochs_equal_those_of_mne(raw, events):
    ours = load_epochs(
        raw, events, tmin=-0.2, tmax=0.7, baseline=(-0.2, 0), reject={"eeg": 50}, flat={"eeg": 1},
        preprocessing=Preprocessing(l_freq=0.5, h_freq=40, notch=50.0, reference="average"),
    )  # fmt: skip
    done = raw.copy().notch_filter(50.0, verbose="error").filter(0.5, 40, verbose="error")
    done.set_eeg_reference("average", projection=False, verbose="error")
    theirs = by_mne(done, events, tmin=-0.2, tmax=0.7, baseline=(-0.2, 0), reject={"eeg": 50e-6}, flat={"eeg": 1e-6})
    assert 0 < len(theirs) < len(events)  # the limit does something
    assert ours.n_samples == len(theirs) and list(ours.samples["age"]) == list(theirs.events[:, 2] - 1)
    np.testing.assert_allclose(ours.values, theirs.get_data().reshape(len(theirs), -1) * 1e6, atol=2e-5)
    np.testing.assert_allclose(ours.targets["time"].to_numpy()[: len(theirs.times)], theirs.times)
    counts = ours.provenance["runs"]["1"]
    assert counts["n_reject"] == len(events) - len(theirs) and counts["n_epochs"] == len(theirs)
    assert ours.provenance["preprocessing"] == {"notch": 50.0, "l_freq": 0.5, "h_freq": 40, "reference": "average"}
    assert isinstance(ours.space, SensorSpace) and ours.units == "µV" and ours.values.dtype == np.float32
    assert list(ours.samples["repeat"][:1]) == [1] and ours.samples.groupby("stimulus_id")["repeat"].max().min() > 1


def test_painting_gives_the_evoked_of_mne(raw, events):
    ours = load_epochs(raw, events, tmin=-0.1, tmax=0.3)
    evoked = ours.space.paint(ours.values.astype(float).mean(axis=0))
    theirs = by_mne(raw, events, tmin=-0.1, tmax=0.3, baseline=None).average()
    assert evoked.ch_names == theirs.ch_names
    np.testing.assert_allclose(evoked.data * 1e-6, theirs.data, atol=1e-11)
    np.testing.assert_allclose([c["loc"][:3] for c in evoked.info["chs"]], [c["loc"][:3] for c in theirs.info["chs"]], atol=1e-6)


def test_edges_gaps_and_annotations_are_counted(raw):
    shown = pd.DataFrame({"onset": [0.05, 2.0, 5.0, 39.0], "duration": 0.0, "stimulus_id": list("abcd")})
    raw.set_annotations(mne.Annotations([4.9], [0.3], ["bad_blink"]))
    ours = load_epochs(raw, shown, tmin=-0.2, tmax=0.5)
    theirs = by_mne(raw, shown, tmin=-0.2, tmax=0.5, baseline=None)
    assert list(ours.samples["stimulus_id"]) == ["b"] and len(theirs) == 1
    counts = ours.provenance["runs"]["1"]
    assert (counts["n_outside"], counts["n_bad_segment"], counts["n_epochs"]) == (2, 1, 1)
    with pytest.raises(InputError, match="no epoch is left"):
        load_epochs(raw, shown.iloc[[0, 2]], tmin=-0.2, tmax=0.5)


def test_runs_stand_below_each_other(raw, events):
    table = pd.concat([events.iloc[:5].assign(run="x"), events.iloc[5:8].assign(run="y")])
    runs = [Recording(raw, run="x"), Recording(raw.copy().apply_function(lambda s: -s, verbose="error"), run="y")]
    ours = load_epochs(runs, table, tmin=0, tmax=0.2)
    assert list(ours.samples["run"]) == ["x"] * 5 + ["y"] * 3
    alone = load_epochs(raw, events.iloc[:8], tmin=0, tmax=0.2)
    np.testing.assert_allclose(ours.values[:5], alone.values[:5])
    np.testing.assert_allclose(ours.values[5:], -alone.values[5:])
    listed = load_epochs(runs, [events.iloc[:5], events.iloc[5:8]], tmin=0, tmax=0.2)
    np.testing.assert_array_equal(listed.values, ours.values)


def test_bad_channels(raw, events):
    raw.info["bads"] = ["Oz"]
    assert list(dict.fromkeys(load_epochs(raw, events, tmin=0, tmax=0.2).targets["channel"])) == ["Cz", "Pz", "Fz"]
    kept = load_epochs(raw, events, tmin=0, tmax=0.2, preprocessing=Preprocessing(bad_channels="keep", bads=["Cz"], reference="average"))
    data = raw.get_data()
    first = int(np.rint(events["onset"][0] * RATE))
    expected = (data - data[[1, 3]].mean(axis=0))[:, first : first + 27] * 1e6  # bad channels enter no reference
    np.testing.assert_allclose(kept.values[0].reshape(4, -1), expected, atol=1e-4)
    assert kept.provenance["steps"]["1"]["bads"] == ["Cz", "Oz"]
    mended = load_epochs(raw, events, tmin=0, tmax=0.2, preprocessing=Preprocessing(bad_channels="interpolate"))
    theirs = raw.copy().interpolate_bads(verbose="error").get_data()[2, first : first + 27] * 1e6
    np.testing.assert_allclose(mended.where(channel="Oz").values[0], theirs, atol=1e-4)
    assert raw.info["bads"] == ["Oz"]  # the user's object stays as it was
    with pytest.raises(InputError, match="no such bad channels"):
        load_epochs(raw, events, tmin=0, tmax=0.2, preprocessing=Preprocessing(bads=["C9"]))


def test_given_epochs_are_taken_as_they_are(raw, events, tmp_path):
    theirs = by_mne(raw, events, tmin=-0.1, tmax=0.3, baseline=None, metadata=events[["age"]].assign(stimulus_id=events["stimulus_id"]))
    ours = load_epochs(theirs, baseline=(-0.1, 0))
    np.testing.assert_allclose(ours.values, theirs.copy().apply_baseline((-0.1, 0), verbose="error").get_data().reshape(len(theirs), -1) * 1e6, atol=1e-4)
    assert list(ours.samples["stimulus_id"]) == list(events["stimulus_id"]) and "age" in ours.samples
    theirs.save(tmp_path / "x-epo.fif", verbose="error")
    np.testing.assert_allclose(load_epochs(tmp_path / "x-epo.fif", baseline=(-0.1, 0)).values, ours.values, atol=1e-4)
    with pytest.raises(InputError, match="cut already"):
        load_epochs(theirs, tmin=0, tmax=0.1)
    with pytest.raises(InputError, match="cut already"):
        load_epochs(theirs, preprocessing=Preprocessing(h_freq=30))
    with pytest.raises(DataError, match="implausible"):
        load_epochs(mne.EpochsArray(theirs.get_data() * 1e6, theirs.info, verbose="error"))
    with pytest.raises(InputError, match="not continuous"):
        load_continuous(theirs)


def test_events_chosen_by_their_columns(raw, events, tmp_path):
    table = events.assign(kind=["catch" if i % 4 == 1 else "image" for i in range(len(events))])
    ours = load_epochs(raw, table, tmin=0, tmax=0.2, where="kind != 'catch' and age > 5")
    expected = [i for i in range(6, len(events)) if i % 4 != 1]
    assert list(ours.samples["age"]) == expected and ours.provenance["runs"]["1"]["n_not_where"] == len(events) - len(expected)
    np.testing.assert_array_equal(ours.values, load_epochs(raw, table.iloc[expected], tmin=0, tmax=0.2).values)
    given = by_mne(raw, events, tmin=0, tmax=0.2, baseline=None, metadata=table[["age", "kind", "stimulus_id"]])
    theirs = load_epochs(given, where="kind != 'catch' and age > 5")
    np.testing.assert_allclose(theirs.values, ours.values, atol=1e-4)
    assert theirs.provenance["n_not_where"] == len(events) - len(expected) and theirs.provenance["n_other"] == 0
    coded = load_epochs(raw, table, tmin=0, tmax=0.2, event_id={"even": ["s0", "s2"], "odd": "s1"})
    assert list(coded.samples["stimulus_id"]) == ["odd" if i % 3 == 1 else "even" for i in range(len(events))]
    for where, error in (("kind == 'none'", "no event is left.*none of 27"), ("color == 1", "color")):
        with pytest.raises((InputError, NotFoundError), match=error):
            load_epochs(raw, table, tmin=0, tmax=0.2, where=where)


def test_units_of_given_epochs(raw, events):
    scores = by_mne(raw, events, tmin=-0.1, tmax=0.2, baseline=None).get_data() / 1e-5
    given = mne.EpochsArray(scores, raw.info, tmin=-0.1, verbose="error")
    ours = load_epochs(given, units="SD of the baseline", stimulus="sample")
    np.testing.assert_allclose(ours.values, scores.reshape(len(scores), -1), rtol=1e-5)
    assert ours.units == "SD of the baseline"
    with pytest.raises(InputError, match="units are of epochs that are given"):
        load_epochs(raw, events, tmin=0, tmax=0.1, units="z")


def test_decimation_and_windows(raw, events):
    whole = load_epochs(raw, events, tmin=-0.2, tmax=0.5, preprocessing=Preprocessing(h_freq=10))
    with pytest.raises(InputError, match="folds higher frequencies"):
        load_epochs(raw, events, tmin=-0.2, tmax=0.5, decimate=4)
    thin = load_epochs(raw, events, tmin=-0.2, tmax=0.5, decimate=4, preprocessing=Preprocessing(h_freq=10))
    assert 0.0 in set(thin.targets["time"])
    assert set(thin.targets["time"]) <= set(whole.targets["time"])
    np.testing.assert_array_equal(thin.where("time == 0.0").values, whole.where("time == 0.0").values)
    theirs = by_mne(raw.copy().filter(None, 10, verbose="error"), events, tmin=-0.2, tmax=0.5, baseline=None)
    cube = theirs.get_data() * 1e6
    means = load_epochs(raw, events, tmin=-0.2, tmax=0.5, windows=(16 / RATE, 8 / RATE), preprocessing=Preprocessing(h_freq=10))
    n = len(theirs.times)
    expected = np.stack([cube[:, :, i : i + 16].mean(axis=2) for i in range(0, n - 15, 8)], axis=2)
    np.testing.assert_allclose(means.values, expected.reshape(len(cube), -1), atol=1e-4)
    np.testing.assert_allclose(means.where(channel="Cz").targets["time"], [theirs.times[i : i + 16].mean() for i in range(0, n - 15, 8)])


def test_continuous(raw, events):
    ours = load_continuous(raw, events, preprocessing=Preprocessing(resample=64.0))
    assert ours.is_time_series and ours.sampling_rate == 64.0 and ours.n_targets == 4
    np.testing.assert_allclose(ours.values.T, raw.copy().resample(64.0, npad="auto", verbose="error").get_data() * 1e6, atol=1e-4)
    np.testing.assert_allclose(ours.samples["time"], np.arange(2500) / 64)
    np.testing.assert_allclose(ours.events["onset"], events["onset"])
    assert list(ours.events.columns[:4]) == ["onset", "duration", "stimulus_id", "run"]
    raw.set_annotations(mne.Annotations([2.0], [0.5], ["BAD_jaw"]))
    marked = load_continuous(raw, events, preprocessing=Preprocessing(missing="mark"))
    assert np.flatnonzero(np.isnan(marked.values).all(axis=1)).tolist() == list(range(256, 320)) and marked.provenance["runs"]["1"]["n_bad_samples"] == 64
    assert np.isfinite(load_continuous(raw, events).values).all()
    silent = load_continuous(raw, events=False)
    assert silent.events is None and silent.n_samples == 5000
    means = load_continuous(raw, events, windows=(0.5, 0.25))
    assert means.sampling_rate == 4.0 and means.provenance["frame_time"] == pytest.approx((64 - 1) / 2 / RATE)
    np.testing.assert_allclose(means.values[1], raw.get_data()[:, 32:96].mean(axis=1) * 1e6, rtol=1e-4)


def test_contacts_live_in_a_contact_space(rng, events):
    raw = mne.io.RawArray(rng.standard_normal((3, 5000)) * 1e-5, mne.create_info(["A1", "A2", "A3"], RATE, "seeg"), verbose="error")
    channels = pd.DataFrame({"channel": raw.ch_names, "type": "seeg", "x": [1.0, 2.0, 3.0], "y": 0.0, "z": 0.0, "region": ["V1", "V1", "V2"]})
    ours = load_epochs(Recording(raw, channels, provenance={"frame": "MNI152"}), events, tmin=0, tmax=0.1, preprocessing=Preprocessing(reference="bipolar"))
    assert isinstance(ours.space, ContactSpace) and ours.provenance["frame"] == "MNI152"
    table = ours.space.paint(np.arange(ours.n_targets))
    assert list(dict.fromkeys(table["channel"])) == ["A1-A2", "A2-A3"] and list(dict.fromkeys(table["x"])) == [1.5, 2.5]
    assert list(ours.targets["roi"].iloc[[0, -1]].fillna("")) == ["V1", ""]
    assert list(table["time"][:14]) == pytest.approx(list(np.arange(14) / RATE))
    power = load_continuous(Recording(raw, channels), events, preprocessing=Preprocessing(power=BandPower(low=20, high=40, log=True)))
    assert power.units == "dB" and power.n_targets == 3 and isinstance(power.space, ContactSpace)


def test_responses_travel(raw, events, tmp_path):
    ours = load_epochs(raw, events, tmin=0, tmax=0.1)
    back = be.read(ours.save(tmp_path / "epochs.npz"))
    np.testing.assert_array_equal(back.values, ours.values)
    assert back.provenance["runs"]["1"]["n_epochs"] == ours.n_samples
    assert len(ours.average("stimulus_id").samples) == 3


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"tmin": 0.5, "tmax": 0.1}, "start and an end"),
        ({"tmin": 0.0}, "start and an end"),
        ({"tmin": 0.0, "tmax": 0.2, "baseline": (-0.5, 0)}, "baseline lies outside"),
        ({"tmin": 0.0, "tmax": 0.2, "reject": {"mag": 1.0}}, "types that are there"),
        ({"tmin": 0.0, "tmax": 0.2, "windows": (1.0, 0.1)}, "windows do not fit"),
        ({"tmin": 0.0, "tmax": 0.2, "decimate": 0}, "whole number"),
        ({"tmin": 0.0, "tmax": 0.2, "preprocessing": Preprocessing(h_freq=70)}, "half the sampling rate"),
        ({"tmin": 0.0, "tmax": 0.2, "preprocessing": Preprocessing(channels=["T9"])}, "no such channels"),
    ],
)
def test_arguments_that_make_no_sense(raw, events, how, text):
    with pytest.raises(InputError, match=text):
        load_epochs(raw, events, **how)
