"""Arrays, responses and activations as trials of channels in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.nouns import FeatureSpace, Responses
from brainenc.nouns.spaces import SensorSpace
from brainenc.nouns.tables import as_table, need_column

TRIAL_COLUMNS = ("trial", "sequence", "epoch")


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """``values`` (n_trials, n_channels, n_times) at ``fs`` samples a second, with a table of the channels and one of the trials."""

    values: npt.NDArray[Any]
    fs: float
    channels: pd.DataFrame
    trials: pd.DataFrame
    name: str = "series"

    def take_trials(self, rows: npt.ArrayLike) -> Series:
        """Return these trials."""
        index = np.asarray(rows, dtype=np.intp)
        return replace(self, values=self.values[index], trials=self.trials.iloc[index].reset_index(drop=True))


def as_series(data: Any, fs: float | None = None, *, trials: str | None = None, name: str = "series") -> Series:
    """Return data of any kind as trials of channels in time.

    Parameters
    ----------
    data : array (n_trials, n_channels, n_times) or (n_channels, n_times); Responses; FeatureSpace
        Responses are a time series (one row a sample) or epochs ((channel, time) targets, one row a trial). A `FeatureSpace` is a
        series of activations, one row a unit of a sequence, as `sequence_activations` gives it.
    fs : float, optional
        Samples a second; from the data where they know it.
    trials : str, optional
        Column of ``samples`` that tells the trials of a time series apart; ``trial``, ``sequence`` or ``epoch`` where there is one.

    Raises
    ------
    InputError
        Without a sampling rate, with one that contradicts the data, or where trials differ in length.
    """
    if isinstance(data, Responses):
        return _epochs(data, fs) if not data.is_time_series else _cut(data, fs, trials)
    if isinstance(data, FeatureSpace):
        return _activations(data, fs, trials)
    if isinstance(data, Series):
        return replace(data, fs=_rate(data.fs, fs, data.name))
    values = np.asarray(data)
    if values.dtype.kind not in "fiu" or values.ndim not in (2, 3) or 0 in values.shape:
        raise InputError(
            "not a set of time series", where=name, expected="real numbers (n_trials, n_channels, n_times) or (n_channels, n_times)",
            got=f"{values.dtype}, shape {values.shape}",
        )  # fmt: skip
    values = values[None] if values.ndim == 2 else values
    channels = pd.DataFrame({"channel": [f"c{i:05d}" for i in range(values.shape[1])]})
    return Series(values, _rate(None, fs, name), channels, pd.DataFrame({"trial": np.arange(len(values))}), name)


def named_series(data: Any, fs: float | None, trials: str | None) -> dict[str, Series]:
    """Return ``{layer: Series}`` of a mapping, or ``{"": Series}`` of anything else; layers agree in trials and samples."""
    if not isinstance(data, Mapping):
        return {"": as_series(data, fs, trials=trials)}
    if not data:
        raise InputError("no series", where="layers", got="an empty mapping")
    found = {str(name): as_series(part, fs, trials=trials, name=str(name)) for name, part in data.items()}
    shapes = {(s.values.shape[0], s.values.shape[2], s.fs) for s in found.values()}
    if len(shapes) > 1:
        raise InputError("layers differ in trials, samples or rate", where="layers", got=sorted(shapes))
    return {name: replace(s, channels=_with_layer(s.channels, name)) for name, s in found.items()}


def _with_layer(channels: pd.DataFrame, layer: str) -> pd.DataFrame:
    table = channels.drop(columns=[c for c in ("layer",) if c in channels])
    table.insert(0, "layer", layer)
    return table


def _rate(known: float | None, given: float | None, name: str) -> float:
    if given is not None and not (isinstance(given, int | float | np.number) and np.isfinite(given) and given > 0):
        raise InputError("the sampling rate is a positive number", where=name, got=repr(given))
    if known is None and given is None:
        raise InputError("the sampling rate is not known", where=name, fix="give fs, the samples a second")
    if known is not None and given is not None and abs(known - given) > 1e-6 * known:
        raise InputError("fs contradicts the data", where=name, expected=f"{known:g} Hz", got=f"{given:g} Hz", fix="leave fs out")
    return float(given if known is None else known)  # type: ignore[arg-type]


def _cut(data: Responses, fs: float | None, column: str | None) -> Series:
    """Cut a time series into trials by a column of its samples, or else by its events, or else take it as one trial."""
    rate = _rate(1.0 / data.step, fs, f"responses {data.name!r}")
    where = f"responses {data.name!r}"
    channels = _channels(data.targets)
    name = column or next((c for c in TRIAL_COLUMNS if c in data.samples.columns), None)
    if name is None and data.events is not None and len(data.events):
        rows, table = _by_events(data, rate)
    elif name is None:
        rows, table = np.arange(data.n_samples)[None], pd.DataFrame({"trial": [0]})
    else:
        rows, table = _by_label(data.samples, name, where)
    return Series(_gather(data.values, rows), rate, channels, table, data.name)


def _activations(data: FeatureSpace, fs: float | None, column: str | None) -> Series:
    known = data.provenance.get("sampling_rate")
    rate = _rate(None if known is None else float(known), fs, f"features {data.name!r}")
    name = column or next((c for c in TRIAL_COLUMNS if c in data.samples.columns), None)
    if name is None:
        rows, table = np.arange(data.n_samples)[None], pd.DataFrame({"trial": [0]})
    else:
        rows, table = _by_label(data.samples, name, f"features {data.name!r}")
    known_names = data.features is not None and "channel" in data.features.columns
    channels = as_table(data.features if data.features is not None else None, "features", n_rows=data.n_features)
    if not known_names:
        channels.insert(0, "channel", [f"u{i:05d}" for i in range(data.n_features)])
    return Series(_gather(data.values, rows), rate, channels, table, data.name)


def _by_label(samples: pd.DataFrame, column: str, where: str) -> tuple[npt.NDArray[np.intp], pd.DataFrame]:
    """Return the rows of each trial (n_trials, n_times) in their order, and the columns that are constant within every trial."""
    labels = need_column(samples, column, f"{where} samples")
    codes, names = pd.factorize(labels)
    if (codes < 0).any():
        raise InputError("samples without a trial", where=where, got=f"{int((codes < 0).sum())} of {len(codes)}")
    lengths = np.bincount(codes)
    if len(set(lengths)) > 1:
        short = names[int(np.argmin(lengths))]
        raise InputError("trials differ in length", where=where, expected=f"{int(lengths.max())} samples", got=f"{int(lengths.min())} in trial {short}")
    rows = np.argsort(codes, kind="stable").reshape(len(names), -1)
    grouped = samples.groupby(codes, sort=True)
    constant = [c for c in samples.columns if bool((grouped[c].nunique(dropna=False) == 1).all())]
    table = samples.iloc[rows[:, 0]][constant].reset_index(drop=True)
    return rows, table if column in table else table.assign(**{column: names})


def _by_events(data: Responses, rate: float) -> tuple[npt.NDArray[np.intp], pd.DataFrame]:
    """Return the rows of each event: from its onset, for the duration that all share."""
    events = data.events
    assert events is not None
    lengths = np.round(events["duration"].to_numpy() * rate).astype(int)
    if len(set(lengths)) > 1 or lengths[0] < 2:
        durations = sorted(set(events["duration"]))
        raise InputError("events differ in duration", where=f"responses {data.name!r}", got=durations, fix="give trials, a column of samples")
    run = data.samples["run"].to_numpy() if "run" in data.samples else np.zeros(data.n_samples, dtype=int)
    rows = np.empty((len(events), lengths[0]), dtype=np.intp)
    for i, event in enumerate(events.itertuples()):
        inside = np.flatnonzero(run == event.run) if "run" in data.samples else np.arange(data.n_samples)
        start = round(event.onset * rate)
        if start < 0 or start + lengths[0] > len(inside):
            raise InputError("an event reaches beyond its run", where=f"responses {data.name!r}", got=f"event {i}, run {event.run}, onset {event.onset:g} s")
        rows[i] = inside[start : start + lengths[0]]
    return rows, events.reset_index(drop=True).assign(trial=np.arange(len(events)))


def _epochs(data: Responses, fs: float | None) -> Series:
    """Return epochs whose targets are (channel, time) pairs."""
    where = f"responses {data.name!r}"
    if isinstance(data.space, SensorSpace):
        channel, time = data.space.channel, data.space.times[data.space.time]
        names = data.space.channels["channel"].to_numpy(dtype=object)[channel]
        table = data.space.channels
    else:
        names = need_column(data.targets, "channel", f"{where} targets").to_numpy(dtype=object)
        time = need_column(data.targets, "time", f"{where} targets").to_numpy(dtype=np.float64)
        table = data.targets.drop(columns=["time", "target_id"], errors="ignore").drop_duplicates("channel")
    codes, order = pd.factorize(names)
    moments = np.unique(time)
    if len(codes) != len(order) * len(moments) or len(moments) < 4:
        raise InputError("channels differ in their times", where=where, expected=f"{len(order)} channels × {len(moments)} times", got=f"{len(codes)} targets")
    steps = np.diff(moments)
    if np.ptp(steps) > 1e-3 * steps.mean():
        raise InputError("times are not evenly spaced", where=where, got=f"steps of {steps.min():.4g} to {steps.max():.4g} s")
    columns = np.lexsort((time, codes)).reshape(len(order), len(moments))
    rate = _rate((len(moments) - 1) / float(moments[-1] - moments[0]), fs, where)
    channels = table.set_index("channel").loc[list(order)].reset_index()
    return Series(data.values[:, columns], rate, channels, data.samples.reset_index(drop=True), data.name)


def _channels(targets: pd.DataFrame) -> pd.DataFrame:
    table = targets.reset_index(drop=True)
    if "channel" in table.columns:
        return table
    return table.rename(columns={"target_id": "channel"})


def _gather(values: npt.NDArray[Any], rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Return (n_trials, n_channels, n_times) of a matrix (n_rows, n_channels); a view where the rows are consecutive."""
    if np.array_equal(rows.ravel(), np.arange(len(values))):
        return np.moveaxis(values.reshape(*rows.shape, values.shape[1]), 2, 1)
    return np.moveaxis(values[rows], 2, 1)
