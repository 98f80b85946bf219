"""Shrinkage constants against the formulas as sums over entries, and Woodbury against dense matrices."""

import numpy as np
import pytest
import torch

from brainenc.core.errors import InputError
from brainenc.linalg import noise


@pytest.fixture
def residuals(rng):
    return rng.normal(size=(12, 9)) @ (np.eye(9) + 0.4 * rng.normal(size=(9, 9)))


def test_schaefer_strimmer_entry_by_entry(residuals):
    n, nu = len(residuals), 10.0
    variance = (residuals**2).sum(axis=0) / nu
    unit = residuals / np.sqrt(variance)
    top = bottom = 0.0
    for i in range(9):
        for j in range(9):
            if i != j:
                r = (unit[:, i] * unit[:, j]).sum() / (n - 1)
                q = (unit[:, i] ** 2 * unit[:, j] ** 2).sum() / (n - 1)
                top, bottom = top + n / nu**2 * (q - r**2), bottom + r**2
    shrinkage = min(max(top / bottom, 0.0), 1.0)
    assert 0 < shrinkage < 1
    s = residuals.T @ residuals / nu
    expected = shrinkage * np.diag(variance) + (1 - shrinkage) * s
    diagonal, factor, found = noise.schaefer_strimmer(torch.from_numpy(residuals), nu)
    assert found == pytest.approx(shrinkage, rel=1e-12)
    np.testing.assert_allclose(np.diag(diagonal.numpy()) + factor.numpy().T @ factor.numpy(), expected, rtol=1e-12)


def test_ledoit_wolf_row_by_row(residuals):
    n, nu = len(residuals), 11.0
    s = residuals.T @ residuals / n
    m = np.trace(s) / 9
    d2 = ((s - m * np.eye(9)) ** 2).sum()
    b2 = min(d2, sum(((np.outer(z, z) - s) ** 2).sum() for z in residuals) / n**2)
    expected = n / nu * (b2 / d2 * m * np.eye(9) + (1 - b2 / d2) * s)
    diagonal, factor, shrinkage = noise.ledoit_wolf(torch.from_numpy(residuals), nu)
    assert shrinkage == pytest.approx(b2 / d2, rel=1e-12)
    np.testing.assert_allclose(np.diag(diagonal.numpy()) + factor.numpy().T @ factor.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("ranks", [1, 6, 20])
def test_woodbury_is_the_dense_inverse(rng, ranks):
    diagonal, factor = rng.uniform(0.5, 2, 25), rng.normal(size=(ranks, 25))
    inverse = np.linalg.inv(np.diag(diagonal) + factor.T @ factor)
    rows, others = rng.normal(size=(7, 25)), rng.normal(size=(8, 25))
    d, f, x, y = (torch.from_numpy(part) for part in (diagonal, factor, rows, others))
    np.testing.assert_allclose(noise.low_rank_gram(x, None, d, f).numpy(), rows @ inverse @ rows.T, atol=1e-10)
    np.testing.assert_allclose(noise.low_rank_gram(x, y, d, f).numpy(), rows @ inverse @ others.T, atol=1e-10)
    np.testing.assert_allclose(noise.low_rank_inverse(d, f).numpy(), inverse, atol=1e-10)
    white = noise.low_rank_whiten(x, noise.low_rank_root(d, f)).numpy()
    np.testing.assert_allclose(white @ white.T, rows @ inverse @ rows.T, atol=1e-10)


def test_repeated_rows_of_a_factor_change_nothing(rng):
    """A factor of less than full rank, as residuals of condition means are."""
    diagonal, factor = torch.ones(10, dtype=torch.float64), torch.from_numpy(np.tile(rng.normal(size=(2, 10)), (3, 1)))
    rows = torch.from_numpy(rng.normal(size=(4, 10)))
    white = noise.low_rank_whiten(rows, noise.low_rank_root(diagonal, factor))
    inverse = np.linalg.inv(np.eye(10) + factor.numpy().T @ factor.numpy())
    np.testing.assert_allclose((white @ white.T).numpy(), rows.numpy() @ inverse @ rows.numpy().T, atol=1e-10)


def test_singular_covariances_say_so():
    with pytest.raises(InputError, match=r"singular.*Shrink"):
        noise.cholesky(torch.zeros(3, 3, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_with_a_triangle(rng, dtype):
    rows, lower = torch.from_numpy(rng.normal(size=(2, 5, 7))).to(dtype), torch.from_numpy(np.tril(rng.normal(size=(7, 7)))).to(dtype)
    kept = rows.clone()
    for one in (rows, rows[:, ::2], rows[0]):
        found = noise.lower_product(one, lower)
        assert found.dtype == dtype and found.shape == one.shape
        torch.testing.assert_close(found, one @ lower)
    assert torch.equal(rows, kept)
