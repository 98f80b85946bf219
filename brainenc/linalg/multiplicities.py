"""RDMs whose conditions come with multiplicities: the exact algebra of the condition bootstrap.

A bootstrap sample of n conditions is a vector w of counts. The RDM of the sample repeats the pair (i, j) w_i w_j times; pairs of copies
of one condition have no dissimilarity and are left out. So every sum over the pairs of a sample is Σ_{i<j} w_i w_j a_ij = ½ w'Aw, and
nothing has to be expanded. Folds over conditions are counts of 0 and 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from brainenc.linalg.ranks import to_square

Tensor = torch.Tensor
PRODUCT_ROWS = 90  # products of pairs of RDMs that are held at once


class Moments(NamedTuple):
    """Inner products in each sample: of x with x (b, s, s), of x with y (b, s, k), of each y with itself (b, k)."""

    xx: Tensor
    xy: Tensor
    yy: Tensor

    def own(self) -> Tensor:
        """Each x with itself (b, s)."""
        return torch.diagonal(self.xx, dim1=1, dim2=2)

    def similarity(self) -> Tensor:
        """Return x'y / (|x||y|) (b, s, k); NaN where either vanishes."""
        return self.xy / (root(self.own())[:, :, None] * root(self.yy)[:, None, :])


def root(values: Tensor) -> Tensor:
    """Return √values, NaN where they are not positive."""
    return torch.where(values > 0, values.clamp_min(0).sqrt(), torch.full_like(values, float("nan")))


def pair_weights(w: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return how often each pair (rows, columns) comes in each sample, w_i w_j: (b, n_pairs)."""
    return w.index_select(1, rows).mul_(w.index_select(1, columns))


def products(weights: Tensor, x: Tensor, y: Tensor) -> Moments:
    """Return Σ_pairs weight · x_s · y_k and the like.

    Parameters
    ----------
    weights : Tensor of shape (b, n_pairs)
    x, y : Tensor of shapes (s, n_pairs), (k, n_pairs), or with a leading axis b
    """
    if x.ndim == 3:
        heavy = weights[:, None, :] * x
        yy = torch.einsum("bp,bkp->bk", weights, y * y)
        return Moments(heavy @ x.transpose(1, 2), heavy @ y.transpose(1, 2), yy)
    return stacked_products(weights, torch.cat([x, y]), len(x))


def stacked_products(weights: Tensor, both: Tensor, s: int) -> Moments:
    """Return the same for x and y that stand in one array (s + k, n_pairs)."""
    b, t = len(weights), len(both)
    xx, xy = weights.new_empty((b, s, s)), weights.new_empty((b, s, t - s))
    step = max(1, PRODUCT_ROWS // max(t, 1))
    room = both.new_empty((min(step, s) * t, both.shape[1]))
    for start in range(0, s, step):
        # products of some x with those after them and with every y, summed over pairs in all samples by one product of matrices
        edges = [0]
        for i in range(start, min(start + step, s)):
            edges.append(edges[-1] + t - i)
            torch.mul(both[i:], both[i], out=room[edges[-2] : edges[-1]])
        found = weights @ room[: edges[-1]].T
        for i, edge in enumerate(edges[:-1], start):
            xx[:, i, i:] = xx[:, i:, i] = found[:, edge : edge + s - i]
            xy[:, i] = found[:, edge + s - i : edge + t - i]
    y = both[s:]
    return Moments(xx, xy, weights @ (y * y).T)


def centred_products(weights: Tensor, x: Tensor, y: Tensor) -> Moments:
    """Return the products of x and y after the mean of each sample is taken away: K − m m' / N, with m sums and N pairs."""
    if x.ndim == 3:
        both = torch.cat([x, y], dim=1)
        return _less_sums(products(weights, x, y), weights, torch.einsum("bp,btp->bt", weights, both), x.shape[1])
    return stacked_centred_products(weights, torch.cat([x, y]), len(x))


def stacked_centred_products(weights: Tensor, both: Tensor, s: int) -> Moments:
    """Return the same for x and y that stand in one array (s + k, n_pairs)."""
    return _less_sums(stacked_products(weights, both, s), weights, weights @ both.T, s)


def _less_sums(raw: Moments, weights: Tensor, sums: Tensor, s: int) -> Moments:
    n_pairs = weights.sum(dim=1)[:, None, None].clamp_min(1.0)
    m_x, m_y = sums[:, :s, None], sums[:, s:, None]
    xx = raw.xx - m_x @ m_x.transpose(1, 2) / n_pairs
    return Moments(xx, raw.xy - m_x @ m_y.transpose(1, 2) / n_pairs, raw.yy - (m_y * m_y / n_pairs)[..., 0])


def whitened_products(w: Tensor, x: Tensor, y: Tensor, *, variances: Tensor | None = None, keep: Tensor | None = None) -> Moments:
    """Return 2 x'V⁻¹y over the pairs of each sample, with V the covariance of dissimilarities of independent noisy conditions.

    V = Ξ ∘ Ξ with Ξ = C diag(s) C' is diag(2 s_i s_j) + B diag(s²) B', B the incidence of pairs and conditions. Copies of a condition
    are conditions of their own, with the same row sums; so Woodbury's identity leaves one system of size n a sample: with ω = w / s and
    r_i(x) = Σ_j ω_j x_ij over the pairs there are,

        2 x'V⁻¹y = Σ_{i<j} ω_i ω_j x_ij y_ij − Σ_i ω_i r_i(x) u_i(y),   (2 / s_i + Σ_j ω_j) u_i + Σ_j ω_j u_j = r_i(y).

    Without missing pairs the system is diagonal plus a matrix of rank one, and is solved in closed form.

    Parameters
    ----------
    w : Tensor of shape (b, n)
        Multiplicities.
    x, y : Tensor of shapes (s, n_pairs), (k, n_pairs)
        Zero where pairs are missing.
    variances : Tensor of shape (n,), optional
        Noise variances s of the conditions; ones where not given.
    keep : Tensor of bool, shape (n_pairs,), optional
        Pairs that are there; all where not given.
    """
    n = w.shape[1]
    s = torch.ones(n, dtype=x.dtype, device=x.device) if variances is None else variances
    omega = w / s
    rows, columns = torch.triu_indices(n, n, 1, device=x.device)
    raw = products(pair_weights(omega, rows, columns), x, y)
    squares = to_square(torch.cat([x, y]))
    # row sums r (b, t, n)
    r = (omega @ squares.reshape(-1, n).T).reshape(len(w), -1, n)
    x_rows, y_rows = r[:, : len(x)], r[:, len(x) :]
    if keep is not None and not bool(keep.all()):
        return _subtract(raw, omega, x_rows, y_rows, _solve(w, s, to_square(keep.to(x.dtype)), r))
    e = omega.sum(dim=1, keepdim=True) + 2 * (1 - w) / s
    safe = e.abs().amin(dim=1) > 1e-6 * e.abs().amax(dim=1)
    e = torch.where(safe[:, None], e, torch.ones_like(e))
    scaled = r / e[:, None, :]
    share = (scaled @ omega[:, :, None]) / (1 + (omega / e).sum(dim=1)[:, None, None])
    u = scaled - share / e[:, None, :]
    if not bool(safe.all()):
        # a condition that is drawn (n + 2) / 2 times: the diagonal vanishes, the system does not
        full = 1 - torch.eye(n, dtype=x.dtype, device=x.device)
        u[~safe] = _solve(w[~safe], s, full, r[~safe])
    return _subtract(raw, omega, x_rows, y_rows, u)


def _solve(w: Tensor, s: Tensor, neighbours: Tensor, r: Tensor) -> Tensor:
    """Return u (b, t, n) of the system in `whitened_products`, with the table of pairs that are there (n, n)."""
    coupling = neighbours * (w / s)[:, None, :]
    matrix = coupling + torch.diag_embed(2 / s + coupling.sum(dim=2))
    return torch.linalg.solve(matrix, r.transpose(1, 2)).transpose(1, 2)


def _subtract(raw: Moments, omega: Tensor, x_rows: Tensor, y_rows: Tensor, u: Tensor) -> Moments:
    heavy = x_rows * omega[:, None, :]
    s = x_rows.shape[1]
    xx = raw.xx - heavy @ u[:, :s].transpose(1, 2)
    xy = raw.xy - heavy @ u[:, s:].transpose(1, 2)
    return Moments(xx, xy, raw.yy - (y_rows * omega[:, None, :] * u[:, s:]).sum(dim=2))


def pooled_ceilings(gram: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the similarity of each subject with the pool of the others and with the pool of all, from inner products alone.

    The pool is Σ_t v_t z_t, so ⟨pool, z_s⟩ = (G v)_s and |pool|² = v'Gv; all copies of a subject are left out together.

    Parameters
    ----------
    gram : Tensor of shape (b, s, s)
        Inner products of the vectors z that are pooled (scaled as the comparator pools).
    v : Tensor of shape (b, s)
        Multiplicities of the subjects.

    Returns
    -------
    lower, upper : Tensor of shape (b, s)
        NaN where nothing is left in the pool.
    """
    own = torch.diagonal(gram, dim1=1, dim2=2)
    with_all = (gram @ v[:, :, None])[..., 0]
    total = (v * with_all).sum(dim=1, keepdim=True)
    size = root(own)
    upper = with_all / (size * root(total))
    others = with_all - v * own
    rest = total - 2 * v * with_all + v * v * own
    # what is left of a pool of one subject is rounding, not a pool
    rest = torch.where(rest > 1e-12 * total.abs(), rest, torch.full_like(rest, float("nan")))
    return others / (size * root(rest)), upper
