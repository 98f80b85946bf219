"""Distance between shapes: what is left between two representations after the best rotation."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.linalg.similarity import procrustes_gap
from brainenc.rsa.similarity._bases import Basis, basis_of, reorder
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "prepare", "reorder", "shape_distance"]

KIND = "distance"
SYMMETRIC = True
IDENTITY = 0.0
INVARIANT = {"x": ("translation", "scale", "rotation"), "y": ("translation", "scale", "rotation")}


def shape_distance(
    X: Any, Y: Any, *, alpha: float = 1.0, kind: str = "angular", memory: str | int | float | None = None, device: str = "auto"
) -> Any:
    """Return the distance between two shapes, a metric: symmetric, 0 only for equal shapes, with the triangle inequality.

    Each centred side X = USV' is partly whitened, X_α = c X V (α + (1 − α) S⁻¹) V', with c such that its variance is that of X. Then, over
    rotations Q,

    angular: arccos(‖X_α'Y_α‖_* / (‖X_α‖ ‖Y_α‖)), radians;
    euclidean: min ‖X_α − Y_α Q‖ = √(‖X_α‖² + ‖Y_α‖² − 2 ‖X_α'Y_α‖_*).

    α = 1 leaves the data as they are (rotations and reflections are ignored), α = 0 whitens them (like CCA, invertible linear maps are
    ignored, but for the scale with "euclidean"). Only U and S are needed, at most n × n each: nothing is padded with zeros where the
    numbers of features differ. Shapes closer than 1e-8 are still told apart, as the residual is computed and not a difference of norms.

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    alpha : float
        0 … 1.
    kind : {"angular", "euclidean"}
        "angular" also ignores scale.
    memory : str, int or float, optional
        Not used: a basis is no larger than the data.
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs where either side is a mapping. NaN where a side does not vary.

    References
    ----------
    Williams, Kunz, Kornblith & Linderman (2021), arXiv:2110.14739.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 3))
    >>> round(shape_distance(x, 5 * x[:, ::-1]), 6)
    0.0
    """
    return measure("shape_distance", X, Y, alpha=alpha, kind=kind, memory=memory, device=device)


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, alpha: float = 1.0, kind: str = "angular") -> Basis:
    """Return the basis of one side with its singular values partly whitened, and scaled to length one for angles."""
    one_of(kind, ("angular", "euclidean"), "kind")
    if not 0 <= alpha <= 1:
        raise InputError("alpha lies between 0 (whitened) and 1 (as it is)", where="shape_distance", got=alpha)
    basis = basis_of(x, device)
    s = alpha * basis.s + (1 - alpha)
    scale = 1.0 if kind == "angular" else basis.total
    s = s * (scale / s.square().sum()).sqrt()
    return basis._replace(s=s, extra=kind)


def between(a: Basis, b: Basis) -> float:
    """Return the distance."""
    if not len(a.s) or not len(b.s):
        return float("nan")
    gap = procrustes_gap(a.u * a.s, b.u * b.s)
    if a.extra == "euclidean":
        return float(gap.sqrt())
    # of unit vectors: gap = 2 − 2 cos θ = 4 sin²(θ / 2), which keeps its digits near θ = 0
    return float(2 * torch.asin((gap.sqrt() / 2).clamp(max=1.0)))
