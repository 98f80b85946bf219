"""When and where a group of subjects shows an effect: cluster permutation over time, time × time, space and their products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import real_array, whole
from brainenc.core.errors import InputError
from brainenc.metrics.clusters import WHERE, Clusters, flipped_clusters
from brainenc.rsa._zero import check_zero

__all__ = ["Clusters", "cluster_test"]

Floats = npt.NDArray[np.float64]


def cluster_test(
    scores: Any, *, threshold: float | str | None = None, tail: str = "two-sided", adjacency: Any = None,
    axes: Mapping[str, Sequence[Any]] | None = None, n: int = 1000, seed: int = 0, alpha: float = 0.05, step: float = 0.1,
    memory: str | int = "512MB",
) -> Clusters:  # fmt: skip
    """Test scores of subjects against zero, cell by cell, with the largest cluster of randomly flipped subjects as the null.

    Cells whose t passes the threshold and that touch one another (with one sign) form a cluster of mass Σ t. All scores of a subject are
    flipped together, so whatever correlation there is over time and space is in the null. p = (1 + #{largest mass* ≥ mass}) / (1 + n), which
    controls the family-wise error of saying that there is an effect; it does not say where exactly a cluster begins.

    Parameters
    ----------
    scores : array_like of shape (n_subjects, n_times[, …]), or Evaluation
        Differences from the null value, which is 0. An `Evaluation` needs a single model; the columns of its groups are the axes.
    threshold : float or "tfce", optional
        Of t; by default its quantile at p = 0.05 (both tails together where two-sided). "tfce" enhances every cell without a threshold:
        Σ_h extent(h)^½ h² Δh over the heights h below |t|.
    tail : {"greater", "two-sided"}
        Two-sided clusters of either sign are compared with the largest |mass| of both.
    adjacency : sparse matrix (n, n), or iterable of index arrays, optional
        Neighbours along the last axis (sensors, voxels, vertices), e.g. ``space.neighbourhoods(9.0)``; the other axes are
        lattices, and so is the last one where this is not given. Made symmetric.
    axes : mapping of names to labels, optional
        Names and coordinates of the axes in order, ``{"time": times}``; positions where not given, of an axis ``time`` (``axis_0``, ``axis_1`` …
        where there are several, and ``places`` for one with an adjacency).
    n : int
        Sign patterns; all of them where there are no more.
    seed : int
    alpha : float
        Of ``mask``.
    step : float
        Δh of "tfce", in units of t.
    memory : str or int
        Bound on the maps held at once. It does not change the result.

    Returns
    -------
    Clusters

    Raises
    ------
    InputError
        Missing scores, a cell in which all subjects have the same score, an adjacency that does not fit.

    Notes
    -----
    Maris & Oostenveld 2007, doi:10.1016/j.jneumeth.2007.03.024; Smith & Nichols 2009, doi:10.1016/j.neuroimage.2008.03.061.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.random.default_rng(0).standard_normal((12, 50))
    >>> scores[:, 20:30] += 2
    >>> found = cluster_test(scores, n=99, axes={"time": np.arange(50) / 100})
    >>> found.table.loc[0, ["start", "stop", "p"]].tolist()
    [0.2, 0.29, 0.01]
    """
    values, axes = _from_evaluation(scores) if hasattr(scores, "groups") else (real_array(scores, "scores", WHERE), axes)
    whole(n, "n (sign patterns)", WHERE, least=1)
    if not 0 < alpha < 1:
        raise InputError("alpha lies between 0 and 1", where=WHERE, got=alpha)
    return flipped_clusters(values, threshold=threshold, tail=tail, adjacency=adjacency, axes=axes, n=n, seed=seed, alpha=alpha, step=step, memory=memory)


def _from_evaluation(evaluation: Any) -> tuple[Floats, dict[str, Any]]:
    """Return the scores (n_subjects, …) of the only model, with one axis a column of the groups."""
    if len(evaluation.models) != 1 or evaluation.kind == "distance":
        raise InputError("clusters are of one model's similarities", where=WHERE, expected="an Evaluation of one model",
                         got=f"{len(evaluation.models)} models, {evaluation.kind}", fix="take one: evaluation.take(models=[0])")  # fmt: skip
    check_zero(evaluation, WHERE)
    groups = evaluation.groups
    levels = {name: np.unique(groups[name]) for name in groups}
    shape = tuple(len(level) for level in levels.values())
    places = tuple(np.searchsorted(level, groups[name]) for name, level in levels.items())
    if len(groups) != int(np.prod(shape)):
        raise InputError("groups do not fill a grid", where=WHERE, expected=f"{' × '.join(map(str, shape))} groups", got=len(groups))
    values = np.empty((evaluation.scores.shape[1], *shape))
    values[(slice(None), *places)] = evaluation.scores[:, :, 0].T
    return values, levels
