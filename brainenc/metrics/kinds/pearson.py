"""Pearson's correlation of each column."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.metrics._columns import centred, column_chunks, paired


def score(observed: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return Pearson's r of each column.

    r = Σ(y − ȳ)(ŷ − mean ŷ) / √(Σ(y − ȳ)² Σ(ŷ − mean ŷ)²), sums in float64 over chunks of columns.

    Parameters
    ----------
    observed, predicted : ndarray or memmap of shape (n_samples, n_targets)
        At least two samples.

    Returns
    -------
    ndarray of shape (n_targets,)
        NaN where either column is constant (to rounding of its dtype) or holds NaN.

    Examples
    --------
    >>> import numpy as np
    >>> score(np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]), np.array([[2.0, 1.0], [4.0, 2.0], [6.0, 3.0]]))
    array([ 1., nan])
    """
    observed, predicted = paired(observed, predicted)
    out = np.empty(observed.shape[1])
    for part in column_chunks(*observed.shape):
        y, p = centred(observed[:, part]), centred(predicted[:, part])
        scale = np.sqrt(np.einsum("ij,ij->j", y, y)) * np.sqrt(np.einsum("ij,ij->j", p, p))
        with np.errstate(invalid="ignore", divide="ignore"):
            out[part] = np.clip(np.einsum("ij,ij->j", y, p) / scale, -1.0, 1.0)
    return out
