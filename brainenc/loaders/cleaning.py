"""Detrending and scaling within runs, through nilearn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.nouns.responses import Responses
from brainenc.nouns.tables import need_column

FILTERS = ("dct", "savgol")
SAVGOL_ORDER = 3


def clean_responses(
    responses: Responses, *, detrend: bool = False, standardize: str | None = None, by: str | None = "run", confounds: Sequence[str] = (),
    high_pass: float | None = None, filter: str = "dct",
) -> Responses:  # fmt: skip
    """Return responses without trends, slow drifts and confounds, scaled within each run (or session).

    Trend, cosines and confounds leave in one regression (`nilearn.signal.clean`). Every run is cleaned by itself, so nothing crosses
    from training to test runs. Targets with a missing value in a run are NaN throughout that run; constant targets become 0.

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
    high_pass : float, optional
        Hz; slower fluctuations are removed, 1/128 or 1/120 are usual.
    filter : {"dct", "savgol"}
        ``"dct"``: regress out the cosines ``cos(pi k (2 t + 1) / 2 n)``, k = 1 … floor(2 n step high_pass), over the n scans from the first
        to the last (scans that were left out keep their place). ``"savgol"``: subtract a Savitzky-Golay filter of order 3 over the odd
        number of scans nearest to ``1 / high_pass`` seconds, from responses and confounds alike; needs every scan.

    Returns
    -------
    Responses
        float32 where the values were (or integers of 16 bits or less), else float64; the steps are added to the provenance.

    Raises
    ------
    InputError
        Unknown option, missing column, runs of fewer than three samples, missing confounds, trials to be filtered, a filter as long as the run.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> slow = be.Responses(np.cos(np.pi * (np.arange(50.0)[:, None] + 0.5) / 50), {"run": [1] * 50}, t_r=2.0)
    >>> bool(np.abs(clean_responses(slow, high_pass=1 / 60).values).max() < 1e-10)
    True
    """
    groups = _groups(responses, by)
    nuisance = _nuisance(responses, confounds)
    cleaned = clean_groups(
        responses, groups, [nuisance[groups == group] for group in range(int(groups.max()) + 1)],
        detrend=detrend, standardize=standardize, high_pass=high_pass, filter=filter,
    )  # fmt: skip
    note = {
        "detrend": detrend, "standardize": standardize, "by": by, "confounds": list(confounds),
        "high_pass": high_pass, "filter": None if high_pass is None else filter,
    }  # fmt: skip
    return replace(responses, values=cleaned, provenance={**responses.provenance, "cleaned": note})


def clean_groups(
    responses: Responses, groups: npt.NDArray[np.intp], nuisance: Sequence[npt.NDArray[np.float64]], *,
    detrend: bool, standardize: str | None, high_pass: float | None = None, filter: str = "dct",
) -> npt.NDArray[Any]:  # fmt: skip
    """Return the cleaned values of rows in groups 0 … n - 1, each with confounds (n_rows, n_confounds) of its own; see `clean_responses`."""
    if standardize is not None:
        one_of(standardize, ("zscore", "center"), "standardize")
    one_of(filter, FILTERS, "filter")
    small = np.float32 if responses.values.dtype == np.float32 or responses.values.dtype.itemsize <= 2 else np.float64
    cleaned = np.empty(responses.values.shape, dtype=small)
    for group, regressors in enumerate(nuisance):
        rows = np.flatnonzero(groups == group)
        where = f"group {group + 1} of {len(nuisance)} of {responses.name!r}"
        if len(rows) < 3:
            raise InputError("too few samples in a group to clean", where=where, expected="at least 3", got=len(rows))
        values = np.asarray(responses.values[rows], dtype=np.float64)
        if high_pass is not None:
            places = _places(responses, rows, high_pass, where)
            if filter == "dct":
                regressors = np.column_stack([regressors, cosines(places, responses.step, high_pass)])
            else:
                values, regressors = (_savgol(one, places, responses.step, high_pass, where) for one in (values, regressors))
        if regressors.shape[1] + 2 >= len(rows):
            raise InputError("as many confounds as scans: nothing would be left", where=where, expected=f"fewer than {len(rows) - 2}", got=regressors.shape[1])
        cleaned[rows] = _clean_run(values, detrend, standardize, regressors)
    return cleaned


def cosines(places: npt.NDArray[np.intp], step: float, high_pass: float) -> npt.NDArray[np.float64]:
    """Return the slow cosines at these scans of a run, (n_scans, floor(2 n step high_pass)), n = last place + 1; no constant."""
    n = int(places.max()) + 1
    order = min(int(np.floor(2 * n * step * high_pass)), n - 1)
    return np.sqrt(2.0 / n) * np.cos(np.pi * np.arange(1, order + 1)[None] * (2 * places[:, None] + 1) / (2 * n))


def _groups(responses: Responses, by: str | None) -> npt.NDArray[np.intp]:
    if by is None:
        return np.zeros(responses.n_samples, dtype=np.intp)
    column = need_column(responses.samples, by, f"samples of {responses.name!r}, for cleaning by {by}")
    return np.asarray(column.astype(str).factorize()[0], dtype=np.intp)


def _places(responses: Responses, rows: npt.NDArray[np.intp], high_pass: float, where: str) -> npt.NDArray[np.intp]:
    """Return which scan of its run each row is, counted from the first one here."""
    if not responses.is_time_series:
        raise InputError("trials have no slow drifts to filter", where=where, fix="leave high_pass out")
    if not (np.isfinite(high_pass) and high_pass > 0):
        raise InputError("high_pass must be a positive frequency in Hz", where=where, got=high_pass, fix="1 / 128, for instance")
    if "time" not in responses.samples.columns:
        return np.arange(len(rows))
    times = responses.samples["time"].to_numpy(dtype=np.float64)[rows]
    places = np.rint((times - times[0]) / responses.step).astype(np.intp)
    if (np.diff(places) <= 0).any():
        raise InputError("time must rise within what is filtered", where=where, fix='filter by="run"')
    return places


def _savgol(values: npt.NDArray[np.float64], places: npt.NDArray[np.intp], step: float, high_pass: float, where: str) -> npt.NDArray[np.float64]:
    from scipy.signal import savgol_filter

    window = 2 * int(1.0 / high_pass / step / 2) + 1
    if window <= SAVGOL_ORDER or window > len(values):
        raise InputError(
            "Savitzky-Golay window does not fit the run", where=where, expected=f"{SAVGOL_ORDER + 1} to {len(values)} scans", got=f"{window} scans",
            fix='choose another high_pass, or filter="dct"',
        )  # fmt: skip
    if len(places) != places[-1] + 1:
        raise InputError("scans were left out, which a Savitzky-Golay filter cannot bridge", where=where, fix='use filter="dct"')
    if not values.shape[1]:
        return values
    return np.asarray(values - savgol_filter(values, window, SAVGOL_ORDER, axis=0))


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
