"""Persistent homology of RDMs: components and loops, and how far apart two RDMs are in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.extras import need
from brainenc.linalg.ranks import to_square
from brainenc.nouns.rdms import RDMs
from brainenc.rsa.topology.transforms import checked_values, unit_values

Floats = npt.NDArray[np.float64]
SCALES = ("unit", "rank", "distance")


def persistence_diagrams(rdms: RDMs, *, max_dimension: int = 1, scale: str = "unit") -> pd.DataFrame:
    """Return when components, loops (and voids) of each RDM are born and die in its Vietoris-Rips filtration.

    At level r conditions closer than r are joined, and every clique is filled. Needs the extra ``topology`` (ripser).

    Parameters
    ----------
    rdms : RDMs
    max_dimension : int
        0 components, 1 loops, 2 voids (slow).
    scale : {"unit", "rank", "distance"}
        Dissimilarities over the largest of their RDM; scaled ranks, which only see their order; or as they are.

    Returns
    -------
    DataFrame
        One row a feature: rdm (position), dimension, birth, death (infinite for the component that stays, and for whatever does not die).

    Raises
    ------
    InputError
        For missing, infinite, negative or constant dissimilarities.
    MissingExtraError
        Without ripser.

    References
    ----------
    Bauer (2021) doi:10.1007/s41468-021-00071-5 (Ripser); Tralie, Saul & Bar-On (2018) doi:10.21105/joss.00925 (ripser.py); for RSA
    Brown & Farivar (2025) doi:10.3389/fnins.2025.1597899

    Examples
    --------
    >>> rdms = RDMs(np.array([[1.0, 4.0, 4.0]]), {"stimulus_id": ["a", "b", "c"]})
    >>> persistence_diagrams(rdms, scale="distance")["death"].tolist()  # doctest: +SKIP
    [1.0, 4.0, inf]
    """
    ripser = need("ripser", "topology", purpose="persistent homology")
    one_of(scale, SCALES, "scale")
    if max_dimension < 0:
        raise InputError("no such dimension", where="persistence_diagrams", expected="0, 1, 2 …", got=max_dimension)
    values = checked_values(rdms, "persistence_diagrams")
    if bool((values < 0).any()):
        raise InputError("negative dissimilarities have no filtration", where="persistence_diagrams", fix='use scale="rank" on rgtm(rdms, 0, 1)')
    if scale != "distance":
        values = unit_values(values, "rank" if scale == "rank" else "distance")
    parts = []
    for position, square in enumerate(to_square(values).numpy()):
        for dimension, bars in enumerate(ripser.ripser(square, maxdim=max_dimension, distance_matrix=True)["dgms"]):
            births, deaths = np.asarray(bars, dtype=np.float64).reshape(-1, 2).T
            parts.append(pd.DataFrame({"rdm": position, "dimension": dimension, "birth": births, "death": deaths}))
    return pd.concat(parts, ignore_index=True)


def persistence_distances(diagrams: pd.DataFrame, *, dimension: int = 1, kind: str = "bottleneck", n_directions: int = 50) -> Floats:
    """Return the distances between the diagrams of all RDMs.

    bottleneck: the smallest r such that the features of both pair up within r in each of birth and death, a feature being allowed to
    pair with its nearest point (birth = death). sliced_wasserstein: the mean over ``n_directions`` of ∫|F - G| between projections, each
    diagram completed by the other's nearest points.

    Parameters
    ----------
    diagrams : DataFrame
        From `persistence_diagrams`. Features that do not die are left out: every RDM has just one such component, and loops have none.
    dimension : int
    kind : {"bottleneck", "sliced_wasserstein"}
    n_directions : int
        Evenly over half a turn.

    Returns
    -------
    ndarray of shape (n_rdms, n_rdms)

    References
    ----------
    Edelsbrunner & Harer (2010), Computational Topology, chapter VIII; Carrière, Cuturi & Oudot (2017) arXiv:1706.03358

    Examples
    --------
    >>> bars = pd.DataFrame({"rdm": [0, 1], "dimension": 1, "birth": [0.0, 0.0], "death": [1.0, 0.8]})
    >>> persistence_distances(bars).round(3).tolist()
    [[0.0, 0.2], [0.2, 0.0]]
    """
    one_of(kind, ("bottleneck", "sliced_wasserstein"), "kind")
    n = int(diagrams["rdm"].max()) + 1 if len(diagrams) else 0
    finite = diagrams[(diagrams["dimension"] == dimension) & np.isfinite(diagrams["death"])]
    bars = [finite.loc[finite["rdm"] == i, ["birth", "death"]].to_numpy() for i in range(n)]
    out = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            out[i, j] = out[j, i] = bottleneck(bars[i], bars[j]) if kind == "bottleneck" else sliced_wasserstein(bars[i], bars[j], n_directions)
    return out


def bottleneck(first: Floats, second: Floats) -> float:
    """Return the bottleneck distance of two diagrams (n, 2) and (m, 2) of finite features."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    n, m = len(first), len(second)
    if not n + m:
        return 0.0
    # features of both, and for each a place on the diagonal; two such places cost nothing
    cost = np.zeros((n + m, n + m))
    cost[:n, :m] = np.abs(first[:, None] - second[None]).max(axis=2)
    cost[:n, m:], cost[n:, :m] = np.inf, np.inf
    cost[np.arange(n), m + np.arange(n)] = (first[:, 1] - first[:, 0]) / 2
    cost[n + np.arange(m), np.arange(m)] = (second[:, 1] - second[:, 0]) / 2
    levels = np.unique(cost[np.isfinite(cost)])
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if (maximum_bipartite_matching(csr_matrix(cost <= levels[middle]), perm_type="column") >= 0).all():
            high = middle
        else:
            low = middle + 1
    return float(levels[low])


def sliced_wasserstein(first: Floats, second: Floats, n_directions: int = 50) -> float:
    """Return the sliced Wasserstein distance of two diagrams (n, 2) and (m, 2) of finite features."""
    angles = np.pi * (np.arange(n_directions) + 0.5) / n_directions - np.pi / 2
    directions = np.stack([np.cos(angles), np.sin(angles)])
    nearest = [np.repeat(one.mean(axis=1, keepdims=True), 2, axis=1) for one in (first, second)]
    left, right = np.concatenate([first, nearest[1]]) @ directions, np.concatenate([second, nearest[0]]) @ directions
    return float(np.abs(np.sort(left, axis=0) - np.sort(right, axis=0)).sum(axis=0).mean()) if len(left) else 0.0
