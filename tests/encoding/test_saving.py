"""Fitted models on disk predict the same numbers, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupKFold

from brainenc.core.errors import BrainencWarning, DataError, InputError
from brainenc.encoding import Ridge, load_model
from brainenc.encoding.saving import SAVABLE, Savable


def case(n: int = 30, p: int = 9, t: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) + 2
    return X, X @ rng.normal(size=(p, t)) + rng.normal(size=(n, t))


@pytest.mark.parametrize(("n", "p"), [(30, 9), (20, 50)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("formed", [False, True])
def test_a_loaded_model_is_the_saved_one(tmp_path: Path, n: int, p: int, dtype: Any, formed: bool) -> None:
    X, Y = case(n, p)
    Y[:, 2] = 1.0  # constant: NaN among the numbers
    model = Ridge((0.1, 1, 10), cv=3, memory="50MB").fit(X.astype(dtype), Y)
    if formed:
        _ = model.coef_
    new = np.random.default_rng(1).normal(size=(8, p)).astype(dtype)
    expected = model.predict(new)
    path = model.save(tmp_path / "model")
    assert path.name == "model.safetensors"
    again = load_model(tmp_path / "model")
    assert type(again) is Ridge and again.predict(new).dtype == dtype
    np.testing.assert_array_equal(again.predict(new), expected)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    np.testing.assert_array_equal(again.intercept_, model.intercept_)
    for name in ("alphas_", "alpha_", "cv_scores_", "n_tried_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    for name in ("solver_", "plan_", "edge_counts_", "edge_fraction_", "search_", "n_features_in_"):
        assert getattr(again, name) == getattr(model, name)
    assert again.get_params() == model.get_params() == {**model.get_params(), "alphas": (0.1, 1, 10), "cv": 3, "memory": "50MB"}
    np.testing.assert_allclose(again.fit(X.astype(dtype), Y).predict(new), expected, rtol=1e-4)  # and can be fitted again


def test_vectors_and_saving_twice(tmp_path: Path) -> None:
    X, Y = case()
    model = Ridge().fit(X, Y[:, 0])
    first, second = model.save(tmp_path / "a.safetensors"), load_model(tmp_path / "a").save(tmp_path / "b")
    again = load_model(second)
    assert again.predict(X).shape == (30,) and isinstance(again.intercept_, float)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert first.read_bytes()[100:200]  # a file, not a folder


def test_names_and_provenance_travel(tmp_path: Path) -> None:
    X, Y = case()
    table, targets = pd.DataFrame(X, columns=[f"f{i}" for i in range(9)]), pd.DataFrame(Y, columns=[f"voxel {i}" for i in range(7)])
    model = Ridge().fit(table, targets)
    again = load_model(model.save(tmp_path / "model", provenance={"data": "toy", "seed": 3}))
    assert list(again.feature_names_in_) == list(table.columns) and list(again.target_names_) == list(targets.columns)
    assert again.provenance_["data"] == "toy" and again.provenance_["seed"] == 3 and again.provenance_["saved_by"]["numpy"] == np.__version__
    with pytest.raises(InputError, match="feature names"):
        again.predict(table.rename(columns={"f0": "g0"}))
    renamed = load_model(model.save(tmp_path / "renamed", target_names=list("abcdefg")))
    assert list(renamed.target_names_) == list("abcdefg")
    with pytest.raises(InputError, match="names of targets do not fit.*expected 7"):
        model.save(tmp_path / "short", target_names=["a"])
    assert not (tmp_path / "short.safetensors").exists()
    assert not hasattr(model.fit(X, Y), "target_names_")


def test_parameters_of_every_kind(tmp_path: Path) -> None:
    X, Y = case()
    pairs = [(np.arange(20), np.arange(20, 30)), (np.arange(10, 30), np.arange(10))]
    again = load_model(Ridge(np.logspace(0, 2, 3), cv=pairs, conservative=True).fit(X, Y).save(tmp_path / "pairs"))
    np.testing.assert_array_equal(again.alphas, np.logspace(0, 2, 3))
    for (train, test), (one, other) in zip(again.cv, pairs, strict=True):
        np.testing.assert_array_equal(train, one)
        np.testing.assert_array_equal(test, other)
    model = Ridge(cv=GroupKFold(3)).fit(X, Y, groups=np.repeat(np.arange(6), 5))
    with pytest.warns(BrainencWarning, match="not stored with the model.*GroupKFold"):
        path = model.save(tmp_path / "splitter")
    np.testing.assert_array_equal(load_model(path).predict(X), model.predict(X))


def test_what_cannot_be_saved_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not fitted"):
        Ridge().save(tmp_path / "model")

    class Other(Savable, BaseEstimator):
        pass

    with pytest.raises(InputError, match="cannot be saved.*Ridge.*got Other"):
        Other().save(tmp_path / "model")

    class Impostor(Ridge):
        pass

    Impostor.__name__ = "Ridge"
    with pytest.raises(InputError, match="cannot be saved"):
        Impostor().fit(*case()).save(tmp_path / "model")
    with pytest.raises(InputError, match="no JSON form"):
        Ridge().fit(*case()).save(tmp_path / "model", provenance={"x": object()})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError):
        load_model(tmp_path / "absent")


def test_every_savable_class_exists_and_names_its_arrays() -> None:
    from brainenc.core.resolver import resolve

    for name, where in SAVABLE.items():
        kind = resolve(where)
        assert kind.__name__ == name and issubclass(kind, Savable) and kind.saved_arrays
        assert {one for names in kind.saved_either for one in names} <= set(kind.saved_arrays)


def test_the_header_is_plain_json(tmp_path: Path) -> None:
    path = Ridge().fit(*case()).save(tmp_path / "model")
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["brainenc"])
    assert header["schema"] == 1 and header["class"] == "Ridge" and header["params"]["cv"] == {"value": 5}
