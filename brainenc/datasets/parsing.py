"""TOML text to `Manifest`: facts that nobody verified are noted, variants are checked as they will be read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import DataError, InputError
from brainenc.datasets import schema
from brainenc.datasets.contradictions import check_manifest
from brainenc.datasets.recording_spec import RecordingsSpec
from brainenc.datasets.schema import Manifest
from brainenc.datasets.strict import build, update
from brainenc.io.readers import read_toml

TABLES: dict[str, type] = {
    "stimuli": schema.StimuliSpec,
    "responses": schema.ResponsesSpec,
    "recordings": RecordingsSpec,
    "samples": schema.SamplesSpec,
    "events": schema.EventsSpec,
    "targets": schema.TargetsSpec,
    "confounds": schema.ConfoundsSpec,
    "space": schema.SpaceSpec,
}
_SET_BY_READER = ("file", "sha256", "unverified", "session_table")
MAX_RUNS = 10_000
MAX_DEPTH = 12


def parse_manifest(path: str | Path) -> Manifest:
    """Read and check a manifest file.

    Raises
    ------
    DataError
        Missing file or broken TOML.
    InputError
        Unknown key (with the nearest known one and its place), wrong type, contradiction.
    """
    file = Path(path).expanduser()
    if file.suffix.lower() != ".toml":
        raise DataError("a manifest is a TOML file", where=file, expected="a name ending in .toml")
    table = read_toml(file)
    manifest = from_table(table, str(file))
    return replace(manifest, file=file.resolve(), sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def from_table(table: Mapping[str, Any], where: str = "manifest") -> Manifest:
    """Return the manifest of a parsed TOML table."""
    unverified: list[str] = []
    content = _strip(table, "", unverified, where)
    for key in _SET_BY_READER:
        if key in content:
            raise InputError(f"unknown key {key!r}", where=where, fix=did_you_mean(key, ["sessions", "verified"]))
    if "sessions" in content:
        content["session_table"] = content.pop("sessions")
        if not isinstance(content["session_table"], Mapping):
            raise InputError("sessions are listed by subject", where=f"{where}.sessions", expected='a table such as { "01" = ["a", "b"] }')
    manifest = replace(build(Manifest, content, where), unverified=tuple(unverified))
    check_manifest(manifest, where)
    for name in manifest.variants:
        _check_variant(manifest, name, where)
    return manifest


def with_variant(manifest: Manifest, variant: str | None, where: str | None = None) -> Manifest:
    """Return the manifest as a variant reads it: the variant's tables replace keys of the tables of the same name."""
    if variant is None:
        return manifest
    spec = manifest.variants[variant]
    place = f"{where or manifest.file or manifest.name}.variants.{variant}"
    tables = {name: getattr(spec, name) for name in TABLES if getattr(spec, name)}
    changed = {name: update(getattr(manifest, name), TABLES[name], table, f"{place}.{name}") for name, table in tables.items()}
    return replace(manifest, **changed)


def run_list(runs: str | tuple[int, ...] | None, where: str) -> tuple[int, ...]:
    """Return run numbers: ``"1-12"`` counts from the first to the last, a list is taken as it is."""
    if runs is None:
        return ()
    if isinstance(runs, str):
        match = re.fullmatch(r"\s*(\d{1,6})\s*-\s*(\d{1,6})\s*", runs)
        if match is None or not 0 <= int(match[2]) - int(match[1]) < MAX_RUNS:
            raise InputError("runs cannot be read", where=where, expected='"1-12" or a list of numbers', got=repr(runs))
        return tuple(range(int(match[1]), int(match[2]) + 1))
    if len(set(runs)) != len(runs) or not runs:
        raise InputError("runs are empty or listed twice", where=where, got=runs)
    return runs


def _check_variant(manifest: Manifest, name: str, where: str) -> None:
    variant = manifest.variants[name]
    known: Mapping[str, tuple[str, ...]] = {"subjects": manifest.subjects, "sessions": manifest.sessions()}
    for kind, there in known.items():
        for item in getattr(variant, kind):
            if manifest.join_sessions and kind == "sessions":
                raise InputError("a variant cannot leave out sessions that are joined", where=f"{where}.variants.{name}.sessions", got=item)
            if item not in there:
                raise InputError(
                    f"variant of an unknown {kind[:-1]} {item!r}", where=f"{where}.variants.{name}.{kind}", fix=did_you_mean(item, there)
                )
    check_manifest(with_variant(manifest, name, where), f"{where}.variants.{name}")


def _strip(table: Any, path: str, unverified: list[str], where: str, depth: int = 0) -> Any:
    """Return the table without ``verified`` marks, whose paths go to ``unverified``.

    ``verified = false`` marks a whole table; ``key = { value = 2.0, verified = false }`` marks one key.
    """
    if depth > MAX_DEPTH:
        raise InputError("tables are nested too deeply", where=f"{where}.{path}", expected=f"at most {MAX_DEPTH} levels")
    if isinstance(table, list):
        return [_strip(item, f"{path}[{i}]", unverified, where, depth + 1) for i, item in enumerate(table)]
    if not isinstance(table, Mapping):
        return table
    content = dict(table)
    if "verified" in content:
        mark = content.pop("verified")
        if not isinstance(mark, bool):
            raise InputError("verified is true or false", where=f"{where}.{path}", got=repr(mark))
        if not mark:
            unverified.append(path or "everything")
        if set(content) == {"value"}:
            return _strip(content["value"], path, unverified, where, depth + 1)
    return {key: _strip(item, f"{path}.{key}".lstrip("."), unverified, where, depth + 1) for key, item in content.items()}
