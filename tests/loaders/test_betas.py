"""Betas of single trials: equal to one regression a trial, to nilearn's GLM, and to the truth that was planted."""

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import BrainencWarning, InputError
from brainenc.loaders import Hrf, choose_hrf, hrf_library, single_trial_betas
from brainenc.loaders.betas import drifts

T_R, LENGTHS = 2.0, (70, 62)


@pytest.fixture
def series(rng):
    """Two runs of unequal lengths, three stimuli, overlapping responses, drift and noise."""
    events = []
    for run, n in zip((1, 2), LENGTHS, strict=True):
        onsets = np.arange(6.0, 2 * n - 20, 7.3)
        ids = rng.permutation(np.resize(["a", "b", "c"], len(onsets)))
        events.append(pd.DataFrame({"onset": onsets, "duration": 1.5, "stimulus_id": ids, "run": run, "rt": rng.random(len(onsets))}))
    run = np.repeat([1, 2], LENGTHS)
    values = 100 + rng.standard_normal((len(run), 8)) + np.sin(np.arange(len(run)) / 20)[:, None]
    samples = pd.DataFrame({"run": run, "session": "s1", "move": rng.standard_normal(len(run))})
    return be.Responses(values, samples, t_r=T_R, events=pd.concat(events[::-1]), name="01")


def naive(series, run, method, others="together", hrf="glover", confounds=()):
    """One ordinary regression a trial, every column built by nilearn."""
    from nilearn.glm.first_level import compute_regressor, make_first_level_design_matrix

    rows = (series.samples["run"] == run).to_numpy()
    times = np.arange(rows.sum()) * T_R + T_R / 2
    mine = series.events[series.events["run"] == run].sort_values("onset").reset_index(drop=True)
    X = np.column_stack([compute_regressor(([o], [d], [1.0]), hrf, times)[0][:, 0] for o, d in zip(mine["onset"], mine["duration"], strict=True)])
    N = make_first_level_design_matrix(times, drift_model="cosine", high_pass=1 / 128).to_numpy()
    N = np.column_stack([N, *(series.samples.loc[rows, name] for name in confounds)])
    Y, ids = series.values[rows].astype(float), mine["stimulus_id"].to_numpy()
    betas, variances = [], []
    for i in range(X.shape[1]):
        if method == "lsa":
            D, here = np.column_stack([X, N]), i
        else:
            rest = np.arange(X.shape[1]) != i
            groups = [rest] if others == "together" else [rest & (ids == k) for k in np.unique(ids)]
            D, here = np.column_stack([X[:, i], *(X[:, g].sum(axis=1) for g in groups if g.any()), N]), 0
        beta, rss, rank, _ = np.linalg.lstsq(D, Y, rcond=None)
        betas.append(beta[here])
        variances.append(np.linalg.inv(D.T @ D)[here, here] * rss / (len(Y) - rank))
    return np.array(betas), np.array(variances)


@pytest.mark.parametrize(("method", "others"), [("lsa", "together"), ("lss", "together"), ("lss", "by_stimulus")])
def test_all_trials_at_once_equal_one_regression_a_trial(series, method, others):
    betas, variances = single_trial_betas(series, method=method, others=others, variance=True, confounds=["move"])
    expected = [naive(series, run, method, others, confounds=["move"]) for run in (1, 2)]
    np.testing.assert_allclose(betas.values, np.concatenate([one[0] for one in expected]), atol=1e-8)
    np.testing.assert_allclose(variances.values, np.concatenate([one[1] for one in expected]), rtol=1e-7)
    mine = series.events.sort_values(["run", "onset"])
    assert betas.samples["stimulus_id"].tolist() == mine["stimulus_id"].tolist() and betas.samples["rt"].tolist() == mine["rt"].tolist()
    assert betas.samples["repeat"].tolist() == (mine.groupby("stimulus_id").cumcount() + 1).tolist()
    assert not betas.is_time_series and (betas.samples["session"] == "s1").all() and betas.provenance["betas"]["method"] == method


def test_betas_are_those_of_nilearns_first_level_model(series):
    import nibabel as nib
    from nilearn.glm.first_level import FirstLevelModel
    from nilearn.maskers import NiftiMasker

    rows = (series.samples["run"] == 1).to_numpy()
    mask = NiftiMasker(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), standardize=None).fit()
    image = nib.Nifti1Image(series.values[rows].T.reshape(2, 2, 2, -1), np.eye(4))
    events = series.events[series.events["run"] == 1].sort_values("onset")[["onset", "duration"]].reset_index(drop=True)
    events["trial_type"] = [f"t{i:02d}" for i in range(len(events))]
    model = FirstLevelModel(
        t_r=T_R, slice_time_ref=0.5, hrf_model="glover", drift_model="cosine", high_pass=1 / 128, mask_img=mask,
        noise_model="ols", signal_scaling=False, standardize=False, minimize_memory=False, smoothing_fwhm=None,
    ).fit(image, events=events)  # fmt: skip
    maps = [model.compute_contrast(name, output_type="effect_size").get_fdata().ravel() for name in events["trial_type"]]
    betas = single_trial_betas(series.rows(run=1), method="lsa")
    np.testing.assert_allclose(betas.values, maps, atol=1e-8)


@pytest.mark.parametrize(("apart", "better"), [(2.0, "lss"), (6.0, "lsa")])
def test_planted_amplitudes_come_back_and_lss_helps_where_responses_overlap(rng, apart, better):
    onsets = 8 + np.cumsum(rng.uniform(0.75, 1.25, 90) * apart)
    events = pd.DataFrame({"onset": onsets, "duration": 1.0, "stimulus_id": [f"s{i}" for i in range(90)], "run": 1})
    truth, n = rng.standard_normal((90, 30)) + 1, int(onsets[-1] / 2 + 15)
    quiet = be.Responses(np.zeros((n, 30)), {"run": [1] * n}, t_r=T_R, events=events)
    X = be.design(be.FeatureSpace(np.eye(90), {"stimulus_id": events["stimulus_id"]}), quiet, hrf="spm").values
    clean = be.Responses(X @ truth + 500, quiet.samples, t_r=T_R, events=events)
    np.testing.assert_allclose(single_trial_betas(clean, method="lsa", hrf="spm").values, truth, atol=1e-5)
    percent = single_trial_betas(clean, method="lsa", hrf="spm", percent=True)
    np.testing.assert_allclose(percent.values, 100 * truth / clean.values.mean(axis=0), atol=1e-5)
    noisy = be.Responses(clean.values + 2 * X.std() * rng.standard_normal(clean.values.shape), quiet.samples, t_r=T_R, events=events)
    r = {m: np.corrcoef(single_trial_betas(noisy, method=m, hrf="spm").values.ravel(), truth.ravel())[0, 1] for m in ("lsa", "lss")}
    assert max(r, key=r.__getitem__) == better and abs(r["lss"] - r["lsa"]) > 0.05


def test_scans_that_were_cut_and_missing_targets(series):
    keep = np.setdiff1d(np.arange(series.n_samples), [20, 21, 90])
    cut = single_trial_betas(series.take_rows(keep))
    whole = single_trial_betas(series)
    assert np.corrcoef(cut.values.ravel(), whole.values.ravel())[0, 1] > 0.95
    values = series.values.copy()
    values[3, 2] = np.nan
    holed = be.Responses(values, series.samples, t_r=T_R, events=series.events)
    with pytest.warns(BrainencWarning, match="1 .target, run. pairs"):
        betas = single_trial_betas(holed)
    n_first = int((betas.samples["run"] == 1).sum())
    assert np.isnan(betas.values[:n_first, 2]).all() and np.isfinite(betas.values[n_first:]).all()
    others = np.delete(np.arange(8), 2)
    np.testing.assert_allclose(betas.values[:, others], whole.values[:, others], atol=1e-10)


def test_a_single_trial_has_no_others(rng):
    events = {"onset": [10.0], "duration": [2.0], "stimulus_id": ["a"], "run": [1]}
    one = be.Responses(rng.standard_normal((40, 3)), {"run": [1] * 40}, t_r=T_R, events=events)
    lsa, lss = (single_trial_betas(one, method=m, variance=True) for m in ("lsa", "lss"))
    np.testing.assert_allclose(lss[0].values, lsa[0].values, atol=1e-12)
    np.testing.assert_allclose(lss[1].values, lsa[1].values, rtol=1e-9)


def test_betas_that_make_no_sense_are_refused(series):
    late = pd.concat([series.events, pd.DataFrame({"onset": [900.0], "duration": [1.0], "stimulus_id": ["a"], "run": [1]})])
    twice = pd.concat([series.events, series.events.iloc[[0]]])
    strange = pd.concat([series.events, series.events.iloc[[0]].assign(run=7)])
    for events, kwargs, message in (
        (late, {}, "lie outside the scans.*a at 900 s"),
        (twice, {"method": "lsa"}, "cannot tell trials apart.*Use method=.lss."),
        (strange, {}, "runs that are not here.*'7'"),
        (series.events[series.events["run"] == 2], {}, "a run has no events.*run '1'"),
        (None, {}, "nothing says when"),
        (series.events, {"hrf": "glover + derivative"}, "a trial has one beta"),
        (series.events, {"method": "ols"}, "'lss', 'lsa'"),
        (series.events, {"hrf": choose_hrf(series, library=["spm"])._replace(which=np.zeros(3, int))}, "of other targets"),
    ):
        with pytest.raises(InputError, match=message):
            single_trial_betas(be.Responses(series.values, series.samples, t_r=T_R, events=events), **kwargs)
    with pytest.raises(InputError, match="trials already"):
        single_trial_betas(single_trial_betas(series))


def test_double_gammas_are_nilearns():
    from nilearn.glm.first_level import glover_hrf, spm_hrf

    np.testing.assert_allclose(Hrf().sample(2.0 / 50), spm_hrf(2.0, 50), atol=1e-12)
    np.testing.assert_allclose(Hrf(6, 12, 0.9, 0.9, 0.48).sample(1.5 / 50), glover_hrf(1.5, 50), atol=1e-12)
    assert len(set(hrf_library())) == 21
    with pytest.raises(InputError, match="positive seconds"):
        Hrf(delay=-1)


@pytest.mark.parametrize("n_runs", [1, 2])
def test_the_planted_response_is_chosen_on_training_runs_alone(rng, n_runs):
    library = hrf_library()
    planted = np.array([0, 7, 12, 19, 4, 16])
    n = 150
    onsets = np.sort(rng.uniform(5, 2 * n - 30, 24))
    events = pd.concat([pd.DataFrame({"onset": onsets, "duration": 2.0, "stimulus_id": np.resize(["a", "b", "c"], 24), "run": r}) for r in range(1, n_runs + 2)])
    run = np.repeat(np.arange(1, n_runs + 2), n)
    blank = be.Responses(np.zeros((len(run), 6)), {"run": run}, t_r=T_R, events=events)
    layer = be.FeatureSpace(np.eye(3), {"stimulus_id": ["a", "b", "c"]})
    weights = rng.standard_normal((3, 6)) + 2
    values = np.column_stack([be.design(layer, blank, hrf=library[h]).values @ weights[:, v] for v, h in enumerate(planted)])
    values += 0.1 * values.std() * rng.standard_normal(values.shape)
    values[run == n_runs + 1] = 50 * rng.standard_normal((n, 6))  # the test run says nothing, and loudly
    series = be.Responses(values, blank.samples, t_r=T_R, events=events)
    choice = choose_hrf(series, runs=np.arange(1, n_runs + 1))
    assert choice.which.tolist() == planted.tolist() and choice.scores.shape == (21, 6)
    assert choice.how == ("in-sample fit of one run" if n_runs == 1 else "leave one of 2 runs out")
    betas = single_trial_betas(series.rows(run=1), hrf=choice, method="lsa")
    one = single_trial_betas(series.rows(run=1), hrf=library[7], method="lsa")
    np.testing.assert_allclose(betas.values[:, 1], one.values[:, 1], atol=1e-10)
    with pytest.raises(InputError, match="runs that are not here"):
        choose_hrf(series, runs=[9])


def test_choice_by_left_out_runs_is_that_of_explicit_regressions(series):
    models = ["spm", Hrf(4.0, 14.0)]
    choice = choose_hrf(series, library=models)
    layer = be.FeatureSpace(np.eye(3), {"stimulus_id": ["a", "b", "c"]})
    for place, model in enumerate(models):
        X = be.design(layer, series, hrf=model).values
        error, power = 0.0, 0.0
        runs = series.samples["run"].to_numpy()
        clean = {}
        for run in (1, 2):
            rows = runs == run
            N = drifts(np.arange(rows.sum()) * T_R + T_R / 2, T_R, "cosine", 1 / 128, 1)
            clean[run] = [one[rows] - N @ np.linalg.lstsq(N, one[rows], rcond=None)[0] for one in (X, series.values)]
        for test, train in ((1, 2), (2, 1)):
            beta = np.linalg.lstsq(*clean[train], rcond=None)[0]
            error = error + ((clean[test][1] - clean[test][0] @ beta) ** 2).sum(axis=0)
            power = power + (clean[test][1] ** 2).sum(axis=0)
        np.testing.assert_allclose(choice.scores[place], 1 - error / power, atol=1e-8)
