"""The responses of one subject, made ready once, from which the RDM of any neighbourhood is a gather and a product away."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import InputError
from brainenc.linalg import noise as kernels
from brainenc.linalg.device import resolve_device, working_dtype
from brainenc.linalg.distances import Cells, cell_sums
from brainenc.nouns.responses import Responses
from brainenc.rsa._blocks import Index as CellIndex
from brainenc.rsa._blocks import cell_index
from brainenc.rsa._choices import How
from brainenc.rsa._noises import noise_for_groups, residual_cells
from brainenc.rsa._trials import Trials, residual_rows
from brainenc.rsa.noise import METHODS, NoiseModel

Tensor = torch.Tensor
COLUMNS = 4096


class Gathered:
    """Sums of the trials of each (condition, fold) cell, one row a target.

    Parameters
    ----------
    table : Tensor of shape (n_targets, n_cells)
        So turned that the targets of a neighbourhood are whole rows.
    index : cell index
        What each cell is, and how many trials are in it.
    part : Trials
    how : How
        Metric and conventions.
    noise : object with ``white(rows, targets)``, list of NoiseModel, or None
        Whitens the cells of each neighbourhood; a list is one model a fold.
    """

    def __init__(self, table: Tensor, index: CellIndex, part: Trials, how: How, noise: Any) -> None:
        self.table, self.how, self.noise = table, how, noise
        self.n_conditions, self.n_folds = part.n_conditions, max(len(part.folds), 1)
        self.counts, self.condition, self.fold = index.counts, index.condition, index.fold
        self.n_pairs = self.n_conditions * (self.n_conditions - 1) // 2

    def rdms(self, targets: Tensor) -> Tensor:
        """Return RDMs (n_centres, n_pairs) of the neighbourhoods (n_centres, size), as `brainenc.rsa.rdm` gives them."""
        how, size = self.how, targets.shape[1]
        cells = Cells(_rows(self.table, targets).mT, self.counts, self.condition, self.fold, self.n_conditions, self.n_folds)
        if isinstance(self.noise, list):
            total, channels = self._fold_by_fold(cells, targets)
        else:
            identity = None
            if self.noise is not None:
                cells = cells._replace(sums=self.noise.white(cells.sums, targets))
                # the cells are white already; an estimator that asks for a model gets one that changes nothing
                identity = NoiseModel("white", diagonal=np.ones(size), factor=np.zeros((0, size))) if how.estimator.NOISE == "required" else None
            total, channels = how.estimator.distances(cells, noise=identity, prior=how.prior)
        if how.estimator.PER_CHANNEL:
            total = total / channels * (1.0 if how.per_channel else size)
        if how.estimator.SQUARED and not how.squared:
            total = total.sign() * total.abs().sqrt()
        return total

    def _fold_by_fold(self, cells: Cells, targets: Tensor) -> tuple[Tensor, Any]:
        """Every pair of folds has its own covariance: one neighbourhood at a time."""
        parts = []
        for place, near in enumerate(targets.cpu().numpy()):
            models = [model.take(near) for model in self.noise]
            one = cells._replace(sums=cells.sums[place : place + 1].contiguous())
            parts.append(self.how.estimator.distances(one, noise=models, prior=self.how.prior)[0])
        return torch.cat(parts), targets.shape[1]

    @property
    def n_bytes(self) -> int:
        """Bytes that are held for all neighbourhoods together."""
        held = [self.table, *(getattr(self.noise, name, None) for name in ("residuals", "factor", "diagonal", "matrix"))]
        return sum(part.element_size() * part.nelement() for part in held if isinstance(part, Tensor))

    def bytes_of(self, size: int) -> int:
        """Return the working memory of one neighbourhood of ``size`` targets."""
        rows = len(self.condition) * (3 if self.noise is None else 4) * self.table.element_size()
        grams = 8 * (3 * self.n_conditions**2 + 4 * self.n_pairs)
        return rows * size + grams + (self.noise.bytes_of(size) if hasattr(self.noise, "bytes_of") else 0)


class SharedNoise:
    """One noise model of all targets; a neighbourhood takes its block of the covariance."""

    def __init__(self, model: NoiseModel, device: torch.device) -> None:
        self.diagonal = self.factor = self.matrix = None
        if model.holds == "factors":
            self.diagonal = torch.tensor(model.diagonal, device=device)
            self.factor = torch.tensor(np.ascontiguousarray(np.asarray(model.factor).T), device=device)
        else:
            self.matrix = torch.tensor(model.covariance(), device=device)

    def white(self, rows: Tensor, targets: Tensor) -> Tensor:
        """Return rows (n_centres, n_rows, size) in channels in which the noise of each neighbourhood is white."""
        if self.matrix is not None:
            return kernels.dense_whiten(rows, kernels.cholesky(self.matrix[targets[:, :, None], targets[:, None, :]]))
        assert self.diagonal is not None and self.factor is not None
        return _whitened(rows, self.diagonal[targets], _rows(self.factor, targets).mT)

    def bytes_of(self, size: int) -> int:
        """Return the working memory of one neighbourhood."""
        return 8 * (3 * size * size + (2 * size * self.factor.shape[1] if self.factor is not None else 0))


class LocalNoise:
    """The covariance of each neighbourhood, estimated from the residuals of its own targets.

    Parameters
    ----------
    residuals : Tensor of shape (n_targets, n_rows)
    dof : float
    method : str
        One of `brainenc.rsa.noise_model`.
    """

    def __init__(self, residuals: Tensor, dof: float, method: str) -> None:
        self.residuals, self.dof, self.method = residuals, dof, method

    def white(self, rows: Tensor, targets: Tensor) -> Tensor:
        """Return rows (n_centres, n_rows, size) in channels in which the noise of each neighbourhood is white."""
        diagonal, factor, _ = kernels.estimate(_rows(self.residuals, targets).mT.to(torch.float64), self.dof, self.method)
        return _whitened(rows, diagonal, factor)

    def bytes_of(self, size: int) -> int:
        """Return the working memory of one neighbourhood."""
        return 8 * (4 * size * size + 4 * size * self.residuals.shape[1])


def _rows(table: Tensor, targets: Tensor) -> Tensor:
    """Return ``table[targets]`` (n_centres, size, n_columns); index_select copies whole rows, several times as fast."""
    return table.index_select(0, targets.reshape(-1)).reshape(*targets.shape, table.shape[1])


def _whitened(rows: Tensor, diagonal: Tensor, factor: Tensor) -> Tensor:
    """Whiten with Σ = diag(d) + F'F of each neighbourhood: through F where it has clearly fewer rows than channels, else Cholesky's factor."""
    n_rows, size = factor.shape[-2:]
    if not n_rows:
        return rows * diagonal.rsqrt()[:, None, :].to(rows.dtype)
    if 3 * n_rows < size and bool((diagonal > 0).all()):
        root = kernels.low_rank_root(diagonal, factor)
        return kernels.low_rank_whiten(rows, tuple(part.to(rows.dtype) for part in root))  # type: ignore[arg-type]
    return kernels.dense_whiten(rows, kernels.cholesky(factor.mT @ factor + torch.diag_embed(diagonal)))


class Residuals(NamedTuple):
    """Where local noise comes from: rows of noise, the cell whose mean each loses, degrees of freedom if they are known."""

    values: npt.NDArray[Any]
    cells: npt.NDArray[np.intp]
    dof: float | None


def prepare(responses: Responses, part: Trials, how: How, noise: Any, residuals: Any, dof: float | None, used: npt.NDArray[np.bool_]) -> Gathered:
    """Return the patterns of one subject.

    Parameters
    ----------
    responses : Responses
    part : Trials
        The same, with conditions and folds.
    how : How
    noise : str, NoiseModel, array, sequence, mapping or None
        As in `searchlight`.
    residuals, dof : optional
        Of local noise.
    used : ndarray of bool, shape (n_targets,)
        Targets that any neighbourhood has; the others may hold anything.
    """
    device = resolve_device(how.device)
    index = cell_index(part, device)
    dtype = working_dtype(part.values)
    center = how.center and how.estimator.CENTER
    n_targets = part.values.shape[2]
    table = torch.empty((n_targets, len(index.condition)), dtype=torch.from_numpy(np.empty(0, dtype)).dtype, device=device)
    for start in range(0, n_targets, COLUMNS):
        columns = slice(start, min(start + COLUMNS, n_targets))
        x = np.array(part.values[:, :, columns], dtype=dtype)
        _check_values(x, responses, columns, used, nonnegative=how.estimator.NONNEGATIVE)
        table[columns] = cell_sums(torch.from_numpy(x).to(device), index.cell, len(index.condition), weights=index.weights, center=center)[0].T
    if not how.estimator.CROSSVALIDATED or how.weighting == "folds":
        table /= index.counts.to(table.dtype)
        index = index._replace(counts=torch.ones_like(index.counts))
    return Gathered(table, index, part, how, _noise_of(responses, part, how, noise, residuals, dof, used, device))


def is_local(noise: Any) -> bool:
    """Return whether noise is to be estimated for each neighbourhood."""
    return noise is True or isinstance(noise, str)


def _noise_of(
    responses: Responses, part: Trials, how: How, noise: Any, residuals: Any, dof: float | None, used: npt.NDArray[np.bool_], device: torch.device,
) -> Any:  # fmt: skip
    if is_local(noise):
        method = METHODS[0] if noise is True or one_of(noise, ("local", *METHODS), "noise") == "local" else str(noise)
        if residuals is not None:
            values, cells, _ = residual_rows(residuals, None, None, None)
            source = Residuals(values, cells, dof)
        else:
            source = Residuals(part.values[0], residual_cells(part), dof)
        return _local(responses, source, method, used, device)
    if residuals is not None or dof is not None:
        raise InputError("residuals and dof belong to local noise", where="searchlight", got=repr(noise), fix='noise="local"')
    if noise is None:
        return None
    models = noise_for_groups(noise, part, how.metric).models[0]
    return models if isinstance(models, list) else SharedNoise(models, device)  # type: ignore[arg-type]


def _local(responses: Responses, source: Residuals, method: str, used: npt.NDArray[np.bool_], device: torch.device) -> LocalNoise:
    """Return residuals turned so that targets are rows, in the dtype of the values."""
    where = f"noise of {responses.name!r}"
    n_rows, n_targets = source.values.shape
    if n_targets != responses.n_targets:
        raise InputError("residuals are those of other targets", where=where, expected=f"{responses.n_targets} targets", got=n_targets)
    _, codes = np.unique(source.cells, return_inverse=True)
    counts = np.bincount(codes)
    dof = float(n_rows - len(counts)) if source.dof is None else float(source.dof)
    if dof <= 0 or n_rows < 2:
        raise InputError("no degrees of freedom are left for the noise", where=where, got=f"{n_rows} rows, {len(counts)} means", fix="give residuals=")
    dtype = working_dtype(source.values)
    table = torch.empty((n_targets, n_rows), dtype=torch.float64 if dtype == np.float64 else torch.float32, device=device)
    cell, number = torch.from_numpy(codes).to(device), torch.from_numpy(counts).to(device)
    for start in range(0, n_targets, COLUMNS):
        columns = slice(start, min(start + COLUMNS, n_targets))
        x = torch.from_numpy(np.array(source.values[:, columns], dtype=np.float64)).to(device)
        size = x.abs().amax(dim=0)
        sums = torch.zeros((len(counts), x.shape[1]), dtype=torch.float64, device=device).index_add_(0, cell, x)
        x -= (sums / number[:, None])[cell]
        flat = ((x * x).sum(dim=0) / dof <= (1e-13 * size) ** 2).cpu().numpy() & used[columns]
        if flat.any():
            who = examples(responses.targets["target_id"].to_numpy()[columns][flat])
            raise InputError(f"{int(flat.sum())} targets have no noise variance", where=where, got=who, fix='constant="omit", or leave them out')
        table[columns] = x.T.to(table.dtype)
    return LocalNoise(table, dof, method)


def _check_values(x: npt.NDArray[Any], responses: Responses, columns: slice, used: npt.NDArray[np.bool_], *, nonnegative: bool) -> None:
    bad = (~np.isfinite(x[0])).any(axis=0) & used[columns]
    where = f"searchlight of {responses.name!r}"
    if bad.any():
        raise InputError("responses hold infinity", where=where, got=examples(responses.targets["target_id"].to_numpy()[columns][bad]))
    if nonnegative and (x[0][:, used[columns]] < 0).any():
        raise InputError("counts and rates are not negative", where=where, got=f"{int((x[0][:, used[columns]] < 0).sum())} negative values")
