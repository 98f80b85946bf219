"""Mantel tests, weighted models and variance partitions on the RDMs of 92 objects."""

from __future__ import annotations

import numpy as np
import pytest

import brainenc as be

pytestmark = pytest.mark.usefixtures("objects")


@pytest.fixture(scope="module")
def objects(real_data):
    real_data("objects92_rdm")
    return be.load("objects92").rdms


@pytest.fixture(scope="module")
def human_it(objects):
    """Four people, two sessions each."""
    return objects.where("study == 'Kriegeskorte 2008'")


@pytest.fixture(scope="module")
def models(objects):
    """Binary models of categories, and monkey IT."""
    conditions = objects.conditions
    upper = np.triu_indices(92, 1)
    names = ["animate", "face", "human", "natural"]
    binary = [np.not_equal.outer(*[conditions[name].to_numpy(dtype=bool)] * 2)[upper].astype(float) for name in names]
    monkey = objects.where("study == 'Kriegeskorte 2008, figure 1' and species == 'monkey'").values[0]
    return be.RDMs(np.stack([*binary, monkey]), conditions, {"model": [*names, "monkey IT"]})


def test_no_relabelling_brings_monkey_and_human_it_as_close(objects, models):
    human = objects.where("study == 'Kriegeskorte 2008, figure 1' and species == 'human'")
    table = be.rsa.permutation_test(models.take([4]), human, n=999)
    assert table["score"][0] == pytest.approx(0.4912, abs=5e-5)
    assert table["p"][0] == table["p_max"][0] == 1 / 1000
    assert abs(table["null_mean"][0]) < 0.01 < table["null_sd"][0] < 0.1


def test_monkey_it_is_related_to_human_it_beyond_animacy(human_it, models):
    table = be.rsa.permutation_test(models.take([4]), human_it, n=199, method="spearman", control=models.take([0, 1, 2, 3]))
    assert table["p"][0] == 1 / 200 and 0.05 < table["score"][0] < 0.29


def test_a_weighted_sum_predicts_held_out_objects_of_held_out_people_best(human_it, models):
    singles = {name: models.take([i]) for i, name in enumerate(models.rdms["model"])}
    found = be.rsa.crossvalidate({"weighted": be.rsa.Weighted(models), "best": be.rsa.Select(models), **singles}, human_it, n_assignments=10)
    score = dict(zip(found.models["model"], found.mean[0], strict=True))
    assert score["weighted"] > max(score[name] for name in singles) + 0.015
    assert score["weighted"] == pytest.approx(0.42, abs=0.01) and score["animate"] == pytest.approx(0.39, abs=0.01)
    # choosing one model costs something when the choice is made on other data
    assert score["best"] < score["animate"]
    weights = found.provenance["weights"][0]["weighted"]
    assert min(weights["animate"], weights["monkey IT"]) > 0.1 > max(weights["face"], weights["human"], weights["natural"])
    assert found.ceiling[0, 0] < score["weighted"] < found.ceiling[0, 1]


def test_animacy_and_monkey_it_share_half_of_what_they_explain(human_it, models):
    two = models.take([0, 4])
    found = be.rsa.partition_variance(two, human_it, n=200)
    subject = [human_it.values[human_it.rdms["subject"] == name].mean(axis=0) for name in found.subjects]
    for s, y in enumerate(subject):
        r2 = [np.corrcoef(design @ np.linalg.lstsq(design, y, rcond=None)[0], y)[0, 1] ** 2
              for design in (np.column_stack([np.ones(4186), *two.values[list(c)]]) for c in ([0], [1], [0, 1]))]  # fmt: skip
        np.testing.assert_allclose(found.r2[0, s], r2, atol=1e-10)
    share = dict(zip(found.table["models"], found.table["share"], strict=True))
    np.testing.assert_allclose([share["animate"], share["monkey IT"], share["animate & monkey IT"]], [0.085, 0.034, 0.081], atol=5e-4)
    assert (found.table["ci_low"] > 0).all() and found.table["r2"].iloc[-1] == pytest.approx(0.200, abs=5e-4)
    held = be.rsa.partition_variance(two, human_it, n=0, cv="both", n_assignments=5)
    assert 0.12 < held.table["r2"].iloc[-1] < found.table["r2"].iloc[-1]
    assert (held.table["share"] > 0.02).all()
