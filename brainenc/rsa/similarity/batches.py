"""CKA of data that do not fit or do not stand still: three debiased terms, averaged over batches and then divided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.checks import as_matrix, one_of
from brainenc.core.errors import InputError
from brainenc.core.rng import generator
from brainenc.rsa.similarity._sides import aligned, named

_END = object()


def minibatch_cka(
    batches: Iterable[Any], other: Iterable[Any] | None = None, *, kernel: str = "linear", sigma: float | str | None = None, device: str = "auto"
) -> Any:
    """Return CKA from a stream of batches: Σ_b HSIC₁(K_b, L_b) / √(Σ_b HSIC₁(K_b, K_b) Σ_b HSIC₁(L_b, L_b)).

    HSIC₁ is the debiased estimator, so that batches of any size estimate the same three numbers and their means do not depend on the size
    (Nguyen et al. 2021). Every batch counts once. Batches should be random subsets of the stimuli.

    Parameters
    ----------
    batches : iterable
        Pairs ``(x, y)`` of arrays (n_in_batch, n_features) with the same rows, or of mappings {layer: array}; or, with ``other``,
        the left sides alone. Read once; nothing is kept.
    other : iterable, optional
        The right sides, batch for batch. A stream that ends before the other is an error, not a shorter mean.
    kernel : {"linear", "rbf"}
    sigma : float, optional
        Bandwidth of "rbf", one number for all batches and both sides: a median of each batch would give each another kernel.
    device : str

    Returns
    -------
    float
        Or a DataFrame of all pairs for mappings; its ``attrs`` hold n_batches and n_samples.

    Raises
    ------
    InputError
        For batches of fewer than four rows, sides of different numbers of rows, streams of different lengths, no batch at all.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> stream = ((x, 2 * x) for x in (rng.standard_normal((10, 3)) for _ in range(5)))
    >>> round(minibatch_cka(stream), 6)
    1.0
    """
    from brainenc.linalg.device import resolve_device
    from brainenc.rsa.similarity._kernels import hsic, inner

    one_of(kernel, ("linear", "rbf"), "kernel")
    if kernel == "rbf" and (sigma is None or isinstance(sigma, str)):
        raise InputError("batches of an RBF kernel need one bandwidth for all of them", where="minibatch_cka", got=f"sigma={sigma!r}", fix="give sigma=")
    where = resolve_device(device)
    sums: dict[str, Any] = {}
    n_batches = n_samples = 0
    single, columns = False, None
    for x, y in _pairs(batches, other):
        single = not (isinstance(x, Mapping) or isinstance(y, Mapping))
        left, right = _kernels(x, "x", n_batches, kernel, sigma, where), _kernels(y, "y", n_batches, kernel, sigma, where)
        if columns is not None and columns != (list(left), list(right)):
            raise InputError("batches hold different layers", where="minibatch_cka", expected=columns, got=(list(left), list(right)))
        columns = list(left), list(right)
        sizes = {k.n for k in [*left.values(), *right.values()]}
        if len(sizes) > 1:
            raise InputError("the sides of a batch differ in their rows", where=f"minibatch_cka, batch {n_batches}", got=sorted(sizes))
        cross = [[float(hsic(inner(a, b), a.diagonal, b.diagonal, debiased=True)) for b in right.values()] for a in left.values()]
        terms = {"cross": np.array(cross), "left": np.array([a.norm for a in left.values()]), "right": np.array([b.norm for b in right.values()])}
        sums = {name: sums.get(name, 0.0) + term for name, term in terms.items()}
        n_batches += 1
        n_samples += sizes.pop()
    if columns is None:
        raise InputError("there is no batch", where="minibatch_cka")
    scale = np.sqrt(np.outer(sums["left"], sums["right"]))
    values = np.divide(sums["cross"], scale, out=np.full(scale.shape, np.nan), where=scale > 0)
    if single:
        return float(values[0, 0])
    table = pd.DataFrame(values, index=pd.Index(columns[0], name="x"), columns=pd.Index(columns[1], name="y"))
    table.attrs = {"metric": "minibatch_cka", "kind": "similarity", "kernel": kernel, "n_batches": n_batches, "n_samples": n_samples}
    return table


def in_batches(X: Any, Y: Any, batch_size: int, *, seed: int, kernel: str, estimator: str, sigma: float | str, device: str) -> Any:
    """Return `minibatch_cka` of whole arrays: rows shuffled, and cut into equal batches of at least ``batch_size``, so that none is left out."""
    if estimator != "debiased":
        raise InputError("minibatch CKA is debiased", where="cka", expected='estimator="debiased"', got=f"estimator={estimator!r}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 4:
        raise InputError("a batch holds at least four samples", where="cka, batch_size", got=repr(batch_size))
    xs, ys, _ = aligned(named(X, "X"), named(Y, "Y"), "cka")
    n = len(next(iter(xs.values())))
    parts = np.array_split(generator(seed, "batches").permutation(n), max(1, n // batch_size))
    stream = (({name: x[rows] for name, x in xs.items()}, {name: y[rows] for name, y in ys.items()}) for rows in map(np.sort, parts))
    table = minibatch_cka(stream, kernel=kernel, sigma=sigma, device=device)
    return table if isinstance(X, Mapping) or isinstance(Y, Mapping) else float(table.iloc[0, 0])


def _pairs(batches: Iterable[Any], other: Iterable[Any] | None) -> Iterator[tuple[Any, Any]]:
    if other is None:
        for number, pair in enumerate(batches):
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise InputError("a batch is a pair (x, y)", where=f"minibatch_cka, batch {number}", got=type(pair).__name__)
            yield pair[0], pair[1]
        return
    left, right, number = iter(batches), iter(other), 0
    while True:
        x, y = next(left, _END), next(right, _END)
        if x is _END and y is _END:
            return
        if x is _END or y is _END:
            short = "left" if x is _END else "right"
            raise InputError(f"the {short} stream ends before the other", where="minibatch_cka", got=f"{number} batches", fix="give both the same batches")
        yield x, y
        number += 1


def _kernels(side: Any, name: str, number: int, kernel: str, sigma: Any, device: Any) -> dict[str, Any]:
    from brainenc.rsa.similarity._kernels import kernel_of

    out = {}
    for layer, values in named(side, name).items():
        array = as_matrix(values, f"batch {number}, {layer}")
        if not np.isfinite(array).all():
            raise InputError("a batch holds NaN or infinity", where=f"minibatch_cka, batch {number}, {layer}")
        # a batch is small: its kernel is held whole
        out[layer] = kernel_of(array, kernel, estimator="debiased", sigma=sigma or 1.0, fraction=1.0, memory=2**62, device=device)
    return out
