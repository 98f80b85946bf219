"""Comparison, ceilings and bootstrap against rsatoolbox, where it is right."""

import warnings

import numpy as np
import pytest

import brainenc as be

rsatoolbox = pytest.importorskip("rsatoolbox")
N, S, K = 13, 5, 3
P = N * (N - 1) // 2
THEIRS = {
    "cosine_similarity": "cosine", "pearson": "corr", "spearman": "spearman", "rho_a": "rho-a", "tau_a": "tau-a", "tau_b": "tau-b",
    "whitened_cosine_similarity": "cosine_cov", "whitened_pearson": "corr_cov", "bures_similarity": "bures", "bures_distance": "bures_metric",
}  # fmt: skip


@pytest.fixture
def case(rng):
    patterns = rng.standard_normal((1, N, 20)) + rng.standard_normal((S + K, N, 20))
    d = np.stack([((z[:, None] - z[None]) ** 2).mean(axis=2)[np.triu_indices(N, 1)] for z in patterns])
    d[S] = np.round(d[S])  # a model with ties
    conditions = {"condition": [f"c{i}" for i in range(N)]}
    return be.RDMs(d[:S], conditions, {"subject": [str(i) for i in range(S)]}), be.RDMs(d[S:], conditions, {"model": list("abc")})


def theirs(rdms):
    return rsatoolbox.rdm.RDMs(np.array(rdms.values), rdm_descriptors={"index": list(range(rdms.n_rdms))}, pattern_descriptors={"index": list(range(N))})


@pytest.mark.parametrize("method", list(THEIRS))
def test_comparators_agree(case, method):
    data, models = case
    if method.startswith("bures"):
        models = data.take([1, 2])  # the model with ties is no squared distance
    found = be.rsa.compare(models, data, method)
    expected = rsatoolbox.rdm.compare(theirs(models), theirs(data), THEIRS[method])
    np.testing.assert_allclose(found, expected, rtol=1e-10 if not method.startswith("bures") else 1e-6, atol=1e-12 if method != "bures_distance" else 1e-6)


@pytest.mark.parametrize("method", ["whitened_cosine_similarity", "whitened_pearson"])
def test_missing_pairs_are_projected_out_alike(case, method):
    data, models = case
    a, b = data.values.copy(), models.values.copy()
    a[:, [3, 17, 40]] = b[:, [3, 17, 40]] = np.nan
    found = be.rsa.compare(be.RDMs(b, data.conditions), be.RDMs(a, data.conditions), method)
    expected = rsatoolbox.rdm.compare(theirs(be.RDMs(b, data.conditions)), theirs(be.RDMs(a, data.conditions)), THEIRS[method])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_full_noise_covariance_agrees_to_the_tolerance_of_conjugate_gradients(case, rng):
    data, models = case
    factor = rng.standard_normal((N, 3 * N))
    sigma = factor @ factor.T / (3 * N)
    found = be.rsa.compare(models, data, "whitened_cosine_similarity", sigma_k=sigma)
    expected = rsatoolbox.rdm.compare(theirs(models), theirs(data), "cosine_cov", sigma_k=sigma)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_riemannian_distance_is_no_larger_than_that_of_a_search_from_one_start(case):
    data, _ = case
    found = be.rsa.compare(data.take([0, 1]), data.take([2, 3]), "riemannian_distance")
    expected = -rsatoolbox.rdm.compare(theirs(data.take([0, 1])), theirs(data.take([2, 3])), "neg_riem_dist")
    assert (found <= expected + 1e-6).all()
    np.testing.assert_allclose(found, expected, rtol=2e-2)


@pytest.mark.parametrize("method", ["cosine_similarity", "pearson", "spearman", "rho_a", "tau_a", "tau_b", "whitened_cosine_similarity", "whitened_pearson"])
def test_ceilings_agree(case, method):
    data, _ = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = rsatoolbox.inference.boot_noise_ceiling(theirs(data), method=THEIRS[method])
    found = be.rsa.noise_ceiling(data, method)
    np.testing.assert_allclose(found[["lower", "upper"]].to_numpy()[0], expected, rtol=1e-10)


@pytest.mark.parametrize("method", ["cosine_similarity", "pearson", "spearman", "rho_a", "tau_a", "whitened_cosine_similarity", "whitened_pearson"])
def test_samples_of_conditions_agree_one_by_one(case, method):
    """Their functions on the very samples that ours were drawn from; scores and both ceilings."""
    from brainenc.metrics.resample import bootstrap_weights

    data, models = case
    n = 8
    found = be.rsa.bootstrap(models, data, method=method, subjects=False, n=n, seed=11)
    for b, w in enumerate(bootstrap_weights(N, n, 11, "rsa", "conditions")):
        index = np.repeat(np.arange(N), w.astype(int))
        sample, predicted = theirs(data).subsample_pattern("index", index), theirs(models).subsample_pattern("index", index)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = rsatoolbox.rdm.compare(predicted, sample, THEIRS[method]).mean(axis=1)
            ceilings = rsatoolbox.inference.boot_noise_ceiling(sample, method=THEIRS[method], rdm_descriptor="index")
        np.testing.assert_allclose(found.draws[b, 0], expected, rtol=1e-10)
        np.testing.assert_allclose(found.ceiling_draws[b, 0], ceilings, rtol=1e-10)


def test_samples_of_both_agree_in_their_scores(case):
    from brainenc.metrics.resample import bootstrap_weights

    data, models = case
    found = be.rsa.bootstrap(models, data, method="pearson", n=8, seed=12)
    draws = zip(bootstrap_weights(N, 8, 12, "rsa", "conditions"), bootstrap_weights(S, 8, 12, "rsa", "subjects"), strict=True)
    for b, (w, v) in enumerate(draws):
        index, people = np.repeat(np.arange(N), w.astype(int)), np.repeat(np.arange(S), v.astype(int))
        sample = theirs(data).subsample("index", people).subsample_pattern("index", index)
        expected = rsatoolbox.rdm.compare(theirs(models).subsample_pattern("index", index), sample, "corr").mean(axis=1)
        np.testing.assert_allclose(found.draws[b, 0], expected, rtol=1e-10)
        # their ceiling counts a subject that was drawn twice once in the mean, and twice in the pool; ours twice in both
        pool = rsatoolbox.util.inference_util.pool_rdm(sample, "corr")
        np.testing.assert_allclose(found.ceiling_draws[b, 0, 1], rsatoolbox.rdm.compare(pool, sample, "corr").mean(), rtol=1e-10)


def test_two_factor_variances_agree_for_every_contrast(rng):
    from rsatoolbox.util.inference_util import extract_variances

    from brainenc.rsa.variances import two_factors

    draws = rng.standard_normal((3, 40, K + 2)) @ rng.standard_normal((K + 2, K + 2))
    parts = np.stack([np.cov(one.T) for one in draws])
    parts[0] = parts[1] + parts[2] + 0.3 * parts[0]
    models, pairs, ceilings = extract_variances(parts, nc_included=True, n_rdm=S, n_pattern=N)
    found = two_factors(*parts, S, N)
    own = np.diag(found)
    apart = own[:, None] + own[None] - 2 * found
    np.testing.assert_allclose(own[:K], models, rtol=1e-10)
    np.testing.assert_allclose(apart[:K, K:], ceilings, rtol=1e-10)
    np.testing.assert_allclose([apart[0, 1], apart[0, 2], apart[1, 2]], pairs, rtol=1e-10)
