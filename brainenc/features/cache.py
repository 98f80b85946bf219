"""Features on disk: one entry a layer, written through shards so that a killed extraction goes on where it was.

Keys are hashes of everything that the values depend on: the stimuli's contents and order, the model with its weights and
preprocessing, the layer, the pooling, the reduction, the precision and the version of this step.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.core.checks import human_bytes, parse_bytes
from brainenc.core.errors import InputError
from brainenc.core.fingerprint import of_json
from brainenc.io.atomic import free_bytes
from brainenc.io.paths import cache_dir
from brainenc.io.store import Entry, Store

logger = logging.getLogger(__name__)

VERSION = 1
BUDGET = 20 * 10**9
SHARD_BYTES = 128 * 10**6
VALUES = "values.npy"


@dataclass(frozen=True, slots=True)
class Plan:
    """The layers that must be computed: their names, widths and keys, for ``n`` stimuli."""

    n: int
    names: tuple[str, ...]
    widths: tuple[int, ...]
    keys: tuple[str, ...]

    @property
    def n_bytes(self) -> int:
        """Size of the result in float32."""
        return 4 * self.n * sum(self.widths)

    @property
    def shard_rows(self) -> int:
        """Stimuli in a shard: a power of two from 16 to 4096 that keeps a shard of all layers near 128 MB."""
        rows = max(1, SHARD_BYTES // max(1, 4 * sum(self.widths)))
        return int(2 ** np.clip(np.floor(np.log2(rows)), 4, 12))

    @property
    def shards(self) -> list[tuple[int, int]]:
        """First row and end of each shard."""
        return [(at, min(at + self.shard_rows, self.n)) for at in range(0, self.n, self.shard_rows)]

    def shard_key(self, start: int, stop: int) -> str:
        """Return the key of one shard: of the same layers, whatever the batch size."""
        return of_json({"step": "features shard", "layers": list(self.keys), "rows": [start, stop]})


def open_store(cache: str | Path | bool | None) -> Store | None:
    """Return the store of features: a folder, the user's cache when None, nothing when False."""
    if cache is False:
        return None
    if cache is True:
        cache = None
    return Store(Path(cache).expanduser() if cache is not None else cache_dir() / "features")


def layer_key(**parts: Any) -> str:
    """Return the key of one layer's entry."""
    return of_json({"step": "features", "version": VERSION, **parts})


def check_budget(plan: Plan, budget: str | int | float, place: Path | None) -> None:
    """Raise `InputError` where the result is larger than may be written, with its size and the remedies.

    ``"auto"`` is 20 GB or half of the free disk, whichever is less.
    """
    if budget == "auto":
        allowed = min(BUDGET, free_bytes(place) // 2) if place is not None else BUDGET
    else:
        allowed = parse_bytes(budget)
    if plan.n_bytes <= allowed:
        return
    order = np.argsort(plan.widths)[::-1][:3]
    largest = ", ".join(f"{plan.names[i]} ({human_bytes(4 * plan.n * plan.widths[i])})" for i in order)
    raise InputError(
        f"these features would take {human_bytes(plan.n_bytes)}: {plan.n} stimuli × {sum(plan.widths)} features in {len(plan.names)} layers",
        where=f"largest: {largest}",
        expected=f"at most {human_bytes(allowed)}",
        fix='use pooling="gap" or "grid4", reduce="srp:2000", fewer layers, or raise disk_budget=',
    )


def read_shard(store: Store, plan: Plan, start: int, stop: int) -> Entry | None:
    """Return a shard that an earlier run left, or None."""
    return store.get(plan.shard_key(start, stop))


def write_shard(store: Store, plan: Plan, start: int, stop: int, blocks: Sequence[npt.NDArray[np.float32]]) -> None:
    """Keep the rows of one shard, all layers together."""
    files = {f"{i}.npy": block for i, block in enumerate(blocks)}
    store.put(plan.shard_key(start, stop), files, {"step": "features shard", "layers": list(plan.names), "rows": [start, stop]})


def write_layers(store: Store, plan: Plan, blocks: Sequence[npt.NDArray[np.float32]], metas: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Write the entries of layers whose rows are all in memory."""
    return [store.put(key, {VALUES: block}, meta) for key, block, meta in zip(plan.keys, blocks, metas, strict=True)]


def join_shards(store: Store, plan: Plan, metas: Sequence[Mapping[str, Any]]) -> list[Entry] | None:
    """Join all shards to one entry a layer and remove them; None where another process removed one meanwhile."""
    found = [store.get(plan.shard_key(start, stop), verify="size") for start, stop in plan.shards]
    if any(shard is None for shard in found):
        return None
    entries = []
    for i, (key, width, meta) in enumerate(zip(plan.keys, plan.widths, metas, strict=True)):

        def write(path: Path, i: int = i, width: int = width) -> None:
            out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(plan.n, width))
            for (start, stop), shard in zip(plan.shards, found, strict=True):
                assert shard is not None
                out[start:stop] = shard.array(f"{i}.npy", mmap=True)
            out.flush()

        entries.append(store.put(key, {VALUES: write}, meta))
    for start, stop in plan.shards:
        store.remove(plan.shard_key(start, stop))
    return entries
