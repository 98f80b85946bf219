"""Noise ceilings of a group at every centre: how well the others' RDMs, pooled, agree with each subject's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.ranks import midranks
from brainenc.rsa._forms import REGISTRY, Form, dual, form_of, norms, prepared, sigma_tensor

Floats = npt.NDArray[np.float64]
Tensor = torch.Tensor


def ceilings(rdms: list[Tensor], method: str, sigma_k: npt.ArrayLike | None, n_conditions: int) -> Floats:
    """Return the lower and the upper ceiling (n_subjects, n_centres, 2) of each subject at each centre.

    Lower: the subject's RDM compared with the pooled RDM of the others. Upper: with the pooled RDM of all, the subject's own among them.
    Their means over subjects are the ceilings of the group. A centre where some subject's RDM misses pairs has none (NaN).

    Parameters
    ----------
    rdms : list of Tensor (n_centres, n_pairs)
        One a subject.
    method : str
        Comparator; it says how RDMs are pooled.
    sigma_k : array_like, optional
        Noise covariance of the conditions, for whitened comparators.
    n_conditions : int
    """
    stack = torch.stack(rdms)
    out = np.full((len(rdms), stack.shape[1], 2), np.nan)
    whole = torch.isfinite(stack).all(dim=2).all(dim=0)
    known = whole.cpu().numpy()
    if not known.any():
        return out
    stack = stack[:, whole]
    form = form_of(method)
    out[:, known] = _by_form(stack, form, sigma_tensor(sigma_k, method, n_conditions)) if form is not None else _by_module(stack, method, sigma_k)
    return out


def _by_form(stack: Tensor, form: Form, sigma: Tensor | None) -> Floats:
    """Compare all centres of a subject at once; the sum over the others is the sum over all less one."""
    sigma = None if sigma is None else sigma.to(stack.device)
    parts = torch.stack([_poolable(one, form) for one in stack])
    total = parts.sum(dim=0)
    out = np.empty((len(stack), stack.shape[1], 2))
    for subject, one in enumerate(stack):
        data = prepared(one, form)
        against, size = dual(data, form, sigma), norms(data, form, sigma)
        for column, pooled in enumerate((total - parts[subject], total)):
            pool = prepared(pooled, form)
            out[subject, :, column] = ((pool * against).sum(dim=1) / (size * norms(pool, form, sigma))).cpu().numpy()
    return out


def _poolable(rdms: Tensor, form: Form) -> Tensor:
    """Return RDMs (n_centres, n_pairs) in the units in which they are averaged: mid-ranks, z-scores, or of unit root mean square."""
    if form.ranked:
        return midranks(rdms)
    centred = rdms - rdms.mean(dim=1, keepdim=True) if form.centred else rdms
    return centred / (centred * centred).mean(dim=1, keepdim=True).sqrt()


def _by_module(stack: Tensor, method: str, sigma_k: npt.ArrayLike | None) -> Floats:
    """Pool and compare centre by centre with the comparator's own functions."""
    module = REGISTRY.get(method)
    values = stack.cpu().numpy()
    out = np.empty((len(values), values.shape[1], 2))
    for centre in range(values.shape[1]):
        here = np.ascontiguousarray(values[:, centre])
        out[:, centre, 1] = module.compare(here, module.pool(here)[None], sigma_k=sigma_k)[:, 0]
        for subject in range(len(here)):
            others = module.pool(np.delete(here, subject, axis=0))
            out[subject, centre, 0] = module.compare(here[subject : subject + 1], others[None], sigma_k=sigma_k)[0, 0]
    return out
