"""Responses from recordings of EEG, MEG and intracranial contacts: epochs as trials, or the whole recording as a time series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.core.selection import select
from brainenc.loaders.band_power import window_means
from brainenc.loaders.channels import targets_and_space
from brainenc.loaders.epoch_shaping import Shaping, Window, baseline_columns, check_stimuli, thinned, wrapped
from brainenc.loaders.given_epochs import load_given, open_epochs
from brainenc.loaders.preprocessing import Prepared, Preprocessing, prepare
from brainenc.loaders.recording_events import events_of
from brainenc.loaders.recordings import Recording, as_recordings
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet


def load_epochs(
    source: Any, events: Any = None, *,
    tmin: float | None = None, tmax: float | None = None, preprocessing: Preprocessing | None = None, stimulus: str = "auto",
    event_id: Mapping[str, Any] | None = None, rest: Sequence[str] = (), where: str = "", stimuli: StimulusSet | None = None,
    baseline: Window | None = None, reject: Mapping[str, float] | None = None, flat: Mapping[str, float] | None = None, decimate: int = 1,
    windows: Window | None = None, units: str = "", name: str = "subject",
) -> Responses:  # fmt: skip
    """Cut recordings into epochs: one row a trial, one column a (channel, time) pair.

    Parameters
    ----------
    source : path, mne Raw, Recording or a sequence of them (runs); or mne Epochs or a ``-epo.fif`` file
        Anything that `read_recording` opens without arguments can be given as a path. Epochs are taken as they are (ICA, autoreject applied or
        not): only channels, where, baseline, decimation and windows still apply to them. A file is read some epochs at a time.
    events : optional
        A table or path (see `load_events`), an array of mne, ``"annotations"``, the name of a stim channel, a list with one of these a run, or
        None: the recording's own table, else its annotations, else its only stim channel. A table of several runs needs the column ``run``.
    tmin, tmax : float
        Seconds from the event, rounded to samples, both ends included (as mne does).
    preprocessing : Preprocessing, optional
        Steps on the continuous signal before it is cut; none where not given.
    stimulus, event_id, rest
        As in `load_events`.
    where : str
        Selects events by their columns (of given epochs: by their metadata), ``"trial_type != 'catch'"``; others are left out and counted.
    stimuli : StimulusSet, optional
        The stimuli that may occur; an event that names another one is an error.
    baseline : (float, float), optional
        The mean between these times (s) is subtracted from every epoch and channel; none where not given.
    reject, flat : mapping, optional
        Peak-to-peak limits by channel type in the units of the responses (µV, fT, fT/cm): epochs above ``reject`` or below ``flat`` in any channel
        are left out and counted, ``{"eeg": 100}``.
    decimate : int
        Keep each n-th time; refused without a low-pass below half of the new rate.
    windows : (length, step), optional
        Means over sliding windows, in seconds.
    units : str
        What the values of given epochs are where they are volts and tesla no more (z-scores): they are then taken as they are.
    name : str

    Returns
    -------
    Responses
        float32, in µV, fT, fT/cm (or the power of a band). ``samples``: stimulus_id, run, onset, duration, repeat (of the stimulus, from 1)
        and the other columns of the events; ``targets``: target_id, channel, time, type, x, y, z (mm), roi …; a `SensorSpace`, or a `ContactSpace` for
        intracranial channels. Provenance holds the steps and, for every run, the counts of events and of epochs left out, by reason.

    Raises
    ------
    InputError, DataError
        Damaged files, no events, events outside the recording, unmatched stimuli, runs of different rates or channels, flat channels, missing
        values, implausible units, nothing left.

    Examples
    --------
    >>> load_epochs("sub-01_raw.fif", "events.csv", tmin=-0.1, tmax=0.8, preprocessing=Preprocessing(l_freq=1, h_freq=30),
    ...             baseline=(-0.1, 0), reject={"eeg": 100})                                              # doctest: +SKIP
    """
    steps = preprocessing or Preprocessing()
    how = {"stimulus": stimulus, "event_id": event_id, "rest": rest}
    limits = {"reject": dict(reject or {}), "flat": dict(flat or {})}
    shaping = Shaping(baseline=baseline, decimate=decimate, windows=windows)
    given = open_epochs(source)
    if given is not None:
        if events is not None or tmin is not None or tmax is not None or set(steps.describe()) - {"channels", "bads", "units"} or any(limits.values()):
            fix = "give the continuous recording for events, times, limits and steps other than channels"
            raise InputError("epochs are cut already", where="load_epochs", fix=fix)
        return load_given(given, steps, how | {"where": where}, shaping, units=units, stimuli=stimuli, name=name)
    if units:
        raise InputError("units are of epochs that are given", where="load_epochs", got=units, fix="mend those of a recording with read_recording(…, scale=)")
    if tmin is None or tmax is None or not (np.isfinite([tmin, tmax]).all() and tmin < tmax):
        raise InputError("epochs need a start and an end", where="load_epochs", expected="tmin < tmax in seconds", got=f"{tmin} to {tmax}")
    runs = as_recordings(source)
    how |= {"where": where}
    parts = [_cut(one, listed, steps, how, (float(tmin), float(tmax)), baseline, limits) for one, listed in zip(runs, _per_run(events, runs), strict=True)]
    first = parts[0]
    _same_channels([part.prepared for part in parts], runs)
    values = np.concatenate([part.data for part in parts])
    samples = pd.concat([part.samples for part in parts], ignore_index=True)
    if not len(values):
        raise InputError("no epoch is left", where=f"load_epochs {name!r}", got=[part.counts for part in parts], fix="look at reject, flat and missing")
    counts = {str(one.run): part.counts for one, part in zip(runs, parts, strict=True)}
    facts = _facts(runs, [part.prepared for part in parts], steps) | {"runs": counts, "tmin": float(first.times[0]), "tmax": float(first.times[-1])}
    values, times = thinned(values, first.times, first.prepared, shaping)
    return wrapped(values, times, samples, first.prepared, stimuli, name, facts | limits | shaping.describe())


def load_continuous(
    source: Any, events: Any = None, *,
    preprocessing: Preprocessing | None = None, stimulus: str = "auto", event_id: Mapping[str, Any] | None = None, rest: Sequence[str] = (),
    stimuli: StimulusSet | None = None, windows: Window | None = None, name: str = "subject",
) -> Responses:  # fmt: skip
    """Read recordings as a time series: one row a sample, one column a channel.

    Parameters
    ----------
    source, events, preprocessing, stimulus, event_id, rest, stimuli, name
        As in `load_epochs`, but not epochs; ``events=False`` for recordings without any.
    windows : (length, step), optional
        Means over sliding windows, in seconds; rows then stand for the centres of windows.

    Returns
    -------
    Responses
        float32, with ``sampling_rate`` and ``events`` (onset in seconds from the start of the run); ``samples``: run, time (s). With ``missing="mark"``
        rows in gaps and under annotations that begin with "bad" are NaN; without, the latter stay and are counted.

    Raises
    ------
    InputError, DataError
        As `load_epochs`.

    Examples
    --------
    >>> load_continuous("film_ieeg.edf", "words.csv", preprocessing=Preprocessing(power=BandPower(), resample=100))     # doctest: +SKIP
    """
    steps = preprocessing or Preprocessing()
    if open_epochs(source) is not None:
        raise InputError("epochs are not continuous", where="load_continuous", fix="use load_epochs")
    runs = as_recordings(source)
    how = {"stimulus": stimulus, "event_id": event_id, "rest": rest}
    blocks, samples, tables, counts, done, rate, shift = [], [], [], {}, [], 0.0, 0.0
    for one, listed in zip(runs, _per_run(None if events is False else events, runs), strict=True):
        prepared = prepare(one, steps)
        table, record = (None, {}) if events is False else events_of(one, listed, how)
        rate = prepared.rate
        bad = _bad_spans(one, rate, prepared.data.shape[1])
        data = np.where(prepared.holes | bad if steps.missing == "mark" else prepared.holes, np.nan, prepared.data)
        times = np.arange(data.shape[1]) / rate
        if windows is not None:
            data, times = window_means(data, times, *windows)
            shift, rate = float(times[0]), rate / round(windows[1] * rate)
        blocks.append(data.T.astype(np.float32))
        samples.append(pd.DataFrame({"run": [one.run] * len(times), "time": times}))
        counts[str(one.run)] = record | {"n_missing_samples": int(prepared.holes.sum()), "n_bad_samples": int(bad.sum())}
        tables += [] if table is None else [table]
        done.append(_emptied(prepared))
    _same_channels(done, runs)
    joined = pd.concat(tables, ignore_index=True) if tables else None
    if joined is not None:
        check_stimuli(joined, stimuli, name)
    targets, space = targets_and_space(done[0].channels, None)
    facts = _facts(runs, done, steps) | {"runs": counts, "windows": None if windows is None else list(windows), "frame_time": shift}
    return Responses(
        np.concatenate(blocks), pd.concat(samples, ignore_index=True), targets, space, units=done[0].units, sampling_rate=rate, events=joined, name=name,
        provenance=facts,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Epochs of one run (n_epochs, n_channels, n_times); ``prepared`` without its data."""

    data: npt.NDArray[np.float32]
    times: npt.NDArray[np.float64]
    samples: pd.DataFrame
    prepared: Prepared
    counts: dict[str, Any]


def _cut(
    run: Recording, events: Any, steps: Preprocessing, how: Mapping[str, Any], span: Window, baseline: Window | None, limits: Mapping[str, Mapping[str, float]]
) -> _Part:
    """Return the epochs of one run: those wholly inside the recording, without gaps, within the limits."""
    table, record = events_of(run, events, {key: value for key, value in how.items() if key != "where"})  # first, since it is cheap and often wrong
    if how["where"]:
        chosen = select(table, how["where"])
        record["n_not_where"] = len(table) - len(chosen)
        if not len(chosen):
            raise InputError("no event is left", where=f"run {run.run}", expected=f"events with {how['where']}", got=f"none of {len(table)}")
        table = table.iloc[chosen].reset_index(drop=True)
    prepared = prepare(run, steps)
    rate, n = prepared.rate, prepared.data.shape[1]
    offsets = np.arange(int(np.rint(span[0] * rate)), int(np.rint(span[1] * rate)) + 1)
    times = offsets / rate
    if len(offsets) < 2:
        raise InputError("epochs hold no two samples", where=f"run {run.run}", got=f"{span[0]:g} to {span[1]:g} s at {rate:g} Hz")
    at = np.rint(table["onset"].to_numpy(dtype=np.float64) * rate).astype(np.intp)
    inside = (at + offsets[0] >= 0) & (at + offsets[-1] < n)
    gaps = np.concatenate([[0], np.cumsum(prepared.holes | _bad_spans(run, rate, n))])
    whole = np.zeros(len(at), dtype=bool)
    whole[inside] = gaps[at[inside] + offsets[-1] + 1] == gaps[at[inside] + offsets[0]]
    rows = np.flatnonzero(whole)
    data = np.empty((len(rows), len(prepared.data), len(offsets)), dtype=np.float32)
    window = baseline_columns(times, baseline)
    for place, row in enumerate(rows):
        epoch = prepared.data[:, at[row] + offsets]
        data[place] = epoch if window is None else epoch - epoch[:, window].mean(axis=1, keepdims=True)
    kept, lost = _within(data, prepared.channels, limits)
    shift = float(np.abs(at / rate - table["onset"].to_numpy(dtype=np.float64)).max())
    lost |= {"n_outside": int((~inside).sum()), "n_bad_segment": int((inside & ~whole).sum())}
    counts = record | lost | {"max_rounding_s": shift, "n_epochs": int(kept.sum())}
    samples = table.iloc[rows[kept]].reset_index(drop=True)
    return _Part(data[kept], times, samples, _emptied(prepared), counts)


def _emptied(prepared: Prepared) -> Prepared:
    """Return what is known of a run without its signals, so that only one run is in memory at a time."""
    return replace(prepared, data=np.empty((0, 0)), holes=np.empty(0, dtype=bool))


def _bad_spans(run: Recording, rate: float, n: int) -> npt.NDArray[np.bool_]:
    """Return the samples that annotations beginning with "bad" cover, as mne takes them."""
    out = np.zeros(n, dtype=bool)
    notes = run.raw.annotations
    for onset, duration, text in zip(notes.onset, notes.duration, notes.description, strict=True):
        if str(text).lower().startswith("bad"):
            start = (float(onset) - run.raw.first_time) * rate
            out[max(int(np.floor(start)), 0) : max(int(np.ceil(start + float(duration) * rate)), 0)] = True
    return out


def _within(data: npt.NDArray[np.float32], channels: pd.DataFrame, limits: Mapping[str, Mapping[str, float]]) -> tuple[npt.NDArray[np.bool_], dict[str, Any]]:
    """Return which epochs keep within the peak-to-peak limits, and how many do not, by the channels at fault."""
    kept = np.ones(len(data), dtype=bool)
    record: dict[str, Any] = {}
    for how, by_type in limits.items():
        over = np.zeros(data.shape[:2], dtype=bool)
        for kind, limit in by_type.items():
            rows = np.flatnonzero(channels["type"] == kind)
            if not len(rows) or not (np.isfinite(limit) and limit > 0):
                got = f"{kind}: {limit}"
                raise InputError(
                    f"{how} needs types that are there and positive limits", where="load_epochs", expected=examples(pd.unique(channels["type"])), got=got
                )
            spread = np.ptp(data[:, rows], axis=2)
            over[:, rows] = spread > limit if how == "reject" else spread < limit
        if by_type:
            bad = over.any(axis=1)
            record[f"n_{how}"] = int(bad.sum())
            record[f"{how}_channels"] = {str(channels["channel"].iloc[i]): int(over[:, i].sum()) for i in np.flatnonzero(over.any(axis=0))}
            kept &= ~bad
    return kept, record


def _per_run(events: Any, runs: Sequence[Recording]) -> list[Any]:
    """Return what names the events of each run: one for all, a list, or a table split by its column ``run``."""
    if isinstance(events, list | tuple):
        if len(events) != len(runs):
            raise InputError("one table of events a run is needed", expected=len(runs), got=len(events))
        return list(events)
    if not isinstance(events, pd.DataFrame) or len(runs) == 1:
        if events is not None and len(runs) > 1 and not (isinstance(events, str) and "." not in events):
            raise InputError("several runs need events of each", expected=f"a list of {len(runs)}, or a table with the column run", got=type(events).__name__)
        return [events] * len(runs)
    if "run" not in events.columns:
        raise InputError("events of several runs need the column run", got=examples(events.columns, 12))
    labels = events["run"].astype(str)
    unknown = sorted(set(labels) - {str(one.run) for one in runs})
    if unknown:
        raise InputError("events name runs that are not there", expected=examples([one.run for one in runs]), got=examples(unknown))
    return [events[labels == str(one.run)] for one in runs]


def _same_channels(prepared: Sequence[Prepared], runs: Sequence[Recording]) -> None:
    first = list(prepared[0].channels["channel"])
    for one, run in zip(prepared[1:], runs[1:], strict=True):
        if list(one.channels["channel"]) != first:
            lost = sorted(set(first) ^ set(one.channels["channel"]))
            fix = "name the union of bad channels in bads="
            raise InputError("runs keep different channels", where=f"run {run.run}", got=examples(lost) if lost else "another order", fix=fix)


def _facts(runs: Sequence[Recording], prepared: Sequence[Prepared], steps: Preprocessing) -> dict[str, Any]:
    """Return files, steps and what each run reported about them."""
    facts: dict[str, Any] = {key: value for key, value in runs[0].provenance.items() if key != "files"}
    facts["files"] = [file for one in runs for file in one.provenance.get("files", [])]
    facts["preprocessing"] = steps.describe()
    facts["steps"] = {str(run.run): one.record for run, one in zip(runs, prepared, strict=True)}
    return facts | {"sampling_rate": prepared[0].rate, "lowpass": prepared[0].lowpass}
