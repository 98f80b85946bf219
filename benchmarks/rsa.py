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

from _frame import run
from rsa_cases import CASES

if __name__ == "__main__":
    run(CASES, __doc__, __file__)
