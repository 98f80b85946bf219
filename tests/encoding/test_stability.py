"""Stability of the best layer over subsets of stimuli and units: clear winners, ties, and the numbers of a subset by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import layer_stability
from brainenc.encoding.stability import _folds, _region

pytestmark = pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")


def scores_of(weights, noise=1.0, split=None, n=120):
    rng = np.random.default_rng(0)
    ids = [f"image{i}" for i in range(n)]
    layers = {f"toy/{k}": be.FeatureSpace(rng.standard_normal((n, 5)), {"stimulus_id": ids}, name=f"toy/{k}") for k in "abc"}
    signal = sum(w * (x.values @ rng.standard_normal((5, 8))) for w, x in zip(weights, layers.values(), strict=True))
    targets = {"target_id": [f"v{i}" for i in range(8)], "roi": ["V1"] * 5 + ["V4"] * 3}
    brain = be.Responses(signal + noise * rng.standard_normal((n, 8)), {"stimulus_id": ids}, targets, name="01")
    return be.score_layers(layers, brain, split=split or be.split.images(test=0.5, seed=0), keep_predictions=True)


def test_a_clear_winner_is_stable_and_a_tie_is_not():
    clear = layer_stability(scores_of((0.3, 0.5, 1.5)), n=50)
    assert (clear["agreement"] == 1).all() and (clear["layer"] == "c").all() and (clear["depth_sd"] == 0).all() and (clear["rank_correlation"] > 0.5).all()
    close = layer_stability(scores_of((1.0, 1.0, 0.2), noise=3.0), n=50)
    assert close["agreement"].min() < 0.9 and (close["depth_high"] >= close["depth_low"]).all()
    assert list(clear["n_units"]) == [2, 2] and list(clear["n_stimuli"]) == [30, 30] and list(clear["roi"]) == ["V1", "V4"]


def test_more_of_both_is_more_stable():
    table = layer_stability(scores_of((0.8, 1.0, 0.7), noise=2.5), n_stimuli=[0.2, 0.9], n_units=[1, None], n=60)
    assert len(table) == 8
    mean = table.groupby(["n_stimuli", "n_units"])["agreement"].mean()
    assert mean.iloc[-1] >= mean.iloc[0] + 0.1
    full = layer_stability(scores_of((0.8, 1.0, 0.7), noise=2.5), n_stimuli=None, n_units=None, n=5)
    assert (full["agreement"] == 1).all() and (full["n_nan"] == 0).all()


def test_scores_of_a_subset_are_those_of_its_rows():
    scores = scores_of((0.5, 1.0, 0.2), split=be.split.kfold(3))
    rows = scores.test_rows["01"]
    folds, many = _folds(rows, 0.5, 4, 0, "01")
    assert many == 20 and [weights.sum(axis=1).tolist() for _, weights in folds] == [[20.0] * 4] * 3
    y, p = scores.observed["01"], scores.predictions["01"]["toy/b"]
    region = _region(y, [p], folds, "pearson", np.zeros(1))
    by_hand = np.mean([[stats.pearsonr(y[index][w[2] > 0][:, v], p[index][w[2] > 0][:, v]).statistic for v in range(8)] for index, w in folds], axis=0)
    np.testing.assert_allclose(region.draws[0, 2], by_hand, rtol=1e-5)
    np.testing.assert_allclose(region.point[0], scores.entry(layer="b").mean()[0], rtol=1e-5)


def test_sizes_that_do_not_fit():
    scores = scores_of((0.5, 1.0, 0.2))
    for wrong in ({"n_units": 6}, {"n_stimuli": 2}, {"n_stimuli": 1.5}, {"n_units": -0.5}, {"n_stimuli": 61}):
        with pytest.raises(InputError, match="does not fit|whole number"):
            layer_stability(scores, n=5, **wrong)
