"""Centred kernel alignment of nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch

from brainenc.linalg.similarity import row_blocks
from brainenc.rsa.similarity._neighbours import Neighbours, neighbours_of, reorder
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "cknna", "prepare", "reorder"]

KIND = "similarity"
SYMMETRIC = True
IDENTITY = 1.0
INVARIANT = {"x": ("scale", "rotation"), "y": ("scale", "rotation")}


def cknna(X: Any, Y: Any, *, k: int = 10, nearness: str = "cosine", memory: str | int | float | None = None, device: str = "auto") -> Any:
    """Return CKA restricted to pairs of stimuli that are near neighbours in both representations.

    A(K, L) / √(A(K, K) A(L, L)), A(K, L) = Σ_ij α_ij K̄_ij L̄_ij, where α_ij is 1 if j ≠ i is one of the k nearest neighbours of i in both
    X and Y, and K̄, L̄ are the centred similarities: K̄_ij = K_ij − mean_l K_il of features about their mean. With k = n − 1 it is the
    linear CKA without the diagonal. After the formula of Huh et al. 2024, from memory; their released code takes the HSIC of masked
    matrices instead, which gives other numbers.

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    k : int
        Neighbours, 1 to n − 1.
    nearness : {"cosine", "inner"}
        Neighbours, and the kernel: features scaled to length one, or as they are. They are centred after that, for the kernel only.
    memory : str, int or float, optional
        Similarities are formed in blocks of rows.
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs where either side is a mapping; 0 where no pair is near in both.

    References
    ----------
    Huh, Cheung, Wang & Isola (2024), arXiv:2405.07987.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 3))
    >>> round(cknna(x, 2 * x, k=5), 6)
    1.0
    """
    return measure("cknna", X, Y, k=k, nearness=nearness, memory=memory, device=device)


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, k: int = 10, nearness: str = "cosine") -> Neighbours:
    """Return the neighbours of one side and its centred points."""
    found = neighbours_of(x, k, nearness, allowed=("cosine", "inner"), memory=memory, device=device)
    return found._replace(points=found.points - found.points.mean(dim=0))


def between(a: Neighbours, b: Neighbours) -> float:
    """Return the alignment over common neighbours."""
    cross, first, second = _aligned(a, b), _aligned(a, a), _aligned(b, b)
    return cross / (first * second) ** 0.5 if first > 0 and second > 0 else float("nan")


def _aligned(a: Neighbours, b: Neighbours) -> float:
    total = 0.0
    n, k = a.near.shape
    width = 8 * k * max(k // 8 + 1, a.points.shape[1], b.points.shape[1])
    for rows in row_blocks(n, 2 * width, a.memory):
        index = a.near[rows]
        common = (index[:, :, None] == b.near[rows][:, None, :]).any(dim=2)
        own = torch.einsum("ip,ikp->ik", a.points[rows], a.points[index])
        other = own if b is a else torch.einsum("ip,ikp->ik", b.points[rows], b.points[index])
        total += float((common * own * other).sum())
    return total
