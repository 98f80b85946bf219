"""Channels of mne objects as tables, and (channel, time) columns as targets in the space they belong to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.nouns.spaces import ContactSpace, SensorSpace

DATA_TYPES = ("eeg", "mag", "grad", "seeg", "ecog", "dbs", "csd")
CONTACT_TYPES = ("seeg", "ecog", "dbs")
FIELD_UNITS = {
    "mag": (1e15, "fT"),
    "grad": (1e13, "fT/cm"),
    "csd": (1e3, "mV/m²"),
    **dict.fromkeys(("eeg", "seeg", "ecog", "dbs", "eog", "ecg", "emg"), (1e6, "µV")),
}
_PICKED = {"eeg": True, "meg": True, "seeg": True, "ecog": True, "dbs": True, "fnirs": True, "csd": True}
_CONTACT_NAME = re.compile(r"(.*\D)(\d+)")


def data_picks(info: Any) -> npt.NDArray[np.intp]:
    """Return the good data channels of an mne object."""
    import mne

    picks = np.asarray(mne.pick_types(info, exclude="bads", **_PICKED), dtype=np.intp)
    if not len(picks):
        raise InputError("no good data channels", where="mne object", got=f"{len(info['ch_names'])} channels, {len(info['bads'])} of them bad")
    return picks


def channel_table(info: Any, picks: npt.NDArray[np.intp] | None = None) -> pd.DataFrame:
    """Return ``channel``, ``type`` and x, y, z (mm, the frame of the mne object, NaN where unknown) of these channels."""
    chosen = np.arange(len(info["ch_names"])) if picks is None else picks
    names = [info["ch_names"][i] for i in chosen]
    places = np.array([info["chs"][i]["loc"][:3] for i in chosen], dtype=np.float64).reshape(-1, 3) * 1000
    places[~np.isfinite(places).all(axis=1) | (places == 0).all(axis=1)] = np.nan
    return pd.DataFrame({"channel": names, "type": info.get_channel_types(picks=chosen)}).assign(**dict(zip("xyz", places.T, strict=True)))


def channel_time_targets(names: Sequence[str], times: npt.NDArray[Any]) -> pd.DataFrame:
    """Return ``target_id``, ``channel`` and ``time`` (s) of all pairs, channel by channel."""
    ids = [f"{name}@{i}" for name in names for i in range(len(times))]
    return pd.DataFrame({"target_id": ids, "channel": np.repeat(list(names), len(times)), "time": np.tile(times, len(names))})


def targets_and_space(channels: pd.DataFrame, times: npt.NDArray[Any] | None) -> tuple[pd.DataFrame, SensorSpace | ContactSpace]:
    """Return the targets table and the space of channels × times, or of channels alone where ``times`` is None.

    Intracranial contacts live in a `ContactSpace` (one row a target), sensors in a `SensorSpace`. ``region`` becomes the column ``roi``.
    """
    names = list(channels["channel"])
    table = channels.rename(columns={"region": "roi"})
    if times is None:
        targets = table.copy()
        targets.insert(0, "target_id", names)
    else:
        rows = np.repeat(np.arange(len(names)), len(times))
        pairs = channel_time_targets(names, times)
        targets = pd.concat([pairs, table.drop(columns="channel").iloc[rows].reset_index(drop=True)], axis=1)
    if set(channels["type"]) <= set(CONTACT_TYPES):
        return targets, ContactSpace(targets.drop(columns="target_id").rename(columns={"roi": "region"}))
    return targets, SensorSpace(channels, np.zeros(1) if times is None else np.asarray(times, dtype=np.float64))


def field_units(types: Sequence[str]) -> tuple[npt.NDArray[np.float64], str]:
    """Return the factor from SI for each channel and the units as text: µV, fT, fT/cm; other channels stay as they are."""
    factors = np.array([FIELD_UNITS.get(kind, (1.0, ""))[0] for kind in types])
    names = {kind: FIELD_UNITS.get(kind, (1.0, "as recorded"))[1] for kind in dict.fromkeys(types)}
    if len(set(names.values())) == 1:
        return factors, next(iter(names.values()))
    return factors, ", ".join(f"{unit} ({kind})" for kind, unit in names.items())


def pick_channels(channels: pd.DataFrame, wanted: Sequence[str] | None, where: str) -> npt.NDArray[np.intp]:
    """Return the rows of channels by name or type; None takes those of EEG, MEG and intracranial recordings."""
    if wanted is None:
        rows = np.flatnonzero(channels["type"].isin(DATA_TYPES))
        if not len(rows):
            raise InputError("no data channels", where=where, got=channels["type"].value_counts().to_dict(), fix="name them: channels=(…), or set types=")
        return rows
    given = [wanted] if isinstance(wanted, str) else list(wanted)
    unknown = [one for one in given if one not in set(channels["channel"]) and one not in set(channels["type"])]
    if unknown:
        raise InputError("no such channels or types", where=where, expected=examples(channels["channel"], 8), got=examples(unknown))
    return np.flatnonzero(channels["channel"].isin(given) | channels["type"].isin(given))


def shafts(names: Sequence[str]) -> pd.DataFrame:
    """Return ``shaft`` and ``number`` of contacts from their names: ``LA'12`` is contact 12 of ``LA'``; None and -1 without letters or number.

    A separator before the number (``LFP_RIGHT_0``, ``A-3``) does not belong to the name of the shaft.
    """
    found = [_CONTACT_NAME.fullmatch(str(name).strip()) for name in names]
    label = [None if hit is None else hit[1].rstrip(" _-") or None for hit in found]
    return pd.DataFrame(
        {"shaft": pd.Series(label, dtype=object), "number": [int(hit[2]) if hit and one else -1 for hit, one in zip(found, label, strict=True)]}
    )


def hemisphere(x: npt.ArrayLike) -> npt.NDArray[np.object_]:
    """Return ``"left"`` or ``"right"`` by the sign of x (mm), None where it is 0 or unknown."""
    side = np.asarray(x, dtype=np.float64)
    return np.array(["left" if one < 0 else "right" if one > 0 else None for one in np.atleast_1d(side)], dtype=object)

