"""Which rows are near which: what the neighbour measures share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.linalg.device import to_tensor
from brainenc.linalg.similarity import nearest, unit_rows
from brainenc.rsa.similarity._kernels import FLOAT64, centred_columns

Tensor = torch.Tensor


class Neighbours(NamedTuple):
    """Positions (n, k) of the nearest rows of each row, and the points (n, p) whose products are the similarities."""

    near: Tensor
    points: Tensor
    memory: int


def neighbours_of(x: npt.NDArray[Any], k: int, nearness: str, *, allowed: tuple[str, ...], memory: int, device: torch.device) -> Neighbours:
    """Return the ``k`` nearest neighbours of each row."""
    one_of(nearness, allowed, "nearness")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k < len(x):
        raise InputError("k is a number of other samples", where="k", expected=f"1 to {len(x) - 1}", got=repr(k))
    if nearness == "euclidean":
        points = centred_columns(x, slice(None), device)
    else:
        points = to_tensor(x, FLOAT64, device)
        if nearness == "cosine":
            points = unit_rows(points)
            if not bool(torch.isfinite(points).all()):
                zero = int((~torch.isfinite(points)).any(dim=1).sum())
                raise InputError("a row of zeros has no cosine with any other", where="nearness='cosine'", got=f"{zero} rows", fix="use nearness='euclidean'")
    return Neighbours(nearest(points, int(k), squared_euclidean=nearness == "euclidean", memory=memory), points, memory)


def reorder(state: Neighbours, order: npt.NDArray[np.intp]) -> Neighbours:
    """Return the neighbours with the rows in another order."""
    place = torch.from_numpy(np.ascontiguousarray(order)).to(state.near.device)
    new = torch.empty_like(place)
    new[place] = torch.arange(len(place), device=place.device)
    return state._replace(near=new[state.near[place]], points=state.points[place])
