"""Real EEG and intracranial recordings: event counts, the N170, a P3, band powers against grip force, and trees of BIDS."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import ttest_ind

import brainenc as be
from brainenc.core.errors import BrainencError, BrainencWarning, DataError
from brainenc.encoding import cluster_test
from brainenc.loaders import BandPower, Preprocessing, load_continuous, load_epochs, load_events, locate_contacts, read_bids_recordings, read_recording
from brainenc.loaders.bids_recordings import read_channels, read_electrodes

MUSE = ["TP9", "AF7", "AF8", "TP10"]


@pytest.fixture(scope="module")
def muse(real_data):
    files = sorted((real_data("eeg_muse_n170") / "N170").glob("*.csv"))
    return [read_recording(file, sampling_rate=256, units="uV", columns=MUSE, stim=["Marker0"], montage="easycap-M1") for file in files]


def n170(muse, **how):
    steps = Preprocessing(l_freq=1, h_freq=30, filter="iir")
    return load_epochs(muse, tmin=-0.1, tmax=0.8, event_id={"house": 1, "face": 2}, preprocessing=steps, **how)


def test_n170_counts(muse):
    """591 houses and 583 faces were shown in six runs; some 97 % keep within 100 µV."""
    every = n170(muse)
    assert every.samples["stimulus_id"].value_counts().to_dict() == {"house": 591, "face": 583}
    assert len(muse) == 6 and every.samples["run"].nunique() == 6
    kept = n170(muse, reject={"eeg": 100})
    counts = kept.provenance["runs"].values()
    assert kept.n_samples + sum(one["n_reject"] for one in counts) == 1174 and 0.96 < kept.n_samples / 1174 < 0.99
    theirs = mne.concatenate_raws([one.raw.copy() for one in muse], verbose="error").filter(1, 30, method="iir", verbose="error")
    found = mne.find_events(theirs, verbose="error")
    epochs = mne.Epochs(theirs, found, {"house": 1, "face": 2}, -0.1, 0.8, baseline=None, reject={"eeg": 100e-6}, preload=True, verbose="error")
    assert len(epochs["face"]) == (kept.samples["stimulus_id"] == "face").sum()


def test_n170_of_faces(muse):
    """At TP10 faces are more negative than houses around 170 to 230 ms (t > 2.5 over trials), and not before the stimulus."""
    kept = n170(muse, reject={"eeg": 100}, baseline=(-0.1, 0))
    sensor = kept.where(channel="TP10")
    time, face = sensor.targets["time"].to_numpy(), (sensor.samples["stimulus_id"] == "face").to_numpy()

    def t_value(window):
        x = sensor.values[:, (time >= window[0]) & (time <= window[1])].mean(axis=1)
        a, b = x[face], x[~face]
        return (a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))

    assert t_value((0.17, 0.23)) < -2.5
    assert abs(t_value((-0.1, 0.0))) < 2.5


@pytest.fixture(scope="module")
def faces_and_houses(muse):
    """Held-out scores of a category feature at both temporal contacts, leaving one run out; every trial shows a picture of its own."""
    kept = n170(muse, reject={"eeg": 100}).where("channel in ['TP9', 'TP10']")
    return kept, category_scores(kept, kept.samples["stimulus_id"] == "face")


def category_scores(brain, face):
    # the recording names categories, not pictures: trials are what was put in random order, so trials are what a permutation exchanges
    ids = [f"trial {number}" for number in range(brain.n_samples)]
    trials = replace(brain, samples=brain.samples.assign(stimulus_id=ids))
    features = be.FeatureSpace(np.asarray(face, dtype=float)[:, None], {"stimulus_id": ids}, name="table:category/face")
    with pytest.warns(BrainencWarning, match="mostly the largest"):  # most times hold no signal
        return be.score_layers(features, trials, split=be.split.runs(), ceiling=None, keep_predictions=True)


def inside(table, channel, first, last):
    """Clusters of one contact that begin and end within a window."""
    return table[(table["channels"] == channel) & (table["start"] >= first) & (table["stop"] <= last)]


def test_faces_and_houses_over_time(faces_and_houses):
    """Category is predicted on held-out runs within 100-250 ms at TP10 and 180-330 ms at TP9, both contacts corrected, and never before 0.

    Data, threshold, penalty and correction are the defaults. Order was random within each run and runs share no sample, so trials within a run
    are exchangeable however long the noise remembers and however much the epochs (0.9 s, a picture each 0.6 s) overlap.
    """
    _, scores = faces_and_houses
    assert scores.values.shape[1] == 6 and scores.provenance["exchangeable"] == {"subject": "stimuli"}
    found = cluster_test(scores, n=1000)
    claimed = found.table[found.table["p"] <= 0.05]
    assert inside(claimed, "TP10", 0.1, 0.25)["p"].min() <= 0.01 and inside(claimed, "TP9", 0.18, 0.33)["p"].min() <= 0.01
    assert (claimed["start"] >= 0.1).all()
    enhanced = cluster_test(scores, n=300, threshold="tfce").table
    assert inside(enhanced, "TP10", 0.1, 0.25)["p"].min() <= 0.02 and inside(enhanced, "TP9", 0.18, 0.33)["p"].min() <= 0.02
    assert (enhanced["start"] >= 0.1).all()


def test_faces_and_houses_with_other_hands(faces_and_houses):
    """mne's cluster test of the trials themselves (Welch's t, both signs) finds the same two windows."""
    brain, scores = faces_and_houses
    face = (brain.samples["stimulus_id"] == "face").to_numpy()
    trials = brain.values.astype(float).reshape(len(face), 2, -1).transpose(0, 2, 1)
    neighbours = mne.stats.combine_adjacency(trials.shape[1], sparse.coo_array(np.eye(2)))
    t, clusters, p, _ = mne.stats.permutation_cluster_test(
        [trials[face], trials[~face]], threshold=1.96, n_permutations=300, tail=0, adjacency=neighbours, out_type="indices", verbose="error",
        stat_fun=lambda a, b: ttest_ind(a, b, equal_var=False).statistic,
    )  # fmt: skip
    time, channels = brain.targets["time"].unique(), list(brain.targets["channel"].unique())
    rows = [
        {"channels": channels[where[1][0]], "start": time[where[0]].min(), "stop": time[where[0]].max(), "sign": np.sign(t[where].sum()), "p": one}
        for where, one in zip(clusters, p, strict=True)
    ]
    theirs = pd.DataFrame(rows).query("p <= 0.05")
    assert inside(theirs, "TP10", 0.1, 0.25)["sign"].min() == -1 and inside(theirs, "TP9", 0.18, 0.33)["sign"].max() == 1 and (theirs["start"] >= 0).all()
    ours = cluster_test(scores, n=100).table
    for channel, first, last in (("TP10", 0.1, 0.25), ("TP9", 0.18, 0.33)):
        best = inside(ours, channel, first, last).iloc[0]
        near = np.abs(inside(theirs, channel, first, last)[["start", "stop"]].to_numpy(dtype=float) - best[["start", "stop"]].to_numpy(dtype=float))
        assert near.max(axis=1).min() < 0.012


def test_shuffled_faces_and_houses_have_no_clusters(faces_and_houses, rng):
    brain, _ = faces_and_houses
    run, face = brain.samples["run"].to_numpy(), (brain.samples["stimulus_id"] == "face").to_numpy()
    for _ in range(3):
        order = np.lexsort((rng.random(len(run)), run))
        table = cluster_test(category_scores(brain.take_rows(np.argsort(run, kind="stable")), face[order]), n=100).table
        assert (table["p"] > 0.05).all()


def test_p3_of_the_square(real_data):
    folder = real_data("eeg_eeglab_square")
    names = [line.split()[-1] for line in (folder / "test_chans.locs").read_text().splitlines()]
    rename = {f"EEG {i:03d}": name.replace("FPz", "Fpz") for i, name in enumerate(names)}
    one = read_recording(folder / "test_raw.set", rename=rename, types={"EOG1": "eog", "EOG2": "eog"}, montage="easycap-M1")
    ours = load_epochs(one, tmin=-0.2, tmax=0.8, event_id={"square": "square"}, baseline=(-0.2, 0))
    assert ours.n_samples == 80 and ours.targets["channel"].nunique() == 30
    assert ours.where("channel == 'Pz' and time >= 0.3 and time <= 0.5").values.mean() == pytest.approx(17.4, abs=1.0)
    assert ours.provenance["runs"]["1"]["n_other"] == 74  # the responses
    events, codes = mne.events_from_annotations(one.raw, verbose="error")
    theirs = mne.Epochs(one.raw, events, codes["square"], -0.2, 0.8, baseline=(-0.2, 0), picks="eeg", preload=True, verbose="error").average()
    evoked = ours.space.paint(ours.values.astype(float).mean(axis=0))
    assert evoked.ch_names == theirs.ch_names
    np.testing.assert_allclose(evoked.data, theirs.data * 1e6, atol=1e-4)


@pytest.fixture(scope="module")
def grip(real_data):
    return read_bids_recordings(real_data("ieeg_gripforce_bids"), subject="testsub", task="gripforce", events=False, scale=1e-6)


def test_grip_force_header_is_caught(real_data):
    """The header says microvolts for numbers that are a million times too large."""
    runs = read_bids_recordings(real_data("ieeg_gripforce_bids"), subject="testsub", task="gripforce", events=False)
    with pytest.raises(DataError, match="implausible"):
        load_continuous(runs, events=False)


@pytest.mark.parametrize("method", ["hilbert", "multitaper"])
def test_band_powers_and_grip_force(grip, method):
    """Beta falls with grip force in LFP 1 and ECoG 1, gamma rises in ECoG 3."""
    steps = {"channels": ["misc"], "units": "as_is"}
    force = load_continuous(grip, events=False, preprocessing=Preprocessing(**steps), windows=(0.5, 0.1))
    out = {}
    for name, low, high in (("beta", 13, 35), ("gamma", 90, 150)):
        band = BandPower(low=low, high=high, method=method, window=0.5, step=0.1, log=True)
        power = load_continuous(grip, events=False, preprocessing=Preprocessing(power=band), windows=(0.5, 0.1) if method == "hilbert" else None)
        assert power.sampling_rate == pytest.approx(10.0) and power.n_targets == 9
        for contact, values in zip(power.targets["channel"], power.values.T, strict=True):
            moved = np.interp(force.samples["time"], power.samples["time"], values)
            out[name, contact] = np.corrcoef(moved, force.values[:, 0])[0, 1]
    assert out["beta", "LFP_RIGHT_1"] < -0.3 and out["beta", "ECOG_RIGHT_1"] < -0.3
    assert out["gamma", "ECOG_RIGHT_3"] > 0.2


def test_grip_force_contacts(grip):
    (one,) = grip
    assert len(one.raw.times) == 19001 and one.channels["type"].value_counts().to_dict() == {"ecog": 6, "dbs": 3, "misc": 1}
    assert one.provenance["frame"] == "mni" and one.channels["x"].iloc[3] == pytest.approx(37.318, abs=1e-3)  # metres in the file
    placed = locate_contacts(one.channels, frame=one.provenance["frame"], tissue=True)
    assert list(placed["shaft"].fillna("")) == ["LFP_RIGHT"] * 3 + ["ECOG_RIGHT"] * 6 + ["MOV_RIGHT"][:0] + [""]
    assert set(placed["hemi"].iloc[:9]) == {"right"} and not placed["outside_brain"].iloc[:3].any()
    bipolar = load_continuous(grip, events=False, preprocessing=Preprocessing(reference="bipolar"))
    assert bipolar.n_targets == 2 + 5


def trees(root):
    tasks = {"ieeg_visual": "visual", "ieeg_motorMiller2007": "motor", "eeg_matchingpennies": "matchingpennies", "ds105": "objectviewing"}
    for name, task in tasks.items():
        for subject in sorted(one.name for one in (root / name).glob("sub-*") if one.is_dir()):
            yield root / name, subject, task


def test_bids_trees_refuse_empty_recordings(real_data):
    """Their signals are placeholders: every subject is refused with a reason, none with a traceback of a library."""
    reasons = []
    for root, subject, task in trees(real_data("bids_layouts")):
        with pytest.raises(BrainencError) as caught:
            read_bids_recordings(root, subject=subject, task=task, space="Talairach" if "motor" in root.name else None)
        reasons.append(caught.value.what)
    known = ("recording holds no samples", "recording is shorter than its side file says", "subject has no EEG, MEG or intracranial recordings")
    assert len(reasons) >= 21 and {one for one in reasons} == set(known)


def test_bids_tables_are_read(real_data):
    root = real_data("bids_layouts")
    events = [load_events(path)[0] for path in sorted(root.rglob("*_events.tsv"))]
    assert len(events) >= 40 and all(set(one.columns) >= {"onset", "duration", "stimulus_id", "run"} for one in events)
    for path in sorted(root.rglob("*_channels.tsv")):
        assert set(read_channels(path)["status"]) <= {"good", "bad"}
    for path in sorted(root.rglob("*_electrodes.tsv")):
        table, frame = read_electrodes(path, Path(str(path).replace("_electrodes.tsv", "_coordsystem.json")))
        assert frame in ("ACPC", "Talairach") and 20 < np.nanmax(np.abs(table[["x", "y", "z"]].to_numpy())) < 120
    visual, record = load_events(root / "ieeg_visual/sub-01/ses-01/ieeg/sub-01_ses-01_task-visual_run-01_events.tsv")
    assert record["stimulus"] == "stim_file" and visual["stimulus_id"][0] == "stim_129.png" and "trial_type" in visual


def test_real_tree_with_signals(real_data, tmp_path, rng):
    """The real tables and header of one subject with ten seconds of signals put in."""
    source = real_data("bids_layouts") / "ieeg_motorMiller2007" / "sub-ug" / "ses-01" / "ieeg"
    target = tmp_path / "sub-ug" / "ses-01" / "ieeg"
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    n = len(read_channels(next(target.glob("*_channels.tsv"))))
    data = (rng.standard_normal((30_000, n)) * 50).astype("<f4")
    next(target.glob("*.eeg")).write_bytes(data.tobytes())
    side = next(target.glob("*_ieeg.json"))
    side.write_text(json.dumps(json.loads(side.read_text()) | {"RecordingDuration": 30.0}))
    listed = next(target.glob("*_events.tsv"))
    rows = listed.read_text().splitlines()
    listed.write_text("\n".join([rows[0], *(row for row in rows[1:] if float(row.split("\t")[0]) < 28)]) + "\n")
    runs = read_bids_recordings(tmp_path, subject="ug", task="motor")
    ours = load_epochs(runs, tmin=0, tmax=0.5)
    assert set(ours.samples["stimulus_id"]) <= {"hand_cue", "tong_cue", "hand", "tongue"} | set(ours.samples["trial_type"])
    first = int(round(ours.samples["onset"][0] * 1000))
    scale = float(np.abs(runs[0].raw.get_data()[0, first]) * 1e6 / abs(data[first, 0]))
    assert scale == pytest.approx(1.0, rel=1e-4)  # BrainVision's default is microvolts
    assert ours.targets["roi" if "roi" in ours.targets else "x"].notna().all() and runs[0].provenance["frame"] == "Talairach"


@pytest.mark.parametrize(("name", "how", "n"), [("n170_muse", {"variant": "kept"}, 1143), ("eeglab_square", {}, 80), ("gripforce_ieeg", {}, 19001)])
def test_manifests(real_data, name, how, n):
    """The sets load by name with the facts that their manifests know."""
    folder = {"n170_muse": "eeg_muse_n170", "eeglab_square": "eeg_eeglab_square", "gripforce_ieeg": "ieeg_gripforce_bids"}[name]
    stimuli, brain = be.load(name, root=real_data(folder), **how)
    assert brain.n_samples == pytest.approx(n, abs=10) and brain.units == "µV" and brain.provenance["dataset"] == name
    if name == "n170_muse":
        assert sorted(stimuli.ids) == ["face", "house"]
    if name == "gripforce_ieeg":
        assert brain.sampling_rate == 1000 and brain.samples["MOV_RIGHT"].std() > 0
