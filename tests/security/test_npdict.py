"""Pickled dictionaries: what numpy wrote comes back, and nothing a hostile file names is ever run."""

import io
import pickle
import struct

import numpy as np
import pytest

from brainenc.core.errors import DataError, NotFoundError
from brainenc.io.npdict import list_npdict, read_npdict

GOOD = {
    "betasmd": np.arange(24, dtype=np.float32).reshape(2, 3, 4), "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "R2": np.float64(3.5),
    "big": np.arange(5, dtype=">i4"), "mask": np.array([True, False]), "name": "subj01", "names": np.array(["ab", "c"]), "empty": np.zeros((0, 3)),
    "pcnum": 4, "none": None, "design": [np.eye(2), np.ones((3, 1))], "opts": {"a": (1, 2.5, True)}, "z": np.array([1 + 2j]),
}  # fmt: skip


def write(path, payload):
    """An npy header of one object, and any bytes after it."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(stream.getvalue() + payload)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5, None])
def test_what_numpy_saved_comes_back(tmp_path, protocol):
    path = tmp_path / "a.npy"
    good = {key: value for key, value in GOOD.items() if protocol != 2 or not isinstance(value, np.ndarray | np.generic | list)}
    if protocol is None:
        np.save(path, good)
    else:
        write(path, pickle.dumps(np.array(good, dtype=object), protocol=protocol) if protocol > 2 else pickle.dumps(good, protocol=2))
    found = read_npdict(path)
    assert list(found) == list(good) == list_npdict(path)
    for key, value in good.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found[key], value)
            assert found[key].dtype == value.dtype and found[key].flags.writeable
        elif key == "design":
            assert all((a == b).all() for a, b in zip(found[key], value, strict=True))
        else:
            assert found[key] == value
    if protocol != 2:
        assert list(read_npdict(path, keys=["R2"])) == ["R2"]
    with pytest.raises(NotFoundError, match="no key 'betas'"):
        read_npdict(path, keys=["betas"])


class Runs:
    """Runs a function when unpickled; here it would only leave a trace."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_code_is_never_run(tmp_path, protocol):
    import os
    import subprocess

    trace = tmp_path / "trace"
    for function, args in ((os.mkdir, (str(trace),)), (eval, ("1",)), (subprocess.run, (["true"],)), (getattr, ("x", "upper")), (np.load, ("x",))):
        path = write(tmp_path / "a.npy", pickle.dumps({"x": Runs(function, *args)}, protocol=protocol))
        with pytest.raises(DataError, match="no numpy array|instruction|cannot be read"):
            read_npdict(path)
        np.save(path, {"x": Runs(function, *args), "y": np.ones(2)})
        with pytest.raises(DataError, match="no numpy array"):
            read_npdict(path, keys=["y"])  # not even where it is not asked for
    assert not trace.exists()


HEAD = b"\x80\x04"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (HEAD + b"cnumpy\nsave\n.", "no numpy array"),
        (HEAD + b"\x8c\x05numpy\x8c\x04save\x93.", "no numpy array.*numpy.save"),
        (HEAD + b"\x8c\x05numpy\x8c\x0cndarray.dump\x93.", "no numpy array"),
        (HEAD + b"(ios\nsystem\n.", "instruction.*INST"),
        (HEAD + b"Pid\n.", "instruction.*PERSID"),
        (HEAD + b"}Q.", "instruction.*BINPERSID"),
        (HEAD + b"\x82\x01.", "instruction.*EXT1"),
        (HEAD + b"cnumpy\nndarray\n)\x81.", "instruction.*NEWOBJ"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".", "cannot be read|instruction"),
        (HEAD + b"\x8e" + struct.pack("<Q", 2**40) + b"x.", "cannot be read"),
        (HEAD + b"}r\xff\xff\xff\x7f.", "absurd places"),
        (HEAD + b"cnumpy\nndarray\n}b.", "has none"),
        (HEAD + b"cnumpy\ndtype\n}b.", "has none"),
        (HEAD + b"cnumpy\nndarray\n)R.", "no constructor"),
        (HEAD + b"]\x94h\x00a.", "no dictionary"),
        (b"", "cannot be read"),
        (HEAD + b"}", "cannot be read"),
    ],
)
def test_hostile_instructions_are_refused(tmp_path, payload, message):
    with pytest.raises(DataError, match=message):
        read_npdict(write(tmp_path / "a.npy", payload))


def patched(old, new, value=None):
    content = pickle.dumps({"x": np.arange(4, dtype=np.float64) if value is None else value}, protocol=4)
    assert old in content
    return content.replace(old, new)


def test_arrays_that_lie_about_themselves(tmp_path):
    cases = [
        (patched(b"\x8c\x02f8", b"\x8c\x02O8"), "Python objects"),
        (patched(b"\x8c\x02f8", b"\x8c\x02V8"), "not of numbers or text"),
        (patched(b"\x8c\x02f8", b"\x8c\x02f4"), "expected 16 bytes, got 32"),
        (patched(b"K\x04\x85", b"K\xff\x85"), "expected 2040 bytes"),
        (patched(b"K\x04\x85", b"J\xff\xff\xff\xff\x85"), "absurd shape"),
        (pickle.dumps({"x": np.array([{"a": 1}], dtype=object)}, protocol=4), "Python objects"),
        (pickle.dumps({"x": np.zeros(2, dtype=[("a", "f8"), ("b", "i4")])}, protocol=4), "not of numbers or text"),
        (pickle.dumps({"x": np.array(["2020-01-01"], dtype="M8[D]")}, protocol=4), "not of numbers or text|plain numbers"),
        (pickle.dumps({(1, 2): 2}, protocol=4), "no dictionary"),
        (pickle.dumps([1, 2], protocol=4), "no dictionary"),
    ]
    for payload, message in cases:
        with pytest.raises(DataError, match=message):
            read_npdict(write(tmp_path / "a.npy", payload))


def test_bombs_of_references_and_depth_are_stopped(tmp_path):
    nest = []
    for _ in range(40):
        nest = [nest, nest]  # 2 to the 40 items, 40 objects
    deep = None
    for _ in range(30):
        deep = [deep]
    for value in (nest, deep):
        with pytest.raises(DataError, match="nested too deeply"):
            read_npdict(write(tmp_path / "a.npy", pickle.dumps({"x": value}, protocol=4)))
    with pytest.raises(DataError, match="more memory than allowed|memory"):
        np.save(tmp_path / "b.npy", {"x": np.zeros(10_000)})
        read_npdict(tmp_path / "b.npy", max_bytes="10kB")


def test_plain_arrays_and_other_files_are_named(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(DataError, match="holds no dictionary.*float64"):
        read_npdict(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(b"not numpy at all")
    with pytest.raises(DataError, match="cannot be read"):
        read_npdict(tmp_path / "b.npy")


def test_random_damage_never_does_anything_but_refuse(tmp_path):
    np.save(tmp_path / "good.npy", GOOD)
    content = (tmp_path / "good.npy").read_bytes()
    start = len(content) - len(pickle.dumps(np.array(GOOD, dtype=object), protocol=4))
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(300):
        broken = bytearray(content)
        for place in rng.integers(max(start, 128), len(content), 3):
            broken[place] = rng.integers(256)
        (tmp_path / "bad.npy").write_bytes(broken)
        try:
            read_npdict(tmp_path / "bad.npy")
        except (DataError, NotFoundError):
            n_refused += 1
    assert n_refused > 30
