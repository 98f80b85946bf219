"""GLMsingle's output, in each of its formats, becomes trials with their maps."""

import h5py
import nibabel as nib
import numpy as np
import pytest
from scipy.io import savemat

from brainenc.core.errors import DataError, InputError
from brainenc.loaders import load_glmsingle

GRID, N = (3, 4, 2), 6
TRIALS = {"stimulus_id": ["a", "b", "a", "c", "b", "a"], "run": [1, 1, 1, 2, 2, 2]}


@pytest.fixture
def content(rng):
    betas = rng.standard_normal((*GRID, N)).astype(np.float32)
    betas[1, 2, 0] = np.nan
    return {
        "betasmd": betas, "HRFindex": rng.integers(0, 20, GRID), "R2": rng.random(GRID).astype(np.float32), "FRACvalue": rng.random(GRID),
        "noisepool": rng.random(GRID) > 0.5, "pcnum": 3, "designSINGLE": [np.eye(3)], "xvaltrend": None,
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".npy", ".h5", ".mat"])
def test_every_format_gives_the_same_trials(tmp_path, content, suffix):
    path = tmp_path / f"TYPED_FITHRF_GLMDENOISE_RR{suffix}"
    arrays = {key: value for key, value in content.items() if isinstance(value, np.ndarray)}
    if suffix == ".npy":
        np.save(path, content)
    elif suffix == ".mat":
        savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, value in arrays.items():
                file[key] = value
    brain = load_glmsingle(tmp_path, TRIALS, name="01")
    inside = np.isfinite(content["betasmd"]).all(axis=-1)
    np.testing.assert_array_equal(brain.values, content["betasmd"][inside].T)
    assert brain.provenance["glmsingle"]["n_voxels_without_betas"] == 1 and brain.n_targets == 23 and not brain.is_time_series
    for key, column in (("R2", "R2"), ("HRFindex", "hrf_index"), ("FRACvalue", "fraction"), ("noisepool", "noise_pool")):
        np.testing.assert_allclose(brain.targets[column].to_numpy(float), content[key][inside].astype(float))
    assert brain.samples["repeat"].tolist() == [1, 1, 2, 1, 2, 3]
    painted = brain.space.paint(brain.values[4])
    assert painted.shape == GRID and np.isnan(painted[1, 2, 0]) and painted[0, 0, 1] == content["betasmd"][0, 0, 1, 4]


def test_a_mask_gives_the_space(tmp_path, content):
    np.save(tmp_path / "TYPEB_FITHRF.npy", content)
    mask = np.zeros(GRID, np.uint8)
    mask[1, 2, 0] = mask[2, 3, 1] = 1
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    nib.save(nib.Nifti1Image(mask, affine), tmp_path / "mask.nii.gz")
    brain = load_glmsingle(tmp_path, TRIALS, stage="B", mask=tmp_path / "mask.nii.gz")
    assert brain.n_targets == 2 and brain.provenance["glmsingle"]["n_voxels_without_betas"] == 1
    assert brain.targets[["x", "y", "z"]].to_numpy().tolist() == [[2.0, 6.0, 0.0], [4.0, 9.0, 4.0]]
    np.testing.assert_array_equal(brain.values[:, 1], content["betasmd"][2, 3, 1])
    with pytest.raises(DataError, match=r"different grids.*\(3, 4, 2\).*\(2, 2, 2\)"):
        load_glmsingle(tmp_path, TRIALS, stage="B", mask=np.ones((2, 2, 2)))


def test_what_does_not_fit_is_refused(tmp_path, content):
    with pytest.raises(DataError, match="no TYPED_FITHRF"):
        load_glmsingle(tmp_path, TRIALS)
    path = tmp_path / "TYPED_FITHRF_GLMDENOISE_RR.npy"
    np.save(path, content)
    with pytest.raises(InputError, match="6 trials.*got 2"):
        load_glmsingle(path, {"stimulus_id": ["a", "b"]})
    np.save(path, {"R2": content["R2"]})
    with pytest.raises(DataError, match="no betas"):
        load_glmsingle(path, TRIALS)
    np.save(path, {"betasmd": content["betasmd"][0]})
    with pytest.raises(DataError, match="odd shape"):
        load_glmsingle(path, TRIALS)
