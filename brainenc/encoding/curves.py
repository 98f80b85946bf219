"""Curves of scores: divided by their maximum, and how early in training they get half-way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import InputError

Floats = npt.NDArray[np.float64]


def normalized_curves(values: npt.ArrayLike, *, axis: int | tuple[int, ...] = -1) -> Floats:
    """Divide scores by their maximum, R̃ = R / max R, so that curves can be compared; NaN where the maximum is not above zero.

    Parameters
    ----------
    values : array_like
        NaN entries stay NaN and are no maximum.
    axis : int or tuple of int
        Over which the maximum is taken: the last axis for each curve by itself, all axes of a model for its own maximum.

    Examples
    --------
    >>> normalized_curves([[0.1, 0.2], [-0.2, -0.1]])
    array([[0.5, 1. ],
           [nan, nan]])
    """
    array = np.asarray(values, dtype=np.float64)
    top = np.where(np.isfinite(array), array, -np.inf).max(axis=axis, keepdims=True)
    return np.asarray(array / np.where(top > 0, top, np.nan))


def half_time(
    steps: npt.ArrayLike, values: npt.ArrayLike, *, baseline: float | str = 0.0, final: npt.ArrayLike | None = None, interpolation: str = "linear",
    fraction: float = 0.5,
) -> Floats:  # fmt: skip
    """Return the first fraction of training at which a score has reached half of its final value.

    level = baseline + fraction · (final − baseline);  half-time = (first step where value ≥ level) / (last step)

    Parameters
    ----------
    steps : array_like of shape (n_steps,)
        Training steps of the checkpoints, ascending, not negative.
    values : array_like of shape (n_steps, …)
        A score at each checkpoint; further axes (regions, bootstrap draws) are curves of their own.
    baseline : float, or "first"
        Where learning starts: 0 as in the source, or the score at the first checkpoint (the untrained model).
    final : array_like, optional
        By default the value at the last checkpoint; a mean over the last few is steadier.
    interpolation : {"linear", "log", "none"}
        Between the checkpoint that has reached the level and the one before: linear in steps, linear in log(1 + step), or the checkpoint itself.
    fraction : float
        Between 0 and 1.

    Returns
    -------
    ndarray of shape (…)
        Between 0 and 1. The first checkpoint's own fraction where it has reached the level already: the half-time lies there or before.
        NaN for a curve that never reaches its level, that ends at or below its baseline, or that misses a value.

    Notes
    -----
    After Raugel et al. 2025 (arXiv 2508.18226), from a description of it; interpolation and baseline are our choice.

    Examples
    --------
    >>> half_time([0, 100, 200, 400], [0.0, 0.1, 0.3, 0.4]).item()
    0.375
    """
    one_of(interpolation, ("linear", "log", "none"), "interpolation")
    at, curves = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if at.ndim != 1 or len(at) < 2 or not np.isfinite(at).all() or (np.diff(at) <= 0).any() or at[0] < 0:
        raise InputError("steps ascend from zero or above", where="half_time", expected="at least two steps", got=examples(at, 6))
    if curves.ndim < 1 or len(curves) != len(at):
        raise InputError("one value per step is needed", where="half_time", expected=f"({len(at)}, …)", got=f"shape {curves.shape}")
    if not 0.0 < fraction < 1.0:
        raise InputError("the fraction lies between 0 and 1", where="half_time", got=fraction)
    if isinstance(baseline, str):
        one_of(baseline, ("first",), "baseline")
    start = curves[0] if isinstance(baseline, str) else np.full(curves.shape[1:], float(baseline))
    end = curves[-1] if final is None else np.broadcast_to(np.asarray(final, dtype=np.float64), curves.shape[1:])
    level = start + fraction * (end - start)
    reached = curves >= level
    first = reached.argmax(axis=0)
    before = np.maximum(first - 1, 0)
    low, high = (np.take_along_axis(curves, i[None], axis=0)[0] for i in (before, first))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(first > 0, (level - low) / (high - low), 1.0)
    scale = np.log1p(at) if interpolation == "log" else at
    place = scale[first] if interpolation == "none" else scale[before] + share * (scale[first] - scale[before])
    step = np.expm1(place) if interpolation == "log" else place
    good = np.isfinite(curves).all(axis=0) & reached.any(axis=0) & (end > start)
    return np.asarray(np.where(good, step / at[-1], np.nan))
