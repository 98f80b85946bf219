"""Splits that know images, repeats, runs and time (the namespace ``brainenc.split``).

Every function returns a `Split`: a scikit-learn splitter that also reads the ``samples`` table of responses or features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.core.rng import check_seed, generator
from brainenc.nouns import persist
from brainenc.nouns.tables import need_column
from brainenc.nouns.windows import Windows

Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Split:
    """How rows are divided into training and test rows.

    Made by `images`, `kfold`, `runs`, `blocks` and `column`; see there. All rows of one group (image, run …) are on one side.
    """

    kind: str
    n: int | None = 1
    test: float | None = None
    groups: str | None = None
    gap: int = 0
    seed: int | None = None
    label: str | None = None
    force: bool = False
    seconds: float | None = None

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Index, Index]]:
        """Yield (training rows, test rows).

        ``X``: Responses, FeatureSpace, a samples table, or an array (its rows are then the units). ``groups``: overrides the column.

        Raises
        ------
        InputError
            When a time series would be shuffled, a column is missing, or there are too few groups.
        """
        if self.shuffles and not self.force and getattr(X, "is_time_series", False):
            raise InputError(
                "shuffled folds on a time series put neighbouring scans on both sides", where=self.describe(),
                fix="use brainenc.split.runs() or .blocks(n, gap), or pass force=True to see the damage",
            )  # fmt: skip
        n_rows, units = self._units(X, groups)
        windows = self._windows(X)
        for test in self._test_masks(units, n_rows):
            train = ~test
            if self.gap:
                train &= ~_widen(test, self.gap)
            if windows is not None:
                train &= windows.touches(windows.take(test), self.seconds or 0.0) == 0
            if not test.any() or not train.any():
                raise InputError("split leaves a side empty", where=self.describe(), got=f"{int(train.sum())} training, {int(test.sum())} test rows")
            yield np.flatnonzero(train), np.flatnonzero(test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds; without data only where it does not depend on them."""
        if self.kind == "column":
            return 1
        if self.n is not None:
            return self.n
        if X is None:
            raise InputError("the number of folds depends on the data", where=self.describe(), fix="pass the samples")
        return len(np.unique(self._units(X, groups)[1]))

    @property
    def shuffles(self) -> bool:
        """True where neighbouring rows can land on different sides."""
        return self.kind == "images" or (self.kind == "kfold" and self.seed is not None)

    def inner(self, n: int = 5) -> Split:
        """Return the split for choices made inside a training set: the same grouping and gap, never the test rows.

        Image splits give contiguous image folds, run splits folds of whole runs, blocks give blocks.
        """
        if self.kind == "blocks":
            return replace(self, n=n)
        if self.kind == "runs":
            return replace(self, kind="kfold", n=n, seed=None)
        return Split("kfold", n=n, groups=self.groups or "stimulus_id", seed=None)

    def describe(self) -> str:
        """One line for tables and reports."""
        unit = {"stimulus_id": "images (all repeats on one side)", None: "rows"}.get(self.groups, f"{self.groups}s")
        order = "in order" if self.seed is None else f"shuffled, seed {self.seed}"
        texts = {
            "images": f"{100 * (1 - (self.test or 0)):g}/{100 * (self.test or 0):g} {unit}, {order}" + (f", {self.n} draws" if self.n != 1 else ""),
            "kfold": f"{self.n}-fold over {unit}, {order}",
            "runs": f"leave one {self.groups} out",
            "blocks": f"{self.n} contiguous blocks, {self.gap} rows left out on either side",
            "column": f"rows with {self.groups} == {self.label!r} are the test set",
        }
        return texts[self.kind] + self._distance() + (" (forced)" if self.force else "")

    def save(self, path: str | Path) -> Path:
        """Write to one ``.npz``; `brainenc.read` gets it back."""
        return persist.save(self, path)

    def _distance(self) -> str:
        if self.seconds is None:
            return ""
        return f", training rows within {self.seconds:g} s of a test row left out" if self.seconds else ", training windows that overlap a test window left out"

    def _windows(self, X: Any) -> Windows | None:
        """Return when the rows were recorded, where training rows near test rows are to be left out."""
        if self.seconds is None:
            return None
        windows = getattr(X, "windows", None)
        if not isinstance(windows, Windows):
            raise InputError(
                "a gap in seconds needs to know when each row was recorded", where=self.describe(), got=type(X).__name__,
                expected="a time series, or epochs: Responses with times of the targets and onsets (s) of the samples", fix="give the gap in rows: gap=",
            )  # fmt: skip
        return windows

    def _units(self, X: Any, groups: Any) -> tuple[int, npt.NDArray[Any]]:
        table = getattr(X, "samples", X)
        n_rows = len(table)
        if groups is not None:
            return n_rows, np.asarray(pd.factorize(np.asarray(groups))[0])
        if self.groups is None or self.kind == "blocks":
            return n_rows, np.arange(n_rows)
        if not isinstance(table, pd.DataFrame):
            if self.groups == "stimulus_id":
                return n_rows, np.arange(n_rows)
            raise InputError(f"split needs the column {self.groups!r}", where=self.describe(), got="an array", fix="pass the samples table or groups=")
        if self.groups == "stimulus_id" and "stimulus_id" not in table.columns and self.force:
            return n_rows, np.arange(n_rows)
        values = need_column(table, self.groups, f"samples, for the split '{self.describe()}'")
        if self.kind == "column":
            return n_rows, (values.astype(str) == self.label).to_numpy()
        if values.isna().any():
            raise InputError(f"{self.groups} is missing in {int(values.isna().sum())} rows", where=self.describe())
        if not self.shuffles:
            return n_rows, np.asarray(pd.factorize(values)[0])
        # drawn from the names in order, so that a seed holds out the same images whatever order they were shown in
        return n_rows, np.unique(values.astype(str).to_numpy(dtype=str), return_inverse=True)[1]

    def _test_masks(self, units: npt.NDArray[Any], n_rows: int) -> Iterator[npt.NDArray[np.bool_]]:
        if self.kind == "column":
            yield units.astype(bool)
            return
        n_units = len(np.unique(units))
        if self.kind == "images":
            n_test = max(1, round((self.test or 0) * n_units))
            for draw in range(self.n or 1):
                keys = ("split", draw) if draw else ("split",)
                chosen = generator(self.seed or 0, *keys).permutation(n_units)[:n_test]
                yield np.isin(units, chosen)
            return
        n_folds = n_units if self.n is None else self.n
        if not 2 <= n_folds <= n_units:
            raise InputError("too few groups for the folds", where=self.describe(), expected=f"at least {max(2, n_folds)} {self.groups or 'row'}s", got=n_units)
        order = np.arange(n_units) if self.seed is None else generator(self.seed, "split").permutation(n_units)
        for fold in np.array_split(order, n_folds):
            yield np.isin(units, fold)


def images(test: float = 0.2, seed: int = 0, *, n: int = 1, groups: str = "stimulus_id", force: bool = False) -> Split:
    """Hold out a random share of the images, all repeats of an image on one side.

    Parameters
    ----------
    test : float
        Share of the images in the test set, between 0 and 1.
    seed : int
        The same seed holds out the same images.
    n : int
        Number of draws (each is a fold).
    groups : str
        Column that names the image.
    force : bool
        Allow it on a time series, and on epochs that overlap in time (it inflates scores there).
    """
    if not 0 < test < 1:
        raise InputError("test must be a share between 0 and 1", where="split.images", got=test)
    return Split("images", n=_folds(n, 1), test=float(test), groups=groups, seed=check_seed(seed), force=force)


def kfold(n: int = 5, groups: str | None = "stimulus_id", *, seed: int | None = None, force: bool = False) -> Split:
    """Folds over groups: contiguous in the order of first appearance, or shuffled where a seed is given."""
    return Split("kfold", n=_folds(n, 2), groups=groups, seed=None if seed is None else check_seed(seed), force=force)


def runs(groups: str = "run", *, n: int | None = None) -> Split:
    """Leave one run out, or ``n`` folds of whole runs; ``groups="session"`` leaves sessions out."""
    return Split("runs" if n is None else "kfold", n=None if n is None else _folds(n, 2), groups=groups)


def blocks(n: int = 5, gap: int = 0, *, seconds: float | None = None, force: bool = False) -> Split:
    """Contiguous blocks of a time series or of epochs in the order of their events; what lies close to a test block belongs to neither side.

    Parameters
    ----------
    n : int
    gap : int
        Rows left out on either side of a test block: at least the delays or the haemodynamic response.
    seconds : float, optional
        Also leave out training rows whose window (of an epoch: from its first to its last sample) overlaps a test window of the same run
        (0), or comes so many seconds close to one, whatever the order of the rows.
    force : bool
        Allow epochs on both sides to overlap (it inflates scores).
    """
    if isinstance(gap, bool) or gap < 0:
        raise InputError("gap counts rows and cannot be negative", where="split.blocks", got=gap)
    if seconds is not None and (isinstance(seconds, bool) or not np.isfinite(seconds) or seconds < 0):
        raise InputError("a distance in seconds cannot be negative", where="split.blocks, seconds", got=seconds)
    return Split("blocks", n=_folds(n, 2), gap=int(gap), seconds=None if seconds is None else float(seconds), force=force)


def column(name: str = "split", test: str = "test", *, force: bool = False) -> Split:
    """Use the data set's own partition: rows whose column ``name`` equals ``test`` are the test set.

    ``force`` allows epochs of both sides to overlap in time.
    """
    return Split("column", groups=name, label=str(test), force=force)


def _folds(n: int, least: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least:
        raise InputError("number of folds is too small", expected=f"an integer of at least {least}", got=repr(n))
    return int(n)


def _widen(mask: npt.NDArray[np.bool_], gap: int) -> npt.NDArray[np.bool_]:
    # not mode="same", which returns the kernel's length where it is the longer one
    return np.convolve(mask.astype(float), np.ones(2 * gap + 1), mode="full")[gap : gap + len(mask)] > 0.5
