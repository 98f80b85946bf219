"""Plans are strict, say where they are wrong, and come back from their own TOML."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainenc.core.errors import DataError, InputError
from brainenc.study import Plan, tomltext

GOOD = {
    "name": "two sets",
    "seed": 3,
    "memory": "512MB",
    "dtype": "float64",
    "analysis": [
        {
            "name": "voxels", "dataset": "haxby2001_slice", "models": ["gabor", {"name": "timm:x", "layers": ["a.*", "b"], "model_kwargs": {"pad": "same"}}],
            "split": {"kind": "runs"}, "design": {"hrf": "glover"}, "clean": {"detrend": True, "standardize": "zscore"}, "aggregate": "pooled",
        },
        {"dataset": "insilico", "subjects": "01", "roi": ["V1", "V4"], "where": "noise_ceiling > 0.3", "models": ["gabor"], "split": {"seeds": [0, 1]}},
    ],
}  # fmt: skip


def _with(**changes):
    return {"analysis": [{"dataset": "d", "models": ["m"], **changes}]}


def test_a_plan_comes_back_from_its_dict_and_its_toml():
    plan = Plan.from_dict(GOOD)
    assert Plan.from_dict(plan.to_dict()) == plan
    assert Plan.from_dict(tomllib.loads(plan.to_toml())) == plan
    resolved = plan.resolve()
    assert resolved.device in ("cpu", "cuda") and resolved.environment["numpy"] and plan.environment is None
    assert Plan.from_dict(tomllib.loads(resolved.to_toml())) == resolved == resolved.resolve()


def test_fields_are_what_the_toml_said():
    plan = Plan.from_dict(GOOD)
    voxels, regions = plan.analyses
    assert (plan.seed, plan.memory_bytes, plan.dtype, plan.threads) == (3, 512_000_000, "float64", 1)
    assert voxels.models[1].layers == ("a.*", "b") and voxels.models[1].arguments() == {"weights": "pretrained", "model_kwargs": {"pad": "same"}}
    assert (regions.name, regions.subjects, regions.roi) == ("insilico", ("01",), ("V1", "V4"))
    assert voxels.options["clean"] == {"detrend": True, "standardize": "zscore"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"analysis": [{"dataset": "d", "modles": ["m"]}]}, r"unknown key 'modles' \[plan: analysis\[0\]\].*Did you mean 'models'"),
        ({"sede": 1, **_with()}, r"unknown key 'sede' \[plan\].*Did you mean 'seed'"),
        (_with(models=[{"name": "m", "layrs": "a"}]), r"unknown key 'layrs' \[plan: analysis\[0\]\.models\[0\]\].*Did you mean 'layers'"),
        (_with(split={"kind": "imges"}), r"analysis\[0\]\.split\.kind.*Did you mean 'images'"),
        (_with(split={"tset": 0.2}), r"unknown key 'tset' \[plan: analysis\[0\]\.split\].*Did you mean 'test'"),
        (_with(split={"kind": "kfold", "n": "five"}), "integer"),
        (_with(split={"test": 1.5}), "share between 0 and 1"),
        (_with(split={"kind": "runs", "seeds": [1]}), r"no seeds \[plan: analysis\[0\]\.split\]"),
        (_with(split={"seeds": [1, 1]}), "different integers"),
        (_with(split={"seed": 1, "seeds": [2]}), "both seed and seeds"),
        (_with(split={"seeds": [-1]}), "non-negative"),
        (_with(encoder={"alphs": [1.0]}), r"unknown key 'alphs' \[plan: analysis\[0\]\.encoder\].*Did you mean 'alphas'"),
        (_with(metric="pearsn"), r"analysis\[0\]\.metric.*Did you mean 'pearson'"),
        (_with(design={"hfr": "glover"}), r"unknown key 'hfr' \[plan: analysis\[0\]\.design\].*Did you mean 'hrf'"),
        (_with(clean={"standardize": "z"}), r"not allowed \[plan: analysis\[0\]\.clean\.standardize\]"),
        (_with(kind="encodng"), r"analysis\[0\]\.kind.*Did you mean 'encoding'"),
        (_with(where="__import__('os')"), r"not allowed.*\[plan: analysis\[0\]\.where\]"),
        (_with(permutations=-1), "at least 0"),
        (_with(subjects=[1]), r"item has the wrong type \[plan: analysis\[0\]\.subjects\[0\]\]: expected text"),
        (_with(models=[]), "no model"),
        (_with(models=["m", {"name": "m", "weights": "random"}]), r"models share a name \[plan: analysis\[0\]\.models\]: got m"),
        ({"analysis": [{"models": ["m"]}]}, r"a key is missing \[plan: analysis\[0\]\.dataset\]"),
        ({"analysis": []}, "no analysis"),
        ({"seed": "0", **_with()}, r"wrong type \[plan\.seed\]: expected an integer, got text"),
        ({"seed": True, **_with()}, r"wrong type \[plan\.seed\]"),
        ({"memory": "lots", **_with()}, "size in bytes"),
        ({"dtype": "float16", **_with()}, "'float32', 'float64'"),
        ({"analysis": _with()["analysis"] * 2}, "share a name"),
    ],
)
def test_a_bad_plan_says_what_and_where(table, message):
    with pytest.raises(InputError, match=message):
        Plan.from_dict(table)


def test_a_file_that_is_missing_or_not_toml(tmp_path):
    with pytest.raises(DataError, match="no such plan"):
        Plan.from_toml(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = 'a'\nseed = = 1")
    with pytest.raises(InputError, match="not valid TOML.*line 2"):
        Plan.from_toml(broken)
    broken.write_bytes(b"name = '\xff'")
    with pytest.raises(InputError, match="not valid TOML"):
        Plan.from_toml(broken)


def test_paths_count_from_the_folder_of_the_plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text('[[analysis]]\ndataset = "own/set.toml"\nroot = "own"\nmodels = [{ name = "timm:a", weights = "w/a.safetensors" }, { name = "timm:b" }]\n')
    analysis = Plan.from_toml(path).analyses[0]
    assert analysis.name == "set"
    assert (analysis.dataset, analysis.root) == (str(tmp_path / "own/set.toml"), str(tmp_path / "own"))
    assert [model.weights for model in analysis.models] == [str(tmp_path / "w/a.safetensors"), "pretrained"]


_leaf = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8"), max_size=9)
_value = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3))


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=7).filter(lambda name: name != "analysis"), _value, max_size=4))
def test_any_table_comes_back_from_its_toml_text(table):
    assert tomllib.loads(tomltext.dumps(table)) == table
