"""Stacking: products of the held-out errors of single-band models, and the convex weights of least squared error."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg import banded as kernels
from brainenc.linalg.banded_fit import Splits, Targets, held_out_residuals, load, make_job
from brainenc.linalg.device import to_numpy
from brainenc.linalg.plan import plan_chunks

Floats = npt.NDArray[np.float64]
_JITTER = 1e-10


def held_out_gram(design: kernels.BandDesign, targets: Targets, alphas: Floats, cv: Splits | str, memory: str | int | float | None = None) -> Floats:
    """Return ``sum over held-out rows of e_i e_j`` (n_targets, n_bands, n_bands), e_k the errors of ridge on band k alone.

    Parameters
    ----------
    design, targets, cv, memory
        As for `banded_fit`; one decomposition a band, each held once.
    alphas : ndarray, (n_bands, n_targets)
        Penalty of every band and target.
    """
    k, n, b = len(design.bands), len(design.root), design.root.element_size()
    ones = [kernels.weigh(design, row) for row in np.eye(k)]
    fixed, per_column = 2 * b * k * n * n, (k + 4) * b * n + 8 * k * k
    plan = plan_chunks(memory, alphas.shape[1], fixed=fixed, per_column=per_column)
    grids = [np.unique(row) for row in alphas]
    jobs = [make_job(design, targets, one, grid, cv) for one, grid in zip(ones, grids, strict=True)]
    out = np.empty((alphas.shape[1], k, k))
    for cols in plan.slices():
        T = load(design, targets, cols)
        errors = []
        for i in range(k):
            steps = np.searchsorted(grids[i], alphas[i, cols])
            A = ones[i].u.T @ T
            mine: torch.Tensor | None = None
            for step in np.unique(steps):
                here = torch.from_numpy(np.flatnonzero(steps == step)).to(T.device)
                found = torch.cat(held_out_residuals(jobs[i], T[:, here], A[:, here], int(step)))
                mine = torch.empty(len(found), T.shape[1], dtype=T.dtype, device=T.device) if mine is None else mine
                mine[:, here] = found
            errors.append(mine)
        stacked = torch.stack(errors).double()  # type: ignore[arg-type]
        out[cols] = to_numpy(torch.einsum("irv,jrv->vij", stacked, stacked))
    return out


def simplex_weights(gram: Floats) -> Floats:
    """Return the weights (n_targets, k) on the simplex that minimise ``w' G w`` of each target, exactly.

    On a support S the least is at ``G_S^-1 1 / (1' G_S^-1 1)``; of the 2^k - 1 supports the best whose weights are not negative is taken.

    Parameters
    ----------
    gram : ndarray, (n_targets, k, k)
        Positive semi-definite; a relative jitter of 1e-10 splits equal models evenly.
    """
    n, k = gram.shape[:2]
    size = np.trace(gram, axis1=1, axis2=2) / k
    safe = gram / np.where(size > 0, size, 1.0)[:, None, None] + _JITTER * np.eye(k)
    best, out = np.full(n, np.inf), np.full((n, k), 1.0 / k)
    for members in (list(one) for order in range(1, k + 1) for one in combinations(range(k), order)):
        w = np.linalg.solve(safe[:, members][:, :, members], np.ones((n, len(members), 1)))[:, :, 0]
        total = w.sum(axis=1)
        better = np.flatnonzero((w >= 0).all(axis=1) & (total > 0) & (1.0 / np.where(total > 0, total, 1.0) < best))
        best[better] = 1.0 / total[better]
        out[better] = 0.0
        out[np.ix_(better, np.array(members))] = w[better] / total[better, None]
    return out
