"""Multidimensional scaling of conditions within RDMs, and of RDMs among each other, turned to look alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.rng import derive
from brainenc.linalg.decompose import eigh
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]
AXES = ("x", "y", "z")


class _Options(NamedTuple):
    method: str
    n_dimensions: int
    n_init: int
    seed: int


def mds(
    rdms: RDMs, *, of: str = "rdms", method: str = "metric", n_dimensions: int = 2, across: str | None = None, match: str | Sequence[str] | None = None,
    align: bool = True, scaling: bool = False, n_init: int = 4, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Place RDMs (regions, layers, subjects) or the conditions of each RDM in a few dimensions.

    ``"classical"``: the largest eigenvectors of -½ H D² H times the roots of their eigenvalues. ``"metric"``: least squares of distances
    (SMACOF), begun there and from ``n_init - 1`` random places; the lowest stress is kept. Several embeddings are rotated, reflected and
    shifted onto the first one (Procrustes), which changes no distance.

    Parameters
    ----------
    rdms : RDMs
    of : {"rdms", "conditions"}
        ``"rdms"``: one point an RDM, by the Euclidean distances between them. ``"conditions"``: one point a condition, an embedding an RDM.
    method : {"metric", "classical"}
    n_dimensions : {1, 2, 3}
    across : str, optional
        With ``of="rdms"``: a column (noise level, subject); each of its values has an embedding of its own.
    match : str or list of str, optional
        With ``across``: columns that say which points correspond; points of one label meet at their mean. Needed to align.
    align : bool
        Turn every embedding onto the first.
    scaling : bool
        Also stretch it to fit.
    n_init, seed : int

    Returns
    -------
    DataFrame
        The columns of ``rdms.rdms`` (and of ``rdms.conditions``), x, y, z as far as asked for, and stress:
        √(Σ (d - δ)² / Σ d²) of the embedding before alignment.

    Raises
    ------
    InputError
        For missing or infinite dissimilarities, fewer than three points, and points without a partner.

    References
    ----------
    Borg & Groenen (2005) doi:10.1007/0-387-28981-X

    Examples
    --------
    >>> rdms = RDMs(np.array([[3.0, 4.0, 5.0]]), {"stimulus_id": ["a", "b", "c"]})
    >>> mds(rdms, of="conditions", method="classical")["stress"].round(6).tolist()
    [0.0, 0.0, 0.0]
    """
    one_of(of, ("rdms", "conditions"), "of")
    one_of(method, ("metric", "classical"), "method")
    one_of(n_dimensions, (1, 2, 3), "n_dimensions")
    if not np.isfinite(rdms.values).all():
        raise InputError(f"{int((~np.isfinite(rdms.values)).sum())} dissimilarities are missing or infinite", where="mds", fix="drop those conditions")
    options = _Options(method, n_dimensions, n_init, seed)
    if of == "conditions":
        if across is not None or match is not None:
            raise InputError("conditions are always matched by name", where="mds", got=f"across={across!r}, match={match!r}")
        parts = _of_conditions(rdms, options)
        keys = [rdms.ids] * rdms.n_rdms
    else:
        parts, keys = _of_rdms(rdms, across, match, align, options)
    names = list(AXES[:n_dimensions])
    if align and len(parts) > 1:
        first = parts[0][names].to_numpy()
        parts = [parts[0], *(_aligned(part, names, key, first, keys[0], scaling) for part, key in zip(parts[1:], keys[1:], strict=True))]
    return pd.concat(parts, ignore_index=True)


def procrustes(points: Floats, onto: Floats, *, scaling: bool = False) -> tuple[Floats, float, Floats, Floats]:
    """Return rotation R, scale s, and the means of both, such that s (points - mean) R + mean of ``onto`` is nearest to ``onto``.

    Parameters
    ----------
    points, onto : ndarray of shape (n_points, n_dimensions)
        Row by row the same things.

    References
    ----------
    Schönemann (1966) doi:10.1007/BF02289451
    """
    from_mean, to_mean = points.mean(axis=0), onto.mean(axis=0)
    left, values, right = np.linalg.svd((points - from_mean).T @ (onto - to_mean))
    size = ((points - from_mean) ** 2).sum()
    return left @ right, float(values.sum() / size) if scaling and size > 0 else 1.0, from_mean, to_mean


def classical(distances: Floats, n_dimensions: int) -> Floats:
    """Return coordinates (n_points, n_dimensions); directions of negative eigenvalues are 0. Signs: the largest coordinate is positive."""
    squared = distances**2
    gram = -0.5 * (squared - squared.mean(0) - squared.mean(1, keepdims=True) + squared.mean())
    values, vectors, _ = eigh(torch.from_numpy((gram + gram.T) / 2))
    top = np.flip(vectors.numpy()[:, -n_dimensions:], axis=1) * np.sqrt(np.maximum(np.flip(values.numpy()[-n_dimensions:]), 0.0))
    return np.asarray(top * np.where(top[np.abs(top).argmax(axis=0), np.arange(n_dimensions)] < 0, -1.0, 1.0))


def _embed(distances: Floats, options: _Options, *keys: object) -> tuple[Floats, float]:
    """Return coordinates and stress of one symmetric matrix."""
    if len(distances) < 3:
        raise InputError("fewer than three points", where="mds", got=len(distances))
    start = classical(distances, min(options.n_dimensions, len(distances) - 1))
    start = np.pad(start, ((0, 0), (0, options.n_dimensions - start.shape[1])))
    if options.method == "classical":
        return start, _stress(start, distances)
    from sklearn.manifold import smacof

    tries = [start]
    common: dict[str, Any] = {"n_components": options.n_dimensions, "n_init": 1, "max_iter": 1000, "eps": 1e-9, "normalized_stress": False}
    for i in range(options.n_init):
        init = {"init": start} if i == 0 else {"random_state": derive(options.seed, "mds", *keys, i)}
        tries.append(np.asarray(smacof(distances, **common, **init)[0]))
    stress = [_stress(one, distances) for one in tries]
    best = int(np.argmin(stress))
    return tries[best], stress[best]


def _stress(points: Floats, distances: Floats) -> float:
    found = np.linalg.norm(points[:, None] - points[None], axis=-1)
    total = (found**2).sum()
    return float(np.sqrt(((found - distances) ** 2).sum() / total)) if total > 0 else 0.0


def _of_conditions(rdms: RDMs, options: _Options) -> list[pd.DataFrame]:
    parts = []
    for position, square in enumerate(rdms.square()):
        points, stress = _embed(square, options, position)
        part = rdms.conditions.copy()
        for i, (name, value) in enumerate(rdms.rdms.iloc[position].items()):
            part.insert(i, f"rdm_{name}" if name in rdms.conditions else str(name), value)
        parts.append(_with_points(part, points, stress))
    return parts


def _of_rdms(
    rdms: RDMs, across: str | None, match: str | Sequence[str] | None, align: bool, options: _Options
) -> tuple[list[pd.DataFrame], list[npt.NDArray[np.object_]]]:
    table = rdms.rdms
    columns = [match] if isinstance(match, str) else list(match or [])
    for name in (*columns, *([across] if across else [])):
        need_column(table, name, "RDMs.rdms")
    if across and align and not columns:
        raise InputError("which points correspond?", where="mds", fix="give match=, the columns that name a point in every embedding, or align=False")
    groups = [rows for _, rows in sorted(table.groupby(across, sort=False).indices.items(), key=lambda one: one[1][0])] if across else [np.arange(len(table))]
    parts, keys = [], []
    for rows in groups:
        values = rdms.values[rows] - rdms.values[rows].mean(axis=0)
        gram = values @ values.T
        size = np.diag(gram)
        distances = np.sqrt(np.maximum(size[:, None] + size[None] - 2 * gram, 0.0))
        np.fill_diagonal(distances, 0.0)
        points, stress = _embed(distances, options, across, str(table[across].iloc[rows[0]]) if across else "all")
        parts.append(_with_points(table.iloc[rows].reset_index(drop=True), points, stress))
        keys.append(np.array(["\0".join(map(str, row)) for row in table[columns].iloc[rows].to_numpy()], dtype=object))
    return parts, keys


def _with_points(table: pd.DataFrame, points: Floats, stress: float) -> pd.DataFrame:
    taken = [name for name in (*AXES[: points.shape[1]], "stress") if name in table]
    if taken:
        raise InputError("the table has columns of the coordinates' names", where="mds", got=", ".join(taken), fix="rename them")
    return table.assign(**dict(zip(AXES, points.T, strict=False)), stress=stress)


def _aligned(
    part: pd.DataFrame, names: list[str], key: npt.NDArray[np.object_], first: Floats, first_key: npt.NDArray[np.object_], scaling: bool
) -> pd.DataFrame:
    """Return an embedding turned onto the first one, by the points whose keys are in both."""
    mine, theirs = (pd.DataFrame(points).groupby(labels).mean() for points, labels in ((part[names].to_numpy(), key), (first, first_key)))
    shared = mine.index.intersection(theirs.index)
    if len(shared) < 2:
        raise InputError("fewer than two points correspond", where="mds", got=len(shared), fix="match= names columns with the same values everywhere")
    turn, scale, from_mean, to_mean = procrustes(mine.loc[shared].to_numpy(), theirs.loc[shared].to_numpy(), scaling=scaling)
    moved = scale * (part[names].to_numpy() - from_mean) @ turn + to_mean
    return part.assign(**dict(zip(names, moved.T, strict=True)))
