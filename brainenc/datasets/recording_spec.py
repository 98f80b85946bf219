"""What a manifest can say about recordings of EEG, MEG and intracranial contacts; each key is an argument of the loaders of the same name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from brainenc.core.errors import InputError
from brainenc.datasets.templates import fill
from brainenc.io.readers import EPOCH_FILES

_MAX_CODES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSpec:
    """Power of a band in place of the signal, as `brainenc.loaders.BandPower` takes it."""

    low: float
    high: float
    method: Literal["hilbert", "multitaper"] = "hilbert"
    width: float | None = None
    window: float = 0.2
    step: float = 0.05
    log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsSpec:
    """Preprocessing of the continuous signal, as `brainenc.loaders.Preprocessing` takes it."""

    channels: tuple[str, ...] | None = None
    bads: tuple[str, ...] = ()
    bad_channels: Literal["drop", "interpolate", "keep"] = "drop"
    flat: Literal["raise", "drop"] = "raise"
    missing: Literal["raise", "mark"] = "raise"
    units: Literal["check", "as_is"] = "check"
    projections: bool = False
    notch: tuple[float, ...] | None = None
    l_freq: float | None = None
    h_freq: float | None = None
    filter: Literal["fir", "iir"] = "fir"
    reference: str | tuple[str, ...] | None = None
    power: PowerSpec | None = None
    resample: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingsSpec:
    """Recordings in place of ``[responses]``: files that mne reads, tables and arrays of signals, a tree of BIDS, or a ``layout`` with its own reader.

    ``path`` is a file, one per ``{run}`` of ``runs``; ``companions`` are files it cannot be read without. With ``task`` the folder (or the folder
    ``tree`` in it) is a tree of BIDS whose runs of the subject are read, and ``path`` one of its files. ``events`` is a path, ``"annotations"`` or a stim
    channel; ``"none"`` where nothing was shown; ``onset_shift`` (s) is added to their onsets, ``where`` selects them by their columns, and in ``event_id``
    a stimulus may have a list of codes or a range of them ("face_{index}" = "1-40" stands for face_1 to face_40). ``epochs`` (from, to, in seconds) cuts
    trials; without it the recording is a time series, unless the path is of epochs already (``-epo.fif``, whose ``units`` say what they are where not volts
    and tesla). ``windows`` (length, step, in seconds) means over sliding windows. ``regressors`` are channels that become columns of the samples of a
    time series. With ``layout = "brain_treebank"`` electrodes are read some at a time, as many as ``memory`` (half of what is free where not said) holds.
    """

    path: str
    layout: Literal["files", "brain_treebank"] = "files"
    memory: str = ""
    companions: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    task: str = ""
    tree: str = ""
    space: str = ""
    sampling_rate: float | None = None
    units: str = ""
    scale: float = 1.0
    columns: tuple[str, ...] = ()
    stim: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    montage: str = ""
    key: str = ""
    events: str = ""
    stimulus: str = "auto"
    event_id: Mapping[str, int | str | tuple[int | str, ...]] = field(default_factory=dict)
    onset_shift: float = 0.0
    where: str = ""
    rest: tuple[str, ...] = ()
    epochs: tuple[float, ...] = ()
    baseline: tuple[float, ...] = ()
    reject: Mapping[str, float] = field(default_factory=dict)
    decimate: int = 1
    windows: tuple[float, ...] = ()
    regressors: tuple[str, ...] = ()
    steps: StepsSpec = StepsSpec()


def check_recordings(spec: RecordingsSpec, where: str) -> None:
    """Raise `InputError` where keys contradict each other."""
    for name, meaning in (("epochs", "from and to"), ("baseline", "from and to"), ("windows", "length and step")):
        if len(getattr(spec, name)) not in (0, 2):
            raise InputError("two times are needed", where=f"{where}.{name}", expected=f"{meaning}, in seconds", got=getattr(spec, name))
    if spec.layout != "files" and (spec.reject or spec.regressors or spec.task or spec.runs):
        raise InputError("electrodes that are read some at a time have no reject, regressors, task or runs", where=f"{where}.layout", got=spec.layout)
    if bool(spec.tree) and not spec.task:
        raise InputError("tree is the folder of a BIDS tree", where=f"{where}.tree", fix="name its task")
    if is_epochs(spec):
        _check_given(spec, where)
        return
    if spec.epochs and spec.regressors:
        raise InputError("regressors belong to time series", where=f"{where}.regressors", fix="leave epochs out")
    if not spec.epochs and (spec.baseline or spec.reject or spec.decimate != 1 or spec.where):
        raise InputError("baseline, reject, decimate and where belong to epochs", where=where, fix="add epochs = [from, to]")
    if spec.epochs and spec.events == "none":
        raise InputError("epochs need events", where=f"{where}.events")
    if ("{run}" in spec.path) != bool(spec.runs) and not spec.task:
        raise InputError("runs fill {run} of the path", where=f"{where}.runs", got=spec.path)


def is_epochs(spec: RecordingsSpec) -> bool:
    """Return whether the recording is cut into epochs already."""
    return spec.path.endswith(EPOCH_FILES)


def code_table(event_id: Mapping[str, int | str | tuple[int | str, ...]], where: str) -> dict[str, int | str | list[int | str]]:
    """Return ``event_id`` with its ranges written out.

    Examples
    --------
    >>> code_table({"face_{index:02d}": "5-6", "car": 9}, "manifest")
    {'face_01': 5, 'face_02': 6, 'car': 9}
    """
    out: dict[str, int | str | list[int | str]] = {}
    for name, codes in event_id.items():
        if "{index" not in name:
            out[name] = list(codes) if isinstance(codes, tuple) else codes
            continue
        span = re.fullmatch(r"\s*(\d{1,6})\s*-\s*(\d{1,6})\s*", codes) if isinstance(codes, str) else None
        if span is None or not 0 <= int(span[2]) - int(span[1]) < _MAX_CODES:
            raise InputError("a name with {index} needs a range of codes", where=f"{where}.{name}", expected='"1-40"', got=repr(codes))
        out |= {fill(name, {"index": i}, f"{where}.{name}"): code for i, code in enumerate(range(int(span[1]), int(span[2]) + 1), start=1)}
    return out


def _check_given(spec: RecordingsSpec, where: str) -> None:
    """Epochs that are cut already admit neither events nor steps on the continuous signal."""
    of_cutting = ("epochs", "events", "reject", "regressors", "task", "runs", "onset_shift", "columns", "stim", "montage", "types", "rename")
    given = [name for name in of_cutting if getattr(spec, name)]
    plain = StepsSpec()
    given += [f"steps.{one.name}" for one in fields(plain) if one.name not in ("channels", "bads", "units") and getattr(spec.steps, one.name) != one.default]
    if given or spec.scale != 1.0:
        raise InputError("epochs are cut already", where=where, got=given or "scale", expected="channels, where, baseline, decimate and windows alone")
