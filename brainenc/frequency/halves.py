"""Split halves: what one half of the trials says, and whether the other agrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.metrics.resample import permutations

Halves = list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]


def half_orders(n_trials: int, n: int, seed: int, *keys: object) -> Halves:
    """Return ``n`` random splits of the trials into two halves; with an odd number the second half has one more."""
    if n < 1 or n_trials < 4:
        raise InputError("nothing to halve", where="halves", expected="at least four trials and one split", got=f"{n_trials} trials, {n} splits")
    cut = n_trials // 2
    return [(np.sort(order[:cut]), np.sort(order[cut:])) for order in permutations(n_trials, n, seed, "halves", *keys)]


def consistency(z: npt.NDArray[Any], halves: Halves) -> npt.NDArray[np.float64]:
    """Return Re(z̄_a z̄_b*) over the mean of |z̄_a|² and |z̄_b|², each averaged over the splits.

    It is 1 where halves are equal. For noise the numerator is 0 on average, the ratio lies between −1 and 1 and is more often negative than not.

    Parameters
    ----------
    z : complex ndarray of shape (n_trials, …)
    halves : list of (rows, rows)
    """
    shared = np.zeros(z.shape[1:])
    power = np.zeros(z.shape[1:])
    for a, b in halves:
        first, second = z[a].mean(axis=0), z[b].mean(axis=0)
        shared += (first * second.conj()).real
        power += (np.abs(first) ** 2 + np.abs(second) ** 2) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(shared / power)


def spearman_brown(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return 2r / (1 + |r|) of the Pearson correlation of two halves over channels: the reliability of all trials; NaN where undefined."""
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 3 or np.ptp(a[known]) == 0 or np.ptp(b[known]) == 0:
        return float("nan")
    r = float(np.corrcoef(a[known], b[known])[0, 1])
    return 2 * r / (1 + abs(r))
