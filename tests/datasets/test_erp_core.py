"""ERP CORE from miniature BIDS trees with the real names, codes and channels: EEGLAB files and tables of events beside them."""

from __future__ import annotations

import json

import mne
import numpy as np
import pandas as pd
import pytest
import scipy.io

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError

RATE, SECONDS = 1024, 40
SCALP = be.datasets.manifest("erp_core").recordings.steps.channels
NAMES = [*SCALP, "HEOG_left", "HEOG_right", "VEOG_lower"]


def write_set(path, data, names=NAMES, rate=RATE):
    """An EEGLAB file with its signals (µV) inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.zeros((1, len(names)), dtype=[("labels", "O")])
    for i, name in enumerate(names):
        labels[0, i] = (name,)
    n = data.shape[1]
    content = {
        "setname": "x", "nbchan": float(len(names)), "trials": 1.0, "pnts": float(n), "srate": float(rate), "xmin": 0.0, "xmax": (n - 1) / rate,
        "times": np.arange(n) / rate * 1000, "data": data.astype(np.float32), "chanlocs": labels, "event": np.zeros((0, 0)), "epoch": np.zeros((0, 0)),
        "icawinv": np.zeros((0, 0)), "icasphere": np.zeros((0, 0)), "icaweights": np.zeros((0, 0)), "icaact": np.zeros((0, 0)),
    }  # fmt: skip
    scipy.io.savemat(path, {"EEG": content}, appendmat=False)


def write_task(root, rng, task, codes, kinds=None, onsets=None):
    folder = root / task / "sub-007/eeg"
    data = rng.standard_normal((len(NAMES), SECONDS * RATE)) * 10 + rng.standard_normal((len(NAMES), 1)) * 50
    write_set(folder / f"sub-007_task-{task}_eeg.set", data)
    onsets = 3.0 + 1.5 * np.arange(len(codes)) if onsets is None else onsets
    events = pd.DataFrame({"onset": onsets, "duration": "n/a", "sample": np.rint(onsets * RATE).astype(int), "trial_type": kinds or "stimulus", "value": codes})
    events.to_csv(folder / f"sub-007_task-{task}_events.tsv", sep="\t", index=False)
    kinds = ["EEG"] * 30 + ["HEOG", "HEOG", "VEOG"]
    channels = pd.DataFrame({"name": NAMES, "type": kinds, "units": "microV"})
    channels.to_csv(folder / f"sub-007_task-{task}_channels.tsv", sep="\t", index=False)
    facts = {"TaskName": task, "SamplingFrequency": RATE, "PowerLineFrequency": 60, "RecordingDuration": SECONDS, "EEGReference": "n/a"}
    (folder / f"sub-007_task-{task}_eeg.json").write_text(json.dumps(facts))
    (root / task / "dataset_description.json").write_text(json.dumps({"Name": f"ERP CORE {task}", "BIDSVersion": "1.8.0"}))
    return data, onsets


def by_mne(data, onsets, reference, tmin, tmax, baseline):
    """Filter, reference, resample and cut with mne alone, in its own order of steps."""
    raw = mne.io.RawArray(data[:30] * 1e-6, mne.create_info(list(SCALP), float(RATE), "eeg"), verbose="error")
    raw.filter(0.1, None, verbose="error").set_eeg_reference(reference, projection=False, verbose="error").resample(256.0, npad="auto", verbose="error")
    at = np.rint(onsets * 256).astype(int)
    events = np.column_stack([at, np.zeros(len(at), int), np.arange(1, len(at) + 1)])
    return mne.Epochs(raw, events, tmin=tmin, tmax=tmax, baseline=baseline, preload=True, verbose="error").get_data() * 1e6


def test_every_picture_is_a_stimulus(tmp_path, rng, shrunk):
    codes, kinds = [1, 40, 201, 41, 101, 202, 180, 1], ["stimulus", "stimulus", "response", "stimulus", "stimulus", "response", "stimulus", "stimulus"]
    data, onsets = write_task(tmp_path, rng, "N170", codes, kinds)
    stimuli, brain = be.load(shrunk("erp_core"), "007")
    assert list(brain.samples["stimulus_id"]) == ["face_01", "face_40", "car_01", "scrambled_face_01", "scrambled_car_40", "face_01"]
    assert list(brain.samples["repeat"]) == [1, 1, 1, 1, 1, 2] and brain.provenance["runs"]["1"]["n_other"] == 2
    kept = [i for i, kind in enumerate(kinds) if kind == "stimulus"]
    np.testing.assert_allclose(brain.samples["onset"], onsets[kept] + 0.026)
    expected = by_mne(data, onsets[kept] + 0.026, "average", -0.2, 0.8, (-0.2, 0))
    np.testing.assert_allclose(brain.values, expected.reshape(6, -1), atol=5e-3)
    assert list(dict.fromkeys(brain.targets["channel"])) == list(SCALP) and brain.n_targets == 7710 and len(stimuli) == 5
    info = mne.create_info(["Fp1"], 1.0, "eeg").set_montage("easycap-M1")
    np.testing.assert_allclose(brain.targets[["x", "y", "z"]].iloc[0], info["chs"][0]["loc"][:3] * 1000, rtol=1e-5)  # FP1 here
    assert brain.targets["x"].notna().all() and brain.provenance["montage"] == "easycap-M1" and brain.provenance["without_position"] == []
    assert brain.provenance["onset_shift"] == 0.026 and brain.provenance["line_frequency"] == 60


@pytest.mark.parametrize(
    ("task", "codes", "names", "shift", "span", "baseline"),
    [
        ("MMN", [80, 70, 180, 80], ["standard", "deviant", "standard", "standard"], 0.0, (-0.2, 0.8), (-0.2, 0.0)),
        ("N2pc", [111, 212, 121, 222, 201], ["target_left", "target_left", "target_right", "target_right"], 0.026, (-0.2, 0.8), (-0.2, 0.0)),
        ("N400", [111, 211, 121, 222], ["related", "unrelated"], 0.026, (-0.2, 0.8), (-0.2, 0.0)),
        ("P3", [11, 12, 55, 54], ["target", "other", "target", "other"], 0.026, (-0.2, 0.8), (-0.2, 0.0)),
        ("LRP", [12, 111, 222, 21, 112], ["left", "right", "left"], 0.0, (-0.8, 0.2), (-0.8, -0.6)),
        ("ERN", [12, 111, 222, 21, 112], ["correct", "correct", "error"], 0.0, (-0.6, 0.4), (-0.4, -0.2)),
    ],
)
def test_other_components(tmp_path, rng, shrunk, task, codes, names, shift, span, baseline):
    data, onsets = write_task(tmp_path, rng, task, codes)
    brain = be.load(shrunk("erp_core"), "007", variant=task).responses
    assert list(brain.samples["stimulus_id"]) == names
    shown = {"N400": [1, 3], "LRP": [1, 2, 4], "ERN": [1, 2, 4], "N2pc": [0, 1, 2, 3]}.get(task, range(len(codes)))
    expected = by_mne(data, onsets[list(shown)] + shift, ["P9", "P10"], *span, baseline)
    np.testing.assert_allclose(brain.values, expected.reshape(len(names), -1), atol=5e-3)


def test_trees_that_are_incomplete_or_of_another_task(tmp_path, rng, shrunk):
    data, _ = write_task(tmp_path, rng, "N170", [1, 41])
    manifest, folder = shrunk("erp_core"), tmp_path / "N170/sub-007/eeg"
    with pytest.raises(DataError, match="are missing|are not here"):
        be.load(manifest, "007", variant="P3")
    with pytest.raises(DataError, match="are missing|are not here"):
        be.load(manifest, "008")
    events = folder / "sub-007_task-N170_events.tsv"
    table = pd.read_csv(events, sep="\t")
    table.assign(value=[201, 202]).to_csv(events, sep="\t", index=False)
    with pytest.raises(InputError, match="no event is left"):
        be.load(manifest, "007")
    table.drop(columns="value").to_csv(events, sep="\t", index=False)
    with pytest.raises(NotFoundError, match="no column 'value'"):
        be.load(manifest, "007")
    table.assign(onset=table["sample"]).to_csv(events, sep="\t", index=False)
    with pytest.raises(InputError, match="lie outside the recording"):
        be.load(manifest, "007")  # samples taken for seconds
    events.unlink()
    with pytest.raises(DataError, match="run has no events"):
        be.load(manifest, "007")
    table.to_csv(events, sep="\t", index=False)
    channels = folder / "sub-007_task-N170_channels.tsv"
    pd.read_csv(channels, sep="\t").assign(name=[f"E{i}" for i in range(33)]).to_csv(channels, sep="\t", index=False)
    with pytest.raises(DataError, match="does not list the channels"):
        be.load(manifest, "007")
    channels.unlink()
    write_set(folder / "sub-007_task-N170_eeg.set", data[:, : RATE * 20])
    with pytest.raises(DataError, match="shorter|Duration|ends"):
        be.load(manifest, "007")
    path = folder / "sub-007_task-N170_eeg.set"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot be read"):
        be.load(manifest, "007")


def test_signals_that_are_flat_missing_or_in_volts(tmp_path, rng, shrunk):
    data, _ = write_task(tmp_path, rng, "N170", [1, 41])
    manifest, path = shrunk("erp_core"), tmp_path / "N170/sub-007/eeg/sub-007_task-N170_eeg.set"
    for change, text in (
        (lambda x: np.where(np.arange(33)[:, None] == 12, 4.0, x), "never change.*'Oz'"),
        (lambda x: np.where((np.arange(33)[:, None] == 3) & (np.arange(x.shape[1]) < 9), np.nan, x), "missing values.*9 samples.*'FC3'"),
        (lambda x: x * 1e-6, "units of eeg channels are implausible"),
    ):
        write_set(path, change(data))
        with pytest.raises(DataError, match=text):
            be.load(manifest, "007")
