"""score_layers against scikit-learn pipelines written out by hand, its sharing, its ceilings and its refusals."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import linear_model
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score

import brainenc as be
from brainenc.core.errors import BrainencWarning, InputError, NotFoundError

N_IMAGES, N_REPEATS = 60, 3


def pearson(a, b):
    return np.array([stats.pearsonr(x, y).statistic for x, y in zip(a.T, b.T, strict=True)])


@pytest.fixture
def ids():
    return [f"image{i:02d}" for i in range(N_IMAGES)]


@pytest.fixture
def layers(rng, ids):
    a = rng.standard_normal((N_IMAGES, 7))
    b = a @ rng.standard_normal((7, 90)) / 2 + rng.standard_normal((N_IMAGES, 90))
    return {
        "toy/small": be.FeatureSpace(a[::-1], {"stimulus_id": ids[::-1]}, name="toy/small"),
        "toy/wide": be.FeatureSpace(b, {"stimulus_id": ids}, name="toy/wide"),
    }


def brain_of(rng, ids, signal, name="01", counts=None, noise=0.5):
    counts = np.full(len(ids), N_REPEATS) if counts is None else np.asarray(counts)
    order = rng.permutation(np.repeat(np.arange(len(ids)), counts))
    n_targets = signal.shape[1]
    targets = {"roi": ["V1"] * 3 + ["V4"] * (n_targets - 3)}
    values = signal[order] + noise * rng.standard_normal((len(order), n_targets))
    return be.Responses(values, {"stimulus_id": [ids[i] for i in order]}, targets, name=name)


@pytest.fixture
def signal(rng, layers):
    return layers["toy/small"].values[::-1] @ rng.standard_normal((7, 8)) / np.sqrt(7)


@pytest.fixture
def brain(rng, ids, signal):
    return brain_of(rng, ids, signal)


@pytest.fixture
def split():
    return be.split.images(test=0.25, seed=3)


def by_hand(responses, features, split):
    """Per-image averages, features in the same order, and the split of the images: what the verb should have done."""
    mean = responses.average("stimulus_id")
    X = features.take(mean.samples["stimulus_id"]).values
    train, test = next(split.split(mean))
    return X, mean.values, mean.samples["n_repeats"].to_numpy(), train, test


def test_scores_are_those_of_scikit_learn(layers, brain, split):
    scores = be.score_layers(layers, brain, split=split, encoder=be.encoding.Ridge(alphas=2.0, cv=None), metric=["pearson", "r2"])
    assert list(scores.entries["layer"]) == ["small", "small", "wide", "wide"]
    for i, layer in enumerate(layers.values()):
        X, Y, _, train, test = by_hand(brain, layer, split)
        predicted = linear_model.Ridge(alpha=2.0).fit(X[train], Y[train]).predict(X[test])
        np.testing.assert_allclose(scores.values[2 * i, 0], pearson(Y[test], predicted), atol=1e-8)
        r2 = 1 - ((Y[test] - predicted) ** 2).sum(axis=0) / ((Y[test] - Y[test].mean(axis=0)) ** 2).sum(axis=0)
        np.testing.assert_allclose(scores.values[2 * i + 1, 0], r2, atol=1e-8)
    assert (scores.n_test == 15).all()


def test_the_default_penalty_is_the_leave_one_out_choice(layers, brain, split):
    scores = be.score_layers(layers, brain, split=split)
    for i, layer in enumerate(layers.values()):
        X, Y, _, train, _ = by_hand(brain, layer, split)
        grid = be.encoding.Ridge(cv="loo").fit(X[train], Y[train]).alphas_
        peer = linear_model.RidgeCV(grid, alpha_per_target=True).fit(X[train], Y[train])
        np.testing.assert_allclose(scores.alpha[i, 0], peer.alpha_, rtol=1e-8)
    assert scores.provenance["inner"] == "leave one image out"


def test_training_images_count_by_their_repeats_and_the_ceiling_by_those_of_the_test(rng, layers, ids, signal, split):
    counts = rng.integers(1, 6, N_IMAGES)
    brain = brain_of(rng, ids, signal, counts=counts)
    scores = be.score_layers(layers["toy/small"], brain, split=split, encoder=be.encoding.Ridge(alphas=2.0, cv=None))
    X, Y, n, train, test = by_hand(brain, layers["toy/small"], split)
    predicted = linear_model.Ridge(alpha=2.0).fit(X[train], Y[train], sample_weight=n[train]).predict(X[test])
    np.testing.assert_allclose(scores.values[0, 0], pearson(Y[test], predicted), atol=1e-8)
    assert scores.ceiling.n_repeats == pytest.approx(stats.hmean(n[test]))
    assert "variance ceiling" in scores.ceiling_status


def test_averaged_responses_carry_their_weights(rng, layers, ids, signal, split):
    brain = brain_of(rng, ids, signal, counts=rng.integers(1, 6, N_IMAGES))
    ready = be.score_layers(layers, brain.average("stimulus_id"), split=split)
    np.testing.assert_allclose(ready.values, be.score_layers(layers, brain, split=split).values, atol=1e-10)
    assert ready.ceiling is None and "averaged" in ready.ceiling_status


def test_single_trials_keep_images_on_one_side(layers, brain, split):
    scores = be.score_layers(layers["toy/wide"], brain, split=split, average=False, keep_predictions=True)
    assert (scores.n_test == 15 * N_REPEATS).all() and scores.ceiling.n_repeats == 1
    assert scores.test_rows["01"]["stimulus_id"].nunique() == 15
    assert scores.test_rows["01"].groupby("stimulus_id")["unit"].nunique().eq(1).all()
    assert scores.provenance["inner"].startswith("5-fold over images")


@pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")
def test_subjects_share_fits_without_changing_a_number(rng, layers, ids, signal, split):
    one, two = brain_of(rng, ids, signal[:, :5], "01"), brain_of(rng, ids, signal[:, ::-1], "02")
    two = two.take_rows(np.argsort(pd.Categorical(two.samples["stimulus_id"], pd.unique(one.samples["stimulus_id"])).codes, kind="stable"))
    other = brain_of(rng, ids, signal, "03")
    fewer = replace(other.take_rows(np.flatnonzero(other.samples["stimulus_id"] != ids[0])), name="04")
    people = {"01": one, "02": two, "03": other, "04": fewer}  # 03 saw the images in an order of its own, 04 one image less
    together = be.score_layers(layers, people, split=split, permutations=19, keep_predictions=True)
    assert together.provenance["shared_fits"] == [["01", "02", "03"], ["04"]]
    assert list(together.targets["subject"]) == ["01"] * 5 + ["02"] * 8 + ["03"] * 8 + ["04"] * 8
    for name, brain in people.items():
        alone = be.score_layers(layers, brain, split=split, permutations=19, keep_predictions=True)
        part = together.where(subject=name)
        for field in ("values", "alpha", "inner", "p", "q"):
            np.testing.assert_allclose(getattr(part, field), getattr(alone, field), atol=1e-10)
        np.testing.assert_allclose(part.ceiling.values, alone.ceiling.values)
        np.testing.assert_allclose(part.predictions[name]["toy/wide"], alone.predictions[name]["toy/wide"], atol=1e-6)


@pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")
@pytest.mark.parametrize("encoder", [None, be.encoding.Ridge(alphas=(0.1, 1, 10, 100), cv="gcv")])
def test_the_same_stimuli_in_another_order_share_a_fit(rng, layers, ids, signal, encoder):
    """Two regions of other targets and other trials, shown in other orders: the same test images, one decomposition, the same numbers."""
    one, two = brain_of(rng, ids, signal[:, :5], "V4"), brain_of(rng, ids, signal[:, ::-1], "IT")
    two = two.take_rows(rng.permutation(two.n_samples))
    together = be.score_layers(layers, {"V4": one, "IT": two}, split=be.split.images(test=0.25, seed=3), encoder=encoder, keep_predictions=True)
    assert together.provenance["shared_fits"] == [["V4", "IT"]]
    held_out = [set(together.test_rows[name]["stimulus_id"]) for name in ("V4", "IT")]
    assert held_out[0] == held_out[1]
    assert list(together.test_rows["V4"]["stimulus_id"]) != list(together.test_rows["IT"]["stimulus_id"])
    for name, brain in (("V4", one), ("IT", two)):
        alone = be.score_layers(layers, brain, split=be.split.images(test=0.25, seed=3), encoder=encoder, keep_predictions=True)
        part = together.where(subject=name)
        for field in ("values", "alpha", "inner"):
            np.testing.assert_allclose(getattr(part, field), getattr(alone, field), atol=1e-10)
        for layer in layers:
            np.testing.assert_allclose(part.predictions[name][layer], alone.predictions[name][layer], atol=1e-6)
    folds = be.score_layers(layers, {"V4": one, "IT": two}, split=be.split.images(test=0.25, seed=3), encoder=be.encoding.Ridge(alphas=(0.1, 10), cv=3))
    assert folds.provenance["shared_fits"] == [["V4"], ["IT"]]  # contiguous inner folds follow each one's own order


@pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")
def test_penalties_of_time_series_are_not_chosen_by_single_rows(rng):
    values = rng.standard_normal((120, 70))
    series = be.Responses(values, {"run": np.repeat([1, 2, 3], 40)}, t_r=2.0, name="01")
    space = be.FeatureSpace(rng.standard_normal((120, 3)), {"run": np.repeat([1, 2, 3], 40)}, name="toy/layer", rows="sample")
    for cv in ("loo", "gcv"):
        with pytest.raises(InputError, match=f"cv='{cv}' chooses penalties by single rows"):
            be.score_layers(space, series, split=be.split.runs(), encoder=be.encoding.Ridge(cv=cv))
    with pytest.warns(BrainencWarning) as caught:
        be.score_layers(space, series, split=be.split.runs(), encoder=be.encoding.Ridge(cv=2, search="hybrid"))
    assert any("GCV scan takes neighbouring scans for independent" in str(one.message) for one in caught)


def test_target_order_and_regions_do_not_change_a_number(rng, layers, brain, split):
    scores = be.score_layers(layers, brain, split=split)
    order = rng.permutation(8)
    np.testing.assert_allclose(be.score_layers(layers, brain.take_targets(order), split=split).values, scores.values[..., order], atol=1e-10)
    np.testing.assert_allclose(be.score_layers(layers, brain.where(roi="V4"), split=split).values, scores.where(roi="V4").values, atol=1e-10)


def test_pca_is_fitted_in_each_training_set(layers, brain):
    split = be.split.kfold(4)
    scores = be.score_layers(layers["toy/wide"], brain, split=split, reduce="pca:5", encoder=be.encoding.Ridge(alphas=1.0, cv=None))
    mean = brain.average("stimulus_id")
    X = layers["toy/wide"].take(mean.samples["stimulus_id"]).values
    for fold, (train, test) in enumerate(split.split(mean)):
        pca = PCA(5, svd_solver="full").fit(X[train])
        model = linear_model.Ridge(alpha=1.0).fit(pca.transform(X[train]), mean.values[train])
        expected = pearson(mean.values[test], model.predict(pca.transform(X[test])))
        np.testing.assert_allclose(scores.values[0, fold], expected, atol=1e-8)


def test_pooled_scores_join_the_held_out_predictions(layers, brain):
    kwargs = {"split": be.split.kfold(4), "keep_predictions": True}
    folds = be.score_layers(layers, brain, **kwargs)
    pooled = be.score_layers(layers, brain, aggregate="pooled", **kwargs)
    assert pooled.values.shape == (2, 1, 8) and (pooled.n_test == N_IMAGES).all()
    for i, name in enumerate(layers):
        np.testing.assert_allclose(pooled.values[i, 0], pearson(pooled.observed["01"], pooled.predictions["01"][name]), atol=1e-5)
    np.testing.assert_array_equal(folds.predictions["01"]["toy/small"], pooled.predictions["01"]["toy/small"])
    table = folds.test_rows["01"]
    for fold in range(4):
        rows = np.flatnonzero(table["fold"] == fold)
        expected = pearson(folds.observed["01"][rows], folds.predictions["01"]["toy/small"][rows])
        np.testing.assert_allclose(folds.values[0, fold], expected, atol=1e-5)
    assert sorted(table["stimulus_id"]) == sorted(set(brain.samples["stimulus_id"]))


def test_empty_and_constant_targets_are_kept_apart(layers, brain, split):
    whole = be.score_layers(layers, brain, split=split)
    values = brain.values.copy()
    values[:, 1], values[5, 2], values[:, 4] = np.nan, np.inf, 2.5
    with pytest.warns(BrainencWarning, match="2 of 8 targets of 01 have no scores"):
        scores = be.score_layers(layers, replace(brain, values=values), split=split, permutations=19, keep_predictions=True)
    good = [0, 3, 5, 6, 7]
    np.testing.assert_allclose(scores.values[..., good], whole.values[..., good], atol=1e-10)
    assert np.isnan(scores.values[..., [1, 2, 4]]).all() and np.isnan(scores.p[:, [1, 2, 4]]).all()
    assert scores.n_test[0].tolist() == [15, 0, 0] + [15] * 5
    assert scores.provenance["n_targets_excluded"] == {"01": 2} and scores.provenance["n_targets_missing_rows"] == {"01": 0}
    assert np.isnan(scores.predictions["01"]["toy/small"][:, 1]).all()


@pytest.mark.parametrize("aggregate", ["folds", "pooled"])
def test_a_target_that_lacks_rows_scores_as_if_alone_without_them(layers, brain, aggregate, rng):
    """Two patterns of missing trials, one shared by two targets; the same images are held out whatever is missing."""
    split = be.split.kfold(4, seed=0)
    held = [np.unique(brain.samples["stimulus_id"].to_numpy()[test]) for _, test in split.split(brain)]
    values, lost = brain.values.copy(), {}
    for columns, rows in (((1, 6), rng.choice(len(values), 25, replace=False)), ((3,), rng.choice(len(values), 9, replace=False))):
        values[np.ix_(rows, columns)] = np.nan
        lost.update({column: np.setdiff1d(np.arange(len(values)), rows) for column in columns})
    options = dict(aggregate=aggregate, permutations=19, bootstrap=50, keep_predictions=True, metric=["pearson", "r2"])
    with pytest.warns(BrainencWarning, match="3 of 8 targets of 01 lack some rows"):
        scores = be.score_layers(layers, replace(brain, values=values), split=split, **options)
    whole = be.score_layers(layers, brain, split=split, **options)
    good = [0, 2, 4, 5, 7]
    np.testing.assert_allclose(scores.values[..., good], whole.values[..., good], atol=1e-10)
    for column, rows in lost.items():
        alone = brain.take_rows(rows).take_targets([column])
        means = pd.DataFrame({"y": alone.values[:, 0]}).groupby(alone.samples["stimulus_id"].to_numpy()).agg(y=("y", "mean"), n=("y", "size"))
        for number, space in enumerate(layers.values()):
            X = space.values[[list(space.samples["stimulus_id"]).index(one) for one in means.index]]
            found = []
            for ids in held:
                test = means.index.isin(ids)
                model = be.encoding.Ridge(cv="loo").fit(X[~test], means["y"][~test].to_numpy(), sample_weight=means["n"][~test].to_numpy(dtype=float))
                found.append((means["y"][test].to_numpy(), model.predict(X[test])))
            found = found if aggregate == "folds" else [tuple(np.concatenate([one[side] for one in found]) for side in (0, 1))]
            np.testing.assert_allclose(scores.values[2 * number, :, column], [np.corrcoef(*one)[0, 1] for one in found], atol=1e-6)
            np.testing.assert_allclose(scores.values[2 * number + 1, :, column], [r2_score(*one) for one in found], atol=1e-6)
        assert scores.n_test[:, column].tolist() == [len(one[0]) for one in found]
        assert np.abs(scores.ceiling.values[column] - be.metrics.from_repeats(alone).values[0]) < 0.02
        assert np.isfinite(scores.p[:, column]).all() and np.isfinite(scores.ci[:, :, column]).all()
    assert scores.provenance["n_targets_missing_rows"] == {"01": 3} and scores.provenance["n_targets_excluded"] == {"01": 0}


def test_kept_predictions_of_missing_test_rows_are_nan(layers, brain, split):
    single = brain.average("stimulus_id")
    train, test = next(iter(split.split(single)))
    values = single.values.copy()
    values[test[[2, 5]], 4] = np.nan
    with pytest.warns(BrainencWarning, match="lack some rows"):
        scores = be.score_layers(layers, replace(single, values=values), split=split, keep_predictions=True)
    observed, predicted = scores.observed["01"][:, 4], scores.predictions["01"]["toy/small"][:, 4]
    rows = scores.test_rows["01"]["row"].to_numpy()
    assert set(rows[np.isnan(predicted)]) == set(test[[2, 5]]) == set(rows[np.isnan(observed)])
    kept = np.isfinite(observed)
    assert np.corrcoef(observed[kept], predicted[kept])[0, 1] == pytest.approx(scores.values[0, 0, 4], abs=1e-5)
    np.testing.assert_allclose(observed[kept], values[rows[kept], 4], atol=1e-5)


def test_without_repeats_the_ceiling_says_so(layers, brain, split):
    single = brain.average("stimulus_id")
    single = replace(single, samples=single.samples.drop(columns="n_repeats"))
    scores = be.score_layers(layers, single, split=split)
    assert scores.ceiling is None and scores.ceiling_status == "no ceiling: no stimulus is repeated"
    given = be.NoiseCeiling(np.full(8, 0.5), n_repeats=3)
    assert be.score_layers(layers, single, split=split, ceiling=given).ceiling.values.tolist() == [0.5] * 8
    assert be.score_layers(layers, single, split=split, ceiling=None).ceiling_status == "no ceiling was asked for"
    with pytest.raises(InputError, match="expected 8, got 3"):
        be.score_layers(layers, single, split=split, ceiling=given.take(np.arange(3)))


def test_permutations_find_the_signal_and_q_is_corrected_within_subject_and_layer(layers, brain, split):
    scores = be.score_layers(layers, brain, split=split, permutations=199, seed=1)
    assert (scores.p[0] <= 0.02).all()
    np.testing.assert_allclose(scores.q[1], stats.false_discovery_control(scores.p[1]))
    again = be.score_layers(layers, brain, split=split, permutations=199, seed=1)
    np.testing.assert_array_equal(scores.p, again.p)
    with pytest.raises(InputError, match="same rows again"):
        be.score_layers(layers, brain, split=be.split.images(0.25, seed=0, n=3), permutations=19)


def test_the_best_layer_is_chosen_on_inner_scores(layers, brain, split):
    best = be.score_layers(layers, brain, split=split).best(by="roi")
    assert (best.provenance["chosen"] == 0).all()


def test_any_scikit_learn_regressor_is_cloned_and_used(layers, brain, split):
    model = linear_model.LinearRegression()
    scores = be.score_layers(layers["toy/small"], brain, split=split, encoder=model)
    assert not hasattr(model, "coef_") and scores.alpha is None and scores.inner is None
    X, Y, _, train, test = by_hand(brain, layers["toy/small"], split)
    np.testing.assert_allclose(scores.values[0, 0], pearson(Y[test], model.fit(X[train], Y[train]).predict(X[test])), atol=1e-8)
    peer = be.score_layers(layers["toy/small"], brain, split=split, encoder=linear_model.RidgeCV([0.1, 1, 10], alpha_per_target=True))
    assert set(peer.alpha.ravel()) <= {0.1, 1.0, 10.0}
    one = be.score_layers(layers["toy/small"], brain.take_targets([2]), split=split, encoder=model)
    np.testing.assert_allclose(one.values[0, 0], scores.values[0, 0, [2]], atol=1e-10)
    with pytest.raises(InputError, match="not an estimator"):
        be.score_layers(layers, brain, split=split, encoder="ridge")


def test_a_layer_at_the_edge_of_the_grid_is_named(layers, brain, split):
    encoder = be.encoding.Ridge(alphas=[1e6, 1e7], cv="loo")
    with pytest.warns(BrainencWarning, match="toy/small 100% .mostly the smallest.") as caught:
        scores = be.score_layers(layers["toy/small"], brain, split=split, encoder=encoder)
    assert len(caught) == 1 and scores.provenance["edge_share"]["toy/small"] == 1.0


@pytest.fixture
def series(rng):
    run = np.repeat([1, 2, 3, 4], 30)
    X = rng.standard_normal((120, 5))
    design = be.FeatureSpace(X, {"run": run}, name="toy/motion", rows="sample")
    Y = X @ rng.standard_normal((5, 8)) + rng.standard_normal((120, 8))
    return design, be.Responses(Y, {"run": run}, t_r=2.0, name="01")


def test_time_series_choose_penalties_on_whole_runs(series):
    design, brain = series
    scores = be.score_layers(design, brain, split=be.split.runs(), keep_predictions=True)
    run = brain.samples["run"].to_numpy()
    for fold, held in enumerate([1, 2, 3, 4]):
        train = run != held
        model = be.encoding.Ridge(cv=[(np.flatnonzero(run[train] != k), np.flatnonzero(run[train] == k)) for k in np.unique(run[train])])
        model.fit(design.values[train], brain.values[train])
        np.testing.assert_allclose(scores.alpha[0, fold], model.alpha_)
        expected = pearson(brain.values[~train], model.predict(design.values[~train]))
        np.testing.assert_allclose(scores.values[0, fold], expected, atol=1e-8)
    assert "runs" in scores.provenance["inner"] and "time series" in scores.ceiling_status
    assert scores.test_rows["01"].groupby("unit").size().min() >= 10  # 20 s blocks
    five = be.score_layers(design, brain, split=be.split.runs(), encoder=be.encoding.Ridge(cv=3))
    np.testing.assert_allclose(five.alpha, scores.alpha)


def test_blocks_keep_their_gap_in_the_inner_folds(series):
    from brainenc.encoding._rows import prepare

    design, brain = series
    subject = prepare("01", brain, be.split.blocks(4, gap=3), {"toy/motion": design}, "auto")
    for fold in subject.folds:
        assert np.abs(fold.train.rows[:, None] - fold.test.rows).min() > 3
        for train, test in fold.inner:
            assert np.abs(train[:, None] - test).min() > 3


def test_scans_need_a_design_and_are_not_shuffled(series, layers, split):
    design, brain = series
    events = {"onset": [0.0], "duration": [2.0], "stimulus_id": ["image00"], "run": [1]}
    with pytest.raises(InputError, match=r"brainenc\.design"):
        be.score_layers(layers, replace(brain, events=events), split=be.split.runs())
    with pytest.raises(InputError, match="both sides"):
        be.score_layers(design, brain, split=be.split.kfold(5, None, seed=0))


def test_trials_that_repeat_across_runs_are_scored_with_a_warning(rng, layers, ids, signal):
    brain = brain_of(rng, ids, signal)
    brain = replace(brain, samples=brain.samples.assign(run=brain.samples.groupby("stimulus_id").cumcount()))
    with pytest.warns(BrainencWarning, match="test stimuli also train"):
        scores = be.score_layers(layers["toy/small"], brain, split=be.split.runs())
    assert scores.provenance["test_stimuli_in_training"] == {"01": N_IMAGES} and scores.ceiling.n_repeats == 1
    assert scores.provenance["n_train"] == [2 * N_IMAGES] * 3


def test_what_does_not_fit_is_refused_with_numbers(layers, brain, split):
    fewer = layers["toy/wide"].take([f"image{i:02d}" for i in range(50)])
    with pytest.raises(InputError, match="10 of 60 stimulus_ids"):
        be.score_layers(fewer, brain, split=split)
    holed = layers["toy/wide"].values.copy()
    holed[3, 2] = np.nan
    with pytest.raises(InputError, match="features hold NaN.*toy/wide"):
        be.score_layers(replace(layers["toy/wide"], values=holed), brain, split=be.split.kfold(3))
    with pytest.raises(NotFoundError, match="pearson"):
        be.score_layers(layers, brain, split=split, metric="pearsn")
    with pytest.raises(InputError, match="not a brainenc split"):
        be.score_layers(layers, brain, split=5)
    with pytest.raises(InputError, match="aggregate"):
        be.score_layers(layers, brain, split=split, aggregate="mean")
    with pytest.raises(InputError, match="seed"):
        be.score_layers(layers, brain, split=split, seed=-1)
    with pytest.raises(InputError, match="features cannot be scored"):
        be.score_layers({}, brain, split=split)


def test_float32_and_memory_leave_the_scores_alone(layers, brain, split):
    wide = be.score_layers(layers, brain, split=split)
    narrow = {name: replace(space, values=space.values.astype(np.float32)) for name, space in layers.items()}
    np.testing.assert_allclose(be.score_layers(narrow, brain, split=split).values, wide.values, atol=1e-4)
    np.testing.assert_allclose(be.score_layers(layers, brain, split=split, memory="3MB").values, wide.values, atol=1e-10)


def test_scores_can_be_saved(tmp_path, layers, brain, split):
    scores = be.score_layers(layers, brain, split=split, keep_predictions=True)
    back = be.read(scores.save(tmp_path / "scores"))
    pd.testing.assert_frame_equal(back.to_frame(), scores.to_frame())


def test_no_warning_without_a_reason(layers, brain, split):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        be.score_layers(layers["toy/small"], brain, split=split)


def test_encoders_that_couple_targets_are_fitted_subject_by_subject(rng, layers, ids, split):
    from sklearn.linear_model import RidgeCV

    X = layers["toy/small"].take(ids).values
    values = {"01": X @ rng.standard_normal((7, 4)), "02": 9 * rng.standard_normal((N_IMAGES, 5))}
    people = {name: be.Responses(y, {"stimulus_id": ids}, name=name) for name, y in values.items()}
    encoder = RidgeCV(np.logspace(-2, 4, 7))  # one penalty for all targets it is given
    together = be.score_layers(layers, people, split=split, encoder=encoder, ceiling=None)
    assert together.provenance["shared_fits"] == [["01"], ["02"]]
    for name, brain in people.items():
        alone = be.score_layers(layers, brain, split=split, encoder=encoder, ceiling=None)
        np.testing.assert_array_equal(together.where(subject=name).values, alone.values)


def test_held_out_categories_are_held_out_inside_too(rng, layers, ids):
    category = [f"c{i % 6}" for i in range(N_IMAGES)]
    brain = be.Responses(rng.standard_normal((2 * N_IMAGES, 8)), {"stimulus_id": ids * 2, "category": category * 2}, name="01")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BrainencWarning)  # noise: penalties at the edge
        scores = be.score_layers(layers, brain, split=be.split.images(0.3, seed=0, groups="category"))
    assert "category" in scores.provenance["inner"]


@pytest.mark.parametrize("aggregate", ["folds", "pooled"])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_runs_that_differ_in_their_means_are_named_for_pooled_scores(series, aggregate, shift):
    design, brain = series
    run = brain.samples["run"].to_numpy()
    brain = replace(brain, values=brain.values + shift * np.array([0.0, 2.0, -1.0, 1.5])[run - 1][:, None])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raw = be.score_layers(design, brain, split=be.split.runs(), aggregate=aggregate)
    found = [w for w in caught if "runs differ in their means" in str(w.message)]
    assert len(found) == (aggregate == "pooled" and shift > 0)
    if found:
        assert 'responses.clean(detrend=True, standardize="zscore")' in str(found[0].message) and found[0].category is BrainencWarning
        clean = brain.clean(detrend=True, standardize="zscore")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.median(be.score_layers(design, clean, split=be.split.runs(), aggregate=aggregate).values) > np.median(raw.values) + 0.2


def test_short_runs_of_noise_do_not_differ_in_their_means(rng):
    from brainenc.encoding._job import _share_between_runs
    from brainenc.encoding._rows import prepare

    run = np.repeat(np.arange(12), 8)
    design = be.FeatureSpace(rng.standard_normal((96, 3)), {"run": run}, name="toy/motion", rows="sample")
    noise = be.Responses(rng.standard_normal((96, 80)), {"run": run}, t_r=2.0, name="01")
    assert abs(_share_between_runs(prepare("01", noise, be.split.runs(), {"toy/motion": design}, "auto"))) < 0.05


def test_encoders_that_cannot_be_used_are_named(layers, brain, split):
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.svm import SVR

    class Broken(linear_model.LinearRegression):
        def fit(self, X, y):
            raise RuntimeError("out of luck")

    one = layers["toy/small"]
    with pytest.raises(InputError, match=r"pass an instance.*encoder=Ridge\(\)"):
        be.score_layers(one, brain, split=split, encoder=linear_model.Ridge)
    with pytest.raises(InputError, match=r"(?s)encoder SVR, layer 'toy/small'.*MultiOutputRegressor\(SVR") as caught:
        be.score_layers(one, brain, split=split, encoder=SVR())
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(InputError, match=r"(?s)encoder Broken, layer 'toy/small'.*RuntimeError: out of luck") as caught:
        be.score_layers(one, brain, split=split, encoder=Broken())
    assert isinstance(caught.value.__cause__, RuntimeError) and "MultiOutput" not in str(caught.value)
    assert np.isfinite(be.score_layers(one, brain, split=split, encoder=MultiOutputRegressor(SVR())).values).all()


def test_components_that_could_not_be_kept_are_recorded(layers, brain, split):
    fewer = be.score_layers(layers, brain, split=split, reduce="pca:30").provenance["reduce"]
    assert fewer == "pca:30 (fewer components kept: toy/small 7)"
    assert be.score_layers(layers, brain, split=split, reduce="pca:5").provenance["reduce"] == "pca:5"
    assert be.score_layers(layers, brain, split=split).provenance["reduce"] == "none"


def test_a_short_key_keeps_the_name_of_the_model(layers, brain, split):
    one = layers["toy/small"]
    assert be.score_layers({"small": one}, brain, split=split).layers == ["toy/small"]
    assert be.score_layers({"mine": one}, brain, split=split).layers == ["mine/mine"]
    with pytest.raises(InputError, match="same name"):
        be.score_layers({"small": one, "toy/small": one}, brain, split=split)
