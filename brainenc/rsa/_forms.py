"""Which comparators are inner products, and of what: what permutations, fits and cross-validation share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from brainenc.core.errors import InputError
from brainenc.core.registry import Registry
from brainenc.linalg.ranks import midranks
from brainenc.linalg.relabelling import whiten_pairs

Tensor = torch.Tensor
REGISTRY = Registry("brainenc.rsa.comparators", "RDM comparator")


class Form(NamedTuple):
    """A comparator written as x'Wy / (|x||y|): what is done to the pairs first, and whether W is V⁻¹.

    ``fixed`` says that the norms are those of ranks without ties (rho-a).
    """

    ranked: bool = False
    centred: bool = False
    whitened: bool = False
    fixed: bool = False


FORMS = {
    "cosine_similarity": Form(),
    "pearson": Form(centred=True),
    "spearman": Form(ranked=True, centred=True),
    "rho_a": Form(ranked=True, centred=True, fixed=True),
    "whitened_cosine_similarity": Form(whitened=True),
    "whitened_pearson": Form(centred=True, whitened=True),
}


def form_of(method: str) -> Form | None:
    """Return the form of a comparator, None where it is no inner product; an unknown name raises with the known ones."""
    found = FORMS.get(method)
    if found is None:
        REGISTRY.get(method)
    return found


def prepared(values: Tensor, form: Form) -> Tensor:
    """Return RDMs (…, n_pairs) ranked and centred as the comparator wants."""
    values = midranks(values) if form.ranked else values
    if not form.centred:
        return values
    centred = values - values.mean(dim=-1, keepdim=True)
    # what is left of a constant RDM is rounding, and no direction
    flat = centred.abs().amax(dim=-1, keepdim=True) <= 1e-14 * values.abs().amax(dim=-1, keepdim=True)
    return torch.where(flat, 0.0, centred)


def dual(values: Tensor, form: Form, sigma_k: Tensor | None) -> Tensor:
    """Return W times prepared RDMs, so that an inner product is a plain one with the result."""
    return whiten_pairs(values, sigma_k) if form.whitened else values


def norms(values: Tensor, form: Form, sigma_k: Tensor | None = None) -> Tensor:
    """Return the norms (…) of prepared RDMs in the metric of the comparator; NaN where an RDM is constant to rounding."""
    n_pairs = values.shape[-1]
    if form.fixed:
        return torch.full(values.shape[:-1], ((n_pairs**3 - n_pairs) / 12) ** 0.5, dtype=values.dtype, device=values.device)
    squared = (values * dual(values, form, sigma_k)).sum(dim=-1)
    return positive_root(squared, (values * values).sum(dim=-1))


def positive_root(squared: Tensor, scale: Tensor) -> Tensor:
    """Return √squared, NaN where it is not above the rounding of numbers of size ``scale``."""
    known = squared > 1e-13 * scale.clamp_min(torch.finfo(squared.dtype).tiny)
    return torch.where(known, squared.clamp_min(0).sqrt(), torch.full_like(squared, float("nan")))


def sigma_tensor(sigma_k: object, method: str, n_conditions: int) -> Tensor | None:
    """Return the noise covariance of the conditions (n, n), or its diagonal (n,), as float64; refuse it where nothing uses it."""
    if sigma_k is None:
        return None
    form = FORMS.get(method)
    if form is not None and not form.whitened:
        raise InputError("this comparator has no noise covariance", where="sigma_k", expected="a whitened method", got=repr(method))
    sigma = torch.tensor(np.asarray(sigma_k, dtype=np.float64))
    if tuple(sigma.shape) not in ((n_conditions,), (n_conditions, n_conditions)):
        raise InputError("covariance and conditions do not fit", where="sigma_k", expected=f"({n_conditions},) or ({n_conditions}, {n_conditions})",
                         got=tuple(sigma.shape))  # fmt: skip
    variances = sigma if sigma.ndim == 1 else sigma.diagonal()
    if not bool(torch.isfinite(sigma).all()) or not bool((variances > 0).all()):
        got = f"least variance {float(variances.min()):.3g}"
        raise InputError("a covariance of conditions has finite values and positive variances", where="sigma_k", got=got)
    if sigma.ndim == 2 and not torch.allclose(sigma, sigma.T, rtol=1e-8, atol=1e-12 * float(variances.max())):
        raise InputError("a covariance is symmetric", where="sigma_k", got=f"a difference of {float((sigma - sigma.T).abs().max()):.3g} across the diagonal")
    return sigma
