"""The cases of `electrophysiology.py`: what is fitted and scored, by us and by the peer, to the same float32 arrays."""

from __future__ import annotations

from typing import NamedTuple

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


class Series(NamedTuple):
    """Features (n_epochs, n_times, n_features) and channels of long epochs at 128 Hz, how many delays, and penalties."""

    X: np.ndarray
    Y: np.ndarray
    n_delays: int
    alphas: np.ndarray


RATE, MEMORY = 128.0, "1GB"


def listening(n_times: int, p: int, t: int, n_delays: int) -> Series:
    """Epochs of features that change slowly, as those of sounds do, smooth fields, and noise that is smooth in time."""
    from scipy.ndimage import gaussian_filter1d

    rng = np.random.default_rng(0)
    fields = gaussian_filter1d(rng.normal(size=(n_delays, p, t)), n_delays / 16, axis=0).astype(np.float32)
    X = gaussian_filter1d(rng.normal(size=(FOLDS, n_times, p)), 2, axis=1).astype(np.float32)
    X = (X - X.mean((0, 1))) / X.std((0, 1))
    Y = (3 * gaussian_filter1d(rng.normal(size=(FOLDS, n_times, t)), 1, axis=1)).astype(np.float32)
    for delay, field in enumerate(fields):
        Y[:, delay:] += X[:, : n_times - delay] @ (field / np.float32(np.sqrt(n_delays * p)))
    return Series(X, (Y - Y.mean((0, 1))) / Y.std((0, 1)), n_delays, np.logspace(-5, 0, 10) * 4 * n_times * p)


def our_fields(data: Series) -> np.ndarray:
    """Return our held-out correlations (n_alphas, n_folds, n_targets) of one fit, which also holds the fields at the best penalties."""
    from sklearn.model_selection import LeaveOneGroupOut

    from brainenc.encoding import ReceptiveField

    n_epochs, n_times, p = data.X.shape
    lags, epoch = np.arange(data.n_delays) / RATE, np.repeat(np.arange(n_epochs), n_times)
    options = {"alphas": data.alphas, "cv": LeaveOneGroupOut(), "fit_intercept": False, "memory": MEMORY, "device": "cpu"}  # data have mean 0
    model = ReceptiveField(lags, step=1 / RATE, **options)
    return np.asarray(model.fit(data.X.reshape(-1, p), data.Y.reshape(len(epoch), -1), groups=epoch).fold_r_[0])


def refitted_fields(data: Series, n_fits: int) -> np.ndarray:
    """Return the peer's, fitted anew for every penalty and fold, of which it is given the last ``n_fits``; NaN elsewhere."""
    import mne
    from mne.decoding import TimeDelayingRidge

    mne.set_log_level("error")
    out = np.full((len(data.alphas), len(data.X), data.Y.shape[2]), np.nan)
    X, Y = data.X.swapaxes(0, 1), data.Y.swapaxes(0, 1)
    for fold, i in [(fold, i) for fold in range(len(data.X)) for i in range(len(data.alphas))][-n_fits:]:
        train = np.delete(np.arange(len(data.X)), fold)
        last = (data.n_delays - 1) / RATE
        model = TimeDelayingRidge(0.0, last, RATE, alpha=data.alphas[i], fit_intercept=False)
        out[i, fold] = correlations(data.Y[fold], model.fit(X[:, train], Y[:, train]).predict(data.X[fold]))
    return out


@case
def receptive_fields(size: str) -> Case:
    """30 minutes at 128 Hz in five epochs, 32 features, 64 delays, 64 channels, 10 penalties × 5 folds; mne refitted, given 2 of the 50 fits."""
    n_times, p, t, n_delays, n_fits = at(size, (200, 2, 3, 6, 50), (4000, 8, 16, 24, 10), (46_080, 32, N_CHANNELS, 64, 2))
    data = listening(n_times, p, t, n_delays)
    n, m, total = FOLDS * n_times, p * n_delays, len(data.alphas) * FOLDS

    def difference(mine: np.ndarray, other: np.ndarray) -> float:
        return float(np.nanmax(np.abs(mine - other)))

    def remarks(mine: np.ndarray, other: np.ndarray | None) -> str:
        return f"best mean r {mine.mean(axis=(1, 2)).max():.4f}, memory={MEMORY}"

    # products of one delay and the targets with all delays, and for each fit a Cholesky decomposition, two solutions and C times weights
    flops = 2.0 * n * m * (p + t) + total * (m**3 / 3 + 4.0 * m * m * t)
    return Case(lambda: our_fields(data), lambda: refitted_fields(data, n_fits), difference, "mne", flops, "float64", n_fits / total, remarks)
