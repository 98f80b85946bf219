"""Dissimilarities of patterns: batched products, one row per condition in, one number per pair out.

Every function takes patterns (…, n_conditions, n_channels) and gives pairs (…, n_pairs) in float64, (0, 1), (0, 2) … row by row, summed
over channels. Products run in the dtype of the patterns, sums over products of several kinds in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

Tensor = torch.Tensor
BLOCK = 128


class Cells(NamedTuple):
    """Trials summed within (condition, fold) cells; cells in the order of the conditions, and within them of the folds.

    ``sums`` (n_batch, n_cells, n_channels); ``counts`` (n_cells,) trials in each cell, or (n_batch, n_cells, n_channels) where some
    values are missing; ``condition`` and ``fold`` (n_cells,) what each cell is. Without folds there is one cell a condition.
    """

    sums: Tensor
    counts: Tensor
    condition: Tensor
    fold: Tensor
    n_conditions: int
    n_folds: int

    @property
    def full(self) -> bool:
        """Whether every condition has a cell in every fold."""
        return len(self.condition) == self.n_conditions * self.n_folds


def cell_sums(values: Tensor, cell: Tensor, n_cells: int, *, weights: Tensor | None = None, center: bool = True) -> Tensor:
    """Return the sums (n_batch, n_cells, n_channels) of the trials of each cell, of values less their mean pattern.

    Distances between patterns do not depend on what is common to all of them, but rounding does: with an offset of 1,000 the
    Euclidean distance of float32 patterns has errors of tens of percent unless the offset goes first.

    Parameters
    ----------
    values : Tensor of shape (n_batch, n_trials, n_channels)
        Never written to.
    cell : Tensor of int, shape (n_trials,)
    n_cells : int
    weights : Tensor of shape (n_trials,), optional
        How many measurements each trial is the mean of.
    center : bool
        Subtract the mean over trials. Exact for every estimator that only looks at differences between trials of one batch.
    """
    n_trials = values.shape[1]
    offset = values.mean(dim=1, keepdim=True) if center else None
    if weights is None and n_cells == n_trials and bool((torch.bincount(cell, minlength=n_cells) == 1).all()):
        order = torch.argsort(cell)
        if bool((order == torch.arange(n_trials, device=cell.device)).all()):
            return values.clone() if offset is None else values - offset
        sums = values.index_select(1, order)
        return sums if offset is None else sums.sub_(offset)
    moved = values if offset is None else values - offset
    if weights is not None:
        moved = moved * weights.to(values.dtype)[:, None]
    sums = torch.zeros((values.shape[0], n_cells, values.shape[2]), dtype=values.dtype, device=values.device)
    return sums.index_add_(1, cell, moved)


def product(rows: Tensor) -> Tensor:
    """Return X X' (…, n, n) in float64, of which only the diagonal and what is above it may be read.

    Many rows are multiplied block by block, so that what lies below is not computed.
    """
    n = rows.shape[-2]
    if n <= 2 * BLOCK:
        return (rows @ rows.mT).to(torch.float64)
    out = torch.zeros((*rows.shape[:-1], n), dtype=torch.float64, device=rows.device)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        out[..., start:stop, start:] = rows[..., start:stop, :] @ rows[..., start:, :].mT
    return out


def pair_distances(gram: Tensor, symmetric: bool = True) -> Tensor:
    """Return K_ii + K_jj − K_ij − K_ji for the pairs of Gram matrices (…, n, n); of symmetric ones only the upper half is read."""
    n = gram.shape[-1]
    own = gram.diagonal(dim1=-2, dim2=-1)
    flat = gram.reshape(*gram.shape[:-2], n * n)
    rows, columns = torch.triu_indices(n, n, 1, device=gram.device)
    upper = flat.index_select(-1, rows * n + columns)
    both = 2 * upper if symmetric else upper + flat.index_select(-1, columns * n + rows)
    return own.index_select(-1, rows) + own.index_select(-1, columns) - both


def bilinear(a: Tensor, b: Tensor | None = None, valid: Tensor | None = None) -> tuple[Tensor, Tensor | int]:
    """Return Σ_k (a_ik − a_jk)(b_ik − b_jk) of each pair and the number of channels in the sum.

    Parameters
    ----------
    a, b : Tensor of shape (…, n_conditions, n_channels)
        Without ``b`` the squared Euclidean distance of ``a``, never below 0.
    valid : Tensor of bool, same shape, optional
        Channels to be counted: a pair takes the channels valid in both; values elsewhere must be 0.
    """
    if valid is None:
        if b is None:
            return pair_distances(product(a)).clamp_min(0.0), a.shape[-1]  # below 0 only by rounding
        a, b = a - a.mean(dim=-2, keepdim=True), b - b.mean(dim=-2, keepdim=True)
        return pair_distances((a @ b.mT).to(torch.float64), symmetric=False), a.shape[-1]
    seen = valid.to(a.dtype)
    other = a if b is None else b
    rows, columns = _pairs(a)
    own = ((a * other) @ seen.mT).to(torch.float64)
    cross = (a @ other.mT).to(torch.float64)
    total = own[..., rows, columns] + own[..., columns, rows] - cross[..., rows, columns] - cross[..., columns, rows]
    return total.clamp_min(0.0) if b is None else total, _shared(valid)


def angles(patterns: Tensor, valid: Tensor | None = None, *, centered: bool) -> Tensor:
    """Return 1 − cos of each pair, or 1 − Pearson's r over channels; NaN for a pattern that has none.

    Parameters
    ----------
    patterns : Tensor of shape (…, n_conditions, n_channels)
    valid : Tensor of bool, same shape, optional
        A pair is compared over the channels valid in both, its means and norms included; values elsewhere must be 0.
    centered : bool
        Subtract each pattern's mean first (correlation). A pattern that is constant to the rounding of its dtype has no r.
    """
    if valid is not None:
        return _angles_over_shared(patterns, valid, centered)
    least = torch.zeros_like(patterns[..., 0])
    if centered:
        mean = patterns.mean(dim=-1, keepdim=True)
        patterns = patterns - mean
        least = 4 * torch.finfo(patterns.dtype).eps * mean.abs()[..., 0] * patterns.shape[-1] ** 0.5
    rows, columns = _pairs(patterns)
    if patterns.dtype == torch.float64:  # the norms stand on the diagonal of the product: the patterns need no further pass
        gram = product(patterns)
        norm = gram.diagonal(dim1=-2, dim2=-1).sqrt()
        scale = torch.where(norm > least, norm, torch.full_like(norm, torch.nan)).reciprocal()
        gram.mul_(scale[..., None]).mul_(scale[..., None, :])
        flat = gram.reshape(*gram.shape[:-2], -1).index_select(-1, rows * gram.shape[-1] + columns)
        return flat.neg_().add_(1.0).clamp_min_(0.0)
    norm = torch.linalg.vector_norm(patterns, dim=-1)  # squares of small float32 values vanish in a product
    unit = patterns / torch.where(norm > least, norm, torch.full_like(norm, torch.nan))[..., None]
    return (1.0 - product(unit).reshape(*patterns.shape[:-2], -1).index_select(-1, rows * patterns.shape[-2] + columns)).clamp_min(0.0)


def cross_gram(cells: Cells) -> Tensor:
    """Return the Gram matrix (n_batch, n, n) over pairs of trials of different folds; only its upper half may be read.

    K = (B B' − Σ_m B_m B_m') / (q q' − Σ_m q_m q_m'), with B_m the sums of fold m, q_m its counts, B and q their totals. For equal
    counts this is the mean over ordered pairs of folds of A_m A_l', A the means.
    """
    total = condition_sums(cells)
    gram = product(total)
    n, folds = cells.n_conditions, cells.n_folds
    if cells.full:
        gram -= product(cells.sums.reshape(len(total), n, -1))
    else:
        for fold in range(folds):
            rows = torch.nonzero(cells.fold == fold)[:, 0]
            here = cells.condition[rows]
            gram[:, here[:, None], here[None, :]] -= product(cells.sums[:, rows])
    return gram / pair_counts(cells.counts, cells)


def condition_sums(cells: Cells) -> Tensor:
    """Return the sums over folds (n_batch, n_conditions, n_channels)."""
    if cells.full:
        return cells.sums.reshape(len(cells.sums), cells.n_conditions, cells.n_folds, -1).sum(dim=2)
    total = torch.zeros((len(cells.sums), cells.n_conditions, cells.sums.shape[2]), dtype=cells.sums.dtype, device=cells.sums.device)
    return total.index_add_(1, cells.condition, cells.sums)


def pair_counts(counts: Tensor, cells: Cells) -> Tensor:
    """Return q q' − Σ_m q_m q_m' (n, n), the number of pairs of trials in different folds; NaN where there is none."""
    table = torch.zeros((cells.n_conditions, cells.n_folds), dtype=torch.float64, device=counts.device)
    table[cells.condition, cells.fold] = counts.to(torch.float64)
    q = table.sum(dim=1)
    every = q[:, None] * q[None, :]
    pairs = every - table @ table.T
    return torch.where(pairs > 1e-9 * every, pairs, torch.full_like(pairs, torch.nan))


def cross_distances_missing(cells: Cells) -> tuple[Tensor, Tensor]:
    """Return cross-validated squared distances summed over channels, and how many channels, where values are missing.

    Each pair takes the channels in which both conditions were measured in at least two folds. Channels with the same counts in
    every cell are computed together, so that the counts of each are exact.

    Parameters
    ----------
    cells : Cells
        Sums with missing values as 0, counts (n_batch, n_cells, n_channels).
    """
    rows, columns = _pairs(cells.sums.new_zeros((cells.n_conditions, 1)))
    totals, channels = [], []
    for sums, counts in zip(cells.sums, cells.counts, strict=True):
        total = torch.zeros(len(rows), dtype=torch.float64, device=sums.device)
        n = torch.zeros_like(total)
        patterns, which = torch.unique(counts, dim=1, return_inverse=True)
        for group in range(patterns.shape[1]):
            inside = which == group
            part = cells._replace(sums=sums[None, :, inside], counts=patterns[:, group])
            found = pair_distances(cross_gram(part))[0]
            known = torch.isfinite(found)
            total += torch.where(known, found, torch.zeros_like(found))
            n += known.to(torch.float64) * int(inside.sum())
        totals.append(total)
        channels.append(n)
    return torch.stack(totals), torch.stack(channels)


def smoothed_rates(means: Tensor, prior: tuple[float, float]) -> Tensor:
    """Return (x + rate · weight)/(1 + weight): mean counts pulled towards a prior rate that weighs as much as ``weight`` trials."""
    rate, weight = prior
    return (means + rate * weight) / (1.0 + weight)


def _pairs(patterns: Tensor) -> Tensor:
    n = patterns.shape[-2]
    return torch.triu_indices(n, n, 1, device=patterns.device)


def _shared(valid: Tensor) -> Tensor:
    rows, columns = _pairs(valid)
    seen = valid.to(torch.float64)
    return (seen @ seen.mT)[..., rows, columns]


def _angles_over_shared(patterns: Tensor, valid: Tensor, centered: bool) -> Tensor:
    seen = valid.to(torch.float64)
    x = patterns.to(torch.float64)
    size = x.abs().amax(dim=-1)
    if centered:  # any constant may go first, as the means of each pair are removed below: this only spares digits
        x = (x - x.sum(dim=-1, keepdim=True) / seen.sum(dim=-1, keepdim=True).clamp_min(1.0)) * seen
    rows, columns = _pairs(x)

    def at(matrix: Tensor) -> tuple[Tensor, Tensor]:
        return matrix[..., rows, columns], matrix[..., columns, rows]

    (square_i, square_j), cross = at((x * x) @ seen.mT), (x @ x.mT)[..., rows, columns]
    least = torch.zeros_like(cross)
    if centered:
        n = (seen @ seen.mT)[..., rows, columns]
        sum_i, sum_j = at(x @ seen.mT)
        square_i, square_j, cross = square_i - sum_i**2 / n, square_j - sum_j**2 / n, cross - sum_i * sum_j / n
        eps = torch.finfo(patterns.dtype).eps
        least = n * (4 * eps * torch.maximum(size[..., rows], size[..., columns])) ** 2
    known = (square_i > least) & (square_j > least)
    scale = torch.sqrt(torch.where(known, square_i * square_j, torch.full_like(cross, torch.nan)))
    return (1.0 - cross / scale).clamp_min(0.0)


def cross_time_distances(cells: Cells, first: int) -> Tensor:
    """Return cross-validated distances (n_times − first, n_pairs) between the differences at time ``first`` and at it and all later times.

    d_ij(t, t') = Σ over pairs of trials a, b of different folds of (x_ia(t) − x_ja(t))·(x_ib(t') − x_jb(t')), as means per pair of
    conditions: K_ii + K_jj − K_ij − K_ji with K(t, t') = (B(t) B(t')' − Σ_m B_m(t) B_m(t')')/(q q' − Σ_m q_m q_m').

    Parameters
    ----------
    cells : Cells
        Sums (n_times, n_cells, n_channels); counts (n_cells,).
    first : int
    """
    n = cells.n_conditions
    total = condition_sums(cells)
    later = len(total) - first
    gram = _across(total, first, n)
    if cells.full:
        gram -= _across(cells.sums.reshape(len(total), n, -1), first, n)
    else:
        for fold in range(cells.n_folds):
            rows = torch.nonzero(cells.fold == fold)[:, 0]
            here = cells.condition[rows]
            gram[:, here[:, None], here[None, :]] -= _across(cells.sums[:, rows], first, len(rows))
    counts = pair_counts(cells.counts, cells)
    return pair_distances((gram / counts).reshape(later, n, n), symmetric=False)


def _across(rows: Tensor, first: int, n: int) -> Tensor:
    """Return X(t) X(t')' (n_later, n, n) for t = first and every t' from it on."""
    later = rows[first:]
    return (rows[first] @ later.reshape(-1, later.shape[-1]).T).reshape(n, len(later), n).transpose(0, 1).to(torch.float64)
