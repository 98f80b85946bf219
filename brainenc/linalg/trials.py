"""One regression for every trial: least squares all and separate, without a loop over trials.

With the nuisance columns N projected out of the trial regressors X (``X~ = X - Q Q'X``, Q an orthonormal basis of N):

- all: ``B = (X~'X~)^-1 X~'Y``.
- separate: trial i has a model of its own, with ``x_i``, ``s_i`` = the sum of the other trials, and N. With ``a = x~'x~``, ``b = x~'s~``,
  ``c = s~'s~`` and ``d = ac - b^2``: ``beta_i = (c x~_i'Y - b s~_i'Y) / d``, and since ``s~_i = t~ - x~_i`` with the same total ``t~`` for
  all trials, two products serve all of them.

The nuisance also leaves Y, which changes no product but keeps the rounding of a large mean out of them. Everything is float64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

_TINY = 1e-10  # of a regressor's own length: what is left of it after projection


class TrialFit(NamedTuple):
    """``betas (n_trials, n_targets)``, their variances, and per trial the degrees of freedom and whether it can be told from the rest."""

    betas: torch.Tensor
    variances: torch.Tensor
    dof: torch.Tensor  # (n_trials,)
    estimable: torch.Tensor  # (n_trials,) bool


def basis_of(nuisance: torch.Tensor) -> torch.Tensor:
    """Return an orthonormal basis of the columns, (n_samples, rank)."""
    if not nuisance.shape[1]:
        return nuisance
    size = nuisance.norm(dim=0)
    left, values, _ = torch.linalg.svd(nuisance / torch.where(size > 0, size, 1.0), full_matrices=False)
    return left[:, values > 1e-10 * values.max().clamp_min(1e-300)]


def fit_all(X: torch.Tensor, basis: torch.Tensor, Y: torch.Tensor) -> TrialFit:
    """Return the betas of one model with all trials.

    Parameters
    ----------
    X : torch.Tensor, (n_samples, n_trials)
    basis : torch.Tensor, (n_samples, rank)
        Of the nuisance, orthonormal.
    Y : torch.Tensor, (n_samples, n_targets)

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
    dof = max(len(X) - basis.shape[1] - len(values), 0)
    rss = Y.square().sum(dim=0) - (u.T @ Y).square().sum(dim=0)
    spread = (vh / values[:, None]).square().sum(dim=0)
    estimable = (vh.square().sum(dim=0) - 1).abs() < 1e-6
    variance = spread[:, None] * (rss.clamp_min(0) / dof if dof else torch.full_like(rss, float("nan")))
    return TrialFit(betas, variance, torch.full((X.shape[1],), float(dof), dtype=X.dtype, device=X.device), estimable)


def fit_separate(X: torch.Tensor, basis: torch.Tensor, Y: torch.Tensor) -> TrialFit:
    """Return the betas of one model a trial, in which one regressor stands for all other trials; see the module.

    A trial that has no other beside it keeps a model without that regressor.
    """
    left, Y = _without(basis, X), _without(basis, Y)
    total = left.sum(dim=1)
    own, rest = left.T @ Y, (total @ Y)[None] - left.T @ Y
    a = left.square().sum(dim=0)
    b = left.T @ total - a
    c = total.square().sum() - 2 * (left.T @ total) + a
    length = X.square().sum(dim=0)
    alone = c <= _TINY**2 * (X.sum(dim=1).square().sum() + length)
    a_safe, c_safe = torch.where(a > 0, a, 1.0), torch.where(alone, torch.ones_like(c), c)
    determinant = a * c_safe - b.square()
    estimable = torch.where(alone, a > _TINY * length, (a > _TINY * length) & (determinant > _TINY * a * c_safe))
    safe = torch.where(determinant.abs() > 0, determinant, 1.0)
    betas = torch.where(alone[:, None], own / a_safe[:, None], (c[:, None] * own - b[:, None] * rest) / safe[:, None])
    others = torch.where(alone[:, None], torch.zeros_like(rest), (a[:, None] * rest - b[:, None] * own) / safe[:, None])
    dof = len(X) - basis.shape[1] - 2 + alone.to(X.dtype)
    rss = Y.square().sum(dim=0)[None] - betas * own - others * rest
    scale = torch.where(alone, 1 / a_safe, c / safe)
    variance = torch.where(dof[:, None] > 0, scale[:, None] * rss.clamp_min(0) / dof.clamp_min(1)[:, None], float("nan"))
    return TrialFit(betas, variance, dof, estimable)


def _without(basis: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return values - basis @ (basis.T @ values)
