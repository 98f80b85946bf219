"""Manifests of stimuli alone, and tables whose rows are named by a template."""

from __future__ import annotations

import pytest

import brainenc as be
from brainenc.core.errors import InputError

MANIFEST = """
name = "sayings"
kind = "stimuli"
[stimuli]
kind = "text"
[[stimuli.parts]]
table = "a.csv"
ids = "a_{index:02d}"
columns = { unit = "word" }
[[stimuli.parts]]
table = "b.csv"
names = ["text"]
ids = "b_{row}"
columns = { unit = "character" }
[[checks]]
quantity = "n_stimuli"
expected = 5
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.csv").write_text("text\none two\nthree four\nfive, six\n".replace("five, six", '"five, six"'), encoding="utf-8")
    (tmp_path / "b.csv").write_text("画家\n喝茶\n", encoding="utf-8")
    (tmp_path / "m.toml").write_text(MANIFEST.replace("{row}", "{index}"), encoding="utf-8")
    return tmp_path


def test_texts_of_two_tables(folder):
    loaded = be.load(folder / "m.toml")
    stimuli, nothing = loaded
    assert nothing is None and loaded.responses is None
    assert list(stimuli.ids) == ["a_01", "a_02", "a_03", "b_1", "b_2"] and stimuli.load("a_03") == "five, six" and stimuli.load("b_2") == "喝茶"
    assert list(stimuli.table["unit"]) == ["word"] * 3 + ["character"] * 2


def test_a_table_with_ids_takes_no_template(folder):
    (folder / "a.csv").write_text("stimulus_id,text\nx,one two\ny,three\nz,four\n", encoding="utf-8")
    with pytest.raises(InputError, match="ids of its own"):
        be.load(folder / "m.toml")
