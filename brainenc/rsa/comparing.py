"""Compare RDMs: every one of a set with every one of another."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.linalg.ranks import n_of_pairs
from brainenc.nouns.rdms import RDMs
from brainenc.rsa._forms import REGISTRY
from brainenc.rsa._inputs import aligned, found

Floats = npt.NDArray[np.float64]
NAN = ("omit", "raise", "propagate")
_SQUARE = "RDMs.from_square reads square matrices"


def compare(a: RDMs | npt.ArrayLike, b: RDMs | npt.ArrayLike, method: str = "pearson", *, sigma_k: npt.ArrayLike | None = None, nan: str = "omit") -> Floats:
    """Return the similarity or distance of every RDM of ``a`` with every RDM of ``b``.

    Methods (files in ``rsa/comparators``; what ends in "distance" is one, all others are similarities): ``cosine_similarity``,
    ``pearson``, ``spearman``, ``rho_a``, ``tau_a``, ``tau_b``, ``whitened_cosine_similarity``, ``whitened_pearson``,
    ``bures_similarity``, ``bures_distance`` (squared), ``riemannian_distance`` (a is the model: its scale and noise are fitted).

    Parameters
    ----------
    a, b : RDMs, or array_like of shape (n_rdms, n_pairs) or (n_pairs,)
        Over the same conditions. Two `RDMs` are matched by the names of their conditions, whatever their order; arrays are taken to be
        in the same order.
    method : str
    sigma_k : array_like of shape (n_conditions, n_conditions) or (n_conditions,), optional
        Noise covariance of the conditions (of ``a``, in its order) for the whitened methods and ``riemannian_distance``; the identity
        where not given.
    nan : {"omit", "raise", "propagate"}
        What a missing pair does: it is left out of each comparison whose two RDMs do not both have it, and of no other; it is an error;
        or it makes every comparison with its RDM NaN. Leaving out is exact for all methods but Bures and Riemannian ones, which need
        every pair and refuse.

    Returns
    -------
    ndarray of shape (n_a, n_b)
        NaN where an RDM is constant and the method scales by its spread.

    Raises
    ------
    InputError
        Different conditions, infinite values, an unknown method, missing pairs that the method or ``nan`` does not allow.

    Notes
    -----
    Nili et al. 2014, doi:10.1371/journal.pcbi.1003553; Diedrichsen et al. 2020, arXiv:2007.02789; Schütt et al. 2023,
    doi:10.7554/eLife.82566; Shahbazi et al. 2021, doi:10.1016/j.neuroimage.2021.118271 (Riemannian distance). Citations from memory.

    Examples
    --------
    >>> import brainenc as be
    >>> be.rsa.compare([[1.0, 2.0, 3.0]], [[3.0, 2.0, 1.0]], "spearman")
    array([[-1.]])
    """
    one_of(nan, NAN, "nan")
    module = REGISTRY.get(method)
    first, second = _values(a, b)
    check_finite(first, "a")
    check_finite(second, "b")
    missing = np.isnan(first).any() or np.isnan(second).any()
    if not missing:
        return module.compare(first, second, sigma_k=sigma_k)
    if nan == "raise":
        n = int(np.isnan(first).sum() + np.isnan(second).sum())
        raise InputError("RDMs have missing pairs", where="compare", got=f"{n} NaN", fix='pass nan="omit" or nan="propagate"')
    if nan == "propagate":
        out = np.full((len(first), len(second)), np.nan)
        rows, columns = ~np.isnan(first).any(axis=1), ~np.isnan(second).any(axis=1)
        if rows.any() and columns.any():
            out[np.ix_(rows, columns)] = module.compare(first[rows], second[columns], sigma_k=sigma_k)
        return out
    return _omitting(module, method, first, second, sigma_k)


def check_finite(values: Floats, where: str) -> None:
    """Refuse infinite dissimilarities; NaN is a missing pair."""
    if np.isinf(values).any():
        raise InputError("RDMs hold infinite values", where=where, got=f"{int(np.isinf(values).sum())} of {values.size}")


def _values(a: Any, b: Any) -> tuple[Floats, Floats]:
    """Return both as float64 (n_rdms, n_pairs), the conditions of b in the order of those of a."""
    if isinstance(a, RDMs) and isinstance(b, RDMs):
        return np.array(a.values, dtype=np.float64), np.array(aligned(b, a.ids, "compare"))
    first, second = _rows(a), _rows(b)
    if first.shape[1] != second.shape[1]:
        raise InputError("RDMs have different numbers of pairs", where="compare", expected=f"{first.shape[1]} pairs", got=second.shape[1])
    return first, second


def _rows(x: Any) -> Floats:
    """Return pairs (n_rdms, n_pairs); refuse square matrices, which have no number of pairs or are symmetric around zeros."""
    try:
        values = np.array(np.atleast_2d(x.values if isinstance(x, RDMs) else np.asarray(x)), dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("RDMs are numbers", where="compare", expected="RDMs, or an array (n_rdms, n_pairs)", **found(x)) from None
    if values.ndim != 2:
        raise InputError("RDMs are rows of pairs", where="compare", expected="(n_rdms, n_pairs)", got=f"shape {values.shape}", fix=_SQUARE)
    if len(values) == values.shape[1] > 1 and not np.diagonal(values).any() and np.array_equal(values, values.T, equal_nan=True) and values.any():
        raise InputError("this is one square RDM, not rows of pairs", where="compare", expected="(n_rdms, n_pairs)", got=f"shape {values.shape}", fix=_SQUARE)
    try:
        n_of_pairs(values.shape[1])
    except ValueError as error:
        raise InputError("RDMs are rows of pairs", where="compare", expected="(n_rdms, n_pairs)", got=str(error), fix=_SQUARE) from None
    return values


def _omitting(module: ModuleType | Any, method: str, a: Floats, b: Floats, sigma_k: Any) -> Floats:
    """Compare RDMs of one pattern of missing pairs with those of another, over the pairs that both have."""
    how = getattr(module, "MISSING", "none")
    out = np.full((len(a), len(b)), np.nan)
    for gaps_a, rows in _patterns(a):
        for gaps_b, columns in _patterns(b):
            keep = ~(gaps_a | gaps_b)
            if keep.sum() < 2 and how != "none":
                continue  # nothing to compare: NaN
            if keep.all():
                found = module.compare(a[rows], b[columns], sigma_k=sigma_k)
            elif how == "pairs":
                found = module.compare(np.ascontiguousarray(a[rows][:, keep]), np.ascontiguousarray(b[columns][:, keep]), sigma_k=sigma_k)
            elif how == "masked":
                found = module.compare(np.where(keep, a[rows], np.nan), np.where(keep, b[columns], np.nan), sigma_k=sigma_k)
            else:
                raise InputError("this comparator needs every pair of conditions", where=method, got=f"{int((~keep).sum())} missing pairs",
                                 fix='select the conditions that have all pairs, use another method, or pass nan="propagate"')  # fmt: skip
            out[np.ix_(rows, columns)] = found
    return out


def _patterns(values: Floats) -> list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]]:
    gaps, codes = np.unique(np.isnan(values), axis=0, return_inverse=True)
    return [(gap, np.flatnonzero(codes.reshape(-1) == code)) for code, gap in enumerate(gaps)]
