"""Miniature BIDS trees of EEG and intracranial recordings: types, status, units of positions, inheritance, and what is refused."""

from __future__ import annotations

import json

import mne
import numpy as np
import pandas as pd
import pytest

from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import Preprocessing, load_continuous, load_epochs, read_bids_recordings
from brainenc.loaders.bids_recordings import _in_head, read_electrodes

NAMES = ["LA1", "LA2", "LA3", "GRIP"]


def write_run(root, rng, run="01", ses="a", n=2000, **changes):
    folder = root / "sub-01" / f"ses-{ses}" / "ieeg"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"sub-01_ses-{ses}_task-film_run-{run}"
    raw = mne.io.RawArray(rng.standard_normal((4, n)) * 1e-5, mne.create_info(NAMES, 200.0, "eeg"), verbose="error")
    raw.save(folder / f"{stem}_ieeg.fif", overwrite=True, verbose="error")
    lines = "name\ttype\tunits\tstatus\nGRIP\tMISC\tn/a\tgood\nLA1\tSEEG\tµV\tgood\nLA2\tSEEG\tµV\tbad\nLA3\tSEEG\tµV\tgood\n"
    (folder / f"{stem}_channels.tsv").write_text("\ufeff" + changes.get("channels", lines), encoding="utf-8")
    (folder / f"{stem}_events.tsv").write_text(changes.get("events", "onset\tduration\ttrial_type\n1.0\t0.5\tword\n2.0\tn/a\tscene\n"))
    (folder / f"{stem}_ieeg.json").write_text(json.dumps({"RecordingDuration": changes.get("told", n / 200), "PowerLineFrequency": 50}))
    electrodes = "name\tx\ty\tz\tsize\nLA1\t-0.030\t0.010\t0.005\t5\nLA2\t-0.033\t0.010\t0.005\t5\nLA3\t-0.036\t0.010\t0.005\t5\nGRIP\tn/a\tn/a\tn/a\tn/a\n"
    (folder / f"sub-01_ses-{ses}_space-MNI152Lin_electrodes.tsv").write_text(changes.get("electrodes", electrodes))
    system = {"iEEGCoordinateSystem": "MNI152Lin", "iEEGCoordinateUnits": "m"} | changes.get("system", {})
    (folder / f"sub-01_ses-{ses}_space-MNI152Lin_coordsystem.json").write_text(json.dumps(system))
    return raw, folder / stem


def load(root, **how):
    return read_bids_recordings(root, subject="01", task="film", **how)


def test_types_status_and_millimetres(rng, tmp_path):
    raw, _ = write_run(tmp_path, rng)
    (one,) = load(tmp_path)
    assert list(one.channels["channel"]) == NAMES and list(one.channels["type"]) == ["seeg", "seeg", "seeg", "misc"]
    assert one.raw.info["bads"] == ["LA2"] and one.run == 1
    np.testing.assert_allclose(one.channels.loc[:2, "x"].astype(float), [-30, -33, -36])
    assert list(one.channels["shaft"].fillna("")) == ["LA", "LA", "LA", ""] and list(one.channels["hemi"].fillna("")) == ["left"] * 3 + [""]
    assert one.provenance["frame"] == "MNI152Lin" and one.provenance["line_frequency"] == 50
    epochs = load_epochs([one], tmin=0, tmax=0.5)
    assert list(epochs.samples["stimulus_id"]) == ["word", "scene"] and list(epochs.samples["duration"]) == [0.5, 0.0]
    np.testing.assert_allclose(epochs.values[0], raw.get_data()[[0, 2], 200:301].ravel() * 1e6, rtol=1e-4)
    assert set(epochs.targets["channel"]) == {"LA1", "LA3"} and set(epochs.targets["x"]) == {-30.0, -36.0}
    grip = load_continuous([one], preprocessing=Preprocessing(channels=["misc"]))
    np.testing.assert_allclose(grip.values[:, 0], raw.get_data()[3], rtol=1e-4)


def test_runs_and_sessions(rng, tmp_path):
    for ses in ("a", "b"):
        for run in ("01", "02"):
            write_run(tmp_path, rng, run=run, ses=ses)
    assert [one.run for one in load(tmp_path)] == ["a/1", "a/2", "b/1", "b/2"]
    assert [one.run for one in load(tmp_path, session="b", runs=[2])] == [2]
    assert [one.run for one in load(tmp_path, session="b", runs=["02", 1])] == [2, 1]
    with pytest.raises(NotFoundError, match="no run"):
        load(tmp_path, runs=[9])
    with pytest.raises(NotFoundError, match="no recording of that name"):
        load(tmp_path, session="c")
    with pytest.raises(NotFoundError, match="no subject"):
        read_bids_recordings(tmp_path, subject="02", task="film")


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"told": 60.0}, DataError, "shorter than its side file"),
        ({"system": {"iEEGCoordinateUnits": "n/a"}}, DataError, "no units"),
        ({"system": {"iEEGCoordinateUnits": "mm"}}, DataError, "not those of a head"),
        ({"electrodes": "name\tx\ty\tz\nB1\t0.01\t0.02\t0.03\n"}, DataError, "name no channel"),
        ({"channels": "name\ttype\nLA1\tSEEG\nLA2\tSEEG\nLA3\tSEEG\nLA9\tSEEG\n"}, DataError, "only in the recording: 'GRIP'; only in the table: 'LA9'"),
        ({"channels": "name\ttype\nLA1\tSPEEG\nLA2\tSEEG\nLA3\tSEEG\nGRIP\tMISC\n"}, DataError, "types are not known"),
        ({"channels": "label\nLA1\n"}, (DataError, NotFoundError), "name"),
    ],
)
def test_tables_that_do_not_fit(rng, tmp_path, changes, error, text):
    write_run(tmp_path, rng, **changes)
    with pytest.raises(error, match=text):
        load(tmp_path)


def test_missing_files(rng, tmp_path):
    _, stem = write_run(tmp_path, rng)
    stem.with_name(stem.name + "_events.tsv").unlink()
    with pytest.raises(DataError, match="run has no events"):
        load(tmp_path)
    assert load(tmp_path, events=False)[0].events is None
    stem.with_name(stem.name + "_channels.tsv").unlink()
    with pytest.raises(DataError, match=r"need channels\.tsv"):
        load(tmp_path, events=False)


def test_spaces_and_inheritance(rng, tmp_path):
    _, stem = write_run(tmp_path, rng)
    folder = stem.parent
    (folder / "sub-01_ses-a_space-ACPC_electrodes.tsv").write_text("name\tx\ty\tz\nLA1\t-31\t1\t2\nLA2\t-34\t1\t2\nLA3\t-37\t1\t2\n")
    (folder / "sub-01_ses-a_space-ACPC_coordsystem.json").write_text(json.dumps({"iEEGCoordinateSystem": "ACPC", "iEEGCoordinateUnits": "mm"}))
    with pytest.raises(InputError, match="several tables of electrodes"):
        load(tmp_path)
    (one,) = load(tmp_path, space="ACPC")
    assert one.provenance["frame"] == "ACPC" and one.channels["x"][0] == -31
    (tmp_path / "task-film_ieeg.json").write_text(json.dumps({"PowerLineFrequency": 60, "SamplingFrequency": 512}))
    with pytest.raises(DataError, match="sampling rates disagree"):
        load(tmp_path, space="ACPC")
    (tmp_path / "task-film_ieeg.json").write_text(json.dumps({"PowerLineFrequency": 60, "SamplingFrequency": 200}))
    assert load(tmp_path, space="ACPC")[0].provenance["line_frequency"] == 50  # the nearer file wins


def test_frame_of_other_systems(tmp_path):
    (tmp_path / "sub-1_space-mni_electrodes.tsv").write_text("name\tx\ty\tz\nA1\t0.03\t0.01\tn/a\n")
    (tmp_path / "c.json").write_text(json.dumps({"iEEGCoordinateSystem": "Other", "iEEGCoordinateUnits": "m"}))
    table, frame = read_electrodes(tmp_path / "sub-1_space-mni_electrodes.tsv", tmp_path / "c.json")
    assert frame == "mni" and table["x"][0] == pytest.approx(30) and np.isnan(table["z"][0])


def test_axes_of_sensors():
    """A sensor in front and to the left, in axes that run right-front-up and front-left-up."""
    ras = pd.DataFrame({"x": [-20.0], "y": [80.0], "z": [30.0]})
    als = pd.DataFrame({"x": [80.0], "y": [20.0], "z": [30.0]})
    for table, frame in ((ras, "CapTrak"), (als, "CTF"), (als, "EEGLAB")):
        moved, named = _in_head(table, frame)
        assert named == "head" and moved[["x", "y", "z"]].iloc[0].tolist() == [-20.0, 80.0, 30.0]
    assert _in_head(als, "BESA")[1] == "BESA"


def test_eeg_tree(rng, tmp_path):
    """BrainVision in an EEG tree: header written by hand, µV by default, ``uV`` in the table."""
    folder = tmp_path / "sub-05" / "eeg"
    folder.mkdir(parents=True)
    stem = "sub-05_task-oddball"
    data = rng.standard_normal((400, 2)).astype("<f4") * 20
    (folder / f"{stem}_eeg.eeg").write_bytes(data.tobytes())
    (folder / f"{stem}_eeg.vmrk").write_text("Brain Vision Data Exchange Marker File, Version 1.0\n[Marker Infos]\n")
    (folder / f"{stem}_eeg.vhdr").write_text(
        f"Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nDataFile={stem}_eeg.eeg\nMarkerFile={stem}_eeg.vmrk\nDataFormat=BINARY\n"
        "DataOrientation=MULTIPLEXED\nNumberOfChannels=2\nSamplingInterval=10000\n[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\nCh1=Cz,,1\nCh2=EOG,,1\n"
    )
    (folder / f"{stem}_channels.tsv").write_text("name\ttype\tunits\nCz\tEEG\tuV\nEOG\tVEOG\tuV\n")
    pd.DataFrame({"onset": [0.5, 1.5], "duration": 0, "stim_file": ["a.png", "b.png"]}).to_csv(folder / f"{stem}_events.tsv", sep="\t", index=False)
    runs = read_bids_recordings(tmp_path, subject="sub-05", task="task-oddball")
    ours = load_epochs(runs, tmin=0, tmax=0.3)
    np.testing.assert_allclose(ours.values, [data[50:81, 0], data[150:181, 0]], rtol=1e-5)
    assert list(ours.samples["stimulus_id"]) == ["a.png", "b.png"] and runs[0].channels["type"].tolist() == ["eeg", "eog"]
