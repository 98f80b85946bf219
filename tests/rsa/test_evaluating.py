"""The one entry point: groups, sessions, permutations, flexible models, claims."""

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.rsa.claims import NO_CLAIM

N, S = 14, 6
P = N * (N - 1) // 2


@pytest.fixture
def case(rng):
    truth, other = rng.random((2, P))
    conditions = {"condition": [f"c{i}" for i in range(N)]}
    values = np.concatenate([truth + rng.random((S, P)), rng.random((S, P))])
    table = {"subject": list("abcdef") * 2, "roi": ["IT"] * S + ["noise"] * S}
    models = {"truth": be.RDMs(truth[None], conditions), "layers": be.RDMs(np.stack([other, truth + other]), conditions, {"layer": ["1", "2"]})}
    return models, be.RDMs(values, conditions, table)


def test_groups_and_models_have_their_names_and_scores(case):
    models, data = case
    found = be.rsa.evaluate(models, data, by="roi", n=50)
    assert list(found.groups["roi"]) == ["IT", "noise"]
    assert list(found.models["model"]) == ["truth", "layers", "layers"]
    assert list(found.models["layer"].iloc[1:]) == ["1", "2"]
    assert list(found.subjects["subject"]) == list("abcdef")
    for g, roi in enumerate(["IT", "noise"]):
        part = data.where(roi=roi)
        np.testing.assert_allclose(found.scores[g, :, 0], be.rsa.compare(part, models["truth"], "pearson")[:, 0], rtol=1e-10)
        one = be.rsa.noise_ceiling(data, "pearson", by="roi")
        np.testing.assert_allclose(found.ceiling[g], one[["lower", "upper"]].to_numpy()[g], rtol=1e-10)
        alone = be.rsa.evaluate(models, part, n=50)
        np.testing.assert_allclose(alone.draws[:, 0], found.draws[:, g], rtol=1e-10)
        np.testing.assert_allclose(alone.covariance[0], found.covariance[g], rtol=1e-7)


def test_a_region_of_noise_has_no_claim_and_one_with_signal_has(case):
    models, data = case
    table = be.rsa.evaluate(models, data, by="roi", n=200).to_frame()
    assert (table["claim"][table["roi"] == "noise"] == NO_CLAIM).all()
    assert not table["significant"][table["roi"] == "noise"].any()
    truth = table[(table["roi"] == "IT") & (table["model"] == "truth")].iloc[0]
    assert truth["significant"]
    assert truth["claim"].endswith("; not below the lower noise ceiling")


def test_sessions_of_a_subject_are_averaged_and_counted(case, rng):
    models, data = case
    it = data.where(roi="IT")
    twice = be.RDMs(np.concatenate([it.values, it.values + 0.1 * rng.random(it.values.shape)]), it.conditions, {"subject": list("abcdef") * 2})
    mean = be.RDMs((twice.values[:S] + twice.values[S:]) / 2, it.conditions, {"subject": list("abcdef")})
    found, expected = (be.rsa.evaluate(models, one, method="spearman", n=10) for one in (twice, mean))
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-10)
    np.testing.assert_allclose(found.draws, expected.draws, rtol=1e-10)
    assert found.provenance["n_averaged"] == [2]


def test_permutations_are_those_of_the_permutation_test(case):
    models, data = case
    found = be.rsa.evaluate(models, data, by="roi", n=10, permutations=99, seed=5, maximum_over=("model", "roi"))
    expected = be.rsa.permutation_test(models, data, by="roi", n=99, seed=5, maximum_over=("model", "roi"))
    np.testing.assert_array_equal(found.p.reshape(-1), expected["p"])
    np.testing.assert_array_equal(found.p_max.reshape(-1), expected["p_max"])
    np.testing.assert_allclose(found.mean.reshape(-1), expected["score"], rtol=1e-10)
    assert found.p[0, 0] == 0.01
    assert found.provenance["n_permutations"] == 99
    assert set(found.to_frame()["test"]) == {"permutation"}


def test_flexible_models_are_cross_validated_in_every_sample(case):
    models, data = case
    it = data.where(roi="IT")
    mixed = {"mix": be.rsa.Weighted(models["layers"]), "truth": models["truth"]}
    found = be.rsa.evaluate(mixed, it, n=12, seed=1)
    point = be.rsa.crossvalidate(mixed, it, seed=1)
    np.testing.assert_array_equal(found.scores, point.scores)
    assert found.draws.shape == (12, 1, 2)
    assert found.resampled == ("subjects", "conditions")
    assert np.isfinite(found.covariance).all()
    assert found.dof == S - 1
    one = be.rsa.evaluate(mixed, it, n=12, seed=1, conditions=False, ceiling=False)
    assert one.ceiling is None and one.ceiling_draws is None
    assert one.resampled == ("subjects",)
    still = be.rsa.evaluate(mixed, it, n=0)
    assert still.draws is None
    assert np.isfinite(still.covariance[:, :2, :2]).all()
    with pytest.raises(InputError, match="no permutation test"):
        be.rsa.evaluate(mixed, it, permutations=9)
    with pytest.raises(InputError, match="only flexible models"):
        be.rsa.evaluate(models, it, folds_conditions=3)


def test_one_subject_has_no_ceiling(case):
    models, data = case
    one = be.rsa.evaluate(models, data.take([0]), subjects=False, n=20)
    assert one.ceiling is None
    assert np.isnan(one.covariance[0, -1, -1])
    assert np.isfinite(one.covariance[0, :3, :3]).all()
    assert one.to_frame()["claim"][0].endswith("; no noise ceiling")
    with pytest.raises(InputError, match="at least two subjects"):
        be.rsa.noise_ceiling(data.take([0]))


def test_distances_are_evaluated_with_ceilings_and_pairs(rng):
    patterns = rng.standard_normal((N, 30)) + 0.5 * rng.standard_normal((5, N, 30))
    d = np.stack([((z[:, None] - z[None]) ** 2).mean(axis=2)[np.triu_indices(N, 1)] for z in patterns])
    conditions = {"condition": [f"c{i}" for i in range(N)]}
    data, models = be.RDMs(d[:3], conditions, {"subject": list("abc")}), be.RDMs(d[3:], conditions, {"model": ["x", "y"]})
    found = be.rsa.evaluate(models, data, method="bures_distance", n=30, conditions=False)
    assert found.kind == "distance"
    assert found.ceiling[0, 0] > found.ceiling[0, 1]
    assert len(found.test("pairs")) == 1
    assert found.to_frame()["p"].isna().all()
    far = be.rsa.evaluate(models, data, method="riemannian_distance", n=5, conditions=False)
    np.testing.assert_allclose(far.scores[0].T, be.rsa.compare(models, data, "riemannian_distance"), rtol=1e-8)


def test_conditions_are_matched_by_name_and_nothing_is_changed(case):
    models, data = case
    order = np.arange(N)[::-1]
    moved = be.RDMs.from_square(models["truth"].square()[:, order][:, :, order], {"condition": [f"c{i}" for i in order]})
    before = data.values.copy()
    a, b = (be.rsa.evaluate({"m": m}, data.where(roi="IT"), n=10) for m in (models["truth"], moved))
    np.testing.assert_allclose(a.draws, b.draws, rtol=1e-12)
    np.testing.assert_array_equal(data.values, before)


def test_wrong_requests_are_answered(case):
    models, data = case
    with pytest.raises(NotFoundError, match="no column 'region'"):
        be.rsa.evaluate(models, data, by="region")
    with pytest.raises(NotFoundError, match="pearson"):
        be.rsa.evaluate(models, data, method="persson", by="roi")
    with pytest.raises(InputError, match="at least two samples"):
        be.rsa.evaluate(models, data, by="roi", n=1)
    with pytest.raises(InputError, match="nan"):
        be.rsa.evaluate(models, data, by="roi", nan="propagate")
    infinite = be.RDMs(np.where(np.arange(P) == 3, np.inf, data.values), data.conditions, data.rdms)
    with pytest.raises(InputError, match="infinite"):
        be.rsa.evaluate(models, infinite, by="roi")


def test_an_evaluation_can_be_saved(case, tmp_path):
    models, data = case
    found = be.rsa.evaluate(models, data, by="roi", n=10, permutations=9)
    again = be.read(found.save(tmp_path / "e"))
    assert again.to_frame().equals(found.to_frame())
