"""Hostile archives: refused with a clear error, and nothing is left behind."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import warnings
import zipfile

import pytest

from brainenc.core.errors import DataError, NotFoundError
from brainenc.io.archive import Archive, extract, list_members, read_member

GOOD = {"images/a.png": b"first", "images/b.png": b"second" * 100, "readme.txt": b""}


def tar_bytes(members, mode="w", **kwargs):
    """A tar of (TarInfo or name, content) pairs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **kwargs) as bundle:
        for info, content in members:
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
            info.size = len(content)
            bundle.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_special(kind, linkname=""):
    info = tarfile.TarInfo("thing")
    info.type, info.linkname = kind, linkname
    return tar_bytes([("ok.txt", b"ok"), (info, b"")])


def zip_bytes(members, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as bundle:
        warnings.simplefilter("ignore")
        for info, content in members:
            bundle.writestr(info, content)
    return buffer.getvalue()


def zip_link():
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return zip_bytes([("ok.txt", b"ok"), (info, b"/etc/passwd")])


def zip_with_nul():
    return zip_bytes([("aXb.txt", b"x")]).replace(b"aXb.txt", b"a\0b.txt")


def zip_encrypted():
    content = bytearray(zip_bytes([("a.txt", b"x")], zipfile.ZIP_STORED))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1
    return bytes(content)


def zip_lying_about_its_size():
    """A member that inflates to 5 MB and declares 10 bytes, in both headers."""
    content = bytearray(zip_bytes([("a.bin", b"\0" * 5_000_000)]))
    for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(magic) + offset
        content[at : at + 4] = struct.pack("<I", 10)
    return bytes(content)


def tar_with_a_giant_header():
    """A pax header that claims 60 MB of text, which tarfile would read at once."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = b"x", 60_000_000
    return gzip.compress(info.tobuf() + b"\0" * 60_000_000)


HOSTILE = {
    "tar symlink": tar_special(tarfile.SYMTYPE, "/etc/passwd"),
    "tar hardlink": tar_special(tarfile.LNKTYPE, "ok.txt"),
    "tar fifo": tar_special(tarfile.FIFOTYPE),
    "tar character device": tar_special(tarfile.CHRTYPE),
    "tar block device": tar_special(tarfile.BLKTYPE),
    "tar sparse": tar_special(tarfile.GNUTYPE_SPARSE),
    "tar parent": tar_bytes([("ok.txt", b"ok"), ("../evil.txt", b"x")]),
    "tar inner parent": tar_bytes([("a/../../evil.txt", b"x")]),
    "tar absolute": tar_bytes([("/tmp/evil.txt", b"x")]),
    "tar drive": tar_bytes([("C:evil.txt", b"x")]),
    "tar backslash": tar_bytes([("..\\evil.txt", b"x")]),
    "tar duplicate": tar_bytes([("a.txt", b"x"), ("a.txt", b"y")]),
    "tar case": tar_bytes([("A/b.txt", b"x"), ("a/B.txt", b"y")]),
    "tar dot duplicate": tar_bytes([("a.txt", b"x"), ("./a.txt", b"y")]),
    "tar unicode duplicate": tar_bytes([("é.txt", b"x"), ("e\u0301.txt", b"y")]),
    "tar file as folder": tar_bytes([("a", b"x"), ("a/b", b"y")]),
    "tar folder as file": tar_bytes([("a/b", b"x"), ("a", b"y")]),
    "tar newline": tar_bytes([("a\nb", b"x")]),
    "tar long": tar_bytes([("a" * 300, b"x")]),
    "tar no name": tar_bytes([("./", b"x")]),
    "tar giant header": tar_with_a_giant_header(),
    "tar garbage after": tar_bytes([("a.txt", b"x" * 512)])[:1024] + b"garbage!" * 64,
    "zip symlink": zip_link(),
    "zip parent": zip_bytes([("ok.txt", b"ok"), ("../evil.txt", b"x")]),
    "zip absolute": zip_bytes([("/tmp/evil.txt", b"x")]),
    "zip drive": zip_bytes([("c:/evil.txt", b"x")]),
    "zip backslash": zip_bytes([("a\\..\\..\\evil.txt", b"x")]),
    "zip duplicate": zip_bytes([("a.txt", b"x"), ("a.txt", b"y")]),
    "zip case": zip_bytes([("a.txt", b"x"), ("A.TXT", b"y")]),
    "zip nul": zip_with_nul(),
    "zip encrypted": zip_encrypted(),
    "zip lying": zip_lying_about_its_size(),
    "zip truncated": zip_bytes(list(GOOD.items()))[:-40],
    "tgz truncated": gzip.compress(tar_bytes([("a.bin", bytes(range(256)) * 400)]))[:-300],
    "not an archive": b"hello " * 400,
    "empty": b"",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_archives_are_refused_and_leave_nothing(tmp_path, name):
    work = tmp_path / "work"
    work.mkdir()
    source = work / "archive.bin"
    source.write_bytes(HOSTILE[name])
    with pytest.raises(DataError, match="archive"):
        extract(source, work / "out" / "deep")
    assert [p.name for p in work.iterdir()] == ["archive.bin"]
    assert [p.name for p in tmp_path.iterdir()] == ["work"]


@pytest.mark.parametrize("name", ["tar symlink", "tar parent", "zip symlink", "zip parent", "zip nul"])
def test_reading_one_good_member_of_a_hostile_archive_is_refused_too(tmp_path, name):
    (tmp_path / "a").write_bytes(HOSTILE[name])
    with pytest.raises(DataError):
        read_member(tmp_path / "a", "ok.txt")
    with pytest.raises(DataError):
        list_members(tmp_path / "a")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_bombs(tmp_path, kind):
    zeros = [("zeros.bin", b"\0" * 80_000_000)]
    plain = None if kind == "zip" else tar_bytes(zeros)
    packed = {
        "zip": lambda: zip_bytes(zeros),
        "tar.gz": lambda: gzip.compress(plain),
        "tar.bz2": lambda: bz2.compress(plain),
        "tar.xz": lambda: lzma.compress(plain, preset=0),
    }[kind]()
    source = tmp_path / f"bomb.{kind}"
    source.write_bytes(packed)
    with pytest.raises(DataError, match="suspiciously much"):
        extract(source, tmp_path / "out")
    with pytest.raises(DataError, match="more than allowed"):
        extract(source, tmp_path / "out", max_bytes="10MB")
    assert [p.name for p in tmp_path.iterdir()] == [source.name]


def test_limits_on_members_and_on_one_member(tmp_path):
    (tmp_path / "a.zip").write_bytes(zip_bytes(list(GOOD.items())))
    with pytest.raises(DataError, match="too many members"):
        extract(tmp_path / "a.zip", tmp_path / "out", max_members=2)
    with pytest.raises(DataError, match="too large"):
        read_member(tmp_path / "a.zip", "images/b.png", max_bytes=599)
    assert read_member(tmp_path / "a.zip", "images/b.png", max_bytes=600) == GOOD["images/b.png"]


def test_a_full_disk_is_refused_before_unpacking(tmp_path, monkeypatch):
    from brainenc.io import archive

    (tmp_path / "a.zip").write_bytes(zip_bytes(list(GOOD.items())))
    monkeypatch.setattr(archive, "free_bytes", lambda path: 100)
    with pytest.raises(DataError, match="no room"):
        extract(tmp_path / "a.zip", tmp_path / "out")


GOOD_ARCHIVES = {
    "zip": lambda: zip_bytes([("images/", b""), *GOOD.items()]),
    "stored zip": lambda: zip_bytes(GOOD.items(), zipfile.ZIP_STORED),
    "tar": lambda: tar_bytes(GOOD.items()),
    "tar.gz": lambda: gzip.compress(tar_bytes(GOOD.items())),
    "tar.bz2": lambda: bz2.compress(tar_bytes(GOOD.items())),
    "tar.xz": lambda: lzma.compress(tar_bytes(GOOD.items())),
    "dotted tar": lambda: tar_bytes([(f"./{name}", content) for name, content in GOOD.items()]),
    "gnu tar": lambda: tar_bytes(GOOD.items(), format=tarfile.GNU_FORMAT),
}


@pytest.mark.parametrize("kind", sorted(GOOD_ARCHIVES))
def test_good_archives_come_out_whole(tmp_path, kind):
    source = tmp_path / "a.bin"
    source.write_bytes(GOOD_ARCHIVES[kind]())
    paths = extract(source, tmp_path / "out")
    assert {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in paths} == GOOD
    assert sorted(list_members(source)) == sorted(GOOD)
    with Archive(source) as archive:
        assert {name: archive.read(name) for name in reversed(archive.names())} == GOOD
        assert archive.size("images/a.png") == 5 and len(archive) == 3
    only = extract(source, tmp_path / "one", members=["images/b.png"])
    assert [p.read_bytes() for p in only] == [GOOD["images/b.png"]]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "one", "out"]


def test_long_names_of_pax_and_gnu_tars(tmp_path):
    name = "/".join(["part" * 10] * 6) + "/file.txt"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        (tmp_path / "a.tar").write_bytes(tar_bytes([(name, b"deep")], format=form))
        assert read_member(tmp_path / "a.tar", name) == b"deep"


def test_files_in_the_target_are_never_overwritten(tmp_path):
    source = tmp_path / "a.zip"
    source.write_bytes(zip_bytes(list(GOOD.items())))
    out = tmp_path / "out"
    (out / "images").mkdir(parents=True)
    (out / "images" / "b.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="already there"):
        extract(source, out)
    assert [p.name for p in out.rglob("*.*")] == ["b.png"] and (out / "images" / "b.png").read_bytes() == b"mine"
    extract(source, out, members=["images/a.png"])
    assert (out / "images" / "a.png").read_bytes() == b"first"
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="not a folder"):
        extract(source, tmp_path / "file")


def test_a_link_in_the_target_does_not_lead_outside(tmp_path):
    source = tmp_path / "a.zip"
    source.write_bytes(zip_bytes(list(GOOD.items())))
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "images").symlink_to(outside)
    with pytest.raises(DataError, match="leads outside"):
        extract(source, tmp_path / "out")
    assert list(outside.iterdir()) == []


def test_unknown_member_and_missing_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(zip_bytes(list(GOOD.items())))
    with pytest.raises(NotFoundError, match=r"images/a\.png"):
        read_member(tmp_path / "a.zip", "images/a.jpg")
    with pytest.raises(DataError, match=r"no such file.*a\.zip"):
        list_members(tmp_path / "b.zip")
    with pytest.raises(NotFoundError):
        extract(tmp_path / "a.zip", tmp_path / "out", members=["nothing"])
    assert not (tmp_path / "out").exists()


def test_a_damaged_member_is_found_by_its_checksum(tmp_path):
    content = bytearray(zip_bytes([("a.txt", b"hello hello")], zipfile.ZIP_STORED))
    content[content.index(b"hello")] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        extract(tmp_path / "a.zip", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
