"""Every registered model family, walked by one test: a new file is tested on arrival."""

from __future__ import annotations

import json

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.features import list_layers
from brainenc.features.adapters import FAMILIES
from brainenc.features.pooling import Layer

# A small model of each family; a family that is not here is tried under its own name alone.
TINY_CONFIG = {
    "model_type": "bert", "vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16,
    "max_position_embeddings": 32,
}  # fmt: skip
SMALL = {
    "timm": ("timm:mobilenetv2_035", {"weights": "random", "preprocess": {"size": 32, "crop": 1.0}}),
    "torchvision": ("torchvision:squeezenet1_1", {"weights": "random", "preprocess": {"size": 64, "crop": 1.0}}),
    "open_clip": ("open_clip:ViT-S-32", {"weights": "random", "model_kwargs": {"force_image_size": 32, "text_cfg": {"layers": 1, "width": 64, "heads": 2}}}),
    "transformers": ("transformers:tiny", {"weights": "random", "model_kwargs": {"config": TINY_CONFIG}}),
    "table": ("table:word", {}),
    "toyclip": ("toyclip", {"weights": "random"}),
}
CASES = [(family, kind) for family in FAMILIES.names() for kind in (("image",) if family == "table" else FAMILIES.get(family).KINDS)]


def spec(family):
    return SMALL.get(family, (family, {}))


@pytest.fixture
def stimuli(tmp_path, rng):
    pictures = rng.integers(0, 256, (7, 40, 44, 3), dtype=np.uint8)
    np.save(tmp_path / "p.npy", pictures)
    ids = [f"x{i}" for i in range(7)]
    words = ["a", "red", "ball", "and", "two", "small", "dogs"]
    sets = {
        "image": be.StimulusSet({"stimulus_id": ids, "path": [f"p.npy::[{i}]" for i in range(7)], "word": words}, root=tmp_path),
        "text": be.StimulusSet({"stimulus_id": ids, "text": words, "word": words}, kind="text"),
    }
    return sets.get


@pytest.mark.parametrize("family", FAMILIES.names())
def test_a_family_says_what_it_is(family):
    module = FAMILIES.get(family)
    assert isinstance(module.SUMMARY, str) and module.SUMMARY and "\n" not in module.SUMMARY
    assert set(module.KINDS) <= {"image", "text", "audio", "video", "none", "table"}
    names = module.variants()
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) and name for name in names)
    assert module.__doc__


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_default_layers_extract_to_finite_rows_of_the_listed_width(family, kind, stimuli, tmp_path):
    model, options = spec(family)
    given = stimuli(kind)
    spaces = be.extract(given, model, cache=tmp_path / "c", **options)
    widths = list_layers(model, "default", stimuli=given, **options)
    assert {name.split("/", 1)[1]: space.n_features for name, space in spaces.items()} == widths
    for name, space in spaces.items():
        assert name == f"{model}/{space.layer}"
        assert space.values.shape[0] == 7
        assert space.values.dtype == np.float32
        assert np.isfinite(space.values).all()
        assert list(space.samples["stimulus_id"]) == list(given.ids)
        assert json.loads(json.dumps(dict(space.provenance)))["layer"] == space.layer


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_rows_belong_to_stimuli_whatever_the_batch_and_the_order(family, kind, stimuli):
    model, options = spec(family)
    given = stimuli(kind)
    if family == "table":
        pytest.skip("one-hot columns depend on the whole table, by definition")
    whole = be.extract(given, model, cache=False, batch_size=7, **options)
    order = [5, 0, 6, 3]
    part = be.extract(given.take(given.ids[order]), model, cache=False, batch_size=3, **options)
    for name, space in whole.items():
        scale = float(np.abs(space.values).max())
        np.testing.assert_allclose(part[name].values, space.values[order], rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_the_adapter_keeps_its_interface(family, kind, stimuli):
    from brainenc.features.adapters import build

    model, options = spec(family)
    adapter = build(model, kind=kind, **options)
    again = build(model, kind=kind, **options)
    inputs = adapter.inputs(stimuli(kind))
    layers = adapter.layers(inputs)
    assert adapter.name == model
    assert set(adapter.default_layers) <= set(layers)
    assert adapter.default_layers
    assert all(isinstance(layer, Layer) and layer.name == name for name, layer in layers.items())
    assert len(inputs.fingerprint) == 64
    assert inputs.fingerprint == again.inputs(stimuli(kind)).fingerprint
    assert json.dumps(dict(adapter.identity), sort_keys=True) == json.dumps(dict(again.identity), sort_keys=True)
    adapter.to("cpu")
    taken = {}
    adapter.run(inputs.batch(np.array([1, 2])), list(layers), lambda name, x, mask: taken.setdefault(name, x.shape[0]))
    assert taken == dict.fromkeys(layers, 2)


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_wrong_names_and_options_are_refused(family, kind, stimuli):
    model, options = spec(family)
    given = stimuli(kind)
    with pytest.raises(NotFoundError):
        be.extract(given, model, "no_such_layer", cache=False, **options)
    with pytest.raises(InputError):
        be.extract(given, model, cache=False, **{**options, "model_kwargs": {"no_such_option": object}})
    if family != "table":
        with pytest.raises((InputError, NotFoundError)):
            be.extract(given, f"{family}:no such/variant", cache=False, weights=options.get("weights", "pretrained"))


def test_weights_that_must_be_downloaded_are_refused_offline_with_the_ways_out(stimuli):
    for model in ("timm:mobilenetv2_100", "torchvision:resnet18", "open_clip:RN50"):
        with pytest.raises(OSError, match=r"pretrained weights of .*weights=\"path.*weights=\"random\""):
            be.extract(stimuli("image"), model, cache=False)
