"""What becomes of epochs once they are cut, or given: baseline, fewer times, names of rows and columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.loaders.band_power import window_means
from brainenc.loaders.channels import targets_and_space
from brainenc.loaders.preprocessing import Prepared
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet
from brainenc.nouns.tables import positions_of

Window = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaping:
    """Baseline (from, to), every n-th time, and sliding windows (length, step); times in seconds."""

    baseline: Window | None = None
    decimate: int = 1
    windows: Window | None = None

    def describe(self) -> dict[str, Any]:
        """Return the choices as plain values, for the provenance."""
        lists = {name: None if value is None else list(value) for name, value in (("baseline", self.baseline), ("windows", self.windows))}
        return lists | {"decimate": self.decimate}


def baseline_columns(times: npt.NDArray[np.float64], baseline: Window | None) -> npt.NDArray[np.bool_] | None:
    """Return which times are the baseline, None without one."""
    if baseline is None:
        return None
    inside = (times >= baseline[0] - 1e-9) & (times <= baseline[1] + 1e-9)
    slack = times[1] - times[0]
    if not inside.any() or baseline[0] < times[0] - slack or baseline[1] > times[-1] + slack:
        raise InputError("baseline lies outside the epoch", where="load_epochs", expected=f"within {times[0]:g} to {times[-1]:g} s", got=baseline)
    return inside


def thinned(
    values: npt.NDArray[Any], times: npt.NDArray[np.float64], prepared: Prepared, shaping: Shaping
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Return every n-th time, or means over windows, of epochs (n_epochs, n_channels, n_times), and the times left."""
    decimate = shaping.decimate
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
    return window_means(values, times, *shaping.windows) if shaping.windows is not None else (values, times)


def wrapped(
    values: npt.NDArray[Any], times: npt.NDArray[np.float64], samples: pd.DataFrame, prepared: Prepared, stimuli: StimulusSet | None, name: str,
    facts: dict[str, Any],
) -> Responses:  # fmt: skip
    """Return epochs (n_epochs, n_channels, n_times) as responses, with the repeats of each stimulus counted."""
    check_stimuli(samples, stimuli, name)
    samples = samples.assign(repeat=samples.groupby("stimulus_id", sort=False).cumcount() + 1)
    targets, space = targets_and_space(prepared.channels, times)
    return Responses(values.reshape(len(values), -1), samples, targets, space, units=prepared.units, name=name, provenance=facts)


def check_stimuli(table: pd.DataFrame, stimuli: StimulusSet | None, name: str) -> None:
    """Raise `InputError` where events name stimuli that are not among the known ones."""
    if stimuli is not None:
        known = list(stimuli.table.index if stimuli.table.index.name == "stimulus_id" else stimuli.table["stimulus_id"])
        positions_of(list(table["stimulus_id"]), known, "stimulus_ids of the events", f"responses {name!r} with stimuli {stimuli.name!r}")
