"""Manifests come from anywhere: they reach no file outside, run nothing, and cannot exhaust the machine."""

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import BrainencError, DataError, InputError
from brainenc.datasets.parsing import from_table, parse_manifest
from brainenc.datasets.templates import fill, inside

BASE = 'name = "x"\n{top}\n[stimuli]\nkind = "none"\nids = ["a", "b"]\n[responses]\npath = "{path}"\nids = "stimuli"\n{more}\n'


def write(folder, top="", path="r.npy", more=""):
    (folder / "m.toml").write_text(BASE.format(top=top, path=path, more=more))
    return folder / "m.toml"


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../r.npy", "a/../../r.npy", "~/r.npy", "C:/r.npy", "c:r.npy", "a\\\\..\\\\r.npy", "a\\u0000b.npy", "a\\nb", "z.zip::../r.npy", " ", "..::x"],
)
def test_paths_cannot_leave_the_folder(tmp_path, path):
    inner = tmp_path / "inner"
    inner.mkdir()
    np.save(tmp_path / "r.npy", np.ones((2, 3)))
    with pytest.raises(InputError, match="leaves the folder"):
        be.load(write(inner, path=path))


@pytest.mark.parametrize("key", ['folder = ".."', 'folder = "/etc"', 'folder = "a/../.."'])
def test_folders_cannot_leave_either(tmp_path, key):
    with pytest.raises(InputError, match="leaves the folder"):
        be.load(write(tmp_path, top=key))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", "a b", "x" * 70, "a\\u0000", "{run}", "-rf"])
@pytest.mark.parametrize("key", ["subjects", "name"])
def test_names_that_become_paths_are_plain(tmp_path, name, key):
    text = BASE.format(top=f'subjects = ["{name}"]' if key == "subjects" else "", path="r_{subject}.npy", more="")
    (tmp_path / "m.toml").write_text(text if key == "subjects" else text.replace('name = "x"', f'name = "{name}"'))
    with pytest.raises(InputError, match="not safe"):
        parse_manifest(tmp_path / "m.toml")


@pytest.mark.parametrize(
    "generator",
    ["os:system", "brainenc.simulate:os", "brainenc.simulate.insilico:_store", "brainenc.io.archive:extract", "brainenc.simulate.insilico:load.__globals__",
     "brainenc.simulate.insilico:Path", "brainenc.simulate..os:system", "subprocess:run"],
)  # fmt: skip
def test_only_functions_of_the_simulation_room_are_generators(generator):
    with pytest.raises(InputError, match="generator is not allowed"):
        from_table({"name": "x", "generator": generator})


@pytest.mark.parametrize("template", ["{subject.__class__}", "{subject[0]}", "{subject!r}", "{subject:>99999999}", "{subject:99d}", "{0}", "{}", "{{subject}}", "{subject"])
def test_templates_are_no_format_strings(template):
    with pytest.raises(InputError):
        fill(template, {"subject": "1"}, "x")


def test_sources_cannot_be_written_outside(tmp_path):
    source = '[[sources]]\nbase = "https://example.org"\nfiles = [{{ path = "{}", sha256 = "{}", bytes = 1{} }}]'
    for path, extra in (("../../evil", ""), ("/tmp/evil", ""), ("ok.zip", ', extract = "../evil"')):
        with pytest.raises(InputError, match="leaves the folder"):
            be.fetch(write(tmp_path, more=source.format(path, "0" * 64, extra)))


@pytest.mark.parametrize("address", ["file:///etc", "ftp://example.org", "javascript:alert(1)", "//example.org"])
def test_only_web_addresses_are_fetched(tmp_path, monkeypatch, address):
    monkeypatch.delenv("BRAINENC_OFFLINE", raising=False)
    source = f'[[sources]]\nbase = "{address}"\nfiles = [{{ path = "passwd", sha256 = "{"0" * 64}", bytes = 1 }}]'
    with pytest.raises(InputError, match="http"):
        be.fetch(write(tmp_path, more=source), progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["m.toml"]


def test_counts_are_bounded(tmp_path):
    for part in ('ids = "a{index}"\nn = 99999999999', 'ids = "a{index}"\nn = -1'):
        text = BASE.format(top="", path="r.npy", more="").replace('ids = ["a", "b"]', part)
        (tmp_path / "m.toml").write_text(text)
        with pytest.raises(InputError, match="needs n"):
            parse_manifest(tmp_path / "m.toml")
    np.save(tmp_path / "r1.npy", np.ones((2, 3)))
    with pytest.raises(InputError, match="runs cannot be read"):
        be.load(write(tmp_path, path="r{run}.npy", more='runs = "1-999999"'))


def test_deep_tables_are_refused(tmp_path):
    (tmp_path / "m.toml").write_text("a = " + "[" * 3000 + "]" * 3000)
    with pytest.raises(BrainencError):
        parse_manifest(tmp_path / "m.toml")
    deep = {}
    for _ in range(40):
        deep = {"x": deep}
    with pytest.raises(InputError, match="nested"):
        from_table({"name": "x", "stimuli": deep})


def test_selections_in_checks_run_nothing(tmp_path):
    np.save(tmp_path / "r.npy", np.ones((2, 3)))
    check = '[[checks]]\nquantity = "n_targets"\nwhere = "__import__(\'os\').system(\'x\')"\nexpected = 3'
    with pytest.raises(InputError):
        be.load(write(tmp_path, more=check))


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "r.npy", np.array([{"a": 1}, {"b": 2}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        be.load(write(tmp_path))


@pytest.mark.parametrize("path", ["a.npy", "x::[0]", "a/b.zip::c/d.jpg"])
def test_harmless_paths_pass(path):
    assert inside(path, "x") == path
