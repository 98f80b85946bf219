"""One-sample t-values of subjects under flipped signs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def flipped_t(values: Floats, signs: Floats) -> Floats:
    """Return one-sample t-values (n_draws, n_cells) of values (n_subjects, n_cells) under signs (n_draws, n_subjects).

    The sum of squares does not change with the signs, so each draw is one matrix product. A cell of zeros has t = 0.
    """
    n = len(values)
    mean = signs @ values / n
    squares = (values**2).mean(axis=0)
    variance = np.maximum(squares - mean**2, 1e-15 * squares) / (n - 1)
    return np.divide(mean, np.sqrt(variance), out=np.zeros_like(mean), where=variance > 0)
