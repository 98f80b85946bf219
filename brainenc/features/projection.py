"""Fewer features: a sparse random projection that never looks at the data, and principal components that are fitted.

Sparse random projection to K dimensions (Li, Hastie & Church 2006, doi:10.1145/1150402.1150436): each entry of R
(n_features × K) is, with s = sqrt(n_features),

    +sqrt(s / K) with probability 1 / (2 s),   −sqrt(s / K) with probability 1 / (2 s),   0 otherwise,

so that E‖x R‖² = ‖x‖². R depends only on (seed, n_features, K), so features extracted today and tomorrow share one projection.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from brainenc.core.errors import InputError
from brainenc.core.rng import check_seed, generator

if TYPE_CHECKING:
    from scipy import sparse

    from brainenc.nouns import FeatureSpace

ROWS = 4096  # rows of dense data multiplied at once


def parse(how: str) -> tuple[str, int]:
    """Split ``"srp:500"`` or ``"pca:20"`` into the method and the number of dimensions."""
    match = re.fullmatch(r"(srp|pca):([1-9][0-9]{0,7})", how) if isinstance(how, str) else None
    if match is None:
        raise InputError("unknown reduction", where="reduce", expected='"srp:K" or "pca:K", e.g. "srp:2000"', got=repr(how))
    return match[1], int(match[2])


def parse_independent(how: str, *, where: str) -> int:
    """Return K of ``"srp:K"``; refuse a reduction that would be fitted to all rows, test rows among them."""
    method, k = parse(how)
    if method != "srp":
        raise InputError(
            "this reduction is fitted to data, and would see the test stimuli here", where=where, expected='"srp:K"', got=repr(how),
            fix=f"pass it to score_layers(reduce={how!r}), which fits it inside each training set",
        )  # fmt: skip
    return k


def reduce_space(space: FeatureSpace, how: str, *, seed: int = 0) -> FeatureSpace:
    """Return a `FeatureSpace` projected by ``"srp:K"``; one that has K features or fewer comes back as it is.

    Examples
    --------
    >>> from brainenc import FeatureSpace
    >>> space = FeatureSpace(np.eye(4, 100), {"stimulus_id": list("abcd")})
    >>> reduce_space(space, "srp:10").n_features
    10
    """
    k = parse_independent(how, where="FeatureSpace.reduce")
    if space.n_features <= k:
        return replace(space, provenance={**space.provenance, "reduce": f"none ({space.n_features} features, {how} asked for)"})
    provenance = {**space.provenance, "reduce": how, "reduce_seed": check_seed(seed), "n_features_before": space.n_features}
    return replace(space, values=project(space.values, k, seed=seed), features=None, provenance=provenance)


def project(values: npt.NDArray[Any], k: int, *, seed: int = 0) -> npt.NDArray[Any]:
    """Return ``values`` (n, n_features) times the sparse random matrix: (n, k), in the dtype of ``values``."""
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float32)
    matrix = sparse_matrix(values.shape[1], k, check_seed(seed))
    out = np.empty((len(values), k), dtype=dtype)
    for start in range(0, len(values), ROWS):
        block = np.asarray(values[start : start + ROWS], dtype=dtype)
        out[start : start + ROWS] = (matrix.astype(dtype, copy=False) @ block.T).T
    return out


@lru_cache(maxsize=4)
def sparse_matrix(n_features: int, k: int, seed: int) -> sparse.csr_array:
    """Return the transposed projection (k, n_features), about k·sqrt(n_features) entries, never dense."""
    from scipy import sparse

    rng = generator(seed, "srp", n_features, k)
    spread = np.sqrt(n_features)
    counts = rng.binomial(n_features, 1.0 / spread, size=k)
    indices = np.concatenate([np.sort(rng.choice(n_features, size=c, replace=False, shuffle=False)) for c in counts])
    signs = rng.integers(0, 2, size=len(indices)) * 2.0 - 1.0
    pointers = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_array(((signs * np.sqrt(spread / k)).astype(np.float32), indices, pointers), shape=(k, n_features))


class Reducer:
    """A reduction that is fitted to training rows and then applied to any rows.

    Parameters
    ----------
    how : {"pca:K", "srp:K"}
        Principal components of the centred training rows, at most ``min(K, n_rows − 1, n_features)`` of them; or the sparse
        random projection, which fits nothing (features that have K columns or fewer pass unchanged).
    seed : int
        Of the random projection.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
    components_ : ndarray of shape (n_components, n_features)
        Orthonormal rows; the entry of largest magnitude in each is positive.
    explained_ : ndarray of shape (n_components,)
        Share of the training variance of each component.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((30, 8))
    >>> Reducer("pca:3").fit(x).transform(x).shape
    (30, 3)
    """

    def __init__(self, how: str, seed: int = 0) -> None:
        self.method, self.k = parse(how)
        self.how = how
        self.seed = check_seed(seed)

    def fit(self, X: npt.NDArray[Any]) -> Reducer:
        """Fit to the training rows (n_rows, n_features)."""
        if X.ndim != 2 or len(X) < 2:
            raise InputError("too few rows to reduce", where=self.how, expected="at least 2 rows", got=f"shape {X.shape}")
        self.n_features_in_ = X.shape[1]
        if self.method == "pca":
            self._fit_components(X)
        return self

    def transform(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the reduced rows (n_rows, n_components) in the dtype of ``X``."""
        if X.ndim != 2 or X.shape[1] != self.n_features_in_:
            raise InputError("other features than those fitted", where=self.how, expected=f"{self.n_features_in_} columns", got=f"shape {X.shape}")
        if self.method == "srp":
            return X if X.shape[1] <= self.k else project(X, self.k, seed=self.seed)
        dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float64)
        out = np.empty((len(X), len(self.components_)), dtype=dtype)
        for start in range(0, len(X), ROWS):
            out[start : start + ROWS] = (np.asarray(X[start : start + ROWS], dtype=np.float64) - self.mean_) @ self.components_.T
        return out

    def fit_transform(self, X: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Fit to rows and return them reduced."""
        return self.fit(X).transform(X)

    def _fit_components(self, X: npt.NDArray[Any]) -> None:
        from scipy import linalg

        n, p = X.shape
        self.mean_ = np.asarray(X.mean(axis=0, dtype=np.float64))
        rows = np.asarray(X, dtype=np.float64) - self.mean_
        wide = p > n
        gram = rows @ rows.T if wide else rows.T @ rows
        size = len(gram)
        keep = min(self.k, size)
        values, vectors = linalg.eigh(gram, subset_by_index=[size - keep, size - 1], driver="evr")
        values, vectors = values[::-1], vectors[:, ::-1]
        total = float(np.trace(gram))
        rank = int(np.sum(values > max(total, np.finfo(float).tiny) * size * np.finfo(float).eps))
        keep = max(1, min(self.k, rank, n - 1))
        components = (vectors[:, :keep].T @ rows) / np.sqrt(np.maximum(values[:keep, None], np.finfo(float).tiny)) if wide else vectors[:, :keep].T
        signs = np.sign(components[np.arange(keep), np.abs(components).argmax(axis=1)])
        self.components_ = components * np.where(signs == 0, 1.0, signs)[:, None]
        self.explained_ = values[:keep] / total if total > 0 else np.zeros(keep)
