"""Spectra of blocks: RDMs by brute force, halves, and a null of the largest similarity."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.frequency import compare_spectra, spectrum_rdms

FS, T = 16.0, 64
TIME = np.arange(T) / FS


def recordings(rng, signal=0.0, n_trials=16, n_channels=5):
    waves = {"sentence": np.cos(2 * np.pi * TIME), "phrase": np.cos(2 * np.pi * 2 * TIME), "random": 0 * TIME}
    return {name: rng.standard_normal((n_trials, n_channels, T)) + signal * wave for name, wave in waves.items()}


def test_rdms_by_brute_force(rng):
    data = recordings(rng, 0.5)
    bins = np.arange(2, 9)  # 0.5 to 2 Hz
    for kind in ("amplitude", "itpc"):
        found = spectrum_rdms(data, FS, by=None, kind=kind, halves=0)
        assert list(found.ids) == ["sentence.1", "sentence.2", "phrase.1", "phrase.2", "random.1", "random.2"]
        for c in range(5):
            rows = []
            for x in data.values():
                z = np.fft.rfft(x[:, c])[:, bins]
                for block in (z[0::2], z[1::2]):
                    rows.append(np.abs(block.mean(axis=0)) if kind == "amplitude" else np.abs((block / np.abs(block)).mean(axis=0)))
            np.testing.assert_allclose(found.values[c], pdist(np.array(rows), "cosine"), atol=1e-10)


def test_regions_and_layers(rng):
    data = recordings(rng, 0.5)
    samples = pd.DataFrame({"trial": np.repeat(np.arange(16), T)})
    targets = {"channel": list("abcde"), "roi": ["A", "A", "B", "B", "B"]}
    brains = {name: be.Responses(np.moveaxis(x, 1, 2).reshape(-1, 5), samples, targets, sampling_rate=FS) for name, x in data.items()}
    found = spectrum_rdms(brains)
    assert list(found.rdms["roi"]) == ["A", "B"] and list(found.rdms["n_channels"]) == [2, 3]
    parts = np.concatenate([np.abs(np.fft.rfft(x[b::2, :2].mean(axis=0))[:, 2:9]).reshape(1, -1) for x in data.values() for b in (0, 1)])
    np.testing.assert_allclose(found.values[0], pdist(parts, "cosine"), atol=1e-10)
    layered = spectrum_rdms({name: {"one": x, "two": x[:, :3]} for name, x in data.items()}, FS, by="layer")
    assert list(layered.rdms["layer"]) == ["one", "two"] and list(layered.rdms["n_channels"]) == [5, 3]
    mean = spectrum_rdms(data, FS, by="layer", pool="mean")
    assert mean.n_rdms == 1


def test_halves_of_a_reliable_recording_agree(rng):
    strong, silent = (spectrum_rdms(recordings(rng, s), FS, by="layer") for s in (1.0, 0.0))
    assert strong.rdms["reliability"][0] > 0.7
    assert abs(silent.rdms["reliability"][0]) < 0.6
    assert np.isnan(spectrum_rdms(recordings(rng, 1.0, n_trials=6), FS, by="layer").rdms["reliability"][0])


def test_similarity_is_spearman_and_p_counts_relabelled_rows(rng):
    models = spectrum_rdms({n: {"one": x, "two": x[:, ::-1] ** 3} for n, x in recordings(rng, 0.4).items()}, FS, by="layer", name="m")
    brains = spectrum_rdms(recordings(rng, 0.4), FS, by=None)
    found = compare_spectra(models, brains, n=300, seed=2)
    assert len(found) == 10 and found["n_orders"].iloc[0] == 720
    expected = [[stats.spearmanr(a, b).statistic for b in brains.values] for a in models.values]
    np.testing.assert_allclose(found["similarity"].to_numpy().reshape(2, 5), expected)
    from brainenc.metrics import permutations

    square = models.square()
    upper = np.triu_indices(6, 1)
    drawn = []
    for order in permutations(6, 300, 2, "condition labels"):
        moved = square[:, order][:, :, order][:, upper[0], upper[1]]
        drawn.append([[stats.spearmanr(a, b).statistic for b in brains.values] for a in moved])
    drawn = np.array(drawn)
    np.testing.assert_allclose(found["p"].to_numpy().reshape(2, 5), (1 + (drawn >= np.array(expected) - 1e-9).sum(axis=0)) / 301)
    top = drawn.max(axis=(1, 2))
    np.testing.assert_allclose(found["p_max"].to_numpy().reshape(2, 5), (1 + (top[:, None, None] >= np.array(expected) - 1e-9).sum(axis=0)) / 301)


def test_whole_conditions_give_six_orders(rng):
    models, brains = (spectrum_rdms(recordings(rng, 1.0), FS, by="layer") for _ in range(2))
    rows, conditions = (compare_spectra(models, brains, n=200, exchange=e).iloc[0] for e in ("rows", "conditions"))
    assert rows["similarity"] > 0.6 and rows["p"] < 0.05
    assert conditions["n_orders"] == 6 and conditions["p"] > 0.1


def test_what_does_not_fit(rng):
    data = recordings(rng)
    with pytest.raises(InputError, match="too few trials"):
        spectrum_rdms({k: v[:3] for k, v in data.items()}, FS, by=None, kind="itpc")
    with pytest.raises(InputError, match="fewer than two bins"):
        spectrum_rdms(data, FS, by=None, band=(1.0, 1.1))
    with pytest.raises(InputError, match="differ in channels"):
        spectrum_rdms({**data, "phrase": data["phrase"][:, :2]}, FS, by=None)
    with pytest.raises(InputError, match="different conditions"):
        compare_spectra(spectrum_rdms(data, FS, by=None), spectrum_rdms({k: data[k] for k in ("phrase", "random")}, FS, by=None))
