"""Detrending and scaling within runs, through nilearn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.responses import Responses
from brainenc.nouns.tables import need_column


def clean_responses(
    responses: Responses, *, detrend: bool = False, standardize: str | None = None, by: str | None = "run", confounds: Sequence[str] = ()
) -> Responses:
    """Return responses detrended and scaled within each run (or session), by `nilearn.signal.clean`.

    Every run is cleaned by itself, so nothing crosses from training to test runs. Targets with a missing value in a run
    are NaN throughout that run; constant targets become 0.

    Parameters
    ----------
    responses : Responses
        Values (n_samples, n_targets).
    detrend : bool
        Remove the mean and the linear trend.
    standardize : {"zscore", "center", None}
        Scale to unit variance (ddof 1), or only remove the mean.
    by : str, optional
        Column of ``samples``; None cleans all rows together.
    confounds : sequence of str
        Columns of ``samples`` to regress out, in the same step as the trend (Lindquist et al. 2019, doi:10.1002/hbm.24528).

    Returns
    -------
    Responses
        float32 where the values were (or integers of 16 bits or less), else float64; the steps are added to the provenance.

    Raises
    ------
    InputError
        Unknown option, missing column, runs of fewer than three samples, missing confounds.
    """
    if standardize is not None:
        one_of(standardize, ("zscore", "center"), "standardize")
    n = responses.n_samples
    groups = np.zeros(n, dtype=np.intp)
    if by is not None:
        column = need_column(responses.samples, by, f"samples of {responses.name!r}, for cleaning by {by}")
        groups = column.astype(str).factorize()[0]
    small = np.float32 if responses.values.dtype == np.float32 or responses.values.dtype.itemsize <= 2 else np.float64
    nuisance = _nuisance(responses, confounds)
    cleaned = np.empty(responses.values.shape, dtype=small)
    for group in range(int(groups.max()) + 1):
        rows = np.flatnonzero(groups == group)
        if len(rows) < 3:
            raise InputError(
                "too few samples in a group to clean", where=f"{by} of {responses.name!r}", expected="at least 3", got=len(rows)
            )
        cleaned[rows] = _clean_run(np.asarray(responses.values[rows], dtype=np.float64), detrend, standardize, nuisance[rows])
    note = {"detrend": detrend, "standardize": standardize, "by": by, "confounds": list(confounds)}
    return replace(responses, values=cleaned, provenance={**responses.provenance, "cleaned": note})


def _nuisance(responses: Responses, confounds: Sequence[str]) -> npt.NDArray[np.float64]:
    if not confounds:
        return np.empty((responses.n_samples, 0))
    columns = [need_column(responses.samples, name, f"samples of {responses.name!r}") for name in confounds]
    values = np.column_stack([column.to_numpy(dtype=np.float64) for column in columns])
    if not np.isfinite(values).all():
        raise InputError(
            "confounds have missing values",
            where=f"samples of {responses.name!r}",
            got=f"{int((~np.isfinite(values)).sum())} values",
            fix="fill or leave out those columns",
        )
    return values


def _clean_run(
    values: npt.NDArray[np.float64], detrend: bool, standardize: str | None, nuisance: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    from nilearn.signal import clean

    whole = np.isfinite(values).all(axis=0)
    result = np.full_like(values, np.nan)
    if not whole.any():
        return result
    good = values[:, whole]
    if detrend or nuisance.shape[1]:
        good = clean(
            good,
            detrend=detrend,
            standardize=None,
            confounds=nuisance if nuisance.shape[1] else None,
            standardize_confounds=True,
            ensure_finite=False,
        )
    if standardize is not None:
        good = good - good.mean(axis=0)
    if standardize == "zscore":
        spread = good.std(axis=0, ddof=1)
        # a column that detrending left with rounding error alone is constant
        flat = spread <= 1e-10 * np.maximum(1.0, np.abs(values[:, whole]).max(axis=0))
        good = np.where(flat, 0.0, good / np.where(flat, 1.0, spread))
    result[:, whole] = good
    return result
