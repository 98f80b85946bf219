"""`brainenc.rsa.rdm`: what it takes, what it refuses, and its numbers against loops."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import BrainencWarning, InputError, NotFoundError
from brainenc.rsa._choices import ESTIMATORS

N, FOLDS, P = 9, 4, 7
PLAIN = ("euclidean", "correlation", "cosine", "poisson")


def trials(rng, n_trials=80, p=P):
    """Unequal numbers of trials in cells, every condition in at least two folds."""
    condition = np.r_[np.tile(np.arange(N), 2), rng.integers(N, size=n_trials - 2 * N)]
    fold = np.r_[np.repeat([0, 1], N), rng.integers(FOLDS, size=n_trials - 2 * N)]
    return rng.gamma(2.0, size=(N, p))[condition] + rng.gamma(1.0, size=(n_trials, p)), condition, fold


def pairs(function):
    return np.array([function(i, j) for i, j in combinations(range(N), 2)])


def rates(x):
    return (x + 0.1) / 1.1


def naive(metric, values, condition, fold=None, covariance=None):
    """Distances from loops over pairs of trials, folds or conditions."""
    p = values.shape[1]
    mean = np.array([values[condition == c].mean(axis=0) for c in range(N)])
    inverse = None if covariance is None else np.linalg.inv(covariance)
    if metric == "euclidean":
        return pairs(lambda i, j: ((mean[i] - mean[j]) ** 2).sum() / p)
    if metric == "correlation":
        return pairs(lambda i, j: 1 - np.corrcoef(mean[i], mean[j])[0, 1])
    if metric == "cosine":
        return pairs(lambda i, j: 1 - mean[i] @ mean[j] / np.sqrt(mean[i] @ mean[i] * (mean[j] @ mean[j])))
    if metric == "mahalanobis":
        return pairs(lambda i, j: (mean[i] - mean[j]) @ inverse @ (mean[i] - mean[j]) / p)
    if metric == "poisson":
        return pairs(lambda i, j: ((rates(mean[i]) - rates(mean[j])) * np.log(rates(mean[i]) / rates(mean[j]))).sum() / p)
    if metric == "crossnobis":
        inverse = np.eye(p) if inverse is None else inverse
        mean = values.mean(axis=0)
        products = (values - mean) @ inverse @ (values - mean).T
        apart = fold[:, None] != fold[None, :]
        similar = lambda i, j: products[np.ix_(condition == i, condition == j)][apart[np.ix_(condition == i, condition == j)]].mean()  # noqa: E731
        return pairs(lambda i, j: (similar(i, i) + similar(j, j) - 2 * similar(i, j)) / p)
    found = []
    for i, j in combinations(range(N), 2):
        one = []
        for m in range(FOLDS):
            cell = [(values[(condition == c) & (fold == m)], values[(condition == c) & (fold != m)]) for c in (i, j)]
            if all(len(part) for both in cell for part in both):
                (test_i, train_i), (test_j, train_j) = [tuple(rates(part.mean(axis=0)) for part in both) for both in cell]
                one.append(((train_i - train_j) * np.log(test_i / test_j)).sum() / p)
        found.append(np.mean(one))
    return np.array(found)


CASES = [(metric, None) for metric in (*PLAIN, "crossnobis", "poisson_cv")]


@pytest.mark.parametrize(("metric", "residuals"), [*CASES, ("mahalanobis", 5), ("mahalanobis", 30), ("crossnobis", 5), ("crossnobis", 30)])
def test_every_metric_is_its_loop(rng, metric, residuals):
    """With fewer and with more residuals than channels where the metric takes noise."""
    estimator = ESTIMATORS.get(metric)
    values, condition, fold = trials(rng)
    noise = None if residuals is None else be.rsa.noise_model(rng.normal(size=(residuals, P)))
    found = be.rsa.rdm(values, metric=metric, conditions=condition, folds=fold if estimator.CROSSVALIDATED else None, noise=noise)
    assert found.metric == metric and found.values.dtype == np.float64
    order = found.ids.astype(int)
    expected = naive(metric, values, np.argsort(order)[condition], fold, None if noise is None else noise.covariance())
    np.testing.assert_allclose(found.values[0], expected, rtol=1e-10, atol=1e-12)


def test_pairs_of_folds_can_weigh_the_same(rng):
    values, condition, fold = trials(rng, 200)
    found = be.rsa.rdm(values, metric="crossnobis", conditions=condition, folds=fold, weighting="folds").values[0]
    mean = np.array([[values[(condition == c) & (fold == m)].mean(axis=0) for m in range(FOLDS)] for c in range(N)])
    expected = pairs(lambda i, j: np.mean([(mean[i, m] - mean[j, m]) @ (mean[i, u] - mean[j, u]) for m in range(FOLDS) for u in range(FOLDS) if u != m]) / P)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize(("dtype", "offset", "tolerance"), [(np.float64, 1e6, 1e-9), (np.float32, 1e3, 1e-4)])
@pytest.mark.parametrize("metric", ["euclidean", "crossnobis"])
def test_an_offset_changes_nothing_but_rounding(rng, metric, dtype, offset, tolerance):
    """What is left is the rounding of the data themselves: 6e-5 of values of 1,000 in float32."""
    values, fold = rng.normal(size=(3 * N, 200)), np.repeat([0, 1, 2], N)
    options = {"metric": metric, "conditions": np.tile(np.arange(N), 3), "folds": fold if metric == "crossnobis" else None}
    expected = be.rsa.rdm(values, **options).values
    found = be.rsa.rdm((values + offset).astype(dtype), **options).values
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_an_offset_does_not_add_noise_to_unbalanced_crossnobis(rng):
    values, condition, fold = trials(rng)
    options = {"metric": "crossnobis", "conditions": condition, "folds": fold}
    np.testing.assert_allclose(be.rsa.rdm(values + 1e3, **options).values, be.rsa.rdm(values, **options).values, rtol=1e-8)
    assert np.abs(be.rsa.rdm(values + 1e3, center=False, **options).values - be.rsa.rdm(values, **options).values).max() > 1


@pytest.mark.parametrize("metric", ["euclidean", "correlation", "cosine", "crossnobis", "poisson", "poisson_cv"])
def test_float32_agrees_and_blocks_change_nothing(rng, metric):
    condition, fold = np.tile(np.arange(N), 3), np.repeat([0, 1, 2], N)
    values = rng.gamma(2.0, size=(5, 3 * N, 300))
    options = {"metric": metric, "conditions": condition, "folds": fold if ESTIMATORS.get(metric).CROSSVALIDATED else None}
    whole = be.rsa.rdm(values, **options).values
    # one group at a time; of metrics that add up over channels, a few channels at a time
    for memory in ("900kB", "60kB") if ESTIMATORS.get(metric).ADDITIVE else ("900kB",):
        np.testing.assert_allclose(be.rsa.rdm(values, memory=memory, **options).values, whole, rtol=1e-10, atol=1e-13)
    small = be.rsa.rdm(values.astype(np.float32), **options).values
    np.testing.assert_allclose(small, whole, rtol=0, atol=1e-5 * np.abs(whole).max())
    with pytest.raises(InputError, match=r"memory budget is too small.*at least"):
        be.rsa.rdm(values, memory=500, **options)


def test_memory_maps_are_read_and_inputs_never_written(rng, tmp_path):
    values, condition, fold = trials(rng)
    np.save(tmp_path / "x.npy", values)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    kept = values.copy()
    for metric in ESTIMATORS.names():
        estimator = ESTIMATORS.get(metric)
        options = {"metric": metric, "conditions": condition, "folds": fold if estimator.CROSSVALIDATED else None}
        options |= {"noise": "schaefer_strimmer"} if estimator.NOISE else {}
        np.testing.assert_array_equal(be.rsa.rdm(values, **options).values, be.rsa.rdm(mapped, **options).values)
        np.testing.assert_array_equal(values, kept)


@pytest.mark.parametrize("metric", ["euclidean", "mahalanobis", "crossnobis"])
def test_conventions_can_be_switched(rng, metric):
    values, condition, fold = trials(rng)
    options = {"metric": metric, "conditions": condition, "folds": fold if metric == "crossnobis" else None, "noise": None if metric == "euclidean" else "full"}
    base = be.rsa.rdm(values, **options).values
    np.testing.assert_allclose(be.rsa.rdm(values, per_channel=False, **options).values, base * P)
    np.testing.assert_allclose(be.rsa.rdm(values, squared=False, **options).values, np.sign(base) * np.sqrt(np.abs(base)))
    for wrong in ({"metric": "correlation", "squared": False}, {"metric": "cosine", "per_channel": False}, {"metric": "poisson", "squared": False}):
        with pytest.raises(InputError, match="as it is"):
            be.rsa.rdm(values, conditions=condition, **wrong)


def holes(values, rng, share=0.1):
    values = values.copy()
    values[rng.random(values.shape) < share] = np.nan
    return values


@pytest.mark.parametrize("metric", PLAIN)
def test_missing_channels_are_left_out_of_each_pair(rng, metric):
    mean = holes(rng.gamma(2.0, size=(N, 30)), rng)
    found = be.rsa.rdm(mean, metric=metric, nan="omit").values[0]
    for value, (i, j) in zip(found, combinations(range(N), 2), strict=True):
        both = np.isfinite(mean[i]) & np.isfinite(mean[j])
        assert 10 < both.sum() < 30
        pair = be.rsa.rdm(mean[[i, j]][:, both], metric=metric).values[0, 0]
        assert value == pytest.approx(pair, rel=1e-10)


def test_missing_trials_are_left_out_of_means(rng):
    values, condition, _ = trials(rng)
    values = holes(values, rng)
    expected = np.array([np.nanmean(values[condition == c], axis=0) for c in range(N)])
    found = be.rsa.rdm(values, metric="euclidean", conditions=condition, nan="omit").values[0]
    np.testing.assert_allclose(found, pairs(lambda i, j: ((expected[i] - expected[j]) ** 2).mean()), rtol=1e-10)


def test_missing_values_with_correlated_noise_take_the_block_of_the_covariance(rng):
    mean, covariance = holes(rng.normal(size=(N, 12)), rng, 0.05), np.cov(rng.normal(size=(40, 12)), rowvar=False)
    found = be.rsa.rdm(mean, metric="mahalanobis", noise=be.rsa.NoiseModel.from_covariance(covariance), nan="omit").values[0]

    def expected(i, j):
        both = np.isfinite(mean[i]) & np.isfinite(mean[j])
        d = (mean[i] - mean[j])[both]
        return d @ np.linalg.inv(covariance[np.ix_(both, both)]) @ d / both.sum()

    np.testing.assert_allclose(found, pairs(expected), rtol=1e-10)


@pytest.mark.parametrize("noise", [None, "diagonal", "full", "each fold"])
def test_missing_channels_in_crossnobis(rng, noise):
    """A channel that is missing throughout for some conditions: each pair has its own channels."""
    condition, fold = np.tile(np.arange(N), 3), np.repeat([0, 1, 2], N)
    values = rng.normal(size=(3 * N, 10))
    values[np.isin(condition, [0, 4]), 2] = np.nan
    values[condition == 7, 5:7] = np.nan
    model = {None: None, "diagonal": be.rsa.noise_model(rng.normal(size=(9, 10)), method="diagonal"), "full": be.rsa.noise_model(rng.normal(size=(30, 10)))}
    model["each fold"] = [be.rsa.noise_model(rng.normal(size=(12, 10))) for _ in range(3)]
    options = {"metric": "crossnobis", "conditions": condition, "folds": fold, "noise": model[noise]}
    found = be.rsa.rdm(values, nan="omit", **options).values[0]
    for value, (i, j) in zip(found, combinations(range(N), 2), strict=True):
        rows = np.isin(condition, [i, j])
        both = np.isfinite(values[rows]).all(axis=0)
        given = model[noise]
        own = [m.take(both) for m in given] if isinstance(given, list) else None if given is None else given.take(both)
        pair = be.rsa.rdm(values[rows][:, both], metric="crossnobis", conditions=condition[rows], folds=fold[rows], noise=own)
        assert value == pytest.approx(pair.values[0, 0], rel=1e-9, abs=1e-12)


def test_single_missing_values_in_crossnobis_channel_by_channel(rng):
    values, condition, fold = trials(rng, 60, p=3)
    values = holes(values, rng, 0.05)
    found = be.rsa.rdm(values, metric="crossnobis", conditions=condition, folds=fold, nan="omit", center=False).values[0]
    order = list(dict.fromkeys(condition))
    for value, (i, j) in zip(found, combinations(order, 2), strict=True):
        parts = []
        for channel in values.T:
            keep = np.isfinite(channel) & np.isin(condition, [i, j])
            try:
                one = be.rsa.rdm(channel[keep, None], metric="crossnobis", conditions=condition[keep], folds=fold[keep], center=False)
            except InputError:  # one of both is in fewer than two folds
                continue
            parts.append(one.values[0, 0])
        assert value == pytest.approx(np.mean(parts), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "correlation", "crossnobis", "poisson_cv"])
def test_propagated_nan_touches_its_pairs_alone(rng, metric):
    values, condition, fold = trials(rng)
    broken = values.copy()
    broken[condition == 3, 0] = np.nan
    options = {"metric": metric, "conditions": condition, "folds": fold if ESTIMATORS.get(metric).CROSSVALIDATED else None}
    found, whole = be.rsa.rdm(broken, nan="propagate", center=False, **options), be.rsa.rdm(values, center=False, **options)
    hit = np.array(["3" in pair for pair in combinations(whole.ids, 2)])
    assert np.isnan(found.values[0, hit]).all()
    np.testing.assert_allclose(found.values[0, ~hit], whole.values[0, ~hit], rtol=1e-12)


def test_where_values_are_missing(rng):
    values = rng.normal(size=(3, N, P))
    values[1, 4, 2] = np.nan
    with pytest.raises(InputError, match=r"NaN or infinity.*row 4 \(condition '4'\), channel 2 of group 1.*1 values in 1 rows and 1 channels.*omit"):
        be.rsa.rdm(values, metric="euclidean")
    values[1, 4, 2] = np.inf
    for policy in ("raise", "omit", "propagate"):
        with pytest.raises(InputError, match="infinity"):
            be.rsa.rdm(np.where(np.arange(N)[:, None] == 0, np.nan, values) if policy == "omit" else values, metric="euclidean", nan=policy)
    with pytest.raises(InputError, match="row 4"):
        be.rsa.rdm(values[1], metric="euclidean", memory="8kB")


def test_patterns_without_a_correlation_are_named(rng):
    values = rng.normal(size=(N, P)).astype(np.float32)
    values[2] = 7.1
    with pytest.warns(BrainencWarning, match=r"8 of 36 pairs are NaN, all pairs of '2': patterns that are constant"):
        found = be.rsa.rdm(values)
    assert np.isnan(found.values[0]).sum() == 8
    values[2] = 0
    with pytest.warns(BrainencWarning, match="cosine"):
        assert np.isnan(be.rsa.rdm(values, metric="cosine").values[0]).sum() == 8
    values[5] = np.nan
    with pytest.warns(BrainencWarning, match="15 of 36"):
        be.rsa.rdm(values, nan="omit")


def test_responses_bring_conditions_folds_and_tables(responses):
    categories = {f"s{i}": "animal" if i < 4 else "tool" for i in range(N)}
    with_categories = be.Responses(
        responses.values, responses.samples.assign(category=responses.samples["stimulus_id"].map(categories)), responses.targets, name="01"
    )
    found = be.rsa.rdm(with_categories, metric="crossnobis")
    assert found.conditions.columns.tolist() == ["stimulus_id", "category"] and found.rdms["subject"].tolist() == ["01"]
    assert found.conditions["category"].tolist() == [categories[i] for i in found.ids]
    expected = be.rsa.rdm(responses.values, metric="crossnobis", conditions=responses.samples["stimulus_id"], folds=responses.samples["run"])
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.ids.tolist() == list(dict.fromkeys(responses.samples["stimulus_id"]))
    by_category = be.rsa.rdm(with_categories, metric="euclidean", conditions="category")
    assert sorted(by_category.ids) == ["animal", "tool"] and by_category.key == "condition"
    in_order = be.rsa.rdm(responses.values, conditions=pd.Categorical(responses.samples["stimulus_id"], categories=sorted(categories)))
    assert in_order.ids.tolist() == sorted(categories)


def test_averages_count_for_the_trials_they_are_of(responses):
    part = responses.take_rows(np.r_[0:20])
    twice = part.average(["stimulus_id", "run"]).average(["stimulus_id", "subject"])
    direct = be.rsa.rdm(part, metric="euclidean").take_conditions(sorted(set(part.samples["stimulus_id"])))
    np.testing.assert_allclose(be.rsa.rdm(twice, metric="euclidean").take_conditions(direct.ids).values, direct.values)
    halves = be.Responses(
        np.stack([part.values[i::2].mean(axis=0) for i in range(2)] + [part.values[0]]), {"stimulus_id": ["a", "a", "b"], "n_repeats": [10, 5, 1]}, part.targets
    )
    mean = (10 * halves.values[0] + 5 * halves.values[1]) / 15
    assert be.rsa.rdm(halves, metric="euclidean").values[0, 0] == pytest.approx(((mean - halves.values[2]) ** 2).mean())


@pytest.mark.filterwarnings("ignore:.*once a fold:brainenc.core.errors.BrainencWarning")
def test_one_rdm_for_each_region(responses):
    found = be.rsa.rdm(responses, metric="crossnobis", by="roi", noise="schaefer_strimmer")
    assert found.rdms.to_dict("list") == {"subject": ["01", "01"], "roi": ["V1", "V4"]}
    for position, roi in enumerate(["V1", "V4"]):
        alone = be.rsa.rdm(responses.where(roi=roi), metric="crossnobis", noise="schaefer_strimmer")
        np.testing.assert_allclose(found.values[position], alone.values[0], rtol=1e-12)
    model = be.rsa.noise_model(responses)
    local = be.rsa.rdm(responses, metric="mahalanobis", by="roi", noise=model)
    alone = be.rsa.rdm(responses.where(roi="V4"), metric="mahalanobis", noise=model.take(np.arange(3, 8)))
    np.testing.assert_allclose(local.values[1], alone.values[0], rtol=1e-10)
    with pytest.raises(InputError, match="expected 8 channels, got 5"):  # as many as V4 has: it would not be said of which
        be.rsa.rdm(responses, metric="mahalanobis", by="roi", noise=be.rsa.noise_model(responses.where(roi="V4")))


def test_noise_of_the_trials_that_are_compared_is_warned_of(responses, rng):
    with pytest.warns(BrainencWarning, match="'01': every condition comes once a fold"):
        be.rsa.rdm(responses, metric="crossnobis", noise="diagonal")
    twice = responses.take_rows(np.tile(np.arange(responses.n_samples), 2))
    twice = replace(twice, values=twice.values + rng.standard_normal(twice.values.shape))
    be.rsa.rdm(twice, metric="crossnobis", noise="diagonal")  # repeats within a fold: no warning


def test_features_and_layers(features, responses):
    layers = {"toy/a": features, "toy/b": be.FeatureSpace(features.values[::-1] * 2 + 1, {"stimulus_id": features.samples["stimulus_id"][::-1]}, name="toy/b")}
    found = be.rsa.rdm(layers)
    assert found.rdms["model"].tolist() == ["toy", "toy"] and found.ids.tolist() == features.samples["stimulus_id"].tolist()
    np.testing.assert_allclose(found.values[0], found.values[1], rtol=1e-10)
    assert be.rsa.rdm(features).rdms["layer"].tolist() == ["layer1"]


def test_several_subjects_and_their_noise(responses, rng):
    other = be.Responses(rng.normal(size=(27, 5)), responses.samples.iloc[::-1].assign(subject="02"), name="02")
    models = {"x": be.rsa.noise_model(responses), "y": be.rsa.noise_model(other)}
    found = be.rsa.rdm({"x": responses, "y": other}, metric="crossnobis", noise=models)
    assert found.rdms["subject"].tolist() == ["x", "y"]
    listed = be.rsa.rdm([responses, other], metric="crossnobis", noise=list(models.values()))
    assert listed.rdms["subject"].tolist() == ["01", "02"]
    np.testing.assert_array_equal(listed.values, found.values)
    second = be.rsa.rdm(other, metric="crossnobis", noise=models["y"]).take_conditions(found.ids)
    np.testing.assert_allclose(found.values[1], second.values[0], rtol=1e-10)
    fewer = other.rows("stimulus_id != 's3'")
    with pytest.raises(InputError, match=r"different conditions.*1 missing \('s3'\)"):
        be.rsa.rdm([responses, fewer], metric="euclidean")
    assert be.rsa.rdm([responses, fewer], metric="euclidean", join="common").n_conditions == 8
    assert np.isnan(be.rsa.rdm([responses, fewer], metric="euclidean", join="all").values[1]).sum() == 8


def test_batches_and_lists_of_arrays(rng):
    values = rng.normal(size=(2, 3, N, P))
    found = be.rsa.rdm(values, metric="euclidean", axes=("subject", "time"))
    assert found.rdms.to_dict("list") == {"subject": [0, 0, 0, 1, 1, 1], "time": [0, 1, 2, 0, 1, 2]}
    for position, one in enumerate(values.reshape(-1, N, P)):
        np.testing.assert_allclose(found.values[position], be.rsa.rdm(one, metric="euclidean").values[0], rtol=1e-12)
    listed = be.rsa.rdm(list(values[0]), metric="euclidean")
    assert listed.rdms["subject"].tolist() == ["0", "1", "2"]
    np.testing.assert_allclose(listed.values, found.values[:3], rtol=1e-12)
    import torch

    np.testing.assert_array_equal(be.rsa.rdm(torch.from_numpy(values), metric="euclidean").values, found.values)


def test_epochs_and_evoked(rng):
    mne = pytest.importorskip("mne")
    info = mne.create_info(["a", "b", "c", "d"], 100.0, "eeg")
    info["bads"] = ["c"]
    data = rng.normal(size=(12, 4, 5))
    events = np.c_[np.arange(12), np.zeros(12, int), np.tile([1, 2, 3], 4)]
    event_id = {"face": 1, "house": 2, "cat": 3}
    epochs = mne.EpochsArray(data, info, events, tmin=-0.1, event_id=event_id, verbose="error")
    found = be.rsa.rdm(epochs, metric="euclidean")
    good = data[:, [0, 1, 3]].reshape(12, -1)
    np.testing.assert_allclose(found.values, be.rsa.rdm(good, metric="euclidean", conditions=np.tile(list(event_id), 4)).values, rtol=1e-10)
    assert found.ids.tolist() == list(event_id)
    movie = be.rsa.rdm(epochs, metric="euclidean", by="time")
    np.testing.assert_allclose(movie.rdms["time"], epochs.times)
    np.testing.assert_allclose(movie.values[2], be.rsa.rdm(data[:, [0, 1, 3], 2], metric="euclidean", conditions=events[:, 2]).values[0], rtol=1e-10)
    evoked = [epochs[name].average() for name in event_id]
    np.testing.assert_allclose(be.rsa.rdm(evoked, metric="euclidean").values, found.values, rtol=1e-10)
    named = be.rsa.rdm(dict(zip("xyz", evoked, strict=True)), metric="euclidean")
    assert named.ids.tolist() == list("xyz")
    metadata = pd.DataFrame({"stimulus_id": np.repeat([7, 8], 6), "block": np.tile([0, 1], 6), "kind": np.repeat(["p", "q"], 6)})
    described = mne.EpochsArray(data, info, events, event_id=event_id, metadata=metadata, verbose="error")
    found = be.rsa.rdm(described, metric="crossnobis", folds="block")
    assert found.ids.tolist() == ["7", "8"] and found.conditions["kind"].tolist() == ["p", "q"]


def test_images_are_sent_to_their_loader(rng):
    nibabel = pytest.importorskip("nibabel")
    with pytest.raises(InputError, match=r"load_nifti.*masker"):
        be.rsa.rdm(nibabel.Nifti1Image(rng.normal(size=(3, 3, 3, 4)), np.eye(4)))


def test_what_is_refused(rng, responses):
    values, condition, fold = trials(rng)
    with pytest.raises(NotFoundError, match=r"unknown metric.*crossnobi.*crossnobis"):
        be.rsa.rdm(values, metric="crossnobi")
    for options, message in [
        ({"metric": "crossnobis", "conditions": condition}, "needs folds"),
        ({"metric": "crossnobis", "conditions": condition, "folds": np.zeros(80)}, r"at least two folds \[rdm\]: got 1"),
        ({"metric": "crossnobis", "conditions": condition, "folds": condition}, "in one fold only"),
        ({"metric": "crossnobis", "conditions": condition, "folds": fold[:-1]}, "expected 80, got 79"),
        ({"metric": "euclidean", "conditions": condition, "folds": fold}, "would ignore the folds"),
        ({"metric": "euclidean", "conditions": condition, "noise": "full"}, "would ignore it"),
        ({"metric": "mahalanobis", "conditions": condition}, "needs a noise model"),
        ({"metric": "mahalanobis", "noise": "full"}, "measured once"),
        ({"metric": "mahalanobis", "noise": np.eye(6)}, "expected 7 channels, got 6"),
        ({"metric": "mahalanobis", "conditions": condition, "noise": [np.eye(P)] * 4}, "no folds"),
        ({"metric": "crossnobis", "conditions": condition, "folds": fold, "noise": [np.eye(P)] * 3}, "expected 4 folds, got 3"),
        ({"metric": "crossnobis", "conditions": condition, "folds": fold, "noise": {0: np.eye(P)}}, "folds without a noise model"),
        ({"metric": "poisson", "prior": (0.0, 0.1)}, "positive rate"),
        ({"conditions": np.zeros(80)}, "at least two conditions"),
        ({"conditions": "stimulus_id"}, "table of samples"),
        ({"by": "roi"}, "targets of Responses"),
        ({"axes": ("time",)}, "0 names"),
    ]:
        with pytest.raises(InputError, match=message):
            be.rsa.rdm(values, **options)
    with pytest.raises(InputError, match="not negative"):
        be.rsa.rdm(-values, metric="poisson")
    with pytest.raises(InputError, match=r"real numbers.*shape \(7,\)"):
        be.rsa.rdm(values[0])
    with pytest.raises(NotFoundError, match="no column 'region'"):
        be.rsa.rdm(responses, by="region")
    with pytest.raises(InputError, match="no trials"):
        be.rsa.rdm(be.Responses(values, {"run": fold}, t_r=2.0))
    with pytest.raises(InputError, match='by default "run"'):
        be.rsa.rdm(responses.average("stimulus_id"), metric="crossnobis")


def test_crossnobis_of_noise_is_zero_on_average(rng):
    """Five designs: the mean over pairs and data sets is within 4 standard errors of 0, and Euclidean is far from it."""
    means = []
    for seed in range(40):
        values, condition, fold = trials(np.random.default_rng(seed))
        values = np.random.default_rng([seed, 1]).normal(size=values.shape) @ np.diag(np.linspace(0.5, 2, P)) + 3
        means.append(be.rsa.rdm(values, metric="crossnobis", conditions=condition, folds=fold, noise="schaefer_strimmer").values.mean())
    assert abs(np.mean(means)) < 4 * np.std(means, ddof=1) / np.sqrt(len(means))
    assert be.rsa.rdm(values, metric="euclidean", conditions=condition).values.mean() > 10 * np.std(means)


@pytest.mark.slow
@pytest.mark.parametrize("folds", [2, 8])
@pytest.mark.parametrize("noise", [None, "schaefer_strimmer", "diagonal"])
@pytest.mark.parametrize("balanced", [True, False])
def test_crossnobis_is_unbiased_whatever_the_design(folds, noise, balanced):
    means = []
    for seed in range(1000):
        rng = np.random.default_rng([seed, folds])
        condition, fold = np.tile(np.arange(6), 2 * folds), np.repeat(np.arange(folds), 12)
        keep = np.ones(len(fold), bool) if balanced else (np.arange(len(fold)) < 24) | (rng.random(len(fold)) < 0.6)
        values = rng.normal(size=(len(fold), 12)) @ (np.eye(12) + 0.2) + rng.normal(size=12)
        means.append(be.rsa.rdm(values[keep], metric="crossnobis", conditions=condition[keep], folds=fold[keep], noise=noise).values.mean())
    assert abs(np.mean(means)) < 4 * np.std(means, ddof=1) / np.sqrt(len(means))
