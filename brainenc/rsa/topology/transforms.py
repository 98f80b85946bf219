"""Geo-topological and geodesic transforms of RDMs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core.checks import one_of, whole
from brainenc.core.errors import InputError
from brainenc.linalg.paths import shortest_paths
from brainenc.linalg.ramps import FAMILIES, quantiles, ramp, unit_ranks
from brainenc.linalg.ranks import midranks, n_of_pairs, to_condensed, to_square
from brainenc.nouns.rdms import RDMs

Floats = npt.NDArray[np.float64]
Dissimilarities = TypeVar("Dissimilarities", RDMs, npt.NDArray[Any])

GRAPHS = ("twostep", "k_nearest", "p_nearest", "p_shortest", "complete")
UNCONNECTED = ("inf", "nan", "largest", "raise")
LENGTHS = ("rank", "distance", "hops")


def rgtm(
    rdms: Dissimilarities, l: float | None = None, u: float | None = None, *,  # noqa: E741  # the field's names
    family: str = "piecewise", scale: str = "rank", alpha: float = 10.0, beta: float = 0.5, nan: str = "raise",
) -> Dissimilarities:  # fmt: skip
    """Return representational geo-topological matrices: neighbours 0, the far 1, a ramp between.

    z = (rank(d) - min) / (max - min), mid-ranks within each RDM; a, b = the quantiles l and u of z of that RDM;

        g = 0 for z ≤ a;   (z - a) / (b - a) for a < z < b;   1 for z ≥ b.

    Only the order of the dissimilarities matters, so any increasing map of an RDM leaves its RGTM as it is. (0, 1) gives the rank RDM.
    With l = u (or where ties make a = b) it is a step, an adjacency matrix: g = 1 for z > a. Dissimilarities equal to the
    threshold count as near.

    Parameters
    ----------
    rdms : RDMs or ndarray of shape (…, n_pairs)
        Each RDM has its own ranks and quantiles; the input stays as it is.
    l, u : float
        0 ≤ l ≤ u ≤ 1; by default 0.2 and 0.8. Not used by the sigmoid.
    family : {"piecewise", "sigmoid", "keep", "upper"}
        ``"sigmoid"``: 1 / (1 + exp(-alpha (z - beta))). ``"keep"`` leaves z as it is between the thresholds, ``"upper"`` lets the ramp
        end at b and jumps to 1: the two other scalings of the adaptive test of Lin & Kriegeskorte (2018).
    scale : {"rank", "distance"}
        ``"distance"``: z = d / max(d), and l, u are thresholds on z themselves, as in the adaptive test; needs d ≥ 0.
    alpha, beta : float
        Slope and middle of the sigmoid.
    nan : {"raise", "omit"}
        ``"omit"``: missing pairs stay missing, the others are ranked among themselves.

    Returns
    -------
    RDMs or ndarray of shape (…, n_pairs)
        As given, float64, between 0 and 1.

    Raises
    ------
    InputError
        For thresholds out of order, missing or infinite dissimilarities, and RDMs that are constant.

    References
    ----------
    Lin & Kriegeskorte (2024) doi:10.1073/pnas.2317881121; the equations are those of the authors' code, with their 1e-5 added to u
    replaced by the step.

    Examples
    --------
    >>> rgtm(np.array([0.1, 0.5, 0.2, 7.0, 0.3, 0.4]), 0.2, 0.6).round(2).tolist()
    [0.0, 1.0, 0.0, 1.0, 0.5, 1.0]
    """
    one_of(family, (*FAMILIES, "sigmoid"), "family")
    values = checked_values(rdms, "rgtm", nan=nan)
    unit = unit_values(values, scale)
    if family == "sigmoid":
        if l is not None or u is not None:
            raise InputError("the sigmoid has no quantiles", where="rgtm", got=f"l={l}, u={u}", fix="give alpha and beta, or family='piecewise'")
        return rewrap(rdms, torch.sigmoid(alpha * (unit - beta)), f"sigmoid RGTM({alpha:g}, {beta:g})")
    low, high = check_thresholds(0.2 if l is None else l, 0.8 if u is None else u)
    edges = thresholds(unit, np.array([low, high]), scale)
    name = "RGTM" if family == "piecewise" else f"{family} RGTM"
    return rewrap(rdms, ramp(unit, edges[..., :1], edges[..., 1:], family), f"{name}({low:g}, {high:g})")


def rgdm(
    rdms: Dissimilarities, l: float | None = None, u: float | None = None, *,  # noqa: E741
    graph: str = "twostep", k: int = 1, p: float = 0.05, lengths: str = "rank", unconnected: str = "inf", rank: bool = True,
) -> Dissimilarities:  # fmt: skip
    """Return representational geodesic distance matrices: the shortest path through near neighbours.

    Conditions are nodes; edges are kept where ``graph`` says; d*(i, j) is the length of the shortest path. Edges of length 0 (the closest pair
    after scaling, and every near neighbour when l > 0) are edges.

    Parameters
    ----------
    rdms : RDMs or ndarray of shape (…, n_pairs)
    l, u : float
        For ``"twostep"`` only; by default 0 and 0.2 (our choice).
    graph : {"twostep", "k_nearest", "p_nearest", "p_shortest", "complete"}
        ``"twostep"``: lengths are the RGTM of (l, u), and edges of length 1 are removed, so that u sets what is connected.
        ``"k_nearest"``: an edge where either is among the ``k`` nearest of the other (ties with the k-th included).
        ``"p_nearest"``: the same with k = the whole part of p times the number of conditions.
        ``"p_shortest"``: the fraction ``p`` of shortest edges. ``"complete"``: all edges.
    k, p : int, float
        See ``graph``.
    lengths : {"rank", "distance", "hops"}
        Edge lengths of all graphs but ``"twostep"``: ranks or dissimilarities scaled to 0 … 1 within each RDM, or 1 for every edge.
    unconnected : {"inf", "nan", "largest", "raise"}
        What stands between conditions that no path joins: infinity, NaN, or the largest finite geodesic of that RDM.
    rank : bool
        Replace the geodesics by their mid-ranks (as the authors do); those that agree to 1e-10 tie. Infinite ones share the last rank.

    Returns
    -------
    RDMs or ndarray of shape (…, n_pairs)
        As given, float64.

    Raises
    ------
    InputError
        For missing, infinite or constant dissimilarities, and for unconnected conditions where that is to be refused.

    References
    ----------
    Lin & Kriegeskorte (2024) doi:10.1073/pnas.2317881121. Their neighbour graphs look at the neighbours of the first of two conditions
    only; taking either is ours.

    Examples
    --------
    >>> rgdm(np.array([1.0, 2.0, 4.0]), graph="complete", lengths="distance", rank=False).round(3).tolist()
    [0.0, 0.333, 0.333]
    """
    one_of(graph, GRAPHS, "graph")
    one_of(unconnected, UNCONNECTED, "unconnected")
    values = checked_values(rdms, "rgdm")
    if graph != "twostep" and (l is not None or u is not None):
        raise InputError("only the two-step graph has quantiles", where="rgdm", got=f"graph={graph!r}, l={l}, u={u}")
    if graph == "twostep":
        low, high = check_thresholds(0.0 if l is None else l, 0.2 if u is None else u)
        unit = unit_values(values, "rank")
        edges = thresholds(unit, np.array([low, high]), "rank")
        paths = twostep(ramp(unit, edges[..., :1], edges[..., 1:]))
        name = f"RGDM({low:g}, {high:g})"
    else:
        length = _edge_lengths(values, lengths)
        keep = _kept(to_square(values, diagonal=torch.inf), values, graph, k, p)
        paths = _geodesics(length, to_condensed(keep))
        name = f"RGDM({graph}, {lengths})"
    return rewrap(rdms, geodesic_values(paths, unconnected, rank), name)


def twostep(transformed: torch.Tensor) -> torch.Tensor:
    """Return the geodesics (…, n_pairs) of RGTMs whose edges of length 1 are removed."""
    return _geodesics(transformed, transformed < 1)


def geodesic_values(paths: torch.Tensor, unconnected: str, rank: bool) -> torch.Tensor:
    """Apply the policy for unconnected pairs to geodesics (…, n_pairs), then rank them where asked."""
    apart = torch.isinf(paths)
    if unconnected == "raise" and bool(apart.any()):
        n = int(apart.any(-1).sum())
        raise InputError(
            f"{n} RDMs have conditions that no path joins", where="rgdm", fix='keep more edges, or say what stands there: unconnected="inf", "nan", "largest"'
        )  # fmt: skip
    if unconnected == "largest":
        largest = torch.where(apart, torch.full_like(paths, -torch.inf), paths).amax(-1, keepdim=True)
        # without any edge nothing is finite: every pair is then equally far
        paths = torch.where(apart, torch.where(torch.isinf(largest), torch.ones_like(largest), largest), paths)
    if rank:
        # sums of the same edges in another order differ by rounding, and are ties; infinite ones come last together
        ranks = midranks(torch.round(paths, decimals=10))
        return torch.where(apart, torch.full_like(ranks, torch.nan), ranks) if unconnected == "nan" else ranks
    return torch.where(apart, torch.full_like(paths, torch.nan), paths) if unconnected == "nan" else paths


def checked_values(rdms: RDMs | npt.NDArray[Any], where: str, *, nan: str = "raise") -> torch.Tensor:
    """Return condensed dissimilarities (…, n_pairs) as a float64 copy; refuse what has no ranks."""
    one_of(nan, ("raise", "omit"), "nan")
    try:
        array = np.array(rdms.values if isinstance(rdms, RDMs) else rdms, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("dissimilarities are numbers", where=where, expected="RDMs, or an array (…, n_pairs)", got=type(rdms).__name__) from None
    if array.ndim < 1 or not array.size:
        raise InputError("no dissimilarities", where=where, expected="(…, n_pairs)", got=f"shape {array.shape}")
    try:
        n_of_pairs(array.shape[-1])
    except ValueError as error:
        raise InputError("not condensed RDMs", where=where, got=str(error), fix="RDMs.from_square reads square matrices") from None
    missing = int(np.isnan(array).sum())
    if missing and nan == "raise":
        raise InputError(f"{missing} dissimilarities are missing", where=where, fix='drop those conditions, or rgtm(…, nan="omit")')
    if np.isinf(array).any():
        raise InputError(f"{int(np.isinf(array).sum())} dissimilarities are infinite", where=where)
    flat = array.reshape(-1, array.shape[-1])
    low, high = np.fmin.reduce(flat, axis=-1), np.fmax.reduce(flat, axis=-1)
    constant = np.flatnonzero(~(high > low))
    if len(constant):
        raise InputError(f"{len(constant)} of {len(flat)} RDMs are constant: they have no order", where=where, got=f"the first is RDM {constant[0]}")
    return torch.from_numpy(array)


def unit_values(values: torch.Tensor, scale: str) -> torch.Tensor:
    """Return z (…, n_pairs) between 0 and 1: scaled ranks, or dissimilarities over their largest."""
    if one_of(scale, ("rank", "distance"), "scale") == "rank":
        return unit_ranks(values)
    if bool((values < 0).any()):
        raise InputError("negative dissimilarities have no share of the largest", where="scale='distance'", fix="use scale='rank'")
    largest = torch.nan_to_num(values, nan=0.0).amax(-1, keepdim=True)
    return values / largest


def thresholds(unit: torch.Tensor, at: Floats, scale: str) -> torch.Tensor:
    """Return the thresholds (…, n_at) on z that belong to l and u."""
    levels = torch.from_numpy(np.asarray(at, dtype=np.float64))
    return quantiles(unit, levels) if scale == "rank" else levels.expand(*unit.shape[:-1], len(levels))


def check_thresholds(low: float, high: float) -> tuple[float, float]:
    """Return l and u as floats, or refuse them."""
    if not all(isinstance(one, int | float | np.number) for one in (low, high)) or not 0 <= low <= high <= 1:  # also refuses NaN
        raise InputError("thresholds out of order", where="l, u", expected="0 ≤ l ≤ u ≤ 1", got=f"l={low!r}, u={high!r}")
    return float(low), float(high)


def rewrap(source: Any, values: torch.Tensor, name: str) -> Any:
    """Return new values in the container that was given."""
    array = values.numpy()
    if not isinstance(source, RDMs):
        return array
    provenance = {**source.provenance, "transform": name, "metric_before": source.metric}
    return replace(source, values=array, metric=f"{name} of {source.metric}", provenance=provenance)


def _edge_lengths(values: torch.Tensor, lengths: str) -> torch.Tensor:
    if one_of(lengths, LENGTHS, "lengths") == "hops":
        return torch.ones_like(values)
    if lengths == "rank":
        return unit_ranks(values)
    low, high = values.amin(-1, keepdim=True), values.amax(-1, keepdim=True)
    return (values - low) / (high - low)


def _kept(square: torch.Tensor, values: torch.Tensor, graph: str, k: int, p: float) -> torch.Tensor:
    """Return which edges (…, n, n) stay; ``square`` has an infinite diagonal, so that nobody is its own neighbour."""
    n = square.shape[-1]
    if graph == "complete":
        return torch.ones_like(square, dtype=torch.bool)
    if graph != "k_nearest" and not 0 < p <= 1:
        raise InputError("not a fraction", where="rgdm", expected="0 < p ≤ 1", got=p)
    if graph == "p_shortest":
        # quantiles of ranks, as ranks and dissimilarities of tied pairs agree
        edge = quantiles(unit_ranks(values), torch.tensor([p], dtype=torch.float64))
        return to_square(unit_ranks(values) <= edge)  # type: ignore[arg-type]
    n_nearest = whole(k, "k", "rgdm") if graph == "k_nearest" else int(p * n + 1e-9)
    if not 1 <= n_nearest < n:
        raise InputError("no such number of neighbours", where="rgdm", expected=f"1 … {n - 1}", got=n_nearest, fix="raise k or p")
    farthest = torch.sort(square, dim=-1).values[..., n_nearest - 1 : n_nearest]
    near = square <= farthest
    return near | near.transpose(-1, -2)


def _geodesics(length: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    edges = torch.where(keep, length, torch.full_like(length, torch.inf))
    return to_condensed(shortest_paths(to_square(edges)))
