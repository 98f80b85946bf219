"""The one door for archives: zip and tar (plain, gzip, bzip2, xz), checked before and while they are unpacked.

Refused, always: links, devices, sparse and encrypted members, absolute names, ``..``, drive letters, backslashes,
control characters, names that differ only in case, a file used as a folder, and anything above the limits. Contents go to a
temporary folder first and are renamed at the end, so a refused archive leaves nothing behind. Permissions and dates
of the archive are not taken over.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from brainenc.core.checks import did_you_mean, examples, human_bytes, parse_bytes
from brainenc.core.errors import DataError, NotFoundError
from brainenc.io import owner
from brainenc.io.atomic import free_bytes, made_folder, sync, write_errors
from brainenc.io.paths import existing_file, read_errors

MAX_BYTES = "200GB"
MAX_MEMBERS = 500_000
MAX_RATIO = 200.0
RATIO_FREE = 64 * 2**20  # below this size unpacked, no ratio is suspicious
MEMBER_BYTES = "256MB"
_CHUNK = 2**20
_HEADER_READ = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Member:
    """One regular file of an archive: its checked ``name`` (``/`` between parts) and declared ``n_bytes``."""

    name: str
    n_bytes: int
    handle: Any


class Archive:
    """A checked archive opened for reading members without unpacking it.

    All member names, kinds and declared sizes are checked when it is opened.

    Parameters
    ----------
    path : str or Path
        The archive; its kind is found from its first bytes.
    max_bytes, max_members, max_ratio
        Limits on the declared unpacked size, the number of members and the size over the archive's size.

    Raises
    ------
    DataError
        When the archive is missing, damaged, hostile or over a limit.

    Examples
    --------
    >>> with Archive("images.zip") as archive:                       # doctest: +SKIP
    ...     content = archive.read("images/0001.png")
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: str | int = MAX_BYTES,
        max_members: int = MAX_MEMBERS,
        max_ratio: float = MAX_RATIO,
    ) -> None:
        self.path = existing_file(path)
        self._limit = parse_bytes(max_bytes)
        self._backend: _Zip | _Tar | None = None
        with read_errors(self.path):
            backend = _open(self.path, self._limit)
            try:
                self._members = _checked(backend, self.path, self._limit, max_members, max_ratio)
            except BaseException:
                backend.close()
                raise
        self._backend = backend

    def names(self) -> list[str]:
        """Return the names of all files, in the archive's order."""
        return list(self._members)

    def size(self, name: str) -> int:
        """Return the declared size of one file in bytes."""
        return self._member(name).n_bytes

    def read(self, name: str, *, max_bytes: str | int = MEMBER_BYTES) -> bytes:
        """Return the content of one file, or raise when it is larger than ``max_bytes``."""
        member = self._member(name)
        limit = parse_bytes(max_bytes)
        if member.n_bytes > limit:
            raise DataError(
                "archive member is too large",
                where=f"{self.path}::{name}",
                expected=f"at most {human_bytes(limit)}",
                got=human_bytes(member.n_bytes),
                fix="raise max_bytes",
            )
        return b"".join(self._chunks(member))

    def copy(self, name: str, stream: IO[bytes]) -> None:
        """Write the content of one file to an open stream."""
        for chunk in self._chunks(self._member(name)):
            stream.write(chunk)

    def close(self) -> None:
        """Close the file."""
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._members)

    def _member(self, name: str) -> Member:
        if name not in self._members:
            near = did_you_mean(name, list(self._members)[:5000])
            raise NotFoundError(f"the archive has no member {name!r}", where=self.path, expected=examples(self._members), fix=near)
        return self._members[name]

    def _chunks(self, member: Member) -> Iterator[bytes]:
        """Yield the content; one that is shorter than declared is damaged."""
        if self._backend is None:
            raise DataError("the archive is closed", where=self.path)
        where = f"{self.path}::{member.name}"
        with read_errors(where):
            total = 0
            with self._backend.open(member.handle) as stream:
                while chunk := stream.read(_CHUNK):  # never more than declared: both libraries stop there
                    total += len(chunk)
                    yield chunk
            if total != member.n_bytes:
                raise DataError("member of the archive is shorter than it declares", where=where, expected=f"{member.n_bytes} bytes", got=total)


def extract(
    archive: str | Path,
    target: str | Path,
    *,
    members: Iterable[str] | None = None,
    max_bytes: str | int = MAX_BYTES,
    max_members: int = MAX_MEMBERS,
    max_ratio: float = MAX_RATIO,
) -> list[Path]:
    """Unpack an archive into the folder ``target`` and return the files written, in the archive's order.

    Parameters
    ----------
    archive : str or Path
        zip, or tar with or without gzip, bzip2 or xz.
    target : str or Path
        Folder; made if missing. Files that are already there are never overwritten: that is an error.
    members : iterable of str, optional
        Names to unpack; all when None. The whole archive is checked either way.
    max_bytes, max_members, max_ratio
        Limits on the declared unpacked size (``200GB``), the members (500,000) and the unpacked over the packed size
        (200; not applied below 64 MiB).

    Returns
    -------
    list of Path

    Raises
    ------
    DataError
        When the archive is damaged, hostile, over a limit, or does not fit on the disk. Nothing is left behind.
    NotFoundError
        When a wanted member is not there.
    """
    folder = Path(target)
    with Archive(archive, max_bytes=max_bytes, max_members=max_members, max_ratio=max_ratio) as source:
        names = source.names() if members is None else list(dict.fromkeys(members))
        needed = sum(source.size(name) for name in names)
        if needed > free_bytes(folder):
            raise DataError(
                "the disk has no room for the archive", where=folder, expected=human_bytes(needed), got=f"{human_bytes(free_bytes(folder))} free"
            )
        _refuse_present(folder, names)
        with write_errors(folder), made_folder(folder.parent):
            temporary = folder.parent / f"{owner.TEMP_PREFIX}{owner.tag()}"
            try:
                temporary.mkdir()
                for name in names:
                    place = temporary / name
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with open(place, "xb") as stream:
                        source.copy(name, stream)
                    sync(place)
                _move(temporary, folder, names)
            finally:
                owner.discard(temporary)
    return [folder / name for name in names]


def list_members(archive: str | Path) -> list[str]:
    """Return the names of the files of an archive, after all checks."""
    with Archive(archive) as source:
        return source.names()


def read_member(archive: str | Path, name: str, max_bytes: str | int = MEMBER_BYTES) -> bytes:
    """Return the content of one file of an archive (for many, keep an `Archive` open)."""
    with Archive(archive) as source:
        return source.read(name, max_bytes=max_bytes)


class _Zip:
    def __init__(self, path: Path) -> None:
        self.bundle = zipfile.ZipFile(path)

    def members(self) -> Iterator[tuple[str, int, bool, Any]]:
        for info in self.bundle.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            name = info.orig_filename  # `filename` is cut at a NUL
            if info.flag_bits & 0x1:
                raise DataError("archive is encrypted", where=f"{self.bundle.filename}::{name}", fix="decrypt it yourself first")
            if info.create_system == 3 and kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise DataError("archive holds a link or device", where=f"{self.bundle.filename}::{name}")
            yield name, info.file_size, info.is_dir(), info

    def open(self, handle: Any) -> IO[bytes]:
        return self.bundle.open(handle)

    def close(self) -> None:
        self.bundle.close()


class _Tar:
    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.raw = _decompressed(path)
        try:
            # headers and padding come on top of the contents
            capped = cast("IO[bytes]", _Capped(self.raw, limit + limit // 4 + 2**26, path))
            self.bundle = tarfile.open(fileobj=capped, mode="r:")
        except BaseException:
            self.raw.close()
            raise

    def members(self) -> Iterator[tuple[str, int, bool, Any]]:
        for info in self.bundle:
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise DataError("archive holds a link, device or sparse file", where=f"{self.path}::{info.name}")
            yield info.name, info.size, info.isdir(), info
        self.raw.seek(self.bundle.offset)
        if self.raw.read(512).strip(b"\0"):  # tarfile takes a damaged header for the end
            raise DataError("archive is damaged after its last readable member", where=self.path)

    def open(self, handle: Any) -> IO[bytes]:
        return cast("IO[bytes]", self.bundle.extractfile(handle))

    def close(self) -> None:
        self.bundle.close()
        self.raw.close()


class _Capped:
    """A seekable stream that refuses absurd single reads and positions beyond a limit (bombs inside tar headers)."""

    def __init__(self, raw: IO[bytes], limit: int, path: Path) -> None:
        self.raw, self.limit, self.path = raw, limit, path

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _HEADER_READ or self.raw.tell() + size > self.limit:
            raise DataError("archive asks for more than its limits", where=self.path, got=f"a read of {size} bytes")
        return self.raw.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and offset > self.limit:
            raise DataError("archive is larger than allowed", where=self.path, expected=f"at most {human_bytes(self.limit)}")
        return self.raw.seek(offset, whence)

    def tell(self) -> int:
        return self.raw.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _open(path: Path, limit: int) -> _Zip | _Tar:
    if zipfile.is_zipfile(path):
        return _Zip(path)
    return _Tar(path, limit)


def _decompressed(path: Path) -> IO[bytes]:
    import bz2
    import gzip
    import lzma

    with open(path, "rb") as stream:
        magic = stream.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(path))
    if magic.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.open(path))
    if magic == b"\xfd7zXZ\x00":
        return cast("IO[bytes]", lzma.open(path))
    return open(path, "rb")


def _checked(backend: _Zip | _Tar, path: Path, max_bytes: int, max_members: int, max_ratio: float) -> dict[str, Member]:
    members: dict[str, Member] = {}
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    packed = max(1, path.stat().st_size)
    total = 0
    for count, (raw, n_bytes, is_folder, handle) in enumerate(backend.members(), start=1):
        if count > max_members:
            raise DataError("archive has too many members", where=path, expected=f"at most {max_members}", fix="raise max_members")
        parts = _parts(raw, path)
        if n_bytes < 0:
            raise DataError("archive member has a negative size", where=f"{path}::{raw}")
        total += n_bytes
        if total > max_bytes:
            raise DataError("archive unpacks to more than allowed", where=path, expected=f"at most {human_bytes(max_bytes)}", fix="raise max_bytes")
        if total > RATIO_FREE and total / packed > max_ratio:
            raise DataError(
                "archive unpacks to suspiciously much", where=path, expected=f"at most {max_ratio:g} times its size",
                got=f"{human_bytes(total)} from {human_bytes(packed)}", fix="raise max_ratio if you trust it",
            )  # fmt: skip
        if not parts:
            if is_folder:  # the archive's own root, "./"
                continue
            raise DataError("archive member has no name", where=path, got=repr(raw))
        _note_place(parts, is_folder, path, files, folders)
        if not is_folder:
            name = "/".join(parts)
            members[name] = Member(name=name, n_bytes=n_bytes, handle=handle)
    return members


def _parts(raw: str, path: Path) -> list[str]:
    """Return the parts of a member's name, or raise when it could land anywhere but inside the target."""
    fault = None
    parts = [part for part in raw.split("/") if part not in ("", ".")]
    if any(ord(char) < 32 or ord(char) == 127 for char in raw):
        fault = "control characters"
    elif "\\" in raw:
        fault = "a backslash"
    elif raw.startswith("/"):
        fault = "an absolute name"
    elif any(re.match(r"[A-Za-z]:", part) for part in parts):
        fault = "a drive letter"
    elif ".." in parts:
        fault = "'..'"
    elif len(parts) > 64 or any(len(part.encode(errors="surrogatepass")) > 255 for part in parts):
        fault = "a name that is too long"
    elif any("\ud800" <= char <= "\udfff" for char in raw):
        fault = "a name that is not text"
    if fault:
        raise DataError("archive member has an unsafe name", where=path, got=f"{fault} in {raw[:200]!r}")
    return parts


def _note_place(parts: list[str], is_folder: bool, path: Path, files: dict[str, str], folders: dict[str, str]) -> None:
    """Record where a member goes; raise when two members would meet there on some file system."""
    folded = [unicodedata.normalize("NFC", part).casefold() for part in parts]
    name = "/".join(parts)
    for depth in range(1, len(folded)):
        above = "/".join(folded[:depth])
        if above in files:
            raise DataError("archive uses a file as a folder", where=path, got=f"{files[above]!r} and {name!r}")
        folders.setdefault(above, name)
    key = "/".join(folded)
    if is_folder:
        if key in files:
            raise DataError("archive uses a file as a folder", where=path, got=f"{files[key]!r} and {name!r}")
        folders.setdefault(key, name)
    elif key in files or key in folders:
        raise DataError("archive holds the same name twice", where=path, got=f"{files.get(key, folders.get(key))!r} and {name!r}")
    else:
        files[key] = name


def _refuse_present(folder: Path, names: list[str]) -> None:
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise DataError("the target is not a folder", where=folder)
        return
    root = folder.resolve()
    for name in names:
        place = folder / name
        if os.path.lexists(place):
            raise DataError("a file is already there", where=place, fix="unpack into another folder, or remove it")
        if not place.parent.resolve().is_relative_to(root):
            raise DataError("a link in the target leads outside it", where=place.parent)


def _move(temporary: Path, folder: Path, names: list[str]) -> None:
    """Rename the finished folder into place, or its files into a folder that is already there."""
    if not folder.exists():
        os.rename(temporary, folder)
        sync(folder.parent)
        return
    moved: list[Path] = []
    made: list[Path] = []
    try:
        for name in names:
            place = folder / name
            for parent in reversed(list(place.relative_to(folder).parents)):
                if not (folder / parent).is_dir():
                    (folder / parent).mkdir()
                    made.append(folder / parent)
            os.rename(temporary / name, place)
            moved.append(place)
    except BaseException:
        for place in moved:
            owner.discard(place)
        for place in reversed(made):
            place.rmdir()
        raise
