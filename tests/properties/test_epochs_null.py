"""Time-resolved encoding of noise alone: p of cells uniform and clusters as rare as promised under 1/f noise, overlap and slow features."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.signal import lfilter

import brainenc as be
from brainenc import metrics
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.encoding import cluster_test, permutation_test
from brainenc.metrics.resample import blocks_of

CELLS = [5, 17, 29, 41]  # times far enough apart to be nearly independent
TIMES = np.arange(-4, 20) / 40


def pink(rng, n, k):
    """Series whose power falls as 1 / f."""
    f = np.fft.rfftfreq(n)
    f[0] = f[1]
    x = np.fft.irfft((rng.standard_normal((len(f), k)) + 1j * rng.standard_normal((len(f), k))) / np.sqrt(f)[:, None], n, axis=0)
    return x / x.std(axis=0)


def slow(rng, n, k, rho):
    return lfilter([1.0], [1.0, -rho], rng.standard_normal((n + 200, k)), axis=0)[200:] * np.sqrt(1 - rho**2)


def epochs_of_noise(seed, *, n, n_features, step, rho=0.0):
    """Epochs of 0.6 s around events each ``step`` samples (40 Hz) of two channels of 1/f noise, and features that have nothing to do with it."""
    rng = np.random.default_rng(seed)
    noise = pink(rng, (n + 4) * step + 80, 2)
    at = 20 + np.arange(n) * step + rng.integers(0, max(1, step // 3), n)
    values = noise[at[:, None] + np.arange(-4, 20)].transpose(0, 2, 1).reshape(n, -1)
    ids, space = [f"e{i}" for i in range(n)], be.SensorSpace({"channel": ["a", "b"]}, TIMES)
    targets = {"channel": np.repeat(["a", "b"], len(TIMES)), "time": np.tile(TIMES, 2)}
    brain = be.Responses(values, {"stimulus_id": ids, "onset": at / 40}, targets, space)
    return be.FeatureSpace(slow(rng, n, n_features, rho), {"stimulus_id": ids}, name="toy/x"), brain


def null(split, seeds, *, block=None, n_draws=199, threshold=None, **how):
    """p of some cells, and the smallest p of a cluster of each draw."""
    cells, clusters = [], []
    for seed in seeds:
        features, brain = epochs_of_noise(seed, **how)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BrainencWarning)  # no signal, and slow features
            scores = be.score_layers(features, brain, split=split, ceiling=None, keep_predictions=True)
            cells.append(permutation_test(scores, n=n_draws, seed=seed, block=block).p[0, CELLS])
            found = cluster_test(scores, n=n_draws, seed=seed, block=block, threshold=threshold)
        clusters.append(found.p.min())
    return np.concatenate(cells), np.array(clusters)


def told(capsys, text, p, clusters):
    with capsys.disabled():
        rates = ", ".join(f"≤ {a:g} in {(clusters <= a + 1e-9).mean():.1%}" for a in (0.01, 0.05, 0.1, 0.2))
        print(f"\n{text}: KS {stats.kstest(p, 'uniform').statistic:.3f} (p {stats.kstest(p, 'uniform').pvalue:.3f}), p ≤ 0.05 in {(p <= 0.05).mean():.1%}; clusters {rates}")


def test_noise_of_epochs_is_noise():
    """One training and one test set: the permutation of trials in random order is exact."""
    p, clusters = null(be.split.images(0.4, 1), range(60), n_draws=99, n=70, n_features=4, step=40)
    assert stats.kstest(p, "uniform").pvalue > 0.001 and (p <= 0.05).mean() < 0.11
    assert (clusters <= 0.1).mean() <= 0.22 and (clusters <= 0.3).mean() >= 0.1  # binomial bounds of one in a thousand


def test_slow_features_need_blocks():
    """Words of a film: single trials are not exchangeable, which is told; blocks of them are."""
    alone, families = null(be.split.blocks(2, seconds=0), range(12), n_draws=99, n=300, n_features=6, step=10, rho=0.9)
    blocked, held = null(be.split.blocks(2, seconds=0), range(12), n_draws=99, n=300, n_features=6, step=10, rho=0.9, block=20)
    assert (alone <= 0.05).mean() > 0.1 > (blocked <= 0.05).mean() and (families <= 0.05).mean() > (held <= 0.05).mean()
    features, brain = epochs_of_noise(0, n=300, n_features=6, step=10, rho=0.9)
    how = {"split": be.split.blocks(2, seconds=0), "ceiling": None, "encoder": be.encoding.Ridge(alphas=[10.0])}
    scores = be.score_layers(features, brain, keep_predictions=True, **how)
    with pytest.warns(BrainencWarning, match=r"one trial and the next correlate by 0\.[89]"):
        cluster_test(scores, n=19)
    with pytest.warns(BrainencWarning, match="pass block="):
        be.score_layers(features, brain, permutations=19, **how)
    tested = permutation_test(scores, n=19, block=20)
    assert tested.provenance["exchangeable"] == {"subject": "blocks of consecutive samples"}
    quick, brain = epochs_of_noise(0, n=300, n_features=6, step=10)
    be.score_layers(quick, brain, permutations=19, **how)  # random order: nothing to tell


def scans_of_noise(seed, *, n=600, n_targets=30, rho=0.8):
    """Kept scores of one person's time series without signal: neighbouring targets are alike, samples remember each other."""
    rng = np.random.default_rng(seed)
    places = np.arange(n_targets)
    mix = np.exp(-0.5 * (np.subtract.outer(places, places) / 1.5) ** 2)
    observed, predicted = (slow(rng, n, n_targets, rho) @ mix for _ in range(2))
    entries = pd.DataFrame({"model": ["toy"], "layer": ["one"], "metric": ["pearson"], "seed": [0]})
    targets = pd.DataFrame({"subject": "01", "target_id": [f"t{i}" for i in places]})
    rows = pd.DataFrame({"fold": 0, "unit": blocks_of(n, 10), "row": np.arange(n), "run": 1})
    kept = {"predictions": {"01": {"toy/one": predicted}}, "observed": {"01": observed}, "test_rows": {"01": rows}}
    return be.Scores(metrics.pearson(observed, predicted)[None, None], entries, targets, {"01": be.ArraySpace(n_targets)}, "toy", n_test=[[n]], **kept)


def cluster_rates(seeds, block):
    line = [[j for j in (i - 1, i + 1) if 0 <= j < 30] for i in range(30)]
    return np.array([cluster_test(scans_of_noise(seed), adjacency=line, n=199, seed=seed, block=block).p.min() for seed in seeds])


def test_clusters_of_scans_move_in_the_blocks_that_are_asked_for():
    scores = scans_of_noise(0)
    line = [[j for j in (i - 1, i + 1) if 0 <= j < 30] for i in range(30)]
    given = cluster_test(scores, adjacency=line, n=60)
    assert cluster_test(scores, adjacency=line, n=60, block=10).t.tolist() == given.t.tolist()  # the kept blocks
    short, long = (np.abs(cluster_test(scores, adjacency=line, n=60, block=b).t).mean() for b in (1, 10))
    assert short > 1.3 * long  # the same r over the wider null of longer blocks
    two = scores.targets.assign(subject="02")
    both = be.Scores(
        np.concatenate([scores.values, scores.values + 0.1], axis=2), scores.entries, pd.concat([scores.targets, two], ignore_index=True),
        {"01": be.ArraySpace(30), "02": be.ArraySpace(30)}, "toy", n_test=[[600]],
    )  # fmt: skip
    with pytest.raises(InputError, match="signs of whole subjects"):
        cluster_test(both, adjacency=line, n=60, block=10)


@pytest.mark.slow
@pytest.mark.parametrize("n_features", [1, 10, 40])
@pytest.mark.parametrize("step", [40, 12])
def test_one_test_set_on_a_grid(n_features, step, capsys):
    """Epochs apart, or overlapping with a test set that keeps its distance: p uniform, clusters at their level."""
    how = {"n": 120, "n_features": n_features, "step": step}
    split = be.split.images(0.4, 1) if step == 40 else be.split.images(0.4, 1, force=True)  # order was random, and so is the null
    p, clusters = null(split, range(300), **how)
    told(capsys, f"one test set, {n_features} features, an event each {step / 40:g} s", p, clusters)
    assert stats.kstest(p, "uniform").pvalue > 0.001 and 0.03 <= (p <= 0.05).mean() <= 0.07
    assert (clusters <= 0.05).mean() <= 0.089  # 0.05 and three standard errors


@pytest.mark.slow
@pytest.mark.parametrize("n_features", [1, 10, 40])
@pytest.mark.parametrize("threshold", [None, "tfce"])
def test_folds_on_a_grid(n_features, threshold, capsys):
    """Five folds that train one another: never more than promised, less where features are few."""
    p, clusters = null(be.split.kfold(5), range(200), n=120, n_features=n_features, step=40, threshold=threshold)
    told(capsys, f"five folds, {n_features} features, {threshold or 'default threshold'}", p, clusters)
    assert (p <= 0.05).mean() <= 0.065 and (clusters <= 0.05).mean() <= 0.097


@pytest.mark.slow
def test_slow_features_on_a_grid(capsys):
    """Blocks of 5 s hold where features remember ten events (2.5 s); single trials claim something in a third of the families."""
    rates = {}
    for block in (None, 20):
        p, clusters = null(be.split.blocks(5, seconds=0), range(150), n=500, n_features=8, step=10, rho=0.9, block=block)
        told(capsys, f"slow features, blocks of {block or 1} events", p, clusters)
        rates[block] = (p <= 0.05).mean(), (clusters <= 0.05).mean()
    assert rates[20][0] <= 0.07 and rates[20][1] <= 0.11 and rates[None][0] > 0.15 and rates[None][1] > 0.2


@pytest.mark.slow
def test_clusters_of_scans_on_a_grid(capsys):
    """AR(0.8): blocks of ten samples find clusters too often, blocks of forty as often as promised."""
    short, long = cluster_rates(range(300), None), cluster_rates(range(300), 40)
    with capsys.disabled():
        print(f"\nAR(0.8): a cluster at 5 % in {(short <= 0.05).mean():.1%} with blocks of 10, {(long <= 0.05).mean():.1%} with 40")
    assert (long <= 0.05).mean() <= 0.088 and (short <= 0.05).mean() > (long <= 0.05).mean()
