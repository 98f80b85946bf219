"""Mantel tests and sign flips against loops over squares, scipy and exact enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.metrics.resample import permutations

N, K, S = 8, 3, 4
CONDITIONS = {"condition": [f"c{i}" for i in range(N)]}
UPPER = np.triu_indices(N, 1)


def rdms_of(values, **columns):
    return be.RDMs(np.asarray(values), CONDITIONS, pd.DataFrame(columns) if columns else None)


@pytest.fixture
def models(rng):
    return rdms_of([pdist(rng.standard_normal((N, 5))) for _ in range(K)], model=["a", "b", "b"], layer=[0, 0, 1])


@pytest.fixture
def data(rng, models):
    values = [pdist(rng.standard_normal((N, 5))) + 0.5 * models.values[g] for g in range(2) for _ in range(S)]
    return rdms_of(values, roi=["V1"] * S + ["IT"] * S, subject=[f"{i:02d}" for i in range(S)] * 2)


def cosine(x, y, w=None):
    w = np.eye(len(x)) if w is None else w
    return x @ w @ y / np.sqrt((x @ w @ x) * (y @ w @ y))


def centred(x):
    return x - x.mean()


def v_inverse(sigma):
    contrasts = np.zeros((len(UPPER[0]), N))
    contrasts[np.arange(len(UPPER[0])), UPPER[0]], contrasts[np.arange(len(UPPER[0])), UPPER[1]] = 1, -1
    return np.linalg.inv((contrasts @ sigma @ contrasts.T) ** 2)


def rho_a(x, y):
    p = len(x)
    return 12 * centred(stats.rankdata(x)) @ centred(stats.rankdata(y)) / (p**3 - p)


def tau_a(x, y):
    return np.sign(np.subtract.outer(x, x) * np.subtract.outer(y, y)).sum() / (len(x) * (len(x) - 1))


SIGMA = np.diag(np.linspace(0.5, 2, N)) + 0.2
REFERENCE = {
    "cosine_similarity": cosine,
    "pearson": lambda x, y: stats.pearsonr(x, y).statistic,
    "spearman": lambda x, y: stats.spearmanr(x, y).statistic,
    "rho_a": rho_a,
    "whitened_cosine_similarity": lambda x, y: cosine(x, y, v_inverse(SIGMA)),
    "whitened_pearson": lambda x, y: cosine(centred(x), centred(y), v_inverse(SIGMA)),
    "tau_a": tau_a,
    "tau_b": lambda x, y: stats.kendalltau(x, y).statistic,
}


def null_by_loops(models, data, score, n, seed=0):
    """Scores (1 + n, groups, models): squares relabelled one at a time."""
    orders = [np.arange(N), *permutations(N, n, seed, "permutation_test")]
    rois = [data.where(roi=roi).values for roi in ("V1", "IT")]
    return np.array(
        [[[np.mean([score(squareform(m)[np.ix_(o, o)][UPPER], y) for y in roi]) for m in models.values] for roi in rois] for o in orders]
    )


@pytest.mark.parametrize("method", REFERENCE)
def test_scores_and_p_values_are_those_of_a_loop_over_squares(models, data, method):
    n = 60
    sigma = SIGMA if method.startswith("whitened") else None
    table = be.rsa.permutation_test(models, data, method=method, by="roi", n=n, sigma_k=sigma)
    null = null_by_loops(models, data, REFERENCE[method], n)
    np.testing.assert_allclose(table["score"], null[0].reshape(-1), atol=1e-10)
    np.testing.assert_allclose(table["null_mean"], null[1:].mean(axis=0).reshape(-1), atol=1e-10)
    np.testing.assert_allclose(table["p"], (1 + (null[1:] >= null[0] - 1e-12).sum(axis=0)).reshape(-1) / (1 + n))
    top = null[1:].max(axis=2, keepdims=True)
    np.testing.assert_allclose(table["p_max"], (1 + (top >= null[0] - 1e-12).sum(axis=0)).reshape(-1) / (1 + n))
    assert list(table.columns[:3]) == ["roi", "model", "layer"] and (table["n_subjects"] == S).all()


def test_the_identity_covariance_needs_no_moving_norms(models, data):
    plain = be.rsa.permutation_test(models, data, method="whitened_pearson", n=50)
    given = be.rsa.permutation_test(models, data, method="whitened_pearson", n=50, sigma_k=np.eye(N))
    pd.testing.assert_frame_equal(plain, given, atol=1e-10)


@pytest.mark.parametrize("method", ["pearson", "spearman", "whitened_cosine_similarity"])
def test_chunks_do_not_change_the_result(models, data, method):
    whole = be.rsa.permutation_test(models, data, method=method, by="roi", n=40)
    cut = be.rsa.permutation_test(models, data, method=method, by="roi", n=40, memory="5kB")
    pd.testing.assert_frame_equal(whole, cut, atol=1e-12)


def test_one_seed_gives_one_result(models, data):
    one, same, other = (be.rsa.permutation_test(models, data, n=50, seed=seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(one, same)
    assert (one["null_mean"] != other["null_mean"]).all()


@pytest.mark.parametrize(
    ("over", "axes"), [(("model",), (2,)), (("model", "roi"), (1, 2)), (("roi",), (1,)), ("model", (2,))]
)
def test_maxima_are_taken_over_what_is_named(models, data, over, axes):
    table = be.rsa.permutation_test(models, data, by="roi", n=60, maximum_over=over)
    null = null_by_loops(models, data, REFERENCE["pearson"], 60)
    top = null[1:].max(axis=axes, keepdims=True)
    np.testing.assert_allclose(table["p_max"], (1 + (top >= null[0] - 1e-12).sum(axis=0)).reshape(-1) / 61)


def test_layers_can_be_a_family_within_their_model(models, data):
    table = be.rsa.permutation_test(models, data, by="roi", n=60, maximum_over="layer")
    null = null_by_loops(models, data, REFERENCE["pearson"], 60)
    top = np.stack([null[1:, :, 0], null[1:, :, 1:].max(axis=2), null[1:, :, 1:].max(axis=2)], axis=2)
    np.testing.assert_allclose(table["p_max"], (1 + (top >= null[0] - 1e-12).sum(axis=0)).reshape(-1) / 61)


def test_two_sided_counts_distances_from_the_middle_of_the_null(models, data):
    table = be.rsa.permutation_test(models, data, by="roi", method="cosine_similarity", n=60, tail="two-sided")
    null = null_by_loops(models, data, cosine, 60)
    away = np.abs(null - null.mean(axis=0))
    np.testing.assert_allclose(table["p"], (1 + (away[1:] >= away[0] - 1e-12).sum(axis=0)).reshape(-1) / 61)


def test_standardised_maxima_divide_by_the_spread_of_each_null(models, data):
    table = be.rsa.permutation_test(models, data, by="roi", n=60, statistic="z", maximum_over=("model", "roi"))
    null = null_by_loops(models, data, REFERENCE["pearson"], 60)
    z = (null - null.mean(axis=0)) / null.std(axis=0)
    top = z[1:].max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(table["p_max"], (1 + (top >= z[0] - 1e-12).sum(axis=0)).reshape(-1) / 61)


def test_few_conditions_converge_to_every_relabelling(rng):
    x, y = pdist(rng.standard_normal((4, 3))), pdist(rng.standard_normal((4, 3)))
    upper = np.triu_indices(4, 1)
    every = [stats.pearsonr(squareform(x)[np.ix_(o, o)][upper], y).statistic for o in itertools.permutations(range(4))]
    exact = np.mean(np.array(every) >= stats.pearsonr(x, y).statistic - 1e-12)
    conditions = {"condition": list("abcd")}
    table = be.rsa.permutation_test(be.RDMs(x[None], conditions), be.RDMs(y[None], conditions), n=4000)
    assert table["p"][0] == pytest.approx(exact, abs=0.03)


def test_missing_pairs_are_refused_or_left_out_of_their_group_only(models, data):
    values = data.values.copy()
    values[1, [2, 9]] = np.nan
    gaps = rdms_of(values, roi=data.rdms["roi"], subject=data.rdms["subject"])
    before = gaps.values.copy(), models.values.copy()
    with pytest.raises(InputError, match="missing pairs"):
        be.rsa.permutation_test(models, gaps, by="roi", n=10)
    table = be.rsa.permutation_test(models, gaps, by="roi", method="spearman", n=40, nan="omit")
    whole = be.rsa.permutation_test(models, data, by="roi", method="spearman", n=40)
    orders = [np.arange(N), *permutations(N, 40, 0, "permutation_test")]
    moved = [[squareform(m)[np.ix_(o, o)][UPPER] for m in models.values] for o in orders]
    k = np.setdiff1d(np.arange(28), [2, 9])
    null = np.array([[np.mean([stats.spearmanr(m[k], y[k]).statistic for y in values[:S]]) for m in row] for row in moved])
    np.testing.assert_allclose(table["score"][:K], null[0], atol=1e-12)
    np.testing.assert_allclose(table["null_sd"][:K], null[1:].std(axis=0), atol=1e-12)
    # the other group is untouched, whatever its neighbour lacks; and nothing is written into what was given
    pd.testing.assert_frame_equal(table[K:].drop(columns="q"), whole[K:].drop(columns="q"))
    assert (table["n_pairs"] == [26] * K + [28] * K).all()
    np.testing.assert_array_equal(gaps.values, before[0])
    np.testing.assert_array_equal(models.values, before[1])


@pytest.mark.parametrize("method", ["tau_a", "whitened_cosine_similarity", "pearson"])
def test_scores_over_missing_pairs_are_those_of_compare(models, data, method):
    values = data.values.copy()
    values[1, [2, 9]] = np.nan
    gaps = rdms_of(values, roi=data.rdms["roi"])
    table = be.rsa.permutation_test(models, gaps, by="roi", method=method, n=5, nan="omit", subject=None)
    values[:S, [2, 9]] = np.nan  # a pair that one RDM of a group lacks is left out of all
    expected = be.rsa.compare(models, rdms_of(values), method).reshape(K, 2, S).mean(axis=2).T
    np.testing.assert_allclose(table["score"], expected.reshape(-1), atol=1e-12)


def test_small_distances_are_the_tail_of_a_distance(models, data):
    near = rdms_of(data.values[:1] * 0.01 + models.values[:1])
    table = be.rsa.permutation_test(models, near, method="bures_distance", n=99)
    assert table["p"][0] == 0.01 and table["score"][0] == table["score"].min()
    np.testing.assert_allclose(table["score"], be.rsa.compare(models, near, "bures_distance")[:, 0])


def test_conditions_are_matched_by_name(models, data, rng):
    order = rng.permutation(N)
    shuffled = be.RDMs.from_square(models.square()[:, order][:, :, order], {"condition": np.array(CONDITIONS["condition"])[order]}, rdms=models.rdms)
    pd.testing.assert_frame_equal(be.rsa.permutation_test(shuffled, data, n=30), be.rsa.permutation_test(models, data, n=30), atol=1e-12)


def test_repeated_rdms_of_a_subject_are_averaged(models, data):
    half = data.where(roi="V1")
    doubled = rdms_of(np.concatenate([half.values - 1, half.values + 1]), subject=[*half.rdms["subject"]] * 2)
    pd.testing.assert_frame_equal(be.rsa.permutation_test(models, doubled, n=30), be.rsa.permutation_test(models, half, n=30), atol=1e-12)


@pytest.mark.parametrize("method", ["pearson", "spearman", "whitened_cosine_similarity"])
def test_partial_scores_are_partial_correlations(models, data, rng, method):
    control = rdms_of([pdist(rng.standard_normal((N, 4))) for _ in range(2)], model=["p", "q"])
    sigma = SIGMA if method.startswith("whitened") else None
    table = be.rsa.permutation_test(models, data, by="roi", method=method, n=30, control=control, sigma_k=sigma)
    w = v_inverse(SIGMA) if sigma is not None else np.eye(28)
    root = np.linalg.cholesky(w).T
    ready = {"pearson": centred, "spearman": lambda x: centred(stats.rankdata(x)), "whitened_cosine_similarity": lambda x: x}[method]
    z = (root @ np.stack([ready(c) for c in control.values], axis=1))

    def rest(x):
        return x - z @ np.linalg.lstsq(z, x, rcond=None)[0]

    orders = [np.arange(N), *permutations(N, 30, 0, "permutation_test")]
    null = []
    for order in orders:
        row = []
        for roi in ("V1", "IT"):
            for m in models.values:
                left = np.linalg.solve(root, rest(root @ ready(m)))
                moved = rest(root @ squareform(left)[np.ix_(order, order)][UPPER])
                row.append(np.mean([cosine(moved, rest(root @ ready(y))) for y in data.where(roi=roi).values]))
        null.append(row)
    np.testing.assert_allclose(table["score"], null[0], atol=1e-10)
    np.testing.assert_allclose(table["null_sd"], np.std(null[1:], axis=0), atol=1e-10)


def test_a_control_that_is_the_model_leaves_nothing(models, data):
    table = be.rsa.permutation_test(models, data, n=20, control=models)
    assert table["score"].isna().all() and table["p"].isna().all()


def test_what_cannot_be_tested_is_refused(models, data):
    with pytest.raises(NotFoundError, match="pearsn"):
        be.rsa.permutation_test(models, data, method="pearsn")
    with pytest.raises(InputError, match="maximum over"):
        be.rsa.permutation_test(models, data, maximum_over="roi")
    with pytest.raises(InputError, match="different conditions"):
        be.rsa.permutation_test(be.RDMs(np.ones((1, 3)), {"condition": list("abc")}), data)
    with pytest.raises(InputError, match="noise covariance"):
        be.rsa.permutation_test(models, data, sigma_k=np.eye(N))
    with pytest.raises(InputError, match="inner product"):
        be.rsa.permutation_test(models, data, method="rho_a", control=models)


def structured(rng, n, k):
    """RDMs of unrelated patterns: pairs that share a condition go together."""
    return np.stack([pdist(rng.standard_normal((n, 2)) * rng.gamma(1.0, size=(n, 1)) * 3) for _ in range(k)])


def test_p_is_uniform_for_unrelated_rdms_where_permuting_pairs_is_not():
    rng = np.random.default_rng(5)
    conditions = {"condition": [str(i) for i in range(10)]}
    ours, naive = [], []
    for _ in range(150):
        x, y = structured(rng, 10, 2)
        table = be.rsa.permutation_test(be.RDMs(x[None], conditions), be.RDMs(y[None], conditions), n=99)
        ours.append(table["p"][0])
        null = np.array([np.corrcoef(rng.permutation(x), y)[0, 1] for _ in range(99)])
        naive.append((1 + (null >= np.corrcoef(x, y)[0, 1]).sum()) / 100)
    assert np.mean(np.array(ours) <= 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert stats.kstest(np.array(ours) - 0.005, "uniform").pvalue > 0.001
    assert np.mean(np.array(naive) <= 0.05) > 0.10


@pytest.mark.slow
def test_p_and_p_max_hold_their_level_over_many_replicates():
    rng = np.random.default_rng(6)
    conditions = {"condition": [str(i) for i in range(12)]}
    p, top = [], []
    for _ in range(1500):
        x = structured(rng, 12, 4)
        y = structured(rng, 12, 1)[0] + 0.1 * rng.random((3, 66))
        table = be.rsa.permutation_test(be.RDMs(x, conditions), be.RDMs(y, conditions), n=99, method="spearman")
        p.append(table["p"][0])
        top.append(table["p_max"].min())
    error = 3 * np.sqrt(0.05 * 0.95 / 1500)
    assert abs(np.mean(np.array(p) <= 0.05) - 0.05) < error
    assert np.mean(np.array(top) <= 0.05) < 0.05 + error
    assert stats.kstest(np.array(p) - 0.005, "uniform").pvalue > 1e-4


@pytest.mark.slow
def test_partial_p_holds_its_level_where_a_control_drives_both():
    rng = np.random.default_rng(7)
    conditions = {"condition": [str(i) for i in range(12)]}
    p, plain = [], []
    for _ in range(1000):
        z = structured(rng, 12, 1)
        x, y = structured(rng, 12, 2) + 1.0 * z
        one = {"models": be.RDMs(x[None], conditions), "data": be.RDMs(y[None], conditions)}
        p.append(be.rsa.permutation_test(**one, n=99, control=be.RDMs(z, conditions))["p"][0])
        plain.append(be.rsa.permutation_test(**one, n=99)["p"][0])
    assert np.mean(np.array(plain) <= 0.05) > 0.3
    assert np.mean(np.array(p) <= 0.05) < 0.08  # approximate: residuals are exchangeable only nearly


def test_sign_flips_of_few_subjects_are_exact(rng):
    scores = rng.standard_normal((6, 3)) + 0.5
    table = be.rsa.sign_flip_test(scores, n=1000)
    flips = np.array(list(itertools.product([1.0, -1.0], repeat=6)))
    every = np.array([stats.ttest_1samp(scores * f[:, None], 0).statistic for f in flips])
    np.testing.assert_allclose(table["t"], every[0], atol=1e-10)
    np.testing.assert_allclose(table["p"], (every >= every[0] - 1e-12).mean(axis=0))
    np.testing.assert_allclose(table["p_max"], [(every.max(axis=1) >= t - 1e-12).mean() for t in every[0]])
    assert (table["n"] == 63).all()


def test_sign_flips_two_sided_and_of_the_mean(rng):
    scores = rng.standard_normal((5, 2, 3)) - 0.5
    table = be.rsa.sign_flip_test(scores, tail="two-sided", statistic="mean")
    flips = np.array(list(itertools.product([1.0, -1.0], repeat=5)))
    every = np.abs(np.einsum("fs,sij->fij", flips, scores)).reshape(32, -1) / 5
    np.testing.assert_allclose(table["p"], (every >= every[0] - 1e-12).mean(axis=0))
    assert list(table.columns[:2]) == ["axis_0", "axis_1"] and len(table) == 6


def test_sign_flip_maxima_control_the_family(rng):
    hits = [be.rsa.sign_flip_test(rng.standard_normal((8, 30)) + rng.standard_normal((8, 1)), n=99, seed=i)["p_max"].min() <= 0.05 for i in range(200)]
    assert np.mean(hits) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_incomplete_subjects_are_refused():
    with pytest.raises(InputError, match="1 missing"):
        be.rsa.sign_flip_test([[1.0, np.nan], [1.0, 2.0]])
