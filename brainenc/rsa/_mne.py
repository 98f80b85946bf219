"""Epochs and evoked responses of mne as `Responses`: channels × times become targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.loaders.channels import channel_table, channel_time_targets, data_picks
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import SensorSpace


def is_epochs(value: Any) -> bool:
    """Return whether this is an epochs object of mne, without importing mne."""
    return type(value).__module__.startswith("mne") and hasattr(value, "event_id") and hasattr(value, "get_data")


def is_evoked(value: Any) -> bool:
    """Return whether this is an evoked response of mne, without importing mne."""
    return type(value).__module__.startswith("mne") and hasattr(value, "nave") and hasattr(value, "comment")


def from_epochs(epochs: Any, name: str = "subject") -> Responses:
    """Return trials × (channel, time) of `mne.Epochs`: good data channels, one row an epoch.

    ``samples`` holds ``event`` (the name in ``event_id``), the columns of ``metadata``, and ``stimulus_id``: that of the metadata where there
    is one, else the event.
    """
    picks = data_picks(epochs.info)
    data = np.asarray(epochs.get_data(picks=picks, copy=False))
    names = {code: label for label, code in epochs.event_id.items()}
    samples = pd.DataFrame({"event": [names[code] for code in epochs.events[:, 2]]})
    if epochs.metadata is not None:
        extra = epochs.metadata.reset_index(drop=True)
        samples = samples.join(extra[[c for c in extra if c != "event"]])
    if "stimulus_id" not in samples:
        samples["stimulus_id"] = samples["event"]
    return _responses(data, samples, epochs.info, picks, epochs.times, name)


def from_evokeds(evokeds: Sequence[Any] | Mapping[str, Any], name: str = "subject") -> Responses:
    """Return conditions × (channel, time) of several `mne.Evoked`: named by the keys of a mapping or by ``comment``; ``n_repeats`` is ``nave``."""
    items = list(evokeds.items()) if isinstance(evokeds, Mapping) else [(evoked.comment, evoked) for evoked in evokeds]
    first = items[0][1]
    picks = data_picks(first.info)
    channels = [first.ch_names[i] for i in picks]
    rows = []
    for label, evoked in items:
        known = {channel: i for i, channel in enumerate(evoked.ch_names)}
        if not set(channels) <= set(known) or len(evoked.times) != len(first.times) or not np.allclose(evoked.times, first.times):
            raise InputError("evoked responses have other channels or times than the first", where=f"evoked {label!r}")
        rows.append(evoked.data[[known[channel] for channel in channels]])
    samples = pd.DataFrame({"stimulus_id": [str(label) for label, _ in items], "n_repeats": [max(int(evoked.nave), 1) for _, evoked in items]})
    return _responses(np.stack(rows), samples, first.info, picks, first.times, name)


def _responses(data: npt.NDArray[Any], samples: pd.DataFrame, info: Any, picks: npt.NDArray[np.intp], times: npt.NDArray[Any], name: str) -> Responses:
    channels = channel_table(info, picks)
    times = np.asarray(times, dtype=np.float64)
    targets = channel_time_targets(list(channels["channel"]), times)
    return Responses(data.reshape(len(data), -1), samples, targets, SensorSpace(channels, times), units="SI", name=name)
