"""Clusters of neighbouring cells against the largest cluster of a null: sign flips over subjects, or any null maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.linalg.plan import plan_chunks
from brainenc.metrics.flips import flipped_t
from brainenc.metrics.resample import sign_flips
from brainenc.metrics.tails import TAILS
from brainenc.nouns.persist import Saved

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
WHERE = "cluster_test"
CLUSTER_P = 0.05  # p-value of the default threshold of a single cell, of both tails together


@dataclass(frozen=True, slots=True, eq=False)
class Clusters(Saved):
    """What a cluster test found.

    Parameters
    ----------
    table : DataFrame
        One row a cluster, the smallest p first: cluster, sign, start and stop (both inclusive; ``<axis>_start``, ``<axis>_stop`` for several
        axes, ``n_<axis>`` for one with an adjacency), n_cells, mass (Σ t), peak (largest |t|), p.
    mask : ndarray of bool
        Cells of clusters with p ≤ alpha.
    labels : ndarray of int
        Number of the cluster of each cell, 0 for none.
    t : ndarray
        One-sample t of each cell over subjects; for a null of permutations the score divided by its standard deviation under the null.
    p : ndarray
        p-value of each cell: that of its cluster and 1 outside; of the cell itself under threshold-free enhancement.
    threshold : float or str
        Of |t| (or t), or "tfce".
    tail : str
    n : int
        Sign patterns, or permutations, drawn.
    n_subjects : int
    alpha : float
    drawn : str
        What was drawn.
    """

    table: pd.DataFrame
    mask: npt.NDArray[np.bool_]
    labels: Index
    t: Floats
    p: Floats
    threshold: float | str
    tail: str
    n: int
    n_subjects: int
    alpha: float
    drawn: str = "sign patterns"

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of ``table``."""
        return self.table.copy()

    def _repr_html_(self) -> str:
        return facts(type(self).__name__, {"found": repr(self)}) + self.table.head(24).to_html(escape=True, index=False, float_format="%.3g")

    def __repr__(self) -> str:
        found = int((self.table["p"] <= self.alpha).sum()) if len(self.table) else 0
        who = f"{self.n_subjects} subject{'s' * (self.n_subjects != 1)}"
        return f"Clusters({found} of {len(self.table)} with p ≤ {self.alpha:g}; {who}, {self.n} {self.drawn}, {self.tail})"


def flipped_clusters(
    values: Floats, *, threshold: float | str | None = None, tail: str = "two-sided", adjacency: Any = None,
    axes: Mapping[str, Sequence[Any]] | None = None, n: int = 1000, seed: int = 0, alpha: float = 0.05, step: float = 0.1,
    memory: str | int = "512MB",
) -> Clusters:  # fmt: skip
    """Test scores of subjects (n_subjects, …) against zero by flipping all scores of a subject together; see `brainenc.rsa.cluster_test`.

    Notes
    -----
    Maris & Oostenveld 2007, doi:10.1016/j.jneumeth.2007.03.024; Smith & Nichols 2009, doi:10.1016/j.neuroimage.2008.03.061.
    """
    one_of(tail, TAILS, "tail")
    _check(values, threshold, step)
    flat = values.reshape(len(values), -1)
    signs = np.concatenate([np.ones((1, len(values))), sign_flips(len(values), n, seed, WHERE)])
    height = _threshold(threshold, tail, len(values) - 1)
    found = _against(lambda part: flipped_t(flat, signs[part]), len(signs), values.shape[1:], adjacency, height, tail, alpha, step, memory)
    return _wrap(found, values.shape[1:], axes, adjacency, height, tail, len(signs) - 1, len(values), alpha, "sign patterns")


def clusters_of(
    maps: npt.NDArray[Any], *, threshold: float | str | None = None, tail: str = "greater", adjacency: Any = None,
    axes: Mapping[str, Sequence[Any]] | None = None, alpha: float = 0.05, step: float = 0.1, memory: str | int = "512MB",
) -> Clusters:  # fmt: skip
    """Find clusters in the first of ``maps`` (1 + n, …), with the largest clusters of the other n as the null.

    Each cell is divided by the standard deviation of its 1 + n values, so that cells with a wide null make no clusters by themselves; treating the
    observed map as one of the draws keeps the test exact.

    Parameters
    ----------
    maps : ndarray of shape (1 + n, n_cells) or (1 + n, n_times, …)
        The observed statistic, and draws from its null, which is about zero.
    threshold : float or "tfce", optional
        In standard deviations of the null; by default the normal quantile at p = 0.05.
    tail, adjacency, axes, alpha, step, memory
        As for `brainenc.rsa.cluster_test`.
    """
    one_of(tail, TAILS, "tail")
    if maps.ndim < 2 or len(maps) < 2 or not np.isfinite(maps).all():
        raise InputError("null maps are missing", where=WHERE, expected="finite maps (1 + n, …)", got=f"shape {maps.shape}")
    flat = maps.reshape(len(maps), -1)
    spread = np.sqrt((flat**2).mean(axis=0, dtype=np.float64))
    spread = np.where(spread > 0, spread, 1.0)
    height = _threshold(threshold, tail, np.inf)
    found = _against(lambda part: flat[part] / spread, len(flat), maps.shape[1:], adjacency, height, tail, alpha, step, memory)
    return _wrap(found, maps.shape[1:], axes, adjacency, height, tail, len(maps) - 1, 1, alpha, "permutations")


def _against(
    maps: Callable[[slice], Floats], n_maps: int, shape: tuple[int, ...], adjacency: Any, height: float | str, tail: str, alpha: float,
    step: float, memory: str | int,
) -> tuple[Floats, Floats, Index]:  # fmt: skip
    """Return the statistic, p and cluster of each cell (n_cells,); the first of the maps is the observed one."""
    edges = _edges(shape, adjacency)
    t = maps(slice(0, 1))[0]
    if height == "tfce":
        enhanced, tops = _null(maps, n_maps, lambda some: np.abs(_enhanced(_signed(some, tail, 0.0) * np.abs(some), edges, step)), memory, len(edges))
        p = (1 + (tops[1:, None] >= enhanced * (1 - 1e-9)).sum(axis=0)) / n_maps
        p[enhanced == 0] = 1.0
        return t, p, _number(_label(np.where(p <= alpha, np.sign(t), 0.0)[None], edges)[0], (p <= alpha).astype(float))
    masses, tops = _null(maps, n_maps, lambda some: _cell_masses(some, tail, float(height), edges), memory, len(edges))
    p = np.where(masses > 0, (1 + (tops[1:, None] >= masses * (1 - 1e-9)).sum(axis=0)) / n_maps, 1.0)
    return t, p, _number(_label(_signed(t[None], tail, float(height)), edges)[0], masses)


def _wrap(
    found: tuple[Floats, Floats, Index], shape: tuple[int, ...], axes: Mapping[str, Sequence[Any]] | None, adjacency: Any, height: float | str,
    tail: str, n: int, n_subjects: int, alpha: float, drawn: str,
) -> Clusters:  # fmt: skip
    t, p, labels = found[0].reshape(shape), found[1].reshape(shape), found[2].reshape(shape)
    return Clusters(_table(labels, t, p, axes, adjacency is not None), p <= alpha, labels, t, p, height, tail, n, n_subjects, alpha, drawn)


def _check(values: Floats, threshold: float | str | None, step: float) -> None:
    if values.ndim < 2 or len(values) < 2 or values[0].size == 0:
        raise InputError("scores of at least two subjects are needed", where=WHERE, expected="(n_subjects, n_times[, …])", got=f"shape {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("scores are missing", where=WHERE, expected="a finite score of every subject in every cell",
                         got=f"{int((~np.isfinite(values)).sum())} of {values.size} missing", fix="select complete subjects and cells first")  # fmt: skip
    same = (np.ptp(values, axis=0) == 0) & (values[0] != 0)
    if same.any():
        raise InputError("all subjects have the same score, so there is no variance to test against", where=WHERE, got=f"{int(same.sum())} such cells")
    if isinstance(threshold, str) and threshold != "tfce":
        raise InputError("unknown threshold", where=WHERE, expected='a number or "tfce"', got=repr(threshold))
    if isinstance(threshold, int | float) and not threshold > 0 or not step > 0:
        raise InputError("threshold and step must be positive", where=WHERE, got=f"threshold {threshold}, step {step}")


def _threshold(threshold: float | str | None, tail: str, dof: float) -> float | str:
    from scipy.special import ndtri, stdtrit

    if threshold is None:
        level = 1 - CLUSTER_P / (2 if tail == "two-sided" else 1)
        return float(stdtrit(dof, level) if np.isfinite(dof) else ndtri(level))
    return threshold if isinstance(threshold, str) else float(threshold)


def _edges(shape: tuple[int, ...], adjacency: Any) -> Index:
    """Return pairs of cells (n_edges, 2) that touch: next ones along lattice axes, neighbours along the last one if it has some."""
    cells = np.arange(int(np.prod(shape))).reshape(shape)
    parts = []
    for axis in range(len(shape) - (adjacency is not None)):
        first, second = np.moveaxis(cells, axis, 0)[:-1], np.moveaxis(cells, axis, 0)[1:]
        parts.append(np.stack([first.reshape(-1), second.reshape(-1)], axis=1))
    if adjacency is not None:
        pairs = _neighbours(adjacency, shape[-1])
        lines = cells.reshape(-1, shape[-1])
        parts.append(np.stack([lines[:, pairs[:, 0]].reshape(-1), lines[:, pairs[:, 1]].reshape(-1)], axis=1))
    return np.concatenate(parts)


def _neighbours(adjacency: Any, n: int) -> Index:
    """Return the pairs i < j (n_pairs, 2) of a sparse or dense matrix, or of lists of neighbours."""
    from scipy import sparse

    if sparse.issparse(adjacency) or (isinstance(adjacency, np.ndarray) and adjacency.ndim == 2):
        matrix = sparse.coo_array(adjacency)
    elif isinstance(adjacency, Iterable):
        lists = [np.asarray(one, dtype=np.intp).reshape(-1) for one in adjacency]
        columns = np.concatenate([*lists, np.empty(0, dtype=np.intp)])
        if len(lists) != n or (len(columns) and (columns.min() < 0 or columns.max() >= n)):
            raise InputError("adjacency does not fit the last axis", where=WHERE, expected=f"{n} lists of positions below {n}", got=f"{len(lists)} lists")
        rows = np.repeat(np.arange(n), [len(one) for one in lists])
        matrix = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    else:
        raise InputError("unknown adjacency", where=WHERE, expected="a sparse matrix, or lists of neighbours", got=type(adjacency).__name__)
    if matrix.shape != (n, n):
        raise InputError("adjacency does not fit the last axis", where=WHERE, expected=f"({n}, {n})", got=matrix.shape)
    both = sparse.coo_array(sparse.triu(matrix != 0, k=1) + sparse.triu((matrix != 0).T, k=1))
    return np.stack(both.coords, axis=1).astype(np.intp)


def _null(maps: Callable[[slice], Floats], n_maps: int, measure: Any, memory: str | int, n_edges: int) -> tuple[Floats, Floats]:
    """Return the observed measure of each cell (n_cells,) and the largest measure of each map (n_maps,)."""
    first = maps(slice(0, 1))
    plan = plan_chunks(memory, n_maps, fixed=0, per_column=8 * (12 * first.shape[1] + 3 * n_edges), smallest=1)
    tops = np.concatenate([measure(maps(part)).max(axis=1) for part in plan.slices()])
    return measure(first)[0], tops


def _signed(maps: Floats, tail: str, height: float) -> Floats:
    """Return +1, −1 or 0 for cells (n_maps, n_cells) above the height, below its negative (two-sided only), or neither."""
    up = np.where(maps > height, 1.0, 0.0)
    return up if tail == "greater" else np.where(maps < -height, -1.0, up)


def _label(signed: Floats, edges: Index) -> Index:
    """Return the component (n_maps, n_cells) of each cell; those of different maps or signs, and zeros, are never joined."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_maps, n_cells = signed.shape
    joined = (signed[:, edges[:, 0]] == signed[:, edges[:, 1]]) & (signed[:, edges[:, 0]] != 0)
    which, edge = np.nonzero(joined)
    start, stop = which * n_cells + edges[edge, 0], which * n_cells + edges[edge, 1]
    graph = coo_array((np.ones(len(start), dtype=np.int8), (start, stop)), shape=(signed.size, signed.size)).tocsr()
    return np.asarray(connected_components(graph, directed=False)[1].reshape(n_maps, n_cells), dtype=np.intp)


def _cell_masses(maps: Floats, tail: str, height: float, edges: Index) -> Floats:
    """Return |Σ t| (n_maps, n_cells) of the cluster that each cell is in, 0 outside."""
    signed = _signed(maps, tail, height)
    labels = _label(signed, edges)
    masses = np.bincount(labels.reshape(-1), weights=(np.abs(maps) * (signed != 0)).reshape(-1))
    return np.asarray(masses[labels], dtype=np.float64)


def _enhanced(maps: Floats, edges: Index, step: float) -> Floats:
    """Return Σ_h extent^½ h² Δh with the sign of t: heights h = Δh, 2 Δh … up to the largest |t| of all maps."""
    out = np.zeros_like(maps)
    for k in range(1, int(np.abs(maps).max(initial=0.0) / step) + 1):
        signed = np.sign(maps) * (np.abs(maps) > k * step)
        rows = np.flatnonzero((signed != 0).any(axis=1))  # maps that reach this height
        if not len(rows):
            break
        labels = _label(signed[rows], edges)
        extent = np.bincount(labels.reshape(-1), weights=np.abs(signed[rows]).reshape(-1))[labels]
        out[rows] += signed[rows] * np.sqrt(extent) * (k * step) ** 2 * step
    return out


def _number(components: Index, masses: Floats) -> Index:
    """Return labels 1, 2 … of the components with a mass, in order of appearance, 0 elsewhere."""
    out = np.zeros(len(components), dtype=np.intp)
    inside = masses > 0
    if inside.any():
        out[inside] = pd.factorize(components[inside])[0] + 1
    return out


def _table(labels: Index, t: Floats, p: Floats, axes: Mapping[str, Sequence[Any]] | None, has_adjacency: bool) -> pd.DataFrame:
    names, coordinates = _axes(labels.shape, axes, has_adjacency)
    lattice = len(names) - has_adjacency
    rows = []
    for label in range(1, int(labels.max(initial=0)) + 1):
        where = np.nonzero(labels == label)
        row: dict[str, Any] = {"cluster": label, "sign": int(np.sign(t[where].sum()))}
        for axis, name in enumerate(names):
            prefix = "" if len(names) == 1 else f"{name}_"
            if axis < lattice:
                row |= {f"{prefix}start": coordinates[axis][where[axis].min()], f"{prefix}stop": coordinates[axis][where[axis].max()]}
            else:
                row[f"n_{name}"] = len(np.unique(where[axis]))
        rows.append(row | {"n_cells": len(where[0]), "mass": t[where].sum(), "peak": t[where][np.abs(t[where]).argmax()], "p": p[where].min()})
    table = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["cluster", "sign", "n_cells", "mass", "peak", "p"])
    return table.sort_values(["p", "n_cells"], ascending=[True, False], kind="stable", ignore_index=True)


def _axes(shape: tuple[int, ...], axes: Mapping[str, Sequence[Any]] | None, has_adjacency: bool) -> tuple[list[str], list[Any]]:
    if axes is None:
        names = ["time"] if len(shape) == 1 else [f"axis_{i}" for i in range(len(shape))]
        if has_adjacency:
            names[-1] = "places"
        return names, [np.arange(size) for size in shape]
    found = tuple(len(labels) for labels in axes.values())
    if found != shape:
        raise InputError("axes do not fit the scores", where=WHERE, expected=f"labels of lengths {shape}", got=f"{dict(zip(axes, found, strict=True))}")
    return list(axes), [np.asarray(labels) for labels in axes.values()]
