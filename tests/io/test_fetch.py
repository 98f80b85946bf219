"""Downloads against a server on this machine that continues, ignores ranges, breaks off or lies."""

import hashlib
import http.server
import re
import threading

import numpy as np
import pytest

from brainenc.core.errors import DataError, InputError
from brainenc.io import fetch
from brainenc.io.fetch import RemoteFile, describe, fetch_file

CONTENT = np.random.default_rng(0).bytes(1_000_007)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        state = self.server.state
        state["ranges"].append(self.headers.get("Range"))
        if self.path == "/missing":
            return self.send_error(404)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and state["ranges_work"] else 0
        if start >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if wanted and state["ranges_work"] else 200)
        if wanted and state["ranges_work"]:
            self.send_header("Content-Range", f"bytes {start + state['lie']}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        stop = state["break_at"].pop(0) if state["break_at"] else len(CONTENT)
        self.wfile.write(CONTENT[start : max(stop, start)])
        self.close_connection = stop < len(CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("BRAINENC_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    running.state = {"ranges": [], "ranges_work": True, "break_at": [], "lie": 0}
    running.url = f"http://127.0.0.1:{running.server_address[1]}/file"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def names(folder):
    return sorted(p.name for p in folder.rglob("*"))


def test_a_file_comes_whole_and_only_once(server, tmp_path, capsys):
    path = fetch_file(server.url, tmp_path / "new" / "a.bin", sha256=SHA, n_bytes=len(CONTENT))
    assert path.read_bytes() == CONTENT and names(tmp_path) == ["a.bin", "new"]
    fetch_file(server.url, path, sha256=SHA.upper())
    assert server.state["ranges"] == [None]
    assert capsys.readouterr().err == ""
    fetch_file(server.url.replace("file", "moved"), tmp_path / "b.bin", sha256=SHA, progress=True)
    assert "b.bin" in capsys.readouterr().err


@pytest.mark.parametrize("ranges_work", [True, False])
def test_an_interrupted_download_is_continued_where_it_can_be(server, tmp_path, ranges_work):
    server.state.update(ranges_work=ranges_work, break_at=[9 * 2**16, 13 * 2**16])  # whole chunks, so that the count is known
    path = tmp_path / "a.bin"
    with pytest.raises(DataError, match="589.8 kB are kept"):
        fetch_file(server.url, path, sha256=SHA)
    assert names(tmp_path) == ["a.bin.part"]
    assert describe([RemoteFile(server.url, path, SHA, len(CONTENT))]).n_bytes == len(CONTENT) - 9 * 2**16
    with pytest.raises(DataError, match="852.0 kB are kept"):
        fetch_file(server.url, path, sha256=SHA)
    assert fetch_file(server.url, path, sha256=SHA, n_bytes=len(CONTENT)).read_bytes() == CONTENT
    assert server.state["ranges"] == [None, "bytes=589824-", "bytes=851968-"]
    assert names(tmp_path) == ["a.bin"]


def test_a_finished_part_is_taken_without_asking(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert fetch_file(server.url, tmp_path / "a.bin", sha256=SHA, n_bytes=len(CONTENT)).read_bytes() == CONTENT
    assert server.state["ranges"] == []


def test_a_wrong_part_is_thrown_away_and_fetched_afresh(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(b"x" * 1000)
    assert fetch_file(server.url, tmp_path / "a.bin", sha256=SHA).read_bytes() == CONTENT
    assert server.state["ranges"] == ["bytes=1000-", None]
    (tmp_path / "b.bin.part").write_bytes(b"x" * len(CONTENT))
    assert fetch_file(server.url, tmp_path / "b.bin", sha256=SHA, n_bytes=len(CONTENT)).read_bytes() == CONTENT


def test_a_part_longer_than_the_file(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"more")
    with pytest.raises(DataError, match="416"):
        fetch_file(server.url, tmp_path / "a.bin", sha256=SHA)
    assert fetch_file(server.url, tmp_path / "a.bin", sha256=SHA).read_bytes() == CONTENT


def test_a_server_that_sends_another_part(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    server.state["lie"] = 7
    with pytest.raises(DataError, match="another part"):
        fetch_file(server.url, tmp_path / "a.bin", sha256=SHA)
    assert names(tmp_path) == []


def test_a_wrong_checksum_names_both_and_removes_the_file(server, tmp_path):
    wrong = "0" * 64
    with pytest.raises(DataError, match=f"{wrong}.*{SHA}"):
        fetch_file(server.url, tmp_path / "a.bin", sha256=wrong)
    assert names(tmp_path) == []


def test_more_bytes_than_expected_are_never_written(server, tmp_path):
    with pytest.raises(DataError, match="more than expected"):
        fetch_file(server.url, tmp_path / "a.bin", sha256=SHA, n_bytes=5000)
    assert names(tmp_path) == []


def test_no_checksum(server, tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(InputError, match="allow_unverified"):
        fetch_file(server.url, path, sha256=None)
    fetch_file(server.url, path, sha256=None, allow_unverified=True)
    assert (tmp_path / "a.bin.sha256").read_text() == f"{SHA}  a.bin\n"
    fetch_file(server.url, path, sha256=None, allow_unverified=True)
    path.write_bytes(b"changed")
    with pytest.raises(DataError, match="another checksum"):
        fetch_file(server.url, path, sha256=None, allow_unverified=True)


def test_a_foreign_file_at_the_target_is_left_alone(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(DataError, match="another checksum"):
        fetch_file(server.url, tmp_path / "a.bin", sha256=SHA)
    assert (tmp_path / "a.bin").read_bytes() == b"mine" and server.state["ranges"] == []


def test_no_room(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "free_bytes", lambda path: 1000)
    with pytest.raises(DataError, match="no room"):
        fetch_file(server.url, tmp_path / "a.bin", sha256=SHA)
    assert names(tmp_path) == []


def test_missing_unreachable_and_offline(server, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="404"):
        fetch_file(server.url.replace("file", "missing"), tmp_path / "a.bin", sha256=SHA)
    with pytest.raises(DataError, match="ConnectionError"):
        fetch_file("http://127.0.0.1:9/x", tmp_path / "deep" / "a.bin", sha256=SHA)
    monkeypatch.setenv("BRAINENC_OFFLINE", "1")
    with pytest.raises(DataError, match="switched off.*BRAINENC_OFFLINE"):
        fetch_file(server.url, tmp_path / "a.bin", sha256=SHA)
    assert names(tmp_path) == [] and server.state["ranges"] == [None]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a", "http://user:pw@host/a", "https://", "a.bin"])
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(InputError) as caught:
        fetch_file(url, tmp_path / "a.bin", sha256=SHA)
    assert "pw" not in str(caught.value)


def test_describe(tmp_path):
    (tmp_path / "here.bin").write_bytes(b"x")
    files = [RemoteFile("https://x/a", tmp_path / n, SHA, size) for n, size in (("here.bin", 10), ("a", 700), ("b", None), ("c", 80))]
    needs = describe(files)
    assert (needs.n_files, needs.n_bytes, needs.n_unknown) == (3, 780, 1) and needs.free_bytes > 0
    assert str(needs).startswith("3 files, 780 B and 1 of unknown size")


def test_concurrent_fetches_of_one_file(server, tmp_path):
    found = []
    jobs = [threading.Thread(target=lambda: found.append(fetch_file(server.url, tmp_path / "a.bin", sha256=SHA).read_bytes() == CONTENT)) for _ in range(4)]
    [j.start() for j in jobs]
    [j.join(30) for j in jobs]
    assert found == [True] * 4 and server.state["ranges"] == [None] and names(tmp_path) == ["a.bin"]
