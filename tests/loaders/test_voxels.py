"""Voxels of arrays in any order of their axes are those of the same NIfTI."""

from itertools import permutations

import h5py
import nibabel as nib
import numpy as np
import pytest

from brainenc.core.errors import DataError, InputError
from brainenc.loaders import load_nifti, load_voxels

AFFINE = np.diag([2.0, 3.0, -1.5, 1.0])


@pytest.fixture
def volumes(tmp_path, rng):
    data = rng.integers(-500, 500, (5, 4, 3, 6)).astype(np.int16)
    mask = (rng.random((5, 4, 3)) < 0.4).astype(np.uint8)
    mask[2] = 0  # a slab without any voxel
    for name, content in (("betas", data), ("mask", mask)):
        nib.save(nib.Nifti1Image(content, AFFINE), tmp_path / f"{name}.nii.gz")
    return tmp_path, data


@pytest.mark.parametrize("order", list(permutations("xyz")))
@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_every_order_of_axes(volumes, order, suffix):
    folder, data = volumes
    turned = data.transpose(3, *("xyz".index(axis) for axis in order))
    file = folder / f"betas{suffix}"
    if suffix == ".npy":
        np.save(file, turned)
    else:
        with h5py.File(file, "w") as stored:
            stored["betas"] = turned.astype(">i2")
    found = load_voxels(file, folder / "mask.nii.gz", axes=("sample", *order), scale=0.5, units="%")
    expected = load_nifti(folder / "betas.nii.gz", mask=folder / "mask.nii.gz")
    np.testing.assert_array_equal(found.values, expected.values * 0.5)
    assert found.values.dtype == np.float32 and found.targets.equals(expected.targets) and found.provenance["scale"] == 0.5
    np.testing.assert_array_equal(found.space.voxels, expected.space.voxels)


def test_what_does_not_fit(volumes):
    folder, data = volumes
    np.save(folder / "betas.npy", np.moveaxis(data, 3, 0))
    with pytest.raises(DataError, match=r"another grid than the mask.*\(n, 3, 4, 5\).*\(6, 5, 4, 3\)"):
        load_voxels(folder / "betas.npy", folder / "mask.nii.gz", axes=("sample", "z", "y", "x"))
    for axes in (("x", "y", "z", "sample"), ("sample", "x", "y"), ("sample", "x", "x", "y")):
        with pytest.raises(InputError, match="sample, then x, y and z"):
            load_voxels(folder / "betas.npy", folder / "mask.nii.gz", axes=axes)
    with h5py.File(folder / "link.h5", "w") as stored:
        stored["betas"] = h5py.ExternalLink("other.h5", "betas")
    with pytest.raises(DataError, match="links to another file"):
        load_voxels(folder / "link.h5", folder / "mask.nii.gz", key="betas")
    nib.save(nib.Nifti1Image(np.zeros((5, 4, 3), np.uint8), AFFINE), folder / "mask.nii.gz")
    with pytest.raises(DataError, match="mask is empty"):
        load_voxels(folder / "betas.npy", folder / "mask.nii.gz")
