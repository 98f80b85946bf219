"""Noise of recordings: power that falls as 1/f, part of it shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def one_over_f(n: int, n_channels: int, rng: np.random.Generator, *, rate: float, corner: float) -> npt.NDArray[np.float64]:
    """Return series of unit variance whose power falls as 1/max(f, corner).

    They are cut from series twice as long, so that the end does not meet the beginning.

    Parameters
    ----------
    n, n_channels : int
        Samples and independent series.
    rng : numpy.random.Generator
    rate : float
        Samples per second.
    corner : float
        Hz below which the spectrum is flat.

    Returns
    -------
    ndarray of shape (n, n_channels)

    Examples
    --------
    >>> one_over_f(100, 3, np.random.default_rng(0), rate=64.0, corner=0.2).shape
    (100, 3)
    """
    f = np.fft.rfftfreq(2 * n, 1 / rate)
    size = 1.0 / np.sqrt(np.maximum(f, corner))
    size[0] = 0.0
    spectrum: npt.NDArray[Any] = size[:, None] * (rng.standard_normal((len(f), n_channels)) + 1j * rng.standard_normal((len(f), n_channels)))
    series = np.fft.irfft(spectrum, n=2 * n, axis=0)[:n]
    return np.asarray(series / np.sqrt((size**2).sum() / n**2))


def grouped_noise(
    n: int, groups: npt.ArrayLike, rng: np.random.Generator, *, rate: float, corner: float, shared: float
) -> npt.NDArray[np.float64]:
    """Return 1/f noise of unit variance, of which the share ``shared`` is common to the channels of a group (a shaft).

    Parameters
    ----------
    n : int
        Samples.
    groups : array_like of shape (n_channels,)
    shared : float
        Correlation of two channels of one group.
    rng, rate, corner
        As in `one_over_f`.

    Returns
    -------
    ndarray of shape (n, n_channels)
    """
    names, which = np.unique(np.asarray(groups), return_inverse=True)
    own = one_over_f(n, len(which), rng, rate=rate, corner=corner)
    return np.asarray(np.sqrt(1 - shared) * own + np.sqrt(shared) * one_over_f(n, len(names), rng, rate=rate, corner=corner)[:, which])


def gamma_course(times: npt.ArrayLike, onset: npt.ArrayLike, peak: npt.ArrayLike, *, sharpness: float = 4.0) -> npt.NDArray[np.float64]:
    """Return a gamma-shaped response of height 1: nothing until ``onset``, a fast rise to ``peak``, a slow decline.

    g(t) = (u · exp(1 − u))^sharpness  with  u = (t − onset) / (peak − onset)

    Parameters
    ----------
    times : array_like of shape (n_times,)
        Seconds.
    onset, peak : array_like of shape (n_courses,), or float
        Seconds; peaks come after onsets.
    sharpness : float
        About the peak the course is that of a Gaussian of standard deviation (peak − onset) / √sharpness.

    Returns
    -------
    ndarray of shape (n_courses, n_times)

    Examples
    --------
    >>> gamma_course([0.0, 0.1, 0.2], 0.05, [0.1]).round(2).tolist()
    [[0.0, 1.0, 0.03]]
    """
    start, top = np.atleast_1d(np.asarray(onset, dtype=np.float64))[:, None], np.atleast_1d(np.asarray(peak, dtype=np.float64))[:, None]
    u = np.maximum((np.asarray(times, dtype=np.float64)[None] - start) / (top - start), 0.0)
    return np.asarray((u * np.exp(1.0 - u)) ** sharpness)
