"""What similarity measures of two data sets are made of: kernels and their sums, bases and their angles, nearest neighbours.

All in float64. Rows are samples; ``centred`` data have columns of mean zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from brainenc.linalg.decompose import svd

Tensor = torch.Tensor


def row_blocks(n_rows: int, bytes_per_row: int, memory: int) -> Iterator[slice]:
    """Yield slices of rows that together cover all rows, each of at most ``memory`` bytes (but at least one row)."""
    step = max(1, min(n_rows, memory // max(bytes_per_row, 1)))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def double_centre_(gram: Tensor) -> Tensor:
    """Turn symmetric matrices (…, n, n) into HKH, with H = I − 11'/n, in place and in O(n²); return them."""
    means = gram.mean(dim=-1)
    half = means - means.mean(dim=-1, keepdim=True) / 2
    return gram.sub_(half[..., :, None]).sub_(half[..., None, :])


def permuted(gram: Tensor, orders: Tensor) -> Tensor:
    """Return a symmetric matrix (n, n) with rows and columns in each of some orders (n_orders, n): shape (n_orders, n, n).

    Whole rows are gathered, before and after a transposition: up to twice as fast as picking single entries.
    """
    return torch.stack([gram.index_select(0, order).T.contiguous().index_select(0, order) for order in orders])


def squared_cross(x: Tensor, y: Tensor, memory: int) -> Tensor:
    """Return ‖X'Y‖² (Frobenius) of (n, p) and (n, q) without holding more than ``memory`` bytes of the product."""
    total = torch.zeros((), dtype=x.dtype, device=x.device)
    for part in row_blocks(y.shape[1], 8 * x.shape[1], memory):
        total += (x.T @ y[:, part]).square().sum()
    return total


def squared_distances(x: Tensor, rows: slice | Tensor) -> Tensor:
    """Return squared Euclidean distances (n_rows, n) of some rows of centred data to all rows; a row is at exactly 0 from itself.

    Parameters
    ----------
    x : Tensor of shape (n, p)
        Centred, so that an offset common to all rows costs no digits.
    rows : slice or Tensor of positions
    """
    lengths = x.square().sum(dim=1)
    out = (lengths[rows, None] + lengths[None, :] - 2 * (x[rows] @ x.T)).clamp_(min=0.0)
    place = torch.arange(len(x), device=x.device)[rows]
    out[torch.arange(len(place), device=x.device), place] = 0.0
    return out


def hsic(inner: Tensor | float, k: Tensor, l: Tensor, *, debiased: bool) -> Tensor:  # noqa: E741
    """Return HSIC of two double-centred kernels from their inner product and diagonals.

    Biased: ⟨K, L⟩ / (n − 1)². Debiased (Song et al. 2012), where double centring makes the row sums of the kernels without
    their diagonals −k and −l: [⟨K, L⟩ − k'l + Σk Σl / ((n − 1)(n − 2)) − 2 k'l / (n − 2)] / (n (n − 3)).

    Parameters
    ----------
    inner : Tensor or float
        ⟨HKH, HLH⟩ with their diagonals.
    k, l : Tensor of shape (…, n)
        Diagonals of HKH and HLH.
    debiased : bool
        Needs n > 3.
    """
    n = k.shape[-1]
    if not debiased:
        return torch.as_tensor(inner, dtype=k.dtype, device=k.device) / (n - 1) ** 2
    both = (k * l).sum(dim=-1)
    return (inner - both + k.sum(dim=-1) * l.sum(dim=-1) / ((n - 1) * (n - 2)) - 2 * both / (n - 2)) / (n * (n - 3))


def left_basis(x: Tensor, tolerance: float | None = None) -> tuple[Tensor, Tensor]:
    """Return the left singular vectors (n, r) and singular values (r,) of centred data, up to its numerical rank r.

    With more columns than rows, the SVD is that of the n × n triangular factor of X': the size of a Gram matrix without
    squaring the condition number.

    Parameters
    ----------
    x : Tensor of shape (n, p)
    tolerance : float, optional
        Singular values up to ``tolerance`` times the largest count as zero; max(n, p) times the rounding unit where not given.
    """
    n, p = x.shape
    u, s, _, _ = svd(torch.linalg.qr(x.T, mode="r").R.T if p > n else x)
    limit = max(n, p) * torch.finfo(x.dtype).eps if tolerance is None else tolerance
    keep = s > limit * s[:1]
    return u[:, keep], s[keep]


def procrustes_gap(a: Tensor, b: Tensor) -> Tensor:
    """Return min over orthogonal Q of ‖A − BQ‖² for (n, r) and (n, s), the narrower one thought of as padded with zeros.

    It is ‖A‖² + ‖B‖² − 2‖A'B‖_* (nuclear norm). Computed as the residual of the aligned matrices, with A'B = PΣQ':
    ‖AP − BQ‖² + (‖A‖² − ‖AP‖²) + (‖B‖² − ‖BQ‖²), which does not lose half of the digits where A and B are nearly alike.
    """
    p, _, qh, _ = svd(a.T @ b)
    first, second = a @ p, b @ qh.T
    gap = (first - second).square().sum()
    for whole, part in ((a, first), (b, second)):
        if whole.shape[1] > part.shape[1]:
            gap = gap + (whole.square().sum() - part.square().sum()).clamp(min=0.0)
    return gap


def unit_rows(x: Tensor) -> Tensor:
    """Return rows of length one; a row of zeros gives NaN."""
    return x / x.square().sum(dim=1, keepdim=True).sqrt()


def nearest(x: Tensor, k: int, *, squared_euclidean: bool, memory: int) -> Tensor:
    """Return the positions (n, k) of the k nearest other rows, in no particular order.

    Nearness is the inner product of the rows as given (of `unit_rows`: the cosine), or the Euclidean distance of centred rows.
    Rows tied for the last place are taken in the order of their positions.

    Parameters
    ----------
    x : Tensor of shape (n, p)
    k : int
        At most n − 1.
    squared_euclidean : bool
    memory : int
        Bytes for one block of rows.
    """
    n = len(x)
    out = torch.empty((n, k), dtype=torch.long, device=x.device)
    for rows in row_blocks(n, 24 * n, memory):
        far = squared_distances(x, rows) if squared_euclidean else -(x[rows] @ x.T)
        place = torch.arange(n, device=x.device)[rows]
        far[torch.arange(len(place), device=x.device), place] = torch.inf
        values, found = torch.topk(far, min(k + 1, n), dim=1, largest=False, sorted=True)
        out[rows] = found[:, :k]
        if found.shape[1] > k:
            tied = torch.nonzero(values[:, k - 1] == values[:, k])[:, 0]
            if len(tied):
                out[place[tied]] = torch.sort(far[tied], dim=1, stable=True).indices[:, :k]
    return out


def neighbour_mask(neighbours: Tensor) -> Tensor:
    """Return a boolean matrix (n, n): whether j is among the neighbours (n, k) of i."""
    n = len(neighbours)
    return torch.zeros((n, n), dtype=torch.bool, device=neighbours.device).scatter_(1, neighbours, True)
