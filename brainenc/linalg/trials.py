"""One regression for every trial: least squares all and separate, without a loop over trials.

With the nuisance columns N projected out of the trial regressors X (``X~ = X - Q Q'X``, Q an orthonormal basis of N):

- all: ``B = (X~'X~)^-1 X~'Y``.
- separate: trial i has a model of its own, with ``x_i``, ``s_i`` = the sum of the other trials, and N. With ``a = x~'x~``, ``b = x~'s~``,
  ``c = s~'s~`` and ``d = ac - b^2``: ``beta_i = (c x~_i - b s~_i)'Y / d``, and since ``s~_i = t~ - x~_i`` with the same total ``t~`` for all
  trials, a, b and c of all of them come at once, and one product with Y gives all betas.

The nuisance also leaves Y, which changes no product but keeps the rounding of a large mean out of them. Everything is float64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

_TINY = 1e-10  # of a regressor's own length: what is left of it after projection


class TrialFit(NamedTuple):
    """``betas (n_trials, n_targets)``, their variances if asked for, and per trial the degrees of freedom and whether it can be told from the rest."""

    betas: torch.Tensor
    variances: torch.Tensor | None
    dof: torch.Tensor  # (n_trials,)
    estimable: torch.Tensor  # (n_trials,) bool


def basis_of(nuisance: torch.Tensor) -> torch.Tensor:
    """Return an orthonormal basis of the columns, (n_samples, rank)."""
    if not nuisance.shape[1]:
        return nuisance
    size = nuisance.norm(dim=0)
    left, values, _ = torch.linalg.svd(nuisance / torch.where(size > 0, size, 1.0), full_matrices=False)
    return left[:, values > 1e-10 * values.max().clamp_min(1e-300)]


def fit_all(X: torch.Tensor, basis: torch.Tensor, Y: torch.Tensor, *, variance: bool = True) -> TrialFit:
    """Return the betas of one model with all trials.

    Parameters
    ----------
    X : torch.Tensor, (n_samples, n_trials)
    basis : torch.Tensor, (n_samples, rank)
        Of the nuisance, orthonormal.
    Y : torch.Tensor, (n_samples, n_targets)
    variance : bool

    Returns
    -------
    TrialFit
        ``estimable`` is False for trials that others (or the nuisance) can stand in for; their betas are not unique.
    """
    left, Y = _without(basis, X), _without(basis, Y)
    u, values, vh = torch.linalg.svd(left, full_matrices=False)
    good = values > _TINY * X.norm(dim=0).max().clamp_min(1e-300)
    u, values, vh = u[:, good], values[good], vh[good]
    betas = (vh.T / values) @ (u.T @ Y)
    freedom = max(len(X) - basis.shape[1] - len(values), 0)
    dof = torch.full((X.shape[1],), float(freedom), dtype=X.dtype, device=X.device)
    estimable = (vh.square().sum(dim=0) - 1).abs() < 1e-6
    if not variance:
        return TrialFit(betas, None, dof, estimable)
    rss = Y.square().sum(dim=0) - (u.T @ Y).square().sum(dim=0)
    spread = (vh / values[:, None]).square().sum(dim=0)
    noise = rss.clamp_min(0) / freedom if freedom else torch.full_like(rss, float("nan"))
    return TrialFit(betas, spread[:, None] * noise, dof, estimable)


def fit_separate(X: torch.Tensor, basis: torch.Tensor, Y: torch.Tensor, *, variance: bool = True) -> TrialFit:
    """Return the betas of one model a trial, in which one regressor stands for all other trials; see the module.

    A trial that has no other beside it keeps a model without that regressor.
    """
    left, Y = _without(basis, X), _without(basis, Y)
    total = left.sum(dim=1)
    a = left.square().sum(dim=0)
    b = left.T @ total - a
    c = total.square().sum() - 2 * (left.T @ total) + a
    length = X.square().sum(dim=0)
    alone = c <= _TINY**2 * (X.sum(dim=1).square().sum() + length)
    c = torch.where(alone, torch.ones_like(c), c)
    b = torch.where(alone, torch.zeros_like(b), b)
    determinant = a * c - b.square()
    estimable = (a > _TINY * length) & (determinant > _TINY * a * c)
    inverse = 1 / torch.where(estimable, determinant, torch.ones_like(determinant))
    # beta = (c x~ - b s~)'Y / d with s~ = t~ - x~: one product, its rows the pseudo-inverses of the trials
    betas = ((c + b) * inverse * left - total[:, None] * (b * inverse)).T @ Y
    dof = len(X) - basis.shape[1] - 2 + alone.to(X.dtype)
    if not variance:
        return TrialFit(betas, None, dof, estimable)
    own = left.T @ Y
    rest = (total @ Y)[None] - own
    others = torch.where(alone[:, None], torch.zeros_like(rest), (a * inverse)[:, None] * rest - (b * inverse)[:, None] * own)
    rss = Y.square().sum(dim=0)[None] - betas * own - others * rest
    spread = (c * inverse)[:, None] * rss.clamp_min(0) / dof.clamp_min(1)[:, None]
    return TrialFit(betas, torch.where(dof[:, None] > 0, spread, float("nan")), dof, estimable)


def _without(basis: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return values - basis @ (basis.T @ values)
