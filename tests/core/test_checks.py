import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainenc.core.checks import as_matrix, did_you_mean, examples, human_bytes, one_of, parse_bytes, slug
from brainenc.core.errors import InputError


@pytest.mark.parametrize(("text", "size"), [("4GB", 4_000_000_000), ("512 MiB", 512 * 2**20), (1000, 1000), ("1.5kb", 1500)])
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["4 parsecs", "-1GB", "", float("nan"), 0, True])
def test_sizes_that_mean_nothing_are_refused(text):
    with pytest.raises(InputError):
        parse_bytes(text)


def test_human_bytes():
    assert [human_bytes(n) for n in (12, 2_500, 3.2e9, 5e12)] == ["12 B", "2.5 kB", "3.2 GB", "5.0 TB"]


def test_matrix_check_names_the_shape_and_keeps_memmaps(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((7, 8)))
    mapped = np.load(path, mmap_mode="r")
    assert isinstance(as_matrix(mapped, "x"), np.memmap)
    with pytest.raises(InputError, match=r"shape \(7,\)"):
        as_matrix(np.ones(7), "x")
    with pytest.raises(InputError, match="real numbers"):
        as_matrix(np.ones((2, 2)) * 1j, "x")
    with pytest.raises(InputError, match="expected 9 rows, got 7"):
        as_matrix(mapped, "x", n_rows=9)


def test_nearest_names_and_examples():
    assert did_you_mean("visal.layer1", ["visual.layer1", "text"]) == "did you mean 'visual.layer1'?"
    assert did_you_mean("zzz", ["abc"]) is None
    assert examples(range(5), 2) == "'0', '1' … (5 in all)"
    with pytest.raises(InputError, match="did you mean|Did you mean"):
        one_of("pearsn", ["pearson", "r2"], "metric")


@given(st.text(max_size=400))
def test_a_slug_is_always_one_safe_file_name(text):
    name = slug(text)
    assert 0 < len(name) <= 82
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert name not in (".", "..") and not name.startswith((".", "-"))


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "a\0b", "CON", "nul.txt", "x" * 300, "ｅｖｉｌ／..", " "])
def test_hostile_ids_become_harmless_names(hostile):
    name = slug(hostile)
    assert "/" not in name and "\0" not in name and ".." not in name.split(".")[0] and len(name) <= 82
    assert name.split(".")[0].lower() not in {"con", "nul"}
