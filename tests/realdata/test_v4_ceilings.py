"""Ceilings of single trials from macaque V4, six to ten of each image."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be


@pytest.fixture(scope="module")
def trials(real_data):
    root = real_data("v4_natural_images").parent
    return be.load("v4_cowley2023", subject="PE", session="210325", variant="single_repeats", root=root).responses


def test_every_estimator_gives_the_same_ceiling_of_real_neurons(trials):
    found = {name: be.NoiseCeiling.from_repeats(trials, method=name, n_boot=200) for name in ("ncsnr", "anova", "signal_power", "split_half")}
    counts = trials.samples["stimulus_id"].value_counts()
    assert counts.nunique() > 1  # unequal, as real repeats are
    for one in found.values():
        assert one.n_repeats == pytest.approx(1 / np.mean(1 / counts))
        np.testing.assert_allclose(one.values, found["ncsnr"].values, atol=0.05)
        low, high = one.ci
        assert (low < found["anova"].values).mean() > 0.95 and (found["anova"].values < high).mean() > 0.95
        assert 0.01 < np.median(high - low) < 0.2


def test_half_of_the_neurons_predict_the_others_better_than_an_ordinary_ceiling_says(trials, capsys):
    first, second = (trials.take_targets(np.arange(start, trials.n_targets, 2)) for start in (0, 1))
    found = be.encoding.noise_corrected_consistency(first, second, split=be.split.images(0.2, seed=0, n=2), n_halves=20)
    ordinary = np.median(be.NoiseCeiling.from_repeats(second).normalize(found.r.mean(axis=0)))
    row = found.by().loc[0]
    with capsys.disabled():
        print(f"\nV4 210325, one half of the neurons from the other: corrected {row['score']:.3f} ± {row['sem']:.3f}, r / ceiling {ordinary:.3f}, r {row['r']:.3f}")
    assert row["r"] < ordinary < row["score"] < 1 and row["n_nan"] == 0
