"""What a model sees in the stimuli: one row a stimulus (or a response sample), one column a feature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import as_matrix, one_of
from brainenc.core.html import facts
from brainenc.core.resolver import resolve
from brainenc.nouns import persist
from brainenc.nouns.tables import as_table, need_column, positions_of, text_ids, unique_ids


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSpace:
    """Features of one layer of one model.

    Parameters
    ----------
    values : ndarray or memmap of shape (n_samples, n_features)
        Real numbers.
    samples : DataFrame of n_samples rows
        ``stimulus_id`` for rows that are stimuli; the samples of the responses for rows that are scans.
    name : str
        ``"family:variant/layer"``.
    features : DataFrame of n_features rows, optional
        What each column is.
    rows : {"stimulus", "sample"}
        Whether a row is a stimulus, or a response sample (made by `brainenc.design`).
    provenance : mapping
        Model, weights, pooling, preprocessing, versions.
    """

    values: npt.NDArray[Any]
    samples: pd.DataFrame
    name: str = "features"
    features: pd.DataFrame | None = None
    rows: str = "stimulus"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = as_matrix(self.values, f"FeatureSpace {self.name!r} values")
        samples = as_table(self.samples, f"FeatureSpace {self.name!r} samples", n_rows=len(values))
        one_of(self.rows, ("stimulus", "sample"), "rows")
        if self.rows == "stimulus":
            need_column(samples, "stimulus_id", f"FeatureSpace {self.name!r} samples")
            samples["stimulus_id"] = unique_ids(samples["stimulus_id"], "stimulus_id")
        elif "stimulus_id" in samples.columns and samples["stimulus_id"].notna().all():
            samples["stimulus_id"] = text_ids(samples["stimulus_id"], "stimulus_id")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "samples", samples)
        if self.features is not None:
            object.__setattr__(self, "features", as_table(self.features, "FeatureSpace.features", n_rows=values.shape[1]))

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return int(self.values.shape[0])

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return int(self.values.shape[1])

    @property
    def model(self) -> str:
        """The part of the name before the last slash (models of the hub have one of their own)."""
        return self.name.rsplit("/", 1)[0]

    @property
    def layer(self) -> str:
        """The part of the name after the last slash (the whole name where there is none)."""
        return self.name.rsplit("/", 1)[-1]

    def take(self, ids: Iterable[Any]) -> FeatureSpace:
        """Return the rows of these stimulus ids, in this order; an id may come more than once."""
        wanted = [str(i) for i in ids]
        rows = positions_of(wanted, self.samples["stimulus_id"], "stimulus_ids", f"features {self.name!r}")
        repeated = len(set(wanted)) < len(wanted)
        samples = self.samples.iloc[rows]
        return replace(self, values=self.values[rows], samples=samples, rows="sample" if repeated else self.rows)

    def reduce(self, how: str, *, seed: int = 0) -> FeatureSpace:
        """Return fewer features: ``"srp:K"``, a sparse random projection that never looks at the data.

        Reductions fitted to data (``"pca:K"``) belong inside each training set: pass them to `brainenc.score_layers`.
        """
        return resolve("brainenc.features.projection:reduce_space")(self, how, seed=seed)

    def delay(self, delays: Sequence[float], *, step: float) -> FeatureSpace:
        """Return the features shifted by each delay (seconds) within each run, side by side; ``step`` is the sampling step (s)."""
        return resolve("brainenc.encoding.design_matrix:delay_space")(self, delays, step=step)

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __repr__(self) -> str:
        return f"FeatureSpace({self.name!r}, {self.n_samples} {self.rows} rows × {self.n_features} features, {self.values.dtype})"

    def _repr_html_(self) -> str:
        rows = {"rows": f"{self.n_samples} ({self.rows})", "features": self.n_features, "dtype": self.values.dtype, **self.provenance}
        return facts(f"FeatureSpace {self.name}", rows)
