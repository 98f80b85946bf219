"""Files on disk are what the manifest says: size always, sha256 once for each state of a file."""

from __future__ import annotations

import logging
from pathlib import Path

from brainenc.core.errors import DataError
from brainenc.core.fingerprint import of_file, of_json
from brainenc.datasets.places import Unit, session_units
from brainenc.datasets.schema import Manifest, SourceFile
from brainenc.io.atomic import write_json
from brainenc.io.paths import cache_dir
from brainenc.io.readers import read_json

logger = logging.getLogger(__name__)


def wanted_by(item: SourceFile, unit: Unit) -> bool:
    """Return whether a unit may read a source file."""
    for value, allowed in ((unit["subject"], item.subjects), (unit["session"], item.sessions), (unit["variant"], item.variants)):
        if allowed and value not in allowed:
            return False
    return True


def verify_files(manifest: Manifest, unit: Unit, folder: Path) -> None:
    """Check every source file of a unit that is in the folder against the manifest's size and sha256.

    A sha256 is computed once and remembered in the cache for as long as path, size and time of change stay the same.

    Raises
    ------
    DataError
        When a file is not the one that the manifest describes; the message carries both numbers.
    """
    for source in manifest.sources:
        for item in source.files:
            path = folder / item.path
            if any(wanted_by(item, each) for each in session_units(manifest, unit)) and path.is_file():
                _verify(path, item)


def _verify(path: Path, item: SourceFile) -> None:
    state = path.stat()
    fix = "remove it and fetch it again, or take its sha256 out of your own manifest if it was changed on purpose"
    if state.st_size != item.bytes:
        raise DataError("file is not the one that the manifest describes", where=path, expected=f"{item.bytes} bytes", got=f"{state.st_size} bytes", fix=fix)
    found = _remembered_sha256(path, state.st_size, state.st_mtime_ns)
    if found != item.sha256.lower():
        raise DataError("file is not the one that the manifest describes", where=path, expected=f"sha256 {item.sha256}", got=f"sha256 {found}", fix=fix)


def _remembered_sha256(path: Path, size: int, changed: int) -> str:
    note = cache_dir() / "verified" / f"{of_json([str(path.resolve()), size, changed])}.json"
    if note.is_file():
        try:
            known = read_json(note)
            if isinstance(known, dict) and isinstance(known.get("sha256"), str):
                return str(known["sha256"])
        except DataError:
            logger.info("a damaged note of a verified file is written anew: %s", note)
    found = of_file(path)
    try:
        write_json(note, {"path": str(path.resolve()), "sha256": found})
    except DataError as error:
        logger.info("the checksum of %s could not be remembered: %s", path, error)
    return found
