"""Maps of a searchlight: one row a model, one scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc import viz
from brainenc.core.errors import InputError


def volume(shape=(6, 7, 4), affine=None):
    return be.VolumeSpace.from_mask(np.ones(shape, dtype=bool), np.diag([2.0, 3.0, 4.0, 1.0]) if affine is None else affine)


def make(space, n_models=2, values=None):
    n = space.n_targets
    values = np.stack([np.full((1, n), 0.1 * (i + 1)) for i in range(n_models)]) if values is None else values
    entries = pd.DataFrame({"model": [f"m{i}" for i in range(len(values))], "layer": "rdm", "metric": "spearman", "seed": 0})
    return be.Scores(values, entries, pd.DataFrame({"subject": "01", "target_id": [f"t{i}" for i in range(n)]}), {"01": space}, split="searchlight within 8 mm", n_test=np.array(20))


def test_each_model_is_a_row_of_slices_on_one_scale(made):
    space = volume()
    figure = be.plot(make(space, 3), "models")
    names = [t.get_text() for ax in figure.axes for t in ax.texts]
    assert names == ["m0", "m1", "m2"] and "Searchlight within 8 mm" in figure.get_label()
    colors = [ax.images[1].get_array()[..., :3].reshape(-1, 3).max(axis=0) for ax in figure.axes if len(ax.images) == 2]
    assert len(colors) == 3 * 4 and len({tuple(c) for c in colors}) == 3  # one colour a model in all of its slices
    made.pixels(figure)


def test_centres_without_a_score_show_the_ground(made):
    space = volume()
    values = np.full((1, 1, space.n_targets), 0.3)
    values[..., :10] = np.nan
    figure = viz.model_maps(make(space, values=values))
    assert "10 of 168 targets" in figure.get_label()
    shown = sum(int((ax.images[1].get_array()[..., 3] > 0).sum()) for ax in figure.axes if len(ax.images) == 2)
    assert shown == 158
    made.pixels(figure)


def test_models_are_chosen_by_name_and_counted(made):
    scores = make(volume(), 10)
    figure = viz.model_maps(scores)
    assert "2 further models are not drawn" in figure.get_label()
    assert [t.get_text() for ax in viz.model_maps(scores, models=["m9", "m0"]).axes for t in ax.texts] == ["m9", "m0"]
    with pytest.raises(InputError, match="no such model"):
        viz.model_maps(scores, models=["m99"])


def test_models_given_as_rdms_are_named_without_their_layer():
    scores = make(volume(), 4)
    entries = scores.entries.assign(model=["faces", "net", "net", "size"], layer=["rdm", "one", "two", "rdm"])
    figure = viz.model_maps(replace(scores, entries=entries))
    assert [t.get_text() for ax in figure.axes for t in ax.texts] == ["faces", "net/one", "net/two", "size"]
    figure.draw_without_rendering()
    name, title = figure.axes[0].texts[0].get_window_extent(), figure.axes[0].title.get_window_extent()
    assert not name.overlaps(title)


def mni():
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-90, -126, -72]
    mask = np.zeros((46, 55, 46), dtype=bool)
    mask[10:20, 10:20, 10:20] = True
    return be.VolumeSpace.from_mask(mask, affine)


def sensors(times, placed=True):
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    table = pd.DataFrame({"channel": [f"E{i}" for i in range(8)], "x": 80 * np.cos(angle), "y": 80 * np.sin(angle), "z": np.linspace(0, 60, 8)})
    return be.SensorSpace(table if placed else table[["channel"]], np.asarray(times))


def contacts():
    return be.ContactSpace(pd.DataFrame({"channel": list("abcde"), "x": [10.0, 20, 30, 40, 50], "y": 0.0, "z": 5.0}))


@pytest.mark.parametrize(
    "space",
    [
        volume((5, 6, 1)), mni(), be.SurfaceSpace("fsaverage5", ["left"] * 40 + ["right"] * 40, list(range(40)) * 2), sensors([0.0, 0.1, 0.2]), sensors([0.1]),
        sensors([0.0, 0.1], placed=False), contacts(), be.ArraySpace((30,)),
    ],
    ids=["slab", "MNI", "surface", "epochs", "one time", "no places", "contacts", "array"],
)  # fmt: skip
def test_every_space_is_drawn(made, space):
    values = np.random.default_rng(0).standard_normal((2, 1, space.n_targets))
    values[1, :, 2] = np.nan
    scores = make(space, values=values)
    hostile = replace(scores, entries=scores.entries.assign(model=["$\\frac{", "_x"]))
    for one in (scores, hostile):
        figure = viz.model_maps(one)
        assert made.pixels(figure).std() > 0
    made.pixels(viz.model_maps(replace(scores, values=np.full_like(values, np.nan))))
