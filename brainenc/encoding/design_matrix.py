"""One row of features per scan: haemodynamic convolution, delays and resampling, built inside each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import InputError
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.responses import Responses
from brainenc.nouns.tables import need_column, positions_of

HRF_MODELS = ("glover", "spm")
RESAMPLE = ("lanczos", "mean", None)
LANCZOS_LOBES = 3
Floats = npt.NDArray[np.float64]


def design(
    features: FeatureSpace,
    responses: Responses,
    *,
    delays: Sequence[float] | None = None,
    hrf: str | None = None,
    resample: str | None = "lanczos",
) -> FeatureSpace:
    """Return features with one row per scan of a time series, built separately in every run.

    What happens when: rows of ``features`` that carry an ``onset`` (s from the start of their run; ``run``, ``duration``
    optional) are placed by it; other features are placed by the ``events`` of the responses, matched by stimulus_id. A scan is
    acquired at ``time`` of the samples (s from the start of the run; else its position times the step) plus the frame time: half a
    TR for fMRI, 0 for electrophysiology, or ``responses.provenance["frame_time"]`` in seconds.

    - ``hrf``: x(t) = Σ_e f_e ∫ h(t − s) over the duration of event e, with nilearn's oversampled response function h.
    - ``delays``: finite impulse response; block d of the columns holds the features at t − d: of events, the share of the
      scan's interval that each fills (an event without duration counts 1 in its interval); of onset-timed rows, ``resample``.

    Nothing crosses a run boundary; before the first event the features are zero.

    Parameters
    ----------
    features : FeatureSpace of (n_stimuli or n_frames, n_features)
    responses : Responses of (n_samples, n_targets)
        A time series, with ``events`` unless the features carry onsets, and the column ``run`` where there are several.
    delays : sequence of float, optional
        Seconds, 0 or more.
    hrf : {"glover", "spm"}, optional
        Instead of delays.
    resample : {"lanczos", "mean", None}
        Of onset-timed features with delays: a Lanczos low-pass (3 lobes, cut-off half the sampling rate, a weighted sum), the
        mean of the rows within the scan's interval, or None where there is exactly one row a scan.

    Returns
    -------
    FeatureSpace of shape (n_samples, n_features · n_delays)
        ``rows="sample"``; ``features`` has the column ``delay`` (s).

    Raises
    ------
    InputError
        For trials, for negative delays, for both or neither of delays and hrf on fMRI, for runs without events, and for events without features.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> events = {"onset": [0.0], "duration": [2.0], "stimulus_id": ["a"], "run": [1]}
    >>> brain = be.Responses(np.zeros((4, 1)), {"run": [1] * 4}, t_r=2.0, events=events)
    >>> layer = be.FeatureSpace(np.array([[3.0]]), {"stimulus_id": ["a"]})
    >>> design(layer, brain, delays=[0, 2]).values.tolist()
    [[3.0, 0.0], [0.0, 3.0], [0.0, 0.0], [0.0, 0.0]]
    """
    lags = _check(features, responses, delays, hrf, resample)
    timed = "onset" in features.samples.columns
    items, rows = _timed_rows(features, responses) if timed else _events(features, responses)
    values = np.asarray(features.values)
    values = values if values.dtype == np.float32 else values.astype(np.float64)
    out = np.zeros((responses.n_samples, values.shape[1] * len(lags)), dtype=values.dtype)
    n_empty = 0
    for run in _runs(responses):
        mine = np.flatnonzero(items["run"].to_numpy() == run.label)
        if not len(mine):
            fix = f"check the labels of run, or leave the run out with responses.rows(…); known: {examples(pd.unique(items['run']), 8)}"
            raise InputError("a run of the responses has no events", where=f"design, responses {responses.name!r}", got=f"run {run.label!r}", fix=fix)
        table = items.iloc[mine]
        for block, lag in enumerate(lags):
            weights = _weights(run.times, table, responses.step, lag=lag, hrf=hrf, resample=resample if timed else "overlap")
            n_empty += int((~weights.any(axis=1)).sum())
            columns = slice(block * values.shape[1], (block + 1) * values.shape[1])
            out[run.rows, columns] = weights.astype(values.dtype) @ values[rows[mine]]
    how = {"hrf": hrf, "delays": None if hrf else list(lags), "frame_time": _frame_time(responses), "resample": resample if timed and not hrf else None}
    return _space(out, responses.samples, features, lags if not hrf else None, {"design": {**how, "n_rows_without_input": n_empty}})


def delay_space(features: FeatureSpace, delays: Sequence[float], *, step: float) -> FeatureSpace:
    """Return features of scans shifted by each delay, side by side: row j of a run gets row j − d / step of the same run, or zero.

    Parameters
    ----------
    features : FeatureSpace with one row a scan
        ``samples`` has the column ``run`` where there are several.
    delays : sequence of float
        Seconds, multiples of ``step``; a negative one looks ahead.
    step : float
        Seconds between rows.

    Raises
    ------
    InputError
        When rows are stimuli, or a delay is no multiple of the step.
    """
    lags = _delays(delays)
    if features.rows != "sample":
        raise InputError("only features with one row per scan can be delayed", where=f"features {features.name!r}", fix="call brainenc.design first")
    if not (np.isfinite(step) and step > 0):
        raise InputError("step must be a positive number of seconds", where="delay_space", got=step)
    shifts = [round(lag / step) for lag in lags]
    for lag, shift in zip(lags, shifts, strict=True):
        if not np.isclose(shift * step, lag):
            raise InputError("delay is no multiple of the step", where="delay_space", expected=f"multiples of {step} s", got=f"{lag} s")
    values = np.asarray(features.values)
    blocks = []
    for shift in shifts:
        block = np.zeros_like(values)
        for rows in _run_rows(features.samples, features.name):
            n = max(0, len(rows) - abs(shift))
            target, source = (rows[shift:], rows[:n]) if shift >= 0 else (rows[:n], rows[-shift:])
            block[target[:n]] = values[source[:n]]
        blocks.append(block)
    return _space(np.concatenate(blocks, axis=1), features.samples, features, lags, {"delays": list(lags), "step": step})


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    label: str
    rows: npt.NDArray[np.intp]
    times: Floats


def _check(features: FeatureSpace, responses: Responses, delays: Any, hrf: str | None, resample: str | None) -> list[float]:
    where = f"design, responses {responses.name!r}"
    if not responses.is_time_series:
        raise InputError("trials need no design: their rows are matched by stimulus_id", where=where, fix="pass the features to score_layers as they are")
    if features.rows == "sample" and "onset" not in features.samples.columns:
        raise InputError("features have one row per sample already", where=where, fix="use features.delay(delays, step=…) to delay them")
    if hrf is not None:
        one_of(hrf, HRF_MODELS, "hrf")
    one_of(resample, RESAMPLE, "resample")
    if hrf is not None and delays is not None:
        raise InputError("give delays or hrf, not both", where=where, got=f"hrf={hrf!r}, delays={list(delays)}")
    if hrf is None and delays is None:
        if responses.t_r is not None:
            raise InputError("the BOLD response lags the stimulus by seconds", where=where, fix='pass hrf="glover", or delays=[2, 4, 6, 8] (seconds)')
        return [0.0]
    lags = [0.0] if delays is None else _delays(delays)
    if min(lags) < 0:
        fix = "give delays of 0 s or more"
        raise InputError("a negative delay predicts responses from stimuli that come after them", where=where, got=f"delays={lags}", fix=fix)
    return lags


def _delays(delays: Sequence[float]) -> list[float]:
    lags = [float(d) for d in delays]
    if not lags or not np.isfinite(lags).all() or len(set(lags)) < len(lags):
        raise InputError("delays are different numbers of seconds", where="delays", got=list(delays))
    return lags


def _events(features: FeatureSpace, responses: Responses) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    where = f"responses {responses.name!r} with features {features.name!r}"
    if responses.events is None:
        raise InputError("nothing says when the stimuli were shown", where=where, expected="events (onset, duration, stimulus_id, run)", got="none")
    events = responses.events.assign(run=_run_labels(responses.events))
    rows = positions_of(list(events["stimulus_id"]), list(features.samples["stimulus_id"]), "stimulus_ids of the events", where)
    return events[["run", "onset", "duration"]], rows


def _timed_rows(features: FeatureSpace, responses: Responses) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    samples = features.samples
    if "run" not in samples.columns and len(list(_run_rows(responses.samples, responses.name))) > 1:
        need_column(samples, "run", f"features {features.name!r} samples, as the responses have several runs")
    onset = pd.to_numeric(samples["onset"], errors="coerce")
    if onset.isna().any():
        raise InputError(f"onset is not a number in {int(onset.isna().sum())} rows", where=f"features {features.name!r} samples")
    duration = pd.to_numeric(samples["duration"]) if "duration" in samples.columns else 0.0
    run = _run_labels(samples) if "run" in samples.columns else next(_runs(responses)).label
    return pd.DataFrame({"run": run, "onset": onset, "duration": duration}), np.arange(len(samples))


def _run_labels(table: pd.DataFrame) -> pd.Series:
    """Return run labels as text, so that 1, 1.0 and "1" are one run."""
    return table["run"].map(lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else str(v))


def _run_rows(samples: pd.DataFrame, name: str) -> Iterator[npt.NDArray[np.intp]]:
    if "run" not in samples.columns:
        yield np.arange(len(samples))
        return
    labels = _run_labels(samples).to_numpy()
    edges = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1], True])
    if len(edges) - 1 != len(set(labels)):
        fix = "sort by run, or give runs of different sessions different labels"
        raise InputError("rows of a run do not stand together", where=f"samples of {name!r}", fix=fix)
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        yield np.arange(start, stop)


def _runs(responses: Responses) -> Iterator[_Run]:
    labels = _run_labels(responses.samples).to_numpy() if "run" in responses.samples.columns else None
    if labels is None and responses.events is not None and responses.events["run"].nunique() > 1:
        need_column(responses.samples, "run", f"responses {responses.name!r} samples, as the events have several runs")
    for rows in _run_rows(responses.samples, responses.name):
        if "time" in responses.samples.columns:
            starts = responses.samples["time"].to_numpy(dtype=np.float64)[rows]
            if not np.isfinite(starts).all() or (np.diff(starts) <= 0).any():
                raise InputError("time of the scans must rise within each run", where=f"responses {responses.name!r} samples")
        else:
            starts = np.arange(len(rows)) * responses.step
        only = str(_run_labels(responses.events).iloc[0]) if labels is None and responses.events is not None and len(responses.events) else "1"
        yield _Run(only if labels is None else str(labels[rows[0]]), rows, starts + _frame_time(responses))


def _frame_time(responses: Responses) -> float:
    given = responses.provenance.get("frame_time")
    if given is not None:
        return float(given)
    return responses.step / 2 if responses.t_r is not None else 0.0


def _weights(times: Floats, items: pd.DataFrame, step: float, *, lag: float, hrf: str | None, resample: str | None) -> Floats:
    """Return how much each item (event or onset-timed row) contributes to each scan: (n_scans, n_items)."""
    onset, duration = items["onset"].to_numpy(dtype=np.float64), items["duration"].to_numpy(dtype=np.float64)
    if hrf is not None:
        return _convolved(times, onset, duration, step, hrf)
    at = times - lag
    if resample == "overlap":
        return _overlap(at, onset, duration, step)
    if resample == "lanczos":
        return _lanczos(at, onset, step)
    inside = _within(at, onset, step)
    count = inside.sum(axis=1, keepdims=True)
    if resample is None:
        first = (at - step / 2 >= onset.min() - 1e-9) & (at + step / 2 <= onset.max() + 1e-9)
        if (count[first] != 1).any() or count.max() > 1:
            got = f"{int(count.min())} to {int(count.max())} rows a scan"
            raise InputError("features do not have one row per scan", where="design", got=got, fix='pass resample="lanczos" or "mean"')
    return inside / np.maximum(count, 1)


def _convolved(times: Floats, onset: Floats, duration: Floats, step: float, hrf: str) -> Floats:
    """Return the response to each event alone with amplitude 1; features then only weight them, as convolution is linear."""
    # nilearn's fine grid hangs on the scans it is given: scans that were cut from a run are computed with the whole run
    first = times[0] % step
    place = np.rint((times - first) / step).astype(np.intp)
    start = min(0, int(place[0]))  # scans before the zero of the clock
    if not np.allclose(first + place * step, times):
        return np.stack([_regressor(tuple(times), float(s), float(d), hrf) for s, d in zip(onset, duration, strict=True)], axis=1)
    whole = tuple(first + np.arange(start, max(int(place[-1]), start + 1) + 1) * step)  # at least two, or there is no grid
    return np.stack([_regressor(whole, float(s), float(d), hrf) for s, d in zip(onset, duration, strict=True)], axis=1)[place - start]


@lru_cache(maxsize=8192)
def _regressor(times: tuple[float, ...], onset: float, duration: float, hrf: str) -> Floats:
    """Return nilearn's regressor of one event; kept, because every layer of a model needs the same ones."""
    from nilearn.glm.first_level import compute_regressor

    event = (np.array([onset]), np.array([duration]), np.array([1.0]))
    return compute_regressor(event, hrf, np.array(times), oversampling=50, min_onset=min(-24.0, onset - times[0] - 1.0))[0][:, 0]


def _overlap(at: Floats, onset: Floats, duration: Floats, step: float) -> Floats:
    low, high = at[:, None] - step / 2, at[:, None] + step / 2
    share = np.clip(np.minimum(high, onset + duration) - np.maximum(low, onset), 0.0, None) / step
    return np.where(duration[None] > 0, share, _within(at, onset, step).astype(np.float64))


def _within(at: Floats, onset: Floats, step: float) -> npt.NDArray[np.bool_]:
    """Return which onsets lie in which scan's interval; one at an edge, rounding aside, belongs to the later scan alone."""
    place = (onset[None] - at[:, None]) / step + 0.5 + 1e-6
    return (place >= 0) & (place < 1)


def _lanczos(at: Floats, onset: Floats, step: float) -> Floats:
    """w(u) = sinc(u) sinc(u / 3) for |u| < 3, u the distance in scans (Duchon 1979)."""
    distance = (at[:, None] - onset[None]) / step
    return np.where(np.abs(distance) < LANCZOS_LOBES, np.sinc(distance) * np.sinc(distance / LANCZOS_LOBES), 0.0)


def _space(values: npt.NDArray[Any], samples: pd.DataFrame, features: FeatureSpace, lags: list[float] | None, record: dict[str, Any]) -> FeatureSpace:
    base = pd.DataFrame({"feature": np.arange(features.n_features)}) if features.features is None else features.features
    table = base if lags is None else pd.concat([base.assign(delay=lag) for lag in lags], ignore_index=True)
    return FeatureSpace(values, samples, name=features.name, features=table, rows="sample", provenance={**features.provenance, **record})
