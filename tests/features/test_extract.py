from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.features import cache as cache_module
from brainenc.features import extraction
from brainenc.features.adapters import ImageInputs
from brainenc.io.store import Store

NET = {"model": "timm:mobilenetv2_050", "weights": "random", "preprocess": {"size": 64, "crop": 1.0}}


def keys_in(folder):
    return Store(folder).keys()


def leftovers(folder):
    return [p for p in folder.rglob("*") if ".tmp" in p.name] if folder.exists() else []


@pytest.fixture
def counted(monkeypatch):
    """Count the rows that are decoded."""
    rows = []
    original = ImageInputs.batch

    def batch(self, wanted):
        rows.extend(int(i) for i in wanted)
        return original(self, wanted)

    monkeypatch.setattr(ImageInputs, "batch", batch)
    return rows


def test_one_space_a_layer_named_after_model_and_layer(images, tmp_path):
    spaces = be.extract(images, **NET, layers=["blocks.0", "blocks.2.*", "conv_head"], pooling="grid2", cache=tmp_path / "c")
    assert list(spaces) == [f"timm:mobilenetv2_050/{n}" for n in ("blocks.0", "blocks.2.0", "blocks.2.1", "blocks.2.2", "conv_head")]
    for name, space in spaces.items():
        assert space.name == name
        assert (space.model, space.layer) == tuple(name.split("/"))
        assert list(space.samples["stimulus_id"]) == list(images.ids)
        assert space.values.dtype == np.float32
        assert not space.values.flags.writeable
        assert space.provenance["pooling"] in ("grid2", "none")
        assert space.provenance["preprocess"]["size"] == [64, 64]
    assert spaces["timm:mobilenetv2_050/conv_head"].values.shape[0] == len(images)
    json.dumps({k: dict(v.provenance) for k, v in spaces.items()})


def test_values_are_those_of_a_plain_forward_pass(images, pictures):
    import timm
    import torch

    from brainenc.features.weights import seeded

    with seeded(0, "timm", "mobilenetv2_050"):
        net = timm.create_model("mobilenetv2_050", pretrained=False).eval()
    outputs = []
    net.blocks[1].register_forward_hook(lambda m, i, o: outputs.append(o.mean((2, 3))))
    from PIL import Image

    resized = np.stack([np.asarray(Image.fromarray(p).resize((64, 72), Image.Resampling.BICUBIC))[4:68] for p in pictures])
    mean, std = np.array(net.pretrained_cfg["mean"]), np.array(net.pretrained_cfg["std"])
    x = torch.from_numpy(((resized / 255 - mean) / std).transpose(0, 3, 1, 2)).float()
    with torch.inference_mode():
        logits = net(x)
    got = be.extract(images, **NET, layers=["blocks.1", "classifier"], cache=False)
    np.testing.assert_allclose(got["timm:mobilenetv2_050/blocks.1"].values, outputs[0].numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got["timm:mobilenetv2_050/classifier"].values, logits.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", [NET, {"model": "gabor"}, {"model": "toyclip", "weights": "random"}], ids=lambda s: s["model"])
def test_batch_size_and_order_do_not_change_results(images, spec, rng):
    whole = be.extract(images, **spec, cache=False, batch_size=len(images))
    order = rng.permutation(len(images))
    for step in (1, 4):
        other = be.extract(images.take(images.ids[order]), **spec, cache=False, batch_size=step)
        for name, space in whole.items():
            scale = np.abs(space.values).max()
            np.testing.assert_allclose(other[name].values, space.values[order], rtol=1e-5, atol=1e-5 * scale)


def test_a_second_call_reads_the_cache_and_runs_nothing(images, tmp_path, counted):
    first = be.extract(images, **NET, layers="blocks.*", cache=tmp_path / "c")
    decoded = len(counted)
    assert decoded == len(images)
    again = be.extract(images, **NET, layers=["blocks.1", "blocks.0"], cache=tmp_path / "c", batch_size=2)
    assert len(counted) == decoded
    np.testing.assert_array_equal(again["timm:mobilenetv2_050/blocks.1"].values, first["timm:mobilenetv2_050/blocks.1"].values)
    more = be.extract(images, **NET, layers=["blocks.1", "conv_head"], cache=tmp_path / "c")
    assert len(counted) == 2 * decoded
    assert len(more) == 2


@pytest.mark.parametrize(
    "change",
    [{"pooling": "max"}, {"preprocess": {"size": 48, "crop": 1.0}}, {"preprocess": {"size": 64}}, {"seed": 1}, {"reduce": "srp:4"}, {"model_kwargs": {"pad_type": "same"}}],
    ids=str,
)
def test_whatever_changes_the_values_changes_the_cache_key(images, tmp_path, counted, change):
    base = be.extract(images, **NET, layers="blocks.1", cache=tmp_path / "c")
    other = be.extract(images, **{**NET, **change}, layers="blocks.1", cache=tmp_path / "c")
    assert len(counted) == 2 * len(images)
    a, b = (next(iter(spaces.values())).values for spaces in (base, other))
    assert a.shape != b.shape or not np.array_equal(a, b)


def test_other_images_under_the_same_names_are_other_stimuli(images, pictures, tmp_path, counted):
    be.extract(images, "gabor", cache=tmp_path / "c")
    np.save(images.root / "images.npy", pictures[::-1])
    other = be.extract(images, "gabor", cache=tmp_path / "c")
    fresh = be.extract(images, "gabor", cache=False)
    np.testing.assert_array_equal(other["gabor/energy"].values, fresh["gabor/energy"].values)


def test_an_interrupted_extraction_goes_on_with_the_next_shard(images, tmp_path, monkeypatch, counted):
    monkeypatch.setattr(cache_module.Plan, "shard_rows", property(lambda self: 2))
    expected = be.extract(images, "gabor", ["energy", "lowpass"], cache=False)
    counted.clear()
    inner = ImageInputs.batch

    def fail_late(self, rows):
        if 6 in rows:
            raise KeyboardInterrupt
        return inner(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(ImageInputs, "batch", fail_late)
        with pytest.raises(KeyboardInterrupt):
            be.extract(images, "gabor", ["energy", "lowpass"], cache=tmp_path / "c", batch_size=1)
    assert len(keys_in(tmp_path / "c")) == 3
    assert leftovers(tmp_path / "c") == []
    counted.clear()
    got = be.extract(images, "gabor", ["energy", "lowpass"], cache=tmp_path / "c", batch_size=2)
    assert sorted(counted) == [6, 7, 8]
    for name, space in expected.items():
        np.testing.assert_array_equal(got[name].values, space.values)
    assert len(keys_in(tmp_path / "c")) == 2, "shards are removed once the layers are whole"


def test_a_killed_process_leaves_shards_that_the_next_one_uses(images, tmp_path, monkeypatch, counted):
    monkeypatch.setattr(cache_module.Plan, "shard_rows", property(lambda self: 2))
    images.save(tmp_path / "set.npz")
    script = """
        import os, signal, sys
        import brainenc as be
        from brainenc.features import cache
        from brainenc.features.adapters import ImageInputs
        cache.Plan.shard_rows = property(lambda self: 2)
        inner = ImageInputs.batch
        def batch(self, rows):
            if 5 in rows:
                os.kill(os.getpid(), signal.SIGKILL)
            return inner(self, rows)
        ImageInputs.batch = batch
        be.extract(be.read(sys.argv[1]), "gabor", cache=sys.argv[2], batch_size=1)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "set.npz"), str(tmp_path / "c")], capture_output=True)
    assert done.returncode == -9
    kept = len(keys_in(tmp_path / "c"))
    assert kept == 2  # rows 0 to 3; row 4 was not written when the process died
    got = be.extract(images, "gabor", cache=tmp_path / "c", batch_size=1)["gabor/energy"].values
    assert sorted(counted) == [4, 5, 6, 7, 8]
    np.testing.assert_array_equal(got, be.extract(images, "gabor", cache=False)["gabor/energy"].values)


def test_shards_that_another_process_removes_are_not_fatal(images, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module.Plan, "shard_rows", property(lambda self: 4))
    once = []
    original = cache_module.join_shards

    def join(store, plan, metas):
        if not once:
            once.append(1)
            store.remove(plan.shard_key(*plan.shards[0]))
        return original(store, plan, metas)

    monkeypatch.setattr(extraction.cache, "join_shards", join)
    got = be.extract(images, "gabor", cache=tmp_path / "c")["gabor/energy"].values
    np.testing.assert_array_equal(got, be.extract(images, "gabor", cache=False)["gabor/energy"].values)


def test_a_request_above_the_disk_budget_is_refused_before_it_runs(images, tmp_path, counted):
    with pytest.raises(InputError, match=r"would take .*9 stimuli.*expected at most 10\.0 kB.*srp:2000") as caught:
        be.extract(images, **NET, layers="blocks.*", pooling="none", cache=tmp_path / "c", disk_budget="10kB")
    assert "blocks.0" in str(caught.value)
    assert counted == []
    assert not (tmp_path / "c").exists()
    be.extract(images, **NET, layers="blocks.*", pooling="none", reduce="srp:20", cache=tmp_path / "c", disk_budget="10kB")


def test_a_projection_is_applied_while_extracting(images):
    full = be.extract(images, "gabor", cache=False)["gabor/energy"]
    small = be.extract(images, "gabor", cache=False, reduce="srp:50", seed=3)["gabor/energy"]
    np.testing.assert_allclose(small.values, full.reduce("srp:50", seed=3).values, rtol=1e-4, atol=1e-4)
    assert small.provenance["reduce"] == "srp:50"
    assert small.features is None
    wide = be.extract(images, "gabor", "lowpass", cache=False, reduce="srp:5000")["gabor/lowpass"]
    assert wide.provenance["reduce"].startswith("none")


def test_random_weights_follow_the_seed_and_leave_torch_alone(images):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a, b, c = (next(iter(be.extract(images, **NET, layers="blocks.0", cache=False, seed=s).values())).values for s in (0, 0, 1))
    torch.testing.assert_close(torch.rand(3), expected)
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)


def test_time_columns_travel_with_the_samples(images):
    timed = be.StimulusSet(images.table.assign(onset=np.arange(9) * 2.0, run=1), root=images.root)
    assert list(be.extract(timed, "table:kind")["table:kind/columns"].samples["onset"]) == [2.0 * i for i in range(9)]


def test_empty_sets_are_refused(images):
    with pytest.raises(InputError, match="no stimuli"):
        be.extract(images.take([]), "gabor")
    with pytest.raises(InputError, match="StimulusSet"):
        be.extract(["a.jpg"], "gabor")


def test_unknown_names_come_with_the_nearest(images):
    with pytest.raises(NotFoundError, match="(?i)did you mean 'gabor'"):
        be.extract(images, "gabr")
    with pytest.raises(NotFoundError, match="(?i)did you mean .*'blocks.1'"):
        be.extract(images, **NET, layers="block.1", cache=False)
    with pytest.raises(NotFoundError, match="resnet18"):
        be.extract(images, "timm:resnet_18", weights="random")
    with pytest.raises(InputError, match="selected twice"):
        be.extract(images, **NET, layers=["blocks.*", "blocks.1"], cache=False)


def test_missing_and_damaged_images_leave_nothing_behind(images, tmp_path):
    (images.root / "fake.jpg").write_bytes(b"this is not an image")
    for path, says in (("absent.jpg", "absent.jpg"), ("fake.jpg", "fake.jpg")):
        table = images.table.copy()
        table["path"] = [*table["path"][:-1], path]
        broken = be.StimulusSet(table, root=images.root)
        with pytest.raises(DataError, match=says):
            be.extract(broken, "gabor", cache=tmp_path / "c")
        assert not (tmp_path / "c").exists() or (keys_in(tmp_path / "c") == [] and leftovers(tmp_path / "c") == [])


def test_values_that_are_not_finite_are_refused(images, monkeypatch, tmp_path):
    from brainenc.features.models import gabor

    original = gabor.Gabor.run

    def run(self, batch, names, take):
        original(self, batch, names, lambda n, x, m: take(n, x.index_fill(0, __import__("torch").tensor([1]), float("nan")), m))

    monkeypatch.setattr(gabor.Gabor, "run", run)
    with pytest.raises(DataError, match=r"not finite.*'s1'"):
        be.extract(images, "gabor", cache=tmp_path / "c")
    assert keys_in(tmp_path / "c") == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"reduce": "pca:3"}, "score_layers"),
        ({"reduce": "many"}, "unknown reduction"),
        ({"pooling": "sum"}, "unknown pooling"),
        ({"device": "quantum"}, "device cannot be used"),
        ({"precision": "float16"}, "CUDA"),
        ({"precision": "int8"}, "unknown value for precision"),
        ({"batch_size": 0}, "not a batch size"),
        ({"seed": -1}, "seed"),
        ({"weights": "random"}, "gabor has no weights"),
        ({"preprocess": {"sice": 3}}, "Did you mean 'size'"),
        ({"model_kwargs": {"scale": 3}}, "Did you mean 'scales'"),
    ],
    ids=str,
)
def test_senseless_options_are_refused(images, options, says):
    with pytest.raises(InputError, match=says):
        be.extract(images, "gabor", cache=False, **options)


def test_kinds_of_stimuli_that_a_model_cannot_read_are_refused():
    texts = be.StimulusSet({"stimulus_id": ["a"], "text": ["hello"]}, kind="text")
    with pytest.raises(InputError, match="image.*table"):
        be.extract(texts, "gabor")


def test_listing_layers_tells_the_widths_without_extracting(images, monkeypatch):
    from brainenc.features import list_layers

    widths = list_layers(NET["model"], "blocks.*", preprocess=NET["preprocess"], pooling="grid2")
    spaces = be.extract(images, **NET, layers="blocks.0,blocks.1,blocks.2,blocks.3,blocks.4", pooling="grid2", cache=False)
    assert {k: widths[k.split("/")[1]] for k in spaces} == {k: v.n_features for k, v in spaces.items()}
    monkeypatch.setattr("brainenc.features.listing.build", None)  # the probing pass is kept
    assert list_layers(NET["model"], "blocks.*", preprocess=NET["preprocess"], pooling="grid2") == widths
    assert list_layers(NET["model"], "blocks.1", preprocess=NET["preprocess"], reduce="srp:5") == {"blocks.1": 5}


def test_listing_models():
    from brainenc.features import list_models

    assert {"gabor", "toyclip", "table:*", "timm:*", "open_clip:*", "torchvision:*", "transformers:*"} <= set(list_models())
    assert "timm:mobilenetv2_100" in list_models("timm:mobilenet*")
    assert "torchvision:resnet18" in list_models("torchvision")
    with pytest.raises(NotFoundError):
        list_models("timm:nothing*")
    with pytest.raises(NotFoundError, match="(?i)did you mean 'timm'"):
        list_models("tim:x")


def test_the_room_imports_no_network_library():
    code = "import sys, brainenc.features, brainenc.features.extraction, brainenc.features.models.timm, brainenc.features.models.open_clip\n"
    code += "print(sorted({'torch', 'timm', 'open_clip', 'torchvision', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
