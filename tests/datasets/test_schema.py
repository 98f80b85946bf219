"""Manifests are strict: what is not understood is an error that names its place."""

import pytest

from brainenc.core.errors import DataError, InputError
from brainenc.datasets.parsing import from_table, parse_manifest, run_list, with_variant
from brainenc.datasets.templates import fill, inside

PLAIN = {
    "name": "x",
    "stimuli": {"kind": "none", "ids": ["a", "b"]},
    "responses": {"path": "r.npy", "ids": "stimuli"},
}


def nested(path, value):
    """Return PLAIN with the key at a dotted path set."""
    table = {key: dict(item) if isinstance(item, dict) else item for key, item in PLAIN.items()}
    *parents, last = path.split(".")
    place = table
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return table


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("respones", {}, "unknown key 'respones'.*Did you mean 'responses'"),
        ("responses.axis", ["sample"], r"responses\].*mean 'axes'"),
        ("stimuli.kind", "images", "stimuli.kind.*Did you mean 'image'"),
        ("responses.t_r", "2", "responses.t_r.*a number.*'2'"),
        ("responses.t_r", -1, "positive.*responses.t_r"),
        ("responses.t_r", float("nan"), "not finite"),
        ("responses.scale", True, "responses.scale.*a number"),
        ("responses.axes", "sample", "a list.*responses.axes"),
        ("responses.axes", ["sample", 3], r"responses.axes\[1\].*text"),
        ("responses.key", 3, "responses.key.*text or a list"),
        ("responses.hemispheres", {"middle": "m"}, "left and right"),
        ("responses.labels", ["a"], "as many keys"),
        ("responses.sampling_rate", 0, "positive"),
        ("stimuli.ids", "a{index}", "needs n"),
        ("stimuli.files", "*.jpg", "exactly one of table, files or ids"),
        ("stimuli.parts", [{"ids": ["a"]}], "parts and also"),
        ("kind", "rdm", "Did you mean 'rdms'"),
        ("kind", "rdms", "needs the table 'rdms'"),
        ("kind", "stimuli", "cannot hold 'responses'"),
        ("rdms", [{"path": "a"}], "cannot hold 'rdms'"),
        ("subjects", ["01", "01"], "listed twice"),
        ("subjects", [], "at least one"),
        ("sessions", {"02": ["a"]}, "unknown subject '02'.*'01'"),
        ("sessions", ["a"], "listed by subject"),
        ("sources", [{"base": "https://x.org", "files": [{"path": "a", "sha256": "12", "bytes": 3}]}], "sha256"),
        ("sources", [{"base": "https://x.org", "files": [{"path": "a", "bytes": 3}]}], r"'sha256' is missing.*sources\[0\].files\[0\]"),
        ("checks", [{"quantity": "n_voxels", "expected": 3}], r"checks\[0\].quantity.*n_targets"),
        ("events", {"path": "a", "from_column": "b"}, "exactly one of path and from_column"),
        ("variants", {"v": {"responses": {"pth": "x"}}}, "variants.v.responses.*mean 'path'"),
        ("variants", {"v": {"sessions": ["9"]}}, "unknown session '9'"),
        ("variants", {"v": {"stimuli": {"files": "*"}}}, "exactly one.*variants.v.stimuli"),
        ("file", "/etc/passwd", "unknown key 'file'"),
        ("unverified", [], "unknown key 'unverified'"),
        ("responses.t_r", {"value": 2.0, "verified": "no"}, "true or false"),
    ],
)
def test_what_is_not_understood_is_named(path, value, message):
    with pytest.raises(InputError, match=message):
        from_table(nested(path, value))


def test_missing_tables_and_keys():
    with pytest.raises(InputError, match="'name' is missing"):
        from_table({})
    with pytest.raises(InputError, match="'stimuli' is missing"):
        from_table({"name": "x"})
    with pytest.raises(InputError, match="needs the table 'responses'"):
        from_table({"name": "x", "stimuli": PLAIN["stimuli"]})


def test_verified_marks_are_taken_out_and_listed():
    table = nested("responses.t_r", {"value": 2, "verified": False})
    table["citation"] = {"text": "somebody", "verified": False}
    table["licence"] = {"name": {"value": "CC0", "verified": True}}
    found = from_table(table)
    assert found.responses.t_r == 2.0 and found.unverified == ("responses.t_r", "citation") and found.licence.name == "CC0"


def test_variants_replace_keys_of_tables():
    table = nested("variants", {"single": {"description": "d", "responses": {"path": "s.npy", "axes": ["target", "sample"]}, "targets": {"path": "t.csv"}}})
    found = from_table(table)
    changed = with_variant(found, "single")
    assert changed.responses.path == "s.npy" and changed.responses.ids == "stimuli" and changed.targets.path == "t.csv"
    assert found.responses.path == "r.npy" and found.targets is None and with_variant(found, None) is found


@pytest.mark.parametrize(("runs", "found"), [("1-3", (1, 2, 3)), ((4, 2), (4, 2)), (None, ()), ("07-08", (7, 8))])
def test_runs(runs, found):
    assert run_list(runs, "x") == found


@pytest.mark.parametrize("runs", ["3-1", "1-999999", "a", (), (1, 1)])
def test_runs_that_are_none(runs):
    with pytest.raises(InputError):
        run_list(runs, "x")


def test_templates():
    assert fill("s-{subject}_r-{run:02d}{index:4d}", {"subject": "A", "run": "3", "index": 7}, "x") == "s-A_r-030007"
    with pytest.raises(InputError, match="unknown field {sub}.*Did you mean 'subject'"):
        fill("{sub}", {"subject": 1}, "x")
    with pytest.raises(InputError, match="number of that width"):
        fill("{subject:02d}", {"subject": "AB"}, "x")


@pytest.mark.parametrize("path", ["a.npy", "a/b-1_x.nii.gz", "z.zip::a/b.jpg", "x::[3]", "äö/ü.npy", "a..b/c"])
def test_paths_that_stay(path):
    assert inside(path, "x") == path


def test_broken_files(tmp_path):
    (tmp_path / "a.toml").write_text("name = ")
    with pytest.raises(DataError, match=r"a\.toml"):
        parse_manifest(tmp_path / "a.toml")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"\.toml"):
        parse_manifest(tmp_path / "a.txt")
