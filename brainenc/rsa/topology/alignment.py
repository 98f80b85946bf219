"""Unsupervised alignment: which condition of one RDM is which of another, from the dissimilarities alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.core.html import facts
from brainenc.core.rng import generator
from brainenc.linalg.device import resolve_device
from brainenc.linalg.ramps import unit_ranks
from brainenc.linalg.transport import gromov_plans
from brainenc.metrics.resample import permutations
from brainenc.nouns.persist import Saved
from brainenc.nouns.rdms import RDMs

Floats = npt.NDArray[np.float64]
EPSILONS = (0.003, 0.01, 0.03, 0.1)


@dataclass(frozen=True, slots=True, eq=False)
class GromovWasserstein(Saved):
    """The plan of lowest loss, and how well it matches conditions of the same name.

    Parameters
    ----------
    plan : ndarray of shape (n, m)
        Sums to 1; rows are the conditions of a.
    loss : float
        Σ (a_ik - b_jl)² T_ij T_kl, of the scaled dissimilarities.
    epsilon : float
        Of the plan, relative to the mean cost of the uniform plan.
    runs : DataFrame
        One row an epsilon and starting plan: epsilon, start, loss, n_iterations, settled, top_1 …
    matching : DataFrame
        One row a k: k, rate, chance (k / m), p (against shuffled names); empty where no names are shared.
    """

    plan: Floats
    loss: float
    epsilon: float
    runs: pd.DataFrame
    matching: pd.DataFrame
    seed: int

    def __repr__(self) -> str:
        rates = ", ".join(f"top-{row.k} {row.rate:.2f} (chance {row.chance:.2f})" for row in self.matching.itertuples())
        return f"GromovWasserstein({self.plan.shape[0]} × {self.plan.shape[1]}, loss {self.loss:.4g}, epsilon {self.epsilon:g}{', ' + rates if rates else ''})"

    def _repr_html_(self) -> str:
        rates = {f"top-{row.k}": f"{row.rate:.3f} (chance {row.chance:.3f}, p {row.p:.3g})" for row in self.matching.itertuples()}
        return facts("GromovWasserstein", {"conditions": f"{self.plan.shape[0]} × {self.plan.shape[1]}", "loss": f"{self.loss:.4g}", **rates})


def gromov_wasserstein(
    a: Any, b: Any, *, scale: str = "mean", epsilon: float | Sequence[float] = EPSILONS, n_init: int = 10, top_k: Sequence[int] = (1, 5),
    n_null: int = 999, n_iterations: int = 500, tolerance: float = 1e-6, seed: int = 0, device: str = "auto",
) -> GromovWasserstein:  # fmt: skip
    """Align the conditions of two RDMs without using their names.

    The entropic Gromov-Wasserstein plan minimises Σ (a_ik - b_jl)² T_ij T_kl + ε Σ T log T over plans with uniform marginals; of all
    epsilons and starting plans the one of lowest loss (without the entropy) is kept. The matching rate says how often the condition of
    the same name is among the k largest entries of its row; equal entries share.

    Parameters
    ----------
    a, b : RDMs or array_like of shape (n, n)
        One RDM each. Arrays have the names 0, 1 …
    scale : {"mean", "rank", "none"}
        Before anything else dissimilarities are divided by their mean, replaced by their scaled ranks, or left: the loss compares them
        as they are, so that RDMs of different scale have no plan worth having.
    epsilon : float or list of float
        Relative to the mean of Σ_kl (a_ik - b_jl)² / (n m), so that the scale of the RDMs does not matter (our choice).
    n_init : int
        Starting plans for each: the uniform one, and random ones with the right marginals. Epsilons are taken from the largest to the
        smallest, and the best plan so far is one more start (our choice; number ``n_init`` in ``runs``).
    top_k : list of int
    n_null : int
        Shuffles of the names for the p-value of the matching rate.
    n_iterations, tolerance : int, float
        See `brainenc.linalg.transport.gromov_plans`.
    seed : int
    device : str

    Returns
    -------
    GromovWasserstein

    Raises
    ------
    InputError
        For several RDMs, missing or infinite dissimilarities, and an epsilon that is not positive.

    Notes
    -----
    The loss is not convex: compare ``runs`` to see whether starts agree; ``settled`` says whether a plan stopped changing.

    References
    ----------
    Peyré, Cuturi & Solomon (2016), ICML, PMLR 48:2664-2672; the search over epsilons and starts follows Sasaki et al. (2023)
    doi:10.1101/2023.09.15.558038

    Examples
    --------
    >>> square = np.abs(np.subtract.outer([0.0, 1.0, 3.0, 7.0], [0.0, 1.0, 3.0, 7.0]))
    >>> found = gromov_wasserstein(square, square[::-1, ::-1], top_k=[1], n_null=0)
    >>> found.plan.argmax(axis=1).tolist()
    [3, 2, 1, 0]
    """
    one_of(scale, ("mean", "rank", "none"), "scale")
    (first, first_names), (second, second_names) = _square(a, "a", scale), _square(b, "b", scale)
    grid = np.atleast_1d(np.asarray(epsilon, dtype=np.float64))
    if not len(grid) or not (grid > 0).all() or n_init < 1:
        raise InputError("nothing to start from", where="gromov_wasserstein", expected="epsilon > 0, n_init ≥ 1", got=f"{grid.tolist()}, {n_init}")
    where = resolve_device(device)
    left, right = (torch.from_numpy(one).to(where) for one in (first, second))
    starts = torch.from_numpy(_starts(len(first), len(second), n_init, seed)).to(where)
    unit = float(np.mean(first**2) + np.mean(second**2) - 2 * first.mean() * second.mean())
    rows: list[dict[str, Any]] = []
    best: tuple[float, float, Floats] | None = None
    pairs = _pairs(first_names, second_names)
    for one in np.sort(grid)[::-1]:
        found = gromov_plans(left, right, starts, float(one) * unit, n_iterations=n_iterations, tolerance=tolerance)
        plans, losses = found.plans.cpu().numpy(), found.losses.cpu().numpy()
        for start in range(len(plans)):
            rates = {f"top_{k}": _rate(plans[start], pairs, k) for k in top_k} if len(pairs) else {}
            row = {"epsilon": float(one), "start": start, "loss": float(losses[start]), "n_iterations": int(found.n_iterations[start])}
            rows.append({**row, "settled": bool(found.settled[start]), **rates})
        lowest = int(np.argmin(losses))
        if np.isfinite(losses[lowest]) and (best is None or losses[lowest] < best[0]):
            best = float(losses[lowest]), float(one), plans[lowest]
            # the best plan so far is one more start for the smaller epsilons
            starts = torch.cat([starts[:n_init], found.plans[lowest : lowest + 1]])
    if best is None:
        raise InputError("no plan is finite", where="gromov_wasserstein", fix="use a larger epsilon")
    loss, chosen, plan = best
    return GromovWasserstein(plan, loss, chosen, pd.DataFrame(rows), _matching(plan, pairs, top_k, n_null, seed), seed)


def _square(rdm: Any, name: str, scale: str) -> tuple[Floats, list[str]]:
    if isinstance(rdm, RDMs):
        if rdm.n_rdms != 1:
            raise InputError("one RDM at a time", where=name, got=f"{rdm.n_rdms} RDMs", fix="choose one with RDMs.take or RDMs.where")
        square, names = rdm.square()[0], [str(one) for one in rdm.ids]
    else:
        square = np.array(rdm, dtype=np.float64)
        names = [str(i) for i in range(len(square))]
    if square.ndim != 2 or square.shape[0] != square.shape[1] or len(square) < 2:
        raise InputError("not a square RDM", where=name, got=f"shape {square.shape}")
    if not np.isfinite(square).all():
        raise InputError("dissimilarities are missing or infinite", where=name, got=f"{int((~np.isfinite(square)).sum())} entries")
    if not np.allclose(square, square.T, rtol=1e-9, atol=1e-12 * float(np.abs(square).max())):
        raise InputError("an RDM is symmetric", where=name)
    off = ~np.eye(len(square), dtype=bool)
    if scale == "rank":
        square[off] = unit_ranks(torch.from_numpy(square[off])).numpy()
        return (square + square.T) / 2, names
    mean = float(square[off].mean())
    if scale == "mean" and not mean > 0:
        raise InputError("the mean dissimilarity is not positive", where=name, got=mean, fix='use scale="rank" or "none"')
    return square / mean if scale == "mean" else square, names


def _starts(n: int, m: int, n_init: int, seed: int) -> Floats:
    """Return the uniform plan, then random plans whose marginals are uniform (by scaling rows and columns in turn)."""
    out = np.full((n_init, n, m), 1.0 / (n * m))
    for i in range(1, n_init):
        plan = generator(seed, "gromov", i).exponential(size=(n, m))
        for _ in range(100):
            plan /= plan.sum(axis=1, keepdims=True) * n
            plan /= plan.sum(axis=0, keepdims=True) * m
        out[i] = plan
    return out


def _pairs(first: list[str], second: list[str]) -> npt.NDArray[np.intp]:
    """Return (n_shared, 2): rows and columns of the same name."""
    places = {name: j for j, name in enumerate(second)}
    return np.array([(i, places[name]) for i, name in enumerate(first) if name in places], dtype=np.intp).reshape(-1, 2)


def _rate(plan: Floats, pairs: npt.NDArray[np.intp], k: int) -> float:
    """Return the share of pairs among the k largest of their row; among equal entries the k places are shared."""
    mine = plan[pairs[:, 0], pairs[:, 1]][:, None]
    rows = plan[pairs[:, 0]]
    margin = 1e-12 * rows.max(axis=1, keepdims=True)
    above, equal = (rows > mine + margin).sum(axis=1), (np.abs(rows - mine) <= margin).sum(axis=1)
    return float(np.clip((k - above) / equal, 0.0, 1.0).mean())


def _matching(plan: Floats, pairs: npt.NDArray[np.intp], top_k: Sequence[int], n_null: int, seed: int) -> pd.DataFrame:
    columns = ["k", "rate", "chance", "p", "n_conditions", "n_null"]
    if not len(pairs):
        return pd.DataFrame(columns=columns)
    orders = list(permutations(len(pairs), n_null, seed, "gromov", "names")) if n_null and len(pairs) > 1 else []
    rows = []
    for k in top_k:
        if not 1 <= k <= plan.shape[1]:
            continue  # with fewer conditions than k every match would be a hit
        rate = _rate(plan, pairs, k)
        null = np.array([_rate(plan, np.stack([pairs[:, 0], pairs[order, 1]], axis=1), k) for order in orders])
        p = (1 + (null >= rate - 1e-12).sum()) / (1 + len(null)) if len(null) else np.nan
        rows.append({"k": int(k), "rate": rate, "chance": k / plan.shape[1], "p": float(p), "n_conditions": len(pairs), "n_null": len(null)})
    return pd.DataFrame(rows, columns=columns)
