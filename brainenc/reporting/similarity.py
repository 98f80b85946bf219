"""One section of the report about a representational similarity analysis: claims, figures, tables, methods, caveats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from brainenc import viz
from brainenc.core.errors import BrainencError
from brainenc.nouns import Evaluation, RDMs
from brainenc.reporting.content import MAX_CLAIMS, MAX_ROWS, Table, as_text, cell
from brainenc.reporting.figures import Figure, embed
from brainenc.reporting.methods import SIMULATED
from brainenc.reporting.similarity_methods import caveats, comparison_words, is_simulated_data, methods
from brainenc.viz.comparisons import comparison_label, group_names, model_names
from brainenc.viz.conditions import MAX_CATEGORIES
from brainenc.viz.style import category_colors, number

MANY_LAYERS = 12  # beyond that the first figure shows layers that are best somewhere, and all of them are folded away
MAX_LAYERS = 60
BAR_WIDTH = 170
MAX_PANELS = 12
_Q = re.compile(r" \(q = [^)]*\)")  # q has a column of its own


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What one section is made from: an evaluation, and where they are known the RDMs it compared and the options of its analysis."""

    name: str
    evaluation: Evaluation
    data: RDMs | None = None
    models: RDMs | None = None
    options: Mapping[str, Any] | None = None
    versions: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One group and the model that fits it best, or why nothing may be claimed there."""

    group: str
    model: str
    hue: int
    score: float
    interval: tuple[float, float] | None
    ceiling: tuple[float, float] | None
    q: float
    words: str
    void: bool
    bar: dict[str, float]


@dataclass(frozen=True, slots=True)
class Similarity:
    """One section: an evaluation in words, figures and tables."""

    anchor: str
    name: str
    facts: str
    headline: str
    headline_note: str
    label: str
    claims: list[Claim]
    claims_note: str
    hues: list[tuple[str, int]]
    has_ceiling: bool
    figures: list[Figure]
    rows: Table
    pairs: Table
    pairs_reason: str
    methods: list[tuple[str, str]]
    caveats: list[str]
    provenance: str
    counts: dict[str, int]
    kind: str = "similarity"


def describe_comparison(given: Comparison, study: Mapping[str, Any], position: int) -> Similarity:
    """Compute everything that one section shows."""
    evaluation = given.evaluation
    frame = evaluation.to_frame()
    claims = _claims(evaluation, frame)
    headline, note = _headline(evaluation, claims)
    pairs, reason = _pairs(evaluation, frame)
    models = evaluation.models["model"].astype(str)
    hidden = len(evaluation.groups) - len(claims)
    n_models = len(models)
    lines = [f"The best of {n_models} layers in each row, chosen on the same data: its score is optimistic." if n_models > 1 else "One layer was compared."]
    lines += [f"{hidden} further groups are in the table below."] if hidden > 0 else []
    return Similarity(
        anchor=f"part-{position}", name=given.name, facts=_facts(evaluation), headline=headline,
        headline_note=f"{SIMULATED} {note}" if is_simulated_data(given.data) else note, label=comparison_label(evaluation), claims=claims,
        claims_note=" ".join(lines), hues=[(name, i) for i, name in enumerate(category_colors(models.tolist()))],
        has_ceiling=any(claim.ceiling for claim in claims), figures=_figures(given), rows=_rows(evaluation, frame), pairs=pairs, pairs_reason=reason,
        methods=methods(given.evaluation, given.data, given.models, given.options or {}, given.versions or {}),
        caveats=caveats(evaluation, given.data, frame) + list(study["caveats"]), provenance=as_text(evaluation.provenance),
        counts={"subjects": evaluation.scores.shape[1], "regions": len(evaluation.groups), "layers": n_models, "models": models.nunique(),
                "conditions": evaluation.n_conditions},
    )  # fmt: skip


def _facts(evaluation: Evaluation) -> str:
    n_groups, n_subjects, n_models = evaluation.scores.shape
    some = lambda n, word: f"{n:,} {word}{'' if n == 1 else 's'}"  # noqa: E731
    parts = [some(n_subjects, "subject"), some(n_groups, "group"), some(n_models, "layer"), some(evaluation.n_conditions, "condition")]
    return " · ".join([*parts, comparison_label(evaluation)])


def _claims(evaluation: Evaluation, frame: pd.DataFrame) -> list[Claim]:
    names, groups = model_names(evaluation.models), group_names(evaluation.groups)
    hues = {name: i for i, name in enumerate(category_colors(evaluation.models["model"].astype(str).tolist()))}
    n_models = len(names)
    found = []
    for g, group in enumerate(groups[:MAX_CLAIMS]):
        rows = frame.iloc[g * n_models : (g + 1) * n_models].reset_index(drop=True)
        if rows["score"].isna().all():
            continue
        best = int(rows["score"].idxmax() if evaluation.kind == "similarity" else rows["score"].idxmin())
        row = rows.iloc[best]
        words = str(row["claim"] or "")
        void = words.startswith("no claim")
        found.append(
            Claim(
                group=group if group != "all" else "all responses", model=names[best], hue=hues[str(evaluation.models["model"].iloc[best])],
                score=float(row["score"]), interval=_pair(row["ci_low"], row["ci_high"]), ceiling=_pair(row["ceiling_low"], row["ceiling_high"]),
                q=float(row["q"]), words=_Q.sub("", words), void=void, bar={},
            )  # fmt: skip
        )
    return _with_bars(found)


def _pair(low: Any, high: Any) -> tuple[float, float] | None:
    return (float(low), float(high)) if np.isfinite(low) and np.isfinite(high) else None


def _with_bars(claims: list[Claim]) -> list[Claim]:
    """Give every claim the coordinates of its bar, interval and ceilings on one scale that holds zero."""
    ends = [v for c in claims for v in (c.score, *(c.interval or ()), *(c.ceiling or ()))]
    low, high = min([0.0, *ends]), max([0.05, *ends])

    def at(value: float) -> float:
        return round(BAR_WIDTH * (value - low) / (1.02 * high - low), 1)

    placed = []
    for claim in claims:
        bar = {"zero": at(0.0), "start": min(at(0.0), at(claim.score)), "length": round(abs(at(claim.score) - at(0.0)), 1)}
        if claim.interval is not None:
            bar |= {"low": at(claim.interval[0]), "high": at(claim.interval[1])}
        if claim.ceiling is not None:
            bar |= {"floor": at(claim.ceiling[0]), "width": round(at(claim.ceiling[1]) - at(claim.ceiling[0]), 1)}
        placed.append(replace(claim, bar=bar))
    return placed


def _headline(evaluation: Evaluation, claims: list[Claim]) -> tuple[str, str]:
    """Return one sentence with the strongest claim, and a line with what it rests on."""
    n = evaluation.scores.shape[1]
    rest = f"{n} subject{'' if n == 1 else 's'}; {evaluation.n_conditions} conditions; {_draws(evaluation)}"
    sound = [claim for claim in claims if not claim.void]
    if not claims:
        return "No model could be compared.", f"{rest}."
    if not sound:
        why = "includes zero" if any("includes 0" in claim.words for claim in claims) else "is not known"
        return "No claim: the subjects have no RDM in common that could be told from noise.", f"The interval of the lower noise ceiling {why}; {rest}."
    top = max(sound, key=lambda c: c.score) if evaluation.kind == "similarity" else min(sound, key=lambda c: c.score)
    where = f"{top.group[:1].upper()}{top.group[1:]}"
    text = f"{where}: {top.model} reaches {comparison_label(evaluation)} = {top.score:.2f}"
    if top.ceiling is not None:
        text += f"; the noise allows {number(top.ceiling[0])} to {number(top.ceiling[1])}"
    interval = f"95 % CI {top.interval[0]:.2f} to {top.interval[1]:.2f}; " if top.interval else "no interval; "
    return f"{text}.", f"Mean over {rest}; {interval}{top.words or 'not tested'}."


def _draws(evaluation: Evaluation) -> str:
    return f"{evaluation.n_draws} bootstrap samples of {' and '.join(evaluation.resampled)}" if evaluation.n_draws else "no bootstrap"


def _figures(given: Comparison) -> list[Figure]:
    """Return the figures in reading order; one that cannot be drawn stands there with the reason."""
    evaluation, label = given.evaluation, comparison_label(given.evaluation)
    figures: list[Figure] = []
    timed = "time" in evaluation.groups and evaluation.groups["time"].nunique() > 1
    shown = best_layers(evaluation) if len(evaluation.models) > MANY_LAYERS else evaluation
    less = "" if shown is evaluation else "Of each model the layers that are its best in some group, chosen on the same data. "
    if timed:
        words = f"Line plots of {label} against time for {len(shown.models)} models."
        figures.append(embed(partial(viz.time_course, shown, title=""), "Through time", words, less))
    else:
        words = f"Bar charts of {label} of {len(shown.models)} models, one for each of {len(evaluation.groups)} groups. {_in_words(evaluation)}"
        figures.append(embed(partial(viz.model_bars, shown, title=""), "Models beside the noise ceiling", words, less))
        if shown is not evaluation:
            many = evaluation.take(models=range(min(len(evaluation.models), MAX_LAYERS)))
            words = f"Bar charts of {label} of {len(many.models)} layers."
            draw = partial(viz.model_bars, many, order="given", title="")
            cut = f", of which the first {MAX_LAYERS} are drawn" if many.scores.shape != evaluation.scores.shape else ""
            figures.append(embed(draw, "Every layer", words, f"Layers in the order of the plan{cut}.", folded=True))
    if given.data is not None and given.models is not None and not timed:
        figures += _matrices(evaluation, given.data, given.models)
    return figures


def _matrices(evaluation: Evaluation, data: RDMs, models: RDMs) -> list[Figure]:
    by = [name for name in evaluation.groups if name in data.rdms]
    try:
        brain = data.average(by or None)
        models = replace(models, conditions=brain.conditions)  # of the same ids, and with their categories
        picked = _best_rdms(evaluation, models)
    except BrainencError:
        return []
    titles = [name if name != "all" else "all responses" for name in group_names(brain.rdms[by])] if by else ["all responses"]
    n = min(brain.n_rdms, MAX_PANELS)
    look: dict[str, Any] = {"colors": "percentile", "title": "", "order": _order(brain)}
    draw = partial(viz.rdm_panels, brain.take(range(n)), titles=titles[:n], **look)
    words = f"Matrices of the dissimilarities of {brain.n_conditions} conditions in {n} groups."
    figures = [embed(draw, "RDMs of the data", words, f"Mean over {evaluation.scores.shape[1]} subjects.")]
    if picked.n_rdms:
        draw = partial(viz.rdm_panels, picked, titles=model_names(picked.rdms), **look)
        words = f"Matrices of the dissimilarities of {models.n_conditions} conditions in {picked.n_rdms} layers."
        figures.append(embed(draw, "RDMs of the best layers", words, "Layers that fit some group best."))
    if brain.n_rdms + models.n_rdms > 3:
        draw = partial(viz.mds_map, _together(brain, models, titles), of="rdms", category="what", label="name", hulls=False, title="")
        words = "Map of groups and layers; near ones have similar RDMs."
        figures.append(embed(draw, "Groups and layers in one plane", words, folded=True))
    return figures


def _order(rdms: RDMs) -> str | None:
    """Return the column that groups the conditions, where it is one that tells them apart in few groups."""
    column = rdms.conditions.get("category")
    return "category" if column is not None and 1 < column.nunique() <= min(MAX_CATEGORIES, rdms.n_conditions - 1) else None


def _best_rdms(evaluation: Evaluation, models: RDMs) -> RDMs:
    """Return the RDMs of the layers that are best in some group, in the order of the models."""
    mean = evaluation.mean if evaluation.kind == "similarity" else -evaluation.mean
    known = np.isfinite(mean).any(axis=1)
    best = sorted(set(np.nanargmax(mean[known], axis=1).tolist()))[:MAX_PANELS]
    names = [tuple(str(v) for v in evaluation.models.iloc[m][["model", "layer"]]) for m in best]
    mine = [tuple(str(v) for v in row) for row in models.rdms[["model", "layer"]].to_numpy()]
    return models.take([mine.index(name) for name in names])


def _together(brain: RDMs, models: RDMs, titles: list[str]) -> RDMs:
    parts = [replace(brain, rdms=pd.DataFrame({"what": "data", "name": titles}), metric="", provenance={})]
    names = model_names(models.rdms)
    parts.append(replace(models, rdms=pd.DataFrame({"what": models.rdms["model"], "name": names}), metric="", provenance={}))
    return RDMs.concat(parts)


def best_layers(evaluation: Evaluation) -> Evaluation:
    """Return, of each model, the layers that are its best in some group; at most 12, those with the best scores."""
    mean = evaluation.mean if evaluation.kind == "similarity" else -evaluation.mean
    level = np.where(np.isfinite(mean), mean, -np.inf)
    models = evaluation.models["model"].astype(str).to_numpy()
    best: dict[int, float] = {}
    for name in dict.fromkeys(models):
        mine = np.flatnonzero(models == name)
        for group in range(len(level)):
            top = int(mine[np.argmax(level[group, mine])])
            best[top] = max(best.get(top, -np.inf), float(level[group, top]))
    return evaluation.take(models=sorted(sorted(best, key=lambda m: -best[m])[:MANY_LAYERS]))


def _in_words(evaluation: Evaluation) -> str:
    parts = [f"{claim.group}: {claim.model} {number(claim.score)}" for claim in _claims(evaluation, evaluation.to_frame())]
    return "Best in each group: " + "; ".join(parts[:24]) + "."


def _rows(evaluation: Evaluation, frame: pd.DataFrame) -> Table:
    """Return every group and layer with everything a score needs beside it."""
    of_group = [str(name) for name in evaluation.groups if list(evaluation.groups[name]) != ["all"]]
    of_model = [name for name in ("model", "layer") if name in evaluation.models]
    numbers = ("score", "ci_low", "ci_high", "ceiling_low", "ceiling_high", "p", "q", "p_ceiling")
    titles = {"ci_low": "CI low", "ci_high": "CI high", "ceiling_low": "ceiling low", "ceiling_high": "ceiling high", "p_ceiling": "p ceiling"}
    columns = [(name, "text") for name in (*of_group, *of_model)]
    columns += [*((titles.get(name, name), "number") for name in numbers), ("subjects", "number"), ("claim", "text")]
    rows = []
    for row in frame.head(MAX_ROWS).to_dict("records"):
        texts = [("" if pd.isna(row[name]) else str(row[name]), "") for name in (*of_group, *of_model)]
        values = [cell(float(row[name]), 4 if name in ("p", "q", "p_ceiling") else 3) for name in numbers]
        rows.append([*texts, *values, (str(int(row["n_subjects"])), str(int(row["n_subjects"]))), (str(row["claim"] or ""), "")])
    left = len(frame) - MAX_ROWS
    return Table(columns, rows, f"{left:,} further rows are left out here; summary.csv holds them all." if left > 0 else "")


def _pairs(evaluation: Evaluation, frame: pd.DataFrame) -> tuple[Table, str]:
    """Return the best model of each group against the runner-up, or why they cannot be compared."""
    columns = [("group", "text"), ("best", "text"), ("runner-up", "text"), ("difference", "number"), ("p", "number"), ("q", "number"), ("distinct", "text")]
    n_models = len(evaluation.models)
    if n_models < 2:
        return Table(columns, []), "There is one layer only."
    try:
        tests = evaluation.test("pairs")
    except BrainencError as error:
        return Table(columns, []), f"Layers cannot be compared: {error}"
    first, second = np.triu_indices(n_models, 1)
    names, groups = model_names(evaluation.models), group_names(evaluation.groups)
    sign = 1.0 if evaluation.kind == "similarity" else -1.0
    rows = []
    for g, group in enumerate(groups[:MAX_ROWS]):
        level = sign * evaluation.mean[g]
        void = str(frame["claim"].iloc[g * n_models]).startswith("no claim")
        if np.isfinite(level).sum() < 2 or void:
            continue
        best, runner = np.argsort(np.where(np.isfinite(level), -level, np.inf), kind="stable")[:2]
        row = tests.iloc[g * len(first) + int(np.flatnonzero((first == min(best, runner)) & (second == max(best, runner)))[0])]
        difference = float(evaluation.mean[g, best] - evaluation.mean[g, runner])
        distinct = "yes" if row["q"] <= 0.05 else "no"
        texts = [(group if group != "all" else "all responses", ""), (names[best], ""), (names[runner], "")]
        rows.append([*texts, cell(difference), cell(float(row["p"]), 4), cell(float(row["q"]), 4), (distinct, "")])
    return Table(columns, rows), "" if rows else f"No group allows a claim about models by {comparison_words(evaluation.method)}."
