"""Orthogonal Procrustes distance."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from brainenc.rsa.similarity._bases import Basis, basis_of, reorder
from brainenc.rsa.similarity.kinds import shape_distance
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "prepare", "procrustes_distance", "reorder"]

KIND = "distance"
SYMMETRIC = True
IDENTITY = 0.0
INVARIANT = {"x": ("translation", "scale", "rotation"), "y": ("translation", "scale", "rotation")}


def procrustes_distance(X: Any, Y: Any, *, normalize: bool = True, memory: str | int | float | None = None, device: str = "auto") -> Any:
    """Return min over rotations and reflections Q of ‖X − YQ‖ of centred sides, each scaled to length one.

    √(‖X‖² + ‖Y‖² − 2 ‖X'Y‖_*), ‖·‖_* the nuclear norm: between 0 and √2 where normalised. It is the "euclidean" `shape_distance` with
    alpha = 1 of normalised data. `scipy.spatial.procrustes` also fits a scale to one side, and gives 1 − ‖X'Y‖_*².

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    normalize : bool
        Scale each centred side to length one (Frobenius); otherwise the distance is in the units of the data.
    memory : str, int or float, optional
        Not used: a basis is no larger than the data.
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs where either side is a mapping. NaN where a side does not vary.

    References
    ----------
    Schönemann (1966), doi:10.1007/BF02289451; Ding, Denain & Steinhardt (2021), arXiv:2108.01661 (as the square).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 3))
    >>> round(procrustes_distance(x, 5 * x[:, ::-1]), 6)
    0.0
    """
    return measure("procrustes_distance", X, Y, normalize=normalize, memory=memory, device=device)


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, normalize: bool = True) -> Basis:
    """Return the basis of one side, its singular values scaled to length one."""
    basis = basis_of(x, device)
    return basis._replace(s=basis.s / (basis.total**0.5 or 1.0) if normalize else basis.s, extra="euclidean")


between = shape_distance.between
