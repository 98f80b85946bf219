"""How RDMs were compared, in sentences, and what speaks against the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from brainenc.nouns import Evaluation, RDMs
from brainenc.reporting.methods import SIMULATED

FEW_CONDITIONS = 20
FEW_SUBJECTS = 5
_POSITIVE = ("cosine_similarity", "whitened_cosine_similarity", "bures_similarity")  # of dissimilarities that are above zero
_COMPARISONS = {
    "pearson": "Pearson's correlation of the pairs", "spearman": "Spearman's correlation of the pairs (mid-ranks)",
    "rho_a": "ρ-a of the pairs (ranks, ties counted as half right)", "tau_a": "Kendall's τ-a of the pairs", "tau_b": "Kendall's τ-b of the pairs",
    "cosine_similarity": "the cosine of the pairs", "whitened_cosine_similarity": "the whitened cosine (equal to linear CKA for independent conditions)",
    "whitened_pearson": "the whitened Pearson correlation", "bures_similarity": "the Bures similarity of the second-moment matrices",
    "bures_distance": "the Bures distance of the second-moment matrices", "riemannian_distance": "the Riemannian distance of the second-moment matrices",
}  # fmt: skip


def methods(evaluation: Evaluation, data: RDMs | None, models: RDMs | None, options: Mapping[str, Any], versions: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (topic, sentence) pairs that together say how every number was made."""
    lines = [
        ("Data", _data(evaluation, data)),
        ("RDMs of the data", _data_rdms(data, options)),
        ("RDMs of the models", _model_rdms(models)),
        ("Comparison", f"{_first(comparison_words(evaluation.method))}, for each subject, then the mean over subjects."),
        ("Noise ceiling", _ceiling(evaluation)),
        ("Intervals", _intervals(evaluation)),
        ("Significance", _significance(evaluation)),
        ("Claims", _claims(evaluation)),
        ("Left out", _left_out(evaluation)),
        ("Seeds", f"Everything that is drawn comes from seed {evaluation.seed}; all groups, subjects and models share the same draws."),
        ("Software", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]  # fmt: skip
    return [(topic, text) for topic, text in lines if text]


def caveats(evaluation: Evaluation, data: RDMs | None, frame: pd.DataFrame) -> list[str]:
    """Return what a careful reader should hold against the numbers."""
    found = [SIMULATED] if is_simulated_data(data) else []
    n_groups, n_subjects, n_models = evaluation.scores.shape
    void = int(frame["claim"].fillna("").str.startswith("no claim").to_numpy().reshape(n_groups, n_models).any(axis=1).sum()) if n_models else 0
    if void:
        found.append(f"In {void} of {n_groups} groups nothing may be claimed: the lower noise ceiling cannot be told from zero.")
    if n_models > 1:
        found.append(f"The best of {n_models} layers was chosen on the data that are shown, so its score is optimistic; the tests of pairs are not affected.")
    if evaluation.n_draws and "subjects" not in evaluation.resampled:
        found.append("Conditions alone were resampled: intervals and tests speak of other stimuli, not of other people.")
    elif evaluation.n_draws and "conditions" not in evaluation.resampled:
        found.append("Subjects alone were resampled: intervals and tests speak of other people, not of other stimuli.")
    if n_subjects < FEW_SUBJECTS:
        found.append(f"{n_subjects} subject{'' if n_subjects == 1 else 's'}: the gap between the ceilings is wide, and their place uncertain.")
    if evaluation.n_conditions < FEW_CONDITIONS:
        found.append(f"{evaluation.n_conditions} conditions give few independent pairs.")
    if evaluation.ceiling is None:
        found.append("There is no noise ceiling, so a low score may mean a poor model or noisy data.")
    found.append("A layer with a similar geometry is not thereby the mechanism; groups differ in noise, so read scores beside their ceilings.")
    return found


def comparison_words(method: str) -> str:
    """Return a comparison in words."""
    return _COMPARISONS.get(method, method.replace("_", " "))


def is_simulated_data(data: RDMs | None) -> bool:
    """Return whether the data say that they are simulated."""
    return data is not None and bool(data.provenance.get("simulated"))


def _data(evaluation: Evaluation, data: RDMs | None) -> str:
    n_groups, n_subjects, n_models = evaluation.scores.shape
    facts = {} if data is None else data.provenance
    name = str(facts.get("title") or facts.get("data set") or facts.get("dataset") or "")
    groups = ", ".join(str(column) for column in evaluation.groups)
    where = "" if list(evaluation.groups) == ["group"] else f" in {n_groups} groups ({groups})"
    who = f"{n_subjects} subject{'' if n_subjects == 1 else 's'}{where}"
    n_families = evaluation.models["model"].nunique()
    what = f"{n_models} layer{'' if n_models == 1 else 's'} of {n_families} model{'' if n_families == 1 else 's'}"
    text = f"{f'{name}: ' if name else ''}{evaluation.n_conditions} conditions, {who}; {what}."
    return f"{text} {_first(str(facts['citation']))}" if facts.get("citation") else text


def _data_rdms(data: RDMs | None, options: Mapping[str, Any]) -> str:
    if data is None:
        return ""
    facts = dict(data.provenance)
    if "files" in facts:
        return f"As the data set holds them: {data.metric}."
    parts = [f"Metric: {data.metric}, over the targets of each group, from the mean response to each condition"]
    if facts.get("n_folds"):
        parts.append(f"{facts['n_folds']} folds ({options.get('folds') or 'run'})")
    if facts.get("noise", "none") != "none":
        parts.append(f"noise covariance: {facts['noise']}")
    return "; ".join(parts) + "."


def _model_rdms(models: RDMs | None) -> str:
    return "" if models is None else f"Metric: {models.metric}, over the features of each layer, one row of features a condition."


def _ceiling(evaluation: Evaluation) -> str:
    if evaluation.ceiling is None:
        return "None: it takes at least two subjects." if evaluation.scores.shape[1] < 2 else "None was computed."
    return (
        "Lower: the mean comparison of each subject's RDM with the pooled RDM of the others; upper: with the pooled RDM of all. "
        "They bound what the best possible model would reach, given how much the subjects differ."
    )


def _claims(evaluation: Evaluation) -> str:
    if evaluation.ceiling is None or evaluation.kind == "distance":
        return ""
    text = ("Nothing is claimed of a group in which the 95 % interval of the lower ceiling includes zero, or is not known: its subjects share nothing "
            "that could be told from noise")  # fmt: skip
    if evaluation.method in _POSITIVE:
        return f"{text}. By this comparison RDMs of noise are alike too, so the ceilings alone do not show that there is a signal."
    return f"{text}, and for S subjects of pure noise the upper ceiling alone is 1/√S."


def _intervals(evaluation: Evaluation) -> str:
    if not evaluation.n_draws:
        return "From the spread over subjects (no bootstrap)." if np.isfinite(evaluation.dof) else "None: nothing was resampled."
    factors = " and ".join(evaluation.resampled)
    both = " with the variances of both factors separated and corrected for their numbers" if len(evaluation.resampled) > 1 else ""
    return f"{evaluation.n_draws} bootstrap samples of {factors}{both}; 95 % t-intervals with {evaluation.dof:g} degrees of freedom."


def _significance(evaluation: Evaluation) -> str:
    if evaluation.p is not None:
        n = evaluation.provenance.get("n_permutations")
        count = f"{n} relabellings" if isinstance(n, int) else "relabellings"
        test = f"p from {count} of the conditions (Mantel), one-sided, (1 + hits)/(1 + n)"
    elif np.isfinite(evaluation.to_frame()["p"]).any():
        test = "p from one-sided t-tests against zero with the variance of the intervals"
    elif np.isfinite(evaluation.dof):
        return ("No test against zero: unrelated RDMs do not have a comparison of zero on average (permutations would tell). Pairs of layers: two-sided "
                "t-tests, q over all pairs.")  # fmt: skip
    else:
        return "Not tested: nothing says how the scores vary."
    return f"{test}; q: false discovery rate over all groups and layers (Benjamini-Hochberg). Pairs of layers: two-sided t-tests, q over all pairs."


def _left_out(evaluation: Evaluation) -> str:
    lost = int(np.isnan(evaluation.scores).sum())
    facts = evaluation.provenance
    parts = [f"{lost} of {evaluation.scores.size} subject-layer scores could not be computed"] if lost else []
    for key, words in (("n_pairs_left_out", "pairs without a value were left out"), ("n_failed_draws", "bootstrap samples could not be scored")):
        worst = max((int(count) for count in facts.get(key) or ()), default=0)
        parts += [f"at most {worst} {words} in a group"] if worst else []
    several = max((int(count) for count in facts.get("n_averaged") or ()), default=1)
    parts += [f"up to {several} RDMs of a subject in a group were averaged first"] if several > 1 else []
    return _first("; ".join(parts)) + "." if parts else ""


def _first(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
