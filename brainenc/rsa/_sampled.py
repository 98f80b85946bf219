"""Comparisons and pools of RDMs over the pairs of one sample of conditions, for every comparator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.errors import InputError
from brainenc.linalg.concordance import Concordance, concordance
from brainenc.linalg.multiplicities import centred_products, root
from brainenc.linalg.weighted_ranks import weighted_midranks_of
from brainenc.rsa._forms import FORMS, REGISTRY, Form
from brainenc.rsa._grams import grams

Floats = npt.NDArray[np.float64]
Tensor = torch.Tensor


def compare_sample(method: str, a: Tensor, b: Tensor, w: Tensor, *, keep: Tensor | None = None, sigma_k: Tensor | None = None) -> Floats:
    """Return the comparison (n_a, n_b) of RDMs over the conditions of one sample.

    Parameters
    ----------
    method : str
    a, b : Tensor of shapes (n_a, n_pairs), (n_b, n_pairs)
    w : Tensor of shape (n_conditions,)
        Multiplicities; 0 leaves a condition out, and copies of one condition make no pair.
    keep : Tensor of bool, shape (n_pairs,), optional
        Pairs that are there.
    sigma_k : Tensor, optional
        Noise covariance of the conditions.
    """
    form = FORMS.get(method)
    if form is None:
        return _by_comparator(method, a, b, w, keep, sigma_k)
    if form.ranked:
        return _by_ranks(a, b, w, keep, form)
    gram = grams(torch.cat([a, b]), w[None], form, sigma_k=sigma_k, keep=keep)[0]
    size = root(torch.diagonal(gram))
    return (gram[: len(a), len(a) :] / (size[: len(a), None] * size[None, len(a) :])).numpy()


def pool_sample(method: str, data: Tensor, v: Floats, w: Tensor, *, keep: Tensor | None = None) -> Tensor:
    """Return pooled RDMs (n_pools, n_pairs) for a noise ceiling: Σ_t v_t z_t / Σ v_t, z scaled over the pairs of the sample.

    Parameters
    ----------
    method : str
        Cosines pool RDMs of root mean square one, Pearson forms z-scored ones, rank comparators mid-ranks, others as they say.
    data : Tensor of shape (s, n_pairs)
    v : ndarray of shape (n_pools, s)
        Multiplicities of the subjects in each pool; a pool of nobody is NaN.
    w, keep
        As in `compare_sample`.
    """
    counts = torch.from_numpy(np.ascontiguousarray(v))
    total = counts.sum(dim=1, keepdim=True)
    total = torch.where(total > 0, total, torch.full_like(total, torch.nan))
    pairs, inside = _inside(w, keep)
    out = torch.zeros((len(v), data.shape[1]), dtype=data.dtype)
    x, weight = data[:, inside], pairs[inside]
    form = FORMS.get(method)
    if method in ("tau_a", "tau_b") or (form is not None and form.ranked):
        # sums of ranks are exact, so that ties stay ties
        out[:, inside] = counts @ weighted_midranks_of(x.contiguous(), weight) / total
    elif form is not None:
        x = x - (x @ weight / weight.sum())[:, None] if form.centred else x
        out[:, inside] = counts @ (x / root((x * x) @ weight)[:, None]) / total
    else:
        pool = REGISTRY.get(method).pool
        for row, one in enumerate(v):
            copies = np.repeat(np.arange(len(data)), one.astype(int))
            out[row, inside] = torch.from_numpy(pool(x.numpy()[copies])) if len(copies) else torch.nan
    return out


def _inside(w: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the weight of every pair (n_pairs,) and the positions of those with some."""
    rows, columns = torch.triu_indices(len(w), len(w), 1)
    pairs = w[rows] * w[columns]
    pairs = pairs if keep is None else pairs * keep
    return pairs, torch.nonzero(pairs > 0)[:, 0]


def _by_ranks(a: Tensor, b: Tensor, w: Tensor, keep: Tensor | None, form: Form) -> Floats:
    pairs, inside = _inside(w, keep)
    weight = pairs[inside]
    ranks = weighted_midranks_of(torch.cat([a, b])[:, inside].contiguous(), weight)
    m = centred_products(weight[None], ranks[: len(a)], ranks[len(a) :])
    if form.fixed:
        total = weight.sum()
        return (12 * m.xy[0] / (total**3 - total)).numpy()
    return m.similarity()[0].numpy()


def _by_comparator(method: str, a: Tensor, b: Tensor, w: Tensor, keep: Tensor | None, sigma_k: Tensor | None) -> Floats:
    module = REGISTRY.get(method)
    pairs, inside = _inside(w, keep)
    if hasattr(module, "from_counts"):
        left, right = torch.meshgrid(torch.arange(len(a)), torch.arange(len(b)), indexing="ij")
        counts = concordance(a[:, inside][left.reshape(-1)], b[:, inside][right.reshape(-1)], pairs[inside])
        return module.from_counts(Concordance(*(one.reshape(len(a), len(b)) for one in counts)))
    if keep is not None and not bool(keep.all()):
        raise InputError("this comparator needs every pair of conditions", where=method, got=f"{int((~keep).sum())} missing pairs")
    present = w > 0
    rows, columns = torch.triu_indices(len(w), len(w), 1)
    whole = present[rows] & present[columns]
    x, y = a[:, whole].contiguous().numpy(), b[:, whole].contiguous().numpy()
    if bool((w[present] == 1).all()):
        sigma = None if sigma_k is None else (sigma_k[present] if sigma_k.ndim == 1 else sigma_k[present][:, present]).numpy()
        return module.compare(x, y, sigma_k=sigma)
    if not hasattr(module, "compare_copies"):
        raise InputError("copies of a condition have no distance, which this comparator needs", where=method, fix="do not resample conditions")
    return module.compare_copies(x, y, w[present].numpy())
