"""The variance of scores over subjects and conditions, from bootstraps of both, of each, or from the scatter of subjects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def covariance_of_draws(draws: Floats) -> tuple[Floats, int]:
    """Return the covariance (m, m) of draws (n_draws, m) over the draws that are whole, and how many are not.

    A column without any number (a ceiling that cannot be had) is NaN and takes no draw with it.
    """
    known = np.isfinite(draws)
    columns = known.any(axis=0)
    whole = known[:, columns].all(axis=1)
    out = np.full((draws.shape[1], draws.shape[1]), np.nan)
    if whole.sum() > 1 and columns.any():
        out[np.ix_(columns, columns)] = np.atleast_2d(np.cov(draws[np.ix_(whole, columns)].T))
    return out, int((~whole).sum())


def one_factor(covariance: Floats, n: int) -> Floats:
    """Return the bootstrap covariance of one factor with n levels, times n / (n − 1)."""
    return covariance * (n / (n - 1))


def two_factors(both: Floats, subjects: Floats, conditions: Floats, n_subjects: int, n_conditions: int) -> Floats:
    """Return the covariance of scores over new subjects and new conditions.

    Resampling both at once counts the measurement noise three times. With a = S / (S − 1), b = n / (n − 1), and the variances v_B, v_S, v_C
    of the double, the subject and the condition bootstrap,

        v = a v_S + b v_C − a b (v_B − v_S − v_C),

    held between max(a v_S, b v_C) and v_B. That is done for every variance and for the variance of every difference, and the
    covariance is what follows from them, (v_i + v_j − v_{i−j}) / 2; so a contrast of two entries has the variance it would have had alone.

    Parameters
    ----------
    both, subjects, conditions : ndarray of shape (m, m)
    n_subjects, n_conditions : int

    Notes
    -----
    Schütt et al. 2023, doi:10.7554/eLife.82566 (read in the implementation of rsatoolbox).
    """
    a, b = n_subjects / (n_subjects - 1), n_conditions / (n_conditions - 1)

    def corrected(v_both: Floats, v_subjects: Floats, v_conditions: Floats) -> Floats:
        v = a * v_subjects + b * v_conditions - a * b * (v_both - v_subjects - v_conditions)
        return np.minimum(np.maximum(v, np.maximum(a * v_subjects, b * v_conditions)), v_both)

    own = corrected(*(np.diagonal(c) for c in (both, subjects, conditions)))
    apart = corrected(*(differences(c) for c in (both, subjects, conditions)))
    covariance = (own[:, None] + own[None, :] - apart) / 2
    np.fill_diagonal(covariance, own)
    return covariance


def differences(covariance: Floats) -> Floats:
    """Return the variance of the difference of every two entries (m, m)."""
    own = np.diagonal(covariance)
    return own[:, None] + own[None, :] - 2 * covariance
