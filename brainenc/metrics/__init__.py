"""Scores, noise ceilings, and the only place that draws permutations and bootstraps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.metrics.ceilings import from_repeats
    from brainenc.metrics.multiple import fdr_bh, fdr_by
    from brainenc.metrics.resample import bootstrap_pearson, bootstrap_weights, fold_labels, permutation_p, permutations, shifts, sign_flips
    from brainenc.metrics.scores import get, names, pearson, r2

_PUBLIC = {
    "bootstrap_pearson": "resample",
    "bootstrap_weights": "resample",
    "fdr_bh": "multiple",
    "fdr_by": "multiple",
    "fold_labels": "resample",
    "from_repeats": "ceilings",
    "get": "scores",
    "names": "scores",
    "pearson": "scores",
    "permutation_p": "resample",
    "permutations": "resample",
    "r2": "scores",
    "shifts": "resample",
    "sign_flips": "resample",
}

__all__ = [
    "bootstrap_pearson",
    "bootstrap_weights",
    "fdr_bh",
    "fdr_by",
    "fold_labels",
    "from_repeats",
    "get",
    "names",
    "pearson",
    "permutation_p",
    "permutations",
    "r2",
    "shifts",
    "sign_flips",
]

__getattr__ = lazy(__name__, _PUBLIC)
