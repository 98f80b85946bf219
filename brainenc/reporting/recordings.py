"""The section of a recording (EEG, MEG, intracranial contacts): which layer predicts which channel, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.errors import BrainencError
from brainenc.nouns import ContactSpace, Scores
from brainenc.nouns.ceiling import METRIC_UNITS
from brainenc.reporting.content import MAX_ROWS, Claim, Group, Table, as_text, cell, tally, winner_table, with_bars
from brainenc.reporting.intervals import Intervals, winner_rows
from brainenc.reporting.methods import SIMULATED, is_simulated
from brainenc.reporting.recording_figures import recording_figures
from brainenc.reporting.recording_methods import recording_caveats, recording_methods
from brainenc.viz.moments import Courses, Moment, courses, moments, with_sensors
from brainenc.viz.style import category_colors, score_label
from brainenc.viz.summaries import ceiling_reason, metrics_of, summarize

MAX_CELLS, MAX_CLAIMS = 12, 48
MAX_LATENCY_CELLS, N_LATENCY_DRAWS = 8, 500
CHOSEN = "picked"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The courses of every subject and the moments at which their cells are read, in one metric."""

    scores: Scores
    metric: str
    what: str
    found: dict[str, Courses]
    read: dict[str, list[Moment]]

    @property
    def timed(self) -> bool:
        """Whether the targets have times."""
        return any(len(one.times) > 1 for one in self.found.values())

    @property
    def honest(self) -> bool:
        """Whether training rows choose layers and times."""
        return all(one.honest for many in self.read.values() for one in many)

    def top_cells(self, n: int) -> list[str]:
        """Return the cells with the highest scores, mean over subjects, highest first."""
        table = pd.DataFrame([{"cell": one.cell, "score": one.score} for many in self.read.values() for one in many]).dropna()
        return [str(name) for name in table.groupby("cell", sort=False)["score"].mean().sort_values(ascending=False, kind="stable").index[:n]]


def describe_recording(name: str, scores: Scores, study: Mapping[str, Any], position: int) -> Group:
    """Compute everything that the section of one recording shows."""
    scores = with_sensors(scores)
    known = metrics_of(scores)
    metric = "pearson" if "pearson" in known else known[0]
    table, reading = summarize(scores, metric), read_recording(scores, metric)
    claims = _claims(reading)
    winners, reason = _winners(reading)
    hues = {model: i for i, model in enumerate(category_colors(table.models))}
    headline, note = _headline(reading, claims)
    return Group(
        anchor=f"part-{position}", name=name, facts=_facts(reading), headline=headline,
        headline_note=f"{SIMULATED} {note}" if is_simulated(scores) else note, tally=tally(claims, reading.what), claims=claims,
        claims_note=_claims_note(reading, claims), several_subjects=len(reading.found) > 1, models=list(hues.items()), label=score_label(metric),
        figures=recording_figures(reading), regions=_rows(scores, known), winners=winner_table(winners, reading.what), winners_reason=reason,
        methods=recording_methods(scores, table, reading.what, timed=reading.timed),
        caveats=recording_caveats(scores, table, timed=reading.timed) + list(study["caveats"]), provenance=as_text(scores.provenance),
        has_ceiling=any(np.isfinite(claim.ceiling) for claim in claims), counts=_counts(reading), what=reading.what, timed=reading.timed,
        rows_note=_rows_note(reading), more=[*_latencies(reading), *_contacts(reading)],
    )  # fmt: skip


def read_recording(scores: Scores, metric: str) -> Reading:
    """Return the courses and moments of every subject: of regions where any are known, else of channels or contacts."""
    found = {subject: courses(scores, metric, subject=subject) for subject in scores.subjects}
    contacts = all(isinstance(space, ContactSpace) for space in scores.spaces.values())
    by = next(iter(found.values())).by
    what = "region" if by == "roi" else "contact" if contacts else "channel"
    return Reading(scores, metric, what, found, {subject: moments(one) for subject, one in found.items()})


def _claims(reading: Reading) -> list[Claim]:
    draws, claims = Intervals(reading.scores, reading.metric), []
    hues = {model: i for i, model in enumerate(category_colors(next(iter(reading.found.values())).models))}
    tested = reading.scores.n_test.sum(axis=0)
    of_subject = reading.scores.targets["subject"].to_numpy()
    for name in reading.top_cells(max(4, min(MAX_CELLS, MAX_CLAIMS // len(reading.found)))):
        for subject, found in reading.found.items():
            one = next((one for one in reading.read[subject] if one.cell == name), None)
            if one is None or not np.isfinite(one.score):
                continue
            interval = draws.at(subject, [(found.names[i], _targets(found, one.cell, t)) for i, t in one.picks])
            claims.append(Claim(name, subject, found.names[one.layer], hues[found.models[one.layer]], one.score, interval, one.ceiling, one.share,
                                one.n_targets, int(np.median(tested[of_subject == subject])), moment=_ms(one.time)))  # fmt: skip
    return with_bars(claims)


def _targets(found: Courses, name: str, time: int) -> Any:
    return np.flatnonzero((found.index[:, 0] == found.cells.index(name)) & (found.index[:, 1] == time))


def _headline(reading: Reading, claims: list[Claim]) -> tuple[str, str]:
    scores = reading.scores
    if not claims:
        return "No target could be scored.", f"{scores.split}."
    top = max(claims, key=lambda claim: claim.score)
    who = f" of subject {top.subject}" if len(reading.found) > 1 else ""
    when = f" at {top.moment}" if reading.timed else ""
    share = f", {100 * top.share:.0f} % of what its noise allows" if np.isfinite(top.share) else ""
    text = f"{top.region}{who}: {top.layer} reaches {score_label(reading.metric)} = {top.score:.2f}{when}{share}."
    interval = f"95 % CI {top.interval[0]:.2f} to {top.interval[1]:.2f} over test stimuli" if top.interval else "no interval"
    ceiling = f"ceiling {top.ceiling:.2f}" if np.isfinite(top.ceiling) else f"no ceiling ({ceiling_reason(scores)})"
    chosen = "layer and time" if reading.timed else "layer"
    how = f"{chosen} chosen on training rows" if reading.honest else f"{chosen} chosen on the held-out scores, which is optimistic"
    return text, f"{how[0].upper()}{how[1:]}; {interval}; {ceiling}; {top.n_test} test rows; {scores.split}."


def _claims_note(reading: Reading, claims: list[Claim]) -> str:
    chosen = "Layer and time" if reading.timed else "Layer"
    many = len({one.cell for read in reading.read.values() for one in read})
    parts = [
        f"{chosen} chosen on the training rows of each fold; the score is the mean over folds of the held-out scores there."
        if reading.honest
        else f"{chosen} with the highest held-out score: an optimistic choice, because the same scores chose it."
    ]
    parts.append("“At”: the middle of the times that the folds choose." if reading.timed and reading.scores.values.shape[1] > 1 else "")
    parts.append("Whiskers: 95 % bootstrap interval over test stimuli." if any(claim.interval for claim in claims) else "")
    parts.append("Median over the targets of a region at a time." if reading.what == "region" else "")
    hidden = many - len({claim.region for claim in claims})
    parts.append(f"The {reading.what}s with the highest scores; {hidden} further ones are in the table below." if hidden > 0 else "")
    return " ".join(part for part in parts if part)


def _counts(reading: Reading) -> dict[str, int]:
    found = list(reading.found.values())
    n_channels = [int(reading.scores.targets.loc[reading.scores.targets["subject"] == s, "channel"].nunique()) for s in reading.found]
    contacts = all(isinstance(space, ContactSpace) for space in reading.scores.spaces.values())
    counts = {"subjects": len(found), "contacts" if contacts else "channels": sum(n_channels) if contacts else max(n_channels)}
    counts |= {"regions": len({name for one in found for name in one.cells})} if reading.what == "region" else {}
    counts |= {"times": len(found[0].times)} if reading.timed else {}
    return {**counts, "layers": len(found[0].layers), "models": len(set(found[0].models))}


def _facts(reading: Reading) -> str:
    parts = [f"{n:,} {key.removesuffix('s') if n == 1 else key}" for key, n in _counts(reading).items() if key != "models"]
    return " · ".join([*parts, reading.scores.split])


def _rows(scores: Scores, known: list[str]) -> Table:
    """Return every layer in every cell, at the time that its training rows choose."""
    readings = [read_recording(scores, metric) for metric in known]
    timed, what = readings[0].timed, readings[0].what
    columns = [("subject", "text"), (what, "text"), ("model", "text"), ("layer", "text"), ("metric", "text"), *([("at (ms)", "number")] if timed else []),
               ("score", "number"), ("ceiling", "number"), ("share", "number"), ("chosen", "text"), ("targets", "number")]  # fmt: skip
    rows: list[list[tuple[str, str]]] = []
    for reading in readings:
        for subject, found in reading.found.items():
            best = {one.cell: one.layer for one in reading.read[subject] if one.honest}
            for i, (model, layer) in enumerate(zip(found.models, found.layers, strict=True)):
                for one in moments(found, i):
                    text = [(part, "") for part in (subject, one.cell, model, layer, score_label(reading.metric))]
                    when = [cell(1000 * one.time, 0)] if timed else []
                    number = [cell(value) for value in (one.score, one.ceiling, one.share)]
                    mark = "yes" if best.get(one.cell) == i and len(found.layers) > 1 else ""
                    rows.append([*text, *when, *number, (mark, ""), (str(one.n_targets), str(one.n_targets))])
    left = len(rows) - MAX_ROWS
    return Table(columns, rows[:MAX_ROWS], f"{left:,} further rows are left out here; the files of the study hold them all." if left > 0 else "")


def _rows_note(reading: Reading) -> str:
    chosen = "the training rows of each fold choose" if reading.honest else "its held-out scores are highest, an optimistic choice"
    time = f"Each layer at the time that {chosen}; " if reading.timed and reading.honest else f"Each layer where {chosen}; " if reading.timed else ""
    return f"{time}share: score / ceiling; chosen: the layer that the training rows of most folds choose; targets: over which the median is taken."


def _winners(reading: Reading) -> tuple[list[dict[str, Any]], str]:
    """Compare layers in the most predictable cells, at the time at which each is read."""
    cells = set(reading.top_cells(MAX_CELLS))
    scores, by = reading.scores, next(iter(reading.found.values())).by
    mask = np.zeros(len(scores.targets), dtype=bool)
    for subject, found in reading.found.items():
        mine = np.flatnonzero(scores.targets["subject"].to_numpy() == subject)
        for one in reading.read[subject]:
            if one.cell in cells:
                time = 0 if not reading.timed else int(np.argmin(np.abs(found.times - one.time)))
                mask[mine[_targets(found, one.cell, time)]] = True
    if not mask.any():
        return [], "No target could be scored."
    return winner_rows(replace(scores, targets=scores.targets.assign(**{CHOSEN: mask})).where(selection=None, **{CHOSEN: True}), reading.metric, by)


def _latencies(reading: Reading) -> list[tuple[str, str, Table]]:
    """Return the table of onsets and peaks of the best layer of each model in the most predictable cells."""
    first = next(iter(reading.found.values()))
    if len(first.times) < 3 or reading.metric not in METRIC_UNITS or reading.scores.entries["seed"].nunique() > 1:
        return []
    from brainenc.encoding import latencies

    by, cells = first.by, reading.top_cells(MAX_LATENCY_CELLS)
    window = (0.0, float(first.times[-1])) if (first.times >= 0).sum() >= 3 else None
    kept = all(set(first.names) <= set(reading.scores.predictions.get(s, {})) for s in reading.found)
    title, parts = "Onset and peak", []
    try:
        for subject, found in reading.found.items():
            wanted: dict[int, list[str]] = {}
            for name in (name for name in cells if name in found.cells):
                for i in found.best_layers(name):
                    wanted.setdefault(i, []).append(name)
            for i, names in wanted.items():
                one = reading.scores.where(selection=None, **{"subject": subject, by: names})
                one = one.entry(model=found.models[i], layer=found.layers[i], metric=reading.metric)
                parts.append(latencies(one, by=by, metric=reading.metric, window=window, n=N_LATENCY_DRAWS if kept else 0).table)
    except BrainencError as error:
        return [(title, f"Latencies could not be read: {error}", Table([], []))]
    found_all = pd.concat(parts, ignore_index=True)
    columns = [("subject", "text"), (reading.what, "text"), ("layer", "text"), ("onset (ms)", "number"), ("95 % CI", "number"), ("peak (ms)", "number"),
               ("95 % CI", "number"), ("highest score", "number")]  # fmt: skip
    rows = []
    for row in found_all.sort_values(by, key=lambda column: column.map({name: i for i, name in enumerate(cells)}), kind="stable").to_dict("records"):
        spans = [_span(row, kind) for kind in ("onset", "peak")]
        rows.append([*((str(row[key]), "") for key in ("subject", by)), (f"{row['model']}/{row['layer']}", ""), *spans[0], *spans[1], cell(row["score"])])
    note = f"Of the best layer of each model in each {reading.what}. Onset: the first of two times in a row at which the mean held-out score reaches "
    note += "half of its highest value"
    note += f", from {_ms(window[0])} on." if window else "."
    drawn = f" Intervals: {N_LATENCY_DRAWS} bootstrap draws of test stimuli; they are conservative."
    note += drawn if kept else " No intervals: predictions were not kept."
    return [(title, f"{note} A layer that explains nothing has the latencies of noise.", Table(columns, rows))]


def _contacts(reading: Reading) -> list[tuple[str, str, Table]]:
    """Return the table of contacts with their places, each at the layer and time that it is read at."""
    if not all(isinstance(space, ContactSpace) for space in reading.scores.spaces.values()):
        return []
    table = contact_table(reading)
    texts = [name for name in ("subject", "channel", "roi", "region", "hemi", "tissue", "shaft") if name in table and table[name].notna().any()]
    if {"roi", "region"} <= set(texts) and table["roi"].equals(table["region"]):
        texts.remove("roi")
    places = [name for name in ("x", "y", "z") if name in table and table[name].notna().any()]
    columns = [*((("contact" if name == "channel" else name), "text") for name in texts), *((f"{name} (mm)", "number") for name in places), ("layer", "text"),
               *([("at (ms)", "number")] if reading.timed else []), ("score", "number"), ("ceiling", "number"), ("share", "number")]  # fmt: skip
    rows = []
    for row in table.sort_values("score", ascending=False, kind="stable").head(MAX_ROWS).to_dict("records"):
        text = [("" if pd.isna(row[name]) else str(row[name]), "") for name in texts]
        when = [cell(1000 * row["time"], 0)] if reading.timed else []
        rows.append([*text, *(cell(float(row[name]), 1) for name in places), (row["layer"], ""), *when, *(cell(row[k]) for k in ("score", "ceiling", "share"))])
    chosen = "layer and time" if reading.timed else "layer"
    how = "its training rows choose" if reading.honest else "have the highest held-out score, an optimistic choice"
    return [("Every contact", f"Each contact at the {chosen} that {how}.", Table(columns, rows))]


def contact_table(reading: Reading) -> pd.DataFrame:
    """Return one row per subject and contact: what its space knows of it, and the layer, time (s), score, ceiling and share that it is read at."""
    parts = []
    for subject, space in reading.scores.spaces.items():
        assert isinstance(space, ContactSpace)
        known = space.table.drop(columns=[c for c in ("time", "target_id", "subject") if c in space.table]).drop_duplicates("channel").reset_index(drop=True)
        mine = reading.scores.targets[reading.scores.targets["subject"] == subject]
        if "roi" in mine and "roi" not in known:
            known = known.assign(roi=known["channel"].map(mine.drop_duplicates("channel").set_index("channel")["roi"]))
        found = courses(reading.scores, reading.metric, subject=subject, by="channel")
        read = pd.DataFrame([{"channel": m.cell, "layer": found.names[m.layer], "time": m.time, "score": m.score, "ceiling": m.ceiling, "share": m.share}
                             for m in moments(found)])  # fmt: skip
        parts.append(known.assign(channel=known["channel"].astype(str)).merge(read, on="channel").assign(subject=subject))
    return pd.concat(parts, ignore_index=True)


def _span(row: Mapping[str, Any], kind: str) -> list[tuple[str, str]]:
    low, high = (cell(1000 * row[f"{kind}_{end}"], 0) for end in ("low", "high"))
    return [cell(1000 * row[kind], 0), (f"{low[0]} to {high[0]}" if low[1] else "–", low[1])]


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms".replace("-", "−") if np.isfinite(seconds) else ""
