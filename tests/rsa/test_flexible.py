"""Flexible models against numerical optimisation, and cross-validation against sub-RDMs that are really cut out."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from scipy.spatial.distance import pdist, squareform

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.metrics.resample import fold_labels
from brainenc.rsa._folds import default_folds
from brainenc.rsa.crossvalidating import corrected_covariance, crossvalidated_scores, stacked
from brainenc.rsa.flexible import fitting_form

N, K, S = 13, 3, 5
CONDITIONS = {"condition": [f"c{i:02d}" for i in range(N)]}
LINEAR = ["cosine_similarity", "pearson", "whitened_cosine_similarity", "whitened_pearson"]


@pytest.fixture
def parts(rng):
    values = np.stack([pdist(rng.standard_normal((N, 4))) for _ in range(K)])
    return be.RDMs(values, CONDITIONS, {"model": ["a", "b", "c"]})


@pytest.fixture
def data(rng, parts):
    mix = 1.0 * parts.values[0] + 0.4 * parts.values[2]
    values = np.stack([mix * scale + 0.8 * pdist(rng.standard_normal((N, 4))) for scale in np.linspace(0.5, 2, S)])
    return be.RDMs(values, CONDITIONS, {"subject": [f"{i:02d}" for i in range(S)]})


def sub(values, chosen):
    """RDMs of some conditions, through squares."""
    upper = np.triu_indices(len(chosen), 1)
    return np.stack([squareform(v)[np.ix_(chosen, chosen)][upper] for v in values])


def score(theta, x, y, method):
    return be.rsa.compare(np.atleast_2d(theta @ x), y, method).mean()


@pytest.mark.parametrize("method", LINEAR)
@pytest.mark.parametrize("nonneg", [True, False])
def test_weighted_fits_are_the_optimum_of_the_mean_similarity(parts, data, method, nonneg):
    found = be.rsa.fit_model(be.rsa.Weighted(parts, nonneg=nonneg), data, method=method)
    best = score(found.theta, parts.values, data.values, method)
    bounds = [(0, None) if nonneg else (None, None)] * K
    for start in ([1.0, 1, 1], [0.1, 1, 0.1], [1, 0.1, 0.5]):
        other = optimize.minimize(lambda t: -score(t, parts.values, data.values, method), start, bounds=bounds, tol=1e-12)
        assert best >= -other.fun - 1e-7
    assert best == pytest.approx(-other.fun, abs=1e-5)
    assert not nonneg or (found.theta >= 0).all()


def test_weights_that_are_nowhere_positive_leave_the_least_bad_component(parts, data):
    reversed_parts = be.RDMs(3 - parts.values, CONDITIONS, parts.rdms)
    theta = be.rsa.fit_model(be.rsa.Weighted(reversed_parts), data).theta
    single = be.rsa.compare(reversed_parts, data, "pearson").mean(axis=1)
    assert (single[[0, 2]] < 0).all()
    if (single < 0).all():
        assert theta.argmax() == single.argmax() and np.count_nonzero(theta) == 1
    best = max(score(np.array(t), reversed_parts.values, data.values, "pearson") for t in itertools.product(np.linspace(0, 1, 11), repeat=K) if any(t))
    assert score(theta, reversed_parts.values, data.values, "pearson") >= best - 1e-9


def test_ridge_and_intercept_are_as_defined(parts, data):
    f = parts.values / np.linalg.norm(parts.values, axis=1, keepdims=True)
    y = (data.values / np.linalg.norm(data.values, axis=1, keepdims=True)).mean(axis=0)
    expected = np.linalg.solve(f @ f.T + 0.3 * np.eye(K), f @ y) / np.linalg.norm(parts.values, axis=1)
    found = be.rsa.fit_model(be.rsa.Weighted(parts, nonneg=False, ridge=0.3), data, method="cosine_similarity")
    np.testing.assert_allclose(found.theta, expected / expected.sum(), atol=1e-12)
    lowered = be.RDMs(data.values - 1.5, CONDITIONS, data.rdms)
    with_constant = be.rsa.fit_model(be.rsa.Weighted(parts, intercept=True), lowered, method="cosine_similarity")
    x = np.vstack([parts.values, np.ones(parts.values.shape[1])])
    unit = (lowered.values / np.linalg.norm(lowered.values, axis=1, keepdims=True)).mean(axis=0)
    reference = optimize.lsq_linear(x.T, unit, bounds=([0] * K + [-np.inf], np.inf), tol=1e-14).x
    np.testing.assert_allclose(with_constant.theta / np.abs(with_constant.theta).sum(), reference / np.abs(reference).sum(), atol=1e-6)
    assert list(with_constant.weights["component"]) == ["a", "b", "c", "intercept"]


@pytest.mark.parametrize("method", LINEAR)
def test_select_interpolate_and_family_are_the_best_of_what_they_allow(parts, data, method):
    x, y = parts.values, data.values
    single = [score(t, x, y, method) for t in np.eye(K)]
    assert be.rsa.fit_model(be.rsa.Select(parts), data, method=method).theta.argmax() == np.argmax(single)
    found = be.rsa.fit_model(be.rsa.Interpolate(parts), data, method=method).theta
    grid = np.linspace(0, 1, 201)
    best = max(score(m * np.eye(K)[i] + (1 - m) * np.eye(K)[i + 1], x, y, method) for i in range(K - 1) for m in grid)
    assert best - 1e-9 <= score(found, x, y, method) <= best + 1e-4
    assert found.sum() == pytest.approx(1) and found[[0, 2]].min() == 0
    family = be.rsa.Family(parts)
    members = be.rsa.compare(family.members(), data, method).mean(axis=1)
    picked = be.rsa.fit_model(family, data, method=method)
    assert be.rsa.compare(picked.rdm, data, method).mean() == pytest.approx(members.max())
    assert list(family.members().rdms["model"]) == ["a", "b", "c", "a + b", "a + c", "b + c", "a + b + c"]


def test_conditions_of_weight_zero_are_as_if_they_were_not_there(parts, data, rng):
    chosen = np.sort(rng.permutation(N)[:9])
    weights = np.isin(np.arange(N), chosen).astype(float)
    few = {"condition": np.array(CONDITIONS["condition"])[chosen]}
    cut = be.RDMs(sub(parts.values, chosen), few, parts.rdms), be.RDMs(sub(data.values, chosen), few, data.rdms)
    root = rng.standard_normal((N, N))
    sigma = root @ root.T + N * np.eye(N)
    for method in [*LINEAR, "spearman"]:
        whole = be.rsa.fit_model(be.rsa.Weighted(parts), data, method=method, condition_weights=weights)
        np.testing.assert_allclose(whole.theta, be.rsa.fit_model(be.rsa.Weighted(cut[0]), cut[1], method=method).theta, atol=1e-10)
    for noise, block in ((sigma, sigma[np.ix_(chosen, chosen)]), (sigma.diagonal(), sigma.diagonal()[chosen])):
        whole = be.rsa.fit_model(be.rsa.Weighted(parts), data, method="whitened_pearson", condition_weights=weights, sigma_k=noise)
        part = be.rsa.fit_model(be.rsa.Weighted(cut[0]), cut[1], method="whitened_pearson", sigma_k=block)
        np.testing.assert_allclose(whole.theta, part.theta, atol=1e-9)


def expanded(values, counts):
    """RDMs of a sample with copies, NaN between them."""
    index = np.repeat(np.arange(N), counts)
    upper = np.triu_indices(len(index), 1)
    full = np.stack([squareform(v) for v in values])
    full[:, np.arange(N), np.arange(N)] = np.nan
    return full[:, index][:, :, index][:, upper[0], upper[1]]


@pytest.mark.parametrize("method", [*LINEAR, "spearman"])
def test_copies_of_conditions_fit_as_the_expanded_sample_does(parts, data, rng, method):
    counts = rng.multinomial(N, np.full(N, 1 / N))
    theta = be.rsa.fit_model(be.rsa.Weighted(parts, nonneg=False), data, method=method, condition_weights=counts).theta
    x, y = expanded(parts.values, counts), expanded(data.values, counts)
    known = np.isfinite(y[0])
    if method == "spearman":
        y[:, known] = stats.rankdata(y[:, known], axis=1)
        method = "pearson"

    def mean_score(t):
        predicted = np.full((1, len(known)), np.nan)
        predicted[0, known] = t @ x[:, known]
        return -be.rsa.compare(predicted, y, method).mean()

    other = optimize.minimize(mean_score, theta + 0.05, tol=1e-13)
    assert mean_score(theta) <= other.fun + 1e-9


def by_hand(models, data, method, labels_c, labels_s):
    """Scores (s, n_models) of one assignment: RDMs are cut to conditions and fitted anew."""
    out = np.zeros((len(data), len(models)))
    n_folds = labels_c.max() + 1
    for f in range(n_folds):
        train, test = np.flatnonzero(labels_c != f), np.flatnonzero(labels_c == f)
        for s in np.unique(labels_s):
            others = labels_s != s if labels_s.max() else labels_s == s
            ids = {"condition": [f"{i}" for i in range(len(train))]}
            for m, model in enumerate(models):
                x = model.rdms.values
                kind = type(model)
                cut = kind(be.RDMs(sub(x, train), ids))
                fitted = be.rsa.fit_model(cut, be.RDMs(sub(data[others], train), ids), method=method)
                # compare what it predicts on the held-out conditions
                predicted = fitted.theta @ sub(x, test)
                out[labels_s == s, m] += be.rsa.compare(predicted[None], sub(data[labels_s == s], test), method)[0] / n_folds
    return out


@pytest.mark.parametrize("method", [*LINEAR, "spearman", "rho_a", "tau_a", "bures_similarity"])
def test_crossvalidation_is_that_of_rdms_cut_to_pieces(parts, data, method):
    models = {"one": be.rsa.Fixed(parts.take([1])), "best": be.rsa.Select(parts), "sum": be.rsa.Weighted(parts), "mix": be.rsa.Interpolate(parts)}
    found = be.rsa.crossvalidate(models, data, method=method, folds_conditions=2, folds_subjects=3, seed=4)
    labels_c, labels_s = fold_labels(N, 2, 2, 4, "conditions"), fold_labels(S, 3, 2, 4, "subjects")
    expected = np.mean([by_hand(list(models.values()), data.values, method, labels_c[a], labels_s[a]) for a in range(2)], axis=0)
    assert found.scores.shape == (1, S, 4)
    np.testing.assert_allclose(found.scores[0], expected, atol=1e-9)


@pytest.mark.parametrize("method", ["pearson", "spearman", "whitened_cosine_similarity", "tau_a", "bures_similarity"])
def test_crossvalidated_ceilings_pool_training_subjects_on_held_out_conditions(parts, data, method):
    from brainenc.rsa._forms import REGISTRY

    found = be.rsa.crossvalidate(parts, data, method=method, folds_conditions=3, folds_subjects=2, seed=1, n_assignments=1)
    labels_c, labels_s = fold_labels(N, 3, 1, 1, "conditions")[0], fold_labels(S, 2, 1, 1, "subjects")[0]
    pool = REGISTRY.get(method).pool
    low, high = [], []
    for f in range(3):
        y = sub(data.values, np.flatnonzero(labels_c == f))
        for i in range(S):
            low.append(be.rsa.compare(pool(y[labels_s != labels_s[i]])[None], y[i : i + 1], method)[0, 0])
            high.append(be.rsa.compare(pool(y)[None], y[i : i + 1], method)[0, 0])
    np.testing.assert_allclose(found.ceiling[0], [np.mean(low), np.mean(high)], atol=1e-10)


def test_copies_of_a_condition_or_a_subject_stay_on_one_side(parts, data):
    """Scores of a bootstrap sample are those of the different units, with the copies as weights on their own side only."""
    stack = stacked([be.rsa.Fixed(parts.take([0]))], data.ids, "pearson")
    w, v = np.array([0, 2, 1, 1, 0, 3, 1, 1, 1, 1, 2, 0, 0.0]), np.array([2.0, 0, 1, 2, 0])
    found = crossvalidated_scores(stack, data.values, method="pearson", condition_weights=w, subject_weights=v, folds=(2, 2), n_assignments=3, seed=2)
    present = np.flatnonzero(w)
    labels = fold_labels(len(present), 2, 3, 2, "conditions")
    for a in range(3):
        for i in (0, 2, 3):
            each = []
            for f in range(2):
                counts = np.zeros(N, dtype=int)
                counts[present[labels[a] == f]] = w[present[labels[a] == f]]
                x, y = expanded(parts.values[:1], counts)[0], expanded(data.values[i : i + 1], counts)[0]
                each.append(stats.pearsonr(x[np.isfinite(x)], y[np.isfinite(x)]).statistic)
            assert found.scores[a, i, 0] == pytest.approx(np.mean(each))
        assert np.isnan(found.scores[a, [1, 4]]).all()


def test_a_sample_with_too_few_conditions_is_nan(parts, data):
    stack = stacked([be.rsa.Select(parts)], data.ids, "pearson")
    w = np.zeros(N)
    w[:5] = [9, 1, 1, 1, 1]
    found = crossvalidated_scores(stack, data.values, method="pearson", condition_weights=w)
    assert np.isnan(found.scores).all() and np.isnan(found.ceiling).all()
    one_person = crossvalidated_scores(stack, data.values, method="pearson", subject_weights=np.array([5.0, 0, 0, 0, 0]))
    assert np.isnan(one_person.scores).all()


@pytest.mark.parametrize("kind", [be.rsa.Weighted, be.rsa.Select, be.rsa.Interpolate, be.rsa.Family])
def test_units_of_the_components_do_not_matter(parts, data, kind):
    tiny = be.RDMs(parts.values * np.array([[1e-9], [1.0], [1e9]]), CONDITIONS, parts.rdms)
    one, other = (be.rsa.crossvalidate(kind(x), data) for x in (parts, tiny))
    np.testing.assert_allclose(other.scores, one.scores, atol=1e-9)


@pytest.mark.parametrize("method", ["pearson", "whitened_pearson"])
def test_a_large_offset_costs_no_digits(parts, data, method):
    lifted = be.RDMs(data.values + 1e7, CONDITIONS, data.rdms)
    plain, high = (be.rsa.crossvalidate(be.rsa.Weighted(parts), one, method=method) for one in (data, lifted))
    np.testing.assert_allclose(high.scores, plain.scores, atol=1e-7)


def test_default_folds_are_those_of_the_literature():
    assert [default_folds(n, 1)[0] for n in (11, 12, 23, 24, 39, 40, 92)] == [2, 3, 3, 4, 4, 5, 5]
    assert [default_folds(12, s)[1] for s in (1, 2, 5, 6, 11, 12, 19, 20)] == [1, 2, 2, 3, 3, 4, 4, 5]


def test_groups_subjects_and_gaps_are_laid_out(parts, data, rng):
    values = np.concatenate([data.values, data.values[:3] + 1])
    values[6, 4] = np.nan
    table = pd.DataFrame({"roi": ["V1"] * S + ["IT"] * 3, "subject": [f"{i:02d}" for i in range(S)] + ["00", "01", "02"]})
    both = be.RDMs(values, CONDITIONS, table)
    with pytest.raises(InputError, match="missing pairs"):
        be.rsa.crossvalidate(parts, both, by="roi")
    layers = be.RDMs(parts.values, CONDITIONS, {"layer": [1, 2, 3]})
    found = be.rsa.crossvalidate({"w": be.rsa.Weighted(parts), "all": layers}, both, by="roi", nan="omit")
    assert found.scores.shape == (2, S, 4) and list(found.models["model"]) == ["w", "all", "all", "all"] and list(found.models["layer"][1:]) == [1, 2, 3]
    assert np.isnan(found.scores[1, 3:]).all() and np.isfinite(found.scores[1, :3]).all()
    alone = be.rsa.crossvalidate({"w": be.rsa.Weighted(parts)}, data)
    np.testing.assert_allclose(found.scores[0, :, 0], alone.scores[0, :, 0], atol=1e-12)
    weights = found.provenance["weights"][0]["w"]
    assert set(weights) == {"a", "b", "c"} and sum(weights.values()) == pytest.approx(1) and weights["a"] > weights["b"]


def test_one_seed_gives_one_result_and_input_is_left_alone(parts, data):
    before = parts.values.copy(), data.values.copy()
    one, same, other = (be.rsa.crossvalidate(be.rsa.Weighted(parts), data, seed=s).scores for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    np.testing.assert_array_equal(parts.values, before[0])
    np.testing.assert_array_equal(data.values, before[1])


def test_folds_in_which_a_model_is_constant_are_counted_and_left_out(parts, data):
    """One odd condition: it is in one test fold of two, and the model is constant in the other."""
    is_odd = np.arange(N) == 4
    odd = be.RDMs.from_square(np.not_equal.outer(is_odd, is_odd).astype(float), CONDITIONS, rdms={"model": ["odd"]})
    found = be.rsa.crossvalidate({"odd": odd, "w": be.rsa.Weighted(parts)}, data, folds_conditions=2, n_assignments=1, seed=3)
    labels = fold_labels(N, 2, 1, 3, "conditions")[0]
    test = np.flatnonzero(labels == labels[4])
    expected = [stats.pearsonr(sub(odd.values, test)[0], y).statistic for y in sub(data.values, test)]
    np.testing.assert_allclose(found.scores[0, :, 0], expected)
    assert found.provenance["n_undefined_folds"] == [[S, 0]] and np.isfinite(found.se()[0, :2]).all()


def test_a_single_subject_holds_out_conditions_only(parts, data):
    found = be.rsa.crossvalidate({"w": be.rsa.Weighted(parts)}, data.take([0]))
    assert found.ceiling is None and np.isfinite(found.scores).all() and found.provenance["folds"]["subjects"] == 1


def test_samples_are_crossvalidated_each_with_folds_of_its_own(parts, data):
    models = {"w": be.rsa.Weighted(parts), "a": be.rsa.Fixed(parts.take([0]))}
    found = be.rsa.crossvalidate(models, data, n=12, seed=3)
    assert found.draws.shape == (12, 1, 2) and found.ceiling_draws.shape == (12, 1, 2) and found.resampled == ("subjects", "conditions")
    again = be.rsa.crossvalidate(models, data, n=12, seed=3)
    np.testing.assert_array_equal(found.draws, again.draws)
    w, v = (be.metrics.bootstrap_weights(size, 12, 3, "rsa", name) for size, name in ((N, "conditions"), (S, "subjects")))
    stack = stacked(list(models.values()), data.ids, "pearson")
    for i in range(12):
        # a model without parameters does not depend on the folds of the subjects
        one = crossvalidated_scores(stack, data.values, method="pearson", condition_weights=w[i], seed=3, keys=("conditions", i))
        expected = np.average(one.scores.mean(axis=0)[:, 1], weights=v[i]) if (v[i] > 0).sum() > 1 else np.nan
        assert found.draws[i, 0, 1] == pytest.approx(expected, nan_ok=True)
    only = be.rsa.crossvalidate(models, data, n=12, seed=3, conditions=False)
    assert only.resampled == ("subjects",) and (only.covariance[0, :2, :2].diagonal() < 1).all()


def test_evaluate_takes_flexible_models_and_permutations(parts, data, tmp_path):
    found = be.rsa.evaluate({"w": be.rsa.Weighted(parts), "a": parts.take([0])}, data, n=10, seed=1)
    plain = be.rsa.crossvalidate({"w": be.rsa.Weighted(parts), "a": parts.take([0])}, data, seed=1)
    np.testing.assert_array_equal(found.scores, plain.scores)
    assert list(found.to_frame()["model"]) == ["w", "a"] and found.n_draws == 10
    assert be.read(found.save(tmp_path / "e.npz")).provenance["weights"][0]["w"].keys() == {"a", "b", "c"}
    fixed = be.rsa.evaluate(parts, data, n=0, permutations=200, seed=2)
    table = be.rsa.permutation_test(parts, data, n=200, seed=2)
    np.testing.assert_array_equal(fixed.p[0], table["p"])
    np.testing.assert_array_equal(fixed.p_max[0], table["p_max"])
    np.testing.assert_allclose(fixed.mean[0], table["score"])


def test_correction_takes_the_variance_of_the_folds_away(rng):
    truth = rng.standard_normal((4000, 1, 2)) @ np.array([[1.0, 0.5], [0, 1]])
    draws = truth + 2 * rng.standard_normal((4000, 3, 2))
    draws[0] = np.nan
    np.testing.assert_allclose(corrected_covariance(draws), np.cov(truth[1:, 0], rowvar=False), atol=0.25)
    assert np.isnan(corrected_covariance(draws[:2])).all()
    with pytest.raises(InputError, match="two assignments"):
        corrected_covariance(draws[:, :1])


def test_what_cannot_be_fitted_is_refused(parts, data):
    with pytest.raises(InputError, match="one RDM"):
        be.rsa.Fixed(parts)
    with pytest.raises(InputError, match="ridge"):
        be.rsa.Weighted(parts, ridge=-1)
    with pytest.raises(InputError, match="too many subsets"):
        be.rsa.Family(be.RDMs(np.ones((13, 3)), {"condition": list("abc")}))
    with pytest.raises(InputError, match="missing pairs"):
        be.rsa.Select(be.RDMs(np.full((2, 3), np.nan), {"condition": list("abc")}))
    with pytest.raises(InputError, match="scale"):
        be.rsa.crossvalidate(be.rsa.Weighted(parts), data, method="bures_distance")
    with pytest.raises(InputError, match="folds over conditions"):
        be.rsa.crossvalidate(parts, data, folds_conditions=5)
    with pytest.raises(InputError, match="folds over subjects"):
        be.rsa.crossvalidate(parts, data, folds_subjects=6)
    with pytest.raises(InputError, match="told apart"):
        be.rsa.crossvalidate({"all": parts, "w": be.rsa.Select(parts)}, data)
    with pytest.raises(InputError, match="not a model"):
        be.rsa.crossvalidate({"x": parts.values}, data)
    assert fitting_form("tau_b") == fitting_form("spearman")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["weighted", "select"])
def test_held_out_scores_of_noise_average_to_nothing(model):
    """Unrelated models fitted to subjects who agree: without held-out conditions their scores are well above zero."""
    rng = np.random.default_rng(3)
    n, k, s = 18, 6, 6
    conditions = {"condition": [str(i) for i in range(n)]}
    held, fitted = [], []
    for _ in range(300):
        shared = pdist(rng.standard_normal((n, 4)))
        data = be.RDMs(np.stack([shared + 0.3 * pdist(rng.standard_normal((n, 4))) for _ in range(s)]), conditions)
        x = be.RDMs(np.stack([pdist(rng.standard_normal((n, 3))) for _ in range(k)]), conditions)
        one = be.rsa.Weighted(x, nonneg=False) if model == "weighted" else be.rsa.Select(x)
        held.append(be.rsa.crossvalidate(one, data, n_assignments=1).mean[0, 0])
        fitted.append(be.rsa.compare(be.rsa.fit_model(one, data.take(range(5))).rdm, data.take([5]))[0, 0])
    assert abs(np.mean(held)) < 3 * np.std(held) / np.sqrt(len(held))
    assert np.mean(fitted) > 10 * np.std(fitted) / np.sqrt(len(fitted))
