"""Tables of events in one normal form: onset, duration, stimulus_id, run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io.paths import existing_file, read_errors
from brainenc.io.readers import read_table
from brainenc.loaders.recordings import Recording
from brainenc.nouns.tables import text_ids

STIMULUS_COLUMNS = ("stimulus_id", "stim_id", "stim_file", "stimulus", "trial_type", "condition", "description", "value")
EVENT_FILES = ("-eve.fif", "_eve.fif", "-eve.fif.gz", "_eve.fif.gz", ".eve")
NO_STIMULI = ("bad", "edge", "new segment", "boundary")


def load_events(
    source: Any, *, stimulus: str = "auto", event_id: Mapping[str, Any] | None = None, rest: Sequence[str] = (), run: Any = None,
    sampling_rate: float | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:  # fmt: skip
    """Return events in normal form, and counts of what was left out.

    Parameters
    ----------
    source : path or DataFrame
        ``events.tsv`` of BIDS, a csv, or a table: ``onset`` in seconds from the start of the run (or ``sample``, with ``sampling_rate``),
        ``duration`` in seconds. A missing duration counts as 0 s.
    stimulus : str
        The column that names the stimulus; ``"auto"`` takes the first of stimulus_id, stim_id, stim_file, stimulus, trial_type, condition,
        description, value.
    event_id : mapping, optional
        Stimulus ids to what the column holds, ``{"house": 1, "face": [2, 3]}``; other events are left out and counted.
    rest : sequence of str
        Stimuli that are no stimuli; their events are left out and counted, as are events without a name.
    run : object, optional
        The label of the run, 1 where neither the table nor this says.
    sampling_rate : float, optional

    Returns
    -------
    table : DataFrame
        ``onset``, ``duration`` (s), ``stimulus_id``, ``run``, and all other columns as they were (``sample``, ``trial_type`` …), by onset.
    record : dict
        The column used and the counts: n_events, n_without_stimulus, n_rest, n_other, n_duration_unknown.

    Raises
    ------
    DataError, NotFoundError, InputError
        No events, no onsets, onsets that are no numbers, negative durations, no column that names stimuli.

    Examples
    --------
    >>> table, record = load_events("sub-01_task-visual_events.tsv", stimulus="stim_file")              # doctest: +SKIP
    """
    where = source if isinstance(source, str | Path) else "events"
    table = read_table(source) if isinstance(source, str | Path) else pd.DataFrame(source).reset_index(drop=True)
    if not len(table):
        raise DataError("no events", where=where)
    column = _stimulus_column(table, stimulus, where)
    times, unknown = _times(table, sampling_rate, where)
    names = table[column]
    unnamed = names.isna().to_numpy()
    labels = pd.Series([None if lost else text for lost, text in zip(unnamed, text_ids(names.fillna("-"), column), strict=True)], dtype=object)
    record: dict[str, Any] = {"stimulus": column, "n_events": len(table), "n_without_stimulus": int(unnamed.sum()), "n_other": 0}
    other = np.zeros(len(table), dtype=bool)
    if event_id is not None:
        known = names_of_codes(event_id)
        other = ~unnamed & ~labels.isin(list(known)).to_numpy()
        labels = labels.map(known)
        record["n_other"] = int(other.sum())
    resting = labels.isin([str(one) for one in rest]).to_numpy()
    kept = ~(unnamed | other | resting)
    record |= {"n_rest": int(resting.sum()), "n_duration_unknown": int(unknown[kept].sum())}
    if not kept.any():
        raise InputError(
            "no event is left", where=where, expected=f"stimuli in column {column!r}", got=f"{record}; it holds {examples(pd.unique(names.dropna()))}"
        )
    bad = kept & ~np.isfinite(times).all(axis=1)
    if bad.any() or (times[kept, 1] < 0).any():
        raise DataError(
            "events need an onset, and a duration that is not negative", where=where, got=f"rows {examples(np.flatnonzero(bad | (times[:, 1] < 0)))}"
        )
    label = run if run is not None else 1
    out = table.assign(onset=times[:, 0], duration=times[:, 1], stimulus_id=labels, run=label if run is not None or "run" not in table else table["run"])
    first = ["onset", "duration", "stimulus_id", "run"]
    out = out[[*first, *(one for one in out.columns if one not in first)]][kept]
    return out.sort_values("onset", kind="stable", ignore_index=True), record


def names_of_codes(event_id: Mapping[str, Any]) -> dict[str, str]:
    """Return the stimulus id of each code as text; a stimulus may have several codes, a code only one stimulus.

    Examples
    --------
    >>> names_of_codes({"house": 1, "face": [2, 3]})
    {'1': 'house', '2': 'face', '3': 'face'}
    """
    found: dict[str, str] = {}
    for name, codes in event_id.items():
        for code in codes if isinstance(codes, list | tuple) else [codes]:
            if found.setdefault(str(code), str(name)) != str(name):
                raise InputError("a code stands for two stimuli", where="event_id", got=f"{code}: {found[str(code)]!r} and {name!r}")
    return found


def events_of(recording: Recording, events: Any, how: Mapping[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the events of one run in normal form, from what the caller named or from the recording itself.

    ``events`` is a table, a path (of a table, or of events as mne writes them: ``-eve.fif``), an array of mne (sample, 0, code), ``"annotations"``, the
    name of a stim channel, or None: then the recording's own table, else its annotations, else its only stim channel.
    """
    chosen, kind = _source(recording, events)
    table, record = load_events(chosen, run=recording.run, sampling_rate=recording.sampling_rate, **how)
    outside = (table["onset"] < 0) | (table["onset"] >= recording.duration)
    if outside.any():
        fix = "the recording is truncated or a placeholder, or onsets are not seconds from its start"
        raise InputError(
            f"{int(outside.sum())} of {len(table)} events lie outside the recording", where=f"run {recording.run}",
            expected=f"onsets from 0 to {recording.duration:g} s", got=f"{table['onset'].min():g} to {table['onset'].max():g} s", fix=fix,
        )  # fmt: skip
    return table, {"source": kind, **record}


def _source(recording: Recording, events: Any) -> tuple[Any, str]:
    raw = recording.raw
    stim = [name for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True) if kind == "stim"]
    if events is None:
        if recording.events is not None:
            return recording.events, "table"
        annotated = any(not str(text).lower().startswith(NO_STIMULI) for text in raw.annotations.description)
        if annotated and stim:
            fix = f'pass events="annotations" or events={stim[0]!r}'
            raise InputError("recording has annotations and a stim channel", where=f"run {recording.run}", fix=fix)
        if not annotated and len(stim) != 1:
            got = "no annotations and no stim channel" if not stim else f"stim channels {examples(stim)}"
            raise InputError("recording does not say what was shown when", where=f"run {recording.run}", got=got, fix="pass events=")
        events = "annotations" if annotated else stim[0]
    if isinstance(events, str) and events == "annotations":
        return _annotations(raw), "annotations"
    if isinstance(events, str) and events in stim:
        return _stim_events(raw, events), f"stim channel {events}"
    if isinstance(events, np.ndarray):
        return _mne_events(raw, events), "array"
    if isinstance(events, pd.DataFrame | Mapping):
        return events, "table"
    if isinstance(events, str | Path):
        if isinstance(events, str) and Path(events).suffix == "":
            raise NotFoundError(f"no stim channel {events!r}", where=f"run {recording.run}", expected=f"annotations or {examples(stim, 8)}")
        if str(events).endswith(EVENT_FILES):
            return _mne_events(raw, _read_mne_events(events)), Path(events).name
        return events, Path(events).name
    raise InputError("not events", expected="a table, a path, an array of mne, 'annotations' or a stim channel", got=type(events).__name__)


def _annotations(raw: Any) -> pd.DataFrame:
    notes = raw.annotations
    stimuli = np.array([not str(text).lower().startswith(NO_STIMULI) for text in notes.description], dtype=bool)
    onset = np.asarray(notes.onset, dtype=np.float64) - raw.first_time  # mne counts from when the recording was set up, not from its first sample
    text = np.asarray(notes.description, dtype=object)
    return pd.DataFrame({"onset": onset, "duration": np.asarray(notes.duration, dtype=np.float64), "trial_type": text})[stimuli]


def _stim_events(raw: Any, channel: str) -> pd.DataFrame:
    import mne

    # a code may last a single sample, and 0 is rest
    found = mne.find_events(raw, stim_channel=channel, shortest_event=1, consecutive=True, initial_event=True, verbose="error")
    return _mne_events(raw, found)


def _read_mne_events(path: str | Path) -> np.ndarray:
    import mne

    source = existing_file(path)
    with read_errors(source):
        return np.asarray(mne.read_events(source, verbose="error"))


def _mne_events(raw: Any, events: np.ndarray) -> pd.DataFrame:
    if events.ndim != 2 or events.shape[1] != 3 or events.dtype.kind not in "iu":
        raise InputError("events of mne are whole numbers (n, 3)", got=f"{events.dtype} of shape {events.shape}")
    sample = events[:, 0] - raw.first_samp
    return pd.DataFrame({"onset": sample / float(raw.info["sfreq"]), "duration": 0.0, "sample": sample, "value": events[:, 2]})


def _stimulus_column(table: pd.DataFrame, stimulus: str, where: object) -> str:
    if stimulus != "auto":
        if stimulus not in table.columns:
            raise NotFoundError(f"events have no column {stimulus!r}", where=where, expected=examples(table.columns, 12))
        return stimulus
    column = next((name for name in STIMULUS_COLUMNS if name in table.columns and table[name].notna().any()), None)
    if column is None:
        raise DataError("events do not name the stimuli", where=where, expected=f"one of {', '.join(STIMULUS_COLUMNS)}", got=examples(table.columns, 12))
    return column


def _times(table: pd.DataFrame, rate: float | None, where: object) -> tuple[np.ndarray, np.ndarray]:
    """Return onset and duration (n, 2) and where the duration was not known."""
    if "onset" in table.columns:
        onset = pd.to_numeric(table["onset"], errors="coerce").to_numpy(dtype=np.float64)
    elif "sample" in table.columns and rate is not None:
        onset = pd.to_numeric(table["sample"], errors="coerce").to_numpy(dtype=np.float64) / rate
    else:
        raise DataError("events have no onset", where=where, expected="onset (s), or sample and sampling_rate=", got=examples(table.columns, 12))
    given = table["duration"] if "duration" in table.columns else pd.Series(np.nan, index=table.index)
    duration = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64)
    spoiled = np.isnan(duration) & given.notna().to_numpy()
    if spoiled.any():
        raise DataError("durations are no numbers", where=where, got=examples(given[spoiled]))
    unknown = np.isnan(duration)
    return np.column_stack([onset, np.where(unknown, 0.0, duration)]), unknown
