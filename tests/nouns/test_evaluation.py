"""The container of evaluations: shapes, selections, files, and what its table says."""

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError

N_GROUPS, N_SUBJECTS, N_MODELS, N_DRAWS = 2, 5, 3, 40


@pytest.fixture
def parts(rng):
    scores = rng.normal([0.3, 0.1, 0.0], 0.05, (N_GROUPS, N_SUBJECTS, N_MODELS))
    scores[1, 4] = np.nan
    factor = rng.standard_normal((N_GROUPS, N_MODELS + 2, 9)) * 0.01
    return {
        "scores": scores, "models": {"model": ["a", "b", "c"], "layer": [1, 2, 3]}, "groups": {"roi": ["V1", "IT"]},
        "subjects": {"subject": list("vwxyz")}, "method": "pearson", "ceiling": np.array([[0.4, 0.5], [0.001, 0.3]]),
        "draws": rng.normal(0.2, 0.1, (N_DRAWS, N_GROUPS, N_MODELS)), "ceiling_draws": rng.normal(0.4, 0.1, (N_DRAWS, N_GROUPS, 2)),
        "covariance": factor @ np.swapaxes(factor, 1, 2), "dof": 4.0, "n_conditions": 8, "resampled": ("subjects",), "seed": 3,
        "provenance": {"n_left_out": 2},
    }  # fmt: skip


def test_what_is_saved_comes_back(parts, tmp_path):
    one = be.Evaluation(**parts)
    again = be.read(one.save(tmp_path / "e"))
    for name in ("scores", "ceiling", "draws", "ceiling_draws", "covariance"):
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name))
    assert again.models.equals(one.models)
    assert (again.method, again.kind, again.dof, again.resampled, again.seed, again.p) == ("pearson", "similarity", 4.0, ("subjects",), 3, None)
    assert again.provenance == {"n_left_out": 2}
    assert "40 draws over subjects, seed 3" in repr(again)
    assert "<table" in again._repr_html_()


def test_arrays_that_do_not_fit_are_refused(parts):
    with pytest.raises(InputError, match=r"covariance does not fit.*\(2, 5, 5\).*\(2, 3, 3\)"):
        be.Evaluation(**{**parts, "covariance": np.zeros((2, 3, 3))})
    with pytest.raises(InputError, match="three axes"):
        be.Evaluation(**{**parts, "scores": np.zeros((5, 3))})
    with pytest.raises(InputError, match="kind"):
        be.Evaluation(**{**parts, "kind": "closeness"})


def test_groups_and_models_are_taken_with_all_that_belongs_to_them(parts):
    one = be.Evaluation(**parts)
    it = one.where(roi="IT").take(models=[2, 0])
    np.testing.assert_array_equal(it.scores, parts["scores"][1:][:, :, [2, 0]])
    np.testing.assert_array_equal(it.draws, parts["draws"][:, 1:][:, :, [2, 0]])
    kept = [2, 0, 3, 4]
    np.testing.assert_array_equal(it.covariance[0], parts["covariance"][1][kept][:, kept])
    assert list(it.models["model"]) == ["c", "a"]
    with pytest.raises(InputError, match="keeps none"):
        one.where(roi="V4")


def test_intervals_are_those_of_t(parts):
    import scipy.stats

    one = be.Evaluation(**parts)
    low, high = one.interval(0.9)[1, 0]
    se = np.sqrt(parts["covariance"][1, 0, 0])
    expected = scipy.stats.t.interval(0.9, 4, loc=np.nanmean(parts["scores"][1, :, 0]), scale=se)
    np.testing.assert_allclose([low, high], expected, rtol=1e-12)
    np.testing.assert_allclose(one.interval()[0, 3].mean(), 0.4)


def test_an_evaluation_without_any_resampling_has_nan_errors(parts):
    bare = be.Evaluation(**{k: parts[k] for k in ("scores", "models", "groups", "subjects", "method")})
    assert bare.n_draws == 0
    assert np.isnan(bare.interval()).all()
    assert np.isnan(bare.se()).all()
    table = bare.to_frame()
    assert not table["significant"].any()
    assert set(table["claim"]) == {"not tested: nothing says how the scores vary"}
