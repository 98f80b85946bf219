"""Where intracranial contacts are: regions of an atlas, white matter, outside the brain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io.nifti import read_volume
from brainenc.io.paths import existing_file, is_offline, read_errors
from brainenc.io.readers import read_table
from brainenc.loaders.channels import hemisphere, shafts
from brainenc.nouns.tables import as_table, need_column

FETCHED = {"harvard-oxford": "cort-maxprob-thr25-1mm", "harvard-oxford-subcortical": "sub-maxprob-thr25-1mm"}


def locate_contacts(
    table: pd.DataFrame, *, frame: str, atlas: str | Path | None = None, names: str | Path | Mapping[str, int] | None = None, fetch: bool = False,
    radius_mm: float = 0.0, tissue: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Add shaft, number, hemisphere, region and tissue to a table of contacts.

    Parameters
    ----------
    table : DataFrame
        ``channel``, x, y, z in mm: the channels of a `Recording`, or the table of a `ContactSpace`.
    frame : str
        Of the positions, for instance ``recording.provenance["frame"]``. Atlas and tissue need MNI space, anything that begins with "MNI"; contacts in
        other frames are refused, since nothing is transformed here.
    atlas : path or str, optional
        A label image in MNI space, or ``"harvard-oxford"``, ``"harvard-oxford-subcortical"``, which nilearn fetches.
    names : path or mapping, optional
        Of the labels in an image: a table with the columns index and name (or label), or a mapping of names to values.
    fetch : bool
        Allow nilearn to download an atlas.
    radius_mm : float
        A contact outside all labels takes the nearest one within this distance; 0 for none. Such contacts have ``region_distance`` above 0.
    tissue : bool
        Add the flags ``white_matter`` and ``outside_brain`` from the ICBM 152 templates that nilearn brings: white matter above a half, and
        outside of the brain mask. They are of the average brain, not of the person's own.

    Returns
    -------
    DataFrame
        The table with shaft, number, hemi, and region (None outside, or without a position) with region_distance (mm), white_matter,
        outside_brain.

    Raises
    ------
    InputError, DataError, NotFoundError
        Another frame, an unreadable atlas, values of it without names, an atlas to fetch without leave.

    Examples
    --------
    >>> locate_contacts(recording.channels, frame="MNI152", atlas="atlas.nii.gz", names="atlas.tsv", tissue=True)   # doctest: +SKIP
    """
    out = as_table(table, "contacts")
    channel = need_column(out, "channel", "contacts")
    for axis in "xyz":
        need_column(out, axis, "contacts")
    points = out[["x", "y", "z"]].to_numpy(dtype=np.float64)
    parts = shafts(channel)
    out = out.assign(shaft=parts["shaft"].to_numpy(), number=parts["number"].to_numpy(), hemi=hemisphere(points[:, 0]))
    if atlas is None and not tissue:
        return out
    if not str(frame).lower().startswith("mni"):
        fix = "bring the positions to MNI space first; pass frame='MNI' where they are"
        raise InputError("atlases need positions in MNI space", where="locate_contacts", expected="a frame like MNI152NLin2009aSym", got=repr(frame), fix=fix)
    if not radius_mm >= 0:
        raise InputError("radius_mm is a distance", where="locate_contacts", got=radius_mm)
    if atlas is not None:
        labels, affine, known = _atlas(atlas, names, fetch)
        values, distance = labels_at(points, labels, affine, radius_mm)
        unnamed = sorted(set(values[values > 0].tolist()) - set(known))
        if unnamed:
            raise DataError("labels of the atlas have no names", where=atlas, got=examples(unnamed), fix="pass names=")
        region = pd.Series([known[value] if value > 0 else None for value in values.tolist()], dtype=object)
        out = out.assign(region=region.to_numpy(), region_distance=distance)
    return out.assign(**_tissue(points)) if tissue else out


def labels_at(
    points: npt.NDArray[np.float64], labels: npt.NDArray[np.integer[Any]], affine: npt.NDArray[np.float64], radius_mm: float = 0.0
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return the label of the voxel at each point (mm), 0 outside, and the distance (mm) to the voxel it was taken from (NaN without label).

    A point in a labelled voxel is at distance 0; one that is not takes the nearest labelled voxel whose centre is within ``radius_mm``.
    """
    index, known = _voxels(points, affine, labels.shape)
    values = np.zeros(len(points), dtype=np.intp)
    values[known] = labels[tuple(index[known].T)]
    distance = np.where(values > 0, 0.0, np.nan)
    lost = np.flatnonzero((values == 0) & np.asarray(np.isfinite(points).all(axis=1)))
    if radius_mm > 0 and len(lost):
        from scipy.spatial import cKDTree

        places = np.argwhere(labels > 0)
        near, which = cKDTree(places @ affine[:3, :3].T + affine[:3, 3]).query(points[lost], distance_upper_bound=radius_mm * (1 + 1e-12))
        hit = np.isfinite(near)
        values[lost[hit]] = labels[tuple(places[which[hit]].T)]
        distance[lost[hit]] = near[hit]
    return values, distance


def _voxels(points: npt.NDArray[np.float64], affine: npt.NDArray[np.float64], shape: tuple[int, ...]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    inverse = np.linalg.inv(affine)
    finite = np.asarray(np.isfinite(points).all(axis=1))
    index = np.rint(np.where(finite[:, None], points, 0.0) @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.intp)
    return index, finite & (index >= 0).all(axis=1) & (index < np.array(shape[:3])).all(axis=1)


def _atlas(atlas: str | Path, names: Any, fetch: bool) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64], dict[int, str]]:
    if isinstance(atlas, str) and not Path(atlas).suffix:
        return _fetched(atlas, fetch)
    source = existing_file(atlas)
    volume = read_volume(source)
    data = np.asarray(volume.data).reshape(volume.data.shape[:3])
    whole = np.rint(data)
    if not np.isfinite(data).all() or np.abs(whole - data).max() > 1e-3 or (whole < 0).any():
        raise DataError("atlas does not hold whole labels from 0", where=source, got=f"{data.dtype}, {np.nanmin(data):g} to {np.nanmax(data):g}")
    return whole.astype(np.intp), np.asarray(volume.affine, dtype=np.float64), _names(names, source)


def _names(names: Any, atlas: Path) -> dict[int, str]:
    if names is None:
        raise InputError("an atlas image needs names of its labels", where=atlas, fix="pass names= (a table with index and name, or a mapping)")
    if isinstance(names, Mapping):
        return {int(value): str(name) for name, value in names.items()}
    table = read_table(names)
    column = next((one for one in ("name", "label", "region") if one in table.columns), None)
    if column is None or "index" not in table.columns or table["index"].dtype.kind not in "iuf":
        raise DataError("names need the columns index and name", where=names, got=examples(table.columns, 8))
    return {int(value): str(name) for value, name in zip(table["index"], table[column], strict=True) if pd.notna(value)}


def _fetched(atlas: str, fetch: bool) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64], dict[int, str]]:
    if atlas not in FETCHED:
        raise NotFoundError(
            f"no atlas {atlas!r}", where="locate_contacts", expected=f"a label image, or {', '.join(FETCHED)}", fix=did_you_mean(atlas, FETCHED)
        )
    if not fetch:
        raise InputError(
            f"atlas {atlas!r} is fetched from the internet by nilearn", where="locate_contacts", fix="pass fetch=True, or the path of a label image"
        )
    if is_offline():
        raise DataError("BRAINENC_OFFLINE forbids downloads", where=atlas, fix="pass the path of a label image")
    from nilearn.datasets import fetch_atlas_harvard_oxford

    with read_errors(atlas):
        got = fetch_atlas_harvard_oxford(FETCHED[atlas], symmetric_split=False, verbose=0)
        data = np.asarray(got.maps.dataobj).astype(np.intp)
        return data, np.asarray(got.maps.affine, dtype=np.float64), {i: str(name) for i, name in enumerate(got.labels) if i}


def _tissue(points: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[Any]]:
    """Return the flags of white matter and of places outside the brain; None where the position is unknown."""
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_wm_template

    finite = np.asarray(np.isfinite(points).all(axis=1))
    brain, white = load_mni152_brain_mask(resolution=1), load_mni152_wm_template(resolution=1)
    inside, _ = labels_at(points, np.asarray(brain.dataobj).astype(np.intp), brain.affine)
    density = np.asarray(white.dataobj, dtype=np.float64)
    in_white, _ = labels_at(points, (density > 0.5 * density.max()).astype(np.intp), white.affine)
    flags = {"white_matter": (in_white > 0) & (inside > 0), "outside_brain": inside == 0}
    return {name: np.array([bool(one) if known else None for one, known in zip(flag, finite, strict=True)], dtype=object) for name, flag in flags.items()}
