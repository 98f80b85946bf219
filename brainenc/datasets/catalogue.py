"""Which data sets there are, and what a study can score of each."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from brainenc.core.checks import did_you_mean, human_bytes
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.datasets.parsing import parse_manifest
from brainenc.datasets.schema import Manifest

FOLDER_MANIFESTS = ("brainenc.toml", "manifest.toml")


def catalogue_folder() -> Path:
    """Return the folder of the manifests that come with the package: in the wheel, or beside it in a source tree."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "data_manifests", package.parent / "data_manifests"):
        if folder.is_dir():
            return folder
    raise DataError("the catalogue of data sets is missing from the installation", where=package, fix="install brainenc again")


def names() -> list[str]:
    """Return the names of the data sets that the package knows.

    Examples
    --------
    >>> "insilico" in names()
    True
    """
    return sorted(path.stem for path in catalogue_folder().glob("*.toml"))


def manifest(name_or_path: str | Path) -> Manifest:
    """Return the manifest of a data set by name, or by the path of a TOML file or of a folder that holds ``brainenc.toml``.

    Raises
    ------
    NotFoundError
        Unknown name (the nearest ones are named).
    DataError, InputError
        Missing or faulty manifest.
    """
    path = manifest_path(name_or_path)
    stat = path.stat()
    return _parsed(str(path), stat.st_mtime_ns, stat.st_size)


def manifest_path(name_or_path: str | Path) -> Path:
    """Return the file of a manifest."""
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text or "\\" in text or text in (".", ".."):
        path = Path(text).expanduser()
        if path.is_dir():
            inside = [path / name for name in FOLDER_MANIFESTS if (path / name).is_file()]
            if not inside:
                raise DataError("folder holds no manifest", where=path, expected=" or ".join(FOLDER_MANIFESTS))
            return inside[0]
        if not path.is_file():
            raise DataError("no such manifest", where=path, fix=did_you_mean(path.name, [p.name for p in path.parent.glob("*.toml")]))
        return path
    known = names()
    if text not in known:
        if any((Path(text) / name).is_file() for name in FOLDER_MANIFESTS):
            return manifest_path(Path(text))
        raise NotFoundError(
            f"unknown data set {text!r}", expected=f"one of {', '.join(known)}, or the path of a manifest", fix=did_you_mean(text, known)
        )
    return catalogue_folder() / f"{text}.toml"


def is_catalogued(found: Manifest) -> bool:
    """Return whether a manifest is one of the package's own."""
    return found.file is not None and found.file.parent == catalogue_folder()


def units(name_or_path: str | Path) -> list[dict[str, str | None]]:
    """Return what can be loaded, one dict(subject, session, variant) each: every subject and session, then those of the variants.

    Examples
    --------
    >>> units("insilico")[0]
    {'subject': '01', 'session': None, 'variant': None}
    """
    found = manifest(name_or_path)
    if found.kind == "rdms":
        return [{"subject": None, "session": None, "variant": None}]
    listed: list[dict[str, str | None]] = []
    for variant in (None, *found.variants):
        limits = found.variants[variant] if variant else None
        for subject in found.subjects:
            if limits and limits.subjects and subject not in limits.subjects:
                continue
            for session in (None,) if found.join_sessions else (found.sessions(subject) or (None,)):
                if not (limits and limits.sessions and session not in limits.sessions):
                    listed.append({"subject": subject, "session": session, "variant": variant})
    return listed


def choose(found: Manifest, subject: Any = None, session: Any = None, variant: Any = None) -> dict[str, str | None]:
    """Return the one unit that is asked for; leave out what there is only one of.

    Raises
    ------
    InputError
        Unknown subject, session or variant, or several to choose from; the message lists them.
    """
    wanted = {"subject": subject, "session": session, "variant": variant}
    if found.kind == "rdms" and subject is None:
        _one("variant", variant, [None, *found.variants], found)
        return {"subject": None, "session": None, "variant": variant}
    if variant is not None:
        variant = _one("variant", variant, list(found.variants), found)
    limits = found.variants[str(variant)] if variant is not None else None
    subjects = [s for s in found.subjects if not (limits and limits.subjects and s not in limits.subjects)]
    if limits and limits.sessions:
        subjects = [s for s in subjects if set(limits.sessions) & set(found.sessions(s))]
    if subject is None and session is not None:
        subjects = [s for s in subjects if str(session) in found.sessions(s)] or subjects
    chosen = _one("subject", subject, subjects, found)
    sessions = [s for s in found.sessions(chosen) if not (limits and limits.sessions and s not in limits.sessions)]
    if not sessions and session is not None:
        raise InputError(f"{found.name} has no sessions", where=f"subject {chosen}", got=f"session={session!r}")
    known = [None, *sessions] if found.join_sessions else sessions  # joined, no session means all of them
    return {**wanted, "subject": chosen, "session": _one("session", session, known, found) if sessions else None, "variant": variant}


def describe(name_or_path: str | Path) -> str:
    """Return a text about a data set: title, citation, licence, access, what it holds and what a download takes."""
    found = manifest(name_or_path)
    files = [item for source in found.sources for item in source.files]
    lines = [f"{found.name}: {found.title or '(no title)'}"]
    if found.description:
        lines += [*found.description.strip().splitlines()]
    subjects = [s + (f" ({_sessions_text(found.sessions(s))})" if found.sessions(s) else "") for s in found.subjects]
    facts = {
        "holds": found.kind,
        "subjects": ", ".join(subjects),
        "variants": "; ".join(f"{name} ({v.description})" if v.description else name for name, v in found.variants.items()),
        "cite": " ".join(part for part in (found.citation.text, found.citation.doi and f"doi:{found.citation.doi}") if part),
        "licence": " ".join(part for part in (found.licence.name, found.licence.url) if part),
        "access": found.access.kind + (f" ({found.access.url})" if found.access.url else ""),
        "download": f"{len(files)} files, {human_bytes(sum(item.bytes for item in files))}" if files else "",
        "made by": found.generator,
        "not verified": ", ".join(found.unverified),
    }
    return "\n".join([*lines, *(f"  {key}: {value}" for key, value in facts.items() if value)])


def _sessions_text(sessions: tuple[str, ...]) -> str:
    return ", ".join(sessions) if len(sessions) <= 6 else f"{len(sessions)} sessions, {sessions[0]} to {sessions[-1]}"


def _one(what: str, value: Any, known: list[Any], found: Manifest) -> Any:
    if value is None and (len(known) == 1 or None in known):
        return known[0]
    text = None if value is None else str(value)
    if text in known:
        return text
    listed = ", ".join(str(k) for k in known if k is not None) or "none"
    if text is None:
        raise InputError(f"{found.name} has several {what}s", expected=f"{what}= one of {listed}", fix="name one")
    raise InputError(f"{found.name} has no {what} {text!r}", expected=f"one of {listed}", fix=did_you_mean(text, known))


@lru_cache(maxsize=64)
def _parsed(path: str, mtime_ns: int, size: int) -> Manifest:
    return parse_manifest(path)
