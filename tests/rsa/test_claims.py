"""Tests of models and the words of the table, against scipy and sums written out."""

import numpy as np
import pytest
import scipy.stats

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.rsa.claims import NO_CLAIM, NO_INTERVAL, NO_NULL


def evaluation(rng, **rest):
    scores = rng.normal([0.3, 0.1, 0.0], 0.05, (2, 6, 3))
    covariance = np.stack([np.cov(np.concatenate([s, rng.normal(0.4, 0.05, (6, 2))], axis=1).T) / 6 for s in scores])
    parts = {
        "scores": scores, "models": {"model": ["a", "b", "c"]}, "groups": {"roi": ["V1", "IT"]}, "subjects": {"subject": list("abcdef")},
        "method": "pearson", "ceiling": np.array([[0.35, 0.5], [0.001, 0.3]]), "covariance": covariance, "dof": 5.0,
        "draws": rng.normal([0.3, 0.1, 0.0], 0.1, (99, 2, 3)), "ceiling_draws": rng.normal(0.4, 0.1, (99, 2, 2)),
    }  # fmt: skip
    return be.Evaluation(**{**parts, **rest})


def test_t_against_zero_and_in_pairs_is_the_t_test_of_scipy(rng):
    one = evaluation(rng)
    zero = one.test("zero")
    expected = scipy.stats.ttest_1samp(one.scores[0], 0, alternative="greater")
    np.testing.assert_allclose(zero["p"][:3], expected.pvalue, rtol=1e-10)
    np.testing.assert_allclose(zero["statistic"][:3], expected.statistic, rtol=1e-10)
    pairs = one.test("pairs")
    assert list(zip(pairs["model_a"], pairs["model_b"], strict=True))[:3] == [("a", "b"), ("a", "c"), ("b", "c")]
    for row, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        np.testing.assert_allclose(pairs["p"][row], scipy.stats.ttest_rel(one.scores[0, :, i], one.scores[0, :, j]).pvalue, rtol=1e-10)


def test_t_against_the_ceiling_counts_the_uncertainty_of_the_ceiling(rng):
    one = evaluation(rng)
    table = one.test("ceiling")
    for model in range(3):
        v = one.covariance[0]
        variance = v[model, model] + v[3, 3] - 2 * v[model, 3]
        statistic = (one.scores[0, :, model].mean() - 0.35) / np.sqrt(variance)
        np.testing.assert_allclose(table["p"][model], 2 * scipy.stats.t.sf(abs(statistic), 5), rtol=1e-10)


def test_wilcoxon_is_that_of_scipy(rng):
    one = evaluation(rng)
    expected = scipy.stats.wilcoxon(one.scores[1, :, 1], alternative="greater").pvalue
    assert one.test("zero", "wilcoxon")["p"][4] == expected
    expected = scipy.stats.wilcoxon(one.scores[1, :, 0] - one.scores[1, :, 2]).pvalue
    assert one.test("pairs", "wilcoxon")["p"][4] == expected
    expected = scipy.stats.wilcoxon(one.scores[0, :, 2] - 0.35).pvalue
    assert one.test("ceiling", "wilcoxon")["p"][2] == expected


def test_bootstrap_p_counts_the_observed_sample_and_leaves_failed_draws_out(rng):
    draws = np.ones((99, 2, 3))
    draws[:4, 0, 0] = -1.0
    draws[90:] = np.nan
    one = evaluation(rng, draws=draws)
    table = one.test("zero", "bootstrap")
    assert table["p"][0] == 5 / 91
    assert table["p"][1] == 1 / 91
    assert (table["n"] == 90).all()
    pairs = one.test("pairs", "bootstrap")
    assert pairs["p"][0] == 1.0  # 86 ties and 4 differences count on both sides: never above 1
    assert pairs["p"][2] == 1.0


def test_q_controls_the_whole_table_and_never_exceeds_one(rng):
    table = evaluation(rng).test("zero")
    np.testing.assert_allclose(table["q"], scipy.stats.false_discovery_control(table["p"]), rtol=1e-12)
    assert (table["q"] <= 1).all()


def test_no_model_is_significant_where_the_lower_ceiling_may_be_zero(rng):
    table = evaluation(rng).to_frame()
    assert table["p"][3] < 1e-3  # a small p alone is not enough
    assert (table["claim"][3:] == NO_CLAIM).all()
    assert not table["significant"][3:].any()
    assert table["significant"][0]
    assert table["claim"][0].startswith("above zero (q = ")
    assert list(table.columns) == [
        "roi", "model", "method", "score", "se", "ci_low", "ci_high", "ceiling_low", "ceiling_high", "p", "test", "q", "p_max", "p_ceiling",
        "n_subjects", "n_conditions", "n_draws", "significant", "claim",
    ]  # fmt: skip


def test_the_words_say_where_a_model_stands(rng):
    one = evaluation(rng, ceiling=np.array([[0.8, 0.9], [0.31, 0.5]]))
    table = one.to_frame()
    assert table["claim"][0].endswith("; below the lower noise ceiling")
    assert table["claim"][3].endswith("; not below the lower noise ceiling")
    assert table["claim"][5].startswith("not above zero")
    bare = evaluation(rng, ceiling=None, ceiling_draws=None).to_frame()
    assert bare["claim"][0].endswith("; no noise ceiling")
    assert bare["significant"][0]


def test_permutations_take_the_place_of_t(rng):
    p = np.array([[0.001, 0.5, 0.9], [0.001, 0.5, 0.9]])
    table = evaluation(rng, p=p, p_max=p + 0.05, ceiling=np.array([[0.35, 0.5], [0.35, 0.5]])).to_frame()
    np.testing.assert_array_equal(table["p"], p.ravel())
    np.testing.assert_allclose(table["p_max"], p.ravel() + 0.05)
    assert set(table["test"]) == {"permutation"}
    assert table["claim"][0].startswith("better than relabelled conditions")


def test_what_cannot_be_tested_is_refused(rng):
    with pytest.raises(InputError, match="no null"):
        evaluation(rng, kind="distance", method="bures_distance").test("zero")
    with pytest.raises(InputError, match="no ceiling"):
        evaluation(rng, ceiling=None, ceiling_draws=None).test("ceiling")
    with pytest.raises(InputError, match="no bootstrap draws"):
        evaluation(rng, draws=None, ceiling_draws=None).test("zero", "bootstrap")
    with pytest.raises(InputError, match="how the scores vary"):
        evaluation(rng, covariance=None).test("zero")
    with pytest.raises(InputError, match="against"):
        evaluation(rng).test("one")


def test_distances_have_a_table_without_a_test_against_zero(rng):
    table = evaluation(rng, kind="distance", method="bures_distance").to_frame()
    assert table["p"].isna().all()
    assert set(table["claim"]) == {"not tested: a distance has no null at zero"}


def test_one_model_has_no_pairs(rng):
    one = evaluation(rng).take(models=[0])
    for kind in ("t", "bootstrap", "wilcoxon"):
        assert len(one.test("pairs", kind)) == 0


def noise(n_subjects, seed, metric="correlation", n=14):
    """RDMs of patterns of nothing but noise, and of a model of other noise: every dissimilarity is about 1 (correlation) or 0 (crossnobis)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.triu_indices(n, 1)
    conditions = {"condition": [str(i) for i in range(n)]}

    def rdm():
        if metric == "correlation":
            return 1 - np.corrcoef(rng.standard_normal((n, 20)))[rows, columns]
        one, two = rng.standard_normal((2, n, 20))
        return ((one[rows] - one[columns]) * (two[rows] - two[columns])).mean(axis=1)

    data = be.RDMs(np.stack([rdm() for _ in range(n_subjects)]), conditions, {"subject": [str(i) for i in range(n_subjects)]}, metric=metric)
    model = 1 - np.corrcoef(rng.standard_normal((n, 20)))[rows, columns]
    return be.RDMs(model[None], conditions, {"model": ["other"]}), data


@pytest.mark.parametrize("method", ["cosine_similarity", "whitened_cosine_similarity", "bures_similarity"])
def test_cosines_of_noise_are_far_above_zero_and_so_have_no_test_against_it(method):
    models, data = noise(8, 0)
    found = be.rsa.evaluate(models, data, method=method, n=20, conditions=method != "bures_similarity")
    # what a test would have said: everyone's score is far above zero, and so is the lower ceiling
    assert scipy.stats.ttest_1samp(found.scores[0, :, 0], 0).pvalue < 1e-6 and found.ceiling[0, 0] > 0.5
    row = found.to_frame().iloc[0]
    assert np.isnan(row["p"]) and not row["significant"] and row["claim"] == NO_NULL
    for test in (lambda: found.test("zero"), lambda: be.rsa.sign_flip_test(found), lambda: be.rsa.cluster_test(found)):
        with pytest.raises(InputError, match="zero is no null"):
            test()
    permuted = be.rsa.evaluate(models, data, method=method, n=20, conditions=method != "bures_similarity", permutations=99).to_frame().iloc[0]
    assert permuted["p"] > 0.05 and not permuted["significant"]
    assert permuted["claim"].startswith("not better than relabelled conditions")


def test_cosines_of_crossvalidated_noise_are_zero_on_average_and_may_be_tested():
    p = []
    for seed in range(40):
        models, data = noise(8, seed, "crossnobis")
        p.append(be.rsa.evaluate(models, data, method="cosine_similarity", n=0, ceiling=False).test("zero")["p"][0])
    assert np.mean(np.array(p) < 0.05) < 0.2 and 0.2 < np.mean(np.array(p) < 0.5) < 0.8
    with pytest.raises(InputError, match="zero is no null"):
        be.rsa.evaluate(models, be.RDMs(data.values, data.conditions, data.rdms), method="cosine_similarity", n=0).test("zero")


def test_the_scatter_of_the_terms_of_a_ceiling_is_not_its_error():
    """Without a bootstrap: leaving people out one at a time. The terms share their pools, so that their scatter is half the variance for noise."""
    lower, scatter, ours, passed = [], [], [], []
    for seed in range(250):
        models, data = noise(8, seed)
        found = be.rsa.evaluate(models, data, n=0)
        x = data.values - data.values.mean(axis=1, keepdims=True)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        terms = [np.corrcoef(one, x.sum(axis=0) - one)[0, 1] for one in x]
        assert found.ceiling[0, 0] == pytest.approx(np.mean(terms), abs=1e-12)
        lower.append(np.mean(terms))
        scatter.append(np.var(terms, ddof=1) / 8)
        ours.append(found.covariance[0, 1, 1])
        passed.append(found.interval()[0, 1, 0] > 0)
    assert np.mean(scatter) < 0.65 * np.var(lower)
    assert np.var(lower) < np.mean(ours) < 3 * np.var(lower)
    assert np.mean(passed) < 0.05
    # by definition, of the last
    out = np.array([np.mean([np.corrcoef(x[t], np.delete(x, [s, t], axis=0).sum(axis=0))[0, 1] for t in range(8) if t != s]) for s in range(8)])
    assert ours[-1] == pytest.approx(7 / 8 * ((out - out.mean()) ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize("how", [{"n": 0}, {"n": 50, "conditions": False}])
def test_two_people_do_not_say_how_their_agreement_varies(how):
    for seed in range(4):
        models, data = noise(2, seed)
        table = be.rsa.evaluate(data.take([0]), data, **how).to_frame()
        assert table["claim"][0] == NO_INTERVAL and not table["significant"][0]


def test_a_ceiling_without_an_interval_is_not_said_to_include_zero(rng):
    models, data = noise(6, 1)
    shared = be.RDMs(models.values + 0.1 * data.values, data.conditions, data.rdms)
    found = be.rsa.crossvalidate(models, shared)
    assert found.ceiling[0, 0] > 0.9 and np.isnan(found.interval()[0, 1:]).all()
    assert found.to_frame()["claim"][0] == NO_INTERVAL


def test_models_that_are_the_same_but_for_rounding_do_not_differ():
    models, data = noise(9, 2)
    same = be.RDMs(np.concatenate([models.values, 3 * models.values, 0.7 * models.values + 0.1]), data.conditions, {"model": ["a", "b", "c"]})
    found = be.rsa.evaluate(same, data, n=40)
    for kind in ("t", "bootstrap", "wilcoxon"):
        try:
            p = found.test("pairs", kind)["p"]
        except InputError:
            continue
        assert (p.isna() | (p > 0.9)).all(), kind
