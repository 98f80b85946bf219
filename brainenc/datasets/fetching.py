"""Getting the public files of a data set: what it takes first, then downloads that resume, are checked and renamed when whole."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from brainenc.core.checks import human_bytes
from brainenc.core.errors import DataError, InputError
from brainenc.datasets.catalogue import choose, is_catalogued, manifest
from brainenc.datasets.places import folders, how_to_get
from brainenc.datasets.schema import Manifest, SourceFile
from brainenc.datasets.templates import inside
from brainenc.io import archive
from brainenc.io.fetch import Needs, RemoteFile, describe, fetch_file

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What a download will do: the ``files``, the ``folder`` they go to, and what it ``needs``. Print it."""

    name: str
    folder: Path
    files: tuple[RemoteFile, ...]
    unpack: tuple[tuple[Path, Path], ...]
    needs: Needs

    def __str__(self) -> str:
        there = len(self.files) - self.needs.n_files
        here = f" ({there} of {len(self.files)} files are already there)" if there else ""
        return f"{self.name} → {self.folder}: {self.needs}{here}"


def fetch_plan(
    name_or_path: str | Path,
    subject: str | None = None,
    *,
    session: str | None = None,
    variant: str | None = None,
    root: str | Path | None = None,
) -> FetchPlan:
    """Return what `fetch` would download, without downloading anything.

    Parameters
    ----------
    name_or_path : str or Path
    subject, session, variant : str, optional
        Only the files that these need; all when left out.
    root : path, optional
        Folder to put the data set's folder into; else ``BRAINENC_DATA`` where it can be written, else the user's cache.

    Raises
    ------
    DataError
        A gated data set (the message names the form), or one without public sources.
    InputError, NotFoundError
        Unknown names.
    """
    found = manifest(name_or_path)
    if found.generator:
        raise InputError(f"{found.name} is simulated: there is nothing to download", fix=f"load it with brainenc.load({found.name!r})")
    if found.access.kind != "open":
        raise DataError(
            f"{found.name} cannot be downloaded freely", where=found.access.url or found.access.kind,
            fix=f"apply there ({found.access.text or found.access.kind}), then put the files into a folder {found.folder or found.name!r} in BRAINENC_DATA",
        )  # fmt: skip
    if not found.sources:
        raise DataError(f"the manifest of {found.name} names no source to download from", where=found.file)
    if not any(source.files for source in found.sources):
        raise DataError(
            f"{found.name} is not downloaded here: nobody has noted the checksums of its files", where=found.sources[0].base, fix=how_to_get(found)
        )
    _check_unit(found, subject, session, variant)
    folder = _target(found, root)
    files, unpack = [], []
    for source in found.sources:
        for item in source.files:
            if not _wanted(item, found, subject, session, variant):
                continue
            path = folder / inside(item.path, f"{found.name}.sources")
            address = source.base.rstrip("/") + "/" + quote(item.at or item.path)
            files.append(RemoteFile(url=address, path=path, sha256=item.sha256, n_bytes=item.bytes))
            if item.extract:
                unpack.append((path, folder / inside(item.extract, f"{found.name}.sources")))
    return FetchPlan(found.name, folder, tuple(files), tuple(unpack), describe(files))


def fetch(
    name_or_path: str | Path,
    subject: str | None = None,
    *,
    session: str | None = None,
    variant: str | None = None,
    root: str | Path | None = None,
    progress: bool | None = None,
) -> Path:
    """Download the public files of a data set and return its folder.

    The number of files, their bytes and the free disk are logged first. Every file is resumed where it stopped, checked
    by sha256 and renamed when whole; files that are already there are checked, not fetched again.

    Parameters
    ----------
    name_or_path : str or Path
    subject, session, variant : str, optional
        Only the files that these need; all when left out.
    root : path, optional
        Folder to put the data set's folder into; else ``BRAINENC_DATA`` where it can be written, else the user's cache.
    progress : bool, optional
        Show a bar; None shows one on a terminal.

    Raises
    ------
    DataError
        As `fetch_plan`, and for every failure of a download: offline, wrong checksum, no room on the disk.
    """
    plan = fetch_plan(name_or_path, subject, session=session, variant=variant, root=root)
    logger.info("%s", plan)
    if plan.needs.n_bytes > plan.needs.free_bytes:
        raise DataError(
            "the disk has no room for the download", where=plan.folder, expected=human_bytes(plan.needs.n_bytes),
            got=f"{human_bytes(plan.needs.free_bytes)} free", fix="name another root, or one subject",
        )  # fmt: skip
    for item in plan.files:
        fetch_file(item.url, item.path, sha256=item.sha256, n_bytes=item.n_bytes, progress=progress)
    for packed, target in plan.unpack:
        if not target.is_dir():
            archive.extract(packed, target)
    return plan.folder


def _check_unit(found: Manifest, subject: str | None, session: str | None, variant: str | None) -> None:
    """Refuse unknown names as `load` does; what is left out here means all."""
    if subject is not None or session is not None:
        sessions = found.sessions(subject) if subject is not None else found.sessions()
        choose(found, subject, session if session is not None else (sessions[0] if sessions else None), None)
    if variant is not None and variant not in found.variants:
        choose(found, subject, session, variant)


def _wanted(item: SourceFile, found: Manifest, subject: str | None, session: str | None, variant: str | None) -> bool:
    if subject is not None and item.subjects and subject not in item.subjects:
        return False
    if session is not None and item.sessions and session not in item.sessions:
        return False
    if subject is not None and session is None and item.sessions and not set(item.sessions) & set(found.sessions(subject)):
        return False
    return not (variant is not None and item.variants and variant not in item.variants)


def _target(found: Manifest, root: str | Path | None) -> Path:
    places = folders(found, root)
    if root is not None or not is_catalogued(found):
        return places[0]
    for place in places[:-1]:
        parent = next((p for p in (place, *place.parents) if p.exists()), None)
        if parent is not None and os.access(parent, os.W_OK):
            return place
    return places[-1]
