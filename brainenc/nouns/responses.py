"""What the brain did: samples by targets, with a table on either side and the space the targets live in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import as_matrix
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.core.resolver import resolve
from brainenc.core.selection import select
from brainenc.nouns import persist
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.spaces import ArraySpace, Space
from brainenc.nouns.tables import as_table, need_column, positions_of, text_ids, unique_ids
from brainenc.nouns.windows import Windows, windows_of

EVENT_COLUMNS = ("onset", "duration", "stimulus_id", "run")


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """Responses of one subject (or one recording).

    Parameters
    ----------
    values : ndarray or memmap of shape (n_samples, n_targets)
        One row a trial, or a scan of a time series; one column a voxel, vertex, neuron, contact or (channel, time) pair.
    samples : DataFrame of n_samples rows
        ``stimulus_id`` for trials; subject, session, run, repeat, onset (s), time (s) where known.
    targets : DataFrame of n_targets rows, optional
        ``target_id`` (made when missing), roi, hemi, x, y, z (mm), channel, time (s), noise_ceiling …
    space : Space, optional
        Paints a vector (n_targets,) back to where it came from; a plain array when not given.
    units : str
        Of ``values``, e.g. ``"% signal change"``.
    t_r : float, optional
        Seconds between rows, for fMRI time series.
    sampling_rate : float, optional
        Rows per second, for electrophysiological time series.
    events : DataFrame, optional
        For time series: onset (s from the start of the run), duration (s), stimulus_id, run.
    name : str
        Subject or recording, for tables and messages.
    provenance : mapping
        Data set, licence, files, what was done.
    """

    values: npt.NDArray[Any]
    samples: pd.DataFrame
    targets: pd.DataFrame = None  # type: ignore[assignment]  # filled in below
    space: Space = None  # type: ignore[assignment]  # filled in below
    units: str = ""
    t_r: float | None = None
    sampling_rate: float | None = None
    events: pd.DataFrame | None = None
    name: str = "subject"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values = as_matrix(self.values, f"Responses {self.name!r} values")
        samples = as_table(self.samples, f"Responses {self.name!r} samples", n_rows=values.shape[0])
        targets = as_table(self.targets, f"Responses {self.name!r} targets", n_rows=values.shape[1])
        if "target_id" not in targets.columns:
            targets.insert(0, "target_id", [f"t{i:05d}" for i in range(len(targets))])
        targets["target_id"] = unique_ids(targets["target_id"], "target_id")
        space = ArraySpace((values.shape[1],)) if self.space is None else self.space
        if space.n_targets != values.shape[1]:
            raise InputError(
                "space and values have different numbers of targets", where=f"Responses {self.name!r}",
                expected=f"{values.shape[1]} targets", got=f"{space.n_targets} in {space!r}",
            )  # fmt: skip
        for label, step in (("t_r", self.t_r), ("sampling_rate", self.sampling_rate)):
            if step is not None and not (np.isfinite(step) and step > 0):
                raise InputError(f"{label} must be a positive number", where=f"Responses {self.name!r}", got=step)
        if not self._is_series() and "stimulus_id" in samples.columns:
            samples["stimulus_id"] = text_ids(samples["stimulus_id"], "stimulus_id")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "events", None if self.events is None else _check_events(self.events, self.name))

    def _is_series(self) -> bool:
        return self.t_r is not None or self.sampling_rate is not None

    @property
    def n_samples(self) -> int:
        """Number of trials or scans."""
        return int(self.values.shape[0])

    @property
    def n_targets(self) -> int:
        """Number of voxels, vertices, neurons, contacts or (channel, time) pairs."""
        return int(self.values.shape[1])

    @property
    def is_time_series(self) -> bool:
        """True where rows are scans in time, False where they are trials."""
        return self._is_series()

    @property
    def step(self) -> float:
        """Seconds from one row to the next, for time series."""
        if self.t_r is not None:
            return float(self.t_r)
        if self.sampling_rate is not None:
            return 1.0 / float(self.sampling_rate)
        raise InputError("responses are trials and have no time step", where=f"Responses {self.name!r}", fix="set t_r or sampling_rate")

    def times_in_run(self) -> npt.NDArray[np.float64]:
        """Return when each row of a time series was recorded (n_samples,), seconds in its run: ``time`` of the samples, else place times step."""
        if "time" in self.samples.columns:
            return pd.to_numeric(self.samples["time"], errors="coerce").to_numpy(dtype=np.float64)
        return np.asarray(_places_in_run(self.samples) * self.step, dtype=np.float64)

    @property
    def windows(self) -> Windows | None:
        """The stretch of its run (s) that each row comes from, for epochs with onsets and for time series; None where it is not known."""
        return windows_of(self)

    def where(self, selection: str | None = None, **equals: Any) -> Responses:
        """Return the targets that a selection keeps: ``where(roi="V4")``, ``where("roi == 'V4' and noise_ceiling > 0.3")``.

        Raises
        ------
        InputError
            When nothing is left, or the text holds anything but columns, literals, comparisons, in, and/or/not.
        """
        return self.take_targets(select(self.targets, selection, **equals), selection or equals)

    def rows(self, selection: str | None = None, **equals: Any) -> Responses:
        """Return the samples that a selection keeps, e.g. ``rows("run in [1, 2]")``."""
        return self.take_rows(select(self.samples, selection, **equals), selection or equals)

    def take_targets(self, positions: npt.ArrayLike, why: object = None) -> Responses:
        """Return the targets at these positions."""
        index = _some(positions, "targets", self, why)
        return replace(self, values=self.values[:, index], targets=self.targets.iloc[index], space=self.space.take(index))

    def take_rows(self, positions: npt.ArrayLike, why: object = None) -> Responses:
        """Return the samples at these positions; events of runs that are left out go too.

        Scans keep their time in the run: where ``samples`` has no column ``time`` it is added.
        """
        index = _some(positions, "samples", self, why)
        samples = self.samples.iloc[index]
        if self.is_time_series and "time" not in samples.columns:
            samples = samples.assign(time=self.times_in_run()[index])
        events = self.events
        if events is not None and "run" in samples.columns:
            events = events[events["run"].isin(set(samples["run"]))]
        return replace(self, values=self.values[index], samples=samples, events=events)

    def average(self, by: str | list[str] = "stimulus_id") -> Responses:
        """Return the mean over the samples that agree in ``by``; ``samples["n_repeats"]`` counts them.

        Columns that are constant within every group are kept; groups stand in the order of their first sample.
        """
        keys = [by] if isinstance(by, str) else list(by)
        for key in keys:
            need_column(self.samples, key, f"Responses {self.name!r} samples")
        if self.is_time_series:
            raise InputError("scans of a time series cannot be averaged by stimulus", where="Responses.average", fix="estimate betas first")
        grouped = self.samples.groupby(keys, sort=False, dropna=False)
        codes = grouped.ngroup().to_numpy()
        counts = np.asarray(self.samples["n_repeats"] if "n_repeats" in self.samples else np.ones(len(codes)), dtype=float)
        totals = np.bincount(codes, weights=counts)
        sums = np.zeros((len(totals), self.n_targets))
        np.add.at(sums, codes, np.asarray(self.values, dtype=float) * counts[:, None])
        others = [c for c in self.samples.columns if c not in (*keys, "n_repeats")]
        constant = [c for c in others if bool((grouped[c].nunique(dropna=False) == 1).all())]
        first = np.unique(codes, return_index=True)[1]
        samples = self.samples.iloc[first][[*keys, *constant]].assign(n_repeats=totals.astype(int))
        dtype = self.values.dtype if self.values.dtype.kind == "f" else np.float64
        return replace(self, values=(sums / totals[:, None]).astype(dtype), samples=samples)

    def repeats(self) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.object_]]:
        """Return single responses as (n_stimuli, max_repeats, n_targets), NaN where a stimulus has fewer, and the stimulus ids."""
        ids = need_column(self.samples, "stimulus_id", f"Responses {self.name!r} samples")
        codes, order = pd.factorize(ids)
        repeat = ids.groupby(codes).cumcount().to_numpy()
        stacked = np.full((len(order), int(repeat.max()) + 1, self.n_targets), np.nan, dtype=np.result_type(self.values.dtype, np.float32))
        stacked[codes, repeat] = self.values
        return stacked, np.asarray(order, dtype=object)

    def align(self, features: FeatureSpace) -> FeatureSpace:
        """Return ``features`` with one row for each sample of these responses, matched by stimulus_id.

        Raises
        ------
        InputError
            When stimuli have no features (both numbers and examples are named), or when the responses are a time series and the
            features are one row a stimulus: those need `brainenc.design` first.
        """
        where = f"responses {self.name!r} with features {features.name!r}"
        if features.rows == "sample":
            if features.n_samples != self.n_samples:
                raise InputError("features and responses have different numbers of samples", where=where, expected=self.n_samples, got=features.n_samples)
            return features
        if self.is_time_series:
            raise InputError(
                "features have one row per stimulus and responses one row per scan", where=where,
                expected=f"{self.n_samples} rows", got=f"{features.n_samples} stimuli",
                fix="build one row per scan with brainenc.design(features, responses, hrf=… or delays=…)",
            )  # fmt: skip
        ids = need_column(self.samples, "stimulus_id", f"Responses {self.name!r} samples")
        rows = positions_of(list(ids), list(features.samples["stimulus_id"]), "stimulus_ids of the responses", where)
        identical = len(rows) == features.n_samples and bool((rows == np.arange(len(rows))).all())
        return features if identical else features.take(ids)

    def clean(
        self, *, detrend: bool = False, standardize: str | None = None, by: str = "run", confounds: Sequence[str] = (),
        high_pass: float | None = None, filter: str = "dct",
    ) -> Responses:  # fmt: skip
        """Return responses without linear trend, slow drifts (``high_pass`` in Hz, by ``"dct"`` or ``"savgol"``) and confounds (columns of
        ``samples``), scaled (``"zscore"`` or ``"center"``), within each run or session; see `brainenc.loaders.clean_responses`."""
        return resolve("brainenc.loaders.cleaning:clean_responses")(
            self, detrend=detrend, standardize=standardize, by=by, confounds=confounds, high_pass=high_pass, filter=filter
        )

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __repr__(self) -> str:
        what = "scans" if self.is_time_series else "trials"
        return f"Responses({self.name!r}, {self.n_samples} {what} × {self.n_targets} targets, {type(self.space).__name__})"

    def _repr_html_(self) -> str:
        roi = self.targets["roi"].value_counts().head(12).to_dict() if "roi" in self.targets else {}
        rows = {
            "samples": f"{self.n_samples} {'scans' if self.is_time_series else 'trials'}",
            "targets": self.n_targets,
            "regions": ", ".join(f"{k} ({v})" for k, v in roi.items()) or "none",
            "space": repr(self.space),
            "units": self.units or "not stated",
        }
        return facts(f"Responses {self.name}", rows)


def _some(positions: npt.ArrayLike, what: str, responses: Responses, why: object) -> npt.NDArray[np.intp]:
    index = np.asarray(positions)
    index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.intp)
    if not len(index):
        total = responses.n_targets if what == "targets" else responses.n_samples
        table = responses.targets if what == "targets" else responses.samples
        roi = f"; roi is one of {', '.join(map(str, pd.unique(table['roi'].dropna())))}" if "roi" in table else ""
        raise InputError(f"selection keeps none of {total} {what}", where=f"Responses {responses.name!r}", got=f"{why!r}{roi}")
    return index


def _places_in_run(samples: pd.DataFrame) -> npt.NDArray[np.intp]:
    """Return how many rows of its run stand before each row; a run ends where ``run`` or ``session`` changes."""
    keys = [name for name in ("session", "run") if name in samples.columns]
    if not keys:
        return np.arange(len(samples))
    codes = samples.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    return np.arange(len(samples)) - np.repeat(starts, np.diff(np.r_[starts, len(samples)]))


def _check_events(events: pd.DataFrame, name: str) -> pd.DataFrame:
    table = as_table(events, f"Responses {name!r} events")
    for column in EVENT_COLUMNS:
        need_column(table, column, f"Responses {name!r} events")
    for column in ("onset", "duration"):
        numbers = pd.to_numeric(table[column], errors="coerce")
        if numbers.isna().any():
            raise InputError(f"event {column} is not a number in {int(numbers.isna().sum())} rows", where=f"Responses {name!r} events")
        table[column] = numbers
    if (table["duration"] < 0).any():
        raise InputError("event duration is negative", where=f"Responses {name!r} events")
    table["stimulus_id"] = text_ids(table["stimulus_id"], "stimulus_id of events")
    return table
