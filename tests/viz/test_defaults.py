"""Without a kind, what is drawn suits what it is."""

import numpy as np

import brainenc as be
from brainenc.viz import dispatch

CONDITIONS = {"condition": list("abcdef")}


def drawn(noun, monkeypatch):
    seen = []
    monkeypatch.setattr(dispatch, "resolve", lambda where: lambda noun, **options: seen.append(where.split(":")[1]))
    be.plot(noun)
    return seen[0]


def test_evaluations_at_times_are_courses_or_matrices(rng, monkeypatch):
    models = be.RDMs(rng.random((2, 15)), CONDITIONS, {"model": ["m", "n"]})
    for columns, kind in (
        ({"roi": ["A", "B", "C", "D"]}, "model_bars"), ({"time": [0.0, 0.1, 0.2, 0.3]}, "time_course"),
        ({"time": [0.0, 0.0, 0.1, 0.1], "time_test": [0.0, 0.1, 0.0, 0.1]}, "time_matrix"),
        ({"roi": ["A", "A", "B", "B"], "time": [0.0, 0.1, 0.0, 0.1]}, "model_bars"),
    ):  # fmt: skip
        table = {name: values * 3 for name, values in columns.items()} | {"subject": np.repeat(list("123"), 4)}
        evaluation = be.rsa.evaluate(models, be.RDMs(rng.random((12, 15)), CONDITIONS, table), by=list(columns), n=0)
        assert drawn(evaluation, monkeypatch) == kind
    assert drawn(be.rsa.evaluate(models, be.RDMs(rng.random((3, 15)), CONDITIONS, {"subject": list("123")}), n=0), monkeypatch) == "model_bars"


def test_a_searchlight_of_one_subject_is_a_map(rng, monkeypatch):
    space = be.VolumeSpace.from_mask(np.ones((3, 3, 3)), np.diag([3.0, 3.0, 3.0, 1.0]))
    brain = be.Responses(rng.standard_normal((6, 27)), {"stimulus_id": list("abcdef")}, space=space)
    model = be.rsa.rdm(rng.standard_normal((6, 9)), conditions=list("abcdef"))
    assert drawn(be.rsa.searchlight(brain, {"mine": model}, radius_mm=4), monkeypatch) == "model_maps"
    assert drawn(be.rsa.searchlight({"1": brain, "2": brain}, {"mine": model}, radius_mm=4), monkeypatch) == "layer_region_heatmap"
