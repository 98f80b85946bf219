"""The cases of `encoding.py`: what is fitted, by us and by the peer, to the same float32 arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from _frame import Case, Cases, at
from _measure import clocked

CASES = Cases()
case = CASES.add
FOLDS, N_ALPHAS, N_NEW = 5, 20, 300
N_NODES = 11  # penalties whose residuals give those of all 20 (brainenc/linalg/ridge_folds.py)


class Data(NamedTuple):
    """Training rows, new rows, and penalties from 1e-5 to 1e2 times the largest eigenvalue."""

    X: np.ndarray
    Y: np.ndarray
    X_new: np.ndarray
    Y_new: np.ndarray
    alphas: np.ndarray


def planted(n: int, p: int, t: int) -> Data:
    """Features with a decaying spectrum, as those of networks have, and targets with unequal noise."""
    rng = np.random.default_rng(0)
    scale = np.arange(1, p + 1) ** -0.5
    X = (rng.normal(size=(n + N_NEW, p)) * scale).astype(np.float32)
    W = rng.normal(size=(p, t), scale=1 / np.sqrt((scale**2).sum())).astype(np.float32)
    Y = X @ W
    for cols in np.array_split(np.arange(t), max(1, t // 5000)):
        Y[:, cols] += rng.normal(size=(len(Y), len(cols))).astype(np.float32) * rng.uniform(0.5, 4, len(cols)).astype(np.float32)
    alphas = np.logspace(-5, 2, N_ALPHAS) * np.linalg.norm(X[:n] - X[:n].mean(0), 2) ** 2
    return Data(X[:n], Y[:n], X[n:], Y[n:], alphas)


def ours(data: Data, **options: Any) -> Any:
    """Return our fit."""
    from brainenc.encoding import Ridge

    return Ridge(data.alphas, device="cpu", **{"cv": FOLDS, **options}).fit(data.X, data.Y)


def himalaya(data: Data, *, kernel: bool) -> Any:
    """Return the peer's fit, along one of its paths."""
    from himalaya.backend import set_backend
    from himalaya.kernel_ridge import KernelRidgeCV
    from himalaya.ridge import RidgeCV
    from sklearn.model_selection import KFold

    set_backend("torch")
    return (KernelRidgeCV if kernel else RidgeCV)(alphas=data.alphas, cv=KFold(FOLDS), fit_intercept=True).fit(data.X, data.Y)


def correlation(model: Any, data: Data) -> float:
    """Return the mean correlation of predictions and responses over targets, in new rows."""
    predicted, observed = (Z - Z.mean(0) for Z in (np.asarray(model.predict(data.X_new), dtype=np.float64), data.Y_new))
    return float(np.nanmean((predicted * observed).sum(0) / np.sqrt((predicted**2).sum(0) * (observed**2).sum(0))))


def compared(data: Data) -> Any:
    """Return the remarks of a case: agreement of penalties, difference of held-out scores."""

    def remarks(mine: Any, other: Any) -> str:
        if other is None:
            return ""
        chosen = np.asarray(other.best_alphas_ if hasattr(other, "best_alphas_") else other.alpha_)
        steps = np.abs(np.log(mine.alpha_ / chosen)) / np.log(data.alphas[1] / data.alphas[0])
        tried = f", {mine.n_tried_.mean():.1f} penalties tried" if mine.search_.startswith("hybrid") else ""
        return f"within a step {np.mean(steps < 1.5):.1%}, score {correlation(mine, data) - correlation(other, data):+.4f}{tried}"

    return remarks


def floor(data: Data, evaluated: float = N_NODES, folds: int = FOLDS) -> float:
    """Operations of the products of a fit by folds: Gram, projection, held-out predictions of the penalties that are evaluated, weights."""
    (n, p), t = data.X.shape, data.Y.shape[1]
    m, held = min(n, p), n // max(folds, 1)
    rank = min(m, n - held if folds else n)
    project = folds * 2.0 * rank * min(m, n - held) * t + (4.0 * n * p * t if p <= n else 2.0 * m * m * t)
    return 2.0 * n * p * m + project + folds * 2.0 * evaluated * min(held, rank) * rank * t + 2.0 * m * m * t


def _path(size: str, shape: tuple[int, int], *, kernel: bool, evaluated: float = N_NODES, folds: int = FOLDS, **options: Any) -> Case:
    data = planted(*at(size, (60, 30, 80), (300, 300, 1000), (*shape, 5000)))
    flops = floor(data, evaluated, folds)
    return Case(lambda: ours(data, **options), lambda: himalaya(data, kernel=kernel), against="himalaya", flops=flops, dtype="float32", remarks=compared(data))


@case
def folds_2000x800(size: str) -> Case:
    """Five folds, every penalty: 2000 rows, 800 features, 5000 targets, 20 penalties; the peer's primal path."""
    return _path(size, (2000, 800), kernel=False)


@case
def folds_2000x800_kernel(size: str) -> Case:
    """The same beside the peer's kernel path."""
    return _path(size, (2000, 800), kernel=True)


@case
def hybrid_2000x800(size: str) -> Case:
    """The same by a scan whose neighbours are verified by folds; the peer's primal path."""
    return _path(size, (2000, 800), kernel=False, evaluated=3.5, search="hybrid")


@case
def folds_1000x2000(size: str) -> Case:
    """Five folds, every penalty: 1000 rows, 2000 features, 5000 targets, 20 penalties; the peer's kernel path."""
    return _path(size, (1000, 2000), kernel=True)


@case
def folds_1000x2000_primal(size: str) -> Case:
    """The same beside the peer's primal path."""
    return _path(size, (1000, 2000), kernel=False)


@case
def hybrid_1000x2000(size: str) -> Case:
    """The same by a scan whose neighbours are verified by folds; the peer's kernel path."""
    return _path(size, (1000, 2000), kernel=True, evaluated=3.5, search="hybrid")


@case
def gcv_1000x2000(size: str) -> Case:
    """Generalised cross-validation beside the peer's kernel path by folds: another criterion, whose agreement is reported."""
    return _path(size, (1000, 2000), kernel=True, folds=0, cv="gcv")


@case
def loo_1000x2000(size: str) -> Case:
    """Exact leave-one-out beside scikit-learn's, a penalty per target."""
    data = planted(*at(size, (60, 30, 80), (300, 300, 1000), (1000, 2000, 5000)))

    def peer() -> Any:
        from sklearn.linear_model import RidgeCV

        return RidgeCV(data.alphas, alpha_per_target=True).fit(data.X, data.Y)

    return Case(lambda: ours(data, cv="loo"), peer, against="scikit-learn", flops=floor(data, 0, 0), dtype="float32", remarks=compared(data))


def _responses(data: Data, widths: list[int], ids: list[str]) -> dict[str, Any]:
    import brainenc as be

    ends = np.cumsum([0, *widths])
    Y = np.vstack([data.Y, data.Y_new])
    return {f"region{i:02d}": be.Responses(Y[:, a:b], {"stimulus_id": ids}, name=f"region{i:02d}") for i, (a, b) in enumerate(zip(ends[:-1], ends[1:]))}


def _stimuli(data: Data) -> tuple[Any, Any, list[str]]:
    """Return one layer, the split into the training and the new rows, and the names of the stimuli."""
    import pandas as pd

    import brainenc as be

    ids = [f"image{i:05d}" for i in range(len(data.X) + len(data.X_new))]
    table = pd.DataFrame({"stimulus_id": ids})
    return be.FeatureSpace(np.vstack([data.X, data.X_new]), table, name="toy/layer"), be.split.images(test=N_NEW / len(ids), seed=0), ids


@case
def sixteen_regions(size: str) -> Case:
    """16 regions of 300 targets on the same 1000 images and 3000 features, scored together and one by one."""
    import brainenc as be

    data = planted(*at(size, (60, 30, 160), (300, 300, 1600), (1000, 3000, 4800)))
    layer, split, ids = _stimuli(data)
    regions = _responses(data, [data.Y.shape[1] // 16] * 16, ids)

    def score(people: Any) -> Any:
        return be.score_layers(layer, people, split=split, encoder=be.encoding.Ridge(data.alphas, cv=FOLDS, device="cpu")).values[0, 0]

    def apart() -> Any:
        return np.concatenate([score({name: brain}) for name, brain in regions.items()])

    return Case(lambda: score(regions), apart, lambda a, b: float(np.abs(a - b).max()), against="ourselves", dtype="float32", flops=floor(data))


def _subjects(size: str, **options: Any) -> Case:
    data = planted(*at(size, (60, 30, 160), (300, 300, 1600), (1000, 2000, 40_000)))
    parts = [data._replace(Y=Y, Y_new=Y_new) for Y, Y_new in zip(np.split(data.Y, 8, axis=1), np.split(data.Y_new, 8, axis=1), strict=True)]

    def remarks(mine: Any, other: Any) -> str:
        if other is None:
            return ""
        chosen = np.concatenate([np.asarray(one.best_alphas_) for one in other])
        steps = np.abs(np.log(mine.alpha_ / chosen)) / np.log(data.alphas[1] / data.alphas[0])
        score = np.mean([correlation(one, part) for one, part in zip(other, parts, strict=True)])
        return f"within a step {np.mean(steps < 1.5):.1%}, score {correlation(mine, data) - score:+.4f}"

    def peer() -> Any:
        return [himalaya(part, kernel=True) for part in parts]

    evaluated = 3.5 if options else N_NODES
    return Case(lambda: ours(data, **options), peer, against="himalaya", flops=floor(data, evaluated), dtype="float32", remarks=remarks)


@case
def eight_subjects(size: str) -> Case:
    """8 subjects of 5000 targets on the same 1000 images and 2000 features, side by side; the peer's kernel path subject by subject."""
    return _subjects(size)


@case
def eight_subjects_hybrid(size: str) -> Case:
    """The same by a scan whose neighbours are verified by folds."""
    return _subjects(size, search="hybrid")


@case
def linear_in_targets(size: str) -> Case:
    """Two decades of targets, 500 rows and 200 features: remarks give the cost of one target relative to the fewest."""
    data = planted(*at(size, (60, 30, 400), (200, 100, 10_000), (500, 200, 200_000)))
    t = data.Y.shape[1]

    def remarks(mine: Any, other: Any) -> str:
        cost = {n: np.median([clocked(lambda n=n: ours(data._replace(Y=data.Y[:, :n])))[1] for _ in range(3)]) / n for n in (t // 100, t // 10, t)}
        return "processor time per target: " + ", ".join(f"{n} targets {one / cost[t // 100]:.2f}" for n, one in cost.items())

    return Case(lambda: ours(data), against="none", flops=floor(data), dtype="float32", remarks=remarks)
