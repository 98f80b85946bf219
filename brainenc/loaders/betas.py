"""Single-trial betas from time series: one regression a trial, run by run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.loaders.hrf import Hrf, HrfModel, convolved, response_functions
from brainenc.loaders.hrf_choice import HrfChoice
from brainenc.loaders.series import frame_time, run_labels, run_rows
from brainenc.nouns.responses import EVENT_COLUMNS, Responses
from brainenc.nouns.tables import need_column

METHODS = ("lss", "lsa")
OTHERS = ("together", "by_stimulus")
DRIFTS = ("cosine", "polynomial", None)
Floats = npt.NDArray[np.float64]
_CHUNK = 8192  # targets at a time


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Scans of one run: their rows, their times (s, frame time included), and the events of the run."""

    label: str
    rows: npt.NDArray[np.intp]
    times: Floats
    events: pd.DataFrame


def single_trial_betas(
    responses: Responses, *,
    method: str = "lss", others: str = "together", hrf: HrfModel | HrfChoice = "glover", drift: str | None = "cosine", high_pass: float = 1 / 128,
    drift_order: int = 1, confounds: Sequence[str] = (), percent: bool = False, variance: bool = False, device: str = "auto",
) -> Any:  # fmt: skip
    """Return the amplitude of every event of a time series, estimated by ordinary least squares within its run.

    ``y = X beta + N gamma + noise``: X the response to each event, N the drifts, confounds and mean. ``"lsa"`` fits all trials in one
    model (unbiased, but noisy where trials are few seconds apart); ``"lss"`` gives each trial a model of its own, in which the other trials
    share regressors (biased, and steadier there; with well spaced trials "lsa" is the better one). Noise is taken as white; nothing is
    shared between runs.

    Parameters
    ----------
    responses : Responses
        A time series with ``events``; scans that were left out keep their time.
    method : {"lss", "lsa"}
    others : {"together", "by_stimulus"}
        For "lss": whether the other trials share one regressor, or one for each stimulus_id.
    hrf : str, Hrf or HrfChoice
        ``"glover"``, ``"spm"``, a double gamma, or what `choose_hrf` found for every target.
    drift : {"cosine", "polynomial", None}
        As in `nilearn.glm.first_level.make_first_level_design_matrix`.
    high_pass : float
        Hz, of the cosines.
    drift_order : int
        Of the polynomial.
    confounds : sequence of str
        Columns of ``samples``.
    percent : bool
        Betas in per cent of the run's mean; NaN (counted) where that is not positive.
    variance : bool
        Also return the variance of each beta: residual variance of its model times the diagonal of the inverse.
    device : str

    Returns
    -------
    Responses, or a pair of Responses (betas, variances)
        float32 where the series was, else float64. One row an event, run after run and by onset: stimulus_id, run, session, repeat (1, 2, … of each
        stimulus), onset, duration and the other columns of the events. Targets with a missing value in a run are NaN there.

    Raises
    ------
    InputError
        For trials, missing events or options; events whose response lies outside the scans, and trials that the model cannot tell apart.

    Warns
    -----
    BrainencWarning
        For targets with missing values.

    References
    ----------
    Mumford, Turner, Ashby & Poldrack (2012), doi:10.1016/j.neuroimage.2011.08.076. The closed form is in `brainenc.linalg.trials`.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> events = {"onset": [4.0, 30.0], "duration": [2.0, 2.0], "stimulus_id": ["a", "b"], "run": [1, 1]}
    >>> series = be.Responses(np.random.default_rng(0).normal(size=(40, 3)), {"run": [1] * 40}, t_r=2.0, events=events)
    >>> single_trial_betas(series)
    Responses('subject', 2 trials × 3 targets, ArraySpace)
    """
    one_of(method, METHODS, "method")
    one_of(others, OTHERS, "others")
    one_of(drift, DRIFTS, "drift")
    where = f"single_trial_betas, responses {responses.name!r}"
    groups = _hrf_groups(hrf, responses)
    nuisance = _confounds(responses, confounds)
    dtype = np.float32 if responses.values.dtype == np.float32 or responses.values.dtype.itemsize <= 2 else np.float64
    tables, betas, spreads, n_missing, n_flat = [], [], [], 0, 0
    for run in runs_of(responses, where):
        N = np.column_stack([drifts(run.times, responses.step, drift, high_pass, drift_order), nuisance[run.rows]])
        Y, scale, missing = _data(responses, run.rows, percent)
        n_missing, n_flat = n_missing + int(missing.sum()), n_flat + int((np.isnan(scale) & ~missing).sum())
        found = np.full((1 + variance, len(run.events), responses.n_targets), np.nan, dtype=dtype)
        for model, columns in groups:
            good = columns[~missing[columns]]
            X = regressors(run, responses.step, model)
            _fit(X, N, Y, good, run, found, scale=scale, method=method, others=others, device=device, where=where)
        tables.append(run.events)
        betas.append(found[0])
        spreads.append(found[-1])
    if n_missing:
        warnings.warn(f"{n_missing} (target, run) pairs of {responses.name!r} have missing values: their betas are NaN", BrainencWarning, stacklevel=2)
    record = {
        "method": method, "others": others if method == "lss" else None, "hrf": _name(hrf), "drift": drift,
        "high_pass": high_pass if drift == "cosine" else None, "confounds": list(confounds), "frame_time": frame_time(responses),
        "percent": percent, "n_missing": n_missing, "n_mean_not_positive": n_flat,
    }  # fmt: skip
    units = "% signal change" if percent else responses.units
    one = _responses(responses, np.concatenate(betas), pd.concat(tables, ignore_index=True), units, record)
    if not variance:
        return one
    return one, _responses(responses, np.concatenate(spreads), pd.concat(tables, ignore_index=True), f"({units})²", {**record, "values": "variance"})


def runs_of(responses: Responses, where: str) -> Iterator[Run]:
    """Yield the runs, with their events in order of onset.

    Raises
    ------
    InputError
        For trials, no events, a run without events, events of runs that are not here.
    """
    if not responses.is_time_series:
        raise InputError("responses are trials already", where=where, fix="pass a time series")
    if responses.events is None or not len(responses.events):
        raise InputError("nothing says when the stimuli were shown", where=where, expected="events (onset, duration, stimulus_id, run)", got="none")
    events = responses.events.assign(_label=run_labels(responses.events))
    labels = run_labels(responses.samples).to_numpy() if "run" in responses.samples.columns else None
    if labels is None and events["_label"].nunique() > 1:
        need_column(responses.samples, "run", f"{where} samples, as the events have several runs")
    seen = set()
    for rows in run_rows(responses.samples, responses.name):
        label = str(events["_label"].iloc[0]) if labels is None else str(labels[rows[0]])
        seen.add(label)
        mine = events[events["_label"] == label].drop(columns="_label").sort_values("onset", kind="stable").reset_index(drop=True)
        if not len(mine):
            fix = "leave the run out with responses.rows(…), or check its label"
            raise InputError("a run has no events", where=where, expected=examples(sorted(set(events["_label"])), 12), got=f"run {label!r}", fix=fix)
        if "time" in responses.samples.columns:
            starts = responses.samples["time"].to_numpy(dtype=np.float64)[rows]
            if not np.isfinite(starts).all() or (np.diff(starts) <= 0).any():
                raise InputError("time of the scans must rise within each run", where=where)
        else:
            starts = np.arange(len(rows)) * responses.step
        sessions = responses.samples["session"].iloc[rows[0]] if "session" in responses.samples.columns else None
        mine = mine if sessions is None or "session" in mine.columns else mine.assign(session=sessions)
        yield Run(label, rows, starts + frame_time(responses), mine)
    lost = sorted(set(events["_label"]) - seen)
    if lost:
        raise InputError("events are of runs that are not here", where=where, expected=examples(sorted(seen), 12), got=examples(lost, 12))


def regressors(run: Run, step: float, model: HrfModel) -> Floats:
    """Return the response to each event at the scans of a run, (n_scans, n_events)."""
    onset, duration = (run.events[name].to_numpy(dtype=np.float64) for name in ("onset", "duration"))
    return convolved(run.times, onset, duration, step, response_functions(model)[0][1])


def drifts(times: Floats, step: float, drift: str | None, high_pass: float, order: int) -> Floats:
    """Return nilearn's drifts and constant at these scans, (n_scans, n_drifts); scans that were cut out keep their place."""
    from nilearn.glm.first_level import make_first_level_design_matrix

    place = np.rint((times - times[0]) / step).astype(np.intp)
    grid = times[0] + np.arange(int(place[-1]) + 1) * step
    made = make_first_level_design_matrix(grid, events=None, drift_model=drift, high_pass=high_pass, drift_order=order)
    return np.asarray(made.to_numpy(dtype=np.float64)[place])


def _hrf_groups(hrf: HrfModel | HrfChoice, responses: Responses) -> list[tuple[HrfModel, npt.NDArray[np.intp]]]:
    if isinstance(hrf, HrfChoice):
        if len(hrf.which) != responses.n_targets:
            raise InputError("choice of HRFs is of other targets", where="single_trial_betas", expected=f"{responses.n_targets} targets", got=len(hrf.which))
        return [(hrf.library[int(i)], np.flatnonzero(hrf.which == i)) for i in np.unique(hrf.which)]
    if len(response_functions(hrf)) > 1:
        fix = "leave out the derivatives, or choose a response for each target with choose_hrf"
        raise InputError("a trial has one beta: a response with derivatives has more", where="single_trial_betas", got=repr(hrf), fix=fix)
    return [(hrf, np.arange(responses.n_targets))]


def _name(hrf: HrfModel | HrfChoice) -> str:
    if isinstance(hrf, HrfChoice):
        return f"one of {len(hrf.library)} for each target"
    return repr(hrf) if isinstance(hrf, Hrf) else hrf


def _confounds(responses: Responses, names: Sequence[str]) -> Floats:
    columns = [need_column(responses.samples, name, f"samples of {responses.name!r}").to_numpy(dtype=np.float64) for name in names]
    values = np.column_stack(columns) if columns else np.empty((responses.n_samples, 0))
    if not np.isfinite(values).all():
        raise InputError("confounds have missing values", where=f"samples of {responses.name!r}", got=f"{int((~np.isfinite(values)).sum())} values")
    return values


def _data(responses: Responses, rows: npt.NDArray[np.intp], percent: bool) -> tuple[npt.NDArray[Any], Floats, npt.NDArray[np.bool_]]:
    """Return the run's values, what betas are multiplied with, and the targets with missing values."""
    Y = np.asarray(responses.values[rows])
    missing = ~np.isfinite(Y).all(axis=0)
    scale = np.ones(Y.shape[1])
    if percent:
        mean = np.where(missing, np.nan, Y.mean(axis=0, dtype=np.float64))
        scale = np.where(mean > 0, 100.0 / np.where(mean > 0, mean, 1.0), np.nan)
    return Y, np.where(missing, np.nan, scale), missing


def _fit(
    X: Floats, N: Floats, Y: npt.NDArray[Any], columns: npt.NDArray[np.intp], run: Run, found: npt.NDArray[Any], *,
    scale: Floats, method: str, others: str, device: str, where: str,
) -> None:  # fmt: skip
    """Write betas and variances of these targets."""
    import torch

    from brainenc.linalg.device import resolve_device, to_numpy
    from brainenc.linalg.trials import basis_of, fit_all, fit_separate

    on = resolve_device(device)
    design, nuisance = (torch.from_numpy(np.ascontiguousarray(one)).to(on) for one in (X, N))
    kinds, names = pd.factorize(run.events["stimulus_id"])
    parts = [(np.arange(len(kinds)), basis_of(nuisance))]
    if method == "lss" and others == "by_stimulus":
        totals = torch.stack([design[:, torch.from_numpy(kinds == k).to(on)].sum(dim=1) for k in range(len(names))], dim=1)
        keep = [[j for j in range(len(names)) if j != k] for k in range(len(names))]
        parts = [(np.flatnonzero(kinds == k), basis_of(torch.cat([nuisance, totals[:, keep[k]]], dim=1))) for k in range(len(names))]
    solve = fit_all if method == "lsa" else fit_separate
    for trials, basis in parts:
        for start in range(0, len(columns), _CHUNK):
            cols = columns[start : start + _CHUNK]
            data = torch.from_numpy(np.asarray(Y[:, cols], dtype=np.float64)).to(on)
            fit = solve(design[:, torch.from_numpy(trials).to(on)], basis, data, variance=len(found) > 1)
            bad = trials[~to_numpy(fit.estimable)]
            if len(bad):
                _refuse(X, bad, run, method, where)
            place = np.ix_(trials, cols)
            found[0][place] = to_numpy(fit.betas) * scale[cols]
            if fit.variances is not None:
                found[1][place] = to_numpy(fit.variances) * scale[cols] ** 2


def _refuse(X: Floats, bad: npt.NDArray[np.intp], run: Run, method: str, where: str) -> None:
    which = examples([f"{run.events['stimulus_id'][i]} at {run.events['onset'][i]:g} s" for i in bad])
    outside = bad[np.abs(X[:, bad]).max(axis=0) < 1e-6 * max(float(np.abs(X).max()), 1e-300)]
    if len(outside):
        fix = "leave those events out, or check that onsets are in seconds from the start of the run"
        raise InputError("responses to events lie outside the scans", where=f"{where}, run {run.label}", got=which, fix=fix)
    fix = 'use method="lss"' if method == "lsa" else "use fewer confounds or drifts"
    raise InputError("the model cannot tell trials apart", where=f"{where}, run {run.label}", got=which, fix=fix)


def _responses(source: Responses, values: npt.NDArray[Any], events: pd.DataFrame, units: str, record: dict[str, Any]) -> Responses:
    samples = events.assign(repeat=events.groupby("stimulus_id", sort=False).cumcount() + 1)
    if "subject" in source.samples.columns and "subject" not in samples.columns:
        samples["subject"] = source.samples["subject"].iloc[0]
    first = [name for name in ("stimulus_id", "subject", "session", "run", "repeat", "onset", "duration") if name in samples.columns]
    samples = samples[first + [name for name in samples.columns if name not in (*first, *EVENT_COLUMNS)]]
    return Responses(
        values, samples, source.targets, source.space, units=units, name=source.name, provenance={**source.provenance, "betas": record}
    )
