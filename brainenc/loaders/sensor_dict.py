"""Epochs of sensors from a dictionary in a ``.npy``: an array of trials, the names of its channels and its times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import DataError, InputError
from brainenc.io.npdict import read_npdict
from brainenc.loaders.channels import channel_table, targets_and_space
from brainenc.nouns.responses import Responses

SENSOR_AXES = ("sample", "repeat", "channel", "time")
_BLOCK = 2**24  # numbers converted at a time
_LONGEST = 10.0  # seconds; times in milliseconds lie beyond


def load_sensor_dict(
    path: str | Path, *,
    key: str, channels: str = "ch_names", times: str = "times", axes: Sequence[str] = SENSOR_AXES, montage: str | None = None, kind: str = "eeg",
    scale: float = 1.0, units: str = "", average_repeats: bool = False, flat: str = "raise", name: str = "subject", max_bytes: str | int | None = None,
) -> Responses:  # fmt: skip
    """Read epochs that a tool saved as a dictionary of arrays (``numpy.save`` or a bare pickle), through `brainenc.io.npdict` alone.

    Parameters
    ----------
    path : path
    key, channels, times : str
        The entries that hold the array, the names of its channels and its times in seconds.
    axes : sequence of {"sample", "repeat", "channel", "time"}
        What each axis of the array is, in the file's order; ``repeat`` may be missing.
    montage : str, optional
        Where channels are, a standard montage of mne; channels that it does not know have no position.
    kind : str
        The type of all channels in mne's words.
    scale : float
        Values are multiplied by it.
    units : str
        After scaling.
    average_repeats : bool
        One row a sample, the mean of its repeats (counted in ``n_repeats``), instead of one row a repeat.
    flat : {"raise", "keep"}
        What becomes of channels that never change.
    name : str
    max_bytes : str or int, optional
        Limit on the memory; None means what is free.

    Returns
    -------
    Responses
        float32, (channel, time) columns in a `SensorSpace`. ``samples``: ``sample`` (position along the sample axis, from 0) and ``repeat`` (from 1)
        or ``n_repeats``. Repeats that are NaN throughout are padding and left out; other missing values stay.

    Raises
    ------
    DataError, NotFoundError, InputError
        Anything in the file but numbers and text, unknown entries, axes, names or times that do not fit the array, flat channels.

    Examples
    --------
    >>> load_sensor_dict("sub-01/preprocessed_eeg_test.npy", key="preprocessed_eeg_data", montage="easycap-M1")      # doctest: +SKIP
    Responses('subject', 16000 trials × 1700 targets, SensorSpace)
    """
    one_of(flat, ("raise", "keep"), "flat")
    order = _check_axes(axes, path)
    entries = read_npdict(path, keys=[key, channels, times], max_bytes=max_bytes)
    array = _numbers(entries.pop(key), order, f"{path}::{key}")
    names = _names(entries[channels], array.shape[order.index("channel")], f"{path}::{channels}")
    seconds = _times(entries[times], array.shape[order.index("time")], f"{path}::{times}")
    if "repeat" not in order:
        array, order = array[None], ["repeat", *order]
    moved = np.transpose(array, [order.index(axis) for axis in SENSOR_AXES])
    values, samples, facts = _averaged(moved) if average_repeats else _expanded(moved)
    if scale != 1.0:
        values *= np.float32(scale)
    if "repeat" not in axes:
        samples = samples.drop(columns=["repeat", "n_repeats"], errors="ignore")
    if flat == "raise":
        _check_flat(values, names, path)
    table = _placed(names, seconds, montage, kind)
    targets, space = targets_and_space(table, seconds)
    facts |= {"files": [Path(path).name], "key": key, "axes": list(axes), "montage": montage, "n_without_position": int(table["x"].isna().sum())}
    facts |= {"scale": scale} if scale != 1.0 else {}
    return Responses(values, samples, targets, space, units=units, name=name, provenance=facts)


def _check_axes(axes: Sequence[str], path: object) -> list[str]:
    order = [str(one_of(axis, SENSOR_AXES, f"axes of {path}")) for axis in axes]
    if len(set(order)) < len(order) or not {"sample", "channel", "time"} <= set(order):
        raise InputError("axes need sample, channel and time, each once, and at most one repeat", where=path, got=order)
    return order


def _numbers(array: Any, order: list[str], where: str) -> npt.NDArray[Any]:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise DataError("entry does not hold real numbers", where=where, got=getattr(array, "dtype", type(array).__name__))
    if array.ndim != len(order):
        raise DataError("array has another number of axes", where=where, expected=f"{len(order)}: {', '.join(order)}", got=f"shape {array.shape}")
    if not array.size:
        raise DataError("array holds no responses", where=where, got=f"shape {array.shape}")
    return array


def _names(entry: Any, n: int, where: str) -> list[str]:
    names = [str(one) for one in np.asarray(entry).reshape(-1).tolist()]
    if len(names) != n or len(set(names)) < n:
        raise DataError("channels need names of their own", where=where, expected=f"{n} different names", got=f"{len(names)}: {examples(names)}")
    return names


def _times(entry: Any, n: int, where: str) -> npt.NDArray[np.float64]:
    try:
        times = np.asarray(entry, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise DataError("times are no numbers", where=where, got=type(entry).__name__) from None
    if len(times) != n or not np.isfinite(times).all():
        raise DataError("times do not fit the array", where=where, expected=f"{n} times", got=f"{len(times)}: {examples(times)}")
    if n > 1 and (np.ptp(np.diff(times)) > 1e-6 or times[1] <= times[0]):
        raise DataError("times are not evenly spaced", where=where, got=examples(times))
    if np.abs(times).max() > _LONGEST:
        raise DataError("times are not seconds from the stimulus", where=where, expected=f"within {_LONGEST:g} s", got=f"{times[0]:g} to {times[-1]:g}")
    return times


def _expanded(array: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], pd.DataFrame, dict[str, Any]]:
    """Return one row for each sample and repeat, without rows of padding; converted block by block, so that only one copy is made."""
    n, n_repeats, *rest = array.shape
    out = np.empty((n, n_repeats, int(np.prod(rest))), dtype=np.float32)
    for block in _blocks(array):
        out[block] = array[block].reshape(-1, n_repeats, out.shape[2])
    values = out.reshape(n * n_repeats, -1)
    samples = pd.DataFrame({"sample": np.repeat(np.arange(n), n_repeats), "repeat": np.tile(np.arange(1, n_repeats + 1), n)})
    padding = _padding(values)
    if not padding.any():
        return values, samples, {}
    return values[~padding], samples[~padding].reset_index(drop=True), {"n_padding_rows": int(padding.sum())}


def _averaged(array: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], pd.DataFrame, dict[str, Any]]:
    """Return one row a sample, the mean over the repeats that are no padding; sums are in float64."""
    n, n_repeats, *rest = array.shape
    out, counts = np.empty((n, int(np.prod(rest))), dtype=np.float32), np.zeros(n, dtype=int)
    for block in _blocks(array):
        part = array[block].reshape(-1, n_repeats, out.shape[1]).astype(np.float64)
        padding = _padding(part.reshape(-1, out.shape[1])).reshape(-1, n_repeats)
        part[padding] = 0.0
        counts[block] = n_repeats - padding.sum(axis=1)
        out[block] = part.sum(axis=1) / np.maximum(counts[block], 1)[:, None]
    empty = counts == 0
    facts: dict[str, Any] = {"averaged": "repeats"} | ({"n_padding_rows": int(n * n_repeats - counts.sum())} if counts.sum() < n * n_repeats else {})
    samples = pd.DataFrame({"sample": np.arange(n), "n_repeats": counts})
    return (out, samples, facts) if not empty.any() else (out[~empty], samples[~empty].reset_index(drop=True), facts)


def _blocks(array: npt.NDArray[Any]) -> list[slice]:
    step = max(1, _BLOCK // max(1, int(np.prod(array.shape[1:]))))
    return [slice(start, min(start + step, len(array))) for start in range(0, len(array), step)]


def _padding(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which rows are NaN throughout; only rows that begin with NaN are looked through."""
    out = np.zeros(len(values), dtype=bool)
    rows = np.flatnonzero(np.isnan(values[:, 0]))
    out[rows] = np.isnan(values[rows]).all(axis=1)
    return out


def _check_flat(values: npt.NDArray[np.float32], names: list[str], path: object) -> None:
    if len(values) < 2:
        return
    first = values[0].reshape(len(names), -1)[:, :1]
    changing = np.zeros(len(names), dtype=bool)
    for start in range(0, len(values), 1024):
        if changing.all():
            return
        changing |= (values[start : start + 1024].reshape(-1, len(names), values.shape[1] // len(names)) != first).any(axis=(0, 2))
    if not changing.all():
        flat = [name for name, moves in zip(names, changing, strict=True) if not moves]
        raise DataError("channels never change", where=path, got=examples(flat, 8), fix='pass flat="keep", or take them out of the file')


def _placed(names: list[str], times: npt.NDArray[np.float64], montage: str | None, kind: str) -> pd.DataFrame:
    import mne

    rate = 1.0 / (times[1] - times[0]) if len(times) > 1 else 1.0
    info = mne.create_info(names, float(rate), kind)
    if montage is not None:
        info.set_montage(mne.channels.make_standard_montage(montage), match_case=False, on_missing="ignore", verbose="error")
    return channel_table(info)
