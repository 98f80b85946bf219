"""Kernels of delayed features from the kernel of the features themselves, within runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.errors import InputError

_ROWS = 2048
Index = npt.NDArray[np.intp]


def delayed_kernel(
    K: torch.Tensor, shifts: Sequence[int], runs: npt.ArrayLike, *,
    weights: Sequence[float] | None = None, column_runs: npt.ArrayLike | None = None,
) -> torch.Tensor:  # fmt: skip
    """Return ``K_delayed[i, j] = sum_d w_d K[i - d, j - d]``, both indices inside their runs (zero where one is not).

    It equals the inner products of features with delayed copies side by side, zeros before the first sample of each run, copy d scaled by ``sqrt(w_d)``. No
    delayed matrix is formed: the cost is (n_rows · n_columns) for each delay, whatever the number of features.

    Parameters
    ----------
    K : torch.Tensor, (n_rows, n_columns)
        Inner products of the undelayed samples.
    shifts : sequence of int
        Delays in samples; a negative one looks ahead.
    runs : array_like of int, (n_rows,)
        Run of each row; samples of a run stand together, in order.
    weights : sequence of float, optional
        One for each delay.
    column_runs : array_like of int, (n_columns,), optional
        Runs of the columns, for new samples by training samples; the rows' where not given.

    Returns
    -------
    torch.Tensor, (n_rows, n_columns)

    Raises
    ------
    InputError
        For shapes that do not fit.

    Examples
    --------
    >>> delayed_kernel(torch.ones(3, 3), [0, 1], [0, 0, 1]).tolist()
    [[1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 1.0]]
    """
    rows = np.asarray(runs)
    columns = rows if column_runs is None else np.asarray(column_runs)
    if tuple(K.shape) != (len(rows), len(columns)):
        raise InputError("kernel and runs do not fit", where="delayed_kernel", expected=f"({len(rows)}, {len(columns)})", got=tuple(K.shape))
    factors = [1.0] * len(shifts) if weights is None else [float(weight) for weight in weights]
    if len(factors) != len(shifts):
        raise InputError("one weight a delay is needed", where="delayed_kernel", expected=len(shifts), got=len(factors))
    out = torch.zeros_like(K)
    for shift, factor in zip(shifts, factors, strict=True):
        if factor == 0.0:
            continue
        (here, there), (down, across) = _shifted(rows, shift), _shifted(columns, shift)
        to, source = (torch.from_numpy(one).to(K.device) for one in (down, across))
        for start in range(0, len(here), _ROWS):
            part = slice(start, start + _ROWS)
            target = torch.from_numpy(here[part]).to(K.device)
            out[target[:, None], to[None]] += factor * K[torch.from_numpy(there[part]).to(K.device)[:, None], source[None]]
    return out


def delay_kernels(K: torch.Tensor, shifts: Sequence[int], runs: npt.ArrayLike, *, column_runs: npt.ArrayLike | None = None) -> torch.Tensor:
    """Return one kernel a delay, (n_delays, n_rows, n_columns): the bands of a finite impulse response; see `delayed_kernel`."""
    return torch.stack([delayed_kernel(K, [shift], runs, column_runs=column_runs) for shift in shifts])


def _shifted(runs: Index, shift: int) -> tuple[Index, Index]:
    """Return the samples whose shifted sample lies in the same run, and those shifted samples."""
    here = np.arange(len(runs))
    there = here - shift
    inside = (there >= 0) & (there < len(runs))
    inside[inside] = runs[here[inside]] == runs[there[inside]]
    return here[inside], there[inside]
