"""Mean canonical correlation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.rsa.similarity._bases import Basis, basis_of, correlations, mean_correlation, mean_correlations, refuse_full_rank, reorder, warn_of_certain
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "canonical_correlations", "cca", "nulls", "prepare", "reorder"]

KIND = "similarity"
SYMMETRIC = True
IDENTITY = 1.0
INVARIANT = {"x": ("translation", "scale", "rotation", "linear"), "y": ("translation", "scale", "rotation", "linear")}
_FIX = "use more samples, svcca with a fixed number of components, or cka(estimator='debiased')"


def cca(X: Any, Y: Any, *, tolerance: float | None = None, memory: str | int | float | None = None, device: str = "auto") -> Any:
    """Return the mean canonical correlation.

    With orthonormal bases U and V of the centred columns, the canonical correlations are the singular values of U'V (min(r, s) of them,
    r and s being the numerical ranks): no covariance is formed or inverted.

    In-sample: for unrelated data of ranks r and s it grows with r + s; compare with `similarity_test`. For a regularised relative see
    `shape_distance` with alpha between 0 and 1.

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    tolerance : float, optional
        Singular values up to this share of the largest count as zero; max(n, p) rounding units where not given.
    memory : str, int or float, optional
        Not used: a basis is no larger than the data.
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs where either side is a mapping.

    Raises
    ------
    InputError
        Where a side has as many independent features as samples: every correlation is then 1 whatever the other side.

    Warns
    -----
    BrainencWarning
        Where the ranks together exceed n − 1: that many correlations are 1 whatever the data.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 3))
    >>> round(cca(x, x @ [[1.0, 2, 0], [0, 1, 5], [1, 0, 1]]), 6)
    1.0
    """
    return measure("cca", X, Y, tolerance=tolerance, memory=memory, device=device)


def canonical_correlations(X: Any, Y: Any, *, tolerance: float | None = None, device: str = "auto") -> npt.NDArray[np.float64]:
    """Return all canonical correlations (min(r, s),) of two representations, descending; see `cca`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 2))
    >>> canonical_correlations(x, x[:, ::-1]).round(6)
    array([1., 1.])
    """
    from brainenc.linalg.device import resolve_device
    from brainenc.rsa.similarity._sides import aligned, named

    left, right, _ = aligned(named(X, "X"), named(Y, "Y"), "canonical_correlations")
    where = resolve_device(device)
    a, b = (prepare(next(iter(side.values())), memory=0, device=where, tolerance=tolerance) for side in (left, right))
    warn_of_certain(a, b, "cca")
    return correlations(a, b).cpu().numpy()


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, tolerance: float | None = None) -> Basis:
    """Return the basis of one side."""
    return refuse_full_rank(basis_of(x, device, tolerance), "cca", _FIX)


def between(a: Basis, b: Basis) -> float:
    """Return the mean canonical correlation."""
    warn_of_certain(a, b, "cca")
    return mean_correlation(a, b)


nulls = mean_correlations
