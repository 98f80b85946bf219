"""The samples table of rows that come from one file per run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.errors import InputError


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
