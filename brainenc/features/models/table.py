"""What the stimulus table says, as features: ``"table:category"``, ``"table:colour,count"``.

``NAME`` is a column, or else a group: all columns that begin with ``NAME.``; ``stimulus_id`` is the name of the stimulus itself. Text and
categories become one-hot columns (in sorted order), booleans and numbers stay single columns. The one layer is called ``columns``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean, examples
from brainenc.core.errors import InputError, NotFoundError
from brainenc.core.fingerprint import of_array, of_json
from brainenc.features import weights as weight_files
from brainenc.features.adapters import Inputs, Take
from brainenc.features.pooling import Layer
from brainenc.nouns import StimulusSet

SUMMARY = "columns of the stimulus table"
KINDS = ("image", "text", "audio", "video", "none", "table")
HAS_WEIGHTS = False
LAYER = "columns"
ID = "stimulus_id"
MAX_CATEGORIES = 10_000


def variants() -> list[str]:
    """Return nothing: the names are those of the table at hand."""
    return []


def build(variant: str, *, kind: str, weights: Any, model_kwargs: dict[str, Any], preprocess: Mapping[str, Any] | None, seed: int) -> Table:
    """Build the adapter of some columns."""
    weight_files.refuse(weights, "table")
    if model_kwargs or preprocess:
        raise InputError("table has no options", where=f"table:{variant}", got=f"model_kwargs {model_kwargs}, preprocess {preprocess}")
    names = tuple(part.strip() for part in variant.split(","))
    if not all(names):
        raise InputError("name the columns", where=f"table:{variant}", expected='"table:NAME" or "table:NAME,NAME"')
    if len(set(names)) < len(names):
        raise InputError("a column is named twice", where=f"table:{variant}")
    return Table(f"table:{variant}", names)


@dataclass(eq=False)
class Table:
    """Adapter of columns of a stimulus table."""

    name: str
    names: tuple[str, ...]
    cached: bool = False
    default_layers: tuple[str, ...] = (LAYER,)
    _encoded: Encoded | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """What tells this model from others."""
        return {"family": "table", "columns": list(self.names)}

    def inputs(self, stimuli: StimulusSet) -> Encoded:
        """Return the columns as numbers."""
        self._encoded = encode(stimuli, self.names)
        return self._encoded

    def layers(self, inputs: Inputs | None = None) -> Mapping[str, Layer]:
        """Return the one layer; its width depends on the table."""
        if self._encoded is None:
            raise InputError("the features of a table depend on the table", where=self.name, fix="pass stimuli=")
        return {LAYER: Layer(LAYER, "vector", (self._encoded.values.shape[1],))}

    def run(self, batch: Any, names: Sequence[str], take: Take) -> None:
        """Hand the rows over."""
        import torch

        take(LAYER, torch.from_numpy(batch), None)

    def to(self, device: str) -> None:
        """Do nothing: there is nothing to compute."""

    def columns(self, name: str, pooling: str) -> pd.DataFrame:
        """Return the name of each feature and the table column that it came from."""
        assert self._encoded is not None
        return self._encoded.columns


@dataclass(eq=False)
class Encoded:
    """Columns of a table as a float32 matrix with named features."""

    values: npt.NDArray[np.float32]
    columns: pd.DataFrame

    @property
    def fingerprint(self) -> str:
        """The sha256 of the values and the names."""
        return of_json({"values": of_array(self.values), "columns": list(self.columns["feature"])})

    def batch(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return these rows."""
        return self.values[rows]


def encode(stimuli: StimulusSet, names: Sequence[str]) -> Encoded:
    """Return columns and column groups of a stimulus table as numbers."""
    table = stimuli.table if ID in stimuli.table else stimuli.table.assign(**{ID: stimuli.ids})
    picked = [column for name in names for column in _columns_of(table, name)]
    doubled = {c for c in picked if picked.count(c) > 1}
    if doubled:
        raise InputError("columns are selected twice", where="table:" + ",".join(names), got=examples(sorted(doubled)))
    parts = [_encode_column(table[column], column) for column in picked]
    labels = [{"feature": label, "column": column} for column, (_, texts) in zip(picked, parts, strict=True) for label in texts]
    return Encoded(np.concatenate([values for values, _ in parts], axis=1), pd.DataFrame(labels))


def _columns_of(table: pd.DataFrame, name: str) -> list[str]:
    if name in table.columns:
        return [name]
    group = [str(c) for c in table.columns if str(c).startswith(name + ".")]
    if not group:
        groups = {str(c).split(".")[0] for c in table.columns if "." in str(c)}
        known = [*table.columns, *sorted(groups)]
        only = 'the stimuli have names and nothing else: "table:stimulus_id" gives one column to each' if known == [ID] else ""
        raise NotFoundError(f"the stimulus table has no column or group {name!r}", expected=examples(known, 12), fix=only or did_you_mean(name, known))
    return group


def _encode_column(column: pd.Series, name: str) -> tuple[npt.NDArray[np.float32], list[str]]:
    missing = column.isna()
    if missing.any():
        where = f"column {name!r}"
        raise InputError(f"value missing for {int(missing.sum())} of {len(column)} stimuli", where=where, got=examples(column.index[missing]))
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        numbers = column.to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise InputError("column holds infinite values", where=f"column {name!r}")
        return numbers.astype(np.float32)[:, None], [name]
    if not all(isinstance(v, str | bool | int | float) for v in column):
        raise InputError("column holds neither text nor numbers", where=f"column {name!r}", got=type(column.iloc[0]).__name__)
    texts = column.astype(str)
    categories = sorted(texts.unique())
    if len(categories) > MAX_CATEGORIES:
        raise InputError("column has too many categories", where=f"column {name!r}", expected=f"at most {MAX_CATEGORIES}", got=len(categories))
    onehot = (texts.to_numpy(dtype=object)[:, None] == np.array(categories, dtype=object)).astype(np.float32)
    return onehot, [f"{name}={category}" for category in categories]
