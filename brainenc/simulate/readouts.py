"""Read-outs of known features: columns of equal variance, so that no component outweighs the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def standardized(values: Floats) -> Floats:
    """Return columns of mean 0 and variance 1; constant columns become 0."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 1e-12, spread, 1.0))


def evened(values: Floats, n_components: int) -> Floats:
    """Return the largest principal components (n_rows, at most ``n_components``) with equal variance.

    The large components of one layer are nearly those of its neighbours. A read-out that weighs all alike uses what only this layer
    has, so that the planted layer is the right answer and not one of several.
    """
    if values.shape[1] > len(values):  # of a wide matrix the square one of its rows has the same left vectors, and takes much less time
        squares, left = np.linalg.eigh(values @ values.T)
        sizes, left = np.sqrt(np.maximum(squares[::-1], 0.0)), left[:, ::-1]
    else:
        left, sizes, _ = np.linalg.svd(values, full_matrices=False)
    return np.asarray(left[:, : min(n_components, int((sizes > 1e-6 * sizes[0]).sum()))])
