"""Model files from strangers: nothing is executed, and what does not fit together is refused with its reason."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from brainenc.core.errors import DataError
from brainenc.encoding import Ridge, load_model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    return Ridge((1.0, 10.0), cv=3).fit(rng.normal(size=(30, 9)), rng.normal(size=(30, 7))).save(tmp_path / "model")


def metadata(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    return json.loads(json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]["brainenc"])


def rewritten(path: Path, *, header: Any = None, arrays: dict[str, Any] | None = None, text: str | None = None) -> Path:
    content = {**load_file(path), **(arrays or {})}
    content = {name: value for name, value in content.items() if value is not None}
    told = text if text is not None else json.dumps({**metadata(path), **(header or {})})
    save_file(content, path.with_name("evil.safetensors"), metadata={"brainenc": told})
    return path.with_name("evil.safetensors")


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 7, b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", (10).to_bytes(8, "little") + b"{not json}", b"\x80\x04K\x01."],
    ids=["empty", "short", "huge header", "no json", "pickle"],
)  # fmt: skip
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="bad.safetensors"):
        load_model(tmp_path / "bad.safetensors")


def test_a_truncated_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a readable model file"):
        load_model(saved)


def test_a_pickle_never_runs(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (Path.mkdir, (tmp_path / "ran",))

    (tmp_path / "bomb.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError):
        load_model(tmp_path / "bomb.safetensors")
    assert not (tmp_path / "ran").exists()


def test_foreign_and_newer_files_are_refused(saved: Path) -> None:
    save_file(load_file(saved), saved.with_name("foreign.safetensors"))
    with pytest.raises(DataError, match="not a model of brainenc"):
        load_model(saved.with_name("foreign.safetensors"))
    with pytest.raises(DataError, match="newer brainenc.*got 2.*Update"):
        load_model(rewritten(saved, header={"schema": 2}))
    for text, message in (("{", "not JSON"), ("[]", "names no schema"), ('{"schema": "x"}', "names no schema"), ("[" * 100_000, "not JSON"), ('{"schema": 1}', "not complete")):
        with pytest.raises(DataError, match=message):
            load_model(rewritten(saved, text=text))


@pytest.mark.parametrize("name", ["os.system", "brainenc.core.resolver:resolve", "Pipeline", "Ridg"])
def test_a_class_outside_the_list_is_never_resolved(saved: Path, name: str) -> None:
    with pytest.raises(DataError, match="unknown class"):
        load_model(rewritten(saved, header={"class": name}))


BAD_HEADERS = [
    ({"params": {"evil": {"value": 1}}}, "unknown parameters.*evil"),
    ({"params": {"cv": {"object": "os.system"}}}, "cannot be read"),
    ({"params": {"cv": {"array": "nowhere"}}}, "cannot be read"),
    ({"params": {"cv": {"plan": [1, 2]}}}, "cannot be read"),
    ({"params": []}, "not complete"),
    ({"plain": {}}, "not complete"),
    ({"n_features": 8}, "number of features"),
    ({"target_names": ["a"]}, "target_names do not fit"),
    ({"feature_names": [1] * 9}, "feature_names do not fit"),
]


@pytest.mark.parametrize(("header", "message"), BAD_HEADERS, ids=lambda value: str(value)[:40])
def test_headers_that_do_not_fit(saved: Path, header: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_model(rewritten(saved, header=header))


BAD_ARRAYS = [
    ({"_coef": np.zeros((9, 6))}, "do not fit together along targets"),
    ({"_coef": np.zeros((8, 7))}, "do not fit together along features"),
    ({"_coef": np.zeros(63)}, "another number of axes"),
    ({"_coef": None}, "lacks arrays.*weights"),
    ({"alpha_": None}, "lacks arrays.*alpha_"),
    ({"__class__": np.zeros(7)}, "unknown array.*__class__"),
    ({"predict": np.zeros(7)}, "unknown array"),
]


@pytest.mark.parametrize(("arrays", "message"), BAD_ARRAYS, ids=lambda value: str(value)[:40])
def test_arrays_that_do_not_fit(saved: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_model(rewritten(saved, arrays=arrays))


def test_the_untouched_copy_loads(saved: Path) -> None:
    assert load_model(rewritten(saved)).predict(np.zeros((2, 9))).shape == (2, 7)
