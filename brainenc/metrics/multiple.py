"""Correction of p-values for the number of targets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError


def fdr_bh(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return q-values of Benjamini and Hochberg, which control the false discovery rate under independence or positive dependence.

    q_(i) = min over j ≥ i of p_(j) · m / j, with m the number of p-values that are not NaN.

    Parameters
    ----------
    p : array_like of any shape
        Probabilities; NaN is kept and not counted.

    Notes
    -----
    Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x

    Examples
    --------
    >>> fdr_bh([0.01, 0.02, 0.9, float("nan")])
    array([0.03, 0.03, 0.9 ,  nan])
    """
    return _step_up(p, dependent=False)


def fdr_by(p: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return q-values of Benjamini and Yekutieli, valid under any dependence: those of `fdr_bh` times Σ 1/k.

    Notes
    -----
    Benjamini & Yekutieli 2001, doi:10.1214/aos/1013699998
    """
    return _step_up(p, dependent=True)


def _step_up(p: npt.ArrayLike, *, dependent: bool) -> npt.NDArray[np.float64]:
    values = np.asarray(p, dtype=np.float64)
    out = np.full(values.shape, np.nan)
    known = np.isfinite(values)
    flat = values[known]
    if ((flat < 0) | (flat > 1)).any():
        raise InputError("p-values lie between 0 and 1", where="false discovery rate", got=f"{flat.min()} to {flat.max()}")
    order = np.argsort(flat)
    ranks = np.arange(1, len(flat) + 1)
    factor = len(flat) * (float((1.0 / ranks).sum()) if dependent else 1.0)
    stepped = np.minimum.accumulate((flat[order] * factor / ranks)[::-1])[::-1]
    q = np.empty_like(flat)
    q[order] = np.minimum(stepped, 1.0)
    out[known] = q
    return out
