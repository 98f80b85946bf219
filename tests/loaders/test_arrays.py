"""Any axis order and any format give the same rows."""

import h5py
import numpy as np
import pytest
import scipy.io

from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import load_array


@pytest.fixture
def values(rng):
    return rng.standard_normal((9, 8))  # samples by targets


def write(path, name, array):
    suffix = path.suffix
    if suffix == ".npy":
        np.save(path, array)
    elif suffix == ".npz":
        np.savez(path, **{name: array})
    elif suffix == ".h5":
        with h5py.File(path, "w") as file:
            file[f"deep/{name}"] = array
    elif suffix == ".mat":
        scipy.io.savemat(path, {name: array})
    else:
        np.savetxt(path, array, delimiter="," if suffix == ".csv" else "\t", fmt="%.17g")
    return {".npy": None, ".npz": name, ".h5": f"deep/{name}", ".mat": name}.get(suffix)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".mat", ".csv", ".tsv"])
@pytest.mark.parametrize("turned", [False, True])
def test_every_format_in_either_orientation(tmp_path, values, suffix, turned):
    path = tmp_path / f"r{suffix}"
    key = write(path, "resp", values.T if turned else values)
    brain = load_array(path, key=key, axes=("target", "sample") if turned else ("sample", "target"), name="01")
    np.testing.assert_allclose(brain.values, values, rtol=1e-15)
    assert brain.values.flags.c_contiguous and list(brain.samples["sample"]) == list(range(9))


def test_repeats_padded_with_nan_become_rows(tmp_path, rng):
    array = rng.standard_normal((8, 9, 4))  # targets, samples, repeats
    n_repeats = rng.integers(1, 5, 9)
    for sample, n in enumerate(n_repeats):
        array[:, sample, n:] = np.nan
    array[3, 0, 0] = np.nan  # a missing value of one target is no padding
    np.save(tmp_path / "r.npy", array)
    brain = load_array(tmp_path / "r.npy", axes=("target", "sample", "repeat"))
    assert brain.n_samples == n_repeats.sum() and brain.provenance["n_padding_rows"] == 36 - n_repeats.sum()
    for row, (sample, repeat) in enumerate(brain.samples[["sample", "repeat"]].to_numpy()):
        np.testing.assert_array_equal(brain.values[row], array[:, sample, repeat - 1])


def test_several_target_axes_become_columns_that_paint_back(tmp_path, rng):
    array = rng.standard_normal((2, 9, 3, 4))
    np.save(tmp_path / "r.npy", array)
    brain = load_array(tmp_path / "r.npy", axes=("target", "sample", "target", "target"))
    assert brain.values.shape == (9, 24)
    np.testing.assert_array_equal(brain.space.paint(brain.values[5]), array[:, 5])


@pytest.mark.parametrize(("dtype", "kept"), [(np.int16, np.float32), (np.int32, np.float64), (">f8", np.float64), (np.float32, np.float32), (np.float16, np.float32)])
def test_numbers_are_native_floats_and_scaled(tmp_path, dtype, kept):
    np.save(tmp_path / "r.npy", np.arange(12).reshape(3, 4).astype(dtype))
    brain = load_array(tmp_path / "r.npy", scale=0.5)
    assert brain.values.dtype == kept and brain.values.dtype.isnative
    np.testing.assert_array_equal(brain.values, np.arange(12).reshape(3, 4) / 2)


def test_large_plain_arrays_stay_on_disk(tmp_path, monkeypatch, values):
    from brainenc.loaders import arrays

    monkeypatch.setattr(arrays, "_MAP_BYTES", 100)
    np.save(tmp_path / "r.npy", values)
    assert isinstance(load_array(tmp_path / "r.npy").values, np.memmap)
    assert not isinstance(load_array(tmp_path / "r.npy", scale=2.0).values, np.memmap)


def test_matlab_axes_of_length_one_are_dropped(tmp_path, values):
    scipy.io.savemat(tmp_path / "r.mat", {"a": values})
    np.save(tmp_path / "r.npy", values[:, :, None])
    np.testing.assert_array_equal(load_array(tmp_path / "r.npy").values, values)


@pytest.mark.parametrize(
    ("axes", "message"),
    [(("sample",), "at least one target"), (("sample", "sample"), "one sample"), (("sample", "voxel"), "target"), (("sample", "target", "target"), r"shape \(9, 8\)")],
)
def test_axes_that_do_not_fit(tmp_path, values, axes, message):
    np.save(tmp_path / "r.npy", values)
    with pytest.raises((InputError, DataError), match=message):
        load_array(tmp_path / "r.npy", axes=axes)


def test_wrong_keys_and_kinds_are_named(tmp_path, values):
    np.savez(tmp_path / "r.npz", responses=values, text=np.array(["a"]))
    with pytest.raises(NotFoundError, match="responses"):
        load_array(tmp_path / "r.npz", key="response")
    with pytest.raises(DataError, match="real numbers"):
        load_array(tmp_path / "r.npz", key="text", axes=("sample", "target"))
    with pytest.raises(DataError, match="no such file"):
        load_array(tmp_path / "q.npz")
    np.save(tmp_path / "none.npy", np.zeros((0, 4)))
    with pytest.raises(DataError, match="no responses"):
        load_array(tmp_path / "none.npy")
