"""Mid-ranks of values that come with multiplicities: each vector is sorted once, whatever the number of samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

Tensor = torch.Tensor


class Sorted(NamedTuple):
    """Vectors (t, p) in order, as flat positions that one `index_select` reads.

    ``order``: the values from small to large. ``first`` and ``after``: for each value, the place of the first of its run of equal values
    and the place after the last, counted in rows of p + 1. ``tied``: whether any values are equal.
    """

    order: Tensor
    first: Tensor
    after: Tensor
    shape: tuple[int, int]
    tied: bool


def sorted_runs(values: Tensor) -> Sorted:
    """Sort vectors (t, p) once.

    Examples
    --------
    >>> sorted_runs(torch.tensor([[0.3, 0.1, 0.3]])).after.tolist()
    [3, 1, 3]
    """
    t, p = values.shape
    kind = torch.int32 if t * (p + 1) < 2**31 else torch.int64
    order, first, after = (torch.empty((t, p), dtype=kind, device=values.device) for _ in range(3))
    tied = False
    for row, one in enumerate(values):  # one at a time: the sort of all at once would hold many arrays of this size
        order[row] = places = _argsort(one)
        starts, stops, any_tied = _runs(one[places])
        first[row, places], after[row, places] = (starts + row * (p + 1)).to(kind), (stops + row * (p + 1)).to(kind)
        tied = tied or any_tied
    return Sorted(order.reshape(-1), first.reshape(-1), after.reshape(-1), (t, p), tied)


def weighted_midranks(runs: Sorted, weights: Tensor) -> Tensor:
    """Return the mid-ranks (t, p) that the values have when each comes ``weights`` times (p,).

    rank = weight before the run + (weight of the run + 1) / 2, so copies of a value are ties. Values of weight 0 have a rank between
    those of their neighbours, and count nowhere.
    """
    t, p = runs.shape
    before = _cumulative(weights.index_select(0, runs.order).reshape(t, p)).reshape(-1)
    high = before.index_select(0, runs.after).reshape(t, p)
    if not runs.tied:
        return high.sub_((weights - 1) / 2)
    low = before.index_select(0, runs.first).reshape(t, p)
    return high.add_(low).add_(1.0).mul_(0.5)


def weighted_midranks_of(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mid-ranks (t, p) of vectors (t, p) whose values come ``weights`` times (p,), sorting them now."""
    order = _argsort(values)
    ordered = torch.gather(values, -1, order)
    before = _cumulative(weights.index_select(0, order.reshape(-1)).reshape(values.shape))
    low, high = _share(before, ordered[..., 1:] == ordered[..., :-1])
    return torch.empty_like(low).scatter_(-1, order, (low + high).add_(1.0).mul_(0.5))


def _share(before: Tensor, tied: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight before the run of each sorted value, and up to its end; ``tied`` (t, p - 1) says which are equal to the next."""
    low, high = before[..., :-1].clone(), before[..., 1:].clone()
    rows, places = torch.nonzero(tied, as_tuple=True)
    if not len(rows):
        return low, high
    if 20 * len(rows) > tied.numel():
        fresh = torch.ones(low.shape, dtype=torch.bool, device=low.device)
        fresh[..., 1:] = ~tied
        last = torch.ones_like(fresh)
        last[..., :-1] = ~tied
        low = torch.where(fresh, low, 0.0).cummax(dim=-1).values
        high = torch.where(last, high, torch.inf).flip(-1).cummin(dim=-1).values.flip(-1)
        return low, high
    # few ties: each step reaches one value further into the runs
    longest = tied
    while bool(longest.any()):
        low[rows, places + 1] = low[rows, places]
        high[rows, places] = high[rows, places + 1]
        longest = longest[..., 1:] & tied[..., : longest.shape[-1] - 1]
    return low, high


def _runs(ordered: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Return the first place of the run of each sorted value, the place after its last, and whether any run is longer than one."""
    n = ordered.shape[-1]
    places = torch.arange(n, device=ordered.device).expand(ordered.shape)
    tied = ordered[..., 1:] == ordered[..., :-1]
    if not bool(tied.any()):
        return places, places + 1, False
    fresh = torch.ones_like(ordered, dtype=torch.bool)
    fresh[..., 1:] = ~tied
    last = torch.ones_like(fresh)
    last[..., :-1] = fresh[..., 1:]
    first = torch.where(fresh, places, torch.zeros_like(places)).cummax(dim=-1).values
    after = torch.where(last, places + 1, torch.full_like(places, n)).flip(-1).cummin(dim=-1).values.flip(-1)
    return first, after, True


def _cumulative(weights: Tensor) -> Tensor:
    """Return the weight before each place, and after the last (…, p + 1)."""
    before = torch.zeros((*weights.shape[:-1], weights.shape[-1] + 1), dtype=weights.dtype, device=weights.device)
    torch.cumsum(weights, dim=-1, out=before[..., 1:])
    return before


def _argsort(values: Tensor) -> Tensor:
    if values.device.type == "cpu":
        # numpy's vectorised argsort of the CPU takes a third of the time; runs of equal values need no order
        return torch.from_numpy(np.argsort(values.detach().numpy(), axis=-1))
    return torch.argsort(values, dim=-1)
