"""Human visual cortex to 100 hand-written digits: ten folds, principal components inside the folds, pooled r."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import BrainencWarning


@pytest.fixture(scope="module")
def digits(real_data):
    stimuli, brain = be.load("digits69", root=real_data("digits69_fmri").parent)
    pixels = np.stack([np.asarray(stimuli.load(i), dtype=np.float32)[..., 0].ravel() / 255 for i in stimuli.table.index])
    return be.FeatureSpace(pixels, {"stimulus_id": stimuli.table.index}, name="pixels/grey"), brain


def n_predicted(layer, brain, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrainencWarning)  # voxels without signal take the largest penalty
        scores = be.score_layers(layer, brain, split=be.split.kfold(10, seed=seed), reduce="pca:20", aggregate="pooled", seed=seed)
    assert scores.n_test.max() == 100
    return int((scores.values[0, 0] > 0.3).sum())


def test_pixels_predict_a_fifth_of_the_voxels_and_shuffled_images_none(digits, capsys):
    layer, brain = digits
    counts = [n_predicted(layer, brain, seed) for seed in range(5)]
    # voxels are correlated, so that one order of the images says little: 2 to 16 voxels
    orders = [np.random.default_rng(seed).permutation(100) for seed in range(6)]
    shuffled = [n_predicted(layer, be.Responses(brain.values[order], brain.samples, name="shuffled"), 0) for order in orders]
    with capsys.disabled():
        print(f"\ndigits69: voxels of 3,092 with r > 0.3: {counts}, mean {np.mean(counts):.1f}, range {min(counts)}-{max(counts)}; shuffled images {shuffled}")
    assert np.mean(counts) >= 680
    assert np.mean(shuffled) <= 10
