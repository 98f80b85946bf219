"""One image kept in every kind of container comes back the same."""

import io
import zipfile

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.loaders import load_images, load_stimulus, stimulus_fingerprint
from brainenc.loaders.transforms import TRANSFORMS, as_image


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (4, 7, 9, 3), dtype=np.uint8)


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    return stream.getvalue()


@pytest.fixture
def root(tmp_path, pictures):
    (tmp_path / "a").mkdir()
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as bundle:
        for i, picture in enumerate(pictures):
            (tmp_path / "a" / f"p{i}.png").write_bytes(png(picture))
            bundle.writestr(f"sub/p{i}.png", png(picture))
    np.save(tmp_path / "s.npy", pictures)
    np.savez(tmp_path / "s.npz", imgs=pictures, other=np.zeros(2))
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["group/imgs"] = pictures
    cells = np.empty((1, 4), dtype=object)
    for i, picture in enumerate(pictures):
        cells[0, i] = picture
    scipy.io.savemat(tmp_path / "s.mat", {"stim": pictures, "cells": cells})
    return tmp_path


@pytest.mark.parametrize(
    "path",
    ["a/p{}.png", "images.zip::sub/p{}.png", "s.npy::[{}]", "s.npz::imgs[{}]", "s.h5::group/imgs[{}]", "s.mat::stim[{}]", "s.mat::cells[{}]"],
)
def test_every_container_gives_the_same_pictures(root, pictures, path):
    stimuli = be.StimulusSet({"stimulus_id": list("abcd"), "path": [path.format(i) for i in range(4)]}, root=root)
    for i, name in enumerate("abcd"):
        np.testing.assert_array_equal(stimuli.load(name), pictures[i])
    found = list(load_images(stimuli, ["c", "a"]))
    np.testing.assert_array_equal(np.stack(found), pictures[[2, 0]])
    assert found[0].dtype == np.uint8 and len(list(load_images(stimuli))) == 4


def test_a_container_that_changes_is_read_again(root, pictures):
    stimuli = be.StimulusSet({"stimulus_id": ["a"], "path": ["s.npz::imgs[0]"]}, root=root)
    before = stimulus_fingerprint(stimuli)
    np.testing.assert_array_equal(stimuli.load("a"), pictures[0])
    np.savez(root / "s.npz", imgs=255 - pictures, note=np.zeros(3))
    np.testing.assert_array_equal(stimuli.load("a"), 255 - pictures[0])
    assert stimulus_fingerprint(stimuli) != before


def test_texts_and_names():
    texts = be.StimulusSet({"stimulus_id": ["a"], "text": ["two red balls"]}, kind="text")
    assert load_stimulus(texts, "a") == "two red balls"
    with pytest.raises(InputError, match="known by name only"):
        be.StimulusSet({"stimulus_id": ["a"]}, kind="none").load("a")
    with pytest.raises(InputError, match="no images"):
        next(load_images(texts))


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("a/p9.png", DataError, "p9.png"),
        ("images.zip::sub/p9.png", NotFoundError, "p9"),
        ("s.npy::[4]", InputError, r"\[4\]"),
        ("s.npz::imgz[0]", NotFoundError, "imgs"),
        ("s.h5::group/imgs[4]", NotFoundError, "0 to 3"),
        ("s.mat::stim[9]", InputError, "fewer stimuli"),
        ("s.npz::other[0]", DataError, "no image"),
        ("s.xyz::[0]", DataError, "s.xyz"),
    ],
)
def test_what_is_not_there_is_named(root, path, error, message):
    stimuli = be.StimulusSet({"stimulus_id": ["a"], "path": [path]}, root=root)
    with pytest.raises(error, match=message):
        stimuli.load("a")
    with pytest.raises(InputError, match="1 known"):
        stimuli.load("b")


def test_fingerprints_follow_content_and_order_but_not_places_or_other_columns(root, tmp_path_factory, pictures):
    table = {"stimulus_id": ["a", "b"], "path": ["a/p0.png", "a/p1.png"]}
    reference = stimulus_fingerprint(be.StimulusSet(table, root=root))
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "a").mkdir()
    for i in range(2):
        (other / "a" / f"p{i}.png").write_bytes(png(pictures[i]))
    assert stimulus_fingerprint(be.StimulusSet({**table, "category": ["x", "y"]}, root=other)) == reference
    assert stimulus_fingerprint(be.StimulusSet(table, root=root).take(["b", "a"])) != reference
    (other / "a" / "p0.png").write_bytes(png(255 - pictures[0]))
    assert stimulus_fingerprint(be.StimulusSet(table, root=other)) != reference
    names = [stimulus_fingerprint(be.StimulusSet({"stimulus_id": ["a"], "size": [size]}, kind="none")) for size in (1, 2)]
    assert names[0] != names[1]


def test_transforms_do_what_they_say(rng):
    grey = rng.integers(0, 256, (5, 5), dtype=np.uint8)
    flat = grey.T.reshape(-1)  # MATLAB's column order
    np.testing.assert_array_equal(as_image(flat, "matlab_square", "x")[:, :, 0], grey)
    np.testing.assert_array_equal(as_image(grey, "transpose", "x")[:, :, 1], grey.T)
    colour = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(as_image(np.moveaxis(colour, 2, 0), "channels_first", "x"), colour)
    np.testing.assert_array_equal(as_image(colour, "flip_rows+invert", "x"), 255 - colour[::-1])
    np.testing.assert_array_equal(as_image(colour / 255.0, "unit", "x"), colour)
    np.testing.assert_array_equal(as_image(colour / 127.5 - 1, "signed", "x"), colour)
    np.testing.assert_array_equal(as_image(colour.astype(float), "byte", "x"), colour)
    luma = np.asarray(Image.fromarray(colour).convert("L")).astype(int)  # Pillow computes it in fixed point
    assert np.abs(as_image(colour, "gray", "x")[..., 0].astype(int) - luma).max() <= 1
    assert set(as_image(np.eye(3, dtype=bool), "", "x").ravel()) == {0, 255}
    assert len(TRANSFORMS) == 10


@pytest.mark.parametrize(
    ("array", "transform", "message"),
    [
        (np.zeros((3, 3)), "", "fractions"),
        (np.full((3, 3), 2.0), "unit", "0 to 1"),
        (np.full((3, 3), np.nan), "byte", "outside"),
        (np.full((3, 3), 300), "", "0 to 255"),
        (np.zeros((3, 3, 4), np.uint8), "", "no image"),
        (np.zeros(10, np.uint8), "matlab_square", "square"),
        (np.zeros(100, np.uint8), "matlab28", "784"),
        (np.zeros(9, np.uint8), "transpose", "one axis"),
        (np.zeros((2, 5, 5), np.uint8), "channels_first", "channel"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array, transform, message):
    with pytest.raises(DataError, match=message):
        as_image(array, transform, "somewhere")


def test_an_unknown_transform_names_the_nearest():
    with pytest.raises(InputError, match="transpose"):
        as_image(np.zeros((2, 2), np.uint8), "transposed", "x")
