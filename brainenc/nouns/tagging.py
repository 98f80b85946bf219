"""What follows a rhythm: the tests of every channel at every tagged frequency, and the channels or units that were selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import did_you_mean
from brainenc.core.errors import InputError, NotFoundError
from brainenc.core.html import facts
from brainenc.core.resolver import resolve
from brainenc.core.selection import select
from brainenc.nouns import persist
from brainenc.nouns.tables import as_table, need_column

Floats = npt.NDArray[np.float64]
TAG_COLUMNS = ("level", "target", "harmonic", "frequency", "bin", "degrees", "note")


@dataclass(frozen=True, slots=True, eq=False)
class Tagging:
    """Frequency tagging of channels (contacts, sensors, model units).

    Parameters
    ----------
    statistics : mapping of str to ndarray of shape (n_channels, n_tags)
        amplitude, phase, snr, z, itpc, ppc, t2circ, f, effect and the p-values; NaN where a statistic has no meaning, for the reason
        that ``tags["note"]`` gives.
    channels : DataFrame of n_channels rows
        ``channel``, and what is known of each: roi, layer, x, y, z …
    tags : DataFrame of n_tags rows
        level (the target's name), target (Hz), harmonic, frequency (Hz), bin, degrees (real degrees of freedom of the bin), note.
    n_trials, n_times : int
        Trials, and samples of a trial that were used.
    fs : float
        Samples a second.
    test : str
        Which p-value ``p`` is; ``q`` is its false discovery rate over channels × tags.
    spectra : ndarray of shape (n_channels, n_frequencies), optional
        Amplitude of the mean over trials.
    frequencies : ndarray of shape (n_frequencies,), optional
        In Hz.
    provenance : mapping
        Neighbours, draws, seed, what was cut or left out, and how many channels have NaN.
    """

    statistics: Mapping[str, Floats]
    channels: pd.DataFrame
    tags: pd.DataFrame
    n_trials: int
    n_times: int
    fs: float
    test: str = "t2circ"
    spectra: npt.NDArray[Any] | None = None
    frequencies: Floats | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        channels = as_table(self.channels, "Tagging.channels")
        tags = as_table(self.tags, "Tagging.tags")
        need_column(channels, "channel", "Tagging.channels")
        for name in TAG_COLUMNS:
            need_column(tags, name, "Tagging.tags")
        shape = (len(channels), len(tags))
        found = {}
        for name, values in self.statistics.items():
            array = np.asarray(values, dtype=np.float64).view()
            if array.shape != shape:
                raise InputError(f"statistic {name!r} does not fit channels and tags", where="Tagging", expected=shape, got=array.shape)
            array.flags.writeable = False
            found[name] = array
        for name in ("p", "q"):
            if name not in found:
                raise InputError(f"statistic {name!r} is missing", where="Tagging", got=", ".join(found))
        if self.spectra is not None and (self.frequencies is None or np.shape(self.spectra) != (shape[0], len(self.frequencies))):
            raise InputError("spectra do not fit channels and frequencies", where="Tagging", got=np.shape(self.spectra))
        object.__setattr__(self, "statistics", found)
        object.__setattr__(self, "channels", channels)
        object.__setattr__(self, "tags", tags)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.channels)

    @property
    def n_tags(self) -> int:
        """Number of tagged frequencies, harmonics counted."""
        return len(self.tags)

    def __getitem__(self, name: str) -> Floats:
        """Return one statistic (n_channels, n_tags)."""
        if name not in self.statistics:
            raise NotFoundError(f"no statistic {name!r}", where="Tagging", expected=", ".join(self.statistics), fix=did_you_mean(name, self.statistics))
        return self.statistics[name]

    def take(self, positions: npt.ArrayLike) -> Tagging:
        """Return the channels at these positions; q-values stay those of the whole set."""
        index = np.asarray(positions, dtype=np.intp).reshape(-1)
        return replace(
            self, statistics={k: v[index] for k, v in self.statistics.items()}, channels=self.channels.iloc[index],
            spectra=None if self.spectra is None else self.spectra[index],
        )  # fmt: skip

    def where(self, selection: str | None = None, **equals: Any) -> Tagging:
        """Return the channels that a selection keeps, e.g. ``where(roi="STG")``."""
        index = select(self.channels, selection, **equals)
        if not len(index):
            raise InputError(f"selection keeps none of {self.n_channels} channels", got=repr(selection or equals))
        return self.take(index)

    def significant(self, alpha: float = 0.05) -> pd.DataFrame:
        """Return the rows of `to_frame` with q ≤ ``alpha``, the smallest q first."""
        table = self.to_frame()
        return table[table["q"] <= alpha].sort_values(["q", "p"], kind="stable").reset_index(drop=True)

    def combine(self) -> pd.DataFrame:
        """Return one row a channel and target with its harmonics together.

        ``amplitude`` is the root of the sum of squares; ``p`` is Fisher's −2 Σ ln p_h against χ² of 2 h degrees, which takes the bins to
        be independent, as those of stationary noise are; ``q`` over channels × targets.

        Raises
        ------
        InputError
            For p-values of permutations: they are too coarse to be multiplied.
        """
        if self.test in ("shift", "sign", "series", "itpc"):
            fix = 'use test="t2circ" or "neighbours"'
            raise InputError("p-values of draws cannot be combined", where="Tagging.combine", got=f"test={self.test!r}", fix=fix)
        from scipy import stats

        parts = []
        for (level, target), rows in self.tags.groupby(["level", "target"], sort=False).groups.items():
            index = np.asarray(rows, dtype=np.intp)
            with np.errstate(divide="ignore"):
                score = -2.0 * np.log(self.statistics["p"][:, index]).sum(axis=1)
            amplitude = np.sqrt((self.statistics["amplitude"][:, index] ** 2).sum(axis=1))
            joined = self.channels.assign(level=level, target=target, n_harmonics=len(index), amplitude=amplitude, p=stats.chi2.sf(score, 2 * len(index)))
            parts.append(joined)
        table = pd.concat(parts, ignore_index=True)
        return table.assign(q=resolve("brainenc.metrics.multiple:fdr_bh")(table["p"]))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a channel and tag: columns of ``channels``, of ``tags``, then the statistics."""
        n, m = self.n_channels, self.n_tags
        rows = self.channels.iloc[np.repeat(np.arange(n), m)].reset_index(drop=True)
        tags = self.tags.iloc[np.tile(np.arange(m), n)].reset_index(drop=True)
        numbers = pd.DataFrame({name: values.reshape(-1) for name, values in self.statistics.items()})
        return pd.concat([rows[[c for c in rows.columns if c not in tags.columns and c not in numbers.columns]], tags, numbers], axis=1)

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __repr__(self) -> str:
        tags = ", ".join(f"{r.level} {r.frequency:g} Hz" if r.level != f"{r.frequency:g} Hz" else r.level for r in self.tags.itertuples())
        return f"Tagging({self.n_channels} channels × {self.n_tags} tags ({tags}), {self.n_trials} trials of {self.n_times / self.fs:g} s, test {self.test})"

    def _repr_html_(self) -> str:
        found = (self.statistics["q"] <= 0.05).sum(axis=0)
        rows = {
            "channels": self.n_channels, "trials": f"{self.n_trials} of {self.n_times / self.fs:g} s at {self.fs:g} Hz", "test": self.test,
            **{f"{r.level}, {r.frequency:g} Hz": f"{n} with q ≤ 0.05" + (f" ({r.note})" if r.note else "") for r, n in zip(self.tags.itertuples(), found)},
        }  # fmt: skip
        return facts("Tagging", rows)


@dataclass(frozen=True, slots=True, eq=False)
class TagSelection:
    """Channels or units that were selected for a rhythm, each on its own evidence.

    Parameters
    ----------
    selected : ndarray of bool, shape (n_channels, n_levels)
    channels : DataFrame of n_channels rows
        ``channel``, layer, roi …
    levels : tuple of str
        sentence, phrase …
    statistics : mapping of str to ndarray of shape (n_channels, n_levels)
        p, q and what each test measured.
    reliability : DataFrame
        Split-half reliability, one row a level (and layer or region).
    alpha : float
        The false discovery rate that was asked for.
    provenance : mapping
    """

    selected: npt.NDArray[np.bool_]
    channels: pd.DataFrame
    levels: tuple[str, ...]
    statistics: Mapping[str, Floats]
    reliability: pd.DataFrame
    alpha: float = 0.05
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        channels = as_table(self.channels, "TagSelection.channels")
        need_column(channels, "channel", "TagSelection.channels")
        levels = tuple(str(level) for level in self.levels)
        shape = (len(channels), len(levels))
        for name, values in (("selected", self.selected), *self.statistics.items()):
            if np.shape(values) != shape:
                raise InputError(f"{name!r} does not fit channels and levels", where="TagSelection", expected=shape, got=np.shape(values))
        object.__setattr__(self, "channels", channels)
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "selected", np.asarray(self.selected, dtype=bool))
        object.__setattr__(self, "reliability", as_table(self.reliability, "TagSelection.reliability"))

    @property
    def n_channels(self) -> int:
        """Number of channels or units that were looked at."""
        return len(self.channels)

    @property
    def sets(self) -> pd.Series:
        """The set of each channel: the levels it was selected for joined by ``+`` (exclusive where one), or "none"."""
        names = [" + ".join(level for level, yes in zip(self.levels, row) if yes) or "none" for row in self.selected]
        return pd.Series(names, name="set", dtype=object)

    def counts(self, by: str | None = None) -> pd.DataFrame:
        """Return how many channels each set has (columns), in all or for each value of a column such as ``layer`` (rows)."""
        single = [*self.levels, " + ".join(self.levels)] if len(self.levels) == 2 else list(dict.fromkeys([*self.levels, *self.sets]))
        order = [name for name in dict.fromkeys([*single, "none"])]
        if by is None:
            rows = pd.Series(["all"] * self.n_channels, dtype=object)
        else:
            rows = need_column(self.channels, by, "TagSelection.channels").astype(object)
        table = pd.crosstab(rows.to_numpy(), self.sets.to_numpy())
        index = list(dict.fromkeys(rows))
        return table.reindex(index=index, columns=order, fill_value=0).rename_axis(index=by or "", columns="set").assign(n=table.sum(axis=1).reindex(index))

    def positions(self, of: str) -> npt.NDArray[np.intp]:
        """Return the positions of the channels of one set (``"sentence"`` alone, ``"sentence + phrase"``, ``"none"``)."""
        known = dict.fromkeys([*self.levels, *self.sets, "none"])
        if of not in known:
            raise InputError(f"no set {of!r}", where="TagSelection", expected=", ".join(known))
        return np.flatnonzero(self.sets.to_numpy() == of)

    def where(self, selection: str | None = None, **equals: Any) -> TagSelection:
        """Return the channels that a selection keeps, e.g. ``where(layer="h.3")``; reliability stays as it was."""
        index = select(self.channels, selection, **equals)
        if not len(index):
            raise InputError(f"selection keeps none of {self.n_channels} channels", got=repr(selection or equals))
        return replace(
            self, selected=self.selected[index], channels=self.channels.iloc[index], statistics={k: v[index] for k, v in self.statistics.items()}
        )  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """Return one row a channel and level: columns of ``channels``, level, selected, set, then the statistics."""
        n, m = self.n_channels, len(self.levels)
        rows = self.channels.iloc[np.repeat(np.arange(n), m)].reset_index(drop=True)
        rows = rows[[c for c in rows.columns if c not in (*self.statistics, "level", "selected", "set")]]
        own = pd.DataFrame({"level": list(self.levels) * n, "selected": self.selected.reshape(-1), "set": np.repeat(self.sets.to_numpy(), m)})
        return pd.concat([rows, own, pd.DataFrame({k: np.reshape(v, -1) for k, v in self.statistics.items()})], axis=1)

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def __repr__(self) -> str:
        table = self.sets.value_counts()
        found = ", ".join(f"{name} {n}" for name, n in table.items() if name != "none") or "none selected"
        return f"TagSelection({self.n_channels} channels: {found}; FDR {self.alpha:g})"

    def _repr_html_(self) -> str:
        return facts("TagSelection", {"channels": self.n_channels, **{str(k): int(v) for k, v in self.sets.value_counts().items()}, "FDR": self.alpha})
