"""The cases of `electrophysiology.py`: what is fitted and scored, by us and by the peer, to the same float32 arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from _frame import Case, Cases, at

CASES = Cases()
case = CASES.add
FOLDS, N_ALPHAS, N_CHANNELS = 5, 20, 64


class Trials(NamedTuple):
    """Features of a trial, evoked responses (n_trials, n_channels, n_times), and penalties from 1e-5 to 1e2 of the largest eigenvalue."""

    X: np.ndarray
    Y: np.ndarray
    alphas: np.ndarray


class Scored(NamedTuple):
    """Held-out correlations and chosen penalties, (n_folds, n_targets)."""

    r: np.ndarray
    alpha: np.ndarray


def evoked(n: int, p: int, n_channels: int, n_times: int) -> Trials:
    """Trials whose responses follow features of decaying variance, more or less so from moment to moment, in noise that is smooth in time."""
    from scipy.ndimage import gaussian_filter1d

    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, p)) * np.arange(1, p + 1) ** -0.5).astype(np.float32)
    course = np.hanning(n_times)[None] * rng.uniform(0.2, 2, (n_channels, 1))
    Y = np.empty((n, n_channels, n_times), dtype=np.float32)
    for channel in range(n_channels):
        weights = gaussian_filter1d(rng.normal(size=(p, n_times)), n_times / 40, axis=1)
        noise = gaussian_filter1d(rng.normal(size=(n, n_times)), n_times / 100, axis=1)
        Y[:, channel] = X @ (weights / weights.std()) * course[channel] + noise / noise.std()
    return Trials(X, Y, np.logspace(-5, 2, N_ALPHAS) * np.linalg.norm(X - X.mean(0), 2) ** 2)


def correlations(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return Pearson's r of each target, in float64."""
    a, b = (Z - Z.mean(0) for Z in (observed.astype(np.float64), predicted.astype(np.float64)))
    return np.asarray((a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))


def our_scores(data: Trials) -> Scored:
    """Return ours: one call of the public verb for all sensors and moments, a penalty each by leave-one-out within the training trials."""
    import brainenc as be

    ids = [f"image{i:05d}" for i in range(len(data.X))]
    layer = be.FeatureSpace(data.X, {"stimulus_id": ids}, name="toy/layer")
    brain = be.Responses(data.Y.reshape(len(ids), -1), {"stimulus_id": ids}, name="01")
    encoder = be.encoding.Ridge(data.alphas, cv="loo", device="cpu")
    scores = be.score_layers(layer, brain, split=be.split.kfold(FOLDS), encoder=encoder, ceiling=None, device="cpu", progress=False)
    return Scored(scores.values[0], scores.alpha[0])


def all_targets(data: Trials) -> Scored:
    """Return the peer's, all targets in one multi-output fit a fold."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold

    Y = data.Y.reshape(len(data.Y), -1)
    r, alpha = [], []
    for train, test in KFold(FOLDS).split(data.X):
        model = RidgeCV(data.alphas, alpha_per_target=True).fit(data.X[train], Y[train])
        r.append(correlations(Y[test], model.predict(data.X[test])))
        alpha.append(model.alpha_)
    return Scored(np.array(r), np.array(alpha))


def moment_by_moment(data: Trials, every: int) -> Scored:
    """Return the peer's as it is mostly written: a fit for each moment and fold, here of every so many moments."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold

    r, alpha = [], []
    for moment in range(0, data.Y.shape[2], every):
        Y = data.Y[:, :, moment]
        for train, test in KFold(FOLDS).split(data.X):
            model = RidgeCV(data.alphas, alpha_per_target=True).fit(data.X[train], Y[train])
            r.append(correlations(Y[test], model.predict(data.X[test])))
            alpha.append(model.alpha_)
    shape = (-1, FOLDS, data.Y.shape[1])
    return Scored(*(np.array(one).reshape(shape).transpose(1, 2, 0).reshape(FOLDS, -1) for one in (r, alpha)))


def _sampled(mine: Scored, n_times: int, every: int) -> Scored:
    """Return ours at every so many moments."""
    return Scored(*(one.reshape(FOLDS, -1, n_times)[..., ::every].reshape(FOLDS, -1) for one in mine))


def _agreement(mine: Scored, other: Scored, alphas: np.ndarray) -> str:
    steps = np.abs(np.log(mine.alpha / other.alpha)) / np.log(alphas[1] / alphas[0])
    return f"same penalty {np.mean(steps < 0.5):.1%}, within a step {np.mean(steps < 1.5):.1%}, mean r {mine.r.mean():.4f} and {other.r.mean():.4f}"


def _moments(size: str, every: int) -> Case:
    data = evoked(*at(size, (50, 20, 4, 10), (200, 128, 16, 50), (400, 512, N_CHANNELS, 200)))
    n_times, (n, p), t = data.Y.shape[2], data.X.shape, data.Y[0].size
    loop = every > 0

    def peer() -> Scored:
        return moment_by_moment(data, every) if loop else all_targets(data)

    def same(mine: Scored, other: Scored) -> tuple[Scored, Scored]:
        return (_sampled(mine, n_times, every) if loop else mine), other

    def difference(mine: Scored, other: Scored) -> float:
        a, b = same(mine, other)
        return float(np.abs(a.r - b.r)[np.isclose(a.alpha, b.alpha)].max())

    def remarks(mine: Scored, other: Scored | None) -> str:
        return "" if other is None else _agreement(*same(mine, other), data.alphas)

    m = n * (FOLDS - 1) // FOLDS
    flops = FOLDS * 2.0 * t * (m * min(m, p) + (n - m) * min(m, p))  # projection of the targets, predictions; leave-one-out adds to it
    share = len(range(0, n_times, every)) / n_times if loop else 1.0
    return Case(lambda: our_scores(data), peer, difference, "scikit-learn", flops, "float32", share, remarks)


@case
def moments_at_once(size: str) -> Case:
    """400 trials, 512 features, 64 channels × 200 times, 20 penalties, 5 folds; scikit-learn's RidgeCV on all targets at once."""
    return _moments(size, 0)


@case
def moments_in_a_loop(size: str) -> Case:
    """The same beside a loop over times, of which the peer is given one in ten."""
    return _moments(size, at(size, 2, 5, 10))
