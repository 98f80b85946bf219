"""Which haemodynamic response fits each target best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import examples, one_of
from brainenc.core.errors import InputError
from brainenc.loaders.hrf import HrfModel, hrf_library, response_functions
from brainenc.loaders.series import run_labels
from brainenc.nouns.responses import Responses
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]
CONDITIONS = ("stimulus", "one")


class HrfChoice(NamedTuple):
    """``which (n_targets,)``: positions in ``library``, ``scores (n_hrf, n_targets)`` and what they are."""

    which: npt.NDArray[np.intp]
    scores: Floats
    library: tuple[HrfModel, ...]
    how: str


def choose_hrf(
    responses: Responses, *,
    library: Sequence[HrfModel] | None = None, conditions: str = "stimulus", runs: Sequence[Any] | None = None, drift: str | None = "cosine",
    high_pass: float = 1 / 128, drift_order: int = 1,
) -> HrfChoice:  # fmt: skip
    """Return the response that predicts left-out runs best, for every target.

    With drifts projected out of run r, ``G_r = X~'X~`` and ``c_r = X~'Y~``: ``beta_-r = (sum_s G_s - G_r)^-1 (sum_s c_s - c_r)`` predicts
    run r with the squared error ``|Y~|^2 - 2 beta'c_r + beta'G_r beta``; the score is ``1 - sum_r error / sum_r |Y~|^2``. With a single
    run it is the share of variance fitted, which is fair as all responses take as many regressors.

    Parameters
    ----------
    responses : Responses
        A time series with events. Targets with missing values score NaN and take the first response.
    library : sequence, optional
        Names (``"glover"``, ``"spm"``) or `Hrf`; `hrf_library` where not given.
    conditions : {"stimulus", "one"}
        One regressor a stimulus_id, which should then come back in several runs, or one for all events.
    runs : sequence, optional
        Which runs may be looked at: the training runs, where betas of other runs are to be predicted. None: all.
    drift, high_pass, drift_order
        As in `single_trial_betas`.

    Raises
    ------
    InputError
        For trials, missing events, or a response with derivatives.

    References
    ----------
    Prince et al. (2022), doi:10.7554/eLife.77599, choose by in-sample fit; leaving runs out is our choice.

    Examples
    --------
    >>> choose_hrf(series, runs=[1, 2, 3]).which                                                          # doctest: +SKIP
    """
    from brainenc.loaders.betas import drifts, regressors, runs_of

    one_of(conditions, CONDITIONS, "conditions")
    where = f"choose_hrf, responses {responses.name!r}"
    models = tuple(hrf_library() if library is None else library)
    if not models or any(len(response_functions(model)) > 1 for model in models):
        raise InputError("a library holds responses without derivatives", where=where, got=repr(models))
    if runs is not None:
        labels = run_labels(need_column(responses.samples, "run", where).to_frame())
        asked = [str(run) for run in runs]
        lost = [run for run in asked if run not in set(labels)]
        if lost:
            raise InputError("runs that are not here", where=where, expected=examples(pd.unique(labels), 12), got=examples(lost))
        responses = responses.take_rows(labels.isin(asked).to_numpy())
    names = list(dict.fromkeys(responses.events["stimulus_id"])) if responses.events is not None and conditions == "stimulus" else ["all"]
    grams, cross, power = [], [], []
    for run in runs_of(responses, where):
        ids = run.events["stimulus_id"].to_numpy() if conditions == "stimulus" else np.full(len(run.events), "all")
        sums = (ids[:, None] == np.array(names, dtype=object)[None]).astype(np.float64)
        basis = np.linalg.qr(drifts(run.times, responses.step, drift, high_pass, drift_order))[0]
        Y = np.asarray(responses.values[run.rows], dtype=np.float64)
        Y = Y - basis @ (basis.T @ Y)
        X = np.stack([regressors(run, responses.step, model) @ sums for model in models])
        X = X - basis @ (basis.T @ X)
        grams.append(np.swapaxes(X, 1, 2) @ X)
        cross.append(np.swapaxes(X, 1, 2) @ Y)
        power.append((Y**2).sum(axis=0))
    scores = _scores(np.array(grams), np.array(cross), np.array(power))
    good = np.isfinite(scores).all(axis=0)
    index = np.where(good, np.argmax(np.where(good, scores, -np.inf), axis=0), 0).astype(np.intp)
    return HrfChoice(index, scores, models, f"leave one of {len(grams)} runs out" if len(grams) > 1 else "in-sample fit of one run")


def _scores(grams: Floats, cross: Floats, power: Floats) -> Floats:
    """Return 1 - error / power for every response and target; runs are the first axis."""
    n_runs = len(grams)
    error = np.zeros(cross.shape[1:2] + cross.shape[3:])
    for run in range(n_runs):
        others = [other for other in range(n_runs) if other != run] or [run]
        beta = np.linalg.pinv(grams[others].sum(axis=0), hermitian=True) @ cross[others].sum(axis=0)
        error += power[run] - 2 * (beta * cross[run]).sum(axis=1) + (beta * (grams[run] @ beta)).sum(axis=1)
    total = power.sum(axis=0)
    return np.asarray(np.where(total > 0, 1 - error / np.where(total > 0, total, 1.0), np.nan))
