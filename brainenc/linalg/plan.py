"""Memory bounded by construction: a budget in bytes becomes a chunk size before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from brainenc.core.checks import human_bytes, parse_bytes
from brainenc.core.errors import InputError


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """How a computation is cut: ``chunk`` columns at a time, ``group`` decompositions held at once, and the bytes that takes."""

    chunk: int
    group: int
    n_columns: int
    expected: int
    budget: int

    def __str__(self) -> str:
        n_chunks = -(-self.n_columns // self.chunk)
        return (
            f"{n_chunks} chunks of up to {self.chunk} of {self.n_columns} targets, {self.group} decompositions at once, "
            f"about {human_bytes(self.expected)} of {human_bytes(self.budget)}"
        )

    def slices(self) -> list[slice]:
        """Return the column slices, in order; together they cover every column once."""
        return [slice(start, min(start + self.chunk, self.n_columns)) for start in range(0, self.n_columns, self.chunk)]


def free_memory() -> int:
    """Return the bytes that are free for use on this machine."""
    import psutil

    return int(psutil.virtual_memory().available)


def plan_chunks(
    memory: str | int | float | None, n_columns: int, *,
    fixed: int, per_column: int, per_group: int = 0, n_groups: int = 0, smallest: int = 16, preferred: int = 512, largest: int = 4096,
) -> ChunkPlan:  # fmt: skip
    """Turn a memory budget into a chunk size.

    ``fixed + group * per_group + chunk * per_column <= memory``: first the group is made as large as leaves room for
    ``preferred`` columns, then the chunk takes what is left, up to ``largest`` (larger chunks gain no speed).

    Parameters
    ----------
    memory : str, int, float or None
        Working memory in bytes or as ``"4GB"``; None takes half of what is free now.
    n_columns : int
        Columns (targets) to be covered.
    fixed, per_column, per_group : int
        Bytes needed whatever the chunk, for one column, and for one decomposition that is held.
    n_groups : int
        Decompositions wanted at once (0: there are none).
    smallest, preferred, largest : int
        Bounds on the chunk in columns.

    Returns
    -------
    ChunkPlan

    Raises
    ------
    InputError
        If not even the smallest chunk fits; the message names the smallest workable budget.

    Examples
    --------
    >>> plan_chunks("1MB", 1000, fixed=0, per_column=8000).chunk
    125
    """
    budget = free_memory() // 2 if memory is None else parse_bytes(memory)
    columns = max(n_columns, 1)
    floor = min(smallest, columns)
    needed = fixed + (per_group if n_groups else 0) + floor * per_column
    if needed > budget:
        raise InputError(
            "the memory budget is too small", where="memory", expected=f"at least {_named(needed)}", got=human_bytes(budget),
            fix="raise memory=, use fewer features or rows, or use float32 features",
        )  # fmt: skip
    group = 0
    if n_groups:
        left = budget - fixed - min(preferred, columns) * per_column
        group = min(max(left // max(per_group, 1), 1), n_groups)
    left = budget - fixed - group * per_group
    chunk = min(max(left // max(per_column, 1), floor), largest, columns)
    # equal chunks: the last one is not left with a handful of columns
    chunk = -(-columns // -(-columns // chunk))
    return ChunkPlan(chunk, group, n_columns, fixed + group * per_group + chunk * per_column, budget)


def _named(n_bytes: int) -> str:
    """Return a size as text that is not less than it, so that the budget an error names is enough."""
    named = float(n_bytes)
    while parse_bytes(human_bytes(named)) < n_bytes:
        named *= 1.01
    return human_bytes(named)
