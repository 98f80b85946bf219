"""The sums behind an RDM, in blocks that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import examples, parse_bytes
from brainenc.core.errors import InputError
from brainenc.linalg.device import resolve_device, to_numpy, working_dtype
from brainenc.linalg.distances import Cells, cell_sums
from brainenc.linalg.plan import free_memory, plan_chunks
from brainenc.rsa._choices import How
from brainenc.rsa._noises import Noises, PerFold
from brainenc.rsa._trials import Trials
from brainenc.rsa.noise import NoiseModel

Floats = npt.NDArray[np.float64]
Tensor = torch.Tensor
COMFORTABLE = 1 << 24


def total_and_channels(part: Trials, noises: Noises, how: How) -> tuple[Floats, Any]:
    """Return sums over channels (n_groups, n_pairs) and how many channels are in them; values that are no sums come with None."""
    n_groups, _, p = part.values.shape
    total = np.zeros((n_groups, part.n_conditions * (part.n_conditions - 1) // 2))
    channels: Any = None
    index = cell_index(part, resolve_device(how.device))
    for groups, inside in _blocks(part, noises, how):
        noise = noises.models[0 if noises.shared else groups.start]
        if isinstance(noise, NoiseModel) and inside != slice(0, p):
            noise = noise.take(np.arange(p)[inside])
        found, counted = _block(part.values[groups, :, inside], index, part, noise, how, groups, inside)
        total[groups] += to_numpy(found)
        if isinstance(counted, Tensor):
            channels = np.zeros_like(total) if channels is None else channels
            channels[groups] += to_numpy(counted)
        elif counted is not None:
            channels = p if channels is None else channels
    return total, channels


class Index(NamedTuple):
    """Which cell each row belongs to, and what each cell is."""

    cell: Tensor
    condition: Tensor
    fold: Tensor
    counts: Tensor
    weights: Tensor | None


def cells_of(part: Trials, how: How, device: torch.device) -> Cells:
    """Return the cells of all groups at once; values must be finite."""
    index = cell_index(part, device)
    x = _tensor(part.values, working_dtype(part.values), device)
    _finite(x, part, how, slice(0, len(x)), slice(0, x.shape[2]))
    cells = Cells(
        cell_sums(x, index.cell, len(index.condition), weights=index.weights, center=how.center), index.counts, index.condition, index.fold,
        part.n_conditions, max(len(part.folds), 1),
    )  # fmt: skip
    return by_folds(cells) if how.weighting == "folds" else cells


def cell_index(part: Trials, device: torch.device) -> Index:
    """Return the cells of the rows, in the order of the conditions and within them of the folds."""
    folds = max(len(part.folds), 1)
    cells, cell = np.unique(part.condition * folds + part.fold, return_inverse=True)
    weight = np.ones(len(cell)) if part.weight is None else part.weight
    found = [cell, cells // folds, cells % folds, np.bincount(cell, weights=weight)]
    cell_, condition, fold, counts = (torch.from_numpy(np.asarray(one)).to(device) for one in found)
    return Index(cell_, condition, fold, counts, None if part.weight is None else torch.from_numpy(np.array(weight)).to(device))


def _blocks(part: Trials, noises: Noises, how: How) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of groups; of channels too where one group is too large and the estimator adds up over channels."""
    n_groups, n_samples, p = part.values.shape
    n = part.n_conditions
    size = working_dtype(part.values).itemsize
    rows = 2 * n_samples + len(np.unique(part.condition * max(len(part.folds), 1) + part.fold)) * (2 if noises.models[0] is not None else 1) + 2 * n
    if how.nan != "raise":
        rows += 5 * n_samples
    grams = 24 * n * n + 48 * n * n
    whole = slice(0, p)
    one = rows * p * size + grams
    budget = free_memory() // 2 if how.memory is None else parse_bytes(how.memory)
    apart = noises.models[0] is None or (isinstance(noises.models[0], NoiseModel) and noises.models[0].is_diagonal)
    if one > budget and how.estimator.ADDITIVE and apart and p > 1:
        plan = plan_chunks(how.memory, p, fixed=grams, per_column=rows * size, smallest=1, preferred=256, largest=p)
        for group in range(n_groups):
            for channels in plan.slices():
                yield slice(group, group + 1), channels
        return
    # small blocks stay in the caches of the processor; models per fold are inverted anew for each block
    few = max(1, COMFORTABLE // one) if not isinstance(noises.models[0], list) else 4096
    largest = few if noises.shared else 1
    for groups in plan_chunks(how.memory, n_groups, fixed=0, per_column=one, smallest=1, preferred=1, largest=largest).slices():
        yield groups, whole


def _block(values: npt.NDArray[Any], index: Index, part: Trials, noise: PerFold, how: How, groups: slice, inside: slice) -> tuple[Tensor, Tensor | int | None]:
    """Return what the estimator makes of some groups and channels (n_groups, n_samples, n_channels)."""
    x = _tensor(values, working_dtype(part.values), index.cell.device)
    if how.estimator.NONNEGATIVE and bool((x < 0).any()):
        raise InputError("counts and rates are not negative", where=f"{how.metric} of {part.name!r}", got=f"{int((x < 0).sum())} negative values")
    lost = None
    if how.nan != "raise":
        missing = torch.isnan(x)
        if bool(missing.any()):
            if how.nan == "omit":
                return _distances(_measured(x, ~missing, index, part, how), noise, how)
            lost = _conditions_of(missing.any(dim=2), part.condition)
            x = torch.where(missing, torch.zeros_like(x), x)
    sums = cell_sums(x, index.cell, len(index.condition), weights=index.weights, center=how.center and how.estimator.CENTER)
    cells = Cells(sums, index.counts, index.condition, index.fold, part.n_conditions, max(len(part.folds), 1))
    found, counted = _distances(cells, noise, how)
    if not bool(torch.isfinite(found).all()):  # products carry on whatever is not finite: looking at the input first would cost a pass
        _finite(x, part, how, groups, inside)
    if lost is not None:
        rows, columns = torch.triu_indices(part.n_conditions, part.n_conditions, 1, device=found.device)
        found[lost[:, rows] | lost[:, columns]] = torch.nan
    return found, counted


def _distances(cells: Cells, noise: PerFold, how: How) -> tuple[Tensor, Tensor | int | None]:
    if how.weighting == "folds" and how.estimator.CROSSVALIDATED:
        cells = by_folds(cells)
    return how.estimator.distances(cells, noise=noise, prior=how.prior)


def by_folds(cells: Cells) -> Cells:
    """Return means instead of sums, so that every pair of folds weighs the same."""
    counts = cells.counts.to(cells.sums.dtype)
    counts = counts if counts.ndim > 1 else counts[:, None]
    return cells._replace(sums=cells.sums / torch.where(counts > 0, counts, torch.ones_like(counts)), counts=(cells.counts > 0).to(cells.counts.dtype))


def _measured(x: Tensor, valid: Tensor, index: Index, part: Trials, how: How) -> Cells:
    """Return cells in which missing values count for nothing: sums with 0 for them, and counts for each channel."""
    if bool(torch.isinf(x).any()):
        raise InputError("values hold infinity", where=f"{how.metric} of {part.name!r}", got=f"{int(torch.isinf(x).sum())} values")
    x = torch.where(valid, x, torch.zeros_like(x))
    seen = valid.to(x.dtype)
    if how.center and how.estimator.CENTER:
        x = (x - x.sum(dim=1, keepdim=True) / seen.sum(dim=1, keepdim=True).clamp_min(1.0)) * seen
    n_cells = len(index.condition)
    sums, counts = (cell_sums(one, index.cell, n_cells, weights=index.weights, center=False) for one in (x, seen))
    return Cells(sums, counts, index.condition, index.fold, part.n_conditions, max(len(part.folds), 1))


def _conditions_of(bad: Tensor, condition: npt.NDArray[np.intp]) -> Tensor:
    """Return which conditions (n_groups, n_conditions) have a bad row (n_groups, n_samples)."""
    codes = torch.from_numpy(np.asarray(condition)).to(bad.device)
    out = torch.zeros((len(bad), int(codes.max()) + 1), dtype=torch.int64, device=bad.device)
    return out.index_add_(1, codes, bad.to(torch.int64)) > 0


def _finite(x: Tensor, part: Trials, how: How, groups: slice, inside: slice) -> None:
    bad = torch.nonzero(~torch.isfinite(x))
    if not len(bad):
        return
    group, row, channel = (int(v) for v in bad[0])
    n_rows = len(torch.unique(bad[:, 1]))
    n_channels = len(torch.unique(bad[:, 2]))
    place = f"row {row} (condition {part.table.iloc[int(part.condition[row]), 0]!r}), channel {inside.start + channel}"
    if x.shape[0] > 1 or groups.start:
        place += f" of group {groups.start + group} ({examples(part.rows.iloc[groups.start + group])})"
    raise InputError(
        "patterns hold NaN or infinity", where=f"{how.metric} of {part.name!r}, first at {place}", expected="finite values",
        got=f"{len(bad)} values in {n_rows} rows and {n_channels} channels", fix='nan="omit" or nan="propagate" (for NaN), or leave these channels out',
    )  # fmt: skip


def _tensor(values: npt.NDArray[Any], dtype: np.dtype[Any], device: torch.device) -> Tensor:
    """Return the values as a tensor that shares their memory where it can; it is never written to."""
    if values.dtype != dtype or not values.flags.writeable or any(step < 0 for step in values.strides):
        values = np.array(values, dtype=dtype, order="C", subok=False)
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
