"""How the scores were made, in sentences, and what speaks against them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from brainenc.nouns import Scores
from brainenc.nouns.ceiling import METRIC_UNITS
from brainenc.viz.style import score_label
from brainenc.viz.summaries import Summary, ceiling_reason, ceiling_words, metrics_of

SIMULATED = "These responses are simulated: the scores test the method, not a brain."
HIGH_EDGE_SHARE = 0.2
FEW_TEST_ROWS = 50


def methods(scores: Scores, table: Summary) -> list[tuple[str, str]]:
    """Return (topic, sentence) pairs that together say how every number was made."""
    facts = dict(scores.provenance)
    n_test = scores.n_test.sum(axis=0)
    n_test = n_test[n_test > 0]
    lines = [
        ("Data", _data(scores, table, facts)),
        ("Split", f"{scores.split}: {_rows(scores, n_test)}{_trained(facts)}"),
        ("Rows", _by_subject(facts.get("average"), "{}")),
        ("Encoder", _encoder(facts)),
        ("Penalties", _penalties(scores, facts)),
        (
            "Reduction",
            f"Features were reduced inside each training set: {facts['reduce']}."
            if facts.get("reduce") not in (None, "none")
            else "",
        ),
        ("Score", _score(scores)),
        ("Noise ceiling", _ceiling(scores)),
        ("Layer choice", _choice(table)),
        ("Significance", _significance(scores, facts)),
        ("Left out", _left_out(scores, table)),
        (
            "Seeds",
            f"Split seeds: {', '.join(dict.fromkeys(scores.entries['seed'].astype(str)))}. "
            f"Seed of everything else that is drawn: {facts.get('seed', 'not recorded')}.",
        ),
        ("Software", ", ".join(f"{k} {v}" for k, v in _mapping(facts.get("versions")).items())),
    ]
    return [(topic, text.strip()) for topic, text in lines if text.strip()]


def caveats(scores: Scores, table: Summary) -> list[str]:
    """Return what a careful reader should hold against the numbers."""
    found = []
    if is_simulated(scores):
        found.append(SIMULATED)
    if scores.ceiling is None and not table.metric.endswith("_normalized"):
        found.append(
            f"There is no noise ceiling ({ceiling_reason(scores)}), so a low score may mean a poor model or a noisy region."
        )
    elif np.isfinite(table.normalized).any() and float(np.nanmax(table.normalized)) > 1.05:
        found.append("Some medians lie above their ceiling: it is estimated with error, and nothing is clipped.")
    if not (table.chosen >= 0).any() and len(table.layers) > 1:
        found.append(
            "Best layers were chosen on the very scores that are shown; the winner's score is therefore optimistic."
        )
    edge = [
        name
        for name, share in _mapping(scores.provenance.get("edge_share")).items()
        if isinstance(share, float) and share > HIGH_EDGE_SHARE
    ]
    if edge:
        found.append(
            f"For {_some(len(edge), 'layer')} more than a fifth of the penalties lie at an edge of their grid "
            f"({', '.join(edge[:4])}{' …' if len(edge) > 4 else ''})."
        )
    n_test = scores.n_test.sum(axis=0)
    if (n_test > 0).any() and int(np.median(n_test[n_test > 0])) < FEW_TEST_ROWS:
        n = int(np.median(n_test[n_test > 0]))
        found.append(
            f"Only {n} test rows: by chance alone one target in twenty would have a correlation beyond about ±{1.96 / np.sqrt(max(n - 1, 1)):.2f}."
        )
    shared = sum(
        int(v) for v in _mapping(scores.provenance.get("test_stimuli_in_training")).values() if isinstance(v, int)
    )
    if shared:
        found.append(
            f"{shared} test stimuli were also shown in training rows: scores may rest on memory of the stimulus."
        )
    if len(table.subjects) == 1:
        found.append("One subject: nothing here says how the result generalises to other people.")
    found.append(
        "A layer that predicts well is not thereby the mechanism; regions differ in noise, so read scores beside their ceilings."
    )
    return found


def _data(scores: Scores, table: Summary, facts: Mapping[str, Any]) -> str:
    sets = dict.fromkeys(
        str(v["data set"])
        for v in _mapping(facts.get("responses")).values()
        if isinstance(v, Mapping) and "data set" in v
    )
    name = f"{', '.join(sets)}: " if sets else ""
    kinds = ", ".join(dict.fromkeys(type(space).__name__ for space in scores.spaces.values()))
    return (
        f"{name}{_some(int(table.n_targets.sum()), 'target')} in {_some(len(table.regions), 'region')} of "
        f"{_some(len(table.subjects), 'subject')} ({kinds}); {_some(len(table.layers), 'layer')} of {_some(len(set(table.models)), 'model')}."
    )


def _some(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _rows(scores: Scores, n_test: Any) -> str:
    folds = scores.values.shape[1]
    if not len(n_test):
        return ""
    return f"{int(np.median(n_test))} test rows in all{f' over {folds} folds' if folds > 1 else ''}."


def _trained(facts: Mapping[str, Any]) -> str:
    n_train = facts.get("n_train")
    if not isinstance(n_train, list | tuple) or not n_train:
        return ""
    low, high = min(n_train), max(n_train)
    return f" Trained on {low if low == high else f'{low} to {high}'} rows."


def _by_subject(value: Any, pattern: str) -> str:
    if isinstance(value, Mapping):
        shared = dict.fromkeys(str(v) for v in value.values())
        text = next(iter(shared)) if len(shared) == 1 else "; ".join(f"{k}: {v}" for k, v in value.items())
    else:
        text = "" if value is None else str(value)
    return _sentence(pattern.format(text)) if text else ""


def _encoder(facts: Mapping[str, Any]) -> str:
    encoder = facts.get("encoder")
    if isinstance(encoder, Mapping):
        knobs = ", ".join(f"{k}={v!r}" for k, v in _mapping(encoder.get("params")).items() if v is not None)
        text = f"{encoder.get('name', 'encoder')}({knobs})"
    else:
        text = str(encoder or "not recorded")
    solvers = dict.fromkeys(str(v) for v in _mapping(facts.get("solver")).values() if v)
    return (
        f"{text}{f'; solved in {next(iter(solvers))} form' if len(solvers) == 1 else ''}. Fitted on training rows only."
    )


def _penalties(scores: Scores, facts: Mapping[str, Any]) -> str:
    parts = []
    if scores.alpha is not None and np.isfinite(scores.alpha).any():
        low, middle, high = np.nanquantile(scores.alpha, [0.05, 0.5, 0.95])
        parts.append(f"Median alpha {middle:.3g} (5th to 95th percentile {low:.3g} to {high:.3g}), one per target")
    shares = [v for v in _mapping(facts.get("edge_share")).values() if isinstance(v, float) and np.isfinite(v)]
    if shares:
        parts.append(
            f"{100 * float(np.mean(shares)):.1f} % of the choices lie at an edge of the grid (at most {100 * max(shares):.1f} % in one layer)"
        )
    if facts.get("inner"):
        parts.append(f"chosen by {facts['inner']}")
    return "; ".join(parts) + "." if parts else ""


def _score(scores: Scores) -> str:
    names = " and ".join(score_label(m) for m in metrics_of(scores))
    if scores.aggregate == "pooled":
        return f"{names} between observed and predicted responses of all held-out rows joined, then the median over the targets of a region."
    return f"{names} between observed and predicted held-out responses in each fold, the mean over folds, then the median over the targets of a region."


def _ceiling(scores: Scores) -> str:
    if scores.ceiling is None:
        return f"{ceiling_words(scores, metrics_of(scores)[0])}."
    low = int((scores.ceiling.variance < scores.ceiling.floor).sum())
    known = " ".join(_sentence(scores.ceiling.describe(m)) for m in metrics_of(scores) if m in METRIC_UNITS)
    estimate = "" if scores.ceiling_status == scores.ceiling.describe() else f"Estimated as: {_sentence(scores.ceiling_status)} "
    text = f"{known} {estimate}Scores are divided by the ceiling of their own units."
    return (
        f"{text} {low} targets lie below the floor of {scores.ceiling.floor:g} (variance) and have no normalised score."
        if low
        else text
    )


def _choice(table: Summary) -> str:
    if len(table.layers) == 1:
        return "There is one layer only."
    if (table.chosen >= 0).any():
        return "The layer of a region is the one with the best median inner score, computed on training rows; held-out scores play no part in it."
    return "No inner scores were recorded: the best layer of a region is the one with the highest held-out score."


def _significance(scores: Scores, facts: Mapping[str, Any]) -> str:
    texts = []
    if scores.p is not None:
        share = (
            f"; {100 * float(np.nanmean(scores.q < 0.05)):.0f} % of layer-target pairs have q < 0.05"
            if scores.q is not None and np.isfinite(scores.q).any()
            else ""
        )
        texts.append(
            f"{facts.get('permutations', 'Some')} permutations of test rows{share} (Benjamini-Hochberg within subject and layer)."
        )
    if scores.ci is not None:
        texts.append(f"{facts.get('bootstrap', 'Some')} bootstrap draws of test rows give the 95 % interval of each target's score.")
    return " ".join(texts)


def _left_out(scores: Scores, table: Summary) -> str:
    lost = int(table.n_nan.sum())
    unnamed = (
        int(scores.targets["roi"].isna().sum())
        if "roi" in scores.targets and scores.targets["roi"].notna().any()
        else 0
    )
    excluded = sum(
        int(v) for v in _mapping(scores.provenance.get("n_targets_excluded")).values() if isinstance(v, int | float)
    )
    parts = [
        f"{lost} targets without any score" + (f" ({excluded} with missing or constant responses)" if excluded else "")
    ]
    if unnamed:
        parts.append(f"{unnamed} targets without a region, which are scored but not in the region tables")
    return "; ".join(parts) + "."


def is_simulated(scores: Scores) -> bool:
    """Return whether any of the responses say that they are simulated."""
    responses = _mapping(scores.provenance.get("responses"))
    return any(isinstance(v, Mapping) and bool(v.get("simulated")) for v in (*responses.values(), scores.provenance))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}." if text else ""
