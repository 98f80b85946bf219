"""EEG and MEG: (channel, time) pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.nouns.spaces.base import REACH, Index, as_centres, as_vector, balls, check_radius, check_window
from brainenc.nouns.tables import as_table, need_column, unique_ids


@dataclass(frozen=True, slots=True, eq=False)
class SensorSpace:
    """Targets as (channel, time) pairs of epochs.

    Parameters
    ----------
    channels : DataFrame of n_channels rows
        ``channel`` (name), ``type`` as in mne ("eeg", "mag", "grad" …), x, y, z in millimetres (head frame) where known.
    times : ndarray of shape (n_times,)
        Seconds from the stimulus, evenly spaced.
    channel : ndarray of int, shape (n_targets,), optional
    time : ndarray of int, shape (n_targets,), optional
        Which channel and time each column is; all pairs, channel by channel, when not given.
    """

    channels: pd.DataFrame
    times: npt.NDArray[np.float64]
    channel: Index = None  # type: ignore[assignment]  # filled in below
    time: Index = None  # type: ignore[assignment]  # filled in below

    def __post_init__(self) -> None:
        channels = as_table(self.channels, "SensorSpace.channels")
        need_column(channels, "channel", "SensorSpace.channels")
        channels["channel"] = unique_ids(channels["channel"], "channel")
        channels["type"] = channels["type"] if "type" in channels else "eeg"
        times = np.asarray(self.times, dtype=np.float64)
        if times.ndim != 1 or not len(times) or (len(times) > 2 and np.ptp(np.diff(times)) > 1e-6):
            raise InputError("times must be evenly spaced seconds", where="SensorSpace", got=f"shape {times.shape}")
        pairs = np.indices((len(channels), len(times))).reshape(2, -1)
        channel = pairs[0] if self.channel is None else np.asarray(self.channel, dtype=np.intp)
        time = pairs[1] if self.time is None else np.asarray(self.time, dtype=np.intp)
        if channel.shape != time.shape or (len(channel) and (channel.max() >= len(channels) or time.max() >= len(times))):
            wanted = f"below ({len(channels)}, {len(times)})"
            raise InputError("channel and time indices do not fit", where="SensorSpace", expected=wanted, got=(channel.shape, time.shape))
        for name, value in (("channels", channels), ("times", times), ("channel", channel), ("time", time)):
            object.__setattr__(self, name, value)

    @property
    def n_targets(self) -> int:
        """Number of (channel, time) pairs."""
        return len(self.channel)

    def take(self, index: Index) -> SensorSpace:
        """Return the space of these pairs."""
        return replace(self, channel=self.channel[index], time=self.time[index])

    def paint_array(self, vector: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return (n_channels, n_times), NaN where there is no target."""
        canvas = np.full((len(self.channels), len(self.times)), np.nan)
        canvas[self.channel, self.time] = as_vector(vector, self.n_targets, "SensorSpace")
        return canvas

    def paint(self, vector: npt.ArrayLike) -> Any:
        """Return an `mne.EvokedArray` of the channels and times that hold targets (values as they are, in mne's SI slots)."""
        import mne

        canvas = self.paint_array(vector)
        rate = 1.0 / (self.times[1] - self.times[0]) if len(self.times) > 1 else 1.0
        info = mne.create_info(list(self.channels["channel"]), rate, list(self.channels["type"]))
        if {"x", "y", "z"} <= set(self.channels.columns):
            placed = self.channels[["x", "y", "z"]].notna().all(axis=1)
            positions = {r.channel: np.array([r.x, r.y, r.z]) / 1000 for r in self.channels[placed].itertuples()}
            info.set_montage(mne.channels.make_dig_montage(positions, coord_frame="head"), on_missing="ignore")
        return mne.EvokedArray(canvas, info, tmin=float(self.times[0]), verbose="error")

    def unpaint(self, evoked: Any) -> npt.NDArray[np.float64]:
        """Return the values (n_targets,) of an evoked with the same channels and times."""
        data = np.asarray(evoked.get_data() if hasattr(evoked, "get_data") else evoked)
        if data.shape != (len(self.channels), len(self.times)):
            raise InputError("evoked has other channels or times", where="SensorSpace.unpaint", expected=(len(self.channels), len(self.times)), got=data.shape)
        return np.asarray(data[self.channel, self.time], dtype=np.float64)

    def neighbourhoods(self, radius_mm: float | None, *, centres: Index | None = None, time_window: float = 0.0) -> Iterator[Index]:
        """Yield, for each target (or each of ``centres``), the pairs of nearby sensors at the same or at nearby times.

        Parameters
        ----------
        radius_mm : float or None
            Reach in space, among sensors of the same type (tesla and tesla per metre are not mixed); 0 is the sensor alone, None all
            sensors of its type, wherever they are.
        centres : ndarray of int, optional
            Positions of targets.
        time_window : float
            Reach in time to either side, in seconds; infinite for all times.
        """
        chosen = as_centres(centres, self.n_targets)
        near = self._near_channels(radius_mm)
        step = self.times[1] - self.times[0] if len(self.times) > 1 else 1.0
        reach = int(min(np.floor(check_window(time_window) / step * REACH + 1e-9), len(self.times)))
        place = np.full((len(self.channels), len(self.times) + 2 * reach), -1, dtype=np.intp)
        place[self.channel, self.time + reach] = np.arange(self.n_targets)
        for target in chosen:
            time = self.time[target]
            found = place[near[self.channel[target]], time : time + 2 * reach + 1]
            yield np.sort(found[found >= 0])

    def _near_channels(self, radius_mm: float | None) -> list[Index]:
        """Return, for each channel, the channels of its type within the radius."""
        types = self.channels["type"].to_numpy()
        if radius_mm is None:
            return [np.flatnonzero(types == kind) for kind in types]
        if check_radius(radius_mm) == 0:
            return [np.array([channel]) for channel in range(len(types))]
        for column in ("x", "y", "z"):
            need_column(self.channels, column, "SensorSpace.channels")
        points = self.channels[["x", "y", "z"]].to_numpy(dtype=float)
        return [near[types[near] == types[channel]] for channel, near in enumerate(balls(points, radius_mm))]

    def __repr__(self) -> str:
        return f"SensorSpace({len(self.channels)} channels × {len(self.times)} times, {self.n_targets} targets)"
