"""Figures of cluster tests show the statistic where it belongs and outline what is significant."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.metrics.clusters import Clusters


def scored(rng, times=12, channels=("Oz", "Pz", "Cz")):
    targets = pd.DataFrame({"channel": np.repeat(channels, times), "time": np.tile(np.arange(times) * 0.02 - 0.04, len(channels))})
    targets = targets.assign(subject="01", target_id=[f"t{i}" for i in range(len(targets))]).sample(frac=1.0, random_state=0, ignore_index=True)
    entries = pd.DataFrame([{"model": "toy", "layer": "one", "metric": "pearson", "seed": 0}])
    return be.Scores(rng.random((1, 1, len(targets))), entries, targets, {"01": be.ArraySpace(len(targets))}, "toy", n_test=[[40]])


def test_cells_stand_at_their_channel_and_time(rng, made):
    scores = scored(rng)
    t, mask = rng.standard_normal(36), (scores.targets["channel"] == "Pz").to_numpy() & (scores.targets["time"] > 0.09).to_numpy()
    table = pd.DataFrame({"cluster": [1], "sign": [1], "n_cells": [int(mask.sum())], "mass": [9.0], "peak": [3.0], "p": [0.01]})
    found = Clusters(table, mask, mask.astype(int), t, np.where(mask, 0.01, 1.0), 2.0, "greater", 99, 1, 0.05)
    figure = be.plot(found, scores=scores)
    image = np.ma.filled(figure.axes[0].collections[0].get_array(), np.nan)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    for cell, row in scores.targets.iterrows():
        assert image[names.index(row["channel"]), round((row["time"] + 0.04) / 0.02)] == pytest.approx(t[cell])
    lines = [one for one in figure.axes[0].collections[1:] if hasattr(one, "get_segments")]
    heights = {round(float(y), 1) for one in lines for segment in one.get_segments() for y in segment[:, 1]}
    row = names.index("Pz")
    assert heights == {row - 0.5, row + 0.5} and made.pixels(figure).std() > 0 and "1 of 1 clusters" in made.texts(figure)
    with pytest.raises(InputError, match="do not fit"):
        be.plot(found, scores=scores.where("channel == 'Oz'"))


def test_curves_and_plain_images(rng, made):
    line = be.rsa.cluster_test(rng.standard_normal((8, 20)) + 2 * (np.arange(20) > 12), n=100)
    figure = be.plot(line)
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), line.t)
    image = be.plot(be.rsa.cluster_test(rng.standard_normal((8, 5, 6)) + 1, n=100))
    assert made.pixels(image).std() > 0 and len(image.axes) == 2
