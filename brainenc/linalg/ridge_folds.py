"""One inner fold of ridge regression: its decomposition, and the held-out squared error at many penalties.

Two ways lead to the predictions of held-out rows, ``P diag(1/(l + alpha)) B' S`` with ``P`` (n_held, r) the rows in the coordinates of the
spectrum, ``B`` the basis and ``S`` the training targets (kernel form) or their products with the features (primal form): *projected*,
where ``B'S`` is formed once, and *mapped*, where ``P diag(...) B'`` is formed for every penalty. The cheaper one is taken.

Neighbouring penalties predict nearly the same. The shrinkage factors ``l / (l + alpha)`` of a whole grid, as functions of l between the
least and the largest eigenvalue, are affine combinations ``sum_k c_k = 1`` of those of a few of its penalties (the nodes), to a
tolerance. So are the residuals, and their squares follow from the nodes' products: ``E(alpha) = c' (R'R) c`` for each target, without
cancellation as long as c is small (it is about one). This interpolation is ours; in float64 nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.linalg.ridge_kernels import ROW_BLOCK, Design, Factor, cross_of, decompose, gram_of, rows_of, squares

TOLERANCE = 3e-4  # largest error of an interpolated shrinkage factor, in float32
FEWEST = 6  # grids shorter than this are not interpolated
_ENOUGH = 0.8  # nor those that need more than this share of their penalties as nodes
_BUFFER = 1_000_000  # numbers held while residuals of the nodes are multiplied
Floats = npt.NDArray[np.float64]


class Fold(NamedTuple):
    """One inner fold: a decomposition and what is needed to project targets and to predict held-out rows."""

    factor: Factor
    train: torch.Tensor
    out: torch.Tensor | None  # rows outside the training set; None when they outnumber it
    test: torch.Tensor
    offset: torch.Tensor | None  # (p,) mean of the training rows, primal form with intercept
    probe: torch.Tensor  # (n_held or r, r): predictions are probe @ (A / (values + alpha)), rotated where rotation is given
    rotation: torch.Tensor | None  # (n_held, r): few directions, many rows: only r of the rotated rows depend on alpha


class Held(NamedTuple):
    """Held-out targets of one fold and what maps to their predictions: ``predictor(alpha) @ source``."""

    source: torch.Tensor  # (m, n_targets)
    predictor: Callable[[float], torch.Tensor]  # (n_held or r, m)
    target: torch.Tensor  # (n_held or r, n_targets), rotated like the probe
    base: torch.Tensor  # (n_targets,) squared error of the training mean, float64
    rest: torch.Tensor | None  # (n_targets,) squared length that no prediction reaches, float64


class Nodes(NamedTuple):
    """Penalties whose shrinkage factors span those of the grid, and the affine combinations."""

    which: list[int]
    mix: Floats  # (n_nodes, n_alphas), columns sum to one
    error: float


def make_fold(design: Design, train: npt.NDArray[np.intp], test: npt.NDArray[np.intp]) -> Fold:
    """Decompose one fold's training rows and project its held-out rows."""
    device, n = design.gram.device, len(design.root)
    tr, te = torch.from_numpy(train).to(device), torch.from_numpy(test).to(device)
    q_tr, q_te = design.root[tr], design.root[te]
    total = (q_tr * q_tr).sum()
    if design.form == "kernel":
        gram = design.gram[tr][:, tr]
        cross = design.gram[te][:, tr]
        if design.intercept:
            row, cross_row = gram @ q_tr / total, cross @ q_tr / total
            inner = q_tr @ row / total
            gram -= torch.outer(row, q_tr) + torch.outer(q_tr, row) - inner * torch.outer(q_tr, q_tr)
            cross -= torch.outer(cross_row, q_tr) + torch.outer(q_te, row) - inner * torch.outer(q_te, q_tr)
        factor = decompose(gram)
        return Fold(factor, tr, None, te, None, *_rotate(cross @ factor.basis))
    left_out = torch.from_numpy(np.setdiff1d(np.arange(n), train, assume_unique=True)).to(device)
    out = left_out if len(left_out) <= len(tr) else None
    gram = gram_of(design, tr) if out is None else design.gram - gram_of(design, out)
    offset = None
    if design.intercept:
        offset = cross_of(design, design.root[:, None], tr)[:, 0] / total
        gram -= total * torch.outer(offset, offset)
    factor = decompose(gram)
    probe = torch.empty(len(te), len(factor.values), dtype=gram.dtype, device=device)
    for start in range(0, len(te), ROW_BLOCK):
        part = slice(start, start + ROW_BLOCK)
        held = rows_of(design, te[part])
        probe[part] = (held if offset is None else held - torch.outer(q_te[part], offset)) @ factor.basis
    return Fold(factor, tr, out, te, offset, *_rotate(probe))


def hold_out(design: Design, fold: Fold, T: torch.Tensor, ZtT: torch.Tensor | None, n_alphas: float) -> Held:
    """Return a fold's held-out targets, minus the mean of its training rows, and the predictor of them for ``n_alphas`` penalties a target.

    ``T`` are all rows' scaled targets and ``ZtT = Z'T`` their projection (primal form).
    """
    q_tr, T_tr = design.root[fold.train], T[fold.train]
    held, mu = T[fold.test], None
    if design.intercept:
        mu = q_tr @ T_tr / (q_tr * q_tr).sum()
        held = held - torch.outer(design.root[fold.test], mu)
    base, rest = squares(held), None
    if fold.rotation is not None:
        inside = fold.rotation.T @ held
        rest = squares(held - fold.rotation @ inside)
        held = inside
    if design.form == "kernel":
        source = T_tr  # the basis is orthogonal to q, so the mean of the targets drops out
    elif fold.out is None or ZtT is None:
        source = cross_of(design, T, fold.train)
    else:
        source = ZtT - cross_of(design, T, fold.out)
    if mu is not None and fold.offset is not None:
        source = source - (q_tr * q_tr).sum() * torch.outer(fold.offset, mu)
    values, basis, probe = fold.factor.values, fold.factor.basis, fold.probe
    (m, r), (k, _), w = basis.shape, probe.shape, T.shape[1]
    if n_alphas * k * m * (r + w) < r * w * (m + n_alphas * k):
        return Held(source, lambda alpha: (probe / (values + alpha)) @ basis.T, held, base, rest)
    return Held(basis.T @ source, lambda alpha: probe / (values + alpha), held, base, rest)


def held_out_errors(held: Held, alphas: Floats, nodes: Nodes | None = None) -> torch.Tensor:
    """Return the held-out sum of squared errors, (n_alphas, n_targets) in float64, with or without interpolation."""
    if nodes is not None:
        errors = _interpolated(held, alphas, nodes)
    else:
        errors = torch.stack([errors_at(held, held.predictor(float(alpha)), slice(None)) for alpha in alphas])
    return errors if held.rest is None or nodes is None else errors + held.rest


def errors_at(held: Held, predictor: torch.Tensor, cols: slice | torch.Tensor) -> torch.Tensor:
    """Return the held-out sum of squared errors of some targets at one penalty, in float64."""
    if isinstance(cols, slice):
        target, source = held.target[:, cols], held.source[:, cols]
    else:
        target, source = held.target.index_select(1, cols), held.source.index_select(1, cols)
    errors = squares(torch.addmm(target, predictor, source, alpha=-1))
    return errors if held.rest is None else errors + held.rest[cols]


def find_nodes(values: torch.Tensor, alphas: Floats) -> Nodes | None:
    """Return the fewest penalties that span the grid's shrinkage factors to `TOLERANCE`, or None where that saves too little.

    A pivoted QR decomposition of the factors, less those of one penalty, on 200 eigenvalues between the least and the largest orders the
    penalties; least squares gives the combinations.
    """
    from scipy.linalg import qr

    if values.dtype != torch.float32 or len(alphas) < FEWEST or len(values) == 0:
        return None
    grid = np.geomspace(float(values[-1]), float(values[0]), 200)[:, None]
    shrinkage = grid / (grid + alphas)
    middle = len(alphas) // 2
    relative = shrinkage - shrinkage[:, [middle]]
    order = qr(relative, mode="r", pivoting=True)[1]
    for k in range(1, int(_ENOUGH * len(alphas))):
        chosen = order[:k]
        mix = np.linalg.lstsq(relative[:, chosen], relative, rcond=None)[0]
        error = float(np.abs(relative - relative[:, chosen] @ mix).max())
        if error < TOLERANCE:
            return Nodes([middle, *map(int, chosen)], np.vstack([1.0 - mix.sum(0), mix]), error)
    return None


def node_width(n_held: int, n_nodes: int) -> int:
    """Return how many targets' residuals at the nodes are held at once."""
    return min(max(_BUFFER // max(n_held * n_nodes, 1), 32), 1024)


def _interpolated(held: Held, alphas: Floats, nodes: Nodes) -> torch.Tensor:
    n_nodes, (n_held, n_targets) = len(nodes.which), held.target.shape
    stack = torch.cat([held.predictor(float(alphas[i])) for i in nodes.which])
    mix = torch.from_numpy(np.einsum("ka,la->kla", nodes.mix, nodes.mix).reshape(n_nodes**2, -1)).to(held.target.device)
    errors = torch.empty(len(alphas), n_targets, dtype=torch.float64, device=held.target.device)
    width = node_width(n_held, n_nodes)
    for start in range(0, n_targets, width):
        cols = slice(start, start + width)
        # targets first: each target's residuals then lie together for the products of the nodes
        residuals = (held.source[:, cols].T @ stack.T).view(-1, n_nodes, n_held)
        residuals -= held.target[:, cols].T[:, None]
        products = sum(torch.bmm(part, part.transpose(1, 2)).double() for part in residuals.split(512, dim=2))
        assert isinstance(products, torch.Tensor)
        errors[:, cols] = (products.view(-1, n_nodes**2) @ mix).T
    return errors


def _rotate(probe: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    if len(probe) > 2 * probe.shape[1] and probe.shape[1] > 0:
        rotation, triangle = torch.linalg.qr(probe)
        return triangle, rotation
    return probe, None
