"""The simulated data set ``insilico_eeg``: EEG of people who look at scenes, with every source known.

Each layer drives dipoles in both hemispheres, a layer later than the one before. The potential of electrode c at time t in a trial that shows
image i is

    y[c, t] = Σ_k Σ_d L[c, k, d] · (1 + s_kd(i)) · g_k(t) + e[c, t],     s_kd = sqrt(0.8) · f_kd + sqrt(0.2) · h_kd

over layers k and their dipoles d, where L is the lead field of a homogeneous sphere (`brainenc.simulate.scalp`), g_k a gamma-shaped course that
peaks at the latency of layer k in this person, f_kd a random read-out of what the layer has of its own (`own_parts`), h_kd a private component
that no model has, both of unit variance over the images, and e noise: sources all over the head whose power falls as 1/f above 0.3 Hz,
continuous over a run and cut into epochs. Signal and noise are in microvolt against the average of all electrodes; there
is no baseline correction, so that the noise is the same at all times, and the noise ceiling of every (channel, time) pair is known.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.rng import check_seed, generator
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet
from brainenc.simulate.insilico import scenes
from brainenc.simulate.noise import gamma_course, one_over_f
from brainenc.simulate.readouts import evened, standardized
from brainenc.simulate.scalp import cap, fitted_sphere, lead_field

Floats = npt.NDArray[np.float64]

SUBJECTS = ("01", "02", "03", "04")
N_REPEATS, RUNS_PER_REPEAT = 2, 4
FS, FIRST, LAST = 100.0, -0.1, 0.6
INTERVAL_S = (0.9, 1.1)
CORNER_HZ, NOISE_UV, N_BACKGROUND, SENSOR_SHARE = 0.3, 8.0, 300, 0.1
BACKGROUND_RADII = (0.1, 0.7)
PRIVATE_SHARE, DIPOLES = 0.2, 2  # dipoles in each hemisphere
N_COMPONENTS, N_OWN = 60, 20
SHARPNESS = 9.0


class Source(NamedTuple):
    """What a layer drives: peak latency and rise to it (s), where (right hemisphere; x right, y front, z up, radii of the head), size (µV)."""

    driver: str
    peak: float
    rise: float
    place: tuple[float, float, float]
    size: float


SOURCES = (
    Source("gabor/energy", 0.090, 0.045, (0.08, -0.55, 0.08), 8.0),
    Source("toyclip/visual.layer1", 0.120, 0.052, (0.22, -0.46, 0.18), 8.0),
    Source("toyclip/visual.layer2", 0.155, 0.060, (0.32, -0.42, 0.02), 8.0),
    Source("toyclip/visual.layer3", 0.200, 0.070, (0.42, -0.30, 0.02), 9.0),
    Source("toyclip/visual.layer4", 0.260, 0.080, (0.50, -0.08, 0.06), 8.0),
    Source("table:concepts/columns", 0.360, 0.095, (0.18, -0.08, 0.50), 8.0),
)
# latencies of a person: all are longer or shorter by a factor, and each by a little of its own
SLOWNESS_SD, OWN_SD_S = 0.06, 0.003


def load(subject: str = "01", *, seed: int = 0, cache: str | Path | None = None) -> tuple[StimulusSet, Responses]:
    """Return the scenes and the single trials of one simulated subject.

    Parameters
    ----------
    subject : {"01", "02", "03", "04"}
        Subjects differ in latencies, places and directions of the dipoles, read-outs, order of the images and noise.
    seed : int
    cache : path, optional
        Where scenes and features are kept; the user's cache when not given.

    Returns
    -------
    stimuli : StimulusSet of 800 images
        The scenes of `brainenc.simulate.insilico`: 600 for training and 200 for testing (``split``).
    responses : Responses of shape (1600, 2272)
        Two trials an image in eight runs; columns are 32 channels × 71 times (−0.1 to 0.6 s), in µV; ``targets`` carries channel, time and
        ``true_ceiling`` (variance units, mean of 2 trials, over all images). ``provenance["latencies"]`` has the peak (s) of every layer.
    """
    subject = str(one_of(str(subject), SUBJECTS, "subject of insilico_eeg"))
    stimuli = scenes(check_seed(seed), cache=cache)
    from brainenc.loaders.channels import targets_and_space

    signal, spread = _signal(stimuli, subject, seed, cache), _noise_root(subject, seed)
    samples, onsets = _design(stimuli, subject, seed)
    values = signal[stimuli.table.index.get_indexer(samples["stimulus_id"])]
    for run in range(1, N_REPEATS * RUNS_PER_REPEAT + 1):
        here = np.flatnonzero(samples["run"] == run)
        values[here] += _noise(onsets[here], spread, generator(seed, "eeg noise", subject, run))
    variance = signal.var(axis=0)
    noise = np.repeat((spread**2).sum(axis=0), len(times())) / N_REPEATS
    targets, space = targets_and_space(cap(), times())
    targets["true_ceiling"] = variance / (variance + noise)
    facts = {"simulated": True, "data set": "insilico_eeg", "seed": seed, "n_repeats": N_REPEATS, "private_share": PRIVATE_SHARE, "reference": "average",
             "sampling_rate": FS, "latencies": sources(subject, seed).set_index("driver")["peak"].to_dict()}  # fmt: skip
    return stimuli, Responses(values, samples, targets, space, units="µV (simulated)", name=subject, provenance=facts)


def truth(subject: str = "01", *, seed: int = 0, cache: str | Path | None = None) -> npt.NDArray[np.float32]:
    """Return the noise-free signal (800, 2272) of a subject in µV, in the order of the stimuli."""
    subject = str(one_of(str(subject), SUBJECTS, "subject of insilico_eeg"))
    return _signal(scenes(check_seed(seed), cache=cache), subject, seed, cache)


def sources(subject: str, seed: int = 0) -> pd.DataFrame:
    """Return the sources of a subject: ``driver`` ("model/layer"), ``onset`` and ``peak`` (s).

    Examples
    --------
    >>> sources("01").round(3)["peak"].is_monotonic_increasing
    True
    """
    slowness = 1.0 + generator(seed, "eeg slowness", subject).normal(0.0, SLOWNESS_SD)
    own = generator(seed, "eeg latencies", subject).normal(0.0, OWN_SD_S, len(SOURCES))
    peak = np.round(FS * (np.array([source.peak for source in SOURCES]) * slowness + own)) / FS  # on samples: what is found can be equal
    return pd.DataFrame({"driver": [source.driver for source in SOURCES], "onset": peak - np.array([source.rise for source in SOURCES]), "peak": peak})


def times() -> Floats:
    """Return the times (71,) of an epoch in seconds."""
    return np.arange(round(FIRST * FS), round(LAST * FS) + 1) / FS


def _signal(stimuli: StimulusSet, subject: str, seed: int, cache: str | Path | None) -> npt.NDArray[np.float32]:
    """Return the responses without noise (n_images, n_channels × n_times)."""
    drivers, known = _drivers(seed, cache), sources(subject, seed)
    courses = gamma_course(times(), known["onset"], known["peak"], sharpness=SHARPNESS)
    out = np.zeros((len(stimuli), len(cap()), len(times())))
    for source, course in zip(SOURCES, courses, strict=True):
        maps = _maps(source, subject, seed)
        features = drivers[source.driver]
        rng = generator(seed, "eeg weights", subject, source.driver)
        read = standardized(features @ rng.standard_normal((features.shape[1], maps.shape[1])))
        private = standardized(rng.standard_normal(read.shape))
        drive = 1.0 + np.sqrt(1 - PRIVATE_SHARE) * read + np.sqrt(PRIVATE_SHARE) * private
        out += np.einsum("id,cd,t->ict", drive, maps, course, optimize=True)
    return out.reshape(len(stimuli), -1).astype(np.float32)


def own_parts(layers: dict[str, Floats]) -> dict[str, Floats]:
    """Return what each layer has of its own: its 60 largest components less what the 20 largest of every other layer explain, the 20 largest of it.

    Neighbouring layers are nearly alike. Were they read out as they are, a layer would explain the sources of its neighbours, and at their latencies.
    """
    large = {name: evened(standardized(values), N_COMPONENTS) for name, values in layers.items()}
    own = {}
    for name, values in large.items():
        others = np.linalg.qr(np.hstack([rest[:, :N_OWN] for other, rest in large.items() if other != name]))[0]
        own[name] = evened(values - others @ (others.T @ values), N_OWN)
    return own


@lru_cache(maxsize=2)
def _drivers(seed: int, cache: str | Path | None) -> dict[str, Floats]:
    """Return what each layer has of its own, the same for all subjects."""
    from brainenc.features import extract

    stimuli = scenes(seed, cache=cache)
    layers: dict[str, list[str]] = {}
    for source in SOURCES:
        model, layer = source.driver.split("/", 1)
        layers.setdefault(model, []).append(layer)
    spaces: dict[str, Any] = {}
    for model, names in layers.items():
        spaces |= extract(stimuli, model, layers=names, cache=cache, progress=False)
    return own_parts({name: np.asarray(space.values, dtype=np.float64) for name, space in spaces.items()})


def _maps(source: Source, subject: str, seed: int) -> Floats:
    """Return the potentials (n_channels, n_dipoles) of the dipoles of a source, against the average, their largest value ``size`` µV."""
    rng = generator(seed, "eeg dipoles", subject, source.driver)
    places = np.array([source.place, (-source.place[0], *source.place[1:])]).repeat(DIPOLES, axis=0) + rng.normal(0.0, 0.04, (2 * DIPOLES, 3))
    outward = places / np.linalg.norm(places, axis=1, keepdims=True)
    maps = _referenced(lead_field(_electrodes(), places, outward + rng.normal(0.0, 0.4, places.shape)))
    return source.size * maps / np.abs(maps).max(axis=0)


def _noise_root(subject: str, seed: int) -> Floats:
    """Return the symmetric root (n_channels, n_channels) of the covariance of the noise, in µV."""
    rng = generator(seed, "eeg background", subject)
    directions = rng.standard_normal((N_BACKGROUND, 3))
    places = directions / np.linalg.norm(directions, axis=1, keepdims=True) * rng.uniform(*BACKGROUND_RADII, (N_BACKGROUND, 1))
    brain = _referenced(lead_field(_electrodes(), places, rng.standard_normal((N_BACKGROUND, 3))))
    own = _referenced(np.eye(len(brain)))
    covariance = sum(share * part @ part.T / np.trace(part @ part.T) for share, part in ((1 - SENSOR_SHARE, brain), (SENSOR_SHARE, own)))
    values, vectors = np.linalg.eigh(NOISE_UV**2 * len(brain) * covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _noise(onsets: Floats, root: Floats, rng: np.random.Generator) -> Floats:
    """Return the epochs (n_trials, n_channels × n_times) of one continuous run."""
    at = np.rint(FS * onsets).astype(np.intp)
    offsets = np.rint(FS * times()).astype(np.intp)
    series = one_over_f(int(at.max() + offsets.max()) + 1, len(root), rng, rate=FS, corner=CORNER_HZ) @ root
    return series[at[:, None] + offsets].swapaxes(1, 2).reshape(len(at), -1)


def _design(stimuli: StimulusSet, subject: str, seed: int) -> tuple[pd.DataFrame, Floats]:
    """Return the samples and the onsets (s from the start of the run): all images once a repeat, in a new order."""
    rng, n = generator(seed, "eeg order", subject), len(stimuli)
    order = np.concatenate([rng.permutation(n) for _ in range(N_REPEATS)])
    per_run = n // RUNS_PER_REPEAT
    onset = np.round(FS * (1.0 + np.cumsum(rng.uniform(*INTERVAL_S, (len(order) // per_run, per_run)), axis=1))).reshape(-1) / FS
    samples = pd.DataFrame(
        {
            "stimulus_id": stimuli.ids[order], "subject": subject, "run": np.arange(len(order)) // per_run + 1,
            "repeat": np.arange(len(order)) // n + 1, "onset": onset, "split": stimuli.table["split"].to_numpy()[order],
        }
    )  # fmt: skip
    return samples, onset


def _electrodes() -> Floats:
    """Return the electrodes (n_channels, 3) from the centre of the sphere that fits them."""
    points = cap()[["x", "y", "z"]].to_numpy()
    return np.asarray(points - fitted_sphere(points)[0])


def _referenced(values: Floats) -> Floats:
    return values - values.mean(axis=0)
