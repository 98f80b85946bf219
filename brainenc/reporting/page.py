"""The verb: scores or results in, one self-contained HTML file out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from brainenc.core.errors import InputError
from brainenc.reporting.content import Group, describe_group, overview
from brainenc.reporting.groups import join_subjects, of_results
from brainenc.reporting.recordings import describe_recording
from brainenc.reporting.similarity import Comparison, Similarity, describe_comparison
from brainenc.viz.moments import is_recording


def report(results_or_scores: Any, path: str | Path = "report.html", *, title: str | None = None) -> Path:
    """Write one HTML file with claims, figures, tables, methods and provenance.

    The file holds everything it shows (figures as PNG data), loads nothing, and runs one small script of its own (sorting and filtering
    tables) that its content security policy allows by hash. Every text that comes from data is escaped.

    Parameters
    ----------
    results_or_scores : Results, Scores, Evaluation, mapping of names to Scores or Evaluations, or path
        What `brainenc.run`, `brainenc.score_layers` or `brainenc.rsa.evaluate` returned, or the results folder that a run wrote.
    path : path
        Where to write; parent folders are made, and the file is replaced whole or not at all.
    title : str, optional
        Of the report; the name of the study when not given.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        For anything else than scores or results, and for results without a single finished score.
    DataError
        When the file cannot be written, or a folder holds no finished results.

    Examples
    --------
    >>> import brainenc as be
    >>> be.report(scores, "report.html")        # doctest: +SKIP
    """
    from brainenc.io.atomic import write_text

    study, parts, compared = _parts(results_or_scores)
    groups: list[Group | Similarity] = [
        (describe_recording if is_recording(scores) else describe_group)(name, scores, study, position) for position, (name, scores) in enumerate(parts)
    ]
    groups += [describe_comparison(part, study, len(parts) + position) for position, part in enumerate(compared)]
    default = "Layer-by-region scores" if parts else "Representational similarity"
    return write_text(Path(path), render(groups, study, title or study.get("name") or default))


def render(groups: list[Group | Similarity], study: Mapping[str, Any], title: str) -> str:
    """Return the HTML text of a report."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    own = files("brainenc.reporting")
    css, script = ((own / name).read_text(encoding="utf-8").strip() for name in ("report.css", "report.js"))
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((own / "template.html.j2").read_text(encoding="utf-8"))
    # Markup marks our own two files, never data; the hashes let the browser run these very bytes and nothing else.
    policy = f"default-src 'none'; img-src data:; style-src '{_hash(css)}'; script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    return template.render(
        title=title, groups=groups, study=study, overview=overview(groups, study), css=Markup(css), script=Markup(script), policy=policy,  # noqa: S704
    )  # fmt: skip


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _parts(source: Any) -> tuple[dict[str, Any], list[tuple[str, Any]], list[Comparison]]:
    from brainenc.nouns import Evaluation, Scores

    if isinstance(source, str | Path):
        from brainenc.study import read_results

        source = read_results(source)
    alone: dict[str, Any] = {"name": None, "failures": [], "provenance": {}, "caveats": []}
    if isinstance(source, Scores):
        return alone, [("", source)], []
    if isinstance(source, Evaluation):
        return alone, [], [Comparison("", source)]
    if isinstance(source, Mapping) and source and all(isinstance(s, Scores | Evaluation) for s in source.values()):
        scores = {name: noun for name, noun in source.items() if isinstance(noun, Scores)}
        return alone, join_subjects(scores), [Comparison(name, noun) for name, noun in source.items() if isinstance(noun, Evaluation)]
    if hasattr(source, "scores") and hasattr(source, "plan"):
        return of_results(source)
    raise InputError(
        "cannot be reported",
        where="report",
        expected="Results, Scores, an Evaluation, a mapping of names to Scores or Evaluations, or the path of a results folder",
        got=type(source).__name__,
    )
