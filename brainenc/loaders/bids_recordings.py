"""EEG, MEG and intracranial recordings from BIDS trees, with events, channels and electrodes read by ourselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io.readers import read_json, read_table
from brainenc.loaders.channels import channel_table, hemisphere, shafts
from brainenc.loaders.recordings import Recording, read_recording

DATATYPES = ("eeg", "ieeg", "meg")
SUFFIXES = {
    "eeg": (".vhdr", ".edf", ".bdf", ".set", ".fif"), "ieeg": (".vhdr", ".edf", ".set", ".fif", ".nwb", ".mefd"),
    "meg": (".fif", ".ds", ".con", ".sqd", ".kdf", ".fif.gz"),
}  # fmt: skip
TYPES = {  # BIDS names of channel types that differ from mne's in lower case
    "meggradaxial": "mag", "megmag": "mag", "meggradplanar": "grad", "megrefmag": "ref_meg", "megrefgradaxial": "ref_meg", "megrefgradplanar": "ref_meg",
    "veog": "eog", "heog": "eog", "trig": "stim", "audio": "misc", "eyegaze": "misc", "gsr": "gsr", "pupil": "misc", "ref": "misc", "other": "misc",
    "sysclock": "misc", "adc": "misc", "dac": "misc", "hlu": "misc", "fiterr": "misc", "temp": "temperature",
}  # fmt: skip
RAS_FRAMES, ALS_FRAMES = ("CapTrak", "ElektaNeuromag"), ("CTF", "EEGLAB", "EEGLAB-HJ", "4DBti", "KitYokogawa")  # origin between the ears
MM = {"m": 1000.0, "cm": 10.0, "mm": 1.0}
_SHORTER = 1.0  # seconds by which a file may be shorter than its side file says, for writers that round


def read_bids_recordings(
    root: str | Path, *, subject: str, task: str, session: str | None = None, runs: Sequence[Any] | None = None, datatype: str | None = None,
    space: str | None = None, events: bool = True, scale: float = 1.0, montage: str | None = None, entities: Mapping[str, str] | None = None,
) -> list[Recording]:  # fmt: skip
    """Read all runs of one subject and task: signals through mne, everything else from the tables beside them.

    Parameters
    ----------
    root : path
        The data set, with ``sub-…`` inside.
    subject, task, session : str
        Without ``sub-``, ``task-`` and ``ses-``; None reads all sessions, whose runs are then labelled ``"session/run"``.
    runs : sequence, optional
        Labels in the order wanted; ``1`` and ``"01"`` are one run.
    datatype : {"eeg", "ieeg", "meg"}, optional
        Where a subject has several.
    space : str, optional
        Of electrodes, where there are several tables.
    events : bool
        Whether every run must have an ``events.tsv``.
    scale : float
        Signals are multiplied by it, where a header states other units than the file holds.
    montage : str, optional
        A standard montage of mne for EEG channels (upper and lower case alike) where the tree has no table of electrodes; those that it does not know
        have no position and are named in the provenance.
    entities : mapping, optional
        Further key-value pairs of the names, ``{"acq": "clinical"}``.

    Returns
    -------
    list of Recording
        Channels with the types and ``status`` of ``channels.tsv`` (bad ones are marked in ``raw.info["bads"]``), positions in mm with the units of
        ``coordsystem.json``, shaft, number and hemisphere of contacts; the frame of the positions is in the provenance.

    Raises
    ------
    NotFoundError, DataError, InputError
        Nothing of that name (what there is gets named); empty or truncated recordings, no events, tables that do not fit the recording, positions
        without units, several tables of electrodes.

    References
    ----------
    Pernet et al. 2019, doi:10.1038/s41597-019-0104-8; Holdgraf et al. 2019, doi:10.1038/s41597-019-0105-7; Niso et al. 2018,
    doi:10.1038/sdata.2018.110.

    Examples
    --------
    >>> read_bids_recordings("ds004212", subject="BIGMEG1", task="main", session="01")                    # doctest: +SKIP
    """
    base = Path(root).expanduser()
    if not base.is_dir():
        raise DataError("no such folder", where=base, fix="root= is the folder of the data set")
    wanted = {"sub": subject.removeprefix("sub-"), "task": task.removeprefix("task-"), **(entities or {})}
    if session is not None:
        wanted["ses"] = session.removeprefix("ses-")
    found = _find(base, wanted, datatype)
    if runs is not None:
        found = _chosen(found, runs, base)
    several = len({names.get("ses") for _, names, _ in found}) > 1
    out = []
    for path, names, kind in found:
        label: Any = _label(names.get("run", "1"))
        out.append(_read(base, path, names, kind, f"{names.get('ses')}/{label}" if several else label, space, events, scale, montage))
    return out


def read_channels(path: str | Path) -> pd.DataFrame:
    """Return ``channels.tsv``: name, ``type`` in mne's words, ``status`` (good where not said) and the columns as they are.

    Raises
    ------
    DataError
        No column name, or names used twice.
    """
    table = read_table(path, text=["name"])
    if "name" not in table.columns or table["name"].isna().any() or table["name"].duplicated().any():
        raise DataError("channels need a column of different names", where=path, got=examples(table.columns, 8))
    kinds = table["type"].astype("string").str.lower() if "type" in table.columns else pd.Series(pd.NA, index=table.index, dtype="string")
    status = table["status"].astype("string").str.lower() if "status" in table.columns else pd.Series("good", index=table.index, dtype="string")
    return table.assign(type=[None if pd.isna(kind) else TYPES.get(kind, kind) for kind in kinds], status=status.fillna("good").astype(object))


def read_electrodes(path: str | Path, coordsystem: str | Path | None = None) -> tuple[pd.DataFrame, str]:
    """Return ``electrodes.tsv`` with x, y, z in millimetres, and the frame they are in.

    Units and frame come from ``coordsystem.json``; where its system is "Other" the frame is the ``space`` of the file's name.

    Raises
    ------
    DataError
        No positions, positions without units, units other than m, cm, mm, or values that no head has.
    """
    source = Path(path)
    table = read_table(source, text=["name"])
    missing = [one for one in ("name", "x", "y", "z") if one not in table.columns]
    if missing:
        raise DataError("electrodes need name, x, y and z", where=source, got=examples(table.columns, 8))
    places = table[["x", "y", "z"]].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    facts = {} if coordsystem is None else read_json(coordsystem)
    kind = next((one for one in ("iEEG", "EEG", "MEG") if f"{one}CoordinateUnits" in facts or f"{one}CoordinateSystem" in facts), "iEEG")
    units = facts.get(f"{kind}CoordinateUnits")
    if np.isfinite(places).any():
        if units not in MM:
            raise DataError(
                "positions have no units", where=coordsystem or source, expected=f"{kind}CoordinateUnits of m, cm or mm in coordsystem.json", got=units
            )
        places = places * MM[units]
        reach = float(np.nanmax(np.abs(places)))
        if not 5.0 <= reach <= 400.0:
            got = f"{reach:.3g} mm from the origin, read in {units}"
            raise DataError("positions are not those of a head", where=source, expected="up to 5 to 400 mm", got=got, fix="mend the units in coordsystem.json")
    system = str(facts.get(f"{kind}CoordinateSystem") or "Other")
    named = _entities(source.name).get("space")
    frame = named if system.lower() in ("other", "n/a") and named else system
    return table.assign(**dict(zip("xyz", places.T, strict=True))), str(frame)


def _find(base: Path, wanted: Mapping[str, str], datatype: str | None) -> list[tuple[Path, dict[str, str], str]]:
    kinds = DATATYPES if datatype is None else (one_of(datatype, DATATYPES, "datatype"),)
    folder = base / f"sub-{wanted['sub']}"
    if not folder.is_dir():
        there = sorted(one.name.removeprefix("sub-") for one in base.glob("sub-*") if one.is_dir())
        raise NotFoundError(f"no subject {wanted['sub']!r}", where=base, expected=examples(there, 12) or "folders sub-…")
    every = []
    for kind in kinds:
        for place in sorted({*folder.glob(kind), *folder.glob(f"ses-*/{kind}")}):
            every += [(one, _entities(one.name), kind) for one in sorted(place.iterdir()) if one.name.endswith(tuple(f"_{kind}{s}" for s in SUFFIXES[kind]))]
    found = [one for one in every if all(one[1].get(key) == value for key, value in wanted.items())]
    if not every:
        got = examples(sorted({one.parent.name for one in folder.rglob("*") if one.is_file()}), 8)
        raise NotFoundError("subject has no EEG, MEG or intracranial recordings", where=folder, expected=" or ".join(kinds), got=f"folders {got}")
    if not found:
        raise NotFoundError("no recording of that name", where=folder, expected=examples([one[0].name for one in every], 8), got=dict(wanted))
    if len({kind for *_, kind in found}) > 1:
        raise InputError("subject has recordings of several kinds", where=folder, got=sorted({kind for *_, kind in found}), fix="pass datatype=")
    stems = [(names.get("ses"), names.get("run")) for _, names, _ in found]
    if len(set(stems)) < len(stems):
        fix = "say more with entities="
        raise InputError("several recordings of one run", where=folder, got=examples([one[0].name for one in found], 6), fix=fix)
    return found


def _chosen(found: list[tuple[Path, dict[str, str], str]], runs: Sequence[Any], base: Path) -> list[tuple[Path, dict[str, str], str]]:
    known = [str(_label(names.get("run", "1"))) for _, names, _ in found]
    out = []
    for one in runs:
        hits = [item for item, label in zip(found, known, strict=True) if label == str(_label(str(one)))]
        if not hits:
            raise NotFoundError(f"no run {one!r}", where=base, expected=examples(known, 12))
        out += hits
    return out


def _read(
    base: Path, path: Path, names: Mapping[str, str], kind: str, label: Any, space: str | None, events: bool, scale: float, montage: str | None
) -> Recording:  # fmt: skip
    stem = path.name[: path.name.rindex(f"_{kind}.")]
    sides = _side_facts(base, path, kind)
    bare = read_recording(path, scale=scale, run=label)
    _check_length(bare, sides, path)
    table = path.parent / f"{stem}_channels.tsv"
    channels, bads = _channels(bare, table if table.is_file() else None, kind, path)
    frame, lost = "head", list[str]()
    places = _electrodes(path.parent, names, space)
    if places is not None:
        positions, frame = read_electrodes(*places)
        if kind == "eeg":
            positions, frame = _in_head(positions, frame)
        channels = _placed(channels, positions, places[0])
    elif montage is not None:
        channels, lost = _on_montage(channels, montage)
    raw = bare.raw
    raw.set_channel_types({one: t for one, t in zip(channels["channel"], channels["type"], strict=True) if t}, on_unit_change="ignore", verbose="error")
    raw.info["bads"] = bads
    listed = path.parent / f"{stem}_events.tsv"
    if events and not listed.is_file():
        raise DataError("run has no events", where=listed, fix="pass events=False where nothing was shown")
    facts = {
        **bare.provenance,
        "frame": frame,
        "line_frequency": sides.get("PowerLineFrequency"),
        "bads": bads,
        **{key: names[key] for key in ("sub", "ses", "task") if key in names},
        **({"montage": montage, "without_position": lost} if places is None and montage is not None else {}),
    }
    return replace(bare, channels=channels, events=read_table(listed) if events else None, provenance=facts)


def _channels(bare: Recording, path: Path | None, kind: str, where: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the channels of the recording with types and status from ``channels.tsv``, and the bad ones."""
    table = bare.channels.copy()
    if path is None:
        if kind == "ieeg":
            raise DataError("intracranial recordings need channels.tsv for the types of their channels", where=where)
        return table, []
    told = read_channels(path).set_index("name")
    lost = [name for name in table["channel"] if name not in told.index]
    extra = [name for name in told.index if name not in set(table["channel"])]
    if lost or extra:
        got = f"only in the recording: {examples(lost) or 'none'}; only in the table: {examples(extra) or 'none'}"
        raise DataError("channels.tsv does not list the channels of the recording", where=path, got=got)
    told = told.loc[list(table["channel"])]
    table["type"] = [kind_now if told_kind is None else told_kind for kind_now, told_kind in zip(table["type"], told["type"], strict=True)]
    _known_types(table["type"], path)
    table["status"] = told["status"].to_numpy(dtype=object)
    for column in ("group", "reference", "description"):
        if column in told.columns and told[column].notna().any():
            table[column] = told[column].to_numpy(dtype=object)
    return table, [name for name, status in zip(table["channel"], table["status"], strict=True) if status == "bad"]


def _known_types(kinds: pd.Series, path: Path) -> None:
    import mne

    known = set(mne.io.get_channel_type_constants(include_defaults=True)) | {"mag", "grad", "ref_meg"}
    unknown = sorted(set(kinds) - known)
    if unknown:
        raise DataError("channel types are not known", where=path, expected="EEG, SEEG, ECOG, DBS, EOG, MISC …", got=examples(unknown))


def _placed(channels: pd.DataFrame, positions: pd.DataFrame, where: Path) -> pd.DataFrame:
    place = positions.set_index("name")
    if not set(place.index) & set(channels["channel"]):
        raise DataError("electrodes name no channel of the recording", where=where, expected=examples(channels["channel"]), got=examples(place.index))
    own = place.reindex(list(channels["channel"]))
    extra = [
        one for one in ("size", "hemisphere", "region", "material", "group") if one in own.columns and one not in channels.columns and own[one].notna().any()
    ]
    out = channels.assign(**{axis: own[axis].to_numpy(dtype=np.float64) for axis in "xyz"}, **{one: own[one].to_numpy(dtype=object) for one in extra})
    parts = shafts(out["channel"])
    return out.assign(shaft=parts["shaft"].to_numpy(), number=parts["number"].to_numpy(), hemi=hemisphere(out["x"]))


def _on_montage(channels: pd.DataFrame, montage: str) -> tuple[pd.DataFrame, list[str]]:
    """Return EEG channels at the places of a standard montage, in mne's head frame, and those that it does not know."""
    import mne

    rows = np.flatnonzero(channels["type"] == "eeg")
    info = mne.create_info(list(channels["channel"].iloc[rows]), 1.0, "eeg")
    info.set_montage(montage, match_case=False, on_missing="ignore", verbose="error")
    found = channel_table(info)
    out = channels.copy()
    out.loc[out.index[rows], ["x", "y", "z"]] = found[["x", "y", "z"]].to_numpy()
    return out, list(found.loc[found["x"].isna(), "channel"])


def _in_head(positions: pd.DataFrame, frame: str) -> tuple[pd.DataFrame, str]:
    """Return positions of sensors in mne's head frame (x right, y front), where theirs has the same origin; others stay in their own frame."""
    if frame in RAS_FRAMES:
        return positions, "head"
    if frame in ALS_FRAMES:
        return positions.assign(x=-positions["y"], y=positions["x"]), "head"
    return positions, frame


def _electrodes(folder: Path, names: Mapping[str, str], space: str | None) -> tuple[Path, Path | None] | None:
    """Return the table of electrodes of a recording and its coordsystem file."""
    keys = {key: names[key] for key in ("sub", "ses") if key in names}
    tables = [one for one in sorted(folder.glob("*_electrodes.tsv")) if all(_entities(one.name).get(k) == v for k, v in keys.items())]
    spaces = [_entities(one.name).get("space") for one in tables]
    if space is not None:
        tables = [one for one, named in zip(tables, spaces, strict=True) if named == space]
        if not tables:
            raise NotFoundError(f"no electrodes in space {space!r}", where=folder, expected=examples([s for s in spaces if s]))
    if len(tables) > 1:
        raise InputError("several tables of electrodes", where=folder, got=examples(spaces), fix="pass space=")
    if not tables:
        return None
    side = tables[0].with_name(tables[0].name.replace("_electrodes.tsv", "_coordsystem.json"))
    others = [side] if side.is_file() else [one for one in folder.glob("*_coordsystem.json") if all(_entities(one.name).get(k) == v for k, v in keys.items())]
    return tables[0], others[0] if len(others) == 1 else None


def _side_facts(base: Path, path: Path, kind: str) -> dict[str, Any]:
    """Return what the side files say, those nearer to the recording first in line (the inheritance principle)."""
    names = _entities(path.name)
    facts: dict[str, Any] = {}
    chain = [base, *reversed([one for one in path.parents if base in one.parents])]
    for folder in chain:
        for one in sorted(folder.glob(f"*_{kind}.json"), key=lambda file: len(_entities(file.name))):
            if all(names.get(key) == value for key, value in _entities(one.name).items()):
                facts |= read_json(one)
    return facts


def _check_length(one: Recording, sides: Mapping[str, Any], path: Path) -> None:
    told = sides.get("RecordingDuration")
    if isinstance(told, int | float) and not isinstance(told, bool) and told - one.duration > _SHORTER:
        raise DataError(
            "recording is shorter than its side file says",
            where=path,
            expected=f"{told:g} s",
            got=f"{one.duration:g} s",
            fix="fetch it again: it is truncated or a placeholder",
        )
    rate = sides.get("SamplingFrequency")
    if isinstance(rate, int | float) and not isinstance(rate, bool) and abs(rate - one.sampling_rate) > 1e-3 * rate:
        raise DataError("sampling rates disagree", where=path, expected=f"{rate:g} Hz (side file)", got=f"{one.sampling_rate:g} Hz (header)")


def _entities(name: str) -> dict[str, str]:
    return dict(part.split("-", 1) for part in name.split("_")[:-1] if "-" in part)  # type: ignore[misc]  # two parts each


def _label(text: str) -> Any:
    return int(text) if text.isdigit() else text
