"""Scores, noise ceilings, and the only place that draws permutations and bootstraps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.metrics._intervals import bootstrap_interval
    from brainenc.metrics.ceilings import ceiling_methods, from_repeats
    from brainenc.metrics.ceilings_elsewhere import from_standard_errors, from_subjects
    from brainenc.metrics.ceilings_halves import from_halves
    from brainenc.metrics.corrected import Corrected, cc_norm, signal_power_explained, unbiased_r2
    from brainenc.metrics.multiple import fdr_bh, fdr_by
    from brainenc.metrics.resample import (
        bootstrap_pearson,
        bootstrap_r2,
        bootstrap_weights,
        fold_labels,
        permutation_p,
        permutations,
        permuted,
        random_halves,
        rotations,
        shifts,
        sign_flips,
    )
    from brainenc.metrics.scores import get, names, pearson, r2

_PUBLIC = {
    "Corrected": "corrected",
    "bootstrap_interval": "_intervals",
    "bootstrap_pearson": "resample",
    "bootstrap_r2": "resample",
    "bootstrap_weights": "resample",
    "cc_norm": "corrected",
    "ceiling_methods": "ceilings",
    "fdr_bh": "multiple",
    "fdr_by": "multiple",
    "fold_labels": "resample",
    "from_halves": "ceilings_halves",
    "from_repeats": "ceilings",
    "from_standard_errors": "ceilings_elsewhere",
    "from_subjects": "ceilings_elsewhere",
    "get": "scores",
    "names": "scores",
    "pearson": "scores",
    "permutation_p": "resample",
    "permutations": "resample",
    "permuted": "resample",
    "r2": "scores",
    "random_halves": "resample",
    "rotations": "resample",
    "shifts": "resample",
    "sign_flips": "resample",
    "signal_power_explained": "corrected",
    "unbiased_r2": "corrected",
}

__all__ = [
    "Corrected",
    "bootstrap_interval",
    "bootstrap_pearson",
    "bootstrap_r2",
    "bootstrap_weights",
    "cc_norm",
    "ceiling_methods",
    "fdr_bh",
    "fdr_by",
    "fold_labels",
    "from_halves",
    "from_repeats",
    "from_standard_errors",
    "from_subjects",
    "get",
    "names",
    "pearson",
    "permutation_p",
    "permutations",
    "permuted",
    "r2",
    "random_halves",
    "rotations",
    "shifts",
    "sign_flips",
    "signal_power_explained",
    "unbiased_r2",
]

__getattr__ = lazy(__name__, _PUBLIC)
