"""Ranks and pairs: what every comparison of condensed RDMs shares."""

from __future__ import annotations

import numpy as np
import torch

Tensor = torch.Tensor


def midranks(values: Tensor) -> Tensor:
    """Return the ranks 1 … n along the last axis, ties sharing the mean of theirs, in float64.

    Parameters
    ----------
    values : Tensor of shape (…, n)
        Finite numbers.

    Examples
    --------
    >>> midranks(torch.tensor([0.3, 0.1, 0.3])).tolist()
    [2.5, 1.0, 2.5]
    """
    if values.shape[-1] == 0:
        return values.to(torch.float64)
    if values.device.type == "cpu":
        # numpy's vectorised argsort of the CPU takes a third of the time; ties share a rank, so it need not be stable
        order = torch.from_numpy(np.argsort(values.detach().numpy(), axis=-1))
    else:
        order = torch.argsort(values, dim=-1)
    ordered = torch.gather(values, -1, order)
    tied = (ordered[..., 1:] == ordered[..., :-1]).any()
    places = _shared_places(ordered) if tied else torch.arange(1, values.shape[-1] + 1, dtype=torch.float64, device=values.device).expand_as(order)
    return torch.empty(values.shape, dtype=torch.float64, device=values.device).scatter_(-1, order, places)


def _shared_places(ordered: Tensor) -> Tensor:
    """Return the rank of each of the sorted values (…, n): the mean of the first and the last place of its run of equal ones."""
    n = ordered.shape[-1]
    fresh = torch.ones_like(ordered, dtype=torch.bool)
    fresh[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    places = torch.arange(n, device=ordered.device).expand_as(ordered)
    first = torch.where(fresh, places, torch.zeros_like(places)).cummax(dim=-1).values
    last_seen = torch.ones_like(fresh)
    last_seen[..., :-1] = fresh[..., 1:]
    last = torch.where(last_seen, places, torch.full_like(places, n)).flip(-1).cummin(dim=-1).values.flip(-1)
    return (first + last).to(torch.float64) / 2 + 1


def n_of_pairs(n_pairs: int) -> int:
    """Return how many conditions have ``n_pairs`` = n (n - 1) / 2 pairs.

    Raises
    ------
    ValueError
        When no number of conditions does.
    """
    n = round((1 + (1 + 8 * n_pairs) ** 0.5) / 2)
    if n * (n - 1) // 2 != n_pairs:
        raise ValueError(f"{n_pairs} is not the number of pairs of any number of conditions")
    return n


def to_square(condensed: Tensor, diagonal: float = 0.0) -> Tensor:
    """Return symmetric matrices (…, n, n) of condensed vectors (…, n (n - 1) / 2), pairs (0, 1), (0, 2) … row by row."""
    n = n_of_pairs(condensed.shape[-1])
    rows, columns = torch.triu_indices(n, n, 1, device=condensed.device)
    full = torch.full((*condensed.shape[:-1], n, n), diagonal, dtype=condensed.dtype, device=condensed.device)
    full[..., rows, columns] = condensed
    full[..., columns, rows] = condensed
    return full


def to_condensed(square: Tensor) -> Tensor:
    """Return the upper triangles (…, n (n - 1) / 2) of matrices (…, n, n), row by row."""
    n = square.shape[-1]
    rows, columns = torch.triu_indices(n, n, 1, device=square.device)
    return square[..., rows, columns]
