"""Time series from the derivatives of fMRIPrep: volumes, surfaces and grayordinates, with events and confounds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import BrainencWarning, DataError, InputError, NotFoundError
from brainenc.io.nifti import open_image
from brainenc.io.readers import read_table
from brainenc.loaders import fmriprep_files as files
from brainenc.loaders.cifti import load_cifti
from brainenc.loaders.cleaning import clean_groups
from brainenc.loaders.fmriprep_confounds import Confounds, RunConfounds, run_confounds
from brainenc.loaders.nifti import load_nifti, read_grid, read_mask
from brainenc.loaders.surface import load_surface
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces.surface import MESHES

STIMULUS_COLUMNS = ("stimulus_id", "stim_id", "stim_file", "stimulus", "trial_type")
_T_R_TOLERANCE = 1e-3  # headers hold float32, and some writers round to a millisecond


def load_fmriprep(
    root: str | Path, *,
    subject: str, task: str, space: str, session: str | Sequence[str] | None = None, runs: Sequence[Any] | None = None,
    confounds: Confounds = None, detrend: bool = False, high_pass: float | None = None, filter: str = "dct", standardize: str | None = None,
    trim: tuple[int, int] = (0, 0), events: bool = True, stimulus: str = "auto", rest: Sequence[str] = (), bids: str | Path | None = None,
    mask: str | Path | None = None, t_r: float | None = None, kind: str | None = None, res: str | None = None, den: str | None = None,
    entities: Mapping[str, str] | None = None, max_bytes: str | int | None = None,
) -> Responses:  # fmt: skip
    """Read all runs of one subject and task in one space as a time series.

    Rows are scans, run after run; what a run needs is read, trimmed, scrubbed and then cleaned by itself, in this order. Nothing of this
    happens unless it is asked for, except that volumes before the steady state leave with any strategy that nilearn loads.

    Parameters
    ----------
    root : path
        The folder of the derivatives, with ``sub-…`` inside.
    subject, task : str
        ``"01"``, ``"film"``; without ``sub-`` and ``task-``.
    space : str
        As in the names: ``"MNI152NLin2009cAsym"`` or ``"T1w"`` (``*_desc-preproc_bold.nii.gz`` with ``*_desc-brain_mask.nii.gz``),
        ``"fsaverage5"``, ``"fsnative"`` (``*_hemi-L_*_bold.func.gii`` and R), ``"fsLR"`` (``*_bold.dtseries.nii``).
    session : str or sequence of str, optional
        None reads all; with several, runs are labelled ``"session/run"``.
    runs : sequence, optional
        Labels in the order wanted; None reads all. ``1`` and ``"01"`` are one run.
    confounds : str, sequence of str or mapping, optional
        A strategy of nilearn (``"simple"``, ``"scrubbing"``, ``"compcor"``, ``"ica_aroma"``), components such as ``("motion", "wm_csf")``, the
        keywords of `nilearn.interfaces.fmriprep.load_confounds`, or columns of the file. They are regressed out run by run.
    detrend, high_pass, filter, standardize
        As in `clean_responses`.
    trim : tuple of int
        Scans to leave out at the start and the end of every run.
    events : bool
        Whether every run must have an ``events.tsv``, beside the derivatives or in the raw data set; False for rest and for features with onsets.
    stimulus : str
        Column of the events that names the stimulus; ``"auto"`` takes the first of stimulus_id, stim_id, stim_file, stimulus, trial_type.
    rest : sequence of str
        Stimuli that are no stimuli; their events are left out and counted, as are events without a name.
    bids : path, optional
        The raw data set, for events and for side files; None looks above a folder called ``derivatives``.
    mask : path, optional
        Of volumes; None takes the voxels that are in the brain mask of every run.
    t_r : float, optional
        Seconds, where neither the side files nor the header know; it must agree with those that do.
    kind : {"volume", "surface", "cifti"}, optional
        Where a space has files of several kinds.
    res, den : str, optional
        Where there are several resolutions.
    entities : mapping, optional
        Further key-value pairs of the names, ``{"acq": "mb"}``.
    max_bytes : str or int, optional
        Limit on what one file may take.

    Returns
    -------
    Responses
        float32; ``samples``: subject, session (where there are any), run, time (s from the start of the run). The frame time is the side
        files' ``StartTime`` where slices were corrected, else half a repetition time; it is in the provenance with the counts of everything
        that was left out, names of confounds, masks and files.

    Raises
    ------
    NotFoundError, DataError, InputError
        Nothing of that name (what there is gets named); a missing mask, hemisphere, confounds or events file; other grids, other repetition
        times between runs or between header and side file; nothing left after trimming.

    Warns
    -----
    BrainencWarning
        When scans are left out because a strategy flags them, with counts for every run.

    References
    ----------
    Esteban et al. (2019), fMRIPrep, doi:10.1038/s41592-018-0235-4. Wang et al. (2024), the strategies, doi:10.1371/journal.pcbi.1011942.

    Examples
    --------
    >>> load_fmriprep("ds/derivatives/fmriprep", subject="01", task="film", space="fsaverage5", confounds=("motion",),
    ...               high_pass=1 / 128, standardize="zscore", trim=(5, 5))                              # doctest: +SKIP
    """
    base = Path(root).expanduser()
    if not base.is_dir():
        raise DataError("no such folder", where=base, fix="root= is the folder of the derivatives")
    if kind is not None:
        one_of(kind, tuple(files.SUFFIXES), "kind")
    given = {"sub": subject.removeprefix("sub-"), "task": task.removeprefix("task-"), "space": space, "res": res, "den": den, **(entities or {})}
    found = files.find_runs(base, {k: str(v) for k, v in given.items() if v is not None}, runs=runs, session=session, kind=kind)
    raw = files.raw_root(base, bids)
    sides = [files.side_files(run, raw) for run in found]
    step = _repetition_time(found, sides, t_r)
    labels = _labels(found)
    series = _read(found, labels, step, mask=mask, space=space, max_bytes=max_bytes)
    lengths = [int((series.samples["run"] == one).sum()) for one in labels]
    table, record = (None, {}) if not events else _events(found, labels, raw, stimulus, rest)
    samples = series.samples.drop(columns=["sample", "map"], errors="ignore").assign(subject=given["sub"])
    if "ses" in found[0].entities:
        samples["session"] = np.repeat([run.entities.get("ses", "") for run in found], lengths)
    provenance = {**series.provenance, "frame_time": _frame_time(found, sides, step), "space": space, "task": given["task"], "events": record}
    whole = replace(series, samples=samples, events=table, name=str(given["sub"]), provenance=provenance)
    nuisance = [run_confounds(run, confounds, n) for run, n in zip(found, lengths, strict=True)]
    return _cleaned(whole, labels, nuisance, trim, {"detrend": detrend, "standardize": standardize, "high_pass": high_pass, "filter": filter})


def _labels(found: Sequence[files.RunFiles]) -> list[Any]:
    several = len({run.entities.get("ses") for run in found}) > 1
    labels = [files.label(run.entities.get("run", "1")) for run in found]
    return [f"{run.entities.get('ses')}/{one}" for run, one in zip(found, labels, strict=True)] if several else labels


def _repetition_time(found: Sequence[files.RunFiles], sides: Sequence[Sequence[Mapping[str, Any]]], given: float | None) -> float:
    """Return the repetition time that header, side file and argument agree on, in every run."""
    known: list[tuple[str, float]] = [] if given is None else [("t_r", float(given))]
    for run, side in zip(found, sides, strict=True):
        told = files.first_value(side, "RepetitionTime")
        if told is not None:
            known.append((f"side file of {run.first.name}", _seconds(told, run.first)))
        for path in run.bold.values():
            header = _header_time(run.kind, path)
            if header is not None:
                known.append((f"header of {path.name}", header))
    if not known:
        raise DataError("nothing says the repetition time", where=found[0].first, expected="RepetitionTime in the JSON beside it", fix="pass t_r=")
    for where, value in known:
        if abs(value - known[0][1]) > _T_R_TOLERANCE:
            raise DataError(
                "repetition times disagree", where=where, expected=f"{known[0][1]:g} s ({known[0][0]})", got=f"{value:g} s", fix="mend the header or the JSON"
            )
    # the side file and the argument are exact, the header is rounded
    return next((value for where, value in known if not where.startswith("header")), known[0][1])


def _seconds(value: Any, where: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value <= 0:
        raise DataError("RepetitionTime is no positive number of seconds", where=where, got=repr(value))
    return float(value)


def _header_time(kind: str, path: Path) -> float | None:
    if kind == "volume":
        found: float | None = read_grid(path)[2]["t_r"]
        return found
    if kind == "cifti":
        axis = open_image(path).header.get_axis(0)
        return float(axis.step) if type(axis).__name__ == "SeriesAxis" and axis.unit == "SECOND" else None
    return None


def _frame_time(found: Sequence[files.RunFiles], sides: Sequence[Sequence[Mapping[str, Any]]], step: float) -> float:
    """Return the time within a scan that its slices were moved to, or half a scan."""
    told = [files.first_value(side, "StartTime") if files.first_value(side, "SliceTimingCorrected") is not False else None for side in sides]
    if any(isinstance(one, bool) or (one is not None and not isinstance(one, int | float)) for one in told):
        raise DataError("StartTime is no number of seconds", where=found[0].first, got=told)
    times = [step / 2 if one is None else float(one) for one in told]
    if max(times) - min(times) > _T_R_TOLERANCE:
        raise DataError("start times of runs disagree", where=found[0].first, got=sorted(set(times)), fix="load the runs apart")
    return times[0]


def _read(found: Sequence[files.RunFiles], labels: Sequence[Any], step: float, *, mask: Any, space: str, max_bytes: Any) -> Responses:
    kind, units = found[0].kind, "scanner units"
    if kind != "volume" and mask is not None:
        raise InputError("only volumes take a mask", where="load_fmriprep", got=f"{kind} files", fix="select targets with where(…)")
    if kind == "cifti":
        return load_cifti([run.first for run in found], runs=labels, t_r=step, units=units, max_bytes=max_bytes)
    if kind == "surface":
        paths = {side: [run.bold[side] for run in found] for side in files.SIDES.values()}
        return load_surface(paths, mesh=space if space in MESHES else "native", runs=labels, t_r=step, units=units)
    if mask is not None:
        return load_nifti([run.first for run in found], mask=mask, runs=labels, t_r=step, units=units, max_bytes=max_bytes)
    grid, affine, _ = read_grid(found[0].first)
    each = [read_mask(files.mask_of(run), grid, affine) for run in found]
    shared = np.logical_and.reduce(each)
    if not shared.any():
        raise DataError("brain masks of the runs share no voxel", where=found[0].first, got=[int(one.sum()) for one in each], fix="pass mask=")
    brain = load_nifti([run.first for run in found], mask=shared, runs=labels, t_r=step, units=units, max_bytes=max_bytes)
    record = {"n_voxels": int(shared.sum()), "n_voxels_of_runs": [int(one.sum()) for one in each]}
    return replace(brain, provenance={**brain.provenance, "mask": {"how": "voxels in the brain mask of every run", **record}})


def _events(
    found: Sequence[files.RunFiles], labels: Sequence[Any], raw: Path | None, stimulus: str, rest: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the events of all runs and what was left out."""
    tables, n_unnamed, n_rest, used = [], 0, 0, ""
    for run, label in zip(found, labels, strict=True):
        name = f"{files.raw_name(run.entities)}_events.tsv"
        places = [run.first.parent / name] + ([] if raw is None else [files.raw_folder(raw, run.entities) / name])
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            fix = "pass bids= (the raw data set), or events=False where nothing was shown"
            raise DataError("run has no events", where=places[-1], fix=fix)
        table = read_table(path)
        used = _stimulus_column(table, stimulus, path)
        missing = [column for column in ("onset", "duration") if column not in table.columns or table[column].dtype.kind not in "fiu"]
        if missing:
            raise DataError("events need numbers in onset and duration", where=path, got=f"{missing[0]}: {examples(table.columns, 8)}")
        names = table[used].astype("string")
        unnamed, resting = names.isna().to_numpy(), names.isin([str(one) for one in rest]).fillna(False).to_numpy(dtype=bool)
        n_unnamed, n_rest = n_unnamed + int(unnamed.sum()), n_rest + int(resting.sum())
        kept = table[~(unnamed | resting)]
        if kept[["onset", "duration"]].isna().any(axis=None):
            raise DataError("events of stimuli lack onset or duration", where=path, got=int(kept[["onset", "duration"]].isna().any(axis=1).sum()))
        tables.append(kept.assign(stimulus_id=names[kept.index].astype(str), run=label))
    return pd.concat(tables, ignore_index=True), {"stimulus": used, "n_without_stimulus": n_unnamed, "n_rest": n_rest}


def _stimulus_column(table: pd.DataFrame, stimulus: str, path: Path) -> str:
    if stimulus != "auto":
        if stimulus not in table.columns:
            raise NotFoundError(f"events have no column {stimulus!r}", where=path, expected=examples(table.columns, 12))
        return stimulus
    column = next((name for name in STIMULUS_COLUMNS if name in table.columns), None)
    if column is None:
        raise DataError("events do not name the stimuli", where=path, expected=f"one of {', '.join(STIMULUS_COLUMNS)}", got=examples(table.columns, 12))
    return column


def _cleaned(
    series: Responses, labels: Sequence[Any], nuisance: Sequence[RunConfounds], trim: tuple[int, int], how: dict[str, Any]
) -> Responses:
    """Trim, scrub and clean run by run; every scan that goes is counted."""
    start, end = (int(n) for n in trim)
    if start < 0 or end < 0:
        raise InputError("trim is a number of scans at either end", where="load_fmriprep", got=trim)
    keep, left, flagged = [], [], {}
    run_of = series.samples["run"].to_numpy()
    for label, one in zip(labels, nuisance, strict=True):
        rows = np.flatnonzero(run_of == label)
        inside = np.arange(start, len(rows) - end)
        steady = inside if one.kept is None else np.intersect1d(inside, one.kept)
        if len(steady) < 3:
            raise InputError("fewer than three scans are left of a run", where=f"run {label}", got=f"{len(steady)} of {len(rows)}", fix="trim or scrub less")
        flagged[str(label)] = len(inside) - len(steady)
        keep.append(rows[steady])
        left.append(one.values[steady])
    n_flagged = sum(flagged.values())
    if n_flagged:
        text = ", ".join(f"{n} in run {label}" for label, n in flagged.items() if n)
        warnings.warn(f"{n_flagged} scans of {series.name!r} are left out, as confounds flag them ({text})", BrainencWarning, stacklevel=3)
    rows = np.concatenate(keep)
    kept = series if len(rows) == series.n_samples else series.take_rows(rows)
    record = {
        **how, "by": "run", "trim": [start, end], "n_scrubbed": flagged, "confounds": {str(k): list(n.names) for k, n in zip(labels, nuisance, strict=True)},
        "n_filled": sum(one.n_filled for one in nuisance), "n_scans": {str(k): len(one) for k, one in zip(labels, keep, strict=True)},
    }  # fmt: skip
    kept = replace(kept, provenance={**kept.provenance, "cleaned": record})
    if not (how["detrend"] or how["standardize"] or how["high_pass"] or any(part.shape[1] for part in left)):
        return kept
    groups: npt.NDArray[np.intp] = np.repeat(np.arange(len(labels)), [len(one) for one in keep])
    return replace(kept, values=clean_groups(kept, groups, left, **how))
