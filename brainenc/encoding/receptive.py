"""Temporal receptive fields: weights over delays that vary smoothly, and delayed weights in the order of delay and feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.encoding.delays import Delays, as_delays
from brainenc.encoding.design_matrix import delay_space
from brainenc.nouns.features import FeatureSpace

Floats = npt.NDArray[np.float64]
_CHUNK_ROWS = 8192


def smooth_delays(features: FeatureSpace, delays: Sequence[float] | Delays, *, step: float, smoothness: float = 0.9) -> FeatureSpace:
    """Return delayed features on which ridge prefers weights that change little from one delay to the next (a Laplacian penalty).

    Ridge on the returned columns is  argmin |Y − Zβ|² + α Σ_f β_f' M β_f,  M = (1 − s) I + s D'D  with Z the delayed features, β_f the weights of feature
    f over delays, D their differences (β_d+1 − β_d) and s the smoothness: β = M^(−1/2) γ is a linear change of basis, so every encoder that
    penalises γ' γ fits it, with any penalty, folds and score. s = 0 gives the columns of `FeatureSpace.delay`.

    Parameters
    ----------
    features : FeatureSpace with one row a sample
        ``samples`` has the column ``run`` where there are several; delays never cross a run.
    delays : sequence of float or Delays
        Seconds, ascending and evenly spaced multiples of ``step``; a negative one looks ahead. Without weights.
    step : float
        Seconds between rows: 1 / sampling rate.
    smoothness : float
        s, from 0 (ridge alone) to below 1 (differences alone, which would leave the mean over delays without a penalty). To choose it, score one
        layer for each value and take the best on inner scores (`Scores.best`).

    Returns
    -------
    FeatureSpace of shape (n_samples, n_delays · n_features)
        ``rows="sample"``. Its columns are mixtures of neighbouring delays: `delay_weights` turns the encoder's weights into those of delays.

    Raises
    ------
    InputError
        When rows are stimuli, or delays are uneven, weighted or no multiples of the step.

    Notes
    -----
    The recipe of a temporal receptive field: features at the sampling rate (`brainenc.design`, or one row a sample), this function or
    ``features.delay``, ``score_layers(…, split=brainenc.split.runs())`` with responses that have a ``sampling_rate``, and `delay_weights` of a `Ridge` fitted
    to all rows. Features are not scaled: those of larger variance are penalised less. With fewer samples than features times delays,
    `brainenc.encoding.compact_delays` is smaller, for ridge without smoothness. Near s = 1 the penalty is the
    "laplacian" over time of mne's ``TimeDelayingRidge``; mixing it with ridge, so that a constant over delays is penalised too, is our choice.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> sound = be.FeatureSpace(np.random.default_rng(0).standard_normal((400, 1)), {"run": [1] * 400}, name="toy/envelope", rows="sample")
    >>> lags = np.arange(8) / 64
    >>> brain = sound.delay(lags, step=1 / 64).values @ np.hanning(8)
    >>> delayed = smooth_delays(sound, lags, step=1 / 64)
    >>> model = be.encoding.Ridge(alphas=1.0, cv=None).fit(delayed.values, brain)
    >>> bool(np.abs(delay_weights(delayed, model.coef_)[:, 0, 0] - np.hanning(8)).max() < 0.01)
    True
    """
    lags = as_delays(delays)
    if lags.weights is not None:
        raise InputError("weights of delays and smoothness exclude each other", where="smooth_delays", fix="pass delays in seconds")
    if isinstance(smoothness, bool) or not 0.0 <= smoothness < 1.0:
        raise InputError("smoothness lies between 0 and 1", where="smooth_delays", expected="at least 0, below 1", got=repr(smoothness))
    shifts = lags.shifts(step)
    gaps = np.diff(shifts)
    if len(gaps) and (gaps[0] < 1 or (gaps != gaps[0]).any()):
        raise InputError("smooth weights need evenly spaced delays", where="smooth_delays", expected="ascending, one gap", got=examples(lags.lags, 6))
    delayed = delay_space(features, lags, step=step)
    out = _mixed(np.asarray(delayed.values), penalty_root(len(shifts), float(smoothness)))
    return FeatureSpace(
        out, delayed.samples, name=features.name, features=delayed.features, rows="sample",
        provenance={**delayed.provenance, "smoothness": float(smoothness)},
    )  # fmt: skip


def delay_weights(features: FeatureSpace, coef: npt.ArrayLike) -> Floats:
    """Return the weights of each delay and feature from those of an encoder fitted to delayed features: the temporal receptive field.

    Parameters
    ----------
    features : FeatureSpace
        What the encoder was fitted to: from `smooth_delays` or ``features.delay``.
    coef : array_like of shape (n_targets, n_columns) or (n_columns,)
        ``coef_`` of the encoder.

    Returns
    -------
    ndarray of shape (n_delays, n_features, n_targets)
        In units of response per feature: Ŷ(i) = intercept + Σ_d x(i − d) · w(d), whatever basis or weights the delays had.

    Raises
    ------
    InputError
        For features that are not delayed or compact, and for weights of another number of columns.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> sound = be.FeatureSpace(np.zeros((10, 2)), {"run": [1] * 10}, rows="sample")
    >>> delay_weights(sound.delay([0.0, 0.5], step=0.5), [1.0, 2.0, 3.0, 4.0])[..., 0]
    array([[1., 2.],
           [3., 4.]])
    """
    known: Any = features.provenance
    lags = known.get("delays")
    if not lags or known.get("compact") or features.n_features % len(lags):
        got = "compact delays" if known.get("compact") else "no delays"
        raise InputError("weights of delays need delayed features", where="delay_weights", expected="smooth_delays(…) or features.delay(…)", got=got)
    weights = np.atleast_2d(np.asarray(coef, dtype=np.float64))
    if weights.ndim != 2 or weights.shape[1] != features.n_features:
        expected = f"(n_targets, {features.n_features})"
        raise InputError("weights do not fit the features", where="delay_weights", expected=expected, got=f"shape {np.shape(coef)}")
    basis = penalty_root(len(lags), float(known.get("smoothness", 0.0)))
    scale = np.sqrt(np.asarray(known.get("delay_weights") or np.ones(len(lags)), dtype=np.float64))
    return np.einsum("dm,tmf->dft", basis * scale[:, None], weights.reshape(len(weights), len(lags), -1))


def penalty_root(n_delays: int, smoothness: float, penalties: npt.NDArray[np.float64] | None = None) -> Floats:
    """Return M^(−1/2) of M = (1 − s) diag(k) + s D'D, symmetric; k is 1 where not given."""
    differences = np.diff(np.eye(n_delays), axis=0)
    own = np.eye(n_delays) if penalties is None else np.diag(penalties)
    values, vectors = np.linalg.eigh((1.0 - smoothness) * own + smoothness * differences.T @ differences)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def _mixed(values: npt.NDArray[Any], basis: Floats) -> npt.NDArray[Any]:
    """Return columns (n_samples, n_delays · n_features) with delays mixed by the basis, some rows at once."""
    out = np.empty(values.shape, dtype=np.float32 if values.dtype == np.float32 else np.float64)
    for start in range(0, len(values), _CHUNK_ROWS):
        part = values[start : start + _CHUNK_ROWS].reshape(-1, len(basis), values.shape[1] // len(basis))
        out[start : start + _CHUNK_ROWS] = np.matmul(basis, part).reshape(len(part), -1)
    return out
