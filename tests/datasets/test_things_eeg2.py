"""THINGS-EEG2 from a miniature with the real names, keys, types and axis orders: dictionaries in .npy files, pickled in either way."""

from __future__ import annotations

import os
import pickle

import mne
import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import load_sensor_dict
from brainenc.loaders.tables import load_table
from brainenc.nouns.spaces import SensorSpace

TRAIN, TEST = ["aardvark_01b.jpg", "aardvark_02s.jpg", "abacus_03s.jpg", "abacus_14n.jpg", "ant_01b.jpg"], ["anvil_07s.jpg", "bat_02s.jpg", "beer_11s.jpg"]
CHANNELS = ["Pz", "P3", "P7", "O1", "Oz", "O2", "P4"]
TIMES = np.linspace(-0.2, 0.79, 100)[15:24]


def metadata(files):
    concepts = [f"{1 + i // 2:05d}_{name.rpartition('_')[0]}" for i, name in enumerate(files)]
    return files, concepts


def write(path, array, *, names=CHANNELS, times=TIMES, bare=False, **more):
    content = {"preprocessed_eeg_data": array, "ch_names": names, "times": times, **more}
    path.parent.mkdir(exist_ok=True)
    if not bare:
        np.save(path, content)
        return
    with open(path, "wb") as stream:
        pickle.dump(content, stream, protocol=4)


@pytest.fixture
def eeg2(tmp_path, rng, shrunk):
    """Five images shown four times and three shown six times, of one person: float64, images × repeats × channels × times."""
    train, test = rng.standard_normal((5, 4, 7, 9)), rng.standard_normal((3, 6, 7, 9))
    write(tmp_path / "sub-03/preprocessed_eeg_training.npy", train)
    write(tmp_path / "sub-03/preprocessed_eeg_test.npy", test)
    (train_files, train_concepts), (test_files, test_concepts) = metadata(TRAIN), metadata(TEST)
    np.save(
        tmp_path / "image_metadata.npy",
        {
            "test_img_concepts": test_concepts, "test_img_files": test_files, "train_img_concepts": train_concepts, "train_img_files": train_files,
            "train_img_concepts_THINGS": [name[6:] for name in train_concepts],
        },
    )  # fmt: skip
    return shrunk("things_eeg2"), train, test


def test_every_showing_is_a_row(eeg2):
    manifest, train, test = eeg2
    stimuli, brain = be.load(manifest, "03")
    assert brain.values.dtype == np.float32
    np.testing.assert_array_equal(brain.values, np.concatenate([train.reshape(20, 63), test.reshape(18, 63)]).astype(np.float32))
    assert list(brain.samples["stimulus_id"]) == [name for name in TRAIN for _ in range(4)] + [name for name in TEST for _ in range(6)]
    assert list(brain.samples["split"]) == ["train"] * 20 + ["test"] * 18 and list(brain.samples["repeat"][18:24]) == [3, 4, 1, 2, 3, 4]
    assert list(stimuli.ids) == TRAIN + TEST and stimuli.table.loc["abacus_14n.jpg"].to_dict() == {"concept": "00002_abacus", "split": "train"}
    repeats, ids = brain.rows(split="test").repeats()
    np.testing.assert_array_equal(repeats, test.reshape(3, 6, 63).astype(np.float32))
    assert list(ids) == TEST and list(brain.samples["concept"].unique())[:2] == ["00001_aardvark", "00002_abacus"]


def test_columns_are_channels_and_times_in_place(eeg2):
    manifest, train, _ = eeg2
    brain = be.load(manifest, "03").responses
    assert isinstance(brain.space, SensorSpace) and list(brain.targets["channel"][::9]) == CHANNELS
    np.testing.assert_allclose(brain.targets["time"].to_numpy().reshape(7, 9), np.tile(TIMES, (7, 1)))
    np.testing.assert_array_equal(brain.where(channel="Oz").values[5], train[1, 1, 4].astype(np.float32))
    info = mne.create_info(CHANNELS, 100.0, "eeg").set_montage("easycap-M1")
    expected = np.array([info["chs"][i]["loc"][:3] for i in range(7)]) * 1000
    np.testing.assert_allclose(brain.targets[["x", "y", "z"]].to_numpy()[::9], expected, rtol=1e-5)
    evoked = brain.space.paint(brain.values[0])
    assert evoked.ch_names == CHANNELS and evoked.info["sfreq"] == pytest.approx(100.0)


@pytest.mark.parametrize(("variant", "parts"), [("train", ["train"]), ("test", ["test"])])
def test_one_file_alone(eeg2, variant, parts):
    manifest, train, test = eeg2
    (manifest.parent / f"sub-03/preprocessed_eeg_{'test' if variant == 'train' else 'training'}.npy").unlink()
    stimuli, brain = be.load(manifest, "03", variant=variant)
    np.testing.assert_array_equal(brain.values, (train if variant == "train" else test).reshape(-1, 63).astype(np.float32))
    assert list(brain.samples["split"].unique()) == parts and list(stimuli.ids) == (TRAIN if variant == "train" else TEST)
    with pytest.raises(DataError, match=r"are missing"):
        be.load(manifest, "03")


def test_means_over_repeats(eeg2, monkeypatch):
    manifest, train, test = eeg2
    monkeypatch.setattr("brainenc.loaders.sensor_dict._BLOCK", 2 * 4 * 63)  # two images at a time
    brain = be.load(manifest, "03", variant="averaged").responses
    np.testing.assert_allclose(brain.values, np.concatenate([train.mean(axis=1), test.mean(axis=1)]).reshape(8, 63), atol=1e-6)
    assert list(brain.samples["n_repeats"]) == [4] * 5 + [6] * 3 and list(brain.samples["stimulus_id"]) == TRAIN + TEST
    single = be.load(manifest, "03").responses.average("stimulus_id")
    np.testing.assert_allclose(single.values, brain.values, atol=1e-6)
    assert be.load(manifest, "03", variant="test_averaged").responses.n_samples == 3


def test_reprocessing_with_more_channels_as_a_bare_pickle(eeg2, rng):
    """The same names and keys, 63 channels at 250 Hz in 32 bits, written by pickle.dump with protocol 4 and no header of numpy."""
    manifest, *_ = eeg2
    names = [*[name for name in mne.channels.make_standard_montage("easycap-M1").ch_names if name[0] in "FCPOAT"][:62], "lost"]
    times = np.arange(-50, 250) / 250
    train, test = (rng.standard_normal((n, r, 63, 300)).astype(np.float32) for n, r in ((5, 4), (3, 6)))
    write(manifest.parent / "sub-03/preprocessed_eeg_training.npy", train, names=names, times=times, bare=True)
    write(manifest.parent / "sub-03/preprocessed_eeg_test.npy", test, names=names, times=times, bare=True)
    brain = be.load(manifest, "03").responses
    assert brain.n_targets == 63 * 300 and brain.space.times[1] - brain.space.times[0] == pytest.approx(1 / 250)
    np.testing.assert_array_equal(brain.values[20:], test.reshape(18, -1))
    assert brain.targets["x"].isna().sum() == 300 and set(brain.targets.loc[brain.targets["x"].isna(), "channel"]) == {"lost"}
    assert brain.provenance["n_without_position"] == 1


def test_padded_repeats_are_left_out_and_holes_stay(eeg2, caplog):
    manifest, train, test = eeg2
    train[1, 3] = np.nan
    train[2, 0, 3, 4:6] = np.nan
    write(manifest.parent / "sub-03/preprocessed_eeg_training.npy", train)
    brain = be.load(manifest, "03", variant="train").responses
    assert brain.n_samples == 19 and brain.provenance["n_padding_rows"] == 1 and brain.provenance["n_missing_values"] == 2
    assert "2 missing values in 2 of 63 targets" in caplog.text
    means = be.load(manifest, "03", variant="train_averaged").responses
    assert list(means.samples["n_repeats"]) == [4, 3, 4, 4, 4] and np.isnan(means.values).sum() == 2
    np.testing.assert_allclose(means.values[1], train[1, :3].mean(axis=0).ravel(), atol=1e-6)


def test_an_encoding_model_finds_what_was_planted(tmp_path, rng, shrunk):
    """Forty images shown twice and twelve shown five times; Oz at 0.05 s follows three features, the rest is noise."""
    names = {"train": [f"cat_{i:02d}b.jpg" for i in range(40)], "test": [f"dog_{i:02d}b.jpg" for i in range(12)]}
    features = {part: rng.standard_normal((len(files), 3)) for part, files in names.items()}
    for part, file, repeats in (("train", "training", 2), ("test", "test", 5)):
        array = rng.standard_normal((len(names[part]), repeats, 7, 9))
        array[:, :, 4, 5] += 3 * (features[part] @ [1.0, -1.0, 0.5])[:, None]
        write(tmp_path / f"sub-01/preprocessed_eeg_{file}.npy", array)
    entries = {f"{part}_img_{what}": list(value) for part, files in names.items() for what, value in (("files", files), ("concepts", metadata(files)[1]))}
    np.save(tmp_path / "image_metadata.npy", entries)
    stimuli, brain = be.load(shrunk("things_eeg2"), "01")
    space = be.FeatureSpace(np.concatenate([features["train"], features["test"]]), pd.DataFrame({"stimulus_id": list(stimuli.ids)}), name="planted")
    scores = be.score_layers(space, brain, split=be.split.column(), encoder=be.encoding.Ridge(alphas=[1.0])).to_frame().set_index(["channel", "time"])["score"]
    assert scores.idxmax() == ("Oz", pytest.approx(TIMES[5])) and scores.max() > 0.9 and scores.drop(scores.idxmax()).abs().median() < 0.5


class Runs:
    """An object whose unpickling would make a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("bare", [False, True])
def test_pickles_that_would_run_code_are_refused(eeg2, bare, tmp_path):
    manifest, train, _ = eeg2
    trace = tmp_path / "trace"
    file = manifest.parent / "sub-03/preprocessed_eeg_training.npy"
    for name, entry in (("preprocessed_eeg_data", {"more": Runs(trace)}), ("ch_names", {"more": Runs(trace)})):
        write(file, train, bare=bare, **entry)
        with pytest.raises(DataError, match="no numpy array"):
            be.load(manifest, "03")
        write(file, train, bare=bare)
        content = {"preprocessed_eeg_data": train, "ch_names": CHANNELS, "times": TIMES, name: Runs(trace)}
        file.write_bytes(pickle.dumps(content, protocol=4))
        with pytest.raises(DataError, match="no numpy array"):
            be.load(manifest, "03")
    np.save(manifest.parent / "image_metadata.npy", {"train_img_files": Runs(trace)})
    with pytest.raises(DataError, match="no numpy array"):
        be.load(manifest, "03")
    assert not trace.exists()


def test_objects_inside_arrays_are_refused(eeg2):
    manifest, train, _ = eeg2
    file = manifest.parent / "sub-03/preprocessed_eeg_training.npy"
    write(file, train.astype(object))
    with pytest.raises(DataError, match="Python objects"):
        be.load(manifest, "03")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"names": CHANNELS[:6]}, "names of their own.*7 different names.*6"),
        ({"names": [*CHANNELS[:6], "Pz"]}, "names of their own"),
        ({"times": TIMES[:8]}, "times do not fit.*9 times.*8"),
        ({"times": TIMES**2}, "not evenly spaced"),
        ({"times": TIMES * 1000}, "not seconds"),
        ({"times": ["a"] * 9}, "no numbers"),
        ({"array": np.ones((5, 4, 63))}, "another number of axes.*sample, repeat, channel, time.*5, 4, 63"),
        ({"array": np.full((5, 4, 7, 9), "x")}, "real numbers"),
        ({"array": np.ones((0, 4, 7, 9))}, "no responses"),
        ({"array": np.ones((6, 4, 7, 9)) + np.random.default_rng(1).random((6, 4, 7, 9))}, "5 stimuli|different numbers"),
    ],
)
def test_files_that_do_not_fit(eeg2, change, text):
    manifest, train, _ = eeg2
    array = change.pop("array", train)
    write(manifest.parent / "sub-03/preprocessed_eeg_training.npy", array, **change)
    with pytest.raises(DataError, match=text):
        be.load(manifest, "03", variant="train")


def test_flat_channels_truncated_files_and_missing_entries(eeg2):
    manifest, train, test = eeg2
    file = manifest.parent / "sub-03/preprocessed_eeg_training.npy"
    train[:, :, 2] = 0.5
    write(file, train)
    with pytest.raises(DataError, match="never change.*'P7'"):
        be.load(manifest, "03")
    assert load_sensor_dict(file, key="preprocessed_eeg_data", flat="keep").n_samples == 20
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be read"):
        be.load(manifest, "03")
    np.save(file, {"eeg": train})
    with pytest.raises(NotFoundError, match="no key 'preprocessed_eeg_data'.*eeg"):
        be.load(manifest, "03")
    write(file, test[:, :4])
    with pytest.raises(DataError, match="different numbers.*6 stimuli, one per sample, got 8"):
        be.load(manifest, "03")  # a file of the other images under this name


def test_parts_that_were_preprocessed_differently_are_not_joined(eeg2):
    manifest, train, _ = eeg2
    write(manifest.parent / "sub-03/preprocessed_eeg_training.npy", train, names=CHANNELS[::-1])
    with pytest.raises(DataError, match="different channels"):
        be.load(manifest, "03")
    write(manifest.parent / "sub-03/preprocessed_eeg_training.npy", train, times=TIMES + 0.1)
    with pytest.raises(DataError, match="different times"):
        be.load(manifest, "03")


def test_axes_of_other_files(tmp_path, rng):
    array = rng.standard_normal((7, 9, 5))
    write(tmp_path / "x/y.npy", array)
    one = load_sensor_dict(tmp_path / "x/y.npy", key="preprocessed_eeg_data", axes=("channel", "time", "sample"))
    np.testing.assert_allclose(one.values, array.transpose(2, 0, 1).reshape(5, 63), rtol=1e-6)
    assert list(one.samples.columns) == ["sample"]
    with pytest.raises(InputError, match="axes need sample"):
        load_sensor_dict(tmp_path / "x/y.npy", key="preprocessed_eeg_data", axes=("channel", "time"))


def test_dictionaries_as_tables(tmp_path):
    np.save(tmp_path / "t.npy", {"a": [1, 2, 3], "b": np.array(["x", "y", "z"]), "c": [1], "d": "text", "e": np.ones((3, 2))})
    table = load_table(tmp_path / "t.npy", rename={"stimulus_id": "b", "n": "a"})
    assert table.to_dict("list") == {"stimulus_id": ["x", "y", "z"], "n": [1, 2, 3]}
    for key in "cde":
        with pytest.raises(DataError, match="no lists of one length"):
            load_table(tmp_path / "t.npy", rename={"stimulus_id": "b", "n": key})
    with pytest.raises(InputError, match="many entries"):
        load_table(tmp_path / "t.npy")


def test_manifests_that_contradict_themselves(eeg2):
    manifest, *_ = eeg2
    text = manifest.read_text()
    for old, new, message in (
        ('parts = { train = "training", test = "test" }\n', "", "parts fill"),
        ('axes = ["sample", "repeat", "channel", "time"]', 'axes = ["sample", "channel", "time"]', "no axis repeat"),
        ('key = "preprocessed_eeg_data"\n', "", "need the key"),
    ):
        manifest.write_text(text.replace(old, new, 1))
        with pytest.raises(InputError, match=message):
            be.load(manifest, "03")
