"""Score every layer on every target: one verb from features and responses to `Scores`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.rng import check_seed
from brainenc.encoding._ceiling import ceiling_of
from brainenc.encoding._fit import Fit, check_encoder, check_series, fit_fold, fits_targets_apart, goes_by_order, reduced, with_bands
from brainenc.encoding._job import Job, Table, provenance, warn_after, warn_before
from brainenc.encoding._resampled import family_p, refuse_overlap, score_interval, warn_of_slow_trials
from brainenc.encoding._rows import SCANS, Subject, least_rows, order_like, prepare, share
from brainenc.metrics import scores as metrics
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import permuted
from brainenc.nouns.ceiling import NoiseCeiling
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.responses import Responses
from brainenc.nouns.scores import Scores
from brainenc.nouns.splits import Split

Floats = npt.NDArray[np.float64]


def score_layers(
    features: FeatureSpace | Mapping[str, FeatureSpace],
    responses: Responses | Mapping[str, Responses],
    *,
    split: Split,
    encoder: Any = None,
    metric: str | Sequence[str] = "pearson",
    ceiling: NoiseCeiling | Mapping[str, NoiseCeiling] | str | None = "auto",
    reduce: str | None = None,
    aggregate: str = "folds",
    average: str | bool = "auto",
    permutations: int = 0,
    bootstrap: int = 0,
    seed: int = 0,
    keep_predictions: bool = False,
    memory: str | int | float | None = None,
    device: str = "auto",
    progress: bool | None = None,
) -> Scores:
    """Score how well each layer predicts each target on held-out rows.

    For each layer and fold one encoder is fitted to the training rows and scored on the test rows. Trials are averaged per stimulus
    on either side of the split (training rows weighted by their repeats, test rows scored as means); features are centred, never
    scaled, and everything that is fitted (means, ``reduce``, penalties) is fitted to training rows. Subjects or regions with the same
    rows, in whatever order, share one decomposition of `Ridge`, with the same results as separate calls; encoders that do not fit each
    target by itself are fitted subject by subject.

    Parameters
    ----------
    features : FeatureSpace or {name: FeatureSpace}
        Layers: one row a stimulus, or one row a response sample (`brainenc.design`). A key of a mapping renames its features,
        unless it is their layer part alone: ``{"layer2": space}`` with the name ``"model/layer2"`` keeps the full name.
    responses : Responses or {subject: Responses}
        Trials or a time series of one or more subjects. A target that lacks some rows (NaN) is fitted and scored on those that it has, with
        all that lack the same ones; ``n_test`` says how many. Targets without any row or with infinity score NaN. Both are counted.
    split : Split
        From ``brainenc.split``: images, kfold, runs, blocks or column.
    encoder : estimator, optional
        An instance of any scikit-learn regressor; cloned for each fold. Default `Ridge` with a penalty per target, chosen by closed-form
        leave-one-out for images, by folds of runs or blocks with the outer gap otherwise. A `Ridge` with an integer ``cv`` also
        follows the outer grouping.
    metric : str or sequence of str
        ``"pearson"``, ``"r2"``.
    ceiling : "auto", None, NoiseCeiling or {subject: NoiseCeiling}
        "auto": from the repeats of all stimuli, for the mean of as many repeats as the test rows have; without repeats
        ``ceiling_status`` says so.
    reduce : str, optional
        ``"pca:K"`` (fitted in each training set) or ``"srp:K"``.
    aggregate : {"folds", "pooled"}
        One score a fold, or held-out predictions joined and scored once. Joined predictions of targets without signal correlate
        below zero, not at zero: each fold's training mean, and the scale of its predictions, go against its test rows.
    average : {"auto", True, False}
        Average repeats of a stimulus; False scores single trials.
    permutations : int
        Permutations of the test rows within folds (blocks of 20 s for time series of scans, 1 s for electrophysiology) for one-sided
        p-values of Pearson's r; ``q`` is Benjamini-Hochberg within subject and layer, ``p_max`` compares a target with the largest
        permuted r of all targets and layers of its subject.
    bootstrap : int
        Bootstrap draws of the test rows (of the same units) for the 95 % intervals ``ci``, see `brainenc.encoding.bootstrap`.
    seed : int
        Of permutations, bootstraps and reductions.
    keep_predictions : bool
        Keep predictions, observed values (float32) and test rows: paired comparisons and all other tests can then be done later, with the
        verbs of `brainenc.encoding` (``permutation_test``, ``bootstrap``, ``compare``, ``best_layer``), which give p-values and intervals
        of targets with all rows only; ``permutations`` and ``bootstrap`` here give those of all.
    memory : str, int or float, optional
        Working memory of each fit, e.g. ``"4GB"``.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``.
    progress : bool, optional
        Show a progress bar; by default in a terminal only.

    Returns
    -------
    Scores
        Entries are layers times metrics; targets of several subjects stand one subject after the other.

    Raises
    ------
    InputError
        When ids do not match, stimulus rows meet scans, features hold NaN, the split does not fit the samples, epochs of both sides overlap
        in time, the penalty of a time series (or of such epochs) would be chosen by leave-one-out or GCV, or the encoder fails (its own error
        is the cause).

    Warns
    -----
    BrainencWarning
        For targets with missing rows, a hybrid search on a time series, penalties at the edge of the grid for more than 20 % of a layer's
        targets, test stimuli that also train, permutations of single trials where predictions of consecutive ones are alike, and pooled scores
        of time series whose runs differ in their means (more than 5 % of the variance).

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> ids = [f"image{i}" for i in range(60)]
    >>> layer = be.FeatureSpace(rng.standard_normal((60, 5)), {"stimulus_id": ids}, name="toy/layer")
    >>> values = layer.values @ rng.standard_normal((5, 3)) + rng.standard_normal((60, 3))
    >>> brain = be.Responses(values, {"stimulus_id": ids}, name="01")
    >>> scores = score_layers(layer, brain, split=be.split.images(test=0.2, seed=0))
    >>> bool(scores.mean().min() > 0.3)
    True
    """
    layers, people = _named(features, FeatureSpace, "features"), _named(responses, Responses, "responses")
    names = _check(split, metric, aggregate, average, {"permutations": permutations, "bootstrap": bootstrap}, seed, encoder)
    subjects = [prepare(name, one, split, layers, average) for name, one in people.items()]
    _check_folds(subjects, aggregate)
    check_series(encoder, [subject.name for subject in subjects if subject.responses.is_time_series or subject.crowded])
    warn_before(subjects, aggregate)
    limits, status = ceiling_of(ceiling, subjects)
    groups = share([piece for one in subjects for piece in one.pieces], separable=fits_targets_apart(encoder), ordered=goes_by_order(encoder))
    job = Job(subjects, groups, encoder, names, reduce, aggregate, permutations, bootstrap, seed, keep_predictions, memory, device)
    table = Table.empty(job, len(layers))
    with _bar(len(layers) * len(subjects[0].folds) * len(job.groups), progress) as bar:
        for index, (name, space) in enumerate(layers.items()):
            _score_layer(job, table, index, name, space, bar)
    warn_after(job, table, list(layers))
    return _wrap(job, table, layers, split, limits, status)


def _score_layer(job: Job, table: Table, index: int, name: str, space: FeatureSpace, bar: Any) -> None:
    columns = job.columns()
    for group in job.groups:
        fits, observed = [], []
        for number in range(len(group[0].folds)):
            fit, held_out, width = _fit_group(job, group, number, name, space)
            table.widths[index].add(width)
            fits.append(fit)
            observed.append(held_out)
            table.edges[index] += (*fit.edges, fit.predictions.shape[1])
            table.solvers[index] = fit.solver
            bar.update(1)
        start = 0
        for subject in group:
            stop = start + int(subject.usable.sum())
            mine = [(y[:, start:stop], fit.predictions[:, start:stop]) for y, fit in zip(observed, fits, strict=True)]
            where = columns[subject.name]
            targets = np.arange(where.start, where.stop)[subject.usable]
            for number, fit in enumerate(fits):
                table.alpha[index, number, targets] = fit.alpha[start:stop]
                table.inner[index, number, targets] = fit.inner[start:stop]
            _score_subject(job, table, index, name, subject, mine, targets)
            start = stop


def _fit_group(job: Job, group: list[Subject], number: int, name: str, space: FeatureSpace) -> tuple[Fit, npt.NDArray[Any], int]:
    """Fit one fold for all subjects of a group side by side; return the fit, the observed test rows and the number of features fitted."""
    fold = group[0].folds[number]
    X, X_test = (_rows_of(space, name, side, group[0]) for side in (fold.train, fold.test))
    X, X_test = reduced(X, X_test, job.reduce, job.seed)
    sides = [(one.folds[number], one) for one in group]
    Y = _beside([_in_order(own.train.values(one.responses, one.usable), order_like(own.train, fold.train)) for own, one in sides])
    Y_test = _beside([own.test.values(one.responses, one.usable) for own, one in sides])
    fit = fit_fold(with_bands(job.encoder, space, job.reduce), X, Y, X_test, fold, memory=job.memory, device=job.device, layer=name)
    start = 0
    for own, one in sides:  # back to each subject's own order of test rows
        cols = slice(start, start + int(one.usable.sum()))
        order = order_like(own.test, fold.test)
        if order is not None:
            fit.predictions[order, cols] = fit.predictions[:, cols].copy()
        start = cols.stop
    return fit, Y_test, X.shape[1]


def _in_order(values: npt.NDArray[Any], order: npt.NDArray[np.intp] | None) -> npt.NDArray[Any]:
    return values if order is None else values[order]


def _rows_of(space: FeatureSpace, name: str, side: Any, subject: Subject) -> npt.NDArray[Any]:
    where = f"features {name!r}"
    values = np.asarray(space.values[side.positions(space, f"responses {subject.name!r} with {where}")])
    values = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64 if values.dtype.kind != "f" else np.float32)
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise InputError("features hold NaN or infinity", where=where, got=f"{len(bad)} of {len(values)} rows, first {side.keys[bad[0]]!r}")
    return values


def _score_subject(
    job: Job, table: Table, index: int, name: str, subject: Subject, folds: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]], targets: npt.NDArray[np.intp]
) -> None:
    scored = folds
    if job.aggregate == "pooled":
        scored = [(np.concatenate([y for y, _ in folds]), np.concatenate([p for _, p in folds]))]
    for m, metric in enumerate(job.metrics):
        score = metrics.get(metric)
        for number, (observed, predicted) in enumerate(scored):
            table.values[index, m, number, targets] = score(observed, predicted)
    if job.permutations:
        refuse_overlap(_test_table(subject), "score_layers, permutations")
        if subject.moved != SCANS:
            warn_of_slow_trials(_test_table(subject), {name: np.concatenate([p for _, p in folds])}, "score_layers, permutations")
        units = [fold.exchangeable for fold in subject.folds]
        found = permuted(
            folds, n=job.permutations, seed=job.seed, keys=(subject.name,), units=units, aggregate=job.aggregate, alike=subject.moved != SCANS
        )
        table.p[index, targets], table.r[index, targets] = found.p, found.observed
        place = [one.name for one in job.subjects].index(subject.name)
        table.tops[place] = np.maximum(table.tops[place], found.tops)
    if job.bootstrap:
        observed, predicted = (np.concatenate([pair[part] for pair in folds]) for part in (0, 1))
        for m, metric in enumerate(job.metrics):
            table.ci[:, index, m, targets] = score_interval(
                observed, predicted, _test_table(subject), metric, n=job.bootstrap, seed=job.seed, subject=subject.name,
                pooled=job.aggregate == "pooled",
            )  # fmt: skip
    if job.keep:
        whole = next(one for one in job.subjects if one.name == subject.name)
        rows = _places(subject, whole)
        for part, store, key in ((1, table.predictions.setdefault(subject.name, {}), name), (0, table.observed, subject.name)):
            if key not in store:
                n_rows = sum(len(fold.test.keys) for fold in whole.folds)
                store[key] = np.full((n_rows, subject.responses.n_targets), np.nan, dtype=np.float32)  # type: ignore[index]
            store[key][np.ix_(rows, subject.usable)] = np.concatenate([pair[part] for pair in folds])  # type: ignore[index]


def _places(subject: Subject, whole: Subject) -> npt.NDArray[np.intp]:
    """Return where the test rows of a subject, of which some may be missing, stand among those of all folds."""
    if subject is whole:
        return np.arange(sum(len(fold.test.keys) for fold in whole.folds))
    found, start = [], 0
    for mine, every in zip(subject.folds, whole.folds, strict=True):
        first = {row: unit for row, unit in zip(every.test.rows, every.test.units, strict=True)}
        found.append(start + np.array([first[row] for row in mine.test.rows[np.unique(mine.test.units, return_index=True)[1]]], dtype=np.intp))
        start += len(every.test.keys)
    return np.concatenate(found)


def _wrap(
    job: Job, table: Table, layers: Mapping[str, FeatureSpace], split: Split, ceiling: NoiseCeiling | None, status: str
) -> Scores:
    n_layers, n_metrics, n_scored, n_targets = table.values.shape
    repeat = lambda array: np.repeat(array, n_metrics, axis=0)  # noqa: E731
    seed = job.seed if split.seed is None else split.seed
    entries = pd.DataFrame(
        [{"model": s.model, "layer": s.layer, "metric": m, "seed": seed} for s in layers.values() for m in job.metrics]
    )
    p = table.p if job.permutations else None
    q = None
    if p is not None:
        q = np.full_like(p, np.nan)
        for where, tops in zip(job.columns().values(), table.tops, strict=True):
            q[:, where] = np.stack([fdr_bh(row) for row in p[:, where]])
            table.p_max[:, where] = family_p(table.r[:, where], tops)
    kept = {s.name: _test_table(s) for s in job.subjects} if job.keep else {}
    return Scores(
        values=table.values.reshape(n_layers * n_metrics, n_scored, n_targets), entries=entries, targets=_targets(job.subjects),
        spaces={s.name: s.responses.space for s in job.subjects if s.responses.space is not None}, split=split.describe(), n_test=_n_test(job),
        aggregate=job.aggregate, inner=None if np.isnan(table.inner).all() else repeat(table.inner),
        alpha=None if np.isnan(table.alpha).all() else repeat(table.alpha), ceiling=ceiling, ceiling_status=status,
        p=None if p is None else repeat(p), q=None if q is None else repeat(q), p_max=None if p is None else repeat(table.p_max),
        ci=table.ci.reshape(2, n_layers * n_metrics, n_targets) if job.bootstrap else None, predictions=table.predictions, observed=table.observed,
        test_rows=kept, provenance=provenance(job, table, layers),
    )  # fmt: skip


def _targets(subjects: list[Subject]) -> pd.DataFrame:
    tables = [s.responses.targets.drop(columns="subject", errors="ignore").assign(subject=s.name) for s in subjects]  # type: ignore[union-attr]
    return pd.concat(tables, ignore_index=True)


def _n_test(job: Job) -> npt.NDArray[np.int64]:
    of = lambda subject: np.outer([len(fold.test.keys) for fold in subject.folds], subject.usable)  # noqa: E731
    rows = np.concatenate([np.sum([of(one) for one in (s, *s.parts)], axis=0) for s in job.subjects], axis=1)
    return rows.sum(axis=0, keepdims=True) if job.aggregate == "pooled" else rows


def _test_table(subject: Subject) -> pd.DataFrame:
    parts = []
    for number, fold in enumerate(subject.folds):
        table = pd.DataFrame({"fold": number, "unit": fold.exchangeable, "n_repeats": fold.test.counts})
        first = fold.test.rows[np.unique(fold.test.units, return_index=True)[1]]
        table["row"] = first
        for column in ("stimulus_id", "run", "session"):
            if column in subject.responses.samples:
                table[column] = subject.responses.samples[column].to_numpy()[first]
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _named(given: Any, kind: Any, what: str) -> dict[str, Any]:
    items = {given.name: given} if isinstance(given, kind) else given
    if not isinstance(items, Mapping) or not items or not all(isinstance(one, kind) for one in items.values()):
        raise InputError(f"{what} cannot be scored", where="score_layers", expected=f"{kind.__name__} or {{name: {kind.__name__}}}", got=type(given).__name__)
    if kind is not FeatureSpace:
        return {str(name): one if one.name == str(name) else replace(one, name=str(name)) for name, one in items.items()}
    # a key that is the layer's own short name says nothing about the model, so the full name stays
    spaces = [one if str(name) in (one.name, one.layer) else replace(one, name=str(name)) for name, one in items.items()]
    layers = {f"{one.model}/{one.layer}": one for one in spaces}
    if len(layers) < len(spaces):
        raise InputError("two layers have the same name", where="score_layers", got=", ".join(one.name for one in spaces))
    return layers


def _check(split: Any, metric: Any, aggregate: str, average: Any, counts: dict[str, Any], seed: Any, encoder: Any) -> list[str]:
    if not isinstance(split, Split):
        expected = "brainenc.split.images(…), .runs(), .blocks(…) …"
        raise InputError("split is not a brainenc split", where="score_layers", expected=expected, got=type(split).__name__)
    one_of(aggregate, ("folds", "pooled"), "aggregate")
    one_of(average, ("auto", True, False), "average")
    for what, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 0:
            raise InputError(f"{what} is a count", where="score_layers", expected="0 or more", got=repr(count))
    check_seed(seed)
    check_encoder(encoder)
    names = [metric] if isinstance(metric, str) else list(metric)
    if not names or len(set(names)) < len(names):
        raise InputError("metrics are named once each", where="score_layers", got=repr(metric))
    for name in names:
        metrics.get(name)
    return names


def _check_folds(subjects: list[Subject], aggregate: str) -> None:
    numbers = {subject.name: len(subject.folds) for subject in subjects}
    if len(set(numbers.values())) > 1:
        raise InputError("subjects have different numbers of folds", where="score_layers", got=str(numbers), fix="score them one by one")
    for subject in subjects:
        least = least_rows(subject, aggregate)
        for fold in subject.folds:
            if len(fold.test.keys) < least or len(fold.train.keys) < 2:
                raise InputError(
                    f"a fold needs two training and {least} test rows", where=f"score_layers, {subject.name!r}",
                    got=f"{len(fold.train.keys)} training, {len(fold.test.keys)} test rows after averaging",
                    fix="score single trials: average=False (--single-trials)" if subject.averaged else None,
                )  # fmt: skip


def _beside(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _bar(total: int, progress: bool | None) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc="fits", disable=None if progress is None else not progress, leave=False)
