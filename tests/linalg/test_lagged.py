"""Second moments by the shift identity are those of the delayed matrix, whatever rows, runs and delays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brainenc.linalg import lagged as lags


def delayed(X: np.ndarray, runs: np.ndarray, shifts: list[int]) -> np.ndarray:
    """Features at each delay side by side, zero outside the run: written out row by row."""
    Z = np.zeros((len(X), len(shifts), X.shape[1]))
    for i in range(len(X)):
        for d, shift in enumerate(shifts):
            if 0 <= i - shift < len(X) and runs[i - shift] == runs[i]:
                Z[i, d] = X[i - shift]
    return Z.reshape(len(X), -1)


RUNS = np.repeat([0, 1, 2, 3], [30, 7, 2, 40])  # the third is shorter than most delays
SHIFTS = [[0], [3], [-2, -1, 0, 1, 2], [0, 1, 2, 3, 4], [2, 3, 4], [-5, -4], [-4, 0, 4, 8], [-3, 0, 1, 5]]


@pytest.mark.parametrize("shifts", SHIFTS, ids=str)
@pytest.mark.parametrize("which", ["all", "block", "runs", "scattered"])
def test_moments_are_those_of_the_delayed_matrix(shifts: list[int], which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lags, "_LEAST", 5)
    monkeypatch.setattr(lags, "_NUMBERS", 100)  # many chunks
    rng = np.random.default_rng(0)
    n, p = len(RUNS), 3
    X, Y, mean = rng.normal(size=(n, p)) + 5, rng.normal(size=(n, 4)), np.array([4.0, 5.0, 6.0])
    rows = {
        "all": np.arange(n), "block": np.arange(11, 33), "runs": np.flatnonzero(RUNS != 1), "scattered": np.sort(rng.permutation(n)[:25]),
    }[which]  # fmt: skip
    placed = lags.lay_out(X, RUNS, shifts, mean, dtype=np.dtype(np.float64), device=torch.device("cpu"))
    Z = (delayed(X, RUNS, shifts) - np.tile(mean, len(shifts)))[rows]
    picked = torch.from_numpy(rows)
    sums = lags.feature_sums(placed, picked)
    np.testing.assert_allclose(lags.delayed_rows(placed, placed.at[picked]).numpy(), Z, atol=1e-12)
    np.testing.assert_allclose(lags.second_moment(placed, sums, picked).numpy(), Z.T @ Z, atol=1e-9)
    np.testing.assert_allclose(lags.wanted_columns(placed, sums.total).numpy(), Z.sum(0), atol=1e-10)
    np.testing.assert_allclose(lags.cross_sums(placed, picked, Y, np.ones(4)).numpy(), Z.T @ (Y[rows] - 1.0), atol=1e-10)


def test_float32_keeps_six_digits_where_features_have_a_large_mean() -> None:
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(20_000, 4)) + 50).astype(np.float32)
    runs, shifts, mean = np.zeros(len(X), dtype=np.intp), list(range(6)), X.mean(0, dtype=np.float64)
    rows = torch.arange(len(X))
    exact, rough = (
        lags.second_moment(placed, lags.feature_sums(placed, rows), rows).numpy()
        for placed in (lags.lay_out(X, runs, shifts, mean, dtype=np.dtype(kind), device=torch.device("cpu")) for kind in (np.float64, np.float32))
    )
    assert np.abs(rough - exact).max() < 1e-6 * np.abs(exact).max()
