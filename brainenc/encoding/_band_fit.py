"""From arrays to fitted bands: targets grouped by the rows they lack, one search a group, predictions band by band."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError

if TYPE_CHECKING:
    from brainenc.linalg.banded import BandDesign
    from brainenc.linalg.banded_fit import BandedFit, Search, Targets

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Targets that were observed in the same rows."""

    design: BandDesign
    targets: Targets
    cv: Any


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Gram matrices of all bands, which serve every search, and the targets in groups."""

    X: Array
    bands: list[Index]
    parts: list[Part]
    x_mean: Array
    n_targets: int
    form: str
    memory: Any

    @property
    def traces(self) -> Floats:
        """Sum of squares of each band, centred and weighted; 1 for bands without variance, whose weight has no effect."""
        return positive(self.parts[0].design.traces)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Weights, penalties and scores of all targets; those with too few rows are NaN."""

    prepared: Prepared
    candidates: Floats  # (n_tried, n_bands)
    choice: Index  # (n_targets,); -1 where nothing could be fitted
    alpha: Floats
    edge: npt.NDArray[np.int8]  # (n_targets,) -1 and 1 at the ends of the grid
    cv_scores: Floats
    base: Floats  # held-out squared error of the training means
    history: npt.NDArray[np.float32]  # (n_tried, n_targets); NaN for candidates of other groups
    weights: Array
    y_mean: Array
    plan: Any

    @property
    def band_weights(self) -> Floats:
        """(n_targets, n_bands)"""
        out = self.candidates[self.choice]
        out[self.choice < 0] = np.nan
        return out

    @property
    def model(self) -> BandModel:
        """What predicts."""
        prepared = self.prepared
        X = None if prepared.form == "primal" else prepared.X
        return BandModel(X, prepared.bands, prepared.x_mean, self.y_mean, self.weights, self.band_weights)


@dataclass(frozen=True, slots=True, eq=False)
class BandModel:
    """Weights that predict, band by band."""

    X: Array | None  # training rows, kernel form only
    bands: list[Index]
    x_mean: Array
    y_mean: Array
    weights: Array  # (p, n_targets), or (n, n_targets) in kernel form
    band_weights: Floats

    def by_band(self, X: Array) -> Iterator[Array]:
        """Yield (n_rows, n_targets) of each band: what its features add to the targets' means."""
        mean, weights = self.x_mean, self.band_weights.astype(self.weights.dtype)
        for k, columns in enumerate(self.bands):
            if not weights[:, k].any():
                yield np.zeros((len(X), len(self.y_mean)), dtype=self.weights.dtype)
                continue
            if self.X is None:
                yield (X[:, columns] - mean[columns]) @ self.weights[columns]
                continue
            kernel = np.zeros((len(X), len(self.X)), dtype=self.weights.dtype)
            for start in range(0, len(columns), _BLOCK):
                part = columns[start : start + _BLOCK]
                kernel += (X[:, part] - mean[part]) @ (self.X[:, part] - mean[part]).T
            yield kernel @ (self.weights * weights[:, k])

    def parts(self, X: Array) -> Array:
        """Return what every band adds, (n_bands, n_rows, n_targets)."""
        out = np.empty((len(self.bands), len(X), len(self.y_mean)), dtype=self.weights.dtype)
        for start in range(0, len(X), _BLOCK):
            rows = slice(start, start + _BLOCK)
            for k, part in enumerate(self.by_band(X[rows])):
                out[k, rows] = part
        return out

    def predict(self, X: Array) -> Array:
        """Return predictions (n_rows, n_targets)."""
        out = np.empty((len(X), len(self.y_mean)), dtype=self.weights.dtype)
        for start in range(0, len(X), _BLOCK):
            rows = slice(start, start + _BLOCK)
            out[rows] = self.y_mean
            for part in self.by_band(X[rows]):
                out[rows] += part
        return out

    def coefficients(self) -> Array:
        """Return the weights of the features, (n_features, n_targets)."""
        if self.X is None:
            return self.weights
        mean, weights = self.x_mean, self.band_weights.astype(self.weights.dtype)
        out = np.empty((self.X.shape[1], len(self.y_mean)), dtype=self.weights.dtype)
        for k, columns in enumerate(self.bands):
            dual = self.weights * weights[:, k]
            for start in range(0, len(columns), _BLOCK):
                part = columns[start : start + _BLOCK]
                out[part] = (self.X[:, part] - mean[part]).T @ dual
        return out


def prepare(
    X: Array, Y: Array, bands: list[Index], *, cv: Any, weights: Floats | None, intercept: bool, solver: str, memory: Any, device: str
) -> Prepared:  # fmt: skip
    """Centre the features, form the Gram matrices of the bands, and group the targets by the rows they lack."""
    from brainenc.linalg.banded import make_bands
    from brainenc.linalg.banded_fit import Targets
    from brainenc.linalg.device import resolve_device
    from brainenc.linalg.ridge_setup import missing_patterns, target_statistics

    s = np.ones(len(X)) if weights is None else weights
    form = solver if solver != "auto" else ("primal" if X.shape[1] <= len(X) else "kernel")
    where = resolve_device(device)
    parts = []
    for missing, columns in missing_patterns(Y):
        kept, splits = _observed(s, missing, cv)
        if kept is None:
            continue
        design = make_bands(X, bands, kept, intercept=intercept, form=form, dtype=X.dtype, device=where)
        mean, constant = target_statistics(Y, kept, intercept=intercept, columns=columns)
        parts.append(Part(design, Targets(Y, columns, mean, constant, missing is not None), splits))
    if not parts:
        raise InputError("Input Y contains NaN, and no target has enough rows", where="Y", expected="two observed rows to train on and one to test")
    return Prepared(X, bands, parts, parts[0].design.mean.astype(X.dtype), Y.shape[1], form, memory)


def search_bands(prepared: Prepared, make_search: Callable[[BandDesign], Search], *, alphas: Floats | None, full: bool) -> Fitted:
    """Search band weights for every group of targets and join what is found."""
    from brainenc.linalg.banded_fit import banded_fit

    found = []
    for part in prepared.parts:
        search = make_search(part.design)
        found.append(banded_fit(part.design, part.targets, alphas=alphas, cv=part.cv, search=search, full=full, memory=prepared.memory))
    return _joined(prepared, found)


def positive(traces: Floats) -> Floats:
    """Return the traces with 1 in place of zero."""
    return np.where(traces > 0, traces, 1.0)


def _joined(prepared: Prepared, found: list[BandedFit]) -> Fitted:
    n, dtype = prepared.n_targets, prepared.X.dtype
    n_tried = sum(len(fit.candidates) for fit in found)
    out = Fitted(
        prepared, np.concatenate([fit.candidates for fit in found]), np.full(n, -1, dtype=np.intp), np.full(n, np.nan), np.zeros(n, dtype=np.int8),
        np.full(n, np.nan), np.full(n, np.nan), np.full((n_tried, n), np.nan, dtype=np.float32), np.full((len(found[0].weights), n), np.nan, dtype=dtype),
        np.full(n, np.nan, dtype=dtype), found[0].plan,
    )  # fmt: skip
    if len(found) == 1 and len(prepared.parts[0].targets.columns) == n:
        out = replace(out, weights=found[0].weights)
    start = 0
    for part, fit in zip(prepared.parts, found, strict=True):
        columns, stop = part.targets.columns, start + len(fit.candidates)
        out.choice[columns], out.alpha[columns], out.cv_scores[columns] = fit.choice + start, fit.alpha, fit.cv_scores
        out.edge[columns], out.base[columns] = fit.edge, fit.base
        out.history[start:stop, columns] = fit.history
        if out.weights is not fit.weights:
            out.weights[:, columns] = fit.weights
        out.y_mean[columns] = part.targets.mean
        start = stop
    if len(found) > 1:
        _move_means(prepared, out)
    return out


def _move_means(prepared: Prepared, out: Fitted) -> None:
    """Add to the targets' means what follows from centring features with the first group's means rather than with their own."""
    for part in prepared.parts[1:]:
        point = part.design.mean.astype(prepared.X.dtype)[None]
        moved = sum(one[0] for one in out.model.by_band(point))  # the prediction at a group's own means is its mean
        out.y_mean[part.targets.columns] -= moved[part.targets.columns]  # type: ignore[index]


def _observed(weights: Floats, missing: npt.NDArray[np.bool_] | None, cv: Any) -> tuple[Floats | None, Any]:
    """Return the weights without missing rows, and the folds without them; None where too few rows are left."""
    if missing is None:
        return weights, cv
    kept = np.where(missing, 0.0, weights)
    if (kept > 0).sum() < 2:
        return None, cv
    if not isinstance(cv, list):
        return kept, cv
    splits = [(train[kept[train] > 0], test[kept[test] > 0]) for train, test in cv]
    splits = [(train, test) for train, test in splits if len(train) > 1 and len(test)]
    return (kept, splits) if splits else (None, cv)
