"""The ceiling of the scored responses, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from brainenc.core.errors import InputError
from brainenc.encoding._rows import Subject, test_repeats
from brainenc.metrics.ceilings import from_repeats
from brainenc.nouns.ceiling import NoiseCeiling


def ceiling_of(ceiling: Any, subjects: list[Subject]) -> tuple[NoiseCeiling | None, str]:
    """Return one ceiling over the targets of all subjects, and its status in words."""
    if ceiling is None:
        return None, "no ceiling was asked for"
    parts: list[tuple[NoiseCeiling | None, str]]
    if isinstance(ceiling, str):
        if ceiling != "auto":
            raise InputError("unknown ceiling", where="score_layers", expected='"auto", None, a NoiseCeiling or one per subject', got=repr(ceiling))
        parts = [_estimate(subject) for subject in subjects]
    else:
        parts = [(one, one.describe()) for one in (_given(ceiling, subject, len(subjects)) for subject in subjects)]
    known = [one for one, _ in parts if one is not None]
    texts = list(dict.fromkeys(text for _, text in parts))
    status = texts[0] if len(texts) == 1 else "; ".join(f"{subject.name}: {text}" for subject, (_, text) in zip(subjects, parts, strict=True))
    return (_join(parts, subjects) if known else None), status


def _given(ceiling: Any, subject: Subject, n_subjects: int) -> NoiseCeiling:
    if isinstance(ceiling, Mapping):
        if subject.name not in ceiling:
            raise InputError("no ceiling for a subject", where="score_layers", expected=subject.name, got=", ".join(map(str, ceiling)))
        ceiling = ceiling[subject.name]
    elif n_subjects > 1:
        raise InputError("several subjects need a ceiling each", where="score_layers", expected="{subject: NoiseCeiling}", got=type(ceiling).__name__)
    if not isinstance(ceiling, NoiseCeiling):
        raise InputError("not a noise ceiling", where="score_layers", expected="a NoiseCeiling", got=type(ceiling).__name__)
    if len(ceiling.values) != subject.responses.n_targets:
        n_targets = subject.responses.n_targets
        raise InputError("one ceiling per target is needed", where=f"score_layers, {subject.name!r}", expected=n_targets, got=len(ceiling.values))
    return ceiling


def _estimate(subject: Subject) -> tuple[NoiseCeiling | None, str]:
    responses = subject.responses
    if responses.is_time_series:
        return None, "no ceiling: scans of a time series are not repeats of a stimulus"
    if "stimulus_id" not in responses.samples:
        return None, "no ceiling: responses have no stimulus_id"
    if "n_repeats" in responses.samples and bool((responses.samples["n_repeats"] > 1).any()):
        return None, "no ceiling: responses came averaged over repeats"
    ids = responses.samples["stimulus_id"]
    if not ids.duplicated().any():
        return None, "no ceiling: no stimulus is repeated"
    if ids.nunique() < 3:
        return None, "no ceiling: fewer than three stimuli"
    one = from_repeats(responses, n_repeats=test_repeats(subject))
    for part in subject.parts:
        one.values[part.usable] = _of_part(part)
    return one, one.describe()


def _of_part(part: Subject) -> Any:
    """Return the ceilings of targets that lack some rows, from the rows and for the repeats that they have."""
    columns = np.flatnonzero(part.usable)
    rows = np.flatnonzero(~np.isnan(part.responses.values[:, columns[0]]))
    trials = part.responses.take_rows(rows).take_targets(columns)
    ids = trials.samples["stimulus_id"]
    if not ids.duplicated().any() or ids.nunique() < 3:
        return np.nan
    return from_repeats(trials, n_repeats=test_repeats(part)).values


def _join(parts: list[tuple[NoiseCeiling | None, str]], subjects: list[Subject]) -> NoiseCeiling:
    known = [one for one, _ in parts if one is not None]
    if len({one.units for one in known}) > 1:
        raise InputError("ceilings of the subjects are in different units", where="score_layers", got=", ".join(one.units for one in known))
    sizes = [subject.responses.n_targets for subject in subjects]
    values = [np.full(n, np.nan) if one is None else one.values for (one, _), n in zip(parts, sizes, strict=True)]
    bounds = [np.full((2, n), np.nan) if one is None or one.ci is None else one.ci for (one, _), n in zip(parts, sizes, strict=True)]
    repeats = float(np.mean([one.n_repeats for one in known]))
    methods = list(dict.fromkeys(one.method for one in known))
    has_ci = any(one.ci is not None for one in known)
    return NoiseCeiling(
        np.concatenate(values), units=known[0].units, n_repeats=repeats, method=", ".join(methods), floor=max(one.floor for one in known),
        ci=np.concatenate(bounds, axis=1) if has_ci else None,
    )  # fmt: skip
