"""Symmetric eigendecomposition and thin SVD that do not give up at the first LAPACK or cuSOLVER error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch

from brainenc.core.errors import InputError


def eigh(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, str]:
    """Return eigenvalues, eigenvectors and how they were obtained.

    ``matrix = V diag(w) V'``. Tried in turn: the dtype and device given; float64; float64 on the CPU; float64 on the CPU with a
    jitter of ``1e-12`` and then ``1e-9`` times the mean diagonal.

    Parameters
    ----------
    matrix : torch.Tensor, (m, m)
        Symmetric; only its lower triangle is read.

    Returns
    -------
    values : torch.Tensor, (m,)
        Ascending.
    vectors : torch.Tensor, (m, m)
        Columns.
    how : str
        ``"as given"``, ``"float64"``, ``"cpu"`` or ``"jitter 1e-12"`` …

    Raises
    ------
    InputError
        If the matrix is not finite or every step failed.

    Examples
    --------
    >>> values, vectors, how = eigh(torch.diag(torch.tensor([2.0, 3.0])))
    >>> values.tolist(), how
    ([2.0, 3.0], 'as given')
    """
    (values, vectors), how = _climb(matrix, lambda m: tuple(torch.linalg.eigh(m)), symmetric=True)
    return values, vectors, how


def svd(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, str]:
    """Return the thin SVD ``matrix = U diag(s) Vh`` and how it was obtained (see `eigh` for the steps; no jitter).

    Parameters
    ----------
    matrix : torch.Tensor, (m, k)

    Returns
    -------
    u, s, vh : torch.Tensor
        Shapes (m, r), (r,), (r, k) with r = min(m, k); s descends.
    how : str
        The step that succeeded.

    Raises
    ------
    InputError
        If the matrix is not finite or every step failed.
    """
    (u, s, vh), how = _climb(matrix, lambda m: tuple(torch.linalg.svd(m, full_matrices=False)), symmetric=False)
    return u, s, vh, how


def _climb(
    matrix: torch.Tensor, solve: Callable[[torch.Tensor], tuple[torch.Tensor, ...]], *, symmetric: bool
) -> tuple[tuple[torch.Tensor, ...], str]:
    if not bool(torch.isfinite(matrix).all()):
        raise InputError(
            "a matrix to decompose holds NaN or infinity", where=f"shape {tuple(matrix.shape)}",
            fix="check the features for missing or overflowing values; float32 overflows above 1e19 when squared",
        )  # fmt: skip
    failures = []
    for how, attempt in _steps(matrix, symmetric):
        try:
            found = solve(attempt())
        except RuntimeError as error:  # torch's LinAlgError and cuSOLVER's failures are both RuntimeErrors
            failures.append(f"{how}: {str(error).splitlines()[0][:120]}")
            continue
        if all(bool(torch.isfinite(part).all()) for part in found):
            return tuple(part.to(dtype=matrix.dtype, device=matrix.device) for part in found), how
        failures.append(f"{how}: result not finite")
    raise InputError("a decomposition failed at every step", where=f"shape {tuple(matrix.shape)}", got="; ".join(failures))


def _steps(matrix: torch.Tensor, symmetric: bool) -> Iterator[tuple[str, Callable[[], torch.Tensor]]]:
    yield "as given", lambda: matrix
    if matrix.dtype != torch.float64:
        yield "float64", lambda: matrix.double()
    if matrix.device.type != "cpu":
        yield "cpu", lambda: matrix.cpu().double()
    if symmetric:
        for size in (1e-12, 1e-9):
            yield f"jitter {size:g}", partial(_jittered, matrix.cpu().double(), size)


def _jittered(matrix: torch.Tensor, size: float) -> torch.Tensor:
    shift = size * max(float(matrix.diagonal().abs().mean()), torch.finfo(torch.float64).tiny)
    return matrix + shift * torch.eye(len(matrix), dtype=matrix.dtype)
