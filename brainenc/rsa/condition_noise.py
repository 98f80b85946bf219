"""The covariance of the noise of condition means, which whitened comparisons of RDMs take as ``sigma_k``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.errors import InputError
from brainenc.linalg.device import resolve_device, to_numpy
from brainenc.linalg.distances import product
from brainenc.rsa._blocks import by_folds, cells_of
from brainenc.rsa._choices import choices
from brainenc.rsa._noises import noise_for_groups
from brainenc.rsa._trials import Labels, datasets, trials


def condition_covariance(
    X: Any, *, conditions: Any = None, folds: Any = None, noise: Any = None, device: str = "auto"
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Return how the noise of condition means covaries between conditions, from its scatter over folds.

    Σ_ij = Σ_m (u_mi − ū_i)·(u_mj − ū_j)/((M_ij − 1) p), u_m the means of fold m in channels whitened by ``noise``, ū their mean over the folds
    that have the condition, M_ij the number of folds that have both. In units of the noise of one fold: independent folds of equal
    and white noise give the identity divided by the trials of a cell.

    Parameters
    ----------
    X : array (n_samples, n_channels) or Responses
        Of one data set.
    conditions, folds, noise, device
        As for `brainenc.rsa.rdm` with ``metric="crossnobis"``; one noise model.

    Returns
    -------
    ndarray of shape (n_conditions, n_conditions)
        In the order of the conditions of `brainenc.rsa.rdm`; for ``compare(…, sigma_k=…)``.

    Raises
    ------
    InputError
        As for `brainenc.rsa.rdm`.

    Notes
    -----
    After rsatoolbox's ``sigmak_from_measurements``; folds in which a condition is missing are our addition.

    Examples
    --------
    >>> import numpy as np
    >>> trials = np.random.default_rng(0).standard_normal((40, 500))
    >>> condition_covariance(trials, conditions=np.tile([0, 1], 20), folds=np.repeat(range(20), 2)).round(1) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    how = choices("crossnobis", folds=folds, noise=noise, device=device, center=True)
    sets = datasets(X)
    if len(sets) != 1:
        raise InputError("one data set at a time", where="condition_covariance", got=f"{len(sets)} data sets")
    _, facts, data = sets[0]
    (part,) = trials(data, facts, Labels(conditions, folds, None, crossvalidated=True))
    noises = noise_for_groups(noise, part, "crossnobis")
    if len(part.values) != 1 or isinstance(noises.models[0], list):
        raise InputError("one array of trials and one noise model", where="condition_covariance", got=f"shape {part.values.shape}")
    cells = by_folds(cells_of(part, how, resolve_device(device)))
    if noises.models[0] is not None:
        cells = cells._replace(sums=noises.models[0].whitener(cells.sums.device)(cells.sums))
    n, p = part.n_conditions, part.values.shape[2]
    means = torch.zeros((n, len(part.folds), p), dtype=cells.sums.dtype, device=cells.sums.device)
    seen = torch.zeros((n, len(part.folds)), dtype=torch.float64, device=cells.sums.device)
    means[cells.condition, cells.fold] = cells.sums[0]
    seen[cells.condition, cells.fold] = 1.0
    off = (means - (means.sum(dim=1) / seen.sum(dim=1, keepdim=True).to(means.dtype))[:, None]) * seen[:, :, None].to(means.dtype)
    scatter = product(off.reshape(n, -1)).triu()
    pairs = seen @ seen.T - 1.0
    full = (scatter + scatter.triu(1).T) / (torch.where(pairs > 0, pairs, torch.full_like(pairs, torch.nan)) * p)
    return to_numpy(full)
