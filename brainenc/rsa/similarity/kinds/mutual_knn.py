"""Mutual nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.linalg.similarity import neighbour_mask
from brainenc.rsa.similarity._neighbours import Neighbours, neighbours_of, reorder
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "mutual_knn", "nulls", "prepare", "reorder"]

KIND = "similarity"
SYMMETRIC = True
IDENTITY = 1.0
INVARIANT = {"x": ("scale", "rotation"), "y": ("scale", "rotation")}


def mutual_knn(X: Any, Y: Any, *, k: int = 10, nearness: str = "cosine", memory: str | int | float | None = None, device: str = "auto") -> Any:
    """Return the mean share of the k nearest neighbours of a stimulus that two representations have in common.

    (1 / n) Σ_i |N_X(i) ∩ N_Y(i)| / k, where N(i) are the k nearest other stimuli. Unrelated representations have k / (n − 1) on average.

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    k : int
        Neighbours, 1 to n − 1. A tie for the last place goes to the first stimulus.
    nearness : {"cosine", "euclidean", "inner"}
        The cosine is that of the features as given, not centred; "inner" is their inner product.
    memory : str, int or float, optional
        Distances are formed in blocks of rows.
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs where either side is a mapping.

    References
    ----------
    Huh, Cheung, Wang & Isola (2024), arXiv:2405.07987.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 3))
    >>> mutual_knn(x, 2 * x, k=5)
    1.0
    """
    return measure("mutual_knn", X, Y, k=k, nearness=nearness, memory=memory, device=device)


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, k: int = 10, nearness: str = "cosine") -> Neighbours:
    """Return the neighbours of one side."""
    return neighbours_of(x, k, nearness, allowed=("cosine", "euclidean", "inner"), memory=memory, device=device)


def between(a: Neighbours, b: Neighbours) -> float:
    """Return the mean overlap."""
    step = max(1, 2**24 // a.near.shape[1] ** 2)
    common = sum(
        int((a.near[i : i + step, :, None] == b.near[i : i + step, None, :]).sum()) for i in range(0, len(a.near), step)
    )  # fmt: skip
    return common / a.near.numel()


def nulls(sides: Sequence[Neighbours], b: Neighbours, orders: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return overlaps (n_orders, n_sides) under many orders of the rows of ``b``: neighbours are looked up in one table a side."""
    tables = [neighbour_mask(a.near) for a in sides]
    out = np.empty((len(orders), len(sides)))
    for number, order in enumerate(orders):
        near = reorder(b, order).near
        out[number] = [float(table.gather(1, near).sum()) / near.numel() for table in tables]
    return out
