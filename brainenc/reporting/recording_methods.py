"""How the scores of a recording were made, in sentences, and what speaks against them; everything is taken from the provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from brainenc.nouns import ContactSpace, Scores, SensorSpace
from brainenc.reporting.methods import caveats, methods
from brainenc.viz.style import score_label
from brainenc.viz.summaries import Summary, metrics_of

TYPES = {"eeg": "EEG", "meg": "MEG", "mag": "magnetometer", "grad": "gradiometer", "seeg": "sEEG", "ecog": "ECoG", "dbs": "deep brain stimulation"}


def recording_methods(scores: Scores, table: Summary, what: str, *, timed: bool) -> list[tuple[str, str]]:
    """Return the (topic, sentence) pairs of `brainenc.reporting.methods.methods`, with what is true of recordings in their place."""
    facts = _of_first(scores)
    own = {
        "Data": _data(scores, table),
        "Score": _score(scores, what, timed=timed),
        "Layer choice": _choice(table, what, scores, timed=timed),
    }
    lines = [(topic, own.get(topic) or text) for topic, text in methods(scores, table)]
    after = next((i for i, (topic, _) in enumerate(lines) if topic == "Split"), len(lines))
    more = [("Recording", _recording(facts)), ("Preprocessing", _preprocessing(facts)), ("Epochs", _epochs(facts))]
    return lines[:after] + [(topic, text) for topic, text in more if text] + lines[after:]


def recording_caveats(scores: Scores, table: Summary, *, timed: bool) -> list[str]:
    """Return the caveats of `brainenc.reporting.methods.caveats` and those that recordings have besides."""
    facts, spaces = _of_first(scores), list(scores.spaces.values())
    found = caveats(scores, table)
    own = []
    if any(isinstance(space, SensorSpace) for space in spaces):
        own.append("A sensor is no source: all sensors see the same sources through a fixed mixing, so that neighbours share scores, and a map of the "
                   "scalp does not say where in the brain a layer is found.")  # fmt: skip
    if any(isinstance(space, ContactSpace) for space in spaces):
        own.append("Contacts lie where the clinic needed them: a region without a score was perhaps not recorded, and few contacts stand for it.")
    if timed:
        own.append("Neighbouring times are not independent, and curves of many times and channels have high points by chance: look at intervals, or test "
                   "clusters of times.")  # fmt: skip
    smear = _smear(facts)
    if timed and smear:
        own.append(f"{smear} so that an onset can be earlier than its cause.")
    given = facts.get("windows")
    length, step = given if isinstance(given, list | tuple) else (0, 0)
    if timed and length and step and length > step:
        own.append(f"Windows of {1000 * length:g} ms overlap (step {1000 * step:g} ms): neighbouring times share samples.")
    return own + found


def _of_first(scores: Scores) -> Mapping[str, Any]:
    """Return the provenance of the responses of the first subject."""
    facts = scores.provenance.get("responses")
    found = facts.get(scores.subjects[0]) if isinstance(facts, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _data(scores: Scores, table: Summary) -> str:
    parts = []
    for space in list(scores.spaces.values())[:1]:
        if isinstance(space, SensorSpace):
            kinds = space.channels["type"].astype(str).value_counts(sort=False)
            used, ms = len(np.unique(space.channel)), 1000 * space.times[np.unique(space.time)]
            names = ", ".join(f"{n} {TYPES.get(kind, kind)}" for kind, n in kinds.items())
            parts.append(f"{used} channels ({names} in the recording)" if used < len(space.channels) else f"{names} channels")
        elif isinstance(space, ContactSpace):
            parts.append(f"{space.table['channel'].nunique()} contacts")
            ms = 1000 * np.unique(space.table["time"].to_numpy(dtype=float)) if "time" in space.table else np.zeros(1)
        if len(ms) > 1:
            parts.append(f"{len(ms)} times from {ms[0]:.0f} to {ms[-1]:.0f} ms, every {np.median(np.diff(ms)):.3g} ms")
    people = len(table.subjects)
    who = f"; {people} subjects, of whom the first is described" if people > 1 else ""
    layers, models = len(table.layers), len(set(table.models))
    return f"{', '.join(parts)}{who}; {layers} layer{'s' * (layers != 1)} of {models} model{'s' * (models != 1)}. Each channel at each time is one target."


def _recording(facts: Mapping[str, Any]) -> str:
    rate = facts.get("sampling_rate")
    parts = [f"Sampled at {rate:g} Hz" if isinstance(rate, int | float) else "", str(facts.get("title", ""))]
    runs = facts.get("runs")
    if isinstance(runs, Mapping) and len(runs) > 1:
        parts.append(f"{len(runs)} runs")
    if facts.get("frame") not in (None, "head"):
        parts.append(f"coordinates: {facts['frame']}")
    return _joined(parts)


def _preprocessing(facts: Mapping[str, Any]) -> str:
    if "preprocessing" not in facts:
        return ""
    steps = facts["preprocessing"] if isinstance(facts["preprocessing"], Mapping) else {}
    parts = []
    low, high = steps.get("l_freq"), steps.get("h_freq")
    if low or high:
        kind = "band-pass" if low and high else "high-pass" if low else "low-pass"
        parts.append(f"{kind} filter {' to '.join(f'{edge:g}' for edge in (low, high) if edge)} Hz ({steps.get('filter', 'fir')}, zero phase)")
    if steps.get("notch"):
        parts.append(f"notch at {steps['notch']} Hz")
    if steps.get("reference"):
        parts.append(f"reference: {steps['reference']}")
    if steps.get("power"):
        parts.append(_power(steps["power"]))
    if steps.get("resample"):
        parts.append(f"resampled to {steps['resample']:g} Hz")
    known = {"l_freq", "h_freq", "filter", "notch", "reference", "power", "resample"}
    parts += [f"{name}: {value}" for name, value in steps.items() if name not in known]
    bads = sorted({str(one) for run in _runs(facts, "steps") for one in run.get("bads", [])})
    parts.append(f"bad channels: {', '.join(bads)}" if bads else "no bad channel")
    return _joined(parts if parts[:-1] else ["No filter and no new reference", *parts])


def _power(band: Any) -> str:
    if not isinstance(band, Mapping):
        return f"power: {band}"
    return f"power from {band.get('low', 0):g} to {band.get('high', 0):g} Hz ({band.get('method')}{', in dB' if band.get('log') else ''})"


def _epochs(facts: Mapping[str, Any]) -> str:
    if "tmin" not in facts:
        return ""
    parts = [f"From {1000 * facts['tmin']:.0f} to {1000 * facts['tmax']:.0f} ms around the event"]
    baseline = facts.get("baseline")
    parts.append(f"minus the mean from {1000 * baseline[0]:.0f} to {1000 * baseline[1]:.0f} ms" if baseline else "no baseline correction")
    if facts.get("decimate", 1) not in (None, 1):
        parts.append(f"every {facts['decimate']}th sample")
    if facts.get("windows"):
        parts.append("means of windows (length, step): " + ", ".join(f"{1000 * one:g} ms" for one in facts["windows"]))
    limits = [f"{kind} {value:g}" for kind, value in dict(facts.get("reject") or {}).items()]
    runs = _runs(facts, "runs")
    lost, kept = (sum(int(run.get(name, 0)) for run in runs) for name in ("n_reject", "n_epochs"))
    if limits:
        parts.append(f"{lost} epochs beyond {', '.join(limits)} (peak to peak, field units) left out")
    parts.append(f"{kept} epochs" if kept else "")
    return _joined(parts)


def _runs(facts: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    table = facts.get(name)
    return [run for run in table.values() if isinstance(run, Mapping)] if isinstance(table, Mapping) else []


def _score(scores: Scores, what: str, *, timed: bool) -> str:
    names = " and ".join(score_label(metric) for metric in metrics_of(scores))
    place = f"of each {what}" + (" at each time" if timed else "")
    how = "all held-out rows joined" if scores.aggregate == "pooled" else "the held-out rows of each fold, then the mean over folds"
    middle = "; the median over the contacts or channels of a region" if what == "region" else ""
    return f"{names} between observed and predicted responses {place}, over {how}{middle}."


def _choice(table: Summary, what: str, scores: Scores, *, timed: bool) -> str:
    many = " and ".join([*(["layer"] if len(table.layers) > 1 else []), *(["time"] if timed else [])])
    if not many:
        return "There is one layer only."
    if scores.inner is None or scores.inner.shape != scores.values.shape:
        return f"The {many} of a {what} are those with the highest held-out score, as no training-row scores are known: an optimistic choice."
    return (
        f"In each fold the {many} of a {what} are those with the best inner score, computed on the training rows of that fold; the score is the mean over "
        "folds of the held-out scores there."
    )  # fmt: skip


def _smear(facts: Mapping[str, Any]) -> str:
    steps = facts.get("preprocessing")
    filtered = isinstance(steps, Mapping) and any(steps.get(name) for name in ("l_freq", "h_freq", "notch", "power"))
    parts = [*(["filters (zero phase)"] if filtered else []), *(["windows"] if facts.get("windows") else [])]
    text = " and ".join(parts)
    return f"{text[0].upper()}{text[1:]} spread signal to earlier times," if text else ""


def _joined(parts: list[str]) -> str:
    text = "; ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""
