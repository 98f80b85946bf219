"""Statistics of encoding scores hold what they promise: p uniform under autocorrelation, false discoveries, coverage, paired nulls."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.signal import lfilter

import brainenc as be
from brainenc import metrics
from brainenc.encoding import compare, permutation_test
from brainenc.encoding._resampled import crossed_width, layer_draws, paired_interval, score_interval
from brainenc.metrics.resample import blocks_of, bootstrap_folds, n_units


def autocorrelated(rng, n, k, rho):
    return lfilter([1.0], [1.0, -rho], rng.standard_normal((n + 200, k)), axis=0)[200:] * np.sqrt(1 - rho**2)


def null_p(rho, *, length, n_scans=300, n_targets=300, draws=3, n=199):
    """p-values of unrelated AR(1) predictions and responses."""
    found = []
    for seed in range(draws):
        rng = np.random.default_rng([seed, n_scans])
        y, p = (autocorrelated(rng, n_scans, n_targets, rho) for _ in range(2))
        found.append(metrics.permutation_p([(y, p)], n=n, seed=seed, units=[blocks_of(n_scans, length)]))
    return np.concatenate(found)


def fold_rows(n, n_folds=1):
    """A table of test rows of single stimuli."""
    fold = np.repeat(np.arange(n_folds), -(-n // n_folds))[:n]
    return pd.DataFrame({"fold": fold, "unit": np.arange(n), "row": np.arange(n), "stimulus_id": [f"i{i}" for i in range(n)]})


def covered(r, *, n, n_targets=300, rho=0.0, length=1, seed=0, draws=500):
    """Share of intervals that hold the true correlation of fixed predictions."""
    rng = np.random.default_rng(seed)
    p = autocorrelated(rng, n, n_targets, rho)
    y = r * p + np.sqrt(1 - r**2) * autocorrelated(rng, n, n_targets, rho)
    rows = fold_rows(n).assign(unit=blocks_of(n, length))
    low, high = score_interval(y, p, rows, "pearson", n=draws, seed=seed, subject="s", pooled=False)
    return float(((low <= r) & (r <= high)).mean())


def equal_models(seed, *, n, n_targets, strength):
    """Responses and two predictions that are equally good in truth, and share a part."""
    rng = np.random.default_rng(seed)
    one, two, both = rng.standard_normal((3, n, n_targets))
    return strength * (one + two + both) + rng.standard_normal((n, n_targets)), one + both, two + both


def paired_p(seed, *, n, n_targets=300, strength=0.5, draws=400):
    y, first, second = equal_models(seed, n=n, n_targets=n_targets, strength=strength)
    rows = fold_rows(n)
    folds = bootstrap_folds(rows, draws, seed, "s")
    (a, draws_a), (b, draws_b) = (layer_draws(y, p, folds, "pearson") for p in (first, second))
    return paired_interval(a - b, draws_a - draws_b, n_units(rows), crossed=False)[2]


def mixture(seed, *, n=80, n_targets=200, share=0.3, rho=0.0):
    """Scores as kept by score_layers, in which a share of the targets follows the only layer; return them and which."""
    rng = np.random.default_rng(seed)
    follows = np.arange(n_targets) < share * n_targets
    predicted = autocorrelated(rng, n, n_targets, rho)
    observed = 0.45 * follows * predicted + autocorrelated(rng, n, n_targets, rho)
    r = metrics.pearson(observed, predicted)[None, None]
    entries = pd.DataFrame({"model": ["toy"], "layer": ["one"], "metric": ["pearson"], "seed": [0]})
    targets = pd.DataFrame({"subject": "01", "target_id": [f"t{i}" for i in range(n_targets)]})
    kept = {"predictions": {"01": {"toy/one": predicted}}, "observed": {"01": observed}, "test_rows": {"01": fold_rows(n)}}
    return be.Scores(r, entries, targets, {"01": be.ArraySpace(n_targets)}, "toy", n_test=[[n]], **kept), follows


def test_p_is_uniform_under_autocorrelated_noise():
    p = null_p(0.4, length=10)
    assert stats.kstest(p, "uniform").pvalue > 0.001 and (p <= 0.05).mean() < 0.075
    alone = null_p(0.8, length=1)  # what blocks are for
    assert (alone <= 0.05).mean() > 0.15


def test_false_discoveries_are_as_few_as_promised():
    rates, found, families = [], [], []
    for seed in range(6):
        scores, follows = mixture(seed)
        tested = permutation_test(scores, n=499, seed=seed)
        claimed = tested.q[0] <= 0.1
        rates.append((claimed & ~follows).sum() / max(1, claimed.sum()))
        found.append(claimed[follows].mean())
        families.append((tested.p_max[0, ~follows] <= 0.05).any())
    assert np.mean(rates) <= 0.12 and np.mean(found) > 0.8 and np.mean(families) <= 0.5


def test_intervals_cover_the_truth():
    share = np.mean([covered(0.4, n=60, seed=seed) for seed in range(3)])
    assert 0.925 <= share <= 0.975
    assert covered(0.3, n=300, rho=0.5, length=15) > 0.9 > covered(0.3, n=300, rho=0.8, length=1) + 0.05


def test_equal_models_are_different_in_one_of_twenty():
    p = np.concatenate([paired_p(seed, n=60) for seed in range(3)])
    assert stats.kstest(p, "uniform").pvalue > 0.001 and 0.02 <= (p < 0.05).mean() <= 0.08


def crossed_coverage(*, n, snr, n_folds=5, n_targets=100, seeds=4, n_features=10, metric="pearson"):
    """Share of intervals of cross-validated ridge that hold the true mean score of its fitted models."""
    shares = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        X, W = rng.standard_normal((n, n_features)), rng.standard_normal((n_features, n_targets))
        W *= np.sqrt(snr) / np.linalg.norm(W, axis=0)
        Y, rows = X @ W + rng.standard_normal((n, n_targets)), fold_rows(n, n_folds)
        predicted, truth = np.empty_like(Y), []
        for fold in range(n_folds):
            test = rows["fold"].to_numpy() == fold
            b = np.linalg.solve(X[~test].T @ X[~test] + n_features / 2 * np.eye(n_features), X[~test].T @ Y[~test])
            predicted[test] = X[test] @ b
            r, r2 = (b * W).sum(axis=0) / np.sqrt((b * b).sum(axis=0) * (snr + 1)), 1 - (((b - W) ** 2).sum(axis=0) + 1) / (snr + 1)
            truth.append(r if metric == "pearson" else r2)
        low, high = score_interval(Y, predicted, rows, metric, n=300, seed=seed, subject="s", pooled=False)
        shares.append(((low <= np.mean(truth, axis=0)) & (np.mean(truth, axis=0) <= high)).mean())
    return float(np.mean(shares))


def test_folds_that_train_one_another_are_covered():
    assert 0.92 <= crossed_coverage(n=100, snr=0.1) <= 0.97


def test_width_of_folds_is_the_largest_that_noise_can_ask_for():
    """η of every share R that the features might explain, at the least κ that r allows, against the closed form."""
    r = np.linspace(0.05, 0.95, 10)
    R = np.linspace(r**2, 1, 4001)[1:]
    eta = (1 - R) * (1 - r**2 / R) / (1 - r**2) ** 2
    np.testing.assert_allclose(crossed_width(r), np.sqrt(1 + eta.max(axis=0)), rtol=1e-4)
    np.testing.assert_allclose(crossed_width(r, r**2), crossed_width(r))
    assert (crossed_width(r, r**2 - 0.2) < crossed_width(r)).all() and (crossed_width(np.array([-0.3, 0.0, np.nan])) == np.sqrt(2)).all()


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "length"), [(0.0, 1), (0.2, 10), (0.4, 10), (0.6, 20), (0.8, 40)])
def test_p_is_uniform_on_a_grid(rho, length, capsys):
    p = null_p(rho, length=length, n_scans=1200, n_targets=400, draws=5, n=999)
    test = stats.kstest(p, "uniform")
    with capsys.disabled():
        print(f"\nAR({rho}), blocks of {length}: KS {test.statistic:.4f} (p {test.pvalue:.3f}), p ≤ 0.05 in {(p <= 0.05).mean():.2%}, ≤ 0.01 in {(p <= 0.01).mean():.2%}")
    assert test.pvalue > 0.01 and 0.035 <= (p <= 0.05).mean() <= 0.065


@pytest.mark.slow
def test_p_of_fitted_models_is_uniform(capsys):
    """The whole way: ridge on AR(0.4) features and noise, five blocks with a gap, choice of the penalty included."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        table = {"run": np.ones(600, dtype=int)}
        layer = be.FeatureSpace(autocorrelated(rng, 600, 30, 0.9), table, name="toy/smooth", rows="sample")
        brain = be.Responses(autocorrelated(rng, 600, 25, 0.4), table, t_r=2.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", be.BrainencWarning)
            found.append(be.score_layers(layer, brain, split=be.split.blocks(5, gap=10), permutations=199, seed=seed).p[0])
    p = np.concatenate(found)
    with capsys.disabled():
        print(f"\nfitted AR(0.4): KS {stats.kstest(p, 'uniform').statistic:.4f}, p ≤ 0.05 in {(p <= 0.05).mean():.2%}")
    assert stats.kstest(p, "uniform").statistic < 0.06 and (p <= 0.05).mean() <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize(
    ("r", "n", "rho", "length"), [(0.0, 40, 0, 1), (0.3, 40, 0, 1), (0.3, 100, 0, 1), (0.7, 100, 0, 1), (0.3, 400, 0.4, 10), (0.5, 1200, 0.6, 20)]
)
def test_coverage_on_a_grid(r, n, rho, length, capsys):
    share = np.mean([covered(r, n=n, rho=rho, length=length, seed=seed, draws=1000) for seed in range(12)])
    with capsys.disabled():
        print(f"\nr {r}, n {n}, AR({rho}), blocks of {length}: {share:.1%} covered")
    assert 0.93 <= share <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("n", "strength"), [(40, 0.0), (40, 0.5), (150, 0.0), (150, 1.0)])
def test_paired_comparisons_on_a_grid(n, strength, capsys):
    p = np.concatenate([paired_p(seed, n=n, strength=strength, draws=1000) for seed in range(40)])
    with capsys.disabled():
        print(f"\npaired, n {n}, strength {strength}: KS p {stats.kstest(p, 'uniform').pvalue:.3f}, p < 0.05 in {(p < 0.05).mean():.2%}")
    assert 0.04 <= (p < 0.05).mean() <= (0.06 if n > 100 else 0.07) and stats.kstest(p, "uniform").statistic < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["pearson", "r2"])
@pytest.mark.parametrize(("n", "n_folds", "n_features"), [(60, 5, 10), (150, 2, 10), (150, 5, 3), (150, 5, 10), (150, 5, 40), (150, 10, 10), (400, 5, 10)])
def test_crossed_folds_on_a_grid(metric, n, n_folds, n_features, capsys):
    shares = [
        crossed_coverage(n=n, snr=snr, n_folds=n_folds, n_features=n_features, seeds=10, n_targets=200, metric=metric) for snr in (1e-9, 0.05, 0.3, 1.0)
    ]
    with capsys.disabled():
        print(f"\n{metric}, n {n}, {n_folds} folds, {n_features} features: " + ", ".join(f"{share:.1%}" for share in shares))
    assert min(shares) >= 0.925 and max(shares) <= (0.98 if metric == "pearson" else 1.0)  # R² of small test sets without signal is covered too often


@pytest.mark.slow
def test_false_discoveries_on_a_mixture(capsys):
    """Benjamini-Hochberg and the maximum hold their rates over many mixtures, with signal in a third of the targets."""
    rates, families = [], []
    for seed in range(600):  # the standard error of a rate of 5 % is 0.9 %
        scores, follows = mixture(seed, n_targets=120)
        tested = permutation_test(scores, n=299, seed=seed)
        claimed = tested.q[0] <= 0.05
        rates.append((claimed & ~follows).sum() / max(1, claimed.sum()))
        families.append((tested.p_max[0, ~follows] <= 0.05).any())
    with capsys.disabled():
        print(f"\nfalse discovery rate at q ≤ 0.05: {np.mean(rates):.3f}; a false claim at p_max ≤ 0.05 in {np.mean(families):.1%} of families")
    assert np.mean(rates) <= 0.055 and np.mean(families) <= 0.068


def test_compare_is_one_difference_not_two_tests():
    """Two equal models, one significant and one not, are not thereby different."""
    y, first, second = equal_models(0, n=60, n_targets=40, strength=0.25)
    r = np.stack([metrics.pearson(y, p) for p in (first, second)])[:, None]
    entries = pd.DataFrame({"model": "toy", "layer": ["one", "two"], "metric": "pearson", "seed": 0})
    targets = pd.DataFrame({"subject": "01", "target_id": [f"t{i}" for i in range(40)]})
    kept = {"predictions": {"01": {"toy/one": first, "toy/two": second}}, "observed": {"01": y}, "test_rows": {"01": fold_rows(60)}}
    scores = permutation_test(be.Scores(r, entries, targets, {"01": be.ArraySpace(40)}, "toy", n_test=[[60]], **kept), n=199)
    discordant = (scores.p[0] <= 0.05) != (scores.p[1] <= 0.05)
    table = compare(scores, n=300)
    assert discordant.mean() > 0.15 and (table["q"] <= 0.05).mean() <= 0.05
