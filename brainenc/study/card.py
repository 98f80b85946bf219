"""The claims of a study in words, with what they rest on and what speaks against them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.errors import BrainencError
from brainenc.nouns import Evaluation, Scores
from brainenc.study.evaluations import ceiling_status

if TYPE_CHECKING:
    from brainenc.study.results import Results

Floats = npt.NDArray[np.float64]
NO_TEST_ROWS = "no interval (predictions were not kept, or several split seeds were averaged)"


def write_card(results: Results, *, n_boot: int = 1000) -> str:
    """Return the text of `Results.card`."""
    blocks = []
    for name, scores in results.scores().items():
        metric = str(scores.entries["metric"].iloc[0])
        chosen = scores.entry(metric=metric)
        by = "roi" if "roi" in scores.targets and scores.targets["roi"].notna().any() else "subject"
        seeds = ", ".join(str(seed) for seed in dict.fromkeys(chosen.entries["seed"]))
        ceiling = scores.ceiling_status if scores.ceiling is None else scores.ceiling.describe(metric)
        lines = [f"{name}: {metric}, median over targets; split {scores.split}; split seed {seeds}; {ceiling}"]
        for region in dict.fromkeys(scores.targets[by].dropna()):
            lines.append(_region(chosen, by, region, metric, n_boot, results.plan.seed))
        blocks.append("\n".join(lines))
    blocks += [_compared(name, evaluation) for name, evaluation in results.evaluations().items()]
    return "\n\n".join([*blocks, _caveats(results)])


def _region(scores: Scores, by: str, region: str, metric: str, n_boot: int, seed: int) -> str:
    here = scores.where(**{by: region})
    layer, value, honest = _best(here, by)
    ceiling = here.vector(here.layers[0], metric=metric, value="ceiling")
    interval = _interval(here, layer, n_boot, seed) if metric == "pearson" else None
    parts = [f"{value:.3f}", f"95 % CI {interval[0]:.3f} to {interval[1]:.3f} over test stimuli" if interval else NO_TEST_ROWS]
    parts.append(f"ceiling {np.nanmedian(ceiling):.3f}" if np.isfinite(ceiling).any() else "no ceiling")
    n_test = int(np.median(here.n_test.sum(axis=0)))
    parts.append(f"{here.values.shape[2]} targets, {n_test} test rows")
    if not honest:
        parts.append("layer chosen on the held-out scores, so the score is optimistic")
    return f"  {'all targets' if by == 'subject' else region}: {layer} reaches {'; '.join(parts)}"


def _compared(name: str, evaluation: Evaluation) -> str:
    """Return the claims of one RSA: in each group the model with the best mean score, or that nothing may be claimed."""
    n_subjects = evaluation.scores.shape[1]
    how = f"{evaluation.n_draws} bootstrap samples of {' and '.join(evaluation.resampled)}" if evaluation.n_draws else "no bootstrap"
    head = f"{name}: {evaluation.method} of RDMs, mean over {n_subjects} subject{'s' if n_subjects > 1 else ''}, {evaluation.n_conditions} conditions"
    lines = [f"{head}; {how}; seed {evaluation.seed}; {ceiling_status(evaluation)}"]
    frame, n_models = evaluation.to_frame(), len(evaluation.models)
    for position in range(len(evaluation.groups)):
        rows = frame.iloc[position * n_models : (position + 1) * n_models]
        label = " ".join(str(value) for value in evaluation.groups.iloc[position])
        known = rows[rows["score"].notna()]
        void = known[known["claim"].str.startswith("no claim")] if len(known) else known
        if not len(known) or len(void):
            lines.append(f"  {label}: {void['claim'].iloc[0] if len(void) else 'no model could be compared'}")
            continue
        lines.append(f"  {label}: {_best_compared(known, evaluation.kind == 'similarity', n_models)}")
    return "\n".join(lines)


def _best_compared(rows: pd.DataFrame, larger: bool, n_models: int) -> str:
    best = rows.loc[rows["score"].idxmax() if larger else rows["score"].idxmin()]
    parts = [f"{best['score']:.3f}"]
    parts.append(f"95 % CI {best['ci_low']:.3f} to {best['ci_high']:.3f}" if np.isfinite(best["ci_low"]) else "no interval")
    parts.append(f"ceiling {best['ceiling_low']:.3f} to {best['ceiling_high']:.3f}" if np.isfinite(best["ceiling_low"]) else "no ceiling")
    parts += [best["claim"]] if best["claim"] else []
    if n_models > 1:
        parts.append(f"best of {n_models} layers on the same data, so the score is optimistic")
    return f"{best['model']}/{best['layer']} reaches {'; '.join(parts)}"


def _best(scores: Scores, by: str) -> tuple[str, float, bool]:
    """Return the layer that most folds and seeds choose on inner scores, its held-out score, and whether that was possible."""
    if len(scores.layers) == 1:
        return scores.layers[0], _middle(scores.mean()), True
    try:
        best = scores.best(by=by)
    except BrainencError:
        medians = scores.by(by).groupby(["model", "layer"], sort=False)["score"].mean()
        model, layer = medians.idxmax()
        return f"{model}/{layer}", float(medians.max()), False
    votes = Counter(int(v) for v in best.provenance["chosen"][:, :, 0].reshape(-1))
    return scores.layers[votes.most_common(1)[0][0]], _middle(best.mean()), True


def _middle(values: Floats) -> float:
    """Return the mean over entries of the median over targets."""
    return float(np.mean([np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in values]))


def _interval(scores: Scores, layer: str, n_boot: int, seed: int) -> tuple[float, float] | None:
    """Return the 95 % percentile bootstrap over test stimuli of the median over targets of the mean over folds, wider for crossed folds."""
    subject = scores.subjects[0]
    predicted = scores.predictions.get(subject, {}).get(layer)
    if predicted is None or n_boot < 1:
        return None
    from brainenc.encoding._resampled import is_crossed, layer_draws, percentile_interval
    from brainenc.metrics.resample import bootstrap_folds

    folds = bootstrap_folds(scores.test_rows[subject], n_boot, seed, "card", pooled=scores.aggregate == "pooled")
    point, draws = layer_draws(scores.observed[subject], predicted, folds, "pearson")
    medians = [np.median(row[np.isfinite(row)]) for row in draws if np.isfinite(row).any()]
    if not medians or not np.isfinite(point).any():
        return None
    middle = float(np.median(point[np.isfinite(point)]))
    return percentile_interval(middle, np.array(medians), crossed=is_crossed(scores.test_rows[subject]))


def _caveats(results: Results) -> str:
    lines = [f"{text} ({count} tasks)" for text, count in results.provenance["warnings"].items()]
    lines += list(results.provenance["notes"])
    if len(results.failures):
        lines.append(f"{len(results.failures)} parts of the study failed; see failures.csv")
    lines.append("a layer that predicts well is not thereby the mechanism; regions differ in noise, so compare scores beside their ceilings")
    return "Caveats:\n" + "\n".join(f"  - {line}" for line in lines)
