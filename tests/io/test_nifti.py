"""Brain images: values agree with nibabel's own reading."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from brainenc.core.errors import DataError
from brainenc.io.nifti import masked, open_image, read_volume

SHAPE = (7, 8, 9, 5)
AFFINE = np.array([[2.0, 0.1, 0, -5], [0, 2.5, 0, 3], [0, 0, 3, 1], [0, 0, 0, 1]])


def series(dtype=np.int16, seed=0):
    values = np.random.default_rng(seed).integers(0, 100, SHAPE)
    return values.astype(dtype)


def save(path, data, kind=nib.Nifti1Image, affine=AFFINE):
    image = kind(data, affine)
    if hasattr(image.header, "set_xyzt_units"):
        image.header.set_xyzt_units("mm", "msec")
        image.header.set_zooms([*image.header.get_zooms()[:3], 800.0][: data.ndim])
    nib.save(image, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.hdr", "a.mgh", "a.mgz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_read_volume_gives_back_what_nibabel_wrote(tmp_path, name, dtype):
    kind = nib.MGHImage if "mg" in name else nib.Nifti1Pair if name.endswith("hdr") else nib.Nifti1Image
    path = save(tmp_path / name, series(dtype), kind)
    data, affine, facts = read_volume(path)
    np.testing.assert_array_equal(data, series(dtype))
    assert data.dtype == dtype and facts["dtype"] == np.dtype(dtype).name and facts["shape"] == SHAPE
    np.testing.assert_allclose(affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_scaling_byte_order_and_facts(tmp_path, kind, order):
    header = kind.header_class(endianness=order)
    image = kind(series(np.float64) / 7, AFFINE, header)
    image.set_data_dtype(np.int16)
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((2, 2.5, 3, 800))
    nib.save(image, tmp_path / "a.nii.gz")
    data, _, facts = read_volume(tmp_path / "a.nii.gz")
    expected = nib.load(tmp_path / "a.nii.gz").get_fdata()
    assert data.dtype == np.float32 and facts["scaled"] and facts["t_r"] == pytest.approx(0.8)
    np.testing.assert_allclose(data, expected, rtol=1e-6)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz", dtype=np.float64).data, expected)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_masked_reads_voxels_in_c_order(tmp_path, monkeypatch, name):
    from brainenc.io import nifti

    path = save(tmp_path / name, series())
    mask = np.random.default_rng(1).random(SHAPE[:3]) > 0.6
    expected = nib.load(path).get_fdata()[mask].T
    np.testing.assert_array_equal(masked(path, mask), expected)
    monkeypatch.setattr(nifti, "_SLAB", 7 * 8 * 9 * 2 * 2)  # two volumes a slab, an odd one left
    np.testing.assert_array_equal(masked(path, mask, dtype=np.float64), expected)
    mask_path = save(tmp_path / "mask.nii", mask.astype(np.uint8))
    np.testing.assert_array_equal(masked(path, mask_path), expected)
    one = save(tmp_path / f"one_{name}", series()[..., 0])
    np.testing.assert_array_equal(masked(one, mask), expected[:1])


def test_masks_on_other_grids_are_refused(tmp_path):
    path = save(tmp_path / "a.nii", series())
    with pytest.raises(DataError, match=r"\(7, 8, 9\), got \(8, 7, 9\)"):
        masked(path, np.ones((8, 7, 9)))
    with pytest.raises(DataError, match="empty"):
        masked(path, np.zeros(SHAPE[:3]))
    moved = AFFINE.copy()
    moved[0, 3] += 1
    other = save(tmp_path / "mask.nii", np.ones(SHAPE[:3], np.uint8), affine=moved)
    with pytest.raises(DataError, match=r"different affines.*-5\.0.*-4\.0"):
        masked(path, other)


def test_gifti_and_cifti_open(tmp_path):
    values = np.arange(8, dtype=np.float32)
    for encoding in ("GIFTI_ENCODING_B64GZ", "GIFTI_ENCODING_ASCII", "GIFTI_ENCODING_B64BIN"):
        array = nib.gifti.GiftiDataArray(values, encoding=encoding, datatype="NIFTI_TYPE_FLOAT32")
        nib.save(nib.gifti.GiftiImage(darrays=[array]), tmp_path / "a.func.gii")
        np.testing.assert_array_equal(open_image(tmp_path / "a.func.gii").darrays[0].data, values)
    axes = nib.cifti2.ScalarAxis(["a", "b"]), nib.cifti2.BrainModelAxis.from_mask(np.ones(7), name="cortex_left")
    nib.save(nib.Cifti2Image(np.arange(14.0).reshape(2, 7), axes), tmp_path / "a.dscalar.nii")
    np.testing.assert_array_equal(open_image(tmp_path / "a.dscalar.nii").get_fdata(), np.arange(14.0).reshape(2, 7))
    for name in ("a.func.gii", "a.dscalar.nii"):
        with pytest.raises(DataError, match="not a volume"):
            read_volume(tmp_path / name)


def test_real_slice_agrees_with_nibabel():
    root = Path(os.environ.get("BRAINENC_DATA", "/nonexistent")) / "haxby2001_slice"
    if not root.is_dir():
        pytest.skip("BRAINENC_DATA names no folder with haxby2001_slice")
    whole = nib.load(root / "bold.nii.gz").get_fdata()
    mask = nib.load(root / "mask.nii.gz").get_fdata().reshape(whole.shape[:3]) > 0
    values = masked(root / "bold.nii.gz", root / "mask.nii.gz")
    assert values.shape == (1452, 530)
    np.testing.assert_array_equal(values, whole[mask].T)
    assert read_volume(root / "bold.nii.gz").facts["t_r"] == 2.5
