"""The result of a variance partition: R² of every subset and what follows from them, with intervals of the same resamples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.metrics.resample import bootstrap_folds
from brainenc.nouns.persist import Saved
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]
Small = npt.NDArray[np.float32]
INTERVAL = (2.5, 97.5)
_CELLS = 2_000_000
_JOIN = " & "


@dataclass(frozen=True, slots=True, eq=False)
class VariancePartition(Saved):
    """Variance of responses partitioned among k feature spaces, in held-out rows.

    Parameters
    ----------
    names : tuple of str
        The spaces.
    subsets : tuple of tuples of str
        All 2^k − 1 of them, small ones first.
    r2 : ndarray of shape (n_subsets, n_targets)
        R² of the model of each subset, relative to the training means; NaN for targets that are constant or hold NaN.
    product : ndarray of shape (n_spaces, n_targets), or None
        Product measure of the joint model (`product_measure`); None for encoders without parts, or without an intercept.
    targets : DataFrame of n_targets rows
    errors : ndarray of shape (1 + n_subsets, n_test, n_targets), float32; no rows where ``n`` is 0
        Squared errors of the training means and of each subset in the test rows of all folds: what is resampled.
    terms : ndarray of shape (n_spaces, n_test, n_targets), float32, or None
        What each row adds to the numerator of ``product``.
    rows : DataFrame of n_test rows
        fold, unit (resampled as a whole), stimulus_id where known.
    n, seed : int
        Bootstrap samples.
    encoder, split : str
    """

    names: tuple[str, ...]
    subsets: tuple[tuple[str, ...], ...]
    r2: Floats
    product: Floats | None
    targets: pd.DataFrame
    errors: Small
    terms: Small | None
    rows: pd.DataFrame
    n: int
    seed: int
    encoder: str
    split: str

    @property
    def joint(self) -> Floats:
        """R² of the model of all spaces, (n_targets,)."""
        return self.r2[-1]

    @property
    def parts(self) -> Floats:
        """What the spaces of each subset explain together and no other does, (n_subsets, n_targets); they sum to ``joint``."""
        return commonality_matrix(len(self.names)) @ self.r2

    @property
    def unique(self) -> Floats:
        """What each space explains that no other does, (n_spaces, n_targets)."""
        return self.parts[: len(self.names)]

    @property
    def shapley(self) -> Floats:
        """Mean gain in R² of each space over all orders of entry (Lindeman, Merenda & Gold), (n_spaces, n_targets); sums to ``joint``."""
        return shapley_matrix(len(self.names)) @ self.r2

    def to_frame(self, by: str | None = None, *, intervals: bool = True) -> pd.DataFrame:
        """Return one row a target or group of targets, and quantity.

        Parameters
        ----------
        by : str, optional
            Column of ``targets`` whose groups are averaged, for instance ``"roi"``; NaN targets are left out, and ``n_targets`` counts the others.
        intervals : bool
            Bootstrap intervals (95 %, percentile).

        Returns
        -------
        DataFrame
            ``target_id`` or ``by``, quantity (r2, part, shapley, product), spaces (``a & b``), order (size of the subset), value, ci_low,
            ci_high, n_targets. Parts of order 1 are the unique ones. Intervals are NaN where ``n`` is 0.

        Raises
        ------
        NotFoundError
            When there is no such column.
        """
        name = "target_id" if by is None else by
        labels = need_column(self.targets, by, "VariancePartition.targets") if by is not None else self._ids()
        groups = labels.groupby(labels, sort=False).indices if by is not None else {label: np.array([i]) for i, label in enumerate(labels)}
        transform, keys = self._transform()
        weights = self._weights() if intervals and self.n else None
        known = np.asarray(np.isfinite(self.r2).all(axis=0))
        parts = []
        for label, index in groups.items():
            index = index[known[index]]
            values = transform @ self._stacked(self.r2[:, index], None if self.product is None else self.product[:, index])
            low = high = np.full(len(keys), np.nan)
            if weights is not None and len(index):
                low, high = np.percentile(self._draws(weights, index) @ transform.T, INTERVAL, axis=0)
            mean = values.mean(axis=1) if len(index) else np.full(len(keys), np.nan)
            parts.append(pd.DataFrame({name: label, **keys, "value": mean, "ci_low": low, "ci_high": high, "n_targets": len(index)}))
        return pd.concat(parts, ignore_index=True)

    def _ids(self) -> pd.Series:
        return self.targets["target_id"] if "target_id" in self.targets else pd.Series(np.arange(len(self.targets)))

    def _stacked(self, r2: Floats, product: Floats | None) -> Floats:
        return r2 if product is None else np.concatenate([r2, product])

    def _transform(self) -> tuple[Floats, pd.DataFrame]:
        """Return the matrix from R² of subsets (and products) to all quantities, and what these are: all are linear."""
        k, m = len(self.names), len(self.subsets)
        blocks = {"r2": np.eye(m), "part": commonality_matrix(k), "shapley": shapley_matrix(k)}
        labels = [_JOIN.join(one) for one in self.subsets]
        width = m + (0 if self.product is None else k)
        matrix = np.zeros((2 * m + k + width - m, width))
        matrix[: 2 * m + k, :m] = np.concatenate(list(blocks.values()))
        quantity, spaces = ["r2"] * m + ["part"] * m + ["shapley"] * k, labels * 2 + list(self.names)
        order = [len(one) for one in self.subsets] * 2 + [1] * k
        if self.product is not None:
            matrix[2 * m + k :, m:] = np.eye(k)
            quantity, spaces, order = quantity + ["product"] * k, spaces + list(self.names), order + [1] * k
        return matrix, pd.DataFrame({"quantity": quantity, "spaces": spaces, "order": order})

    def _weights(self) -> Small:
        """Return how often each test row comes in each sample, (n, n_test)."""
        [(rows, drawn)] = bootstrap_folds(self.rows, self.n, self.seed, "partition", pooled=True)
        out = np.empty(drawn.shape, dtype=np.float32)
        out[:, rows] = drawn
        return out

    def _draws(self, weights: Small, index: npt.NDArray[np.intp]) -> Floats:
        """Return the means over targets of R² of the subsets (and of products) of every sample, (n, n_subsets or more)."""
        m = len(self.subsets)
        total = np.zeros((len(weights), m if self.terms is None else m + len(self.names)))
        step = max(1, _CELLS // len(weights))
        for start in range(0, len(index), step):
            cols = index[start : start + step]
            base = weights @ self.errors[0][:, cols]
            base = np.where(base > 0, base, np.nan).astype(np.float64)
            for s in range(m):
                total[:, s] += (1.0 - (weights @ self.errors[s + 1][:, cols]) / base).sum(axis=1)
            for k in range(total.shape[1] - m):
                total[:, m + k] += ((weights @ self.terms[k][:, cols]) / base).sum(axis=1)  # type: ignore[index]
        return total / len(index)

    def __repr__(self) -> str:
        joint = np.nanmean(self.joint) if np.isfinite(self.joint).any() else np.nan
        return f"VariancePartition({', '.join(self.names)}; {self.r2.shape[1]} targets, mean joint R² {joint:.3f}; {self.encoder}, {self.split})"


def subsets_of(k: int) -> list[list[int]]:
    """Return all subsets of k spaces but the empty one, small ones first."""
    return [list(one) for size in range(1, k + 1) for one in combinations(range(k), size)]


def commonality_matrix(k: int) -> Floats:
    """Return the matrix (2^k − 1, 2^k − 1) from R² of subsets to the parts of subsets, both in the order of `subsets_of`.

    part(S) = Σ over non-empty U ⊆ S of (−1)^(|U| + 1) R²((Ω \\ S) ∪ U) − [S ≠ Ω] R²(Ω \\ S), the R² of no space being 0.
    """
    subsets = subsets_of(k)
    place = {frozenset(one): i for i, one in enumerate(subsets)}
    out = np.zeros((len(subsets), len(subsets)))
    for i, one in enumerate(subsets):
        outside = frozenset(range(k)) - frozenset(one)
        if outside:
            out[i, place[outside]] -= 1.0
        for size in range(1, len(one) + 1):
            for inner in combinations(one, size):
                out[i, place[outside | frozenset(inner)]] += (-1.0) ** (size + 1)
    return out


def shapley_matrix(k: int) -> Floats:
    """Return the matrix (k, 2^k − 1) from R² of subsets to Shapley values: Σ over S without j of |S|! (k − |S| − 1)! / k! (R²(S ∪ j) − R²(S))."""
    subsets = subsets_of(k)
    place = {frozenset(one): i for i, one in enumerate(subsets)}
    out = np.zeros((k, len(subsets)))
    for j in range(k):
        for before in [[], *subsets]:
            if j in before:
                continue
            share = factorial(len(before)) * factorial(k - len(before) - 1) / factorial(k)
            out[j, place[frozenset([*before, j])]] += share
            if before:
                out[j, place[frozenset(before)]] -= share
    return out
