"""The frame of the benchmarks: cases in one file, a table of ratios, memory of fresh processes.

A case is one function that takes a size ("tiny", "small" or "full"), prepares the inputs of both sides, and returns a `Case`.
Times are medians of interleaved runs on the wall after a warm-up (a peer above ``--patience`` seconds runs once, and without warming
up); "spread" gives the fastest and slowest run of each side over its median; "cpu" is the ratio of processor seconds of the same runs,
steadier where other programs run. Memory is the growth of a fresh process over the inputs. "floor" is the share of our time that the
unavoidable products would take at this machine's measured rate. A peer marked * was given a share of the work and its time is divided
by it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from _measure import clocked, gemm_rate, peak, use_threads

Call = Callable[[], Any]
_HEAD = ("case", "peer", "time", "cpu", "spread", "ours MB", "peer MB", "difference", "floor", "remarks")
_WIDTHS = (38, 12, 8, 8, 21, 8, 8, 12, 6, 0)
_MODULES = {"mne-rsa": "mne_rsa", "scikit-learn": "sklearn", "ourselves": "brainenc"}


@dataclass(frozen=True, slots=True)
class Case:
    """Two ways to the same numbers; ``peer`` is None where the peer is not installed."""

    ours: Call
    peer: Call | None = None
    difference: Callable[[Any, Any], float] | None = None
    against: str = "rsatoolbox"
    flops: float = 0.0  # of the products that cannot be avoided
    dtype: str = "float64"
    share: float = 1.0  # of the work that the peer is given: its time is divided by it
    remarks: Callable[[Any, Any], str] | None = None  # of our result and the peer's (None without one), not timed


class Cases:
    """The cases of one file, in its order."""

    def __init__(self) -> None:
        self._made: dict[str, Callable[[str], Case]] = {}

    def add(self, build: Callable[[str], Case]) -> Callable[[str], Case]:
        """Register a case under the name of its function, underscores written as dashes."""
        self._made[build.__name__.replace("_", "-")] = build
        return build

    def names(self) -> list[str]:
        """Return the names of all cases in the order of their file."""
        return list(self._made)

    def describe(self, name: str) -> str:
        """Return the first line of a case's docstring."""
        return (self._made[name].__doc__ or "").strip().splitlines()[0]

    def build(self, name: str, size: str) -> Case:
        """Return one case with its inputs made."""
        if name not in self._made:
            raise SystemExit(f"unknown case {name!r}: one of {', '.join(self._made)}")
        made = self._made[name](size)
        installed = importlib.util.find_spec(_MODULES.get(made.against, made.against))
        return made if installed else replace(made, peer=None, difference=None)


def largest(mine: Any, other: Any) -> float:
    """Return the largest difference, relative to the largest number of the peer."""
    a, b = np.asarray(mine, dtype=float), np.asarray(other, dtype=float)
    return float(np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(b)))


def at(size: str, tiny: Any, small: Any, full: Any) -> Any:
    """Return the numbers of a size."""
    return {"tiny": tiny, "small": small, "full": full}[size]


def measure(cases: Cases, name: str, args: argparse.Namespace, file: str) -> list[str]:
    """Return the cells of one line of the table."""
    case = cases.build(name, args.size)
    ours, theirs = [], []
    difference, remarks = float("nan"), ""
    for run in range(args.repeat + 1):  # the first run of each warms up and is not counted
        *clock, mine = clocked(case.ours)
        if run:
            ours.append(clock)
        if case.peer is not None and (not theirs or theirs[-1][0] < args.patience):
            *clock, other = clocked(case.peer)
            theirs = [clock] if run <= 1 else [*theirs, clock]
            if case.difference is not None and not run:
                difference = case.difference(mine, other)
    if case.remarks is not None:
        remarks = case.remarks(mine, other if theirs else None)
    wall, cpu = (median(clock[i] for clock in ours) for i in (0, 1))
    ratio = [f"{median(clock[i] for clock in theirs) / case.share / one:.1f}" if theirs else "" for i, one in ((0, wall), (1, cpu))]
    memory = [f"{_memory(name, args, side, file) / 1e6:.0f}" if getattr(case, side) is not None else "" for side in ("ours", "peer")]
    return [
        name, f"{case.against}{'*' if case.share < 1 else ''}", *ratio, " / ".join(map(_spread, filter(None, (ours, theirs)))), *memory,
        "" if np.isnan(difference) else f"{difference:.1e}", f"{case.flops / gemm_rate(case.dtype) / wall:.2f}" if case.flops else "", remarks,
    ]  # fmt: skip


def run(cases: Cases, doc: str | None, file: str) -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="a case, repeatable")
    parser.add_argument("--list", action="store_true", help="print the cases and stop")
    parser.add_argument("--size", choices=("tiny", "small", "full"), default="full")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--patience", type=float, default=20.0, help="a peer slower than this many seconds runs once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--measure-memory", choices=("ours", "peer"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")  # the peers' own
    use_threads(args.threads)
    names = args.only or cases.names()
    if args.list:
        print("\n".join(f"{name:38s} {cases.describe(name)}" for name in names))
        return
    if args.measure_memory:
        getattr(cases.build(names[0], "tiny"), args.measure_memory)()  # imports and thread pools are not the method's memory
        print(json.dumps(peak(getattr(cases.build(names[0], args.size), args.measure_memory))))
        return
    print(f"size {args.size}, {args.threads} threads, {args.repeat} runs; time and cpu: peer / ours\n")
    _print(list(_HEAD), args.markdown)
    if args.markdown:
        print("|" + "|".join("---" for _ in _HEAD) + "|")
    for name in names:
        _print(measure(cases, name, args, file), args.markdown)


def _spread(clocks: list[list[float]]) -> str:
    walls = [clock[0] for clock in clocks]
    return f"{min(walls) / median(walls):.2f}-{max(walls) / median(walls):.2f}"


def _memory(name: str, args: argparse.Namespace, side: str, file: str) -> int:
    command = [sys.executable, file, "--only", name, "--size", args.size, "--threads", str(args.threads), "--measure-memory", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout.splitlines()[-1]))


def _print(cells: list[str], markdown: bool) -> None:
    if markdown:
        print("| " + " | ".join(cells) + " |", flush=True)
        return
    print(" ".join(f"{cell:<{width}}" if i < 2 else f"{cell:>{width}}" for i, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))), flush=True)
