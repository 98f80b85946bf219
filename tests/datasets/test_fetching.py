"""Fetching from a server on this machine: what it takes is told first, files are checked, archives unpacked safely."""

import hashlib
import http.server
import io
import logging
import threading
import zipfile

import numpy as np
import pytest

import brainenc as be
from brainenc import datasets
from brainenc.core.errors import DataError, InputError


@pytest.fixture
def server(tmp_path_factory, monkeypatch, rng):
    """A folder served on 127.0.0.1 and the requests it got."""
    folder = tmp_path_factory.mktemp("served")
    for name in ("a.npy", "b c.npy"):
        np.save(folder / name, rng.standard_normal((3, 4)))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as bundle:
        bundle.writestr("x.txt", "inside")
    (folder / "pack.zip").write_bytes(stream.getvalue())
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(folder), **kwargs)

        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.delenv("BRAINENC_OFFLINE", raising=False)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield folder, f"http://127.0.0.1:{httpd.server_address[1]}", asked
        httpd.shutdown()


def item(folder, name, **more):
    content = (folder / name).read_bytes()
    extra = "".join(f", {key} = {value}" for key, value in more.items())
    return f'{{ path = "{more.pop("path", name)}", at = "{name}", sha256 = "{hashlib.sha256(content).hexdigest()}", bytes = {len(content)}{extra} }}'


@pytest.fixture
def manifest(server, tmp_path):
    folder, base, _ = server
    second = item(folder, "b c.npy", subjects='["02"]').replace('path = "b c.npy"', 'path = "r_02.npy"')
    first = item(folder, "a.npy", subjects='["01"]').replace('path = "a.npy"', 'path = "r_01.npy"')
    pack = item(folder, "pack.zip", extract='"unpacked"')
    (tmp_path / "m.toml").write_text(
        f'name = "m"\nfolder = "files"\nsubjects = ["01", "02"]\n[stimuli]\nkind = "none"\nids = ["a", "b", "c"]\n'
        f'[responses]\npath = "r_{{subject}}.npy"\nids = "stimuli"\n[[sources]]\nbase = "{base}/"\nfiles = [{first}, {second}, {pack}]\n'
    )
    return tmp_path / "m.toml"


def test_fetch_tells_then_downloads_checks_and_unpacks(manifest, server, caplog):
    served, _, asked = server
    plan = datasets.fetch_plan(manifest)
    total = sum((served / name).stat().st_size for name in ("a.npy", "b c.npy", "pack.zip"))
    assert plan.needs.n_files == 3 and plan.needs.n_bytes == total and "3 files" in str(plan) and "free" in str(plan)
    assert not asked and not plan.folder.exists()
    with caplog.at_level(logging.INFO, logger="brainenc"):
        folder = be.fetch(manifest, progress=False)
    assert folder == manifest.parent / "files" and "3 files" in caplog.text and "%20" in asked[1]
    np.testing.assert_array_equal(be.load(manifest, "02").responses.values, np.load(served / "b c.npy"))
    assert (folder / "unpacked" / "x.txt").read_text() == "inside"
    be.fetch(manifest, progress=False)
    assert len(asked) == 3 and datasets.fetch_plan(manifest).needs.n_files == 0


def test_only_the_files_of_one_subject(manifest, server):
    assert [f.path.name for f in datasets.fetch_plan(manifest, "01").files] == ["r_01.npy", "pack.zip"]
    with pytest.raises(InputError, match="no subject '03'"):
        datasets.fetch_plan(manifest, "03")


def test_a_file_that_is_another_one_leaves_nothing(manifest, server):
    served, _, _ = server
    content = bytearray((served / "a.npy").read_bytes())
    content[-1] ^= 1
    (served / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match="sha256"):
        be.fetch(manifest, progress=False)
    assert not [p for p in manifest.parent.rglob("*") if p.is_file() and p.name != "m.toml"]


def test_a_full_disk_is_seen_before_anything_is_asked(manifest, server, monkeypatch):
    from brainenc.datasets import fetching

    describe = fetching.describe
    monkeypatch.setattr(fetching, "describe", lambda files: describe(files)._replace(free_bytes=10))
    with pytest.raises(DataError, match="no room"):
        be.fetch(manifest, progress=False)
    assert not server[2]


def test_offline_and_what_cannot_be_fetched(manifest, monkeypatch):
    monkeypatch.setenv("BRAINENC_OFFLINE", "1")
    with pytest.raises(DataError, match="BRAINENC_OFFLINE"):
        be.fetch(manifest, progress=False)
    with pytest.raises(InputError, match="simulated"):
        be.fetch("insilico")
    manifest.write_text(manifest.read_text().partition("[[sources]]")[0])
    with pytest.raises(DataError, match="no source"):
        be.fetch(manifest)


def test_catalogued_sets_go_to_the_data_folder_or_the_cache(monkeypatch, tmp_path, private_cache):
    monkeypatch.delenv("BRAINENC_DATA", raising=False)
    assert datasets.fetch_plan("digits69").folder == private_cache / "data" / "digits69_fmri"
    monkeypatch.setenv("BRAINENC_DATA", str(tmp_path))
    assert datasets.fetch_plan("digits69").folder == tmp_path / "digits69_fmri"
    assert datasets.fetch_plan("digits69", root=tmp_path / "x").folder == tmp_path / "x" / "digits69_fmri"
    assert len(datasets.fetch_plan("v4_cowley2023", "WE").files) == 3
    assert len(datasets.fetch_plan("v4_cowley2023", session="210325").files) == 4
