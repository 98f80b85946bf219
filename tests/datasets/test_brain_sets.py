"""THINGS-fMRI, short clips, GOD and BOLD5000 from miniature trees with the real names, keys, types and axis orders."""

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc import datasets
from brainenc.core.errors import DataError, InputError, NotFoundError

AFFINE = np.array([[2.0, 0, 0, -6], [0, 2.0, 0, -5], [0, 0, 2.0, -4], [0, 0, 0, 1]])


def write_frame(path, values, voxel_ids):
    """What ``DataFrame.to_hdf`` writes in its fixed format: one block for each type, rows by columns."""
    with h5py.File(path, "w") as file:
        group = file.create_group("ResponseData")
        group.attrs["pandas_type"] = np.bytes_(b"frame")
        group["axis0"] = np.array([b"voxel_id", *(str(i).encode() for i in range(values.shape[1]))])
        group["axis1"] = np.arange(len(values))
        group["block0_items"], group["block0_values"] = np.array([b"voxel_id"]), voxel_ids[:, None]
        group["block1_items"], group["block1_values"] = np.arange(values.shape[1]).astype("S4"), values


@pytest.fixture
def things(tmp_path, rng, shrunk):
    """Nine voxels of one person, six images shown once and two shown twice, in two sessions."""
    (tmp_path / "betas_csv").mkdir()
    (tmp_path / "brainmasks").mkdir()
    inside = np.zeros((4, 3, 3), np.int16)
    inside.reshape(-1)[rng.choice(36, 9, replace=False)] = 1
    nib.save(nib.Nifti1Image(inside, AFFINE), tmp_path / "brainmasks/sub-02_space-T1w_brainmask.nii.gz")
    voxels = rng.permutation(np.argwhere(inside))
    flags = {"V1": [1, 1, 1, 0, 0, 0, 0, 0, 0], "V2": [0, 0, 0, 1, 1, 0, 0, 0, 0], "lFFA": [0, 0, 0, 0, 1, 1, 0, 0, 0]}
    flags |= {name: [0] * 9 for name in ("V3", "hV4", "VO1", "VO2", "IT", "rFFA", "lEBA", "rEBA", "lPPA", "rPPA", "LO1 (prf)")}
    table = pd.DataFrame({"voxel_id": range(9), "subject_id": 2, **dict(zip(("voxel_x", "voxel_y", "voxel_z"), voxels.T, strict=True))})
    table["nc_testset"] = rng.random(9) * 100
    pd.concat([table, pd.DataFrame(flags)], axis=1).to_csv(tmp_path / "betas_csv/sub-02_VoxelMetadata.csv", index=False)
    names = ["dog_01b.jpg", "cup_03s.jpg", "dog_02s.jpg", "axe_11s.jpg", "cup_03s.jpg", "cup_01b.jpg", "bee_14n.jpg", "axe_11s.jpg", "bee_02s.jpg"]
    kinds = ["test" if names.count(name) > 1 else "train" for name in names]
    trials = pd.DataFrame({"trial_type": kinds, "session": [1] * 5 + [2] * 4, "run": [1, 1, 1, 2, 2, 1, 1, 2, 2], "subject_id": 2, "trial_id": range(9)})
    trials = trials.assign(stimulus=names, concept=[name.partition("_")[0] for name in names])
    trials.to_csv(tmp_path / "betas_csv/sub-02_StimulusMetadata.csv", index=False)
    values = rng.standard_normal((9, 9)).astype(np.float32)
    write_frame(tmp_path / "betas_csv/sub-02_ResponseData.h5", values, np.arange(9))
    return shrunk("things_fmri"), values, voxels, names


def test_things_voxels_trials_and_regions(things):
    manifest, values, voxels, names = things
    stimuli, brain = be.load(manifest, "02")
    np.testing.assert_array_equal(brain.values, values.T)
    assert list(brain.samples["stimulus_id"]) == names and list(brain.samples["session"]) == ["1"] * 5 + ["2"] * 4
    assert list(stimuli.ids) == list(dict.fromkeys(names)) and stimuli.table.loc["cup_03s.jpg"].to_dict() == {"concept": "cup", "trial_type": "test"}
    np.testing.assert_array_equal(brain.space.voxels, voxels)
    np.testing.assert_allclose(brain.space.affine, AFFINE)
    assert list(brain.targets["roi"].fillna("")) == ["V1"] * 3 + ["V2"] * 2 + [""] * 4
    assert list(brain.targets["FFA"].fillna("")) == [""] * 4 + ["left"] * 2 + [""] * 3  # one voxel of V2 is in it too
    assert brain.where("nc_testset > 0 and FFA == 'left'").n_targets == 2 and brain.repeats()[0].shape == (7, 2, 9)


def test_things_regions_alone(things, monkeypatch):
    manifest, values, voxels, _ = things
    monkeypatch.setattr("brainenc.io.hdf5._PIECE", 2 * values[0].nbytes)  # pieces of two rows, one of them without any voxel that is kept
    brain = be.load(manifest, "02", variant="regions").responses
    np.testing.assert_array_equal(brain.values, values[:6].T)
    np.testing.assert_array_equal(brain.space.voxels, voxels[:6])
    assert list(brain.targets["roi"].fillna("")) == ["V1"] * 3 + ["V2"] * 2 + [""] and list(brain.targets["voxel_id"]) == list(range(6))
    write_frame(manifest.parent / "betas_csv/sub-02_ResponseData.h5", values[:8], np.arange(8))
    with pytest.raises(DataError, match="do not fit the table that selects them.*9 rows"):
        be.load(manifest, "02", variant="regions")


def test_things_with_images(things, rng):
    manifest, *_ = things
    from PIL import Image

    folder = manifest.parent / "object_images/dog"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((5, 5, 3), 77, np.uint8)).save(folder / "dog_02s.png")
    (folder / "dog_02s.png").rename(folder / "dog_02s.jpg")
    stimuli = be.load(manifest, "02", variant="images").stimuli
    assert stimuli.kind == "image" and stimuli.load("dog_02s.jpg")[2, 2, 1] == 77


def test_things_files_that_do_not_fit(things):
    manifest, values, *_ = things
    folder = manifest.parent / "betas_csv"
    write_frame(folder / "sub-02_ResponseData.h5", values[:, :8], np.arange(9))
    with pytest.raises(DataError, match="8 samples of the responses.*9 rows"):
        be.load(manifest, "02")
    write_frame(folder / "sub-02_ResponseData.h5", values[:8], np.arange(8))
    with pytest.raises(DataError, match="8 targets of the responses.*9 rows"):
        be.load(manifest, "02")
    write_frame(folder / "sub-02_ResponseData.h5", (values * 100).astype(int), np.arange(9))
    with pytest.raises(DataError, match="no single block of fractions.*0 of 2 blocks"):
        be.load(manifest, "02")
    with pytest.raises(DataError, match=r"files of things_fmri are missing|are not here"):
        be.load(manifest, "01")


def test_sets_without_checksums_say_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINENC_DATA", str(tmp_path))
    for name, place in (("things_fmri", "figshare.plus.20492835"), ("shortclips", "gin.g-node.org"), ("god", "7387130"), ("bold5000", "14456124")):
        with pytest.raises(DataError, match=f"(?s)checksums.*{place}.*[Gg]et them from"):
            datasets.fetch(name)
        with pytest.raises(DataError, match=f"[Gg]et them from.*{place}"):
            be.load(name, datasets.manifest(name).subjects[0])


@pytest.fixture
def shortclips(tmp_path, rng, shrunk):
    """Twelve runs of four scans and a test movie of three scans shown ten times, with a voxel without values."""
    (tmp_path / "responses").mkdir()
    train = rng.standard_normal((48, 5)).astype(np.float32)
    test = rng.standard_normal((10, 3, 5)).astype(np.float32)
    train[:, 2] = test[:, :, 2] = np.nan
    with h5py.File(tmp_path / "responses/S03_responses.hdf", "w") as file:
        file["Y_train"], file["Y_test"], file["run_onsets"] = train, test, np.arange(0, 48, 4)
    (tmp_path / "mappers").mkdir()
    with h5py.File(tmp_path / "mappers/S03_mappers.hdf", "w") as file:
        file["roi_mask_V1"], file["roi_mask_FFA"] = np.array([1, 1, 0, 0, 0], bool), np.array([0, 1, 0, 1, 0], np.uint8)
        file["flatmap_mask"], file["voxel_to_fsaverage_shape"] = np.ones((2, 3), bool), np.array([327684, 5])
    return shrunk("shortclips", length=("run_length = 300", "run_length = 4")), train, test


def test_shortclips_training_runs(shortclips, caplog):
    manifest, train, _ = shortclips
    stimuli, brain = be.load(manifest, "S03")
    np.testing.assert_array_equal(brain.values, train)
    assert brain.t_r == 2.0 and list(brain.samples["run"]) == list(np.repeat(np.arange(1, 13), 4))
    assert list(brain.samples["time"][:5]) == [0, 2, 4, 6, 0] and set(brain.samples["split"]) == {"train"}
    assert list(brain.events["stimulus_id"]) == [f"train_{i:02d}" for i in range(12)] and set(brain.events["duration"]) == {8.0}
    assert brain.provenance["n_targets_with_missing"] == 1 and "48 missing values" in caplog.text
    assert list(brain.targets["V1"]) == [1, 1, 0, 0, 0] and brain.where("V1 == 1 and FFA == 1").n_targets == 1
    assert set(brain.targets) == {"target_id", "V1", "FFA"}
    assert stimuli.kind == "video" and stimuli.table.loc["train_11", "path"] == "stimuli/train_11.hdf" and len(stimuli) == 13


def test_shortclips_showings_of_the_test_movie_are_runs(shortclips):
    manifest, _, test = shortclips
    brain = be.load(manifest, "S03", variant="test").responses
    np.testing.assert_array_equal(brain.values, test.reshape(30, 5))
    assert list(brain.samples["run"]) == list(brain.samples["repeat"]) == list(np.repeat(np.arange(1, 11), 3))
    assert list(brain.samples["time"][:4]) == [0, 2, 4, 0]
    assert list(brain.events["run"]) == list(range(1, 11)) and set(brain.events["stimulus_id"]) == {"test"}


def test_shortclips_that_are_no_whole_runs(shortclips):
    manifest, train, test = shortclips
    with h5py.File(manifest.parent / "responses/S03_responses.hdf", "w") as file:
        file["Y_train"] = train[:47]
    with pytest.raises(DataError, match="no whole number of runs.*multiple of 4.*47"):
        be.load(manifest, "S03")
    with pytest.raises(NotFoundError, match="no key 'Y_test'.*Y_train"):
        be.load(manifest, "S03", variant="test")
    with h5py.File(manifest.parent / "responses/S03_responses.hdf", "w") as file:
        file["Y_train"] = train[:, :4]
    with pytest.raises(DataError, match="values do not fit the targets.*roi_mask_FFA.*4 values"):
        be.load(manifest, "S03")


GOD_KEYS = ["VoxelData", "ROI_V1", "ROI_V2", "ROI_V3", "ROI_V4", "ROI_LOC", "voxel_x", "DataType", "Run", "stimulus_id"]


@pytest.fixture
def god(tmp_path, rng, shrunk):
    """Six voxels and four blocks of training, test and imagery; keys flag columns with 1 and say NaN elsewhere."""
    values = rng.standard_normal((4, 6))
    ids = [1518878.005958, 1943899.0101, 2128385.02, 1943899.0101]
    design = np.column_stack([[1, 2, 1, 3], [1, 1, 2, 3], ids])
    meta = np.full((len(GOD_KEYS), 9), np.nan)
    meta[0, :6] = 1
    for row, inside in ((1, [0, 1]), (2, [2]), (3, []), (4, [3]), (5, [3, 4])):
        meta[row, :6] = 0
        meta[row, inside] = 1
    meta[6, :6] = np.linspace(-30, 30, 6)
    meta[[7, 8, 9], [6, 7, 8]] = 1
    with h5py.File(tmp_path / "Subject3.h5", "w") as file:
        file["dataSet"] = np.column_stack([values, design])
        file["metaData/key"] = [key.encode() for key in GOD_KEYS]
        file["metaData/description"] = [b"" for _ in GOD_KEYS]
        file["metaData/value"] = meta
    return shrunk("god"), values, ids


def test_god_columns_by_their_flags(god):
    manifest, values, ids = god
    stimuli, brain = be.load(manifest, "3")
    np.testing.assert_array_equal(brain.values, values)
    assert list(brain.samples["split"]) == ["train", "test", "train", "imagery"] and list(brain.samples["Run"]) == [1, 1, 2, 3]
    assert list(brain.samples["stimulus_id"]) == [str(i) for i in ids] and len(stimuli) == 3 and stimuli.kind == "none"
    assert list(brain.targets["roi"].fillna("")) == ["V1", "V1", "V2", "V4", "", ""]
    assert brain.where("ROI_LOC == 1").n_targets == 2  # one of them is in V4
    np.testing.assert_allclose(brain.targets["voxel_x"], np.linspace(-30, 30, 6))
    assert brain.rows("split == 'imagery'").n_samples == 1


def test_god_files_of_another_layout(god):
    manifest, *_ = god
    file = manifest.parent / "Subject3.h5"
    with h5py.File(file, "a") as stored:
        stored["metaData/key"][0] = b"Voxels"
    with pytest.raises(NotFoundError, match="no key 'VoxelData'.*Voxels"):
        be.load(manifest, "3")
    with h5py.File(file, "a") as stored:
        stored["metaData/key"][0] = b"VoxelData"
        stored["dataSet"][0, 6] = 4
    with pytest.raises(DataError, match="values without a label.*4"):
        be.load(manifest, "3")
    with h5py.File(file, "a") as stored:
        del stored["metaData/value"]
    with pytest.raises(DataError, match="layout of a brain decoder table"):
        be.load(manifest, "3")


@pytest.fixture
def bold5000(tmp_path, rng, shrunk):
    """Two sessions of unequal length whose headers have a wrong affine, a list of images through both, and overlapping region masks."""
    mask = rng.random((4, 4, 3)) < 0.5
    nib.save(nib.Nifti1Image(mask.astype(np.int16), AFFINE), tmp_path / "CSI4_brainmask.nii.gz")
    sessions = [rng.standard_normal((4, 4, 3, n)).astype(np.float32) for n in (5, 3)]
    for i, betas in enumerate(sessions):
        nib.save(nib.Nifti1Image(betas, np.eye(4)), tmp_path / f"CSI4_GLMbetas-TYPED-FITHRF-GLMDENOISE-RR_ses-{i + 1:02d}.nii.gz")
    names = ["a.jpg", "n01440764_1.JPEG", "COCO_train2014_000000000307.jpg", "a.jpg", "b.jpg", "a.jpg", "c.jpg", "a.jpg"]
    (tmp_path / "CSI4_imgnames.txt").write_text("\n".join(names) + "\n")
    (tmp_path / "sub-CSI4").mkdir()
    regions = {}
    for roi in ("EarlyVis", "LOC", "PPA", "RSC", "OPA"):
        left = rng.random(mask.shape) < 0.4
        for side, here in (("LH", left), ("RH", ~left & (rng.random(mask.shape) < 0.4))):
            regions[side, roi] = here
            nib.save(nib.Nifti1Image(here.astype(np.uint8), AFFINE), tmp_path / f"sub-CSI4/sub-CSI4_mask-{side}{roi}.nii.gz")
    manifest = shrunk("bold5000", sessions=('CSI4 = ["01", "02", "03", "04", "05", "06", "07", "08", "09"]', 'CSI4 = ["01", "02"]'))
    return manifest, mask, sessions, names, regions


def test_bold5000_sessions_joined_under_one_list(bold5000):
    manifest, mask, sessions, names, regions = bold5000
    stimuli, brain = be.load(manifest, "CSI4")
    np.testing.assert_array_equal(brain.values, np.concatenate([betas[mask].T for betas in sessions]))
    assert list(brain.samples["session"]) == ["01"] * 5 + ["02"] * 3 and list(brain.samples["stimulus_id"]) == names
    assert list(stimuli.ids) == list(dict.fromkeys(names)) and brain.repeats()[0].shape[1] == 4
    np.testing.assert_allclose(brain.space.affine, AFFINE)
    np.testing.assert_allclose(brain.targets[["x", "y", "z"]], np.argwhere(mask) * 2.0 + AFFINE[:3, 3])
    for (side, roi), here in regions.items():
        np.testing.assert_array_equal(brain.targets[roi] == {"LH": "left", "RH": "right"}[side], here[mask])


def test_bold5000_that_does_not_fit(bold5000):
    manifest, _, _, names, regions = bold5000
    with pytest.raises(InputError, match="runs through all sessions.*[Ll]eave session out"):
        be.load(manifest, "CSI4", session="02")
    nib.save(nib.Nifti1Image(regions["LH", "LOC"].astype(np.uint8), AFFINE), manifest.parent / "sub-CSI4/sub-CSI4_mask-RHLOC.nii.gz")
    with pytest.raises(InputError, match="two regions of one column"):
        be.load(manifest, "CSI4")
    (manifest.parent / "CSI4_imgnames.txt").write_text("\n".join(names[:-1]))
    with pytest.raises(DataError, match="8 samples of the responses.*7 rows"):
        be.load(manifest, "CSI4")
