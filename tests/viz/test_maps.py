from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc import viz
from brainenc.core.errors import InputError
from brainenc.viz.surfaces import MESHES, VIEWS, on_drawn_mesh, regions_on_mesh


def pixels(figure):
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return np.asarray(Image.open(buffer).convert("RGB")).astype(int)


def n_colored(image):
    """Pixels that are clearly neither grey nor white."""
    return int((np.ptp(image, axis=2) > 60).sum())


@pytest.fixture
def left_occipital():
    """Vertices of the left hemisphere that lie far back and to the side."""
    from brainenc.nouns.spaces.surface import load_mesh

    points = load_mesh("fsaverage5", "left")[0]
    vertex = np.flatnonzero((points[:, 1] < -75) & (points[:, 0] < -20))
    return be.SurfaceSpace("fsaverage5", np.array(["left"] * len(vertex)), vertex)


def test_surface_colours_appear_only_in_views_of_that_hemisphere(left_occipital):
    values = np.ones(left_occipital.n_targets)
    seen = {
        view: n_colored(pixels(viz.brain_map(left_occipital, values, views=[view], vmin=0, vmax=2)))
        for view in ("left", "right", "posterior", "anterior")
    }
    bar = seen["right"]  # the colour bar alone
    assert seen["anterior"] <= bar * 1.3
    assert seen["left"] > bar + 200 and seen["posterior"] > bar + 200


def test_left_is_left_seen_from_above_and_right_seen_from_below(left_occipital):
    values = np.ones(left_occipital.n_targets)

    def side(view):
        image = pixels(viz.brain_map(left_occipital, values, views=[view], vmin=0, vmax=2))
        brain = image[:, : int(image.shape[1] * 0.8)]
        columns = np.flatnonzero((brain < 245).any(axis=(0, 2)))
        middle = (columns[0] + columns[-1]) / 2
        return np.sign(np.nonzero(np.ptp(brain, axis=2) > 60)[1].mean() - middle)

    assert side("dorsal") == -1  # anterior is up, so left is at the left
    assert side("posterior") == -1  # seen from behind, left is at the left
    assert side("ventral") == 1  # seen from below with anterior up, left is at the right


def test_nan_is_grey_and_counted(left_occipital):
    values = np.full(left_occipital.n_targets, np.nan)
    values[:3] = 0.5
    figure = viz.brain_map(left_occipital, values, title="t", views=["left"])
    assert f"{len(values) - 3} of {len(values)} targets" in figure.get_label()


def test_finer_and_coarser_meshes_share_vertices():
    fine = be.SurfaceSpace("fsaverage6", np.array(["left", "left"]), np.array([5, 20_000]))
    painted, note = on_drawn_mesh(fine, [1.0, 2.0])
    assert painted["left"][5] == 1.0 and np.isfinite(painted["left"]).sum() == 1 and "fsaverage6" in note
    coarse = be.SurfaceSpace("fsaverage4", np.array(["left"] * MESHES["fsaverage4"]), np.arange(MESHES["fsaverage4"]))
    painted, _ = on_drawn_mesh(coarse, np.arange(MESHES["fsaverage4"], dtype=float))
    assert painted["left"].shape == (MESHES["fsaverage5"],) and np.isfinite(painted["left"]).all()
    assert (painted["left"][:2562] == np.arange(2562)).all()  # a shared vertex is its own nearest


def test_regions_are_named_where_they_can_be_told_apart(left_occipital):
    half = left_occipital.n_targets // 2
    labels = ["A"] * half + ["B"] * (left_occipital.n_targets - half)
    regions = regions_on_mesh(left_occipital, labels)
    assert regions.names == ["A", "B"] and (regions.of["left"] == 0).sum() == half and (regions.of["right"] == -1).all()
    assert regions_on_mesh(left_occipital, [None] * left_occipital.n_targets) is None
    figure = viz.brain_map(left_occipital, np.ones(left_occipital.n_targets), views=["left"], regions=labels)
    assert {"A", "B"} <= {t.get_text() for ax in figure.axes for t in ax.texts}


def test_unknown_view_and_wrong_length_are_refused(left_occipital):
    with pytest.raises(InputError, match="view"):
        viz.brain_map(left_occipital, np.ones(left_occipital.n_targets), views=["sideways"])
    with pytest.raises(InputError, match="one number per target"):
        viz.brain_map(left_occipital, [1.0, 2.0])
    assert set(VIEWS) >= {"left", "right", "ventral", "posterior"}


def slab():
    mask = np.zeros((9, 8, 7), dtype=bool)
    mask[2:7, 1:6, 3] = True
    return be.VolumeSpace.from_mask(mask, np.diag([3.0, 3.0, 4.0, 1.0]))


def test_slab_is_shown_as_its_one_slice_unresampled():
    space = slab()
    values = np.linspace(0.1, 0.9, space.n_targets)
    values[0] = np.nan
    figure = viz.brain_map(space, values, title="slab", label="r")
    assert figure.axes[0].get_title() == "k = 3"
    rgba = figure.axes[0].images[1].get_array()
    assert int((rgba[..., 3] > 0).sum()) == space.n_targets - 1
    pixels(figure)


def test_whole_brain_volume_is_a_glass_brain():
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-90, -126, -72]
    mask = np.zeros((46, 55, 46), dtype=bool)
    mask[10:20, 10:20, 10:20] = True
    space = be.VolumeSpace.from_mask(mask, affine)
    figure = viz.brain_map(space, np.ones(space.n_targets), vmin=0, vmax=2)
    assert "glass brain" in figure.get_label() or n_colored(pixels(figure)) > 50
    import matplotlib.pyplot as plt

    assert not plt.get_fignums()


def sensors(n_times=8):
    angle = np.linspace(0, 2 * np.pi, 9)
    table = pd.DataFrame(
        {
            "channel": [f"E{i}" for i in range(9)],
            "x": 80 * np.cos(angle),
            "y": 80 * np.sin(angle),
            "z": np.linspace(0, 60, 9),
        }
    )
    return be.SensorSpace(table, np.linspace(-0.1, 0.6, n_times))


@pytest.mark.parametrize("n_times", [1, 8])
def test_sensors_have_courses_or_bars_and_scalp_maps(n_times, rng):
    space = sensors(n_times)
    values = rng.random(space.n_targets)
    values[2] = np.nan
    figure = viz.brain_map(space, values, label="r")
    assert len([ax for ax in figure.axes if ax.images]) >= 1
    if n_times > 1:
        assert figure.axes[0].get_xlabel() == "time (ms)"
    pixels(figure)
    bare = be.SensorSpace(space.channels[["channel", "type"]], space.times)
    pixels(viz.brain_map(bare, values))


def test_contacts_arrays_and_grayordinates(rng):
    table = pd.DataFrame(
        {
            "channel": list("abcdefg"),
            "x": rng.uniform(-50, 50, 7),
            "y": rng.uniform(-80, 40, 7),
            "z": rng.uniform(-20, 50, 7),
        }
    )
    pixels(viz.brain_map(be.ContactSpace(table), rng.random(7)))
    pixels(viz.brain_map(be.ContactSpace(table[["channel"]]), rng.random(7)))
    bars = viz.brain_map(be.ArraySpace((8,)), np.arange(8.0), title="t")
    assert [p.get_height() for p in bars.axes[0].patches] == list(np.arange(8.0)[::-1])
    pixels(viz.brain_map(be.ArraySpace((900,)), rng.random(900)))
    grey = be.CiftiSpace(
        np.array(["CIFTI_STRUCTURE_CORTEX_LEFT"] * 9),
        np.arange(9),
        np.full((9, 3), -1),
        {"CIFTI_STRUCTURE_CORTEX_LEFT": 9},
    )
    assert "no mesh" in viz.brain_map(grey, rng.random(9), title="t").get_label()
    native = be.SurfaceSpace("native", np.array(["left"] * 9), np.arange(9), n_vertices=(9, 9))
    assert "no mesh" in viz.brain_map(native, rng.random(9), title="t").get_label()


def test_signed_values_get_a_scale_that_is_even_about_zero(rng):
    from brainenc.viz.maps import Scale

    scale = Scale(rng.standard_normal(900), None, None, None)
    assert scale.name == "diverging" and scale.bottom == -scale.top
    assert Scale(rng.random(900), None, None, None).bottom == 0
    with pytest.raises(InputError, match="colour scale"):
        Scale(rng.random(9), None, 2.0, 1.0)
