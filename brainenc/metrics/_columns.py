"""Column work that the metrics share: checks, chunks and centring in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import as_matrix
from brainenc.core.errors import InputError

CHUNK_BYTES = 2**26


def paired(observed: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return both as matrices of one shape with at least two rows."""
    first, second = as_matrix(observed, "observed"), as_matrix(predicted, "predicted")
    if first.shape != second.shape:
        raise InputError("observed and predicted differ in shape", where="metric", expected=first.shape, got=second.shape)
    if first.shape[0] < 2:
        raise InputError("a metric needs at least two samples", where="metric", got=first.shape[0])
    return first, second


def column_chunks(n_rows: int, n_columns: int, size: int = CHUNK_BYTES) -> Iterator[slice]:
    """Yield slices of columns whose float64 copy stays under ``size`` bytes, 64 MiB if not given."""
    step = max(1, size // (8 * max(1, n_rows)))
    for start in range(0, n_columns, step):
        yield slice(start, min(start + step, n_columns))


def centred(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return columns about their mean in float64; a column that is constant to rounding becomes exactly zero.

    A predictor shrunk to its intercept leaves differences of a few units in the last place of its own dtype; a correlation
    with those would be a number about rounding.
    """
    unit = np.finfo(values.dtype).eps if values.dtype.kind == "f" else 0.0
    wide = np.asarray(values, dtype=np.float64)
    out = wide - wide.mean(axis=0)
    constant = np.abs(out).max(axis=0) <= 4 * unit * np.abs(wide).max(axis=0)
    out[:, constant] = 0.0
    return out
