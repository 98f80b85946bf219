"""The simulated EEG keeps its promises: cap, noise, ceilings and latencies are what they are said to be, and encoding models find them."""

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.encoding import latencies, temporal_score
from brainenc.simulate import insilico_eeg
from brainenc.simulate.insilico_eeg import FS, SOURCES, SUBJECTS, load, sources, times, truth

STEP = 1 / FS
pytestmark = pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")  # most channels and times hold nothing of a layer


@pytest.fixture(scope="module")
def loaded():
    return load("01")


def _layers(stimuli):
    visual = [f"visual.layer{i}" for i in (1, 2, 3, 4)]
    parts = [be.extract(stimuli, model, layers=layers, progress=False) for model, layers in
             (("gabor", "default"), ("toyclip", visual), ("table:concepts", "default"))]  # fmt: skip
    return {name: space for part in parts for name, space in part.items()}


def _scored(stimuli, brain, seed=0):
    """Four folds over the images, the times at which something may happen."""
    return be.score_layers(_layers(stimuli), brain.where("time > 0.03 and time < 0.5"), split=be.split.kfold(4, seed=seed), keep_predictions=True)


def _errors(scores, subject, seed) -> pd.DataFrame:
    """One row a layer: the peak of its mean curve over all channels, and the true latency (s)."""
    found = latencies(scores, by="type", n=0).table
    peaks = sources(subject, seed).set_index("driver")["peak"]
    return found.assign(true=[peaks[f"{row.model}/{row.layer}"] for row in found.itertuples()], seed=seed, subject=subject)


def test_the_design_has_its_images_runs_and_repeats(loaded):
    stimuli, brain = loaded
    assert len(stimuli) == 800 and brain.values.shape == (1600, 32 * 71) and brain.values.dtype == np.float32
    assert isinstance(brain.space, be.SensorSpace) and "µV" in brain.units
    np.testing.assert_allclose(brain.space.times, np.arange(-10, 61) / 100, atol=1e-9)
    per_image = brain.samples.groupby("stimulus_id")
    assert (per_image.size() == 2).all() and (per_image["run"].nunique() == 2).all() and brain.samples["run"].nunique() == 8
    gaps = brain.samples.groupby("run")["onset"].diff().dropna()
    assert gaps.min() > 0.85, "epochs of 0.7 s do not overlap"
    cube = brain.values.reshape(1600, 32, 71)
    np.testing.assert_allclose(cube.mean(axis=1), 0.0, atol=1e-4)  # against the average of all electrodes
    assert brain.space.paint(brain.values[0]).get_data().shape == (32, 71)


def test_noise_is_as_large_as_said_at_all_times_and_shared_by_neighbours(loaded):
    stimuli, brain = loaded
    rest = brain.values - truth("01")[stimuli.table.index.get_indexer(brain.samples["stimulus_id"])]
    ceiling = brain.targets["true_ceiling"].to_numpy()
    good = ceiling > 0.05
    variance = truth("01").astype(float).var(axis=0) * 2 * (1 / np.maximum(ceiling, 1e-9) - 1)
    np.testing.assert_allclose(rest.var(axis=0)[good] / variance[good], 1.0, atol=0.2)
    np.testing.assert_allclose(rest.var(axis=0)[good].mean() / variance[good].mean(), 1.0, atol=0.03)
    by_time = rest.var(axis=0).reshape(32, 71).mean(axis=0)
    assert np.ptp(by_time) / by_time.mean() < 0.2
    places = brain.space.channels[["x", "y", "z"]].to_numpy()
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    r = np.corrcoef(rest.reshape(1600, 32, 71)[:, :, 20].T)
    assert r[(apart > 0) & (apart < 40)].mean() > 0.5 and r[apart > 140].mean() < 0


def test_nothing_happens_before_the_stimulus_and_the_sources_come_in_order():
    signal = truth("01").reshape(800, 32, 71)
    assert signal[:, :, times() < 0].std() == 0
    for subject in SUBJECTS:
        table = sources(subject)
        assert table["peak"].is_monotonic_increasing and (table["onset"] > 0.02).all()
        assert list(table["driver"]) == [source.driver for source in SOURCES]
    assert sources("01")["peak"].iloc[0] < 0.11 and sources("01")["peak"].iloc[-1] > 0.29
    assert len({tuple(sources(subject)["peak"]) for subject in SUBJECTS}) == len(SUBJECTS)


def test_estimated_ceilings_are_the_true_ones(loaded):
    _, brain = loaded
    found, true = be.NoiseCeiling.from_repeats(brain).variance, brain.targets["true_ceiling"].to_numpy()
    for low, high in ((0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1.0)):
        inside = (true >= low) & (true < high)
        print(f"true ceiling {low} to {high}: {inside.sum()} targets, mean error {np.mean(found[inside] - true[inside]):+.3f}")
        assert inside.sum() > 10 and abs(np.mean(found[inside] - true[inside])) < 0.03
        assert np.abs(found[inside] - true[inside]).mean() < 0.06


def test_latencies_are_found_within_one_sample_in_the_order_of_depth(loaded):
    scores = _scored(*loaded)
    table = _errors(scores, "01", 0)
    print(table[["model", "layer", "peak", "true", "score"]].round(3).to_string(index=False))
    assert np.abs(table["peak"] - table["true"]).max() <= STEP + 1e-9
    assert (table["score"] > 0.08).all()
    assert temporal_score(scores.entry(model="toyclip"), n=20).table["score"].item() > 0.9


def test_the_same_seed_gives_the_same_bytes_and_others_do_not(loaded):
    _, brain = loaded
    again, other = load("01")[1], load("02")[1]
    np.testing.assert_array_equal(again.values, brain.values)
    assert again.provenance == brain.provenance and not np.allclose(other.values, brain.values)
    assert not sources("01", 0).equals(sources("01", 1))
    maps = [insilico_eeg._maps(SOURCES[0], "01", seed) for seed in (0, 1)]
    assert not np.allclose(*maps)
    np.testing.assert_allclose(np.abs(maps[0]).max(axis=0), SOURCES[0].size)


def test_unknown_subjects_are_named():
    with pytest.raises(ValueError, match="subject of insilico_eeg"):
        load("05")


@pytest.mark.slow
def test_latencies_of_all_subjects_of_three_simulations():
    tables, hierarchies = [], []
    for seed in range(3):
        for subject in SUBJECTS:
            scores = _scored(*load(subject, seed=seed), seed=seed)
            tables.append(_errors(scores, subject, seed))
            hierarchies.append(temporal_score(scores.entry(model="toyclip"), n=20).table["score"].item())
    table = pd.concat(tables, ignore_index=True)
    error = table["peak"] - table["true"]
    print(f"{len(table)} latencies: {(error.abs() <= STEP + 1e-9).mean():.0%} within 10 ms, mean |error| {1000 * error.abs().mean():.1f} ms, "
          f"largest {1000 * error.abs().max():.1f} ms, mean error {1000 * error.mean():+.1f} ms; temporal scores {np.min(hierarchies):.2f} and above")  # fmt: skip
    assert (error.abs() <= STEP + 1e-9).mean() >= 0.9 and error.abs().max() <= 2 * STEP + 1e-9 and error.abs().mean() < STEP / 2
    assert np.min(hierarchies) > 0.8
