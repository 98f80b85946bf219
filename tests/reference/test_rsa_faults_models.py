"""Faults of other packages in permutations and fitted models, and that ours does not have them: each by an independent computation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

import brainenc as be

N = 10
CONDITIONS = {"condition": [f"c{i}" for i in range(N)]}


@pytest.fixture
def model_and_data(rng):
    model = pdist(rng.standard_normal((N, 4)))
    clean, gaps = (model + pdist(rng.standard_normal((N, 4))) for _ in range(2))
    gaps[rng.permutation(45)[:20]] = np.nan
    return model, gaps, clean


def rdms(*rows, **columns):
    return be.RDMs(np.stack(rows), CONDITIONS, columns or None)


def test_missing_pairs_of_one_rdm_leave_the_next_alone(model_and_data):
    """Fault 16 (mne-rsa 1.0, ``rsa_gen(ignore_nan=True)``): masks accumulate over successive data RDMs."""
    model, gaps, clean = model_and_data
    both = rdms(gaps, clean, roi=["gaps", "clean"])
    before = both.values.copy()
    truth = stats.spearmanr(model, clean).statistic
    for order in ([0, 1], [1, 0]):
        data = both.take(order)
        table = be.rsa.permutation_test(rdms(model), data, method="spearman", by="roi", n=50, nan="omit").set_index("roi")
        assert table.loc["clean", "score"] == pytest.approx(truth, abs=1e-12)
        known = np.isfinite(gaps)
        assert table.loc["gaps", "score"] == pytest.approx(stats.spearmanr(model[known], gaps[known]).statistic, abs=1e-12)
        assert be.rsa.compare(rdms(model), data, "spearman")[0, order.index(1)] == pytest.approx(truth, abs=1e-12)
        crossed = be.rsa.crossvalidate({"m": rdms(model)}, data, by="roi", subject=None, nan="omit", folds_conditions=2, method="spearman")
        alone = be.rsa.crossvalidate({"m": rdms(model)}, both.take([1]), folds_conditions=2, method="spearman")
        assert np.nanmean(crossed.scores[order.index(1)]) == pytest.approx(alone.mean[0, 0], abs=1e-12)
    np.testing.assert_array_equal(both.values, before)


def test_the_peer_lets_missing_pairs_accumulate(model_and_data):
    from importlib import import_module

    pytest.importorskip("mne_rsa")
    peer = import_module("mne_rsa.rsa")
    model, gaps, clean = model_and_data
    after_gaps = list(peer.rsa_gen(iter([gaps, clean]), model, metric="spearman", ignore_nan=True))[1]
    if after_gaps == pytest.approx(stats.spearmanr(model, clean).statistic, abs=1e-12):
        pytest.skip("this version of mne-rsa treats each RDM alone")
    known = np.isfinite(gaps)
    assert after_gaps == pytest.approx(stats.spearmanr(model[known], clean[known]).statistic, abs=1e-12)


def test_weights_fitted_to_these_conditions_do_not_count_as_evidence(rng):
    """Fault 18 (Net2Brain, WRSA): held-out subjects saw the same stimuli, so weights of meaningless models fit their RDMs too."""
    n, s, k = 24, 8, 12
    conditions = {"condition": [str(i) for i in range(n)]}
    shared = pdist(rng.standard_normal((n, 4)))
    data = be.RDMs(np.stack([shared + 0.3 * pdist(rng.standard_normal((n, 4))) for _ in range(s)]), conditions)
    noise = be.RDMs(np.stack([pdist(rng.standard_normal((n, 3))) for _ in range(k)]), conditions, {"model": [f"n{i}" for i in range(k)]})
    model = be.rsa.Weighted(noise, nonneg=False)
    subjects_only = []
    for i in range(s):
        fitted = be.rsa.fit_model(model, data.take(np.setdiff1d(np.arange(s), i)))
        subjects_only.append(np.corrcoef(fitted.rdm.values[0], data.values[i])[0, 1])
    both = be.rsa.crossvalidate({"noise": model}, data, n_assignments=4)
    assert np.mean(subjects_only) > 0.15 and stats.ttest_1samp(subjects_only, 0).pvalue < 0.001
    assert abs(both.mean[0, 0]) < 0.1 < both.ceiling[0, 0]


def test_relabelling_pairs_one_by_one_is_not_a_null(rng):
    """Pairs that share a condition are dependent: shuffling them gives a null that is too narrow, relabelling conditions does not."""
    narrow, right = [], []
    for _ in range(40):
        x, y = (pdist(rng.standard_normal((N, 1)) * rng.gamma(1.0, size=(N, 1))) for _ in range(2))
        table = be.rsa.permutation_test(rdms(x), rdms(y), n=100)
        right.append(table["null_sd"][0])
        narrow.append(np.std([np.corrcoef(rng.permutation(x), y)[0, 1] for _ in range(100)]))
    assert np.mean(right) > 1.3 * np.mean(narrow)
    assert np.mean(narrow) == pytest.approx(1 / np.sqrt(44), rel=0.05)


def test_each_held_out_subject_is_scored_on_an_rdm_of_its_own(rng):
    """Fault 21 (PcmPy, cross-validated group fits): one subject's data reused for all. Each held-out score is of the subject's own RDM."""
    n, s = 12, 5
    conditions = {"condition": [str(i) for i in range(n)]}
    model = be.RDMs(pdist(rng.standard_normal((n, 3)))[None], conditions, {"model": ["m"]})
    data = be.RDMs(np.stack([pdist(rng.standard_normal((n, 3))) + i * model.values[0] for i in range(s)]), conditions)
    found = be.rsa.crossvalidate({"m": be.rsa.Weighted(model)}, data, folds_conditions=2, n_assignments=1, ceiling=False).scores[0, :, 0]
    # a single component with a positive weight leaves the model as it is, so that scores are those of the fixed model on the held-out pairs
    fixed = be.rsa.crossvalidate(model, data, folds_conditions=2, n_assignments=1, ceiling=False).scores[0, :, 0]
    np.testing.assert_allclose(found, fixed, atol=1e-10)
    order = rng.permutation(s)
    turned = be.rsa.crossvalidate(model, data.take(order), folds_conditions=2, n_assignments=1, ceiling=False).scores[0, :, 0]
    np.testing.assert_allclose(turned, fixed[order], atol=1e-12)
    assert len(set(fixed.round(9))) == s and fixed[-1] > 0.8 > abs(fixed[0])


def test_a_searchlight_has_ceilings_of_its_own(rng):
    """Fault 18 (Net2Brain): the ceiling of its searchlight is 0, whatever the data (read, not run)."""
    ids = [f"c{i}" for i in range(8)]
    space = be.VolumeSpace.from_mask(np.ones((3, 3, 2)), np.diag([3.0, 3.0, 3.0, 1.0]))
    shared = rng.standard_normal((8, 18))
    brains = {f"s{i}": be.Responses(shared + 0.5 * rng.standard_normal((8, 18)), {"stimulus_id": ids}, space=space) for i in range(4)}
    model = be.RDMs(rng.random((1, 28)), {"stimulus_id": ids}, {"model": ["m"]})
    found = be.rsa.searchlight(brains, model, radius_mm=4.0, method="pearson", ceiling=True).values[1:, 0].reshape(2, 4, 18)
    near = list(space.neighbourhoods(4.0))
    for centre in (0, 9):
        rows = np.stack([1 - np.corrcoef(np.asarray(b.values)[:, near[centre]])[np.triu_indices(8, 1)] for b in brains.values()])
        z = stats.zscore(rows, axis=1)
        expected = np.array([[np.corrcoef(z.sum(axis=0) - (z[i] if lower else 0), z[i])[0, 1] for i in range(4)] for lower in (True, False)])
        np.testing.assert_allclose(found[:, :, centre], expected, atol=1e-10)
        assert expected.mean(axis=1).min() > 0.3
