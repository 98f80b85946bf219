"""Models with parameters: one of several RDMs, a weighted sum, a mix of neighbours, a subset. All fits are closed forms on Grams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import examples
from brainenc.core.errors import InputError
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._forms import FORMS, Form, form_of, sigma_tensor
from brainenc.rsa._grams import grams
from brainenc.rsa._inputs import aligned, check_complete, named

Floats = npt.NDArray[np.float64]
MAX_FAMILY = 12


@dataclass(frozen=True, slots=True, eq=False)
class Flexible:
    """A model whose RDM is θ₁x₁ + … + θₖxₖ, with θ fitted to training data; the base of the kinds below.

    Parameters
    ----------
    rdms : RDMs
        Components x (n_components, n_pairs), without missing pairs.
    """

    rdms: RDMs

    def __post_init__(self) -> None:
        if not isinstance(self.rdms, RDMs):
            raise InputError("components are RDMs", where=type(self).__name__, got=type(self.rdms).__name__)
        check_complete(np.asarray(self.rdms.values), "a component", type(self).__name__, "give complete model RDMs")

    @property
    def names(self) -> list[str]:
        """Names of the components, with the layer where there is one."""
        return component_names(self.rdms)

    def components(self, ids: npt.ArrayLike) -> Floats:
        """Return the RDMs (n_components, n_pairs) that θ weighs, over the conditions in the order of ``ids``."""
        return aligned(self.rdms, ids, type(self).__name__)

    def solve(self, gram: Floats, target: Floats) -> Floats:
        """Return θ (n_components,) with the largest target'θ / √(θ'Gθ) that the kind allows.

        Parameters
        ----------
        gram : ndarray of shape (k, k)
            x_i'W x_j over the training pairs.
        target : ndarray of shape (k,)
            x_i'W ȳ, with ȳ the mean of the training RDMs, each of norm one.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.rdms.n_rdms} × {self.rdms.n_conditions} conditions)"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Fixed(Flexible):
    """One RDM without parameters.

    Examples
    --------
    >>> Fixed(RDMs([[1.0, 2.0, 3.0]], {"condition": list("abc")}))
    Fixed(1 × 3 conditions)
    """

    def __post_init__(self) -> None:
        Flexible.__post_init__(self)
        if self.rdms.n_rdms != 1:
            raise InputError("a fixed model is one RDM", where="Fixed", got=f"{self.rdms.n_rdms} RDMs", fix="use Select, Weighted or Family")

    def solve(self, gram: Floats, target: Floats) -> Floats:
        """Return [1]."""
        return np.ones(1)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Select(Flexible):
    """The one of several RDMs (layers, say) that fits the training data best."""

    def solve(self, gram: Floats, target: Floats) -> Floats:
        """Return 1 for the component with the largest similarity and 0 for the others."""
        theta = np.zeros(len(target))
        theta[int(np.argmax(_ratio(target, np.diag(gram))))] = 1.0
        return theta


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Weighted(Flexible):
    """A weighted sum of RDMs: generalised least squares, or its non-negative form.

    For cosine and Pearson similarities, whitened or not, the direction that is nearest to the mean of the unit training RDMs is that of
    θ = (G + ridge)⁻¹ F W ȳ, with components of norm one; non-negative weights are the NNLS solution of the same normal equations. Where no
    component is positively related to the data the best non-negative model is the least bad component.

    Parameters
    ----------
    rdms : RDMs
    nonneg : bool
        Weights of at least zero: a sum of dissimilarities that each add to the model.
    ridge : float
        Added to the diagonal of G for components of norm one.
    intercept : bool
        Add a constant of either sign. It has no effect on comparators that take means away.
    """

    nonneg: bool = True
    ridge: float = 0.0
    intercept: bool = False

    def __post_init__(self) -> None:
        Flexible.__post_init__(self)
        if not (np.isfinite(self.ridge) and self.ridge >= 0):
            raise InputError("ridge is a non-negative number", where="Weighted", got=self.ridge)

    @property
    def names(self) -> list[str]:
        """Names of the components, the intercept last."""
        return [*component_names(self.rdms), *(["intercept"] if self.intercept else [])]

    def components(self, ids: npt.ArrayLike) -> Floats:
        """Return the RDMs, and a row of ones for the intercept."""
        own = Flexible.components(self, ids)
        return np.concatenate([own, np.ones((1, own.shape[1]))]) if self.intercept else own

    def solve(self, gram: Floats, target: Floats) -> Floats:
        """Return the weights; see the class."""
        scale = _unit(np.diag(gram))
        matrix = scale[:, None] * gram * scale
        k = len(target) - self.intercept
        matrix[np.arange(k), np.arange(k)] += self.ridge * (scale[:k] > 0)
        if not self.nonneg:
            return scale * (np.linalg.pinv(matrix, rcond=1e-10, hermitian=True) @ (scale * target))
        if not self.intercept:
            theta = scale * _nnls(matrix, scale * target)
            return theta if theta.any() else _least_bad(target, gram)
        # an intercept of either sign is the difference of two non-negative ones
        signs, index = np.r_[np.ones(k + 1), -1.0], np.r_[np.arange(k + 1), k]
        theta = _nnls(signs[:, None] * matrix[np.ix_(index, index)] * signs, signs * (scale * target)[index])
        out = np.zeros(len(target))
        np.add.at(out, index, signs * theta)
        return scale * out if out.any() else _least_bad(target, gram)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Interpolate(Flexible):
    """A convex mix of two RDMs that stand next to each other (layers in order): the best of all such mixes.

    For scale-free comparators a mix of two is the non-negative fit of two components, so that no search is needed.
    """

    def solve(self, gram: Floats, target: Floats) -> Floats:
        """Return θ that sums to one, non-zero for at most two neighbours."""
        k = len(target)
        best = _least_bad(target, gram)
        for i in range(k - 1):
            pair = slice(i, i + 2)
            scale = _unit(np.diag(gram)[pair])
            theta = np.zeros(k)
            theta[pair] = scale * _nnls(scale[:, None] * gram[pair, pair] * scale, scale * target[pair])
            if theta.any() and _score(theta, gram, target) > _score(best, gram, target):
                best = theta
        return best / best.sum()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Family(Flexible):
    """The subset of RDMs whose mean fits the training data best, of all 2^k − 1; each RDM is scaled to a root mean square of one first.

    A subset has no further weights, so that larger ones are no better by construction.
    """

    def __post_init__(self) -> None:
        Flexible.__post_init__(self)
        if self.rdms.n_rdms > MAX_FAMILY:
            raise InputError("too many subsets", where="Family", expected=f"at most {MAX_FAMILY} RDMs", got=self.rdms.n_rdms)

    def components(self, ids: npt.ArrayLike) -> Floats:
        """Return the scaled RDMs."""
        own = Flexible.components(self, ids)
        size = np.sqrt((own**2).mean(axis=1, keepdims=True))
        return own / np.where(size > 0, size, 1.0)

    def solve(self, gram: Floats, target: Floats) -> Floats:
        """Return 1 / size for the components of the best subset and 0 for the others."""
        subsets = (np.arange(1, 2 ** len(target))[:, None] >> np.arange(len(target))) & 1
        size = np.einsum("si,ij,sj->s", subsets, gram, subsets, optimize=True)
        best = subsets[int(np.argmax(_ratio(subsets @ target, size)))]
        return best / best.sum()

    def members(self) -> RDMs:
        """Return the RDMs of all subsets as fixed models, named ``a + b``, small subsets first."""
        values, names = self.components(self.rdms.ids), self.names
        subsets = [one for size in range(1, len(names) + 1) for one in combinations(range(len(names)), size)]
        rows = np.stack([values[list(one)].mean(axis=0) for one in subsets])
        table = pd.DataFrame({"model": [" + ".join(names[i] for i in one) for one in subsets]})
        return RDMs(rows, self.rdms.conditions, table, metric=self.rdms.metric)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A flexible model with its parameters.

    Parameters
    ----------
    theta : ndarray of shape (n_components,)
    rdm : RDMs
        The one RDM that it predicts.
    weights : DataFrame
        One row a component: component, weight, share (of the norm that the component alone has in the model).
    method : str
        The comparator it was fitted for.
    """

    theta: Floats
    rdm: RDMs
    weights: pd.DataFrame
    method: str


def fit_model(
    model: Flexible, data: RDMs, *, method: str = "pearson", condition_weights: npt.ArrayLike | None = None, sigma_k: npt.ArrayLike | None = None
) -> Fitted:
    """Fit a flexible model to the mean of data RDMs, on conditions with weights.

    Parameters
    ----------
    model : Flexible
    data : RDMs
        Without missing pairs.
    method : str
        See `fitting_form` for comparators that are no inner product.
    condition_weights : array_like of shape (n_conditions,), optional
        Multiplicities: 0 leaves a condition out of the fit.
    sigma_k : array_like, optional
        Noise covariance of the conditions, for whitened methods.

    Returns
    -------
    Fitted

    Examples
    --------
    >>> import numpy as np
    >>> x = RDMs(np.random.default_rng(0).random((2, 45)), {"condition": list("abcdefghij")}, {"model": ["a", "b"]})
    >>> data = RDMs(2 * x.values[:1] + x.values[1:], x.conditions)
    >>> fit_model(Weighted(x), data).weights["weight"].round(6).tolist()
    [0.666667, 0.333333]
    """
    check_complete(np.asarray(data.values), "the data", "fit_model", "leave out the pairs or the RDMs first")
    form, ranked = fitting_form(method)
    x = model.components(data.ids)
    w = np.ones(data.n_conditions) if condition_weights is None else np.asarray(condition_weights, dtype=np.float64)
    if w.shape != (data.n_conditions,) or (w < 0).any():
        raise InputError("one weight of at least 0 a condition is needed", where="fit_model", expected=f"({data.n_conditions},)", got=w.shape)
    y = torch.from_numpy(np.array(data.values, dtype=np.float64))
    y = ranked_within(y, torch.from_numpy(w)) if ranked else y
    gram = grams(torch.cat([torch.from_numpy(x), y]), torch.from_numpy(w)[None], form, sigma_k=sigma_tensor(sigma_k, method, data.n_conditions))[0].numpy()
    theta = model.solve(gram[: len(x), : len(x)], training_targets(gram, len(x), np.ones((1, len(y))))[0])
    theta = theta / theta.sum() if theta.sum() > 0 else theta / max(float(np.abs(theta).sum()), 1e-300)
    share = np.abs(theta) * np.sqrt(np.diag(gram)[: len(x)].clip(0)) / np.sqrt(max(theta @ gram[: len(x), : len(x)] @ theta, 1e-300))
    weights = pd.DataFrame({"component": model.names, "weight": theta, "share": share})
    predicted = RDMs((theta @ x)[None], data.conditions, {"model": [type(model).__name__]}, metric=model.rdms.metric)
    return Fitted(theta, predicted, weights, method)


def fitting_form(method: str) -> tuple[Form, bool]:
    """Return the inner product in which a model is fitted, and whether the data are ranked over the training pairs first.

    Cosine and Pearson forms are fitted in themselves. Rank comparators (Spearman, rho-a, tau) are fitted by Pearson to the ranks of each data
    RDM within the training pairs, with the components as they are: least squares finds the direction of a linear index under a
    monotone link (Brillinger 1982, from memory; for the RDMs at hand it is our choice). Bures and Riemannian forms are fitted by
    the whitened cosine, which compares the same Gram matrices.
    """
    if method in ("spearman", "rho_a", "tau_a", "tau_b"):
        return FORMS["pearson"], True
    form = form_of(method)
    return (FORMS["whitened_cosine_similarity"] if form is None else form), False


def ranked_within(values: torch.Tensor, w: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
    """Return mid-ranks (t, n_pairs) over the pairs of conditions with multiplicities w (n,), 0 for pairs that are not among them."""
    from brainenc.linalg.weighted_ranks import weighted_midranks_of

    rows, columns = torch.triu_indices(len(w), len(w), 1)
    pairs = w[rows] * w[columns]
    pairs = pairs if keep is None else pairs * keep
    inside = torch.nonzero(pairs > 0)[:, 0]
    out = torch.zeros_like(values)
    out[:, inside] = weighted_midranks_of(values[:, inside].contiguous(), pairs[inside])
    return out


def training_targets(gram: Floats, k: int, v: Floats) -> Floats:
    """Return the products (n, k) of k components with mean unit RDMs of subjects of multiplicities v (n, s), from their Gram (k + s, k + s)."""
    size = np.diag(gram)[k:]
    unit = np.where(size > 0, 1 / np.sqrt(np.where(size > 0, size, 1.0)), 0.0)
    return (v * unit) @ gram[k:, :k] / np.maximum(v.sum(axis=1, keepdims=True), 1e-300)


def component_names(rdms: RDMs) -> list[str]:
    """Return the names of the RDMs, with their layer where names alone do not tell them apart."""
    table = named(rdms.rdms)
    if table["model"].is_unique or "layer" not in table:
        return list(table["model"])
    return list(table["model"] + "/" + table["layer"].astype(str))


def flexible_models(models: Any, where: str) -> list[tuple[dict[str, Any], Flexible]]:
    """Return a row of the table of models and the model, of each: RDMs give one fixed model a row, mappings may hold flexible ones."""
    entries = models.items() if isinstance(models, Mapping) else [(None, models)]
    out: list[tuple[dict[str, Any], Flexible]] = []
    for name, model in entries:
        if isinstance(model, Flexible):
            out.append(({"model": str(name)}, model))
        elif isinstance(model, RDMs):
            table = named(model.rdms)
            if name is not None:
                table["model"] = str(name)
            table = table if name is None or model.n_rdms > 1 else table[["model"]]
            out += [(dict(table.iloc[i]), Fixed(model.take([i]))) for i in range(model.n_rdms)]
        else:
            place = where if name is None else f"model {name!r}"
            raise InputError("not a model", where=place, expected="RDMs, or Select, Weighted, Interpolate, Family, Fixed", got=type(model).__name__)
    if not out:
        raise InputError("no models", where=where, expected="RDMs, or a mapping of names to models")
    rows = pd.DataFrame([row for row, _ in out])
    if rows.duplicated().any():
        raise InputError("models cannot be told apart", where=where, got=examples(rows["model"][rows.duplicated()]),
                         fix="give the RDMs of one model a column like layer, or a name each")  # fmt: skip
    return out


def _unit(squared: Floats) -> Floats:
    """Return 1 / √squared, and 0 for components that vanish (constants, where means are taken away)."""
    return np.where(squared > 0, 1.0 / np.sqrt(np.where(squared > 0, squared, 1.0)), 0.0)


def _ratio(product: Floats, squared: Floats) -> Floats:
    """Return product / √squared, −∞ where the norm vanishes."""
    scale = _unit(squared)
    return np.where(scale > 0, product * scale, -np.inf)


def _score(theta: Floats, gram: Floats, target: Floats) -> float:
    return float(target @ theta / np.sqrt(max(float(theta @ gram @ theta), 1e-300)))


def _least_bad(target: Floats, gram: Floats) -> Floats:
    theta = np.zeros(len(target))
    theta[int(np.argmax(_ratio(target, np.diag(gram))))] = 1.0
    return theta


def _nnls(matrix: Floats, target: Floats) -> Floats:
    """Return the non-negative θ with the least ½θ'Aθ − b'θ, of a positive semidefinite A."""
    from scipy.optimize import nnls

    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    keep = values > 1e-10 * max(float(values.max()), 1e-300)
    root = np.sqrt(values[keep])
    return np.asarray(nnls(root[:, None] * vectors[:, keep].T, (vectors[:, keep].T @ target) / root)[0])
