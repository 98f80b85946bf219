"""Save and read of every noun: one ``.npz`` with a JSON header, arrays, and tables as parquet bytes. No pickle.

The header names the noun (one of a fixed list) and, for each field, where its content is; a file of a newer schema is
refused with its version.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import DataError, InputError
from brainenc.core.resolver import resolve
from brainenc.io.paths import existing_file

SCHEMA = 1
HEADER = "header"
NOUNS = (
    "ArraySpace", "CiftiSpace", "ContactSpace", "Evaluation", "FeatureSpace", "Neighbourhoods", "NoiseCeiling", "RDMs", "Responses", "Scores",
    "SensorSpace", "Split", "StimulusSet", "SurfaceSpace", "TagSelection", "Tagging", "VolumeSpace",
)  # fmt: skip
# results of rooms above that are written the same way, and where they live
RESULTS = {
    "AdaptiveTest": "brainenc.rsa.topology.adaptive",
    "Clusters": "brainenc.metrics.clusters",
    "Consistency": "brainenc.encoding.consistency",
    "Grid": "brainenc.rsa.topology.grids",
    "GromovWasserstein": "brainenc.rsa.topology.alignment",
    "Identification": "brainenc.rsa.topology.identification",
    "Integration": "brainenc.encoding._integration",
    "KernelAnalysis": "brainenc.rsa.similarity.analysing",
    "NoiseModel": "brainenc.rsa.noise",
    "Partition": "brainenc.rsa.partitioning",
    "Readout": "brainenc.encoding._reading",
    "VariancePartition": "brainenc.encoding._partition",
}


class Saved:
    """What can be written to a file: frozen dataclasses of arrays, tables, text and numbers."""

    __slots__ = ()

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return save(self, path)


def save(noun: Any, path: str | Path) -> Path:
    """Write a noun to ``path`` (``.npz`` is added when missing), whole or not at all."""
    from brainenc.io.atomic import write_npz

    target = _with_suffix(Path(path))
    arrays: dict[str, npt.NDArray[Any]] = {}
    header = {"schema": SCHEMA, "content": _pack(noun, arrays)}
    arrays[HEADER] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    write_npz(target, arrays)
    return target


def read(path: str | Path) -> Any:
    """Read a noun that was saved with its ``save`` method.

    Raises
    ------
    DataError
        When the file is missing, damaged, not a brainenc file, or of a newer schema.
    """
    source = Path(path) if Path(path).is_file() else existing_file(_with_suffix(Path(path)))
    try:
        with open(source, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        header = json.loads(arrays[HEADER].tobytes())
    except Exception as error:  # zip, header and json damage all look different
        with open(source, "rb") as stream:
            archive = stream.read(2) == b"PK"
        # what is no archive at all numpy takes for a pickle, and advises to trust it
        got = f"{type(error).__name__}: {error}" if archive else "no archive"
        raise DataError("not a readable brainenc file", where=source, expected="what .save() of a noun wrote", got=got) from error
    if header.get("schema") != SCHEMA:
        raise DataError("file is of another schema", where=source, expected=SCHEMA, got=header.get("schema"), fix="update brainenc")
    return _unpack(header["content"], arrays, source)


def _with_suffix(path: Path) -> Path:
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


def _pack(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    if is_dataclass(value) and (type(value).__name__ in NOUNS or RESULTS.get(type(value).__name__) == type(value).__module__):
        parts = {f.name: _pack(getattr(value, f.name), arrays) for f in fields(value) if f.init}
        return {"noun": type(value).__name__, "fields": parts}
    if isinstance(value, pd.DataFrame):
        buffer = io.BytesIO()
        value.to_parquet(buffer, index=value.index.name is not None)
        return {"table": _put(np.frombuffer(buffer.getvalue(), dtype=np.uint8), arrays)}
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "O":
            return {"texts": [None if v is None else str(v) for v in value]}
        return {"array": _put(value, arrays)}
    if isinstance(value, Mapping):
        return {"map": {str(k): _pack(v, arrays) for k, v in value.items()}}
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [_pack(v, arrays) for v in value]}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float | bool):
        return {"value": value}
    raise InputError("cannot be saved", where="save", expected="arrays, tables, text and numbers", got=type(value).__name__)


def _put(array: npt.NDArray[Any], arrays: dict[str, npt.NDArray[Any]]) -> str:
    key = f"a{len(arrays)}"
    arrays[key] = array
    return key


def _unpack(node: dict[str, Any], arrays: Mapping[str, npt.NDArray[Any]], source: Path) -> Any:
    try:
        ((kind, content),) = [(k, v) for k, v in node.items() if k != "fields"]
        if kind == "noun":
            if content not in NOUNS and content not in RESULTS:
                raise DataError("unknown noun in file", where=source, got=repr(content))
            parts = {name: _unpack(part, arrays, source) for name, part in node["fields"].items()}
            return resolve(f"{RESULTS.get(content, 'brainenc.nouns')}:{content}")(**parts)
        if kind == "table":
            return pd.read_parquet(io.BytesIO(arrays[content].tobytes()))
        if kind == "array":
            return arrays[content]
        if kind == "texts":
            return np.array(content, dtype=object)
        if kind == "map":
            return {k: _unpack(v, arrays, source) for k, v in content.items()}
        if kind in ("list", "tuple"):
            items = [_unpack(v, arrays, source) for v in content]
            return tuple(items) if kind == "tuple" else items
        if kind == "path":
            return Path(content)
        if kind == "value":
            return content
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError("damaged brainenc file", where=source, got=f"{type(error).__name__}: {error}") from error
    raise DataError("damaged brainenc file", where=source, got=f"unknown entry {kind!r}")
