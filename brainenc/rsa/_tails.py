"""Families of models and groups over which maxima are taken; p-values come from `brainenc.metrics.tails`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.metrics.tails import TAILS, oriented_by, probabilities

__all__ = ["TAILS", "families_of", "oriented_by", "probabilities"]


def families_of(models: pd.DataFrame, groups: pd.DataFrame, maximum_over: str | Sequence[str]) -> npt.NDArray[np.intp]:
    """Return the family (n_groups, n_models) of each cell: cells that differ only in the columns maximised over.

    ``"model"`` stands for all columns of the table of models, other names for single columns of either table.
    """
    names = [maximum_over] if isinstance(maximum_over, str) else list(maximum_over)
    known = ["model", *models.columns, *groups.columns]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError("no such column to take the maximum over", where="maximum_over", expected=examples(dict.fromkeys(known), 12), got=examples(unknown))
    over = set(names) | (set(models.columns) if "model" in names else set())

    def codes(table: pd.DataFrame) -> npt.NDArray[np.intp]:
        apart = [column for column in table if column not in over]
        return table.groupby(apart, sort=False, dropna=False).ngroup().to_numpy(dtype=np.intp) if apart else np.zeros(len(table), dtype=np.intp)

    of_models, of_groups = codes(models), codes(groups)
    return of_groups[:, None] * (int(of_models.max()) + 1) + of_models
