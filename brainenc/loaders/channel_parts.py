"""Recordings that are too large for memory: some channels at a time through the same loaders, and the columns put side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import human_bytes, parse_bytes
from brainenc.core.errors import DataError, InputError
from brainenc.io.paths import memory_budget
from brainenc.loaders.channels import shafts
from brainenc.loaders.recordings import Recording
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import ContactSpace

EVENT_ROW = "event_row"  # column of events by which the epochs of parts find each other
_COPIES = 8  # of a signal of 64 bits while it is read, filtered, referenced and resampled
_OVERLAP = {"laplacian": 2, "bipolar": 1}


def parts_of_channels(names: list[str], n_times: int, *, reference: Any = None, memory: str | int | None = None) -> list[npt.NDArray[np.intp]]:
    """Return which channels are read together, so that every referenced channel comes out of exactly one part.

    Along a shaft, neighbouring parts share the contacts that a Laplacian (two) or bipolar (one) reference needs.

    Parameters
    ----------
    names : list of str
        Channels, contacts named by shaft and number.
    n_times : int
        Samples of the recording.
    reference : optional
        As in `Preprocessing`; average and named references need all channels at once.
    memory : str or int, optional
        What one part may take while it is worked on; None means half of what is free.

    Raises
    ------
    InputError
        A budget below what the smallest part takes (its size is named), or a reference that needs all channels.

    Examples
    --------
    >>> [part.tolist() for part in parts_of_channels(["A1", "A2", "A3", "A4", "B1"], 1000, reference="laplacian", memory=3 * 64_000)]
    [[0, 1, 2], [1, 2, 3]]
    """
    each = _COPIES * 8 * n_times
    budget = memory_budget() // 2 if memory is None else parse_bytes(memory)
    size, overlap = budget // max(each, 1), _OVERLAP.get(reference, 0) if isinstance(reference, str) else 0
    whole = reference is not None and not overlap
    least = len(names) if whole else overlap + 1
    if size < least:
        fix = "use a Laplacian or bipolar reference" if whole else None
        expected = f"at least {human_bytes(least * each)}"
        raise InputError("memory is too small for a part of the channels", where="memory", expected=expected, got=human_bytes(budget), fix=fix)
    runs = _runs(names) if overlap else [np.arange(len(names))]
    out = []
    for run in runs:
        step = size - overlap
        out += [run[start : start + size] for start in range(0, max(len(run) - overlap, 0), step)]
    if not out:
        raise InputError("no contacts stand beside each other on a shaft", where=f"{reference} reference", got=names[:6])
    return out


def load_in_parts(parts: Iterable[Recording], load: Callable[[Recording], Responses], *, progress: bool | None = None) -> Responses:
    """Load every part of the channels of one recording and put the columns side by side.

    Epochs that one part leaves out (gaps) are left out of all, as if all channels had been read at once, and are counted; for this the events carry the
    column ``event_row``.

    Parameters
    ----------
    parts : iterable of Recording
        Intracranial channels, the same times and events in each; taken one by one.
    load : callable
        Recording to Responses: `load_epochs` or `load_continuous` with its options.
    progress : bool, optional
        Show a bar; None shows it on a terminal.

    Raises
    ------
    InputError, DataError
        No part, a channel that comes out of two parts, no epoch that all parts keep, other lengths.
    """
    from tqdm import tqdm

    loaded = [load(part) for part in tqdm(parts, desc="channels", unit="part", leave=False, disable=None if progress is None else not progress)]
    if not loaded:
        raise InputError("no parts to load", where="load_in_parts")
    first = loaded[0]
    if not all(isinstance(part.space, ContactSpace) for part in loaded):
        raise InputError("only intracranial contacts are loaded in parts", where="load_in_parts", got=repr(first.space))
    rows, n_lost = _shared_rows(loaded)
    values = np.concatenate([part.values if row is None else part.values[row] for part, row in zip(loaded, rows, strict=True)], axis=1)
    targets = pd.concat([part.targets for part in loaded], ignore_index=True)
    if targets["target_id"].duplicated().any():
        raise InputError("a channel comes out of two parts", where="load_in_parts", got=list(targets.loc[targets["target_id"].duplicated(), "target_id"][:4]))
    samples = first.samples if rows[0] is None else first.samples.iloc[rows[0]].reset_index(drop=True)
    if "repeat" in samples and n_lost:
        samples = samples.assign(repeat=samples.groupby("stimulus_id", sort=False).cumcount() + 1)
    space = ContactSpace(pd.concat([part.space.table for part in loaded], ignore_index=True))  # type: ignore[attr-defined]
    facts = {**first.provenance, "n_parts": len(loaded), "n_epochs_left_out_by_some_part": n_lost}
    facts["runs"] = [part.provenance.get("runs") for part in loaded]
    facts["steps"] = [part.provenance.get("steps") for part in loaded]
    return Responses(
        values, samples.drop(columns=EVENT_ROW, errors="ignore"), targets, space, units=first.units, sampling_rate=first.sampling_rate,
        events=None if first.events is None else first.events.drop(columns=EVENT_ROW, errors="ignore"), name=first.name, provenance=facts,
    )  # fmt: skip


def _runs(names: list[str]) -> list[npt.NDArray[np.intp]]:
    """Return stretches of contacts whose numbers follow each other on a shaft, in the order of the shafts."""
    table = shafts(names).assign(row=np.arange(len(names)))
    table = table[table["shaft"].notna()]
    out = []
    for _, shaft in table.groupby("shaft", sort=False):
        shaft = shaft.sort_values("number")
        breaks = np.flatnonzero(np.diff(shaft["number"].to_numpy()) != 1) + 1
        out += [part.astype(np.intp) for part in np.split(shaft["row"].to_numpy(), breaks)]
    return out


def _shared_rows(loaded: list[Responses]) -> tuple[list[npt.NDArray[np.intp] | None], int]:
    """Return, for each part, the rows of the epochs that all parts keep (None for all), and how many epochs some part had and others not."""
    first = loaded[0]
    if first.is_time_series or EVENT_ROW not in first.samples:
        if len({part.n_samples for part in loaded}) > 1:
            raise DataError("parts have different numbers of samples", where="load_in_parts", got=[part.n_samples for part in loaded])
        return [None] * len(loaded), 0
    kept = [part.samples[EVENT_ROW].to_numpy() for part in loaded]
    shared = np.array(sorted(set.intersection(*(set(one.tolist()) for one in kept))))
    n_lost = len(set.union(*(set(one.tolist()) for one in kept))) - len(shared)
    if not len(shared):
        raise InputError("no epoch is kept by all parts", where="load_in_parts", got=[len(one) for one in kept])
    if not n_lost:
        return [None] * len(loaded), 0
    return [np.flatnonzero(np.isin(one, shared)) for one in kept], n_lost
