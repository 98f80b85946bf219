"""What goes wrong when a layer is chosen, or a claim is made, on the wrong numbers; and that ours does not.

DeepNSD and Net2Brain report the maximum over layers of the very scores that chose it; t-tests over voxels or over folds are common practice.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict

import brainenc as be
from brainenc.encoding import best_layer, permutation_test
from brainenc.metrics import pearson, r2

N, N_LAYERS, N_TARGETS = 60, 8, 25


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", be.BrainencWarning)
        yield


def noise(seed, *, n_layers=N_LAYERS, shared=0.0, n_targets=N_TARGETS):
    """Layers and responses that have nothing to do with one another; voxels may share their noise."""
    rng = np.random.default_rng(seed)
    ids = [f"i{i}" for i in range(N)]
    layers = {f"toy/{k}": be.FeatureSpace(rng.standard_normal((N, 6)), {"stimulus_id": ids}, name=f"toy/{k}") for k in range(n_layers)}
    values = np.sqrt(shared) * rng.standard_normal((N, 1)) + np.sqrt(1 - shared) * rng.standard_normal((N, n_targets))
    return layers, be.Responses(values, {"stimulus_id": ids}, name="01")


def scored(layers, brain, **more):
    return be.score_layers(layers, brain, split=be.split.kfold(4), encoder=be.encoding.Ridge(alphas=[10.0], cv=3), keep_predictions=True, **more)


def test_the_maximum_over_layers_is_optimistic_and_the_nested_choice_is_not():
    peer, nested, flattered = [], [], []
    for seed in range(4):
        layers, brain = noise(seed)
        values = np.asarray(brain.values)
        by_layer = []
        for space in layers.values():
            parts = [pearson(values[test], Ridge(10.0).fit(space.values[train], values[train]).predict(space.values[test]))
                     for train, test in KFold(4).split(values)]  # fmt: skip
            by_layer.append(np.mean(parts, axis=0))
        peer.append(np.max(by_layer, axis=0).mean())
        scores = scored(layers, brain)
        np.testing.assert_allclose(scores.mean(), by_layer, atol=1e-6)  # the same scores: what differs is the choice
        nested.append(scores.best().mean().mean())
        table = best_layer(scores, n=50)
        flattered.append(table["score"].mean())
        assert table["nested_score"].mean() == pytest.approx(nested[-1]) and table["confidence"].median() < 0.8
    assert np.mean(peer) > 0.1 and np.mean(flattered) == pytest.approx(np.mean(peer), abs=1e-5)
    assert abs(np.mean(nested)) < 0.05


def test_the_choice_is_that_of_scikit_learn_inside_each_training_set():
    layers, brain = noise(1)
    scores, values = scored(layers, brain), np.asarray(brain.values)
    chosen = scores.best().provenance["chosen"][0]
    for fold, (train, _) in enumerate(KFold(4).split(values)):
        inner = []
        for space in layers.values():
            predicted = cross_val_predict(Ridge(10.0), space.values[train], values[train], cv=KFold(3))
            inner.append(r2(values[train], predicted))
        agree = np.argmax(inner, axis=0) == chosen[fold]
        assert agree.mean() > 0.9


def test_a_t_test_over_voxels_finds_noise_and_the_maximum_does_not():
    wrong, right = [], []
    for seed in range(40):
        layers, brain = noise(seed, n_layers=1, shared=0.9)
        scores = be.score_layers(layers, brain, split=be.split.images(0.4, seed=0), encoder=be.encoding.Ridge(alphas=[10.0], cv=None), keep_predictions=True)
        wrong.append(stats.ttest_1samp(scores.mean()[0], 0, alternative="greater").pvalue <= 0.05)
        right.append((permutation_test(scores, n=99, seed=seed).p_max <= 0.05).any())
    assert np.mean(wrong) > 0.2 and np.mean(right) <= 0.125, (wrong, right)


def test_a_t_test_over_draws_of_a_split_finds_noise_and_ours_refuses_them():
    p = []
    for seed in range(12):
        layers, brain = noise(seed, n_layers=1)
        scores = be.score_layers(layers, brain, split=be.split.images(0.3, seed=0, n=20), encoder=be.encoding.Ridge(alphas=[10.0], cv=None), keep_predictions=True)
        p.append(stats.ttest_1samp(scores.values[0], 0, axis=0, alternative="greater").pvalue)
    assert (np.concatenate(p) <= 0.05).mean() > 0.2
    with pytest.raises(be.BrainencError, match="same rows again"):
        permutation_test(scores, n=9)
