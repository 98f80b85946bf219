"""The store: whole entries or none, whatever happens."""

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.core.fingerprint import of_json
from brainenc.io import owner
from brainenc.io.lease import lease
from brainenc.io.store import Store

KEY = of_json("a step")
ARRAY = np.arange(7 * 8.0).reshape(7, 8)
TABLE = pd.DataFrame({"roi": ["V1", "V4"], "r": [0.25, np.nan]})


def fill(store, key=KEY):
    return store.put(key, {"x.npy": ARRAY, "t.parquet": TABLE, "j.json": {"a": [1, 2]}, "raw.bin": b"\0\1"}, {"layer": "blocks.3", "r": 0.5})


def loose(root):
    """Files that belong to no entry, lock or quarantine."""
    return [p for p in root.rglob("*") if p.name.startswith(owner.TEMP_PREFIX)]


def test_round_trip(tmp_path):
    store = Store(tmp_path / "s")
    assert store.get(KEY) is None and not store.has(KEY) and store.keys() == []
    assert not store.root.exists()
    fill(store)
    entry = Store(tmp_path / "s").get(KEY)
    np.testing.assert_array_equal(entry.array("x.npy"), ARRAY)
    mapped = entry.array("x.npy", mmap=True)
    assert isinstance(mapped, np.memmap) and not mapped.flags.writeable
    pd.testing.assert_frame_equal(entry.table("t.parquet"), TABLE)
    assert entry.json("j.json") == {"a": [1, 2]} and entry.bytes("raw.bin") == b"\0\1"
    assert entry.meta == {"layer": "blocks.3", "r": 0.5}
    assert store.keys() == list(store) == [KEY]
    assert store.remove(KEY) and not store.remove(KEY) and store.get(KEY) is None


_names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(lambda n: n != "entry.json")
_meta = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(files=st.dictionaries(_names, st.binary(max_size=200), max_size=4), meta=st.dictionaries(st.text(), _meta, max_size=3))
def test_any_content_comes_back(files, meta):
    assume(len({name.lower() for name in files}) == len(files))  # some file systems fold case
    with tempfile.TemporaryDirectory() as folder:
        key = of_json([sorted(files), 1])
        Store(folder).put(key, files, meta)
        entry = Store(folder).get(key)
        assert {name: entry.bytes(name) for name in entry.files} == files
        assert entry.meta == meta


@pytest.mark.parametrize("harm", ["flip", "cut", "lose", "header", "meta", "no header"])
def test_a_damaged_entry_is_a_miss_and_is_set_aside(tmp_path, caplog, harm):
    store = Store(tmp_path)
    place = fill(store).path
    file, header = place / "x.npy", place / "entry.json"
    if harm == "flip":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        assert store.get(KEY, verify="size") is not None  # what the fast path cannot see
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "lose":
        file.unlink()
    elif harm == "header":
        header.write_bytes(header.read_bytes()[:-30])
    elif harm == "meta":
        header.write_text(header.read_text().replace("blocks.3", "blocks.4"))
    else:
        header.unlink()
    with caplog.at_level(logging.WARNING):
        assert store.get(KEY) is None
    assert "quarantine" in caplog.text and KEY in caplog.text
    assert len(list((tmp_path / "quarantine").iterdir())) == 1
    assert store.keys() == []
    fill(store)
    assert store.get(KEY) is not None


def test_an_entry_moved_to_another_key_is_not_believed(tmp_path):
    store = Store(tmp_path)
    place = fill(store).path
    other = of_json("another step")
    target = tmp_path / "objects" / other[:2] / other
    target.parent.mkdir(parents=True, exist_ok=True)
    place.rename(target)
    assert store.get(other) is None


def test_a_present_entry_is_not_written_again(tmp_path):
    store = Store(tmp_path)
    first = fill(store)

    def never(path):
        raise AssertionError("called")

    assert store.put(KEY, {"x.npy": never}).path == first.path


def test_writers_get_a_path_and_failures_leave_nothing(tmp_path):
    store = Store(tmp_path / "s")
    entry = store.put(KEY, {"x.txt": lambda path: path.write_text("made")})
    assert entry.bytes("x.txt") == b"made"
    other = of_json("other")

    def full(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(DataError, match="no room to write.*[Ff]ree some space"):
        store.put(other, {"a.bin": b"1", "x.txt": full})
    with pytest.raises(ZeroDivisionError):
        store.put(other, {"x.txt": lambda path: 1 / 0})
    with pytest.raises(InputError, match="wrote no file"):
        store.put(other, {"x.txt": lambda path: None})
    assert store.get(other) is None and loose(tmp_path) == []
    assert store.keys() == [KEY]


def test_a_root_that_is_a_file_is_a_data_error(tmp_path):
    (tmp_path / "s").write_text("a file")
    with pytest.raises(DataError, match="s"):
        fill(Store(tmp_path / "s"))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "entry.json", "a\0b", "~x"])
def test_bad_names_and_keys(tmp_path, name):
    store = Store(tmp_path)
    with pytest.raises(InputError, match="file name"):
        store.put(KEY, {name: b""})
    with pytest.raises(InputError, match="sha256"):
        store.get(name)
    assert list(tmp_path.iterdir()) == []


def test_wrong_content_and_unknown_file(tmp_path):
    store = Store(tmp_path)
    for files in ({"x.bin": ARRAY}, {"x.npy": TABLE}, {"x.json": 3.5}, {"x.npy": np.array([None])}):
        with pytest.raises(InputError):
            store.put(KEY, files)
    entry = fill(store)
    with pytest.raises(NotFoundError, match=r"did you mean|Did you mean 'x\.npy'"):
        entry.array("y.npy")
    with pytest.raises(InputError, match="verify"):
        store.get(KEY, verify="none")


KILLED = """
import sys, numpy as np
from brainenc.io.store import Store
store = Store(sys.argv[1])
print("ready", flush=True)
big = np.zeros(300_000)
for i in range(10_000):
    key = f"{i % 4:064x}"
    store.put(key, {"a.npy": big, "b.npy": big, "c.json": {"i": 1}})
    store.remove(key) if i % 3 else None
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_sigkill_at_any_moment_leaves_whole_entries_or_none(tmp_path):
    rng = np.random.default_rng(0)
    seen_leftover = False
    for _ in range(6):
        worker = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
        worker.stdout.readline()
        time.sleep(float(rng.uniform(0.005, 0.12)))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
        seen_leftover |= bool(loose(tmp_path))
        store = Store(tmp_path)
        for i in range(4):
            entry = store.get(f"{i:064x}")
            if entry is not None:
                assert entry.array("a.npy").shape == entry.array("b.npy").shape == (300_000,)
                assert entry.json("c.json") == {"i": 1}
        # never a damaged entry, since none was ever visible
        assert not (tmp_path / "quarantine").exists()
        for i in range(4):
            store.remove(f"{i:064x}")
            store.put(f"{i:064x}", {"c.json": {"i": 1}})
            store.remove(f"{i:064x}")
        assert loose(tmp_path) == []
    assert seen_leftover, "no kill fell into a write: the test saw nothing"


def _race(root, barrier, queue):
    barrier.wait()
    entry = Store(root).put(KEY, {"x.npy": lambda path: np.save(path, ARRAY)})
    queue.put(float(entry.array("x.npy").sum()))


def test_concurrent_writers_of_one_key(tmp_path):
    results, barrier = [], threading.Barrier(6)

    class Sink:
        put = staticmethod(results.append)

    threads = [threading.Thread(target=_race, args=(tmp_path, barrier, Sink)) for _ in range(6)]
    [t.start() for t in threads]
    [t.join(30) for t in threads]
    assert results == [ARRAY.sum()] * 6
    assert Store(tmp_path).keys() == [KEY] and loose(tmp_path) == []


COUNT = """
import sys, pathlib
from brainenc.io.store import Store
store, counter = Store(sys.argv[1]), pathlib.Path(sys.argv[2])
for _ in range(15):
    with store.lock("0" * 64, timeout=60):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_the_lock_excludes_other_processes(tmp_path):
    counter = tmp_path / "n"
    counter.write_text("0")
    workers = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path), str(counter)]) for _ in range(3)]
    assert [w.wait(60) for w in workers] == [0, 0, 0]
    assert counter.read_text() == "45"
    assert list((tmp_path / "locks").iterdir()) == []


def test_a_dead_holder_is_replaced_and_a_living_or_foreign_one_waited_for(tmp_path):
    lock = tmp_path / "lock"
    code = "import sys; from brainenc.io import owner; open(sys.argv[1], 'w').write(owner.tag() + ' 0')"
    subprocess.run([sys.executable, "-c", code, str(lock)], check=True)
    with lease(lock, timeout=5):
        assert lock.read_text().startswith(owner.host())
        with pytest.raises(DataError, match="another process holds the lock.*delete the lock file"), lease(lock, timeout=0.2):
            pass
    assert list(tmp_path.iterdir()) == []
    lock.write_text("elsewhere~1~1~abc 0")
    with pytest.raises(DataError, match="elsewhere"), lease(lock, timeout=0.2):
        pass
    lock.write_text("")  # its maker died before it wrote
    os.utime(lock, (1, 1))
    with lease(lock, timeout=5):
        pass


def test_header_is_plain_json(tmp_path):
    header = json.loads((fill(Store(tmp_path)).path / "entry.json").read_text())
    assert set(header) == {"schema", "key", "meta", "files", "sha256"}
    assert set(header["files"]) == {"x.npy", "t.parquet", "j.json", "raw.bin"}
