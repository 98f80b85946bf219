"""Temporal generalisation of encoders equals a naive loop, keeps the scores on its diagonal, and shows planted patterns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding import temporal_generalization

pytestmark = pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")
TIMES = np.arange(-2, 6) / 50


def epochs(name="01", seed=0, n=90, noise=1.0, pairs=None):
    """One pattern at times 2 and 3 of "Cz", another at 5 and 6; "Pz" follows the second layer from time 4 on; "Oz" is noise."""
    rng = np.random.default_rng(seed)
    ids = [f"image{i}" for i in range(n)]
    layers = {f"toy/{k}": be.FeatureSpace(np.random.default_rng(k == "b").standard_normal((n, 4)), {"stimulus_id": ids}, name=f"toy/{k}") for k in "ab"}
    a, b = (one.values for one in layers.values())
    signal = np.zeros((n, 3, len(TIMES)))
    signal[:, 0, 2:4] = (a @ [1, 1, 0, 0])[:, None]
    signal[:, 0, 5:7] = (a @ [0, 0, 1, 1])[:, None]
    signal[:, 1, 4:] = (b @ [1, 0, -1, 0])[:, None]
    values = (signal + noise * rng.standard_normal(signal.shape)).reshape(n, -1)
    space = be.SensorSpace({"channel": ["Cz", "Pz", "Oz"]}, TIMES)
    if pairs is not None:
        values, space = values[:, pairs], space.take(pairs)
    return layers, be.Responses(values, {"stimulus_id": ids}, space=space, name=name)


def scored(split=None, **options):
    layers, brain = epochs(**{k: options.pop(k) for k in ("pairs", "noise", "seed") if k in options})
    return be.score_layers(layers, brain, split=split or be.split.kfold(3), keep_predictions=True, **options)


@pytest.mark.parametrize("aggregate", ["folds", "pooled"])
def test_equals_a_loop_and_its_diagonal_are_the_scores(aggregate):
    scores = scored(aggregate=aggregate)
    found = temporal_generalization(scores)
    fold = scores.test_rows["01"]["fold"].to_numpy()
    parts = [np.ones(len(fold), dtype=bool)] if aggregate == "pooled" else [fold == k for k in range(3)]
    y = scores.observed["01"].astype(float).reshape(-1, 3, len(TIMES))
    loop = np.empty(found.values.shape)
    for i, name in enumerate(scores.layers):
        p = scores.predictions["01"][name].astype(float).reshape(y.shape)
        for c, t, u in np.ndindex(3, len(TIMES), len(TIMES)):
            loop[i, c, t, u] = np.mean([np.corrcoef(p[rows, c, t], y[rows, c, u])[0, 1] for rows in parts])
    np.testing.assert_allclose(found.values, loop, rtol=0, atol=1e-12)
    diagonal = np.diagonal(found.values, axis1=2, axis2=3).reshape(2, -1)
    np.testing.assert_allclose(diagonal, scores.mean(), rtol=0, atol=1e-5)  # kept predictions are float32
    np.testing.assert_allclose(found.mean(), loop.mean(axis=1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(temporal_generalization(scores, average=True).values[:, 0], loop.mean(axis=1), rtol=0, atol=1e-12)


def test_planted_patterns_generalise_where_they_last():
    found = temporal_generalization(scored(noise=0.5), layers="toy/a").values[0, 0]
    assert found[2:4, 2:4].min() > 0.7 and found[5:7, 5:7].min() > 0.7
    assert abs(found[2:4, 5:7]).max() < 0.4 and abs(found[5:7, 2:4]).max() < 0.4
    assert abs(found[2:7][:, [0, 1, 7]][[0, 1, 3, 4]]).max() < 0.4  # encoders of signal find none where there is none
    assert abs(found[:2]).max() > 0.4  # an encoder of noise is a direction of the features: such rows mean nothing
    late = temporal_generalization(scored(noise=0.5), layers=["toy/b"]).values[0, 1]
    assert late[4:, 4:].min() > 0.7 and abs(late[4:, :4]).max() < 0.4


def test_chunks_of_channels_change_nothing(monkeypatch):
    scores = scored()
    whole = temporal_generalization(scores)
    monkeypatch.setattr("brainenc.encoding.generalizing.CHUNK_BYTES", 1)
    np.testing.assert_array_equal(temporal_generalization(scores).values, whole.values)
    np.testing.assert_allclose(temporal_generalization(scores, average=True).values[:, 0], whole.mean(), atol=1e-15)


def test_missing_pairs_and_targets_without_a_score_are_unknown_and_nothing_else_is():
    pairs = np.r_[0:8, 9:16, 16:24]  # "Pz" lacks its first time
    scores = scored(pairs=pairs)
    kept = {k: v.copy() for k, v in scores.predictions["01"].items()}
    kept["toy/a"][:, 20] = np.nan
    kept["toy/b"][:, 0] = 3.0  # constant: no correlation
    found = temporal_generalization(replace(scores, predictions={"01": kept}))
    unknown = np.isnan(found.values)
    expected = np.zeros(unknown.shape, dtype=bool)
    expected[:, 1, 0, :] = expected[:, 1, :, 0] = True
    expected[0, 2, 5] = expected[1, 0, 0] = True
    np.testing.assert_array_equal(unknown, expected)
    assert np.isfinite(found.mean()).all()
    whole = temporal_generalization(scored())
    np.testing.assert_allclose(found.values[0, 1, 1:, 1:], whole.values[0, 1, 1:, 1:], atol=1e-4)


def test_table_and_columns_instead_of_a_space():
    scores = scored()
    found = temporal_generalization(scores)
    table = found.to_frame()
    assert list(table) == ["subject", "channel", "model", "layer", "time", "time_test", "score", "n"] and len(table) == found.values.size
    one = table[(table["channel"] == "Pz") & (table["layer"] == "b") & np.isclose(table["time"], TIMES[4]) & np.isclose(table["time_test"], TIMES[6])]
    assert one["score"].item() == found.values[1, 1, 4, 6]
    targets = scores.targets.assign(channel=np.repeat(["x", "y", "z"], 8), time=np.tile(TIMES, 3))
    shuffled = np.random.default_rng(0).permutation(24)
    named = replace(
        scores, targets=targets.iloc[shuffled], spaces={"01": be.ArraySpace((24,))}, values=scores.values[..., shuffled], ceiling=None,
        observed={"01": scores.observed["01"][:, shuffled]}, predictions={"01": {k: v[:, shuffled] for k, v in scores.predictions["01"].items()}},
    )  # fmt: skip
    again = temporal_generalization(named)
    order = [list(again.channels["channel"]).index(name) for name in "xyz"]
    np.testing.assert_allclose(again.values[:, order], found.values, atol=1e-14)
    assert "3 channels" in repr(found)


def test_subjects_weigh_the_same():
    brains = {"01": epochs()[1], "02": replace(epochs(seed=5, pairs=np.arange(8))[1], name="02")}
    scores = be.score_layers(epochs()[0], brains, split=be.split.kfold(3), keep_predictions=True)
    found = temporal_generalization(scores)
    assert list(found.channels["subject"]) == ["01"] * 3 + ["02"]
    np.testing.assert_allclose(found.mean(), (found.values[:, :3].mean(axis=1) + found.values[:, 3]) / 2)
    short = replace(epochs(pairs=np.arange(4))[1], name="02")
    uneven = be.score_layers(epochs()[0], {"01": brains["01"], "02": short}, split=be.split.kfold(3), keep_predictions=True)
    with pytest.raises(InputError, match="different times"):
        temporal_generalization(uneven)


def test_what_cannot_be_generalised_is_said():
    layers, brain = epochs()
    with pytest.raises(InputError, match="predictions"):
        temporal_generalization(be.score_layers(layers, brain, split=be.split.kfold(3)))
    scores = scored()
    with pytest.raises(NotFoundError, match="toy/c"):
        temporal_generalization(scores, layers="toy/c")
    with pytest.raises(InputError, match="does not fit into memory"):
        temporal_generalization(scores, memory=2 * 3 * 8**2 * 8 - 1)
    temporal_generalization(scores, memory=2 * 8**2 * 8, average=True)
    doubled = replace(scores, targets=scores.targets.assign(channel="Cz", time=np.tile(TIMES, 3)))
    with pytest.raises(InputError, match="share a channel"):
        temporal_generalization(doubled)
    pd.testing.assert_frame_equal(scores.targets, scored().targets)
