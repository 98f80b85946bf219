"""NSD and Algonauts 2023 from miniature trees with the real names, keys, types and axis orders."""

import h5py
import nibabel as nib
import numpy as np
import pytest
import scipy.io
from PIL import Image

import brainenc as be
from brainenc import datasets
from brainenc.core.errors import DataError, InputError
from brainenc.nouns import NoiseCeiling

AFFINE = np.array([[1.8, 0, 0, -5], [0, 1.8, 0, -4], [0, 0, 1.8, -3], [0, 0, 0, 1]])
GRID = (5, 4, 3)
N_IMAGES, N_TRIALS = 30, 6
CTABS = {
    "streams": "0 Unknown\n1 early\n5 ventral\n", "floc-faces": "0 Unknown\n1 OFA\n2 FFA-1\n", "floc-bodies": "0 Unknown\n1 EBA\n",
    "floc-places": "0 Unknown\n1 OPA\n2 PPA\n", "floc-words": "0 Unknown\n2 VWFA-1\n", "HCP_MMP1": "0 Unknown\n1 V1\n18 FFC\n163 VVC\n",
}  # fmt: skip
MESH = 163842


def volume(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, AFFINE), path)


def surface(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.MGHImage(data.astype(np.float32).reshape(MESH, 1, 1, *data.shape[1:]), np.eye(4)), path)


def write_regions(root, rng, subject):
    """Label volumes with -1 outside the hemisphere, and the colour tables that name their values."""
    roi = root / f"nsddata/ppdata/subj{subject}/func1pt8mm/roi"
    general = (rng.random(GRID) < 0.5).astype(np.int16)
    general[0] = -1
    general[1, :2, 0] = 1
    volume(roi / "nsdgeneral.nii.gz", general)
    side = np.arange(GRID[0])[:, None, None] < 3
    for name, here in (("lh", side), ("rh", ~side)):
        volume(roi / f"{name}.nsdgeneral.nii.gz", np.where(here, general, -1).astype(np.int16))
    labels = {"prf-visualrois": rng.integers(-1, 8, GRID)}
    for name, text in CTABS.items():
        codes = [int(line.split()[0]) for line in text.splitlines()]
        labels[name] = rng.choice([-1, *codes], GRID)
        folder = root / f"nsddata/freesurfer/subj{subject}/label"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.mgz.ctab").write_text(text)
    for name, codes in labels.items():
        volume(roi / f"{name}.nii.gz", codes.astype(np.int16))
    return general > 0, labels, side


@pytest.fixture
def nsd(tmp_path, rng, shrunk):
    """Two sessions of six trials of subject 02, as int16 volumes, as HDF5 in MATLAB's order and on fsaverage."""
    betas = tmp_path / "nsddata_betas/ppdata/subj02"
    mask, labels, side = write_regions(tmp_path, rng, "02")
    order = np.array([3, 1, 3, 7, 2, 9, 9, 3, 1, 4, 10, 2])
    subjectim = np.stack([rng.permutation(N_IMAGES)[:10] + 1 for _ in range(8)])
    experiment = tmp_path / "nsddata/experiments/nsd"
    experiment.mkdir(parents=True)
    scipy.io.savemat(
        experiment / "nsd_expdesign.mat",
        {"masterordering": order[None].astype(np.uint16), "subjectim": subjectim.astype(np.float64), "sharedix": np.arange(1, 4)[None]},
    )
    shared = rng.random(N_IMAGES) < 0.3
    rows = [f'{i},{1000 + i},train2017,"(0, 0, 0.1, 0.1)",{i},{bool(shared[i])}' for i in range(N_IMAGES)]
    (experiment / "nsd_stim_info_merged.csv").write_text("\n".join([",cocoId,cocoSplit,cropBox,nsdId,shared1000", *rows]))
    stored = rng.integers(-900, 900, (2, N_TRIALS, *GRID)).astype(np.int16)
    version = betas / "func1pt8mm/betas_fithrf_GLMdenoise_RR"
    ncsnr = rng.random(GRID).astype(np.float32)
    volume(version / "ncsnr.nii.gz", ncsnr)
    for session in (0, 1):
        volume(version / f"betas_session{session + 1:02d}.nii.gz", np.moveaxis(stored[session], 0, -1))
        with h5py.File(version / f"betas_session{session + 1:02d}.hdf5", "w") as file:
            file.create_dataset("betas", data=stored[session].transpose(0, 3, 2, 1), chunks=(N_TRIALS, 1, 1, 1))
    images = rng.integers(0, 256, (N_IMAGES, 8, 8, 3), dtype=np.uint8)
    (tmp_path / "nsddata_stimuli/stimuli/nsd").mkdir(parents=True)
    with h5py.File(tmp_path / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5", "w") as file:
        file["imgBrick"] = images
    manifest = shrunk("nsd", sessions=(SESSIONS_02, '"02" = ["01", "02"]'), trials=("per_session = 750", f"per_session = {N_TRIALS}"))
    arrays = {
        "stored": stored, "mask": mask, "labels": labels, "side": side, "ncsnr": ncsnr, "images": images, "shared": shared,
        "ids": subjectim[1][order - 1] - 1,
    }  # fmt: skip
    return manifest, arrays


SESSIONS_02 = '"02" = [' + ", ".join(f'"{i:02d}"' for i in range(1, 41)) + "]"


@pytest.mark.parametrize("variant", [None, "hdf5"])
def test_nsd_volumes_in_percent_signal_change(nsd, variant):
    manifest, arrays = nsd
    stimuli, brain = be.load(manifest, "02", variant=variant)
    mask = arrays["mask"]
    expected = arrays["stored"][:, :, mask].reshape(12, -1) / 300
    np.testing.assert_allclose(brain.values, expected, rtol=1e-6)
    assert brain.values.dtype == np.float32 and brain.units == "% signal change"
    assert list(brain.samples["session"]) == ["01"] * 6 + ["02"] * 6
    np.testing.assert_array_equal(brain.samples["stimulus_id"].astype(int), arrays["ids"])
    np.testing.assert_array_equal(brain.samples["shared1000"], arrays["shared"][arrays["ids"]])
    np.testing.assert_array_equal(brain.targets[["i", "j", "k"]], np.argwhere(mask))
    np.testing.assert_allclose(brain.targets[["x", "y", "z"]], np.argwhere(mask) * 1.8 + AFFINE[:3, 3], atol=1e-4)
    painted = brain.space.paint(brain.values[3]).get_fdata()
    np.testing.assert_allclose(painted[mask], arrays["stored"][0, 3][mask] / 300, rtol=1e-6)
    assert brain.repeats()[0].shape[1] == 3 and len(stimuli) == len(set(arrays["ids"]))


def test_nsd_regions_of_volumes_and_the_ceiling(nsd):
    manifest, arrays = nsd
    brain = be.load(manifest, "02").responses
    mask, labels = arrays["mask"], arrays["labels"]
    codes = labels["prf-visualrois"][mask]
    for name, wanted in {"V1": [1, 2], "V2": [3, 4], "V3": [5, 6], "hV4": [7]}.items():
        np.testing.assert_array_equal(brain.targets["roi"] == name, np.isin(codes, wanted))
    assert brain.targets["roi"].isna().sum() == (codes < 1).sum()
    np.testing.assert_array_equal(brain.targets["visual_part"] == "V2d", codes == 4)
    np.testing.assert_array_equal(brain.targets["stream"] == "ventral", labels["streams"][mask] == 5)
    np.testing.assert_array_equal(brain.targets["faces"] == "FFA-1", labels["floc-faces"][mask] == 2)
    np.testing.assert_array_equal(brain.targets["glasser"] == "VVC", labels["HCP_MMP1"][mask] == 163)
    np.testing.assert_array_equal(brain.targets["hemi"] == "left", np.broadcast_to(arrays["side"], GRID)[mask])
    np.testing.assert_allclose(brain.targets["ncsnr"], arrays["ncsnr"][mask])
    ceiling = NoiseCeiling.from_ncsnr(brain.targets["ncsnr"], n_repeats=3)
    np.testing.assert_allclose(ceiling.values, arrays["ncsnr"][mask] ** 2 / (arrays["ncsnr"][mask] ** 2 + 1 / 3), rtol=1e-5)


def test_nsd_one_session_and_its_images(nsd):
    manifest, arrays = nsd
    stimuli, brain = be.load(manifest, "02", session="02")
    np.testing.assert_allclose(brain.values, arrays["stored"][1][:, arrays["mask"]] / 300, rtol=1e-6)
    np.testing.assert_array_equal(brain.samples["stimulus_id"].astype(int), arrays["ids"][6:])
    assert brain.name == "02/02" and set(stimuli.ids) == {str(i) for i in arrays["ids"][6:]}
    number = int(arrays["ids"][8])
    np.testing.assert_array_equal(stimuli.load(str(number)), arrays["images"][number])
    (manifest.parent / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5").unlink()  # 40 GB that only images need
    assert be.load(manifest, "02", session="02").responses.n_samples == 6


def test_nsd_on_fsaverage_is_not_scaled(nsd, rng):
    manifest, arrays = nsd
    root = manifest.parent
    label = root / "nsddata/freesurfer/fsaverage/label"
    version = root / "nsddata_betas/ppdata/subj02/fsaverage/betas_fithrf_GLMdenoise_RR"
    label.mkdir(parents=True)
    inside, betas = {}, {}
    for hemi in ("lh", "rh"):
        inside[hemi] = np.flatnonzero(rng.random(MESH) < 2e-4)
        general = np.zeros(MESH)
        general[inside[hemi]] = 1
        surface(label / f"{hemi}.nsdgeneral.mgz", general)
        surface(label / f"{hemi}.streams.mgz", np.where(np.arange(MESH) % 2, 5, 0))
        surface(label / f"{hemi}.HCP_MMP1.mgz", np.where(np.arange(MESH) % 3, 18, 0))
        betas[hemi] = rng.standard_normal((MESH, N_TRIALS)).astype(np.float32)
        surface(version / f"{hemi}.betas_session01.mgh", betas[hemi])
        surface(version / f"{hemi}.ncsnr.mgh", np.arange(MESH) / MESH)
    for name in ("streams", "HCP_MMP1"):
        (label / f"{name}.mgz.ctab").write_text(CTABS[name])
    brain = be.load(manifest, "02", session="01", variant="fsaverage").responses
    np.testing.assert_array_equal(brain.values, np.concatenate([betas[h][inside[h]] for h in ("lh", "rh")]).T)
    vertices = np.concatenate([inside["lh"], inside["rh"]])
    np.testing.assert_array_equal(brain.space.vertex, vertices)
    np.testing.assert_array_equal(brain.targets["stream"] == "ventral", vertices % 2 == 1)
    np.testing.assert_array_equal(brain.targets["glasser"] == "FFC", vertices % 3 > 0)
    np.testing.assert_allclose(brain.targets["ncsnr"], vertices / MESH, rtol=1e-5)
    assert brain.samples["stimulus_id"].astype(int).tolist() == arrays["ids"][:6].tolist() and brain.space.mesh == "fsaverage"


def test_nsd_files_that_are_not_as_described(nsd):
    manifest, _ = nsd
    root = manifest.parent
    file = root / "nsddata_betas/ppdata/subj02/func1pt8mm/betas_fithrf_GLMdenoise_RR/betas_session02.hdf5"
    with h5py.File(file) as stored:
        betas = stored["betas"][:]
    file.unlink()
    with pytest.raises(DataError, match=r"betas_session02\.hdf5.*forms\.gle"):
        be.load(manifest, "02", variant="hdf5")
    assert be.load(manifest, "02", session="01", variant="hdf5").responses.n_samples == 6
    with h5py.File(file, "w") as stored:
        stored["betas"] = betas.transpose(0, 3, 2, 1)  # as the NIfTI has it
    with pytest.raises(DataError, match=r"another grid than the mask.*\(n, 3, 4, 5\).*\(6, 5, 4, 3\)"):
        be.load(manifest, "02", variant="hdf5")
    with h5py.File(file, "w") as stored:
        stored["beta"] = betas
    with pytest.raises(Exception, match="no key 'betas'"):
        be.load(manifest, "02", variant="hdf5")
    scipy.io.savemat(root / "nsddata/experiments/nsd/nsd_expdesign.mat", {"masterordering": np.full((1, 12), 11), "subjectim": np.ones((8, 10))})
    with pytest.raises(DataError, match="outside the array.*1 to 10.*11 to 11"):
        be.load(manifest, "02")
    scipy.io.savemat(root / "nsddata/experiments/nsd/nsd_expdesign.mat", {"masterordering": np.ones((1, 8)), "subjectim": np.ones((8, 10))})
    with pytest.raises(DataError, match="ends before this session.*12.*8"):
        be.load(manifest, "02")


def test_gated_sets_name_the_form(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINENC_DATA", str(tmp_path))
    for name, form in (("nsd", "forms.gle/xue2bCdM9LaFNMeb7"), ("algonauts2023", "algonauts.csail.mit.edu")):
        with pytest.raises(DataError, match=f"cannot be downloaded freely.*{form}"):
            datasets.fetch(name, "01")
        with pytest.raises(DataError, match=f"a form to fill in.*{form}"):
            be.load(name, "01")


MAPPINGS = {
    "prf-visualrois": {0: "Unknown", 1: "V1v", 2: "V1d", 3: "V2v", 4: "V2d", 5: "V3v", 6: "V3d", 7: "hV4"},
    "streams": {0: "Unknown", 1: "early", 5: "ventral"},
    "floc-faces": {0: "Unknown", 1: "OFA", 2: "FFA-1"},
    "floc-bodies": {0: "Unknown", 1: "EBA"},
    "floc-places": {0: "Unknown", 2: "PPA"},
    "floc-words": {0: "Unknown", 2: "VWFA-1"},
}


@pytest.fixture
def algonauts(tmp_path, rng, shrunk):
    """Seven training and two test images of subject 07; 5 left and 4 right vertices of fsaverage."""
    root = tmp_path / "subj07"
    for folder in ("training_split/training_images", "training_split/training_fmri", "test_split/test_images", "roi_masks"):
        (root / folder).mkdir(parents=True)
    numbers = [13, 27, 8, 70120, 105, 72000, 999]
    for i, number in enumerate(numbers):
        pixels = np.full((6, 6, 3), 10 * i, dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"training_split/training_images/train-{i + 1:04d}_nsd-{number:05d}.png")
    for i in range(2):
        Image.fromarray(np.zeros((6, 6, 3), np.uint8)).save(root / f"test_split/test_images/test-{i + 1:04d}_nsd-{i + 5:05d}.png")
    arrays = {"numbers": numbers, "labels": {}}
    for name, mapping in MAPPINGS.items():
        np.save(root / f"roi_masks/mapping_{name}.npy", mapping, allow_pickle=True)
    for hemi, n in (("lh", 5), ("rh", 4)):
        arrays[hemi] = rng.standard_normal((7, n)).astype(np.float32)
        np.save(root / f"training_split/training_fmri/{hemi}_training_fmri.npy", arrays[hemi])
        arrays[f"{hemi}_vertices"] = np.sort(rng.choice(MESH, n, replace=False))
        inside = np.zeros(MESH, dtype=np.int64)
        inside[arrays[f"{hemi}_vertices"]] = 1
        np.save(root / f"roi_masks/{hemi}.all-vertices_fsaverage_space.npy", inside)
        for name, mapping in MAPPINGS.items():
            arrays["labels"][hemi, name] = codes = rng.choice(list(mapping), n)
            np.save(root / f"roi_masks/{hemi}.{name}_challenge_space.npy", codes)
    return shrunk("algonauts2023"), arrays


def test_algonauts_hemispheres_images_and_regions(algonauts):
    manifest, arrays = algonauts
    stimuli, brain = be.load(manifest, "07")
    np.testing.assert_array_equal(brain.values, np.concatenate([arrays["lh"], arrays["rh"]], axis=1))
    assert list(stimuli.table["split"]) == ["training"] * 7 + ["test"] * 2 and list(stimuli.table["nsd_id"]) == [*arrays["numbers"], 5, 6]
    assert list(brain.samples["nsd_id"]) == arrays["numbers"] and brain.samples["stimulus_id"][3] == "train-0004_nsd-70120"
    assert stimuli.load("train-0004_nsd-70120")[0, 0, 0] == 30
    np.testing.assert_array_equal(brain.space.vertex, np.concatenate([arrays["lh_vertices"], arrays["rh_vertices"]]))
    assert list(brain.targets["hemi"]) == ["left"] * 5 + ["right"] * 4 and brain.space.mesh == "fsaverage"
    painted = brain.space.paint_arrays(brain.values[2])
    np.testing.assert_array_equal(painted["right"][arrays["rh_vertices"]], arrays["rh"][2])
    columns = {"prf-visualrois": "visual_part", "streams": "stream", "floc-faces": "faces", "floc-places": "places", "floc-words": "words"}
    for name, column in columns.items():
        codes = np.concatenate([arrays["labels"]["lh", name], arrays["labels"]["rh", name]])
        found = [None if code == 0 else MAPPINGS[name][code] for code in codes]
        assert [None if value != value else value for value in brain.targets[column]] == found
    codes = np.concatenate([arrays["labels"]["lh", "prf-visualrois"], arrays["labels"]["rh", "prf-visualrois"]])
    np.testing.assert_array_equal(brain.targets["roi"] == "V1", np.isin(codes, [1, 2]))


def test_algonauts_files_that_do_not_fit(algonauts):
    manifest, arrays = algonauts
    root = manifest.parent / "subj07"
    fmri = root / "training_split/training_fmri/rh_training_fmri.npy"
    np.save(fmri, arrays["rh"][:6])
    with pytest.raises(DataError, match="hemispheres have different numbers of samples"):
        be.load(manifest, "07")
    np.save(fmri, arrays["rh"][:, :3])
    with pytest.raises(DataError, match="values do not fit the targets.*8 values.*9"):
        be.load(manifest, "07")
    np.save(fmri, arrays["rh"])
    (root / "training_split/training_images/train-0007_nsd-00999.png").rename(root / "training_split/training_images/dog.png")
    with pytest.raises(InputError, match=r"form of the template.*dog"):
        be.load(manifest, "07")
    (root / "training_split/training_images/dog.png").unlink()
    with pytest.raises(DataError, match="7 stimuli, one per sample.*6 stimuli"):
        be.load(manifest, "07")
    np.save(root / "roi_masks/mapping_streams.npy", {1: ["early"]}, allow_pickle=True)
    with pytest.raises(DataError):
        be.load(manifest, "07")
