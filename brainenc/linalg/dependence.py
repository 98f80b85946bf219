"""Distance correlations of many transformed distance matrices at once, and of their permutations."""

from __future__ import annotations

import torch

Tensor = torch.Tensor


def double_centred(square: Tensor) -> Tensor:
    """Return matrices (…, n, n) less the means of their rows and columns, plus their grand mean."""
    rows = square.mean(-1, keepdim=True)
    return square - rows - square.mean(-2, keepdim=True) + rows.mean(-2, keepdim=True)


def unit_centred(square: Tensor) -> Tensor:
    """Return double-centred matrices (n, m, m) of length 1, or of zeros where nothing varies."""
    centred = double_centred(square)
    length = torch.linalg.matrix_norm(centred)[:, None, None]
    scale = torch.linalg.matrix_norm(square)[:, None, None].clamp(min=torch.finfo(square.dtype).tiny)
    # what rounding leaves of a constant matrix is not a direction
    return torch.where(length > 1e-12 * scale, centred / torch.where(length > 0, length, torch.ones_like(length)), torch.zeros_like(centred))


def distance_correlations(x: Tensor, y: Tensor, orders: Tensor) -> Tensor:
    """Return √|⟨A_i, B_j⟩| for each pair of unit double-centred matrices and each order of the samples of x.

    Parameters
    ----------
    x : Tensor of shape (n_x, m, m)
        From `unit_centred`.
    y : Tensor of shape (n_y, m, m)
    orders : Tensor of shape (n_orders, m)
        Rows and columns of x are taken in this order.

    Returns
    -------
    Tensor of shape (n_orders, n_x, n_y)
    """
    flat = y.reshape(len(y), -1).T.contiguous()
    out = torch.empty(len(orders), len(x), len(y), dtype=x.dtype, device=x.device)
    for i, order in enumerate(orders):
        moved = x.index_select(1, order).index_select(2, order)
        torch.matmul(moved.reshape(len(x), -1), flat, out=out[i])
    return out.abs_().sqrt_()
