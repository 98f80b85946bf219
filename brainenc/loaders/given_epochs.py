"""Epochs that mne has cut already, from objects or files: read, baselined and thinned out some at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import DataError, InputError
from brainenc.core.selection import select
from brainenc.io.paths import check_budget, existing_file, read_errors
from brainenc.io.readers import EPOCH_FILES
from brainenc.loaders.channels import channel_table, field_units, pick_channels
from brainenc.loaders.epoch_shaping import Shaping, baseline_columns, thinned, wrapped
from brainenc.loaders.preprocessing import Prepared, Preprocessing, check_units
from brainenc.loaders.recording_events import names_of_codes
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet
from brainenc.nouns.tables import text_ids

_BLOCK = 2**22  # numbers in memory at a time


def open_epochs(source: Any) -> Any:
    """Return the Epochs that are given, or that a path names (not loaded); None where the source is something else."""
    if type(source).__module__.startswith("mne") and hasattr(source, "event_id") and hasattr(source, "get_data"):
        return source
    if isinstance(source, str) or hasattr(source, "suffix"):
        if str(source).endswith(EPOCH_FILES):
            import mne

            path = existing_file(source)
            with read_errors(path):
                return mne.read_epochs(path, preload=False, proj=False, verbose="error")
    return None


def load_given(
    epochs: Any, steps: Preprocessing, how: Mapping[str, Any], shaping: Shaping, *, units: str, stimuli: StimulusSet | None, name: str
) -> Responses:
    """Return given epochs as responses; ``how`` holds stimulus, event_id, rest and where as `load_epochs` takes them."""
    table = channel_table(epochs.info)
    bads = set(epochs.info["bads"]) | set(steps.bads)
    rows = np.array([i for i in pick_channels(table, steps.channels, f"epochs {name!r}") if table["channel"][i] not in bads], dtype=np.intp)
    if not len(rows):
        raise InputError("all channels are bad", where=f"epochs {name!r}", got=examples(sorted(bads)))
    if not len(epochs.events):
        raise DataError("epochs are empty", where=f"epochs {name!r}", got="none of them is left")
    samples, ids, n_not_where = _samples(epochs, how)
    channels, kept = table.iloc[rows].reset_index(drop=True), np.flatnonzero(ids.notna())
    factors, known = (np.ones(len(rows)), units) if units else field_units(list(channels["type"]))
    nothing = np.empty((0, 0))
    prepared = Prepared(nothing, float(epochs.info["sfreq"]), channels, np.zeros(0, dtype=bool), known, float(epochs.info["lowpass"]), {"bads": sorted(bads)})
    values, times = _read(_Wanted(epochs, kept, rows, factors, steps.units == "check" and not units, f"epochs {name!r}"), prepared, shaping)
    samples = samples.iloc[kept].assign(stimulus_id=text_ids(ids.iloc[kept], "stimulus_id")).reset_index(drop=True)
    applied = {"class": type(epochs).__name__, "baseline": epochs.baseline, "highpass": float(epochs.info["highpass"]), "lowpass": prepared.lowpass}
    dropped = pd.Series([reason for log in epochs.drop_log for reason in log if reason != "IGNORED"], dtype=object).value_counts()
    facts = {"given": applied, "dropped_before": {str(k): int(v) for k, v in dropped.items()}, "n_other": int(len(ids) - len(kept) - n_not_where)}
    facts |= {"n_not_where": n_not_where, "preprocessing": steps.describe(), "frame": "head", **shaping.describe()}
    facts |= {"sampling_rate": prepared.rate, "lowpass": prepared.lowpass}
    return wrapped(values, times, samples, prepared, stimuli, name, facts)


@dataclass(frozen=True, slots=True, eq=False)
class _Wanted:
    """Which epochs and channels of ``epochs`` are read, the factor of each channel, and whether its units are checked."""

    epochs: Any
    kept: npt.NDArray[np.intp]
    rows: npt.NDArray[np.intp]
    factors: npt.NDArray[np.float64]
    checked: bool
    where: str


def _read(wanted: _Wanted, prepared: Prepared, shaping: Shaping) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Return the kept epochs (n_epochs, n_channels, n_times) in 32 bits and their times."""
    from tqdm import tqdm

    kept, rows = wanted.kept, wanted.rows
    times = np.asarray(wanted.epochs.times, dtype=np.float64)
    window = baseline_columns(times, shaping.baseline)
    _, left = thinned(np.zeros((1, 1, len(times))), times, prepared, shaping)
    check_budget(4 * len(kept) * len(rows) * len(left), wanted.where)
    out = np.empty((len(kept), len(rows), len(left)), dtype=np.float32)
    step = max(1, _BLOCK // (len(rows) * len(times)))
    low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    for start in tqdm(range(0, len(kept), step), desc="epochs", unit="block", leave=False, disable=None):
        some = kept[start : start + step]
        with read_errors(wanted.where):
            data = np.asarray(wanted.epochs.get_data(picks=rows, item=some, copy=True, verbose="error"), dtype=np.float64)
        if data.shape[0] != len(some) or not np.isfinite(data).all():
            got = f"in epochs {start} to {start + len(some) - 1}"
            raise DataError("epochs hold missing values", where=wanted.where, got=got, fix="drop them: epochs.drop(…)")
        if wanted.checked:
            check_units(data.transpose(1, 0, 2).reshape(len(rows), -1), prepared.channels, wanted.where)
        low, high = np.minimum(low, data.min(axis=(0, 2))), np.maximum(high, data.max(axis=(0, 2)))
        data *= wanted.factors[:, None]
        if window is not None:
            data -= data[:, :, window].mean(axis=2, keepdims=True)
        out[start : start + len(some)], _ = thinned(data, times, prepared, shaping)
    if (low == high).any():
        raise DataError("channels never change", where=wanted.where, got=examples(prepared.channels["channel"][low == high], 8), fix="name them in bads=")
    return out, left


def _samples(epochs: Any, how: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.Series, int]:
    """Return the samples of given epochs, their stimulus ids (None where an event is not asked for), and how many ``where`` leaves out."""
    names = {code: label for label, code in epochs.event_id.items()}
    samples = pd.DataFrame({"event": [names[code] for code in epochs.events[:, 2]], "sample": epochs.events[:, 0]})
    if epochs.metadata is not None:
        extra = epochs.metadata.reset_index(drop=True)
        samples = samples.join(extra[[c for c in extra if c not in samples]])
    column = how["stimulus"] if how["stimulus"] != "auto" else ("stimulus_id" if "stimulus_id" in samples else "event")
    if column not in samples:
        raise InputError(f"epochs have no column {column!r}", where="metadata of epochs", expected=examples(samples.columns, 12))
    chosen = np.ones(len(samples), dtype=bool)
    if how["where"]:
        chosen[:] = False
        chosen[select(samples, how["where"])] = True
    named = samples[column].notna().to_numpy()
    ids = pd.Series(None, index=samples.index, dtype=object)
    ids[named & chosen] = np.asarray(text_ids(samples.loc[named & chosen, column], column), dtype=object)
    if how["event_id"] is not None:
        ids = ids.map(names_of_codes(how["event_id"]))
    ids = ids.where(~ids.isin([str(one) for one in how["rest"]]) & ids.notna(), None)
    if not ids.notna().any():
        raise InputError("no epoch is left", where=f"column {column!r}", got=examples(pd.unique(samples[column])))
    return samples, ids, int((~chosen).sum())
