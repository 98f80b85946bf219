"""Macaque V4 and a pretrained MobileNetV2: the layer profile of two recordings, the ceiling of a third."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import brainenc as be

LAYERS = ["conv_stem", "blocks.1.0", "blocks.2.2", "blocks.3.1", "blocks.3.3", "blocks.4.2", "blocks.5.0", "conv_head"]
# (value - 128) / 128 of 224-pixel images, as the network was trained
PREPROCESS = {"size": 224, "crop": "squash", "interpolation": "bilinear", "mean": (128 / 255,) * 3, "std": (128 / 255,) * 3}
SEEDS = range(5)


@pytest.fixture(scope="module")
def recording(real_data):
    root, weights = real_data("v4_natural_images").parent, real_data("mobilenetv2_imagenet") / "mobilenetv2_100_tf_imagenet.safetensors"

    def get(subject, session, layers=LAYERS):
        stimuli, brain = be.load("v4_cowley2023", subject=subject, session=session, root=root)
        space = be.extract(
            stimuli, "timm:mobilenetv2_100", layers, weights=weights, pooling="grid4", model_kwargs={"pad_type": "same"}, preprocess=PREPROCESS
        )
        return space, brain

    return get


def profile(layers, brain):
    """Median r over neurons for each seed (rows) and layer (columns)."""
    rows = []
    for seed in SEEDS:
        scores = be.score_layers(layers, brain, split=be.split.images(0.2, seed=seed))
        rows.append(pd.Series(np.nanmedian(scores.mean(), axis=1), index=scores.entries["layer"], name=seed))
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_the_layers_of_session_190923(recording, capsys):
    table = profile(*recording("WE", "190923"))
    mean = table.mean()
    with capsys.disabled():
        print("\nV4 190923, median r, split seeds 0-4:\n" + pd.concat([table, mean.rename("mean").to_frame().T]).round(3).to_string())
    assert mean["conv_stem"] <= 0.30
    assert mean[["blocks.3.1", "blocks.3.3", "blocks.4.2", "blocks.5.0"]].min() >= 0.55
    assert 0.45 <= mean["conv_head"] <= 0.55


@pytest.mark.slow
def test_the_layers_of_session_210224(recording, capsys):
    table = profile(*recording("PE", "210224"))
    mean = table.mean()
    with capsys.disabled():
        print("\nV4 210224, median r, split seeds 0-4:\n" + pd.concat([table, mean.rename("mean").to_frame().T]).round(3).to_string())
    assert mean["conv_stem"] <= 0.25
    assert mean[["blocks.3.1", "blocks.3.3", "blocks.4.2"]].max() >= 0.51
    assert mean["conv_head"] <= 0.45


def test_three_estimators_agree_on_the_ceiling_of_session_210325(real_data, capsys):
    root = real_data("v4_natural_images").parent
    _, trials = be.load("v4_cowley2023", subject="PE", session="210325", variant="single_repeats", root=root)
    ceilings = {method: be.NoiseCeiling.from_repeats(trials, method=method).values for method in ("ncsnr", "anova", "split_half")}
    with capsys.disabled():
        print("\nV4 210325, variance ceiling, median over neurons: " + ", ".join(f"{k} {np.median(v):.3f}" for k, v in ceilings.items()))
    np.testing.assert_allclose(ceilings["ncsnr"], ceilings["anova"], atol=0.01)
    np.testing.assert_allclose(ceilings["ncsnr"], ceilings["split_half"], atol=0.05)
    assert 0.2 < np.median(ceilings["ncsnr"]) < 1
    # the same images in another order have no ceiling to speak of
    order = np.random.default_rng(0).permutation(trials.n_samples)
    null = be.NoiseCeiling.from_repeats(replace(trials, values=trials.values[order]))
    assert abs(np.median(null.values)) < 0.05


@pytest.mark.slow
def test_noise_corrected_scores_of_session_210325(recording, real_data, capsys):
    layers, _ = recording("PE", "210325")
    _, trials = be.load("v4_cowley2023", subject="PE", session="210325", variant="single_repeats", root=real_data("v4_natural_images").parent)
    tables = []
    for seed in SEEDS:
        scores = be.score_layers(layers, trials, split=be.split.images(0.2, seed=seed), metric=["pearson", "r2"])
        assert scores.ceiling is not None and 6 <= scores.ceiling.n_repeats <= 10
        tables.append(scores.by("roi").assign(seed=seed))
    mean = pd.concat(tables).groupby(["layer", "metric"], sort=False)[["score", "ceiling", "normalized"]].mean()
    with capsys.disabled():
        print("\nV4 210325, single repeats, mean over split seeds 0-4:\n" + mean.round(3).to_string())
    assert mean["normalized"].max() <= 1.05
    assert mean["normalized"].max() >= 0.5
