"""Covariance of noise as a diagonal and a factor, Σ = diag(d) + F'F, so that nothing of (n_channels × n_channels) need be formed.

With r rows in F every product below costs O(r n_channels) a row by the identity of Woodbury; the shrinkage constants need only row sums
and the smaller of the two Gram matrices of the residuals. Leading axes are batches (one noise model for each sphere of a searchlight).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg.blas import get_blas_funcs

from brainenc.core.errors import InputError
from brainenc.linalg.decompose import eigh

Tensor = torch.Tensor


def gram_norm(rows: Tensor) -> Tensor:
    """Return ‖X'X‖_F² (…) of (…, n, p) rows through the smaller of their two Gram matrices."""
    gram = rows @ rows.mT if rows.shape[-2] < rows.shape[-1] else rows.mT @ rows
    return (gram * gram).sum(dim=(-2, -1))


def ledoit_wolf(residuals: Tensor, dof: float) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink the covariance towards m I: return the diagonal (…, p), the factor (…, N, p) and the shrinkage (…).

    s = Z'Z/N, m = tr(s)/p, d² = ‖s − m I‖_F², b² = min(d², [ (1/N) Σ_t ‖z_t‖⁴ − ‖s‖_F² ]/N),
    Σ = (N/ν) [ (b²/d²) m I + (1 − b²/d²) s ].

    Parameters
    ----------
    residuals : Tensor of shape (…, N, p)
        With the effects removed that cost N − ν degrees of freedom.
    dof : float
        ν.

    References
    ----------
    Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4.
    """
    n, p = residuals.shape[-2:]
    row_norms = (residuals * residuals).sum(dim=-1)
    mean = row_norms.sum(dim=-1) / (n * p)
    s_norm = gram_norm(residuals) / n**2
    d2 = s_norm - p * mean**2
    b2 = torch.minimum(d2, ((row_norms**2).sum(dim=-1) / n - s_norm) / n)
    # of one channel the sample covariance is a multiple of the identity already
    shrinkage = torch.where(d2 > 1e-14 * s_norm, b2 / d2, torch.zeros_like(d2))
    diagonal = (mean * shrinkage * n / dof)[..., None].expand(*residuals.shape[:-2], p).contiguous()
    return diagonal, residuals * ((1.0 - shrinkage) / dof).sqrt()[..., None, None], shrinkage


def schaefer_strimmer(residuals: Tensor, dof: float) -> tuple[Tensor, Tensor, Tensor]:
    """Shrink the covariance towards its diagonal: return the diagonal (…, p), the factor (…, N, p) and the shrinkage (…).

    s = Z'Z/ν, v = diag s, u = Z/√v, r_ij = Σ_t u_ti u_tj/(N−1), q_ij = Σ_t u_ti² u_tj²/(N−1), V_ij = (N/ν²)(q_ij − r_ij²),
    λ = clip(Σ_{i≠j} V_ij / Σ_{i≠j} r_ij², 0, 1), Σ = λ diag(v) + (1 − λ) s. The sums over i ≠ j come from row sums and one Gram.

    Parameters
    ----------
    residuals : Tensor of shape (…, N, p)
        No channel without variance.
    dof : float
        ν.

    References
    ----------
    Schäfer & Strimmer 2005, doi:10.2202/1544-6115.1175.
    """
    n, p = residuals.shape[-2:]
    variance = (residuals * residuals).sum(dim=-2) / dof
    unit = residuals / variance.sqrt()[..., None, :]
    square = unit * unit
    # of every channel Σ_t u² = ν, so the diagonal of Σ r² is p (ν/(N−1))²
    r2 = gram_norm(unit) / (n - 1) ** 2 - p * (dof / (n - 1)) ** 2
    q = ((square.sum(dim=-1) ** 2).sum(dim=-1) - (square * square).sum(dim=(-2, -1))) / (n - 1)
    spread = n / dof**2 * (q - r2)
    shrinkage = torch.where(r2 > 0, (spread / r2).clamp(0.0, 1.0), torch.ones_like(r2)) if p > 1 else torch.ones_like(r2)
    return variance * shrinkage[..., None], residuals * ((1.0 - shrinkage) / dof).sqrt()[..., None, None], shrinkage


def estimate(residuals: Tensor, dof: float, method: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return the diagonal (…, p), the factor (…, r, p) and the shrinkage (…) of a covariance by one of the four methods of a noise model."""
    if method == "ledoit_wolf":
        return ledoit_wolf(residuals, dof)
    if method == "schaefer_strimmer":
        return schaefer_strimmer(residuals, dof)
    variance = (residuals * residuals).sum(dim=-2) / dof
    none = torch.zeros(residuals.shape[:-2], dtype=residuals.dtype, device=residuals.device)
    if method == "diagonal":
        return variance, residuals[..., :0, :], none + 1.0
    return torch.zeros_like(variance), residuals / dof**0.5, none


def low_rank_root(diagonal: Tensor, factor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (1/√d, A, g) with which X Σ^{-½} means ``Y + (Y A) diag(g) A'``, Y = X/√d; then Y Y' = X Σ⁻¹ X'.

    With F̃ = F/√d and F̃ F̃' = V diag(s) V': A = F̃' V/√s (orthonormal columns) and g = 1/√(1 + s) − 1. The root is not the symmetric
    one of Σ, but any root gives the same Gram matrices.
    """
    scale = diagonal.rsqrt()
    scaled = factor * scale[..., None, :]
    values, vectors, _ = eigh(scaled @ scaled.mT)
    keep = values > values[..., -1:] * 1e-14 * values.shape[-1]
    length = torch.where(keep, values, torch.ones_like(values)).rsqrt() * keep
    return scale, scaled.mT @ (vectors * length[..., None, :]), (1.0 + values * keep).rsqrt() - 1.0


def low_rank_whiten(rows: Tensor, root: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return rows (…, p) in channels in which the noise is white, with the ``root`` of `low_rank_root`; rows (…, n, p) for a batch of roots."""
    scale, basis, shrink = root
    if scale.ndim > 1:
        scale, shrink = scale[..., None, :], shrink[..., None, :]
    rows = rows * scale
    return rows + ((rows @ basis) * shrink) @ basis.mT


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
    """Return the lower factor of one matrix or of a batch (…, p, p), or say that a matrix is singular.

    Raises
    ------
    InputError
        For a matrix that is not positive definite.
    """
    lower, info = torch.linalg.cholesky_ex(matrix)
    if bool(info.any()):
        raise InputError(
            "the noise covariance is singular and has no inverse", where=f"noise model of {matrix.shape[-1]} channels",
            expected="variance of its own in every channel", got=f"not positive definite at channel {int(info.max())}",
            fix='shrink it: method="schaefer_strimmer" or "ledoit_wolf"',
        )  # fmt: skip
    return lower


def lower_product(rows: Tensor, lower: Tensor) -> Tensor:
    """Return X L for rows (…, p) and a lower triangular L; on a CPU by BLAS's product with a triangle, half the work of a full one."""
    flat = rows.reshape(-1, rows.shape[-1])
    if rows.device.type != "cpu" or not flat.numel() or flat.dtype not in (torch.float32, torch.float64):
        return rows @ lower
    # in Fortran's order these arrays are X', L' and the result (X L)' = L' X'
    trmm = get_blas_funcs("trmm", dtype=np.float32 if flat.dtype == torch.float32 else np.float64)
    product = trmm(1.0, lower.contiguous().numpy().T, flat.contiguous().numpy().T, lower=0)
    return torch.from_numpy(product.T).reshape(rows.shape)


def dense_whiten(rows: Tensor, lower: Tensor) -> Tensor:
    """Return X L⁻ᵀ for rows (…, p) and the Cholesky factor L of the covariance, or for rows (…, n, p) and a batch of factors (…, p, p)."""
    upper = lower.to(rows.dtype).mT
    if lower.ndim > 2:
        return torch.linalg.solve_triangular(upper, rows, upper=True, left=False)
    flat = rows.reshape(-1, rows.shape[-1])
    return torch.linalg.solve_triangular(upper, flat, upper=True, left=False).reshape(rows.shape)
