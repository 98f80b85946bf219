"""Which transform tells regions or layers apart across subjects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import examples, one_of, whole
from brainenc.core.errors import InputError
from brainenc.linalg.centroids import group_sums, leave_one_out, true_shares
from brainenc.metrics.resample import bootstrap_weights, permutations
from brainenc.nouns.rdms import RDMs
from brainenc.nouns.tables import need_column, text_ids
from brainenc.rsa.topology.identification import Identification
from brainenc.rsa.topology.sweeping import Sweep, sweep
from brainenc.rsa.topology.transforms import checked_values, unit_values

Floats = npt.NDArray[np.float64]
_HELD_BYTES = 2**20  # of one array over draws × cells × rows × items: it stays in the cache


def identify(
    rdms: RDMs, *, item: str = "roi", group: str = "subject", l: npt.ArrayLike | None = None, u: npt.ArrayLike | None = None,  # noqa: E741
    transform: str = "rgtm", nested: bool = True, n_bootstrap: int = 1000, stimuli: bool = False, n_permutations: int = 0, seed: int = 0,
    memory: str | int = "256MB",
) -> Identification:  # fmt: skip
    """Name the region (or layer) of each RDM from the RDMs of the other subjects (or networks).

    Each RDM of a held-out group is given to the item whose centroid over the other groups is nearest:
    argmin_c |g(d) - mean_{t ≠ s} g(d_tc)|², for g the raw RDM, its ranks, and every cell (l, u) of a grid. All of it follows from one Gram
    matrix a cell; centroids that are equally near share the row.

    Parameters
    ----------
    rdms : RDMs
        With columns ``item`` and ``group``; several RDMs of one item in one group are allowed.
    item, group : str
        What is named, and what is left out whole.
    l, u : array_like
        Grid, 0, 0.05 … 1 where not given, without (0, 0) and (1, 1).
    transform : {"rgtm", "rgdm"}
    nested : bool
        Choose (l, u) for each held-out group by leaving out a second one among the others, so that the held-out group has no say. Equal
        accuracies are ordered by the mean margin (b - a) / (b + a) of the squared distances to the right centroid a and to the best other
        b (ours).
    n_bootstrap : int
        Draws; 0 for none. Groups are resampled, rows of a group together; a group drawn twice counts twice in centroids and in the
        accuracy, and all copies of it are left out together.
    stimuli : bool
        Resample conditions too. Pairs of a condition with its own copy are dropped; other pairs come w_i w_j times. Transforms stay those of
        all conditions. Needs new Gram matrices in every draw.
    n_permutations : int
        Permutations of the items within groups, for p-values.
    seed : int
    memory : str or int
        Of the transformed RDMs held at once.

    Returns
    -------
    Identification

    Raises
    ------
    InputError
        With fewer than three groups for the nested choice (two without), fewer than two items, items in one group only, and missing or
        constant RDMs.

    Notes
    -----
    The mean over a category's cells and the nested choice do not see the test data; the best cell does. The nested choice may differ between
    groups, so that its accuracy need not be that of any one cell. A draw has fewer different groups
    to learn from, so that bootstrapped accuracies tend to lie below that of the data: the intervals are wide on that side. A draw that
    leaves an item without a centroid counts its rows as wrong; one with too few different groups has no accuracy and is counted out.

    References
    ----------
    Lin & Kriegeskorte (2024) doi:10.1073/pnas.2317881121. They resample rows; resampling groups, the nested choice and the shared ties are
    ours.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> base = rng.random((2, 15))
    >>> values = np.concatenate([base + 0.1 * rng.random((2, 15)) for _ in range(4)])
    >>> table = {"roi": ["V1", "IT"] * 4, "subject": list("aabbccdd")}
    >>> found = identify(RDMs(values, {"stimulus_id": list("uvwxyz")}, table), l=[0.0, 0.4], u=[0.6, 1.0], n_bootstrap=0)
    >>> float(found.nested)
    1.0
    """
    one_of(transform, ("rgtm", "rgdm"), "transform")
    whole(n_bootstrap, "n_bootstrap", "identify")
    whole(n_permutations, "n_permutations", "identify")
    design = _design(rdms, item, group, nested)
    swept = sweep(rdms, l, u, transform=transform, memory=memory)
    chances = _Chances(*_draws(rdms, design, n_bootstrap, stimuli, seed), _permuted(design, n_permutations, seed), nested)
    found = _Found.empty(2 + len(swept.grid), design, len(chances.weights), len(chances.labels))
    for index, values in _entries(rdms, swept):
        _score(found, index, values, design, chances)
    return _wrap(found, design, swept, chances, seed)


class _Chances(NamedTuple):
    """Group weights (n_draws, n_groups), pair weights (n_draws, n_pairs) or none, permuted item codes (n_permutations, n_rows)."""

    weights: torch.Tensor
    pairs: Sequence[Floats] | None
    labels: torch.Tensor
    nested: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Design:
    """Codes of rows (n_rows,), and the labels behind them."""

    item: torch.Tensor
    group: torch.Tensor
    items: tuple[str, ...]
    groups: tuple[str, ...]
    names: tuple[str, str]
    member: Floats  # (n_rows, n_groups): 1 / rows of the group


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Arrays over all entries, filled block by block; the first axis of by_group and inner is observed, draws, permutations."""

    by_group: Floats
    inner: Floats
    confusion: Floats
    discriminability: Floats

    @classmethod
    def empty(cls, n: int, design: _Design, n_draws: int, n_permutations: int) -> _Found:
        size = (1 + n_draws + n_permutations, n, len(design.groups))
        n_items = len(design.items)
        return cls(np.full(size, np.nan), np.full(size, np.nan), np.zeros((n, n_items, n_items)), np.zeros((n, n_items)))


def _design(rdms: RDMs, item: str, group: str, nested: bool) -> _Design:
    if not isinstance(rdms, RDMs):
        raise InputError("not RDMs", where="identify", got=type(rdms).__name__)
    labels = [text_ids(need_column(rdms.rdms, name, "RDMs.rdms"), name) for name in (item, group)]
    (item_codes, items), (group_codes, groups) = (pd.factorize(one) for one in labels)
    needed = 3 if nested else 2
    if len(groups) < needed:
        expected = f"at least {needed}" + (" for the nested choice" if nested else "")
        raise InputError(f"too few of {group}", where="identify", expected=expected, got=len(groups))
    if len(items) < 2:
        raise InputError(f"nothing to tell apart: one {item}", where="identify", got=examples(items))
    spread = pd.crosstab(item_codes, group_codes).gt(0).sum(axis=1)
    if (spread < 2).any():
        raise InputError(f"{item} in one {group} only", where="identify", got=examples(items[spread.to_numpy() < 2]), fix="leave it out with RDMs.where")
    member = np.zeros((len(item_codes), len(groups)))
    member[np.arange(len(item_codes)), group_codes] = 1.0
    item_tensor, group_tensor = (torch.from_numpy(codes.astype(np.int64)) for codes in (item_codes, group_codes))
    return _Design(item_tensor, group_tensor, tuple(items), tuple(groups), (item, group), member / member.sum(axis=0))


def _draws(rdms: RDMs, design: _Design, n: int, stimuli: bool, seed: int) -> tuple[torch.Tensor, list[Floats] | None]:
    n_groups = len(design.groups)
    weights = bootstrap_weights(n_groups, n, seed, "identify", "groups") if n else np.empty((0, n_groups))
    if not stimuli or not n:
        return torch.from_numpy(weights), None
    times = bootstrap_weights(rdms.n_conditions, n, seed, "identify", "conditions")
    rows, columns = np.triu_indices(rdms.n_conditions, 1)
    return torch.from_numpy(weights), [one[rows] * one[columns] for one in times]


def _permuted(design: _Design, n: int, seed: int) -> torch.Tensor:
    out = design.item.repeat(n, 1)
    for code, name in enumerate(design.groups):
        rows = np.flatnonzero(design.group.numpy() == code)
        if len(rows) < 2 or not n:
            continue  # a group with one RDM has nothing to exchange
        for i, order in enumerate(permutations(len(rows), n, seed, "identify", name)):
            out[i, rows] = design.item[rows[order]]
    return out


def _entries(rdms: RDMs, swept: Sweep) -> Iterator[tuple[npt.NDArray[np.intp], Floats]]:
    """Yield positions of entries and their values (n, n_rdms, n_pairs): raw, rank, and the cells."""
    raw = checked_values(rdms, "identify")
    yield np.arange(2), np.stack([raw.numpy(), unit_values(raw, "rank").numpy()])
    for index, values in swept.blocks():
        yield index + 2, values


def _score(found: _Found, index: npt.NDArray[np.intp], values: Floats, design: _Design, chances: _Chances) -> None:
    """Fill in one block of entries."""
    rows = torch.from_numpy(values)
    rows -= rows.mean(dim=1, keepdim=True)
    gram = rows @ rows.mT
    found.discriminability[index] = _discriminability(gram.numpy(), design)
    everyone = torch.ones(1, len(design.groups), dtype=torch.float64)
    sums = group_sums(gram, design.group, design.item)
    held = leave_one_out(sums, everyone, nested=chances.nested)
    found.confusion[index] = _confusion(held.shares[0].numpy(), design)
    _keep(found, slice(0, 1), index, held.inner, true_shares(held.shares, sums.item), design)
    n_draws = len(chances.weights)
    most = max(1, _HELD_BYTES // (8 * len(index) * len(design.item) * len(design.items)))
    step = most if chances.pairs is None else 1
    for start in range(0, n_draws, step):
        if chances.pairs is not None:
            weighted = rows * torch.from_numpy(chances.pairs[start])
            sums = group_sums(weighted @ rows.mT, design.group, design.item)
        some = chances.weights[start : start + step]
        held = leave_one_out(sums, some, nested=chances.nested)
        _keep(found, slice(1 + start, 1 + start + len(some)), index, held.inner, true_shares(held.shares, sums.item), design)
    for start in range(0, len(chances.labels), max(1, most // len(design.groups))):
        labels = chances.labels[start : start + max(1, most // len(design.groups))]
        sums = group_sums(gram, design.group, labels)
        held = leave_one_out(sums, everyone, nested=chances.nested)
        place = slice(1 + n_draws + start, 1 + n_draws + start + len(labels))
        size = (len(labels), len(index), -1)  # labellings stand beside each other as entries do
        inner = None if held.inner is None else held.inner.reshape(size)
        _keep(found, place, index, inner, true_shares(held.shares, sums.item).reshape(size), design)


def _keep(found: _Found, where: slice, index: npt.NDArray[np.intp], inner: torch.Tensor | None, right: torch.Tensor, design: _Design) -> None:
    found.by_group[where, index] = right.numpy() @ design.member
    if inner is not None:
        found.inner[where, index] = inner.numpy()


def _discriminability(gram: Floats, design: _Design) -> Floats:
    """Return (B - W) / (B + W) (n_entries, n_items) from distances between RDMs of different groups."""
    size = np.diagonal(gram, axis1=1, axis2=2)
    distances = np.sqrt(np.maximum(size[:, :, None] + size[:, None] - 2 * gram, 0.0))
    item, group = design.item.numpy(), design.group.numpy()
    apart = group[:, None] != group[None]
    out = np.full((len(gram), len(design.items)), np.nan)
    for code in range(len(design.items)):
        mine = (item == code)[:, None] & apart
        within = distances[:, mine & (item == code)[None]].mean(axis=1)
        across = mine & (item != code)[None]
        between = distances[:, across].mean(axis=1) if across.any() else np.nan
        total = between + within
        out[:, code] = np.divide(between - within, total, out=np.zeros_like(total), where=total > 0)
    return out


def _confusion(shares: Floats, design: _Design) -> Floats:
    rows = np.zeros((len(design.items), len(design.item)))
    rows[design.item.numpy(), np.arange(len(design.item))] = 1.0
    return np.asarray(rows @ shares)


def _wrap(found: _Found, design: _Design, swept: Sweep, chances: _Chances, seed: int) -> Identification:
    grid, nested, weights, rdms = swept.grid, chances.nested, chances.weights, swept.rdms
    n_draws, n_permutations = len(weights), len(chances.labels)
    resampled = () if not n_draws else (design.names[1],) if chances.pairs is None else (design.names[1], "conditions")
    rows = (design.member > 0).sum(axis=0)
    times = np.concatenate([np.ones((1, len(rows))), weights.numpy(), np.ones((n_permutations, len(rows)))]) * rows
    accuracy = _weighted(found.by_group, times[:, None])
    frame = pd.DataFrame({"transform": ["raw", "rank"], "l": np.nan, "u": np.nan, "category": None})
    entries = pd.concat([frame.astype({"category": object}), grid.frame().assign(transform=swept.transform)], ignore_index=True)
    choice, outer = _choose(found, nested)
    over = _weighted(outer, times) if nested else np.full(len(times), np.nan)
    chosen = grid.frame().iloc[choice[0]].reset_index(drop=True) if nested else pd.DataFrame(columns=["l", "u", "category"])
    if nested:
        chosen.insert(0, design.names[1], list(design.groups))
        inner = np.round(np.take_along_axis(found.inner[0, 2:], choice[0][None], axis=0)[0], 6)  # without the share that orders ties
        chosen = chosen.assign(inner=inner, accuracy=outer[0])
    draws = slice(1, 1 + n_draws)
    return Identification(
        entries, grid, *design.names, design.items, design.groups, accuracy[0], found.by_group[0], found.confusion, found.discriminability,
        float(over[0]), chosen, accuracy[draws], over[draws], accuracy[1 + n_draws :], over[1 + n_draws :], resampled, seed,
        {"metric": rdms.metric, "transform": swept.transform, "n_conditions": rdms.n_conditions},
    )  # fmt: skip


def _choose(found: _Found, nested: bool) -> tuple[Any, Floats]:
    """Return the chosen cell (n_draws, n_groups) of each group and its accuracy there."""
    if not nested:
        return None, np.empty((0, 0))
    unknown = np.isnan(found.inner[:, 2:])
    choice = np.where(unknown, -np.inf, found.inner[:, 2:]).argmax(axis=1)
    outer = np.take_along_axis(found.by_group[:, 2:], choice[:, None], axis=1)[:, 0]
    # with two groups in a draw there is nobody to choose by
    return choice, np.where(unknown.all(axis=1), np.nan, outer)


def _weighted(values: Floats, times: Floats) -> Floats:
    """Return the mean over the last axis weighted by how many rows stand behind each; NaN where a draw has nobody to learn from."""
    known = np.where(np.isnan(values), 0.0, times)
    total = known.sum(axis=-1)
    sums = (known * np.nan_to_num(values)).sum(axis=-1)
    return np.divide(sums, total, out=np.full(np.shape(total), np.nan), where=total > 0)
