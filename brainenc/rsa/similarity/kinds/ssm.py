"""Similarity of similarity matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.linalg.device import to_tensor
from brainenc.linalg.ranks import midranks, to_square
from brainenc.linalg.similarity import permuted, unit_rows
from brainenc.rsa.similarity._kernels import FLOAT64
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "nulls", "prepare", "reorder", "ssm"]

KIND = "similarity"
SYMMETRIC = True
IDENTITY = 1.0
INVARIANT = {"x": ("scale",), "y": ("scale",)}


class Ranked(NamedTuple):
    """Centred ranks (n, n) of the entries of a similarity matrix, with zeros on the diagonal where it is left out."""

    ranks: torch.Tensor


def ssm(
    X: Any, Y: Any, *, diagonal: bool = False, similarity: str = "pearson", memory: str | int | float | None = None, device: str = "auto"
) -> Any:
    """Return Spearman's correlation of two image-by-image similarity matrices.

    Entry (i, j) of a matrix is the correlation of the response patterns to stimuli i and j; the two matrices are compared by Spearman's
    correlation (ties share the mean of their ranks). After the mouse-cortex comparison of Shi, Shea-Brown & Buice 2019; whether they left
    the diagonal out is not verified, hence both conventions.

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    diagonal : bool
        False: each pair once, without the diagonal. True: the whole matrices flattened, each pair twice and the ones of the diagonal
        once, which raises the value, the more the fewer stimuli there are.
    similarity : {"pearson", "cosine"}
        Of patterns. Pearson's depends on the basis of the features (a rotation changes the mean over features); the cosine does not.
    memory : str, int or float, optional
        Not used: n × n ranks are needed.
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs where either side is a mapping. NaN where all pairs are equally similar.

    Raises
    ------
    InputError
        Where a stimulus has a constant pattern (zeros, for the cosine), which correlates with nothing.

    References
    ----------
    Shi, Shea-Brown & Buice (2019), NeurIPS 32; the similarity matrices are those of Kriegeskorte (2008), doi:10.3389/neuro.06.004.2008.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((10, 6))
    >>> round(ssm(x, 2 * x), 6)
    1.0
    """
    return measure("ssm", X, Y, diagonal=diagonal, similarity=similarity, memory=memory, device=device)


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, diagonal: bool = False, similarity: str = "pearson") -> Ranked:
    """Return the centred ranks of one side, scaled to length one."""
    one_of(similarity, ("pearson", "cosine"), "similarity")
    if len(x) < 3:
        raise InputError("three stimuli are needed for more than one pair", where="ssm", got=len(x))
    points = to_tensor(x, FLOAT64, device)
    if similarity == "pearson":
        scale = points.abs().amax(dim=1)
        points = points - points.mean(dim=1, keepdim=True)
        points[points.abs().amax(dim=1) <= 4 * np.finfo(np.float64).eps * scale] = 0.0
    points = unit_rows(points)
    constant = int((~torch.isfinite(points)).any(dim=1).sum())
    if constant:
        raise InputError("a constant pattern has no correlation with any other", where="ssm", got=f"{constant} of {len(x)} stimuli", fix="leave these out")
    rows, columns = torch.triu_indices(len(x), len(x), 1, device=device)
    pairs = (points @ points.T)[rows, columns]
    ranks = _with_diagonal(pairs, len(x)) if diagonal else to_square(midranks(pairs) - (len(pairs) + 1) / 2)
    length = ranks.square().sum().sqrt()
    return Ranked(ranks / (length if length > 0 else torch.nan))


def between(a: Ranked, b: Ranked) -> float:
    """Return the correlation of the ranks."""
    return float((a.ranks * b.ranks).sum())


def reorder(state: Ranked, order: npt.NDArray[np.intp]) -> Ranked:
    """Return the ranks with the stimuli in another order."""
    place = torch.from_numpy(np.ascontiguousarray(order)).to(state.ranks.device)
    return Ranked(state.ranks[place][:, place])


def nulls(sides: Sequence[Ranked], b: Ranked, orders: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return correlations (n_orders, n_sides) under many orders of the stimuli of ``b``: gathered once for all sides, in batches."""
    n = len(b.ranks)
    place = torch.from_numpy(np.ascontiguousarray(orders)).to(b.ranks.device)
    left = torch.stack([a.ranks.reshape(-1) for a in sides], dim=1)
    parts = [permuted(b.ranks, m).reshape(len(m), -1) @ left for m in place.split(max(1, 2**22 // n**2))]
    return torch.cat(parts).cpu().numpy()


def _with_diagonal(pairs: torch.Tensor, n: int) -> torch.Tensor:
    """Return centred ranks of the flattened matrix: exactly symmetric, with exact ones on the diagonal."""
    full = to_square(pairs, diagonal=1.0)
    return (midranks(full.reshape(-1)) - (n**2 + 1) / 2).reshape(n, n)
