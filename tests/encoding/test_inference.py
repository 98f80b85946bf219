"""p, q and intervals from kept predictions, against brute force; paired comparisons; what travels with Scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import brainenc as be
from brainenc import metrics
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding import bootstrap, compare, permutation_test
from brainenc.metrics.resample import bootstrap_folds

N = 72


def make(*, data=0, split=None, models=("toy",), aggregate="folds", metric="pearson", strengths=(1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0), **more):
    """Seven targets in two regions that follow the first layer, less and less."""
    rng = np.random.default_rng(data)
    ids = [f"i{i}" for i in range(N)]
    parts = {f"{model}/{name}": rng.standard_normal((N, 6)) for model in models for name in ("one", "two")}
    layers = {name: be.FeatureSpace(x, {"stimulus_id": ids}, name=name) for name, x in parts.items()}
    first = next(iter(parts.values()))
    values = first @ rng.standard_normal((6, 7)) * np.array(strengths) + 2 * rng.standard_normal((N, 7))
    brain = be.Responses(values, {"stimulus_id": ids}, {"roi": ["V1"] * 3 + ["V4"] * 4}, name="01")
    how = {"split": split or be.split.images(0.5, seed=1), "encoder": be.encoding.Ridge(alphas=[1.0, 10.0, 100.0]), "keep_predictions": True}
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", be.BrainencWarning)  # targets without signal sit at the edge of the grid
        return be.score_layers(layers, brain, aggregate=aggregate, metric=metric, **how, **more)


def corr(a, b):
    return np.array([stats.pearsonr(x, y).statistic for x, y in zip(a.T, b.T, strict=True)])


@pytest.mark.parametrize("aggregate", ["folds", "pooled"])
def test_afterwards_is_the_same_as_at_once(aggregate):
    at_once = make(split=be.split.kfold(3, seed=0), aggregate=aggregate, metric=["pearson", "r2"], permutations=99, bootstrap=60, seed=5)
    bare = replace(at_once, p=None, q=None, p_max=None, ci=None)
    later = bootstrap(permutation_test(bare, n=99, seed=5), n=60, seed=5)
    for name in ("p", "q", "p_max"):
        np.testing.assert_allclose(getattr(later, name), getattr(at_once, name), atol=0.021)  # predictions are kept in single precision
    np.testing.assert_allclose(later.ci, at_once.ci, atol=1e-4)
    np.testing.assert_array_equal(later.p[0], later.p[1])  # metrics share the test of r
    assert (later.ci[0] < later.mean()).all() and (later.mean() < later.ci[1]).all()
    assert later.provenance["permutations"] == 99 and later.provenance["bootstrap"] == 60


def test_the_maximum_is_over_targets_and_layers_or_over_targets():
    scores = make()
    rows = scores.observed["01"].astype(float)
    orders = list(metrics.permutations(len(rows), 60, 3, "01", 0, units=scores.test_rows["01"]["unit"], alike=True))
    null = np.stack([[corr(rows[order], p.astype(float)) for p in scores.predictions["01"].values()] for order in orders])  # (n, layers, targets)
    r = scores.mean()
    both = permutation_test(scores, n=60, seed=3)
    np.testing.assert_allclose(both.p, (1 + (null >= r - 1e-6).sum(axis=0)) / 61)
    np.testing.assert_allclose(both.p_max, (1 + (null.max(axis=(1, 2))[:, None, None] >= r - 1e-6).sum(axis=0)) / 61)
    targets = permutation_test(scores, n=60, seed=3, maximum_over="target")
    np.testing.assert_allclose(targets.p_max, (1 + (null.max(axis=2)[:, :, None] >= r - 1e-6).sum(axis=0)) / 61)
    regions = permutation_test(scores, n=60, seed=3, within="roi")
    np.testing.assert_allclose(regions.p_max[:, :3], (1 + (null[..., :3].max(axis=(1, 2))[:, None, None] >= r[:, :3] - 1e-6).sum(axis=0)) / 61)
    np.testing.assert_allclose(regions.q[0, 3:], stats.false_discovery_control(regions.p[0, 3:]))
    assert (both.p <= both.p_max).all() and (regions.p_max <= both.p_max).all()
    dependent = permutation_test(scores, n=60, seed=3, correction="by")
    np.testing.assert_allclose(dependent.q[1], stats.false_discovery_control(dependent.p[1], method="by"))


@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_intervals_are_those_of_resampled_rows(metric):
    scores = bootstrap(make(metric=metric), n=40, seed=2)
    y, p = scores.observed["01"].astype(float), scores.predictions["01"]["toy/one"].astype(float)
    ((_, weights),) = bootstrap_folds(scores.test_rows["01"], 40, 2, "01")
    measure = {"pearson": corr, "r2": metrics.r2}[metric]
    draws = np.stack([measure(y[rows], p[rows]) for rows in (np.repeat(np.arange(len(y)), w.astype(int)) for w in weights)])
    forth, back = (np.arctanh, np.tanh) if metric == "pearson" else (lambda x: -np.log(1 - x), lambda x: 1 - np.exp(-x))
    n = len(y)
    width = stats.t.ppf(0.975, n - 1) * forth(draws).std(axis=0) * np.sqrt(n / (n - 1))
    point = forth(measure(y, p))
    np.testing.assert_allclose(scores.ci[:, 0], back(np.stack([point - width, point + width])), atol=1e-5)


def test_blocks_of_scans_are_what_is_drawn():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 4))
    layer = be.FeatureSpace(x, {"run": np.repeat([1, 2, 3, 4], 30)}, name="toy/x", rows="sample")
    noise = np.cumsum(rng.standard_normal((120, 8)), axis=0)
    brain = be.Responses(x @ rng.standard_normal((4, 8)) + noise, {"run": np.repeat([1, 2, 3, 4], 30)}, t_r=2.0, name="01")
    scores = be.score_layers(layer, brain, split=be.split.runs(), keep_predictions=True, bootstrap=50)
    assert scores.test_rows["01"].groupby(["fold", "unit"]).size().eq(10).all()
    assert scores.provenance["exchangeable"] == {"01": "blocks of consecutive samples"}
    tested = permutation_test(scores, n=50)
    assert np.isfinite(tested.p).all() and np.isfinite(scores.ci).all()
    longer = bootstrap(scores, n=50, block=15)  # drifts remember longer than ten scans
    assert np.diff(longer.ci, axis=0).mean() > np.diff(scores.ci, axis=0).mean()
    assert (permutation_test(scores, n=50, block=10).p == tested.p).all() and longer.test_rows["01"].equals(scores.test_rows["01"])
    with pytest.raises(InputError, match="do not follow each other.*5 trials in a row, got 2.12"):
        compare(make(), n=20, block=5)


def test_p_and_intervals_travel(tmp_path):
    scores = make(permutations=19, bootstrap=40)
    frame = scores.to_frame()
    assert {"p", "q", "p_max", "ci_low", "ci_high"} <= set(frame)
    row = frame[(frame["layer"] == "two") & (frame["target_id"] == scores.targets["target_id"][4])].iloc[0]
    assert (row["p_max"], row["ci_low"], row["ci_high"]) == (scores.p_max[1, 4], scores.ci[0, 1, 4], scores.ci[1, 1, 4])
    part = scores.where(roi="V4").entry(layer="two")
    np.testing.assert_array_equal(part.ci, scores.ci[:, 1:, 3:])
    np.testing.assert_array_equal(part.p_max, scores.p_max[1:, 3:])
    again = be.read(scores.save(tmp_path / "scores"))
    np.testing.assert_array_equal(again.ci, scores.ci)
    np.testing.assert_array_equal(again.p_max, scores.p_max)
    one, two = scores.entry(layer="one"), scores.entry(layer="two")
    np.testing.assert_array_equal(be.Scores.stack([one, two]).ci, scores.ci)
    assert be.Scores.stack([one, replace(two, ci=None)]).ci is None and scores.best().ci is None
    halved = replace(scores, ceiling=be.NoiseCeiling(np.full(7, 0.25), n_repeats=3)).normalized()
    np.testing.assert_allclose(halved.ci, 2 * scores.ci)


def test_a_difference_is_paired_and_corrected():
    scores = make()
    table = compare(scores, "toy/one", "toy/two", n=200, seed=4)
    np.testing.assert_allclose(table["difference"], scores.mean()[0] - scores.mean()[1], atol=1e-6)
    ((_, weights),) = bootstrap_folds(scores.test_rows["01"], 200, 4, "01")
    y = scores.observed["01"].astype(float)
    draws = [
        np.subtract(*(corr(y[rows], p[rows].astype(float)) for p in scores.predictions["01"].values()))
        for rows in (np.repeat(np.arange(len(y)), w.astype(int)) for w in weights)
    ]
    n = len(y)
    s = np.std(draws, axis=0) * np.sqrt(n / (n - 1))
    np.testing.assert_allclose(table["ci_high"] - table["difference"], stats.t.ppf(0.975, n - 1) * s, rtol=1e-4)
    np.testing.assert_allclose(table["p"], 2 * stats.t.sf(np.abs(table["difference"]) / s, n - 1), rtol=1e-3)
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]))
    assert ((table["p"] < 0.05) == ((table["ci_low"] > 0) | (table["ci_high"] < 0))).all()
    assert (table["p"][:2] < 0.1).all() and list(table["roi"]) == ["V1"] * 3 + ["V4"] * 4
    swapped = compare(scores, "toy/two", "toy/one", n=200, seed=4)
    np.testing.assert_allclose(swapped[["ci_low", "ci_high"]], -table[["ci_high", "ci_low"]].to_numpy())
    assert compare(scores, second="toy/two", n=20).equals(compare(scores, "toy/one", "toy/two", n=20))
    squared = compare(make(metric=["pearson", "r2"]), n=50, metric="r2")
    np.testing.assert_allclose(squared["score_first"], make(metric="r2").mean()[0], atol=1e-5)


def test_regions_and_models_at_their_best_are_compared():
    scores = make(models=("a", "b"), split=be.split.kfold(3, seed=0))
    assert len(compare(scores, n=20, by="roi")) == 6 * 2 and len(compare(scores, "b/one", n=20, by="roi")) == 3 * 2
    best = scores.best(within="model")
    assert list(best.entries["model"] + "/" + best.entries["layer"]) == ["a/best", "b/best"]
    table = compare(best, "a/best", "b/best", by="roi", n=100, summary="mean")
    assert list(table["roi"]) == ["V1", "V4"] and table["difference"][0] > 0.2 and table["p"][0] < 0.05
    np.testing.assert_allclose(table["score_first"], [best.mean()[0, :3].mean(), best.mean()[0, 3:].mean()], atol=1e-6)
    whole = compare(scores, "a/one", "a/two", by="subject", n=20)
    assert list(whole.columns[:2]) == ["subject", "first"] and len(whole) == 1


def test_targets_without_scores_keep_their_rows():
    scores = make()
    holed = {name: values.copy() for name, values in scores.predictions["01"].items()}
    holed["toy/one"][:, 2] = np.nan
    holed["toy/two"][:, 5] = 1.0
    gone = replace(scores, predictions={"01": holed})
    tested, intervals = permutation_test(gone, n=19), bootstrap(gone, n=30)
    for array in (tested.p, tested.q, tested.p_max, *intervals.ci):
        assert np.isnan(array[0, 2]) and np.isnan(array[1, 5]) and np.isfinite(array).sum() == 12
    table = compare(gone, n=30)
    assert len(table) == 7 and table["p"].isna().tolist() == [False, False, True, False, False, True, False]
    assert np.isfinite(compare(gone, n=30, by="roi")["p"]).all()


def test_what_cannot_be_tested_is_refused():
    scores = make()
    with pytest.raises(InputError, match="keep_predictions=True"):
        permutation_test(replace(scores, predictions={}))
    with pytest.raises(InputError, match="at least 20"):
        bootstrap(scores, n=19)
    with pytest.raises(InputError, match="same rows again"):
        permutation_test(make(split=be.split.images(0.3, n=2)), n=9)
    with pytest.raises(NotFoundError, match="Did you mean|did you mean|toy/one"):
        compare(scores, "toy/on", "toy/two")
    with pytest.raises(InputError, match="two layers"):
        compare(scores, "toy/one", "toy/one")
    with pytest.raises(InputError, match="family of the maximum"):
        permutation_test(scores, maximum_over="layer")
    with pytest.raises(InputError, match="correction"):
        permutation_test(scores, correction="bonferroni")
    with pytest.raises(InputError, match=r"ci does not fit the scores.*expected shape \(2, 2, 7\)"):
        replace(scores, ci=np.zeros((2, 7)))
    with pytest.raises(InputError, match="bootstrap is a count"):
        make(bootstrap=-1)
