"""Epochs that overlap in time: never on both sides of a split, and never on both sides of its inner folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.nouns.responses import Responses
from brainenc.nouns.splits import Split
from brainenc.nouns.windows import Windows

Index = npt.NDArray[np.intp]


def inner_windows(responses: Responses, split: Split) -> tuple[Windows | None, float | None]:
    """Return the windows of all rows and the distance (s) that inner folds keep; None, None where rows may stand anywhere.

    Epochs that overlap each other keep apart as far as the outer split says, or do not overlap at all; nothing else changes.
    """
    if responses.is_time_series:
        return (None, None) if split.seconds is None else (responses.windows, split.seconds)
    windows = responses.windows
    if windows is None or split.force or not (split.seconds is not None or windows.crowded()):
        return None, None
    return windows, split.seconds or 0.0


def refuse_shared_windows(responses: Responses, split: Split, folds: Sequence[tuple[Index, Index]]) -> None:
    """Refuse folds (training rows, test rows) in which a training epoch overlaps a test epoch of the same run, unless that is forced.

    What is recorded during both windows is on both sides; so is the response to an event that lies in both. Where onsets or times are not
    known nothing is claimed.
    """
    windows = None if split.force or responses.is_time_series else responses.windows
    if windows is None:
        return
    found = np.concatenate([windows.take(test).touches(windows.take(train)) for train, test in folds])
    if not found.any():
        return
    length = float(np.nanmedian(windows.stop - windows.start))
    same = "" if "run" in responses.samples else ", all taken to be of one run (samples have no column run)"
    raise InputError(
        f"test epochs overlap training epochs in time ({split.describe()}), so part of what is predicted was trained on",
        where=f"responses {responses.name!r}", expected="no training window that overlaps a test window within a run",
        got=f"{int((found > 0).sum())} of {len(found)} test epochs, {int(found.sum())} overlaps, windows of {length:.3g} s{same}",
        fix="use brainenc.split.runs(), or .blocks(n, seconds=0), or cut shorter epochs; force=True in the split shows the damage",
    )  # fmt: skip
