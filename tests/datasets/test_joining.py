"""Sessions that are read together, targets that a table chooses, and checks from memory."""

import numpy as np
import pytest

import brainenc as be
from brainenc import datasets
from brainenc.core.errors import DataError, InputError
from brainenc.datasets.parsing import from_table
from brainenc.datasets.templates import fill, parse

JOINED = """
name = "mine"
title = "mine"
subjects = ["a", "b"]
join_sessions = true
sessions = { a = ["1", "2"], b = ["1"] }

[stimuli]
kind = "none"
from_samples = ["category"]

[responses]
path = "{subject}_{session}.npy"

[samples]
path = "{subject}_{session}.csv"

[targets]
path = "voxels.csv"
where = "roi == 'V1'"
"""


@pytest.fixture
def joined(tmp_path, rng):
    values = {}
    for unit, n in (("a_1", 3), ("a_2", 2), ("b_1", 4)):
        values[unit] = rng.standard_normal((n, 4))
        np.save(tmp_path / f"{unit}.npy", values[unit])
        (tmp_path / f"{unit}.csv").write_text("\n".join(["stimulus_id,category", *(f"s{i},{'face' if i else 'house'}" for i in range(n))]))
    (tmp_path / "voxels.csv").write_text("roi\nV1\nV2\nV1\nV2\n")
    (tmp_path / "brainenc.toml").write_text(JOINED)
    return tmp_path, values


def test_sessions_below_each_other_or_one_of_them(joined):
    folder, values = joined
    stimuli, brain = be.load(folder, "a")
    np.testing.assert_array_equal(brain.values, np.concatenate([values["a_1"], values["a_2"]])[:, [0, 2]])
    assert list(brain.samples["session"]) == ["1", "1", "1", "2", "2"] and brain.name == "a"
    assert list(brain.samples["stimulus_id"]) == ["s0", "s1", "s2", "s0", "s1"] and list(stimuli.table["category"]) == ["house", "face", "face"]
    np.testing.assert_array_equal(be.load(folder, "a", session="2").responses.values, values["a_2"][:, [0, 2]])
    assert be.load(folder, "b").responses.n_samples == 4
    assert datasets.units(folder) == [{"subject": s, "session": None, "variant": None} for s in "ab"]
    with pytest.raises(InputError, match="no session '3'"):
        be.load(folder, "a", session="3")
    (folder / "a_2.npy").unlink()
    with pytest.raises(DataError, match=r"without.*a_2\.npy"):
        be.load(folder, "a")


def test_a_file_that_happens_to_have_as_many_targets_as_are_chosen(joined):
    folder, values = joined
    np.save(folder / "b_1.npy", values["b_1"][:, :2])
    with pytest.raises(DataError, match="different lengths.*2 targets.*4 rows"):
        be.load(folder, "b")
    (folder / "voxels.csv").write_text("roi\nV2\nV2\n")
    with pytest.raises(InputError, match="keeps no target"):
        be.load(folder, "b")


def test_a_stimulus_of_two_categories(joined):
    folder, _ = joined
    (folder / "a_2.csv").write_text("stimulus_id,category\ns0,face\ns1,face\n")
    with pytest.raises(InputError, match="several values of a column.*category.*s0"):
        be.load(folder, "a")


def test_checks_from_memory_are_told_and_others_stop(joined, caplog):
    folder, _ = joined
    check = '\n[[checks]]\nquantity = "n_targets"\nexpected = 3\n'
    (folder / "brainenc.toml").write_text(JOINED + check + "verified = false\n")
    assert be.load(folder, "a").responses.n_targets == 2 and "n_targets is 2, the manifest has 3 from memory" in caplog.text
    (folder / "brainenc.toml").write_text(JOINED + check)
    with pytest.raises(DataError, match="not as it is known to be"):
        be.load(folder, "a")


@pytest.mark.parametrize(
    ("table", "extra", "message"),
    [
        ("responses", {"t_r": 2.0, "run_length": 10}, "sessions of a series that are joined are its runs"),
        ("responses", {"run_length": 0}, "at least one scan"),
        ("targets", {"rois": [{"path": "a.npy"}]}, "path with labels or names, or from flags"),
        ("targets", {"rois": [{"path": "a.npy", "labels": {"V1": 1}, "names": "b.ctab"}]}, "path with labels or names"),
        ("targets", {"rois": [{"flags": {"V1": "v1"}, "path": "a.npy"}]}, "path with labels or names"),
        ("targets", {"where": "roi == 'V1'"}, "where selects rows of a table"),
        ("stimuli", {"parts": [{"ids": ["a"]}]}, "from samples or from a list"),
    ],
)
def test_contradictions(table, extra, message):
    content = {
        "name": "m", "join_sessions": True, "sessions": {"01": ["1", "2"]}, "stimuli": {"kind": "none", "from_samples": []},
        "responses": {"path": "r.npy"}, "samples": {"path": "s.csv"},
    }  # fmt: skip
    from_table(content)
    content[table] = {**content.get(table, {}), **extra}
    with pytest.raises(InputError, match=message):
        from_table(content)


def test_numbers_are_read_back_from_templates():
    template = "train-{number:04d}_nsd-{nsd_id:05d}"
    assert parse(template, fill(template, {"number": 3, "nsd_id": 70120}, "here"), "here") == {"number": 3, "nsd_id": 70120}
    for text in ("train-x_nsd-1", "train-1_nsd-1.png", "rain-1_nsd-1", "train-1_nsd-" + "9" * 30):
        with pytest.raises(InputError, match="form of the template"):
            parse(template, text, "here")
