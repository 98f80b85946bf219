"""The stream of a searchlight: blocks of centres go in, scores come out, and nothing else is kept unless it is asked for.

Centres are ordered by the size of their neighbourhood, so that those of one size are computed in one batched product. A block is
what is scored, reported and stored at a time; a batch is what is computed at a time, so small that it stays in the processor's cache.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from brainenc.core import fingerprint
from brainenc.core.checks import human_bytes, parse_bytes
from brainenc.core.errors import InputError
from brainenc.io.store import Store
from brainenc.nouns.neighbourhoods import Neighbourhoods
from brainenc.rsa._light_rdms import Keeper

logger = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
Keep = Callable[[int, Index, Floats], None]
BLOCK = 1024
BATCH_BYTES = 8 * 2**20
SCHEMA = 1


class Patterns(Protocol):
    """Prepared responses of one subject: whatever an estimator needs, for all targets at once."""

    n_pairs: int

    def rdms(self, targets: torch.Tensor) -> torch.Tensor:
        """Return RDMs (n_centres, n_pairs) of the neighbourhoods (n_centres, size)."""
        ...

    def bytes_of(self, size: int) -> int:
        """Return the working memory of one neighbourhood of ``size`` targets."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """What is computed for the centres of one space.

    Parameters
    ----------
    near : Neighbourhoods
    patterns : sequence of Patterns
        One a subject; several only where they are scored together.
    score : callable
        From one tensor of RDMs (n_centres, n_pairs) a subject to scores (n_subjects, n_centres, n_entries).
    budget : int
        Bytes of working memory of one block.
    """

    near: Neighbourhoods
    patterns: Sequence[Patterns]
    score: Callable[[list[torch.Tensor]], Floats]
    budget: int
    device: torch.device

    def blocks(self, block: int | str, *, keep: bool) -> list[Index]:
        """Return the positions of the centres of each block, whose RDMs fit the budget where they are kept."""
        order = np.argsort(self.near.sizes, kind="stable")
        n_pairs = self.patterns[0].n_pairs if keep else 1
        largest = max(1, self.budget // (2 * 8 * n_pairs * len(self.patterns)))
        if block == "auto":
            step = min(BLOCK, largest)
        elif isinstance(block, bool) or not isinstance(block, int | np.integer) or block < 1:
            raise InputError("a block is a positive number of centres", where="block", expected='"auto", 1, 2 …', got=repr(block))
        else:
            step = int(block)
        if step > largest:
            raise InputError("the memory budget is too small for this block", where="memory", got=human_bytes(self.budget), fix=f"use block={largest}")
        return [order[start : start + step] for start in range(0, len(order), step)]

    def compute(self, positions: Index, keep: Keep | None) -> Floats:
        """Return the scores (n_subjects, n_positions, n_entries) at these positions; ``keep`` is given the RDMs.

        RDMs are scored batch by batch, while they are in the cache.
        """
        scores: list[Floats] = []
        for places in self._batches(positions):
            targets = torch.from_numpy(self.near.batch(positions[places])).to(self.device)
            rdms = [patterns.rdms(targets) for patterns in self.patterns]
            scores.append(self.score(rdms))
            if keep is not None:
                for subject, found in enumerate(rdms):
                    keep(subject, positions[places], found.cpu().numpy())
        return np.concatenate(scores, axis=1)

    def _batches(self, positions: Index) -> Iterator[Index]:
        """Yield runs of consecutive positions of one size, short enough for the budget and the cache."""
        sizes = self.near.sizes[positions]
        for run in np.split(np.arange(len(positions)), np.flatnonzero(np.diff(sizes)) + 1):
            need = max(p.bytes_of(int(sizes[run[0]])) for p in self.patterns)
            if need > self.budget:
                raise InputError(
                    "one neighbourhood needs more than the memory budget", where="memory", expected=f"at least {human_bytes(need)}",
                    got=human_bytes(self.budget), fix="raise memory= or narrow the reach",
                )  # fmt: skip
            step = max(1, min(self.budget, BATCH_BYTES) // need)
            for start in range(0, len(run), step):
                yield run[start : start + step]


def run(
    stream: Stream, blocks: list[Index], *, store: Store | None, key: str, keepers: Sequence[Keeper], n_jobs: int, progress: bool | None, label: str,
) -> tuple[list[Floats], int]:  # fmt: skip
    """Return the scores (n_subjects, n_centres, n_entries) of every block, and how many of the blocks were found in the store.

    A block is put into the store when it is finished, under the sha256 of all inputs and of its centres: an interrupted run goes on
    where it stopped, and a run with any other input finds nothing.

    Parameters
    ----------
    stream : Stream
    blocks : list of ndarray
        From `Stream.blocks`.
    store : Store, optional
    key : str
        Fingerprint of all inputs.
    keepers : sequence of Keeper
        Take the RDMs of each subject; none where they are not asked for.
    n_jobs, progress, label
        Threads, the progress bar, and its name.
    """
    done = 0

    def one(positions: Index) -> tuple[Floats, bool]:
        name = fingerprint.of_json({"step": "rsa.searchlight", "schema": SCHEMA, "inputs": key, "centres": positions, "rdms": bool(keepers)})
        found = store.get(name) if store is not None else None
        if found is not None:
            for subject, keeper in enumerate(keepers):
                keeper.keep(positions, found.array(f"rdms-{subject}.npy", mmap=True))
            return found.array("scores.npy"), True
        keep: Keep | None = (lambda subject, where, rdms: keepers[subject].keep(where, rdms)) if keepers else None
        scores = stream.compute(positions, keep)
        if store is not None:
            files = {"scores.npy": scores} | {f"rdms-{subject}.npy": keeper.values[positions] for subject, keeper in enumerate(keepers)}
            store.put(name, files, meta={"step": "rsa.searchlight", "inputs": key, "n_centres": len(positions)})
        return scores, False

    from tqdm import tqdm

    out: list[Floats] = []
    total = sum(len(block) for block in blocks)
    with tqdm(total=total, desc=label, unit="centre", disable=None if progress is None else not progress) as bar:
        for positions, (scores, known) in zip(blocks, _mapped(one, blocks, n_jobs), strict=True):
            out.append(scores)
            done += known
            bar.update(len(positions))
    if done:
        logger.info("%s: %d of %d blocks were in the store", label, done, len(blocks))
    return out, done


def _mapped(function: Callable[[Index], Any], blocks: list[Index], n_jobs: int) -> Iterator[Any]:
    """Yield the results in order, from ``n_jobs`` threads: the products release the interpreter."""
    if n_jobs == 1:
        yield from map(function, blocks)
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        pending: list[Any] = []
        try:
            for block in blocks:
                pending.append(pool.submit(function, block))
                if len(pending) > 2 * n_jobs:
                    yield pending.pop(0).result()
            for future in pending:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def open_store(store: str | Path | Store | None) -> Store | None:
    """Return the store of a folder."""
    return store if store is None or isinstance(store, Store) else Store(store)


def budget_of(memory: str | int | float | None, n_jobs: int) -> int:
    """Return the bytes each of ``n_jobs`` blocks may take."""
    from brainenc.linalg.plan import free_memory

    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs < 1:
        raise InputError("n_jobs is a positive number of threads", where="n_jobs", got=repr(n_jobs))
    whole = free_memory() // 2 if memory is None else parse_bytes(memory)
    return max(1, whole // int(n_jobs))
