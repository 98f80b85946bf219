"""From the voxels of a subject to the vertices that all subjects share, through a sparse mapper; and their average there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io.readers import list_keys, read_array
from brainenc.nouns.scores import Scores
from brainenc.nouns.spaces import SurfaceSpace
from brainenc.nouns.spaces.surface import MESHES

Floats = npt.NDArray[np.float64]
PARTS = ("data", "indices", "indptr", "shape")


def read_mapper(path: str | Path, name: str | None = "voxel_to_fsaverage") -> Any:
    """Read a sparse matrix (n_vertices, n_voxels) from the arrays of its compressed rows.

    Parameters
    ----------
    path : str or Path
        HDF5 (the ``mappers/S0N_mappers.hdf`` of shortclips) or ``.npz`` (`scipy.sparse.save_npz` of a CSR matrix).
    name : str, optional
        The arrays are ``<name>_data``, ``<name>_indices``, ``<name>_indptr`` and ``<name>_shape``; without a name just these four words.

    Returns
    -------
    scipy.sparse.csr_array

    Raises
    ------
    NotFoundError
        No such mapper; the message lists those there.
    DataError
        Parts that make no matrix.
    """
    from scipy import sparse

    keys = {part: part if name is None else f"{name}_{part}" for part in PARTS}
    there = list_keys(path)
    if not set(keys.values()) <= set(there):
        found = [key.removesuffix("_indptr") for key in there if key.endswith("_indptr")]
        fix = "name=None for a file of scipy.sparse" if set(PARTS) <= set(there) else None
        raise NotFoundError("no such mapper in the file", where=path, got=repr(name), expected=examples(found or there, 8), fix=fix)
    data, indices, indptr, shape = (np.asarray(read_array(path, key=keys[part])).reshape(-1) for part in PARTS)
    if "format" in there and name is None and str(np.asarray(read_array(path, key="format")).item()) not in ("csr", "b'csr'"):
        raise DataError("only compressed rows are read", where=path, expected="csr")
    good = len(shape) == 2 and indptr.dtype.kind in "iu" and indices.dtype.kind in "iu" and data.dtype.kind in "fiu"
    good = good and len(indptr) == shape[0] + 1 and len(data) == len(indices) and indptr[0] == 0 and indptr[-1] == len(data)
    good = good and bool((np.diff(indptr.astype(np.int64)) >= 0).all()) and (not len(indices) or 0 <= indices.min() <= indices.max() < shape[1])
    if not good or not np.isfinite(data).all():
        raise DataError("the parts make no sparse matrix of finite weights", where=path, got=f"shape {shape.tolist()}, {len(data)} weights")
    return sparse.csr_array((data.astype(np.float64), indices.astype(np.int64), indptr.astype(np.int64)), shape=(int(shape[0]), int(shape[1])))


def project(
    values: Scores | npt.ArrayLike, mapper: Any, space: SurfaceSpace | str = "fsaverage", *, normalize: bool = True, missing: str = "renormalize",
    least: float = 0.5,
) -> Any:  # fmt: skip
    """Carry values from voxels to the vertices of a surface: v_i = Σ_j w_ij x_j / Σ_j w_ij.

    Parameters
    ----------
    values : Scores of one subject, or array (…, n_voxels)
    mapper : scipy sparse matrix or array of shape (n_vertices, n_voxels)
        Voxels in the order of the values; rows of a full mesh stand left before right.
    space : SurfaceSpace, or str
        A name of the fsaverage family stands for all its vertices.
    normalize : bool
        Whether to divide by the row's sum of weights (a weighted mean). Without it the values are Σ_j w_ij x_j.
    missing : {"renormalize", "propagate"}
        NaN voxels leave their weight to the others of the row, v_i = Σ_known w x / Σ_known w (times Σ w where not normalised), or make the vertex NaN.
    least : float
        Share of a row's weight that must be known; NaN below it.

    Returns
    -------
    Scores or ndarray (…, n_vertices)
        NaN for vertices without weights. `Scores` keep values and inner scores, as means; p, q, p_max and n_test are those of the voxel with the
        largest weight, as p-values have no mean. Ceiling, alpha, intervals and predictions stay behind; to see normalised scores project
        ``scores.normalized()``.

    Raises
    ------
    InputError
        For shapes that do not fit, or negative weights where rows are to be divided by their sum.

    Examples
    --------
    >>> import numpy as np
    >>> space = SurfaceSpace("fsaverage5", ["left", "right"], [0, 0])
    >>> project([1.0, 3.0, np.nan], np.array([[0.5, 1.5, 0.0], [0.0, 0.5, 0.5]]), space)
    array([2.5, 3. ])
    """
    from scipy import sparse

    one_of(missing, ("renormalize", "propagate"), "missing")
    if not 0.0 < least <= 1.0:
        raise InputError("a share of weight lies between 0 and 1", where="project, least", got=least)
    rows = sparse.csr_array(mapper).astype(np.float64)
    rows.eliminate_zeros()
    space = _full(space) if isinstance(space, str) else space
    if rows.shape[0] != space.n_targets:
        raise InputError("mapper and surface have different vertices", where="project", expected=f"{space.n_targets} rows", got=rows.shape[0])
    if not np.isfinite(rows.data).all():
        raise InputError("weights must be finite", where="project, mapper")
    if (rows.data < 0).any() and (normalize or missing == "renormalize"):
        raise InputError("negative weights have no sum to divide by", where="project", fix='pass normalize=False, missing="propagate"')
    how = (rows, normalize, missing, least)
    if isinstance(values, Scores):
        return _projected(values, how, space)
    array = np.asarray(values, dtype=np.float64)
    if array.ndim < 1 or array.shape[-1] != rows.shape[1]:
        raise InputError("mapper and values have different voxels", where="project", expected=f"(…, {rows.shape[1]})", got=f"shape {array.shape}")
    return _carried(array, *how)


def average_subjects(scores: Scores | Sequence[Scores], *, least: int | None = None, name: str = "mean") -> Scores:
    """Average scores over subjects, target by target, in a space that they share.

    Parameters
    ----------
    scores : Scores of several subjects, or sequence of Scores
        With the same layers; targets are matched by target_id.
    least : int, optional
        Subjects that need a score for a mean; all of them by default. With fewer the means of neighbouring vertices are of different subjects.
    name : str
        Name of the average in the column ``subject``.

    Returns
    -------
    Scores
        One fold (the mean over each subject's folds first); n_test is the fewest rows of any subject; ``provenance["n_subjects"]`` counts the
        subjects behind each target and entry (n_entries, n_targets).

    Notes
    -----
    An average hides who shows an effect: show every subject beside it, `brainenc.encoding.group_table`.
    """
    parts = subjects_of(scores, "average_subjects")
    first = parts[0]
    ids = first.targets["target_id"].to_list()
    for part in parts[1:]:
        if part.targets["target_id"].to_list() != ids or part.space.n_targets != first.space.n_targets:
            raise InputError("subjects have different targets", where="average_subjects", fix="project them to one surface first")
    need = len(parts) if least is None else least
    if not 1 <= need <= len(parts):
        raise InputError("least is a number of subjects", where="average_subjects", expected=f"1 to {len(parts)}", got=least)
    stacked = np.stack([part.mean() for part in parts])
    known = np.isfinite(stacked)
    count = known.sum(axis=0)
    mean = np.where(count >= need, np.where(known, stacked, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
    n_test = np.min([part.n_test.sum(axis=0) for part in parts], axis=0)[None]
    provenance = {"average_of": [part.subjects[0] for part in parts], "n_subjects": count}
    status = f"mean over {len(parts)} subjects; {first.ceiling_status}"
    return Scores(
        mean[:, None], first.entries, first.targets.assign(subject=name), {name: first.space}, first.split, n_test, aggregate=first.aggregate,
        ceiling_status=status, provenance=provenance,
    )  # fmt: skip


def subjects_of(scores: Scores | Sequence[Scores], where: str) -> list[Scores]:
    """Return the scores of each subject, all with the entries of the first in its order."""
    given = [scores] if isinstance(scores, Scores) else list(scores)
    parts = [one.where(subject=subject) for one in given for subject in one.subjects]
    names = [part.subjects[0] for part in parts]
    if len(parts) < 2 or len(set(names)) < len(names):
        raise InputError("several subjects are needed, each once", where=where, got=examples(names, 8))
    columns = ["model", "layer", "metric", "seed"]
    wanted = pd.MultiIndex.from_frame(parts[0].entries[columns])
    out = []
    for part in parts:
        index = pd.MultiIndex.from_frame(part.entries[columns])
        if len(index) != len(wanted) or index.has_duplicates or set(index) != set(wanted):
            expected, got = examples(parts[0].layers, 8), examples(part.layers, 8)
            raise InputError("subjects have different layers, metrics or seeds", where=where, expected=expected, got=got)
        order = index.get_indexer(wanted)
        out.append(part if (order == np.arange(len(order))).all() else part._take_entries(order))
    return out


def _full(mesh: str) -> SurfaceSpace:
    size = MESHES[one_of(mesh, tuple(MESHES), "space")]
    return SurfaceSpace(mesh, np.repeat(["left", "right"], size), np.tile(np.arange(size), 2))


def _carried(array: Floats, rows: Any, normalize: bool, missing: str, least: float) -> Floats:
    flat = array.reshape(-1, array.shape[-1]).T
    known = np.isfinite(flat)
    total = np.asarray(rows.sum(axis=1), dtype=np.float64)[:, None]
    weight = np.asarray(abs(rows).sum(axis=1))[:, None]
    summed = rows @ np.where(known, flat, 0.0)
    # weights that meet a value: counted by summing, exact where all are known
    share = np.ones(summed.shape) if known.all() else (abs(rows) @ known.astype(np.float64)) / np.where(weight > 0, weight, 1.0)
    share = np.where(np.isclose(share, 1.0, rtol=0, atol=1e-12), 1.0, share)
    if missing == "propagate":
        good = share == 1.0
    else:
        good = share >= least - 1e-12
        summed = summed / np.where(good, share, 1.0)
    if normalize:
        summed = summed / np.where(total > 0, total, 1.0)
    out = np.where(good & (weight > 0), summed, np.nan)
    return np.asarray(out.T.reshape(*array.shape[:-1], rows.shape[0]))


def _projected(scores: Scores, how: tuple[Any, bool, str, float], space: SurfaceSpace) -> Scores:
    rows = how[0]
    if len(scores.subjects) != 1:
        raise InputError("a mapper belongs to one subject", where="project", got=examples(scores.subjects, 8), fix="scores.where(subject=…)")
    if scores.values.shape[2] != rows.shape[1]:
        raise InputError("mapper and scores have different voxels", where="project", expected=rows.shape[1], got=scores.values.shape[2])
    (subject,) = scores.subjects
    values = _carried(scores.values, *how)
    main, some = _largest(rows)
    take = lambda array: None if array is None else np.where(some, array[..., main], np.nan)  # noqa: E731
    known = np.isfinite(values).any(axis=(0, 1))
    sizes = {"vertices": space.n_targets, "without weights": int((~some).sum()), "NaN in spite of weights": int((some & ~known).sum())}
    table = pd.DataFrame({
        "subject": subject, "target_id": [f"{h[0]}{v}" for h, v in zip(space.hemi, space.vertex, strict=True)], "hemi": space.hemi, "vertex": space.vertex,
    })  # fmt: skip
    text = f"projected to {space.mesh}, weights {'normalised' if how[1] else 'as they are'}, NaN voxels: {how[2]}"
    return replace(
        scores, values=values, inner=None if scores.inner is None else _carried(scores.inner, *how), alpha=None, ceiling=None, targets=table,
        spaces={subject: space}, n_test=np.where(some, scores.n_test[:, main], 0), p=take(scores.p), q=take(scores.q), p_max=take(scores.p_max), ci=None,
        predictions={}, observed={}, test_rows={}, ceiling_status=f"not projected ({scores.ceiling_status})",
        provenance={**scores.provenance, "projection": text, "projected": sizes},
    )  # fmt: skip


def _largest(rows: Any) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the voxel with the largest weight of each row (the first of equals), and which rows have any."""
    counts = np.diff(rows.indptr)
    row = np.repeat(np.arange(rows.shape[0]), counts)
    order = np.lexsort((rows.indices, -np.abs(rows.data), row))
    main, some = np.zeros(rows.shape[0], dtype=np.intp), counts > 0
    main[some] = rows.indices[order][rows.indptr[:-1][some]]
    return main, some
