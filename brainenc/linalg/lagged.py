"""Second moments of delayed features without the delayed matrix: products of one delay with all others, then the shift identity.

Row i of the delayed matrix is ``z_i = (x_(i-s_1), …, x_(i-s_R))`` with evenly spaced shifts, s_(d+1) = s_d + g, and features outside a run are zero.
Over any set of rows S, whose indicator is m,

    C[d+1, e+1] = sum_i m_i x_(i-s_d-g) x_(i-s_e-g)' = C[d, e] + sum_i (m_i - m_(i-g)) x_(i-s_d-g) x_(i-s_e-g)'

so only the block column of the first delay takes all rows; the sum on the right has terms at the edges of S alone. Rows of S keep their delayed
features from outside S, within the run: it is the delayed matrix of the whole run, rows taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.device import to_tensor

Array = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
_NUMBERS = 1 << 20  # of delayed rows that are held at once
_LEAST, _MOST = 64, 8192


class Lagged(NamedTuple):
    """Features of all runs below each other, each run with room for its delays, and where the rows are."""

    padded: torch.Tensor  # (n_padded, p)
    at: torch.Tensor  # (n,) place of each row
    shifts: torch.Tensor  # (R,) evenly spaced, ascending
    wanted: torch.Tensor  # (D,) which of the shifts were asked for
    gap: int

    @property
    def wide(self) -> int:
        """Columns of the delayed matrix of all evenly spaced shifts."""
        return len(self.shifts) * self.padded.shape[1]

    @property
    def chunk(self) -> int:
        """Rows that are delayed at once."""
        return chunk_rows(self.wide)


class Sums(NamedTuple):
    """Sums over a set of rows, float64; sets that do not overlap are added by adding these."""

    first: torch.Tensor  # (R p, p) delayed features times those of the first shift
    total: torch.Tensor  # (R p,) delayed features


def chunk_rows(wide: int) -> int:
    """Return how many delayed rows of so many columns are held at once."""
    return min(max(_NUMBERS // max(wide, 1), _LEAST), _MOST)


def even_shifts(shifts: Sequence[int]) -> tuple[list[int], int]:
    """Return the evenly spaced shifts that hold the given ones (ascending), and their gap.

    Examples
    --------
    >>> even_shifts([-2, 0, 4])
    ([-2, 0, 2, 4], 2)
    """
    gap = int(np.gcd.reduce(np.diff(shifts))) if len(shifts) > 1 else 1
    return list(range(shifts[0], shifts[-1] + 1, gap)), gap


def lay_out(X: Array, runs: Index, shifts: Sequence[int], mean: Floats, *, dtype: np.dtype[np.floating], device: torch.device) -> Lagged:
    """Put the rows of each run (0, 1, … standing together) apart, less ``mean``: features outside a run are zero before the mean is taken off."""
    grid, gap = even_shifts(shifts)
    before, after = max(grid[-1], 0), gap + max(-grid[0], 0)
    place = np.arange(len(X)) + runs * (before + after) + before
    fill = np.broadcast_to((-mean).astype(dtype), (int(place[-1]) + after + 1, X.shape[1]))
    padded = to_tensor(fill, dtype, device)
    at = torch.from_numpy(place).to(device)
    for start in range(0, len(X), _MOST):
        rows = slice(start, start + _MOST)
        padded[at[rows]] = torch.from_numpy((X[rows] - mean).astype(dtype)).to(device)
    wanted = torch.from_numpy(np.flatnonzero(np.isin(grid, shifts))).to(device)
    return Lagged(padded, at, torch.tensor(grid, device=device), wanted, gap)


def delayed_rows(lagged: Lagged, at: torch.Tensor, *, every: bool = False) -> torch.Tensor:
    """Return delayed rows (n, D p) of some places, or of all evenly spaced shifts (n, R p)."""
    shifts = lagged.shifts if every else lagged.shifts[lagged.wanted]
    return lagged.padded.index_select(0, (at[:, None] - shifts).flatten()).view(len(at), -1)


def feature_sums(lagged: Lagged, rows: torch.Tensor) -> Sums:
    """Return the sums of a set of rows that take all of them."""
    p, n_shifts = lagged.padded.shape[1], len(lagged.shifts)
    out = torch.zeros(lagged.wide, p + 1, dtype=torch.float64, device=rows.device)
    for some in rows.split(lagged.chunk):
        at = lagged.at[some]
        first = lagged.padded.index_select(0, at - lagged.shifts[0])
        one = torch.ones(len(at), 1, dtype=first.dtype, device=first.device)
        out += delayed_rows(lagged, at, every=True).T @ torch.cat([first, one], dim=1)
    square = out[:p, :p]
    out[:p, :p] = (square + square.T) / 2  # to the last digit: it stands on both sides of the diagonal
    return Sums(out[:, :p].reshape(n_shifts * p, p), out[:, p])


def cross_sums(lagged: Lagged, rows: torch.Tensor, targets: Array, mean: Floats) -> torch.Tensor:
    """Return (D p, t): delayed features times targets less their mean, summed over rows in float64."""
    columns = len(lagged.wanted) * lagged.padded.shape[1]
    out = torch.zeros(columns, targets.shape[1], dtype=torch.float64, device=rows.device)
    for some in rows.split(lagged.chunk):
        part = torch.from_numpy(targets[some.cpu().numpy()] - mean).to(device=rows.device, dtype=lagged.padded.dtype)
        out += delayed_rows(lagged, lagged.at[some]).T @ part
    return out


def second_moment(lagged: Lagged, sums: Sums, rows: torch.Tensor) -> torch.Tensor:
    """Return C = Z'Z (D p, D p) of a set of rows from its sums, float64, by the shift identity of this module."""
    p, n_shifts = lagged.padded.shape[1], len(lagged.shifts)
    C = torch.zeros(n_shifts, p, n_shifts, p, dtype=torch.float64, device=rows.device)
    if n_shifts > 1:
        _add_edges(lagged, rows, C.view(lagged.wide, lagged.wide))
    first = sums.first.view(n_shifts, p, p)
    C[:, :, 0] = first
    C[0] = first.permute(2, 0, 1)
    for d in range(1, n_shifts):
        C[d, :, 1:] += C[d - 1, :, :-1]
    if len(lagged.wanted) < n_shifts:
        C = C[lagged.wanted][:, :, lagged.wanted]
    return C.reshape(len(lagged.wanted) * p, -1)


def wanted_columns(lagged: Lagged, values: torch.Tensor) -> torch.Tensor:
    """Return the entries (R p,) of the delays that were asked for."""
    return values.view(len(lagged.shifts), -1)[lagged.wanted].flatten()


def _add_edges(lagged: Lagged, rows: torch.Tensor, C: torch.Tensor) -> None:
    """Add ``sum_i (m_i - m_(i-g)) z_i z_i'``, whose first delay is not needed and comes along."""
    mask = torch.zeros(len(lagged.padded), dtype=torch.int8, device=rows.device)
    mask[lagged.at[rows]] = 1
    step = mask.clone()
    step[lagged.gap :] -= mask[: -lagged.gap]
    edges = torch.nonzero(step)[:, 0]
    for at in edges.split(lagged.chunk):
        z = delayed_rows(lagged, at, every=True).double()
        C.addmm_((z * step[at, None]).T, z)
