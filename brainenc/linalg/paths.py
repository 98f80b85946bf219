"""Shortest paths between all nodes of many dense graphs at once."""

from __future__ import annotations

import torch

Tensor = torch.Tensor

_CACHE_BYTES = 2**20  # matrices worked on together fit the second-level cache: Floyd-Warshall passes over them n times


def shortest_paths(lengths: Tensor) -> Tensor:
    """Return the lengths of the shortest paths between all pairs of nodes (Floyd-Warshall, batched).

    D ← min(D, D[:, k] + D[k, :]) for k = 1 … n, which is exact for lengths that are not negative. An edge of length 0 is an edge;
    no edge is infinity.

    Parameters
    ----------
    lengths : Tensor of shape (…, n, n)
        Length of the edge from row to column, at least 0; infinity where there is none. The diagonal is taken as 0.

    Returns
    -------
    Tensor of shape (…, n, n)
        In the dtype of ``lengths``; infinity between nodes that no path joins.

    Raises
    ------
    ValueError
        For matrices that are not square, and for negative or missing lengths.

    References
    ----------
    Floyd (1962) doi:10.1145/367766.368168

    Examples
    --------
    >>> inf = float("inf")
    >>> shortest_paths(torch.tensor([[0.0, 1.0, inf], [1.0, 0.0, 0.0], [inf, 0.0, 0.0]]))[0].tolist()
    [0.0, 1.0, 1.0]
    """
    if lengths.ndim < 2 or lengths.shape[-1] != lengths.shape[-2]:
        raise ValueError(f"lengths must be square matrices, not of shape {tuple(lengths.shape)}")
    if not bool((lengths >= 0).all()):
        raise ValueError("lengths must be numbers of at least 0, and infinity where there is no edge")
    n = lengths.shape[-1]
    out = lengths.reshape(-1, n, n).clone()
    out.diagonal(dim1=-2, dim2=-1).zero_()
    step = max(1, _CACHE_BYTES // max(1, n * n * out.element_size()))
    for start in range(0, len(out), step):
        _relax(out[start : start + step])
    return out.reshape(lengths.shape)


def _relax(paths: Tensor) -> None:
    """Relax paths (batch, n, n) over every node, in place."""
    through = torch.empty_like(paths)
    for k in range(paths.shape[-1]):
        torch.add(paths[:, :, k : k + 1], paths[:, k : k + 1, :], out=through)
        torch.minimum(paths, through, out=paths)
