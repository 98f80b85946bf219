"""The simulated data set ``frequency_tagging``: intracranial contacts that follow the rhythm of sentences, phrases or words, or none.

Words come four a second, 32 to a trial of 8 s. A contact c that follows level l (1 Hz sentences, 2 Hz phrases, 4 Hz words) answers in
trial j at time t with

    y[j, c, t] = a_c cos(2π f_l (t + ε_j) + φ_c) · [l is there in the condition of the trial] + e[j, c, t]

where sentences are there in the condition "sentence", phrases in "sentence" and "phrase", words in all three, ε_j is a jitter of 20 ms,
and e noise of unit variance whose power falls as 1/f above 0.2 Hz, a third of it shared by the contacts of a shaft. Driver, amplitude
and phase stand in the targets.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.rng import check_seed, generator
from brainenc.nouns.responses import Responses
from brainenc.nouns.spaces import ContactSpace
from brainenc.nouns.stimuli import StimulusSet
from brainenc.simulate.noise import grouped_noise
from brainenc.simulate.sentences import scrambled_order, sentences

SUBJECTS = ("01", "02", "03", "04")
RATES = {"sentence": 1.0, "phrase": 2.0, "word": 4.0}
CONDITIONS = {"sentence": ("sentence", "phrase", "word"), "phrase": ("phrase", "word"), "random": ("word",)}
N_TRIALS, N_RUNS, SENTENCES_PER_TRIAL, UNITS = 20, 4, 8, 4
FS, SECONDS = 64.0, 8.0
SHARED, CORNER_HZ, JITTER_S = 1 / 3, 0.2, 0.02
CONTACTS = 6
# shaft, region, hemisphere, deepest contact and outermost contact (MNI mm), level that its contacts may follow
SHAFTS: tuple[tuple[str, str, str, tuple[float, ...], tuple[float, ...], str], ...] = (
    ("A", "A1", "left", (-36, -24, 10), (-56, -20, 8), "word"),
    ("B", "A1", "right", (38, -22, 10), (58, -18, 8), "word"),
    ("C", "STG", "left", (-42, -34, 6), (-66, -34, 8), "phrase"),
    ("D", "STG", "right", (44, -32, 6), (67, -32, 8), "word"),
    ("E", "MTG", "left", (-40, -44, -4), (-66, -44, -2), "phrase"),
    ("F", "IFG", "left", (-34, 22, 10), (-56, 24, 12), "sentence"),
    ("G", "TPJ", "left", (-38, -54, 22), (-62, -54, 24), "sentence"),
    ("H", "temporal pole", "left", (-34, 10, -30), (-52, 12, -26), "sentence"),
    ("J", "MFG", "right", (28, 40, 24), (46, 44, 28), "none"),
    ("K", "hippocampus", "right", (24, -18, -16), (48, -18, -14), "none"),
    ("L", "insula", "right", (34, 6, 2), (54, 8, 4), "none"),
)
FOLLOWING = 4  # of the six contacts of a shaft
AMPLITUDES = (0.1, 0.22)


def load(subject: str = "01", *, seed: int = 0, cache: str | Path | None = None) -> tuple[StimulusSet, Responses]:
    """Return the sequences and the recording of one simulated subject.

    Parameters
    ----------
    subject : {"01", "02", "03", "04"}
        Subjects differ in the sequences they hear, in which contacts follow, how much, and in the noise.
    seed : int
    cache : path, optional
        Not used: the recording is made in a moment.

    Returns
    -------
    stimuli : StimulusSet of 60 texts
        20 sequences of 32 words a condition ("sentence", "phrase", "random"); ``words`` lists the words.
    responses : Responses of shape (30720, 66)
        A time series at 64 Hz, one row a sample; ``samples`` carries run, trial, condition, stimulus_id; ``targets`` channel, roi, hemi,
        shaft, x, y, z, ``driver``, ``true_amplitude`` (noise standard deviations) and ``true_phase`` (rad).
    """
    subject = str(one_of(str(subject), SUBJECTS, "subject of frequency_tagging"))
    check_seed(seed)
    stimuli = sequences(subject, seed)
    targets = contacts(subject, seed)
    samples, events = _design(stimuli, subject, seed)
    values = _signal(samples, targets, subject, seed) + _noise(samples, targets, subject, seed)
    facts = {"simulated": True, "data set": "frequency_tagging", "seed": seed, "rates": RATES}
    return stimuli, Responses(
        values.astype(np.float32), samples, targets, ContactSpace(targets[["channel", "x", "y", "z", "roi", "hemi", "shaft"]]), units="noise sd (simulated)",
        sampling_rate=FS, events=events, name=subject, provenance=facts,
    )  # fmt: skip


def sequences(subject: str, seed: int) -> StimulusSet:
    """Return the texts of the trials: whole sentences, phrases of unrelated sentences, or words out of order."""
    known = list(sentences(50, seed).table["text"])
    rows = []
    for condition in CONDITIONS:
        for trial in range(N_TRIALS):
            rng = generator(seed, "sequence", subject, condition, trial)
            drawn = [known[i].split() for i in rng.permutation(len(known))[: SENTENCES_PER_TRIAL * 2]]
            words = _arranged(drawn, condition, rng)
            rows.append({"stimulus_id": f"{condition}_{trial + 1:02d}", "condition": condition, "text": " ".join(words), "words": words})
    return StimulusSet(pd.DataFrame(rows), kind="text", name=f"frequency_tagging {subject}")


def contacts(subject: str, seed: int) -> pd.DataFrame:
    """Return the table of contacts with what each truly follows."""
    rows = []
    for shaft, roi, hemi, inner, outer, level in SHAFTS:
        rng = generator(seed, "contacts", subject, shaft)
        follows = set(rng.permutation(CONTACTS)[:FOLLOWING]) if level != "none" else set()
        jitter = rng.normal(0.0, 1.0, 3)
        for i, part in enumerate(np.linspace(0.0, 1.0, CONTACTS)):
            x, y, z = np.array(inner) + part * (np.array(outer) - np.array(inner)) + jitter
            amplitude, phase = rng.uniform(*AMPLITUDES), rng.uniform(-np.pi, np.pi)
            yes = i in follows
            rows.append(
                {"target_id": f"{shaft}{i + 1}", "channel": f"{shaft}{i + 1}", "roi": roi, "hemi": hemi, "shaft": shaft, "x": x, "y": y, "z": z,
                 "driver": level if yes else "none", "true_amplitude": amplitude if yes else 0.0, "true_phase": phase if yes else np.nan}
            )  # fmt: skip
    return pd.DataFrame(rows)


def _arranged(drawn: list[list[str]], condition: str, rng: np.random.Generator) -> list[str]:
    if condition == "sentence":
        return [word for sentence in drawn[:SENTENCES_PER_TRIAL] for word in sentence]
    if condition == "random":
        return [sentence[i] for sentence in drawn[:SENTENCES_PER_TRIAL] for i in scrambled_order(UNITS, rng)]
    # one phrase of each of sixteen sentences, noun and verb phrases in random turn: no two make a sentence
    return [word for sentence in drawn for word in (sentence[:2] if rng.integers(2) else sentence[2:])]


def _design(stimuli: StimulusSet, subject: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    n, length = len(stimuli), int(FS * SECONDS)
    order = generator(seed, "order", subject).permutation(n)
    per_run = n // N_RUNS
    run = np.arange(n) // per_run + 1
    ids, condition = stimuli.ids[order], stimuli.table["condition"].to_numpy()[order]
    trial = np.repeat(np.arange(n), length)
    samples = pd.DataFrame(
        {
            "subject": subject, "run": run[trial], "trial": trial, "condition": condition[trial], "stimulus_id": ids[trial],
            "time": (np.arange(n * length) % (per_run * length)) / FS,
        }
    )  # fmt: skip
    events = pd.DataFrame({"onset": (np.arange(n) % per_run) * SECONDS, "duration": SECONDS, "stimulus_id": ids, "run": run, "condition": condition})
    return samples, events


def _signal(samples: pd.DataFrame, targets: pd.DataFrame, subject: str, seed: int) -> npt.NDArray[np.float64]:
    n = int(samples["trial"].iloc[-1]) + 1
    length = len(samples) // n
    condition = samples["condition"].to_numpy()[::length]
    time = np.arange(length) / FS + generator(seed, "jitter", subject).normal(0.0, JITTER_S, (n, 1))
    out = np.zeros((n, length, len(targets)))
    for c, row in enumerate(targets.itertuples()):
        if row.driver != "none":
            there = np.array([row.driver in CONDITIONS[name] for name in condition])
            out[..., c] = row.true_amplitude * np.cos(2 * np.pi * RATES[str(row.driver)] * time + row.true_phase) * there[:, None]
    return out.reshape(len(samples), len(targets))


def _noise(samples: pd.DataFrame, targets: pd.DataFrame, subject: str, seed: int) -> npt.NDArray[np.float64]:
    shafts = targets["shaft"].to_numpy()
    parts = []
    for run in samples["run"].unique():
        n, rng = int((samples["run"] == run).sum()), generator(seed, "noise", subject, int(run))
        parts.append(grouped_noise(n, shafts, rng, rate=FS, corner=CORNER_HZ, shared=SHARED))
    return np.concatenate(parts)
