"""Brain Treebank from a miniature with the real names, keys and types: 36 s of ten electrodes, a paused film and its transcript."""

from __future__ import annotations

import json

import h5py
import mne
import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import BandPower, Preprocessing, Recording, load_epochs, load_in_parts, parts_of_channels, read_treebank, treebank_words
from brainenc.loaders.brain_treebank import treebank_contacts
from brainenc.nouns.spaces import ContactSpace

RATE = 2048
LABELS = ["T1aIb1", "*T1aIb2", "T1aIb3#", "T1aIb4", "T1aIb5", "T1aIb_6", "T1aIb7", "DC10", "F3c1", "F3c2", "F3c3", "F3c4", "P2a9", "TRIG4"]
NAMES = [label.strip("*#").replace("_", "") for label in LABELS]
BAD = ["T1aIb6", "DC10"]
LAPLACIAN = ["T1aIb2", "T1aIb3", "T1aIb4", "F3c2", "F3c3"]
STARTS = [1.2, 3.05, 5.5, 8.9, 9.4, 11.3, np.nan, 14.0, 17.75, 25.5]  # seconds in the film; one is not known, the last comes after the last trigger
WORDS = ["It", "was", "the", "best", "of", "times", "(inaudible)", "it", "was", "over"]


def triggers():
    """Every two seconds of the film, on a clock that is 0.1 % fast; between 8 and 10 s the film stood still for 12 s."""
    times = np.arange(0.0, 23.0, 2.0)
    index = np.where(times < 9, 4100 + times * RATE * 1.001, 4100 + (times * 1.001 + 12.0) * RATE)
    return times, np.rint(index)


def write_tables(root):
    for folder in ("electrode_labels/sub_3", "localization/sub_3", "subject_timings", "subject_metadata", "transcripts/cars-2"):
        (root / folder).mkdir(parents=True)
    (root / "electrode_labels/sub_3/electrode_labels.json").write_text(json.dumps(LABELS))
    (root / "corrupted_elec.json").write_text(json.dumps({"sub_1": [], "sub_3": ["T1aIb_6", "DC10"]}))
    (root / "subject_metadata/sub_3_trial000_metadata.json").write_text(json.dumps({"title": "Cars 2", "filename": "cars-2"}))
    brain = [name for name in NAMES if not name.startswith(("DC", "TRIG"))]
    depth = pd.DataFrame({"Electrode": brain, "L": range(90, 90 + len(brain)), "P": 120, "I": 80})
    depth = depth.assign(DesikanKilliany=[f"ctx-lh-{'fusiform' if name[0] == 'T' else 'insula'}" for name in brain], Destrieux="ctx_lh_G_x")
    depth.to_csv(root / "localization/sub_3/depth-wm.csv")
    own = pd.DataFrame({"ID": [f"sub_3-{name}" for name in brain[:-1]], "Z": 1.5, "X": -30.0 - np.arange(len(brain) - 1), "Y": 12.25, "Hemisphere": 1})
    other = own.assign(ID=[f"sub_1-{name}" for name in brain[:-1]], X=99.0, Hemisphere=0)
    pd.concat([other, own]).to_csv(root / "localization/elec_coords_full.csv", index=False)
    times, index = triggers()
    table = pd.DataFrame({"type": "trigger", "movie_time": times, "start_time": times + 7e5, "end_time": times + 7e5 + 0.1, "trig_type": 0, "index": index})
    table.to_csv(root / "subject_timings/sub_3_trial000_timings.csv", index=False)
    words = pd.DataFrame({"text": WORDS, "start": STARTS, "end": np.array(STARTS) + 0.25, "pos": "X", "gpt2_surprisal": np.arange(10) / 2})
    words.to_csv(root / "transcripts/cars-2/features.csv")


@pytest.fixture
def film(tmp_path, rng, shrunk):
    """Electrodes in microvolts as 64-bit numbers, one data set each, and one more than there are labels."""
    write_tables(tmp_path)
    signals = 30 * rng.standard_normal((len(LABELS), 36 * RATE)).cumsum(axis=1) / 40 + 10 * rng.standard_normal((len(LABELS), 36 * RATE))
    with h5py.File(tmp_path / "sub_3_trial000.h5", "w") as file:
        group = file.create_group("data")
        for i, signal in enumerate(signals):
            group[f"electrode_{i}"] = signal
        group[f"electrode_{len(LABELS)}"] = signals[0]
    return shrunk("brain_treebank"), signals


def on_recording(starts):
    """Where the known words lie (s), by hand: the clock of the recording, the pause, and no word of the pause itself."""
    return np.array([(4100 + (t * 1.001 + (12 if t > 9.5 else 0)) * RATE) / RATE for t in starts])


KEPT = [0, 1, 2, 5, 7, 8]


def by_mne(signals, names, offsets=(-0.5, 1.0), rate=200.0):
    """Laplacian of the raw signals, then mne's own filter, resampling and slices around the words."""
    place = {name: i for i, name in enumerate(NAMES)}
    near = lambda name, step: signals[place[f"{name[:-1]}{int(name[-1]) + step}"]]  # noqa: E731
    data = np.array([signals[place[name]] - (near(name, -1) + near(name, 1)) / 2 for name in names])
    data = mne.filter.notch_filter(data, RATE, [60.0], verbose="error")
    data = mne.filter.resample(data, up=rate / RATE, npad="auto", verbose="error")
    at = np.rint(on_recording(np.array(STARTS)[KEPT]) * rate).astype(int)
    steps = np.arange(round(offsets[0] * rate), round(offsets[1] * rate) + 1)
    return data[:, at[:, None] + steps].transpose(1, 0, 2)


def test_words_and_electrodes(film):
    manifest, signals = film
    stimuli, brain = be.load(manifest, "3", session="000")
    epochs = by_mne(signals, LAPLACIAN)
    expected = np.stack([epochs[:, :, i : i + 40].mean(axis=2) for i in range(0, 301 - 39, 5)], axis=2)
    np.testing.assert_allclose(brain.values.reshape(6, 5, -1), expected, atol=2e-3)
    assert list(brain.targets["channel"].unique()) == LAPLACIAN and brain.units == "µV" and brain.values.dtype == np.float32
    assert brain.targets["time"].iloc[0] == pytest.approx(-0.5 + 19.5 / 200)
    assert list(stimuli.ids) == [f"cars-2/{i:05d}" for i in KEPT] and list(stimuli.table["text"]) == [WORDS[i] for i in KEPT] and stimuli.kind == "text"
    np.testing.assert_allclose(brain.samples["onset"], on_recording(np.array(STARTS)[KEPT]), atol=1 / RATE)
    np.testing.assert_allclose(brain.samples["gpt2_surprisal"], np.array(KEPT) / 2)
    assert list(brain.samples["repeat"]) == [1] * 6 and set(brain.samples["session"]) == {"000"} and "event_row" not in brain.samples
    counts = {"n_moments": 10, "n_without_time": 1, "n_outside_triggers": 1, "n_seen_twice": 0, "n_in_pauses": 2, "n_triggers": 12}
    assert brain.provenance["events"] == {"film": "cars-2", **counts}
    assert brain.provenance["bads"] == BAD and brain.provenance["n_electrodes_without_label"] == 1


def test_places_and_regions(film):
    manifest, _ = film
    brain = be.load(manifest, "3", session="000").responses
    assert isinstance(brain.space, ContactSpace) and brain.provenance["frame"].startswith("brain_treebank")
    one = brain.targets.groupby("channel", sort=False).first()
    np.testing.assert_allclose(one["x"], [-31, -32, -33, -38, -39])  # X of the person, not of sub_1
    assert list(one["roi"]) == ["ctx-lh-fusiform"] * 3 + ["ctx-lh-insula"] * 2 and set(one["hemi"]) == {"left"} and set(one["destrieux"]) == {"ctx_lh_G_x"}
    assert list(one["shaft"]) == ["T1aIb"] * 3 + ["F3c"] * 2 and list(one["number"]) == [2, 3, 4, 2, 3] and list(one["L"]) == [91, 92, 93, 98, 99]
    contacts, bads = treebank_contacts(manifest.parent, 3)
    assert list(contacts["channel"]) == [n for n in NAMES if n not in (*BAD, "TRIG4")] and set(bads) == set(BAD)
    assert list(contacts["dataset"][-2:]) == ["data/electrode_11", "data/electrode_12"] and contacts["x"].isna().sum() == 1


def test_parts_give_what_all_channels_at_once_give(film):
    """Whatever the memory, and as one recording of mne through the same loader."""
    manifest, signals = film
    root, length = manifest.parent, signals.shape[1]
    steps = Preprocessing(notch=60.0, reference="laplacian", power=BandPower(width=20.0, log=True), resample=100.0)

    def load(part):
        return load_epochs(part, tmin=-0.2, tmax=0.4, preprocessing=steps, baseline=(-0.2, 0))

    def in_parts(memory):
        return load_in_parts(read_treebank(root, subject=3, trial=0, reference="laplacian", memory=memory), load)

    small, large = in_parts(3 * 64 * length), in_parts("1GB")
    assert small.provenance["n_parts"] == 5 and large.provenance["n_parts"] == 2
    np.testing.assert_array_equal(small.values, large.values)
    contacts, _ = treebank_contacts(root, "3")
    rows = [NAMES.index(name) for name in contacts["channel"]]
    raw = mne.io.RawArray(signals[rows] * 1e-6, mne.create_info(list(contacts["channel"]), RATE, "seeg"), verbose="error")
    words, _ = treebank_words(root, subject=3, trial=0)
    whole = load(Recording(raw, contacts.drop(columns="dataset"), words))
    np.testing.assert_allclose(small.values, whole.values, rtol=1e-5, atol=1e-4)
    assert list(small.targets["target_id"]) == list(whole.targets["target_id"]) and small.units == "dB"
    assert list(small.samples.columns) == [c for c in whole.samples.columns if c != "event_row"]
    np.testing.assert_allclose(small.space.coordinates, whole.space.coordinates)


def test_gaps_in_one_electrode_leave_the_epoch_out_of_all(film):
    manifest, signals = film
    with h5py.File(manifest.parent / "sub_3_trial000.h5", "a") as file:
        at = int(on_recording([3.05])[0] * RATE)
        file["data/electrode_9"][at : at + 30] = np.nan
    with pytest.raises(DataError, match="missing values.*30 samples.*'F3c2'"):
        be.load(manifest, "3", session="000")
    manifest.write_text(manifest.read_text().replace("resample = 200.0 }\n\n[variants.high", 'resample = 200.0, missing = "mark" }\n\n[variants.high'))
    brain = be.load(manifest, "3", session="000").responses
    assert list(brain.samples["stimulus_id"]) == [f"cars-2/{i:05d}" for i in KEPT if i != 1]
    assert brain.provenance["n_epochs_left_out_by_some_part"] == 1 and np.isfinite(brain.values).all()


def test_variants(film):
    manifest, signals = film
    power = be.load(manifest, "3", session="000", variant="high_gamma").responses
    assert power.units == "dB" and power.values.shape == be.load(manifest, "3", session="000").responses.values.shape
    stimuli, series = be.load(manifest, "3", session="000", variant="film")
    assert series.is_time_series and series.sampling_rate == 100 and series.values.shape == (3600, 5) and list(stimuli.table["text"])[:2] == ["It", "was"]
    np.testing.assert_allclose(series.events["onset"], on_recording(np.array(STARTS)[KEPT]), atol=1 / RATE)
    place = {name: signals[i] for i, name in enumerate(NAMES)}
    one = mne.filter.notch_filter(place["F3c2"] - (place["F3c1"] + place["F3c3"]) / 2, RATE, [60.0], verbose="error")
    np.testing.assert_allclose(series.where(channel="F3c2").values[:, 0], mne.filter.resample(one, up=100 / RATE, npad="auto", verbose="error"), atol=2e-3)


def test_overlapping_words_are_kept_apart(film):
    manifest, _ = film
    brain = be.load(manifest, "3", session="000").responses
    onset = brain.samples["onset"].to_numpy()
    for train, test in be.split.blocks(n=2, seconds=0).split(brain):
        apart = np.abs(onset[train][:, None] - onset[test])
        assert len(train) and apart.min() > 1.5 - 1e-6  # an epoch is 1.5 s long


def test_memory_and_shafts():
    names = [f"A{i}" for i in range(1, 9)] + ["B1", "B2", "C7"]
    each = 64 * 1000
    for scheme, overlap, expected in (("laplacian", 2, [f"A{i}" for i in range(2, 8)]), ("bipolar", 1, [f"A{i}" for i in range(1, 8)] + ["B1"])):
        for size in range(overlap + 1, 9):
            parts = [[names[i] for i in part] for part in parts_of_channels(names, 1000, reference=scheme, memory=size * each)]
            made = [name for part in parts for name in (part[1:-1] if overlap == 2 else part[:-1])]
            assert made == expected and max(map(len, parts)) <= size
    flat = parts_of_channels(names, 1000, memory=4 * each)
    assert [i for part in flat for i in part] == list(range(11)) and max(map(len, flat)) == 4
    with pytest.raises(InputError, match="memory is too small.*at least 187.5|memory is too small.*192"):
        parts_of_channels(names, 1000, reference="laplacian", memory=2 * each)
    with pytest.raises(InputError, match="too small.*Laplacian or bipolar"):
        parts_of_channels(names, 1000, reference="average", memory=4 * each)
    with pytest.raises(InputError, match="no contacts stand beside"):
        parts_of_channels(["A1", "B4"], 1000, reference="bipolar", memory="1GB")


def change(root, path, old, new):
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("path", "old", "new", "error", "text"),
    [
        ("electrode_labels/sub_3/electrode_labels.json", "*T1aIb2", "T1aIb1*", DataError, "different names"),
        ("electrode_labels/sub_3/electrode_labels.json", '"TRIG4"]', '"TRIG4", "P2a1", "P2a2"]', DataError, "no data.*electrode_15"),
        ("corrupted_elec.json", "sub_3", "sub_4", NotFoundError, "not listed.*sub_1"),
        ("subject_metadata/sub_3_trial000_metadata.json", "cars-2", "../cars-2", DataError, "do not name the film"),
        ("subject_metadata/sub_3_trial000_metadata.json", "cars-2", "megamind", DataError, "no such file"),
        ("transcripts/cars-2/features.csv", ",start,", ",begin,", NotFoundError, "start"),
        ("subject_timings/sub_3_trial000_timings.csv", ",index", ",samples", NotFoundError, "index"),
        ("localization/sub_3/depth-wm.csv", "Electrode", "Contact", NotFoundError, "Electrode"),
        ("localization/elec_coords_full.csv", ",X,", ",left,", NotFoundError, "X"),
    ],
)
def test_tables_that_do_not_fit(film, path, old, new, error, text):
    manifest, _ = film
    change(manifest.parent, path, old, new)
    with pytest.raises(error, match=text):
        be.load(manifest, "3", session="000")


def test_triggers_that_make_no_sense(film):
    manifest, _ = film
    path = manifest.parent / "subject_timings/sub_3_trial000_timings.csv"
    table = pd.read_csv(path)
    table.iloc[:1].to_csv(path, index=False)
    with pytest.raises(DataError, match="too few triggers"):
        be.load(manifest, "3", session="000")
    table.assign(movie_time=table["movie_time"].to_numpy()[::-1]).to_csv(path, index=False)
    with pytest.raises(DataError, match="no moment of the film lies between triggers"):
        be.load(manifest, "3", session="000")
    table.assign(movie_time=table["movie_time"] + 500).to_csv(path, index=False)
    with pytest.raises(DataError, match="no moment of the film lies between triggers.*n_outside_triggers.*9"):
        be.load(manifest, "3", session="000")
    table.assign(index=table["index"] + 60 * RATE).to_csv(path, index=False)
    with pytest.raises(InputError, match="lie outside the recording"):
        be.load(manifest, "3", session="000")


def test_pauses_that_are_noted_and_a_film_taken_back(film):
    """A pause with triggers at its begin and end loses no word; what was seen twice after the film was taken back is left out."""
    manifest, _ = film
    path = manifest.parent / "subject_timings/sub_3_trial000_timings.csv"
    clock = lambda t: 4100 + t * RATE  # noqa: E731
    rows = [(0.0, clock(0)), (9.0, clock(9)), (9.0, clock(14)), (12.0, clock(17)), (10.5, clock(17.5)), (13.0, clock(20)), (20.0, clock(27))]
    pd.DataFrame(rows, columns=["movie_time", "index"]).assign(type="trigger").to_csv(path, index=False)
    words, record = treebank_words(manifest.parent, subject=3, trial=0)
    assert record["n_in_pauses"] == 0 and record["n_seen_twice"] == 1 and record["n_outside_triggers"] == 1
    expected = {0: 1.2, 1: 3.05, 2: 5.5, 3: 8.9, 4: 9.4 + 5, 7: 14.0 + 7, 8: 17.75 + 7}  # word 5 at 11.3 s was heard twice
    assert list(words["stimulus_id"]) == [f"cars-2/{i:05d}" for i in expected]
    np.testing.assert_allclose(words["onset"], [clock(t) / RATE for t in expected.values()], atol=1e-9)


def test_moments_of_ones_own(film):
    """Cuts of the film in place of its words."""
    manifest, signals = film
    cuts = pd.DataFrame({"start": [1.0, 4.0, 13.0], "end": [1.5, 4.5, 13.5], "stimulus_id": ["street", "sea", "street"], "faces": [2, 0, 1]})
    steps = Preprocessing(notch=60.0, reference="laplacian", resample=200.0)
    parts = read_treebank(manifest.parent, subject="3", trial="000", events=cuts, reference="laplacian")
    brain = load_in_parts(parts, lambda part: load_epochs(part, tmin=-0.5, tmax=1.0, preprocessing=steps))
    np.testing.assert_allclose(brain.samples["onset"], on_recording([1.0, 4.0, 13.0]), atol=1 / RATE)
    assert list(brain.samples["stimulus_id"]) == ["street", "sea", "street"] and list(brain.samples["faces"]) == [2, 0, 1]
    assert list(brain.samples["repeat"]) == [1, 1, 2] and brain.n_targets == 5 * 301
    with pytest.raises(NotFoundError, match="stimulus_id"):
        next(read_treebank(manifest.parent, subject=3, trial=0, events=cuts.drop(columns="stimulus_id")))


def test_damaged_and_implausible_signals(film):
    manifest, signals = film
    path = manifest.parent / "sub_3_trial000.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        be.load(manifest, "3", session="000")
    path.write_bytes(whole)
    with h5py.File(path, "a") as file:
        del file["data/electrode_3"]
        file["data/electrode_3"] = signals[3, :-7]
    with pytest.raises(DataError, match="different lengths"):
        be.load(manifest, "3", session="000")
    with h5py.File(path, "a") as file:
        del file["data/electrode_3"]
        file["data/electrode_3"] = np.zeros(signals.shape[1])
    with pytest.raises(DataError, match="never change.*'T1aIb4'"):
        be.load(manifest, "3", session="000")
    with h5py.File(path, "a") as file:
        for i in range(len(LABELS)):
            file[f"data/electrode_{i}"][:] = signals[i] * 1e6
    with pytest.raises(DataError, match="units of seeg channels are implausible"):
        be.load(manifest, "3", session="000")
    with h5py.File(path, "a") as file:
        del file["data/electrode_4"]
        file["data/electrode_4"] = h5py.ExternalLink("/etc/hostname", "data")
    with pytest.raises(DataError, match="electrodes have no data.*electrode_4"):
        be.load(manifest, "3", session="000")
    (manifest.parent / "corrupted_elec.json").unlink()
    with pytest.raises(DataError, match="are missing.*corrupted_elec.json"):
        be.load(manifest, "3", session="000")


@pytest.mark.parametrize("name", ["subject1_trial1", "subject3_trial0", "subject7_trial0"])
def test_real_words_between_triggers(tmp_path, real_data, name):
    """The published sample of every word of a real recording, found again from every tenth word taken as a trigger; real pauses of the film in between."""
    table = real_data("braintreebank_features") / f"{name}_words_df.csv"
    told = pd.read_csv(table).sort_values("est_idx", ignore_index=True)
    told = told[told["start"].cummax() == told["start"]].reset_index(drop=True)
    for folder in ("subject_timings", "subject_metadata", "transcripts/film"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "subject_metadata/sub_1_trial000_metadata.json").write_text('{"filename": "film"}')
    told.iloc[::10].rename(columns={"start": "movie_time", "est_idx": "index"}).to_csv(tmp_path / "subject_timings/sub_1_trial000_timings.csv", index=False)
    told.rename(columns={"full_word": "text"}).to_csv(tmp_path / "transcripts/film/features.csv", index=False)
    words, record = treebank_words(tmp_path, subject=1, trial=0)
    row = words["stimulus_id"].str[-5:].astype(int).to_numpy()
    error = words["onset"].to_numpy() - told["est_idx"].to_numpy()[row] / RATE
    assert len(words) > 0.97 * len(told) and record["n_in_pauses"] > 0
    assert np.abs(error).max() < 0.15 and np.median(np.abs(error)) < 0.01  # seconds; triggers here are as coarse as words are apart
