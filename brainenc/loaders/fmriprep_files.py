"""Which files of an fMRIPrep folder belong to a subject, a task and a space, and what their side files say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io.readers import read_json

SUFFIXES = {"volume": "_desc-preproc_bold.nii.gz", "surface": "_bold.func.gii", "cifti": "_bold.dtseries.nii"}
SIDES = {"L": "left", "R": "right"}
_ENTITY = re.compile(r"([a-zA-Z0-9]+)-([a-zA-Z0-9+]+)")


@dataclass(frozen=True, slots=True, eq=False)
class RunFiles:
    """The files of one run: the bold image, or one file a hemisphere."""

    kind: str
    entities: Mapping[str, str]
    bold: Mapping[str, Path]  # {"": path}, or {"left": path, "right": path}

    @property
    def first(self) -> Path:
        """The image, or the left hemisphere."""
        return next(iter(self.bold.values()))

    @property
    def images(self) -> str | list[str]:
        """What nilearn's functions for confounds take."""
        paths = [str(path) for path in self.bold.values()]
        return paths if self.kind == "surface" else paths[0]


def entities_of(name: str) -> dict[str, str]:
    """Return the key-value pairs of a BIDS name, in its order.

    Examples
    --------
    >>> entities_of("sub-01_task-film_run-2_bold.nii.gz")
    {'sub': '01', 'task': 'film', 'run': '2'}
    """
    return {match[1]: match[2] for part in name.split("_") if (match := _ENTITY.fullmatch(part.split(".")[0]))}


def find_runs(
    root: Path, wanted: Mapping[str, str], *, runs: Sequence[Any] | None, session: str | Sequence[str] | None, kind: str | None
) -> list[RunFiles]:
    """Return the runs, in the order of sessions and runs (or of ``runs``), one kind and one resolution.

    ``wanted`` maps entities (sub, task, space, res, den …) to values.

    Raises
    ------
    NotFoundError, InputError, DataError
        No such subject, task, space, run or session (what there is gets named); several kinds or resolutions; a hemisphere that is missing.
    """
    folder = root / f"sub-{wanted['sub']}"
    if not folder.is_dir():
        there = [path.name[4:] for path in sorted(root.glob("sub-*")) if path.is_dir()]
        fix = did_you_mean(wanted["sub"], there)
        raise NotFoundError(f"no subject {wanted['sub']!r}", where=root, expected=examples(there, 12) or "folders like sub-01", fix=fix)
    found = [
        (one, path, entities_of(path.name))
        for one, suffix in SUFFIXES.items() if kind in (None, one)
        for path in sorted(folder.glob(f"**/func/*{suffix}"))
    ]  # fmt: skip
    for key, value in wanted.items():
        kept = [item for item in found if item[2].get(key) == value]
        if not kept:
            _nothing(key, value, found, folder)
        found = kept
    sessions = None if session is None else [session] if isinstance(session, str) else [str(one) for one in session]
    found = [item for item in found if sessions is None or item[2].get("ses") in sessions]
    if not found:
        raise NotFoundError(f"no session {session!r} of this task and space", where=folder)
    _one_of_each(found, folder)
    grouped: dict[tuple[str, str], dict[str, Path]] = {}
    for one, path, entities in found:
        side = SIDES.get(entities.get("hemi", ""), "") if one == "surface" else ""
        grouped.setdefault((entities.get("ses", ""), entities.get("run", "")), {})[side] = path
    return [_run_files(found[0][0], grouped[key]) for key in _order(list(grouped), runs, folder)]


def side_files(run: RunFiles, bids: Path | None) -> list[dict[str, Any]]:
    """Return the JSON beside the image and, where the raw data set is known, that of the raw run, of its task and of the subject's task."""
    stems = [path.parent / re.sub(r"\.(nii\.gz|func\.gii|dtseries\.nii)$", ".json", path.name) for path in run.bold.values()]
    if bids is not None:
        keys = run.entities
        stems.append(raw_folder(bids, keys) / f"{raw_name(keys)}_bold.json")
        stems += [bids / f"task-{keys['task']}_bold.json", bids / f"sub-{keys['sub']}" / f"sub-{keys['sub']}_task-{keys['task']}_bold.json"]
    found = [read_json(path) for path in stems if path.is_file()]
    for path, one in zip([path for path in stems if path.is_file()], found, strict=True):
        if not isinstance(one, dict):
            raise DataError("side file is no JSON object", where=path, got=type(one).__name__)
    return found


def raw_name(entities: Mapping[str, str]) -> str:
    """Return the name that a run has in the raw data set, without its suffix."""
    keys = [key for key in entities if key in ("sub", "ses", "task", "acq", "ce", "rec", "dir", "run")]
    return "_".join(f"{key}-{entities[key]}" for key in keys)


def raw_folder(bids: Path, entities: Mapping[str, str]) -> Path:
    """Return the folder of a run in the raw data set."""
    base = bids / f"sub-{entities['sub']}"
    return (base / f"ses-{entities['ses']}" if "ses" in entities else base) / "func"


def raw_root(root: Path, bids: str | Path | None) -> Path | None:
    """Return the raw data set: as given, or the folder above ``derivatives`` where the root lies in one."""
    if bids is not None:
        place = Path(bids).expanduser()
        if not place.is_dir():
            raise DataError("no such folder", where=place, fix="bids= is the folder of the raw data set")
        return place
    above = root.resolve().parents
    return next((folder.parent for folder in above if folder.name == "derivatives"), None)


def mask_of(run: RunFiles) -> Path:
    """Return the brain mask of a volume's run and space."""
    path = run.first.parent / run.first.name.replace(SUFFIXES["volume"], "_desc-brain_mask.nii.gz")
    if not path.is_file():
        raise DataError("run has no brain mask", where=path, fix="pass mask= with a mask on the same grid, or run fMRIPrep again for this space")
    return path


def label(text: str) -> Any:
    """Return a run's label: a number where it is one (``"01"`` is run 1)."""
    return int(text) if text.isdigit() else text


def _nothing(key: str, value: str, found: Sequence[tuple[str, Path, Mapping[str, str]]], folder: Path) -> None:
    there = sorted({entities[key] for _, _, entities in found if key in entities})
    what = ", ".join(SUFFIXES.values())
    raise NotFoundError(
        f"no bold file with {key}-{value}", where=folder, expected=f"one of {examples(there, 12)}" if there else f"func/*_{key}-{value}*, one of {what}",
        got=f"{len(found)} files of other kinds" if found else "none at all", fix=did_you_mean(value, there),
    )  # fmt: skip


def _one_of_each(found: Sequence[tuple[str, Path, Mapping[str, str]]], folder: Path) -> None:
    """Refuse files that differ in anything but session, run and hemisphere."""
    kinds = {one for one, _, _ in found}
    if len(kinds) > 1:
        raise InputError("files of several kinds fit", where=folder, got=", ".join(sorted(kinds)), fix=f"pass kind={sorted(kinds)[0]!r}")
    for key in sorted({key for _, _, entities in found for key in entities} - {"ses", "run", "hemi"}):
        values = {entities.get(key, "none") for _, _, entities in found}
        if len(values) > 1:
            fix = f"pass {key}={sorted(values)[0]!r}" if key in ("res", "den") else f"pass entities={{{key!r}: {sorted(values)[0]!r}}}"
            raise InputError(f"files differ in {key}", where=folder, got=", ".join(sorted(values)), fix=fix)


def _order(known: list[tuple[str, str]], runs: Sequence[Any] | None, folder: Path) -> list[tuple[str, str]]:
    ordered = sorted(known, key=lambda key: (key[0], (0, int(key[1]), "") if key[1].isdigit() else (1, 0, key[1])))
    if runs is None:
        return ordered
    asked = [str(label(str(run))) for run in runs]
    lost = [run for run in asked if all(str(label(key[1])) != run for key in ordered)]
    if lost:
        raise NotFoundError(f"no run {', '.join(lost)}", where=folder, expected=examples(dict.fromkeys(key[1] for key in ordered), 20))
    return [key for ses in dict.fromkeys(key[0] for key in ordered) for run in asked for key in ordered if key[0] == ses and str(label(key[1])) == run]


def _run_files(kind: str, bold: dict[str, Path]) -> RunFiles:
    entities = {key: value for key, value in entities_of(next(iter(bold.values())).name).items() if key != "hemi"}
    if kind == "surface":
        missing = [letter for letter, side in SIDES.items() if side not in bold]
        if missing:
            raise DataError("a hemisphere is missing", where=next(iter(bold.values())), expected=f"a file with hemi-{missing[0]} beside it")
        bold = {side: bold[side] for side in SIDES.values()}
    return RunFiles(kind, entities, bold)


def first_value(sides: Iterable[Mapping[str, Any]], key: str) -> Any:
    """Return the first value of a key, the nearest side file first."""
    return next((side[key] for side in sides if key in side), None)
