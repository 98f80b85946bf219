"""A study on rooms that are stood in for: two subjects of a small data set, three models of two layers, one of them broken."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import DataError, NotFoundError
from brainenc.core.rng import generator

N_STIMULI, N_TARGETS, WIDTHS = 70, 8, {"low": 9, "high": 5}


def units(name):
    return [{"subject": s, "session": None, "variant": None} for s in ("01", "02", "lost")]


def load(name, subject=None, *, session=None, variant=None, root=None):
    if subject == "lost":
        raise DataError("no such file", where="lost.npy")
    ids = [f"s{i:03d}" for i in range(N_STIMULI)]
    signal = drive("low") @ generator(0, "weights", subject).standard_normal((WIDTHS["low"], N_TARGETS))
    values = np.concatenate([signal + 3 * generator(0, "noise", subject, k).standard_normal(signal.shape) for k in range(2)])
    surface = be.SurfaceSpace("fsaverage3", ["left"] * 5 + ["right"] * 3, np.arange(N_TARGETS))
    volume = be.VolumeSpace.from_mask(np.ones((2, 2, 2)), np.diag([2.0, 3.0, 4.0, 1.0]))
    responses = be.Responses(
        values,
        pd.DataFrame({"stimulus_id": ids * 2, "run": np.repeat([1, 2], N_STIMULI)}),
        pd.DataFrame({"roi": ["V1"] * 3 + ["V4"] * 5}),
        space=volume if subject == "01" else surface,
    )
    return SimpleNamespace(stimuli=be.StimulusSet({"stimulus_id": ids}, kind="none", name="fake"), responses=responses, rdms=None)


def drive(layer):
    return generator(0, "features").standard_normal((N_STIMULI, WIDTHS["low"]))[:, : WIDTHS[layer]]


def list_layers(model, layers="**", *, stimuli=None, weights="pretrained", pooling="gap", model_kwargs=None):
    if model == "unknown":
        raise NotFoundError("unknown model 'unknown'")
    return dict(WIDTHS)


def extract(stimuli, model, layers="default", *, batch_size="auto", device="auto", seed=0, progress=None, weights="pretrained"):
    if model == "broken":
        raise RuntimeError("the model broke")
    made = {}
    for layer in layers:
        values = drive(layer) if model == "driver" else generator(1, model, layer).standard_normal((N_STIMULI, WIDTHS[layer]))
        made[f"{model}/{layer}"] = be.FeatureSpace(values, {"stimulus_id": stimuli.ids}, name=f"{model}/{layer}")
    return made


@pytest.fixture
def rooms(monkeypatch):
    """Put the stand-ins where a study looks for data sets and features; scoring is the real one."""
    import brainenc.datasets
    import brainenc.features
    import brainenc.loaders.stimuli

    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return extract(*args, **kwargs)

    for module, name, stand_in in (
        (brainenc.datasets, "units", units),
        (brainenc.datasets, "load", load),
        (brainenc.features, "list_layers", list_layers),
        (brainenc.features, "extract", counted),
        (brainenc.loaders.stimuli, "stimulus_fingerprint", lambda stimuli: "0" * 64),
    ):
        monkeypatch.setitem(vars(module), name, stand_in)
    return SimpleNamespace(extractions=calls, load=load, extract=extract)


@pytest.fixture
def table():
    """A plan with two good models on the two good subjects."""
    return {
        "name": "small",
        "analysis": [
            {"dataset": "fake", "subjects": ["01", "02"], "models": ["driver", "other"], "metric": ["pearson", "r2"], "split": {"kind": "kfold", "n": 3}},
        ],
    }
