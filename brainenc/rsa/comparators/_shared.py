"""What several comparators do alike: inner products, pools, counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.errors import InputError
from brainenc.linalg.concordance import Concordance, concordance_of_ranks, dense_ranks
from brainenc.linalg.multiplicities import whitened_products
from brainenc.linalg.ranks import midranks, n_of_pairs
from brainenc.linalg.second_moments import whiten_known_pairs
from brainenc.rsa._forms import FORMS, dual, norms, positive_root, prepared, sigma_tensor

Floats = npt.NDArray[np.float64]
_ELEMENTS = 2_000_000


def by_form(method: str, a: Floats, b: Floats, sigma_k: object = None) -> Floats:
    """Return x'Wy / (|x||y|) of all pairs of RDMs, for a comparator that is such a form."""
    form = FORMS[method]
    first, second = torch.from_numpy(a), torch.from_numpy(b)
    if form.whitened and np.isnan(a).any():
        return _whitened_known(first, second, method, sigma_k)
    sigma = sigma_tensor(sigma_k, method, n_of_pairs(a.shape[1])) if form.whitened or sigma_k is not None else None
    x, y = prepared(first, form), prepared(second, form)
    return (x @ dual(y, form, sigma).T / (norms(x, form, sigma)[:, None] * norms(y, form, sigma))).numpy()


def _whitened_known(first: torch.Tensor, second: torch.Tensor, method: str, sigma_k: object) -> Floats:
    """The same where NaN marks missing pairs: V⁻¹ is the inverse of the block of V that is known."""
    keep = ~torch.isnan(first[0])
    n = n_of_pairs(first.shape[1])
    sigma = sigma_tensor(sigma_k, method, n)
    x, y = torch.zeros_like(first), torch.zeros_like(second)
    x[:, keep], y[:, keep] = prepared(first[:, keep], FORMS[method]), prepared(second[:, keep], FORMS[method])
    if sigma is None or sigma.ndim == 1:
        m = whitened_products(torch.ones(1, n, dtype=x.dtype), x, y, variances=sigma, keep=keep)
        own, xy, yy = m.own()[0] / 2, m.xy[0] / 2, m.yy[0] / 2
    else:
        white_x, white_y = whiten_known_pairs(x, keep, sigma), whiten_known_pairs(y, keep, sigma)
        own, xy, yy = (x * white_x).sum(dim=1), x @ white_y.T, (y * white_y).sum(dim=1)
    return (xy / (positive_root(own, (x * x).sum(dim=1))[:, None] * positive_root(yy, (y * y).sum(dim=1)))).numpy()


def refuse_sigma(sigma_k: object, name: str) -> None:
    """Refuse a noise covariance where the comparator has no use for it."""
    if sigma_k is not None:
        raise InputError("this comparator has no noise covariance", where="sigma_k", expected="a whitened method", got=repr(name))


def concordances(a: Floats, b: Floats) -> Concordance:
    """Return Kendall's counts of all pairs of RDMs, each (n_a, n_b), a bounded number of values at a time."""
    first, second = dense_ranks(torch.from_numpy(a)), dense_ranks(torch.from_numpy(b))
    left, right = torch.meshgrid(torch.arange(len(a)), torch.arange(len(b)), indexing="ij")
    step = max(1, _ELEMENTS // max(a.shape[1], 1))
    once = torch.ones(a.shape[1], dtype=torch.float64)
    parts = [concordance_of_ranks(first[i], second[j], once) for i, j in zip(left.reshape(-1).split(step), right.reshape(-1).split(step), strict=True)]
    return Concordance(*(torch.cat(column).reshape(len(a), len(b)) for column in zip(*parts, strict=True)))


def pool_unit(x: Floats) -> Floats:
    """Return the mean of RDMs divided by their root mean square."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return _mean(x / np.sqrt(_over_pairs(x * x)))


def pool_standard(x: Floats) -> Floats:
    """Return the mean of z-scored RDMs, shifted so that the least dissimilarity is 0."""
    centred = x - _over_pairs(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _mean(centred / np.sqrt(_over_pairs(centred * centred)))
    return mean - (np.nanmin(mean) if np.isfinite(mean).any() else 0.0)


def pool_ranks(x: Floats) -> Floats:
    """Return the mean of mid-ranks."""
    ranks = np.full(x.shape, np.nan)
    for row, values in enumerate(x):
        known = ~np.isnan(values)
        ranks[row, known] = midranks(torch.from_numpy(values[known])).numpy()
    return _mean(ranks)


def pool_plain(x: Floats) -> Floats:
    """Return the mean RDM."""
    return _mean(x)


def _over_pairs(x: Floats) -> Floats:
    known = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        return np.where(known, x, 0.0).sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)


def _mean(x: Floats) -> Floats:
    """Mean over RDMs of each pair, over those that have it; NaN where none has."""
    known = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        return np.where(known, x, 0.0).sum(axis=0) / known.sum(axis=0)
