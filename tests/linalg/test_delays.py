"""Kernels of delayed features equal those of the explicit delayed matrix."""

import numpy as np
import pytest
import torch

from brainenc.core.errors import InputError
from brainenc.linalg.delays import delay_kernels, delayed_kernel


def delayed(X, shifts, runs, weights):
    """The matrix itself, sample by sample."""
    out = np.zeros((len(X), X.shape[1] * len(shifts)))
    for i in range(len(X)):
        for place, (shift, weight) in enumerate(zip(shifts, weights, strict=True)):
            j = i - shift
            if 0 <= j < len(X) and runs[j] == runs[i]:
                out[i, place * X.shape[1] : (place + 1) * X.shape[1]] = np.sqrt(weight) * X[j]
    return out


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (0.5, 2.0, 0.0, 0.3)])
@pytest.mark.parametrize("shifts", [[0, 1, 2, 3], [4, 0, -1, 30]])
def test_the_kernel_is_that_of_the_delayed_matrix(rng, shifts, weights):
    runs = np.repeat([3, 0, 5, 1], [11, 7, 1, 9])
    X = rng.standard_normal((len(runs), 13))
    wide = delayed(X, shifts, runs, weights)
    K = torch.from_numpy(X @ X.T)
    np.testing.assert_allclose(delayed_kernel(K, shifts, runs, weights=weights).numpy(), wide @ wide.T, atol=1e-12)
    new_runs = np.repeat([0, 1], [6, 8])
    new = rng.standard_normal((14, 13))
    cross = delayed_kernel(torch.from_numpy(new @ X.T), shifts, new_runs, weights=weights, column_runs=runs)
    np.testing.assert_allclose(cross.numpy(), delayed(new, shifts, new_runs, weights) @ wide.T, atol=1e-12)
    bands = delay_kernels(K, shifts, runs)
    np.testing.assert_allclose(torch.einsum("d,dij->ij", torch.tensor(weights, dtype=torch.float64), bands).numpy(), wide @ wide.T, atol=1e-12)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="kernel and runs"):
        delayed_kernel(torch.zeros(3, 3), [0], [0, 0])
    with pytest.raises(InputError, match="one weight a delay"):
        delayed_kernel(torch.zeros(2, 2), [0, 1], [0, 0], weights=[1.0])
