"""MobileNetV2 against the fMRI RDMs of 92 objects, by direct calls and by a plan; the report of that plan."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

import brainenc as be

pytestmark = pytest.mark.slow

LAYERS = ["blocks.*.*", "blocks.3.1.bn3"]
OPTIONS = {
    "pooling": "none", "model_kwargs": {"pad_type": "same"},
    "preprocess": {"size": 224, "interpolation": "bilinear", "crop": 1.0, "mean": [0.50196] * 3, "std": [0.50196] * 3},
}  # fmt: skip


def weights(real_data):
    return str(real_data("mobilenetv2_imagenet") / "mobilenetv2_100_tf_imagenet.safetensors")


def check(scores, capsys, title):
    """scores: {(roi, layer): Spearman with the mean RDM of 15 subjects}."""
    blocks = {layer for _, layer in scores if layer.count(".") == 2}
    best = max(scores["EVC", layer] for layer in blocks)
    with capsys.disabled():
        print(f"\n{title}: EVC {scores['EVC', 'blocks.3.1.bn3']:.3f} at blocks.3.1.bn3, {best:.3f} at the best block; IT {scores['IT', 'blocks.5.1']:.3f} at blocks.5.1")
    assert scores["EVC", "blocks.3.1.bn3"] >= 0.40
    assert 0.36 <= best <= 0.40
    assert 0.39 <= scores["IT", "blocks.5.1"] <= 0.43


def test_direct_calls(real_data, capsys):
    stimuli, rdms = be.load("objects92", root=real_data("objects92_rdm").parent)
    layers = be.extract(stimuli, "timm:mobilenetv2_100", LAYERS, weights=weights(real_data), progress=False, **OPTIONS)
    brain = rdms.where("study == 'Algonauts 2019'").average("roi")
    models = be.rsa.rdm(layers, metric="correlation")
    found = be.rsa.compare(brain, models, "spearman")
    check({(r, m): found[i, j] for i, r in enumerate(brain.rdms["roi"]) for j, m in enumerate(models.rdms["layer"])}, capsys, "direct")
    one = models.rdms["layer"].tolist().index("blocks.5.1")
    by_hand = 1 - np.corrcoef(np.asarray(layers["timm:mobilenetv2_100/blocks.5.1"].values, dtype=np.float64))[np.triu_indices(92, 1)]
    assert found[1, one] == pytest.approx(spearmanr(by_hand, brain.values[1])[0], abs=1e-5)


def test_a_plan_and_its_report(real_data, tmp_path, capsys):
    block = {
        "kind": "rsa", "dataset": "objects92", "root": str(real_data("objects92_rdm").parent), "where": "study == 'Algonauts 2019'", "compare": "spearman",
        "models": [{"name": "timm:mobilenetv2_100", "layers": LAYERS, "weights": weights(real_data), **OPTIONS}, "pixels"],
    }  # fmt: skip
    results = be.run({"name": "objects", "analysis": [block]}, tmp_path / "out", progress=False)
    assert not len(results.failures)
    data, models = results.rdms()["objects92"]
    brain = data.average("roi")
    layers = models.where(model="timm:mobilenetv2_100")
    found = be.rsa.compare(brain, layers, "spearman")
    check({(r, m): found[i, j] for i, r in enumerate(brain.rdms["roi"]) for j, m in enumerate(layers.rdms["layer"])}, capsys, "plan")
    (evaluation,) = results.evaluations().values()
    frame = evaluation.to_frame().set_index(["roi", "layer"])
    # the ceilings of the data set's README
    np.testing.assert_allclose(evaluation.ceiling, [[0.247, 0.399], [0.459, 0.549]], atol=0.01)
    assert frame.loc[("IT", "blocks.5.1"), "significant"] and frame.loc[("EVC", "blocks.3.1.bn3"), "significant"]
    assert not frame["claim"].str.startswith("no claim").any()
    page = be.report(results, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "blocks.5.1" in page and "Spearman" in page
