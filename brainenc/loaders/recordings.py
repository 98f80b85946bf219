"""Recordings of EEG, MEG and intracranial contacts: one run each, as mne reads it, with tables of channels and events beside it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError
from brainenc.io.paths import existing_file, read_errors
from brainenc.io.readers import ARRAYS, read_array, read_table
from brainenc.loaders.channels import channel_table
from brainenc.nouns.tables import as_table, need_column

_WIDTHS = {"INT_16": 2, "INT_32": 4, "IEEE_FLOAT_32": 4}
SCALES = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "μV": 1e-6, "nV": 1e-9, "T": 1.0, "fT": 1e-15, "T/m": 1.0, "fT/cm": 1e-13}


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One run.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        The signals in SI units; ICA, tSSS or whatever else the user applied to it stays applied.
    channels : DataFrame, optional
        One row a channel of ``raw``: ``channel``, ``type``, x, y, z (mm), and any of region, shaft, hemi, status; made from ``raw`` where not given.
    events : DataFrame, optional
        Its own table of events; see `load_events`.
    run : object, optional
        A label; runs are numbered 1, 2, … where not given.
    provenance : mapping
        Files, frame of the positions, what was done.
    """

    raw: Any
    channels: pd.DataFrame = None  # type: ignore[assignment]  # filled in below
    events: pd.DataFrame | None = None
    run: Any = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_raw(self.raw):
            raise InputError("not a continuous recording of mne", where="Recording", got=type(self.raw).__name__)
        if self.channels is None:
            object.__setattr__(self, "channels", channel_table(self.raw.info))
            return
        table = as_table(self.channels, "Recording.channels", n_rows=len(self.raw.ch_names))
        for column in ("channel", "type"):
            need_column(table, column, "Recording.channels")
        if list(table["channel"]) != list(self.raw.ch_names):
            raise InputError("channels are not those of the recording", expected=examples(self.raw.ch_names, 5), got=examples(table["channel"], 5))
        object.__setattr__(self, "channels", table)

    @property
    def sampling_rate(self) -> float:
        """Samples per second."""
        return float(self.raw.info["sfreq"])

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.raw.times) / self.sampling_rate

    def __repr__(self) -> str:
        return f"Recording({len(self.channels)} channels × {self.duration:.1f} s at {self.sampling_rate:g} Hz)"


def is_raw(value: Any) -> bool:
    """Return whether this is a Raw of mne, without importing mne."""
    return type(value).__module__.startswith("mne") and hasattr(value, "first_samp") and hasattr(value, "annotations") and hasattr(value, "n_times")


def read_recording(
    path: str | Path, *,
    sampling_rate: float | None = None, units: str | None = None, scale: float = 1.0, columns: Sequence[str] | None = None, types: Any = None,
    stim: Sequence[str] = (), montage: Any = None, rename: Mapping[str, str] | None = None, key: str | None = None,
    axes: Sequence[str] = ("time", "channel"), run: Any = None,
) -> Recording:  # fmt: skip
    """Read one run from any file that mne reads (FIF, BrainVision, EDF, BDF, EEGLAB, …) or from an array (csv, tsv, npy, npz, h5, mat).

    Parameters
    ----------
    path : path
    sampling_rate : float, optional
        Samples per second; needed for arrays alone, whose files do not know.
    units : str, optional
        Of an array: V, mV, uV, nV, T, fT, T/m or fT/cm; needed for arrays alone.
    scale : float
        Signals are multiplied by it, to mend files whose header states other units than they hold.
    columns : sequence of str, optional
        Which columns of a table are signals, or the channel names of an array without them.
    types : str or mapping, optional
        Of all channels, or by name: eeg, mag, grad, seeg, ecog, dbs, eog, ecg, emg, misc, stim. Arrays are eeg where not said.
    stim : sequence of str
        Columns that hold codes of events, taken as they are.
    montage : str or DigMontage, optional
        Positions of sensors, as `mne.io.Raw.set_montage` takes them.
    rename : mapping, optional
        Old to new channel names.
    key : str, optional
        Which array of a container.
    axes : ("time", "channel") or ("channel", "time")
        Of an array.
    run : object, optional
        The label of the run.

    Returns
    -------
    Recording

    Raises
    ------
    DataError, InputError
        Missing, damaged, truncated or empty files; an array without sampling rate, units or names; unknown channels.

    Examples
    --------
    >>> read_recording("subject.csv", sampling_rate=256, units="uV", columns=["TP9", "TP10"], stim=["Marker0"])     # doctest: +SKIP
    """
    source = existing_file(path)
    if source.name.lower().endswith(ARRAYS):
        raw = _from_array(source, sampling_rate, units, columns, stim, key, axes)
    else:
        if sampling_rate is not None or units is not None or columns is not None or stim:
            raise InputError("sampling_rate, units, columns and stim are for arrays; this file knows them", where=source, fix="use scale= to mend units")
        raw = _from_mne(source)
    _describe(raw, source, types, rename, montage)
    if scale != 1.0:
        raw.load_data(verbose="error")
        rows = np.flatnonzero(np.array(raw.get_channel_types()) != "stim")
        raw.apply_function(lambda signal: signal * float(scale), picks=rows, verbose="error")
    facts: dict[str, Any] = {"files": [source.name]} | ({"scale": float(scale)} if scale != 1.0 else {})
    return Recording(raw, run=run, provenance=facts | {"frame": "head"})


def as_recordings(source: Any) -> list[Recording]:
    """Return runs with labels from a path, a Raw, a Recording or a sequence of them; they must agree in sampling rate and channels."""
    items = [source] if isinstance(source, str | Path | Recording) or is_raw(source) else list(source)
    if not items:
        raise InputError("no recordings", where="as_recordings")
    found = [_one(item) for item in items]
    labels = [one.run if one.run is not None else i for i, one in enumerate(found, start=1)]
    if len({str(label) for label in labels}) < len(labels):
        raise InputError("labels of runs must differ", got=examples(labels))
    rates = [one.sampling_rate for one in found]
    if max(rates) - min(rates) > 1e-6 * max(rates):
        listed = ", ".join(f"run {label}: {rate:g} Hz" for label, rate in zip(labels, rates, strict=True))
        raise InputError("runs have different sampling rates", got=listed, fix="resample them to one rate first, or load them apart")
    first = list(found[0].channels["channel"])
    for label, one in zip(labels, found, strict=True):
        other = set(one.channels["channel"]) ^ set(first)
        if other:
            raise InputError("runs have different channels", where=f"run {label}", got=examples(sorted(other)), fix="pick the shared ones first")
    return [Recording(one.raw, one.channels, one.events, label, one.provenance) for one, label in zip(found, labels, strict=True)]


def _one(item: Any) -> Recording:
    if isinstance(item, Recording):
        return item
    if isinstance(item, str | Path):
        return read_recording(item)
    if is_raw(item):
        info = item.info
        given = {"class": type(item).__name__, "highpass": float(info["highpass"]), "lowpass": float(info["lowpass"])}
        files = [Path(one).name for one in getattr(item, "filenames", ()) or () if one is not None]
        return Recording(item, provenance={"files": files, "given": given, "frame": "head"})
    raise InputError("not a recording", expected="a path, an mne Raw or a Recording", got=type(item).__name__)


def _from_mne(source: Path) -> Any:
    import mne

    if source.suffix.lower() in (".edf", ".bdf"):
        _one_rate(source)
    if source.suffix.lower() == ".vhdr":
        _whole_samples(source)
    with read_errors(source), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the headers lack is checked here and by the steps that need it
        raw = mne.io.read_raw(source, preload=False, verbose="error")
        if raw.n_times < 1:
            raise DataError("recording holds no samples", where=source)
        try:
            raw[0, raw.n_times - 1]  # a file that is shorter than its header says fails here, not in the middle of an analysis
        except Exception as error:
            fix = "fetch it again: it is empty or truncated"
            raise DataError("recording ends before its header says", where=source, got=f"{type(error).__name__}: {error}", fix=fix) from error
        return raw


def _whole_samples(source: Path) -> None:
    """Refuse BrainVision data that end within a sample: mne would read them up to there."""
    with read_errors(source):
        text = source.read_bytes().decode("utf-8", errors="replace")
        told = {key: hit[1].strip() for key in ("DataFile", "NumberOfChannels", "BinaryFormat") if (hit := re.search(rf"^{key}=(.*)$", text, re.MULTILINE))}
        data, width = source.with_name(told.get("DataFile", "")), _WIDTHS.get(told.get("BinaryFormat", ""))
        if width is None or "NumberOfChannels" not in told or not data.is_file():
            return  # text data, or what mne has its own word for
        step = width * int(told["NumberOfChannels"])
    if data.stat().st_size % step:
        got = f"{data.stat().st_size} bytes, {step} a sample"
        raise DataError("recording ends within a sample", where=data, got=got, fix="fetch it again: it is truncated")


def _one_rate(source: Path) -> None:
    """Refuse EDF and BDF files whose signals have different rates: mne would resample them without a word."""
    with read_errors(source), open(source, "rb") as stream:
        n = int(stream.read(256)[252:256])
        if not 0 < n <= 4096:
            raise DataError("header names an impossible number of signals", where=source, got=n)
        header = stream.read(256 * n)
        names = [header[16 * i : 16 * (i + 1)].decode("latin-1").strip() for i in range(n)]
        counts = [int(header[216 * n + 8 * i : 216 * n + 8 * (i + 1)]) for i in range(n)]
    rates = {name: count for name, count in zip(names, counts, strict=True) if not name.endswith("Annotations")}
    if len(set(rates.values())) > 1:
        most = max(rates.values())
        slow = [name for name, count in rates.items() if count < most]
        fix = "read it with mne.io.read_raw_edf(…, exclude=[…]) and pass the Raw"
        raise InputError("signals of one file have different sampling rates", where=source, got=f"fewer samples in {examples(slow)}", fix=fix)


def _from_array(
    source: Path, rate: float | None, units: str | None, columns: Sequence[str] | None, stim: Sequence[str], key: str | None, axes: Sequence[str]
) -> Any:
    import mne

    if rate is None or not (np.isfinite(rate) and rate > 0):
        raise InputError("an array does not know its sampling rate", where=source, got=rate, fix="pass sampling_rate= in Hz")
    if units not in SCALES:
        raise InputError("an array does not know its units", where=source, expected=f"units= one of {', '.join(SCALES)}", got=units)
    if sorted(axes) != ["channel", "time"]:
        raise InputError("axes are time and channel", where=source, got=tuple(axes))
    signals, names, codes = _table_signals(source, columns, stim) if source.suffix.lower() in (".csv", ".tsv", ".txt") else _plain(source, columns, key, axes)
    if signals.dtype.kind not in "fiu" or not signals.size:
        raise DataError("recording holds no numbers", where=source, got=f"{signals.dtype} of shape {signals.shape}")
    kinds = ["eeg"] * len(names) + ["stim"] * len(codes)
    info = mne.create_info([*names, *stim], float(rate), kinds)
    data = np.concatenate([signals.astype(np.float64) * SCALES[units], codes]) if len(codes) else signals.astype(np.float64) * SCALES[units]
    return mne.io.RawArray(data, info, verbose="error")


def _table_signals(source: Path, columns: Sequence[str] | None, stim: Sequence[str]) -> tuple[npt.NDArray[Any], list[str], npt.NDArray[np.float64]]:
    table = read_table(source)
    names = [str(one) for one in columns] if columns is not None else [one for one in table.columns if one not in stim]
    for one in (*names, *stim):
        if one not in table.columns:
            raise InputError("table has no such column", where=source, expected=examples(table.columns, 12), got=repr(one))
        if table[one].dtype.kind not in "fiub":
            raise DataError("column does not hold numbers", where=source, got=repr(one), fix="name the signals: columns=[…]")
    codes = table[list(stim)].to_numpy(dtype=np.float64).T
    if np.isnan(codes).any():
        raise DataError("codes of events are missing in some rows", where=source, got=int(np.isnan(codes).sum()))
    return table[names].to_numpy(dtype=np.float64).T, names, codes


def _plain(source: Path, columns: Sequence[str] | None, key: str | None, axes: Sequence[str]) -> tuple[npt.NDArray[Any], list[str], npt.NDArray[Any]]:
    array = read_array(source, key=key)
    if array.ndim != 2:
        raise DataError("a recording has two axes", where=source, expected=", ".join(axes), got=f"shape {array.shape}")
    signals = array if tuple(axes) == ("channel", "time") else array.T
    if columns is None or len(columns) != len(signals):
        got = "none" if columns is None else f"{len(columns)}"
        raise InputError("one name a channel is needed", where=source, expected=f"columns= of {len(signals)} names", got=got)
    return signals, [str(one) for one in columns], np.empty((0, signals.shape[1]))


def _describe(raw: Any, source: Path, types: Any, rename: Mapping[str, str] | None, montage: Any) -> None:
    import mne

    unknown = [name for name in (rename or {}) if name not in raw.ch_names]
    if unknown:
        raise InputError("no such channels to rename", where=source, expected=examples(raw.ch_names, 8), got=examples(unknown))
    if rename:
        raw.rename_channels(dict(rename))
    if types is not None:
        kinds = (
            {name: types for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True) if kind != "stim"} if isinstance(types, str) else dict(types)
        )
        unknown = [name for name in kinds if name not in raw.ch_names]
        if unknown:
            raise InputError("no such channels", where=f"types of {source}", expected=examples(raw.ch_names, 8), got=examples(unknown))
        with read_errors(source):
            raw.set_channel_types(kinds, on_unit_change="ignore", verbose="error")
    if montage is not None:
        chosen = mne.channels.make_standard_montage(montage) if isinstance(montage, str) else montage
        placed = set(chosen.ch_names)
        without = [n for n, k in zip(raw.ch_names, raw.get_channel_types(), strict=True) if k in ("eeg", "seeg", "ecog", "dbs") and n not in placed]
        if without:
            fix = "rename them, or give them another type (eog, misc)"
            raise InputError("montage does not know these channels", where=source, expected=examples(chosen.ch_names, 5), got=examples(without), fix=fix)
        raw.set_montage(chosen, verbose="error")
