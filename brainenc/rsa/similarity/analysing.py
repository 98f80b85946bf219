"""Kernel analysis: how complex a model of the labels has to be on top of a representation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.nouns.persist import Saved
from brainenc.rsa.similarity._sides import aligned, named

Floats = npt.NDArray[np.float64]
N_PENALTIES = 25


@dataclass(frozen=True, slots=True, eq=False)
class KernelAnalysis(Saved):
    """Error against complexity, fitted on all stimuli (spectral) and leaving one out (ridge).

    Parameters
    ----------
    dimensions : ndarray of int, shape (n_dimensions,)
        d = 1, 2 …: leading kernel components of the spectral form.
    curves : ndarray of shape (n_sigmas, n_dimensions)
        e_σ(d), training error.
    penalties : ndarray of shape (n_penalties,)
        λ of kernel ridge, descending; complexity is 1 / λ.
    loo_curves : ndarray of shape (n_sigmas, n_penalties)
        Leave-one-out error.
    sigma : ndarray of shape (n_sigmas,)
        Bandwidths.
    quantiles : ndarray of shape (n_sigmas,)
        Of the pairwise distances, where the bandwidths are.
    loss : {"error", "mse"}
    chance : float
        Error without any features: of the most frequent class, or 1 for "mse".
    n_samples, n_classes : int
        ``n_classes`` is 0 for continuous labels.
    name : str
        Of the representation.
    """

    dimensions: npt.NDArray[np.int64]
    curves: Floats
    penalties: Floats
    loo_curves: Floats
    sigma: Floats
    quantiles: Floats
    loss: str
    chance: float
    n_samples: int
    n_classes: int
    name: str = "X"

    @property
    def curve(self) -> Floats:
        """e(d) = min over σ of e_σ(d), shape (n_dimensions,)."""
        return self.curves.min(axis=0)

    @property
    def loo_curve(self) -> Floats:
        """Leave-one-out error at each penalty, the least over σ (n_penalties,)."""
        return self.loo_curves.min(axis=0)

    @property
    def auc(self) -> float:
        """KA-AUC: the mean of 1 − e(d) over d."""
        return float(1.0 - self.curve.mean())

    @property
    def loo(self) -> float:
        """The least leave-one-out error over σ and λ (chosen on the same stimuli: somewhat flattered)."""
        return float(self.loo_curves.min())

    def to_frame(self) -> pd.DataFrame:
        """Return one row a form, σ and complexity: name, form ("spectral", "leave one out"), sigma, quantile, complexity (d or 1 / λ), error."""
        parts = []
        for form, complexity, curves in (("spectral", self.dimensions, self.curves), ("leave one out", 1.0 / self.penalties, self.loo_curves)):
            for number, curve in enumerate(curves):
                part = pd.DataFrame({"complexity": complexity.astype(np.float64), "error": curve})
                parts.append(part.assign(name=self.name, form=form, sigma=self.sigma[number], quantile=self.quantiles[number]))
        return pd.concat(parts, ignore_index=True)[["name", "form", "sigma", "quantile", "complexity", "error"]]

    def __repr__(self) -> str:
        return f"KernelAnalysis({self.name!r}, {self.loss}, KA-AUC {self.auc:.3f}, leave one out {self.loo:.3f}, chance {self.chance:.3f})"

    def _repr_html_(self) -> str:
        rows = {"KA-AUC (training)": f"{self.auc:.3f}", "leave one out": f"{self.loo:.3f}", "chance": f"{self.chance:.3f}", "samples": self.n_samples}
        return facts(f"KernelAnalysis {self.name}", {**rows, "loss": self.loss, "sigma": ", ".join(f"{s:.3g}" for s in self.sigma)})


def kernel_analysis(
    X: Any, labels: Any, *, loss: str = "error", quantiles: Sequence[float] = (0.1, 0.5, 0.9), n_dimensions: int | None = None,
    penalties: Sequence[float] | None = None, device: str = "auto",
) -> KernelAnalysis:  # fmt: skip
    """Return how the error of a kernel model of the labels falls with its complexity.

    Spectral form: K_σ = exp(−‖x_i − x_j‖² / (2σ²)), eigenvectors U by decreasing eigenvalue, Ŷ_d = U_d U_d'Y with one-hot Y;
    e_σ(d) = share of stimuli with argmax Ŷ_d ≠ argmax Y, or ‖Y − Ŷ_d‖² / ‖Y‖²; e(d) = min over σ; KA-AUC = mean_d (1 − e(d)). One
    eigendecomposition per σ serves every d. It is a **training-set** measure: at d = n it is 0 whatever the representation.

    Leave-one-out form, beside it: kernel ridge with H = K (K + λI)⁻¹, prediction y − (y − Hy) / (1 − diag H), complexity 1 / λ.

    After Montavon, Braun & Müller (2011) and Cadieu et al. (2013, 2014); equations from memory. Quantiles, the scale of the mse and the
    penalties (relative to the mean eigenvalue of K, which is 1) are our choice.

    Parameters
    ----------
    X : array (n_samples, n_features), FeatureSpace or Responses
    labels : array_like or table of shape (n_samples,)
        Classes; or, with ``loss="mse"``, numbers (n_samples,) or (n_samples, n_outputs). In the order of the rows of ``X``; for
        `FeatureSpace` and `Responses` a pandas Series or DataFrame with an index of text is matched by stimulus_id.
    loss : {"error", "mse"}
    quantiles : sequence of float
        Of the non-zero pairwise distances, for σ.
    n_dimensions : int, optional
        Largest d; n_samples where not given.
    penalties : sequence of float, optional
        λ > 0; 25 from 10³ to 10⁻⁶ where not given.
    device : str

    Returns
    -------
    KernelAnalysis

    Raises
    ------
    InputError
        For labels that do not fit, fewer than two classes, equal rows.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((40, 2)) + np.repeat([[0, 0], [6, 6]], 20, axis=0)
    >>> found = kernel_analysis(x, np.repeat(["a", "b"], 20))
    >>> found.auc > 0.95, found.loo
    (True, 0.0)
    """
    import torch

    from brainenc.linalg import kernel_curves as kernels
    from brainenc.linalg.device import resolve_device
    from brainenc.linalg.similarity import squared_distances
    from brainenc.rsa.similarity._kernels import centred_columns

    one_of(loss, ("error", "mse"), "loss")
    sides, _, ids = aligned(named(X, "X"), {}, "kernel_analysis")
    (name, values), *more = sides.items()
    if more:
        raise InputError("kernel analysis takes one representation at a time", where="kernel_analysis", got=f"{len(sides)} of them")
    n = len(values)
    y, n_classes, chance = _targets(labels, loss, n, ids)
    dimensions = _n_dimensions(n_dimensions, n)
    lambdas = _penalties(penalties)
    where = resolve_device(device)
    squared = squared_distances(centred_columns(values, slice(None), where), slice(None))
    sigma = _bandwidths(squared, quantiles)
    target = torch.from_numpy(y).to(where)
    curves, loo = [], []
    for width in sigma:
        eigenvalues, vectors = kernels.spectrum(torch.exp(squared * (-0.5 / width**2)))
        fit = kernels.spectral_errors if loss == "error" else kernels.spectral_residuals
        curves.append(fit(vectors, target, dimensions).cpu().numpy())
        loo.append([_loss(kernels.loo_predictions(eigenvalues, vectors, target, penalty).cpu().numpy(), y, loss) for penalty in lambdas])
    return KernelAnalysis(
        np.arange(1, dimensions + 1), np.stack(curves), lambdas, np.array(loo), sigma, np.asarray(quantiles, dtype=np.float64), loss, chance, n,
        n_classes, name,
    )  # fmt: skip


def _targets(labels: Any, loss: str, n: int, ids: npt.NDArray[Any] | None) -> tuple[Floats, int, float]:
    """Return one-hot classes or numbers (n, c), the number of classes and the error without features."""
    if isinstance(labels, pd.Series | pd.DataFrame) and ids is not None and pd.api.types.is_string_dtype(labels.index):
        missing = [i for i in ids if i not in labels.index]
        if missing or not labels.index.is_unique:
            raise InputError("labels do not fit the stimuli", where="kernel_analysis", expected=f"one for each of {len(ids)}", got=f"{len(missing)} missing")
        labels = labels.loc[list(ids)]
    array = np.asarray(labels)
    if len(array) != n:
        raise InputError("labels and samples differ in number", where="kernel_analysis", expected=n, got=len(array))
    if loss == "mse":
        numbers = np.asarray(array, dtype=np.float64).reshape(n, -1) if array.dtype.kind in "fiub" else None
        if numbers is None or not np.isfinite(numbers).all():
            raise InputError("the mse needs finite numbers", where="kernel_analysis, labels", got=f"dtype {array.dtype}", fix='use loss="error" for classes')
        return numbers, 0, 1.0
    if array.ndim != 1 or pd.isna(array).any():
        raise InputError("classes are one label a sample, none of them missing", where="kernel_analysis, labels", got=f"shape {array.shape}")
    codes, classes = pd.factorize(array, sort=True)
    if len(classes) < 2:
        raise InputError("at least two classes are needed", where="kernel_analysis, labels", got=len(classes))
    return np.eye(len(classes))[codes], len(classes), float(1 - np.bincount(codes).max() / n)


def _bandwidths(squared: Any, quantiles: Sequence[float]) -> Floats:
    import torch

    rows, columns = torch.triu_indices(len(squared), len(squared), 1, device=squared.device)
    pairs = squared[rows, columns].cpu().numpy()
    wanted = np.asarray(quantiles, dtype=np.float64)
    if wanted.ndim != 1 or not len(wanted) or (wanted < 0).any() or (wanted > 1).any():
        raise InputError("quantiles are shares", where="kernel_analysis", expected="numbers from 0 to 1", got=quantiles)
    if not (pairs > 0).any():
        raise InputError("all rows are equal, so there is no bandwidth", where="kernel_analysis")
    return np.quantile(np.sqrt(pairs[pairs > 0]), wanted)


def _n_dimensions(wanted: int | None, n: int) -> int:
    if wanted is None:
        return n
    if isinstance(wanted, bool) or not 1 <= wanted <= n:
        raise InputError("n_dimensions is a count", where="kernel_analysis", expected=f"1 to {n}", got=repr(wanted))
    return int(wanted)


def _penalties(wanted: Sequence[float] | None) -> Floats:
    lambdas = np.logspace(3, -6, N_PENALTIES) if wanted is None else np.sort(np.asarray(wanted, dtype=np.float64))[::-1].copy()
    if lambdas.ndim != 1 or not len(lambdas) or not np.isfinite(lambdas).all() or lambdas.min() <= 0:
        raise InputError("penalties are positive numbers", where="kernel_analysis", got=wanted)
    return lambdas


def _loss(predicted: Floats, y: Floats, loss: str) -> float:
    if loss == "mse":
        return float(np.square(y - predicted).sum() / np.square(y).sum())
    return float((predicted.argmax(axis=1) != y.argmax(axis=1)).mean())
