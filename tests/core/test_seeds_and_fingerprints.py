import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from brainenc.core import fingerprint
from brainenc.core.errors import InputError
from brainenc.core.registry import Registry
from brainenc.core.rng import check_seed, derive, generator


def test_a_stream_depends_on_its_keys_and_not_on_what_was_drawn_before():
    first = generator(0, "noise", "01").standard_normal(5)
    generator(0, "other").standard_normal(100)
    np.testing.assert_array_equal(generator(0, "noise", "01").standard_normal(5), first)
    assert not np.allclose(generator(0, "noise", "02").standard_normal(5), first)
    assert not np.allclose(generator(1, "noise", "01").standard_normal(5), first)
    assert derive(0, 1) != derive(0, "1")


def test_seeds_are_the_same_in_another_process():
    code = "from brainenc.core.rng import generator; print(generator(3, 'a').integers(10**9))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert int(other.stdout) == generator(3, "a").integers(10**9)


@pytest.mark.parametrize("seed", [None, -1, 1.5, True, "0"])
def test_missing_or_odd_seeds_are_refused(seed):
    with pytest.raises(InputError):
        check_seed(seed)


def test_fingerprints_see_content_only(tmp_path):
    array = np.arange(56.0).reshape(7, 8)
    assert fingerprint.of_array(array) == fingerprint.of_array(np.asfortranarray(array)) == fingerprint.of_array(array[::1].copy())
    assert fingerprint.of_array(array) != fingerprint.of_array(array.astype(np.float32))
    assert fingerprint.of_array(array) != fingerprint.of_array(array.reshape(8, 7))
    assert fingerprint.of_json({"b": 1, "a": (1, 2)}) == fingerprint.of_json({"a": [1, 2], "b": 1})
    assert fingerprint.of_json(1.0) != fingerprint.of_json(1)
    table = pd.DataFrame({"x": [1.0, np.nan], "y": ["a", None]})
    assert fingerprint.of_table(table) == fingerprint.of_table(table.copy()) != fingerprint.of_table(table.assign(x=[1.0, 2.0]))
    (tmp_path / "f").write_bytes(b"abc")
    assert fingerprint.of_file(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(InputError):
        fingerprint.of_json(object())


def test_a_registry_lists_without_importing_and_names_the_nearest():
    registry = Registry("json", "codec")
    assert registry.names() == ["decoder", "encoder", "scanner", "tool"]
    assert registry.get("encoder").__name__ == "json.encoder"
    with pytest.raises(KeyError, match="Did you mean 'encoder'"):
        registry.get("encodr")
