"""Centred kernels of one side, held as features, as a Gram matrix, or made block by block: what CKA and distance correlation share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.rng import generator
from brainenc.linalg.device import to_tensor
from brainenc.linalg.similarity import double_centre_, hsic, permuted, row_blocks, squared_cross, squared_distances

Tensor = torch.Tensor
FLOAT64 = np.dtype(np.float64)
MEDIAN_ROWS = 2048
BLOCK = 2**21


class Kernel(NamedTuple):
    """A double-centred kernel: exactly one of ``features`` (K = XX'), ``gram`` and ``points`` (K formed in blocks) is there."""

    features: Tensor | None
    gram: Tensor | None
    points: Tensor | None
    means: Tensor | None
    diagonal: Tensor
    norm: float
    name: str
    sigma: float | None
    debiased: bool
    memory: int

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.diagonal)


def kernel_of(
    x: npt.NDArray[Any], name: str, *, estimator: str, sigma: float | str, fraction: float, memory: int, device: torch.device
) -> Kernel:
    """Return the centred kernel of one side; the linear one as features or Gram, whichever is smaller."""
    one_of(estimator, ("biased", "debiased"), "estimator")
    _enough(len(x), estimator)
    debiased = estimator == "debiased"
    if name == "linear":
        if x.shape[1] < len(x):
            features = centred_columns(x, slice(None), device)
            return _finished(Kernel(features, None, None, None, features.square().sum(dim=1), 0.0, name, None, debiased, memory))
        gram = torch.zeros((len(x), len(x)), dtype=torch.float64, device=device)
        for part in row_blocks(x.shape[1], 16 * len(x), memory):
            columns = centred_columns(x, part, device)
            gram += columns @ columns.T
        return of_gram(gram, Kernel(None, gram, None, None, gram.diagonal(), 0.0, name, None, debiased, memory))
    points = centred_columns(x, slice(None), device)
    width = None if name == "distance" else bandwidth(points, sigma, fraction)
    return _of_points(Kernel(None, None, points, None, points[:, 0], 0.0, name, width, debiased, memory))


def _of_points(kernel: Kernel) -> Kernel:
    """Return the kernel of points: as a Gram matrix where that fits, else with the row means that centre its blocks."""
    if 12 * kernel.n**2 <= kernel.memory:
        gram = torch.empty((kernel.n, kernel.n), dtype=torch.float64, device=kernel.diagonal.device)
        for rows in row_blocks(kernel.n, 8 * kernel.n, BLOCK):  # small blocks stay in the cache
            gram[rows] = _raw(kernel, rows)
        return of_gram(gram, kernel)
    raw_mean = torch.cat([_raw(kernel, rows).mean(dim=1) for rows in _blocks(kernel)])
    means = raw_mean - raw_mean.mean() / 2  # K_ij − means_i − means_j is double-centred
    own = 0.0 if kernel.name == "distance" else 1.0
    return _finished(kernel._replace(means=means, diagonal=own - 2 * means))


def of_gram(gram: Tensor, like: Kernel) -> Kernel:
    """Return the kernel of a Gram matrix, which is centred in place, with the choices of another kernel."""
    double_centre_(gram)
    return _finished(like._replace(features=None, gram=gram, points=None, means=None, diagonal=gram.diagonal().clone()))


def alignment(a: Kernel, b: Kernel) -> float:
    """Return HSIC(a, b) / √(HSIC(a, a) HSIC(b, b)); NaN where a side does not vary."""
    if a is b:
        return 1.0 if a.norm > 0 else float("nan")
    return float(_ratios(hsic(inner(a, b), a.diagonal, b.diagonal, debiased=a.debiased), a, b))


def alignments(sides: Sequence[Kernel], b: Kernel, orders: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return alignments (n_orders, n_sides) with the rows of ``b`` in each of ``orders`` (n_orders, n).

    Norms stay as they are under a permutation. The kernel of ``b`` is gathered once for all sides, in batches of orders.
    """
    if b.points is not None or any(a.points is not None for a in sides):
        return np.array([[alignment(a, moved) for a in sides] for moved in (reorder(b, order) for order in orders)])
    place = torch.from_numpy(np.ascontiguousarray(orders)).to(b.diagonal.device)
    if b.features is not None and _gram_is_cheaper(sides, b):
        b = b._replace(features=None, gram=b.features @ b.features.T)
    size = b.n**2 if b.gram is not None else b.n * b.features.shape[1]  # type: ignore[union-attr]
    grams = [_gram(a) if b.gram is not None else None for a in sides]
    out = []
    for part in row_blocks(len(orders), 32 * size, min(b.memory, 2**26)):
        diagonal = b.diagonal[place[part]]
        moved = permuted(b.gram, place[part]) if b.gram is not None else b.features[place[part]]  # type: ignore[index]
        both = []
        for a, gram in zip(sides, grams, strict=True):
            products = _products(a, gram, moved)
            both.append(_ratios(hsic(products, a.diagonal.expand_as(diagonal), diagonal, debiased=a.debiased), a, b))
        out.append(torch.stack(both, dim=1))
    return torch.cat(out).cpu().numpy()


def _gram_is_cheaper(sides: Sequence[Kernel], b: Kernel) -> bool:
    """Return whether n² numbers a side and order are fewer than the products of features, and fit the memory."""
    q = b.features.shape[1]  # type: ignore[union-attr]
    work = sum((b.n if a.features is None else a.features.shape[1]) * q for a in sides)
    return 8 * b.n**2 * (len(sides) + 4) <= b.memory and b.n * (len(sides) + 10) <= work


def _gram(kernel: Kernel) -> Tensor:
    return kernel.gram if kernel.gram is not None else kernel.features @ kernel.features.T  # type: ignore


def _products(a: Kernel, gram: Tensor | None, moved: Tensor) -> Tensor:
    if gram is not None:
        return moved.reshape(len(moved), -1) @ gram.reshape(-1)
    if a.features is not None:
        return (a.features.T @ moved).square().sum(dim=(1, 2))
    return (moved * (a.gram @ moved)).sum(dim=(1, 2))  # type: ignore[operator]


def inner(a: Kernel, b: Kernel) -> Tensor:
    """Return ⟨HKH, HLH⟩ in whichever form the two sides have in common."""
    if a.features is not None and b.features is not None:
        return squared_cross(a.features, b.features, a.memory)
    if a.gram is not None and b.gram is not None:
        return torch.dot(a.gram.reshape(-1), b.gram.reshape(-1))
    if a.points is None and b.points is None:
        features, gram = (a.features, b.gram) if a.features is not None else (b.features, a.gram)
        return (features * (gram @ features)).sum()  # type: ignore[operator]
    total = torch.zeros((), dtype=torch.float64, device=a.diagonal.device)
    for rows in _blocks(a):
        total += (_rows(a, rows) * _rows(b, rows)).sum()
    return total


def reorder(kernel: Kernel, order: npt.NDArray[np.intp]) -> Kernel:
    """Return the kernel with its rows in another order."""
    place = torch.from_numpy(np.ascontiguousarray(order)).to(kernel.diagonal.device)
    moved = {name: getattr(kernel, name)[place] for name in ("features", "points", "means", "diagonal") if getattr(kernel, name) is not None}
    if kernel.gram is not None:
        moved["gram"] = kernel.gram[place][:, place]
    return kernel._replace(**moved)


def subset(kernel: Kernel, rows: npt.NDArray[np.intp]) -> Kernel:
    """Return the kernel of some rows, centred anew, with the bandwidth of all rows."""
    _enough(len(rows), "debiased" if kernel.debiased else "biased")
    part = reorder(kernel, rows)
    if part.gram is not None:
        return of_gram(part.gram, part)
    if part.features is not None:
        features = part.features - part.features.mean(dim=0)
        return _finished(part._replace(features=features, diagonal=features.square().sum(dim=1)))
    return _of_points(part)


def bandwidth(points: Tensor, sigma: float | str, fraction: float) -> float:
    """Return σ: as given, or ``fraction`` times the median non-zero distance (of at most 2,048 rows drawn with a fixed seed)."""
    if sigma != "median":
        if isinstance(sigma, str) or not np.isfinite(sigma) or sigma <= 0:
            raise InputError("sigma is a positive number or 'median'", where="sigma", got=repr(sigma))
        return float(sigma)
    if not fraction > 0:
        raise InputError("fraction must be positive", where="fraction", got=fraction)
    if len(points) > MEDIAN_ROWS:
        points = points[torch.from_numpy(np.sort(generator(0, "median").permutation(len(points))[:MEDIAN_ROWS])).to(points.device)]
    place = torch.arange(len(points), device=points.device)
    blocks = row_blocks(len(points), 8 * len(points), BLOCK)
    distances = torch.cat([squared_distances(points, rows)[place[rows, None] < place] for rows in blocks])
    some = distances[distances > 0]
    if not len(some):
        raise InputError("all rows are equal, so there is no median distance", where="sigma", fix="give sigma as a number")
    return fraction * float(np.median(some.sqrt().cpu().numpy()))


def _enough(n: int, estimator: str) -> None:
    needed = 4 if estimator == "debiased" else 2
    if n < needed:
        raise InputError(f"the {estimator} estimator needs at least {needed} samples", where="estimator", got=n)


def _finished(kernel: Kernel) -> Kernel:
    own = hsic(inner(kernel, kernel), kernel.diagonal, kernel.diagonal, debiased=kernel.debiased)
    return kernel._replace(norm=float(own))


def _ratios(value: Tensor, a: Kernel, b: Kernel) -> Tensor:
    if not (a.norm > 0 and b.norm > 0):
        return torch.full_like(value, torch.nan)
    return value / (a.norm**0.5 * b.norm**0.5)


def centred_columns(x: npt.NDArray[Any], part: slice, device: torch.device) -> Tensor:
    """Return columns about their means in float64; those constant to rounding of their own dtype become exactly zero."""
    values = to_tensor(x[:, part], FLOAT64, device)
    unit = np.finfo(x.dtype).eps if x.dtype.kind == "f" else 0.0
    out = values - values.mean(dim=0)
    out[:, out.abs().amax(dim=0) <= 4 * unit * values.abs().amax(dim=0)] = 0.0
    return out


def _blocks(kernel: Kernel) -> Any:
    return row_blocks(kernel.n, 48 * kernel.n, min(kernel.memory, 8 * BLOCK))


def _raw(kernel: Kernel, rows: slice) -> Tensor:
    squared = squared_distances(kernel.points, rows)  # type: ignore[arg-type]
    if kernel.name == "distance":
        return squared.sqrt_().neg_()
    return squared.mul_(-0.5 / kernel.sigma**2).exp_()  # type: ignore[operator]


def _rows(kernel: Kernel, rows: slice) -> Tensor:
    """Return some rows (n_rows, n) of the double-centred kernel."""
    if kernel.gram is not None:
        return kernel.gram[rows]
    if kernel.features is not None:
        return kernel.features[rows] @ kernel.features.T
    return _raw(kernel, rows) - kernel.means[rows, None] - kernel.means[None, :]  # type: ignore[index]
