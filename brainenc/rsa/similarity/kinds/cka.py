"""Centred kernel alignment."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.rsa.similarity._kernels import Kernel, alignment, alignments, kernel_of, reorder, subset
from brainenc.rsa.similarity.pairing import measure

__all__ = ["between", "cka", "nulls", "prepare", "reorder", "subset"]

KIND = "similarity"
SYMMETRIC = True
IDENTITY = 1.0
INVARIANT = {"x": ("translation", "scale", "rotation"), "y": ("translation", "scale", "rotation")}


def cka(
    X: Any, Y: Any, *, kernel: str = "linear", estimator: str = "biased", sigma: float | str = "median", fraction: float = 1.0,
    batch_size: int | None = None, seed: int = 0, memory: str | int | float | None = None, device: str = "auto",
) -> Any:  # fmt: skip
    """Return the centred kernel alignment HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)).

    Linear kernel: K = XX'. The biased estimator is ⟨HKH, HLH⟩ / (‖HKH‖ ‖HLH‖) with H = I − 11'/n, the same as
    ‖X'Y‖² / (‖X'X‖ ‖Y'Y‖) of centred columns (and the RV coefficient); a side is held as whichever of X and XX' is smaller. It equals
    the whitened cosine of squared Euclidean RDMs with the identity as condition covariance. It grows towards 1 with n_features / n_samples
    even for unrelated data; the debiased one (Song et al. 2012, the inner product of U-centred kernels) is 0 on average for those, can
    be negative, and needs four samples.

    Features are centred and nothing else: they are never z-scored, which would be another measure (z-score them before, if wanted).

    Parameters
    ----------
    X, Y : array (n_samples, n_features), FeatureSpace, Responses, or mappings of these
    kernel : {"linear", "rbf"}
        "rbf": K_ij = exp(−‖x_i − x_j‖² / (2σ²)). For large σ it tends to the linear one.
    estimator : {"biased", "debiased"}
    sigma : float or "median"
        Bandwidth of "rbf" of each side. "median": ``fraction`` times the median of the side's non-zero pairwise distances, over at most
        2,048 rows drawn with a fixed seed.
    fraction : float
        Used with ``sigma="median"`` only.
    batch_size : int, optional
        Minibatch CKA: rows are shuffled with ``seed`` and cut into equal batches of at least so many rows, see `minibatch_cka`. Debiased.
    seed : int
        Of the batches.
    memory : str, int or float, optional
        Working memory; kernels that do not fit are formed block by block.
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs where either side is a mapping. NaN where a side does not vary.

    Raises
    ------
    InputError
        For rows that do not match, NaN, too few samples, ``batch_size`` with the biased estimator or without a numeric bandwidth.

    References
    ----------
    Kornblith et al. (2019), arXiv:1905.00414; Song et al. (2012), JMLR 13:1393; Nguyen et al. (2021), arXiv:2010.15327.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((50, 4))
    >>> round(cka(x, 3 * x[:, ::-1] + 1), 6)
    1.0
    """
    if batch_size is not None:
        from brainenc.rsa.similarity.batches import in_batches

        return in_batches(X, Y, batch_size, seed=seed, kernel=kernel, estimator=estimator, sigma=sigma, device=device)
    options = {"kernel": kernel, "estimator": estimator, "sigma": sigma, "fraction": fraction}
    return measure("cka", X, Y, memory=memory, device=device, **options)


def prepare(
    x: npt.NDArray[Any], *, memory: int, device: Any,
    kernel: str = "linear", estimator: str = "biased", sigma: float | str = "median", fraction: float = 1.0,
) -> Kernel:  # fmt: skip
    """Return the centred kernel of one side."""
    one_of(kernel, ("linear", "rbf"), "kernel")
    return kernel_of(x, kernel, estimator=estimator, sigma=sigma, fraction=fraction, memory=memory, device=device)


between = alignment
nulls = alignments
