"""Nothing is found where nothing is: shuffled images, and autocorrelated noise with and without shuffled folds."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.signal import lfilter

import brainenc as be
from brainenc.core.errors import BrainencWarning


@pytest.fixture(autouse=True)
def quiet():
    """Targets without signal take the largest penalty, and score_layers says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrainencWarning)
        yield


def autocorrelated(rng, n, k, rho):
    return lfilter([1.0], [1.0, -rho], rng.standard_normal((n + 200, k)), axis=0)[200:]


def shuffled_images(seed, *, n_images=150, n_targets=40, n_permutations=199):
    """Score real-looking responses whose images were shuffled; return r, p and the number of test images."""
    rng = np.random.default_rng(seed)
    ids = [f"i{i}" for i in range(n_images)]
    layer = be.FeatureSpace(rng.standard_normal((n_images, 20)) @ rng.standard_normal((20, 120)), {"stimulus_id": ids}, name="toy/layer")
    signal = layer.values[:, :5] @ rng.standard_normal((5, n_targets)) / 10
    values = (signal + rng.standard_normal(signal.shape))[rng.permutation(n_images)]
    scores = be.score_layers(layer, be.Responses(values, {"stimulus_id": ids}), split=be.split.images(0.3, seed=seed), permutations=n_permutations, seed=seed)
    return scores.values[0, 0], scores.p[0], int(scores.n_test[0, 0])


def series(seed, *, rho=0.4, drift=True, n_scans=600, n_targets=20):
    """Smooth features (a lag-one correlation of 0.9) and unrelated autocorrelated noise with slow drift, in one run."""
    rng = np.random.default_rng(seed)
    table = {"run": np.ones(n_scans, dtype=int)}
    layer = be.FeatureSpace(autocorrelated(rng, n_scans, 40, 0.9), table, name="toy/smooth", rows="sample")
    noise = autocorrelated(rng, n_scans, n_targets, rho)
    noise /= noise.std(axis=0)
    if drift:
        slow = np.cumsum(rng.standard_normal((n_scans, n_targets)), axis=0)
        noise += slow / slow.std(axis=0)
    return layer, be.Responses(noise, table, t_r=2.0)


def check_images(draws, n_targets, *, signed, rate):
    scores = [shuffled_images(seed, n_targets=n_targets) for seed in range(draws)]
    r, p = np.concatenate([s[0] for s in scores]), np.concatenate([s[1] for s in scores])
    expected = np.sqrt(2 / (np.pi * (scores[0][2] - 1)))
    assert abs(r.mean()) <= signed
    assert np.abs(r).mean() == pytest.approx(expected, rel=0.15)
    assert (p < 0.05).mean() <= rate


def test_shuffled_images_predict_nothing():
    check_images(8, 60, signed=0.03, rate=0.08)


def test_blocks_are_honest_on_autocorrelated_noise_where_shuffled_folds_are_not():
    blocked, shuffled, p = [], [], []
    for seed in range(6):
        layer, brain = series(seed)
        scores = be.score_layers(layer, brain, split=be.split.blocks(5, gap=10), permutations=99, seed=seed)
        blocked.append(scores.mean().mean())
        p.append((scores.p < 0.05).mean())
        shuffled.append(be.score_layers(layer, brain, split=be.split.kfold(5, None, seed=seed, force=True)).mean().mean())
    assert abs(np.mean(blocked)) <= 0.03
    assert np.mean(shuffled) > 0.1
    assert np.mean(p) <= 0.12


def test_crossed_folds_give_uniform_p_values():
    p = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        ids = [f"i{i}" for i in range(100)]
        layer = be.FeatureSpace(rng.standard_normal((100, 20)), {"stimulus_id": ids}, name="toy/layer")
        brain = be.Responses(rng.standard_normal((100, 40)), {"stimulus_id": ids})
        p.append(be.score_layers(layer, brain, split=be.split.kfold(5, seed=seed), permutations=99, seed=seed).p[0])
    p = np.concatenate(p)
    assert 0.01 <= (p < 0.05).mean() <= 0.09
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)


@pytest.mark.slow
def test_shuffled_images_predict_nothing_in_fifty_draws(capsys):
    scores = [shuffled_images(seed) for seed in range(50)]
    r, p = np.concatenate([s[0] for s in scores]), np.concatenate([s[1] for s in scores])
    expected = np.sqrt(2 / (np.pi * (scores[0][2] - 1)))
    with capsys.disabled():
        print(f"\nshuffled images, 50 draws: mean r {r.mean():+.4f}, mean |r| {np.abs(r).mean():.4f} (expected {expected:.4f}), p < 0.05 in {(p < 0.05).mean():.1%}")
    check_images(50, 40, signed=0.02, rate=0.07)


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "drift"), [(0.4, False), (0.4, True), (0.8, False)])
def test_autocorrelated_noise_in_fifty_draws(rho, drift, capsys):
    blocked, shuffled, p = [], [], []
    for seed in range(50):
        layer, brain = series(seed, rho=rho, drift=drift, n_scans=1200)
        scores = be.score_layers(layer, brain, split=be.split.blocks(5, gap=10), permutations=199, seed=seed)
        blocked.append(scores.mean().mean())
        p.append((scores.p < 0.05).mean())
        shuffled.append(be.score_layers(layer, brain, split=be.split.kfold(5, None, seed=seed, force=True)).mean().mean())
    with capsys.disabled():
        print(f"\nAR({rho}){' with drift' if drift else ''}: blocks {np.mean(blocked):+.4f}, shuffled {np.mean(shuffled):+.4f}, p < 0.05 in {np.mean(p):.1%}")
    assert abs(np.mean(blocked)) <= 0.02
    assert np.mean(shuffled) > 0.1
    assert np.mean(p) <= 0.10
