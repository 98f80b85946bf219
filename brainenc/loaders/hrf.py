"""Haemodynamic responses: nilearn's canonical ones with their derivatives, and a library of double gammas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

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

    Equal to nilearn's `compute_regressor` with 50 points a scan, event by event, without a convolution: a boxcar from fine point a to b through h is
    ``H(k - a) - H(k - b)`` at point k, H the running sum of h. Convolution is linear, so features only weight the columns; derivatives are not
    made orthogonal to the response, as that is not linear.
    """
    # nilearn's fine grid hangs on the scans it is given: scans that were cut from a run are computed with the whole run
    first = times[0] % step
    place = np.rint((times - first) / step).astype(np.intp)
    start = min(0, int(place[0]))  # scans before the zero of the clock
    if not np.allclose(first + place * step, times):
        return _boxcars(times, onset, duration, key)
    whole = first + np.arange(start, max(int(place[-1]), start + 1) + 1) * step  # at least two, or there is no grid
    return _boxcars(whole, onset, duration, key)[place - start]


def _boxcars(times: Floats, onset: Floats, duration: Floats, key: HrfModel) -> Floats:
    """Return all events at all times; events more than 24 s before the first scan take a grid that begins before them."""
    out = np.empty((len(times), len(onset)))
    early = np.minimum(-24.0, onset - times[0] - 1.0)
    sums = _running_sum(key, float(np.diff(times).min()))
    for begin in np.unique(early):
        span = times.max() * (1 + 1.0 / (len(times) - 1)) - times.min() - begin
        n_fine = int(np.rint((len(times) - 1) / (times.max() - times.min()) * span * _OVERSAMPLING + 1))
        fine = np.linspace(times.min() + begin, times.max() * (1 + 1.0 / (len(times) - 1)), n_fine)
        mine = np.flatnonzero(early == begin)
        on = np.minimum(np.searchsorted(fine, onset[mine]), n_fine - 1)
        off = np.minimum(np.searchsorted(fine, onset[mine] + duration[mine]), n_fine - 1)
        off = np.where((off == on) & (off < n_fine - 1), off + 1, off)  # an event without duration lasts one point
        low = np.clip(np.searchsorted(fine, times) - 1, 0, n_fine - 2)
        share = ((times - fine[low]) / (fine[low + 1] - fine[low]))[:, None]
        at = [_lookup(sums, (low + k)[:, None] - on) - _lookup(sums, (low + k)[:, None] - off) for k in (0, 1)]
        out[:, mine] = (1 - share) * at[0] + share * at[1]
    return out


def _lookup(sums: Floats, index: npt.NDArray[np.intp]) -> Floats:
    """Return the running sum at each index: 0 before it begins, its last value after it ends."""
    return np.where(index < 0, 0.0, sums[np.clip(index, 0, len(sums) - 1)])


@lru_cache(maxsize=256)
def _running_sum(key: HrfModel, t_r: float) -> Floats:
    """Return the running sum of a response function on the fine grid."""
    if isinstance(key, Hrf):
        return np.cumsum(key.sample(t_r / _OVERSAMPLING))
    from nilearn.glm import first_level

    base, _, part = key.partition(" ")
    name = f"{base}_hrf" if not part else f"{base}_{'time' if part == 'derivative' else part}_derivative"
    found: Callable[..., Floats] = getattr(first_level, name)
    return np.cumsum(found(t_r, _OVERSAMPLING))
