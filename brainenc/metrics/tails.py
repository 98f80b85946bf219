"""From a null distribution to p-values, alone and against the maximum over a family."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of

Floats = npt.NDArray[np.float64]
TAILS = ("greater", "two-sided")


def probabilities(values: Floats, families: npt.NDArray[np.intp], tail: str, *, standardize: bool = False) -> tuple[Floats, Floats]:
    """Return p and p_max of every cell: p = (1 + #{t* ≥ t}) / (1 + n), and the same against the largest t* of the cell's family.

    Parameters
    ----------
    values : ndarray of shape (1 + n, n_cells)
        The observed statistic, larger for stronger effects, and n draws from its null. A cell whose observed value is NaN gets NaN; a NaN
        draw counts as at least as large as the observed value.
    families : ndarray of shape (n_cells,)
        Family of each cell.
    tail : {"greater", "two-sided"}
        Two-sided counts distances from the mean of all 1 + n values of a cell, which need not be zero (cosine).
    standardize : bool
        Divide each cell by the standard deviation of its 1 + n values about their mean before maxima are taken, so that no noisy cell rules
        the family. Treating the observed value as one of the draws keeps the test exact.
    """
    oriented = oriented_by(values, tail, standardize=standardize)
    known = np.isfinite(values[0])
    n = len(values) - 1
    slack = 1e-12 * np.maximum(1.0, np.abs(np.where(known, oriented[0], 0.0)))
    threshold = np.where(known, oriented[0], 0.0) - slack
    p = (1 + (oriented[1:] >= threshold).sum(axis=0)) / (1 + n)
    p_max = np.full(len(known), np.nan)
    for family in np.unique(families):
        cells = np.flatnonzero((families == family) & known)
        if len(cells):
            tops = oriented[1:, cells].max(axis=1)
            p_max[cells] = (1 + (tops[:, None] >= threshold[cells]).sum(axis=0)) / (1 + n)
    return np.where(known, p, np.nan), p_max


def oriented_by(values: Floats, tail: str, *, standardize: bool = False) -> Floats:
    """Return values (1 + n, n_cells) in which larger means further into the tail, NaN draws as infinity."""
    one_of(tail, TAILS, "tail")
    out = values
    if tail == "two-sided" or standardize:
        middle = np.zeros(values.shape[1])
        spread = np.ones(values.shape[1])
        some = np.isfinite(values).any(axis=0)
        middle[some] = np.nanmean(values[:, some], axis=0)
        if standardize:
            spread[some] = np.nanstd(values[:, some], axis=0)
            spread[spread == 0] = 1.0
        out = (values - middle) / spread
        out = np.abs(out) if tail == "two-sided" else out
    return np.where(np.isnan(out), np.inf, out)
