"""Singular vector canonical correlation."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.rsa.similarity._bases import Basis, basis_of, mean_correlation, mean_correlations, refuse_full_rank, reorder, warn_of_certain
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "nulls", "prepare", "reorder", "svcca"]

KIND = "similarity"
SYMMETRIC = True
IDENTITY = 1.0
INVARIANT = {"x": ("translation", "scale", "rotation"), "y": ("translation", "scale", "rotation")}


def svcca(
    X: Any, Y: Any, *, variance: float = 0.99, components: int | None = None, memory: str | int | float | None = None, device: str = "auto"
) -> Any:
    """Return the mean canonical correlation of the leading principal components of each side.

    Each side keeps the fewest principal components that hold ``variance`` of its variance, or a fixed number; then as `cca`.

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    variance : float
        Share to keep, above 0 and up to 1.
    components : int, optional
        Instead of ``variance``: as many on either side (or all there are).
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
        Where the components that are kept span every centred vector.

    References
    ----------
    Raghu et al. (2017), arXiv:1706.05806.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((30, 3))
    >>> round(svcca(x, 2 * x, components=2), 6)
    1.0
    """
    return measure("svcca", X, Y, variance=variance, components=components, memory=memory, device=device)


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, variance: float = 0.99, components: int | None = None) -> Basis:
    """Return the basis of the leading components of one side."""
    if components is not None and (isinstance(components, bool) or components < 1):
        raise InputError("components is a count", where="svcca", expected="1 or more", got=repr(components))
    if not 0 < variance <= 1:
        raise InputError("variance is a share", where="svcca", expected="above 0, up to 1", got=variance)
    whole = basis_of(x, device)
    share = whole.s.square().cumsum(0) / max(whole.total, 1e-300)
    # to rounding: a share of 1 keeps every component
    keep = components if components is not None else int((share < variance * (1 - 1e-12)).sum()) + 1
    part = whole._replace(u=whole.u[:, :keep], s=whole.s[:keep])
    return refuse_full_rank(part, "svcca", "keep fewer components (components=…), or use more samples")


def between(a: Basis, b: Basis) -> float:
    """Return the mean canonical correlation."""
    warn_of_certain(a, b, "svcca")
    return mean_correlation(a, b)


nulls = mean_correlations
