"""Coefficient of determination of each column."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.metrics._columns import centred, column_chunks, paired


def score(observed: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return R² of each column: the share of the variance of the observed values that the prediction accounts for.

    R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)², with ȳ the mean of these rows; no lower bound, sums in float64 over chunks of columns.

    Parameters
    ----------
    observed, predicted : ndarray or memmap of shape (n_samples, n_targets)
        At least two samples.

    Returns
    -------
    ndarray of shape (n_targets,)
        NaN where the observed column is constant or a column holds NaN.

    Examples
    --------
    >>> import numpy as np
    >>> score(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]]))
    array([0.5])
    """
    observed, predicted = paired(observed, predicted)
    out = np.empty(observed.shape[1])
    for part in column_chunks(*observed.shape):
        y = centred(observed[:, part])
        residual = np.asarray(observed[:, part], dtype=np.float64) - np.asarray(predicted[:, part], dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            out[part] = 1.0 - np.einsum("ij,ij->j", residual, residual) / np.einsum("ij,ij->j", y, y)
    return np.where(np.isinf(out), np.nan, out)
