"""fMRIPrep trees: what was written comes back in order and in time, and whatever leaves is counted."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import BrainencWarning, DataError, InputError, NotFoundError
from brainenc.loaders import load_fmriprep, single_trial_betas

_spec = importlib.util.spec_from_file_location("fmriprep_tree", Path(__file__).with_name("fmriprep_tree.py"))
tree_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tree_module)
Tree, AFFINE, GRID, T_R = tree_module.Tree, tree_module.AFFINE, tree_module.GRID, tree_module.T_R
MNI = {"subject": "01", "task": "film", "space": "MNI152NLin2009cAsym"}
BOLD = "_space-MNI152NLin2009cAsym_desc-preproc_bold"


@pytest.fixture
def tree(tmp_path, rng):
    return Tree(tmp_path, rng)


def test_volumes_within_the_mask_of_every_run(tree):
    brain = load_fmriprep(tree.root, **MNI, rest=["rest"])
    shared = (tree.masks[1] & tree.masks[2]) > 0
    assert shared.sum() == 58
    np.testing.assert_array_equal(brain.values, np.concatenate([tree.data["volume", run][shared].T for run in (1, 2)]))
    assert brain.t_r == T_R and brain.samples["run"].tolist() == [1] * 14 + [2] * 12 and (brain.samples["subject"] == "01").all()
    np.testing.assert_array_equal(brain.samples["time"], np.r_[np.arange(14), np.arange(12)] * T_R)
    assert brain.provenance["mask"]["n_voxels_of_runs"] == [59, 59] and brain.provenance["frame_time"] == 0.9
    assert brain.events[["stimulus_id", "run", "onset"]].to_numpy().tolist() == [["face", 1, 2.0], ["face", 2, 2.0]]
    assert brain.provenance["events"] == {"stimulus": "trial_type", "n_without_stimulus": 2, "n_rest": 2}
    made = be.design(be.FeatureSpace(np.ones((1, 1)), {"stimulus_id": ["face"]}), brain, hrf="glover")
    assert made.provenance["design"]["frame_time"] == 0.9 and made.n_samples == 26


def test_surfaces_and_grayordinates(tree):
    surface = load_fmriprep(tree.root, subject="sub-01", task="film", space="fsnative", rest=["rest"], runs=[2, "01"])
    expected = np.concatenate([np.hstack([tree.data["L", run], tree.data["R", run]]) for run in (2, 1)])
    np.testing.assert_array_equal(surface.values, expected)
    assert surface.samples["run"].tolist() == [2] * 12 + [1] * 14 and surface.provenance["frame_time"] == T_R / 2
    cifti = load_fmriprep(tree.root, subject="01", task="film", space="fsLR", den="91k", events=False)
    np.testing.assert_array_equal(cifti.values, np.concatenate([tree.data["cifti", run] for run in (1, 2)]))
    assert cifti.events is None and cifti.t_r == T_R


def test_trimming_and_cleaning_happen_within_runs(tree):
    from nilearn.signal import clean

    plain = load_fmriprep(tree.root, **MNI)
    names = ["trans_x", "rot_y_derivative1"]
    brain = load_fmriprep(tree.root, **MNI, confounds=names, detrend=True, standardize="zscore", trim=(2, 1))
    assert brain.samples["time"].tolist() == [*np.arange(2, 13) * T_R, *np.arange(2, 11) * T_R]
    start = 0
    for run, n in ((1, 14), (2, 12)):
        table = tree.tables[run][names].bfill().to_numpy()[2 : n - 1]
        rows = (plain.samples["run"] == run).to_numpy()
        expected = clean(plain.values[rows][2 : n - 1].astype(float), detrend=True, standardize="zscore_sample", confounds=table)
        np.testing.assert_allclose(brain.values[start : start + n - 3], expected, atol=2e-5)
        start += n - 3
    record = brain.provenance["cleaned"]
    assert record["n_filled"] == 2 and record["n_scans"] == {"1": 11, "2": 9} and record["confounds"]["1"] == names


@pytest.mark.parametrize(
    "confounds", ["simple", ("motion", "high_pass"), {"strategy": ("motion", "wm_csf"), "motion": "basic"}], ids=["preset", "components", "keywords"]
)
def test_strategies_are_nilearns(tmp_path, rng, confounds):
    from nilearn.interfaces.fmriprep import load_confounds, load_confounds_strategy
    from nilearn.signal import clean

    tree = Tree(tmp_path, rng, spaces=("volume",), runs={1: 60})
    plain, brain = (load_fmriprep(tree.root, **MNI, **kwargs) for kwargs in ({}, {"confounds": confounds}))
    path = str(tree.func(1, f"{BOLD}.nii.gz"))
    if isinstance(confounds, str):
        table, _ = load_confounds_strategy(path, confounds)
    else:
        table, _ = load_confounds(path, **(confounds if isinstance(confounds, dict) else {"strategy": confounds}))
    assert brain.provenance["cleaned"]["confounds"]["1"] == list(table.columns) and table.shape[1] >= 8
    expected = clean(plain.values.astype(float), detrend=False, standardize=None, confounds=table.to_numpy())
    np.testing.assert_allclose(brain.values, expected, atol=1e-4)


def test_scrubbed_scans_are_counted_and_the_others_keep_their_time(tmp_path, rng):
    tree = Tree(tmp_path, rng, spaces=("volume",), runs={1: 60})
    table = tree.tables[1]
    table.loc[[20, 21], "framewise_displacement"] = 3.0
    table["non_steady_state_outlier00"] = (np.arange(60) == 0).astype(float)
    table.to_csv(tree.func(1, "_desc-confounds_timeseries.tsv"), sep="\t", index=False, na_rep="n/a")
    strategy = {"strategy": ("motion", "scrub"), "motion": "basic", "scrub": 0, "fd_threshold": 0.5, "std_dvars_threshold": 2.0}
    with pytest.warns(BrainencWarning, match="3 scans of '01' are left out.*3 in run 1"):
        brain = load_fmriprep(tree.root, **MNI, confounds=strategy, high_pass=1 / 60)
    assert brain.provenance["cleaned"]["n_scrubbed"] == {"1": 3}
    assert brain.samples["time"].tolist() == [T_R * i for i in range(60) if i not in (0, 20, 21)]


def test_sessions_are_told_apart(tmp_path, rng):
    first, second = (Tree(tmp_path, rng, ses=ses, spaces=("volume",), runs=runs) for ses, runs in (("a", {1: 12}), ("b", {1: 9, 2: 8})))
    brain = load_fmriprep(first.root, **MNI)
    assert list(dict.fromkeys(brain.samples["run"])) == ["a/1", "b/1", "b/2"] and brain.samples["session"].tolist() == ["a"] * 12 + ["b"] * 17
    assert set(brain.events["run"]) == {"a/1", "b/1", "b/2"}
    only = load_fmriprep(first.root, **MNI, session="b", runs=[2])
    assert only.samples["run"].tolist() == [2] * 8
    np.testing.assert_array_equal(only.values, second.data["volume", 2][(second.masks[2] > 0)].T)


def test_repetition_times_must_agree(tree):
    path = tree.func(2, f"{BOLD}.json")
    path.write_text(json.dumps({"RepetitionTime": 2.5}))
    with pytest.raises(DataError, match="repetition times disagree.*2 s.*2.5 s"):
        load_fmriprep(tree.root, **MNI)
    path.write_text(json.dumps({"RepetitionTime": 2.0, "StartTime": 0.2}))
    with pytest.raises(DataError, match=r"start times of runs disagree.*0\.2.*0\.9"):
        load_fmriprep(tree.root, **MNI)
    path.write_text(json.dumps({"RepetitionTime": "two"}))
    with pytest.raises(DataError, match="no positive number"):
        load_fmriprep(tree.root, **MNI)
    tree.nifti(tree.func(2, f"{BOLD}.nii.gz"), tree.data["volume", 2], t_r=0.0)
    path.unlink()
    tree.func(1, f"{BOLD}.json").unlink()
    with pytest.raises(DataError, match=r"disagree.*2 s.*1\.5 s|disagree.*1\.5 s.*2 s"):
        load_fmriprep(tree.root, **MNI, t_r=1.5)
    assert load_fmriprep(tree.root, **MNI).t_r == T_R  # the header of run 1
    for run in (1, 2):
        for side in "LR":
            tree.func(run, f"_hemi-{side}_space-fsnative_bold.json").unlink()
    with pytest.raises(DataError, match="nothing says the repetition time"):
        load_fmriprep(tree.root, subject="01", task="film", space="fsnative")
    (tree.raw / "task-film_bold.json").write_text(json.dumps({"RepetitionTime": 2.0}))
    assert load_fmriprep(tree.root, subject="01", task="film", space="fsnative").t_r == 2.0


def test_what_is_missing_is_named(tree):
    cases = [
        ({"subject": "1"}, NotFoundError, "no subject '1'.*'01'"),
        ({"task": "flim"}, NotFoundError, "task-flim.*'film'.*[Dd]id you mean"),
        ({"space": "MNI152NLin6Asym"}, NotFoundError, "space-MNI152NLin6Asym.*MNI152NLin2009cAsym"),
        ({"runs": [3]}, NotFoundError, "no run 3.*'1', '2'"),
        ({"session": "x"}, NotFoundError, "no session 'x'"),
        ({"confounds": "simpel"}, InputError, "simple"),
        ({"confounds": ["trans_w"]}, NotFoundError, "trans_w.*trans_x"),
        ({"confounds": ["motion", "trans_x"]}, InputError, "mix"),
        ({"confounds": {"strategy": ("motion",), "moton": "full"}}, InputError, "moton"),
        ({"confounds": ("high_pass", "compcor")}, DataError, "cannot be loaded"),
        ({"stimulus": "image"}, NotFoundError, "no column 'image'.*trial_type"),
        ({"trim": (6, 6)}, InputError, "fewer than three scans"),
        ({"trim": (-1, 0)}, InputError, "trim"),
        ({"bids": tree.raw / "nowhere"}, DataError, "no such folder"),
    ]
    for kwargs, error, message in cases:
        with pytest.raises(error, match=message):
            load_fmriprep(tree.root, **{**MNI, **kwargs})
    with pytest.raises(InputError, match="only volumes take a mask"):
        load_fmriprep(tree.root, subject="01", task="film", space="fsLR", mask="m.nii.gz")


def test_missing_files_and_other_grids(tree):
    moved = AFFINE.copy()
    moved[0, 3] += 1
    tree.nifti(tree.func(2, f"{BOLD}.nii.gz"), tree.data["volume", 2], affine=moved)
    with pytest.raises(DataError, match="another grid.*61"):
        load_fmriprep(tree.root, **MNI)
    tree.func(2, "_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz").unlink()
    with pytest.raises(DataError, match="no brain mask"):
        load_fmriprep(tree.root, **MNI)
    tree.func(1, "_hemi-R_space-fsnative_bold.func.gii").unlink()
    with pytest.raises(DataError, match="hemisphere is missing.*hemi-R"):
        load_fmriprep(tree.root, subject="01", task="film", space="fsnative")
    (tree.folder(tree.raw) / f"{tree.stem(1)}_events.tsv").unlink()
    with pytest.raises(DataError, match="run has no events.*events=False"):
        load_fmriprep(tree.root, subject="01", task="film", space="fsLR")
    short = tree.tables[1].iloc[:-1]
    short.to_csv(tree.func(1, "_desc-confounds_timeseries.tsv"), sep="\t", index=False, na_rep="n/a")
    with pytest.raises(DataError, match="different lengths.*14 scans.*13 rows"):
        load_fmriprep(tree.root, subject="01", task="film", space="fsLR", events=False, confounds=["trans_x"])


def test_two_resolutions_must_be_told_apart(tree):
    for n in (1, 2):
        name = tree.func(1, f"_space-T1w_res-{n}_desc-preproc_bold.nii.gz")
        tree.nifti(name, tree.data["volume", 1])
    with pytest.raises(InputError, match="differ in res.*res='1'"):
        load_fmriprep(tree.root, subject="01", task="film", space="T1w")
    one = load_fmriprep(tree.root, subject="01", task="film", space="T1w", res="2", mask=tree.func(1, "_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz"))
    assert one.n_samples == 14 and one.n_targets == 59


def test_values_are_untouched_unless_asked(tree):
    brain = load_fmriprep(tree.root, **MNI)
    assert brain.values.dtype == np.float32 and abs(float(brain.values.mean()) - 100) < 1
    assert isinstance(brain.events, pd.DataFrame)


def test_what_was_loaded_and_its_betas_can_be_kept(tree, tmp_path):
    brain = load_fmriprep(tree.root, **MNI, confounds=["trans_x"], rest=["rest"], trim=(1, 0))
    betas = single_trial_betas(brain, drift=None)
    for one in (brain, betas):
        again = be.read(one.save(tmp_path / "one.npz"))
        np.testing.assert_array_equal(again.values, one.values)
        assert again.samples.equals(one.samples) and again.provenance["frame_time"] == 0.9
    assert be.read(tmp_path / "one.npz").provenance["betas"]["method"] == "lss"
    assert be.read(brain.save(tmp_path / "brain.npz")).provenance["cleaned"] == brain.provenance["cleaned"]
