"""Rows of a time series: the samples table of files, the rows of each run, when a scan is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.nouns.responses import Responses


def series_samples(lengths: Sequence[int], runs: Sequence[Any] = (), t_r: float | None = None) -> pd.DataFrame:
    """Return a table of ``sum(lengths)`` rows: ``sample``, ``run`` where labels are given, ``time`` (s from the run's start) with ``t_r``."""
    if runs and len(runs) != len(lengths):
        raise InputError("one run label per file is needed", expected=len(lengths), got=len(runs))
    table = pd.DataFrame({"sample": np.arange(int(sum(lengths)))})
    if runs:
        table["run"] = np.repeat(np.asarray(list(runs)), lengths)
    if t_r is not None:
        table["time"] = np.concatenate([np.arange(n) * float(t_r) for n in lengths])
    return table


def run_labels(table: pd.DataFrame) -> pd.Series:
    """Return run labels as text, so that 1, 1.0 and "1" are one run."""
    return table["run"].map(lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else str(v))


def run_rows(samples: pd.DataFrame, name: str) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the rows of each run, all rows where there is no column ``run``.

    Raises
    ------
    InputError
        Where rows of a run do not stand together.
    """
    if "run" not in samples.columns:
        yield np.arange(len(samples))
        return
    labels = run_labels(samples).to_numpy()
    edges = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1], True])
    if len(edges) - 1 != len(set(labels)):
        fix = "sort by run, or give runs of different sessions different labels"
        raise InputError("rows of a run do not stand together", where=f"samples of {name!r}", fix=fix)
    for start, stop in zip(edges[:-1], edges[1:], strict=True):
        yield np.arange(start, stop)


def frame_time(responses: Responses) -> float:
    """Return when within a scan it is taken (s): ``provenance["frame_time"]``, else half a TR for fMRI and 0 for electrophysiology."""
    given = responses.provenance.get("frame_time")
    if given is not None:
        return float(given)
    return responses.step / 2 if responses.t_r is not None else 0.0
