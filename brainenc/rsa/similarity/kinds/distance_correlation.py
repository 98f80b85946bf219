"""Distance correlation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.rsa.similarity._kernels import Kernel, alignment, alignments, kernel_of, reorder, subset
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "distance_correlation", "nulls", "prepare", "reorder", "subset"]

KIND = "similarity"
SYMMETRIC = True
IDENTITY = 1.0
INVARIANT = {"x": ("translation", "scale", "rotation"), "y": ("translation", "scale", "rotation")}


def distance_correlation(
    X: Any, Y: Any, *, estimator: str = "biased", memory: str | int | float | None = None, device: str = "auto"
) -> Any:
    """Return the distance correlation, which is 0 (in the population) only for independent data.

    dCor² = ⟨A, B⟩ / (‖A‖ ‖B‖) of double-centred matrices of Euclidean distances. ``"biased"`` gives dCor = √dCor²; ``"debiased"``
    gives the bias-corrected dCor² of Székely & Rizzo (U-centred), which can be negative and of which no root is taken.

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    estimator : {"biased", "debiased"}
    memory : str, int or float, optional
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs where either side is a mapping.

    References
    ----------
    Székely, Rizzo & Bakirov (2007), doi:10.1214/009053607000000505; Székely & Rizzo (2013), doi:10.1016/j.jmva.2013.02.012.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9.0)[:, None]
    >>> round(distance_correlation(x, -2 * x), 6)
    1.0
    """
    return measure("distance_correlation", X, Y, estimator=estimator, memory=memory, device=device)


def prepare(x: npt.NDArray[Any], *, memory: int, device: Any, estimator: str = "biased") -> Kernel:
    """Return the centred (negative) distances of one side."""
    return kernel_of(x, "distance", estimator=estimator, sigma="median", fraction=1.0, memory=memory, device=device)


def between(a: Kernel, b: Kernel) -> float:
    """Return dCor, or the bias-corrected dCor²."""
    value = alignment(a, b)
    return value if a.debiased else float(np.sqrt(max(value, 0.0))) if value == value else value


def nulls(sides: Sequence[Kernel], b: Kernel, orders: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return `between` (n_orders, n_sides) under many orders of the rows of ``b``."""
    values = alignments(sides, b, orders)
    return values if b.debiased else np.sqrt(np.maximum(values, 0.0))
