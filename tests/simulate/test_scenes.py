"""The rendered scenes show what their table says, repeat from a seed, and vary."""

import numpy as np
import pytest

from brainenc.core.errors import InputError
from brainenc.core.rng import generator
from brainenc.simulate import scene_captions
from brainenc.simulate.scene_backgrounds import PAINTERS
from brainenc.simulate.scenes import ATTRIBUTES, CONCEPTS, render_scene, render_scenes

N = 60


@pytest.fixture(scope="module")
def scenes():
    return render_scenes(N, seed=5)


def test_a_scene_depends_on_seed_and_index_only(scenes):
    tail = render_scenes(9, seed=5, offset=30)
    np.testing.assert_array_equal(tail.images, scenes.images[30:39])
    assert tail.table.equals(scenes.table.iloc[30:39].reset_index(drop=True))
    for other in (render_scenes(9, seed=6, offset=30), render_scenes(9, seed=5, offset=30, stream="another")):
        assert (other.images != tail.images).any(axis=(1, 2, 3)).all()


def test_images_and_table_have_their_form(scenes):
    assert scenes.images.shape == (N, 64, 64, 3) and scenes.images.dtype == np.uint8
    assert len(scenes) == N and scenes.table["stimulus_id"].is_unique and scenes.table["stimulus_id"][12] == "scene-00012"
    assert not scenes.table.isna().any().any()
    for name in CONCEPTS:
        if name != "count":
            assert scenes.table[f"concepts.{name}"].equals(scenes.table[name].rename(f"concepts.{name}"))
    assert (scenes.table["concepts.count"].map({"one": 1, "two": 2, "three": 3}) == scenes.table["count"]).all()
    grey = scenes.images.astype(float).mean(axis=3) / 255
    np.testing.assert_allclose(scenes.table["luminance"], grey.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(scenes.table["contrast"], grey.std(axis=(1, 2)), atol=1e-6)


def test_every_value_occurs_about_equally_often():
    table = render_scenes(240, seed=1, size=16).table
    for name, values in ATTRIBUTES.items():
        counts = table[name].replace({1: "one", 2: "two", 3: "three"}).value_counts()
        expected = len(table) / len(values)
        assert set(counts.index) == set(values)
        chi2 = float(((counts - expected) ** 2 / expected).sum())
        assert chi2 < len(values) - 1 + 4 * np.sqrt(2 * (len(values) - 1))
    assert 0.15 < (table["second_category"] != "none").mean() < 0.45
    shown = table[table["second_category"] != "none"]
    assert (shown["second_category"] != shown["category"]).all() and (shown["second_colour"] != shown["colour"]).all()


def _scenes_on(backgrounds, seeds):
    """Yield image, background and row of scenes without a second thing; a scene's generator draws attributes and background first."""
    for seed in seeds:
        again = generator(seed, "probe")
        values = [options[int(again.integers(len(options)))] for options in ATTRIBUTES.values()]
        if values[-1] in backgrounds:
            image, row = render_scene(generator(seed, "probe"), 64)
            assert row["background"] == values[-1] and row["category"] == values[0]
            if row["second_category"] == "none":
                yield image.astype(float), PAINTERS[values[-1]](again, 64), row


def test_things_are_where_the_table_says():
    off = []
    for image, background, row in _scenes_on(["plain"], range(200)):
        gain = np.median(image.reshape(-1, 3), axis=0) / background[0, 0]
        ys, xs = np.nonzero(np.abs(image - background * gain).max(axis=2) > 45)
        off.append((xs.mean() / 64 - row["x"], ys.mean() / 64 - row["y"]))
        side = {"left": xs.mean() < 24, "right": xs.mean() > 40, "top": ys.mean() < 24, "bottom": ys.mean() > 40}
        middle = abs(xs.mean() - 32) < 8 and abs(ys.mean() - 32) < 8
        assert side.get(row["position"], middle), row
    assert len(off) >= 8
    assert np.abs(np.median(off, axis=0)).max() < 0.05


def test_as_many_things_as_counted_and_in_their_colour():
    from scipy import ndimage

    hue_of = {"red": (0.97, 1.03), "orange": (0.05, 0.10), "yellow": (0.12, 0.18), "green": (0.32, 0.41), "blue": (0.57, 0.64), "purple": (0.72, 0.79)}
    checked = 0
    for image, _, row in _scenes_on(["plain", "gradient", "stripes", "checker", "noise"], range(200)):
        if row["category"] not in ("circle", "square", "triangle") or row["texture"] != "plain" or row["colour"] not in hue_of:
            continue
        vivid = image.max(axis=2) - image.min(axis=2) > 0.45 * image.max(axis=2)  # these backgrounds are muted
        patches, n = ndimage.label(ndimage.binary_erosion(vivid))
        areas = np.bincount(patches.ravel(), minlength=n + 1)[1:]
        assert (areas > 0.2 * areas.max()).sum() == row["count"], row
        hue = _hue(*image[vivid].mean(axis=0))
        low, high = hue_of[row["colour"]]
        assert low <= hue <= high or low <= hue + 1 <= high, (row["colour"], hue)
        checked += 1
    assert checked >= 4


def _hue(red, green, blue):
    return np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * np.pi) % 1.0


def test_captions_say_what_is_shown_and_no_more(scenes):
    for row in scenes.table.to_dict("records"):
        noun = row["category"] if row["count"] == 1 else scene_captions.plural(row["category"])
        assert row["caption"].startswith(f"{row['concepts.count']} {row['texture']} {row['colour']} {noun}")
        words = set(row["caption_2"].split()) | set(row["caption_3"].split())
        assert noun in words
        wrong = {c for c in ATTRIBUTES["colour"] if c not in (row["colour"], row["second_colour"])} | {"one", "two", "three"} - {row["concepts.count"]}
        assert not wrong & words


def test_an_attribute_left_out_leaves_no_trace():
    scene = {"category": "person", "colour": "orange", "count": 2, "position": "top", "texture": "dotted", "background": "city"}
    scene |= {"second_category": "cup", "second_colour": "blue"}
    assert scene_captions.compose(scene, []) == "some things"
    assert scene_captions.compose(scene | {"count": 1}, ["colour"]) == "an orange thing"
    assert scene_captions.compose(scene, ["category", "count", "second"]) == "two people and a small blue cup"
    assert scene_captions.compose(scene, scene_captions.MENTIONS) == "two dotted orange people and a small blue cup at the top in a city"


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("wording", [0, 1])
def test_prompts_follow_the_values_of_an_attribute(attribute, wording):
    asked = scene_captions.prompts(attribute, opening="see {}", wording=wording)
    assert len(asked) == len(set(asked)) == len(ATTRIBUTES[attribute])
    assert all(text.startswith("see ") and "a o" not in text for text in asked)


def test_other_sizes_show_the_same_scene():
    small, large = render_scenes(3, seed=2), render_scenes(3, seed=2, size=128)
    assert large.images.shape == (3, 128, 128, 3)
    assert small.table["caption"].equals(large.table["caption"])


def test_no_scenes_and_bad_arguments():
    assert render_scenes(0, seed=0).images.shape == (0, 64, 64, 3)
    for bad in ({"n": -1, "seed": 0}, {"n": 1, "seed": -1}, {"n": 1, "seed": 0, "size": 8}, {"n": 1, "seed": 0, "offset": -2}):
        with pytest.raises(InputError):
            render_scenes(**bad)
