"""The noise of channels: covariance models that never form channels × channels unless asked, and how to get them from data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import as_matrix, examples, one_of
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.linalg import noise as kernels
from brainenc.nouns.persist import Saved

Floats = npt.NDArray[np.float64]
Whitener = Callable[[torch.Tensor], torch.Tensor]
METHODS = ("schaefer_strimmer", "ledoit_wolf", "diagonal", "full")


@dataclass(frozen=True, slots=True, eq=False)
class NoiseModel(Saved):
    """Covariance of noise over channels, Σ = diag(``diagonal``) + ``factor``' ``factor``, or one matrix as it was given.

    Made by `noise_model`, or by ``NoiseModel.from_covariance`` and ``NoiseModel.from_precision``. With fewer rows in ``factor`` than
    channels all products go through the identity of Woodbury, and only `covariance` and `precision` form (n_channels, n_channels).

    Parameters
    ----------
    method : str
        How it was estimated.
    diagonal : ndarray of shape (n_channels,), optional
        Variances that are added to the diagonal.
    factor : ndarray of shape (n_rows, n_channels), optional
        Scaled residuals.
    matrix : ndarray of shape (n_channels, n_channels), optional
        Instead of both.
    holds : {"factors", "covariance", "precision"}
        What is stored.
    shrinkage : float
        Weight of the target, 0 (sample covariance) to 1 (target alone).
    dof : float
        Degrees of freedom of the residuals; NaN where a matrix was given.
    n_samples : int
        Rows of residuals.

    Examples
    --------
    >>> import numpy as np
    >>> model = noise_model(np.random.default_rng(0).standard_normal((20, 50)))
    >>> model.whiten(np.ones((3, 50))).shape, model.factor.shape
    ((3, 50), (20, 50))
    """

    method: str
    diagonal: Floats | None = None
    factor: Floats | None = None
    matrix: Floats | None = None
    holds: str = "factors"
    shrinkage: float = 0.0
    dof: float = float("nan")
    n_samples: int = 0
    _whiteners: dict[str, Whitener] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        one_of(self.holds, ("factors", "covariance", "precision"), "holds")
        wanted = ("diagonal", "factor") if self.holds == "factors" else ("matrix",)
        for name in ("diagonal", "factor", "matrix"):
            value = getattr(self, name)
            if (value is None) == (name in wanted):
                raise InputError(f"a noise model that holds {self.holds} has {' and '.join(wanted)} alone", where="NoiseModel", got=name)
            if value is not None:
                fixed = np.array(value, dtype=np.float64) if value.flags.writeable else value
                fixed.flags.writeable = False
                object.__setattr__(self, name, fixed)

    @classmethod
    def from_covariance(cls, covariance: npt.ArrayLike) -> NoiseModel:
        """Return the model of a symmetric, positive definite covariance (n_channels, n_channels)."""
        return cls("given", matrix=_symmetric(covariance, "covariance"), holds="covariance")

    @classmethod
    def from_precision(cls, precision: npt.ArrayLike) -> NoiseModel:
        """Return the model of a symmetric, positive definite precision (n_channels, n_channels), the inverse of a covariance."""
        return cls("given", matrix=_symmetric(precision, "precision"), holds="precision")

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.diagonal.shape[0] if self.diagonal is not None else self.matrix.shape[0])  # type: ignore[union-attr]

    @property
    def is_diagonal(self) -> bool:
        """Whether channels are taken as uncorrelated."""
        return self.factor is not None and not len(self.factor)

    def covariance(self) -> Floats:
        """Return Σ (n_channels, n_channels)."""
        if self.holds == "covariance":
            return np.array(self.matrix)
        if self.holds == "precision":
            return _inverse(torch.from_numpy(np.array(self.matrix))).numpy()
        assert self.factor is not None and self.diagonal is not None
        out = self.factor.T @ self.factor
        out[np.diag_indices(len(out))] += self.diagonal
        return out

    def precision(self) -> Floats:
        """Return Σ⁻¹ (n_channels, n_channels).

        Raises
        ------
        InputError
            For a singular covariance.
        """
        if self.holds == "precision":
            return np.array(self.matrix)
        if self._is_low_rank():
            return kernels.low_rank_inverse(*self._tensors()).numpy()
        return _inverse(torch.from_numpy(self._regular())).numpy()

    def whiten(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return X in channels in which the noise is white: Y with Y Y' = X Σ⁻¹ X'; shape (…, n_channels), dtype as X."""
        values = np.asarray(X)
        values = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
        self._check(values.shape[-1])
        return self.whitener()(torch.from_numpy(np.array(values))).numpy()

    def gram(self, X: npt.ArrayLike, Y: npt.ArrayLike | None = None) -> Floats:
        """Return X Σ⁻¹ Y' (n, m), or X Σ⁻¹ X', for X (n, n_channels) and Y (m, n_channels)."""
        rows = [torch.from_numpy(np.array(as_matrix(v, "rows"), dtype=np.float64)) for v in (X, *(() if Y is None else (Y,)))]
        for one in rows:
            self._check(one.shape[-1])
        if self._is_low_rank():
            return kernels.low_rank_gram(rows[0], rows[-1] if Y is not None else None, *self._tensors()).numpy()
        white = [self.whitener()(one) for one in rows]
        return (white[0] @ white[-1].T).numpy()

    def take(self, channels: npt.ArrayLike) -> NoiseModel:
        """Return the model of these channels: the sub-block of the covariance (never of the precision)."""
        index = np.asarray(channels)
        if self.holds == "factors":
            assert self.factor is not None and self.diagonal is not None
            return replace(self, diagonal=self.diagonal[index], factor=self.factor[:, index])
        return replace(self, matrix=self.covariance()[np.ix_(index, index)], holds="covariance")

    def whitener(self, device: torch.device | None = None) -> Whitener:
        """Return a function that whitens tensors (…, n_channels) on ``device`` in their own dtype; decomposed once, in float64."""
        key = str(device or "cpu")
        if key not in self._whiteners:
            self._whiteners[key] = self._decomposed(device)
        return self._whiteners[key]

    def _decomposed(self, device: torch.device | None) -> Whitener:
        if self.is_diagonal:
            scale = self._tensors(device)[0].rsqrt()
            return lambda rows: rows * scale.to(rows.dtype)
        if self._is_low_rank():
            root = kernels.low_rank_root(*self._tensors(device))
            return lambda rows: kernels.low_rank_whiten(rows, tuple(part.to(rows.dtype) for part in root))  # type: ignore[arg-type]
        if self.holds == "precision":
            half = kernels.cholesky(torch.from_numpy(np.array(self.matrix)).to(device))
            return lambda rows: kernels.lower_product(rows, half.to(rows.dtype))
        lower = kernels.cholesky(torch.from_numpy(self._regular()).to(device))
        return lambda rows: kernels.dense_whiten(rows, lower)

    def _regular(self) -> Floats:
        """Return the covariance, unless it is known to be singular before it is formed."""
        if self.factor is not None and len(self.factor) < self.n_channels:
            raise InputError(
                "the noise covariance is singular and has no inverse", where=repr(self), expected=f"more than {self.n_channels} rows of residuals",
                got=len(self.factor), fix='shrink it: method="schaefer_strimmer" or "ledoit_wolf"',
            )  # fmt: skip
        return self.covariance()

    def _is_low_rank(self) -> bool:
        return self.factor is not None and self.diagonal is not None and len(self.factor) < self.n_channels and bool((self.diagonal > 0).all())

    def _tensors(self, device: torch.device | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.factor is not None and self.diagonal is not None
        return torch.from_numpy(np.array(self.diagonal)).to(device), torch.from_numpy(np.array(self.factor)).to(device)

    def _check(self, n_channels: int) -> None:
        if n_channels != self.n_channels:
            raise InputError("patterns and noise model have different channels", where="NoiseModel", expected=self.n_channels, got=n_channels)

    def __reduce__(self) -> tuple[Any, ...]:
        return NoiseModel, (self.method, self.diagonal, self.factor, self.matrix, self.holds, self.shrinkage, self.dof, self.n_samples)

    def __repr__(self) -> str:
        what = f"shrinkage {self.shrinkage:.3f}, dof {self.dof:g}" if self.holds == "factors" else self.holds
        return f"NoiseModel({self.method}, {self.n_channels} channels, {what})"

    def _repr_html_(self) -> str:
        return facts("NoiseModel", {"method": self.method, "channels": self.n_channels, "shrinkage": f"{self.shrinkage:.3f}", "dof": f"{self.dof:g}"})


def noise_model(
    X: Any,
    *,
    method: str = "schaefer_strimmer",
    conditions: Any = None,
    folds: Any = None,
    by: Any = None,
    dof: float | None = None,
) -> Any:
    """Estimate the covariance of noise over channels from residuals, or from trials less their condition means.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_channels), Responses, or {name: any of these}
        Residuals of a model, e.g. of a time-series GLM, or trials with their conditions.
    method : {"schaefer_strimmer", "ledoit_wolf", "diagonal", "full"}
        Shrunk towards the diagonal (default) or towards a multiple of the identity, variances alone, or the sample covariance.
    conditions : str or sequence of n_samples labels, optional
        Trials: the mean of each condition is removed first. For Responses that are trials ``"stimulus_id"``.
    folds : str or sequence of n_samples labels, optional
        Remove means within (condition, fold); without ``conditions`` within each fold (Responses that are time series: ``"run"``).
    by : str or sequence of n_samples labels, optional
        Give one model per value: ``by="run"`` for noise per fold.
    dof : float, optional
        Degrees of freedom of the residuals; for a GLM n_samples less the rank of its design. When not given: n_samples less the number of
        means that were removed, so that unit noise gives a diagonal of 1 whatever the number of repeats.

    Returns
    -------
    NoiseModel
        Or {value of ``by``: NoiseModel} sorted by value, or {name: …} for a mapping.

    Raises
    ------
    InputError
        Values that are not finite, channels without variance (they are named), no degrees of freedom left.

    Examples
    --------
    >>> import numpy as np
    >>> noise_model(np.random.default_rng(0).standard_normal((200, 3)), method="full").covariance().diagonal().round(1)
    array([1., 1., 1.])

    References
    ----------
    Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4; Schäfer & Strimmer 2005, doi:10.2202/1544-6115.1175.
    """
    from brainenc.rsa._trials import residual_rows

    one_of(method, METHODS, "method")
    if isinstance(X, Mapping):
        return {str(name): noise_model(one, method=method, conditions=conditions, folds=folds, by=by, dof=dof) for name, one in X.items()}
    values, cells, parts = residual_rows(X, conditions, folds, by)
    if parts is None:
        return from_residuals(values, cells, method, dof)
    labels = sorted(dict.fromkeys(parts.tolist()), key=lambda label: (str(type(label)), label))
    return {label: from_residuals(values[parts == label], cells[parts == label], method, dof) for label in labels}


def from_residuals(values: npt.NDArray[Any], cells: npt.NDArray[np.intp], method: str, dof: float | None = None) -> NoiseModel:
    """Return the model of values (n_samples, n_channels) less the mean of their cell (n_samples,)."""
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise InputError("residuals hold NaN or infinity", where="noise_model", got=f"{len(bad)} rows: {examples(bad)}")
    _, codes = np.unique(cells, return_inverse=True)
    n, n_cells = len(values), int(codes.max(initial=-1)) + 1
    nu = float(n - n_cells if dof is None else dof)
    if nu <= 0 or n < 2:
        raise InputError(
            "no degrees of freedom are left for the noise", where="noise_model", expected="more samples than means", got=f"{n} samples, {n_cells} means",
            fix="give trials with repeats, or the residuals of a model",
        )  # fmt: skip
    rows = torch.from_numpy(np.array(values, dtype=np.float64))
    index = torch.from_numpy(codes)
    sums = torch.zeros((n_cells, rows.shape[1]), dtype=torch.float64).index_add_(0, index, rows)
    rows -= (sums / torch.bincount(index, minlength=n_cells)[:, None])[index]
    return _estimate(rows, nu, method, np.abs(values).max(axis=0, initial=0.0))


def pooled(models: Sequence[NoiseModel]) -> NoiseModel:
    """Return the mean covariance of several models; factors stay factors."""
    if len(models) == 1:
        return models[0]
    n = len(models)
    if all(model.holds == "factors" for model in models):
        diagonal = np.mean([np.asarray(model.diagonal) for model in models], axis=0)
        factor = np.concatenate([model.factor for model in models]) / np.sqrt(n)  # type: ignore[misc]
        return NoiseModel("mean of " + models[0].method, diagonal=diagonal, factor=factor, n_samples=sum(m.n_samples for m in models))
    return NoiseModel("mean", matrix=np.sum([model.covariance() for model in models], axis=0) / n, holds="covariance")


def _estimate(rows: torch.Tensor, dof: float, method: str, size: Floats) -> NoiseModel:
    variance = (rows * rows).sum(dim=0) / dof
    flat = np.flatnonzero(variance.numpy() <= (1e-13 * size) ** 2)
    if len(flat):
        raise InputError(
            f"{len(flat)} of {rows.shape[1]} channels have no noise variance, so that their precision is infinite", where="noise_model",
            got=f"channels {examples(flat)}", fix="leave them out",
        )  # fmt: skip
    diagonal, factor, shrinkage = kernels.estimate(rows, dof, method)
    parts = [part.numpy() for part in (diagonal, factor)]
    for part in parts:
        part.flags.writeable = False  # made here: kept without a copy
    return NoiseModel(method, diagonal=parts[0], factor=parts[1], shrinkage=float(shrinkage), dof=dof, n_samples=len(rows))


def _symmetric(matrix: npt.ArrayLike, name: str) -> Floats:
    array = np.array(as_matrix(matrix, f"noise {name}"), dtype=np.float64)
    if array.shape[0] != array.shape[1]:
        raise InputError(f"a {name} is a square matrix", where="NoiseModel", got=f"shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"the {name} holds NaN or infinity", where="NoiseModel")
    if np.abs(array - array.T).max(initial=0.0) > 1e-6 * np.abs(array).max(initial=0.0):
        raise InputError(f"a {name} is symmetric", where="NoiseModel", got=f"a difference of {np.abs(array - array.T).max():.3g} across the diagonal")
    array.flags.writeable = False
    return array


def _inverse(matrix: torch.Tensor) -> torch.Tensor:
    return torch.cholesky_inverse(kernels.cholesky(matrix))
