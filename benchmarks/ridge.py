"""Ridge beside himalaya and scikit-learn: same data, same penalties, same folds, one process.

    python benchmarks/ridge.py --n 1000 --p 2000 --t 5000
    python benchmarks/ridge.py --n 2000 --p 800 --t 5000 --repeat 5

Times are the least of several interleaved runs, given only as ratios to ours, on the wall and in processor seconds (the steadier of
the two where other programs run; use --threads 1 with it); memory is the growth of the process over the
data, measured in a fresh process for each. "floor" is the time that the products our fit asks for would take at this machine's measured
rate of matrix products. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys

import numpy as np
from _measure import Work as Fit
from _measure import clocked, gemm_rate, peak, use_threads


def data(n: int, p: int, t: int, dtype: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = np.arange(1, p + 1) ** -0.5  # a decaying spectrum, as features of networks have
    X = (rng.normal(size=(n, p)) * scale).astype(dtype)
    W = rng.normal(size=(p, t), scale=1 / np.sqrt((scale**2).sum())).astype(dtype)
    Y = X @ W
    Y += rng.normal(size=Y.shape).astype(dtype) * rng.uniform(0.5, 4, t).astype(dtype)
    alphas = np.logspace(-5, 2, 20) * np.linalg.norm(X - X.mean(0), 2) ** 2
    return X, Y, alphas


def contenders(X: np.ndarray, Y: np.ndarray, alphas: np.ndarray, folds: int, wanted: list[str]) -> dict[str, Fit]:
    from brainenc.encoding import Ridge

    found: dict[str, Fit] = {
        f"ours cv={folds}": lambda: Ridge(alphas, cv=folds).fit(X, Y).alpha_,
        "ours loo": lambda: Ridge(alphas, cv="loo").fit(X, Y).alpha_,
        "ours gcv": lambda: Ridge(alphas, cv="gcv").fit(X, Y).alpha_,
    }
    if importlib.util.find_spec("himalaya"):
        from himalaya.backend import set_backend
        from himalaya.kernel_ridge import KernelRidgeCV
        from himalaya.ridge import RidgeCV
        from sklearn.model_selection import KFold

        set_backend("torch")
        cv = KFold(folds)
        found["himalaya kernel"] = lambda: np.asarray(KernelRidgeCV(alphas=alphas, cv=cv, fit_intercept=True).fit(X, Y).best_alphas_)
        found["himalaya primal"] = lambda: np.asarray(RidgeCV(alphas=alphas, cv=cv, fit_intercept=True).fit(X, Y).best_alphas_)
    from sklearn.linear_model import RidgeCV as SklearnRidgeCV

    found["scikit-learn loo"] = lambda: SklearnRidgeCV(alphas, alpha_per_target=True).fit(X, Y).alpha_
    return {name: fit for name, fit in found.items() if not wanted or name in wanted}


def floor_flops(n: int, p: int, t: int, n_alphas: int, folds: int) -> float:
    """Operations of the products in our k-fold fit: Gram, projection of the targets, held-out predictions, weights."""
    m, held = min(n, p), n // folds
    rank = min(m, n - held)
    gram = 2.0 * n * p * m
    project = folds * 2.0 * rank * min(m, n - held) * t + (4.0 * n * p * t if p <= n else 0.0)
    predict = folds * 2.0 * n_alphas * min(held, rank) * rank * t
    return gram + project + predict + 4.0 * m * m * t


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("n", 1000), ("p", 2000), ("t", 5000), ("folds", 5), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=0, help="0: as the libraries choose")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--only", action="append", default=[], help="a contender, repeatable")
    parser.add_argument("--measure-memory", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    X, Y, alphas = data(args.n, args.p, args.t, args.dtype)
    fits = contenders(X, Y, alphas, args.folds, args.only)
    if args.measure_memory:
        small = contenders(X[:60], Y[:60, :3], alphas, args.folds, args.only)
        for fit in small.values():
            fit()  # imports and thread pools are not the method's memory
        print(json.dumps({name: peak(fit) for name, fit in fits.items()}))
        return
    if args.threads:
        use_threads(args.threads)
    times: dict[str, float] = dict.fromkeys(fits, np.inf)
    work: dict[str, float] = dict.fromkeys(fits, np.inf)
    chosen = {}
    for _ in range(args.repeat):
        for name, fit in fits.items():
            seconds, spent, result = clocked(fit)
            chosen[name] = np.asarray(result)
            times[name], work[name] = min(times[name], seconds), min(work[name], spent)
    reference = next(iter(fits))
    floor = floor_flops(args.n, args.p, args.t, len(alphas), args.folds) / gemm_rate(args.dtype)
    print(f"n={args.n} p={args.p} t={args.t} alphas={len(alphas)} folds={args.folds} {args.dtype}; ratios to {reference!r}")
    print(f"{'':18s} {'time':>8s} {'cpu':>8s} {'peak MB':>9s} {'same alpha':>11s} {'within a step':>14s}")
    for name in fits:
        command = [sys.executable, __file__, "--measure-memory", "--only", name, "--dtype", args.dtype]
        command += [part for key in ("n", "p", "t", "folds") for part in (f"--{key}", str(getattr(args, key)))]
        memory = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])[name]
        steps = np.abs(np.log(chosen[name] / chosen[reference])) / np.log(alphas[1] / alphas[0])
        row = f"{times[name] / times[reference]:8.2f} {work[name] / work[reference]:8.2f} {memory / 1e6:9.0f}"
        row += f" {np.mean(steps < 0.5):11.3f} {np.mean(steps < 1.5):14.3f}"
        print(f"{name:18s} {row}", flush=True)
    print(f"{'floor of ours cv':18s} {floor / times[reference]:8.2f}", flush=True)


if __name__ == "__main__":
    main()
