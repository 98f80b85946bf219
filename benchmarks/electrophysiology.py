"""Encoding of EEG and MEG beside scikit-learn and mne: every sensor at every moment, and temporal receptive fields; ratios and peak memory.

    python benchmarks/electrophysiology.py --list
    python benchmarks/electrophysiology.py --repeat 5 --threads 1 --markdown      # every case at its full size (the peers take minutes)
    python benchmarks/electrophysiology.py --only moments-at-once --size small

A case is one function in `electrophysiology_cases.py`, decorated with ``@case``; see `_frame.py` for what the columns mean. Both sides get the same
arrays, penalties and folds, and give held-out correlations of every target in every fold: "difference" is the largest difference of these.
"""

from __future__ import annotations

from _frame import run
from electrophysiology_cases import CASES

if __name__ == "__main__":
    run(CASES, __doc__, __file__)
