"""Responses from recordings of EEG, MEG and intracranial contacts: epochs as trials, or the whole recording as a time series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError
from brainenc.core.selection import select
from brainenc.io.paths import check_budget, existing_file, read_errors
from brainenc.io.readers import EPOCH_FILES
from brainenc.loaders.band_power import window_means
from brainenc.loaders.channels import channel_table, field_units, pick_channels, targets_and_space
from brainenc.loaders.preprocessing import Prepared, Preprocessing, check_units, prepare
from brainenc.loaders.recording_events import events_of, names_of_codes
from brainenc.loaders.recordings import Recording, as_recordings
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet
from brainenc.nouns.tables import positions_of, text_ids

Window = tuple[float, float]
_BLOCK = 2**22  # numbers of given epochs in memory at a time


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
    given = _given_epochs(source)
    if given is not None:
        if events is not None or tmin is not None or tmax is not None or set(steps.describe()) - {"channels", "bads", "units"} or any(limits.values()):
            fix = "give the continuous recording for events, times, limits and steps other than channels"
            raise InputError("epochs are cut already", where="load_epochs", fix=fix)
        return _from_epochs(given, steps, how | {"where": where}, stimuli, baseline, decimate, windows, units, name)
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
    facts |= {"baseline": None if baseline is None else list(baseline), **limits}
    return _finish(values, first.times, samples, first.prepared, decimate, windows, stimuli, name, facts)


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
    if _given_epochs(source) is not None:
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
        _check_stimuli(joined, stimuli, name)
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
    window = _baseline_columns(times, baseline)
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


def _finish(
    values: npt.NDArray[Any], times: npt.NDArray[np.float64], samples: pd.DataFrame, prepared: Prepared, decimate: int, windows: Window | None,
    stimuli: StimulusSet | None, name: str, facts: dict[str, Any],
) -> Responses:  # fmt: skip
    """Thin out times, name the columns and wrap."""
    values, times = _thinned(values, times, prepared, decimate, windows)
    return _wrapped(values, times, samples, prepared, stimuli, name, facts | {"decimate": decimate, "windows": None if windows is None else list(windows)})


def _thinned(
    values: npt.NDArray[Any], times: npt.NDArray[np.float64], prepared: Prepared, decimate: int, windows: Window | None
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Return every n-th time, or means over windows, of epochs (n_epochs, n_channels, n_times)."""
    if not isinstance(decimate, int) or decimate < 1:
        raise InputError("decimate is a whole number from 1", where="load_epochs", got=decimate)
    if decimate > 1:
        allowed = prepared.rate / decimate / 2
        if prepared.lowpass > allowed:
            fix = "set h_freq, or resample instead"
            raise InputError(
                "decimation folds higher frequencies down", expected=f"a low-pass of at most {allowed:g} Hz", got=f"{prepared.lowpass:g} Hz", fix=fix
            )
        start = -int(np.rint(times[0] * prepared.rate)) % decimate  # keep time 0 where it is there
        values, times = values[:, :, start::decimate], times[start::decimate]
    return window_means(values, times, *windows) if windows is not None else (values, times)


def _wrapped(
    values: npt.NDArray[Any], times: npt.NDArray[np.float64], samples: pd.DataFrame, prepared: Prepared, stimuli: StimulusSet | None, name: str,
    facts: dict[str, Any],
) -> Responses:  # fmt: skip
    _check_stimuli(samples, stimuli, name)
    samples = samples.assign(repeat=samples.groupby("stimulus_id", sort=False).cumcount() + 1)
    targets, space = targets_and_space(prepared.channels, times)
    return Responses(values.reshape(len(values), -1), samples, targets, space, units=prepared.units, name=name, provenance=facts)


def _given_epochs(source: Any) -> Any:
    if type(source).__module__.startswith("mne") and hasattr(source, "event_id") and hasattr(source, "get_data"):
        return source
    if isinstance(source, str) or hasattr(source, "suffix"):
        if str(source).endswith(EPOCH_FILES):
            import mne

            path = existing_file(source)
            with read_errors(path):
                return mne.read_epochs(path, preload=False, proj=False, verbose="error")
    return None


def _from_epochs(
    epochs: Any, steps: Preprocessing, how: Mapping[str, Any], stimuli: StimulusSet | None, baseline: Window | None, decimate: int, windows: Window | None,
    units: str, name: str,
) -> Responses:  # fmt: skip
    """Return given epochs, read, baselined and thinned out some at a time."""
    table = channel_table(epochs.info)
    bads = set(epochs.info["bads"]) | set(steps.bads)
    rows = np.array([i for i in pick_channels(table, steps.channels, f"epochs {name!r}") if table["channel"][i] not in bads], dtype=np.intp)
    if not len(rows):
        raise InputError("all channels are bad", where=f"epochs {name!r}", got=examples(sorted(bads)))
    if not len(epochs.events):
        raise DataError("epochs are empty", where=f"epochs {name!r}", got="none of them is left")
    samples, ids, n_not_where = _epoch_samples(epochs, how)
    channels, kept = table.iloc[rows].reset_index(drop=True), np.flatnonzero(ids.notna())
    factors, known = (np.ones(len(rows)), units) if units else field_units(list(channels["type"]))
    nothing = np.empty((0, 0))
    prepared = Prepared(nothing, float(epochs.info["sfreq"]), channels, np.zeros(0, dtype=bool), known, float(epochs.info["lowpass"]), {"bads": sorted(bads)})
    checked = steps.units == "check" and not units
    values, times = _read_given(epochs, kept, rows, prepared, factors, baseline, decimate, windows, f"epochs {name!r}", checked)
    samples = samples.iloc[kept].assign(stimulus_id=text_ids(ids.iloc[kept], "stimulus_id")).reset_index(drop=True)
    applied = {"class": type(epochs).__name__, "baseline": epochs.baseline, "highpass": float(epochs.info["highpass"]), "lowpass": prepared.lowpass}
    dropped = pd.Series([reason for log in epochs.drop_log for reason in log if reason != "IGNORED"], dtype=object).value_counts()
    facts = {"given": applied, "dropped_before": {str(k): int(v) for k, v in dropped.items()}, "n_other": int(len(ids) - len(kept) - n_not_where)}
    facts |= {"n_not_where": n_not_where, "preprocessing": steps.describe(), "baseline": None if baseline is None else list(baseline), "frame": "head"}
    facts |= {"decimate": decimate, "windows": None if windows is None else list(windows)}
    return _wrapped(values, times, samples, prepared, stimuli, name, facts)


def _read_given(
    epochs: Any, kept: npt.NDArray[np.intp], rows: npt.NDArray[np.intp], prepared: Prepared, factors: npt.NDArray[np.float64], baseline: Window | None,
    decimate: int, windows: Window | None, where: str, checked: bool,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:  # fmt: skip
    """Return the kept epochs (n_epochs, n_channels, n_times) in 32 bits and their times."""
    times = np.asarray(epochs.times, dtype=np.float64)
    window = _baseline_columns(times, baseline)
    _, left = _thinned(np.zeros((1, 1, len(times))), times, prepared, decimate, windows)
    check_budget(4 * len(kept) * len(rows) * len(left), where)
    out = np.empty((len(kept), len(rows), len(left)), dtype=np.float32)
    step = max(1, _BLOCK // (len(rows) * len(times)))
    low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    for start in range(0, len(kept), step):
        some = kept[start : start + step]
        with read_errors(where):
            data = np.asarray(epochs.get_data(picks=rows, item=some, copy=True, verbose="error"), dtype=np.float64)
        if data.shape[0] != len(some) or not np.isfinite(data).all():
            raise DataError("epochs hold missing values", where=where, got=f"in epochs {start} to {start + len(some) - 1}", fix="drop them: epochs.drop(…)")
        if checked:
            check_units(data.transpose(1, 0, 2).reshape(len(rows), -1), prepared.channels, where)
        low, high = np.minimum(low, data.min(axis=(0, 2))), np.maximum(high, data.max(axis=(0, 2)))
        data *= factors[:, None]
        if window is not None:
            data -= data[:, :, window].mean(axis=2, keepdims=True)
        out[start : start + len(some)], _ = _thinned(data, times, prepared, decimate, windows)
    if (low == high).any():
        raise DataError("channels never change", where=where, got=examples(prepared.channels["channel"][low == high], 8), fix="name them in bads=")
    return out, left


def _epoch_samples(epochs: Any, how: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.Series, int]:
    """Return the samples of given epochs, their stimulus ids (None where an event is not asked for), and how many ``where`` leaves out."""
    names = {code: label for label, code in epochs.event_id.items()}
    samples = pd.DataFrame({"event": [names[code] for code in epochs.events[:, 2]], "sample": epochs.events[:, 0]})
    if epochs.metadata is not None:
        extra = epochs.metadata.reset_index(drop=True)
        samples = samples.join(extra[[c for c in extra if c not in samples]])
    column = how["stimulus"] if how["stimulus"] != "auto" else ("stimulus_id" if "stimulus_id" in samples else "event")
    if column not in samples:
        raise InputError(f"epochs have no column {column!r}", where="metadata of epochs", expected=examples(samples.columns, 12))
    chosen = np.ones(len(samples), dtype=bool)
    if how["where"]:
        chosen[:] = False
        chosen[select(samples, how["where"])] = True
    named = samples[column].notna().to_numpy()
    ids = pd.Series(None, index=samples.index, dtype=object)
    ids[named & chosen] = np.asarray(text_ids(samples.loc[named & chosen, column], column), dtype=object)
    if how["event_id"] is not None:
        ids = ids.map(names_of_codes(how["event_id"]))
    ids = ids.where(~ids.isin([str(one) for one in how["rest"]]) & ids.notna(), None)
    if not ids.notna().any():
        raise InputError("no epoch is left", where=f"column {column!r}", got=examples(pd.unique(samples[column])))
    return samples, ids, int((~chosen).sum())


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


def _check_stimuli(table: pd.DataFrame, stimuli: StimulusSet | None, name: str) -> None:
    if stimuli is not None:
        known = list(stimuli.table.index if stimuli.table.index.name == "stimulus_id" else stimuli.table["stimulus_id"])
        positions_of(list(table["stimulus_id"]), known, "stimulus_ids of the events", f"responses {name!r} with stimuli {stimuli.name!r}")


def _baseline_columns(times: npt.NDArray[np.float64], baseline: Window | None) -> npt.NDArray[np.bool_] | None:
    if baseline is None:
        return None
    inside = (times >= baseline[0] - 1e-9) & (times <= baseline[1] + 1e-9)
    slack = times[1] - times[0]
    if not inside.any() or baseline[0] < times[0] - slack or baseline[1] > times[-1] + slack:
        raise InputError("baseline lies outside the epoch", where="load_epochs", expected=f"within {times[0]:g} to {times[-1]:g} s", got=baseline)
    return inside


def _facts(runs: Sequence[Recording], prepared: Sequence[Prepared], steps: Preprocessing) -> dict[str, Any]:
    """Return files, steps and what each run reported about them."""
    facts: dict[str, Any] = {key: value for key, value in runs[0].provenance.items() if key != "files"}
    facts["files"] = [file for one in runs for file in one.provenance.get("files", [])]
    facts["preprocessing"] = steps.describe()
    facts["steps"] = {str(run.run): one.record for run, one in zip(runs, prepared, strict=True)}
    return facts | {"sampling_rate": prepared[0].rate, "lowpass": prepared[0].lowpass}
