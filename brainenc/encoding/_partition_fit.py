"""Models of every subset of spaces in one outer fold, with what they share computed once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.encoding._band_fit import Prepared, prepare, search_bands
from brainenc.encoding._fit import banded_like, fit_fold
from brainenc.encoding._rows import Fold
from brainenc.encoding.banded import BandedRidge, search_subset
from brainenc.encoding.stacking import Stacking, stack

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Training and test rows of one fold; ``mean`` are the training means of the targets."""

    X: Array
    Y: Array
    X_test: Array
    Y_test: Array
    mean: Floats
    bands: list[Index]
    fold: Fold


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Squared errors (1 + n_subsets, n_test or 0, n_targets) with their sums over rows, and the terms of the product measure with theirs."""

    errors: npt.NDArray[np.float32]
    sums: Floats
    terms: npt.NDArray[np.float32] | None
    term_sums: Floats | None


def fit_subsets(encoder: Any, data: Data, subsets: list[list[int]], *, memory: Any, device: str, keep: bool) -> Found:
    """Fit a model to every subset of the bands, the last being all of them, and score it on the test rows; ``keep`` the errors of single rows."""
    y = data.Y_test.astype(np.float64) - data.mean
    errors = np.empty((len(subsets) + 1, len(y) if keep else 0, y.shape[1]), dtype=np.float32)
    sums = np.empty((len(subsets) + 1, y.shape[1]))
    errors[0], sums[0] = (y**2)[: errors.shape[1]], (y**2).sum(axis=0)
    terms: Floats | None = None
    for i, (parts, shift) in enumerate(_predictions(encoder, data, subsets, memory, device)):
        predicted = parts.sum(axis=0) + shift
        squared = (y - predicted) ** 2
        errors[i + 1], sums[i + 1] = squared[: errors.shape[1]], squared.sum(axis=0)
        if len(parts) == len(data.bands) and not np.any(shift):
            terms = parts * (2 * y - predicted)  # of the last subset, all bands
    if terms is None:
        return Found(errors, sums, None, None)
    return Found(errors, sums, terms[:, : errors.shape[1]].astype(np.float32), terms.sum(axis=1))


def _predictions(encoder: Any, data: Data, subsets: list[list[int]], memory: Any, device: str) -> Iterator[tuple[Floats, Floats]]:
    """Yield what bands (or, of other encoders, the whole) add to ``shift`` in the test rows, beside the training means, for each subset."""
    if not isinstance(encoder, BandedRidge | Stacking):
        for members in subsets:
            columns = np.concatenate([data.bands[k] for k in members])
            fit = fit_fold(encoder, data.X[:, columns], data.Y, data.X_test[:, columns], data.fold, memory=memory, device=device, layer="a subset")
            yield fit.predictions[None].astype(np.float64), -data.mean
        return
    model = banded_like(encoder, data.fold, len(data.X), memory=memory, device=device)
    shift = np.zeros_like(data.mean) if model.fit_intercept else -data.mean
    shared = _banded if isinstance(encoder, BandedRidge) else _stacked
    for parts in shared(model, data, subsets):
        yield parts, shift


def _banded(model: BandedRidge, data: Data, subsets: list[list[int]]) -> Iterator[Floats]:
    alphas, cv, search = model._options(data.X, data.Y, data.fold.groups, len(data.bands))
    prepared = _prepared(model, data, cv)
    for members in subsets:
        fitted = search_bands(prepared, lambda design, members=members: search_subset(model, search, design, members), alphas=alphas, full=model.full)  # type: ignore[misc]
        yield fitted.model.parts(data.X_test).astype(np.float64)


def _stacked(model: Stacking, data: Data, subsets: list[list[int]]) -> Iterator[Floats]:
    alphas, cv = model._options(data.X, data.Y, data.fold.groups, len(data.bands))
    found = stack(_prepared(model, data, cv), alphas)
    alone = found.parts(data.X_test).astype(np.float64)
    for members in subsets:
        yield alone * found.weights(members).T[:, None]


def _prepared(model: Any, data: Data, cv: Any) -> Prepared:
    return prepare(
        data.X, data.Y, data.bands, cv=cv, weights=data.fold.weights, intercept=bool(model.fit_intercept), solver=model.solver, memory=model.memory,
        device=model.device,
    )  # fmt: skip
