"""Similarities on recordings: digits in visual cortex, and layers of MobileNetV2 against neurons of macaque V4."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be

similarity = be.rsa.similarity
LAYERS = ["conv_stem", "blocks.3.1", "conv_head"]
PREPROCESS = {"size": 224, "crop": "squash", "interpolation": "bilinear", "mean": (128 / 255,) * 3, "std": (128 / 255,) * 3}


@pytest.fixture(scope="module")
def digits(real_data):
    stimuli, brain = be.load("digits69", root=real_data("digits69_fmri").parent)
    return stimuli, next(iter(be.extract(stimuli, "pixels", cache=False).values())), brain


def test_pixels_of_digits_look_like_visual_cortex(digits, capsys):
    _, pixels, brain = digits
    rows = [
        similarity.similarity_test(pixels, brain, metric, n=199, n_halves=100, **options).iloc[0]
        for metric, options in (("cka", {"estimator": "debiased"}), ("ssm", {}), ("mutual_knn", {}), ("procrustes_distance", {}))
    ]
    with capsys.disabled():
        print("\ndigits69, pixels: " + ", ".join(f"{r['metric']} {r['value']:.3f} [{r['ci_low']:.3f}, {r['ci_high']:.3f}]" for r in rows))
    assert all(row["p"] == 0.005 for row in rows)
    assert rows[0]["value"] == pytest.approx(0.216, abs=0.002) and rows[0]["ci_low"] > 0.1
    assert abs(rows[0]["null_mean"]) < 0.01, "debiased: nothing in common is zero, with 3,092 voxels and 100 stimuli"
    assert similarity.cka(pixels, brain) > rows[0]["value"] + 0.05


def test_kernel_analysis_of_digits(digits, capsys):
    stimuli, pixels, brain = digits
    labels = stimuli.table["digit"]
    both = [similarity.kernel_analysis(one, labels) for one in (pixels, brain)]
    with capsys.disabled():
        print("\ndigits69: " + "; ".join(map(repr, both)))
    assert all(found.chance == 0.5 and found.loo < 0.1 for found in both)
    shuffled = labels.copy()
    shuffled[:] = np.random.default_rng(0).permutation(labels)
    assert similarity.kernel_analysis(brain, shuffled).loo > 0.3
    assert similarity.kernel_analysis(brain, shuffled).auc < both[1].auc - 0.1


@pytest.mark.slow
def test_layers_and_neurons_of_v4(real_data, capsys):
    weights = real_data("mobilenetv2_imagenet") / "mobilenetv2_100_tf_imagenet.safetensors"
    stimuli, brain = be.load("v4_cowley2023", subject="WE", session="190923", root=real_data("v4_natural_images").parent)
    brain = brain.take_rows(np.arange(200))
    spaces = be.extract(
        stimuli.take(brain.samples["stimulus_id"]), "timm:mobilenetv2_100", LAYERS, weights=weights, pooling="grid4",
        model_kwargs={"pad_type": "same"}, preprocess=PREPROCESS,
    )  # fmt: skip
    layers = {space.layer: space for space in spaces.values()}
    cka = similarity.similarity_test(layers, brain, estimator="debiased", n=199, n_halves=100).set_index("x")
    ssm = similarity.matrix(layers, brain, "ssm").iloc[:, 0]
    scores = be.score_layers(layers, brain, split=be.split.kfold(4), keep_predictions=True)
    predicted = similarity.predicted_rsa(scores, by=None, method="spearman").set_index("layer")["score"]
    depth = similarity.pseudo_depth(layers, brain, by=None, n=20).iloc[0]
    with capsys.disabled():
        print(f"\nV4 190923, 200 images: debiased CKA {cka['value'].round(3).to_dict()}, ssm {ssm.round(3).to_dict()}, predicted RSA {predicted.round(3).to_dict()}")
    for values in (cka["value"], ssm, predicted):
        assert values.idxmax() == "blocks.3.1"
    assert (cka["p_max"] == 0.005).all()
    np.testing.assert_allclose(cka.loc[LAYERS, "value"], [0.210, 0.274, 0.208], atol=0.01)
    np.testing.assert_allclose(ssm[LAYERS], [0.175, 0.335, 0.234], atol=0.01)
    np.testing.assert_allclose(predicted[LAYERS], [0.307, 0.445, 0.270], atol=0.02)
    assert depth["layer"] == "blocks.3.1" and depth["agreement"] >= 0.9
    assert (predicted > ssm).all(), "weighing the features for each neuron brings the geometries nearer"
