"""What every step of a ridge fit shares: the features' spectrum, the targets a chunk at a time, and the plan of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.linalg import ridge_folds as folds
from brainenc.linalg import ridge_kernels as kernels
from brainenc.linalg.device import to_tensor
from brainenc.linalg.plan import ChunkPlan, plan_chunks

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Splits = Sequence[tuple[Index, Index]]
LARGEST = 8192  # targets in a chunk
_PREFERRED = 512
_HEAP = 1.15  # allocators keep some of the blocks that were freed


class Setup(NamedTuple):
    """One set of rows and the targets that were observed in all of them."""

    design: kernels.Design
    factor: kernels.Factor
    alphas: Floats
    Y: Array
    columns: Index | None  # which columns of Y; None: all
    y_mean: Floats
    constant: npt.NDArray[np.bool_]
    root: Floats
    dtype: np.dtype[Any]
    device: torch.device
    plan: ChunkPlan
    kept: dict[int, torch.Tensor] | None  # projections of chunks, where there is room for them


class Shape(NamedTuple):
    """What the need of memory depends on."""

    n: int
    p: int
    n_targets: int
    n_test: int
    n_alphas: int
    y_bytes: int
    dtype: np.dtype[Any]
    form: str
    hybrid: bool
    conservative: bool


def load(setup: Setup, cols: slice | Index) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return centred, scaled targets and, in primal form, their products with the features."""
    mean = setup.y_mean[cols]
    block = setup.Y[:, cols if setup.columns is None else setup.columns[cols]]
    if setup.columns is not None:
        block = np.where(np.isnan(block), np.zeros((), dtype=block.dtype), block)  # these rows have no weight
    if np.dtype(block.dtype).itemsize > setup.dtype.itemsize or block.dtype.kind != "f":
        # take the mean off before rounding: a large mean would otherwise eat the digits
        T = to_tensor(np.asarray(block, dtype=np.float64) - mean, setup.dtype, setup.device)
    else:
        T = to_tensor(block, setup.dtype, setup.device)
        T -= torch.from_numpy(mean.astype(setup.dtype)).to(setup.device)
    if np.any(setup.root != 1):
        T *= setup.design.root[:, None]
    if setup.constant[cols].any():
        T[:, torch.from_numpy(setup.constant[cols]).to(setup.device)] = 0.0
    return T, kernels.cross_of(setup.design, T) if setup.design.form == "primal" else None


def project(setup: Setup, cols: slice, loaded: tuple[torch.Tensor, torch.Tensor | None] | None = None) -> torch.Tensor:
    """Return a chunk of targets in the coordinates of the spectrum, (r, n_targets); read again only where it was not kept."""
    if setup.kept is not None and cols.start in setup.kept:
        return setup.kept[cols.start]
    T, ZtT = load(setup, cols) if loaded is None else loaded
    B = setup.factor.basis.T @ (T if ZtT is None else ZtT)
    if setup.kept is not None:
        setup.kept[cols.start] = B
    return B


def missing_patterns(Y: Array) -> list[tuple[npt.NDArray[np.bool_] | None, Index]]:
    """Return (missing rows, columns) for every set of columns that lack the same rows, the complete ones (None) first.

    Raises
    ------
    InputError
        For infinity.
    """
    complete: list[Index] = []
    found: dict[bytes, tuple[npt.NDArray[np.bool_], list[int]]] = {}
    bad: list[int] = []
    for cols in kernels.blocks(Y.shape[1], _width(len(Y))):
        block = np.asarray(Y[:, cols])
        whole = np.isfinite(block).all(axis=0) if block.dtype.kind == "f" else np.ones(block.shape[1], dtype=bool)
        complete.append(np.flatnonzero(whole) + cols.start)
        for i in np.flatnonzero(~whole):
            missing = np.isnan(block[:, i])
            if not np.isfinite(block[~missing, i]).all():
                bad.append(int(i) + cols.start)
            found.setdefault(np.packbits(missing).tobytes(), (missing, []))[1].append(int(i) + cols.start)
    if bad:
        raise InputError("Input Y contains infinity", where=f"columns {examples(bad)}", expected="finite targets, or NaN where a response is missing")
    first = np.concatenate(complete) if complete else np.zeros(0, dtype=np.intp)
    groups: list[tuple[npt.NDArray[np.bool_] | None, Index]] = [(None, first)] if len(first) else []
    return groups + [(missing, np.array(columns, dtype=np.intp)) for missing, columns in found.values()]


def target_statistics(Y: Array, weights: Floats, *, intercept: bool, columns: Index | None = None) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the targets' weighted means and which of them are constant, over the rows that have weight.

    Without an intercept the means are zero and only targets that are zero throughout count as constant.
    """
    n_targets = Y.shape[1] if columns is None else len(columns)
    mean, constant = np.zeros(n_targets), np.zeros(n_targets, dtype=bool)
    used = weights > 0
    share = weights / weights.sum()
    for cols in kernels.blocks(n_targets, _width(len(Y))):
        block = np.asarray(Y[:, cols if columns is None else columns[cols]])
        seen, part = (block, share) if used.all() else (block[used], share[used])
        low, high = seen.min(axis=0), seen.max(axis=0)
        constant[cols] = (low == high) & (intercept | (high == 0))
        if intercept:
            mean[cols] = np.where(constant[cols], low, part @ seen.astype(np.float64, copy=False))
    return mean, constant


def plan_fit(shape: Shape, cv: Splits | str | None, memory: str | int | float | None) -> tuple[ChunkPlan, bool]:
    """Return the plan and whether the centred features are held (primal form): only where that leaves room for a good many targets."""
    if shape.form == "kernel":
        return _plan(shape, cv, memory, resident=False), False
    streamed = _plan(shape, cv, memory, resident=False)  # raises where not even this fits
    try:
        held = _plan(shape, cv, memory, resident=True)
    except InputError:
        return streamed, False
    return (held, True) if held.chunk >= min(_PREFERRED, streamed.chunk) else (streamed, False)


def _plan(shape: Shape, cv: Splits | str | None, memory: str | int | float | None, *, resident: bool) -> ChunkPlan:
    """Count the bytes that the fit takes beside X, Y and its result."""
    n, p, n_alphas, b, primal = shape.n, shape.p, shape.n_alphas, shape.dtype.itemsize, shape.form == "primal"
    m, width = (p if primal else n), min(p, kernels.FEATURE_BLOCK)
    block = 2 * b * min(n, kernels.ROW_BLOCK) * p
    fixed = (b * n * p if resident else block) if primal else 2 * b * n * width
    fixed += 7 * b * m * m + (8 * n_alphas * (3 if shape.conservative else 2) + 32 + 3 * n_alphas) * shape.n_targets
    fixed += b * shape.n_test * m + (block if primal else b * shape.n_test * (width + n)) * (shape.n_test > 0)
    fixed += 8 * n * min(_width(n), shape.n_targets)
    wide = (8 if shape.y_bytes > b else 0) + (shape.y_bytes if shape.hybrid else 0)
    per_column = n * (2 * b + wide) + 3 * b * m + (b * m if primal else 0) + b * shape.n_test + 8 * n_alphas
    per_group, n_groups = 0, 0
    if isinstance(cv, str):
        fixed += n * m * (2 * b + 8) + 8 * n * n_alphas
        per_column += n * b + 2 * b * m + 256 * (b + 8) + 40 * n_alphas
    elif cv is not None:
        n_train, n_held = max(len(train) for train, _ in cv), max(len(test) for _, test in cv)
        side = p if primal else n_train
        per_group, n_groups = b * side * (side + 2 * n_held) + 8 * (n_train + 2 * n_held), len(cv)
        n_nodes = n_alphas if b == 4 and n_alphas >= folds.FEWEST and not shape.hybrid else 1
        n_probe = min(n_held, 2 * side)
        gathered = max(min(len(train), n - len(train)) for train, _ in cv)  # rows whose products are taken off, or summed
        fixed += b * (gathered * p * resident if primal else n_held * n) + b * (n_nodes + 1) * n_probe * side
        fixed += 2 * b * n_nodes * n_probe * min(folds.node_width(n_probe, n_nodes), shape.n_targets) * (n_nodes > 1)
        per_column += b * (n_train + 4 * n_held) + 2 * b * side + 256 * (b + 8) + 16 * n_alphas
    fixed, per_column, per_group = (int(_HEAP * part) for part in (fixed, per_column, per_group))
    return plan_chunks(
        memory, shape.n_targets, fixed=fixed, per_column=per_column, per_group=per_group, n_groups=n_groups, preferred=_PREFERRED, largest=LARGEST
    )


def _width(n_rows: int) -> int:
    """Return how many columns are read at once for statistics."""
    return min(max(1_000_000 // max(n_rows, 1), 16), 1024)
