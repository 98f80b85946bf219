"""What belongs in one section: the scores of all subjects that share entries, folds and split, side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from brainenc.core.errors import InputError
from brainenc.nouns import NoiseCeiling, Scores
from brainenc.reporting.similarity import Comparison


def of_results(results: Any) -> tuple[dict[str, Any], list[tuple[str, Scores]], list[Comparison]]:
    """Return the facts of a study (name, failures, provenance, caveats) and its sections: encodings, then comparisons of RDMs."""
    found = results.scores()
    compared = _comparisons(results)
    if not found and not compared:
        raise InputError(
            "study has no finished score", where="report", got=repr(results), fix="see its failures, then run it again"
        )
    shown = [
        c
        for c in ("analysis", "dataset", "subject", "session", "model", "layer", "seed", "step", "error", "message")
        if c in results.failures
    ]
    failures = [
        {k: "" if pd.isna(v) else str(v) for k, v in row.items()} for row in results.failures[shown].to_dict("records")
    ]
    provenance = dict(results.provenance)
    caveats = [f"{text} ({count} tasks)" for text, count in dict(provenance.get("warnings", {})).items()] + [
        str(n) for n in provenance.get("notes", [])
    ]
    return {
        "name": results.plan.name,
        "failures": failures,
        "provenance": provenance,
        "caveats": caveats,
    }, join_subjects(found), compared


def _comparisons(results: Any) -> list[Comparison]:
    """Return the evaluations of a study with the RDMs that they compared."""
    evaluations = results.evaluations() if hasattr(results, "evaluations") else {}
    if not evaluations:
        return []
    rdms, analyses = results.rdms(), {analysis.name: analysis for analysis in results.plan.analyses}
    parts = []
    for name, evaluation in evaluations.items():
        analysis = analyses[name.split("/", 1)[0]]
        data, models = rdms.get(analysis.name, (None, None))
        title = " · ".join(dict.fromkeys(name.split("/")))
        parts.append(Comparison(title, evaluation, data, models, analysis.options, results.plan.environment))
    return parts


def join_subjects(found: dict[str, Scores]) -> list[tuple[str, Scores]]:
    """Join scores named ``analysis/dataset/subject[/session]`` that differ in nothing but the subject; the rest stays apart."""
    sections: dict[tuple[Any, ...], list[tuple[str, Scores]]] = {}
    for name, scores in found.items():
        head = "/".join(name.split("/")[:2]) if name.count("/") >= 2 else name if "/" in name else ""
        key = (head, *_shape(scores))
        taken = {subject for _, s in sections.get(key, []) for subject in s.subjects}
        while taken & set(scores.subjects):
            key = (*key, name)
            taken = {subject for _, s in sections.get(key, []) for subject in s.subjects}
        sections.setdefault(key, []).append((name, scores))
    return [(_title(members), _beside([scores for _, scores in members])) for members in sections.values()]


def _shape(scores: Scores) -> tuple[Any, ...]:
    entries = tuple(map(tuple, scores.entries[["model", "layer", "metric", "seed"]].astype(str).to_numpy()))
    ceiling = None if scores.ceiling is None else (scores.ceiling.units, scores.ceiling.method, scores.ceiling.floor)
    present = tuple(None if array is None else array.shape[1] for array in (scores.inner, scores.alpha)) + (
        scores.p is None,
        scores.q is None,
        scores.p_max is None,
        scores.ci is None,
    )
    return (entries, scores.values.shape[1], scores.split, scores.aggregate, ceiling, *present)


def _title(members: list[tuple[str, Scores]]) -> str:
    """Return the part of the names that all members share, or the only name."""
    parts = [name.split("/") for name, _ in members]
    if len(parts) == 1:
        return " · ".join(dict.fromkeys(parts[0]))
    shared = [column[0] for column in zip(*parts, strict=False) if len(set(column)) == 1]
    return " · ".join(dict.fromkeys(shared))


def _beside(parts: list[Scores]) -> Scores:
    first = parts[0]
    if len(parts) == 1:
        return first

    def join(name: str) -> Any:
        arrays = [getattr(s, name) for s in parts]
        return None if arrays[0] is None else np.concatenate(arrays, axis=-1)

    def merge(name: str) -> dict[str, Any]:
        return {subject: value for s in parts for subject, value in getattr(s, name).items()}

    together: dict[str, Any] = {name: join(name) for name in ("values", "inner", "alpha", "p", "q", "p_max", "ci", "n_test")}
    together |= {name: merge(name) for name in ("spaces", "predictions", "observed", "test_rows")}
    return replace(
        first,
        **together,
        targets=pd.concat([s.targets for s in parts], ignore_index=True),
        ceiling=_join_ceilings(parts),
        ceiling_status="; ".join(dict.fromkeys(s.ceiling_status for s in parts)),
        provenance=_join_provenance(parts),
    )


def _join_ceilings(parts: list[Scores]) -> NoiseCeiling | None:
    ceilings = [s.ceiling for s in parts if s.ceiling is not None]
    if len(ceilings) < len(parts):
        return None
    repeats = [c.n_repeats for c in ceilings]
    n_repeats = float(len(repeats) / np.sum(1.0 / np.asarray(repeats)))
    return replace(ceilings[0], values=np.concatenate([c.values for c in ceilings]), ci=None, n_repeats=n_repeats)


def _join_provenance(parts: list[Scores]) -> dict[str, Any]:
    """Return what all parts agree in as it is; counts by subject merged; the rest by subject."""
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(k for s in parts for k in s.provenance):
        values = [s.provenance.get(key) for s in parts]
        if all(repr(v) == repr(values[0]) for v in values):
            joined[key] = values[0]
        elif all(isinstance(v, dict) and set(v) == set(s.subjects) for v, s in zip(values, parts, strict=True)):
            joined[key] = {k: v for value in values for k, v in value.items()}  # type: ignore[union-attr]
        else:
            joined[key] = {", ".join(s.subjects): v for v, s in zip(values, parts, strict=True)}
    return joined
