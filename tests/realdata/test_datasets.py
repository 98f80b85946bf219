"""The shipped manifests on the real files: contents, order and orientation, against numbers found independently."""

import csv
import zipfile

import nibabel as nib
import numpy as np
import pytest
import scipy.io
from scipy.stats import spearmanr

import brainenc as be
from brainenc import datasets

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(("name", "folder"), [("v4_cowley2023", "v4_natural_images"), ("haxby2001_slice", "haxby2001_slice"), ("digits69", "digits69_fmri"), ("objects92", "objects92_rdm"), ("hftp_corpora", "hftp_corpora")])
def test_files_here_are_the_public_ones(real_data, name, folder):
    """What a fetch would bring is already here, so every checksum and size of the manifest is that of the real file."""
    from brainenc.io.fetch import fetch_file

    root = real_data(folder)
    plan = datasets.fetch_plan(name, root=root.parent)
    assert plan.folder == root and plan.needs.n_files == 0
    for item in plan.files:
        assert fetch_file(item.url, item.path, sha256=item.sha256) == item.path
        assert item.path.stat().st_size == item.n_bytes


@pytest.mark.parametrize(("subject", "session", "shape"), [("WE", "190923", (1200, 33)), ("PE", "210224", (800, 67)), ("PE", "210325", (640, 50))])
def test_v4(real_data, subject, session, shape):
    root = real_data("v4_natural_images")
    stimuli, brain = be.load("v4_cowley2023", subject, session=session)
    assert brain.values.shape == shape and brain.values.dtype == np.float64
    np.testing.assert_array_equal(brain.values, np.load(root / "responses_repeat_averaged" / f"responses_{session}.npy").T)
    with zipfile.ZipFile(root / "images" / f"images_{session}.zip") as bundle:
        stored = [name for name in bundle.namelist() if name.endswith(".jpg")]
    assert [path.partition("::")[2] for path in stimuli.table["path"]] == sorted(stored)
    assert stimuli.load("image0007").shape == (112, 112, 3)


def test_v4_single_repeats_average_to_the_averaged_file(real_data):
    real_data("v4_natural_images")
    single = be.load("v4_cowley2023", "PE", session="210325", variant="single_repeats").responses
    averaged = be.load("v4_cowley2023", "PE", session="210325").responses
    mean = single.average("stimulus_id")
    assert single.n_samples == 4840 and mean.samples["n_repeats"].between(6, 10).all()
    assert list(mean.samples["stimulus_id"]) == list(averaged.samples["stimulus_id"])
    np.testing.assert_allclose(mean.values, averaged.values, atol=1e-12)


def test_v4_images_belong_to_their_responses(real_data):
    """Brightness and contrast of the right image predict responses; those of a shuffled image do not."""
    real_data("v4_natural_images")
    stimuli, brain = be.load("v4_cowley2023", "PE", session="210325")
    images = np.stack([stimuli.load(i)[::8, ::8].mean(axis=2).ravel() for i in brain.samples["stimulus_id"]])
    images = images - images.mean(axis=0)
    basis = np.linalg.svd(images, full_matrices=False)[0][:, :20]
    shuffled = np.random.default_rng(0).permutation(len(images))
    explained = [(basis[rows].T @ (z := (brain.values - brain.values.mean(0)) / brain.values.std(0))).__pow__(2).sum() / z.size for rows in (slice(None), shuffled)]
    assert explained[0] > 2 * explained[1]


def test_haxby(real_data):
    root = real_data("haxby2001_slice")
    stimuli, brain = be.load("haxby2001_slice")
    mask = nib.load(root / "mask.nii.gz").get_fdata() > 0
    np.testing.assert_array_equal(brain.values, nib.load(root / "bold.nii.gz").get_fdata()[mask].T)
    assert brain.values.shape == (1452, 530) and brain.t_r == 2.5 and len(stimuli) == 8
    np.testing.assert_allclose(brain.space.affine, nib.load(root / "bold.nii.gz").affine)
    for run in range(1, 13):  # events found from the volumes' labels are those of the BIDS tables
        with open(root / "runs" / f"run-{run:02d}_events.tsv") as stream:
            expected = [(float(r["onset"]), float(r["duration"]), r["trial_type"]) for r in csv.DictReader(stream, delimiter="\t")]
        ours = brain.events[brain.events["run"] == run]
        assert list(zip(ours["onset"], ours["duration"], ours["stimulus_id"], strict=True)) == expected
        stored = nib.load(root / "runs" / f"run-{run:02d}_bold_1slice.nii.gz").get_fdata()
        np.testing.assert_array_equal(brain.rows(run=run).values, stored[mask].T)


def test_digits(real_data):
    root = real_data("digits69_fmri")
    stored = scipy.io.loadmat(root / "digit69_28x28.mat")
    stimuli, brain = be.load("digits69")
    np.testing.assert_array_equal(brain.values, np.vstack([stored["fmriTrn"], stored["fmriTest"]]))
    pictures = np.stack([stimuli.load(i)[:, :, 0] for i in stimuli.ids]).astype(float)
    for row, flat in enumerate(np.vstack([stored["stimTrn"], stored["stimTest"]])):  # upright, as looked at
        np.testing.assert_array_equal(pictures[row], flat.reshape(28, 28).T)
    labels = np.vstack([stored["labelTrn"], stored["labelTest"]]).ravel()
    assert list(stimuli.table["digit"]) == [("six", "nine")[label - 1] for label in labels]


def test_objects(real_data):
    root = real_data("objects92_rdm")
    stimuli, rdms = be.load("objects92")
    facts = scipy.io.loadmat(root / "Kriegeskorte_Neuron2008_supplementalData.mat")["stimuli_92objs"].ravel()
    for column, field in (("human", "human"), ("face", "face"), ("animate", "animal"), ("natural", "natural")):
        assert list(stimuli.table[column]) == [bool(fact[field][0, 0]) for fact in facts]
    for ours, theirs in (("body", "bodypart"), ("face", "face")):
        assert list(stimuli.table[ours]) == [theirs in str(fact["category"][0]) for fact in facts]
    people = rdms.where(study="Kriegeskorte 2008")
    stored = scipy.io.loadmat(root / "92_brainRDMs.mat")["RDMs"].ravel()
    names = {f"hIT | {row['subject']} | Session: {row['session']}": i for i, row in people.rdms.reset_index(drop=True).iterrows()}
    for item in stored:
        np.testing.assert_allclose(people.square()[names[str(item["name"][0])]], item["RDM"], rtol=1e-6)
    algonauts = rdms.where(study="Algonauts 2019", roi="IT").values.mean(axis=0)
    assert spearmanr(people.values.mean(axis=0), algonauts)[0] == pytest.approx(0.557, abs=0.01)
    assert spearmanr(rdms.where(subject="monkeys").values[0], algonauts)[0] == pytest.approx(0.486, abs=0.01)
    model = scipy.io.loadmat(root / "92_modelRDMs.mat")["Models"].ravel()[2]
    assert str(model["name"][0]) == "monkeyIT"
    upper = model["RDM"].astype(float)[np.triu_indices(92, 1)]
    assert spearmanr(upper, rdms.where(subject="monkeys").values[0])[0] > 0.99
    assert stimuli.load("image_01").shape == (175, 175, 3)
