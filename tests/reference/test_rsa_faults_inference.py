"""Faults of other packages in comparison and inference, each shown to be absent here; a package that was repaired breaks nothing."""

import numpy as np
import pytest
import scipy.sparse.linalg
import scipy.stats

import brainenc as be
from brainenc.metrics.resample import bootstrap_weights


def case(n, n_subjects=3, n_models=2, seed=0):
    rng = np.random.default_rng(seed)
    p = n * (n - 1) // 2
    shared = rng.random(p)
    conditions = {"condition": [str(i) for i in range(n)]}
    data = be.RDMs(shared + rng.random((n_subjects, p)), conditions, {"subject": [str(i) for i in range(n_subjects)]})
    return be.RDMs(shared + rng.random((n_models, p)), conditions), data


def theirs(rdms):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    return rsatoolbox.rdm.RDMs(np.array(rdms.values), pattern_descriptors={"index": list(range(rdms.n_conditions))})


def test_fault_1_whitened_comparators_take_samples_of_a_hundred_conditions_and_more():
    models, data = case(100)
    w = bootstrap_weights(100, 3, 0, "rsa", "conditions")
    for method in ("whitened_cosine_similarity", "whitened_pearson"):
        found = be.rsa.bootstrap(models, data, method=method, subjects=False, n=3)
        assert np.isfinite(found.draws).all()
        # one of them, from the covariance over the pairs of the sample
        index = np.repeat(np.arange(100), w[0].astype(int))
        rows, columns = np.triu_indices(100, 1)
        known = index[rows] != index[columns]
        incidence = np.zeros((len(rows), 100))
        incidence[np.arange(len(rows)), rows] = incidence[np.arange(len(rows)), columns] = 1
        incidence = incidence[known]
        square = np.zeros((5, 100, 100))
        square[:, rows, columns] = square[:, columns, rows] = np.concatenate([models.values, data.values])
        wide = square[:, index[rows], index[columns]][:, known]
        if method == "whitened_pearson":
            wide = wide - wide.mean(axis=1, keepdims=True)
        v = 2 * scipy.sparse.eye(len(wide[0])) + scipy.sparse.csr_matrix(incidence) @ scipy.sparse.csr_matrix(incidence).T
        white = np.stack([scipy.sparse.linalg.cg(v, one, rtol=1e-13)[0] for one in wide], axis=1)
        gram = wide @ white
        expected = (gram / np.sqrt(np.diag(gram)[:, None] * np.diag(gram)))[:2, 2:].mean(axis=1)
        np.testing.assert_allclose(found.draws[0, 0], expected, rtol=1e-9)


def test_fault_1_is_still_theirs_or_was_repaired():
    rsatoolbox = pytest.importorskip("rsatoolbox")
    models, data = case(100)
    a, b = models.values.copy(), data.values.copy()
    a[:, 0] = b[:, 0] = np.nan
    a, b = be.RDMs(a, data.conditions), be.RDMs(b, data.conditions)
    found = be.rsa.compare(a, b, "whitened_cosine_similarity")
    assert np.isfinite(found).all()
    try:
        expected = rsatoolbox.rdm.compare(theirs(a), theirs(b), "cosine_cov")
    except Exception as error:  # the integer indicator is divided in place
        assert type(error).__name__ in ("UFuncTypeError", "_UFuncOutputCastingError", "ValueError", "TypeError")
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_fault_10_bootstrap_tests_of_everything_run_and_so_do_two_samples():
    models, data = case(12)
    found = be.rsa.bootstrap(models, data, n=2)
    assert found.draws.shape == (2, 1, 2)
    many = be.rsa.bootstrap(models, data, n=50)
    for against in ("zero", "ceiling", "pairs"):
        table = many.test(against, "bootstrap")
        assert len(table) == (1 if against == "pairs" else 2)
        assert ((table["p"] > 0) & (table["p"] <= 1)).all()
    draws = many.draws[:, 0, 0]
    assert many.test("zero", "bootstrap")["p"][0] == (1 + (draws <= 0).sum()) / 51
    apart = many.draws[:, 0, 0] - many.ceiling_draws[:, 0, 0]
    apart = apart[np.isfinite(apart)]
    hits = min((apart <= 0).sum(), (apart >= 0).sum())
    assert many.test("ceiling", "bootstrap")["p"][0] == min(1, 2 * (1 + hits) / (1 + len(apart)))


def test_fault_11_the_subject_bootstrap_keeps_the_uncertainty_of_the_ceilings():
    models, data = case(12, n_subjects=6)
    found = be.rsa.bootstrap(models, data, conditions=False, n=80)
    assert found.covariance.shape == (1, 4, 4)
    draws = np.concatenate([found.draws[:, 0], found.ceiling_draws[:, 0]], axis=1)
    np.testing.assert_allclose(found.covariance[0], np.cov(draws.T) * 6 / 5, rtol=1e-10)
    wrong = (found.mean[0, 0] - found.ceiling[0, 0]) / np.sqrt(found.covariance[0, 0, 0])  # as if the ceiling were known
    assert abs(found.test("ceiling")["statistic"][0]) != pytest.approx(abs(wrong), rel=1e-3)


def test_fault_11_is_still_theirs_or_was_repaired():
    rsatoolbox = pytest.importorskip("rsatoolbox")
    models, data = case(12, n_subjects=6)
    model = rsatoolbox.model.ModelFixed("m", theirs(models.take([0])))
    result = rsatoolbox.inference.eval_bootstrap_rdm([model, model], theirs(data), method="corr", N=5)
    assert np.shape(result.variances) in ((2, 2), (4, 4))


def null_scores(rng, n_subjects=15, n=10):
    p = n * (n - 1) // 2
    conditions = {"condition": [str(i) for i in range(n)]}
    data = be.RDMs(rng.random((n_subjects, p)), conditions, {"subject": [str(i) for i in range(n_subjects)]})
    return be.rsa.evaluate(be.RDMs(rng.random((1, p)), conditions), data, method="spearman", n=0)


def test_fault_17_correlations_are_tested_as_they_are_and_not_their_squares():
    """Squares are positive whatever the model: a t-test of them against 0 finds every model significant."""
    rng = np.random.default_rng(0)
    squared, ours = [], []
    for _ in range(60):
        found = null_scores(rng)
        scores = found.scores[0, :, 0]
        squared.append(scipy.stats.ttest_1samp(scores**2, 0, alternative="greater").pvalue)
        ours.append(found.test("zero")["p"][0])
        np.testing.assert_allclose(ours[-1], scipy.stats.ttest_1samp(scores, 0, alternative="greater").pvalue, rtol=1e-9)
    assert np.mean(np.array(squared) < 0.05) > 0.95
    assert np.mean(np.array(ours) < 0.05) < 0.2


def test_fault_17_a_ceiling_is_that_of_the_data_given_and_nothing_is_remembered():
    models, data = case(10, n_subjects=5)
    first = be.rsa.noise_ceiling(data, "spearman")
    other = be.RDMs(np.random.default_rng(9).random(data.values.shape), data.conditions, data.rdms)
    second = be.rsa.noise_ceiling(other, "spearman")
    assert abs(first["lower"][0] - second["lower"][0]) > 0.1
    again = be.rsa.noise_ceiling(data, "spearman")
    np.testing.assert_array_equal(first[["lower", "upper"]], again[["lower", "upper"]])


def test_fault_17_corrected_p_values_never_exceed_one():
    rng = np.random.default_rng(1)
    table = be.rsa.evaluate(be.RDMs(rng.random((20, 45)), {"condition": list("abcdefghij")}),
                            be.RDMs(rng.random((5, 45)), {"condition": list("abcdefghij")}, {"subject": list("12345")}), n=0).to_frame()  # fmt: skip
    assert (table["q"] <= 1).all()
    assert (table["q"] >= table["p"]).all()


def test_diagonal_noise_covariances_whiten_with_the_centring_that_they_weight():
    """rsatoolbox centres with plain means and then divides by √(s_i s_j), which is not the inverse of V for unequal variances."""
    rsatoolbox = pytest.importorskip("rsatoolbox")
    models, data = case(9)
    s = np.linspace(0.3, 3, 9)
    rows, columns = np.triu_indices(9, 1)
    contrasts = np.zeros((36, 9))
    contrasts[np.arange(36), rows], contrasts[np.arange(36), columns] = 1, -1
    metric = np.linalg.inv((contrasts @ np.diag(s) @ contrasts.T) ** 2)
    x, y = models.values, data.values
    expected = x @ metric @ y.T / np.sqrt(np.diag(x @ metric @ x.T)[:, None] * np.diag(y @ metric @ y.T))
    np.testing.assert_allclose(be.rsa.compare(models, data, "whitened_cosine_similarity", sigma_k=s), expected, rtol=1e-10)
    with np.errstate(all="ignore"):
        other = rsatoolbox.rdm.compare(theirs(models), theirs(data), "cosine_cov", sigma_k=s)
    full = rsatoolbox.rdm.compare(theirs(models), theirs(data), "cosine_cov", sigma_k=np.diag(s))
    np.testing.assert_allclose(full, expected, rtol=1e-4)  # their own dense form agrees with ours, and not with their diagonal one
    assert np.abs(other - expected).max() > 1e-3 or np.allclose(other, expected)


def test_no_private_function_of_scipy_is_used():
    from pathlib import Path

    for path in Path(be.rsa.__path__[0]).rglob("*.py"):
        assert "scipy.stats._" not in path.read_text(), path
