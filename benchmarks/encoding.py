"""Encoding models beside himalaya (both of its paths) and scikit-learn: same data, penalties and folds, one process; ratios and peak memory.

    python benchmarks/encoding.py --list
    python benchmarks/encoding.py --repeat 5 --threads 1 --markdown          # every case at its full size (the peer takes minutes)
    python benchmarks/encoding.py --only folds-2000x800 --only hybrid-1000x2000

A case is one function in `encoding_cases.py`, decorated with ``@case``; see `_frame.py` for what the columns mean. Only fits are timed.
Remarks are taken on other rows: the share of targets whose penalty is the peer's or a step of the grid beside it, and our mean held-out
correlation minus the peer's. Fits are in float32.
"""

from __future__ import annotations

from _frame import run
from encoding_cases import CASES

if __name__ == "__main__":
    run(CASES, __doc__, __file__)
