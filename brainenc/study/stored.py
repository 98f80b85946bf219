"""What finished tasks left in the store, read back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brainenc.core.errors import DataError
from brainenc.io.store import Entry, Store
from brainenc.nouns import RDMs, Scores

SCORES = "scores.npz"  # without predictions
FULL = "full.npz"  # with them, where they are kept
DISSIMILARITIES = "rdms.npz"


def read_scores(store: Store, key: str, *, full: bool = False) -> Scores:
    """Return the scores of one task; ``full`` with predictions, where they were kept.

    Raises
    ------
    DataError
        When the entry is not there or damaged.
    """
    entry = _entry(store, key)
    return _read(entry, FULL if full and FULL in entry.files else SCORES, Scores)


def read_rdms(store: Store, key: str) -> RDMs:
    """Return the RDMs of one task, or raise as `read_scores` does."""
    return _read(_entry(store, key), DISSIMILARITIES, RDMs)


def stack(scores: Sequence[Scores]) -> Scores:
    """Join the scores of one unit and one split seed, layer after layer."""
    return scores[0] if len(scores) == 1 else Scores.stack(scores)


def _entry(store: Store, key: str) -> Entry:
    entry = store.get(key)
    if entry is None:
        raise DataError("a finished task is missing from the store, or damaged", where=store.root, got=key[:12], fix="start the run again: it is computed anew")
    return entry


def _read(entry: Entry, name: str, kind: type[Any]) -> Any:
    from brainenc.nouns import read

    noun = read(entry.file(name))
    if not isinstance(noun, kind):
        raise DataError(f"store entry holds no {kind.__name__}", where=entry.path)
    return noun
