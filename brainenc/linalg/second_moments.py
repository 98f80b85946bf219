"""RDMs as second-moment matrices: Bures and Riemannian comparison, and whitening where pairs are missing."""

from __future__ import annotations

import torch

from brainenc.core.errors import InputError
from brainenc.linalg.ranks import n_of_pairs, to_condensed, to_square
from brainenc.linalg.relabelling import whiten_pairs

Tensor = torch.Tensor
_ROUNDING = 1e-9
_GOLDEN = (5**0.5 - 1) / 2


def second_moments(condensed: Tensor, w: Tensor | None = None) -> Tensor:
    """Return G = −½ H D H (…, n, n) of RDMs (…, n_pairs): the second moments of patterns with these squared distances, about their mean.

    With multiplicities w (n,) the mean is that of the copies, and row and column i are scaled by √w_i: the same eigenvalues as the
    matrix in which every copy has a row, and copies have no distance.
    """
    square = to_square(condensed)
    n = square.shape[-1]
    w = torch.ones(n, dtype=square.dtype, device=square.device) if w is None else w.to(square.dtype)
    rows = (square @ w / w.sum())[..., None]
    mean = (w @ rows / w.sum())[..., None]
    scale = w.sqrt()
    return -0.5 * (square - rows - rows.transpose(-1, -2) + mean) * scale[:, None] * scale


def moment_roots(condensed: Tensor, where: str, w: Tensor | None = None) -> Tensor:
    """Return R (k, n, n) with R R' the second moments of RDMs (k, n_pairs).

    Raises
    ------
    InputError
        Where a second moment has a negative eigenvalue: such dissimilarities are no squared distances.
    """
    values, vectors = torch.linalg.eigh(second_moments(condensed, w))
    worst = values[:, 0] / values[:, -1].clamp_min(torch.finfo(values.dtype).tiny)
    _refuse_indefinite(worst, where)
    return vectors * values.clamp_min(0).sqrt()[:, None, :]


def fidelity(x: Tensor, y: Tensor) -> Tensor:
    """Return tr((G_x^½ G_y G_x^½)^½) = ‖R_x' R_y‖_* (a, b) of roots (a, n, n) and (b, n, n): the sum of singular values."""
    return torch.stack([torch.linalg.svdvals(one.T @ y).sum(dim=-1) for one in x])


def riemannian(x: Tensor, y: Tensor, sigma_k: Tensor | None = None) -> Tensor:
    """Return min over t of √Σ log² eig(e^t0 G_x + e^t1 PΣP', G_y) (a, b), with G relative to the first condition.

    The best t0 is −mean log eig, so that the square is the spread Σ (log μ_k − mean)² of the eigenvalues μ(u) of G_y^-½ (G_x + e^u PΣP')
    G_y^-½, u = t1 − t0: a search over one number, done for all pairs at once (a grid, then golden sections).

    Parameters
    ----------
    x, y : Tensor of shapes (a, n_pairs), (b, n_pairs)
    sigma_k : Tensor of shape (n, n) or (n,), optional
        Noise covariance of the conditions; the identity where not given.
    """
    n = n_of_pairs(x.shape[-1])
    contrast = torch.cat([-torch.ones(n - 1, 1, dtype=x.dtype), torch.eye(n - 1, dtype=x.dtype)], dim=1).to(x.device)
    sigma = torch.eye(n, dtype=x.dtype, device=x.device) if sigma_k is None else sigma_k if sigma_k.ndim == 2 else torch.diag(sigma_k)
    noise = contrast @ sigma @ contrast.T
    first, second = (contrast @ (-0.5 * to_square(values)) @ contrast.T for values in (x, y))
    spread = torch.linalg.eigvalsh(first)
    _refuse_indefinite(spread[:, 0] / spread[:, -1], "riemannian_distance")
    lower, info = torch.linalg.cholesky_ex(second)
    if bool(info.any()) or bool((torch.linalg.cond(second) > 1 / _ROUNDING).any()):
        raise InputError("the second moments of an RDM are singular or indefinite", where="riemannian_distance, second RDMs",
                         expected="positive definite second moments", fix="use a whitened or Bures comparator")  # fmt: skip
    out = torch.empty(len(x), len(y), dtype=x.dtype, device=x.device)
    for j in range(len(y)):
        half = torch.linalg.inv(lower[j])
        out[:, j] = _least_spread(half @ first @ half.T, half @ noise @ half.T)
    return out


def _least_spread(a: Tensor, b: Tensor) -> Tensor:
    """Return √min_u Σ (log μ − mean)² of the eigenvalues μ of a + e^u b, for matrices a (k, m, m) and one b (m, m)."""

    def spread(u: Tensor) -> Tensor:
        values = torch.linalg.eigvalsh(a + torch.exp(u)[:, None, None] * b)
        logs = torch.where(values > 0, values, torch.full_like(values, float("nan"))).log()
        return torch.nan_to_num(((logs - logs.mean(dim=-1, keepdim=True)) ** 2).sum(dim=-1), nan=float("inf"))

    traces = torch.diagonal(a, dim1=1, dim2=2).sum(dim=-1) / torch.diagonal(b).sum()
    middle = traces.clamp_min(torch.finfo(a.dtype).tiny).log()
    grid = torch.arange(-16.0, 9.0, dtype=a.dtype, device=a.device)
    found = torch.stack([spread(middle + step) for step in grid])
    best = middle + grid[found.argmin(dim=0)]
    low, high = best - 1, best + 1
    inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    f_inner, f_outer = spread(inner), spread(outer)
    for _ in range(32):
        left = f_inner < f_outer
        low, high = torch.where(left, low, inner), torch.where(left, outer, high)
        moved = torch.where(left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        f_moved = spread(moved)
        inner, outer, f_inner, f_outer = (
            torch.where(left, moved, outer), torch.where(left, inner, moved), torch.where(left, f_moved, f_outer), torch.where(left, f_inner, f_moved),
        )  # fmt: skip
    # without any noise at all: the limit u → −∞
    bare = spread(torch.full_like(middle, -float("inf")))
    return torch.minimum(torch.minimum(f_inner, f_outer), bare).sqrt()


def whiten_known_pairs(condensed: Tensor, keep: Tensor, sigma_k: Tensor, *, tolerance: float = 1e-13, most: int = 500) -> Tensor:
    """Return V_ΩΩ⁻¹ d over the pairs Ω that are there, for a full noise covariance of the conditions; 0 elsewhere.

    Conjugate gradients for all RDMs at once. V d = dist(Σ L Σ) with L the Laplacian whose weights are d, so V is never formed; the closed
    form of V⁻¹ for complete RDMs is the preconditioner, which leaves at most as many steps as pairs are missing.

    Parameters
    ----------
    condensed : Tensor of shape (k, n_pairs)
    keep : Tensor of bool, shape (n_pairs,)
    sigma_k : Tensor of shape (n, n)
    tolerance : float
        Size of the residual, relative to the right-hand side, in the norm of the preconditioner.
    most : int
        Steps.

    Raises
    ------
    InputError
        Where that does not converge.
    """
    mask = keep.to(condensed.dtype)

    def multiply(d: Tensor) -> Tensor:
        square = to_square(d)
        laplacian = torch.diag_embed(square.sum(dim=-1)) - square
        z = sigma_k @ laplacian @ sigma_k
        own = torch.diagonal(z, dim1=1, dim2=2)
        return to_condensed(own[:, :, None] + own[:, None, :] - 2 * z) * mask

    precondition = lambda r: whiten_pairs(r, sigma_k) * mask  # noqa: E731
    residual = torch.where(keep, condensed, 0.0)
    found = torch.zeros_like(residual)
    direction = scaled = precondition(residual)
    size = (residual * scaled).sum(dim=1, keepdim=True)
    first = size.clone()
    for _ in range(most):
        if bool((size <= tolerance**2 * first).all()):
            return found
        moved = multiply(direction)
        step = size / (direction * moved).sum(dim=1, keepdim=True).clamp_min(torch.finfo(size.dtype).tiny)
        found, residual = found + step * direction, residual - step * moved
        scaled = precondition(residual)
        new = (residual * scaled).sum(dim=1, keepdim=True)
        direction = scaled + new / size.clamp_min(torch.finfo(size.dtype).tiny) * direction
        size = new
    if bool((size > 1e-20 * first).any()):
        raise InputError("whitening of missing pairs did not converge", where="sigma_k", fix="use the diagonal of the noise covariance")
    return found


def _refuse_indefinite(worst: Tensor, where: str) -> None:
    """Refuse second moments whose least eigenvalue, relative to the largest, is below rounding."""
    bad = torch.nonzero(~(worst > -_ROUNDING)).flatten().tolist()
    if bad:
        raise InputError(
            "an RDM has no positive semidefinite second moments", where=f"{where}, RDM {bad[0]}", expected="squared distances of some patterns",
            got=f"a least eigenvalue of {float(worst[bad[0]]):.3g} times the largest, in {len(bad)} RDMs",
            fix="use a cosine, Pearson or whitened comparator; cross-validated distances are indefinite by nature",
        )  # fmt: skip
