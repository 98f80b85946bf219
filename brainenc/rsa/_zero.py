"""Where a score of zero is what unrelated RDMs have, and where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainenc.core.errors import InputError
from brainenc.core.registry import Registry

if TYPE_CHECKING:
    from brainenc.nouns.evaluation import Evaluation

COMPARATORS = Registry("brainenc.rsa.comparators", "RDM comparator")
ESTIMATORS = Registry("brainenc.rsa.estimators", "metric of dissimilarity")


def unrelated_score_zero(evaluation: Evaluation) -> bool:
    """Return whether a model that has nothing to do with the data scores zero on average.

    Not for distances, and not for comparators that keep the mean of an RDM (cosines, Bures similarity): dissimilarities are above zero as a
    whole, and so is the cosine of any two RDMs. A comparator that is not registered is taken at its word.
    """
    if evaluation.kind == "distance":
        return False
    known = evaluation.method in COMPARATORS.names()
    return bool(getattr(COMPARATORS.get(evaluation.method), "ZERO_IS_NULL", True)) if known else True


def check_zero(evaluation: Evaluation, where: str) -> None:
    """Refuse a test against zero where noise alone has scores above it.

    Cosines of cross-validated dissimilarities are let through: without any difference between conditions those are zero on average. A cosine
    above zero then says that there are differences, and not yet that they are those of the model.
    """
    if evaluation.kind == "distance":
        raise InputError("a distance is never below zero, so zero is no null", where=where, got=evaluation.method,
                         fix='use permutations, or test(against="pairs")')  # fmt: skip
    metric = str(evaluation.provenance.get("metric", ""))
    crossvalidated = metric in ESTIMATORS.names() and ESTIMATORS.get(metric).CROSSVALIDATED
    if not unrelated_score_zero(evaluation) and not (crossvalidated and evaluation.method != "bures_similarity"):
        raise InputError("RDMs of noise have a score above zero too, so zero is no null", where=where, got=f"{evaluation.method} of {metric or 'unknown'} RDMs",
                         fix='use permutations, test(against="pairs"), a comparator that centres (pearson, whitened_pearson), or crossnobis RDMs')  # fmt: skip
