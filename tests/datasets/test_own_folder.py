"""A user's own folder: short manifests of many kinds, and what is said when something does not fit."""

import json
import logging

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import scipy.io
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis

import brainenc as be
from brainenc import datasets
from brainenc.core.errors import DataError, InputError, NotFoundError


def change(folder, old, new):
    path = folder / "brainenc.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_manifest_of_thirteen_lines(own):
    folder, values, order = own
    assert len([line for line in (folder / "brainenc.toml").read_text().splitlines() if line.strip()]) < 20
    for place in (folder, folder / "brainenc.toml", str(folder / "brainenc.toml")):
        stimuli, brain = be.load(place)
        np.testing.assert_array_equal(brain.values, values)
        assert list(brain.samples["stimulus_id"]) == [f"s{i}" for i in order] and list(brain.samples["run"].unique()) == [1, 2, 3]
        assert brain.where(roi="V1").n_targets == 3 and brain.units == "z" and brain.name == "01"
        assert stimuli.load("s4").shape == (8, 8, 3) and stimuli.where(category="face").ids.tolist() == ["s1", "s3", "s5", "s7"]
    assert brain.repeats()[0].shape == (9, 3, 8)
    assert datasets.units(folder) == [{"subject": "01", "session": None, "variant": None}]
    assert "mine: My scenes" in datasets.describe(folder)


def test_images_of_a_folder_and_responses_in_their_order(own):
    folder, values, _ = own
    np.save(folder / "mean.npy", values[:9])
    (folder / "brainenc.toml").write_text('name = "m"\n[stimuli]\nfiles = "scenes/*.jpg"\n[responses]\npath = "mean.npy"\nids = "stimuli"\n')
    stimuli, brain = be.load(folder)
    assert list(brain.samples["stimulus_id"]) == list(stimuli.ids) == [f"s{i}" for i in range(9)]
    change(folder, "mean.npy", "responses.npy")
    with pytest.raises(DataError, match="expected 27 stimuli.*got 9 stimuli"):
        be.load(folder)
    change(folder, 'ids = "stimuli"', "")
    with pytest.raises(InputError, match="nothing says which stimulus"):
        be.load(folder)


@pytest.mark.parametrize("form", ["npz", "h5", "mat", "csv", "tsv"])
def test_other_formats_give_the_same(own, form):
    folder, values, _ = own
    path = folder / f"r.{form}"
    key = '\nkey = "beta"'
    if form == "npz":
        np.savez(path, beta=values, x=np.zeros(2))
    elif form == "h5":
        with h5py.File(path, "w") as file:
            file["beta"] = values.T
        key += '\naxes = ["target", "sample"]'
    elif form == "mat":
        scipy.io.savemat(path, {"beta": values})
    else:
        np.savetxt(path, values, delimiter="," if form == "csv" else "\t", fmt="%.9g")
        key = ""
    change(folder, 'path = "responses.npy"', f'path = "r.{form}"{key}')
    np.testing.assert_allclose(be.load(folder).responses.values, values, rtol=1e-6)


def test_missing_values_are_counted_and_told(own, caplog):
    folder, values, _ = own
    values[2, 3] = values[5, 3] = values[0, 6] = np.nan
    np.save(folder / "responses.npy", values)
    with caplog.at_level(logging.WARNING, logger="brainenc"):
        facts = be.load(folder).responses.provenance
    assert facts["n_missing_values"] == 3 and facts["n_targets_with_missing"] == 2
    assert "3 missing values in 2 of 8 targets" in caplog.text


@pytest.mark.parametrize(
    ("file", "old", "new", "error", "message"),
    [
        ("scenes.csv", "s3,", "s2,", InputError, "duplicate stimulus_id.*'s2'"),
        ("scenes.csv", "s3,", ",", InputError, "stimulus_id is missing.*1 of 9"),
        ("scenes.csv", "stimulus_id,", "image,", DataError, "no column 'stimulus_id'.*rename"),
        ("trials.csv", "s3,", "s33,", InputError, "1 of 10 stimuli.*'s33'"),
        ("trials.csv", "s3,1\n", "", DataError, "expected 27 samples.*got 26 rows"),
        ("voxels.csv", "V1,0,0,0.5\n", "", DataError, "expected 8 targets.*got 7 rows"),
        ("scenes.csv", "scenes/s3.jpg", "../s3.jpg", InputError, "leaves the folder"),
        ("scenes.csv", "scenes/s3.jpg", "/etc/passwd", InputError, "leaves the folder"),
        ("scenes.csv", "scenes/s3.jpg", "", InputError, "no path"),
        ("brainenc.toml", "responses.npy", "response.npy", DataError, "missing.*response.npy"),
        ("brainenc.toml", '"responses.npy"', '"responses.npy"\naxes = ["target", "sample"]', DataError, "expected 8 samples.*got 27 rows"),
        ("brainenc.toml", "table =", "tabel =", InputError, "unknown key 'tabel'.*stimuli.*mean 'table'"),
        ("brainenc.toml", '"scenes.csv"', '"scenes.csv"\nkind = "picture"', InputError, "stimuli.kind.*image, text"),
        ("brainenc.toml", '"z"', "3", InputError, "responses.units.*expected text, got 3"),
        ("brainenc.toml", "[targets]", "[targets", DataError, "brainenc.toml"),
    ],
)
def test_what_does_not_fit_is_named(own, file, old, new, error, message):
    folder, _, _ = own
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    with pytest.raises(error, match=message) as caught:
        be.load(folder)
    assert caught.value.__class__ is error


def test_rois_from_arrays_and_array_columns(own, rng):
    folder, _, _ = own
    codes = np.array([1, 1, 2, 0, 3, 3, 0, 2])
    np.savez(folder / "rois.npz", areas=codes, ncsnr=np.arange(8) / 10)
    change(
        folder, '[targets]\npath = "voxels.csv"',
        '[targets]\npath = "voxels.csv"\narrays = [{ column = "noise_ceiling", path = "rois.npz", key = "ncsnr" }]\n'
        'rois = [{ column = "area", path = "rois.npz", key = "areas", labels = { early = [1, 2], FFA = 3 } }]',
    )  # fmt: skip
    brain = be.load(folder).responses
    assert [a if isinstance(a, str) else None for a in brain.targets["area"]] == ["early"] * 3 + [None, "FFA", "FFA", None, "early"]
    assert brain.where("area == 'FFA' and noise_ceiling > 0.45").n_targets == 1
    change(folder, "FFA = 3", "FFA = [3, 1]")
    with pytest.raises(InputError, match="2 targets of 'FFA' and 'early'"):
        be.load(folder)


def test_spaces_from_the_targets_table(own, rng):
    folder, values, _ = own
    (folder / "voxels.csv").write_text("\n".join(["channel,x,y,z", *(f"A{i},{i},2,3" for i in range(8))]))
    change(folder, "[targets]", '[space]\nkind = "contacts"\n[targets]')
    assert list(be.load(folder).responses.space.paint(values[0])["channel"]) == [f"A{i}" for i in range(8)]
    (folder / "voxels.csv").write_text("\n".join(["hemi,vertex", *(f"{'lh' if i < 5 else 'rh'},{3 * i}" for i in range(8))]))
    change(folder, 'kind = "contacts"', 'kind = "surface"\nmesh = "fsaverage5"')
    painted = be.load(folder).responses.space.paint_arrays(values[0])
    np.testing.assert_array_equal(painted["right"][[15, 18, 21]], values[0, 5:])
    nib.save(nib.Nifti1Image(np.ones((9, 3, 2), np.int16), np.diag([2.0, 2, 2, 1])), folder / "ref.nii")
    (folder / "voxels.csv").write_text("\n".join(["i,j,k", *(f"{i},1,0" for i in range(8))]))
    change(folder, 'kind = "surface"\nmesh = "fsaverage5"', 'kind = "volume"\nreference = "ref.nii"')
    np.testing.assert_allclose(be.load(folder).responses.space.paint(values[0]).get_fdata()[:8, 1, 0], values[0])
    change(folder, 'reference = "ref.nii"', "")
    with pytest.raises(InputError, match="reference"):
        be.load(folder)


SERIES = """
name = "series"
[stimuli]
kind = "none"
ids = ["face", "house"]
[responses]
path = "{path}"
runs = "1-2"
t_r = 2.0
{more}
[events]
path = "run-{{run:02d}}_events.tsv"
rename = {{ stimulus_id = "trial_type" }}
rest = ["rest"]
onset_shift = 1.0
[confounds]
path = "run-{{run:02d}}_confounds.tsv"
columns = ["trans_x"]
"""


def write_runs(folder, lengths):
    for run, n in enumerate(lengths, start=1):
        (folder / f"run-{run:02d}_events.tsv").write_text("onset\tduration\ttrial_type\tstim_file\n0.0\t4.0\tface\tf.jpg\n6.0\t2.0\trest\tn/a\n8.0\t4.0\thouse\tn/a\n")
        pd.DataFrame({"trans_x": np.arange(n) / 10.0, "csf": 0.0}).to_csv(folder / f"run-{run:02d}_confounds.tsv", sep="\t", index=False)


def check_series(folder, values, lengths):
    brain = be.load(folder / "m.toml").responses
    np.testing.assert_array_equal(brain.values, values)
    assert list(brain.samples["run"]) == [1] * lengths[0] + [2] * lengths[1]
    np.testing.assert_allclose(brain.samples["confound.trans_x"], np.concatenate([np.arange(n) / 10 for n in lengths]))
    assert brain.events["onset"].tolist() == [1.0, 9.0] * 2 and brain.events["run"].tolist() == [1, 1, 2, 2]
    assert brain.events["stimulus_id"].tolist() == ["face", "house"] * 2 and "stim_file" in brain.events
    return brain


def test_series_of_one_nifti_per_run(tmp_path, rng):
    runs = [rng.random((3, 4, 2, n)).astype(np.float32) for n in (8, 7)]
    for i, run in enumerate(runs, start=1):
        nib.save(nib.Nifti1Image(run, np.eye(4)), tmp_path / f"run-{i:02d}_bold.nii.gz")
    labels = rng.integers(0, 3, (3, 4, 2)).astype(np.int16)
    nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "rois.nii.gz")
    write_runs(tmp_path, (8, 7))
    roi = '[targets]\nrois = [{ path = "rois.nii.gz", labels = { V1 = 1, V2 = 2 } }]'
    (tmp_path / "m.toml").write_text(SERIES.format(path="run-{run:02d}_bold.nii.gz", more=roi))
    brain = check_series(tmp_path, np.concatenate([r.reshape(-1, r.shape[-1]).T for r in runs]), (8, 7))
    assert brain.where(roi="V2").n_targets == (labels == 2).sum()


def test_series_of_gifti_with_labels(tmp_path, rng):
    parts = {}
    for hemi, n in (("lh", 6), ("rh", 5)):
        for run, length in enumerate((8, 7), start=1):
            data = rng.standard_normal((length, n)).astype(np.float32)
            arrays = [nib.gifti.GiftiDataArray(row, datatype="NIFTI_TYPE_FLOAT32") for row in data]
            nib.save(nib.gifti.GiftiImage(darrays=arrays), tmp_path / f"{hemi}.{run}.func.gii")
            parts[hemi, run] = data
        label = nib.gifti.GiftiDataArray(np.arange(n, dtype=np.float32) % 2, datatype="NIFTI_TYPE_FLOAT32")
        nib.save(nib.gifti.GiftiImage(darrays=[label]), tmp_path / f"{hemi}.odd.gii")
    write_runs(tmp_path, (8, 7))
    roi = '[targets]\nrois = [{ path = "{hemi}.odd.gii", labels = { odd = 1 } }]'
    (tmp_path / "m.toml").write_text(SERIES.format(path="{hemi}.{run}.func.gii", more=roi))
    expected = np.vstack([np.hstack([parts["lh", r], parts["rh", r]]) for r in (1, 2)])
    brain = check_series(tmp_path, expected, (8, 7))
    assert brain.where(roi="odd").targets["vertex"].tolist() == [1, 3, 5, 1, 3]


def test_series_of_cifti(tmp_path, rng):
    axis = BrainModelAxis.from_surface(np.array([0, 2, 5]), 8, "CIFTI_STRUCTURE_CORTEX_LEFT")
    runs = [rng.random((n, 3)).astype(np.float32) for n in (8, 7)]
    for i, run in enumerate(runs, start=1):
        nib.save(Cifti2Image(run, (SeriesAxis(0, 2.0, len(run)), axis)), tmp_path / f"r{i}.dtseries.nii")
    write_runs(tmp_path, (8, 7))
    (tmp_path / "m.toml").write_text(SERIES.format(path="r{run}.dtseries.nii", more=""))
    check_series(tmp_path, np.vstack(runs), (8, 7))
    write_runs(tmp_path, (8, 6))
    with pytest.raises(DataError, match="expected 15 samples, got 14"):
        be.load(tmp_path / "m.toml")


def test_betas_of_mgh_files_with_a_scale(tmp_path, rng):
    for hemi, n in (("lh", 6), ("rh", 5)):
        nib.save(nib.MGHImage(rng.integers(0, 9, (n, 1, 1, 4)).astype(np.float32), np.eye(4)), tmp_path / f"{hemi}.mgz")
    (tmp_path / "m.toml").write_text('name = "b"\n[stimuli]\nkind = "none"\nids = ["a", "b", "c", "d"]\n[responses]\npath = "{hemi}.mgz"\nids = "stimuli"\n')
    brain = be.load(tmp_path / "m.toml").responses
    assert brain.values.shape == (4, 11) and not brain.is_time_series
    np.testing.assert_array_equal(brain.space.paint_arrays(brain.values[2])["right"], nib.load(tmp_path / "rh.mgz").get_fdata()[:, 0, 0, 2])


def test_text_stimuli_and_json_tables(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps([{"stimulus_id": "01", "text": "a dog"}, {"stimulus_id": "02", "text": "<b>"}]))
    np.save(tmp_path / "r.npy", np.ones((2, 3)))
    (tmp_path / "m.toml").write_text('name = "t"\n[stimuli]\nkind = "text"\ntable = "s.json"\n[responses]\npath = "r.npy"\nids = "{index:02d}"\n')
    stimuli, brain = be.load(tmp_path / "m.toml")
    assert stimuli.load("02") == "<b>" and list(brain.samples["stimulus_id"]) == ["01", "02"]


def test_checks_guard_what_is_loaded(own):
    folder, _, _ = own
    checks = '[[checks]]\nquantity = "n_targets"\nwhere = "roi == \'V4\'"\nexpected = 5\n'
    text = (folder / "brainenc.toml").read_text()
    (folder / "brainenc.toml").write_text(text + checks)
    be.load(folder)
    (folder / "brainenc.toml").write_text(text + checks.replace("5", "15724"))
    with pytest.raises(DataError, match="check of n_targets where roi == 'V4'.*expected 15724, got 5"):
        be.load(folder)
    (folder / "brainenc.toml").write_text(text + checks.replace("n_targets", "n_voxels"))
    with pytest.raises(InputError, match="n_voxels"):
        be.load(folder)


def test_unverified_fields_are_noted_and_tested(tmp_path, rng, caplog):
    image = nib.Nifti1Image(rng.random((3, 3, 2, 8)).astype(np.float32), np.eye(4))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((1, 1, 1, 1.6))
    nib.save(image, tmp_path / "b.nii.gz")
    text = 'name = "s"\n[stimuli]\nkind = "none"\nids = ["a"]\n[responses]\npath = "b.nii.gz"\nt_r = {}\n'
    (tmp_path / "m.toml").write_text(text.format("{ value = 1.6, verified = false }"))
    with caplog.at_level(logging.INFO, logger="brainenc"):
        brain = be.load(tmp_path / "m.toml").responses
    assert brain.provenance["unverified"] == ["responses.t_r"] and "not verified by anybody: responses.t_r" in caplog.text
    (tmp_path / "m.toml").write_text(text.format("{ value = 2.0, verified = false }"))
    with pytest.raises(DataError, match="expected 2 s, got 1.6 s"):
        be.load(tmp_path / "m.toml")
    (tmp_path / "m.toml").write_text(text.format("2.0"))
    with caplog.at_level(logging.WARNING, logger="brainenc"):
        assert be.load(tmp_path / "m.toml").responses.t_r == 2.0
    assert "the manifest is used" in caplog.text


def test_gated_sets_name_their_form(own):
    folder, _, _ = own
    (folder / "responses.npy").unlink()
    change(folder, "[stimuli]", '[access]\nkind = "form"\nurl = "https://example.org/form"\n[stimuli]')
    with pytest.raises(DataError, match="https://example.org/form"):
        be.load(folder)
    with pytest.raises(DataError, match="https://example.org/form"):
        be.fetch(folder)


def test_a_folder_without_a_manifest(tmp_path):
    with pytest.raises(DataError, match="brainenc.toml"):
        be.load(tmp_path)
    with pytest.raises(NotFoundError, match="path of a manifest"):
        be.load("nothing_like_it")
