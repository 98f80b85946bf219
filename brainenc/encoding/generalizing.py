"""Temporal generalisation: how well the encoder of one moment predicts the responses of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, human_bytes, parse_bytes
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding._resampled import fold_rows, need_predictions
from brainenc.metrics._columns import CHUNK_BYTES, centred
from brainenc.nouns.scores import Scores
from brainenc.nouns.spaces import SensorSpace
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class TimeGeneralization:
    """Held-out correlations between the predictions of every moment and the responses of every other.

    Parameters
    ----------
    values : ndarray of shape (n_layers, n_channels, n_times, n_times)
        Training time by test time; the diagonal holds the scores. NaN where a target is missing or could not be scored.
    layers : tuple of str
        ``model/layer``.
    channels : DataFrame of n_channels rows
        subject, channel and n (channels behind the row: 1, or as many as were averaged).
    times : ndarray of shape (n_times,)
        Seconds.
    split, aggregate : str
        As in `Scores`.
    """

    values: Floats
    layers: tuple[str, ...]
    channels: pd.DataFrame
    times: Floats
    split: str
    aggregate: str

    def mean(self) -> Floats:
        """Return the mean over channels (n_layers, n_times, n_times), each subject weighing the same; channels that miss a pair are left out there."""
        subjects = self.channels["subject"].to_numpy()
        return _known_mean(np.stack([_known_mean(self.values[:, subjects == subject], 1) for subject in pd.unique(subjects)], axis=1), 1)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a subject, channel, model, layer, training time (``time``) and test time (``time_test``), with ``score`` and ``n``."""
        layer, channel, time, test = (axis.reshape(-1) for axis in np.indices(self.values.shape))
        model, name = (np.array([one.split("/", 1)[part] for one in self.layers], dtype=object) for part in (0, 1))
        return pd.DataFrame({
            "subject": self.channels["subject"].to_numpy()[channel], "channel": self.channels["channel"].to_numpy()[channel],
            "model": model[layer], "layer": name[layer], "time": self.times[time], "time_test": self.times[test],
            "score": self.values.reshape(-1), "n": self.channels["n"].to_numpy()[channel],
        })  # fmt: skip

    def __repr__(self) -> str:
        return f"TimeGeneralization({len(self.layers)} layers, {len(self.channels)} channels, {len(self.times)} times; {self.aggregate}, {self.split})"


def temporal_generalization(
    scores: Scores, *, layers: str | Sequence[str] | None = None, average: bool = False, memory: str | int | float = "2GB"
) -> TimeGeneralization:
    """Correlate the predictions of the encoder of each moment with the held-out responses of every moment of the same channel.

    G[l, c, t, t'] = corr(ŷ_{l,c,t}, y_{c,t'}) over test rows, as the product of unit columns (T × n)(n × T) for every channel.

    Parameters
    ----------
    scores : Scores
        With kept predictions (``score_layers(…, keep_predictions=True)``), whose targets are (channel, time) pairs: of a `SensorSpace`, or
        with columns ``channel`` and ``time`` (s).
    layers : str or sequence of str, optional
        ``"model/layer"``; all layers when not given.
    average : bool
        Keep the mean over the channels of a subject alone: for many channels and times. A channel that misses a pair is left out there.
    memory : str or number
        For the result; 2 GB by default. Working arrays take 64 MiB at a time more.

    Returns
    -------
    TimeGeneralization
        Means over folds, or, for pooled scores, one correlation over the test rows of all folds; NaN for a target that misses in one fold.

    Raises
    ------
    InputError
        Without kept predictions, channels and times; for two targets of one channel and time; for subjects with different times;
        where the result does not fit into ``memory``.
    NotFoundError
        For an unknown layer.

    Notes
    -----
    The encoder of t is not fitted again, and its penalty is the one chosen for t. G is not symmetric: training at t and testing at t' is another
    model than the reverse. Responses are autocorrelated through filters and slow noise, so that G is wide around the diagonal even where the
    signal is short; epochs that overlap make G high far from the diagonal, too. Rows t at which the diagonal is not above chance say nothing: an
    encoder of noise predicts some direction of the features, and correlation does not see how small the prediction is, so that such a row can be
    far from zero, of either sign, wherever there is signal.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> ids = [f"image{i}" for i in range(80)]
    >>> features = be.FeatureSpace(rng.standard_normal((80, 5)), {"stimulus_id": ids}, name="toy/one")
    >>> space = be.SensorSpace({"channel": ["Pz"]}, np.array([0.0, 0.1, 0.2]))
    >>> signal = features.values @ rng.standard_normal((5, 1)) * [0, 1, 1]  # one pattern from 0.1 s on
    >>> brain = be.Responses(signal + rng.standard_normal((80, 3)), {"stimulus_id": ids}, space=space)
    >>> scores = be.score_layers(features, brain, split=be.split.kfold(4), keep_predictions=True)
    >>> found = temporal_generalization(scores)
    >>> found.values.shape, bool((found.mean()[0, 1:, 1:] > 0.5).all())
    ((1, 1, 3, 3), True)

    References
    ----------
    King & Dehaene 2014, doi:10.1016/j.tics.2014.01.002 (generalisation of decoders in time); for encoders the formula is the same with
    predicted responses.
    """
    need_predictions(scores, "temporal_generalization", 1, 1)
    names = _layers(scores, layers)
    grids = {subject: _grid(scores, subject) for subject in scores.subjects}
    times = next(iter(grids.values()))[1]
    if any(len(one) != len(times) or not np.allclose(one, times, rtol=0, atol=1e-9) for _, one, _ in grids.values()):
        got = examples([f"{subject}: {len(grid[1])}" for subject, grid in grids.items()])
        raise InputError("subjects have different times", where="temporal_generalization", got=got, fix="select one: scores.where(subject=…)")
    n_rows = sum(1 if average else len(labels) for labels, _, _ in grids.values())
    need, limit = 8 * len(names) * n_rows * len(times) ** 2, parse_bytes(memory)
    if need > limit:
        raise InputError(
            "the result does not fit into memory", where="temporal_generalization", expected=human_bytes(limit), got=human_bytes(need),
            fix="average=True, fewer layers, or fewer times",
        )  # fmt: skip
    values, tables = [], []
    for subject, (labels, _, place) in grids.items():
        one = _averaged(scores, subject, names, place) if average else np.concatenate(list(_chunks(scores, subject, names, place)), axis=1)
        values.append(one)
        channels = [f"mean of {len(labels)}"] if average else labels
        tables.append(pd.DataFrame({"subject": subject, "channel": channels, "n": len(labels) if average else 1}))
    return TimeGeneralization(np.concatenate(values, axis=1), tuple(names), pd.concat(tables, ignore_index=True), times, scores.split, scores.aggregate)


def channels_and_times(scores: Scores, subject: str, where: str) -> tuple[npt.NDArray[Any], Floats]:
    """Return the name of the channel and the time (s) of each target of a subject: of its table, or of its `SensorSpace`."""
    mine = scores.targets[scores.targets["subject"] == subject]
    space = scores.spaces[subject]
    if isinstance(space, SensorSpace) and not {"channel", "time"} <= set(mine.columns):
        return space.channels["channel"].to_numpy()[space.channel], space.times[space.time]
    channel = need_column(mine, "channel", f"{where}: Scores.targets").astype(str).to_numpy()
    time = pd.to_numeric(need_column(mine, "time", f"{where}: Scores.targets")).to_numpy(dtype=np.float64)
    if not np.isfinite(time).all():
        raise InputError("targets without a time", where=where, got=f"{int((~np.isfinite(time)).sum())} of {len(time)}")
    return channel, time


def _layers(scores: Scores, layers: str | Sequence[str] | None) -> list[str]:
    names = scores.layers if layers is None else [layers] if isinstance(layers, str) else list(layers)
    for name in names:
        if name not in scores.layers:
            raise NotFoundError(f"no layer {name!r} in these scores", expected=examples(scores.layers, 12))
    return names


def _grid(scores: Scores, subject: str) -> tuple[list[str], Floats, Index]:
    """Return channels, times, and which target (n_channels, n_times) each pair is, −1 where there is none."""
    channel, time = channels_and_times(scores, subject, "temporal_generalization")
    row, labels = pd.factorize(channel)
    times, column = np.unique(time, return_inverse=True)
    place = np.full((len(labels), len(times)), -1, dtype=np.intp)
    place[row, column] = np.arange(len(row))
    if (place >= 0).sum() < len(row):
        raise InputError("several targets share a channel and a time", where="temporal_generalization", got=f"{len(row)} targets, subject {subject!r}")
    return [str(label) for label in labels], times, place


def _chunks(scores: Scores, subject: str, names: list[str], place: Index) -> Iterator[Floats]:
    """Yield (n_layers, some channels, n_times, n_times)."""
    rows = scores.test_rows[subject]
    folds = [np.arange(len(rows))] if scores.aggregate == "pooled" else fold_rows(rows)
    n_times, longest = place.shape[1], max(map(len, folds))
    step = max(1, CHUNK_BYTES // (8 * n_times * (4 * longest + len(names) * n_times)))
    for start in range(0, len(place), step):
        cells = place[start : start + step]
        total = np.zeros((len(names), len(cells), n_times, n_times))
        for index in folds:
            observed, seen = _units(scores.observed[subject][index], cells)
            for i, name in enumerate(names):
                predicted, known = _units(scores.predictions[subject][name][index], cells)
                found = predicted @ observed.transpose(0, 2, 1)
                total[i] += np.where(known[:, :, None] & seen[:, None, :], found, np.nan)
        yield total / len(folds)


def _units(values: npt.NDArray[Any], cells: Index) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return centred columns of unit length (n_channels, n_times, n_rows), zero where unknown, and which (n_channels, n_times) are known."""
    columns = centred(values[:, np.maximum(cells, 0).reshape(-1)])
    length = np.sqrt(np.einsum("ij,ij->j", columns, columns))
    known = np.isfinite(length) & (length > 0) & (cells.reshape(-1) >= 0)
    unit = np.where(known, columns / np.where(known, length, 1.0), 0.0)
    return np.ascontiguousarray(unit.T.reshape(*cells.shape, len(values))), known.reshape(cells.shape)


def _averaged(scores: Scores, subject: str, names: list[str], place: Index) -> Floats:
    """Return the mean over channels (n_layers, 1, n_times, n_times) without holding them all."""
    total = count = 0.0
    for part in _chunks(scores, subject, names, place):
        known = np.isfinite(part)
        total = total + np.where(known, part, 0.0).sum(axis=1, keepdims=True)
        count = count + known.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(total, count, out=np.full(np.shape(total), np.nan), where=np.asarray(count) > 0))


def _known_mean(values: Floats, axis: int) -> Floats:
    known = np.isfinite(values)
    many = known.sum(axis=axis)
    return np.asarray(np.divide(np.where(known, values, 0.0).sum(axis=axis), many, out=np.full(many.shape, np.nan), where=many > 0))
