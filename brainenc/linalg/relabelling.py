"""RDMs under relabelled conditions: index gathering and the products that a Mantel test needs."""

from __future__ import annotations

import torch

from brainenc.linalg.ranks import n_of_pairs, to_condensed, to_square

Tensor = torch.Tensor


def pair_positions(n: int, device: torch.device | None = None) -> Tensor:
    """Return where the pair (i, j) stands in a condensed vector: an (n, n) symmetric table of positions, 0 on the diagonal."""
    table = torch.zeros((n, n), dtype=torch.int64, device=device)
    rows, columns = torch.triu_indices(n, n, 1, device=device)
    places = torch.arange(len(rows), device=device)
    table[rows, columns] = places
    table[columns, rows] = places
    return table


def relabelled(condensed: Tensor, orders: Tensor) -> Tensor:
    """Return the RDMs whose condition i is the old condition ``orders[b, i]``: d_b(i, j) = d(o(i), o(j)).

    Parameters
    ----------
    condensed : Tensor of shape (k, n_pairs)
    orders : Tensor of shape (b, n)
        Permutations of the conditions.

    Returns
    -------
    Tensor of shape (b, k, n_pairs)

    Examples
    --------
    >>> relabelled(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1, 0, 2]])).tolist()
    [[[1.0, 3.0, 2.0]]]
    """
    n = orders.shape[-1]
    rows, columns = torch.triu_indices(n, n, 1, device=orders.device)
    places = pair_positions(n, orders.device)[orders[:, rows], orders[:, columns]]
    return condensed[:, places].transpose(0, 1)


def relabelled_products(first: Tensor, second: Tensor, orders: Tensor) -> Tensor:
    """Return the products of every relabelled RDM of ``first`` with every RDM of ``second``.

    out[b, i, j] = Σ over pairs of first_i(o_b(pair)) · second_j(pair). The smaller side is gathered (with the inverse orders if it is
    the second one), so that many models against few targets cost one gather a relabelling and one matrix product.

    Parameters
    ----------
    first, second : Tensor of shapes (k, n_pairs), (g, n_pairs)
    orders : Tensor of shape (b, n)

    Returns
    -------
    Tensor of shape (b, k, g)
    """
    if len(second) < len(first):
        return (relabelled(second, torch.argsort(orders, dim=-1)) @ first.T).transpose(1, 2)
    return relabelled(first, orders) @ second.T


def whiten_pairs(condensed: Tensor, sigma_k: Tensor | None = None) -> Tensor:
    """Return V⁻¹ d of condensed RDMs, where V = Ξ ∘ Ξ, Ξ = C Σ C' is the covariance of distances estimated from noisy patterns.

    d = dist(K) for K = −½ D and all K + 1b' + b1'; d'V⁻¹d is the least ‖Σ^-½ K Σ^-½‖² among them. So V⁻¹ d = ½ (A D A)_ij for pairs
    i < j, with A = Σ⁻¹ − Σ⁻¹11'Σ⁻¹ / (1'Σ⁻¹1), the centring matrix where Σ is the identity. No (n_pairs, n_pairs) matrix is formed.

    Parameters
    ----------
    condensed : Tensor of shape (…, n_pairs)
    sigma_k : Tensor of shape (n, n) or (n,), optional
        Noise covariance Σ of the conditions, or its diagonal; the identity where not given.

    Returns
    -------
    Tensor of shape (…, n_pairs)

    Notes
    -----
    V after Diedrichsen et al. 2020, arXiv:2007.02789; the closed form is derived here and tested against the dense inverse.
    """
    square = to_square(condensed)
    if sigma_k is None:
        rows = square.mean(dim=-1, keepdim=True)
        return to_condensed(square - rows - rows.transpose(-1, -2) + rows.mean(dim=-2, keepdim=True)) / 2
    centring = _centring(sigma_k.to(condensed.dtype), n_of_pairs(condensed.shape[-1]))
    return to_condensed(centring @ square @ centring) / 2


def _centring(sigma_k: Tensor, n: int) -> Tensor:
    precision = torch.diag(1 / sigma_k) if sigma_k.ndim == 1 else torch.linalg.inv(sigma_k)
    sums = precision @ torch.ones(n, 1, dtype=precision.dtype, device=precision.device)
    return precision - sums @ sums.T / sums.sum()
