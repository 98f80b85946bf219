"""Ridge regression in spectral form: every function here is pure and works on tensors.

With weights ``s``, ``q = sqrt(s)``, centred and scaled features ``Z = q (X - mean)`` and targets ``T = q (Y - mean)``, the weights

    ``W = argmin |T - Z W|^2 + alpha |W|^2``

are ``basis @ (A / (values + alpha))`` in both forms:

=========  =================  ==================  ==========================  ====================
form       Gram matrix        eigenvectors        ``A`` (r, n_targets)        prediction of row x
=========  =================  ==================  ==========================  ====================
primal     ``Z'Z`` (p, p)     ``V``               ``V' Z'T``                  ``x V (A/(l+alpha))``
kernel     ``ZZ'`` (n, n)     ``U``               ``U' T``                    ``x Z'U (A/(l+alpha))``
=========  =================  ==================  ==========================  ====================

One Gram matrix serves all folds: rows left out are subtracted (primal) or indexed away (kernel), and the mean is corrected. Folds and
their errors are in `ridge_folds`, closed-form leave-one-out is in `ridge_loo`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.decompose import eigh
from brainenc.linalg.device import to_tensor

FEATURE_BLOCK = 4096
ROW_BLOCK = 1024
_ROWS = 256


class Design(NamedTuple):
    """Features, centred and scaled, with their Gram matrix."""

    form: str
    gram: torch.Tensor  # (p, p) or (n, n)
    z: torch.Tensor | None  # (n, p), primal form where it is held
    root: torch.Tensor  # (n,) square roots of the sample weights
    mean: npt.NDArray[np.float64]  # (p,)
    intercept: bool
    source: npt.NDArray[Any] | None = None  # X, primal form where z is not held: its rows are centred anew in every pass


class Factor(NamedTuple):
    """Spectrum of a training set's Gram matrix; directions that are numerically zero are left out."""

    values: torch.Tensor  # (r,) descending
    basis: torch.Tensor  # (m, r), m = p or n
    how: str


def make_design(
    X: npt.NDArray[Any], weights: npt.NDArray[np.float64], *,
    intercept: bool, form: str, dtype: np.dtype[Any], device: torch.device, resident: bool = True,
) -> Design:  # fmt: skip
    """Centre and scale the features and form their Gram matrix, a block of features (kernel form) or of rows (primal) at a time.

    ``resident``: hold the centred features in primal form, a second copy of X; otherwise they are formed from X whenever they are needed.
    """
    mean = weighted_mean(X, weights) if intercept else np.zeros(X.shape[1])
    root = np.sqrt(weights)
    q = torch.from_numpy(root.astype(dtype)).to(device)
    if form == "primal":
        z = scaled(X, mean, root, dtype, device) if resident else None
        design = Design(form, q, z, q, mean, intercept, None if resident else X)
        return design._replace(gram=gram_of(design))
    gram = torch.zeros(len(X), len(X), dtype=q.dtype, device=device)
    for cols in blocks(X.shape[1]):
        z = scaled(X[:, cols], mean[cols], root, dtype, device)
        gram.addmm_(z, z.T)
    return Design(form, gram, None, q, mean, intercept)


def rows_of(design: Design, rows: torch.Tensor | slice) -> torch.Tensor:
    """Return centred and scaled rows of the features (primal form)."""
    if design.z is not None:
        return design.z[rows]
    assert design.source is not None
    picked = rows if isinstance(rows, slice) else rows.cpu().numpy()
    z = to_tensor(design.source[picked], np.dtype(str(design.root.dtype).removeprefix("torch.")), design.root.device)
    z -= torch.from_numpy(design.mean).to(z)
    return z.mul_(design.root[rows][:, None])


def gram_of(design: Design, rows: torch.Tensor | None = None) -> torch.Tensor:
    """Return ``Z'Z`` of some rows, or of all (primal form)."""
    if design.z is not None:
        z = design.z if rows is None else design.z[rows]
        return z.T @ z
    total = torch.zeros(len(design.mean), len(design.mean), dtype=design.root.dtype, device=design.root.device)
    for part in _parts(design, rows):
        z = rows_of(design, part)
        total.addmm_(z.T, z)
    return total


def cross_of(design: Design, T: torch.Tensor, rows: torch.Tensor | None = None) -> torch.Tensor:
    """Return ``Z'T`` over some rows, or over all (primal form)."""
    if design.z is not None:
        return design.z.T @ T if rows is None else design.z[rows].T @ T[rows]
    total = torch.zeros(len(design.mean), T.shape[1], dtype=T.dtype, device=T.device)
    for part in _parts(design, rows):
        total.addmm_(rows_of(design, part).T, T[part])
    return total


def _parts(design: Design, rows: torch.Tensor | None) -> list[Any]:
    """Return blocks of rows that are small enough to be centred beside X."""
    if rows is None:
        return list(blocks(len(design.root), ROW_BLOCK))
    return list(rows.split(ROW_BLOCK))


def scaled(
    X: npt.NDArray[Any], mean: npt.NDArray[np.float64], root: npt.NDArray[np.float64] | None, dtype: np.dtype[Any], device: torch.device
) -> torch.Tensor:
    """Return ``root (X - mean)`` as a tensor; the mean is taken off before the values are rounded any further."""
    z = to_tensor(X, dtype, device)
    z -= torch.from_numpy(mean.astype(dtype)).to(device)
    if root is not None and np.any(root != 1):
        z *= torch.from_numpy(root.astype(dtype)).to(device)[:, None]
    return z


def blocks(n: int, width: int = FEATURE_BLOCK) -> list[slice]:
    """Return slices of ``width`` that cover ``n`` columns."""
    return [slice(i, min(i + width, n)) for i in range(0, n, width)]


def weighted_mean(values: npt.NDArray[Any], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return column means in float64 without a float64 copy of the whole array."""
    total = np.zeros(values.shape[1])
    for rows in blocks(len(values), ROW_BLOCK):
        for cols in blocks(values.shape[1], 1024):
            total[cols] += weights[rows] @ np.asarray(values[rows, cols], dtype=np.float64)
    return total / weights.sum()


def decompose(gram: torch.Tensor) -> Factor:
    """Return the spectrum of a Gram matrix without its numerically empty directions.

    The limit is relative to the largest eigenvalue: the dtype's epsilon times the matrix size in float64, and times 10 in float32,
    where the stricter limit would cut directions above the smallest useful penalties.
    """
    values, vectors, how = eigh(gram)
    values, vectors = values.flip(0), vectors.flip(1)
    eps = torch.finfo(gram.dtype).eps
    limit = values[0] * eps * (max(len(gram), 10) if gram.dtype == torch.float64 else 10)
    rank = int((values > torch.clamp(limit, min=torch.finfo(gram.dtype).tiny)).sum())
    return Factor(values[:rank].contiguous(), vectors[:, :rank].contiguous(), how)


def squares(values: torch.Tensor, room: torch.Tensor | None = None) -> torch.Tensor:
    """Return the column sums of ``(values / room)^2`` in float64, ``room`` being one number a row; a few rows at a time."""
    total = torch.zeros(values.shape[1], dtype=torch.float64, device=values.device)
    for start in range(0, len(values), _ROWS):
        part = values[start : start + _ROWS]
        part = part.square() if room is None else (part / room[start : start + _ROWS, None]).square_()
        total += part.sum(0, dtype=torch.float64)
    return total
