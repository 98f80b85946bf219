"""Recordings and their events: files of mne, arrays, tables, stim channels, annotations, and what is refused."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import Preprocessing, Recording, load_continuous, load_epochs, load_events, read_recording
from brainenc.loaders.recording_events import events_of
from brainenc.loaders.recordings import as_recordings

RATE = 100.0


def make_raw(rng, names=("Cz", "Pz", "Oz"), seconds=20.0, kind="eeg", first=0, rate=RATE):
    data = rng.standard_normal((len(names), int(seconds * rate))) * (1e-5 if kind != "mag" else 1e-12)
    return mne.io.RawArray(data, mne.create_info(list(names), rate, kind), first_samp=first, verbose="error")


def shown(onsets=(1.0, 3.0, 5.0, 7.0), ids="abab"):
    return pd.DataFrame({"onset": onsets, "duration": 0.5, "stimulus_id": list(ids)})


def test_formats_hold_the_same_signal(rng, tmp_path):
    raw = make_raw(rng)
    raw.save(tmp_path / "one_raw.fif", verbose="error")
    np.save(tmp_path / "one.npy", raw.get_data() * 1e6)
    table = pd.DataFrame(raw.get_data().T * 1e3, columns=raw.ch_names).assign(code=0)
    table.loc[[100, 300], "code"] = [1, 2]
    table.to_csv(tmp_path / "one.csv", index=False)
    fif = read_recording(tmp_path / "one_raw.fif")
    npy = read_recording(tmp_path / "one.npy", sampling_rate=RATE, units="uV", columns=raw.ch_names, axes=("channel", "time"))
    csv = read_recording(tmp_path / "one.csv", sampling_rate=RATE, units="mV", columns=raw.ch_names, stim=["code"])
    for one in (fif, npy, csv):
        np.testing.assert_allclose(one.raw.get_data()[:3], raw.get_data(), rtol=1e-6)
        assert one.sampling_rate == RATE and one.duration == 20.0
    assert list(csv.channels["type"]) == ["eeg", "eeg", "eeg", "stim"]
    table, record = events_of(csv, None, {})
    assert list(table["onset"]) == [1.0, 3.0] and list(table["stimulus_id"]) == ["1", "2"] and record["source"] == "stim channel code"


def test_edf_and_brainvision_bytes(rng, tmp_path):
    """A BrainVision file written by hand: int16 in steps of half a microvolt."""
    data = rng.integers(-200, 200, size=(500, 2)).astype("<i2")
    (tmp_path / "x.eeg").write_bytes(data.tobytes())
    (tmp_path / "x.vmrk").write_text("Brain Vision Data Exchange Marker File, Version 1.0\n[Marker Infos]\nMk1=Stimulus,S  1,101,1,0\nMk2=Stimulus,S  2,301,1,0\n")
    (tmp_path / "x.vhdr").write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile=x.eeg\nMarkerFile=x.vmrk\nDataFormat=BINARY\n"
        "DataOrientation=MULTIPLEXED\nNumberOfChannels=2\nSamplingInterval=10000\n[Binary Infos]\nBinaryFormat=INT_16\n"
        "[Channel Infos]\nCh1=Cz,,0.5,uV\nCh2=Pz,,0.5,uV\n"
    )
    one = read_recording(tmp_path / "x.vhdr")
    np.testing.assert_allclose(one.raw.get_data(), data.T * 0.5e-6, rtol=1e-12)
    epochs = load_epochs(one, tmin=-0.1, tmax=0.2)
    assert list(epochs.samples["stimulus_id"]) == ["Stimulus/S  1", "Stimulus/S  2"] and list(epochs.samples["onset"]) == [1.0, 3.0]
    np.testing.assert_allclose(epochs.where(channel="Cz").values[0], data[90:121, 0] * 0.5, rtol=1e-6)
    (tmp_path / "x.eeg").write_bytes(data.tobytes()[:-1])
    with pytest.raises(DataError, match="ends within a sample"):
        read_recording(tmp_path / "x.vhdr")
    (tmp_path / "x.eeg").write_bytes(b"")
    with pytest.raises(DataError, match="no samples|cannot be read"):
        read_recording(tmp_path / "x.vhdr")


def test_truncated_and_wrong_files(rng, tmp_path):
    raw = make_raw(rng)
    raw.save(tmp_path / "one_raw.fif", verbose="error")
    content = (tmp_path / "one_raw.fif").read_bytes()
    (tmp_path / "cut_raw.fif").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError):
        load_epochs(tmp_path / "cut_raw.fif", shown(), tmin=0, tmax=0.5)
    (tmp_path / "text_raw.fif").write_text("no recording")
    with pytest.raises(DataError, match="cannot be read"):
        read_recording(tmp_path / "text_raw.fif")
    with pytest.raises(DataError, match="no such file"):
        read_recording(tmp_path / "nothing.edf")
    with pytest.raises(DataError):
        (tmp_path / "x.edf").write_bytes(b"0       " + b" " * 100)
        read_recording(tmp_path / "x.edf")


def write_edf(path, counts, names):
    """A minimal EDF of one-second records of zeros and ones, with so many samples a record for each signal."""
    n = len(counts)
    fixed = f"{'0':<8}{'x':<80}{'x':<80}01.01.2501.01.01{256 * (n + 1):<8}{'':<44}{3:<8}{1:<8}{n:<4}"
    columns = [names, [""] * n, ["uV"] * n, [-3000] * n, [3000] * n, [-3000] * n, [3000] * n, [""] * n, counts, [""] * n]
    widths = [16, 80, 8, 8, 8, 8, 8, 80, 8, 32]
    header = fixed + "".join(f"{value!s:<{width}}" for column, width in zip(columns, widths, strict=True) for value in column)
    assert len(header) == 256 * (n + 1)
    record = np.concatenate([np.arange(count) % 50 for count in counts]).astype("<i2").tobytes()
    path.write_bytes(header.encode("ascii") + 3 * record)
    return path


def test_edf_with_one_and_with_two_rates(tmp_path):
    one = read_recording(write_edf(tmp_path / "one.edf", [100, 100], ["Cz", "Pz"]))
    assert one.sampling_rate == 100 and one.duration == 3.0
    np.testing.assert_allclose(one.raw.get_data()[1, :5], np.arange(5) * 1e-6, atol=1e-9)
    with pytest.raises(InputError, match="different sampling rates.*'ECG'"):
        read_recording(write_edf(tmp_path / "two.edf", [100, 20], ["Cz", "ECG"]))


def test_arrays_must_say_what_they_are(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((50, 2)))
    with pytest.raises(InputError, match="sampling rate"):
        read_recording(tmp_path / "x.npy", units="uV", columns=["a", "b"])
    with pytest.raises(InputError, match="units"):
        read_recording(tmp_path / "x.npy", sampling_rate=10, columns=["a", "b"])
    with pytest.raises(InputError, match="one name a channel"):
        read_recording(tmp_path / "x.npy", sampling_rate=10, units="uV", columns=["a"])
    pd.DataFrame({"a": ["x", "y"]}).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(DataError, match="does not hold numbers"):
        read_recording(tmp_path / "x.csv", sampling_rate=10, units="uV")
    with pytest.raises(InputError, match="no such column"):
        read_recording(tmp_path / "x.csv", sampling_rate=10, units="uV", columns=["b"])


def test_montage_types_and_names(rng, tmp_path):
    make_raw(rng, ("E1", "Pz", "EOG1")).save(tmp_path / "m_raw.fif", verbose="error")
    one = read_recording(tmp_path / "m_raw.fif", rename={"E1": "Cz"}, types={"EOG1": "eog"}, montage="easycap-M1")
    assert list(one.channels["type"]) == ["eeg", "eeg", "eog"]
    assert one.channels.loc[:1, ["x", "y", "z"]].notna().all(axis=None) and one.channels.loc[2, ["x", "y", "z"]].isna().all()
    assert 50 < np.linalg.norm(one.channels.loc[0, ["x", "y", "z"]].astype(float)) < 150  # millimetres
    with pytest.raises(InputError, match="montage does not know"):
        read_recording(tmp_path / "m_raw.fif", montage="easycap-M1")
    with pytest.raises(InputError, match="no such channels to rename"):
        read_recording(tmp_path / "m_raw.fif", rename={"E9": "Cz"})


def test_runs_must_agree(rng):
    with pytest.raises(InputError, match="different sampling rates"):
        as_recordings([make_raw(rng), make_raw(rng, rate=200.0)])
    with pytest.raises(InputError, match="different channels"):
        as_recordings([make_raw(rng), make_raw(rng, ("Cz", "Pz", "Fz"))])
    with pytest.raises(InputError, match="labels of runs"):
        as_recordings([Recording(make_raw(rng), run=1), Recording(make_raw(rng), run="1")])
    with pytest.raises(InputError, match="not a recording"):
        as_recordings([3])
    assert [one.run for one in as_recordings([make_raw(rng), make_raw(rng)])] == [1, 2]


def test_events_in_normal_form(tmp_path):
    text = "\ufeffonset\tduration\ttrial_type\tstim_file\tsample\n2.5\tn/a\tface\tf1.png\t250\n1.0\t0.5\thouse\th1.png\t100\n4.0\t0.5\tblank\tn/a\t400\n"
    (tmp_path / "x_events.tsv").write_text(text, encoding="utf-8")
    table, record = load_events(tmp_path / "x_events.tsv", run=3)
    assert list(table.columns) == ["onset", "duration", "stimulus_id", "run", "trial_type", "stim_file", "sample"]
    assert list(table["stimulus_id"]) == ["h1.png", "f1.png"] and list(table["onset"]) == [1.0, 2.5] and list(table["run"]) == [3, 3]
    assert list(table["sample"]) == [100, 250]
    assert record == {"stimulus": "stim_file", "n_events": 3, "n_without_stimulus": 1, "n_other": 0, "n_rest": 0, "n_duration_unknown": 1}
    named, record = load_events(tmp_path / "x_events.tsv", stimulus="trial_type", event_id={"F": "face", "H": "house"})
    assert list(named["stimulus_id"]) == ["H", "F"] and record["n_other"] == 1
    rested, record = load_events(tmp_path / "x_events.tsv", stimulus="trial_type", rest=["blank"])
    assert len(rested) == 2 and record["n_rest"] == 1
    codes, _ = load_events({"sample": [50, 10], "value": [2, 1]}, sampling_rate=10.0)
    assert list(codes["onset"]) == [1.0, 5.0] and list(codes["duration"]) == [0.0, 0.0] and list(codes["stimulus_id"]) == ["1", "2"]


@pytest.mark.parametrize(
    ("table", "how", "error", "text"),
    [
        ({"duration": [1.0], "stimulus_id": ["a"]}, {}, DataError, "no onset"),
        ({"onset": [1.0], "duration": [1.0]}, {}, DataError, "do not name"),
        ({"onset": [None], "duration": [1.0], "stimulus_id": ["a"]}, {}, DataError, "need an onset"),
        ({"onset": [1.0], "duration": [-1.0], "stimulus_id": ["a"]}, {}, DataError, "not negative"),
        ({"onset": [1.0], "duration": ["long"], "stimulus_id": ["a"]}, {}, DataError, "no numbers"),
        ({"onset": [1.0], "duration": [1.0], "stimulus_id": ["a"]}, {"stimulus": "image"}, NotFoundError, "no column"),
        ({"onset": [1.0], "duration": [1.0], "stimulus_id": ["a"]}, {"rest": ["a"]}, InputError, "no event is left"),
        ({"onset": [], "stimulus_id": []}, {}, DataError, "no events"),
    ],
)
def test_events_that_make_no_sense(table, how, error, text):
    with pytest.raises(error, match=text):
        load_events(table, **how)


def test_sources_of_events_agree(rng):
    """Annotations, stim channel, array of mne and table name the same samples, also where the recording does not begin at sample 0."""
    raw = make_raw(rng, first=730)
    codes = np.zeros((1, raw.n_times))
    codes[0, [100, 300, 555]] = [1, 2, 1]
    stim = mne.io.RawArray(codes, mne.create_info(["STI"], RATE, "stim"), first_samp=730, verbose="error")
    raw.add_channels([stim], force_update_info=True)
    found = mne.find_events(raw, "STI", verbose="error")
    noted = make_raw(rng, first=730)
    notes = mne.annotations_from_events(found, RATE, first_samp=730, event_desc={1: "a", 2: "b"})
    noted.set_annotations(notes + mne.Annotations([9.0], [1.0], ["BAD_jump"]))
    np.testing.assert_array_equal(mne.events_from_annotations(noted, regexp="a|b", verbose="error")[0][:3, 0], found[:, 0])  # mne's own reading
    one, other = Recording(raw, run=1), Recording(noted, run=1)
    tables = [events_of(one, "STI", {})[0], events_of(one, found, {})[0], events_of(other, None, {})[0], events_of(other, "annotations", {})[0]]
    for table in tables:
        np.testing.assert_allclose(table["onset"], [1.0, 3.0, 5.55], atol=1e-9)
    assert list(tables[2]["stimulus_id"]) == ["a", "b", "a"]
    raw.set_annotations(mne.Annotations([1.0], [0.0], ["a"]))
    with pytest.raises(InputError, match="annotations and a stim channel"):
        events_of(Recording(raw, run=1), None, {})


def test_missing_and_impossible_events(rng):
    raw = make_raw(rng)
    with pytest.raises(InputError, match="does not say what was shown"):
        load_epochs(raw, tmin=0, tmax=0.5)
    with pytest.raises(NotFoundError, match="no stim channel"):
        load_epochs(raw, "STI", tmin=0, tmax=0.5)
    with pytest.raises(InputError, match="lie outside the recording"):
        load_epochs(raw, shown((1.0, 3.0, 5.0, 21.0)), tmin=0, tmax=0.5)
    with pytest.raises(InputError, match="lie outside the recording"):
        load_epochs(raw, shown((1000.0, 3000.0, 5000.0, 7000.0)), tmin=0, tmax=0.5)
    with pytest.raises(InputError, match="events of several runs need the column run"):
        load_epochs([raw, raw], shown(), tmin=0, tmax=0.5)
    with pytest.raises(InputError, match="runs that are not there"):
        load_epochs([raw, raw], shown().assign(run=[1, 1, 2, 3]), tmin=0, tmax=0.5)


def test_unmatched_stimuli(rng):
    stimuli = be.StimulusSet(pd.DataFrame({"stimulus_id": ["a", "c"], "text": ["a", "c"]}), kind="text")
    with pytest.raises(InputError, match=r"1 of 2 stimulus_ids of the events"):
        load_epochs(make_raw(rng), shown(), tmin=0, tmax=0.5, stimuli=stimuli)
    with pytest.raises(InputError, match="stimulus_ids of the events"):
        load_continuous(make_raw(rng), shown(), stimuli=stimuli)


def test_flat_missing_and_wrong_units(rng):
    raw = make_raw(rng)
    flat = raw.copy()
    flat._data[1] = 3e-6
    with pytest.raises(DataError, match="never change.*'Pz'"):
        load_epochs(flat, shown(), tmin=0, tmax=0.5)
    kept = load_epochs(flat, shown(), tmin=0, tmax=0.5, preprocessing=Preprocessing(flat="drop"))
    assert list(dict.fromkeys(kept.targets["channel"])) == ["Cz", "Oz"] and kept.provenance["steps"]["1"]["flat"] == ["Pz"]
    volts = raw.copy().apply_function(lambda x: x * 1e6, verbose="error")
    with pytest.raises(DataError, match="implausible"):
        load_epochs(volts, shown(), tmin=0, tmax=0.5)
    with pytest.raises(DataError, match="implausible"):
        load_epochs(raw.copy().apply_function(lambda x: x * 1e-6, verbose="error"), shown(), tmin=0, tmax=0.5)
    assert load_epochs(volts, shown(), tmin=0, tmax=0.5, preprocessing=Preprocessing(units="as_is")).n_samples == 4
    holes = raw.copy()
    holes._data[0, 310:330] = np.nan
    with pytest.raises(DataError, match="missing values.*20 samples"):
        load_epochs(holes, shown(), tmin=0, tmax=0.5)
    marked = load_epochs(holes, shown(), tmin=0, tmax=0.5, preprocessing=Preprocessing(missing="mark"))
    assert list(marked.samples["onset"]) == [1.0, 5.0, 7.0] and marked.provenance["runs"]["1"]["n_bad_segment"] == 1
    series = load_continuous(holes, shown(), preprocessing=Preprocessing(missing="mark", h_freq=20))
    lost = np.isnan(series.values).all(axis=1)
    assert lost.sum() == 20 and lost[310:330].all() and np.isfinite(series.values[~lost]).all()
