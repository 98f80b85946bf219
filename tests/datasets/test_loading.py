"""The shipped manifests read miniatures of the real sets: every number is where the file had it."""

import numpy as np
import pytest

import brainenc as be
from brainenc import datasets
from brainenc.core.errors import DataError, InputError, NotFoundError


def test_v4_sessions_images_and_order(v4):
    manifest, arrays = v4
    for session, subject in (("190923", "WE"), ("210224", "PE"), ("210325", "PE")):
        stimuli, brain = be.load(manifest, subject, session=session)
        np.testing.assert_array_equal(brain.values, arrays[session].T)
        assert list(stimuli.ids) == list(brain.samples["stimulus_id"]) == [f"image{i + 1:04d}" for i in range(len(stimuli))]
        assert stimuli.load("image0003").shape == (8, 8, 3)
        assert set(brain.samples["session"]) == {session} and brain.name == f"{subject}/{session}"


def test_v4_single_repeats(v4):
    manifest, arrays = v4
    _, brain = be.load(manifest, variant="single_repeats")  # only one subject and session have them
    stacked, ids = brain.repeats()
    np.testing.assert_array_equal(stacked, np.moveaxis(arrays["raw"], 0, 2))
    assert brain.n_samples == np.isfinite(arrays["raw"][0]).sum() and brain.provenance["n_padding_rows"] == 90 - brain.n_samples
    np.testing.assert_allclose(brain.average("stimulus_id").values, arrays["210325"].T)


def test_several_subjects_or_sessions_must_be_chosen(v4):
    manifest, _ = v4
    with pytest.raises(InputError, match="several subjects.*WE, PE"):
        be.load(manifest)
    with pytest.raises(InputError, match="several sessions.*210224, 210325"):
        be.load(manifest, "PE")
    with pytest.raises(InputError, match="no session '190923'.*210224"):
        be.load(manifest, "PE", session="190923")
    with pytest.raises(InputError, match="no subject 'we'.*Did you mean 'WE'"):
        be.load(manifest, "we")
    with pytest.raises(InputError, match="no variant 'single'.*single_repeats"):
        be.load(manifest, "PE", variant="single")
    assert be.load(manifest, session="190923").responses.name == "WE/190923"
    assert datasets.units(manifest) == [
        {"subject": "WE", "session": "190923", "variant": None},
        {"subject": "PE", "session": "210224", "variant": None},
        {"subject": "PE", "session": "210325", "variant": None},
        {"subject": "PE", "session": "210325", "variant": "single_repeats"},
    ]


def test_haxby_time_series_events_and_space(haxby):
    manifest, bold, mask = haxby
    stimuli, brain = be.load(manifest)
    np.testing.assert_array_equal(brain.values, bold[mask].T)
    assert brain.t_r == 2.5 and brain.provenance["frame_time"] == 1.25 and list(brain.samples["run"].unique()) == [1, 2]
    events = brain.events.to_dict("list")
    assert events == {
        "onset": [15.0, 30.0, 50.0, 0.0, 50.0],
        "duration": [10.0, 10.0, 10.0, 10.0, 10.0],
        "stimulus_id": ["face", "house", "cat", "cat", "chair"],
        "run": [1, 1, 1, 2, 2],
    }
    assert len(stimuli) == 8 and list(stimuli.table["category"]) == list(stimuli.ids)
    painted = brain.space.paint(brain.values[7]).get_fdata()
    np.testing.assert_array_equal(painted[mask], bold[mask][:, 7])


def test_digits_images_stand_upright_and_the_partition_is_kept(digits):
    manifest, images, values = digits
    stimuli, brain = be.load(manifest)
    for row in (0, 17, 89, 90, 99):
        np.testing.assert_array_equal(stimuli.load(stimuli.ids[row])[:, :, 0], images[row])
    np.testing.assert_array_equal(brain.values, values)
    assert (brain.samples["split"] == "test").to_numpy().nonzero()[0].tolist() == list(range(90, 100))
    assert list(stimuli.table["digit"].iloc[[0, 44, 45, 89, 90, 94, 95]]) == ["six", "six", "nine", "nine", "six", "six", "nine"]
    train, test = next(be.split.column("split").split(brain))
    assert len(train) == 90 and len(test) == 10


def test_objects_rdms_of_every_layout(objects):
    manifest, arrays = objects
    loaded = be.load(manifest)
    stimuli, rdms = loaded
    assert loaded.responses is None and rdms.n_rdms == 15 + 15 + 8 + 2 + 16
    for roi in ("EVC", "IT"):
        found = rdms.where(study="Algonauts 2019", roi=roi)
        np.testing.assert_allclose(found.square(), arrays[roi])
        assert list(found.rdms["subject"]) == [f"{i + 1:02d}" for i in range(15)]
    np.testing.assert_allclose(rdms.where(study="Mur 2013").square(), arrays["judges"])
    second = rdms.where(study="Kriegeskorte 2008", session="2", subject="SN")
    np.testing.assert_allclose(second.square()[0], arrays["people"][6], rtol=1e-6)
    np.testing.assert_allclose(rdms.where(subject="monkeys").values, arrays["vectors"][:1])
    assert stimuli.table["category"].value_counts()["natural object"] == 23 and stimuli.load("image_92").shape == (8, 8, 3)
    assert be.load(manifest, "03").rdms.n_rdms == 2 and be.load(manifest, "BE").rdms.n_rdms == 2


@pytest.mark.parametrize("change", ["asymmetric", "diagonal", "size"])
def test_rdms_that_are_none(objects, change):
    manifest, arrays = objects
    stack = arrays["IT"].copy()
    if change == "asymmetric":
        stack[3, 1, 2] += 0.5
    elif change == "diagonal":
        stack[3, 1, 1] = 1.0
    else:
        stack = stack[:, :91, :91]
    np.savez(manifest.parent / "algonauts2019_fmri" / "fmri_IT_RDMs.npz", Net_RDM=stack)
    with pytest.raises(DataError, match={"asymmetric": "not symmetric", "diagonal": "not zero", "size": "92 × 92"}[change]):
        be.load(manifest)


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(NotFoundError, match="haxby2001_slice"):
        be.load("haxby2001")
    with pytest.raises(DataError, match="no such manifest"):
        be.load("somewhere/else.toml")


def test_missing_files_say_where_was_looked_and_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINENC_DATA", str(tmp_path / "data"))
    with pytest.raises(DataError, match="brainenc fetch v4_cowley2023") as error:
        be.load("v4_cowley2023", session="190923", root=tmp_path / "given")
    assert str(tmp_path / "given") in str(error.value) and str(tmp_path / "data") in str(error.value)


def test_search_order_is_argument_then_environment(v4, tmp_path_factory, monkeypatch):
    manifest, arrays = v4
    text = manifest.read_text()
    home = tmp_path_factory.mktemp("catalogue")
    (home / "v4_cowley2023.toml").write_text(text)
    monkeypatch.setattr("brainenc.datasets.catalogue.catalogue_folder", lambda: home)
    roots = {}
    for kind, factor in (("argument", 2.0), ("environment", 3.0)):
        roots[kind] = tmp_path_factory.mktemp(kind)
        folder = roots[kind] / "v4_cowley2023"
        for part in ("images", "responses_repeat_averaged"):
            (folder / part).mkdir(parents=True)
        (folder / "images" / "images_190923.zip").write_bytes((manifest.parent / "images" / "images_190923.zip").read_bytes())
        np.save(folder / "responses_repeat_averaged" / "responses_190923.npy", arrays["190923"] * factor)
    monkeypatch.setenv("BRAINENC_DATA", str(roots["environment"]))
    np.testing.assert_array_equal(be.load("v4_cowley2023", "WE").responses.values, 3 * arrays["190923"].T)
    np.testing.assert_array_equal(be.load("v4_cowley2023", "WE", root=roots["argument"]).responses.values, 2 * arrays["190923"].T)
    inside = roots["argument"] / "v4_cowley2023"  # the folder itself is understood too
    np.testing.assert_array_equal(be.load("v4_cowley2023", "WE", root=inside).responses.values, 2 * arrays["190923"].T)
    (inside / "images" / "images_190923.zip").unlink()  # an incomplete folder is passed over
    np.testing.assert_array_equal(be.load("v4_cowley2023", "WE", root=roots["argument"]).responses.values, 3 * arrays["190923"].T)


def test_provenance_names_the_set_its_licence_and_files(digits):
    manifest, _, _ = digits
    facts = be.load(manifest).responses.provenance
    assert facts["dataset"] == "digits69" and "van Gerven" in facts["citation"] and "research use" in facts["licence"]
    assert facts["files"] == ["digit69_28x28.mat"] and len(facts["manifest_sha256"]) == 64
