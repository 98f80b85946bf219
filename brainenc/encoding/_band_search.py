"""Which band weights to try next: random draws, a given list, or a surrogate of the error that all targets share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brainenc.core.rng import generator

if TYPE_CHECKING:
    from brainenc.linalg.banded_fit import Proposal

Floats = npt.NDArray[np.float64]
Worth = tuple[npt.NDArray[np.bool_], Floats]  # which targets are to be tried, and the errors expected of all
Shape = tuple[float, float]  # length and power of the surrogate
CONCENTRATIONS = (0.1, 1.0)
N_CORNERS = 8
_POOL = 600
_SHOWN = 400  # targets whose expected gain is summed
_LENGTHS = (0.35, 0.6, 1.0, 1.7, 3.0)
_NUGGET = 1e-4
_FLOOR = 1e-4
_SPREAD = 0.35  # of the logarithm of weights near the best ones
_ROOT = 1 / 3
_DOUBT = 4.0  # of the surrogate's standard deviations: a shared length and power make it too sure of single targets


class Listed:
    """Try these weights, in this order."""

    def __init__(self, weights: Floats) -> None:
        self.weights = weights

    def __call__(self, past: Proposal) -> Floats | None:
        m = len(past.tried)
        return self.weights[m] if m < len(self.weights) else None

    def worth(self, past: Proposal, weights: Floats) -> Worth:
        """Every target is tried with every listed set."""
        return np.ones(past.errors.shape[1], dtype=bool), np.zeros(past.errors.shape[1])


class Within:
    """Search among some of the bands; the others have weight zero."""

    def __init__(self, search: Any, members: list[int], n_bands: int) -> None:
        self.search, self.members, self.n_bands = search, members, n_bands

    def __call__(self, past: Proposal) -> Floats | None:
        weights = self.search(past._replace(tried=past.tried[:, self.members]))
        if weights is None:
            return None
        out = np.zeros(self.n_bands)
        out[self.members] = weights
        return out

    def worth(self, past: Proposal, weights: Floats) -> Worth:
        """Ask the inner search."""
        return self.search.worth(past._replace(tried=past.tried[:, self.members]), weights[self.members])  # type: ignore[no-any-return]


class Guided:
    """Try next the weights whose expected gain, summed over targets, is the largest.

    A Gaussian process over the cube roots of the shares, with one Matérn-5/2 kernel for all targets, is fitted to the errors so far;
    its length is the likeliest of a few, over all targets. Candidates are Dirichlet draws and neighbours of the weights that are some
    target's best. Targets whose expected error is far above their best sit a set out. Stops when ``patience`` weights in a row together
    lowered the mean error by less than ``tol``.
    """

    def __init__(self, first: Floats, scale: Floats, *, n_iter: int, seed: int, tol: float, patience: int = 8) -> None:
        self.first, self.scale = first, scale
        self.n_iter, self.seed, self.tol, self.patience = n_iter, seed, tol, patience
        self._shape: Shape | None = None  # of the surrogate that proposed last

    def __call__(self, past: Proposal) -> Floats | None:
        m = len(past.tried)
        if m >= self.n_iter or (m and len(self.scale) == 1):
            return None
        if m < len(self.first):
            return self.first[m]
        errors = past.errors[:, np.isfinite(past.errors).all(axis=0)].astype(np.float64)
        if not errors.shape[1] or self._settled(errors):
            return None
        rng = generator(self.seed, "bands", m)
        if errors.shape[1] > _SHOWN:
            errors = errors[:, rng.choice(errors.shape[1], _SHOWN, replace=False)]
        shares = to_shares(past.tried, self.scale)
        pool = self._pool(shares, errors, rng)
        x, at = np.power(shares, _ROOT), np.power(pool, _ROOT)
        self._shape = likeliest(x, errors)
        gain = expected_gain(*surrogate(x, errors, at, self._shape), errors.min(axis=0))
        return from_shares(pool[int(np.argmax(gain))], self.scale)

    def worth(self, past: Proposal, weights: Floats) -> Worth:
        """Return the targets (n,) for which these weights may be better than any so far, and the errors expected of all.

        May be: the error that the surrogate expects, less ``_DOUBT`` of its standard deviations, is below the least so far.
        """
        errors = past.errors.astype(np.float64)
        hope, expected = np.ones(errors.shape[1], dtype=bool), np.zeros(errors.shape[1])
        known = np.isfinite(errors).all(axis=0)
        if self._shape is None:
            return hope, expected
        x, at = (np.power(to_shares(rows, self.scale), _ROOT) for rows in (past.tried, weights[None]))
        guess, spread = surrogate(x, errors[:, known], at, self._shape)
        least = errors[:, known].min(axis=0)
        hope[known] = guess[0] - _DOUBT * spread[0] < least
        expected[known] = np.maximum(guess[0], least)
        return hope, expected

    def _settled(self, errors: Floats) -> bool:
        least = np.minimum.accumulate(errors, axis=0).mean(axis=1)
        m = len(least)
        return m >= len(self.first) + self.patience and least[m - 1 - self.patience] - least[m - 1] < self.tol

    def _pool(self, shares: Floats, errors: Floats, rng: np.random.Generator) -> Floats:
        k = shares.shape[1]
        drawn = [dirichlet(rng, k, _POOL // 4, c) for c in (0.1, 0.3, 1.0)]
        best = np.unique(np.argmin(errors, axis=0))
        parents = shares[rng.choice(best, _POOL // 2)]
        moved = parents * np.exp(_SPREAD * rng.standard_normal(parents.shape))
        moved[rng.random(moved.shape) < 0.5 / k] = 0.0
        moved = moved[moved.sum(axis=1) > 0]
        return np.concatenate([*drawn, moved / moved.sum(axis=1, keepdims=True)])


def random_weights(first: Floats, scale: Floats, n_iter: int, seed: int) -> Floats:
    """Return ``n_iter`` weights: the first ones as given, then Dirichlet draws of the shares, concentrations 0.1 and 1 in turn."""
    rng = generator(seed, "bands")
    k, n = len(scale), max(n_iter - len(first), 0)
    drawn = np.array([dirichlet(rng, k, 1, CONCENTRATIONS[i % 2])[0] for i in range(n)]).reshape(n, k)
    return np.concatenate([first, np.array([from_shares(one, scale) for one in drawn]).reshape(n, k)])[:n_iter]


def first_weights(scale: Floats, *, corners: bool) -> Floats:
    """Return the weights to begin with: one penalty for all features, equal shares of the variance, and each band alone."""
    k = len(scale)
    rows = [np.full(k, 1.0 / k), from_shares(np.full(k, 1.0 / k), scale)]
    if corners and 1 < k <= N_CORNERS:
        rows.extend(np.eye(k))
    kept: list[Floats] = []
    for row in rows:
        if not any(np.allclose(row, other) for other in kept):
            kept.append(row)
    return np.array(kept)


def from_shares(shares: Floats, scale: Floats) -> Floats:
    """Return band weights that sum to 1 from shares of the features' weighted variance: g_k proportional to share_k / scale_k.

    Shares below 1e-4 of the largest become zero: float32 could not tell such a band from rounding.
    """
    weights = np.where(shares < _FLOOR * shares.max(), 0.0, shares) / scale
    return weights / weights.sum()


def to_shares(weights: Floats, scale: Floats) -> Floats:
    """Return each row's shares of the weighted variance."""
    shares = weights * scale
    return shares / shares.sum(axis=-1, keepdims=True)


def dirichlet(rng: np.random.Generator, k: int, n: int, concentration: float) -> Floats:
    """Return Dirichlet draws (n, k); a draw of zeros, which small concentrations can give in floating point, becomes a corner."""
    gamma = rng.gamma(concentration, size=(n, k))
    empty = gamma.sum(axis=1) <= 0
    gamma[empty, rng.integers(k, size=int(empty.sum()))] = 1.0
    return gamma / gamma.sum(axis=1, keepdims=True)


def expected_gain(guess: Floats, spread: Floats, least: Floats) -> Floats:
    """Return the expected improvement of each candidate summed over targets, from errors expected and their deviations (n_pool, n_targets)."""
    from scipy.special import ndtr

    gap = least - guess
    u = gap / spread
    return np.asarray((gap * ndtr(u) + spread * np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)).sum(axis=1))


def likeliest(x: Floats, errors: Floats) -> Shape:
    """Return the surrogate's length and power: the likeliest of a few lengths, for all targets together."""
    z = _standard(errors)[0]
    found = []
    for length in _LENGTHS:
        chol = _factor(x, length)
        power = max(float((_whitened(chol, z) ** 2).mean()), 1e-12)
        found.append((-0.5 * len(x) * np.log(power) - np.log(np.diag(chol)).sum(), length, power))
    return max(found)[1:]


def surrogate(x: Floats, errors: Floats, pool: Floats, shape: Shape) -> tuple[Floats, Floats]:
    """Return the errors expected at the candidates (n_pool, n_targets) and their standard deviations, from errors (m, n_targets) at the places x (m, d)."""
    (z, mean, spread), (length, power) = _standard(errors), shape
    chol = _factor(x, length)
    cross, white = _whitened(chol, _matern(x, pool, length)), _whitened(chol, z)
    variance = np.maximum(1.0 - (cross**2).sum(axis=0), 1e-10)
    return mean + spread * (cross.T @ white), spread * np.sqrt(variance * power)[:, None]


def _standard(errors: Floats) -> tuple[Floats, Floats, Floats]:
    mean, spread = errors.mean(axis=0), np.maximum(errors.std(axis=0), 1e-9)
    return (errors - mean) / spread, mean, spread


def _factor(x: Floats, length: float) -> Floats:
    return np.asarray(np.linalg.cholesky(_matern(x, x, length) + _NUGGET * np.eye(len(x))))


def _whitened(chol: Floats, values: Floats) -> Floats:
    from scipy.linalg import solve_triangular

    return np.asarray(solve_triangular(chol, values, lower=True, check_finite=False))


def _matern(a: Floats, b: Floats, length: float) -> Any:
    distance = np.sqrt(np.maximum(((a[:, None] - b[None]) ** 2).sum(-1), 0.0)) * (np.sqrt(5.0) / length)
    return (1 + distance + distance**2 / 3) * np.exp(-distance)
