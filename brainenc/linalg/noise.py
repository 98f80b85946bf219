"""Covariance of noise as a diagonal and a factor, Σ = diag(d) + F'F, so that nothing of (n_channels × n_channels) need be formed.

With r rows in F every product below costs O(r n_channels) a row by the identity of Woodbury; the shrinkage constants need only row sums
and the smaller of the two Gram matrices of the residuals.
"""

from __future__ import annotations

import torch

from brainenc.core.errors import InputError
from brainenc.linalg.decompose import eigh

Tensor = torch.Tensor


def gram_norm(rows: Tensor) -> Tensor:
    """Return ‖X'X‖_F² of (n, p) rows through the smaller of its two Gram matrices."""
    gram = rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows
    return (gram * gram).sum()


def ledoit_wolf(residuals: Tensor, dof: float) -> tuple[Tensor, Tensor, float]:
    """Shrink the covariance towards m I: return the diagonal, the factor and the shrinkage.

    s = Z'Z/N, m = tr(s)/p, d² = ‖s − m I‖_F², b² = min(d², [ (1/N) Σ_t ‖z_t‖⁴ − ‖s‖_F² ]/N),
    Σ = (N/ν) [ (b²/d²) m I + (1 − b²/d²) s ].

    Parameters
    ----------
    residuals : Tensor of shape (N, p)
        With the effects removed that cost N − ν degrees of freedom.
    dof : float
        ν.

    References
    ----------
    Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4.
    """
    n, p = residuals.shape
    row_norms = (residuals * residuals).sum(dim=1)
    mean = row_norms.sum() / (n * p)
    s_norm = gram_norm(residuals) / n**2
    d2 = s_norm - p * mean**2
    b2 = torch.minimum(d2, ((row_norms**2).sum() / n - s_norm) / n)
    # of one channel the sample covariance is a multiple of the identity already
    shrinkage = float(b2 / d2) if float(d2) > 1e-14 * float(s_norm) else 0.0
    diagonal = torch.full((p,), float(mean) * shrinkage * n / dof, dtype=residuals.dtype, device=residuals.device)
    return diagonal, residuals * ((1.0 - shrinkage) / dof) ** 0.5, shrinkage


def schaefer_strimmer(residuals: Tensor, dof: float) -> tuple[Tensor, Tensor, float]:
    """Shrink the covariance towards its diagonal: return the diagonal, the factor and the shrinkage.

    s = Z'Z/ν, v = diag s, u = Z/√v, r_ij = Σ_t u_ti u_tj/(N−1), q_ij = Σ_t u_ti² u_tj²/(N−1), V_ij = (N/ν²)(q_ij − r_ij²),
    λ = clip(Σ_{i≠j} V_ij / Σ_{i≠j} r_ij², 0, 1), Σ = λ diag(v) + (1 − λ) s. The sums over i ≠ j come from row sums and one Gram.

    Parameters
    ----------
    residuals : Tensor of shape (N, p)
        No channel without variance.
    dof : float
        ν.

    References
    ----------
    Schäfer & Strimmer 2005, doi:10.2202/1544-6115.1175.
    """
    n, p = residuals.shape
    variance = (residuals * residuals).sum(dim=0) / dof
    unit = residuals / variance.sqrt()
    square = unit * unit
    # of every channel Σ_t u² = ν, so the diagonal of Σ r² is p (ν/(N−1))²
    r2 = gram_norm(unit) / (n - 1) ** 2 - p * (dof / (n - 1)) ** 2
    q = ((square.sum(dim=1) ** 2).sum() - (square * square).sum()) / (n - 1)
    spread = n / dof**2 * (q - r2)
    shrinkage = min(max(float(spread / r2), 0.0), 1.0) if p > 1 and float(r2) > 0 else 1.0
    return variance * shrinkage, residuals * ((1.0 - shrinkage) / dof) ** 0.5, shrinkage


def low_rank_root(diagonal: Tensor, factor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (1/√d, A, g) with which X Σ^{-½} means ``Y + (Y A) diag(g) A'``, Y = X/√d; then Y Y' = X Σ⁻¹ X'.

    With F̃ = F/√d and F̃ F̃' = V diag(s) V': A = F̃' V/√s (orthonormal columns) and g = 1/√(1 + s) − 1. The root is not the symmetric
    one of Σ, but any root gives the same Gram matrices.
    """
    scale = diagonal.rsqrt()
    scaled = factor * scale
    values, vectors, _ = eigh(scaled @ scaled.T)
    keep = values > values[-1] * 1e-14 * len(values)
    values, vectors = values[keep], vectors[:, keep]
    return scale, scaled.T @ (vectors / values.sqrt()), (1.0 + values).rsqrt() - 1.0


def low_rank_whiten(rows: Tensor, root: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return rows (…, p) in channels in which the noise is white, with the ``root`` of `low_rank_root`."""
    scale, basis, shrink = root
    rows = rows * scale
    return rows + ((rows @ basis) * shrink) @ basis.T


def low_rank_gram(rows: Tensor, others: Tensor | None, diagonal: Tensor, factor: Tensor) -> Tensor:
    """Return X Σ⁻¹ Y' (n, m) as X D⁻¹ Y' − (X D⁻¹ F')(I + F D⁻¹ F')⁻¹(F D⁻¹ Y')."""
    a = rows / diagonal
    right = rows if others is None else others
    weights = factor / diagonal
    core = torch.eye(len(factor), dtype=factor.dtype, device=factor.device) + weights @ factor.T
    lower = cholesky(core)
    left = torch.linalg.solve_triangular(lower, weights @ rows.T, upper=False)
    other = left if others is None else torch.linalg.solve_triangular(lower, weights @ right.T, upper=False)
    return a @ right.T - left.T @ other


def low_rank_inverse(diagonal: Tensor, factor: Tensor) -> Tensor:
    """Return Σ⁻¹ (p, p)."""
    weights = factor / diagonal
    core = torch.eye(len(factor), dtype=factor.dtype, device=factor.device) + weights @ factor.T
    half = torch.linalg.solve_triangular(cholesky(core), weights, upper=False)
    out = -(half.T @ half)
    out.diagonal().add_(1.0 / diagonal)
    return out


def cholesky(matrix: Tensor) -> Tensor:
    """Return the lower factor, or say that the matrix is singular.

    Raises
    ------
    InputError
        For a matrix that is not positive definite.
    """
    lower, info = torch.linalg.cholesky_ex(matrix)
    if int(info):
        raise InputError(
            "the noise covariance is singular and has no inverse", where=f"noise model of {len(matrix)} channels",
            expected="a positive definite matrix", got=f"not positive definite at channel {int(info)}",
            fix='shrink it: method="schaefer_strimmer" or "ledoit_wolf"',
        )  # fmt: skip
    return lower


def dense_whiten(rows: Tensor, lower: Tensor) -> Tensor:
    """Return X L⁻ᵀ for rows (…, p) and the Cholesky factor L of the covariance."""
    flat = rows.reshape(-1, rows.shape[-1])
    return torch.linalg.solve_triangular(lower.to(rows.dtype).T, flat, upper=True, left=False).reshape(rows.shape)
