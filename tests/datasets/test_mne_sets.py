"""THINGS-MEG, kiloword and the sample of MNE from miniature files with the real names, columns, codes and channel types."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc import datasets
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import load_epochs
from brainenc.nouns.spaces import SensorSpace

MEG_NAMES = [f"ML{letter}{i}-1609" for letter in "CFO" for i in (11, 12)] + ["MZP01-1609"]
PATHS = [
    "images_meg/aardvark/aardvark_01b.jpg", "images_test_meg/acorn_10n.jpg", "images_catch_meg/catch047.jpg", "images_meg/abacus/abacus_03s.jpg",
    "images_test_meg/acorn_10n.jpg", "images_meg/zebra/zebra_02s.jpg", "images_catch_meg/catch001.jpg", "images_test_meg/tuxedo_16s.jpg",
]  # fmt: skip
KINDS = ["exp", "test", "catch", "exp", "test", "exp", "catch", "test"]


def save_epochs(path, data, names, kind, rate, tmin, metadata=None, codes=None):
    info = mne.create_info(names, rate, kind)
    codes = np.arange(1, len(data) + 1) if codes is None else codes
    events = np.column_stack([np.arange(len(data)) * 2000, np.zeros(len(data), int), codes])
    event_id = None if metadata is None or "WORD" not in metadata else {word: i + 1 for i, word in enumerate(metadata["WORD"])}
    path.parent.mkdir(parents=True, exist_ok=True)
    epochs = mne.EpochsArray(data, info, events, tmin=tmin, event_id=event_id, metadata=metadata, verbose="error")
    epochs.save(path, overwrite=True, verbose="error")
    return path


@pytest.fixture
def meg(tmp_path, rng, shrunk):
    """Eight trials of seven magnetometers, z-scores from -0.1 to 1.3 s at 200 Hz; catch trials have the code 999999 and no numbers of THINGS."""
    data = rng.standard_normal((8, 7, 281)) * 2
    numbers = [1.0, 7.0, np.nan, 25.0, 7.0, 22240.0, np.nan, 21001.0]
    metadata = pd.DataFrame({"image_path": PATHS, "trial_type": KINDS, "session_nr": [1, 1, 1, 1, 2, 2, 2, 2], "run_nr": 1, "image_nr": numbers})
    metadata = metadata.assign(things_image_nr=numbers, things_category_nr=[1.0, 2.0, np.nan, 3.0, 2.0, 1854.0, np.nan, 1700.0])
    codes = np.where(np.isnan(numbers), 999999, np.nan_to_num(numbers)).astype(int)
    path = save_epochs(tmp_path / "derivatives/preprocessed/preprocessed_P3-epo.fif", data, MEG_NAMES, "mag", 200.0, -0.1, metadata, codes)
    return shrunk("things_meg"), data, path


def test_catch_trials_stay_out_and_z_scores_as_they_are(meg):
    manifest, data, _ = meg
    stimuli, brain = be.load(manifest, "3")
    kept = [i for i, kind in enumerate(KINDS) if kind != "catch"]
    np.testing.assert_allclose(brain.values, data[kept].reshape(6, -1), rtol=1e-5)
    assert brain.units == "SD of the baseline" and brain.values.dtype == np.float32
    assert list(brain.samples["stimulus_id"]) == [PATHS[i] for i in kept] and list(brain.samples["repeat"]) == [1, 1, 1, 2, 1, 1]
    assert list(brain.samples["session_nr"]) == [1, 1, 1, 2, 2, 2] and brain.provenance["n_not_where"] == 2 and brain.provenance["n_other"] == 0
    assert list(stimuli.ids) == list(dict.fromkeys(PATHS[i] for i in kept)) and stimuli.table.loc["images_test_meg/acorn_10n.jpg", "trial_type"] == "test"
    assert isinstance(brain.space, SensorSpace) and list(brain.targets["channel"].unique()) == MEG_NAMES and set(brain.targets["type"]) == {"mag"}
    assert brain.targets["time"].iloc[0] == pytest.approx(-0.1) and brain.targets["time"].iloc[280] == pytest.approx(1.3)


def test_kinds_of_trials_and_windows(meg, monkeypatch):
    manifest, data, _ = meg
    monkeypatch.setattr("brainenc.loaders.given_epochs._BLOCK", 2 * 7 * 281)  # two epochs at a time
    test = be.load(manifest, "3", variant="test").responses
    np.testing.assert_allclose(test.values, data[[1, 4, 7]].reshape(3, -1), rtol=1e-5)
    assert be.load(manifest, "3", variant="exp").responses.n_samples == 3
    means = be.load(manifest, "3", variant="windows").responses
    expected = np.stack([data[:, :, i : i + 10].mean(axis=2) for i in range(0, 281 - 9, 5)], axis=2)
    np.testing.assert_allclose(means.values, expected[[0, 1, 3, 4, 5, 7]].reshape(6, -1), atol=1e-5)
    stimuli = be.load(manifest, "3", variant="images").stimuli
    assert stimuli.kind == "image" and stimuli.table["path"].iloc[0] == PATHS[0]


def test_files_in_parts_are_read_together(meg, rng):
    """What mne does with epochs above 2 GB, here above 1.2 MB."""
    manifest, _, path = meg
    metadata = mne.read_epochs(path, verbose="error").metadata
    metadata = pd.concat([metadata] * 30, ignore_index=True)
    data = rng.standard_normal((240, 7, 281))
    info = mne.create_info(MEG_NAMES, 200.0, "mag")
    path.unlink()
    events = np.column_stack([np.arange(240) * 2000, np.zeros(240, int), np.ones(240, int)])
    mne.EpochsArray(data, info, events, tmin=-0.1, metadata=metadata, verbose="error").save(path, split_size="1.2MB", verbose="error")
    assert len(list(path.parent.glob("*.fif"))) > 1
    brain = be.load(manifest, "3").responses
    kept = np.flatnonzero(metadata["trial_type"] != "catch")
    np.testing.assert_allclose(brain.values, data[kept].reshape(len(kept), -1), rtol=1e-5)
    (path.parent / "preprocessed_P3-epo-2.fif").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        be.load(manifest, "3")


def test_epochs_that_are_damaged_or_of_another_kind(meg, rng):
    manifest, data, path = meg
    metadata = mne.read_epochs(path, verbose="error").metadata
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError, match="cannot be read|before its header"):
        be.load(manifest, "3")
    save_epochs(path, data, MEG_NAMES, "mag", 200.0, -0.1, metadata.drop(columns="image_path"))
    with pytest.raises(InputError, match="no column 'image_path'"):
        be.load(manifest, "3")
    save_epochs(path, data, MEG_NAMES, "mag", 200.0, -0.1, metadata.assign(trial_type="catch"))
    with pytest.raises(InputError, match="no epoch is left|keeps none"):
        be.load(manifest, "3")
    save_epochs(path, data, MEG_NAMES, "mag", 200.0, -0.1)
    with pytest.raises((InputError, NotFoundError), match="image_path|trial_type"):
        be.load(manifest, "3")
    holes = data.copy()
    holes[4, 2, 10:20] = np.nan
    save_epochs(path, holes, MEG_NAMES, "mag", 200.0, -0.1, metadata)
    with pytest.raises(DataError, match="missing values"):
        be.load(manifest, "3")
    flat = data.copy()
    flat[:, 3] = 0.0
    save_epochs(path, flat, MEG_NAMES, "mag", 200.0, -0.1, metadata)
    with pytest.raises(DataError, match="never change.*'MLF12-1609'"):
        be.load(manifest, "3")
    with pytest.raises(DataError, match="units of mag channels are implausible"):
        load_epochs(path)  # not told that these are z-scores
    with pytest.raises(DataError, match=r"are missing|are not here"):
        be.load(manifest, "1")


WORDS = ["film", "cent", "shot", "cold", "main", "tide", "idea", "moss", "grip"]
PROPERTIES = ["Concreteness", "WordFrequency", "OrthographicDistance", "NumberOfLetters", "BigramFrequency", "ConsonantVowelProportion", "VisualComplexity"]


@pytest.fixture
def kiloword(tmp_path, rng, shrunk):
    data = rng.standard_normal((9, 5, 60)) * 1e-6
    metadata = pd.DataFrame({"WORD": WORDS, **{name: rng.random(9) for name in PROPERTIES}})
    path = save_epochs(tmp_path / "kword_metadata-epo.fif", data, ["O1", "Oz", "O2", "P7", "Cz"], "eeg", 250.0, -0.1, metadata)
    return shrunk("kiloword"), data, metadata, path


def test_words_with_properties(kiloword):
    manifest, data, metadata, _ = kiloword
    stimuli, brain = be.load(manifest)
    np.testing.assert_allclose(brain.values, data.reshape(9, -1) * 1e6, rtol=1e-4)
    assert brain.units == "µV" and list(brain.samples["stimulus_id"]) == WORDS and set(brain.samples["repeat"]) == {1}
    assert stimuli.kind == "text" and list(stimuli.table["text"]) == WORDS and list(stimuli.ids) == WORDS
    np.testing.assert_allclose(stimuli.table[PROPERTIES].to_numpy(), metadata[PROPERTIES].to_numpy())
    assert brain.where("channel == 'Oz' and time > 0.1").n_targets == int((np.arange(60) / 250 - 0.1 > 0.1 + 1e-9).sum())


def test_words_in_volts_that_are_microvolts(kiloword):
    manifest, data, metadata, path = kiloword
    save_epochs(path, data * 1e6, ["O1", "Oz", "O2", "P7", "Cz"], "eeg", 250.0, -0.1, metadata)
    with pytest.raises(DataError, match="units of eeg channels are implausible"):
        be.load(manifest)
    save_epochs(path, data, ["O1", "Oz", "O2", "P7", "Cz"], "eeg", 250.0, -0.1, metadata.drop(columns="Concreteness"))
    with pytest.raises(NotFoundError, match="Concreteness"):
        be.load(manifest)


SENSORS = {"MEG 0113": "grad", "MEG 0112": "grad", "MEG 0111": "mag", "MEG 2443": "grad", "EEG 001": "eeg", "EEG 002": "eeg", "EEG 053": "eeg", "EOG 061": "eog"}
RATE, FIRST = 600.614990234375, 25800
CODES = [2, 3, 1, 4, 5, 32, 1]
AT = np.array([900, 1500, 2100, 2700, 3300, 3900, 4500])


@pytest.fixture
def sample(tmp_path, rng, shrunk):
    """Ten seconds that begin at sample 25800, with two channels marked bad and events in a file of their own."""
    scale = {"grad": 1e-11, "mag": 1e-13, "eeg": 1e-5, "eog": 1e-4}
    data = np.array([rng.standard_normal(6000) * scale[kind] for kind in SENSORS.values()] + [np.zeros(6000)])
    raw = mne.io.RawArray(data, mne.create_info([*SENSORS, "STI 014"], RATE, [*SENSORS.values(), "stim"]), first_samp=FIRST, verbose="error")
    raw.info["bads"] = ["MEG 2443", "EEG 053"]
    folder = tmp_path / "MEG/sample"
    folder.mkdir(parents=True)
    raw.save(folder / "sample_audvis_raw.fif", verbose="error")
    mne.write_events(folder / "sample_audvis_raw-eve.fif", np.column_stack([AT + FIRST, np.zeros(7, int), CODES]), verbose="error")
    return shrunk("mne_sample"), raw, folder


def test_events_of_mne_and_every_fourth_sample(sample):
    manifest, raw, _ = sample
    stimuli, brain = be.load(manifest)
    names = {1: "auditory_left", 2: "auditory_right", 3: "visual_left", 4: "visual_right", 5: "smiley", 32: "button"}
    assert list(brain.samples["stimulus_id"]) == [names[code] for code in CODES] and len(stimuli) == 6
    assert list(dict.fromkeys(brain.targets["channel"])) == ["MEG 0113", "MEG 0112", "MEG 0111", "EEG 001", "EEG 002"]
    theirs = mne.Epochs(
        raw.copy().load_data().filter(None, 40.0, verbose="error"), np.column_stack([AT + FIRST, np.zeros(7, int), np.arange(1, 8)]), tmin=-0.2, tmax=0.5,
        baseline=(-0.2, 0), preload=True, verbose="error",
    )  # fmt: skip
    whole = theirs.get_data(picks=["MEG 0113", "MEG 0111", "EEG 002"])
    start = -round(theirs.times[0] * RATE) % 4
    for row, (name, factor) in enumerate((("MEG 0113", 1e13), ("MEG 0111", 1e15), ("EEG 002", 1e6))):
        np.testing.assert_allclose(brain.where(channel=name).values, whole[:, row, start::4] * factor, atol=2e-3)
    assert 0.0 in set(brain.targets["time"].round(9)) and brain.provenance["steps"]["1"]["bads"] == ["MEG 2443", "EEG 053"]


def test_kinds_of_channels_and_limits(sample):
    manifest, *_ = sample
    eeg = be.load(manifest, variant="eeg").responses
    assert set(eeg.targets["type"]) == {"eeg"} and eeg.units == "µV"
    np.testing.assert_allclose(eeg.where(channel="EEG 001").values, -eeg.where(channel="EEG 002").values, atol=1e-4)
    assert set(be.load(manifest, variant="meg").responses.targets["type"]) == {"mag", "grad"}
    assert be.load(manifest, variant="kept").responses.provenance["reject"] == {"grad": 4000.0, "mag": 4000.0, "eeg": 150.0}


def test_events_that_are_missing_or_of_another_recording(sample):
    manifest, _, folder = sample
    file = folder / "sample_audvis_raw-eve.fif"
    mne.write_events(file, np.column_stack([AT + 90000, np.zeros(7, int), CODES]), overwrite=True, verbose="error")
    with pytest.raises(InputError, match="7 of 7 events lie outside the recording"):
        be.load(manifest)
    mne.write_events(file, np.column_stack([AT + FIRST, np.zeros(7, int), np.full(7, 99)]), overwrite=True, verbose="error")
    with pytest.raises(InputError, match="no event is left"):
        be.load(manifest)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be read"):
        be.load(manifest)
    file.unlink()
    with pytest.raises(DataError, match="are missing.*eve.fif"):
        be.load(manifest)


def test_the_folder_of_mne_itself_is_found(sample, tmp_path, monkeypatch, caplog):
    """``root=`` names what mne calls its data folder; the set lies in MNE-sample-data inside. A count from memory that does not hold is told."""
    _, _, folder = sample
    monkeypatch.delenv("BRAINENC_DATA", raising=False)
    home = tmp_path / "mne_data"
    (home / "MNE-sample-data").mkdir(parents=True)
    folder.parent.rename(home / "MNE-sample-data/MEG")
    stimuli, brain = be.load("mne_sample", root=home)
    assert brain.n_samples == 7 and len(stimuli) == 6 and "n_samples is 7, the manifest has 320 from memory" in caplog.text


@pytest.mark.parametrize(
    ("name", "old", "new", "text"),
    [
        ("kiloword", 'stimulus = "WORD"', 'stimulus = "WORD"\nepochs = [0.0, 0.1]', "cut already.*epochs"),
        ("kiloword", 'stimulus = "WORD"', 'stimulus = "WORD"\nsteps = { h_freq = 30.0 }', "cut already.*steps.h_freq"),
        ("mne_sample", "decimate = 4", "windows = [0.1]", "two times are needed.*length and step"),
        ("mne_sample", "button = 32", 'button = 32, "x{index}" = "a-b"', "needs a range of codes"),
        ("mne_sample", "button = 32", "button = 5", "a code stands for two stimuli"),
        ("mne_sample", "decimate = 4", 'tree = "x"', "folder of a BIDS tree"),
    ],
)
def test_manifests_that_contradict_themselves(sample, kiloword, shrunk, name, old, new, text):
    with pytest.raises(InputError, match=text):
        be.load(shrunk(name, change=(old, new)))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("things_eeg2", "osf.io/3jk45"), ("things_meg", "ds004212"), ("kiloword", "osf.io/download/qkvf9"), ("mne_sample", "osf.io/download/86qa2"),
        ("erp_core", "10.18115/D5JW4R"), ("brain_treebank", "braintreebank.dev"),
    ],
)  # fmt: skip
def test_sets_without_checksums_say_where_to_get_them(tmp_path, monkeypatch, name, place):
    monkeypatch.setenv("BRAINENC_DATA", str(tmp_path))
    found = datasets.manifest(name)
    with pytest.raises(DataError, match=f"(?s)checksums.*{place}.*[Gg]et them from.*{found.folder or name}"):
        datasets.fetch(name)
    with pytest.raises(DataError, match=f"[Gg]et them from.*{place}"):
        be.load(name, found.subjects[0], session=(found.sessions(found.subjects[0]) or (None,))[0])
