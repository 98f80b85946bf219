"""The retry ladder: each step is reached when the ones before it fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brainenc.core.errors import InputError
from brainenc.linalg import eigh, svd


def symmetric(n: int, dtype: torch.dtype) -> torch.Tensor:
    a = torch.from_numpy(np.random.default_rng(0).normal(size=(n, n + 2))).to(dtype)
    return a @ a.T


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_eigh_rebuilds_the_matrix(dtype: torch.dtype) -> None:
    matrix = symmetric(7, dtype)
    values, vectors, how = eigh(matrix)
    assert how == "as given" and values.dtype == vectors.dtype == dtype
    np.testing.assert_allclose((vectors * values) @ vectors.T, matrix, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12)
    assert np.all(np.diff(values.numpy()) >= 0)


def test_svd_rebuilds_the_matrix() -> None:
    matrix = symmetric(9, torch.float64)[:, :7]
    u, s, vh, how = svd(matrix)
    assert how == "as given" and u.shape == (9, 7) and vh.shape == (7, 7)
    np.testing.assert_allclose((u * s) @ vh, matrix, atol=1e-12)


@pytest.mark.parametrize(("dtype", "n_failures", "expected"), [
    (torch.float32, 1, "float64"), (torch.float32, 2, "jitter 1e-12"), (torch.float64, 1, "jitter 1e-12"), (torch.float64, 2, "jitter 1e-09"),
])  # fmt: skip
def test_failures_climb_the_ladder(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, n_failures: int, expected: str) -> None:
    real, calls = torch.linalg.eigh, []

    def failing(matrix: torch.Tensor) -> object:
        calls.append(matrix.dtype)
        if len(calls) <= n_failures:
            raise torch.linalg.LinAlgError("did not converge")
        return real(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", failing)
    matrix = symmetric(8, dtype)
    values, _, how = eigh(matrix)
    assert how == expected and values.dtype == dtype
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix.double().numpy()), rtol=1e-5, atol=1e-6)


def test_a_result_that_is_not_finite_counts_as_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.linalg.eigh

    def silent(matrix: torch.Tensor) -> object:
        values, vectors = real(matrix)
        return (values * torch.nan, vectors) if matrix.dtype == torch.float32 else (values, vectors)

    monkeypatch.setattr(torch.linalg, "eigh", silent)
    assert eigh(symmetric(7, torch.float32))[2] == "float64"


def test_total_failure_lists_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(matrix: torch.Tensor) -> object:
        raise torch.linalg.LinAlgError("no luck")

    monkeypatch.setattr(torch.linalg, "eigh", failing)
    with pytest.raises(InputError, match="as given: no luck; float64: no luck; jitter 1e-12: no luck; jitter 1e-09"):
        eigh(symmetric(7, torch.float32))


def test_a_matrix_with_nan_is_refused() -> None:
    matrix = symmetric(7, torch.float64)
    matrix[2, 3] = torch.nan
    with pytest.raises(InputError, match="NaN or infinity"):
        eigh(matrix)
    with pytest.raises(InputError, match="NaN or infinity"):
        svd(matrix)
