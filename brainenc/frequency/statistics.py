"""Test statistics of Fourier coefficients: across trials, across neighbouring bins, and of phases."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError

Floats = npt.NDArray[np.float64]
# E|X| and sd|X| of noise, in units of sqrt(E|X|²): Rayleigh for a complex coefficient, half-normal for a real one
_MEAN = {2: np.sqrt(np.pi / 4), 1: np.sqrt(2 / np.pi)}
_SD = {2: np.sqrt(1 - np.pi / 4), 1: np.sqrt(1 - 2 / np.pi)}
MIN_TRIALS_RAYLEIGH = 5


def t2_circ(coefficients: npt.ArrayLike, *, real: bool = False) -> dict[str, Floats]:
    """Test whether the mean of complex coefficients over trials is zero, with one variance for all directions (T²circ).

    With z̄ the mean over n trials and V = Σ |z_j − z̄|²,

        T²circ = (n − 1) |z̄|² / V,    n T²circ ~ F(2, 2n − 2) without a response.

    A real coefficient (the Nyquist bin) has one degree of freedom: n T²circ = t², F(1, n − 1).

    Parameters
    ----------
    coefficients : array_like of shape (n_trials, …)
        At least two trials; NaN gives NaN.
    real : bool
        Whether the coefficients are real.

    Returns
    -------
    dict of ndarrays of shape (…)
        t2circ, f, df1, df2, p, and ``effect``: |z̄| over the standard deviation of one trial along one direction.

    Notes
    -----
    Victor & Mast 1991, Electroencephalography and Clinical Neurophysiology 78:378, doi:10.1016/0013-4694(91)90099-P (equations from
    memory; tested against their F distribution by simulation). The noise is taken to be circular: equally large in all directions.

    Examples
    --------
    >>> found = t2_circ([1 + 1j, 1 - 1j, 2 + 0j, 0 + 0j])
    >>> round(float(found["f"]), 3)
    3.0
    """
    from scipy import stats

    z = np.asarray(coefficients)
    n = len(z)
    if n < 2:
        raise InputError("T²circ compares trials", where="t2_circ", expected="at least two trials", got=n)
    if real and np.iscomplexobj(z):
        if np.any(np.abs(z.imag) > 1e-9 * np.abs(z)):
            raise InputError("coefficients called real have an imaginary part", where="t2_circ")
        z = z.real
    mean = z.mean(axis=0)
    scatter = (np.abs(z - mean) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t2 = (n - 1) * np.abs(mean) ** 2 / scatter
        spread = np.sqrt(scatter / ((1 if real else 2) * (n - 1)))
        effect = np.abs(mean) / spread
    df1, df2 = (1, n - 1) if real else (2, 2 * n - 2)
    f = n * t2
    shape = np.shape(f)
    return {
        "t2circ": np.asarray(t2, dtype=np.float64), "f": np.asarray(f, dtype=np.float64), "df1": np.full(shape, float(df1)),
        "df2": np.full(shape, float(df2)), "p": np.asarray(stats.f.sf(f, df1, df2)), "effect": np.asarray(effect, dtype=np.float64),
    }  # fmt: skip


def rayleigh(resultant: npt.ArrayLike, n: int) -> Floats:
    """Return the p-value of a mean resultant length R (ITPC) of ``n`` phases against phases that are uniform on the circle.

    p = exp(√(1 + 4n + 4(n² − (nR)²)) − (1 + 2n)), an approximation that from five trials on lies within 0.003 of the truth, and in the
    far tail of few trials above it (five trials: 0.0034 where 0.001 is right; by simulation). With fewer trials it is NaN.

    Parameters
    ----------
    resultant : array_like
        |mean exp(iφ)|, 0 to 1.
    n : int
        Number of trials.

    Notes
    -----
    Rayleigh's test; the approximation is Wilkie's (1983, Applied Statistics 32:311), formula from memory and tested by simulation.

    Examples
    --------
    >>> round(float(rayleigh(0.5, 20)), 4)
    0.0055
    """
    r = np.asarray(resultant, dtype=np.float64)
    if n < MIN_TRIALS_RAYLEIGH:
        return np.full(r.shape, np.nan)
    with np.errstate(invalid="ignore"):
        inside = 1.0 + 4.0 * n + 4.0 * (n**2 - (n * np.minimum(r, 1.0)) ** 2)
        return np.asarray(np.exp(np.sqrt(inside) - (1.0 + 2.0 * n)))


def against_neighbours(magnitude: npt.ArrayLike, near: npt.ArrayLike, *, real: bool = False) -> dict[str, Floats]:
    """Compare the magnitude |X| of a bin with those of neighbouring bins.

    * ``snr``: |X| over the mean of the neighbours;
    * ``z``: (|X| − mean) / standard deviation (n − 1) of the neighbours, a description and not a normal deviate;
    * ``p``: |X|² over the mean square of m neighbours follows F(2, 2m) for Gaussian noise of one level.

    The magnitude of a real coefficient (the Nyquist bin) has another distribution under the same noise: half-normal instead of
    Rayleigh. Its mean and spread are brought to those of the neighbours, so that noise alone gives there too an SNR of about 1 and
    a z of mean 0, and its F has (1, 2m) degrees of freedom.

    Parameters
    ----------
    magnitude : array_like of shape (…)
    near : array_like of shape (…, m)
        At least two neighbours; with fewer all is NaN.

    Notes
    -----
    The local F test is that of Dobie & Wilson 1996, doi:10.1121/1.414933 (from memory). It takes the noise to be of one level over the
    neighbourhood; where the spectrum falls like 1/f the mean of the neighbours lies above the level at the target, so p is too large.
    """
    from scipy import stats

    x, others = np.asarray(magnitude, dtype=np.float64), np.asarray(near, dtype=np.float64)
    m = others.shape[-1]
    if m < 2:
        empty = np.full(x.shape, np.nan)
        return {"snr": empty, "z": empty.copy(), "p": empty.copy()}
    degrees = 1 if real else 2
    mean, spread = others.mean(axis=-1), others.std(axis=-1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = x * (_MEAN[2] / _MEAN[degrees]) / mean
        # (|X| − its noise mean) over its noise sd, both of which the neighbours tell up to the known ratios
        z = (x - mean * (_MEAN[degrees] / _MEAN[2])) / (spread * (_SD[degrees] / _SD[2]))
        f = x**2 / (others**2).mean(axis=-1)
    return {"snr": snr, "z": z, "p": np.asarray(stats.f.sf(f, degrees, 2 * m))}
