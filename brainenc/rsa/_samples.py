"""Scores and noise ceilings of samples in which conditions and subjects come with multiplicities, one engine a family of comparators.

An engine is called with condition counts w (b, n) and a list of subject counts v (b, n_subjects), and returns the scores (b, n_subjects,
n_models) and, for each v, the similarity of every subject with the pool of the others and with the pool of all, (b, n_subjects) each.
w of one row serves any number of rows of v.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.errors import InputError
from brainenc.linalg.concordance import Concordance, concordance_of_ranks, dense_ranks
from brainenc.linalg.multiplicities import (
    PRODUCT_ROWS,
    Moments,
    pair_weights,
    pooled_ceilings,
    root,
    stacked_centred_products,
    stacked_products,
    whitened_products,
)
from brainenc.linalg.weighted_ranks import sorted_runs, weighted_midranks, weighted_midranks_of
from brainenc.rsa._forms import REGISTRY, Form, form_of, sigma_tensor

Tensor = torch.Tensor
Floats = npt.NDArray[np.float64]
Ceilings = tuple[Tensor, Tensor]
_ELEMENTS = 500_000


class Engine:
    """Callable as the module says; ``fixed_bytes`` and ``sample_bytes`` are what it holds at once, whatever b and for each sample.

    ``batch`` is the b beyond which nothing is gained on a CPU.
    """

    batch = 4

    def __init__(self, x: Tensor | Floats, y: Tensor | Floats, n_conditions: int, *, fixed: int, sample: int) -> None:
        self.n_subjects, self.n_models, self.n_conditions = len(x), len(y), n_conditions
        self.fixed_bytes, self.sample_bytes = 8 * fixed, 8 * sample

    def __call__(self, w: Tensor, vs: Sequence[Tensor]) -> tuple[Tensor, list[Ceilings]]:
        """Return scores and, for each v, ceilings."""
        raise NotImplementedError


def engine(method: str, x: Floats, y: Floats, *, keep: npt.NDArray[np.bool_], sigma_k: Any = None, device: torch.device, copies: bool) -> Engine:
    """Return the engine of a comparator for data x (n_subjects, n_pairs) and models y (n_models, n_pairs).

    Parameters
    ----------
    method : str
    x, y : ndarray
    keep : ndarray of bool, shape (n_pairs,)
        Pairs that all RDMs have.
    sigma_k : array_like, optional
        Noise covariance of the conditions.
    device : torch.device
    copies : bool
        Whether any condition will come more or less than once.

    Raises
    ------
    InputError
        Where the comparator has no meaning for copies of conditions or for missing pairs.
    """
    module, form = REGISTRY.get(method), form_of(method)
    n = round((1 + (1 + 8 * x.shape[1]) ** 0.5) / 2)
    rows, columns = (torch.from_numpy(index).to(device) for index in np.triu_indices(n, 1))
    place = torch.from_numpy(np.flatnonzero(keep)).to(device)
    first, second = (torch.from_numpy(v if keep.all() and v.flags.writeable else np.array(v[:, keep])).to(device) for v in (x, y))
    if sigma_k is not None and not getattr(module, "SIGMA_K", False):
        raise InputError("this comparator has no noise covariance", where="sigma_k", expected="a whitened method", got=repr(method))
    sigma = sigma_tensor(sigma_k, method, n)
    if form is not None and form.whitened:
        if sigma is not None and sigma.ndim == 2:
            sigma = _diagonal(sigma, copies)
        if sigma is None or sigma.ndim == 1:
            return _Whitened(form, first, second, (rows, columns, place), torch.from_numpy(keep).to(device), None if sigma is None else sigma.to(device))
    elif form is not None:
        return (_Ranked if form.ranked else _Linear)(form, first, second, (rows[place], columns[place]), n)
    if method in ("tau_a", "tau_b"):
        return _Concordant(module, first, second, (rows[place], columns[place]), n)
    return _Generic(module, method, x, y, keep=keep, sigma_k=sigma_k, copies=copies)


def _diagonal(sigma: Tensor, copies: bool) -> Tensor:
    diagonal = torch.diagonal(sigma)
    if torch.equal(sigma, torch.diag(diagonal)):
        return diagonal
    if copies:
        raise InputError(
            "copies of a condition have no noise covariance with one another", where="sigma_k", expected="variances (n_conditions,)", got="a full matrix",
            fix="pass its diagonal, or resample subjects only",
        )  # fmt: skip
    return sigma


class _Linear(Engine):
    """Cosine and Pearson: matrix products alone."""

    batch = 32

    def __init__(self, form: Form, x: Tensor, y: Tensor, pairs: tuple[Tensor, Tensor], n: int) -> None:
        super().__init__(x, y, n, fixed=4 * (x.numel() + y.numel()) + _rows(x, y) * x.shape[1], sample=4 * x.shape[1] + len(x) * (4 * len(x) + 2 * len(y)))
        self.form, self.pairs = form, pairs
        self.both = _unit(torch.cat([x, y]), form.centred)

    def __call__(self, w: Tensor, vs: Sequence[Tensor]) -> tuple[Tensor, list[Ceilings]]:
        multiply = stacked_centred_products if self.form.centred else stacked_products
        weights = pair_weights(w, *self.pairs)
        m = multiply(weights, self.both, self.n_subjects)
        m = m._replace(yy=_above_rounding(m.yy, weights))
        size = root(_above_rounding(m.own(), weights))
        return m.similarity(), [pooled_ceilings(m.xx / (size[:, :, None] * size[:, None, :]), v) for v in vs]


class _Whitened(Engine):
    """Whitened cosine and Pearson: products and one system of size n a sample, in closed form where no pair is missing."""

    batch = 32

    def __init__(self, form: Form, x: Tensor, y: Tensor, places: tuple[Tensor, Tensor, Tensor], keep: Tensor, variances: Tensor | None) -> None:
        rows, columns, place = places
        n, t = int(columns[-1]) + 1, len(x) + len(y) + 1
        sample = 4 * len(keep) + 5 * n * t + len(x) * (4 * len(x) + 2 * len(y)) + (0 if bool(keep.all()) else 2 * n * n)
        super().__init__(x, y, n, fixed=t * (4 * len(keep) + n * n) + _rows(x, y) * len(keep), sample=sample)
        self.form, self.pairs, self.keep, self.variances = form, (rows[place], columns[place]), keep, variances
        self.known_x, self.known_y = _unit(x, form.centred), _unit(y, form.centred)
        # the constant RDM takes part where means are taken away
        wide = torch.cat([self.known_x, torch.ones_like(x[: int(form.centred)]), self.known_y])
        full = torch.zeros((len(wide), len(keep)), dtype=x.dtype, device=x.device)
        full[:, place] = wide
        self.x, self.y = full[: len(wide) - len(y)], full[len(wide) - len(y) :]

    def __call__(self, w: Tensor, vs: Sequence[Tensor]) -> tuple[Tensor, list[Ceilings]]:
        m = whitened_products(w, self.x, self.y, variances=self.variances, keep=self.keep)
        weights = pair_weights(w, *self.pairs)
        square = weights @ (self.known_x * self.known_x).T
        if self.form.centred:
            n_pairs = weights.sum(dim=1, keepdim=True).clamp_min(1.0)
            mean_x, mean_y = weights @ self.known_x.T / n_pairs, weights @ self.known_y.T / n_pairs
            square = square - n_pairs * mean_x * mean_x
            m = _less_means(m, mean_x, mean_y)
        # pools are means of vectors of unit size in the plain metric
        size = root(_above_rounding(square, weights))
        scores = m._replace(yy=_above_rounding(m.yy, weights)).similarity()
        return scores, [pooled_ceilings(m.xx / (size[:, :, None] * size[:, None, :]), v) for v in vs]


def _less_means(m: Moments, mean_x: Tensor, mean_y: Tensor) -> Moments:
    """Return the products of x − mean and y − mean, with the constant RDM as the last x: ⟨x, y⟩ − m_x⟨1, y⟩ − m_y⟨x, 1⟩ + m_x m_y ⟨1, 1⟩."""
    cross_x, cross_y, one = m.xx[:, :-1, -1], m.xy[:, -1], m.xx[:, -1:, -1]

    def less(product: Tensor, first: Tensor, cross: Tensor, mean: Tensor) -> Tensor:
        both = mean_x[:, :, None] * cross[:, None, :] + first[:, :, None] * mean[:, None, :]
        return product - both + one[:, :, None] * mean_x[:, :, None] * mean[:, None, :]

    yy = m.yy - 2 * mean_y * cross_y + one * mean_y * mean_y
    return Moments(less(m.xx[:, :-1, :-1], cross_x, cross_x, mean_x), less(m.xy[:, :-1], cross_x, cross_y, mean_y), yy)


class _Ranked(Engine):
    """Spearman and rho-a: every RDM is sorted once; the pools of the ceilings are ranked in every sample, as they are in the whole."""

    def __init__(self, form: Form, x: Tensor, y: Tensor, pairs: tuple[Tensor, Tensor], n: int) -> None:
        # one sample at a time: sorted places, and the ranks and pools of one
        super().__init__(x, y, n, fixed=9 * x.numel() + 6 * y.numel(), sample=x.shape[1])
        self.form, self.pairs = form, pairs
        self.x, self.y = sorted_runs(x), sorted_runs(y)

    def __call__(self, w: Tensor, vs: Sequence[Tensor]) -> tuple[Tensor, list[Ceilings]]:
        weights = pair_weights(w, *self.pairs)
        scores: list[Tensor] = []
        ceilings: list[list[Ceilings]] = [[] for _ in vs]
        for one, row in enumerate(weights):
            middle = (row.sum() + 1) / 2
            x, y = weighted_midranks(self.x, row).sub_(middle), weighted_midranks(self.y, row).sub_(middle)
            heavy = x * row
            own, scale = (heavy * x).sum(dim=1), self._scale(row)
            scores.append(self._ratio(heavy @ y.T, own[:, None], (y * y) @ row, scale))
            for each, v in zip(ceilings, vs, strict=True):
                each += [self._ceiling(x, row, own, scale, counts) for counts in (v if len(w) == 1 else v[one : one + 1])]
        return torch.stack(scores), [(torch.stack([c[0] for c in each]), torch.stack([c[1] for c in each])) for each in ceilings]

    def _ceiling(self, x: Tensor, row: Tensor, own: Tensor, scale: Tensor, counts: Tensor) -> Ceilings:
        drawn, here = torch.nonzero(counts).flatten(), torch.nonzero(row).flatten()
        part, weights = x.index_select(1, here), row[here]
        pool = counts @ part
        # halves of integers: sums are exact, and so are ties
        pools = torch.cat([pool[None], pool - counts[drawn, None] * part[drawn]])
        ranks = weighted_midranks_of(pools, weights) - (weights.sum() + 1) / 2
        heavy, size = ranks * weights, (ranks * ranks) @ weights
        lower = torch.full_like(own, float("nan"))
        if len(drawn) > 1:
            lower[drawn] = self._ratio((heavy[1:] * part[drawn]).sum(dim=1), own[drawn], size[1:], scale)
        return lower, self._ratio(part @ heavy[0], own, size[0], scale)

    def _scale(self, row: Tensor) -> Tensor:
        total = row.sum()
        return (total**3 - total) / 12

    def _ratio(self, product: Tensor, first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
        return product / (scale if self.form.fixed else root(first) * root(second))


class _Concordant(Engine):
    """Kendall's tau: counted anew in every sample, over the pairs that it holds."""

    def __init__(self, module: ModuleType | Any, x: Tensor, y: Tensor, pairs: tuple[Tensor, Tensor], n: int) -> None:
        super().__init__(x, y, n, fixed=12 * _ELEMENTS + 6 * x.numel(), sample=x.shape[1])
        self.module, self.pairs, self.x, self.y = module, pairs, x, y
        self.runs = sorted_runs(x)

    def __call__(self, w: Tensor, vs: Sequence[Tensor]) -> tuple[Tensor, list[Ceilings]]:
        scores: list[Tensor] = []
        ceilings: list[list[Ceilings]] = [[] for _ in vs]
        for one, row in enumerate(pair_weights(w, *self.pairs)):
            here = torch.nonzero(row).flatten()
            x, y, weights = self.x[:, here], self.y[:, here], row[here]
            scores.append(self._all(x, y, weights))
            ranks = weighted_midranks(self.runs, row)[:, here] if vs else x
            for each, v in zip(ceilings, vs, strict=True):
                each += [self._ceiling(x, ranks, weights, counts) for counts in (v if len(w) == 1 else v[one : one + 1])]
        return torch.stack(scores), [(torch.stack([c[0] for c in each]), torch.stack([c[1] for c in each])) for each in ceilings]

    def _ceiling(self, x: Tensor, ranks: Tensor, weights: Tensor, counts: Tensor) -> Ceilings:
        pool = counts @ ranks
        others = self._tau(pool - counts[:, None] * ranks, x, weights)
        alone = (counts > 0).sum() < 2
        return torch.full_like(others, float("nan")) if bool(alone) else others, self._tau(pool.expand_as(x), x, weights)

    def _all(self, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        left, right = torch.meshgrid(torch.arange(len(x)), torch.arange(len(y)), indexing="ij")
        step = max(1, _ELEMENTS // x.shape[1])
        x, y = dense_ranks(x), dense_ranks(y)
        parts = [self._counted(x[i], y[j], weights) for i, j in zip(left.reshape(-1).split(step), right.reshape(-1).split(step), strict=True)]
        return torch.cat(parts).reshape(len(x), len(y))

    def _tau(self, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        return self._counted(dense_ranks(x), dense_ranks(y), weights)

    def _counted(self, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        counts = concordance_of_ranks(x, y, weights)
        return torch.from_numpy(self.module.from_counts(Concordance(*(part.cpu() for part in counts)))).to(x.device)


class _Generic(Engine):
    """Any other comparator: every sample is written out and compared."""

    def __init__(
        self, module: ModuleType | Any, method: str, x: Floats, y: Floats, *, keep: npt.NDArray[np.bool_], sigma_k: Any, copies: bool
    ) -> None:  # fmt: skip
        n = round((1 + (1 + 8 * x.shape[1]) ** 0.5) / 2)
        super().__init__(x, y, n, fixed=6 * (x.size + y.size) + 4 * n * n * (len(x) + len(y)), sample=n)
        missing = getattr(module, "MISSING", "none")
        if not keep.all() and missing == "none":
            raise InputError("this comparator needs every pair of conditions", where=method, got=f"{int((~keep).sum())} missing pairs")
        self.by_copies = getattr(module, "compare_copies", None)
        if copies and missing != "pairs" and self.by_copies is None:
            raise InputError(
                "this comparator has no meaning for samples that hold a condition twice", where=method, fix="resample subjects only: conditions=False",
            )  # fmt: skip
        self.module, self.sigma_k = module, sigma_k
        self.x, self.y = np.where(keep, x, np.nan), np.where(keep, y, np.nan)
        self.pairs = [index[keep] for index in np.triu_indices(n, 1)]
        self.place, self.expand = np.flatnonzero(keep), missing == "pairs"

    def __call__(self, w: Tensor, vs: Sequence[Tensor]) -> tuple[Tensor, list[Ceilings]]:
        scores: list[Floats] = []
        ceilings: list[list[tuple[Floats, Floats]]] = [[] for _ in vs]
        for one, counts in enumerate(w.cpu().numpy()):
            index = np.arange(self.x.shape[1])
            if self.expand:
                index = np.repeat(self.place, np.rint(counts[self.pairs[0]] * counts[self.pairs[1]]).astype(np.intp))
            x, y = np.ascontiguousarray(self.x[:, index]), np.ascontiguousarray(self.y[:, index])
            scores.append(self._compare(x, y, counts))
            for each, v in zip(ceilings, vs, strict=True):
                rows = v if len(w) == 1 else v[one : one + 1]
                each += [self._ceiling(x, counts, np.rint(r).astype(np.intp)) for r in rows.cpu().numpy()]
        tensor = lambda rows: torch.from_numpy(np.stack(rows)).to(w.device)  # noqa: E731
        return tensor(scores), [(tensor([c[0] for c in each]), tensor([c[1] for c in each])) for each in ceilings]

    def _compare(self, x: Floats, y: Floats, w: Floats) -> Floats:
        if self.by_copies is not None and not self.expand:
            return self.by_copies(x, y, w)
        # the model is what a comparator that is not symmetric takes first
        return self.module.compare(y, x, sigma_k=self.sigma_k).T

    def _ceiling(self, x: Floats, w: Floats, counts: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
        lower = np.full(len(x), np.nan)
        drawn = np.flatnonzero(counts)
        for s in drawn if len(drawn) > 1 else []:
            rest = np.where(np.arange(len(x)) == s, 0, counts)
            lower[s] = self._compare(x[s : s + 1], self.module.pool(np.repeat(x, rest, axis=0))[None], w)[0, 0]
        return lower, self._compare(x, self.module.pool(np.repeat(x, counts, axis=0))[None], w)[:, 0]


def _rows(x: Tensor, y: Tensor) -> int:
    """Return how many products of pairs of RDMs are held at once."""
    return max(PRODUCT_ROWS, len(x) + len(y))


def _unit(values: Tensor, centred: bool) -> Tensor:
    """Return RDMs of unit root mean square (about their mean where that is taken away anyway), so that no sum loses digits."""
    values = values - values.mean(dim=1, keepdim=True) if centred else values.clone()
    size = torch.linalg.vector_norm(values, dim=1, keepdim=True) / values.shape[1] ** 0.5
    return values.div_(torch.where(size > 0, size, torch.ones_like(size)))


def _above_rounding(squares: Tensor, weights: Tensor) -> Tensor:
    """Return squares (b, t) of RDMs of unit size, 0 where they are rounding: a model that is constant in a sample has no direction."""
    return torch.where(squares > 1e-12 * weights.sum(dim=1, keepdim=True), squares, torch.zeros_like(squares))
