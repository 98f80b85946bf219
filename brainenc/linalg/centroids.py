"""Nearest centroids with one group left out, from inner products alone.

Rows belong to a group (subject) and an item (region). With m_t how often group t comes, the centroid of item c without group s is
x̄ = Σ_{t≠s} m_t Σ_{r in (t, c)} x_r / n, so |x_r - x̄|² needs only sums of entries of the Gram matrix. Resampling groups costs no new
products of rows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

Tensor = torch.Tensor

_TIE = 1e-10  # squared distances this near, relative to the rows' own size, are equal but for rounding


class Sums(NamedTuple):
    """Sums over rows of one group and item.

    rows (n, n_rows, n_groups, n_items): of products with each row. groups (n, n_groups, n_items, n_groups): of products between two
    groups in one item. own (n, n_rows): squared length. counts (n_groups, n_items). group (n_rows,); item (n or 1, n_rows).
    """

    rows: Tensor
    groups: Tensor
    own: Tensor
    counts: Tensor
    group: Tensor
    item: Tensor


class Held(NamedTuple):
    """What was found with groups held out, for each group weighting.

    shares (n_draws, n, n_rows, n_items): share of each item in the assignment of a row, ties split evenly; NaN where nothing could be
    assigned. inner (n_draws, n, n_groups): inside all groups but this one, the accuracy of leaving out a second one, plus 1e-7 of the mean
    margin, which orders equal accuracies.
    """

    shares: Tensor
    inner: Tensor | None


def group_sums(gram: Tensor, group: Tensor, item: Tensor) -> Sums:
    """Sum Gram matrices (n, n_rows, n_rows) over the rows of each group and item.

    Parameters
    ----------
    gram : Tensor of shape (n, n_rows, n_rows)
    group : Tensor of shape (n_rows,)
        Codes from 0.
    item : Tensor of shape (n_rows,) or (n_labellings, n_rows)
        Codes from 0. Several labellings must hold as many rows of each item in each group; they give n_labellings × n sums, those of the
        first labelling first.
    """
    labels = item[None] if item.ndim == 1 else item
    n_groups, n_items = int(group.max()) + 1, int(item.max()) + 1
    member = torch.zeros(len(labels), 1, len(group), n_groups * n_items, dtype=gram.dtype, device=gram.device)
    member.scatter_(-1, (group * n_items + labels)[:, None, :, None], 1.0)
    rows = gram @ member
    between = (member.mT @ rows).reshape(-1, n_groups, n_items, n_groups, n_items)
    groups = torch.diagonal(between, dim1=2, dim2=4).permute(0, 1, 3, 2)
    own = torch.diagonal(gram, dim1=1, dim2=2).repeat(len(labels), 1)
    counts = member[0, 0].sum(0).reshape(n_groups, n_items)
    codes = labels if item.ndim == 1 else labels.repeat_interleave(len(gram), dim=0)
    return Sums(rows.reshape(len(own), -1, n_groups, n_items), groups, own, counts, group, codes)


def leave_one_out(sums: Sums, weights: Tensor, *, nested: bool = False) -> Held:
    """Assign each row to the nearest centroid of the other groups.

    Parameters
    ----------
    sums : Sums
    weights : Tensor of shape (n_draws, n_groups)
        How often each group comes.
    nested : bool
        Also leave out pairs of groups.

    Returns
    -------
    Held
    """
    group = sums.group
    total_rows = torch.einsum("nrtc,bt->bnrc", sums.rows, weights)
    toward = torch.einsum("nsct,bt->bnsc", sums.groups, weights)  # products of one group's sums with everything
    everything = torch.einsum("bnsc,bs->bnc", toward, weights)
    counted = (weights @ sums.counts)[:, None]
    mine = weights[:, None, :, None]
    self_products = torch.diagonal(sums.groups, dim1=1, dim2=3).permute(0, 2, 1)
    # without the group itself
    cross = total_rows - weights[:, group][:, None, :, None] * sums.rows[:, torch.arange(len(group)), group]
    square = everything[:, :, None] - 2 * mine * toward + mine**2 * self_products
    count = (counted - weights[..., None] * sums.counts)[:, None]
    distances = _distances(sums.own, cross, square[:, :, group], count[:, :, group])
    shares = _shares(distances, sums.own)
    if not nested:
        return Held(shares, None)
    inner = [_inner(sums, weights, s, cross, square, count, toward) for s in range(weights.shape[1])]
    return Held(shares, torch.stack(inner, dim=-1))


def true_shares(shares: Tensor, item: Tensor) -> Tensor:
    """Return the share (n_draws, n, n_rows) that went to each row's own item, by codes (n or 1, n_rows)."""
    return torch.gather(shares, -1, item.expand(shares.shape[:-1])[..., None])[..., 0]


def _inner(sums: Sums, weights: Tensor, s: int, cross: Tensor, square: Tensor, count: Tensor, toward: Tensor) -> Tensor:
    """Return the accuracy (n_draws, n) of the rows of the other groups, centroids being without their group and without group s."""
    rest = torch.nonzero(sums.group != s)[:, 0]
    group = sums.group[rest]
    own = weights[:, s][:, None, None, None]
    cross = cross[:, :, rest] - own * sums.rows[:, rest, s]
    shared = toward[:, :, s][:, :, None] - weights[:, None, :, None] * sums.groups[:, s].permute(0, 2, 1)[None]
    square = square - 2 * own * shared + own**2 * sums.groups[:, s, :, s][:, None]
    count = count - own * sums.counts[s]
    distances = _distances(sums.own[:, rest], cross, square[:, :, group], count[:, :, group])
    item = sums.item[:, rest]
    right = true_shares(_shares(distances, sums.own[:, rest]), item)
    mine = torch.gather(distances, -1, item.expand(distances.shape[:-1])[..., None])[..., 0]
    best = distances.scatter(-1, item.expand(distances.shape[:-1])[..., None], torch.inf).amin(-1)
    margin = torch.nan_to_num((best - mine) / (best + mine), nan=0.0)
    times = weights[:, group][:, None]
    known = times * ~torch.isnan(right)
    total = known.sum(-1)
    return (known * torch.nan_to_num(right + 1e-7 * margin)).sum(-1) / torch.where(total > 0, total, torch.full_like(total, torch.nan))


def _distances(own: Tensor, cross: Tensor, square: Tensor, count: Tensor) -> Tensor:
    """Return squared distances (n_draws, n, n_rows, n_items) to centroids; infinite where an item has none."""
    n = torch.where(count > 0.5, count, torch.ones_like(count))
    squared = own[..., None] - 2 * cross / n + square / n**2
    return torch.where(count > 0.5, squared.clamp(min=0.0), torch.full_like(squared, torch.inf))


def _shares(distances: Tensor, own: Tensor) -> Tensor:
    nearest = distances.amin(-1, keepdim=True)
    near = (distances <= nearest + _TIE * own.mean(-1)[:, None, None]).to(distances.dtype)
    shares = near / near.sum(-1, keepdim=True)
    return torch.where(torch.isinf(nearest), torch.full_like(shares, torch.nan), shares)
