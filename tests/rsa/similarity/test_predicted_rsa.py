"""Encoding-predicted RSA against RDMs and comparisons in plain scipy."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.spatial.distance as spd
import scipy.stats

import brainenc as be
from brainenc.rsa.similarity import predicted_rdms, predicted_rsa

N = 40


@pytest.fixture
def study(rng):
    """Two layers, the second of which makes V4; V1 is noise."""
    ids = [f"image{i:02d}" for i in range(N)]
    layers = {name: be.FeatureSpace(rng.standard_normal((N, 5)), {"stimulus_id": ids}, name=f"toy/{name}") for name in ("first", "second")}
    signal = layers["second"].values @ rng.standard_normal((5, 6))
    values = np.column_stack([rng.standard_normal((N, 4)), signal + 0.5 * rng.standard_normal((N, 6))])
    brain = be.Responses(values, {"stimulus_id": ids}, {"roi": ["V1"] * 4 + ["V4"] * 6}, name="01")
    return layers, brain


def scored(study, split, **options):
    layers, brain = study
    return be.score_layers(layers, brain, split=split, keep_predictions=True, encoder=be.encoding.Ridge(1.0, cv=None), **options)


def by_hand(predicted, observed):
    return np.corrcoef(spd.pdist(predicted, "correlation"), spd.pdist(observed, "correlation"))[0, 1]


def test_folds_are_compared_one_by_one(study):
    scores = scored(study, be.split.kfold(4))
    table = predicted_rsa(scores).set_index(["roi", "layer"])
    rows = scores.test_rows["01"]["fold"].to_numpy()
    for roi, columns in (("V1", slice(0, 4)), ("V4", slice(4, 10))):
        for layer in ("first", "second"):
            predicted, observed = scores.predictions["01"][f"toy/{layer}"][:, columns], scores.observed["01"][:, columns]
            expected = np.mean([by_hand(predicted[rows == f], observed[rows == f]) for f in range(4)])
            assert table.loc[(roi, layer), "score"] == pytest.approx(expected, abs=1e-6)
            joined = predicted_rsa(scores, aggregate="pooled").set_index(["roi", "layer"]).loc[(roi, layer)]
            assert joined["score"] == pytest.approx(by_hand(predicted, observed), abs=1e-6)
            assert (joined["n_folds"], joined["n_stimuli"]) == (1, N)
    assert (table["n_folds"] == 4).all() and (table["n_stimuli"] == N).all() and (table["n_nan"] == 0).all()
    assert table.loc[("V4", "second"), "score"] > 0.5 > table.loc[("V4", "first"), "score"]


def test_other_metrics_and_methods(study):
    scores = scored(study, be.split.images(test=0.4, seed=0))
    table = predicted_rsa(scores, by=None, metric="euclidean", method="spearman")
    expected = scipy.stats.spearmanr(spd.pdist(scores.predictions["01"]["toy/second"]), spd.pdist(scores.observed["01"])).statistic
    assert table.set_index("layer").loc["second", "score"] == pytest.approx(expected, abs=1e-6)
    assert "roi" not in table and (table["n_targets"] == 10).all() and (table["method"] == "spearman").all()


def test_stimuli_tested_again_are_averaged(study):
    scores = scored(study, be.split.images(test=0.5, seed=0, n=3))
    rows = scores.test_rows["01"]
    assert rows["stimulus_id"].duplicated().any()
    codes, unique = pd.factorize(rows["stimulus_id"])
    mean = lambda v: np.stack([v[codes == c].mean(axis=0, dtype=float) for c in range(len(unique))])  # noqa: E731
    expected = by_hand(mean(scores.predictions["01"]["toy/second"]), mean(scores.observed["01"]))
    table = predicted_rsa(scores, by=None, aggregate="pooled").set_index("layer")
    assert table.loc["second", "score"] == pytest.approx(expected, abs=1e-6)
    assert table.loc["second", "n_stimuli"] == len(unique)


def test_targets_without_a_prediction_are_counted(study):
    layers, brain = study
    values = brain.values.copy()
    values[:, 7] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = be.score_layers(layers, replace(brain, values=values), split=be.split.images(test=0.4, seed=0), keep_predictions=True)
    table = predicted_rsa(scores).set_index(["roi", "layer"])
    assert table.loc[("V4", "second"), "n_nan"] == 1 and table.loc[("V4", "second"), "n_targets"] == 5
    assert table.loc[("V1", "second"), "n_nan"] == 0


def test_predicted_responses_as_they_are(study, rng):
    layers, brain = study
    good = brain.values + 0.1 * rng.standard_normal(brain.values.shape)
    table = predicted_rsa({"toy/good": good, "toy/bad": rng.standard_normal(good.shape)}, brain).set_index(["roi", "layer"])
    assert table.loc[("V1", "good"), "score"] == pytest.approx(by_hand(good[:, :4], brain.values[:, :4]), abs=1e-10)
    assert table.loc[("V4", "good"), "score"] > 0.9 > 0.5 > table.loc[("V4", "bad"), "score"]
    order = rng.permutation(N)
    named = be.FeatureSpace(good[order], {"stimulus_id": np.array(brain.samples["stimulus_id"])[order]}, name="toy/good")
    assert predicted_rsa(named, brain).set_index("roi").loc["V4", "score"] == pytest.approx(table.loc[("V4", "good"), "score"], abs=1e-10)


def test_against_rdms(study, rng):
    _, brain = study
    rdms = be.rsa.rdm(brain, by="roi", conditions="stimulus_id")
    good = brain.values + 0.1 * rng.standard_normal(brain.values.shape)
    table = predicted_rsa({"good": good}, rdms).set_index("roi")
    assert table.loc["V4", "score"] == pytest.approx(by_hand(good, brain.values[:, 4:]), abs=1e-10)
    order = rng.permutation(N)
    named = be.FeatureSpace(good[order], {"stimulus_id": np.array(brain.samples["stimulus_id"])[order]}, name="toy/good")
    assert predicted_rsa(named, rdms).set_index("roi").loc["V4", "score"] == pytest.approx(table.loc["V4", "score"], abs=1e-10)


def test_the_rdms_behind_the_scores(study):
    scores = scored(study, be.split.kfold(4))
    predicted, observed = predicted_rdms(scores)
    table = predicted_rsa(scores, aggregate="pooled")
    np.testing.assert_allclose(np.diag(be.rsa.compare(predicted, observed, "pearson")), table["score"], atol=1e-12)
    pd.testing.assert_frame_equal(predicted.rdms, table[["subject", "roi", "model", "layer"]])
    one, other = predicted_rdms(scores, fold=2)
    assert one.n_conditions == other.n_conditions == 10


def test_pairs_across_folds_carry_the_means_of_the_folds(rng):
    """Predictors without any signal: within folds the RDMs agree by chance, across folds training means meet test means."""
    within, joined = [], []
    for _ in range(16):
        ids = [f"i{k}" for k in range(24)]
        layer = be.FeatureSpace(rng.standard_normal((24, 3)), {"stimulus_id": ids}, name="toy/noise")
        brain = be.Responses(rng.standard_normal((24, 30)), {"stimulus_id": ids}, name="01")
        scores = be.score_layers(layer, brain, split=be.split.kfold(6), keep_predictions=True, encoder=be.encoding.Ridge(1e6, cv=None))
        within.append(predicted_rsa(scores, metric="euclidean")["score"].item())
        joined.append(predicted_rsa(scores, metric="euclidean", aggregate="pooled")["score"].item())
    assert abs(np.mean(within)) < 3 * np.std(within) / 4 + 0.02
    assert np.mean(joined) > 3 * np.std(joined) / 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, b: predicted_rsa(s, b), "themselves"),
        (lambda s, b: predicted_rsa(replace(s, predictions={})), "keep_predictions=True"),
        (lambda s, b: predicted_rsa(b.values), "need observed ones"),
        (lambda s, b: predicted_rsa(b.values[:, :3], b), "different targets"),
        (lambda s, b: predicted_rsa(b.values, {"a": b, "b": b}), "one subject"),
        (lambda s, b: predicted_rsa(s, aggregate="mean"), "unknown value for aggregate"),
        (lambda s, b: predicted_rdms(s, fold=9), "no such fold"),
        (lambda s, b: predicted_rsa(b.values[:2], b.values[:2]), "at least 3 stimuli"),
    ],
)
def test_messages(study, call, message):
    scores = scored(study, be.split.images(test=0.4, seed=0))
    with pytest.raises(be.BrainencError, match=message):
        call(scores, study[1])
