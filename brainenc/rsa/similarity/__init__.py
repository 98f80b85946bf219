"""Similarity of two representations of the same stimuli: CKA, CCA, shape metrics, neighbours, kernel analysis.

Every measure takes arrays (n_samples, n_features), `FeatureSpace` or `Responses` (matched by stimulus_id), or mappings of them, which
give a table of all pairs. A measure whose name ends in ``_distance`` is a distance (0 for equal representations); all others are
similarities. One measure is one file in ``kinds/``. The names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.lazy import lazy

if TYPE_CHECKING:
    from brainenc.rsa.similarity.analysing import KernelAnalysis, kernel_analysis
    from brainenc.rsa.similarity.batches import minibatch_cka
    from brainenc.rsa.similarity.kinds.cca import canonical_correlations, cca
    from brainenc.rsa.similarity.kinds.cka import cka
    from brainenc.rsa.similarity.kinds.cknna import cknna
    from brainenc.rsa.similarity.kinds.distance_correlation import distance_correlation
    from brainenc.rsa.similarity.kinds.linear_predictivity import linear_predictivity
    from brainenc.rsa.similarity.kinds.mutual_knn import mutual_knn
    from brainenc.rsa.similarity.kinds.procrustes_distance import procrustes_distance
    from brainenc.rsa.similarity.kinds.pwcca import pwcca
    from brainenc.rsa.similarity.kinds.shape_distance import shape_distance
    from brainenc.rsa.similarity.kinds.ssm import ssm
    from brainenc.rsa.similarity.kinds.svcca import svcca
    from brainenc.rsa.similarity.pairing import matrix, names
    from brainenc.rsa.similarity.predicting import predicted_rdms, predicted_rsa
    from brainenc.rsa.similarity.significance import similarity_test
    from brainenc.rsa.similarity.subsampling import pseudo_depth, subsample_stability

_WHERE = {
    "KernelAnalysis": "analysing",
    "canonical_correlations": "kinds.cca",
    "cca": "kinds.cca",
    "cka": "kinds.cka",
    "cknna": "kinds.cknna",
    "distance_correlation": "kinds.distance_correlation",
    "kernel_analysis": "analysing",
    "linear_predictivity": "kinds.linear_predictivity",
    "matrix": "pairing",
    "minibatch_cka": "batches",
    "mutual_knn": "kinds.mutual_knn",
    "names": "pairing",
    "predicted_rdms": "predicting",
    "predicted_rsa": "predicting",
    "procrustes_distance": "kinds.procrustes_distance",
    "pseudo_depth": "subsampling",
    "pwcca": "kinds.pwcca",
    "shape_distance": "kinds.shape_distance",
    "similarity_test": "significance",
    "ssm": "kinds.ssm",
    "subsample_stability": "subsampling",
    "svcca": "kinds.svcca",
}

__all__ = [
    "KernelAnalysis",
    "canonical_correlations",
    "cca",
    "cka",
    "cknna",
    "distance_correlation",
    "kernel_analysis",
    "linear_predictivity",
    "matrix",
    "minibatch_cka",
    "mutual_knn",
    "names",
    "predicted_rdms",
    "predicted_rsa",
    "procrustes_distance",
    "pseudo_depth",
    "pwcca",
    "shape_distance",
    "similarity_test",
    "ssm",
    "subsample_stability",
    "svcca",
]

__getattr__ = lazy(__name__, _WHERE)


def __dir__() -> list[str]:
    return sorted(__all__)
