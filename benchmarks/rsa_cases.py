"""The cases of `rsa.py`: what is computed, by us and by the peer, from the same inputs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """Two ways to the same numbers; ``peer`` is None where the peer is not installed."""

    ours: Call
    peer: Call | None = None
    difference: Callable[[Any, Any], float] | None = None
    against: str = "rsatoolbox"
    flops: float = 0.0
    dtype: str = "float64"


_CASES: dict[str, Callable[[str], Case]] = {}


def case(build: Callable[[str], Case]) -> Callable[[str], Case]:
    """Register a case under the name of its function, underscores written as dashes."""
    _CASES[build.__name__.replace("_", "-")] = build
    return build


def names() -> list[str]:
    """Return the names of all cases in the order of this file."""
    return list(_CASES)


def describe(name: str) -> str:
    """Return the first line of a case's docstring."""
    return (_CASES[name].__doc__ or "").strip().splitlines()[0]


def build(name: str, size: str) -> Case:
    """Return one case with its inputs made."""
    if name not in _CASES:
        raise SystemExit(f"unknown case {name!r}: one of {', '.join(_CASES)}")
    made = _CASES[name](size)
    installed = importlib.util.find_spec({"mne-rsa": "mne_rsa"}.get(made.against, made.against))
    return made if installed else Case(made.ours, against=made.against, flops=made.flops, dtype=made.dtype)


def largest(mine: Any, other: Any) -> float:
    """Return the largest difference, relative to the largest number of the peer."""
    a, b = np.asarray(mine, dtype=float), np.asarray(other, dtype=float)
    return float(np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(b)))


def at(size: str, tiny: Any, small: Any, full: Any) -> Any:
    """Return the numbers of a size."""
    return {"tiny": tiny, "small": small, "full": full}[size]


def dataset(values: np.ndarray, **columns: Any) -> Any:
    """Return a data set of rsatoolbox with one row a trial."""
    from rsatoolbox.data import Dataset

    return Dataset(values, obs_descriptors={name: np.asarray(column) for name, column in columns.items()})


@case
def crossnobis(size: str) -> Case:
    """Balanced crossnobis with a full noise precision: 1000 conditions x 1000 voxels x 8 runs."""
    n, p, folds = at(size, (6, 5, 3), (200, 200, 8), (1000, 1000, 8))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((folds * n, p))
    conditions, runs = np.tile(np.arange(n), folds), np.repeat(np.arange(folds), n)
    residuals = rng.standard_normal((2 * p + 50, p))
    precision = np.linalg.inv(residuals.T @ residuals / len(residuals))

    def ours() -> Any:
        import brainenc as be

        return be.rsa.rdm(X, metric="crossnobis", conditions=conditions, folds=runs, noise=precision).values[0]

    def peer() -> Any:
        from rsatoolbox.rdm import calc_rdm

        data = dataset(X, conds=conditions, runs=runs)
        return calc_rdm(data, method="crossnobis", descriptor="conds", cv_descriptor="runs", noise=precision).dissimilarities[0]

    # fold means through the precision and one Gram of the sum; the grams of the folds
    return Case(ours, peer, largest, flops=2.0 * n * p * p * 1 + 2.0 * n * n * p * 1)


@case
def unbalanced_crossnobis(size: str) -> Case:
    """Crossnobis of an unbalanced design: 200 conditions, 1500 trials, 500 channels, 8 runs."""
    n, trials, p = at(size, (5, 40, 4), (50, 300, 100), (200, 1500, 500))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((trials, p))
    conditions = np.concatenate([np.arange(n), np.arange(n), rng.integers(n, size=trials - 2 * n)])
    runs = np.concatenate([np.zeros(n, int), np.ones(n, int), rng.integers(8, size=trials - 2 * n)])

    def ours() -> Any:
        import brainenc as be

        return be.rsa.rdm(X, metric="crossnobis", conditions=conditions, folds=runs, weighting="trials").values[0]

    def peer() -> Any:
        from rsatoolbox.rdm import calc_rdm_unbalanced

        return calc_rdm_unbalanced(dataset(X, conds=conditions, runs=runs), method="crossnobis", descriptor="conds", cv_descriptor="runs").dissimilarities[0]

    return Case(ours, peer, largest, flops=2.0 * n * n * p)


@case
def crossnobis_movie(size: str) -> Case:
    """Crossnobis at every time point: 40 conditions x 16 folds x 64 channels x 100 times."""
    n, folds, p, times = at(size, (5, 3, 4, 6), (40, 4, 16, 20), (40, 16, 64, 100))
    rng = np.random.default_rng(0)
    X = rng.standard_normal((folds * n, p, times))
    conditions, runs = np.tile(np.arange(n), folds), np.repeat(np.arange(folds), n)

    def ours() -> Any:
        import brainenc as be

        return be.rsa.rdm_movie(X, np.arange(times), metric="crossnobis", conditions=conditions, folds=runs).values

    def peer() -> Any:
        from rsatoolbox.data import TemporalDataset
        from rsatoolbox.rdm import calc_rdm_movie

        data = TemporalDataset(X, obs_descriptors={"conds": conditions, "runs": runs}, time_descriptors={"time": np.arange(times)})
        return calc_rdm_movie(data, method="crossnobis", descriptor="conds", cv_descriptor="runs").dissimilarities

    return Case(ours, peer, largest, flops=2.0 * n * n * p * times * 2)


@case
def shrinkage_gram(size: str) -> Case:
    """Patterns whitened by a shrunken precision, X W X': 1500 channels, 300 residuals, 92 conditions."""
    n, p, count = at(size, (5, 8, 6), (20, 300, 100), (92, 1500, 300))
    rng = np.random.default_rng(0)
    X, residuals = rng.standard_normal((n, p)), rng.standard_normal((count, p))

    def ours() -> Any:
        import brainenc as be

        return be.rsa.rdm(X, metric="mahalanobis", noise=be.rsa.noise_model(residuals, method="schaefer_strimmer")).values[0]

    def peer() -> Any:
        from rsatoolbox.data.noise import prec_from_residuals
        from rsatoolbox.rdm import calc_rdm

        precision = prec_from_residuals(residuals, method="shrinkage_diag")
        return calc_rdm(dataset(X, conds=np.arange(n)), method="mahalanobis", descriptor="conds", noise=precision).dissimilarities[0]

    return Case(ours, peer, largest, flops=2.0 * count * count * p)
