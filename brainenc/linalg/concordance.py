"""Kendall's counts of concordant and discordant pairs in O(n log n), for many vectors at once and with multiplicities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
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
    weights = torch.ones(x.shape[1], dtype=torch.float64, device=x.device) if weights is None else weights.to(torch.float64)
    return concordance_of_ranks(dense_ranks(x), dense_ranks(y), weights)


def concordance_of_ranks(x: Tensor, y: Tensor, weights: Tensor) -> Concordance:
    """Return the counts of integers 0 … n - 1, as `dense_ranks` gives them."""
    b, n = x.shape
    weights = weights.expand(b, n)
    both = x * n + y
    order = _argsort(both)
    x, y, both, heavy = (torch.gather(part, -1, order) for part in (x, y, both, weights))
    mass = weights.sum(dim=-1)
    swapped, tied_y = _swapped_and_tied(y, heavy)
    tied_x, tied_both = _tied(x, heavy), _tied(both, heavy)
    total = mass * (mass - 1) / 2
    return Concordance(total - tied_x - tied_y + tied_both - 2 * swapped, tied_x, tied_y, total)


def inversions(values: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_{i<j} w_i w_j [v_i > v_j] of each row (b, n).

    Sorted once by value, the places of origin are parted stably into their left and right halves, again and again: at each level the
    left ones that stand after a right one are inversions. Runs of 16 are compared directly.

    Parameters
    ----------
    values, weights : Tensor of shape (b, n)
    """
    return _swapped_and_tied(values, weights)[0]


def _swapped_and_tied(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the inversions and the pairs of equal values of each row."""
    b, n = values.shape
    levels = max(0, (max(n, 1) - 1).bit_length() - _SMALL.bit_length() + 1)
    size = -(-n // 2**levels)  # length of the shortest runs
    width = size * 2**levels
    # places that fill up the last run weigh nothing
    padded = torch.zeros((b, width), dtype=torch.float64, device=values.device)
    padded[:, :n] = weights
    # equal values keep their order, so that they are no inversions
    order = _argsort(values.to(torch.int64) * n + torch.arange(n, device=values.device))
    tied = _tied(torch.gather(values, 1, order), torch.gather(weights, 1, order))
    place = torch.cat([order, torch.arange(n, width, device=values.device).expand(b, -1)], dim=1)
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
    return found, tied


def _part(values: Tensor, right: Tensor, b: int, half: int) -> Tensor:
    """Move the left ones of each block before its right ones, each in their order; both fill exactly half of it."""
    left = values[~right].reshape(b, -1, 1, half)
    return torch.cat([left, values[right].reshape(b, -1, 1, half)], dim=2).reshape(b, -1)


def dense_ranks(values: Tensor) -> Tensor:
    """Return integers 0 … in the order of the values (b, n), equal ones sharing one."""
    order = _argsort(values)
    ordered = torch.gather(values, -1, order)
    steps = torch.zeros_like(order)
    steps[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).cumsum(dim=-1)
    return torch.empty_like(steps).scatter_(-1, order, steps)


def _tied(ordered: Tensor, weights: Tensor) -> Tensor:
    """Return the number of pairs of equal values in each row, equal ones standing together; copies of one value are equal too."""
    run = torch.zeros(ordered.shape, dtype=torch.int64, device=ordered.device)
    run[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).cumsum(dim=-1)
    mass = torch.zeros_like(weights).scatter_add_(-1, run, weights)
    return (mass * (mass - 1) / 2).sum(dim=-1)


def _argsort(values: Tensor) -> Tensor:
    if values.device.type == "cpu":
        # numpy's vectorised argsort of the CPU takes half of the time; what is equal needs no order
        return torch.from_numpy(np.argsort(values.numpy(), axis=-1))
    return torch.argsort(values, dim=-1)
