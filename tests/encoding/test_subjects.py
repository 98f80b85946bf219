"""Groups of subjects: their table by hand, prevalence against a grid posterior and against planted populations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding import group_table, prevalence

ROIS = ["V1", "V1", "V1", "V4", "V4", None]


def group_of(values, p=None, p_max=None, roi=ROIS):
    """Wrap scores (n_subjects, n_layers, n_targets)."""
    names = [f"{i:02d}" for i in range(1, len(values) + 1)]
    targets = pd.concat([pd.DataFrame({"target_id": [f"v{i}" for i in range(values.shape[2])], "roi": roi, "subject": name}) for name in names], ignore_index=True)
    entries = pd.DataFrame({"model": "toy", "layer": [f"l{i}" for i in range(values.shape[1])], "metric": "pearson", "seed": 0})
    join = lambda array: None if array is None else np.concatenate(list(array), axis=-1)  # noqa: E731
    return be.Scores(
        join(values)[:, None], entries, targets, {name: be.ArraySpace(values.shape[2]) for name in names}, "toy", n_test=[[40]], p=join(p), p_max=join(p_max)
    )


def test_every_subject_and_their_mean(rng):
    values = rng.standard_normal((5, 2, 6))
    values[1, 0, 0] = np.nan
    table = group_table(group_of(values))
    cells = np.stack([np.nanmedian(values[..., :3], axis=-1), np.median(values[..., 3:5], axis=-1)], axis=-1)
    assert list(table["roi"]) == ["V1", "V4"] * 2 and list(table["layer"]) == ["l0", "l0", "l1", "l1"]
    np.testing.assert_allclose(table[["01", "02", "03", "04", "05"]].to_numpy().T, cells.reshape(5, -1))
    np.testing.assert_allclose(table["mean"], cells.mean(axis=0).reshape(-1))
    np.testing.assert_allclose(table["sd"], cells.std(axis=0, ddof=1).reshape(-1))
    ends = stats.ttest_1samp(cells.reshape(5, -1), 0).confidence_interval()
    np.testing.assert_allclose(table["ci_low"], ends.low)
    np.testing.assert_allclose(table["ci_high"], ends.high)
    assert table["n_significant"].isna().all() and (table["first_level"] == "no p-values").all() and (table["n_tested"] == 0).all()
    boot = group_table(group_of(values), interval="bootstrap", n=4000)
    ratio = (boot["ci_high"] - boot["ci_low"]) / (table["ci_high"] - table["ci_low"])
    assert ratio.between(0.7, 1.2).all()


def test_several_scores_and_regions_that_some_lack(rng):
    values = rng.standard_normal((3, 1, 6))
    whole = group_of(values)
    parts = [whole.where(subject=name) for name in whole.subjects]
    pd.testing.assert_frame_equal(group_table(parts), group_table(whole))
    parts[2] = parts[2].where(roi="V1")
    table = group_table(parts)
    assert list(table["n_subjects"]) == [3, 2] and np.isnan(table["03"][1])
    np.testing.assert_allclose(table["mean"][1], np.median(values[:2, 0, 3:5], axis=-1).mean())
    with pytest.raises(InputError, match="several subjects"):
        group_table(parts[0])


def test_who_is_significant(rng):
    p = np.array([[[0.04, 0.5, 0.6, 0.02, 0.9, 0.1]], [[0.01, 0.5, 0.6, 0.03, 0.9, 0.1]], [[np.nan] * 3 + [0.001, 0.4, 0.0]]])
    scores = group_of(np.zeros((3, 1, 6)), p)
    table = group_table(scores)  # Bonferroni: 0.12, 0.03 and none; 0.04, 0.06, 0.002
    assert list(table["n_significant"]) == [1, 2] and list(table["n_tested"]) == [2, 3] and "Bonferroni" in table["first_level"][0]
    np.testing.assert_allclose(table["prevalence"], [(1 / 2 - 0.05) / 0.95, (2 / 3 - 0.05) / 0.95])
    p_max = np.where(np.isnan(p), np.nan, 0.2)
    p_max[0, 0, 1] = 0.05
    assert list(group_table(group_of(np.zeros((3, 1, 6)), p, p_max))["n_significant"]) == [1, 0]
    single = group_table(scores, by="target_id")
    assert list(single["n_significant"]) == [2, 0, 0, 3, 0, 1] and (single["first_level"] == "p ≤ 0.05").all()


def test_a_prevalence_map(rng):
    space = be.SurfaceSpace("fsaverage5", ["left", "right", "right"], [4, 2, 9])
    p = np.array([[0.01, 0.5, np.nan], [0.01, 0.01, np.nan]])
    targets = pd.DataFrame({"subject": np.repeat(["01", "02"], 3), "target_id": ["l4", "r2", "r9"] * 2})
    entries = pd.DataFrame({"model": ["toy"], "layer": ["one"], "metric": ["pearson"], "seed": [0]})
    scores = be.Scores(np.zeros((1, 1, 6)), entries, targets, {"01": space, "02": space}, "toy", n_test=[[9]], p=p.reshape(1, -1))
    painted = space.paint_arrays(group_table(scores, by="target_id")["prevalence"])
    assert painted["left"][4] == 1 and np.isclose(painted["right"][2], 0.45 / 0.95) and np.isnan(painted["right"][9])


@pytest.mark.parametrize(("k", "n", "alpha", "power", "level"), [(0, 7, 0.05, 1, 0.95), (1, 20, 0.05, 1, 0.9), (6, 8, 0.05, 1, 0.95), (8, 8, 0.05, 1, 0.96), (5, 9, 0.01, 0.8, 0.5), (9, 9, 0.05, 0.9, 0.95)])
def test_prevalence_is_the_posterior_on_a_grid(k, n, alpha, power, level):
    gamma = np.linspace(0, 1, 200001)
    theta = alpha + (power - alpha) * gamma
    density = stats.binom.pmf(k, n, theta)
    found = prevalence(k, n, alpha=alpha, power=power, level=level)
    np.testing.assert_allclose(found.map, gamma[density.argmax()], atol=1e-5)
    order = np.argsort(-density, kind="stable")
    inside = np.sort(gamma[order[: np.searchsorted(np.cumsum(density[order]) / density.sum(), level) + 1]])
    np.testing.assert_allclose([found.low, found.high], [inside[0], inside[-1]], atol=1e-4)


def test_prevalence_of_arrays_and_of_nonsense():
    found = prevalence([[0, 4], [8, 4]], 8)
    np.testing.assert_allclose(found.map, [[0, (0.5 - 0.05) / 0.95], [1, (0.5 - 0.05) / 0.95]])
    assert found.low[0, 0] == 0 and found.high[1, 0] == 1 and found.low[0, 1] == found.low[1, 1]
    for wrong in ((9, 8), (-1, 8), (0.5, 8), (0, 0)):
        with pytest.raises(InputError, match="counts are whole"):
            prevalence(*wrong)
    with pytest.raises(InputError, match="below the power"):
        prevalence(1, 8, alpha=0.5, power=0.4)


def test_prevalence_intervals_hold_populations_drawn_from_the_prior():
    rng = np.random.default_rng(0)
    gamma = rng.random(4000)
    k = rng.binomial(8, 0.05 + 0.95 * gamma)
    found = prevalence(k, 8)
    assert 0.935 < np.mean((found.low <= gamma) & (gamma <= found.high)) < 0.965  # exact on average over the prior
