"""Every result that can be saved comes back from a file as it was, and knows how to show itself."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.nouns.persist import RESULTS


def _rdms(rng, n=9, groups=4):
    shape = rng.random((2, n * (n - 1) // 2))
    table = {"subject": np.repeat([str(i) for i in range(groups)], 2), "roi": ["V1", "V4"] * groups}
    return be.RDMs(np.tile(shape, (groups, 1)) + 0.3 * rng.random((2 * groups, shape.shape[1])), {"condition": list("abcdefghi")[:n]}, table)


def _make(name, rng):
    rdms = _rdms(rng)
    models = be.RDMs(rng.random((2, 36)), rdms.conditions, {"model": ["one", "two"]})
    images = [f"image{i}" for i in range(40)]
    spaces = {k: be.FeatureSpace(rng.standard_normal((40, 3)), {"stimulus_id": images}, name=f"toy/{k}") for k in ("a", "b")}
    brain = be.Responses(spaces["a"].values @ rng.standard_normal((3, 6)) + rng.standard_normal((40, 6)), {"stimulus_id": images})
    trials = be.Responses(np.tile(brain.values, (4, 1)) + rng.standard_normal((160, 6)), {"stimulus_id": images * 4})
    split = be.split.images(test=0.3, seed=0)
    scores = rng.standard_normal((2, 3, 5))
    make = {
        "AdaptiveTest": lambda: be.rsa.topology.adaptive_test(rng.random((12, 2)), rng.random((12, 2)), n_permutations=9, n_thresholds=3),
        "Clusters": lambda: be.rsa.cluster_test(rng.standard_normal((6, 12)) + 1, n=63),
        "Consistency": lambda: be.encoding.noise_corrected_consistency(spaces["a"], trials, split=split, n_halves=3),
        "Grid": lambda: be.rsa.topology.make_grid([0.0, 0.5], [0.5, 1.0]),
        "GromovWasserstein": lambda: be.rsa.topology.gromov_wasserstein(rdms.take([0]), rdms.take([2]), epsilon=0.1, n_init=1, n_null=9),
        "Identification": lambda: be.rsa.topology.identify(rdms, l=[0.0, 0.5], u=[0.5, 1.0], n_bootstrap=5, n_permutations=3),
        "Integration": lambda: be.encoding.multimodal_sites(
            {**spaces, "both": be.encoding.join(spaces)}, be.Responses(brain.values, brain.samples, {"channel": list("xxxyyy"), "time": [0.0, 0.1, 0.2] * 2}),
            multimodal="both", unimodal=["a", "b"], split=be.split.blocks(2), n=20,
        ),
        "KernelAnalysis": lambda: be.rsa.similarity.kernel_analysis(rng.random((20, 4)), np.tile([0, 1], 10)),
        "NoiseModel": lambda: be.rsa.noise_model(rng.standard_normal((8, 20))),
        "Partition": lambda: be.rsa.partition_variance(models, rdms, by="roi", n=5),
        "Readout": lambda: be.encoding.temporal_score(np.abs(scores[0]), np.arange(5) / 10),
        "VariancePartition": lambda: be.encoding.partition_variance(spaces, brain, split=split, n=5),
    }
    return make[name]()


@pytest.mark.filterwarnings("ignore::brainenc.core.errors.BrainencWarning")
@pytest.mark.parametrize("name", RESULTS)
def test_saved_and_read(name, rng, tmp_path):
    result = _make(name, rng)
    assert type(result) is getattr(import_module(RESULTS[name]), name) and is_dataclass(result)
    if not hasattr(result, "save"):
        assert name == "Grid"  # a part of Identification
        return
    again = be.read(result.save(tmp_path / name))
    assert type(again) is type(result) and repr(again) == repr(result)
    for field in (f.name for f in fields(result) if f.init):
        _same(getattr(again, field), getattr(result, field))


def _same(found, wanted):
    if isinstance(wanted, pd.DataFrame):
        # missing texts come back as NaN
        pd.testing.assert_frame_equal(*(one.astype(object).where(one.notna(), None) for one in (found, wanted)))
    elif isinstance(wanted, np.ndarray):
        np.testing.assert_array_equal(found, wanted)
    elif is_dataclass(wanted):
        for f in fields(wanted):
            _same(getattr(found, f.name), getattr(wanted, f.name))
    elif isinstance(wanted, float):
        np.testing.assert_equal(found, wanted)
    else:
        assert found == wanted
