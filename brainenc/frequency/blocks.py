"""Models and brains compared by the spectra of their blocks: RDMs over conditions × blocks, and a null of the largest similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from brainenc.core.checks import one_of
from brainenc.core.errors import InputError
from brainenc.frequency.halves import half_orders
from brainenc.frequency.series import Series, as_series
from brainenc.linalg import spectra
from brainenc.linalg.device import to_numpy
from brainenc.linalg.ranks import midranks, to_condensed, to_square
from brainenc.metrics.multiple import fdr_bh
from brainenc.metrics.resample import permutations
from brainenc.nouns import RDMs
from brainenc.nouns.tables import need_column

Floats = npt.NDArray[np.float64]


def spectrum_rdms(
    conditions: Mapping[str, Any], fs: float | None = None, *, band: tuple[float, float] = (0.5, 2.0), blocks: int = 2, kind: str = "amplitude",
    by: str | None = "roi", pool: str = "concatenate", halves: int = 20, trials: str | None = None, seed: int = 0, name: str = "",
) -> RDMs:  # fmt: skip
    """Return RDMs over conditions × blocks: 1 − cosine of the spectra in a band.

    Parameters
    ----------
    conditions : mapping of condition names to series
        Series as in `brainenc.frequency.tag`, all with the same channels and samples; or the same for several layers,
        ``{condition: {layer: series}}``.
    fs : float, optional
    band : (low, high)
        Hz, both ends taken; the constant is never one of them.
    blocks : int
        The trials of a condition are dealt into so many blocks, in turn.
    kind : {"amplitude", "itpc"}
        Of the mean over the trials of a block, or the phase locking of its trials (at least two; the Nyquist bin is left out).
    by : str, optional
        One RDM for each value of this column of the channels (roi, layer); None gives one a channel. Layers are always kept apart.
    pool : {"concatenate", "mean"}
        Channels of an RDM side by side, or their mean spectrum.
    halves : int
        Random halves of the trials of each block for the split-half reliability of the RDMs; 0 for none.
    trials : str, optional
    seed : int
    name : str
        Of the model or subject, for the table.

    Returns
    -------
    RDMs
        ``conditions``: condition (``"sentence.1"``), label, block; ``rdms``: name, the column ``by`` or channel, layer where there are some,
        n_channels, and reliability: Spearman's correlation of the RDMs of two halves, mean over the splits.

    Raises
    ------
    InputError
        Channels, samples or rates that differ between conditions; too few trials for the blocks; a band without bins.
    """
    one_of(kind, ("amplitude", "itpc"), "kind")
    one_of(pool, ("concatenate", "mean"), "pool")
    layers = _layers(conditions, fs, trials)
    tables, values = [], []
    for layer, parts in layers.items():
        first = next(iter(parts.values()))
        groups = _groups(first.channels, by)
        bins = _bins(first, band, kind)
        made = {c: _Blocks(s, bins, blocks, kind) for c, s in parts.items()}
        full = _rdms([made[c].spectra(None) for c in parts], groups, pool)
        reliability = _reliability(made, groups, pool, halves, seed, kind)
        rows = pd.DataFrame({by or "channel": list(groups), "n_channels": [len(g) for g in groups.values()], "reliability": reliability})
        if layer:
            rows = rows.drop(columns=["layer"], errors="ignore").assign(layer=layer)
        tables.append(rows.assign(name=name) if name else rows)
        values.append(full)
    labels = [(condition, block) for condition in next(iter(layers.values())) for block in range(blocks)]
    table = pd.DataFrame({"condition": [f"{c}.{b + 1}" for c, b in labels], "label": [c for c, _ in labels], "block": [b + 1 for _, b in labels]})
    facts = {"band": list(band), "kind": kind, "blocks": blocks, "pool": pool, "halves": halves, "seed": seed}
    return RDMs(np.concatenate(values), table, pd.concat(tables, ignore_index=True), metric="1 - cosine of spectra", provenance=facts)


def compare_spectra(models: RDMs, brains: RDMs, *, n: int = 1000, seed: int = 0, exchange: str = "rows") -> pd.DataFrame:
    """Return Spearman's correlation of every model RDM with every brain RDM, tested against relabelled conditions.

    Nothing is selected. For each draw the rows and columns of all model RDMs are permuted together; ``p`` compares a pair with its own
    draws, ``p_max`` with the largest of all pairs, which holds the chance of any false claim over layers and regions.

    Parameters
    ----------
    models, brains : RDMs
        Over the same conditions, from `spectrum_rdms`.
    n : int
        Draws.
    seed : int
    exchange : {"rows", "conditions"}
        What is permuted. "rows": every condition × block, under the null that the brain makes no difference between any of them; blocks of one
        condition are alike in any reliable recording, so a small p says no more than that both tell the conditions apart. "conditions":
        whole conditions with their blocks, under the null that the brain's differences between conditions are not those of the model. With
        three conditions there are only six such orders, and no p below 1/6.

    Returns
    -------
    DataFrame
        One row a pair: columns of the models' ``rdms`` with the prefix ``model_`` where both have them, of the brains', similarity, p, q (over
        pairs), p_max, and n_orders, the different orders there are.

    Notes
    -----
    The mean over layers or regions is for the reader to take over all of them; the mean of the hundred most similar channels is a selection
    on the outcome, and positive for noise.
    """
    one_of(exchange, ("rows", "conditions"), "exchange")
    if list(models.ids) != list(brains.ids):
        raise InputError("models and brains have different conditions", where="compare_spectra", expected=", ".join(models.ids), got=", ".join(brains.ids))
    labels = need_column(models.conditions, "label", "RDMs.conditions") if exchange == "conditions" else None
    first, second = (_unit_ranks(torch.from_numpy(np.array(r.values, dtype=np.float64))) for r in (models, brains))
    observed = first @ second.T
    square = to_square(first)
    hits = torch.zeros(observed.shape, dtype=torch.int64)
    maxima = np.empty(n)
    for i, order in enumerate(permutations(models.n_conditions, n, seed, "condition labels", units=labels)):
        index = torch.from_numpy(order)
        drawn = to_condensed(square[:, index][:, :, index]) @ second.T
        hits += drawn >= observed - 1e-12
        known = drawn[torch.isfinite(drawn)]
        maxima[i] = float(known.max()) if len(known) else -np.inf
    similarity = to_numpy(observed)
    p = np.where(np.isnan(similarity), np.nan, (1.0 + to_numpy(hits)) / (1.0 + n))
    reached = (maxima[:, None] >= similarity.reshape(1, -1) - 1e-12).sum(axis=0).reshape(similarity.shape)
    p_max = np.where(np.isnan(similarity), np.nan, (1.0 + reached) / (1.0 + n))
    return _table(models, brains, {"similarity": similarity, "p": p, "q": fdr_bh(p), "p_max": p_max}, _n_orders(models, labels))


class _Blocks:
    """The coefficients of one condition (n_trials, n_channels, n_bins) and which trials are of which block."""

    def __init__(self, series: Series, bins: Sequence[int], blocks: int, kind: str) -> None:
        n_trials, _, n_times = series.values.shape
        least = blocks * (2 if kind == "itpc" else 1)
        if isinstance(blocks, bool) or not isinstance(blocks, int) or blocks < 1 or n_trials < least:
            raise InputError("too few trials for the blocks", where=series.name, expected=f"at least {least}", got=n_trials)
        values = torch.from_numpy(np.array(series.values, dtype=np.float64, order="C"))
        self.z = to_numpy(spectra.fourier(values, spectra.fourier_columns(n_times, bins)))
        self.kind = kind
        self.members = [np.arange(n_trials)[b::blocks] for b in range(blocks)]

    def spectra(self, halves: Sequence[npt.NDArray[np.intp]] | None) -> Floats:
        """Return (n_blocks, n_channels, n_bins) of the trials of each block, or of the given ones of them."""
        rows = self.members if halves is None else [m[h] for m, h in zip(self.members, halves, strict=True)]
        if self.kind == "amplitude":
            return np.stack([np.abs(self.z[r].mean(axis=0)) for r in rows])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([np.abs((self.z[r] / np.abs(self.z[r])).mean(axis=0)) for r in rows])


def _layers(conditions: Mapping[str, Any], fs: float | None, trials: str | None) -> dict[str, dict[str, Series]]:
    """Return ``{layer: {condition: Series}}``, checked to be alike."""
    if not isinstance(conditions, Mapping) or len(conditions) < 2:
        wanted = "{condition: series}, at least two"
        raise InputError("spectra of conditions are compared", where="spectrum_rdms", expected=wanted, got=type(conditions).__name__)
    nested = all(isinstance(part, Mapping) for part in conditions.values())
    names = list(next(iter(conditions.values()))) if nested else [""]
    out: dict[str, dict[str, Series]] = {}
    for layer in names:
        found = {}
        for condition, part in conditions.items():
            if nested and list(part) != names:
                raise InputError("conditions have different layers", where=condition, expected=", ".join(map(str, names)), got=", ".join(map(str, part)))
            found[str(condition)] = as_series(part[layer] if nested else part, fs, trials=trials, name=str(condition))
        shapes = {(s.values.shape[1], s.values.shape[2], s.fs) for s in found.values()}
        if len(shapes) > 1:
            raise InputError("conditions differ in channels, samples or rate", where="spectrum_rdms", got=sorted(shapes))
        out[str(layer)] = found
    return out


def _groups(channels: pd.DataFrame, by: str | None) -> dict[str, npt.NDArray[np.intp]]:
    if by is None:
        return {str(name): np.array([i]) for i, name in enumerate(channels["channel"])}
    if by == "layer" and by not in channels:
        return {"all": np.arange(len(channels))}
    column = need_column(channels, by, "channels")
    return {str(v): np.flatnonzero((column == v).to_numpy()) for v in pd.unique(column.dropna())}


def _bins(series: Series, band: tuple[float, float], kind: str) -> list[int]:
    n_times = series.values.shape[2]
    frequency = np.arange(n_times // 2 + 1) * series.fs / n_times
    inside = [int(k) for k in np.flatnonzero((frequency >= band[0] - 1e-9) & (frequency <= band[1] + 1e-9)) if k > 0]
    if kind == "itpc":
        inside = [k for k in inside if 2 * k != n_times]
    if len(inside) < 2:
        raise InputError("the band holds fewer than two bins", where="band", expected=f"bins of {series.fs / n_times:g} Hz", got=band)
    return inside


def _rdms(parts: Sequence[Floats], groups: Mapping[str, npt.NDArray[np.intp]], pool: str) -> Floats:
    """Return (n_groups, n_pairs) of spectra, one (n_blocks, n_channels, n_bins) a condition."""
    whole = np.concatenate(parts)
    upper = np.triu_indices(len(whole), 1)
    out = []
    for index in groups.values():
        x = whole[:, index].mean(axis=1) if pool == "mean" else whole[:, index].reshape(len(whole), -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        out.append(1.0 - (unit @ unit.T)[upper])
    return np.stack(out)


def _reliability(made: Mapping[str, _Blocks], groups: Mapping[str, npt.NDArray[np.intp]], pool: str, halves: int, seed: int, kind: str) -> Floats:
    smallest = min(len(m) for blocks in made.values() for m in blocks.members)
    if halves < 1 or smallest < 4:
        return np.full(len(groups), np.nan)
    orders = {c: [half_orders(len(m), halves, seed, "blocks", c, b) for b, m in enumerate(blocks.members)] for c, blocks in made.items()}
    found = []
    for k in range(halves):
        pair = [_rdms([made[c].spectra([per[k][side] for per in orders[c]]) for c in made], groups, pool) for side in (0, 1)]
        a, b = (_unit_ranks(torch.from_numpy(x)) for x in pair)
        found.append(to_numpy((a * b).sum(dim=1)))
    return np.asarray(np.mean(found, axis=0))


def _unit_ranks(values: torch.Tensor) -> torch.Tensor:
    """Return centred mid-ranks of length one (n_rdms, n_pairs), NaN for an RDM with NaN or without differences."""
    ranks = midranks(values)
    centred = ranks - ranks.mean(dim=1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    lost = torch.isnan(values).any(dim=1, keepdim=True) | (length == 0)
    return torch.where(lost, torch.full_like(centred, float("nan")), centred / length)


def _n_orders(models: RDMs, labels: pd.Series | None) -> float:
    from math import factorial

    return float(factorial(models.n_conditions if labels is None else labels.nunique()))


def _table(models: RDMs, brains: RDMs, columns: Mapping[str, Floats], n_orders: float) -> pd.DataFrame:
    a, b = models.n_rdms, brains.n_rdms
    left = models.rdms.iloc[np.repeat(np.arange(a), b)].reset_index(drop=True)
    right = brains.rdms.iloc[np.tile(np.arange(b), a)].reset_index(drop=True)
    shared = set(left.columns) & set(right.columns)
    left = left.rename(columns={c: f"model_{c}" for c in shared})
    numbers = pd.DataFrame({name: values.reshape(-1) for name, values in columns.items()})
    return pd.concat([left, right, numbers.assign(n_orders=n_orders)], axis=1)
