"""Error of kernel predictions as their complexity grows: spectral (every dimension at once) and leave-one-out ridge."""

from __future__ import annotations

import torch

from brainenc.linalg.decompose import eigh

Tensor = torch.Tensor


def spectrum(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues (n,), descending and not below zero, and eigenvectors (n, n) of a positive semi-definite kernel."""
    values, vectors, _ = eigh(kernel)
    return values.flip(0).clamp(min=0.0), vectors.flip(1)


def spectral_errors(vectors: Tensor, y: Tensor, n_dimensions: int) -> Tensor:
    """Return the share of wrong classes (n_dimensions,) of Ŷ_d = U_d U_d' Y for d = 1 …, from running sums: O(n · d · c).

    Parameters
    ----------
    vectors : Tensor of shape (n, n)
        By decreasing eigenvalue.
    y : Tensor of shape (n, c)
        One-hot classes.
    """
    n, n_classes = y.shape
    truth = y.argmax(dim=1)
    weights = vectors.T @ y
    running = torch.zeros_like(y)
    step = max(1, 2**22 // (n * n_classes))
    out = []
    for start in range(0, n_dimensions, step):
        part = slice(start, min(start + step, n_dimensions))
        fitted = running[None] + torch.cumsum(vectors.T[part, :, None] * weights[part, None, :], dim=0)
        running = fitted[-1]
        out.append((fitted.argmax(dim=2) != truth).to(y.dtype).mean(dim=1))
    return torch.cat(out)


def spectral_residuals(vectors: Tensor, y: Tensor, n_dimensions: int) -> Tensor:
    """Return ‖Y − U_d U_d' Y‖² / ‖Y‖² for d = 1 … n_dimensions, from a running sum of squares."""
    explained = torch.cumsum((vectors.T[:n_dimensions] @ y).square().sum(dim=1), dim=0)
    return (1.0 - explained / y.square().sum()).clamp(min=0.0)


def loo_predictions(values: Tensor, vectors: Tensor, y: Tensor, penalty: float) -> Tensor:
    """Return leave-one-out predictions (n, c) of kernel ridge: y − (y − Hy) / (1 − diag H), H = K (K + λI)⁻¹.

    Parameters
    ----------
    values, vectors : Tensor
        Of `spectrum`.
    y : Tensor of shape (n, c)
    penalty : float
        λ > 0.
    """
    # 1 − H = λ (K + λI)⁻¹: formed directly, as 1 − diag H would lose its digits for small λ
    left = penalty / (values + penalty)
    residual = vectors @ (left[:, None] * (vectors.T @ y))
    return y - residual / (vectors.square() @ left)[:, None]
