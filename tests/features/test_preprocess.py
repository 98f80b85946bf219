from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from brainenc.core.errors import InputError
from brainenc.features.preprocess import Preprocess

MODES = {"bilinear": "BILINEAR", "bicubic": "BICUBIC", "nearest": "NEAREST"}


@pytest.mark.parametrize("shape", [(50, 70), (71, 50), (64, 64), (300, 299)])
@pytest.mark.parametrize(("size", "crop"), [(48, 0.875), (48, 1.0), (33, 0.9), (48, "squash"), ([40, 56], "squash")])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_equals_the_usual_transforms_of_torchvision(rng, shape, size, crop, interpolation):
    from torchvision import transforms as T

    image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    mode = T.InterpolationMode[MODES[interpolation]]
    resize = T.Resize(size if isinstance(size, list) else (size, size), mode) if crop == "squash" else T.Resize(int(size / crop), mode)
    reference = T.Compose([resize, T.CenterCrop(size), T.ToTensor(), T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))])(Image.fromarray(image))
    ours = Preprocess.build({"size": size, "crop": crop, "interpolation": interpolation, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25)})
    got = ours.normalise(ours.apply(image)[None])[0]
    assert got.shape == reference.shape
    np.testing.assert_allclose(got.numpy(), reference.numpy(), rtol=1e-5, atol=1e-6)


def test_a_rectangle_is_covered_by_the_resized_image(rng):
    settings = Preprocess.build({"size": (40, 60)})
    assert settings.apply(rng.integers(0, 256, (90, 80, 3), dtype=np.uint8)).shape == (3, 40, 60)


def test_overrides_take_the_place_of_the_models_own_and_are_recorded():
    own = {"size": 224, "interpolation": "bicubic", "crop": 0.875, "mean": (0.1, 0.2, 0.3), "std": (1, 1, 1)}
    got = Preprocess.build(own, {"size": 64, "mean": 0.5}).to_dict()
    assert got == {"size": [64, 64], "interpolation": "bicubic", "crop": 0.875, "mean": [0.5, 0.5, 0.5], "std": [1.0, 1.0, 1.0]}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ({"sizes": 3}, "Did you mean 'size'"),
        ({"size": 0}, "size in pixels"),
        ({"size": [3, 4, 5]}, "size in pixels"),
        ({"size": 2.5}, "size in pixels"),
        ({"interpolation": "fancy"}, "unknown interpolation"),
        ({"crop": 0}, "not a crop"),
        ({"crop": 1.5}, "not a crop"),
        ({"mean": [1, 2]}, "mean per colour channel"),
        ({"std": [1, 0, 1]}, "std per colour channel"),
        ({"mean": "grey"}, "mean per colour channel"),
    ],
)
def test_senseless_settings_are_refused(override, says):
    with pytest.raises(InputError, match=says):
        Preprocess.build({}, override)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_only_rgb_images_are_taken(image):
    with pytest.raises(InputError, match="not an RGB image"):
        Preprocess().apply(image)
