"""Downloads: resumed where the server allows it, checked by sha256, renamed when whole.

This is the only module that reaches for the network. ``BRAINENC_OFFLINE=1`` forbids it.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from brainenc.core import fingerprint
from brainenc.core.checks import human_bytes
from brainenc.core.errors import BrainencError, DataError, InputError
from brainenc.io import owner
from brainenc.io.atomic import free_bytes, made_folder, sync, write_errors, write_text
from brainenc.io.lease import lease
from brainenc.io.paths import is_offline

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_CHUNK = 2**16
_TIMEOUT_S = 60
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download: address, place, sha256 (hex) and, where known, size in bytes."""

    url: str
    path: Path
    sha256: str | None
    n_bytes: int | None = None


class Needs(NamedTuple):
    """What a download will take: files not yet here, their bytes, how many are of unknown size, and the free disk."""

    n_files: int
    n_bytes: int
    n_unknown: int
    free_bytes: int

    def __str__(self) -> str:
        unknown = f" and {self.n_unknown} of unknown size" if self.n_unknown else ""
        return f"{self.n_files} files, {human_bytes(self.n_bytes)}{unknown} to download; {human_bytes(self.free_bytes)} free"


def describe(files: Iterable[RemoteFile]) -> Needs:
    """Return what fetching these files will take, counting only those that are not here yet."""
    items = list(files)
    missing = [item for item in items if not Path(item.path).exists()]
    return Needs(
        n_files=len(missing),
        n_bytes=sum(max(0, (item.n_bytes or 0) - _partial_size(Path(item.path))) for item in missing),
        n_unknown=sum(item.n_bytes is None for item in missing),
        free_bytes=min((free_bytes(item.path) for item in items), default=free_bytes(Path.cwd())),
    )


def fetch_file(
    url: str,
    path: str | Path,
    *,
    sha256: str | None,
    n_bytes: int | None = None,
    progress: bool | None = None,
    allow_unverified: bool = False,
) -> Path:
    """Download one file unless it is already here, and check its sha256.

    What arrived before an interruption stays as ``<path>.part`` and is continued by the next call when the server
    answers ranges; if a continued file then has a wrong checksum it is fetched once more from the start.

    Parameters
    ----------
    url : str
        An ``http`` or ``https`` address; credentials go over https only.
    path : str or Path
        Where the file goes.
    sha256 : str or None
        Expected checksum (hex). None is refused unless ``allow_unverified``; the hash found is then written to
        ``<path>.sha256`` and holds for every later call.
    n_bytes : int, optional
        Expected size; more than that is never written.
    progress : bool, optional
        Show a bar; None shows one on a terminal.
    allow_unverified : bool
        Accept a file whose checksum nobody knows.

    Returns
    -------
    Path

    Raises
    ------
    DataError
        Offline, unreachable, wrong checksum (both are named, the download is removed), wrong size, no room.
    InputError
        No checksum, or an address that is not http(s).
    """
    target = Path(path)
    expected = _expected(url, target, sha256, allow_unverified)
    if target.exists():
        return _check_present(target, expected)
    _check_address(url)
    if is_offline():
        raise DataError("a download is needed and downloads are switched off", where=url, fix=f"unset BRAINENC_OFFLINE, or put the file at {target}")
    # the lease and the partial file live beside the target, so the folder must stay while they do
    with write_errors(target), made_folder(target.parent):
        with lease(target.with_name(target.name + ".lock"), timeout=24 * 3600):
            if target.exists():  # another process was faster
                return _check_present(target, expected)
            _download(RemoteFile(url=url, path=target, sha256=expected, n_bytes=n_bytes), progress)
    return target


class _Part:
    """The partial file as pooch's downloader sees it: counts, hashes, refuses to grow too large, moves the bar."""

    def __init__(self, path: Path, limit: int | None, bar: Any) -> None:
        self.stream = open(path, "a+b")
        self.path, self.limit, self.bar = path, limit, bar
        self.start = self.size = path.stat().st_size
        self.continued = False

    def restart(self) -> None:
        self.stream.truncate(0)
        self.start = self.size = 0
        self.bar.reset()

    def on_response(self, response: Any, *args: Any, **kwargs: Any) -> None:
        """Look at the answer before its first byte is written: did the server continue, or start over?"""
        if response.is_redirect:
            if response.url.startswith("https:") and response.headers.get("location", "").startswith("http:"):
                raise DataError("the server redirects from https to http", where=response.url)
            return
        begins = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
        self.continued = self.start > 0 and response.status_code == 206 and bool(begins) and int(begins[1]) == self.start  # type: ignore[index]
        if response.ok and not self.continued:
            if response.status_code == 206 and begins and int(begins[1]) != 0:
                raise DataError("the server sent another part than was asked for", where=response.url)
            self.restart()
        length = response.headers.get("content-length", "")
        if length.isdigit():
            self._check(self.size + int(length))
            self.bar.total = self.size + int(length)
            if int(length) > free_bytes(self.path):
                raise DataError("no room for the download", where=self.path, expected=human_bytes(int(length)), got=human_bytes(free_bytes(self.path)))
        self.bar.update(self.size)

    def write(self, chunk: bytes) -> None:
        self._check(self.size + len(chunk))
        self.stream.write(chunk)
        self.size += len(chunk)
        self.bar.update(len(chunk))

    def flush(self) -> None:
        """Do nothing: pooch flushes after every chunk."""

    def close(self) -> None:
        self.stream.close()

    def _check(self, size: int) -> None:
        if self.limit is not None and size > self.limit:
            raise DataError("the server sends more than expected", where=self.path, expected=f"{self.limit} bytes", got=f"at least {size}")


def _download(item: RemoteFile, progress: bool | None) -> None:
    part = item.path.with_name(item.path.name + ".part")
    for attempt in (1, 2):
        continued = _transfer(item, part, progress)
        found = fingerprint.of_file(part)
        size = part.stat().st_size
        if (item.sha256 in (None, found)) and item.n_bytes in (None, size):
            break
        owner.discard(part)
        if not continued or attempt == 2:
            raise DataError(
                "the download is not the expected file; it was removed",
                where=item.url,
                expected=f"sha256 {item.sha256}" + (f", {item.n_bytes} bytes" if item.n_bytes else ""),
                got=f"sha256 {found}, {size} bytes",
                fix="try again; if it stays so, the file at the source has changed",
            )
        logger.warning("the continued download of %s has a wrong checksum; starting over", item.url)
    if item.sha256 is None:
        write_text(_record(item.path), f"{found}  {item.path.name}\n")
    sync(part)
    os.replace(part, item.path)
    sync(item.path.parent)


def _transfer(item: RemoteFile, part: Path, progress: bool | None) -> bool:
    """Bring the partial file to its end; return whether an earlier part was continued."""
    from pooch import HTTPDownloader

    if item.n_bytes is not None and _partial_size(item.path) >= item.n_bytes > 0:
        if part.stat().st_size == item.n_bytes:
            return True
        owner.discard(part)
    with _bar(item, progress) as bar:
        try:
            stream = _Part(part, item.n_bytes, bar)
            try:
                headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={stream.start}-"} if stream.start else {})
                download = HTTPDownloader(
                    chunk_size=_CHUNK, timeout=_TIMEOUT_S, headers=headers, hooks={"response": stream.on_response}
                )
                with _network_errors(item.url, stream):
                    download(item.url, stream, None)
            finally:
                stream.close()
        except BaseException:
            if _partial_size(item.path) == 0:
                owner.discard(part)
            raise
    return stream.continued


@contextmanager
def _network_errors(url: str, part: _Part) -> Iterator[None]:
    import requests
    import urllib3

    try:
        yield
    except BrainencError:
        part.restart()  # refused content is not worth continuing
        raise
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        if status == 416:  # what is here is longer than what is there
            part.restart()
        kept = f"; {human_bytes(part.size)} are kept and will be continued" if part.size else ""
        raise DataError(
            "download failed", where=url, got=f"{type(error).__name__}: {_short(error)}{kept}", fix="check the network and the address, then try again"
        ) from error


@contextmanager
def _bar(item: RemoteFile, progress: bool | None) -> Iterator[Any]:
    from tqdm import tqdm

    shown = sys.stderr.isatty() if progress is None else progress
    with tqdm(total=item.n_bytes, unit="B", unit_scale=True, desc=item.path.name, disable=not shown, leave=False) as bar:
        yield bar


def _expected(url: str, target: Path, sha256: str | None, allow_unverified: bool) -> str | None:
    if sha256 is not None:
        if not _SHA256.fullmatch(sha256.lower()):
            raise InputError("not a sha256 in hex", where=url, got=repr(sha256))
        return sha256.lower()
    if not allow_unverified:
        raise InputError("a download needs a sha256", where=url, fix="give its sha256, or allow_unverified=True if nobody knows it")
    try:
        recorded = _record(target).read_text(encoding="utf-8").split()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        return None
    return recorded if _SHA256.fullmatch(recorded) and target.exists() else None


def _check_present(target: Path, expected: str | None) -> Path:
    if expected is None:
        write_text(_record(target), f"{fingerprint.of_file(target)}  {target.name}\n")
        return target
    found = fingerprint.of_file(target)
    if found != expected:
        raise DataError(
            "the file here has another checksum", where=target, expected=f"sha256 {expected}", got=f"sha256 {found}",
            fix="move it away to download it afresh",
        )  # fmt: skip
    return target


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError("only http and https addresses are downloaded", got=repr(url))
    if parts.scheme == "http" and (parts.username or parts.password):
        raise InputError("credentials are not sent over http", got=f"an address with a user name at {parts.hostname}", fix="use https")


def _record(target: Path) -> Path:
    return target.with_name(target.name + ".sha256")


def _partial_size(target: Path) -> int:
    try:
        return target.with_name(target.name + ".part").stat().st_size
    except OSError:
        return 0


def _short(error: Exception) -> str:
    text = str(error)
    return text if len(text) <= 300 else text[:300] + "…"
