"""Pearson's r under given orders of the rows: block cross-products once, then sums of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.metrics._columns import centred, column_chunks

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Orders (n, n_rows) of the rows of one fold, taken apart into units that move.

    Parameters
    ----------
    orders : ndarray of int, shape (n, n_rows)
    place : ndarray of int, shape (n_rows,)
        The rows unit after unit; in these coordinates every unit is a stretch of consecutive rows.
    pairs : list of (sources, goals)
        For each length of unit, the rows (n_units, length) of the units and the places (n_goals, length) where some unit of this length
        comes to stand in some order.
    sums : sparse matrix of shape (n, n_pairs), or None
        Which pairs of unit and place make up each order, length after length. None where products of single rows are the cheaper way.
    """

    orders: Index
    place: Index
    pairs: list[tuple[Index, Index]]
    sums: Any


def moves_of(orders: Index, units: npt.ArrayLike | None) -> Moves:
    """Find the units in drawn orders; units of single rows, and those that stand at nearly as many places as there are rows, gain nothing."""
    from scipy import sparse

    n, n_rows = orders.shape
    codes = np.arange(n_rows) if units is None else pd.factorize(np.asarray(units))[0]
    place = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=1)
    direct = Moves(orders, place, [], None)
    if 2 * len(sizes) > n_rows:
        return direct
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    unit_at = np.full(n_rows, -1, dtype=np.intp)
    unit_at[starts] = np.arange(len(sizes))
    inverse = np.empty(n_rows, dtype=np.intp)
    inverse[place] = np.arange(n_rows)
    here = unit_at[inverse[orders[:, place]]]  # (n, n_rows): the unit that begins at each place, −1 inside
    where = np.nonzero(here >= 0)
    unit, goal = here[where], where[1]
    column, first, pairs = np.empty(len(unit), dtype=np.intp), 0, []
    for length in np.unique(sizes):
        mine = np.flatnonzero(sizes[unit] == length)
        members, row = np.unique(unit[mine], return_inverse=True)
        goals, at = np.unique(goal[mine], return_inverse=True)
        column[mine] = first + row * len(goals) + at
        first += len(members) * len(goals)
        pairs.append((starts[members][:, None] + np.arange(length), goals[:, None] + np.arange(length)))
    if first + 2 * n * len(sizes) > n * n_rows:
        return direct
    return Moves(orders, place, pairs, sparse.csr_array((np.ones(len(column)), column, np.arange(n + 1) * len(sizes)), shape=(n, first)))


def moved_products(y: Floats, p: Floats, moves: Moves) -> Floats:
    """Return Σ_i y[order_i] p_i of each column under each order: shape (n, n_columns).

    With G[a, b] = Σ_τ y[a + τ] p[b + τ], the product of unit a with the place b, every order is a sum of one entry of G a unit; G is
    computed once, for a few columns at a time.
    """
    if moves.sums is None:
        return np.stack([np.einsum("ij,ij->j", y[order], p) for order in moves.orders])
    out = np.empty((len(moves.orders), y.shape[1]))
    for part in column_chunks(max(moves.sums.shape[1], 8 * len(y)), y.shape[1], 2**23):
        source, goal = (np.ascontiguousarray(values[moves.place, part].T) for values in (y, p))
        products = [(source[:, rows] @ goal[:, places].transpose(0, 2, 1)).reshape(len(source), -1) for rows, places in moves.pairs]
        out[:, part] = moves.sums @ np.ascontiguousarray(np.concatenate(products, axis=1).T)
    return out


def correlations(folds: Sequence[tuple[Any, Any]], moves: Sequence[Moves], part: slice, *, pooled: bool) -> tuple[Floats, Floats]:
    """Return the observed r (n_targets,) and the permuted ones (n, n_targets) of a chunk of columns."""
    pairs = [(centred(y[:, part]), centred(p[:, part])) for y, p in folds]
    if not pooled:
        pairs = [(y / norm(y), p / norm(p)) for y, p in pairs]
        observed = np.mean([np.einsum("ij,ij->j", y, p) for y, p in pairs], axis=0)
        null = np.mean([moved_products(y, p, move) for (y, p), move in zip(pairs, moves, strict=True)], axis=0)
        return observed, null
    # fold means differ, but permuting inside a fold leaves them: they add the same constant to every product
    y_all = centred(np.concatenate([y[:, part] for y, _ in folds]))
    p_all = centred(np.concatenate([p[:, part] for _, p in folds]))
    scale = norm(y_all) * norm(p_all)
    between = np.einsum("ij,ij->j", y_all, p_all) - sum(np.einsum("ij,ij->j", y, p) for y, p in pairs)
    null = sum(moved_products(y, p, move) for (y, p), move in zip(pairs, moves, strict=True))
    return np.einsum("ij,ij->j", y_all, p_all) / scale, (null + between) / scale


def norm(values: Floats) -> Floats:
    """Return the length of each column, NaN where it is zero."""
    length = np.sqrt(np.einsum("ij,ij->j", values, values))
    return np.where(length > 0, length, np.nan)
