"""Inner products of RDMs over the pairs of resampled or held-out conditions: all that fits, folds and partitions need."""

from __future__ import annotations

import torch

from brainenc.core.errors import InputError
from brainenc.linalg.multiplicities import centred_products, pair_weights, products, whitened_products
from brainenc.linalg.relabelling import whiten_pairs
from brainenc.rsa._forms import Form

Tensor = torch.Tensor


def grams(values: Tensor, w: Tensor, form: Form, *, sigma_k: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
    """Return x_s'W x_t of every two RDMs in every sample of conditions: (b, t, t).

    Means (of centred forms) and the metric W (of whitened ones) are those of the pairs of the sample. Ranks are not taken here. What is
    left of an RDM that is constant in a sample is rounding, and is set to 0, whatever its units.

    Parameters
    ----------
    values : Tensor of shape (t, n_pairs), or (b, t, n_pairs) for forms that are not whitened
        Zero where pairs are missing.
    w : Tensor of shape (b, n_conditions)
        Multiplicities of the conditions: 0 leaves one out, 2 is a condition drawn twice, whose copies make no pair.
    sigma_k : Tensor of shape (n,) or (n, n), optional
        Noise covariance of the conditions; a full one needs multiplicities of 0 and 1.
    keep : Tensor of bool, shape (n_pairs,), optional
        Pairs that are there; all where not given.
    """
    n = w.shape[1]
    rows, columns = torch.triu_indices(n, n, 1, device=w.device)
    pairs = pair_weights(w, rows, columns)
    pairs = pairs if keep is None else pairs * keep
    if form.centred:
        # means are taken away in every sample; what is common to all samples goes first, where it costs no digits
        values = values - values.mean(dim=-1, keepdim=True)
    scale = (pairs[:, None, :] * values * values).sum(dim=-1) if values.ndim == 3 else pairs @ (values * values).T
    if not form.whitened:
        return _above_rounding((centred_products if form.centred else products)(pairs, values, values[..., :0, :]).xx, scale)
    x = torch.cat([values, torch.ones_like(values[:1])]) if form.centred else values
    if keep is not None:
        x = x * keep
    if sigma_k is not None and sigma_k.ndim == 2:
        whole = _full_covariance(x, w, sigma_k, keep)
    else:
        whole = whitened_products(w, x, x[:0], variances=sigma_k, keep=keep).xx
    if not form.centred:
        return _above_rounding(whole, scale)
    mean = (pairs @ values.T) / pairs.sum(dim=1, keepdim=True)
    cross, ones = whole[:, :-1, -1], whole[:, -1, -1]
    both = mean[:, :, None] * cross[:, None, :]
    centred = whole[:, :-1, :-1] - both - both.transpose(1, 2) + mean[:, :, None] * mean[:, None, :] * ones[:, None, None]
    return _above_rounding(centred, scale)


def _above_rounding(gram: Tensor, scale: Tensor) -> Tensor:
    """Return Grams with 0 for vectors whose own product is rounding of numbers of size ``scale`` (b, t)."""
    known = torch.diagonal(gram, dim1=1, dim2=2) > 1e-13 * scale
    return gram * known[:, :, None] * known[:, None, :]


def _full_covariance(x: Tensor, w: Tensor, sigma_k: Tensor, keep: Tensor | None) -> Tensor:
    """Return the products of sub-RDMs, each whitened with its block of the covariance."""
    if bool(((w != 0) & (w != 1)).any()):
        raise InputError("copies of a condition have no full noise covariance of their own", where="sigma_k", expected="its diagonal, (n_conditions,)",
                         got=tuple(sigma_k.shape), fix="pass sigma_k.diagonal(), or do not resample conditions")  # fmt: skip
    if keep is not None and not bool(keep.all()):
        raise InputError("a full noise covariance needs complete RDMs", where="sigma_k", got=f"{int((~keep).sum())} missing pairs",
                         fix="pass its diagonal, or leave out the conditions with missing pairs")  # fmt: skip
    n = w.shape[1]
    rows, columns = torch.triu_indices(n, n, 1, device=x.device)
    out = []
    for one in w:
        inside = one > 0
        part = x[:, inside[rows] & inside[columns]]
        out.append(part @ whiten_pairs(part, sigma_k[inside][:, inside]).T)
    return torch.stack(out)
