"""Haemodynamic responses: nilearn's canonical ones with their derivatives, and a library of double gammas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError

HRF_MODELS = (
    "glover", "spm", "glover + derivative", "spm + derivative", "glover + derivative + dispersion", "spm + derivative + dispersion",
)  # fmt: skip
Floats = npt.NDArray[np.float64]
_LENGTH = 32.0  # seconds
_OVERSAMPLING = 50


@dataclass(frozen=True, slots=True)
class Hrf:
    """A response as the difference of two gamma densities, summing to 1.

    ``h(t) = g(t; delay / dispersion, dispersion) - ratio g(t; undershoot / u_dispersion, u_dispersion)``, g the density of shape and scale.
    ``Hrf()`` is SPM's; ``Hrf(undershoot=12, dispersion=0.9, u_dispersion=0.9, ratio=0.48)`` is Glover's, both as in nilearn.

    Parameters
    ----------
    delay, undershoot : float
        Seconds; the response peaks near ``delay - dispersion``.
    dispersion, u_dispersion : float
        Seconds; widths.
    ratio : float
        Of the undershoot, 0 or more.

    References
    ----------
    Friston et al. (1998), doi:10.1006/nimg.1997.0306. Glover (1999), doi:10.1006/nimg.1998.0419.

    Examples
    --------
    >>> h = Hrf().sample(0.1)
    >>> h.size, round(float(h.sum()), 6), round(float(h.argmax() * 0.1), 1)
    (320, 1.0, 5.1)
    """

    delay: float = 6.0
    undershoot: float = 16.0
    dispersion: float = 1.0
    u_dispersion: float = 1.0
    ratio: float = 0.167

    def __post_init__(self) -> None:
        numbers = (self.delay, self.undershoot, self.dispersion, self.u_dispersion)
        if not all(np.isfinite(x) and x > 0 for x in numbers) or not (np.isfinite(self.ratio) and self.ratio >= 0):
            raise InputError("an HRF takes positive seconds and a ratio of 0 or more", where="Hrf", got=f"{numbers}, ratio {self.ratio}")

    def sample(self, dt: float) -> Floats:
        """Return the response on a grid of step ``dt`` (s) over 32 s, summing to 1; the grid is nilearn's."""
        from scipy.stats import gamma

        t = np.linspace(0.0, _LENGTH, int(np.rint(_LENGTH / dt)))
        rise = gamma.pdf(t, self.delay / self.dispersion, loc=dt, scale=self.dispersion)
        fall = gamma.pdf(t, self.undershoot / self.u_dispersion, loc=dt, scale=self.u_dispersion)
        values = rise - self.ratio * fall
        return np.asarray(values / values.sum(), dtype=np.float64)


HrfModel = str | Hrf


def hrf_library() -> tuple[Hrf, ...]:
    """Return 21 responses that differ in when they peak and how long they last.

    Delays of 4, 5, …, 10 s with widths of 0.8, 1.1 and 1.5 s; the undershoot follows the peak by 10 s. One response for each voxel out of a
    library is GLMsingle's idea (Prince et al. 2022, doi:10.7554/eLife.77599); this family of double gammas is our choice.

    Examples
    --------
    >>> len(hrf_library())
    21
    """
    return tuple(Hrf(float(delay), delay + 10.0, width, 1.0) for delay in range(4, 11) for width in (0.8, 1.1, 1.5))


def response_functions(hrf: HrfModel) -> list[tuple[str, HrfModel]]:
    """Return name and key of every function of a model: the response itself, then its derivatives.

    Raises
    ------
    InputError
        For another name.
    """
    if isinstance(hrf, Hrf):
        return [("response", hrf)]
    one_of(hrf, HRF_MODELS, "hrf")
    base, *more = [part.strip() for part in hrf.split("+")]
    return [("response", base), *((part, f"{base} {part}") for part in more)]


def convolved(times: Floats, onset: Floats, duration: Floats, step: float, key: HrfModel) -> Floats:
    """Return the response to each event alone with amplitude 1 at these times, (n_scans, n_events).

    Convolution is linear: features only weight the columns. Derivatives are not made orthogonal to the response, as that is not linear.
    """
    # nilearn's fine grid hangs on the scans it is given: scans that were cut from a run are computed with the whole run
    first = times[0] % step
    place = np.rint((times - first) / step).astype(np.intp)
    start = min(0, int(place[0]))  # scans before the zero of the clock
    if not np.allclose(first + place * step, times):
        return np.stack([_regressor(tuple(times), float(s), float(d), key) for s, d in zip(onset, duration, strict=True)], axis=1)
    whole = tuple(first + np.arange(start, max(int(place[-1]), start + 1) + 1) * step)  # at least two, or there is no grid
    return np.stack([_regressor(whole, float(s), float(d), key) for s, d in zip(onset, duration, strict=True)], axis=1)[place - start]


@lru_cache(maxsize=8192)
def _regressor(times: tuple[float, ...], onset: float, duration: float, key: HrfModel) -> Floats:
    """Return nilearn's regressor of one event; kept, because every layer of a model needs the same ones."""
    from nilearn.glm.first_level import compute_regressor

    event = (np.array([onset]), np.array([duration]), np.array([1.0]))
    early = min(-24.0, onset - times[0] - 1.0)
    return np.asarray(compute_regressor(event, _kernel(key), np.array(times), oversampling=_OVERSAMPLING, min_onset=early)[0][:, 0])


def _kernel(key: HrfModel) -> Any:
    """Return what nilearn takes: a name, or a function of repetition time and oversampling."""
    if isinstance(key, Hrf):

        def double_gamma(t_r: float, oversampling: int = _OVERSAMPLING) -> Floats:
            return key.sample(t_r / oversampling)

        return double_gamma
    if " " not in key:
        return key
    from nilearn.glm import first_level

    base, part = key.split(" ")
    found: Callable[..., Floats] = getattr(first_level, f"{base}_{'time' if part == 'derivative' else part}_derivative")
    return found
