"""Writers: whole or nothing, and one kind of error."""

import errno
import json
import os
import resource
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from brainenc.core.errors import DataError, InputError
from brainenc.io import atomic

TABLE = pd.DataFrame({"roi": ["V1", "V4", "nan"], "r": [0.1, np.nan, 1 / 3], "n": [7, 8, 9]})


def tree(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_every_writer_makes_a_file_that_another_library_reads(tmp_path):
    array = np.arange(7 * 8, dtype=np.float32).reshape(7, 8)
    np.testing.assert_array_equal(np.load(atomic.write_npy(tmp_path / "a.npy", array)), array)
    stored = np.load(atomic.write_npz(tmp_path / "a.npz", {"x": array, "words": np.array(["a", "bc"])}, compress=True))
    np.testing.assert_array_equal(stored["x"], array)
    assert stored["words"].tolist() == ["a", "bc"]
    stored.close()
    assert json.loads(atomic.write_json(tmp_path / "a.json", {"n": np.int64(3), "x": array[0]}).read_text())["n"] == 3
    pd.testing.assert_frame_equal(pd.read_parquet(atomic.write_parquet(tmp_path / "a.parquet", TABLE)), TABLE)
    text = atomic.write_csv(tmp_path / "a.csv", TABLE).read_text()
    assert text.splitlines() == ["roi,r,n", "V1,0.1,7", "V4,,8", "nan,0.3333333333333333,9"]
    assert atomic.write_csv(tmp_path / "a.tsv", TABLE).read_text().splitlines()[2] == "V4\tn/a\t8"
    assert tree(tmp_path) == ["a.csv", "a.json", "a.npy", "a.npz", "a.parquet", "a.tsv"]


def test_named_index_is_kept_and_an_unnamed_one_is_not(tmp_path):
    named = TABLE.set_index("roi")
    assert atomic.write_csv(tmp_path / "a.csv", named).read_text().startswith("roi,")
    assert atomic.write_csv(tmp_path / "b.csv", TABLE).read_text().startswith("roi,r")
    assert pd.read_parquet(atomic.write_parquet(tmp_path / "c.parquet", named)).index.name == "roi"


def test_same_arrays_give_the_same_npz_bytes_whatever_the_date(tmp_path):
    arrays = {"x": np.arange(9)}
    atomic.write_npz(tmp_path / "a.npz", arrays)
    with zipfile.ZipFile(tmp_path / "a.npz") as bundle:
        assert {info.date_time for info in bundle.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_old_file_survives_a_failing_writer(tmp_path):
    target = tmp_path / "kept.txt"
    atomic.write_text(target, "old")
    with pytest.raises(RuntimeError), atomic.atomic_write(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert tree(tmp_path) == ["kept.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_injected_errors_become_data_errors_and_leave_no_folder(tmp_path, monkeypatch, code):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataError, match=r"a\.npy.*\. [A-Z]") as caught:
        atomic.write_npy(tmp_path / "new" / "deep" / "a.npy", np.zeros(7))
    assert os.strerror(code) in str(caught.value)
    assert tree(tmp_path) == []


LIMITED = """
import resource, signal, sys, pathlib
import numpy as np, pandas as pd
from brainenc.io import atomic
from brainenc.io.store import Store
from brainenc.core.errors import DataError
folder = pathlib.Path(sys.argv[1])
values = np.random.default_rng(0).standard_normal((500, 40))
table = pd.DataFrame(values)
table.columns = [f"c{i}" for i in range(40)]
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
writers = {
    "npy": lambda: atomic.write_npy(folder / "out/a.npy", values),
    "npz": lambda: atomic.write_npz(folder / "out/a.npz", {"x": values}),
    "parquet": lambda: atomic.write_parquet(folder / "out/a.parquet", table),
    "csv": lambda: atomic.write_csv(folder / "out/a.csv", table),
    "bytes": lambda: atomic.write_bytes(folder / "out/a.bin", values.tobytes()),
    "store": lambda: Store(folder / "store").put("0" * 64, {"small.json": {}, "x.npy": values, "t.parquet": table}),
}
for name, write in writers.items():
    try:
        write()
    except DataError as error:
        assert str(folder) in str(error), error
        print(name, "refused")
left = [str(p) for p in folder.rglob("*") if p.is_file()]
print("left", left)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX file-size limit")
def test_a_file_size_limit_leaves_nothing_behind(tmp_path):
    run = subprocess.run([sys.executable, "-W", "error", "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert run.stderr == ""
    assert run.stdout.split("\n")[:-1] == [f"{n} refused" for n in ("npy", "npz", "parquet", "csv", "bytes", "store")] + ["left []"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_what_cannot_be_stored_is_refused_before_a_file_is_made(tmp_path):
    with pytest.raises(InputError, match="Python objects"):
        atomic.write_npy(tmp_path / "a.npy", np.array([{}, None], dtype=object))
    with pytest.raises(InputError, match="no JSON form"):
        atomic.write_json(tmp_path / "a.json", {"r": float("nan")})
    with pytest.raises(DataError, match="folder"):
        atomic.write_text(tmp_path, "x")
    assert tree(tmp_path) == []


def test_a_very_long_name_is_written(tmp_path):
    name = "é" * 120 + ".txt"
    assert atomic.write_text(tmp_path / name, "x").read_text() == "x"


def test_leftovers_of_dead_writers_go_and_those_of_living_ones_stay(tmp_path):
    from brainenc.io import owner

    code = "from brainenc.io import owner; print(owner.tag())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / f"{owner.TEMP_PREFIX}{dead}~a.npy").write_text("half")
    alive = tmp_path / f"{owner.TEMP_PREFIX}{owner.tag()}~b.npy"
    alive.write_text("being written")
    elsewhere = tmp_path / f"{owner.TEMP_PREFIX}otherhost~1~1~ab~c.npy"
    elsewhere.write_text("another machine's")
    atomic.write_text(tmp_path / "x.txt", "x")
    assert {p.name for p in tmp_path.iterdir()} == {alive.name, elsewhere.name, "x.txt"}
