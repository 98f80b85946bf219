"""Files whose headers lie: refused before memory is taken."""

import base64
import gzip
import struct
import tracemalloc
import zipfile
import zlib

import h5py
import nibabel as nib
import numpy as np
import pytest

from brainenc.core.errors import DataError
from brainenc.io.images import read_image
from brainenc.io.nifti import masked, open_image, read_volume
from brainenc.io.readers import read_array

DATA = np.random.default_rng(0).integers(0, 1000, (7, 8, 9, 20)).astype(np.int16)


def nii(path, data=DATA, affine=None, patch=None):
    """A NIfTI file, with bytes of its header replaced: {offset: bytes}."""
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    packed = path.name.endswith(".gz")
    content = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    for offset, new in (patch or {}).items():
        content[offset : offset + len(new)] = new
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def giant_dims():
    return {40: struct.pack("<8h", 4, 2000, 2000, 2000, 2, 1, 1, 1), 70: struct.pack("<2h", 16, 32)}  # 64 GB of float32


def test_a_small_file_that_declares_64_gigabytes(tmp_path):
    path = nii(tmp_path / "a.nii", patch=giant_dims())
    path.write_bytes(path.read_bytes()[:384])
    tracemalloc.start()
    for read in (open_image, read_volume, lambda p: masked(p, np.ones((2000, 1, 1)))):
        with pytest.raises(DataError, match=r"declares more data.*64\.0 GB.*384 B"):
            read(path)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    with pytest.raises(DataError, match="holds at most"):
        open_image(nii(tmp_path / "a.nii.gz", patch=giant_dims()))


def test_a_gzip_that_could_hold_its_claim_is_stopped_by_the_budget(tmp_path):
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((200, 200, 200), np.uint8), np.eye(4)), path)
    assert path.stat().st_size < 50_000
    with pytest.raises(DataError, match="more memory than allowed"):
        read_volume(path, max_bytes="1MB")
    with pytest.raises(DataError, match="more memory than allowed"):
        open_image(path, max_bytes="1MB")
    assert masked(path, np.eye(200, dtype=bool)[:, :, None] & np.ones(200, bool), max_bytes="1MB").shape == (1, 40_000)


def raw_affine(value):
    """sform rows with one bad number."""
    return {254: struct.pack("<h", 1), 280: struct.pack("<12f", value, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)}


@pytest.mark.parametrize(("value", "match"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "cannot be inverted")])
def test_bad_affines(tmp_path, value, match):
    path = nii(tmp_path / "a.nii", patch=raw_affine(value))
    for read in (open_image, read_volume):
        with pytest.raises(DataError, match=match):
            read(path)


def test_a_small_but_sound_affine_passes(tmp_path):
    assert open_image(nii(tmp_path / "a.nii", affine=np.diag([1e-5, 1e-5, 1e-5, 1]))).shape == DATA.shape


@pytest.mark.parametrize(
    "patch",
    [
        {0: b"\0\0\0\0"},  # header size
        {40: struct.pack("<8h", 4, -7, 8, 9, 20, 1, 1, 1)},  # negative axis
        {40: struct.pack("<8h", 4, 0, 8, 9, 20, 1, 1, 1)},  # empty axis
        {40: struct.pack("<8h", 9, 7, 8, 9, 20, 1, 1, 1)},  # nine axes
        {70: struct.pack("<2h", 9999, 16)},  # unknown type
        {108: struct.pack("<f", np.nan)},  # data offset
        {108: struct.pack("<f", 2e9)},
        {108: struct.pack("<f", -352)},
        {112: struct.pack("<2f", 1, np.inf)},  # infinite scaling
        {344: b"xxxx"},  # magic
    ],
    ids=lambda patch: f"byte {next(iter(patch))}",
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_damaged_headers(tmp_path, patch, name):
    with pytest.raises(DataError):
        read_volume(nii(tmp_path / name, patch=patch))


@pytest.mark.parametrize("keep", [0, 100, 347, 352, 5000, -1])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_truncated_images(tmp_path, keep, name):
    path = nii(tmp_path / name)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError):
        read_volume(path)
    with pytest.raises(DataError):
        masked(path, np.ones((7, 8, 9)))


def test_a_gzip_whose_content_ends_early_or_is_damaged(tmp_path):
    whole = nii(tmp_path / "a.nii").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(whole[:-100]))
    with pytest.raises(DataError, match="ends before its data"):
        read_volume(tmp_path / "a.nii.gz")
    packed = bytearray(gzip.compress(whole))
    packed[-6] ^= 1  # the checksum
    (tmp_path / "a.nii.gz").write_bytes(packed)
    with pytest.raises(DataError, match="CRC"):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("name", ["a.mgh", "a.mgz"])
def test_truncated_mgh(tmp_path, name):
    nib.save(nib.MGHImage(DATA, np.eye(4)), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    for keep in (0, 50, 290, len(content) // 2):
        (tmp_path / name).write_bytes(content[:keep])
        with pytest.raises(DataError):
            read_volume(tmp_path / name)


def gifti(data, dims, encoding="GZipBase64Binary", extra="", prolog=""):
    return (
        f'<?xml version="1.0"?>{prolog}<GIFTI Version="1.0" NumberOfDataArrays="1"><DataArray Intent="NIFTI_INTENT_NONE" '
        f'DataType="NIFTI_TYPE_FLOAT32" ArrayIndexingOrder="RowMajorOrder" Dimensionality="1" Dim0="{dims}" Encoding="{encoding}" '
        f'Endian="LittleEndian" ExternalFileName="{extra}" ExternalFileOffset="0"><Data>{data}</Data></DataArray></GIFTI>'
    )


def test_hostile_gifti(tmp_path):
    path = tmp_path / "a.gii"
    packed = base64.b64encode(zlib.compress(b"\0" * 40)).decode()
    bomb = base64.b64encode(zlib.compress(b"\0" * 50_000_000)).decode()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 40)
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
    cases = {
        "more than it declares": gifti(bomb, 10),
        "shorter": gifti(packed, 11),
        "more than the memory": gifti(packed, 10**13),
        "negative": gifti(packed, -10),
        "names another file": gifti("", 10, "ExternalFileBinary", "secret.bin"),
        "defines entities": gifti(packed, 10, prolog=laughs),
        "damaged": gifti(packed, 10)[:-30],
    }
    for match, text in cases.items():
        path.write_text(text)
        with pytest.raises(DataError, match=match):
            open_image(path)
    path.write_text(gifti(packed, 10))
    assert open_image(path).darrays[0].data.shape == (10,)


def npy_header(shape, descr="<f8"):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    text += " " * (63 - (len(text) + 10) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def test_npy_headers_that_lie_or_carry_objects(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(npy_header((10**6, 10**5)) + b"\0" * 80)
    for mmap in (False, True):
        with pytest.raises(DataError, match="shorter than its header"):
            read_array(path, mmap=mmap)
    path.write_bytes(npy_header((2,), "|O") + b"cos\nsystem\n(S'touch evil'\ntR.")
    with pytest.raises(DataError, match="Python objects"):
        read_array(path)
    for content in (b"", b"\x93NUMPY\x01\x00", npy_header((-3, 2)) + b"\0" * 80, b"\x93NUMPY\x09\x00" + b" " * 200, npy_header((3,), "evil")):
        path.write_bytes(content)
        with pytest.raises(DataError):
            read_array(path)


def test_npz_members_that_lie(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("big.npy", npy_header((10**6, 10**6)) + b"\0" * 80)
        bundle.writestr("objects.npy", npy_header((2,), "|O") + b"cos\nsystem\n.")
        bundle.writestr("short.npy", npy_header((70,)) + b"\0" * 80)
    for key, match in (("big", "memory"), ("objects", "Python objects"), ("short", "damaged")):
        with pytest.raises(DataError, match=match):
            read_array(path, key=key)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError):
        read_array(path, key="short")


def test_hdf5_never_leads_to_another_file(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.arange(7.0)
    layout = h5py.VirtualLayout(shape=(7,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", shape=(7,))
    (tmp_path / "raw.bin").write_bytes(b"\0" * 56)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["own"] = np.arange(8.0)
        file["soft"] = h5py.SoftLink("/own")
        file["linked"] = h5py.ExternalLink("other.h5", "/secret")
        file["softly"] = h5py.SoftLink("/linked")
        file["loop"] = h5py.SoftLink("/loop")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("stored", (7,), "f8", external=[(str(tmp_path / "raw.bin"), 0, 56)])
        file.create_dataset("giant", (10**7, 10**6), "f8", chunks=(1, 1000))
    np.testing.assert_array_equal(read_array(tmp_path / "a.h5", key="soft"), np.arange(8.0))
    for key, match in {
        "linked": "another file", "softly": "another file", "loop": "too many links",
        "virtual": "other files", "stored": "other files", "giant": "memory",
    }.items():  # fmt: skip
        with pytest.raises(DataError, match=match):
            read_array(tmp_path / "a.h5", key=key)


def test_a_mat_file_that_inflates_beyond_the_budget(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "a.mat", {"x": np.zeros((1000, 2000))}, do_compression=True)
    assert (tmp_path / "a.mat").stat().st_size < 50_000
    with pytest.raises(DataError, match="inflates beyond"):
        read_array(tmp_path / "a.mat", key="x", max_bytes="1MB")
    assert read_array(tmp_path / "a.mat", key="x", max_bytes="20MB").shape == (1000, 2000)


def test_an_image_bomb(tmp_path):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    with pytest.raises(DataError, match="pixels"):
        read_image(png)
