"""Which rows of whose responses train and test, averaged over repeats or not, and which subjects can share a fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.encoding._overlap import inner_windows, refuse_shared_windows
from brainenc.metrics.resample import blocks_of
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.responses import Responses
from brainenc.nouns.splits import Split
from brainenc.nouns.tables import need_column, positions_of
from brainenc.nouns.windows import TimedRows, Windows

Index = npt.NDArray[np.intp]
N_INNER = 5
LEAST_ROWS = 2
BLOCK_SECONDS = {"t_r": 20.0, "sampling_rate": 1.0}
SCANS = "blocks of consecutive samples"
_CHUNK_ROWS = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side of a fold: rows of the responses and the unit (row of the fit) that each belongs to.

    ``keys`` name the units: stimulus ids where features are one row a stimulus, else rows of the responses.
    """

    rows: Index
    units: Index
    keys: npt.NDArray[Any]
    counts: npt.NDArray[np.float64]

    def values(self, responses: Responses, usable: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Return (n_units, n_usable_targets): single rows, or means weighted by the repeats behind each row."""
        from scipy import sparse

        values = responses.values[self.rows] if usable.all() else responses.values[np.ix_(self.rows, usable)]
        dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        if len(self.keys) == len(self.rows):
            return np.asarray(values, dtype=dtype)
        behind = _repeats_of(responses)[self.rows]
        mean = sparse.csr_matrix((behind / self.counts[self.units], (self.units, np.arange(len(self.rows)))), shape=(len(self.keys), len(self.rows)))
        return np.asarray(mean @ np.asarray(values, dtype=np.float64)).astype(dtype)

    def positions(self, features: FeatureSpace, where: str) -> Index:
        """Return the rows of the features that belong to the units."""
        if features.rows == "sample":
            return self.keys.astype(np.intp)
        return positions_of(list(self.keys), list(features.samples["stimulus_id"]), "stimulus_ids of the responses", where)


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Training and test side of one fold, the training weights and the inner folds."""

    train: Side
    test: Side
    weights: npt.NDArray[np.float64] | None
    inner: list[tuple[Index, Index]] | None
    inner_label: str
    groups: npt.NDArray[Any] | None
    exchangeable: npt.NDArray[Any]
    pieces: tuple[Index, Index] | None = None  # of a time series: which stretch without gaps each training and test row belongs to

    def key(self, *, ordered: bool = True) -> bytes:
        """Return what two subjects must share to share a fit; in any order where there are no inner folds and ``ordered`` is False."""
        ordered = ordered or self.inner is not None
        digest = hashlib.sha256()
        for side in (self.train, self.test):
            keys = list(map(str, side.keys if ordered else side.keys[_by_key(side)]))
            digest.update("\x00".join(keys).encode() + b"\x01")
        weights = self.weights if self.weights is None or ordered else self.weights[_by_key(self.train)]
        digest.update(b"" if weights is None else weights.tobytes())
        for pair in self.inner or ():
            for rows in pair:
                digest.update(rows.tobytes() + b"\x02")
        return digest.digest()


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Responses of one subject with their folds and the targets that are fitted on the rows of these."""

    name: str
    responses: Responses
    folds: list[Fold]
    usable: npt.NDArray[np.bool_]
    averaged: bool
    shared_stimuli: int
    crowded: bool = False  # epochs that overlap in time, and folds that heed it
    parts: tuple[Subject, ...] = ()  # the same subject for targets that lack some rows, one for each pattern of missing rows

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """The targets that get a score, on all rows or on those that they have."""
        return np.logical_or.reduce([self.usable, *(part.usable for part in self.parts)])

    @property
    def pieces(self) -> list[Subject]:
        """Itself and its parts, those without a target left out."""
        return [one for one in (self, *self.parts) if one.usable.any()]

    @property
    def moved(self) -> str:
        """What permutations and bootstraps move as a whole."""
        return SCANS if self.responses.is_time_series else "stimuli"


def prepare(name: str, responses: Responses, split: Split, features: Mapping[str, FeatureSpace], average: str | bool) -> Subject:
    """Return one subject ready to be fitted; refuses features and splits that do not fit the responses."""
    by_stimulus = _by_stimulus(responses, features)
    averaged = _averages(responses, by_stimulus, average)
    apart = inner_windows(responses, split)
    crowded = apart[0] is not None and not responses.is_time_series
    pairs = list(split.split(responses))
    refuse_shared_windows(responses, split, pairs)
    shared = max(_n_shared(responses, train, test) for train, test in pairs)

    def folds(pairs: list[tuple[Index, Index]]) -> list[Fold]:
        # averaged training rows have no run, session or window of their own, so folds of these keep single rows (the same least squares)
        means = averaged and _groups_are_stimuli(split) and not crowded
        sides = [(_side(responses, train, by_stimulus, means), _side(responses, test, by_stimulus, averaged)) for train, test in pairs]
        return [_fold(responses, split, *one, apart) for one in sides]

    whole = Subject(name, responses, folds(pairs), _finite(responses.values), averaged, shared, crowded)
    parts = []
    for present, columns in _patterns(responses.values, whole.usable):
        kept = [(train[present[train]], test[present[test]]) for train, test in pairs]
        if min(min(len(train), len(test)) for train, test in kept) < LEAST_ROWS:
            continue
        part = replace(whole, folds=folds(kept), usable=np.isin(np.arange(responses.n_targets), columns))
        if all(len(fold.test.keys) >= least_rows(part) and len(fold.train.keys) >= LEAST_ROWS for fold in part.folds):
            parts.append(part)
    return replace(whole, parts=tuple(parts))


def least_rows(subject: Subject, aggregate: str = "folds") -> int:
    """Return how many test rows a fold needs: the means of two stimuli always correlate by 1 or -1."""
    return 3 if subject.averaged and aggregate == "folds" else 2


def share(subjects: list[Subject], *, separable: bool = True, ordered: bool = False) -> list[list[Subject]]:
    """Group subjects whose training, test and inner rows are the same in every fold: one decomposition serves them all.

    Only where the encoder fits each target by itself (``separable``): elsewhere one subject's targets would change another's fit.
    Subjects who saw the same rows in another order share too, unless the encoder goes by the order of rows (``ordered``).
    """
    if not separable:
        return [[subject] for subject in subjects]
    groups: dict[tuple[bytes, ...], list[Subject]] = {}
    for subject in subjects:
        key = tuple(fold.key(ordered=ordered) for fold in subject.folds)
        groups.setdefault(key, []).append(subject)
    return list(groups.values())


def order_like(own: Side, reference: Side) -> Index | None:
    """Return ``order`` with ``own.keys[order] == reference.keys``; None where they are in the same order."""
    if len(own.keys) == len(reference.keys) and (own.keys == reference.keys).all():
        return None
    order = np.empty(len(own.keys), dtype=np.intp)
    order[_by_key(reference)] = _by_key(own)
    return order


def _by_key(side: Side) -> Index:
    return np.argsort(side.keys.astype(str), kind="stable")


def test_repeats(subject: Subject) -> float:
    """Return the harmonic mean of the repeats behind the scored test rows."""
    counts = np.concatenate([fold.test.counts for fold in subject.folds])
    return float(1.0 / np.mean(1.0 / counts))


def _by_stimulus(responses: Responses, features: Mapping[str, FeatureSpace]) -> bool:
    kinds = {space.rows for space in features.values()}
    if len(kinds) > 1:
        raise InputError("some features have one row per stimulus and others one row per sample", where="score_layers", fix="score them in two calls")
    for space in features.values():
        if space.rows == "sample" or responses.is_time_series:
            responses.align(space)  # compares the numbers of rows, or says that scans need a design
            continue
        where = f"responses {responses.name!r} with features {space.name!r}"
        ids = pd.unique(need_column(responses.samples, "stimulus_id", f"Responses {responses.name!r} samples"))
        positions_of(list(ids), list(space.samples["stimulus_id"]), "stimulus_ids of the responses", where)
    return kinds == {"stimulus"}


def _averages(responses: Responses, by_stimulus: bool, average: str | bool) -> bool:
    possible = by_stimulus and bool(responses.samples["stimulus_id"].duplicated().any())
    if average is True and not by_stimulus:
        raise InputError("only trials with features of one row per stimulus can be averaged", where=f"score_layers, responses {responses.name!r}")
    return possible and average is not False


def _groups_are_stimuli(split: Split) -> bool:
    return split.kind == "column" or (split.kind in ("images", "kfold") and split.groups in (None, "stimulus_id"))


def _repeats_of(responses: Responses) -> npt.NDArray[np.float64]:
    if "n_repeats" in responses.samples:
        return responses.samples["n_repeats"].to_numpy(dtype=np.float64)
    return np.ones(responses.n_samples)


def _side(responses: Responses, rows: Index, by_stimulus: bool, averaged: bool) -> Side:
    behind = _repeats_of(responses)[rows]
    if not by_stimulus:
        return Side(rows, np.arange(len(rows)), rows, behind)
    ids = responses.samples["stimulus_id"].to_numpy(dtype=object)[rows]
    if not averaged:
        return Side(rows, np.arange(len(rows)), ids, behind)
    units, keys = pd.factorize(ids)
    return Side(rows, units, np.asarray(keys, dtype=object), np.bincount(units, weights=behind).astype(np.float64))


def _fold(responses: Responses, split: Split, train: Side, test: Side, apart: tuple[Windows | None, float | None]) -> Fold:
    weights = None if np.ptp(train.counts) == 0 else train.counts
    first = train.rows[np.unique(train.units, return_index=True)[1]]
    table, (windows, seconds) = responses.samples.iloc[first], apart
    timed = TimedRows(table.reset_index(drop=True), None if windows is None else windows.take(first))
    inner, label = _inner(split, timed, seconds, series=responses.is_time_series)
    groups = table[split.groups].to_numpy() if split.groups in table.columns and split.kind != "column" else None
    pieces = (_pieces(responses, train), _pieces(responses, test)) if responses.is_time_series else None
    return Fold(train, test, weights, inner, label, groups, _exchangeable(responses, test), pieces)


def _inner(split: Split, rows: TimedRows, seconds: float | None, *, series: bool) -> tuple[list[tuple[Index, Index]] | None, str]:
    """Return the inner folds of one training set (None: leave one row out) and their description."""
    table, by_time = rows.samples, series or rows.windows is not None
    if not by_time and _groups_are_stimuli(split):
        if "stimulus_id" not in table or not table["stimulus_id"].duplicated().any():
            return None, "leave one image out"
        return _inner_folds(Split("kfold", n=N_INNER, groups="stimulus_id"), rows)
    wanted = split.inner(N_INNER)
    column = ("run" if "run" in table else None) if by_time and _groups_are_stimuli(split) else wanted.groups
    if column is None or wanted.kind == "blocks" or column not in table or table[column].nunique() < 2:
        return _inner_folds(Split("blocks", n=N_INNER, gap=split.gap, seconds=seconds), rows)
    return _inner_folds(replace(wanted, kind="kfold", groups=column, seed=None, force=False, seconds=seconds), rows)


def _inner_folds(inner: Split, rows: TimedRows) -> tuple[list[tuple[Index, Index]], str]:
    n_units = len(rows.samples) if inner.kind == "blocks" else int(rows.samples[str(inner.groups)].nunique())
    inner = replace(inner, n=min(inner.n or N_INNER, n_units))
    return list(inner.split(rows)), inner.describe()


def _exchangeable(responses: Responses, test: Side) -> npt.NDArray[Any]:
    """Return the unit of each test row that permutations and bootstraps move as a whole."""
    if not responses.is_time_series:
        if len(test.keys) < len(test.rows) or "stimulus_id" not in responses.samples:
            return np.arange(len(test.keys))
        return pd.factorize(responses.samples["stimulus_id"].to_numpy()[test.rows])[0]
    seconds = BLOCK_SECONDS["t_r" if responses.t_r is not None else "sampling_rate"]
    return blocks_of(len(test.rows), max(1, round(seconds / responses.step)), groups=_pieces(responses, test))


def _pieces(responses: Responses, side: Side) -> Index:
    """Return 0, 1, … for each stretch of neighbouring rows of a run."""
    runs = pd.factorize(responses.samples["run"])[0][side.rows] if "run" in responses.samples else np.zeros(len(side.rows), dtype=int)
    return np.cumsum(np.r_[0, (np.diff(side.rows) != 1) | (np.diff(runs) != 0)])


def _n_shared(responses: Responses, train: Index, test: Index) -> int:
    if responses.is_time_series or "stimulus_id" not in responses.samples:
        return 0
    ids = responses.samples["stimulus_id"].to_numpy()
    return len(set(ids[train]) & set(ids[test]))


def _patterns(values: npt.NDArray[Any], complete: npt.NDArray[np.bool_]) -> Iterator[tuple[npt.NDArray[np.bool_], Index]]:
    """Yield (rows that are there, columns) for every set of targets that lack the same rows; targets with infinity are left out."""
    from brainenc.linalg.ridge_setup import missing_patterns

    infinite = np.zeros(values.shape[1], dtype=bool)
    if complete.all():
        return
    for rows in _row_chunks(len(values)):
        infinite |= np.isinf(values[rows]).any(axis=0)
    columns = np.flatnonzero(~complete & ~infinite)
    for missing, found in missing_patterns(values[:, columns]) if len(columns) else ():
        if missing is not None and not missing.all():
            yield ~missing, columns[found]


def _finite(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    out = np.ones(values.shape[1], dtype=bool)
    for rows in _row_chunks(len(values)):
        out &= np.isfinite(values[rows]).all(axis=0)
    return out


def _row_chunks(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, _CHUNK_ROWS):
        yield slice(start, start + _CHUNK_ROWS)
