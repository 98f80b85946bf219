"""The simulated data set ``insilico_seeg``: contacts that see, that hear, that add the two, and that combine them.

People watch a film. Its shots are the scenes of `brainenc.simulate.insilico`, one after the other; meanwhile sentences are spoken, each a
caption of some scene, but not of the one on the screen. There are two event structures: cuts (the new frame with the nearest sentence; "vision") and
words (the sentence that they complete, with the frame on the screen; "language"). The signal of contact c is

    y_c(t) = a_c Σ_e s_c(e) g_c(t − onset_e) + noise_c(t)

over the events e of the structures that it answers to, where g_c is a gamma-shaped course (`brainenc.simulate.noise`) and s_c, of unit
variance, reads out, with random weights,

    "vision"    v                                the frame, at cuts
    "language"  l                                the sentence, at words
    "sum"       v and l, half each               at both; nothing that v and l, side by side, do not explain
    "fusion"    the gates tanh(A v) ⊙ tanh(B l)  at both; two thirds of its variance, which v and l do not explain, and the sum of v and l
    "none"      nothing

and v, l are the largest principal components, of equal variance, of ToyCLIP's embeddings of image and text. Noise has unit variance, falls as 1/f
above 0.2 Hz and is partly shared by a shaft. Rows are epochs around the events, columns means of 200 ms windows: epochs of neighbouring
events overlap, share noise and carry each other's responses, as they do in films.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.rng import check_seed, generator
from brainenc.nouns.features import FeatureSpace
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet
from brainenc.simulate import insilico
from brainenc.simulate.noise import gamma_course, grouped_noise
from brainenc.simulate.readouts import evened, standardized

Floats = npt.NDArray[np.float64]

SUBJECTS = ("01", "02")
STRUCTURES = ("language", "vision")
N_RUNS, N_PER_RUN, START_S, INTERVAL_S = 5, 160, 2.0, (0.8, 1.6)
FS = 100.0
FIRST, LAST, WINDOW_S, STEP_S = -0.5, 1.0, 0.2, 0.05  # centres of the first and the last window
CORNER_HZ, SHARED, COURSE_S = 0.2, 1 / 3, 1.2
N_COMPONENTS, N_GATES, GATED = 20, 24, 2 / 3
ANSWERS = {"vision": ("vision",), "language": ("language",), "sum": STRUCTURES, "fusion": STRUCTURES}


class Shaft(NamedTuple):
    """A shaft: name, region, deepest and outermost contact (MNI mm), and the drivers of its contacts, in an order drawn for each subject."""

    name: str
    region: str
    inner: tuple[float, float, float]
    outer: tuple[float, float, float]
    drivers: tuple[str, ...]


SHAFTS = (
    Shaft("LT", "superior temporal sulcus", (-40, -46, 4), (-64, -48, 6), ("fusion", "language", "sum", "vision", "none", "none")),
    Shaft("LF", "inferior frontal gyrus", (-34, 22, 10), (-56, 24, 14), ("language", "language", "language", "sum", "none", "none")),
    Shaft("LO", "fusiform gyrus", (-26, -62, -12), (-50, -64, -10), ("vision", "vision", "vision", "none", "none", "none")),
    Shaft("RP", "inferior parietal lobule", (36, -50, 34), (60, -52, 38), ("fusion", "sum", "sum", "vision", "none", "none")),
    Shaft("RH", "hippocampus", (24, -20, -16), (50, -20, -14), ("none",) * 6),
)
# peak latencies (s), their standard deviation over contacts, and amplitudes (noise standard deviations)
PEAKS = {"vision": 0.22, "language": 0.36, "sum": 0.40, "fusion": 0.46}
PEAK_SD, ONSET_S, AMPLITUDES = 0.03, 0.05, (0.4, 0.55)


def load(subject: str = "01", *, seed: int = 0, cache: str | Path | None = None) -> tuple[StimulusSet, Responses]:
    """Return the events of the film and the epochs of one simulated subject.

    Parameters
    ----------
    subject : {"01", "02"}
        Subjects see one film; they differ in contacts, read-outs, latencies and noise.
    seed : int
    cache : path, optional
        Where scenes and features are kept; the user's cache when not given. The recording itself is made in a moment.

    Returns
    -------
    stimuli : StimulusSet of 1600 images
        One row an event, in the order of the film: the frame, ``text`` (the sentence), structure, run, onset (s from the start of the run), and the
        scenes that ``frame`` and ``sentence`` are of.
    responses : Responses of shape (1600, 930)
        Epochs of both structures (column ``structure`` of the samples), (contact, time) pairs in noise standard deviations; ``time`` is the
        centre of a window of 200 ms. ``targets`` carries roi, shaft, hemi, x, y, z, ``driver``, ``true_peak`` (s) and ``true_amplitude``.
    """
    subject = str(one_of(str(subject), SUBJECTS, "subject of insilico_seeg"))
    stimuli = film(check_seed(seed), cache=cache)
    table = contacts(subject, seed)
    drive = _drive(stimuli, table, subject, seed, cache)
    epochs = np.concatenate([_epochs(stimuli, drive, table, run, subject, seed) for run in range(1, N_RUNS + 1)])
    return stimuli, _wrapped(epochs, stimuli, table, subject, seed)


def models(seed: int = 0, *, cache: str | Path | None = None) -> dict[str, FeatureSpace]:
    """Return the features of four models for every event of the film.

    Returns
    -------
    dict of str to FeatureSpace, 1600 rows each
        ``"vision"`` and ``"language"`` (64 features: ToyCLIP's embeddings of frame and sentence), ``"fusion"`` (both and the 24 gates that drive the
        fusing contacts), ``"fusion-random"`` (both and 24 gates of other weights); standardised over the events.

    Examples
    --------
    >>> {name: space.n_features for name, space in models().items()}      # doctest: +SKIP
    {'vision': 64, 'language': 64, 'fusion': 152, 'fusion-random': 152}
    """
    stimuli = film(check_seed(seed), cache=cache)
    seen, heard = _embeddings(stimuli, seed, cache)
    parts = {"vision": [seen], "language": [heard]}
    for name in ("fusion", "fusion-random"):
        parts[name] = [seen, heard, gates(_components(seen), _components(heard), seed, name)]
    samples = stimuli.table[["structure", "run", "onset"]].reset_index()
    facts = {"simulated": True, "data set": "insilico_seeg", "seed": seed}
    return {
        name: FeatureSpace(standardized(np.hstack(values)).astype(np.float32), samples, name=f"{name}/embedding", provenance=facts)
        for name, values in parts.items()
    }


def film(seed: int = 0, *, cache: str | Path | None = None) -> StimulusSet:
    """Return the events of the film: cuts and words, 160 each in each of five runs."""
    scenes = insilico.scenes(seed, cache=cache)
    n = N_RUNS * N_PER_RUN
    shown, spoken = (generator(seed, "film", what).permutation(len(scenes))[:n] for what in ("shots", "sentences"))
    rows = []
    for run in range(N_RUNS):
        cuts, words = (_onsets(generator(seed, "film", what, run)) for what in ("cuts", "words"))
        here = slice(run * N_PER_RUN, (run + 1) * N_PER_RUN)
        nearest = np.abs(cuts[:, None] - words).argmin(axis=1)
        screen = np.maximum(np.searchsorted(cuts, words, side="right") - 1, 0)
        for structure, onsets, frame, sentence in (
            ("vision", cuts, shown[here], spoken[here][nearest]), ("language", words, shown[here][screen], spoken[here])
        ):  # fmt: skip
            name = {"vision": "cut", "language": "word"}[structure]
            ids = [f"{name}-{run + 1}-{i + 1:03d}" for i in range(N_PER_RUN)]
            rows.append(pd.DataFrame({"stimulus_id": ids, "structure": structure, "run": run + 1, "onset": onsets, "frame": frame, "sentence": sentence}))
    table = pd.concat(rows, ignore_index=True).sort_values(["run", "onset", "stimulus_id"], ignore_index=True)
    known = scenes.table.reset_index()
    table["path"] = known["path"].to_numpy()[table["frame"]]
    table["text"] = known["caption"].to_numpy()[table["sentence"]]
    for column in ("frame", "sentence"):
        table[column] = known["stimulus_id"].to_numpy()[table[column]]
    return StimulusSet(table, root=scenes.root, kind="image", name=f"insilico film, seed {seed}")


def contacts(subject: str, seed: int) -> pd.DataFrame:
    """Return the table of contacts with what drives each, its peak latency (s) and its amplitude."""
    rows = []
    for shaft in SHAFTS:
        rng = generator(seed, "seeg contacts", subject, shaft.name)
        drivers, jitter = rng.permutation(shaft.drivers), rng.normal(0.0, 1.0, 3)
        along = np.linspace(0.0, 1.0, len(drivers))[:, None]
        places = (1 - along) * shaft.inner + along * np.array(shaft.outer) + jitter
        for i, (driver, (x, y, z)) in enumerate(zip(drivers, places, strict=True)):
            peak, amplitude = rng.normal(PEAKS.get(driver, 0.3), PEAK_SD), rng.uniform(*AMPLITUDES)
            silent = driver == "none"
            rows.append(
                {"channel": f"{shaft.name}{i + 1}", "type": "seeg", "x": x, "y": y, "z": z, "region": shaft.region, "shaft": shaft.name,
                 "hemi": "left" if x < 0 else "right", "driver": str(driver), "true_peak": np.nan if silent else peak,
                 "true_amplitude": 0.0 if silent else amplitude}
            )  # fmt: skip
    return pd.DataFrame(rows)


def gates(seen: Floats, heard: Floats, seed: int, name: str) -> Floats:
    """Return the gates tanh(A v) ⊙ tanh(B l) (n_events, 24) of the network ``name``; A and B have random columns of length 1."""
    rng = generator(seed, "network", name)
    first, second = (rng.standard_normal((values.shape[1], N_GATES)) for values in (seen, heard))
    left, right = (np.tanh(values @ (w / np.linalg.norm(w, axis=0))) for values, w in ((seen, first), (heard, second)))
    return np.asarray(left * right)


def _onsets(rng: np.random.Generator) -> Floats:
    """Return the onsets (s) of the events of one kind in a run, on the grid of the recording."""
    return np.round(FS * (START_S + np.cumsum(rng.uniform(*INTERVAL_S, N_PER_RUN)))) / FS


def _embeddings(stimuli: StimulusSet, seed: int, cache: str | Path | None) -> tuple[Floats, Floats]:
    """Return ToyCLIP's embeddings (n_events, 64) of the frames and of the sentences."""
    from brainenc.features import extract

    scenes = insilico.scenes(seed, cache=cache)
    texts = StimulusSet(pd.DataFrame({"stimulus_id": scenes.ids, "text": scenes.table["caption"].to_numpy()}), kind="text", name=scenes.name)
    seen = extract(scenes, "toyclip", layers="visual", cache=cache, progress=False)["toyclip/visual"]
    heard = extract(texts, "toyclip", layers="text", cache=cache, progress=False)["toyclip/text"]
    rows = [scenes.table.index.get_indexer(stimuli.table[column]) for column in ("frame", "sentence")]
    return tuple(np.asarray(space.values, dtype=np.float64)[index] for space, index in zip((seen, heard), rows, strict=True))


def _components(values: Floats) -> Floats:
    """Return the largest principal components over the events, of unit variance."""
    return standardized(evened(values - values.mean(axis=0), N_COMPONENTS))


def _drive(stimuli: StimulusSet, table: pd.DataFrame, subject: str, seed: int, cache: str | Path | None) -> Floats:
    """Return what each event does to each contact (n_events, n_contacts), of unit variance times the amplitude over the events that it answers to."""
    seen, heard = (_components(values) for values in _embeddings(stimuli, seed, cache))
    gated = gates(seen, heard, seed, "fusion")
    parts = {
        "vision": [(1.0, seen)], "language": [(1.0, heard)], "sum": [(0.5, seen), (0.5, heard)],
        "fusion": [(GATED, gated), ((1 - GATED) / 2, seen), ((1 - GATED) / 2, heard)],
    }  # fmt: skip
    structure = stimuli.table["structure"].to_numpy()
    out = np.zeros((len(stimuli), len(table)))
    for c, row in enumerate(table.itertuples()):
        if row.driver == "none":
            continue
        rng = generator(seed, "seeg weights", subject, row.channel)
        read = sum(
            np.sqrt(share) * standardized(values @ rng.standard_normal((values.shape[1], 1)))[:, 0] for share, values in parts[str(row.driver)]
        )
        here = np.isin(structure, ANSWERS[str(row.driver)])
        out[here, c] = row.true_amplitude * standardized(np.asarray(read)[here, None])[:, 0]
    return out


def _epochs(stimuli: StimulusSet, drive: Floats, table: pd.DataFrame, run: int, subject: str, seed: int) -> npt.NDArray[np.float32]:
    """Return the epochs (n_events, n_contacts × n_windows) of a run, cut from its continuous signal."""
    from brainenc.loaders.band_power import window_means

    here = (stimuli.table["run"] == run).to_numpy()
    at = np.rint(FS * stimuli.table["onset"].to_numpy()[here]).astype(np.intp)
    n = int(at.max() + FS * (LAST + WINDOW_S)) + 1
    signal: Floats = grouped_noise(n, table["shaft"], generator(seed, "seeg noise", subject, run), rate=FS, corner=CORNER_HZ, shared=SHARED)
    after = np.arange(int(FS * COURSE_S))
    courses = gamma_course((after + 0.5) / FS, ONSET_S, table["true_peak"].fillna(0.3))
    for place, weights in zip(at, drive[here], strict=True):
        inside = after[: n - place]
        signal[place + inside] += weights * courses.T[inside]
    offsets = np.arange(round(FS * (FIRST - WINDOW_S / 2)), round(FS * (LAST + WINDOW_S / 2)))
    cut = signal[at[:, None] + offsets].swapaxes(1, 2)
    means = window_means(cut, np.asarray((offsets + 0.5) / FS, dtype=np.float64), WINDOW_S, STEP_S)[0]
    return means.reshape(len(at), -1).astype(np.float32)


def _wrapped(epochs: npt.NDArray[np.float32], stimuli: StimulusSet, table: pd.DataFrame, subject: str, seed: int) -> Responses:
    from brainenc.loaders.channels import targets_and_space

    times = np.round(np.arange(FIRST, LAST + STEP_S / 2, STEP_S), 6)
    targets, space = targets_and_space(table, times)
    samples = stimuli.table[["structure", "run", "onset"]].reset_index().assign(subject=subject, repeat=1)
    facts = {"simulated": True, "data set": "insilico_seeg", "seed": seed, "windows": [WINDOW_S, STEP_S], "sampling_rate": FS, "frame": "MNI",
             "drivers": table["driver"].value_counts().to_dict()}  # fmt: skip
    return Responses(epochs, samples, targets, space, units="noise sd (simulated)", name=subject, provenance=facts)
