"""Weights files from strangers: nothing is executed, nothing is read beyond tensors, misfits are explained."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import brainenc as be
from brainenc.core.errors import DataError, InputError, NotFoundError
from brainenc.features import weights

MODEL, OPTIONS = "timm:mobilenetv2_035", {"preprocess": {"size": 32, "crop": 1.0}, "cache": False}


@pytest.fixture
def one(tmp_path):
    np.save(tmp_path / "p.npy", np.full((1, 32, 32, 3), 99, np.uint8))
    return be.StimulusSet({"stimulus_id": ["a"], "path": ["p.npy::[0]"]}, root=tmp_path)


@pytest.fixture(scope="module")
def state():
    import timm

    torch.manual_seed(0)
    return {k: v.clone() for k, v in timm.create_model("mobilenetv2_035", pretrained=False).state_dict().items()}


def extract(one, path, **options):
    return next(iter(be.extract(one, MODEL, "blocks.1", weights=path, **{**OPTIONS, **options}).values()))


class Bomb:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return (os.mkdir, (self.marker,))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_file_that_would_run_code_is_refused_and_nothing_runs(one, tmp_path, suffix, writer):
    path, marker = tmp_path / f"evil{suffix}", tmp_path / "ran"
    if writer == "torch":
        torch.save({"state_dict": Bomb(marker)}, path)
    else:
        path.write_bytes(pickle.dumps({"a": Bomb(marker)}))
    with pytest.raises(DataError, match="damaged or holds more than tensors"):
        extract(one, path)
    assert not marker.exists()


def test_the_bomb_of_this_test_works(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 7, b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", (10).to_bytes(8, "little") + b"{not json}", b"\x80\x04K\x01."],
    ids=["empty", "short", "huge header", "no json", "pickle"],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_damaged_files_are_refused(one, tmp_path, content, suffix):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"bad{suffix}"):
        extract(one, path)


def test_a_truncated_file_is_refused(one, tmp_path, state):
    path = tmp_path / "cut.safetensors"
    save_file(state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match="cut.safetensors"):
        extract(one, path)


@pytest.mark.parametrize("name", ["weights.npz", "weights.pkl", "weights.h5", "weights"])
def test_other_formats_are_refused_by_name(one, tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match="unknown kind of weights file"):
        extract(one, tmp_path / name)


def test_missing_files_and_words_are_refused(one, tmp_path):
    with pytest.raises(DataError, match="no such weights file.*random"):
        extract(one, tmp_path / "absent.safetensors")
    with pytest.raises(DataError, match="no such weights file"):
        extract(one, "imagenet")
    with pytest.raises(InputError, match="named by text or a path"):
        extract(one, 3)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s, "epoch": 3}, lambda s: {f"module.{k}": v for k, v in s.items()}])
def test_the_usual_wrappings_give_the_same_features(one, tmp_path, state, wrap):
    torch.save(wrap(state), tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    a, b = extract(one, tmp_path / "w.pth"), extract(one, tmp_path / "w.safetensors")
    np.testing.assert_array_equal(a.values, b.values)
    assert a.provenance["weights"]["fingerprint"] == b.provenance["weights"]["fingerprint"]
    assert len(a.provenance["weights"]["sha256"]) == 64


def test_a_half_precision_file_gives_a_float32_network(one, tmp_path, state):
    save_file({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "half.safetensors")
    save_file(state, tmp_path / "full.safetensors")
    a, b = extract(one, tmp_path / "half.safetensors"), extract(one, tmp_path / "full.safetensors")
    assert a.values.dtype == np.float32
    np.testing.assert_allclose(a.values, b.values, rtol=0.02, atol=0.02 * np.abs(b.values).max())


def test_misfits_are_counted_and_shown(one, tmp_path, state):
    changed = dict(state)
    changed.pop("conv_head.weight")
    changed["extra.weight"] = torch.zeros(2)
    changed["classifier.weight"] = torch.zeros(10, changed["classifier.weight"].shape[1])
    save_file(changed, tmp_path / "w.safetensors")
    with pytest.raises(DataError) as caught:
        extract(one, tmp_path / "w.safetensors")
    text = str(caught.value)
    for part in ("1 missing (e.g. 'conv_head.weight')", "1 unexpected (e.g. 'extra.weight')", "1 of another shape", "(10, ", "model_kwargs"):
        assert part in text
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DataError, match="no dictionary of tensors"):
        extract(one, tmp_path / "list.pt")


def test_batch_counters_may_be_missing(one, tmp_path, state):
    save_file({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, tmp_path / "w.safetensors")
    assert np.isfinite(extract(one, tmp_path / "w.safetensors").values).all()


@pytest.mark.parametrize("key", ["checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "features_only"])
def test_options_that_would_fetch_or_open_files_are_refused(one, key):
    with pytest.raises(InputError, match=key):
        be.extract(one, MODEL, weights="random", model_kwargs={key: "/etc/passwd"}, cache=False)


@pytest.mark.parametrize("model", ["timm:hf-hub:someone/model", "timm:local-dir:/tmp", "timm:../x", "open_clip:hf-hub:someone/model", "torchvision:../x", "timm:"])
def test_names_that_would_reach_elsewhere_are_unknown(one, model):
    with pytest.raises(NotFoundError):
        be.extract(one, model, weights="random", cache=False)


def test_fingerprints_follow_every_weight(state):
    import timm

    net = timm.create_model("mobilenetv2_035", pretrained=False)
    net.load_state_dict(state)
    before = weights.fingerprint(net)
    assert weights.fingerprint(net) == before
    with torch.no_grad():
        net.bn1.running_mean[0] += 1e-3
    assert weights.fingerprint(net) != before
