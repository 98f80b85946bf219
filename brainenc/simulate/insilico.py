"""The embedded data set ``insilico``: subjects whose every answer is known.

Each simulated vertex v of a region answers image i in repeat k with

    y[i, k, v] = sqrt(0.8) · f_v(i) + sqrt(0.2) · h_v(i) + sigma_v · e[i, k, v]

where f_v is a fixed linear read-out of the region's driver (a feature space that can be extracted by name: Gabor energy for
V1 and V2, one layer of ToyCLIP for V4, the concept table for the others), h_v a private component that no model has, both of
unit variance over the images, and e noise of unit variance: a third of it smooth over the cortex, autocorrelated from trial to trial
within a run, with an offset for each run. sigma_v follows from the wanted noise ceiling
c_v = 1 / (1 + sigma_v² / n_repeats), which is stored with the driver before any noise is added.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brainenc.core.checks import one_of
from brainenc.core.fingerprint import of_json
from brainenc.core.rng import check_seed, generator
from brainenc.nouns.responses import Responses
from brainenc.nouns.stimuli import StimulusSet
from brainenc.simulate.readouts import evened, standardized
from brainenc.simulate.regions import Region, place, smoothing_root

VERSION = 3
SUBJECTS = ("01", "02", "03", "04")
N_TRAIN, N_TEST, N_REPEATS, RUNS_PER_REPEAT = 600, 200, 3, 4
PRIVATE_SHARE = 0.2
GABOR, MIDDLE, CONCEPTS = "gabor/energy", "toyclip/visual.layer2", "table:concepts/columns"
REGIONS = (
    Region("V1", (-9, -94, -2), (11, -92, 0), 14.0, GABOR, 0.68),
    Region("V2", (-14, -96, 14), (16, -94, 16), 13.0, GABOR, 0.60),
    Region("V4", (-28, -80, -12), (30, -78, -11), 13.0, MIDDLE, 0.52),
    Region("LOC", (-43, -76, -5), (42, -73, -4), 14.0, CONCEPTS, 0.45),
    Region("FFA", (-39, -55, -18), (40, -54, -17), 14.0, CONCEPTS, 0.38),
    Region("PPA", (-26, -43, -10), (26, -42, -10), 14.0, CONCEPTS, 0.31),
    Region("EBA", (-49, -74, 8), (50, -70, 5), 14.0, CONCEPTS, 0.25),
)
# Which concepts weigh most where; the other columns keep a weight of one.
PREFERENCES = {"FFA": ("face",), "PPA": ("background",), "EBA": ("person",), "LOC": ("category",)}
PREFERENCE_GAIN = 2.0
N_COMPONENTS = 60


def load(subject: str = "01", *, seed: int = 0, cache: str | Path | None = None) -> tuple[StimulusSet, Responses]:
    """Return the stimuli and single-trial responses of one simulated subject; generated on first use, then read from the cache.

    Parameters
    ----------
    subject : {"01", "02", "03", "04"}
    seed : int
        Of the whole simulation: images, read-outs and noise.
    cache : path, optional
        Where to keep it; the user's cache when not given.

    Returns
    -------
    stimuli : StimulusSet of 800 images
        With captions, concept columns and ``split`` ("train", "test").
    responses : Responses of shape (2400, n_targets)
        z-scored units; ``targets`` carries roi, hemi, x, y, z, ``driver`` and ``true_ceiling`` (variance units, mean of 3 repeats).
    """
    subject = str(one_of(str(subject), SUBJECTS, "subject of insilico"))
    stimuli = scenes(check_seed(seed), cache=cache)
    entry = _subject_entry(subject, seed, stimuli, cache)
    space = place(REGIONS, seed=seed, subject=subject)[1]
    header = entry.json("facts.json")
    return stimuli, Responses(
        values=entry.array("values.npy", mmap=False), samples=entry.table("samples.parquet"), targets=entry.table("targets.parquet"), space=space,
        units="z (simulated)", name=subject, provenance=header,
    )  # fmt: skip


def truth(subject: str = "01", *, seed: int = 0, cache: str | Path | None = None) -> npt.NDArray[np.float32]:
    """Return the noise-free signal (n_images, n_targets) of a subject, in the order of the stimuli."""
    stimuli = scenes(check_seed(seed), cache=cache)
    return np.asarray(_subject_entry(str(subject), seed, stimuli, cache).array("signal.npy"))


def scenes(seed: int = 0, *, cache: str | Path | None = None) -> StimulusSet:
    """Return the 800 rendered scenes of a simulation: 600 for training, 200 for testing."""
    from brainenc.simulate.scenes import render_scenes

    store = _store(cache)
    key = of_json({"step": "insilico scenes", "version": VERSION, "seed": seed, "n": N_TRAIN + N_TEST})
    entry = store.get(key)
    if entry is None:
        rendered = render_scenes(N_TRAIN + N_TEST, seed, stream="insilico")
        table = rendered.table.copy()
        table["split"] = ["train"] * N_TRAIN + ["test"] * N_TEST
        table["path"] = [f"images.npy::[{i}]" for i in range(len(table))]
        entry = store.put(key, {"images.npy": rendered.images, "table.parquet": table}, {"step": "insilico scenes", "seed": seed})
    return StimulusSet(entry.table("table.parquet"), root=entry.path, kind="image", name=f"insilico scenes, seed {seed}")


def _subject_entry(subject: str, seed: int, stimuli: StimulusSet, cache: str | Path | None) -> Any:
    store = _store(cache)
    drivers = _drivers(seed, cache)
    key = of_json(
        {
            "step": "insilico subject", "version": VERSION, "seed": seed, "subject": subject, "regions": [_plain(r) for r in REGIONS],
            "drivers": {name: values for name, values in drivers.items()},
        }
    )  # fmt: skip
    entry = store.get(key)
    if entry is None:
        targets, space = place(REGIONS, seed=seed, subject=subject)
        targets["true_ceiling"] = _ceilings(targets, seed, subject)
        signal = _signal(targets, space, drivers, _concept_names(seed, cache), seed, subject)
        values, samples = _measure(signal, targets, space, stimuli, seed, subject)
        facts = {"simulated": True, "data set": "insilico", "seed": seed, "n_repeats": N_REPEATS, "private_share": PRIVATE_SHARE,
                 "drivers": {r.name: r.driver for r in REGIONS}}  # fmt: skip
        entry = store.put(
            key,
            {"values.npy": values, "signal.npy": signal.astype(np.float32), "samples.parquet": samples, "targets.parquet": targets, "facts.json": facts},
            {"step": "insilico subject", "seed": seed, "subject": subject},
        )
    return entry


@lru_cache(maxsize=2)
def _driver_spaces(seed: int, cache: str | Path | None) -> dict[str, Any]:
    from brainenc.features import extract

    stimuli = scenes(seed, cache=cache)
    spaces: dict[str, Any] = {}
    for name in dict.fromkeys(region.driver for region in REGIONS):
        model, layer = name.split("/", 1)
        spaces |= extract(stimuli, model, layers=layer, cache=cache, progress=False)
    return spaces


def _drivers(seed: int, cache: str | Path | None) -> dict[str, npt.NDArray[Any]]:
    return {name: np.asarray(space.values, dtype=np.float64) for name, space in _driver_spaces(seed, cache).items()}


def _concept_names(seed: int, cache: str | Path | None) -> list[str]:
    features = _driver_spaces(seed, cache)[CONCEPTS].features
    return [str(name) for name in features.iloc[:, 0]]


def _ceilings(targets: pd.DataFrame, seed: int, subject: str) -> npt.NDArray[np.float64]:
    wanted = targets["roi"].map({region.name: region.ceiling for region in REGIONS}).to_numpy(dtype=float)
    spread = generator(seed, "ceiling", subject).normal(0.0, 0.25, len(targets))
    for name in targets["roi"].unique():
        here = (targets["roi"] == name).to_numpy()
        spread[here] -= np.median(spread[here])
    return 1.0 / (1.0 + np.exp(-(np.log(wanted / (1 - wanted)) + spread)))


def _signal(
    targets: pd.DataFrame, space: Any, drivers: dict[str, npt.NDArray[Any]], concepts: list[str], seed: int, subject: str
) -> npt.NDArray[np.float64]:
    root = smoothing_root(space, width_mm=6.0)
    signal = np.empty((N_TRAIN + N_TEST, len(targets)))
    for region in REGIONS:
        here = np.flatnonzero(targets["roi"] == region.name)
        features = standardized(drivers[region.driver])
        if region.driver == CONCEPTS:
            liked = [any(word in name for word in PREFERENCES.get(region.name, ())) for name in concepts]
            features = features * np.where(liked, PREFERENCE_GAIN, 1.0)
        elif region.driver == MIDDLE:
            features = evened(features, N_COMPONENTS)
        rng = generator(seed, "weights", subject, region.name)
        weights = rng.standard_normal((features.shape[1], len(targets))) @ root[:, here]
        private = generator(seed, "private", subject, region.name).standard_normal((len(features), len(targets))) @ root[:, here]
        signal[:, here] = np.sqrt(1 - PRIVATE_SHARE) * standardized(features @ weights) + np.sqrt(PRIVATE_SHARE) * standardized(private)
    return standardized(signal)


def _measure(
    signal: npt.NDArray[np.float64], targets: pd.DataFrame, space: Any, stimuli: StimulusSet, seed: int, subject: str
) -> tuple[npt.NDArray[np.float32], pd.DataFrame]:
    n_images = len(signal)
    rng = generator(seed, "order", subject)
    order = np.concatenate([rng.permutation(n_images) for _ in range(N_REPEATS)])
    per_run = n_images // RUNS_PER_REPEAT
    run = np.arange(len(order)) // per_run
    samples = pd.DataFrame(
        {
            "stimulus_id": stimuli.ids[order],
            "subject": subject,
            "run": run + 1,
            "repeat": np.arange(len(order)) // n_images + 1,
            "split": stimuli.table["split"].to_numpy()[order],
        }
    )
    ceiling = targets["true_ceiling"].to_numpy()
    sigma = np.sqrt(N_REPEATS * (1 / ceiling - 1))
    noise = _noise(run, space, generator(seed, "noise", subject))
    return (signal[order] + sigma * noise).astype(np.float32), samples


def _noise(run: npt.NDArray[np.intp], space: Any, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Unit-variance noise (n_trials, n_targets): 30 % smooth in space, AR(1) of 0.3 within runs, 2 % run offsets."""
    n, v, persistence = len(run), space.n_targets, 0.3
    root = smoothing_root(space, width_mm=4.0)
    white = np.sqrt(0.3) * (rng.standard_normal((n, v)) @ root) + np.sqrt(0.7) * rng.standard_normal((n, v))
    series = white.copy()
    for row in range(1, n):
        if run[row] == run[row - 1]:
            series[row] = persistence * series[row - 1] + np.sqrt(1 - persistence**2) * white[row]
    offsets = rng.standard_normal((int(run.max()) + 1, v)) @ root
    return np.sqrt(0.98) * series + np.sqrt(0.02) * offsets[run]


def _plain(region: Region) -> dict[str, Any]:
    return {name: getattr(region, name) for name in ("name", "left", "right", "radius_mm", "driver", "ceiling")}


def _store(cache: str | Path | None) -> Any:
    from brainenc.io.paths import cache_dir
    from brainenc.io.store import Store

    return Store((Path(cache) if cache is not None else cache_dir()) / "insilico")

