"""When each row was recorded: the stretch of its run that its values come from, and which stretches overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from brainenc.nouns.responses import Responses

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
SLACK = 1e-6  # seconds; far below a sample, far above the rounding of onsets


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """The first and the last moment (seconds in the run, both included) behind each of n rows.

    Parameters
    ----------
    run : ndarray of int, shape (n,)
        Rows of different runs never overlap.
    start, stop : ndarray of shape (n,)
        NaN where it is not known when a row was recorded; such a row overlaps nothing.
    """

    run: Index
    start: Floats
    stop: Floats

    def take(self, rows: npt.ArrayLike) -> Windows:
        """Return the windows of these rows."""
        index = np.asarray(rows)
        return Windows(self.run[index], self.start[index], self.stop[index])

    def touches(self, others: Windows, reach: float = 0.0) -> Index:
        """Return how many of ``others`` overlap each window (n,), or lie within ``reach`` seconds of it.

        Windows of m others that start by our end, less those that end before our start: two binary searches, O((n + m) log m).
        """
        known = np.isfinite(others.start) & np.isfinite(others.stop)
        mine = np.flatnonzero(np.isfinite(self.start) & np.isfinite(self.stop))
        out = np.zeros(len(self.start), dtype=np.intp)
        if not known.any() or not len(mine):
            return out
        ends = np.concatenate([self.start[mine], self.stop[mine], others.start[known], others.stop[known]])
        apart = float(ends.max() - ends.min()) + 2.0 * reach + 1.0  # runs stand one after the other, too far apart to touch
        begun = np.sort(others.start[known] + apart * others.run[known])
        over = np.sort(others.stop[known] + apart * others.run[known])
        first, last = (edge[mine] + apart * self.run[mine] for edge in (self.start, self.stop))
        out[mine] = np.searchsorted(begun, last + reach + SLACK, side="right") - np.searchsorted(over, first - reach - SLACK, side="left")
        return out

    def crowded(self) -> bool:
        """Return whether some window overlaps another."""
        known = np.isfinite(self.start) & np.isfinite(self.stop)
        return bool((self.touches(self) > known).any())


@dataclass(frozen=True, slots=True, eq=False)
class TimedRows:
    """Some rows of responses without their values: what a `Split` needs to know about them."""

    samples: pd.DataFrame
    windows: Windows | None


def windows_of(responses: Responses) -> Windows | None:
    """Return the windows of epochs (targets with times, samples with onsets) or of the samples of a time series; None where nobody knows.

    The window of an epoch reaches over the times of its targets and over its baseline, onset + min … onset + max; times that are means of
    sliding windows (``provenance["windows"]``) stand for half a window on either side. Filters reach further than that. Onsets are rounded
    to samples where the sampling rate is known, as epochs are cut.
    """
    samples = responses.samples
    keys = [name for name in ("session", "run") if name in samples.columns]
    run = samples.groupby(keys, sort=False, dropna=False).ngroup().to_numpy(dtype=np.intp) if keys else np.zeros(len(samples), dtype=np.intp)
    if responses.is_time_series:
        times = responses.times_in_run()
        return Windows(run, times, times)
    offsets = _offsets(responses)
    if offsets is None or "onset" not in samples.columns:
        return None
    onset = pd.to_numeric(samples["onset"], errors="coerce").to_numpy(dtype=np.float64)
    rate = _number(responses.provenance, "sampling_rate")
    onset = onset if rate is None else np.rint(onset * rate) / rate
    return Windows(run, onset + offsets[0], onset + offsets[1]) if np.isfinite(onset).any() else None


def _offsets(responses: Responses) -> tuple[float, float] | None:
    """Return the first and last moment (s from the event) behind the values of an epoch."""
    times = _target_times(responses)
    times = times[np.isfinite(times)]
    if not len(times):
        return None
    facts, half = responses.provenance, 0.0
    sliding = facts.get("windows")
    if isinstance(sliding, list | tuple) and len(sliding):
        rate = _number(facts, "sampling_rate")
        half = max(0.0, float(sliding[0]) - (0.0 if rate is None else 1.0 / rate)) / 2.0
    given = facts.get("given")
    baselines = [facts.get("baseline"), given.get("baseline") if isinstance(given, Mapping) else None]
    edges = [float(edge) for one in baselines if isinstance(one, list | tuple) for edge in one if edge is not None]
    return min([float(times.min()) - half, *edges]), max([float(times.max()) + half, *edges])


def _target_times(responses: Responses) -> Floats:
    if "time" in responses.targets.columns:
        return pd.to_numeric(responses.targets["time"], errors="coerce").to_numpy(dtype=np.float64)
    space: Any = responses.space
    return np.asarray(space.times[space.time], dtype=np.float64) if hasattr(space, "times") else np.empty(0)


def _number(facts: Mapping[str, Any], name: str) -> float | None:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value) and value > 0 else None
