"""RDMs in time: one for every moment, and how the code of one moment generalises to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import human_bytes, one_of, parse_bytes
from brainenc.core.errors import InputError
from brainenc.linalg.device import resolve_device, to_numpy
from brainenc.linalg.distances import Cells, cross_time_distances
from brainenc.linalg.plan import free_memory
from brainenc.nouns import Responses
from brainenc.nouns.rdms import RDMs, frozen
from brainenc.nouns.tables import need_column
from brainenc.rsa._blocks import cells_of
from brainenc.rsa._choices import How, choices
from brainenc.rsa._noises import Noises, as_model, estimated, noise_for_groups, per_fold
from brainenc.rsa._trials import Labels, Trials, datasets, each, labelled, with_times
from brainenc.rsa.building import build, described
from brainenc.rsa.noise import METHODS, NoiseModel

OPTIONS = ("squared", "per_channel", "nan", "weights", "weighting", "center", "prior", "name", "join", "memory", "device")


def rdm_movie(
    X: Any,
    times: npt.ArrayLike | None = None,
    *,
    metric: str = "correlation",
    conditions: Any = None,
    folds: Any = None,
    noise: Any = None,
    noise_window: str | tuple[float, float] = "pooled",
    by: str | Sequence[str] | None = None,
    window: float | None = None,
    step: float | None = None,
    bins: Sequence[tuple[float, float]] | None = None,
    **options: Any,
) -> RDMs:
    """Return one RDM for every moment, all moments in batched products.

    Parameters
    ----------
    X : array, Responses, mne Epochs or list of Evoked, or a list or mapping of these
        Arrays are (n_samples, n_channels, n_times). Responses have (channel, time) targets: a `SensorSpace`, a `ContactSpace` with times, or a column
        ``time`` of the targets, with the same channels at each time. All arguments hold for every data set.
    times : array_like of shape (n_times,), optional
        Seconds; 0, 1, 2 … when not given. Responses and mne objects bring theirs.
    metric, conditions, folds : optional
        As for `brainenc.rsa.rdm`.
    noise : NoiseModel, array, str, sequence or mapping, optional
        One model (or precision matrix) for all times; a sequence with one for each moment (after windows and bins), each of which may be a
        mapping per fold; {fold: model} for all times; or a method of `brainenc.rsa.noise_model`, to estimate it from the trials less
        the mean of their condition (and fold, where cells have repeats).
    noise_window : {"pooled", "each"} or (float, float)
        Which moments an estimated noise comes from: all together, each its own, or those from start to stop in seconds (a baseline).
    by : str or sequence of str, optional
        Further columns of the targets of Responses (``"roi"``): a movie for each value.
    window, step : float, optional
        Seconds. Patterns are means over a sliding window of this width, every ``step`` (each sample when not given); only windows that lie
        within the times.
    bins : sequence of (start, stop), optional
        Means over start ≤ time < stop, instead of windows.
    **options
        squared, per_channel, nan, weights, weighting, center, prior, name, join, memory and device of `brainenc.rsa.rdm`.

    Returns
    -------
    RDMs
        ``rdms`` has the column ``time`` (the middle of windows and bins, with ``time_start`` and ``time_stop``), beside subject and ``by``.

    Raises
    ------
    InputError
        Times that do not fit, windows without samples, channels that differ between times, and as for `brainenc.rsa.rdm`.

    Examples
    --------
    >>> import numpy as np
    >>> movie = rdm_movie(np.random.default_rng(0).standard_normal((4, 8, 5)), [0.0, 0.1, 0.2, 0.3, 0.4], metric="euclidean")
    >>> movie.rdms["time"].tolist(), movie.values.shape
    ([0.0, 0.1, 0.2, 0.3, 0.4], (5, 6))
    """
    how, rest = _how(metric, folds, noise, options)
    parts = []
    for clip, own in _clips(X, times, conditions, folds, noise, by, how, rest):
        moments = windows(clip.times, window, step, bins)
        part = _at_moments(clip, moments)
        parts.append(build(part, _noises(own, part, moments, noise_window, how), how, described(noise)))
    return RDMs.concat(parts, join=rest.get("join", "same"))


def temporal_generalization(
    X: Any,
    times: npt.ArrayLike | None = None,
    *,
    conditions: Any = None,
    folds: Any = None,
    noise: Any = None,
    noise_window: str | tuple[float, float] = "pooled",
    by: str | Sequence[str] | None = None,
    window: float | None = None,
    step: float | None = None,
    bins: Sequence[tuple[float, float]] | None = None,
    **options: Any,
) -> RDMs:
    """Return the crossnobis distance between every two moments.

    d_ij(t, t') is the mean over ordered pairs of folds m ≠ l of (a_mi(t) − a_mj(t)) Σ⁻¹ (a_li(t') − a_lj(t'))'/p, a the means of a fold: how far
    the difference between i and j at t is still there at t'. On the diagonal it is the crossnobis movie. As each pair of folds comes
    in both orders and Σ is one for all times, d(t, t') = d(t', t): neither time is the training time. Negative values are differences that
    turn around (or noise, of which the expected value is 0).

    Parameters
    ----------
    X, times, conditions, folds, noise_window, by, window, step, bins, **options
        As for `rdm_movie`; options without ``nan`` (values must be finite).
    noise : NoiseModel, array or str, optional
        One for all times.

    Returns
    -------
    RDMs
        One row for each ordered pair of times, ``time`` and ``time_test``. Mean over pairs as a square, for one subject:
        ``found.values.mean(axis=1).reshape(n_times, n_times)``.

    Raises
    ------
    InputError
        As for `rdm_movie`; a result that does not fit into memory (fewer times with ``bins``).

    Examples
    --------
    >>> import numpy as np
    >>> trials = np.random.default_rng(0).standard_normal((8, 5, 3))
    >>> found = temporal_generalization(trials, conditions=list("abababab"), folds=[0, 0, 1, 1, 2, 2, 3, 3])
    >>> found.rdms.shape, bool(np.allclose(found.values.reshape(3, 3), found.values.reshape(3, 3).T))
    ((9, 2), True)

    References
    ----------
    King & Dehaene 2014, doi:10.1016/j.tics.2014.01.002 (generalisation in time); its form for crossnobis is ours.
    """
    how, rest = _how("crossnobis", folds, noise, options)
    if how.nan != "raise":
        raise InputError("values must be finite", where="temporal_generalization", got=f"nan={how.nan!r}")
    parts = []
    for clip, own in _clips(X, times, conditions, folds, noise, by, how, rest):
        moments = windows(clip.times, window, step, bins)
        part = _at_moments(clip, moments)
        noises = _noises(own, part, moments, noise_window, how)
        if not noises.shared or isinstance(noises.models[0], list):
            raise InputError("generalisation in time needs one noise model for all times and folds", where="noise", fix='noise_window="pooled"')
        parts.append(_generalized(part, noises.models[0], how, described(noise)))
    return RDMs.concat(parts, join=rest.get("join", "same"))


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Which samples are averaged: ``weights`` (n_moments, n_times), None where moments are the samples; ``table`` with ``time``."""

    weights: npt.NDArray[np.float64] | None
    table: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class _Clip:
    """Trials of one data set whose groups are times, and the times (n_times,)."""

    part: Trials
    times: npt.NDArray[np.float64]


def windows(
    times: npt.NDArray[np.float64], window: float | None = None, step: float | None = None, bins: Sequence[tuple[float, float]] | None = None
) -> Moments:
    """Return the moments of sliding windows or bins over samples at ``times`` (s), or of the samples themselves."""
    if window is None and bins is None:
        if step is not None:
            raise InputError("step moves a window", where="rdm_movie", got=f"step={step} without window", fix="give window= as well")
        return Moments(None, pd.DataFrame({"time": times}))
    if bins is not None and (window is not None or step is not None):
        raise InputError("give either bins or a window", where="rdm_movie")
    if bins is None:
        edges, closed = _sliding(times, float(window or 0.0), step), True
    else:
        edges, closed = _edges(bins), False
    slack = 1e-9 * max(1.0, float(np.abs(times).max()))
    inside = np.array([(times >= a - slack) & ((times <= b + slack) if closed else (times < b - slack)) for a, b in edges], dtype=bool)
    n = inside.sum(axis=1) if len(inside) else np.zeros(1, dtype=int)
    if not n.all():
        at = edges[int(np.flatnonzero(n == 0)[0])] if len(inside) else "no window"
        span = f"times from {times[0]:g} to {times[-1]:g} s"
        raise InputError("a window or bin holds no sample", where="rdm_movie", expected=span, got=at, fix="are both in seconds?")
    table = pd.DataFrame({"time": [(a + b) / 2 for a, b in edges], "time_start": [a for a, _ in edges], "time_stop": [b for _, b in edges]})
    return Moments(inside / n[:, None], table)


def _edges(bins: Any) -> list[tuple[float, float]]:
    try:
        return [(float(start), float(stop)) for start, stop in bins]
    except (TypeError, ValueError):
        raise InputError("bins are pairs of seconds", where="rdm_movie", expected="[(0.0, 0.1), (0.1, 0.2)]", got=repr(bins)) from None


def _sliding(times: npt.NDArray[np.float64], width: float, step: float | None) -> list[tuple[float, float]]:
    if not width > 0 or (step is not None and not step > 0):
        raise InputError("window and step are positive seconds", where="rdm_movie", got=(width, step))
    slack = 1e-9 * max(1.0, float(np.abs(times).max()))
    last = times[-1] - width + slack
    starts = times[times <= last] if step is None else np.arange(times[0], last + slack, step)
    return [(float(start), float(start + width)) for start in starts]


def _how(metric: str, folds: Any, noise: Any, options: Mapping[str, Any]) -> tuple[How, dict[str, Any]]:
    for option in options:
        one_of(option, OPTIONS, "option of rdm_movie")
    rest = {name: options[name] for name in ("weights", "name", "join") if name in options}
    return choices(metric, folds=folds, noise=noise, **{name: value for name, value in options.items() if name not in rest}), rest


def _clips(
    X: Any, times: Any, conditions: Any, folds: Any, noise: Any, by: Any, how: How, rest: Mapping[str, Any]
) -> list[tuple[_Clip, Any]]:  # fmt: skip
    """Return every data set (and value of ``by``) as trials × channels at each time, with its share of the noise."""
    out = []
    sets = datasets(X, rest.get("name"))
    keys = [key for key, _, _ in sets]
    for position, (_, facts, data) in enumerate(sets):
        own_conditions, own_folds, own_weights = (each(option, keys, position) for option in (conditions, folds, rest.get("weights")))
        labels = Labels(own_conditions, own_folds, own_weights, how.estimator.CROSSVALIDATED)
        own = noise if isinstance(noise, list | tuple) and len(keys) == 1 else each(noise, keys, position)
        if isinstance(data, Responses):
            if times is not None:
                raise InputError("the responses bring their times", where="rdm_movie", got="times=")
            out += [(clip, own) for clip in _clips_of_responses(data, facts, labels, by)]
            continue
        if by is not None:
            raise InputError("by names columns of the targets of Responses", where="rdm_movie", got=f"by={by!r} with {type(data).__name__}")
        values = data.detach().cpu().numpy() if hasattr(data, "detach") else np.asanyarray(data)
        if values.ndim != 3 or values.dtype.kind not in "fiub":
            got = f"shape {values.shape}, dtype {values.dtype}"
            raise InputError("a movie needs three axes of real numbers", where="rdm_movie", expected="(n_samples, n_channels, n_times)", got=got)
        when = np.arange(values.shape[2], dtype=np.float64) if times is None else times
        made = labelled(len(values), labels, samples=None, default=None, where="rdm_movie")
        rows = pd.DataFrame([facts] * values.shape[2], index=range(values.shape[2]))
        part = Trials(np.moveaxis(values, -1, 0), **made, rows=rows, channels=None, name=str(facts.get("subject", "array")))
        out.append((_Clip(part, _checked(when, values.shape[2])), own))
    return out


def _clips_of_responses(data: Responses, facts: dict[str, Any], labels: Labels, by: Any) -> list[_Clip]:
    data = with_times(data)
    need_column(data.targets, "time", f"targets of Responses {data.name!r}, for an RDM movie")
    columns = [] if by is None else [by] if isinstance(by, str) else list(by)
    for column in columns:
        need_column(data.targets, column, f"targets of Responses {data.name!r}")
    made = labelled(data.n_samples, labels, samples=data.samples, default="stimulus_id", where=f"Responses {data.name!r}")
    codes = data.targets.groupby(columns, sort=False, dropna=False).ngroup().to_numpy() if columns else np.zeros(data.n_targets, dtype=int)
    clips = []
    for code in range(int(codes.max()) + 1):
        mine = np.flatnonzero(codes == code)
        when = np.unique(data.targets["time"].to_numpy(dtype=np.float64)[mine])
        index = _channels_at(data.targets.iloc[mine].reset_index(drop=True), when, data.name)
        index = mine[index]
        values = np.moveaxis(np.asarray(data.values)[:, index], 1, 0)
        rows = pd.DataFrame([{**facts, **data.targets.iloc[mine[0]][columns].to_dict()}] * len(when), index=range(len(when)))
        clips.append(_Clip(Trials(values, **made, rows=rows, channels=index, name=data.name), _checked(when, len(when))))
    return clips


def _channels_at(targets: pd.DataFrame, when: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.intp]:
    """Return places (n_times, n_channels) among the targets, channels in one order at every time."""
    where = f"targets of Responses {name!r}"
    if "channel" not in targets and len(when) > 1:
        raise InputError("targets need a column that says which channel each is", where=where, expected='a column "channel"', got=list(targets.columns)[:8])
    channel = pd.factorize(targets["channel"])[0] if "channel" in targets else np.arange(len(targets))
    place = np.searchsorted(when, targets["time"].to_numpy(dtype=np.float64))
    index = np.full((len(when), int(channel.max()) + 1), -1, dtype=np.intp)
    index[place, channel] = np.arange(len(targets))
    if (index < 0).any() or index.size != len(targets):
        raise InputError(
            "channels differ between times", where=where, expected=f"{index.shape[1]} channels at each of {len(when)} times", got=f"{len(targets)} targets",
            fix='brainenc.rsa.rdm(…, by="time") takes whatever channels there are',
        )  # fmt: skip
    return index


def _checked(given: Any, n: int) -> npt.NDArray[np.float64]:
    what, expected = "times are increasing seconds, one for each sample", f"{n} numbers"
    try:
        times = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(what, where="rdm_movie", expected=expected, got=repr(given)) from None
    if times.shape != (n,):
        raise InputError(what, where="rdm_movie", expected=expected, got=f"shape {times.shape}")
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        first = int(np.flatnonzero(~(np.diff(times) > 0))[0]) if n > 1 else 0
        raise InputError(what, where="rdm_movie", expected=expected, got=f"{times[first]:g} before {times[min(first + 1, n - 1)]:g} at position {first}")
    return times


def _at_moments(clip: _Clip, moments: Moments) -> Trials:
    part = clip.part
    n_times, n_samples, p = part.values.shape
    rows = pd.concat([part.rows.iloc[np.zeros(len(moments.table), dtype=int)].reset_index(drop=True), moments.table], axis=1)
    if moments.weights is None:
        return replace(part, rows=rows)
    flat = np.asarray(part.values).reshape(n_times, -1)
    dtype = flat.dtype if flat.dtype in (np.float32, np.float64) else np.float64
    # a product would spread a missing value over all moments, as 0 × NaN is NaN
    means = np.stack([flat[weight > 0].mean(axis=0, dtype=dtype) for weight in moments.weights])
    channels = None if part.channels is None else part.channels[np.zeros(len(means), dtype=int)]
    return replace(part, values=means.reshape(-1, n_samples, p), rows=rows, channels=channels)


def _noises(noise: Any, part: Trials, moments: Moments, window: str | tuple[float, float], how: How) -> Noises:
    """Return the noise of the moments: one for all, or one for each."""
    if isinstance(window, str):
        one_of(window, ("pooled", "each"), "noise_window")
    if isinstance(noise, bool | str):
        method = METHODS[0] if noise is True else str(one_of(noise, METHODS, "noise"))
        if window == "each":
            return Noises([estimated(part, [group], method, warn=group == 0) for group in range(len(part.values))], shared=False)
        chosen = np.arange(len(part.values)) if isinstance(window, str) else _between(moments, window)
        return Noises([estimated(part, chosen, method)], shared=True)
    if isinstance(noise, list | tuple):
        if len(noise) != len(part.values):
            raise InputError("noise models and times differ in number", where="rdm_movie", expected=f"{len(part.values)} moments", got=len(noise))
        models = [per_fold(one, part, how.metric) if isinstance(one, Mapping) else as_model(one) for one in noise]
        for model in models:
            _fits(model[0] if isinstance(model, list) else model, part)
        return Noises(list(models), shared=False)
    return noise_for_groups(noise, replace(part, channels=None), how.metric)


def _between(moments: Moments, window: tuple[float, float]) -> npt.NDArray[np.intp]:
    start, stop = window
    chosen = np.flatnonzero((moments.table["time"] >= start) & (moments.table["time"] <= stop))
    if not len(chosen):
        raise InputError("no moment is in the window of the noise", where="noise_window", got=(start, stop), fix="it is in seconds")
    return chosen


def _fits(model: NoiseModel, part: Trials) -> None:
    if model.n_channels != part.values.shape[2]:
        raise InputError(
            "patterns and noise model have different channels", where=f"noise of {part.name!r}", expected=part.values.shape[2], got=model.n_channels
        )


def _generalized(part: Trials, noise: Any, how: How, words: str) -> RDMs:
    n_times, _, p = part.values.shape
    n_pairs = part.n_conditions * (part.n_conditions - 1) // 2
    needed = n_times * n_times * n_pairs * 8 + 8 * n_times * part.n_conditions**2 * 6 + 6 * part.values.nbytes
    budget = free_memory() // 2 if how.memory is None else parse_bytes(how.memory)
    if needed > budget:
        fix = "use fewer times with window=, step= or bins="
        raise InputError(
            "the distances between all times do not fit into memory", where="memory", expected=human_bytes(needed), got=human_bytes(budget), fix=fix
        )
    device = resolve_device(how.device)
    cells: Cells = cells_of(part, how, device)
    if noise is not None:
        cells = cells._replace(sums=noise.whitener(device)(cells.sums))
    values = np.empty((n_times, n_times, n_pairs))
    scale = 1.0 / p if how.per_channel else 1.0
    for first in range(n_times):
        found = to_numpy(cross_time_distances(cells, first)) * scale
        values[first, first:] = values[first:, first] = found
    if not how.squared:
        values = np.sign(values) * np.sqrt(np.abs(values))
    a, b = np.indices((n_times, n_times)).reshape(2, -1)
    rows = part.rows.iloc[a].reset_index(drop=True).assign(time_test=part.rows["time"].to_numpy()[b])
    facts = {"squared": how.squared, "per_channel": how.per_channel, "noise": words, "n_folds": len(part.folds)}
    return RDMs(frozen(values.reshape(-1, n_pairs)), part.table, rows, how.metric, facts)
