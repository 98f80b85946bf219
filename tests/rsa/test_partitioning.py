"""Variance partitions against least squares on every subset, the formulas for two to four models, and planted truth."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.metrics.resample import fold_labels
from brainenc.rsa.partitioning import commonalities, r2_of_subsets

N, S = 14, 5
CONDITIONS = {"condition": [f"c{i:02d}" for i in range(N)]}
NAMES = list("abcd")


@pytest.fixture
def models(rng):
    shared = pdist(rng.standard_normal((N, 3)))
    return be.RDMs(np.stack([pdist(rng.standard_normal((N, 4))) + 0.7 * shared for _ in NAMES]), CONDITIONS, {"model": NAMES})


@pytest.fixture
def data(rng, models):
    values = [2 * models.values[0] + models.values[1] + 1.5 * pdist(rng.standard_normal((N, 5))) for _ in range(S)]
    return be.RDMs(np.stack(values), CONDITIONS, {"subject": [f"{i:02d}" for i in range(S)]})


def lstsq_r2(x, y):
    design = np.column_stack([np.ones(len(y)), *x])
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return 1 - rest @ rest / ((y - y.mean()) @ (y - y.mean()))


@pytest.mark.parametrize("ranked", [False, True])
def test_r2_of_every_subset_is_that_of_least_squares(models, data, ranked):
    found = be.rsa.partition_variance(models, data, n=0, ranked=ranked)
    assert len(found.subsets) == 15 and found.r2.shape == (1, S, 15)
    ready = (lambda v: stats.rankdata(v)) if ranked else (lambda v: v)
    for column, subset in enumerate(found.subsets):
        for s in range(S):
            x = [ready(models.values[NAMES.index(name)]) for name in subset]
            assert found.r2[0, s, column] == pytest.approx(lstsq_r2(x, ready(data.values[s])), abs=1e-10)


def by_inclusion_and_exclusion(r2, subset, names):
    """Σ over U ⊆ S of (−1)^(|U| + 1) R²((M \\ S) ∪ U), term by term."""
    outside = [name for name in names if name not in subset]
    total = 0.0
    for size in range(len(subset) + 1):
        for u in itertools.combinations(subset, size):
            total += (-1) ** (size + 1) * r2[frozenset(outside) | frozenset(u)]
    return total


@pytest.mark.parametrize("k", [2, 3, 4])
def test_shares_are_those_of_inclusion_and_exclusion_and_sum_to_r2(models, data, k):
    found = be.rsa.partition_variance(models.take(range(k)), data, n=0)
    names = NAMES[:k]
    for s in range(S):
        r2 = {frozenset(subset): found.r2[0, s, i] for i, subset in enumerate(found.subsets)} | {frozenset(): 0.0}
        share = {subset: found.share[0, s, i] for i, subset in enumerate(found.subsets)}
        for subset, value in share.items():
            assert value == pytest.approx(by_inclusion_and_exclusion(r2, subset, names), abs=1e-12)
        assert sum(share.values()) == pytest.approx(r2[frozenset(names)], abs=1e-12)
        if k == 2:
            assert share["a",] == pytest.approx(r2[frozenset("ab")] - r2[frozenset("b")], abs=1e-12)
            assert share["a", "b"] == pytest.approx(r2[frozenset("a")] + r2[frozenset("b")] - r2[frozenset("ab")], abs=1e-12)
        if k == 3:
            every = r2[frozenset("a")] + r2[frozenset("b")] + r2[frozenset("c")] + r2[frozenset("abc")]
            pairs = r2[frozenset("ab")] + r2[frozenset("ac")] + r2[frozenset("bc")]
            assert share["a", "b", "c"] == pytest.approx(every - pairs, abs=1e-12)


def test_twelve_models_sum_up_too(rng):
    gram = np.cov(rng.standard_normal((12, 60)))
    r2 = r2_of_subsets(gram, rng.standard_normal(12) * 0.1, np.array(1.0))
    assert r2.shape == (4096,) and commonalities(r2).sum() == pytest.approx(r2[-1], abs=1e-10)


def test_collinear_models_share_everything(models, data):
    both = be.RDMs(np.stack([models.values[0], 3 * models.values[0] - 1]), CONDITIONS, {"model": ["a", "again"]})
    found = be.rsa.partition_variance(both, data, n=0)
    np.testing.assert_allclose(found.share[0, :, :2], 0, atol=1e-10)
    np.testing.assert_allclose(found.share[0, :, 2], [lstsq_r2([models.values[0]], y) for y in data.values], atol=1e-10)


def test_suppression_is_reported_as_negative(rng):
    a, noise = pdist(rng.standard_normal((N, 3))), pdist(rng.standard_normal((N, 3)))
    x = be.RDMs(np.stack([a + noise, noise]), CONDITIONS, {"model": ["mixed", "noise"]})
    found = be.rsa.partition_variance(x, be.RDMs(a[None], CONDITIONS), n=0)
    assert found.share[0, 0, 2] < -0.1 and found.share[0, 0].sum() == pytest.approx(1)


def sub(values, chosen):
    upper = np.triu_indices(len(chosen), 1)
    return np.stack([squareform(v)[np.ix_(chosen, chosen)][upper] for v in values])


def centred(v):
    return v - v.mean(axis=-1, keepdims=True)


@pytest.mark.parametrize("cv", ["conditions", "both"])
def test_crossvalidated_r2_is_that_of_rdms_cut_to_pieces(models, data, cv):
    found = be.rsa.partition_variance(models, data, cv=cv, n=0, seed=5, folds_conditions=3, folds_subjects=2, n_assignments=2)
    labels_c = fold_labels(N, 3, 2, 5, "conditions")
    labels_s = fold_labels(S, 2, 2, 5, "subjects") if cv == "both" else None
    for column, subset in enumerate(found.subsets):
        x = models.values[[NAMES.index(name) for name in subset]]
        expected = np.zeros(S)
        for a in range(2):
            for s in range(S):
                residual = total = 0.0
                for f in range(3):
                    train, test = np.flatnonzero(labels_c[a] != f), np.flatnonzero(labels_c[a] == f)
                    x_train, y_train = centred(sub(x, train)), centred(sub(data.values, train))
                    size = np.linalg.norm(y_train, axis=1, keepdims=True)
                    others = [s] if cv == "conditions" else np.flatnonzero(labels_s[a] != labels_s[a][s])
                    theta = np.linalg.lstsq(x_train.T, (y_train / size)[others].mean(axis=0), rcond=None)[0]
                    y_test = centred(sub(data.values[s : s + 1], test))[0] / size[s, 0]
                    residual += ((y_test - theta @ centred(sub(x, test))) ** 2).sum()
                    total += (y_test**2).sum()
                expected[s] += (1 - residual / total) / 2
        np.testing.assert_allclose(found.r2[0, :, column], expected, atol=1e-10)
    np.testing.assert_allclose(found.share[0].sum(axis=1), found.r2[0, :, -1], atol=1e-12)


def test_planted_shares_are_recovered(rng):
    """Orthogonal parts u, v, w: a = u + w, b = v + w, data = u + w, all of one variance."""
    n, conditions = 60, {"condition": [str(i) for i in range(60)]}
    u, v, w, e = np.linalg.qr(centred(rng.standard_normal((4, n * (n - 1) // 2))).T)[0].T
    x = be.RDMs(np.stack([u + w, v + w]), conditions, {"model": ["a", "b"]})
    y = be.RDMs((u + w + 0.5 * e)[None] * np.linspace(1, 3, 4)[:, None] + 7, conditions)
    found = be.rsa.partition_variance(x, y, n=0, cv="both")
    # a is the data but for e: R²(a) = 2 / 2.25, R²(b) = ¼ of that, R²(ab) = R²(a)
    expected = np.array([2 * 0.75, 0, 2 * 0.25]) / 2.25
    np.testing.assert_allclose(be.rsa.partition_variance(x, y, n=0).table["share"], expected, atol=1e-10)
    np.testing.assert_allclose(found.table["share"], expected, atol=0.06)  # 330 held-out pairs


def test_models_of_noise_explain_something_in_sample_and_nothing_held_out(rng, models, data):
    noise = be.RDMs(np.stack([pdist(rng.standard_normal((N, 4))) for _ in range(6)]), CONDITIONS, {"model": [f"n{i}" for i in range(6)]})
    unrelated = be.RDMs(np.stack([pdist(rng.standard_normal((N, 5))) for _ in range(S)]), CONDITIONS, {"subject": range(S)})
    assert (be.rsa.partition_variance(noise, unrelated, n=0).r2[..., -1] > 0).all()
    # in sample a model of noise has a share of its own in everyone: no test is given
    assert be.rsa.partition_variance(noise, unrelated, n=0).table[["t", "p", "q"]].isna().all(axis=None)
    held = be.rsa.partition_variance(noise, unrelated, n=0, cv="conditions")
    assert (held.unique()["p"] > 0.05).all()
    assert held.r2[0, :, -1].mean() < 0
    real = be.rsa.partition_variance(models, data, n=0, cv="both").unique()
    assert real["share"][:2].min() > 0.03 and abs(real["share"][2:]).max() < 0.03


def test_tests_over_subjects_and_groups_are_laid_out(models, data):
    table = pd.DataFrame({"roi": ["V1"] * S + ["IT"] * 3, "subject": [f"{i:02d}" for i in range(S)] + ["00", "01", "02"]})
    both = be.RDMs(np.concatenate([data.values, data.values[:3] ** 2]), CONDITIONS, table)
    found = be.rsa.partition_variance(models, both, by="roi", n=0, tail="two-sided", cv="conditions")
    assert found.share.shape == (2, S, 15) and np.isnan(found.share[1, 3:]).all()
    tested = stats.ttest_1samp(found.share[0], 0)
    np.testing.assert_allclose(found.table["t"][:15], tested.statistic)
    np.testing.assert_allclose(found.table["p"][:15], tested.pvalue)
    assert list(found.table["n_subjects"]) == [S] * 15 + [3] * 15 and list(found.unique()["models"]) == NAMES * 2


def test_intervals_are_percentiles_of_exact_resamples(models, data):
    found = be.rsa.partition_variance(models.take([0, 1]), data, n=40, seed=2)
    w, v = (be.metrics.bootstrap_weights(size, 40, 2, "rsa", name) for size, name in ((N, "conditions"), (S, "subjects")))
    draws = []
    for one, copies in zip(w, v, strict=True):
        index = np.repeat(np.arange(N), one.astype(int))
        rows, columns = np.triu_indices(len(index), 1)
        known = index[rows] != index[columns]
        cut = [np.array([squareform(m)[np.ix_(index, index)][rows, columns][known] for m in r.values]) for r in (models, data)]
        r2 = np.array([[lstsq_r2(cut[0][list(c)], y) for c in ([0], [1], [0, 1])] for y in cut[1]])
        a, b, ab = np.average(r2, axis=0, weights=copies)
        draws.append([ab - b, ab - a, a + b - ab])
    np.testing.assert_allclose(found.table[["ci_low", "ci_high"]].T, np.percentile(draws, [2.5, 97.5], axis=0), atol=1e-10)
    np.testing.assert_allclose(found.table["se"], np.std(draws, axis=0, ddof=1), atol=1e-10)


@pytest.mark.parametrize("how", [{"cv": "both"}, {"cv": "conditions", "conditions": False}, {"subjects": False}])
def test_intervals_of_every_kind_hold_the_estimate_and_repeat(models, data, how):
    one, same = (be.rsa.partition_variance(models.take([0, 1]), data, n=20, seed=3, **how) for _ in range(2))
    pd.testing.assert_frame_equal(one.table, same.table)
    assert (one.table["ci_low"] < one.table["ci_high"]).all() and one.n_failed == (0,)
    assert ((one.table["ci_low"] - 0.15 < one.table["share"]) & (one.table["share"] < one.table["ci_high"] + 0.15)).all()


def test_what_cannot_be_partitioned_is_refused(models, data):
    with pytest.raises(InputError, match="several models"):
        be.rsa.partition_variance(models.take([0]), data)
    with pytest.raises(InputError, match="missing pairs"):
        be.rsa.partition_variance(models, be.RDMs(np.full((1, N * (N - 1) // 2), np.nan), CONDITIONS))
    with pytest.raises(InputError, match="folds over conditions"):
        be.rsa.partition_variance(models, data, cv="conditions", folds_conditions=9)
    with pytest.raises(InputError, match="folds over subjects"):
        be.rsa.partition_variance(models, data.take([0]), cv="both")
    with pytest.raises(InputError, match="unknown value for cv"):
        be.rsa.partition_variance(models, data, cv="subjects")
