"""Volumes, surfaces and grayordinates: what was written comes back, and paints to where it was."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis, SeriesAxis

from brainenc.core.errors import DataError, InputError
from brainenc.loaders import load_cifti, load_nifti, load_surface
from brainenc.loaders.cifti import cifti_labels
from brainenc.loaders.nifti import volume_labels
from brainenc.loaders.surface import surface_labels

AFFINE = np.array([[-3.0, 0, 0, 60], [0, 4.0, 0, -35], [0, 0, 5.0, 2], [0, 0, 0, 1]])
GRID = (4, 3, 2)


def save_nifti(path, data, affine=AFFINE, t_r=2.5):
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    if data.ndim == 4:
        image.header.set_zooms([*image.header.get_zooms()[:3], t_r])
    nib.save(image, path)
    return path


@pytest.fixture
def volumes(tmp_path, rng):
    mask = rng.random(GRID) > 0.4
    runs = [rng.integers(0, 999, (*GRID, n)).astype(np.int16) for n in (7, 5)]
    for i, run in enumerate(runs):
        save_nifti(tmp_path / f"run-{i + 1}.nii.gz", run)
    save_nifti(tmp_path / "mask.nii.gz", mask.astype(np.uint8))
    return tmp_path, mask, runs


def test_runs_of_a_series_within_a_mask(volumes):
    folder, mask, runs = volumes
    brain = load_nifti([folder / "run-1.nii.gz", folder / "run-2.nii.gz"], mask=folder / "mask.nii.gz", runs=[1, 2], t_r=2.5, name="01")
    np.testing.assert_array_equal(brain.values, np.concatenate([run[mask].T for run in runs]))
    assert brain.t_r == 2.5 and list(brain.samples["run"]) == [1] * 7 + [2] * 5
    np.testing.assert_allclose(brain.samples["time"], np.concatenate([np.arange(7) * 2.5, np.arange(5) * 2.5]))
    painted = brain.space.paint(brain.values[3]).get_fdata()
    np.testing.assert_array_equal(painted[mask], runs[0][..., 3][mask])
    assert np.isnan(painted[~mask]).all()
    first = brain.targets.iloc[0]
    np.testing.assert_allclose(first[["x", "y", "z"]].to_numpy(float), (AFFINE @ [first["i"], first["j"], first["k"], 1])[:3])
    assert brain.provenance["header"]["t_r"] == pytest.approx(2.5)


def test_without_a_mask_every_voxel_is_a_target(volumes):
    folder, _, runs = volumes
    brain = load_nifti(folder / "run-1.nii.gz")
    np.testing.assert_array_equal(brain.values, runs[0].reshape(-1, 7).T)
    assert not brain.is_time_series


def test_other_grids_and_empty_masks_are_refused(volumes, rng):
    folder, mask, runs = volumes
    moved = AFFINE.copy()
    moved[0, 3] += 1
    save_nifti(folder / "moved.nii.gz", runs[1], moved)
    save_nifti(folder / "moved_mask.nii.gz", mask.astype(np.uint8), moved)
    save_nifti(folder / "empty.nii.gz", np.zeros(GRID, np.uint8))
    save_nifti(folder / "large.nii.gz", np.ones((5, 3, 2), np.uint8))
    with pytest.raises(DataError, match="another grid.*61"):
        load_nifti([folder / "run-1.nii.gz", folder / "moved.nii.gz"])
    with pytest.raises(DataError, match="another grid"):
        load_nifti(folder / "run-1.nii.gz", mask=folder / "moved_mask.nii.gz")
    with pytest.raises(DataError, match="empty"):
        load_nifti(folder / "run-1.nii.gz", mask=folder / "empty.nii.gz")
    with pytest.raises(DataError, match=r"\(5, 3, 2\)"):
        load_nifti(folder / "run-1.nii.gz", mask=folder / "large.nii.gz")
    content = (folder / "run-1.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError):
        load_nifti(folder / "cut.nii.gz")


def test_labels_of_a_volume(volumes, rng):
    folder, mask, _ = volumes
    labels = rng.integers(0, 4, GRID).astype(np.int16)
    save_nifti(folder / "labels.nii.gz", labels)
    brain = load_nifti(folder / "run-1.nii.gz", mask=folder / "mask.nii.gz")
    np.testing.assert_array_equal(volume_labels(folder / "labels.nii.gz", brain.space), labels[mask])


def save_gifti(path, maps, structure=None):
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure} if structure else {})
    arrays = [nib.gifti.GiftiDataArray(np.asarray(m, np.float32), intent="NIFTI_INTENT_TIME_SERIES", datatype="NIFTI_TYPE_FLOAT32") for m in maps]
    nib.save(nib.gifti.GiftiImage(darrays=arrays, meta=meta), path)
    return path


def test_gifti_of_both_hemispheres(tmp_path, rng):
    left, right = rng.standard_normal((6, 11)).astype(np.float32), rng.standard_normal((6, 13)).astype(np.float32)
    save_gifti(tmp_path / "lh.func.gii", left, "CortexLeft")
    save_gifti(tmp_path / "rh.func.gii", right, "CortexRight")
    brain = load_surface({"left": tmp_path / "lh.func.gii", "right": tmp_path / "rh.func.gii"}, runs=["a"], t_r=0.8)
    np.testing.assert_array_equal(brain.values, np.hstack([left, right]))
    painted = brain.space.paint_arrays(brain.values[2])
    np.testing.assert_array_equal(painted["left"], left[2])
    np.testing.assert_array_equal(painted["right"], right[2])
    assert list(brain.targets["hemi"].value_counts().items()) == [("right", 13), ("left", 11)]
    only = load_surface({"right": tmp_path / "rh.func.gii"})
    np.testing.assert_array_equal(only.space.paint_arrays(only.values[0])["right"], right[0])
    with pytest.raises(DataError, match="other hemisphere|another hemisphere"):
        load_surface({"left": tmp_path / "rh.func.gii"})
    with pytest.raises(DataError, match="10242 of fsaverage5"):
        load_surface({"left": tmp_path / "lh.func.gii"}, mesh="fsaverage5")


def test_mgh_surface_data_and_labels(tmp_path, rng):
    for n_maps, name in ((5, "beta"), (1, "label")):
        for side, n in (("lh", 7), ("rh", 9)):
            shape = (n, 1, 1, n_maps) if n_maps > 1 else (n, 1, 1)
            data = rng.integers(0, 4, shape).astype(np.float32)
            nib.save(nib.MGHImage(data, np.eye(4)), tmp_path / f"{side}.{name}.mgz")
    brain = load_surface({"left": tmp_path / "lh.beta.mgz", "right": tmp_path / "rh.beta.mgz"})
    for side, columns in (("lh", slice(0, 7)), ("rh", slice(7, 16))):
        stored = nib.load(tmp_path / f"{side}.beta.mgz").get_fdata()[:, 0, 0]
        np.testing.assert_array_equal(brain.values[:, columns], stored.T)
    labels = surface_labels({"left": tmp_path / "lh.label.mgz", "right": tmp_path / "rh.label.mgz"}, brain.space)
    expected = [nib.load(tmp_path / f"{s}.label.mgz").get_fdata().ravel() for s in ("lh", "rh")]
    np.testing.assert_array_equal(labels, np.concatenate(expected))
    with pytest.raises(DataError, match="one map"):
        surface_labels({"left": tmp_path / "lh.beta.mgz"}, brain.space)


def test_hemispheres_that_do_not_fit(tmp_path, rng):
    save_gifti(tmp_path / "l.gii", rng.standard_normal((6, 11)))
    save_gifti(tmp_path / "r.gii", rng.standard_normal((5, 11)))
    with pytest.raises(DataError, match=r"expected \[6\], got \[5\]"):
        load_surface({"left": tmp_path / "l.gii", "right": tmp_path / "r.gii"})
    with pytest.raises(InputError, match="hemisphere"):
        load_surface({"middle": tmp_path / "l.gii"})
    nib.save(nib.MGHImage(rng.random((3, 4, 5)).astype(np.float32), np.eye(4)), tmp_path / "v.mgz")
    with pytest.raises(DataError, match="not surface data"):
        load_surface({"left": tmp_path / "v.mgz"})


@pytest.fixture
def axis():
    left = BrainModelAxis.from_surface(np.array([0, 2, 5]), 8, "CIFTI_STRUCTURE_CORTEX_LEFT")
    right = BrainModelAxis.from_surface(np.array([1, 3]), 8, "CIFTI_STRUCTURE_CORTEX_RIGHT")
    inside = np.zeros(GRID, bool)
    inside[1, 1, 0] = inside[2, 0, 1] = True
    return left + right + BrainModelAxis.from_mask(inside, "CIFTI_STRUCTURE_THALAMUS_LEFT", AFFINE)


def test_cifti_series_and_maps(tmp_path, rng, axis):
    values = rng.standard_normal((6, 7)).astype(np.float32)
    nib.save(Cifti2Image(values, (SeriesAxis(0, 0.8, 6), axis)), tmp_path / "a.dtseries.nii")
    nib.save(Cifti2Image(values[:2], (ScalarAxis(["one", "two"]), axis)), tmp_path / "a.dscalar.nii")
    series = load_cifti([tmp_path / "a.dtseries.nii"] * 2, runs=[1, 2], t_r=0.8)
    np.testing.assert_array_equal(series.values, np.vstack([values, values]))
    assert series.provenance["header"]["t_r"] == pytest.approx(0.8)
    assert list(series.targets["hemi"]) == ["left"] * 3 + ["right"] * 2 + ["left"] * 2
    np.testing.assert_array_equal(np.asarray(series.space.paint(values[4]).dataobj)[0], values[4])
    maps = load_cifti(tmp_path / "a.dscalar.nii")
    assert list(maps.samples["map"]) == ["one", "two"] and not maps.is_time_series
    codes = np.array([[0, 1, 1, 2, 2, 0, 1]], np.float32)
    label = LabelAxis(["areas"], [{0: ("?", (0, 0, 0, 0)), 1: ("V1", (1, 0, 0, 1)), 2: ("V2", (0, 1, 0, 1))}])
    nib.save(Cifti2Image(codes[:, ::1], (label, axis)), tmp_path / "a.dlabel.nii")
    part = series.space.take(np.array([4, 0, 6]))
    np.testing.assert_array_equal(cifti_labels(tmp_path / "a.dlabel.nii", part), codes[0, [4, 0, 6]])


def test_cifti_with_other_grayordinates_or_damage(tmp_path, rng, axis):
    nib.save(Cifti2Image(rng.random((6, 7)).astype(np.float32), (SeriesAxis(0, 1, 6), axis)), tmp_path / "a.dtseries.nii")
    nib.save(Cifti2Image(rng.random((6, 5)).astype(np.float32), (SeriesAxis(0, 1, 6), axis[:5])), tmp_path / "b.dtseries.nii")
    with pytest.raises(DataError, match="other grayordinates"):
        load_cifti([tmp_path / "a.dtseries.nii", tmp_path / "b.dtseries.nii"])
    content = (tmp_path / "a.dtseries.nii").read_bytes()
    (tmp_path / "c.dtseries.nii").write_bytes(content[:-50])
    with pytest.raises(DataError):
        load_cifti(tmp_path / "c.dtseries.nii")
    save_nifti(tmp_path / "v.nii", rng.random((4, 3, 2)).astype(np.float32))
    with pytest.raises(DataError, match="not a dense CIFTI"):
        load_cifti(tmp_path / "v.nii")
