"""Do two maps of the cortex go together: correlations under a null that keeps how alike neighbours are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.encoding._reading import whole
from brainenc.encoding._spins import parcel_spins, vertex_spins
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import permutations
from brainenc.metrics.tails import TAILS, probabilities
from brainenc.nouns.spaces.surface import SurfaceSpace

Floats = npt.NDArray[np.float64]
CHUNK = 64


def map_association(
    x: npt.ArrayLike, maps: Mapping[str, npt.ArrayLike] | npt.ArrayLike, *, space: SurfaceSpace | None = None, coordinates: npt.ArrayLike | None = None,
    hemi: npt.ArrayLike | None = None, method: str = "pearson", null: str = "spin", assignment: str = "hungarian", tail: str = "two-sided",
    n: int = 1000, seed: int = 0, spheres: Mapping[str, npt.ArrayLike] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Correlate values of regions or vertices with cortical maps, and test that by turning the values about the sphere.

    p = (1 + #{r* at least as extreme as r}) / (1 + n),  r* = corr(x ∘ rotation, map)

    Parameters
    ----------
    x : array_like of shape (n_cells,)
        Best layers, half-times, scores …; NaN where there is none.
    maps : mapping of name to array (n_cells,), or array (n_cells,) or (n_cells, n_maps)
        Cortical expansion, thickness, myelin, timescales …; NaN at the medial wall.
    space : SurfaceSpace, optional
        Of vertices: they are turned on the registration sphere of the mesh (fsaverage5 and coarser come with nilearn; finer ones are fetched by
        nilearn, or given as ``spheres``). Each vertex takes the nearest rotated one, that of the medial wall or of no target is NaN.
    coordinates : array_like of shape (n_cells, 3), optional
        Of parcels instead: centroids on the sphere, each hemisphere about its own origin. They are projected to radius 1.
    hemi : array_like of shape (n_cells,), optional
        "left" and "right" of the parcels; needed where there are both, as each hemisphere is a sphere of its own.
    method : {"pearson", "spearman"}
        Spearman takes ranks among all known cells of a map, once.
    null : {"spin", "permutation"}
        ``"permutation"`` shuffles cells as if neighbours were strangers: for cells without any order in space, and for comparison.
    assignment : {"hungarian", "nearest"}
        Of parcels: every value once (Váša et al. 2018; Markello & Misic 2021), or the nearest rotated parcel (Alexander-Bloch et al. 2018).
    tail : {"two-sided", "greater"}
        Two-sided counts distances from the mean of the null.
    n, seed : int
    spheres : mapping of "left", "right" to array (n_vertices, 3), optional
        Sphere coordinates of a native or fine mesh.

    Returns
    -------
    DataFrame
        One row a map: map, r, p, p_max (against the largest r* of all maps), q (Benjamini-Hochberg over the maps), null_mean, null_sd, n_cells (known
        on both sides), cells_median and cells_min (known on both sides in a spin), n, null.

    Raises
    ------
    InputError
        For a spin without space or coordinates, or shapes that do not fit.

    Notes
    -----
    Alexander-Bloch et al. 2018, doi:10.1016/j.neuroimage.2018.05.070; Váša et al. 2018, doi:10.1093/cercor/bhx249; Markello & Misic 2021,
    doi:10.1016/j.neuroimage.2021.118052. The null is exact where the values are as likely in every orientation of the sphere; values on a patch
    of the cortex alone leave few cells in common after a turn (a warning says so), and the test then says little. A draw with fewer than three
    cells in common counts as extreme.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.random.default_rng(0).standard_normal((60, 3))
    >>> height = points[:, 2] / np.linalg.norm(points, axis=1)
    >>> map_association(height, {"squared": height**2, "self": height}, coordinates=points, n=99)[["map", "p"]].values.tolist()[1]
    ['self', 0.01]
    """
    one_of(method, ("pearson", "spearman"), "method")
    one_of(null, ("spin", "permutation"), "null")
    one_of(tail, TAILS, "tail")
    n = whole(n, 19, "n", "map_association")
    values, names, columns = _checked(x, maps)
    if method == "spearman":
        values, columns = _ranked(values[:, None])[:, 0], _ranked(columns)
    spun = _spins(values, space, coordinates, hemi, null=null, assignment=assignment, n=n, seed=seed, spheres=spheres)
    observed, common = masked_correlations(values[None], columns)
    drawn, shared = [], []
    for block in _blocks(spun, values):
        r, k = masked_correlations(block, columns)
        drawn.append(r)
        shared.append(k)
    draws, counts = np.concatenate(drawn), np.concatenate(shared)
    _warn_few(counts, common[0], null)
    p, p_max = probabilities(np.concatenate([observed, draws]), np.zeros(len(names), dtype=np.intp), tail)
    known = np.where(np.isfinite(draws).any(axis=0), draws, 0.0)
    return pd.DataFrame({
        "map": names, "r": observed[0], "p": p, "p_max": p_max, "q": fdr_bh(p), "null_mean": np.nanmean(known, axis=0), "null_sd": np.nanstd(known, axis=0),
        "n_cells": common[0].astype(int), "cells_median": np.median(counts, axis=0), "cells_min": counts.min(axis=0).astype(int), "n": n, "null": null,
    })  # fmt: skip


def masked_correlations(x: Floats, maps: Floats) -> tuple[Floats, Floats]:
    """Return Pearson's r (n_draws, n_maps) of rows (n_draws, n_cells) with columns (n_cells, n_maps) over cells known in both, and their number.

    With masks a, b: n = ab, r = (n Σxy − Σx Σy) / √((n Σx² − (Σx)²)(n Σy² − (Σy)²)), as six matrix products.
    """
    a, b = np.isfinite(x).astype(np.float64), np.isfinite(maps).astype(np.float64)
    u, v = _standard(x.T).T, _standard(maps)
    many, sx, sy = a @ b, u @ b, a @ v
    spread = (many * ((u * u) @ b) - sx**2, many * (a @ (v * v)) - sy**2)
    good = (many >= 3) & (spread[0] > 1e-9 * many) & (spread[1] > 1e-9 * many)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(good, (many * (u @ v) - sx * sy) / np.sqrt(spread[0] * spread[1]), np.nan), many


def _standard(columns: Floats) -> Floats:
    """Return columns of mean 0 and variance 1 over their known cells, 0 elsewhere."""
    known = np.isfinite(columns)
    many = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, columns, 0.0)
    centred = np.where(known, centred - centred.sum(axis=0) / many, 0.0)
    sd = np.sqrt((centred**2).sum(axis=0) / many)
    return centred / np.where(sd > 0, sd, 1.0)


def _checked(x: Any, maps: Any) -> tuple[Floats, list[str], Floats]:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or np.isfinite(values).sum() < 3:
        raise InputError("one value per cell is needed", where="map_association", expected="(n_cells,), three of them known", got=f"shape {values.shape}")
    if isinstance(maps, Mapping):
        bad = [name for name, one in maps.items() if np.shape(one) != values.shape]
        if bad or not maps:
            raise InputError("maps and values have different cells", where="map_association", expected=f"({len(values)},)", got=examples(bad))
        return values, [str(name) for name in maps], np.stack([np.asarray(one, dtype=np.float64) for one in maps.values()], axis=1)
    columns = np.asarray(maps, dtype=np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    if columns.ndim != 2 or len(columns) != len(values):
        raise InputError("maps and values have different cells", where="map_association", expected=f"({len(values)}, n_maps)", got=f"shape {columns.shape}")
    return values, [str(i) for i in range(columns.shape[1])], columns


def _ranked(columns: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(columns, axis=0, nan_policy="omit"), dtype=np.float64)


def _spins(
    values: Floats, space: SurfaceSpace | None, coordinates: Any, hemi: Any, *, null: str, assignment: str, n: int, seed: int, spheres: Any
) -> Iterator[npt.NDArray[np.intp]]:  # fmt: skip
    if null == "permutation":
        known = np.flatnonzero(np.isfinite(values))
        return (_placed(order, known, len(values)) for order in permutations(len(known), n, seed, "map"))
    if (space is None) == (coordinates is None):
        fix = "pass space= for vertices, coordinates= for parcels"
        raise InputError("a spin needs to know where the cells lie", where="map_association", expected="space or coordinates, one of them", fix=fix)
    if space is not None:
        if not isinstance(space, SurfaceSpace) or space.n_targets != len(values):
            raise InputError("space and values do not fit", where="map_association", expected=f"a SurfaceSpace of {len(values)} targets", got=repr(space))
        return vertex_spins(space, n, seed, spheres=spheres)
    one_of(assignment, ("hungarian", "nearest"), "assignment")
    xyz = np.asarray(coordinates, dtype=np.float64)
    if xyz.shape != (len(values), 3) or not np.isfinite(xyz).all() or (np.linalg.norm(xyz, axis=1) == 0).any():
        raise InputError("parcels need coordinates on a sphere", where="map_association", expected=f"({len(values)}, 3), off the origin", got=xyz.shape)
    sides = np.full(len(values), "left") if hemi is None else np.asarray(hemi, dtype="U5")
    if sides.shape != (len(values),) or not np.isin(sides, ("left", "right")).all():
        raise InputError('hemi must be "left" or "right" for each cell', where="map_association", got=examples(np.unique(sides)))
    return parcel_spins(xyz, sides, n, seed, assignment=assignment)


def _placed(order: npt.NDArray[np.intp], known: npt.NDArray[np.intp], many: int) -> npt.NDArray[np.intp]:
    source = np.full(many, -1, dtype=np.intp)
    source[known] = known[order]
    return source


def _blocks(spun: Iterator[npt.NDArray[np.intp]], values: Floats) -> Iterator[Floats]:
    """Yield the turned values of up to CHUNK spins at a time."""
    padded, block = np.append(values, np.nan), []  # source −1 reads the NaN at the end
    for source in spun:
        block.append(padded[source])
        if len(block) == CHUNK:
            yield np.stack(block)
            block = []
    if block:
        yield np.stack(block)


def _warn_few(counts: Floats, common: Floats, null: str) -> None:
    share = np.median(counts, axis=0) / np.maximum(common, 1)
    if null == "spin" and (share < 0.5).any():
        text = f"after a spin only {share.min():.0%} of the cells have a value on both sides: the values lie on too small a patch for this null"
        warnings.warn(text, BrainencWarning, stacklevel=3)
