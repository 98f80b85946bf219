"""RSA beside rsatoolbox and mne-rsa: same inputs, same resamples, one process; ratios, peak memory, and how far the numbers differ.

    python benchmarks/rsa.py --list
    python benchmarks/rsa.py --repeat 5 --threads 1                     # every case at its full size (some peers take minutes)
    python benchmarks/rsa.py --only crossnobis --size small

A case is one function in `rsa_cases.py`, decorated with ``@case``. It takes a size ("tiny", "small" or "full"), prepares the inputs
of both sides, and returns a `Case`: ``ours`` and ``peer`` (calls without arguments that return arrays), ``difference`` (the largest
difference of their numbers, where the peer is right), ``flops`` (the products that cannot be avoided, if that floor is meant) and ``share``
(a peer that would run for many minutes is given this part of the work; its time is divided by it, which the table marks with a star).
Times are medians of interleaved runs on the wall (a peer above ``--patience`` seconds runs once); "cpu" is the ratio of processor
seconds of the same runs, steadier where other programs run. Memory is the growth of a fresh process over the inputs. "floor" is the
share of our time that the unavoidable products would take at this machine's measured rate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import warnings
from statistics import median

import rsa_cases
from _measure import clocked, gemm_rate, peak, use_threads


def measure(name: str, size: str, repeat: int, patience: float, threads: int) -> str:
    """Return one line of the table."""
    case = rsa_cases.build(name, size)
    ours, theirs = [], []
    difference = float("nan")
    for run in range(repeat + 1):  # the first run of ours warms up and is not counted
        *clock, mine = clocked(case.ours)
        if run:
            ours.append(clock)
        if case.peer is not None and (not theirs or (run and theirs[-1][0] < patience)):
            *clock, other = clocked(case.peer)
            theirs.append(clock)
            if case.difference is not None and len(theirs) == 1:
                difference = case.difference(mine, other)
    wall, cpu = (median(clock[i] for clock in ours) for i in (0, 1))
    spread = f"{min(c[0] for c in ours) / wall:.2f}-{max(c[0] for c in ours) / wall:.2f}"
    memory = {side: _memory(name, size, side, threads) for side in ("ours", "peer") if getattr(case, side) is not None}
    ratio = [f"{median(clock[i] for clock in theirs) / case.share / one:8.1f}" if theirs else f"{'':8s}" for i, one in ((0, wall), (1, cpu))]
    floor = case.flops / gemm_rate(case.dtype) / wall if case.flops else float("nan")
    mb = " ".join(f"{memory[side] / 1e6:8.0f}" if side in memory else f"{'':8s}" for side in ("ours", "peer"))
    against = f"{case.against}{'*' if case.share < 1 else ''}"
    return f"{name:38s} {against:12s} {ratio[0]} {ratio[1]}  {spread:>10s} {mb} {difference:12.1e} {floor:6.2f}"


def _memory(name: str, size: str, side: str, threads: int) -> int:
    command = [sys.executable, __file__, "--only", name, "--size", size, "--threads", str(threads), "--measure-memory", side]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="a case, repeatable")
    parser.add_argument("--list", action="store_true", help="print the cases and stop")
    parser.add_argument("--size", choices=("tiny", "small", "full"), default="full")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--patience", type=float, default=20.0, help="a peer slower than this many seconds runs once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure-memory", choices=("ours", "peer"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")  # the peers' own
    use_threads(args.threads)
    names = args.only or rsa_cases.names()
    if args.list:
        print("\n".join(f"{name:38s} {rsa_cases.describe(name)}" for name in names))
        return
    if args.measure_memory:
        getattr(rsa_cases.build(names[0], "tiny"), args.measure_memory)()  # imports and thread pools are not the method's memory
        print(json.dumps(peak(getattr(rsa_cases.build(names[0], args.size), args.measure_memory))))
        return
    print(f"size {args.size}, {args.threads} threads, {args.repeat} runs; time and cpu: peer / ours")
    head = f"{'time':>8s} {'cpu':>8s}  {'spread':>10s} {'ours MB':>8s} {'peer MB':>8s} {'difference':>12s} {'floor':>6s}"
    print(f"{'case':38s} {'peer':12s} {head}")
    for name in names:
        print(measure(name, args.size, args.repeat, args.patience, args.threads), flush=True)


if __name__ == "__main__":
    main()
