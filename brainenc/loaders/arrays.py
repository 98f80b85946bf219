"""Responses from plain arrays of any axis order, with repeats padded by NaN."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import DataError, InputError
from brainenc.io.readers import read_array
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import ArraySpace

AXES = ("sample", "repeat", "target")
_MAP_BYTES = 2**29


def load_array(
    path: str | Path,
    *,
    key: str | None = None,
    axes: Sequence[str] = ("sample", "target"),
    scale: float = 1.0,
    units: str = "",
    name: str = "subject",
    max_bytes: str | int | None = None,
) -> Responses:
    """Read responses from an array file.

    Parameters
    ----------
    path : path
        npy, npz, h5, mat, csv, tsv or txt.
    key : str, optional
        Which array of a container.
    axes : sequence of {"sample", "repeat", "target"}
        What each axis is, in the file's order. Several ``"target"`` axes (x, y, z; channel, time) become the columns in C
        order. With ``"repeat"`` every repeat becomes a row; repeats that are NaN in all targets are padding and left out.
    scale : float
        The values are multiplied by it (undo an integer coding).
    units : str
        After scaling.
    name : str
    max_bytes : str or int, optional
        Limit on the array's size in memory.

    Returns
    -------
    Responses
        ``samples`` holds ``sample`` (position along the sample axis, from 0) and, with repeats, ``repeat`` (from 1); real data
        above half a gigabyte that need no reordering stay on disk as a memmap.

    Raises
    ------
    DataError, NotFoundError, InputError
        Unreadable file, unknown key, axes that do not fit the array, complex or text values.
    """
    order = _check_axes(axes, path)
    plain = tuple(order) == ("sample", "target") and scale == 1.0
    lazy = plain and Path(path).suffix.lower() == ".npy" and Path(path).is_file() and Path(path).stat().st_size > _MAP_BYTES
    array = read_array(path, key=key, mmap=lazy, max_bytes=max_bytes)
    array = _fit(array, order, f"{path}::{key}" if key else str(path))
    values, sample, repeat, shape, n_padding = _rows(array, order)
    samples = pd.DataFrame({"sample": sample})
    if repeat is not None:
        samples["repeat"] = repeat
    if not values.shape[0] or not values.shape[1]:
        raise DataError("array holds no responses", where=path, got=f"shape {array.shape}")
    facts: dict[str, Any] = {"files": [Path(path).name], "axes": list(order)}
    if key:
        facts["key"] = key
    if scale != 1.0:
        facts["scale"] = scale
    if n_padding:
        facts["n_padding_rows"] = n_padding
    return Responses(values=_numbers(values, scale), samples=samples, space=ArraySpace(shape), units=units, name=name, provenance=facts)


def join_rows(parts: Sequence[Responses], where: str) -> Responses:
    """Return the rows of several responses below each other; they must have the same targets."""
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts[1:]:
        if part.n_targets != first.n_targets:
            raise DataError(
                "files of one recording have different numbers of targets", where=where, expected=first.n_targets, got=part.n_targets
            )
        for column in ("channel", "time"):
            if column in first.targets and not first.targets[column].equals(part.targets[column]):
                fix = "they were preprocessed differently: take all files from one source"
                raise DataError(f"files of one recording have different {column}s", where=where, got=[part.provenance.get("files")], fix=fix)
    files = [file for part in parts for file in part.provenance.get("files", [])]
    padding = sum(part.provenance.get("n_padding_rows", 0) for part in parts)
    keys = list(dict.fromkeys(part.provenance["key"] for part in parts if "key" in part.provenance))
    facts: dict[str, Any] = {**first.provenance, "files": list(dict.fromkeys(files))}
    facts |= ({"key": keys} if len(keys) > 1 else {}) | ({"n_padding_rows": padding} if padding else {})
    return Responses(
        values=np.concatenate([part.values for part in parts]), samples=pd.concat([part.samples for part in parts], ignore_index=True),
        targets=first.targets, space=first.space, units=first.units, t_r=first.t_r, name=first.name, provenance=facts,
    )  # fmt: skip


def _check_axes(axes: Sequence[str], path: str | Path) -> list[str]:
    order = [str(one_of(axis, AXES, f"axes of {path}")) for axis in axes]
    if order.count("sample") != 1 or order.count("repeat") > 1 or "target" not in order:
        raise InputError("axes need one sample, at least one target and at most one repeat", where=path, got=order)
    return order


def _fit(array: npt.NDArray[Any], order: list[str], where: str) -> npt.NDArray[Any]:
    if array.dtype.kind not in "fiub":
        raise DataError("responses are not real numbers", where=where, got=f"dtype {array.dtype}")
    if array.ndim > len(order):  # MATLAB keeps axes of length one
        kept = [n for axis, n in enumerate(array.shape) if n != 1 or axis < len(order)]
        array = array.reshape(kept) if len(kept) == len(order) else array
    if array.ndim != len(order):
        raise DataError(
            "array has another number of axes than the manifest says",
            where=where,
            expected=f"{len(order)}: {', '.join(order)}",
            got=f"shape {array.shape}",
        )
    return array


def _rows(
    array: npt.NDArray[Any], order: list[str]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.intp], npt.NDArray[np.intp] | None, tuple[int, ...], int]:
    targets = [axis for axis, kind in enumerate(order) if kind == "target"]
    leading = [order.index("sample"), *([order.index("repeat")] if "repeat" in order else [])]
    moved = array if [*leading, *targets] == list(range(array.ndim)) else np.transpose(array, [*leading, *targets])
    shape = tuple(int(n) for n in moved.shape[len(leading) :])
    n_samples = moved.shape[0]
    n_repeats = moved.shape[1] if len(leading) == 2 else 1
    values = moved if moved.ndim == 2 else moved.reshape(n_samples * n_repeats, -1)
    sample = np.repeat(np.arange(n_samples), n_repeats)
    if len(leading) == 1:
        return values, sample, None, shape, 0
    repeat = np.tile(np.arange(1, n_repeats + 1), n_samples)
    kept = ~np.isnan(values).all(axis=1) if values.dtype.kind == "f" else np.ones(len(values), dtype=bool)
    return values[kept], sample[kept], repeat[kept], shape, int((~kept).sum())


def _numbers(values: npt.NDArray[Any], scale: float) -> npt.NDArray[Any]:
    """Native floats: 16-bit and smaller types as float32, other integers as float64."""
    if values.dtype.kind != "f" or values.dtype.itemsize < 4:
        values = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    elif not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if scale != 1.0:
        values = (values * scale).astype(values.dtype)
    return values if isinstance(values, np.memmap) else np.ascontiguousarray(values)
