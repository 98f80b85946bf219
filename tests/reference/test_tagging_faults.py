"""Faults of a published frequency-tagging pipeline, shown by independent computation, and that ours is without them.

The faults were read in code of a repository that is no package: it is not run here, what it computes is written down again.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brainenc.frequency import compare_spectra, orderings, pool_tokens, spectrum_rdms, tag, unit_spans
from brainenc.simulate.sentences import sentences

FS, T = 128.0, 1024  # 8 s: 1 Hz is bin 8, 2 Hz bin 16


@pytest.fixture
def recording(rng):
    """A channel that follows 1 Hz, one that follows 2 Hz, and a slow drift at bins 1 and 2 (0.125 and 0.25 Hz)."""
    time = np.arange(T) / FS
    waves = np.stack([np.cos(2 * np.pi * time + 2.0), np.cos(4 * np.pi * time + 2.0), np.cos(2 * np.pi * 0.125 * time) + np.cos(2 * np.pi * 0.25 * time)])
    return rng.standard_normal((12, 3, T)) + 0.4 * waves


def test_bins_one_and_two_are_not_one_and_two_hertz(recording):
    spectrum = np.abs(np.fft.rfft(recording.mean(axis=0)))
    assert (spectrum[:, 1] > 50).tolist() == [False, False, True], "bins 1 and 2 see the drift alone"
    found = tag(recording, FS, {"sentence": 1.0, "phrase": 2.0})
    assert list(found.tags["bin"]) == [8, 16]
    assert (found["q"] < 0.001).tolist() == [[True, False], [False, True], [False, False]]


def test_the_real_part_alone_depends_on_the_phase(rng):
    time = np.arange(T) / FS
    phases = np.array([0.0, np.pi / 2, np.pi])
    x = rng.standard_normal((12, 3, T)) + 0.3 * np.cos(2 * np.pi * time + phases[:, None])
    real = np.fft.rfft(x)[..., 8].real.mean(axis=0)
    p = stats.ttest_1samp(np.fft.rfft(x)[..., 8].real, 0.0, alternative="greater").pvalue
    assert real[2] < 0 and p[0] < 0.001 and p[1] > 0.001 and p[2] > 0.99, "one-sided on the real part: two of three are lost"
    assert (tag(x, FS, 1.0)["p"] < 0.001).all()


def test_tokens_indexed_by_unit_are_misplaced_after_a_unit_of_two_tokens():
    sequence = orderings(sentences(4), 1)
    text, units = sequence.load("sequence_000"), sequence.table["words"].iloc[0]
    spans, at = [], 0
    for word in units:  # words of more than four letters are two tokens
        start = text.index(word, at)
        at = start + len(word)
        cut = start + 4
        spans += [(start, cut), (cut, at)] if len(word) > 4 else [(start, at)]
    assert len(spans) > len(units)
    truth = {}
    values = np.zeros((len(spans), 1))
    for i, (a, b) in enumerate(spans):
        unit = next(u for u, (s, e) in enumerate(unit_spans(text, units)) if s <= a < e)
        values[i] = unit  # every token carries the number of its unit
        truth[unit] = unit
        assert b > a
    ours = pool_tokens(values, spans, unit_spans(text, units)).ravel()
    np.testing.assert_array_equal(ours, np.arange(len(units)))
    by_position = values[: len(units)].ravel()
    first = next(i for i, word in enumerate(units) if len(word) > 4)
    assert (by_position[: first + 1] == ours[: first + 1]).all() and (by_position[first + 1 :] != ours[first + 1 :]).any()


def silent(rng, n_channels):
    return {c: rng.standard_normal((12, n_channels, 64)) for c in ("sentence", "phrase", "random")}


def test_the_hundred_most_similar_channels_of_noise_are_similar(rng):
    """Model and brain share nothing. The mean of the 100 best of 400 channels is far from zero; the mean of all, and ours, are not."""
    top, everything, smallest = [], [], []
    for i in range(10):
        models = spectrum_rdms(silent(rng, 30), 16.0, by="layer", name="model", halves=0)
        brain = spectrum_rdms(silent(rng, 400), 16.0, by=None, halves=0)
        brain_regions = spectrum_rdms(silent(rng, 20), 16.0, by="layer", halves=0)
        r = compare_spectra(models, brain, n=1)["similarity"].to_numpy()
        top.append(np.sort(r)[-100:].mean())
        everything.append(r.mean())
        smallest.append(compare_spectra(models, brain_regions, n=199, seed=i)["p_max"].min())
    assert np.mean(top) > 0.25 and abs(np.mean(everything)) < 0.05
    assert np.mean(np.array(smallest) <= 0.05) <= 0.3


@pytest.mark.slow
def test_the_largest_similarity_of_silent_regions_is_held():
    rng = np.random.default_rng(1)
    regions = pd.Series(np.repeat(["a", "b", "c", "d"], 5))
    smallest, p = [], []
    for i in range(1000):
        model = spectrum_rdms({c: {"one": x[:, :9], "two": x[:, 9:]} for c, x in silent(rng, 18).items()}, 16.0, by="layer", halves=0)
        data = silent(rng, 20)
        parts = [spectrum_rdms({c: x[:, (regions == r).to_numpy()] for c, x in data.items()}, 16.0, by="layer", halves=0) for r in regions.unique()]
        brain = type(parts[0])(np.concatenate([q.values for q in parts]), parts[0].conditions, pd.DataFrame({"roi": regions.unique()}))
        found = compare_spectra(model, brain, n=199, seed=i)
        smallest.append(found["p_max"].min())
        p.append(found["p"].iloc[0])
    assert 0.03 < np.mean(np.array(smallest) <= 0.05) < 0.07
    assert stats.kstest(np.array(p) - rng.random(1000) / 200, "uniform").pvalue > 0.001
