"""Delays that never cross a run boundary, and ridge on delayed features without the delayed matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.loaders.series import run_rows
from brainenc.nouns.features import FeatureSpace

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays in seconds, with a weight for each in the kernel.

    ``K(i, j) = sum_d w_d x_(i - d) · x_(j - d)``: weight ``w_d`` is the prior variance of the delay's coefficients, and stands for columns
    scaled by ``sqrt(w_d)``.

    Parameters
    ----------
    lags : sequence of float
        Seconds, all different.
    weights : sequence of float, optional
        0 or more, not all 0; all 1 where not given.

    Examples
    --------
    >>> Delays([2, 4, 6]).shifts(step=2.0)
    [1, 2, 3]
    """

    lags: tuple[float, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        lags = tuple(float(lag) for lag in self.lags)
        if not lags or not np.isfinite(lags).all() or len(set(lags)) < len(lags):
            raise InputError("delays are different numbers of seconds", where="delays", got=list(self.lags))
        object.__setattr__(self, "lags", lags)
        if self.weights is None:
            return
        weights = tuple(float(weight) for weight in self.weights)
        if len(weights) != len(lags) or not np.isfinite(weights).all() or min(weights) < 0 or max(weights) == 0:
            raise InputError("one weight of 0 or more for each delay, not all 0", where="Delays", expected=f"{len(lags)} weights", got=list(self.weights))
        object.__setattr__(self, "weights", weights)

    @property
    def scales(self) -> tuple[float, ...]:
        """What the columns of each delay are multiplied with: the square roots of the weights."""
        return tuple(float(np.sqrt(weight)) for weight in (self.weights or (1.0,) * len(self.lags)))

    def shifts(self, step: float) -> list[int]:
        """Return the delays in samples; each must be a multiple of ``step`` (s)."""
        if not (np.isfinite(step) and step > 0):
            raise InputError("step must be a positive number of seconds", where="delays", got=step)
        found = [round(lag / step) for lag in self.lags]
        for lag, shift in zip(self.lags, found, strict=True):
            if not np.isclose(shift * step, lag):
                raise InputError("delay is no multiple of the step", where="delays", expected=f"multiples of {step} s", got=f"{lag} s")
        return found


def as_delays(delays: Sequence[float] | Delays) -> Delays:
    """Return `Delays` from seconds."""
    return delays if isinstance(delays, Delays) else Delays(tuple(delays))


def compact_delays(
    features: FeatureSpace, delays: Sequence[float] | Delays, *, step: float, by_delay: bool = False, device: str = "auto"
) -> FeatureSpace:
    """Return delayed features in as few columns as there are scans: the same ridge, without the delayed matrix.

    With the eigenvectors V and eigenvalues L of the delayed kernel K (all rows), ``Z = V sqrt(L)`` has ``Z Z' = K``: Z is the delayed
    matrix seen along orthogonal axes that span its rows. Whatever depends on features through inner products (ridge at any penalty, fitted on any
    rows, centred or not; kernel and similarity methods) gives the same predictions, up to rounding. Axes are found from features alone, all
    rows alike, and are a rotation: nothing is fitted. Weights of single features are not to be had.

    Worth it where scans are fewer than features times delays; with more, `FeatureSpace.delay` is as small. To predict runs that come later, put
    their features below the others and call this once for all.

    Parameters
    ----------
    features : FeatureSpace with one row a scan
        ``samples`` has the column ``run`` where there are several; all scans of a run, in order.
    delays : sequence of float or Delays
        Seconds, multiples of ``step``.
    step : float
        Seconds between rows.
    by_delay : bool
        Axes of each delay side by side, so that delays can be bands (``BandedRidge(bands="delay")``); worth it where scans are fewer than
        features.
    device : str

    Returns
    -------
    FeatureSpace of shape (n_samples, rank)
        ``rows="sample"``, in the features' dtype (float64 unless float32); ``features`` has the columns ``axis`` and, by delay, ``delay`` (s).

    Raises
    ------
    InputError
        When rows are stimuli, a delay is no multiple of the step, or scans were left out within a run.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> wide = be.FeatureSpace(np.random.default_rng(0).normal(size=(12, 50)), {"run": [1] * 6 + [2] * 6}, rows="sample")
    >>> compact_delays(wide, [0, 2, 4], step=2.0).values.shape
    (12, 12)
    """
    import torch

    from brainenc.linalg.delays import delayed_kernel
    from brainenc.linalg.device import resolve_device

    which = as_delays(delays)
    if features.rows != "sample":
        raise InputError("only features with one row per scan can be delayed", where=f"features {features.name!r}", fix="call brainenc.design first")
    shifts = which.shifts(step)
    _check_gaps(features, step)
    values = np.asarray(features.values)
    # eigenvectors of small eigenvalues want more digits than float32 has
    X = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64)).to(resolve_device(device))
    codes = run_codes(features.samples, features.name)
    K = X @ X.T
    weights = which.weights or (1.0,) * len(shifts)
    parts = [([shift], [weight]) for shift, weight in zip(shifts, weights, strict=True)] if by_delay else [(shifts, list(weights))]
    blocks = [_axes(delayed_kernel(K, some, codes, weights=w)) for some, w in parts]
    table = pd.concat([pd.DataFrame({"axis": np.arange(block.shape[1])}) for block in blocks], ignore_index=True)
    if by_delay:
        table["delay"] = np.repeat(which.lags, [block.shape[1] for block in blocks])
    record = {"delays": list(which.lags), "delay_weights": None if which.weights is None else list(which.weights), "step": step, "compact": True}
    return FeatureSpace(
        np.concatenate(blocks, axis=1).astype(np.float32 if values.dtype == np.float32 else np.float64), features.samples, name=features.name,
        features=table, rows="sample", provenance={**features.provenance, **record},
    )  # fmt: skip


def _axes(K: Any) -> Floats:
    """Return Z with ``Z Z' = K``, the largest axis first; axes of rounding error are left out."""
    import torch

    from brainenc.linalg.decompose import eigh

    spectrum, vectors, _ = eigh(K)
    kept = spectrum > spectrum[-1].clamp_min(0) * len(K) * torch.finfo(K.dtype).eps
    return np.asarray((vectors[:, kept] * spectrum[kept].sqrt()).flip(1).cpu().numpy())


def run_codes(samples: pd.DataFrame, name: str) -> npt.NDArray[np.intp]:
    """Return 0, 1, … for the rows of each run, which stand together."""
    codes = np.zeros(len(samples), dtype=np.intp)
    for code, rows in enumerate(run_rows(samples, name)):
        codes[rows] = code
    return codes


def _check_gaps(features: FeatureSpace, step: float) -> None:
    """Refuse scans that were left out inside a run: their neighbours are no longer a step apart."""
    if "time" not in features.samples.columns:
        return
    times: Any = features.samples["time"].to_numpy(dtype=np.float64)
    for rows in run_rows(features.samples, features.name):
        if not np.allclose(np.diff(times[rows]), step, atol=1e-3 * step):
            fix = "delay before scans are left out, or build the design with brainenc.design(delays=…), which goes by time"
            raise InputError("scans were left out within a run, so that rows are not a step apart", where=f"features {features.name!r}", fix=fix)
