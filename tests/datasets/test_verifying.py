"""Files that are not what the manifest says are refused when they are loaded."""

import hashlib

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import DataError

MANIFEST = """name = "mine"
title = "Mine"
subjects = ["01"]

[stimuli]
kind = "none"
n = 7
ids = "s{{index}}"

[responses]
path = "r.npy"
ids = "stimuli"

[[sources]]
base = "https://example.org"
files = [{{ path = "r.npy", sha256 = "{sha256}", bytes = {size} }}]
"""


@pytest.fixture
def folder(tmp_path, rng):
    np.save(tmp_path / "r.npy", rng.random((7, 8)))
    return tmp_path


def manifest(folder, sha256=None, size=None):
    content = (folder / "r.npy").read_bytes()
    path = folder / "brainenc.toml"
    path.write_text(MANIFEST.format(sha256=sha256 or hashlib.sha256(content).hexdigest(), size=size or len(content)))
    return path


def test_the_right_file_loads_and_its_checksum_is_remembered(folder, private_cache):
    path = manifest(folder)
    before = set((private_cache / "verified").glob("*.json")) if (private_cache / "verified").is_dir() else set()
    assert be.load(path).responses.n_targets == 8
    assert len(set((private_cache / "verified").glob("*.json")) - before) == 1
    assert be.load(path).responses.n_targets == 8


def test_a_wrong_checksum_names_both(folder):
    with pytest.raises(DataError, match=f"expected sha256 {'0' * 64}, got sha256 [0-9a-f]{{64}}"):
        be.load(manifest(folder, sha256="0" * 64))


def test_a_file_changed_after_it_was_verified_is_noticed(folder, rng):
    path = manifest(folder)
    be.load(path)
    values = np.load(folder / "r.npy")
    np.save(folder / "r.npy", values + 1)
    with pytest.raises(DataError, match="not the one that the manifest describes"):
        be.load(path)


def test_a_wrong_size_is_told_without_hashing(folder):
    with pytest.raises(DataError, match="expected 99 bytes, got"):
        be.load(manifest(folder, size=99))


def test_a_folder_in_the_working_directory_loads_by_its_name(folder, monkeypatch):
    manifest(folder)
    monkeypatch.chdir(folder.parent)
    assert be.load(folder.name).responses.n_targets == 8
