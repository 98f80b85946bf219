"""Best layers: chosen on training rows, with their confidence on held-out rows."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding import best_layer
from brainenc.metrics import pearson
from brainenc.metrics.resample import bootstrap_folds, bootstrap_pearson

N = 120
LAYERS = ("a/early", "a/middle", "a/late", "b/early", "b/late")


def make(*, noise=2.0, split=None, metric="pearson"):
    """V1 follows a/early, V4 follows b/late, and IT nothing at all."""
    rng = np.random.default_rng(3)
    ids = [f"i{i}" for i in range(N)]
    parts = {name: rng.standard_normal((N, 5)) for name in LAYERS}
    layers = {name: be.FeatureSpace(x, {"stimulus_id": ids}, name=name) for name, x in parts.items()}
    signal = [parts["a/early"] @ rng.standard_normal((5, 4)), parts["b/late"] @ rng.standard_normal((5, 3)), np.zeros((N, 5))]
    values = np.concatenate(signal, axis=1) + noise * rng.standard_normal((N, 12))
    brain = be.Responses(values, {"stimulus_id": ids}, {"roi": ["V1"] * 4 + ["V4"] * 3 + ["IT"] * 5}, name="01")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", be.BrainencWarning)
        return be.score_layers(layers, brain, split=split or be.split.kfold(4, seed=0), metric=metric, keep_predictions=True)


def test_planted_layers_are_found_with_confidence():
    scores = make()
    regions = best_layer(scores, by="roi", n=200).set_index("roi")
    assert list(regions["layer"][:2]) == ["a/early", "b/late"] and (regions["confidence"][:2] > 0.95).all() and regions["distinct"][:2].all()
    assert list(regions["inner_layer"][:2]) == ["a/early", "b/late"] and (regions["stability"][:2] == 1).all()
    assert regions.loc["IT", "confidence"] < 0.9 and not regions.loc["IT", "distinct"]
    assert list(regions["depth"][:2]) == [0.0, 1.0] and (regions["depth_low"] <= regions["depth"]).all()
    assert regions.loc["V4", "depth_low"] == 1.0 and regions.loc["IT", "depth_high"] - regions.loc["IT", "depth_low"] == 1.0
    targets = best_layer(scores, n=200)
    assert len(targets) == 12 and (targets["layer"][:4] == "a/early").all() and {"target_id", "roi"} <= set(targets)
    by_hand = scores.mean()
    np.testing.assert_allclose(targets["score"], by_hand.max(axis=0), atol=1e-6)
    np.testing.assert_allclose(targets["difference"], by_hand.max(axis=0) - np.sort(by_hand, axis=0)[-2], atol=1e-6)


def test_confidence_is_the_share_of_draws():
    scores = make(split=be.split.images(0.4, seed=0))
    table = best_layer(scores, n=60, seed=9)
    ((rows, weights),) = bootstrap_folds(scores.test_rows["01"], 60, 9, "01")
    draws = np.stack([bootstrap_pearson(scores.observed["01"][rows], p[rows], weights) for p in scores.predictions["01"].values()])
    draws += (scores.mean() - draws.mean(axis=1))[:, None]
    first = [LAYERS.index(name) for name in table["layer"]]
    np.testing.assert_allclose(table["confidence"], (draws.argmax(axis=0) == first).mean(axis=0))


def test_twins_share_the_confidence():
    scores = make()
    kept = dict(scores.predictions["01"])
    rng = np.random.default_rng(0)
    kept["a/middle"] = kept["a/early"] + 1e-3 * rng.standard_normal(kept["a/early"].shape).astype(np.float32)
    table = best_layer(replace(scores, predictions={"01": kept}), by="roi", n=400).set_index("roi")
    assert 0.1 < table.loc["V1", "confidence"] < 0.9 and {table.loc["V1", "layer"], table.loc["V1", "runner_up"]} == {"a/early", "a/middle"}
    assert table.loc["V1", "depth_high"] == 0.5 and table.loc["V1", "depth_low"] == 0.0


def test_the_nested_score_is_that_of_inner_choices():
    scores = make(metric=["r2", "pearson"])
    targets, regions = best_layer(scores, n=20), best_layer(scores, by="roi", n=20)
    best = scores.best()
    np.testing.assert_allclose(targets["nested_score"], best.mean()[1])
    assert (targets["nested_score"] <= targets["score"] + 1e-5).mean() > 0.8  # the winner of held-out scores is flattered
    chosen = best.provenance["chosen"][1]
    for position, row in targets.iterrows():
        assert row["stability"] == (chosen[:, position] == LAYERS.index(row["inner_layer"])).mean()
    by_roi = scores.best("roi").mean()[1]
    np.testing.assert_allclose(regions["nested_score"], [np.median(by_roi[:4]), np.median(by_roi[4:7]), np.median(by_roi[7:])])
    bare = best_layer(replace(scores, inner=None), n=20)
    assert bare["nested_score"].isna().all() and bare["inner_layer"].isna().all() and np.isfinite(bare["confidence"]).all()


def test_predictions_of_the_choice_come_along():
    scores = make()
    for best in (scores.best(), scores.best("roi"), scores.best(within="model")):
        rows = best.test_rows["01"]["fold"].to_numpy()
        for entry, name in enumerate(best.entries["model"] + "/" + best.entries["layer"]):
            for fold in range(4):
                here = rows == fold
                expected = pearson(best.observed["01"][here], best.predictions["01"][name][here])
                np.testing.assert_allclose(best.values[entry, fold], expected, atol=1e-5)
    within = scores.best(within="model")
    assert list(within.entries["model"]) == ["a", "b"] and (within.entries["layer"] == "best").all()
    assert (within.provenance["chosen"][0] < 3).all() and (within.provenance["chosen"][1] >= 3).all()
    np.testing.assert_array_equal(within.values[0], scores.entry(model="a").best().values[0])
    tested = be.encoding.permutation_test(within, n=99)
    assert (tested.p[0, :4] <= 0.02).all()


def test_the_best_layer_of_a_model_is_a_map():
    scores = make()
    np.testing.assert_array_equal(scores.vector("b/best"), scores.entry(model="b").best().mean()[0])
    np.testing.assert_array_equal(scores.vector("best"), scores.best().mean()[0])
    np.testing.assert_array_equal(scores.best(within="model").vector("b/best"), scores.vector("b/best"))
    with pytest.raises(NotFoundError, match="no layer 'c/best'"):
        scores.vector("c/best")
    with pytest.raises(InputError, match="within"):
        scores.best(within="roi")


def test_depths_can_be_given_and_must_be_complete():
    scores = make()
    depth = dict(zip(LAYERS, (1.0, 2.0, 3.0, 10.0, 20.0), strict=True))
    table = best_layer(scores, by="roi", n=50, depth=depth)
    assert list(table["depth"][:2]) == [1.0, 20.0]
    with pytest.raises(InputError, match="without a depth"):
        best_layer(scores, n=20, depth={"a/early": 0.0})
    with pytest.raises(InputError, match="at least two layers"):
        best_layer(scores.entry(model="b", layer="late"), n=20)


def test_targets_without_scores_have_no_layer():
    scores = make()
    holed = {name: values.copy() for name, values in scores.predictions["01"].items()}
    for values in holed.values():
        values[:, 0] = np.nan
    holed["a/early"][:, 1] = np.nan
    table = best_layer(replace(scores, predictions={"01": holed}), n=30)
    assert table["layer"].isna().tolist() == [True] + [False] * 11 and np.isnan(table["confidence"][0]) and not table["distinct"][0]
    assert table["layer"][1] != "a/early" and np.isnan(table["depth"][0]) and np.isfinite(table["depth"][1:]).all()
