"""Entropic optimal transport and Gromov-Wasserstein plans, in the logarithm, for many starting plans at once."""

from __future__ import annotations

from typing import NamedTuple

import torch

Tensor = torch.Tensor


class Plans(NamedTuple):
    """Plans (n_starts, n, m), their Gromov-Wasserstein losses, rounds of the outer iteration, and whether each settled (n_starts,)."""

    plans: Tensor
    losses: Tensor
    n_iterations: Tensor
    settled: Tensor


_SCALED = 9  # rounds of scaling between two rounds in the logarithm


def sinkhorn(
    cost: Tensor, p: Tensor, q: Tensor, epsilon: float, *, start: Tensor | None = None, n_iterations: int = 1000, tolerance: float = 1e-9
) -> tuple[Tensor, Tensor]:
    """Return the plans with marginals p and q that minimise ⟨cost, T⟩ + ε Σ T log T, and their potentials g / ε.

    f = log p - LSE(g - C / ε) over columns, g = log q - LSE(f - C / ε) over rows, in turn, until the rows of T sum to p within a share
    ``tolerance``. Nine of ten rounds scale T = exp(f + g - C / ε) instead, u = p / T v and v = q / T' u, which is the same in a fifth of
    the time; where a scale leaves the range of numbers, those rounds are thrown away.

    Parameters
    ----------
    cost : Tensor of shape (n_starts, n, m)
    p, q : Tensor of shape (n,), (m,)
        Positive, summing to 1.
    epsilon : float
    start : Tensor of shape (n_starts, 1, m), optional
        Potentials to begin with: those of a similar cost save most of the rounds.

    References
    ----------
    Cuturi (2013) arXiv:1306.0895; Peyré & Cuturi (2019) doi:10.1561/2200000073, section 4.4

    Examples
    --------
    >>> half = torch.full((2,), 0.5, dtype=torch.float64)
    >>> sinkhorn(torch.tensor([[[0.0, 9.0], [9.0, 0.0]]], dtype=torch.float64), half, half, 0.5)[0][0].round(decimals=3).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    kernel, log_p, log_q = -cost / epsilon, p.log()[:, None], q.log()
    g = torch.zeros(cost.shape[0], 1, cost.shape[2], dtype=cost.dtype, device=cost.device) if start is None else start
    for i in range(0, max(n_iterations, 1), _SCALED + 1):
        f = log_p - torch.logsumexp(kernel + g, dim=2, keepdim=True)
        g = log_q - torch.logsumexp(kernel + f, dim=1, keepdim=True)
        plans = (kernel + f + g).exp()
        if float((plans.sum(2) / p - 1).abs().max()) < tolerance or i + _SCALED + 1 >= n_iterations:
            break
        v = torch.ones(cost.shape[0], cost.shape[2], 1, dtype=cost.dtype, device=cost.device)
        for _ in range(_SCALED):
            v = q[:, None] / (plans.mT @ (p[:, None] / (plans @ v)))
        step = v.log().mT
        g = g + torch.where(torch.isfinite(step).all(-1, keepdim=True), step, torch.zeros_like(step))
    return plans, g


def gromov_cost(a: Tensor, b: Tensor, plans: Tensor) -> Tensor:
    """Return Σ_kl (a_ik - b_jl)² T_kl for every i and j: (n_starts, n, m), for symmetric a and b."""
    rows, columns = plans.sum(2), plans.sum(1)
    return (rows @ (a * a))[:, :, None] + (columns @ (b * b))[:, None] - 2 * a @ plans @ b


def gromov_plans(
    a: Tensor, b: Tensor, starts: Tensor, epsilon: float, *, n_iterations: int = 500, n_inner: int = 100, tolerance: float = 1e-6
) -> Plans:
    """Return entropic Gromov-Wasserstein plans between two symmetric matrices, uniform marginals, square loss.

    T ← argmin ⟨L(T), T'⟩ + ε Σ T' log T', with L(T)_ij = Σ_kl (a_ik - b_jl)² T_kl, until a plan changes by less than ``tolerance``
    relative to its length. The loss is ⟨L(T), T⟩, without the entropy.

    Parameters
    ----------
    a, b : Tensor of shape (n, n), (m, m)
    starts : Tensor of shape (n_starts, n, m)
        Plans to begin with.
    epsilon : float
        In the units of the squared dissimilarities.
    n_iterations, n_inner : int
        Rounds of the plan, and of `sinkhorn` in each.
    tolerance : float
        Also of the marginals, which a last, longer run of `sinkhorn` fits.

    References
    ----------
    Peyré, Cuturi & Solomon (2016), ICML, PMLR 48:2664-2672
    """
    p, q = (torch.full((len(one),), 1.0 / len(one), dtype=a.dtype, device=a.device) for one in (a, b))
    plans, rounds = starts.clone(), torch.full((len(starts),), n_iterations, device=a.device)
    active = torch.arange(len(starts), device=a.device)
    g: Tensor | None = None
    for i in range(n_iterations):
        before = plans[active]
        after, potentials = sinkhorn(gromov_cost(a, b, before), p, q, epsilon, start=g, n_iterations=n_inner, tolerance=tolerance)
        plans[active] = after
        going = torch.linalg.matrix_norm(after - before) > tolerance * torch.linalg.matrix_norm(before)
        rounds[active[~going]] = i + 1
        active, g = active[going], potentials[going]
        if not len(active):
            break
    # rounds of few inner iterations lead to the same plan; its marginals are made to fit at the end
    plans, _ = sinkhorn(gromov_cost(a, b, plans), p, q, epsilon, n_iterations=20 * n_inner, tolerance=tolerance)
    losses = (gromov_cost(a, b, plans) * plans).sum((1, 2))
    settled = torch.ones(len(starts), dtype=torch.bool, device=a.device)
    settled[active] = False
    return Plans(plans, losses, rounds, settled)
