"""Sign flips over subjects, and clusters in space and time of a group and of one subject."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brainenc as be
from brainenc import metrics, rsa
from brainenc.core.errors import BrainencWarning, InputError, NotFoundError
from brainenc.encoding import cluster_test, sign_flip_test
from brainenc.metrics.resample import blocks_of


def scores_of(values, targets, *, layers=("one",), spaces=None, **rest):
    """Wrap scores (n_subjects, n_layers, n_targets)."""
    names = [f"{i:02d}" for i in range(1, len(values) + 1)]
    table = pd.concat([pd.DataFrame(targets).assign(subject=name) for name in names], ignore_index=True)
    entries = pd.DataFrame({"model": "toy", "layer": list(layers), "metric": "pearson", "seed": 0})
    spaces = {name: be.ArraySpace(values.shape[2]) for name in names} if spaces is None else spaces
    flat = np.concatenate(list(values), axis=1)[:, None]
    return be.Scores(flat, entries, table, spaces, "toy", n_test=[[40]], **rest)


@pytest.fixture
def group(rng):
    """Seven subjects, two layers, three targets in V1 and two in V4."""
    values = 0.3 * rng.standard_normal((7, 2, 5)) + np.array([[0.5], [0.1]])
    return scores_of(values, {"target_id": list("abcde"), "roi": ["V1"] * 3 + ["V4"] * 2}, layers=("one", "two")), values


def test_sign_flips_are_every_pattern_counted(group):
    scores, values = group
    cells = np.stack([np.median(values[..., :3], axis=2), np.median(values[..., 3:], axis=2)], axis=2)  # (7, 2, 2)
    table = sign_flip_test(scores, n=127)
    assert list(table["n"].unique()) == [127] and list(table["roi"]) == ["V1", "V4"] * 2 and list(table["layer"]) == ["one"] * 2 + ["two"] * 2
    null = np.stack([stats.ttest_1samp(cells * np.array(s)[:, None, None], 0).statistic for s in itertools.product([1, -1], repeat=7)])
    t = stats.ttest_1samp(cells, 0).statistic
    np.testing.assert_allclose(table["t"], t.reshape(-1))
    np.testing.assert_allclose(table["p"], (null >= t - 1e-9).mean(axis=0).reshape(-1))
    np.testing.assert_allclose(table["p_max"], (null.max(axis=(1, 2))[:, None, None] >= t - 1e-9).mean(axis=0).reshape(-1))
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]))
    layers = sign_flip_test(scores, n=127, maximum_over="layer")
    np.testing.assert_allclose(layers["p_max"], (null.max(axis=1)[:, None] >= t - 1e-9).mean(axis=0).reshape(-1))
    regions = sign_flip_test(scores, n=127, maximum_over=["region"])
    np.testing.assert_allclose(regions["p_max"], (null.max(axis=2)[:, :, None] >= t - 1e-9).mean(axis=0).reshape(-1))
    paired = sign_flip_test(scores, minus="toy/two", n=127, tail="two-sided", statistic="mean", summary="mean")
    np.testing.assert_allclose(paired["score"][0], (values[:, 0, :3] - values[:, 1, :3]).mean())
    assert len(paired) == 2 and (paired["layer"] == "one").all()
    by_target = sign_flip_test(scores, by="target_id", n=127)
    same = rsa.sign_flip_test(values, n=127)
    np.testing.assert_allclose(by_target["p"], same["p"])
    np.testing.assert_allclose(by_target["p_max"], same["p_max"])


def test_who_cannot_be_flipped(group):
    scores, values = group
    with pytest.raises(InputError, match="one subject"):
        sign_flip_test(scores.where(subject="01"))
    holed = values.copy()
    holed[2, 0, 3:] = np.nan
    lacking = scores_of(holed, {"target_id": list("abcde"), "roi": ["V1"] * 3 + ["V4"] * 2}, layers=("one", "two"))
    with pytest.raises(InputError, match="1 of 28 scores missing"):
        sign_flip_test(lacking)
    with pytest.raises(NotFoundError, match="toy/three"):
        sign_flip_test(scores, minus="toy/three")
    with pytest.raises(InputError, match="two layers"):
        sign_flip_test(scores.entry(layer="one"), minus="toy/one")


def test_a_group_finds_when_and_where(rng):
    times = np.arange(20) / 100
    grid = pd.DataFrame([{"target_id": f"{c}_{t}", "channel": c, "time": t} for c in ("O1", "O2", "Fz") for t in times])
    values = 0.1 * rng.standard_normal((10, 2, 60))
    lit = grid["channel"].isin(["O1", "O2"]) & grid["time"].between(0.05, 0.1)
    values[:, 0, lit] += 0.2
    scores = scores_of(values, grid, layers=("one", "two"))
    found = cluster_test(scores.entry(layer="one"), n=300)
    first = found.table.iloc[:2]
    assert set(first["channels"]) == {"O1", "O2"} and (first["p"] < 0.01).all()  # channels do not touch unless somebody says so
    assert np.allclose(first["start"], 0.05, atol=0.011) and np.allclose(first["stop"], 0.1, atol=0.011)
    assert found.mask[lit].mean() > 0.9 and found.mask[~lit].mean() < 0.06 and found.n_subjects == 10
    lattice = rsa.cluster_test(values[:, 0].reshape(10, 3, 20)[:, 0], n=300, tail="greater")
    np.testing.assert_allclose(found.t[:20], lattice.t)
    assert set(lattice.table["mass"].round(9)) <= set(found.table["mass"].round(9))  # the same clusters of O1
    near = np.abs(np.subtract.outer(grid["time"].to_numpy(), grid["time"].to_numpy())) <= 0.0101
    posterior = near & np.equal.outer(grid["channel"].isin(["O1", "O2"]).to_numpy(), grid["channel"].isin(["O1", "O2"]).to_numpy())
    joined = cluster_test(scores.entry(layer="one"), n=300, adjacency=[np.flatnonzero(row) for row in posterior])
    assert joined.table.loc[0, "channels"] == "O1, O2" and joined.table.loc[0, "p"] <= 0.004 and joined.table.loc[0, "peak_target"].startswith("O")
    difference = cluster_test(scores, minus="toy/two", n=300, tail="two-sided")
    assert difference.table.loc[0, "p"] < 0.01 and difference.table.loc[0, "sign"] == 1


def one_subject(rng, signal, *, n=120, series=False, **tables):
    """Predictions and observed values of one subject that agree as much as ``signal`` says, as kept scores."""
    n_targets = len(signal)
    predicted = rng.standard_normal((n, n_targets))
    observed = signal * predicted + rng.standard_normal((n, n_targets))
    unit = blocks_of(n, 10) if series else np.arange(n)
    rows = pd.DataFrame({"fold": 0, "unit": unit, "row": np.arange(n), "stimulus_id": [f"i{i}" for i in range(n)]})
    kept = {"predictions": {"01": {"toy/one": predicted}}, "observed": {"01": observed}, "test_rows": {"01": rows}}
    r = metrics.pearson(observed, predicted)
    return scores_of(r[None, None], tables["targets"], spaces=tables["spaces"], **kept)


def test_one_person_has_clusters_in_the_volume(rng):
    places = np.argwhere(np.ones((8, 8, 4), dtype=bool))
    space = be.VolumeSpace((8, 8, 4), np.diag([3.0, 3.0, 3.0, 1.0]), places)
    ball = ((places - [2, 2, 1]) ** 2).sum(axis=1) <= 4
    scores = one_subject(rng, np.where(ball, 0.6, 0.0), targets={"target_id": [f"v{i}" for i in range(256)]}, spaces={"01": space})
    found = cluster_test(scores, adjacency=list(space.neighbourhoods(3.0)), n=200, threshold=2.5)
    assert found.table.loc[0, "p"] <= 0.005 and (found.table["p"][1:] > 0.05).all()
    inside = found.labels == found.table.loc[0, "cluster"]
    assert inside[ball].mean() > 0.9 and inside[~ball].mean() < 0.05 and found.drawn == "permutations"
    np.testing.assert_allclose(found.t[ball].mean(), scores.mean()[0, ball].mean() * np.sqrt(120), rtol=0.15)  # r over its null, 1 / √n
    with pytest.raises(InputError, match="memory|budget"):
        cluster_test(scores, adjacency=list(space.neighbourhoods(3.0)), n=200, memory="50KB")
    enhanced = cluster_test(scores, adjacency=list(space.neighbourhoods(3.0)), n=100, threshold="tfce")
    assert enhanced.mask[ball].mean() > 0.8 and enhanced.mask[~ball].mean() < 0.1


def test_noise_of_one_person_has_clusters_as_often_as_promised(rng):
    table = pd.DataFrame({"target_id": [f"t{i}" for i in range(30)], "time": np.arange(30) / 100})
    hits = []
    for seed in range(60):
        noise = one_subject(np.random.default_rng(seed), np.zeros(30), n=40, targets=table, spaces={"01": be.ArraySpace(30)})
        found = cluster_test(noise, n=99, seed=seed)
        hits.append(len(found.table) > 0 and found.table["p"].min() <= 0.1)
    assert 0.02 <= np.mean(hits) <= 0.2


def test_targets_without_a_score_are_in_no_cluster(rng):
    table = pd.DataFrame({"target_id": [f"t{i}" for i in range(12)], "time": np.arange(12) / 100})
    values = 0.4 + 0.1 * rng.standard_normal((8, 1, 12))
    values[3, 0, 5] = np.nan
    with pytest.warns(BrainencWarning, match="1 of 12 targets"):
        found = cluster_test(scores_of(values, table), n=100)
    assert np.isnan(found.t[5]) and not found.mask[5] and found.mask.sum() == 11 and len(found.table) == 2
    assert found.table["stop"].min() == pytest.approx(0.04)


def test_what_makes_no_cluster_is_refused(group, rng):
    scores, values = group
    with pytest.raises(InputError, match="neighbourhoods"):
        cluster_test(scores.entry(layer="one"))
    timed = scores_of(values, pd.DataFrame({"target_id": list("abcde"), "time": np.arange(5.0)}), layers=("one", "two"))
    with pytest.raises(InputError, match="one layer"):
        cluster_test(timed)
    with pytest.raises(InputError, match="5 lists"):
        cluster_test(timed.entry(layer="one"), adjacency=[[0], [1]])
    with pytest.raises(InputError, match="no null for a difference"):
        cluster_test(timed.where(subject="01"), minus="toy/two")
    with pytest.raises(InputError, match="keep_predictions"):
        cluster_test(timed.where(subject="01").entry(layer="one"))
    other = timed.targets.assign(target_id=[*list("abcde") * 6, *list("abcdf")])
    with pytest.raises(InputError, match="same targets"):
        cluster_test(replace(timed, targets=other).entry(layer="one"))
    twice = scores_of(values, pd.DataFrame({"target_id": list("abcde"), "time": 0.0}), layers=("one", "two"))
    with pytest.raises(InputError, match="one time twice"):
        cluster_test(twice.entry(layer="one"))
