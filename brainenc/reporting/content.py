"""What the report says: claims, tables, methods and caveats as plain data for the template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from brainenc.nouns import Scores
from brainenc.reporting.figures import Figure, main_figures, other_metrics
from brainenc.reporting.intervals import Intervals, winner_rows
from brainenc.reporting.methods import SIMULATED, caveats, is_simulated, methods
from brainenc.viz.style import category_colors, score_label
from brainenc.viz.summaries import Summary, ceiling_reason, ceiling_words, metrics_of, summarize

MAX_ROWS = 3000
MAX_CLAIMS = 60
MAX_PROVENANCE = 200_000
BAR_WIDTH = 300


@dataclass(frozen=True, slots=True)
class Claim:
    """One region of one subject and the layer that predicts it, with everything a score needs beside it."""

    region: str
    subject: str
    layer: str
    hue: int
    score: float
    interval: tuple[float, float] | None
    ceiling: float
    share: float
    n_targets: int
    n_test: int
    moment: str = ""
    bar: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page: column titles, kinds ("text" or "number") and rows of text with their sorting keys."""

    columns: list[tuple[str, str]]
    rows: list[list[tuple[str, str]]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """One section: scores that share entries and split."""

    anchor: str
    name: str
    facts: str
    headline: str
    headline_note: str
    tally: str
    claims: list[Claim]
    claims_note: str
    several_subjects: bool
    models: list[tuple[str, int]]
    label: str
    figures: list[Figure]
    regions: Table
    winners: Table
    winners_reason: str
    methods: list[tuple[str, str]]
    caveats: list[str]
    provenance: str
    has_ceiling: bool
    counts: dict[str, int]
    kind: str = "encoding"
    what: str = "region"
    timed: bool = False
    rows_note: str = "Median and quartiles over the targets of a region; share: median of score / ceiling; chosen: by training rows; n: targets."
    more: list[tuple[str, str, Table]] = field(default_factory=list)


def describe_group(name: str, scores: Scores, study: Mapping[str, Any], position: int) -> Group:
    """Compute everything that one section shows."""
    known = metrics_of(scores)
    metric = "pearson" if "pearson" in known else known[0]
    table = summarize(scores, metric)
    rows, reason = winner_rows(scores, metric)
    claims = _claims(scores, table)
    headline, note = _headline(scores, table, claims)
    note = f"{SIMULATED} {note}" if is_simulated(scores) else note
    hues = {model: i for i, model in enumerate(category_colors(table.models))}
    honest = bool((table.chosen >= 0).any()) or len(table.layers) == 1
    claims_note = (
        ("Layer chosen on training rows." if len(table.layers) > 1 else "One layer was scored.")
        if honest
        else "Layer with the highest held-out score: an optimistic choice, because the same scores chose it."
    )
    if any(c.interval for c in claims):
        claims_note += " Whiskers: 95 % bootstrap interval over test stimuli."
    hidden = len(table.subjects) * len(table.regions) - len(claims)
    claims_note += f" {hidden} further rows are in the table below." if hidden > 0 else ""
    claims_note += " Median over the targets of a region."
    return Group(
        anchor=f"part-{position}", name=name, facts=_facts(scores, table), headline=headline, headline_note=note, tally=tally(claims), claims=claims,
        claims_note=claims_note,
        several_subjects=len(table.subjects) > 1, models=[(m, i) for m, i in hues.items()], label=score_label(metric),
        figures=main_figures(scores, table) + other_metrics(scores, [m for m in known if m != metric]), regions=_region_table(scores, known),
        winners=winner_table(rows), winners_reason=reason, methods=methods(scores, table), caveats=caveats(scores, table) + list(study["caveats"]),
        provenance=as_text(scores.provenance), has_ceiling=any(np.isfinite(c.ceiling) for c in claims),
        counts={"subjects": len(table.subjects), "regions": len(table.regions), "layers": len(table.layers), "models": len(hues),
                "targets": int(table.n_targets.sum())},
    )  # fmt: skip


def overview(groups: Sequence[Any], study: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the head of the page shows: the counts, the failures, the provenance of the study as text."""
    same = len({g.kind for g in groups}) == 1
    separate = same and groups[0].kind == "encoding"  # comparisons of one analysis are of the same subjects
    keys = ("subjects", "targets", "conditions", "channels", "contacts", "regions", "times", "layers", "models")
    counts = {key: (sum if separate and key in ("subjects", "targets") else max)(g.counts[key] for g in groups if key in g.counts)
              for key in keys if any(key in g.counts for g in groups)}  # fmt: skip
    cards = [(f"{n:,}".replace(",", "\u202f"), key.removesuffix("s") if n == 1 else key) for key, n in counts.items()]
    columns = list(study["failures"][0]) if study["failures"] else []
    return {
        "cards": cards,
        "brand": {"encoding": "encoding report", "similarity": "similarity report"}[groups[0].kind] if same else "report",
        "failures": Table(
            [(c, "text") for c in columns], [[(row[c], "") for c in columns] for row in study["failures"]]
        ),
        "provenance": as_text(study["provenance"]) if study["provenance"] else "",
    }


def _claims(scores: Scores, table: Summary) -> list[Claim]:
    hues = {model: i for i, model in enumerate(category_colors(table.models))}
    best, draws = table.best(), Intervals(scores, table.metric)
    regions = scores.targets["roi"].astype(str).to_numpy() if "roi" in scores.targets else None
    subject_of = scores.targets["subject"].astype(str).to_numpy()
    n_test = scores.n_test.sum(axis=0)
    found: list[Claim] = []
    for r, region in enumerate(table.regions):
        for s, subject in enumerate(table.subjects):
            pick = int(table.chosen[s, r] if table.chosen[s, r] >= 0 else best[s, r])
            if pick < 0 or not np.isfinite(table.score[s, pick, r]) or len(found) >= MAX_CLAIMS:
                continue
            mine = np.flatnonzero(subject_of == subject)
            inside = mine if regions is None or region not in set(regions) else mine[regions[mine] == region]
            local = np.searchsorted(mine, inside)
            found.append(
                Claim(
                    region=region,
                    subject=subject,
                    layer=table.names[pick],
                    hue=hues[table.models[pick]],
                    score=float(table.score[s, pick, r]),
                    interval=draws.of(scores.subjects[s], table.names[pick], local),
                    ceiling=float(table.ceiling[s, r]),
                    share=float(table.normalized[s, pick, r]),
                    n_targets=int(table.n_targets[s, r]),
                    n_test=int(np.median(n_test[inside])),
                )  # fmt: skip
            )
    return with_bars(found)


def with_bars(claims: list[Claim]) -> list[Claim]:
    """Give every claim the coordinates of its bar on one common scale that starts at zero (or at the lowest score below it)."""
    ends = [v for c in claims for v in (c.score, c.ceiling, *(c.interval or ())) if np.isfinite(v)]
    low, high = min([0.0, *ends]), max([0.05, *ends]) * 1.02

    def at(value: float) -> float:
        return round(BAR_WIDTH * (value - low) / (high - low), 1)

    placed = []
    for claim in claims:
        bar = {"zero": at(0.0), "start": min(at(0.0), at(claim.score)), "length": abs(at(claim.score) - at(0.0))}
        if np.isfinite(claim.ceiling):
            bar |= {"ceiling": at(claim.ceiling)}
        if claim.interval is not None:
            bar |= {"low": at(claim.interval[0]), "high": at(claim.interval[1])}
        placed.append(replace(claim, bar=bar))
    return placed


def _headline(scores: Scores, table: Summary, claims: list[Claim]) -> tuple[str, str]:
    """Return one sentence with the claim that stands highest, and a line with what it rests on."""
    if not claims:
        return "No target could be scored.", f"{scores.split}. {ceiling_words(scores, table.metric)}."
    top = max(claims, key=lambda c: c.score)
    who = f" of subject {top.subject}" if len(table.subjects) > 1 else ""
    where = "All targets" if top.region == "all targets" else top.region
    share = f", {100 * top.share:.0f} % of what its noise allows" if np.isfinite(top.share) else ""
    text = f"{where}{who}: {top.layer} reaches {score_label(table.metric)} = {top.score:.2f}{share}."
    interval = (
        f"95 % CI {top.interval[0]:.2f} to {top.interval[1]:.2f} over test stimuli"
        if top.interval
        else "no interval (a fold has too few test units)"
        if scores.predictions and table.metric == "pearson"
        else "no interval (it is made for Pearson r)"
        if scores.predictions
        else "no interval (predictions were not kept)"
    )
    ceiling = f"ceiling {top.ceiling:.2f}" if np.isfinite(top.ceiling) else f"no ceiling ({ceiling_reason(scores)})"
    return text, f"Median over {top.n_targets} targets; {interval}; {ceiling}; {top.n_test} test rows; {scores.split}."


def tally(claims: list[Claim], what: str = "region") -> str:
    """Return how often each model holds the chosen layer, where there are several rows and models."""
    models = [claim.layer.rsplit("/", 1)[0] for claim in claims]
    counts = sorted(((models.count(m), m) for m in dict.fromkeys(models)), key=lambda pair: -pair[0])
    if len(claims) < 3 or len(counts) < 2:
        return ""
    rows = f"subject-{what} pairs" if len({c.subject for c in claims}) > 1 else f"{what}s"
    return f"Over {len(claims)} {rows} the best layer belongs to " + ", ".join(f"{m} in {n}" for n, m in counts) + "."


def _facts(scores: Scores, table: Summary) -> str:
    def some(n: int, word: str) -> str:
        return f"{n:,} {word}{'' if n == 1 else 's'}"

    parts = [
        some(len(table.subjects), "subject"),
        some(int(table.n_targets.sum()), "target"),
        some(len(table.regions), "region"),
        some(len(table.layers), "layer"),
    ]
    return " · ".join([*parts, scores.split])


def _region_table(scores: Scores, known: list[str]) -> Table:
    names = (
        "subject",
        "region",
        "model",
        "layer",
        "metric",
        "median",
        "Q1",
        "Q3",
        "ceiling",
        "share",
        "chosen",
        "n",
        "no score",
    )
    columns = [(name, "text" if i < 5 or name == "chosen" else "number") for i, name in enumerate(names)]
    rows: list[list[tuple[str, str]]] = []
    for metric in known:
        table = summarize(scores, metric)
        for s, r, i in np.ndindex(len(table.subjects), len(table.regions), len(table.layers)):
            values = (
                table.score[s, i, r],
                table.low[s, i, r],
                table.high[s, i, r],
                table.ceiling[s, r],
                table.normalized[s, i, r],
            )
            rows.append(
                [
                    (t, "")
                    for t in (
                        table.subjects[s],
                        table.regions[r],
                        table.models[i],
                        table.layers[i],
                        score_label(metric),
                    )
                ]
                + [cell(float(v)) for v in values]
                + [
                    ("yes" if table.chosen[s, r] == i else "", ""),
                    _count(table.n_targets[s, r]),
                    _count(table.n_nan[s, r]),
                ]
            )
    left = len(rows) - MAX_ROWS
    return Table(
        columns,
        rows[:MAX_ROWS],
        f"{left:,} further rows are left out here; to_frame() and the files of the study hold them all."
        if left > 0
        else "",
    )


def winner_table(rows: list[dict[str, Any]], what: str = "region") -> Table:
    """Return the table of winners and runners-up."""
    columns = [("subject", "text"), (what, "text"), ("winner", "text"), ("score", "number"), ("runner-up", "text"), ("difference", "number"),
               ("95 % CI", "number"), ("distinct", "text")]  # fmt: skip
    cells = []
    for row in rows[:MAX_ROWS]:
        low, high = cell(float(row["ci_low"])), cell(float(row["ci_high"]))
        cells.append([*((str(row[k]), "") for k in ("subject", "region", "winner")), cell(float(row["score"])), (str(row["runner_up"] or "–"), ""),
                      cell(float(row["difference"])), (f"{low[0]} to {high[0]}", low[1]), ("yes" if bool(row["distinct"]) else "no", "")])  # fmt: skip
    return Table(columns, cells)


def cell(value: float, digits: int = 3) -> tuple[str, str]:
    """Return a number as shown and as sorted; missing ones are shown as a dash and sorted last."""
    if not np.isfinite(value):
        return "–", ""
    return f"{value:.{digits}f}".replace("-", "−"), repr(float(value))


def _count(value: Any) -> tuple[str, str]:
    return str(int(value)), str(int(value))


def as_text(provenance: Any) -> str:
    """Return provenance as JSON text, cut where it is very long."""
    text = json.dumps(_plain(provenance), indent=2, ensure_ascii=False, sort_keys=True)
    return (
        text
        if len(text) <= MAX_PROVENANCE
        else f"{text[:MAX_PROVENANCE]}\n… {len(text) - MAX_PROVENANCE} further characters are left out here"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return _summary(value)
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _summary(array: npt.NDArray[Any]) -> str:
    return f"array of shape {array.shape}, {array.dtype}"
