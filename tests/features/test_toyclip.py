"""The stored ToyCLIP is a genuine open_clip model and knows what it claims to know."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from brainenc.core.errors import DataError
from brainenc.features.models import _toyclip_file as toyclip
from brainenc.simulate.scene_captions import ATTRIBUTES, prompts
from brainenc.simulate.scenes import render_scenes

STAGES = {"visual.layer1": (64, 16, 16), "visual.layer2": (128, 8, 8), "visual.layer3": (256, 4, 4), "visual.layer4": (512, 2, 2), "visual": (64,)}


@pytest.fixture(scope="module")
def loaded():
    return toyclip.load()


@pytest.fixture(scope="module")
def held_out():
    return render_scenes(300, seed=77, stream="toyclip-heldout")


def _pixels(images, preprocess):
    mean, std = (torch.tensor(preprocess[name])[:, None, None] for name in ("mean", "std"))
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - mean) / std


@pytest.fixture(scope="module")
def seen(loaded, held_out):
    model, preprocess, _ = loaded
    with torch.inference_mode():
        return model.encode_image(_pixels(held_out.images, preprocess), normalize=True).numpy()


def _read(loaded, texts):
    model, _, tokenizer = loaded
    with torch.inference_mode():
        return model.encode_text(tokenizer(texts), normalize=True).numpy()


def test_zero_shot_accuracy_on_scenes_it_never_saw(loaded, held_out, seen):
    accuracy = {}
    for name, values in ATTRIBUTES.items():
        guess = (seen @ _read(loaded, prompts(name)).T).argmax(axis=1)
        truth = [values[count - 1] for count in held_out.table["count"]] if name == "count" else held_out.table[name].tolist()
        accuracy[name] = np.mean([values[g] == t for g, t in zip(guess, truth)])
    assert np.mean(list(accuracy.values())) > 0.9, accuracy
    assert min(accuracy.values()) > 0.9, accuracy


def test_captions_find_their_scenes(loaded, held_out, seen):
    similarity = seen @ _read(loaded, held_out.table["caption"].tolist()).T
    rank = (similarity > np.diag(similarity)[:, None]).sum(axis=1)
    assert np.mean(rank < 1) > 0.9 and np.mean(rank < 5) > 0.97
    # shuffled captions: chance is 1 in 300
    mixed = similarity[:, np.random.default_rng(0).permutation(len(rank))]
    assert np.mean((mixed > np.diag(mixed)[:, None]).sum(axis=1) < 5) < 0.06


def test_it_is_an_open_clip_model_with_named_stages(loaded):
    import open_clip

    model, preprocess, tokenizer = loaded
    assert type(model) is open_clip.CLIP and not model.training
    modules, shapes = dict(model.named_modules()), {}
    for name in STAGES:
        modules[name].register_forward_hook(lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:])))
    with torch.inference_mode():
        model.encode_image(torch.zeros(1, 3, preprocess["size"], preprocess["size"]))
    assert shapes == STAGES
    reference = open_clip.SimpleTokenizer(context_length=32)
    assert torch.equal(tokenizer(["two red stars by the sea"]), reference(["two red stars by the sea"]))
    assert reference.vocab_size == model.vocab_size == 49408


def test_the_file_is_small_half_precision_and_free_of_surprises(loaded):
    path = toyclip.FOLDER / "toyclip.safetensors"
    assert path.stat().st_size <= 3_000_000
    with safe_open(path, framework="pt") as file:
        kinds = {file.get_tensor(name).dtype for name in file.keys() if name != "token_ids"}  # noqa: SIM118 - not a mapping
        ids = file.get_tensor("token_ids")
    assert kinds == {torch.float16}
    assert len(set(ids.tolist())) == len(ids) and int(ids.max()) == 49407
    assert all(torch.isfinite(value).all() for value in loaded[0].state_dict().values())
    assert (toyclip.FOLDER / "MODEL_CARD.md").is_file()
    json.loads((toyclip.FOLDER / "config.json").read_text())


def test_tokens_of_training_keep_their_rows_and_the_others_share_one(loaded):
    model, _, tokenizer = loaded
    stored = load_file(toyclip.FOLDER / "toyclip.safetensors")
    table = model.token_embedding.weight.detach()
    np.testing.assert_array_equal(table[stored["token_ids"].long()], stored["token_rows"].float())
    red, zebra, violin = (int(tokenizer([word])[0, 1]) for word in ("red", "zebra", "violin"))
    assert red in stored["token_ids"].tolist() and zebra != violin
    assert torch.equal(table[zebra], table[violin]) and torch.equal(table[zebra], stored["token_shared"][0].float())
    assert not torch.equal(table[red], table[zebra])


def test_loading_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    toyclip.load()
    assert torch.equal(torch.rand(1), expected)


def test_damaged_files_are_refused(tmp_path):
    original = toyclip.FOLDER / "toyclip.safetensors"
    with pytest.raises(DataError, match="ToyCLIP"):
        toyclip.load(tmp_path / "absent.safetensors")
    cut = tmp_path / "cut.safetensors"
    shutil.copy(original, cut)
    cut.write_bytes(cut.read_bytes()[:100_000])
    with pytest.raises(DataError, match="ToyCLIP"):
        toyclip.load(cut)
    stored = load_file(original)
    save_file({name: value for name, value in stored.items() if name != "token_ids"}, tmp_path / "lacking.safetensors")
    with pytest.raises(DataError, match="ToyCLIP"):
        toyclip.load(tmp_path / "lacking.safetensors")
    save_file(stored | {"visual.conv1.weight": torch.zeros(3, 3)}, tmp_path / "shape.safetensors")
    with pytest.raises(DataError, match="does not fit"):
        toyclip.load(tmp_path / "shape.safetensors")


def test_the_usual_pipeline_gives_the_same_embedding(loaded, tmp_path):
    import brainenc as be

    scenes = render_scenes(7, seed=3)
    for name, image in zip(scenes.table["stimulus_id"], scenes.images):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    table = scenes.table.assign(path=[f"{name}.png" for name in scenes.table["stimulus_id"]])
    spaces = be.extract(be.StimulusSet(table, root=tmp_path, kind="image", name="scenes"), "toyclip", layers="visual*", cache=tmp_path / "cache", progress=False)
    model, preprocess, _ = loaded
    with torch.inference_mode():
        direct = model.encode_image(_pixels(scenes.images, preprocess)).numpy()
    np.testing.assert_allclose(spaces["toyclip/visual"].values, direct, rtol=1e-4, atol=1e-5)
