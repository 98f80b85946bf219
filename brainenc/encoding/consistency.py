"""How well a model predicts neurons once the noise of the neurons and the noise of the fitted map are both taken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.encoding._fit import check_encoder
from brainenc.metrics.resample import random_halves
from brainenc.metrics.scores import pearson
from brainenc.metrics.trials import Layout, layout_of, step_up
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.persist import Saved
from brainenc.nouns.responses import Responses
from brainenc.nouns.splits import Split
from brainenc.nouns.tables import need_column, positions_of

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Predict = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
_BATCH = 64
_CHUNK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Consistency(Saved):
    """What `noise_corrected_consistency` returns.

    ``score`` (n_splits, n_targets) is the mean over the halves that have one, ``r`` the correlation with the mean response before any
    correction, ``map_reliability`` and ``data_reliability`` the stepped-up correlations of the half maps' predictions and of the half
    means (means over halves), ``n_used`` how many of the ``n_halves`` entered; the others were dropped as NaN.
    """

    score: Floats
    r: Floats
    map_reliability: Floats
    data_reliability: Floats
    n_used: npt.NDArray[np.int64]
    n_halves: int
    targets: pd.DataFrame
    split: str
    encoder: str
    seed: int

    def per_target(self) -> Floats:
        """Return the mean over the splits in which a target has a score (n_targets,); NaN where it has none."""
        return _known_mean(self.score)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a target: its columns, score, r, map_reliability, data_reliability (means over splits), n_used, n_dropped (halves)."""
        means = {name: _known_mean(getattr(self, name)) for name in ("score", "r", "map_reliability", "data_reliability")}
        used = self.n_used.sum(axis=0)
        return self.targets.assign(**means, n_used=used, n_dropped=self.n_halves * len(self.score) - used)

    def by(self, column: str | None = None) -> pd.DataFrame:
        """Return the median and the standard error over targets, of all or of each value of a column: score, sem, r, n_targets, n_nan, n_dropped."""
        table = self.to_frame()
        groups = [("all", table)] if column is None else [(key, part) for key, part in table.groupby(column, sort=False, dropna=False)]
        rows = []
        for key, part in groups:
            known = part["score"].dropna()
            row = {"targets" if column is None else column: key, "score": known.median(), "sem": known.sem(), "r": part["r"].median()}
            rows.append(row | {"n_targets": len(part), "n_nan": len(part) - len(known), "n_dropped": int(part["n_dropped"].sum())})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        value = np.nanmedian(self.per_target()) if np.isfinite(self.per_target()).any() else np.nan
        return f"Consistency({self.score.shape[1]} targets, median {value:.3f}, {len(self.score)} splits × {self.n_halves} halves, {self.split})"


def noise_corrected_consistency(
    features: FeatureSpace | Responses,
    responses: Responses,
    *,
    split: Split,
    n_halves: int = 100,
    encoder: Any = None,
    halve_by: str = "stimulus_id",
    seed: int = 0,
    memory: str | int | float | None = None,
    device: str = "auto",
    progress: bool | None = None,
) -> Consistency:
    """Score predictions of held-out stimuli, corrected for the noise of the responses and for that of the fitted map.

    score_v = r(M(x), ȳ) / √(SB(r(M_1(x), M_2(x))) · SB(r(y_1, y_2))) on the test stimuli, with maps M, M_1, M_2 fitted on the training
    stimuli to the means of all trials and of two random halves, SB(r) = k r / (1 + (k − 1) r). A ceiling from repeats corrects for
    noise in the test responses only; a map fitted to noisy responses is noisy too, so that even the model that made the data stays
    below that ceiling.

    Parameters
    ----------
    features : FeatureSpace or Responses
        Features of the stimuli; or the trials of another animal (inter-animal consistency), whose halves then also give the x of M_1
        and M_2. Other stimuli than those of ``responses`` are left aside.
    responses : Responses
        Single trials, two or more of every stimulus. Targets with NaN score NaN.
    split : Split
        Which stimuli (rows of the table of stimuli) train and test, e.g. ``brainenc.split.images(test=0.2, seed=0, n=5)``.
    n_halves : int
        Random halvings in each split.
    encoder : estimator, optional
        `Ridge` by default: a penalty per target, chosen in each split on the mean training responses and kept for M_1 and M_2. With
        `Ridge` and features, one decomposition a split serves all halves and targets; any other regressor is cloned and fitted
        2 n_halves + 1 times.
    halve_by : str
        Trials that agree in this column of the samples and in ``repeat`` go into the same half, for instance the time bins of a trial.
        By default every trial stands alone.
    seed : int
    memory : str, int or float, optional
        Working memory of each batch of halves, e.g. ``"4GB"``.
    device : str
    progress : bool, optional
        Show a progress bar; by default in a terminal only.

    Returns
    -------
    Consistency

    Raises
    ------
    InputError
        For time series, averaged responses, stimuli with a single trial, and stimuli without features.

    Notes
    -----
    After Nayebi et al. 2023 (Neural foundations of mental simulation), from their published utility: halves in which a reliability is
    below zero have no score and are dropped, and counted. Our choices: the utility keeps halves in which both are negative; k is the
    ratio of repeats of all trials to those of a half (two for even numbers, as there; an odd trial is left out of both halves); each
    stimulus is halved by itself.

    Examples
    --------
    >>> import numpy as np, brainenc as be
    >>> rng = np.random.default_rng(0)
    >>> x, ids = rng.standard_normal((120, 6)), [f"s{i}" for i in range(120)]
    >>> trials = np.tile(x @ rng.standard_normal((6, 4)), (4, 1)) + 4 * rng.standard_normal((480, 4))
    >>> brain = be.Responses(trials, {"stimulus_id": ids * 4})
    >>> layer = be.FeatureSpace(x, {"stimulus_id": ids})
    >>> found = be.encoding.noise_corrected_consistency(layer, brain, split=be.split.images(test=0.3, seed=0, n=5), n_halves=50)
    >>> bool(abs(np.median(found.per_target()) - 1) < 0.15), bool(np.median(found.r) < 0.8)
    (True, True)
    """
    from tqdm import tqdm

    check_encoder(encoder)
    if isinstance(n_halves, bool) or not isinstance(n_halves, int | np.integer) or n_halves < 1:
        raise InputError("n_halves is a number of draws", where="noise_corrected_consistency", expected="an integer of at least 1", got=repr(n_halves))
    layout, halving = _halving(responses, halve_by, seed, "responses")
    source = _source(features, layout, seed)
    usable = np.isfinite(np.asarray(responses.values)).all(axis=0)
    values = np.asarray(responses.values[:, usable], dtype=np.float64)
    means = layout.averages() @ values
    folds = list(split.split(responses.average("stimulus_id").samples))
    parts: list[list[Floats]] = []
    with tqdm(total=len(folds) * n_halves, desc="halves", disable=None if progress is None else not progress, leave=False) as bar:
        for train, test in folds if usable.any() else []:
            job = _Job(layout, halving, source, train, test, encoder, n_halves, memory, device)
            parts.append(_score_split(job, values, means, bar))
    score, r, maps, data, used = (np.full((len(folds), responses.n_targets), fill) for fill in (np.nan, np.nan, np.nan, np.nan, 0.0))
    for number, found in enumerate(parts):
        for store, one in zip((score, r, maps, data, used), found, strict=True):
            store[number, usable] = one
    name = "Ridge" if encoder is None else repr(encoder)[:200]
    targets = responses.targets.drop(columns="subject", errors="ignore").assign(subject=responses.name)
    return Consistency(score, r, maps, data, used.astype(np.int64), n_halves, targets, split.describe(), name, seed)


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """What predicts: features of the stimuli (n_stimuli, p), or the trials of another animal with their halves."""

    means: npt.NDArray[Any]
    halves: Callable[[int], Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    layout: Layout
    halving: Callable[[int], Iterator[npt.NDArray[np.int8]]]
    source: _Source
    train: Index
    test: Index
    encoder: Any
    n_halves: int
    memory: str | int | float | None
    device: str

    def factor(self, rows: Index) -> float:
        """Return the Spearman-Brown factor from the halves of these stimuli to all their trials."""
        counts = self.layout.counts[rows]
        return float(np.mean(1.0 / (counts // 2)) / np.mean(1.0 / counts))


def _score_split(job: _Job, values: Floats, means: Floats, bar: Any) -> list[Floats]:
    """Return score, r, the two reliabilities and the number of halves used, each (n_targets,)."""
    X, X_test = job.source.means[job.train], job.source.means[job.test]
    predicted, fit = _full_map(job, X, X_test, means[job.train])
    r = pearson(means[job.test], predicted)
    n_targets = values.shape[1]
    sums = [np.zeros(n_targets) for _ in range(3)]
    n_used, n_known = np.zeros(n_targets), np.zeros((2, n_targets))
    width = _CHUNK if _is_ridge(job.encoder) else n_targets  # other encoders may let targets share something
    for cols in [slice(i, min(i + width, n_targets)) for i in range(0, n_targets, width)]:
        for maps, data in _reliabilities(job, values[:, cols], cols, fit):
            with np.errstate(invalid="ignore", divide="ignore"):
                scores = r[cols] / np.sqrt(np.where((maps > 0) & (data > 0), maps * data, np.nan))
            n_used[cols] += np.isfinite(scores).sum(axis=0)
            for store, one in zip(sums, (scores, maps, data), strict=True):
                store[cols] += np.nansum(np.where(np.isfinite(one), one, np.nan), axis=0)
            n_known[:, cols] += [np.isfinite(one).sum(axis=0) for one in (maps, data)]
            bar.update(len(scores) if cols.start == 0 else 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return [sums[0] / n_used, r, sums[1] / n_known[0], sums[2] / n_known[1], n_used]


def _reliabilities(job: _Job, values: Floats, cols: slice, fit: Callable[..., Predict]) -> Iterator[tuple[Floats, Floats]]:
    """Yield the stepped-up reliabilities of maps and of data, each (n_halves of a batch, n_targets)."""
    k_map, k_data = job.factor(job.train), job.factor(job.test)
    size, values = _batch(job, values.shape[1]), np.ascontiguousarray(values)
    halves, sources = job.halving(job.n_halves), None if job.source.halves is None else job.source.halves(job.n_halves)
    both = fit(job.source.means[job.train], job.source.means[job.test], cols) if sources is None else None
    for start in range(0, job.n_halves, size):
        n = min(size, job.n_halves - start)
        sides = [next(halves) for _ in range(n)]
        means = [np.stack([job.layout.averages(one == side) @ values for one in sides], axis=1) for side in (0, 1)]  # (n_stimuli, n, n_targets)
        if both is not None:
            maps = [both(one[job.train]) for one in means]
        else:
            assert sources is not None
            pairs = [next(sources) for _ in range(n)]
            maps = [
                np.concatenate([fit(x[side][job.train], x[side][job.test], cols)(one[job.train][:, [i]]) for i, x in enumerate(pairs)], axis=1)
                for side, one in enumerate(means)
            ]  # fmt: skip
        flat = [one.reshape(len(one), -1) for one in (*maps, means[0][job.test], means[1][job.test])]
        found = pearson(flat[0], flat[1]), pearson(flat[2], flat[3])
        yield step_up(found[0].reshape(n, -1), k_map), step_up(found[1].reshape(n, -1), k_data)


def _full_map(job: _Job, X: npt.NDArray[Any], X_test: npt.NDArray[Any], Y: Floats) -> tuple[npt.NDArray[Any], Callable[..., Predict]]:
    """Return predictions of the map fitted to all trials, and the function that gives the maps of halves: (X, X_test, columns) -> Predict."""
    counts = job.layout.counts[job.train].astype(np.float64)
    weights = None if np.ptp(counts) == 0 else counts
    if not _is_ridge(job.encoder):
        fit = lambda x, x_test, cols: _any_map(job.encoder, x, x_test, weights)  # noqa: E731
        return fit(X, X_test, slice(None))(Y[:, None])[:, 0], fit
    from brainenc.encoding.ridge import Ridge, fit_path

    params = (Ridge(cv="loo") if job.encoder is None else job.encoder).get_params(deep=False)
    params["device"] = job.device if params["device"] == "auto" else params["device"]
    path = fit_path(X, Y, X_test, sample_weight=weights, **(params | {"memory": params["memory"] or job.memory}))
    assert path.predictions is not None
    options = {"sample_weight": weights, "fit_intercept": params["fit_intercept"], "device": params["device"]}
    return path.predictions, lambda x, x_test, cols: _ridge_map(x, x_test, path.alpha[cols], options)


def _is_ridge(encoder: Any) -> bool:
    from brainenc.encoding.ridge import Ridge

    return encoder is None or type(encoder) is Ridge


def _ridge_map(X: npt.NDArray[Any], X_test: npt.NDArray[Any], alpha: Floats, options: dict[str, Any]) -> Predict:
    from brainenc.linalg.device import to_numpy, to_tensor, working_dtype
    from brainenc.linalg.smoothers import ridge_smoothers

    used, which = np.unique(alpha, return_inverse=True)
    smoothers = ridge_smoothers(X, X_test, used, **options)

    def predict(Y: npt.NDArray[Any]) -> npt.NDArray[Any]:
        out = np.empty((len(X_test), *Y.shape[1:]), dtype=working_dtype(X))
        for number, smoother in enumerate(smoothers):
            part = Y[:, :, which == number] if len(used) > 1 else Y
            flat = to_tensor(part.reshape(len(part), -1), working_dtype(X), smoother.device)
            out[:, :, which == number] = to_numpy(smoother @ flat).reshape(len(X_test), *part.shape[1:])
        return out

    return predict


def _any_map(encoder: Any, X: npt.NDArray[Any], X_test: npt.NDArray[Any], weights: Floats | None) -> Predict:
    import inspect

    from sklearn.base import clone

    def predict(Y: npt.NDArray[Any]) -> npt.NDArray[Any]:
        out = []
        for half in range(Y.shape[1]):
            model, y = clone(encoder), Y[:, half]
            extra = {"sample_weight": weights} if weights is not None and "sample_weight" in inspect.signature(model.fit).parameters else {}
            model.fit(X, y[:, 0] if y.shape[1] == 1 else y, **extra)
            out.append(np.asarray(model.predict(X_test)).reshape(len(X_test), -1))
        return np.stack(out, axis=1)

    return predict


def _halving(
    responses: Responses, by: str, seed: int, key: str, where: str = "noise_corrected_consistency"
) -> tuple[Layout, Callable[[int], Iterator[npt.NDArray[np.int8]]]]:
    """Return the layout of the trials and the function that yields halves of them."""
    layout = layout_of(responses)
    if layout.counts.min() < 2:
        n_single = int((layout.counts < 2).sum())
        raise InputError("stimuli with a single trial cannot be halved", where=where, expected="two trials of each", got=f"{n_single} of {len(layout.counts)}")
    if by == "stimulus_id":
        return layout, lambda n: random_halves(layout.codes, n, seed, key)
    samples = responses.samples
    pairs = pd.DataFrame({"group": need_column(samples, by, where), "repeat": need_column(samples, "repeat", where)})
    trial = pairs.groupby(["group", "repeat"], sort=False, dropna=False).ngroup().to_numpy()
    groups = pd.factorize(pairs["group"].to_numpy()[np.unique(trial, return_index=True)[1]])[0]
    per_group = np.bincount(groups)[groups][trial]
    if (layout.counts[layout.codes] != per_group).any() or pd.DataFrame({"s": layout.codes, "t": trial}).duplicated().any():
        raise InputError("stimuli miss some of the repeats of their group", where=where, expected=f"each repeat of a {by} once in each of its stimuli")
    return layout, lambda n: (halves[trial] for halves in random_halves(groups, n, seed, key))


def _source(features: FeatureSpace | Responses, layout: Layout, seed: int) -> _Source:
    ids = list(dict.fromkeys(layout.samples["stimulus_id"]))
    where = "noise_corrected_consistency"
    if isinstance(features, FeatureSpace):
        if features.rows != "stimulus":
            raise InputError("features have one row per sample", where=where, expected="one row a stimulus", got=repr(features))
        rows = positions_of(ids, list(features.samples["stimulus_id"]), "stimulus_ids of the responses", where)
        return _Source(_finite(np.asarray(features.values[rows]), where), None)
    if not isinstance(features, Responses):
        raise InputError("nothing to predict from", where=where, expected="FeatureSpace or Responses", got=type(features).__name__)
    other, halving = _halving(features, "stimulus_id", seed, "source")
    rows = positions_of(ids, list(dict.fromkeys(features.samples["stimulus_id"])), "stimulus_ids of the responses", where)
    values = _finite(np.asarray(features.values, dtype=np.float64), where)

    def halves(n: int) -> Iterator[tuple[Floats, Floats]]:
        for sides in halving(n):
            yield (other.averages(sides == 0) @ values)[rows], (other.averages(sides == 1) @ values)[rows]

    return _Source((other.averages() @ values)[rows], halves)


def _batch(job: _Job, n_targets: int) -> int:
    """Return how many halves fit the memory at once."""
    from brainenc.linalg import plan_chunks

    n, n_test = len(job.layout.counts), len(job.test)
    fixed = 8 * (n_targets * len(job.layout.codes) + 17 * n_test * len(job.train) + 3 * len(job.train) ** 2)
    return plan_chunks(job.memory, job.n_halves, fixed=fixed, per_column=8 * n_targets * (6 * n + 10 * n_test), smallest=1, preferred=1, largest=_BATCH).chunk


def _finite(values: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    if not np.isfinite(values).all():
        raise InputError("features hold NaN or infinity", where=where, got=f"{int((~np.isfinite(values)).any(axis=1).sum())} of {len(values)} rows")
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)


def _known_mean(values: Floats) -> Floats:
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
