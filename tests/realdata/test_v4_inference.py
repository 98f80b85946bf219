"""The whole read-out of two V4 recordings: p, q, intervals, ceilings, paired differences, and the best layer with its confidence."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be
from brainenc.encoding import best_layer, bootstrap, compare, permutation_test

LAYERS = ["conv_stem", "blocks.2.2", "blocks.3.3", "blocks.4.2", "conv_head"]
# (value - 128) / 128 of 224-pixel images, as the network was trained
PREPROCESS = {"size": 224, "crop": "squash", "interpolation": "bilinear", "mean": (128 / 255,) * 3, "std": (128 / 255,) * 3}


@pytest.fixture(scope="module")
def scored(real_data):
    root, weights = real_data("v4_natural_images").parent, real_data("mobilenetv2_imagenet") / "mobilenetv2_100_tf_imagenet.safetensors"

    def get(subject, session, **which):
        stimuli, brain = be.load("v4_cowley2023", subject=subject, session=session, root=root, **which)
        layers = be.extract(
            stimuli, "timm:mobilenetv2_100", LAYERS, weights=weights, pooling="grid4", model_kwargs={"pad_type": "same"}, preprocess=PREPROCESS
        )
        scores = be.score_layers(layers, brain, split=be.split.kfold(4, seed=0), keep_predictions=True)
        return bootstrap(permutation_test(scores, n=500), n=500)

    return get


@pytest.mark.slow
@pytest.mark.parametrize(("subject", "session", "which"), [("WE", "190923", {}), ("PE", "210325", {"variant": "single_repeats"})])
def test_the_read_out_of_a_recording(scored, subject, session, which, capsys):
    scores = scored(subject, session, **which)
    regions = best_layer(scores, by="subject", n=500)
    neurons = best_layer(scores, n=500)
    stem = "timm:mobilenetv2_100/conv_stem"
    pairs = compare(scores, second=stem, by="subject", n=500)
    middle = scores.entry(layer="blocks.3.3")
    with capsys.disabled():
        print(f"\nV4 {session}: {scores.values.shape[2]} neurons, {scores.split}, {scores.ceiling_status}")
        print(f"blocks.3.3: q <= 0.05 in {np.nanmean(middle.q <= 0.05):.0%}, p_max <= 0.05 in {np.nanmean(middle.p_max <= 0.05):.0%} of the neurons")
        print(regions.drop(columns="subject").round(3).to_string(index=False))
        print(neurons["layer"].value_counts().to_string(), f"\nmedian confidence {neurons['confidence'].median():.2f}, distinct {neurons['distinct'].mean():.0%}")
        print(pairs.round(3).to_string(index=False))
    assert np.nanmean(middle.q <= 0.05) > 0.8 and (scores.p <= scores.p_max + 1e-12).all()
    inside = (scores.ci[0] <= scores.mean()) & (scores.mean() <= scores.ci[1])
    assert inside[np.isfinite(scores.mean())].all()
    assert regions.loc[0, "layer"].split("/")[1] in ("blocks.3.3", "blocks.4.2") and regions.loc[0, "inner_layer"].split("/")[1].startswith("blocks")
    assert regions.loc[0, "nested_score"] <= regions.loc[0, "score"] + 0.01
    deep = pairs[pairs["first"].str.contains("blocks.3.3|blocks.4.2", regex=True)]
    assert (deep["difference"] > 0.15).all() and (deep["q"] < 0.001).all()
    assert neurons["distinct"].mean() < 0.9  # most neurons do not tell neighbouring layers apart, and we say so
    if which:
        assert scores.ceiling is not None and np.nanmedian(scores.normalized().mean()[2]) > np.nanmedian(scores.mean()[2])
