"""Read-outs of a hierarchy: planted orders in space, time and training, and the rules for ties, floors and missing values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import distances_to, half_time, normalized_curves, spatial_score, temporal_score

pytestmark = pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")  # layers that drive nothing
AREAS = ("V1", "V2", "V3", "V4", "IT")
DISTANCES = {"V1": 0.0, "V2": 12.0, "V3": 19.0, "V4": 30.0, "IT": 61.0}


def layers_of(rng, n_images, names):
    """Return layers of independent features."""
    ids = [f"image{i}" for i in range(n_images)]
    return ids, {f"toy/{name}": be.FeatureSpace(rng.standard_normal((n_images, 6)), {"stimulus_id": ids}, name=f"toy/{name}") for name in names}


def planted(seed, noise=1.0, wrong=False):
    """Score five layers in five areas of four voxels; layer i drives area i (or 4 − i), one layer away a little."""
    rng = np.random.default_rng(seed)
    ids, layers = layers_of(rng, 120, "abcde")
    parts, targets = [], []
    for i, area in enumerate(AREAS):
        for shift, weight in ((0, 1.0), (1, 0.4)):
            j = min(max((4 - i if wrong else i) + shift, 0), 4)
            x = list(layers.values())[j].values @ rng.standard_normal((6, 4)) * weight
            parts.append(x if shift == 0 else parts.pop() + x)
        targets += [{"target_id": f"{area}.{v}", "roi": area} for v in range(4)]
    values = np.concatenate(parts, axis=1)
    brain = be.Responses(values + noise * values.std() * rng.standard_normal(values.shape), {"stimulus_id": ids}, pd.DataFrame(targets), name="01")
    return be.score_layers(layers, brain, split=be.split.images(test=0.4, seed=0), keep_predictions=True)


def test_spatial_score_of_a_planted_hierarchy():
    scores = planted(0)
    readout = spatial_score(scores, DISTANCES, n=100)
    truth = stats.pearsonr(np.linspace(0, 1, 5), list(DISTANCES.values())).statistic
    row = readout.table.iloc[0]
    assert row["subject"] == "01" and row["model"] == "toy" and row["n_cells"] == 5 and row["n_missing"] == 0
    np.testing.assert_allclose(row["score"], truth)
    assert row["ci_low"] <= truth + 1e-12 and row["ci_high"] >= truth - 1e-12 and row["ci_low"] > 0.5
    assert list(readout.cells["depth"]) == [0, 0.25, 0.5, 0.75, 1] and (readout.cells["depth_low"] <= readout.cells["depth"]).all()
    by_hand = scores.by("roi").pivot(index="roi", columns="layer", values="score").loc[list(AREAS)]
    np.testing.assert_allclose(readout.cells["score"], by_hand.max(axis=1))
    turned = spatial_score(planted(1, wrong=True), DISTANCES, n=20)
    assert turned.table["score"].item() < -0.9
    one = spatial_score(scores, np.repeat(list(DISTANCES.values()), 4), by="target", n=20)
    assert one.table["n_cells"].item() == 20 and one.table["score"].item() > 0.8


def test_depths_may_be_given_and_noise_widens_the_interval():
    depth = {f"toy/{name}": value for name, value in zip("abcde", (0, 0.1, 0.2, 0.3, 1), strict=True)}
    near, far = (spatial_score(planted(2, noise), DISTANCES, depth=depth, n=100) for noise in (0.5, 6.0))
    np.testing.assert_allclose(near.table["score"], stats.pearsonr(list(depth.values()), list(DISTANCES.values())).statistic)
    width = [(one.cells["depth_high"] - one.cells["depth_low"]).sum() for one in (near, far)]
    assert width[0] < width[1] and np.ptp(far.draws[0][np.isfinite(far.draws[0])]) > 0.2
    with pytest.raises(InputError, match="without a depth"):
        spatial_score(planted(2), DISTANCES, depth={"toy/a": 0})
    with pytest.raises(InputError, match="without a distance"):
        spatial_score(planted(2), {"V1": 0})


def test_ties_floors_and_missing_cells_are_left_out_and_counted():
    scores = planted(3)
    ceiling = be.NoiseCeiling(np.where(scores.targets["roi"] == "V3", 0.001, 0.5))
    values = scores.values.copy()
    values[1, :, (scores.targets["roi"] == "V2").to_numpy()] = values[0, :, (scores.targets["roi"] == "V2").to_numpy()] = 0.9
    values[:, :, (scores.targets["roi"] == "V4").to_numpy()] = np.nan
    readout = spatial_score(replace(scores, values=values, ceiling=ceiling, predictions={}), DISTANCES)
    row = readout.table.iloc[0]
    assert tuple(row[["n_cells", "n_tied", "n_below_floor", "n_missing"]]) == (2, 1, 1, 1)
    assert np.isnan(row["score"]) and readout.draws.shape == (1, 0) and np.isnan(row["ci_low"])
    assert list(readout.cells["depth"].isna()) == [False, True, True, True, False]


def test_distances_within_hemispheres():
    xyz = np.array([[-10.0, 0, 0], [-10, 0, 0], [10, 0, 0], [-13, 4, 0], [10, 0, 7]])
    roi, hemi = ["V1", "V1", "V1", "V4", "V4"], ["left", "left", "right", "left", "right"]
    assert distances_to(xyz, roi, hemi=hemi) == {"V1": 0.0, "V4": 6.0}
    np.testing.assert_allclose(distances_to(xyz, roi, hemi=hemi, per="target"), [0, 0, 0, 5, 7])
    with pytest.raises(InputError, match="no target lies in the origin"):
        distances_to(xyz, roi, origin="V9")
    scores = planted(0)
    table = scores.targets.assign(x=[DISTANCES[roi] for roi in scores.targets["roi"]], y=1.0, z=2.0)
    np.testing.assert_allclose(spatial_score(replace(scores, targets=table), n=20).cells["distance"], list(DISTANCES.values()))
    with pytest.raises(InputError, match="no distances"):
        spatial_score(scores)


def test_replicates_are_resampled(rng):
    truth = -np.abs(np.arange(5)[:, None] - np.array([0.2, 1.1, 1.9, 3.8]))
    subjects = truth + 0.5 * rng.standard_normal((9, 5, 4))
    far = [0.0, 20.0, 35.0, 60.0]
    readout = spatial_score(subjects, far, n=200)
    best = subjects.mean(axis=0).argmax(axis=0) / 4
    np.testing.assert_allclose(readout.table["score"], stats.pearsonr(best, far).statistic)
    assert readout.draws.shape == (1, 200) and readout.table["ci_low"].item() <= readout.table["score"].item()
    with pytest.raises(InputError, match="two or three axes"):
        spatial_score(np.zeros(4), far)


def test_temporal_score_of_planted_latencies():
    rng = np.random.default_rng(4)
    ids, layers = layers_of(rng, 100, "abcd")
    times, peaks = np.arange(0.0, 0.5, 0.02), np.array([0.1, 0.16, 0.24, 0.38])
    gain = np.exp(-0.5 * ((times - peaks[:, None]) / 0.05) ** 2)
    targets = pd.DataFrame([{"target_id": f"{c}@{t:.2f}", "channel": c, "time": t} for c in ("O1", "O2") for t in times])
    signal = sum(np.concatenate([g * (x.values @ rng.standard_normal((6, 1))) for _ in range(2)], axis=1) for g, x in zip(gain, layers.values(), strict=True))
    brain = be.Responses(signal + 1.5 * rng.standard_normal(signal.shape), {"stimulus_id": ids}, targets, name="01")
    scores = be.score_layers(layers, brain, split=be.split.images(test=0.5, seed=0), keep_predictions=True)
    readout = temporal_score(scores, n=100, threshold=0.9)
    np.testing.assert_allclose(readout.cells["latency"], peaks, atol=0.045)
    truth = stats.pearsonr(np.linspace(0, 1, 4), peaks).statistic
    row = readout.table.iloc[0]
    assert row["score"] > 0.9 and row["ci_low"] <= truth and row["ci_low"] > 0.5
    assert (readout.cells["latency_low"] <= readout.cells["latency_high"]).all()
    with pytest.raises(InputError, match="have their times"):
        temporal_score(scores, times)


def test_temporal_score_by_hand():
    times = np.array([0.0, 1.0, 2.0, 3.0])
    curves = np.array([[0.96, 1.0, 0.5, 0.95], [0.1, 0.2, 0.4, 0.4], [-0.3, -0.2, -0.1, -0.4], [0.1, np.nan, 0.4, 0.2]])
    readout = temporal_score(curves, times)
    np.testing.assert_allclose(readout.cells["latency"], [4 / 3, 2.5, np.nan, np.nan])
    assert readout.table["n_missing"].item() == 2 and np.isnan(readout.table["score"].item())
    np.testing.assert_allclose(normalized_curves(curves)[:2, 1], [1.0, 0.5])
    np.testing.assert_allclose(np.nanmax(normalized_curves(curves, axis=(0, 1))), 1.0)
    with pytest.raises(InputError, match="share of the maximum"):
        temporal_score(curves, times, threshold=0)
    with pytest.raises(InputError, match="one time per column"):
        temporal_score(curves, times[:3])


def test_half_time_of_analytic_curves():
    steps = np.arange(0, 1001.0)
    tau = np.array([20.0, 80.0, 300.0])
    curves = 1 - np.exp(-steps[:, None] / tau)
    exact = -tau * np.log(1 - 0.5 * (1 - np.exp(-1000 / tau))) / 1000
    np.testing.assert_allclose(half_time(steps, curves), exact, rtol=0, atol=1 / (8 * 20) / 1000)  # the error of a chord: h² f″ / 8 f′
    np.testing.assert_allclose(half_time([0, 10, 40], [0.0, 0.3, 0.4]), 10 * (2 / 3) / 40)
    assert half_time([0, 10, 40], [0.0, 0.1, 0.4], interpolation="none") == 1.0
    logarithmic = half_time([0, 9, 99], [0.0, 0.1, 0.3], interpolation="log")
    np.testing.assert_allclose(logarithmic, (10 ** (1 + 0.25) - 1) / 99)
    # an untrained model that scores already: half of what is learnt lies elsewhere than half of the score
    assert half_time([0, 1, 2], [0.2, 0.2, 0.4]) == 0.0
    np.testing.assert_allclose(half_time([0, 1, 2], [0.2, 0.2, 0.4], baseline="first"), 0.75)


def test_half_time_is_missing_where_there_is_none():
    curves = np.array([[0.0, 0.0, 0.0, np.nan], [0.2, -0.1, 0.1, 0.2], [0.1, -0.2, 0.2, 0.3]])
    out = half_time([0, 1, 2], curves, final=[0.1, -0.2, 0.9, 0.3])
    np.testing.assert_allclose(out, [0.25 / 2, np.nan, np.nan, np.nan])
    with pytest.raises(InputError, match="ascend"):
        half_time([0, 0, 1], curves)
    with pytest.raises(InputError, match="one value per step"):
        half_time([0, 1], curves)


@pytest.mark.slow
def test_the_hierarchy_of_the_simulated_subject():
    """Gabor energy, a middle layer and concepts drive near, middle and far regions of insilico."""
    stimuli, brain = be.load("insilico", subject="01")
    spaces = {}
    for rank, (model, layer) in enumerate((("gabor", "energy"), ("toyclip", "visual.layer2"), ("table:concepts", "columns"))):
        (space,) = be.extract(stimuli, model, layers=layer, progress=False).values()
        spaces[f"chain/{rank}"] = replace(space, name=f"chain/{rank}")
    scores = be.score_layers(spaces, brain, split=be.split.images(test=0.25, seed=0), keep_predictions=True)
    readout = spatial_score(scores, n=100)
    k = dict(zip(readout.cells["roi"], readout.cells["depth"], strict=True))
    assert k == {"V1": 0.0, "V2": 0.0, "V4": 0.5, "LOC": 1.0, "FFA": 1.0, "PPA": 1.0, "EBA": 1.0}
    xyz = brain.targets[["x", "y", "z"]].to_numpy()
    middle = {(r, h): xyz[((brain.targets["roi"] == r) & (brain.targets["hemi"] == h)).to_numpy()].mean(axis=0) for r in k for h in ("left", "right")}
    far = [np.mean([np.linalg.norm(middle[r, h] - middle["V1", h]) for h in ("left", "right")]) for r in k]
    np.testing.assert_allclose(readout.table["score"], stats.pearsonr(list(k.values()), far).statistic)
    assert readout.table["ci_low"].item() > 0.3 and readout.table["n_cells"].item() == 7


def test_every_subject_and_model_has_its_own_row(rng):
    scores = planted(0)
    from_two = be.Scores(
        np.concatenate([scores.values, scores.values[::-1]], axis=2), scores.entries, pd.concat([scores.targets, scores.targets.assign(subject="02")]),
        {"01": scores.space, "02": scores.space}, scores.split, np.concatenate([scores.n_test, scores.n_test], axis=1),
    )  # fmt: skip
    table = spatial_score(from_two, DISTANCES).table
    assert list(table["subject"]) == ["01", "02"]
    np.testing.assert_allclose(table["score"][1], -table["score"][0])
    wide = np.concatenate([np.repeat(list(DISTANCES.values()), 4), 5.0 * np.repeat(list(DISTANCES.values()), 4)])
    single = spatial_score(from_two, wide, by="target")
    assert single.cells.groupby("subject")["distance"].max().to_dict() == {"01": 61.0, "02": 305.0}
    one = replace(scores, entries=scores.entries.assign(model=list("aaabb")), predictions={})
    assert list(spatial_score(one, DISTANCES).table["model"]) == ["a", "b"]
    with pytest.raises(InputError, match="no hierarchy"):
        spatial_score(replace(scores, entries=scores.entries.assign(model=list("aaaab")), predictions={}), DISTANCES)


@pytest.mark.slow
def test_coverage_of_the_intervals():
    """Percentiles cover moderate scores; noise draws a perfect hierarchy down, and the mean of the draws shows it."""
    times, peaks = np.arange(0, 0.6, 0.02), np.array([0.12, 0.2, 0.16, 0.3, 0.26, 0.4])
    curves = 0.3 * np.exp(-0.5 * ((times - peaks[:, None]) / 0.06) ** 2)
    far, layer = np.array([0, 8.0, 15, 22, 31, 40, 52, 60]), np.arange(10)[:, None]
    areas = {name: -0.0375 * (layer - 9 * np.array(k)) ** 2 for name, k in (
        ("weak", (0.45, 0.2, 0.8, 0.45, 0.1, 0.9, 0.4, 0.9)), ("strong", (0.1, 0.2, 0.25, 0.45, 0.4, 0.7, 0.65, 0.9)))}  # fmt: skip
    jobs = [(curves, lambda x, i: temporal_score(x, times, n=200, seed=i), 0.03), (curves, lambda x, i: temporal_score(x, times, n=200, seed=i), 0.09)]
    jobs += [(areas[name], lambda x, i: spatial_score(x, far, n=200, seed=i), noise) for name, noise in (("weak", 0.1), ("weak", 1.0), ("strong", 1.0))]
    covered, drop = [], []
    for clean, read, noise in jobs:
        truth, rows = read(clean, 0).table["score"].item(), []
        for i in range(200):
            rows.append(read(clean + noise * np.random.default_rng(i).standard_normal((12, *clean.shape)), i).table.iloc[0])
        table = pd.DataFrame(rows)
        covered.append(((table["ci_low"] <= truth) & (truth <= table["ci_high"])).mean())
        drop.append((truth - table["score"].mean(), (table["score"] - table["draws_mean"]).mean()))
    assert min(covered[:4]) >= 0.92, covered
    assert drop[4][0] > 0.08 and 0.2 < drop[4][1] / drop[4][0] < 1.0, drop  # a perfect hierarchy in much noise
