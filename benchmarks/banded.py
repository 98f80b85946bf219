"""Banded ridge beside himalaya's random search: the time to the same cross-validated R².

    python benchmarks/banded.py --repeat 5                        # n=1000, 4 spaces of 500 features, 5000 targets, 100 draws of the peer
    python benchmarks/banded.py --t 300 --p 100 --n 300 --peer-iter 100 --repeat 1

Both sides fit the same float32 features and targets with the same five contiguous folds and 17 penalties, half a decade apart, from 1e-6
to 1e2 of the largest eigenvalue. R² is 1 - E / E0 at each target's choice, E the held-out squared error, E0 that of the fold's training
mean, averaged over targets. Ours runs as a user would run it, to its own end. Runs of both sides take turns after a small one that warms up;
ratios are of medians, with the fastest and slowest run of each side over its median.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

import numpy as np
from _measure import clocked, use_threads

RELATIVE = np.logspace(-6, 2, 17)
FOLDS = 5


def data(n: int, p: int, k: int, t: int, n_test: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training and test features and targets: bands with decaying spectra, each target a random mixture of them, unequal noise."""
    rng = np.random.default_rng(0)
    spectrum = np.arange(1, p + 1) ** -0.5
    bands = []
    for _ in range(k):
        turn = np.linalg.qr(rng.normal(size=(p, p)))[0]
        bands.append((rng.normal(size=(n + n_test, p)) * spectrum) @ turn * np.sqrt(p / (spectrum**2).sum()))
    shares = rng.dirichlet(np.full(k, 0.5), size=t)
    Y = sum(X @ rng.normal(size=(p, t)) * np.sqrt(shares[:, i] / p) for i, X in enumerate(bands))
    Y = Y / Y.std(0) + rng.normal(size=Y.shape) * rng.uniform(0.5, 2, t)  # type: ignore[union-attr]
    X, Y = np.hstack(bands).astype(np.float32), Y.astype(np.float32)
    return X[:n], Y[:n], X[n:], Y[n:]


def ours(X: np.ndarray, Y: np.ndarray, k: int, n_iter: int) -> Any:
    """Return our fit."""
    from brainenc.encoding import BandedRidge

    return BandedRidge([X.shape[1] // k] * k, n_iter=n_iter, device="cpu").fit(X, Y)


def peer(X: np.ndarray, Y: np.ndarray, k: int, n_iter: int) -> Any:
    """Return the peer's fit, from kernels of centred features, and the mean that was taken off."""
    import torch
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import MultipleKernelRidgeCV
    from sklearn.model_selection import KFold

    set_backend("torch")
    parts = np.split(X - X.mean(0), k, axis=1)
    kernels = torch.stack([torch.from_numpy(part @ part.T) for part in parts])
    largest = float(torch.linalg.eigvalsh(kernels.mean(0))[-1])
    options = {"n_iter": n_iter, "alphas": largest * RELATIVE, "progress_bar": False, "n_targets_batch": 1000}
    model = MultipleKernelRidgeCV(kernels="precomputed", cv=KFold(FOLDS), fit_intercept=True, random_state=0, solver_params=options)
    return model.fit(kernels, torch.from_numpy(Y))


def held_out(model: Any, Y: np.ndarray) -> float:
    """Return the peer's mean cross-validated R² on our scale."""
    loss = -np.asarray(model.cv_scores_).max(0)  # the mean over folds of the mean squared error
    base = np.zeros(Y.shape[1])
    for test in np.array_split(np.arange(len(Y)), FOLDS):
        train = np.setdiff1d(np.arange(len(Y)), test)
        base += ((Y[test] - Y[train].mean(0)) ** 2).mean(0) / FOLDS
    return float((1 - loss / base).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("n", 1000), ("p", 500), ("bands", 4), ("t", 5000), ("peer-iter", 100), ("repeat", 1), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    use_threads(args.threads)
    small = data(100, 10, args.bands, 50)
    ours(*small[:2], args.bands, 10), peer(*small[:2], args.bands, 10)
    X, Y, X_test, Y_test = data(args.n, args.p, args.bands, args.t)
    mine, theirs = [], []
    for _ in range(args.repeat):
        theirs.append(clocked(lambda: peer(X, Y, args.bands, args.peer_iter)))
        mine.append(clocked(lambda: ours(X, Y, args.bands, 100)))
        print(f"himalaya {theirs[-1][0]:.1f} s, ours {mine[-1][0]:.1f} s", flush=True)
    model = mine[0][2]
    predicted = model.predict(X_test)
    r2 = (1 - ((Y_test - predicted) ** 2).sum(0) / ((Y_test - Y_test.mean(0)) ** 2).sum(0)).mean()
    wall, cpu = (median(clock[i] for clock in theirs) / median(clock[i] for clock in mine) for i in (0, 1))
    print(f"himalaya, {args.peer_iter} draws: cross-validated R² {held_out(theirs[0][2], Y):.4f}, spread {_spread(theirs)}")
    print(f"ours, {model.n_iter_} sets: {model.cv_scores_.mean():.4f} ({r2:.4f} on new rows), spread {_spread(mine)}")
    print(f"{wall:.1f} times faster on the wall, {cpu:.1f} in processor time")


def _spread(clocks: list[tuple[float, float, Any]]) -> str:
    walls = [clock[0] for clock in clocks]
    return f"{min(walls) / median(walls):.2f}-{max(walls) / median(walls):.2f}"


if __name__ == "__main__":
    main()
