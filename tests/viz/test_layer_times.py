"""Figures of encoding through time show the numbers of the tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc import viz
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding import TimeGeneralization

TIMES = np.arange(-4, 20) * 0.02
LAYERS = [("gabor", "energy"), ("toy", "l1"), ("toy", "l2")]


def timed(subjects=("01", "02"), *, order=None, ceiling=False):
    """Layer i is best at 0.08 (i + 1) s in four channels of two regions."""
    rng = np.random.default_rng(0)
    parts = []
    for name in subjects:
        for c in range(4):
            parts.append(pd.DataFrame({"subject": name, "target_id": [f"c{c}.{t}" for t in range(24)], "roi": "back" if c < 2 else "front", "time": TIMES}))
    targets = pd.concat(parts, ignore_index=True)
    values = np.stack([0.4 * np.exp(-0.5 * ((targets["time"].to_numpy() - 0.08 * (i + 1)) / 0.05) ** 2) for i in range(3)])[:, None]
    values = values + 0.01 * rng.standard_normal(values.shape)
    if order is not None:
        targets, values = targets.iloc[order], values[..., order]
    entries = pd.DataFrame([{"model": m, "layer": layer, "metric": "pearson", "seed": 0} for m, layer in LAYERS])
    limit = be.NoiseCeiling(np.full(len(targets), 0.64), n_repeats=3) if ceiling else None
    return be.Scores(values, entries, targets, {s: be.ArraySpace((96,)) for s in subjects}, "80/20 images", np.array(40), ceiling=limit)


def image_of(ax):
    return np.ma.filled(ax.collections[0].get_array(), np.nan)


def test_image_shows_the_table_in_the_order_of_time(made):
    order = np.r_[np.random.default_rng(1).permutation(96), 96:192]
    scores = timed(order=order)
    figure = be.plot(scores, "times")
    table = scores.by("time").groupby(["model", "layer", "time"], sort=False)["score"].mean().unstack("time").sort_index(axis=1)
    np.testing.assert_allclose(image_of(figure.axes[0]), table.loc[LAYERS].to_numpy())
    dots = figure.axes[0].lines[-1].get_xdata()
    np.testing.assert_allclose(dots, 1000 * table.columns.to_numpy()[table.loc[LAYERS].to_numpy().argmax(axis=1)])
    assert {"gabor/energy", "toy/l1", "time (ms)", "Layers through time"} <= set(made.texts(figure)) and "mean of 2 subjects" in figure.get_label()
    assert made.pixels(figure).std() > 0


def test_panels_and_the_ceiling(made):
    scores = timed(ceiling=True)
    figure = be.plot(scores, "times", by="roi", normalized=True)
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["back", "front"]
    table = scores.where(roi="front").by(["roi", "time"]).groupby(["model", "layer", "time"], sort=False)["normalized"].mean().unstack("time")
    np.testing.assert_allclose(image_of(figure.axes[1]), table.loc[LAYERS].to_numpy())
    many = viz.layer_time_image(scores, by="subject")
    assert len([ax for ax in many.axes if ax.get_title(loc="left")]) == 2
    assert made.pixels(figure).std() > 0


def test_a_sensor_space_knows_channels_and_times():
    scores = timed(subjects=("01",))
    space = be.SensorSpace({"channel": ["Oz", "Pz", "Cz", "Fz"]}, TIMES)
    bare = be.Scores(scores.values, scores.entries, scores.targets.drop(columns="time"), {"01": space}, scores.split, np.array(40))
    figure = be.plot(bare, "times", by="channel")
    assert [ax.get_title(loc="left") for ax in figure.axes[:4]] == ["Oz", "Pz", "Cz", "Fz"]
    np.testing.assert_allclose(image_of(figure.axes[2]), scores.mean().reshape(3, 4, -1)[:, 2])
    np.testing.assert_allclose(image_of(be.plot(bare, "times").axes[0]), image_of(be.plot(scores, "times").axes[0]))


def test_what_cannot_be_drawn_is_said(make_scores):
    with pytest.raises(NotFoundError, match="time"):
        be.plot(make_scores(), "times")
    with pytest.raises(InputError, match="two times"):
        be.plot(timed().where(time=float(TIMES[3])), "times")
    with pytest.raises(InputError, match="no ceiling"):
        be.plot(timed(), "times", normalized=True)


def generalization(n_layers=2, n_times=5):
    values = np.random.default_rng(0).uniform(0, 0.5, size=(n_layers, 3, n_times, n_times))
    values[0, 1, n_times // 2, :] = np.nan
    channels = pd.DataFrame({"subject": ["01", "01", "02"], "channel": ["Cz", "Pz", "Cz"], "n": 1})
    return TimeGeneralization(values, tuple(f"toy/l{i}" for i in range(n_layers)), channels, np.arange(-1, n_times - 1) / 10, "split", "folds")


def test_matrix_shows_the_mean_or_one_channel(made):
    found = generalization()
    figure = be.plot(found)
    np.testing.assert_allclose(image_of(figure.axes[0]).reshape(5, 5), found.mean()[0])
    one = be.plot(found, channel="Cz", layer="toy/l1")
    np.testing.assert_allclose(image_of(one.axes[0]).reshape(5, 5), found.values[1, [0, 2]].mean(axis=0))
    assert {"toy/l0", "toy/l1", "test time (ms)", "training time (ms)"} <= set(made.texts(figure)) and made.pixels(one).std() > 0
    assert "2 further layers are not drawn" in be.plot(generalization(11)).get_label()
    with pytest.raises(NotFoundError, match="toy/l0"):
        be.plot(found, layer="l0")
    with pytest.raises(NotFoundError, match="Cz"):
        be.plot(found, channel="Oz")
    with pytest.raises(InputError, match="at least two"):
        be.plot(generalization(n_times=1))
