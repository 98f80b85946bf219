"""Which noise model belongs to which group of channels and fold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.rsa._trials import Trials
from brainenc.rsa.noise import METHODS, NoiseModel, from_residuals

PerFold = NoiseModel | list[NoiseModel] | None
_SAME = (
    "noise of {!r}: every condition comes once a fold, so that the noise is made of the differences between folds that the metric multiplies; "
    "cross-validated distances of pure noise then lie somewhat above 0. Comparisons with models are hardly touched; for tests against 0 "
    "give residuals of a GLM, several trials a fold, or a noise model of other data"
)


class Noises(NamedTuple):
    """The noise of each group of channels, or one for all: None, a model, or a list of one a fold."""

    models: list[PerFold]
    shared: bool


def noise_for_groups(noise: Any, part: Trials, metric: str) -> Noises:
    """Return the noise of the groups of one data set; ``noise`` is what `brainenc.rsa.rdm` takes for it."""
    if noise is None:
        return Noises([None], shared=True)
    if isinstance(noise, bool | str):
        method = METHODS[0] if noise is True else str(one_of(noise, METHODS, "noise"))
        return Noises([estimated(part, [group], method, warn=group == 0) for group in range(len(part.values))], shared=False)
    found = per_fold(noise, part, metric)
    first = found[0] if isinstance(found, list) else found
    wanted, total = part.values.shape[2], part.n_total or part.values.shape[2]
    if first.n_channels == total and part.channels is not None and total != wanted:
        return Noises([[one.take(index) for one in found] if isinstance(found, list) else found.take(index) for index in part.channels], shared=False)
    if first.n_channels == wanted and (total == wanted or part.alike):
        return Noises([found], shared=True)
    expected = f"{total} channels, or the {wanted} of each group" if part.alike else f"{total} channels"
    raise InputError("patterns and noise model have different channels", where=f"noise of {part.name!r}", expected=expected, got=first.n_channels)


def as_model(noise: Any) -> NoiseModel:
    """Return a noise model; an array is a precision."""
    if isinstance(noise, NoiseModel):
        return noise
    if isinstance(noise, np.ndarray):
        return NoiseModel.from_precision(noise)
    raise InputError("not a noise model", where="noise", expected="a NoiseModel, a precision matrix or a method", got=type(noise).__name__)


def per_fold(noise: Any, part: Trials, metric: str) -> NoiseModel | list[NoiseModel]:
    """Return one model, or a list in the order of the folds, of what was given for one data set."""
    if not isinstance(noise, Mapping | list | tuple):
        return as_model(noise)
    if not part.folds:
        raise InputError("the metric has no folds to give noise models for", where=f"metric {metric!r}", got=f"{len(noise)} models", fix="give one model")
    if isinstance(noise, Mapping):
        named = {str(key): value for key, value in noise.items()}
        absent = [fold for fold in part.folds if str(fold) not in named]
        if absent:
            raise InputError("folds without a noise model", where=f"noise of {part.name!r}", expected=examples(part.folds), got=f"no {examples(absent)}")
        return [as_model(named[str(fold)]) for fold in part.folds]
    if len(noise) != len(part.folds):
        raise InputError("noise models and folds differ in number", where=f"noise of {part.name!r}", expected=f"{len(part.folds)} folds", got=len(noise))
    return [as_model(one) for one in noise]


def residual_cells(part: Trials, *, warn: bool = True) -> npt.NDArray[np.intp]:
    """Return the cell (n_samples,) whose mean each trial loses to become noise: its condition and fold, or its condition where no cell has repeats.

    The second kind of noise is made of the very differences between folds that a cross-validated metric multiplies: it is warned of.
    """
    where = f"noise of {part.name!r}"
    cells = part.condition * max(len(part.folds), 1) + part.fold
    if len(np.unique(cells)) == len(cells):
        cells = part.condition
        if part.folds and warn:
            warnings.warn(_SAME.format(part.name), BrainencWarning, stacklevel=6)
    if len(np.unique(cells)) == len(cells):
        raise InputError("noise cannot be estimated from conditions measured once", where=where, fix="give residuals to noise_model")
    if part.weight is not None:
        raise InputError("rows are means of different numbers of repeats: their residuals are not of one noise", where=where)
    return cells


def estimated(part: Trials, groups: Sequence[int] | npt.NDArray[np.intp], method: str, *, warn: bool = True) -> NoiseModel:
    """Return the noise of the trials of these groups together, less the mean of their cell; ``warn`` once for all groups of a data set."""
    cells, where = residual_cells(part, warn=warn), f"noise of {part.name!r}"
    values = np.asarray(part.values[np.asarray(groups)])
    whole = np.isfinite(values).all(axis=2)
    if not whole.all():
        fix = "give a model of complete residuals"
        raise InputError("noise cannot be estimated from trials with missing values", where=where, got=f"{int((~whole).sum())} rows", fix=fix)
    apart = np.arange(len(values))[:, None] * (int(cells.max()) + 1) + cells
    return from_residuals(values.reshape(-1, values.shape[2]), apart.reshape(-1), method)
