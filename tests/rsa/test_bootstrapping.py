"""The algebra of the bootstrap against samples that are written out, one by one, with pairs of copies as NaN."""

import numpy as np
import pytest
import scipy.stats

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.metrics.resample import bootstrap_weights

N, S, K, DRAWS = 9, 4, 3, 12
PAIRS = np.triu_indices(N, 1)
METHODS = ["cosine_similarity", "pearson", "spearman", "rho_a", "tau_a", "tau_b", "whitened_cosine_similarity", "whitened_pearson"]


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(5)
    shared = rng.random(len(PAIRS[0]))
    x = shared + 0.5 * rng.random((S, len(PAIRS[0])))
    y = np.stack([shared + rng.random(len(PAIRS[0])), rng.integers(3, size=len(PAIRS[0])), rng.random(len(PAIRS[0]))]).astype(float)
    conditions = {"condition": [f"c{i}" for i in range(N)]}
    return be.RDMs(x, conditions, {"subject": list("abcd")}), be.RDMs(y, conditions, {"model": list("xyz")})


def written_out(values, w):
    """RDMs (r, n_pairs) of a sample with NaN for pairs of copies."""
    square = np.full((len(values), N, N), np.nan)
    square[:, PAIRS[0], PAIRS[1]] = square[:, PAIRS[1], PAIRS[0]] = values
    index = np.repeat(np.arange(N), w.astype(int))
    rows, columns = np.triu_indices(len(index), 1)
    return square[:, index[rows], index[columns]], index


def cosine(a, b, metric=None):
    metric = np.eye(a.shape[-1]) if metric is None else metric
    return a @ metric @ b / np.sqrt(a @ metric @ a * (b @ metric @ b))


def naive(method, a, b, metric):
    """The comparators once more, on vectors without NaN, from scipy and definitions."""
    if method in ("pearson", "whitened_pearson"):
        a, b = a - a.mean(), b - b.mean()
    if method == "spearman":
        return scipy.stats.spearmanr(a, b).statistic
    if method == "rho_a":
        ra, rb = scipy.stats.rankdata(a), scipy.stats.rankdata(b)
        return 12 * ((ra - ra.mean()) * (rb - rb.mean())).sum() / (len(a) ** 3 - len(a))
    if method == "tau_b":
        return scipy.stats.kendalltau(a, b).statistic
    if method == "tau_a":
        return (np.sign(a[:, None] - a) * np.sign(b[:, None] - b)).sum() / (len(a) * (len(a) - 1))
    return cosine(a, b, metric if method.startswith("whitened") else None)


def naive_pool(method, x):
    if method in ("cosine_similarity", "whitened_cosine_similarity"):
        return (x / np.sqrt((x**2).mean(axis=1, keepdims=True))).mean(axis=0)
    if method in ("pearson", "whitened_pearson"):
        return scipy.stats.zscore(x, axis=1).mean(axis=0)
    return scipy.stats.rankdata(x, axis=1).mean(axis=0)


def one_sample(method, x, y, w, v, variances=None):
    """Mean scores and ceilings of one sample of conditions (counts w) and subjects (counts v)."""
    wide, index = written_out(np.concatenate([x, y]), w)
    known = ~np.isnan(wide).any(axis=0)
    metric = None
    if method.startswith("whitened"):
        rows, columns = np.triu_indices(len(index), 1)
        contrasts = np.zeros((len(rows), len(index)))
        contrasts[np.arange(len(rows)), rows], contrasts[np.arange(len(rows)), columns] = 1, -1
        s = np.ones(N) if variances is None else variances
        metric = np.linalg.inv(((contrasts @ np.diag(s[index]) @ contrasts.T) ** 2)[np.ix_(known, known)])
    a, b = wide[: len(x)][:, known], wide[len(x) :][:, known]
    drawn = np.repeat(np.arange(len(x)), v.astype(int))
    scores = [np.mean([naive(method, model, a[s], metric) for s in drawn]) for model in b]
    upper = np.mean([naive(method, naive_pool(method, a[drawn]), a[s], metric) for s in drawn])
    lower = np.nan
    if len(set(drawn)) > 1:
        lower = np.mean([naive(method, naive_pool(method, a[[t for t in drawn if t != s]]), a[s], metric) for s in drawn])
    return np.array([*scores, lower, upper])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factors", ["conditions", "subjects", "both"])
def test_every_sample_is_that_which_is_written_out(case, method, factors):
    data, models = case
    found = be.rsa.bootstrap(models, data, method=method, conditions=factors != "subjects", subjects=factors != "conditions", n=DRAWS, seed=3)
    w = bootstrap_weights(N, DRAWS, 3, "rsa", "conditions") if factors != "subjects" else np.ones((DRAWS, N))
    v = bootstrap_weights(S, DRAWS, 3, "rsa", "subjects") if factors != "conditions" else np.ones((DRAWS, S))
    for b in range(DRAWS):
        expected = one_sample(method, data.values, models.values, w[b], v[b])
        np.testing.assert_allclose(found.draws[b, 0], expected[:K], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found.ceiling_draws[b, 0], expected[K:], rtol=1e-10, atol=1e-12)
    whole = one_sample(method, data.values, models.values, np.ones(N), np.ones(S))
    np.testing.assert_allclose(found.mean[0], whole[:K], rtol=1e-10)
    np.testing.assert_allclose(found.ceiling[0], whole[K:], rtol=1e-10)
    np.testing.assert_allclose(found.scores[0].T, be.rsa.compare(models, data, method), rtol=1e-10)


@pytest.mark.parametrize("method", ["whitened_cosine_similarity", "whitened_pearson"])
@pytest.mark.parametrize("missing", [0, 3])
def test_variances_of_conditions_and_missing_pairs_are_part_of_the_algebra(case, method, missing):
    data, models = case
    variances = np.random.default_rng(0).uniform(0.5, 2, N)
    values = data.values.copy()
    values[1, :missing] = np.nan
    gaps = be.RDMs(values, data.conditions, data.rdms)
    found = be.rsa.bootstrap(models, gaps, method=method, n=DRAWS, seed=1, sigma_k=variances)
    w, v = bootstrap_weights(N, DRAWS, 1, "rsa", "conditions"), bootstrap_weights(S, DRAWS, 1, "rsa", "subjects")
    for b in range(DRAWS):
        everywhere = np.where(np.arange(values.shape[1]) < missing, np.nan, values)
        expected = one_sample(method, everywhere, models.values, w[b], v[b], variances)
        np.testing.assert_allclose(np.r_[found.draws[b, 0], found.ceiling_draws[b, 0]], expected, rtol=1e-9)
    assert found.provenance["n_pairs_left_out"] == [missing]


@pytest.mark.parametrize("method", ["pearson", "spearman", "tau_a"])
def test_missing_pairs_are_left_out_of_a_group_and_counted(case, method):
    data, models = case
    values = data.values.copy()
    values[2, [4, 11]] = np.nan
    gaps = be.RDMs(values, data.conditions, data.rdms)
    found = be.rsa.bootstrap(models, gaps, method=method, n=DRAWS, seed=1)
    w, v = bootstrap_weights(N, DRAWS, 1, "rsa", "conditions"), bootstrap_weights(S, DRAWS, 1, "rsa", "subjects")
    everywhere = np.where(np.isnan(values).any(axis=0), np.nan, values)
    for b in range(DRAWS):
        expected = one_sample(method, everywhere, models.values, w[b], v[b])
        np.testing.assert_allclose(np.r_[found.draws[b, 0], found.ceiling_draws[b, 0]], expected, rtol=1e-10, atol=1e-12)
    assert found.provenance["n_pairs_left_out"] == [2]
    with pytest.raises(InputError, match=r"missing pairs.*2 of 36"):
        be.rsa.bootstrap(models, gaps, method=method, nan="raise")


def test_bures_samples_are_second_moments_with_a_row_for_every_copy(case):
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((3, N, 12))
    d = np.stack([((z[:, None] - z[None]) ** 2).mean(axis=2)[PAIRS] for z in patterns])
    conditions = {"condition": [f"c{i}" for i in range(N)]}
    found = be.rsa.bootstrap(be.RDMs(d[:1], conditions), be.RDMs(d[1:], conditions), method="bures_similarity", subjects=False, n=6, seed=2)
    w = bootstrap_weights(N, 6, 2, "rsa", "conditions")
    for b in range(6):
        wide, _ = written_out(d, w[b])
        expected = be.rsa.compare(np.nan_to_num(wide[:1]), np.nan_to_num(wide[1:]), "bures_similarity").mean()
        np.testing.assert_allclose(found.draws[b, 0, 0], expected, rtol=1e-7)


def test_a_comparator_of_another_package_sees_the_samples_written_out(case, monkeypatch):
    from types import SimpleNamespace

    from brainenc.rsa import _samples
    from brainenc.rsa.comparators import pearson

    other = SimpleNamespace(KIND="similarity", MISSING="pairs", compare=pearson.compare, pool=pearson.pool)
    data, models = case
    expected = be.rsa.bootstrap(models, data, method="pearson", n=DRAWS, seed=4)
    monkeypatch.setattr(_samples.REGISTRY, "get", lambda name: other)
    monkeypatch.setattr(_samples, "form_of", lambda name: None)
    found = be.rsa.bootstrap(models, data, method="pearson", n=DRAWS, seed=4)
    np.testing.assert_allclose(found.draws, expected.draws, rtol=1e-10)
    np.testing.assert_allclose(found.ceiling_draws, expected.ceiling_draws, rtol=1e-10)


def test_memory_and_order_of_models_change_nothing(case):
    data, models = case
    for method in ("pearson", "spearman", "whitened_pearson"):
        whole = be.rsa.bootstrap(models, data, method=method, n=20, seed=0)
        small = be.rsa.bootstrap(models, data, method=method, n=20, seed=0, memory="300kB")
        np.testing.assert_allclose(small.draws, whole.draws, rtol=1e-12)
        other = be.rsa.bootstrap(models.take([2, 0]), data, method=method, n=20, seed=0)
        np.testing.assert_allclose(other.draws, whole.draws[..., [2, 0]], rtol=1e-12)
    with pytest.raises(InputError, match="memory budget"):
        be.rsa.bootstrap(models, data, n=20, memory="1kB")


def test_samples_of_fewer_than_three_conditions_fail_and_are_counted():
    rng = np.random.default_rng(0)
    conditions = {"condition": list("abc")}
    found = be.rsa.bootstrap(be.RDMs(rng.random((1, 3)), conditions), be.RDMs(rng.random((3, 3)), conditions), subjects=False, n=50, method="cosine_similarity")
    distinct = (bootstrap_weights(3, 50, 0, "rsa", "conditions") > 0).sum(axis=1)
    np.testing.assert_array_equal(np.isnan(found.draws[:, 0, 0]), distinct < 3)
    assert found.provenance["n_failed_draws"] == [int((distinct < 3).sum())]


def test_groups_share_their_samples_and_may_lack_subjects(case):
    data, models = case
    table = {"subject": ["a", "b", "c", "d", "a", "c", "d"], "roi": ["V1"] * 4 + ["IT"] * 3}
    values = np.concatenate([data.values, data.values[[0, 2, 3]]])
    both = be.RDMs(values, data.conditions, table)
    found = be.rsa.bootstrap(models, both, by="roi", n=DRAWS, seed=7)
    assert np.isnan(found.scores[1, 1]).all()
    np.testing.assert_allclose(found.scores[0, [0, 2, 3]], found.scores[1, [0, 2, 3]], rtol=1e-12)
    w, v = bootstrap_weights(N, DRAWS, 7, "rsa", "conditions"), bootstrap_weights(S, DRAWS, 7, "rsa", "subjects")
    for b in range(DRAWS):
        expected = one_sample("pearson", data.values[[0, 2, 3]], models.values, w[b], v[b][[0, 2, 3]])
        np.testing.assert_allclose(np.r_[found.draws[b, 1], found.ceiling_draws[b, 1]], expected, rtol=1e-10)


def test_what_cannot_be_resampled_is_refused_with_the_way_out(case):
    data, models = case
    with pytest.raises(InputError, match="one subject cannot be resampled"):
        be.rsa.bootstrap(models, data.take([0]))
    with pytest.raises(InputError, match="nothing is resampled"):
        be.rsa.bootstrap(models, data, subjects=False, conditions=False)
    with pytest.raises(InputError, match="at least two samples"):
        be.rsa.bootstrap(models, data, n=1)
    full = np.eye(N) + 0.2
    with pytest.raises(InputError, match=r"copies of a condition.*diagonal"):
        be.rsa.bootstrap(models, data, method="whitened_pearson", sigma_k=full)
    with pytest.raises(InputError, match="holds? a condition twice"):
        be.rsa.bootstrap(models, data, method="riemannian_distance")
    with pytest.raises(InputError, match="no noise covariance"):
        be.rsa.bootstrap(models, data, method="tau_a", sigma_k=np.ones(N))


def test_a_full_noise_covariance_serves_where_subjects_alone_are_drawn(case):
    data, models = case
    rng = np.random.default_rng(0)
    factor = rng.standard_normal((N, 20))
    sigma = factor @ factor.T / 20
    found = be.rsa.bootstrap(models, data, method="whitened_pearson", sigma_k=sigma, conditions=False, n=5)
    v = bootstrap_weights(S, 5, 0, "rsa", "subjects")
    scores = be.rsa.compare(data, models, "whitened_pearson", sigma_k=sigma)
    np.testing.assert_allclose(found.draws[:, 0], v @ scores / S, rtol=1e-10)
