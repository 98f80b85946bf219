"""Memory: features and targets larger than the budget, results in arrays of the caller, and the smallest workable budget."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brainenc.core.checks import parse_bytes
from brainenc.core.errors import InputError
from brainenc.encoding import Ridge, fit_path
from brainenc.linalg import ridge_setup


def case(n: int, p: int, t: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)) + 2
    return X, X @ rng.normal(size=(p, t)) / np.sqrt(p) + rng.normal(size=(n, t))


def mapped(path: Path, values: np.ndarray) -> np.ndarray:
    np.save(path, values)
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize(("n", "p"), [(1500, 20), (30, 90)])
@pytest.mark.parametrize("options", [{"cv": 4}, {"cv": "loo"}, {"cv": 4, "search": "hybrid"}], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memmapped_features_in_blocks_give_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, p: int, options: Any, dtype: Any) -> None:
    X, Y = case(n, p, t=90)
    weights = np.random.default_rng(1).uniform(0.5, 2, n)
    whole = Ridge(**options).fit(X.astype(dtype), Y, sample_weight=weights)
    real = ridge_setup.plan_fit
    monkeypatch.setattr("brainenc.linalg.ridge.plan_fit", lambda *given: (real(*given)[0], False))
    monkeypatch.setattr("brainenc.linalg.ridge_kernels.ROW_BLOCK", 400)
    monkeypatch.setattr("brainenc.linalg.ridge_kernels.FEATURE_BLOCK", 16)
    streamed = Ridge(**options).fit(mapped(tmp_path / "x.npy", X.astype(dtype)), mapped(tmp_path / "y.npy", Y), sample_weight=weights)
    tolerance = 1e-10 if dtype == np.float64 else 2e-4
    np.testing.assert_allclose(streamed.predict(X.astype(dtype)), whole.predict(X.astype(dtype)), atol=tolerance)
    np.testing.assert_allclose(streamed.cv_scores_, whole.cv_scores_, atol=tolerance)


def test_centred_features_are_held_only_where_there_is_room() -> None:
    shape = ridge_setup.Shape(100_000, 400, 5000, 0, 17, 4, np.dtype(np.float32), "primal", False, False)  # X takes 160 MB
    folds = [(np.arange(20_000, 100_000), np.arange(20_000))] * 5
    roomy, held = ridge_setup.plan_fit(shape, folds, "2GB")
    tight, not_held = ridge_setup.plan_fit(shape, folds, "200MB")
    assert held and not not_held and tight.expected <= 200_000_000 < roomy.expected


def test_results_are_written_into_arrays_of_the_caller(tmp_path: Path) -> None:
    X, Y = case(60, 9)
    weights = np.lib.format.open_memmap(tmp_path / "w.npy", mode="w+", dtype=np.float64, shape=(9, 30))
    model = Ridge().fit(X, Y, out=weights)
    assert model._coef is weights
    np.testing.assert_array_equal(model.coef_, Ridge().fit(X, Y).coef_)
    predictions = np.lib.format.open_memmap(tmp_path / "p.npy", mode="w+", dtype=np.float64, shape=(10, 30))
    path = fit_path(X[:50], Y[:50], X[50:], out=predictions)
    assert path.predictions is predictions
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), fit_path(X[:50], Y[:50], X[50:]).predictions)
    kernel = Ridge(solver="kernel").fit(X, Y, out=np.empty((60, 30)))
    np.testing.assert_allclose(kernel.coef_, model.coef_, atol=1e-10)
    chosen = fit_path(X, Y)
    assert chosen.predictions is None
    np.testing.assert_array_equal(chosen.alpha, model.alpha_)
    for wrong in (np.empty((9, 29)), np.empty((9, 30), dtype=np.float32), np.load(tmp_path / "w.npy", mmap_mode="r")):
        with pytest.raises(InputError, match=r"write into does not fit \[out\].*expected writeable float64 of shape \(9, 30\)"):
            Ridge().fit(X, Y, out=wrong)
    with pytest.raises(InputError, match="no rows to predict"):
        fit_path(X, Y, out=np.empty((9, 30)))


@pytest.mark.parametrize("options", [{"cv": 4}, {"cv": "loo"}, {"cv": 4, "search": "hybrid", "conservative": True}], ids=str)
def test_the_budget_that_the_error_names_is_enough(options: Any) -> None:
    X, Y = case(200, 40, t=500)
    with pytest.raises(InputError, match="memory budget is too small.*at least") as caught:
        Ridge(memory="10kB", **options).fit(X, Y)
    found = re.search(r"at least ([0-9.]+ ?[kMG]?B)", str(caught.value))
    assert found is not None
    least = Ridge(memory=parse_bytes(found[1]), **options).fit(X, Y)
    assert least.plan_.chunk < 500
    np.testing.assert_array_equal(least.alpha_, Ridge(**options).fit(X, Y).alpha_)


MEASURE = """
import json, sys, threading, time
from pathlib import Path
import numpy as np
from brainenc.encoding import Ridge, fit_path

n, p, t, memory, search, folder = json.loads(sys.argv[1])
folder = Path(folder)

def resident(field="RssAnon"):  # pages of mapped files are the inputs' and the outputs', and the system drops them when it needs them
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))

rng = np.random.default_rng(0)
Ridge(cv=3).fit(rng.normal(size=(50, 3)), rng.normal(size=(50, 3)))  # what libraries take on first use is not counted
X = rng.normal(size=(n, p)).astype(np.float32)
Y = np.lib.format.open_memmap(folder / "y.npy", mode="w+", dtype=np.float32, shape=(n, t))
for start in range(0, t, 5000):
    Y[:, start : start + 5000] = rng.normal(size=(n, min(5000, t - start)))
Y.flush()
Y = np.load(folder / "y.npy", mmap_mode="r")
out = np.lib.format.open_memmap(folder / "w.npy", mode="w+", dtype=np.float32, shape=(p, t))
peak, stop = [0], threading.Event()

def watch():
    while not stop.is_set():
        peak[0] = max(peak[0], resident())
        time.sleep(0.002)

before = resident()
thread = threading.Thread(target=watch, daemon=True)
thread.start()
model = Ridge(memory=memory, search=search).fit(X, Y, out=out)
stop.set()
thread.join()
print(json.dumps([peak[0] - before, model.plan_.expected, bool(np.isfinite(model.alpha_).all())]))
"""


def measured(folder: Path, n: int, p: int, t: int, memory: str, search: str) -> tuple[int, int, bool]:
    command = [sys.executable, "-c", MEASURE, json.dumps([n, p, t, memory, search, str(folder)])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak, expected, finite = json.loads(done.stdout.splitlines()[-1])
    return peak, expected, finite


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory can be read on Linux only")


@needs_proc
def test_targets_in_a_memmap_stay_in_the_budget(tmp_path: Path) -> None:
    peak, expected, finite = measured(tmp_path, 600, 100, 20_000, "40MB", "full")
    assert finite and peak < 45_000_000 and expected <= 40_000_000


@needs_proc
@pytest.mark.slow
def test_two_hundred_thousand_targets_in_two_gigabytes(tmp_path: Path) -> None:
    peak, _, finite = measured(tmp_path, 3000, 1000, 200_000, "2GB", "hybrid")
    assert finite and peak < 2_300_000_000
