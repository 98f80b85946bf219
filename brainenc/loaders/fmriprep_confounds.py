"""Confounds of an fMRIPrep run: nilearn's strategies, or columns by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import did_you_mean, examples, one_of
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.io.readers import read_table
from brainenc.loaders.fmriprep_files import RunFiles

PRESETS = ("simple", "scrubbing", "compcor", "ica_aroma")
COMPONENTS = ("motion", "high_pass", "wm_csf", "compcor", "ica_aroma", "tedana", "scrub", "non_steady_state")  # and global_signal, a column too
Confounds = str | Sequence[str] | Mapping[str, Any] | None


class RunConfounds(NamedTuple):
    """``values (n_scans, n_confounds)``, their names, the scans to keep (None: all), and how many values were filled in."""

    values: npt.NDArray[np.float64]
    names: tuple[str, ...]
    kept: npt.NDArray[np.intp] | None
    n_filled: int


def run_confounds(run: RunFiles, confounds: Confounds, n_scans: int) -> RunConfounds:
    """Return the confounds of one run.

    Parameters
    ----------
    run : RunFiles
    confounds : str, sequence of str, mapping or None
        A preset of nilearn (``"simple"``, ``"scrubbing"``, ``"compcor"``, ``"ica_aroma"``), components of its `load_confounds`
        (``("motion", "high_pass")``), keywords of that function (``{"strategy": (…), "motion": "basic"}``), columns of the file, or nothing.
    n_scans : int

    Raises
    ------
    DataError
        No confounds file, columns that a strategy needs are missing, or another number of rows than scans.
    InputError, NotFoundError
        Unknown strategy or column.
    """
    if confounds is None or (not isinstance(confounds, str | Mapping) and len(confounds) == 0):
        return RunConfounds(np.empty((n_scans, 0)), (), None, 0)
    columns = _column_names(confounds)
    found = _by_strategy(run, confounds) if columns is None else _by_column(run, columns)
    if len(found.values) != n_scans:
        raise DataError("confounds and images have different lengths", where=run.first, expected=f"{n_scans} scans", got=f"{len(found.values)} rows")
    bad = int((~np.isfinite(found.values)).sum())
    if bad:
        raise DataError(f"confounds are missing in {bad} places", where=run.first, got=examples(np.array(found.names)[~np.isfinite(found.values).all(axis=0)]))
    return found


def _column_names(confounds: Confounds) -> list[str] | None:
    """Return the names where columns are asked for, None for a strategy."""
    if isinstance(confounds, str):
        one_of(confounds, PRESETS, "confounds strategy")
        return None
    if isinstance(confounds, Mapping):
        return None
    names = [str(name) for name in confounds or ()]
    strategies = [name for name in names if name in COMPONENTS]
    if strategies and any(name not in (*COMPONENTS, "global_signal") for name in names):
        fix = "give one or the other"
        raise InputError("confounds mix components of a strategy with columns", where="load_fmriprep", got=examples(names, 12), fix=fix)
    return None if strategies else names


def _by_strategy(run: RunFiles, confounds: Any) -> RunConfounds:
    from nilearn.interfaces.fmriprep import load_confounds, load_confounds_strategy

    # what nilearn fills: first values of derivatives, with the second
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            if isinstance(confounds, str):
                table, kept = load_confounds_strategy(run.images, denoise_strategy=confounds)
            elif isinstance(confounds, Mapping):
                table, kept = load_confounds(run.images, **confounds)
            else:
                table, kept = load_confounds(run.images, strategy=tuple(confounds))
        except TypeError as error:
            raise InputError("nilearn's load_confounds does not know this", where="load_fmriprep, confounds", got=str(error)) from None
        except (ValueError, KeyError, OSError) as error:
            raise DataError("confounds of this strategy cannot be loaded", where=run.first, got=str(error), fix="name columns, or confounds=None") from None
    if table is None:
        raise InputError("strategy names no confounds", where="load_fmriprep, confounds", got=confounds)
    return RunConfounds(
        table.to_numpy(dtype=np.float64), tuple(map(str, table.columns)), None if kept is None else np.asarray(kept, dtype=np.intp), 0
    )


def _by_column(run: RunFiles, names: list[str]) -> RunConfounds:
    skip = {"space", "res", "den", "desc", "hemi"}
    stem = "_".join(f"{key}-{value}" for key, value in run.entities.items() if key not in skip)
    candidates = [run.first.parent / f"{stem}_desc-confounds_{kind}.tsv" for kind in ("timeseries", "regressors")]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise DataError("run has no confounds", where=candidates[0], fix="pass confounds=None")
    table = read_table(path)
    for name in names:
        if name not in table.columns:
            raise NotFoundError(f"no confound {name!r}", where=path, expected=examples(table.columns, 12), fix=did_you_mean(name, table.columns))
    try:
        values = table[names].to_numpy(dtype=np.float64, copy=True)
    except ValueError:
        raise DataError("confounds are not numbers", where=path, got=examples(names, 12)) from None
    # derivatives and displacements have no value at the first scan: it takes the second one's, as nilearn does
    first = np.isnan(values[0]) if len(values) > 1 else np.zeros(len(names), dtype=bool)
    values[0, first] = values[1, first] if len(values) > 1 else 0.0
    return RunConfounds(values, tuple(names), None, int(first.sum()))
