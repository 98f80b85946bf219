"""Neurons, voxels of digits and a block design in one study, through one plan: the whole job on real brains."""

from __future__ import annotations

import numpy as np
import pytest

from brainenc.study import run

PREPROCESS = {"size": 224, "interpolation": "bilinear", "crop": 1.0, "mean": [0.50196] * 3, "std": [0.50196] * 3}
SEEDS = [0, 1, 2, 3, 4]


def plan(root, seeds, sessions):
    network = {
        "name": "timm:mobilenetv2_100", "layers": ["conv_stem", "blocks.1.0", "blocks.2.2", "blocks.3.1", "blocks.3.3", "blocks.4.2", "blocks.5.0", "conv_head"],
        "weights": str(root / "mobilenetv2_imagenet" / "mobilenetv2_100_tf_imagenet.safetensors"), "pooling": "grid4", "preprocess": PREPROCESS,
        "model_kwargs": {"pad_type": "same"},
    }  # fmt: skip
    return {
        "name": "real brains",
        "analysis": [
            {"name": "V4", "dataset": "v4_cowley2023", "root": str(root), "sessions": sessions, "models": [network],
             "split": {"kind": "images", "test": 0.2, "seeds": seeds}, "keep_predictions": False},
            {"name": "digits", "dataset": "digits69", "root": str(root), "models": [{"name": "pixels", "preprocess": {"size": 28}}], "reduce": "pca:20",
             "split": {"kind": "kfold", "n": 10, "seeds": seeds}, "aggregate": "pooled", "keep_predictions": False},
            {"name": "haxby", "dataset": "haxby2001_slice", "root": str(root), "models": ["table:category"], "design": {"hrf": "glover"},
             "clean": {"detrend": True, "standardize": "zscore"}, "split": {"kind": "runs"}, "aggregate": "pooled", "keep_predictions": False},
        ],
    }  # fmt: skip


def medians(results, session):
    """Mean over split seeds of the median r over neurons, layer by layer, and each seed's median."""
    table = results.table
    mine = table[(table["analysis"] == "V4") & (table["subject"].str.endswith(session) | (table.get("session", "") == session))]
    per_seed = mine.groupby(["layer", "seed"])["score"].median().unstack("seed")
    return per_seed


def counts(results, analysis, level):
    table = results.table[results.table["analysis"] == analysis]
    return table[table["score"] > level].groupby("seed", dropna=False).size()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::brainenc.core.errors.BrainencWarning")  # targets without signal take the largest penalty
def test_three_kinds_of_recordings_in_one_study(real_data, tmp_path, capsys):
    root = real_data("v4_natural_images").parent
    results = run(plan(root, SEEDS, ["190923", "210224"]), tmp_path / "out", progress=False)
    assert not len(results.failures)
    first, second = medians(results, "190923"), medians(results, "210224")
    digits, haxby = counts(results, "digits", 0.3), counts(results, "haxby", 0.2)
    with capsys.disabled():
        for name, table in (("190923", first), ("210224", second)):
            print(f"\nV4 {name}: median r over neurons, seeds 0-4 and their mean")
            print(table.assign(mean=table.mean(axis=1)).round(3).to_string())
        print(f"digits69: voxels of 3,092 with r > 0.3: {digits.tolist()}, mean {digits.mean():.1f}")
        print(f"haxby2001: voxels of 530 with r > 0.2: {haxby.tolist()}")
    early, late = first.mean(axis=1), second.mean(axis=1)
    assert early["conv_stem"] <= 0.30
    assert (early[["blocks.3.1", "blocks.3.3", "blocks.4.2", "blocks.5.0"]] >= 0.55).all()
    assert 0.45 <= early["conv_head"] <= 0.55
    assert late["conv_stem"] <= 0.25
    assert late[["blocks.3.1", "blocks.3.3", "blocks.4.2"]].max() >= 0.51
    assert late["conv_head"] <= 0.45
    assert digits.mean() >= 680
    assert haxby.iloc[0] >= 100
    assert np.isfinite(results.table["score"]).any()
