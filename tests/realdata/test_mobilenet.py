"""The real MobileNetV2 of the test data: its classes and probabilities are those measured when it was converted."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be

EXPECTED = {"cat_720p.jpg": ("Egyptian cat", 0.87), "parrot.jpg": ("macaw", 0.998), "hot_dog.jpg": ("hotdog", 0.97), "owl.jpg": ("grouse", 0.40)}
OPTIONS = {
    "model_kwargs": {"pad_type": "same"},
    "preprocess": {"size": 224, "interpolation": "bilinear", "crop": 1.0, "mean": [0.50196] * 3, "std": [0.50196] * 3},
}


@pytest.fixture(scope="module")
def network(real_data):
    folder = real_data("mobilenetv2_imagenet")
    names = list(EXPECTED)
    stimuli = be.StimulusSet({"stimulus_id": [n.split(".")[0] for n in names], "path": names}, root=folder, name="photographs")
    return folder, stimuli, {**OPTIONS, "weights": folder / "mobilenetv2_100_tf_imagenet.safetensors"}


def test_photographs_are_recognised(network):
    folder, stimuli, options = network
    labels = (folder / "imagenet_labels.txt").read_text().split("\n")[1:]
    logits = be.extract(stimuli, "timm:mobilenetv2_100", "classifier", cache=False, **options)["timm:mobilenetv2_100/classifier"].values
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    for row, (label, share) in zip(shares, EXPECTED.values(), strict=True):
        assert label in labels[row.argmax()]
        assert row.max() == pytest.approx(share, abs=0.02)


def test_layers_have_timms_names_and_widths(network):
    _, stimuli, options = network
    layers = ["bn1", "blocks.3.1", "conv_head"]
    spaces = be.extract(stimuli, "timm:mobilenetv2_100", layers, pooling="grid4", cache=False, **options)
    assert [s.n_features for s in spaces.values()] == [32 * 16, 64 * 16, 1280 * 16]
    assert all(s.provenance["weights"]["source"] == "file" for s in spaces.values())


@pytest.mark.parametrize("step", [1, 3])
def test_batch_size_changes_no_real_feature(network, step):
    _, stimuli, options = network
    layers = ["bn1", "blocks.*", "conv_head", "global_pool"]
    whole = be.extract(stimuli, "timm:mobilenetv2_100", layers, cache=False, batch_size=4, **options)
    for name, space in be.extract(stimuli, "timm:mobilenetv2_100", layers, cache=False, batch_size=step, **options).items():
        scale = np.abs(whole[name].values).max()
        np.testing.assert_allclose(space.values, whole[name].values, rtol=1e-5, atol=1e-5 * scale)
