"""Paired comparisons of layers: planted winners, ties, coverage and what they need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import compare_layers, winners

N = 200


def scored(rng, *, gap, split=None, aggregate="folds"):
    """Two regions: V1 follows layer one, V4 a mixture in which ``gap`` tells the two layers apart."""
    ids = [f"i{i}" for i in range(N)]
    one, two = rng.standard_normal((2, N, 6))
    a, b = rng.standard_normal((2, 6, 4))
    halves = [one @ a + (1 - gap) * two @ b, one @ b + (1 - gap) * two @ a]  # with no gap both layers explain as much of the region
    signal = np.concatenate([one @ rng.standard_normal((6, 7)), *halves], axis=1)
    values = signal + 3 * rng.standard_normal(signal.shape)
    brain = be.Responses(values, {"stimulus_id": ids}, {"roi": ["V1"] * 7 + ["V4"] * 8}, name="01")
    layers = {f"toy/{name}": be.FeatureSpace(x, {"stimulus_id": ids}, name=f"toy/{name}") for name, x in (("one", one), ("two", two))}
    encoder = be.encoding.Ridge(alphas=10.0, cv=None)
    split = split or be.split.images(0.4, seed=0)
    return be.score_layers(layers, brain, split=split, encoder=encoder, keep_predictions=True, aggregate=aggregate)


@pytest.mark.parametrize("aggregate", ["folds", "pooled"])
def test_a_planted_winner_is_found(rng, aggregate):
    scores = scored(rng, gap=1.0, split=be.split.kfold(4), aggregate=aggregate)
    table = winners(scores, n=200)
    assert list(table["roi"]) == ["V1", "V4"] and (table["winner"] == "toy/one").all() and table["distinct"].all()
    assert ((table["ci_low"] < table["difference"]) & (table["difference"] < table["ci_high"])).all()
    pairs = compare_layers(scores, n=200)
    assert len(pairs) == 4 and (pairs["reference"] == "toy/one").all()
    rival = pairs[pairs["layer"] == "toy/two"]
    assert (rival["difference"] < -0.1).all() and (rival["p"] < 0.02).all() and (rival["ci_high"] < 0).all()
    own = pairs[pairs["layer"] == "toy/one"]
    assert (own["difference"] == 0).all() and own["p"].isna().all()
    by_roi = scores.by("roi")
    np.testing.assert_allclose(sorted(pairs["score"]), sorted(by_roi["score"]), atol=1e-5)


def test_equals_are_not_told_apart(rng):
    distinct = [winners(scored(np.random.default_rng(seed), gap=0.0), n=200)["distinct"][1] for seed in range(10)]
    assert sum(distinct) <= 3


def test_the_same_draws_serve_every_layer(rng):
    scores = scored(rng, gap=0.5)
    twin = dict(scores.predictions["01"])
    twin["toy/two"] = twin["toy/one"].copy()
    table = compare_layers(replace(scores, predictions={"01": twin}), n=50)
    np.testing.assert_allclose(table[["difference", "ci_low", "ci_high"]].to_numpy(), 0.0, atol=1e-12)


def test_targets_without_a_score_are_left_out(rng):
    scores = scored(rng, gap=1.0)
    holed = {name: values.copy() for name, values in scores.predictions["01"].items()}
    for values in holed.values():
        values[:, 0] = np.nan
    table = winners(replace(scores, predictions={"01": holed}), n=50)
    assert np.isfinite(table["score"]).all() and np.isfinite(table["ci_low"]).all()


def test_one_layer_has_no_runner_up(rng):
    table = winners(scored(rng, gap=1.0).entry(layer="one"), by="subject", n=50)
    assert table["runner_up"].isna().all() and not table["distinct"].any() and len(table) == 1


def test_predictions_are_needed(rng):
    scores = scored(rng, gap=1.0)
    with pytest.raises(InputError, match="keep_predictions=True"):
        winners(replace(scores, predictions={}))
    with pytest.raises(InputError, match="at least 20"):
        winners(scores, n=5)


def test_many_draws_of_a_split_do_not_shrink_the_interval_like_new_images(rng):
    """Twenty draws test the same 200 images over and over: the interval is that of the images, not of 20 × 80 rows."""
    wide, many = (compare_layers(scored(np.random.default_rng(1), gap=1.0, split=be.split.images(0.4, n=n)), n=300) for n in (1, 20))
    ratio = [(t["ci_high"] - t["ci_low"])[t["layer"] == "toy/two"].mean() for t in (many, wide)]
    assert 0.4 < ratio[0] / ratio[1] < 1.0  # √(80 / 200) = 0.63 where images are what varies; 1 / √20 = 0.22 were draws independent


def test_targets_without_any_draw_give_no_warning(rng):
    ids = [f"i{i}" for i in range(12)]
    brain = be.Responses(rng.standard_normal((12, 3)), {"stimulus_id": ids}, {"roi": ["V1", "V1", "V4"]}, name="01")
    layers = {f"toy/{i}": be.FeatureSpace(rng.standard_normal((12, 4)), {"stimulus_id": ids}, name=f"toy/{i}") for i in range(2)}
    encoder = be.encoding.Ridge(alphas=10.0, cv=None)
    scores = be.score_layers(layers, brain, split=be.split.kfold(6), encoder=encoder, keep_predictions=True)
    assert len(winners(scores, n=100)) == 2
