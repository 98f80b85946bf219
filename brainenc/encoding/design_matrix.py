"""One row of features per scan: haemodynamic convolution, delays and resampling, built inside each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import InputError
from brainenc.encoding.delays import Delays, as_delays
from brainenc.loaders.hrf import Hrf, HrfModel, convolved, response_functions
from brainenc.loaders.series import frame_time, run_labels, run_rows
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.responses import Responses
from brainenc.nouns.tables import need_column, positions_of

RESAMPLE = ("lanczos", "mean", None)
LANCZOS_LOBES = 3
Floats = npt.NDArray[np.float64]


def design(
    features: FeatureSpace,
    responses: Responses,
    *,
    delays: Sequence[float] | Delays | None = None,
    hrf: HrfModel | None = None,
    resample: str | None = "lanczos",
) -> FeatureSpace:
    """Return features with one row per scan of a time series, built separately in every run.

    What happens when: rows of ``features`` that carry an ``onset`` (s from the start of their run; ``run``, ``duration``
    optional) are placed by it; other features are placed by the ``events`` of the responses, matched by stimulus_id. A scan is
    acquired at ``time`` of the samples (s from the start of the run; else its position times the step) plus the frame time: half a
    TR for fMRI, 0 for electrophysiology, or ``responses.provenance["frame_time"]`` in seconds.

    - ``hrf``: x(t) = Σ_e f_e ∫ h(t − s) over the duration of event e, with nilearn's oversampled response function h; derivatives of h
      give further blocks of columns, not made orthogonal to the first.
    - ``delays``: finite impulse response; block d of the columns holds the features at t − d: of events, the share of the
      scan's interval that each fills (an event without duration counts 1 in its interval); of onset-timed rows, ``resample``.

    Nothing crosses a run boundary; before the first event the features are zero. Where features are many, ``delays=[0]`` and then
    `compact_delays` give the same ridge without the wide matrix.

    Parameters
    ----------
    features : FeatureSpace of (n_stimuli or n_frames, n_features)
    responses : Responses of (n_samples, n_targets)
        A time series, with ``events`` unless the features carry onsets, and the column ``run`` where there are several.
    delays : sequence of float or Delays, optional
        Seconds, 0 or more; weights of a `Delays` scale the blocks by their square root.
    hrf : str or Hrf, optional
        Instead of delays: ``"glover"``, ``"spm"``, either with ``" + derivative"`` or ``" + derivative + dispersion"``, or a double gamma
        (one for each target: `brainenc.loaders.choose_hrf` tells which).
    resample : {"lanczos", "mean", None}
        Of onset-timed features with delays: a Lanczos low-pass (3 lobes, cut-off half the sampling rate, a weighted sum), the
        mean of the rows within the scan's interval, or None where there is exactly one row a scan.

    Returns
    -------
    FeatureSpace of shape (n_samples, n_features · n_delays)
        ``rows="sample"``; ``features`` has the column ``delay`` (s), or ``response`` where an HRF has derivatives.

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
    blocks = _check(features, responses, delays, hrf, resample)
    timed = "onset" in features.samples.columns
    items, rows = _timed_rows(features, responses) if timed else _events(features, responses)
    values = np.asarray(features.values)
    values = values if values.dtype == np.float32 else values.astype(np.float64)
    out = np.zeros((responses.n_samples, values.shape[1] * len(blocks)), dtype=values.dtype)
    n_empty = 0
    for run in _runs(responses):
        mine = np.flatnonzero(items["run"].to_numpy() == run.label)
        if not len(mine):
            fix = f"check the labels of run, or leave the run out with responses.rows(…); known: {examples(pd.unique(items['run']), 8)}"
            raise InputError("a run of the responses has no events", where=f"design, responses {responses.name!r}", got=f"run {run.label!r}", fix=fix)
        table = items.iloc[mine]
        for place, block in enumerate(blocks):
            weights = block.scale * _weights(run.times, table, responses.step, block, resample if timed else "overlap")
            n_empty += int((~weights.any(axis=1)).sum())
            columns = slice(place * values.shape[1], (place + 1) * values.shape[1])
            out[run.rows, columns] = weights.astype(values.dtype) @ values[rows[mine]]
    how = {
        "hrf": repr(hrf) if isinstance(hrf, Hrf) else hrf, "delays": None if hrf else [block.lag for block in blocks],
        "frame_time": frame_time(responses), "resample": resample if timed and not hrf else None,
    }  # fmt: skip
    if isinstance(delays, Delays) and delays.weights is not None:
        how["delay_weights"] = list(delays.weights)
    columns_of = [("delay", block.lag) for block in blocks] if not hrf else [("response", block.name) for block in blocks] if len(blocks) > 1 else None
    return _space(out, responses.samples, features, columns_of, {"design": {**how, "n_rows_without_input": n_empty}})


def delay_space(features: FeatureSpace, delays: Sequence[float] | Delays, *, step: float) -> FeatureSpace:
    """Return features of scans shifted by each delay, side by side: row j of a run gets row j − d / step of the same run, or zero.

    Parameters
    ----------
    features : FeatureSpace with one row a scan
        ``samples`` has the column ``run`` where there are several.
    delays : sequence of float or Delays
        Seconds, multiples of ``step``; a negative one looks ahead. Weights of a `Delays` scale the blocks by their square root.
    step : float
        Seconds between rows.

    Raises
    ------
    InputError
        When rows are stimuli, or a delay is no multiple of the step.
    """
    lags = as_delays(delays)
    if features.rows != "sample":
        raise InputError("only features with one row per scan can be delayed", where=f"features {features.name!r}", fix="call brainenc.design first")
    shifts = lags.shifts(step)
    values = np.asarray(features.values)
    blocks = []
    for shift, scale in zip(shifts, lags.scales, strict=True):
        block = np.zeros_like(values)
        for rows in run_rows(features.samples, features.name):
            n = max(0, len(rows) - abs(shift))
            target, source = (rows[shift:], rows[:n]) if shift >= 0 else (rows[:n], rows[-shift:])
            block[target[:n]] = values[source[:n]]
        blocks.append(block if lags.weights is None else (block * scale).astype(np.float32 if block.dtype == np.float32 else np.float64))
    record = {"delays": list(lags.lags), "step": step} | ({} if lags.weights is None else {"delay_weights": list(lags.weights)})
    return _space(np.concatenate(blocks, axis=1), features.samples, features, [("delay", lag) for lag in lags.lags], record)


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One block of columns: the features at a lag (s), or through a response function."""

    lag: float
    key: HrfModel | None = None
    name: str = ""
    scale: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    label: str
    rows: npt.NDArray[np.intp]
    times: Floats


def _check(features: FeatureSpace, responses: Responses, delays: Any, hrf: HrfModel | None, resample: str | None) -> list[_Block]:
    where = f"design, responses {responses.name!r}"
    if not responses.is_time_series:
        raise InputError("trials need no design: their rows are matched by stimulus_id", where=where, fix="pass the features to score_layers as they are")
    if features.rows == "sample" and "onset" not in features.samples.columns:
        raise InputError("features have one row per sample already", where=where, fix="use features.delay(delays, step=…) to delay them")
    functions = [] if hrf is None else response_functions(hrf)
    one_of(resample, RESAMPLE, "resample")
    if hrf is not None and delays is not None:
        raise InputError("give delays or hrf, not both", where=where, got=f"hrf={hrf!r}, delays={delays!r}")
    if hrf is None and delays is None:
        if responses.t_r is not None:
            raise InputError("the BOLD response lags the stimulus by seconds", where=where, fix='pass hrf="glover", or delays=[2, 4, 6, 8] (seconds)')
        return [_Block(0.0)]
    if hrf is not None:
        return [_Block(0.0, key, name) for name, key in functions]
    lags = as_delays(delays)
    if min(lags.lags) < 0:
        fix = "give delays of 0 s or more"
        raise InputError("a negative delay predicts responses from stimuli that come after them", where=where, got=f"delays={list(lags.lags)}", fix=fix)
    return [_Block(lag, scale=scale) for lag, scale in zip(lags.lags, lags.scales, strict=True)]


def _events(features: FeatureSpace, responses: Responses) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    where = f"responses {responses.name!r} with features {features.name!r}"
    if responses.events is None:
        raise InputError("nothing says when the stimuli were shown", where=where, expected="events (onset, duration, stimulus_id, run)", got="none")
    events = responses.events.assign(run=run_labels(responses.events))
    rows = positions_of(list(events["stimulus_id"]), list(features.samples["stimulus_id"]), "stimulus_ids of the events", where)
    return events[["run", "onset", "duration"]], rows


def _timed_rows(features: FeatureSpace, responses: Responses) -> tuple[pd.DataFrame, npt.NDArray[np.intp]]:
    samples = features.samples
    if "run" not in samples.columns and len(list(run_rows(responses.samples, responses.name))) > 1:
        need_column(samples, "run", f"features {features.name!r} samples, as the responses have several runs")
    onset = pd.to_numeric(samples["onset"], errors="coerce")
    if onset.isna().any():
        raise InputError(f"onset is not a number in {int(onset.isna().sum())} rows", where=f"features {features.name!r} samples")
    duration = pd.to_numeric(samples["duration"]) if "duration" in samples.columns else 0.0
    run = run_labels(samples) if "run" in samples.columns else next(_runs(responses)).label
    return pd.DataFrame({"run": run, "onset": onset, "duration": duration}), np.arange(len(samples))


def _runs(responses: Responses) -> Iterator[_Run]:
    labels = run_labels(responses.samples).to_numpy() if "run" in responses.samples.columns else None
    if labels is None and responses.events is not None and responses.events["run"].nunique() > 1:
        need_column(responses.samples, "run", f"responses {responses.name!r} samples, as the events have several runs")
    for rows in run_rows(responses.samples, responses.name):
        if "time" in responses.samples.columns:
            starts = responses.samples["time"].to_numpy(dtype=np.float64)[rows]
            if not np.isfinite(starts).all() or (np.diff(starts) <= 0).any():
                raise InputError("time of the scans must rise within each run", where=f"responses {responses.name!r} samples")
        else:
            starts = np.arange(len(rows)) * responses.step
        only = str(run_labels(responses.events).iloc[0]) if labels is None and responses.events is not None and len(responses.events) else "1"
        yield _Run(only if labels is None else str(labels[rows[0]]), rows, starts + frame_time(responses))


def _weights(times: Floats, items: pd.DataFrame, step: float, block: _Block, resample: str | None) -> Floats:
    """Return how much each item (event or onset-timed row) contributes to each scan: (n_scans, n_items)."""
    onset, duration = items["onset"].to_numpy(dtype=np.float64), items["duration"].to_numpy(dtype=np.float64)
    if block.key is not None:
        return convolved(times, onset, duration, step, block.key)
    at = times - block.lag
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


def _space(
    values: npt.NDArray[Any], samples: pd.DataFrame, features: FeatureSpace, blocks: list[tuple[str, Any]] | None, record: dict[str, Any]
) -> FeatureSpace:
    base = pd.DataFrame({"feature": np.arange(features.n_features)}) if features.features is None else features.features
    table = base if blocks is None else pd.concat([base.assign(**{column: value}) for column, value in blocks], ignore_index=True)
    return FeatureSpace(values, samples, name=features.name, features=table, rows="sample", provenance={**features.provenance, **record})
