"""The RDMs of a manifest as one `RDMs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import DataError, InputError
from brainenc.datasets.columns import add_columns
from brainenc.datasets.places import resolve
from brainenc.datasets.schema import Manifest, RdmSpec
from brainenc.datasets.templates import fill
from brainenc.io.readers import read_array
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.stimuli import StimulusSet


def read_rdms(manifest: Manifest, folder: Path, values: Mapping[str, object], stimuli: StimulusSet) -> RDMs:
    """Return all RDMs over the stimuli, in their order.

    Raises
    ------
    DataError
        An RDM of another size, asymmetric, or with a diagonal that is not zero.
    """
    parts, tables = [], []
    for position, spec in enumerate(manifest.rdms):
        where = f"{manifest.name}.rdms[{position}]"
        condensed = _read(spec, folder, values, len(stimuli), where) * spec.scale
        fields = [{**values, "index": spec.start + i} for i in range(len(condensed))]
        tables.append(add_columns(pd.DataFrame(index=range(len(condensed))), spec.columns, f"{where}.columns", fields=fields))
        parts.append(condensed)
    table = pd.concat(tables, ignore_index=True)
    return RDMs(
        values=np.concatenate(parts), conditions=stimuli.table.reset_index(), rdms=table, metric=manifest.metric,
        provenance={"files": [spec.path for spec in manifest.rdms]},
    )  # fmt: skip


def _read(spec: RdmSpec, folder: Path, values: Mapping[str, object], n: int, where: str) -> npt.NDArray[np.float64]:
    file = folder / resolve(spec.path, values, f"{where}.path")
    if spec.items is not None and not (spec.key and 0 < spec.items <= 10_000):
        raise InputError("items needs a key with {item} and a positive number", where=where, got=f"items={spec.items}, key={spec.key!r}")
    keys = [spec.key] if spec.items is None else [fill(spec.key or "", {"item": i}, f"{where}.key") for i in range(spec.items)]
    arrays = [np.asarray(read_array(file, key=key), dtype=np.float64) for key in keys]
    label = f"{file}::{spec.key or ''}"
    if spec.layout == "condensed":
        stack = np.concatenate([np.atleast_2d(array.squeeze()) for array in arrays])
        if stack.shape[1] != n * (n - 1) // 2:
            raise DataError(
                "RDM has another number of pairs",
                where=label,
                expected=f"{n * (n - 1) // 2} pairs of {n} conditions",
                got=f"shape {stack.shape}",
            )
        return stack
    squares = np.concatenate([array[None] if array.ndim == 2 else array for array in arrays])
    return _condense(squares, n, label)


def _condense(squares: npt.NDArray[Any], n: int, label: str) -> npt.NDArray[np.float64]:
    if squares.ndim != 3 or squares.shape[1:] != (n, n):
        raise DataError("RDM has another size", where=label, expected=f"{n} × {n} conditions", got=f"shape {squares.shape}")
    size = max(1e-300, float(np.nanmax(np.abs(squares))))
    if np.nanmax(np.abs(squares - np.swapaxes(squares, 1, 2))) > 1e-6 * size:
        raise DataError("RDM is not symmetric", where=label)
    diagonal = np.abs(np.diagonal(squares, axis1=1, axis2=2))
    if np.nanmax(diagonal) > 1e-6 * size:
        raise DataError("diagonal of an RDM is not zero", where=label, got=f"up to {np.nanmax(diagonal):.3g}", fix="is it a similarity?")
    rows, columns = np.triu_indices(n, 1)
    return np.asarray(squares[:, rows, columns], dtype=np.float64)
