"""Kendall's counts of concordant and discordant pairs in O(n log n), for many vectors at once and with multiplicities."""

from __future__ import annotations

from typing import NamedTuple

import torch

Tensor = torch.Tensor
_SMALL = 16


class Concordance(NamedTuple):
    """Pairs of values: concordant minus discordant, tied in x, tied in y, and all pairs; each of shape (b,)."""

    difference: Tensor
    tied_x: Tensor
    tied_y: Tensor
    total: Tensor


def concordance(x: Tensor, y: Tensor, weights: Tensor | None = None) -> Concordance:
    """Count Σ_{a<b} sign(x_a − x_b) sign(y_a − y_b) over rows, and the ties.

    Sorted by (x, y), the discordant pairs are the inversions of y, which are counted half by half: con − dis = all − tied in x − tied in y
    + tied in both − 2 dis. With multiplicities each value stands for that many equal ones.

    Parameters
    ----------
    x, y : Tensor of shape (b, n)
    weights : Tensor of shape (n,) or (b, n), optional
        Multiplicities.

    Examples
    --------
    >>> concordance(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 3.0, 2.0]])).difference.tolist()
    [1.0]
    """
    b, n = x.shape
    weights = torch.ones(n, dtype=torch.float64, device=x.device) if weights is None else weights.to(torch.float64)
    weights = weights.expand(b, n)
    rank_x, rank_y = _dense_ranks(x), _dense_ranks(y)
    both = rank_x * n + rank_y
    tied_x, tied_y, tied_both = (_tied(code, weights) for code in (rank_x, rank_y, both))
    order = torch.argsort(both, dim=-1)
    mass = weights.sum(dim=-1)
    total = mass * (mass - 1) / 2
    swapped = inversions(torch.gather(rank_y, -1, order), torch.gather(weights, -1, order))
    return Concordance(total - tied_x - tied_y + tied_both - 2 * swapped, tied_x, tied_y, total)


def inversions(values: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_{i<j} w_i w_j [v_i > v_j] of each row (b, n).

    Sorted once by value, the places of origin are parted stably into their left and right halves, again and again: at each level the
    left ones that stand after a right one are inversions. Runs of 16 are compared directly.

    Parameters
    ----------
    values, weights : Tensor of shape (b, n)
    """
    b, n = values.shape
    levels = max(0, (max(n, 1) - 1).bit_length() - _SMALL.bit_length() + 1)
    size = -(-n // 2**levels)  # length of the shortest runs
    width = size * 2**levels
    # places that fill up the last run weigh nothing
    padded = torch.zeros((b, width), dtype=torch.float64, device=values.device)
    padded[:, :n] = weights
    place = torch.arange(n, width, device=values.device).expand(b, -1)
    place = torch.cat([torch.sort(values, dim=-1, stable=True).indices, place], dim=1)
    heavy = torch.gather(padded, 1, place)
    found = torch.zeros(b, dtype=torch.float64, device=values.device)
    for level in range(levels - 1, -1, -1):
        half = size * 2**level
        right = (place // half) % 2 == 1
        left_mass = torch.where(right, 0.0, heavy).reshape(b, -1, 2 * half)
        before = left_mass.cumsum(dim=-1)
        after = before[..., -1:] - before
        found += (torch.where(right, heavy, 0.0).reshape(b, -1, 2 * half) * after).sum(dim=(1, 2))
        place, heavy = _part(place, right, b, half), _part(heavy, right, b, half)
    runs, mass = place.reshape(b, -1, size), heavy.reshape(b, -1, size)
    for shift in range(1, size):
        found += (mass[..., :-shift] * mass[..., shift:] * (runs[..., :-shift] > runs[..., shift:])).sum(dim=(1, 2))
    return found


def _part(values: Tensor, right: Tensor, b: int, half: int) -> Tensor:
    """Move the left ones of each block before its right ones, each in their order; both fill exactly half of it."""
    left = values[~right].reshape(b, -1, 1, half)
    return torch.cat([left, values[right].reshape(b, -1, 1, half)], dim=2).reshape(b, -1)


def _dense_ranks(values: Tensor) -> Tensor:
    """Return integers 0 … in the order of the values (b, n), equal ones sharing one."""
    ordered, order = torch.sort(values, dim=-1)
    steps = torch.zeros_like(order)
    steps[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).cumsum(dim=-1)
    return torch.empty_like(steps).scatter_(-1, order, steps)


def _tied(codes: Tensor, weights: Tensor) -> Tensor:
    """Return the number of pairs of equal codes in each row, copies of one value included."""
    ordered, order = torch.sort(codes, dim=-1)
    heavy = torch.gather(weights, -1, order)
    run = torch.zeros_like(order)
    run[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).cumsum(dim=-1)
    mass = torch.zeros_like(heavy).scatter_add_(-1, run, heavy)
    return (mass * (mass - 1) / 2).sum(dim=-1)
