"""Which images a folder or an archive holds."""

from __future__ import annotations

import re
from pathlib import Path

from brainenc.core.checks import examples
from brainenc.core.errors import DataError
from brainenc.io.archive import Archive

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm")


def list_images(root: str | Path, pattern: str) -> list[str]:
    """Return the paths of the images that match a pattern, in natural order (``a2`` before ``a10``).

    Parameters
    ----------
    root : path
        Folder that ``pattern`` is relative to.
    pattern : str
        ``"images/*.jpg"``, ``"**/*.png"`` (any depth), or inside an archive ``"images.zip::**/*.jpg"``. ``*`` does not cross
        a slash.

    Returns
    -------
    list of str
        As a ``path`` column holds them.

    Raises
    ------
    DataError
        When nothing matches or the archive cannot be read.
    """
    folder = Path(root)
    container, separator, inner = pattern.partition("::")
    if separator:
        with Archive(folder / container) as archive:
            known = archive.names()
        prefix = f"{container}::"
    else:
        inner, prefix = container, ""
        fixed = inner[: len(inner) - len(inner[_wild(inner) :])].rpartition("/")[0]
        base = folder / fixed
        if not base.is_dir():
            raise DataError("no such folder of images", where=base)
        known = [p.relative_to(folder).as_posix() for p in base.rglob("*") if p.is_file()]
    expression = glob_expression(inner)
    found = [name for name in known if expression.fullmatch(name) and name.lower().endswith(SUFFIXES)]
    if not found:
        raise DataError(
            "no image matches the pattern",
            where=folder / container,
            expected=inner,
            got=f"{len(known)} other files: {examples(known)}" if known else "no files",
        )
    return [prefix + name for name in sorted(found, key=natural)]


def glob_expression(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern in which ``*`` stays in one folder and ``**/`` means any depth."""
    text = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    return re.compile(text)


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers inside a name count as numbers."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part)


def _wild(pattern: str) -> int:
    places = [pattern.find(sign) for sign in "*?" if sign in pattern]
    return min(places) if places else len(pattern)
