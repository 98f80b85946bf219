"""Mixed models of scores: the closed form of balanced designs, recovered effects, and fits that went wrong."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import BrainencWarning, InputError, MissingExtraError, NotFoundError

pytest.importorskip("statsmodels")
from brainenc.encoding import mixed_effects  # noqa: E402

ROIS = ["V1", "V2", "V4", "IT"]


def table_of(rng, n_subjects=8, effect=(0.0, 0.1, 0.2, 0.4), between=0.2, within=0.05):
    values = 0.3 + between * rng.standard_normal((n_subjects, 1)) + np.array(effect) + within * rng.standard_normal((n_subjects, 4))
    rows = [(f"{s:02d}", roi, values[s, i]) for s in range(n_subjects) for i, roi in enumerate(ROIS)]
    return pd.DataFrame(rows, columns=["subject", "roi", "score"]), values


def test_balanced_designs_have_a_closed_form(rng):
    table, values = table_of(rng)
    found = mixed_effects(table, fixed=["roi"])
    means = values.mean(axis=0)
    np.testing.assert_allclose(found.table["estimate"], [means[0], *(means[1:] - means[0])], atol=1e-8)
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    within = (rest**2).sum() / (7 * 3)
    between = (values.mean(axis=1).var(ddof=1) * 4 - within) / 4  # ANOVA estimates are those of REML
    np.testing.assert_allclose([found.residual_sd**2, found.subject_sd**2], [within, between], rtol=1e-3)
    np.testing.assert_allclose(found.table["se"][1:], np.sqrt(2 * within / 8), rtol=1e-3)
    np.testing.assert_allclose(found.table["se"][0], np.sqrt((within + between) / 8), rtol=1e-3)
    np.testing.assert_allclose(found.icc, between / (between + within), rtol=1e-3)
    assert found.converged and list(found.table["term"]) == ["intercept", "roi[V2]", "roi[V4]", "roi[IT]"] and found.reference == {"roi": "V1"}
    turned = mixed_effects(table, fixed=["roi"], reference={"roi": "IT"})
    np.testing.assert_allclose(turned.table["estimate"][1], means[0] - means[3], atol=1e-8)
    assert "8 subjects" in repr(found)


def test_interactions_and_missing_rows(rng):
    table, _ = table_of(rng)
    both = pd.concat([table.assign(layer="one"), table.assign(layer="two", score=table["score"] + 0.1 * (table["roi"] == "IT") + 0.01 * rng.standard_normal(32))], ignore_index=True)
    both.loc[3, "score"] = np.nan
    found = mixed_effects(both, interaction=True)
    assert found.n_missing == 1 and found.n_rows == 63 and len(found.table) == 8
    row = found.table.set_index("term").loc["roi[IT]:layer[two]"]
    assert row["ci_low"] < 0.1 < row["ci_high"] and row["p"] < 0.01


def test_scores_are_summarised_by_region(rng):
    names = [f"{i:02d}" for i in range(6)]
    values = rng.standard_normal((6, 1)) + np.repeat([0.0, 1.0], 3) + 0.3 * rng.standard_normal((6, 6))
    targets = pd.concat([pd.DataFrame({"target_id": list("abcdef"), "roi": ["V1"] * 3 + ["V4"] * 3, "subject": name}) for name in names])
    entries = pd.DataFrame({"model": ["toy"], "layer": ["one"], "metric": ["pearson"], "seed": [0]})
    scores = be.Scores(values.reshape(1, 1, -1), entries, targets, {name: be.ArraySpace(6) for name in names}, "toy", n_test=[[9]])
    found = mixed_effects(scores, fixed=["roi"])
    medians = np.stack([np.median(values[:, :3], axis=1), np.median(values[:, 3:], axis=1)])
    np.testing.assert_allclose(found.table["estimate"][1], (medians[1] - medians[0]).mean())
    with pytest.raises(InputError, match="cannot be estimated"):
        mixed_effects(scores)  # a single layer


def test_what_went_wrong_is_told(rng, monkeypatch):
    flat, _ = table_of(rng, between=0.0)
    flat["score"] -= flat.groupby("subject")["score"].transform("mean")
    with pytest.warns(BrainencWarning, match="no variance between subjects|not converged"):
        mixed_effects(flat, fixed=["roi"])
    with pytest.raises(InputError, match="several subjects"):
        mixed_effects(flat[flat["subject"] == "01"], fixed=["roi"])
    with pytest.raises(NotFoundError, match="roi"):
        mixed_effects(flat.drop(columns="roi"), fixed=["roi"])
    holes = pd.DataFrame({"subject": list("aabb"), "roi": ["V1", "V4"] * 2, "layer": ["one", "two"] * 2, "score": [1.0, 2.0, 3.0, 5.0]})
    with pytest.raises(InputError, match="told apart"):
        mixed_effects(holes)
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("statsmodels"):
            raise ImportError("no statsmodels")
        return real(name, *rest, **more)

    for name in [name for name in sys.modules if name.startswith("statsmodels")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"brainenc\[mixed\]"):
        mixed_effects(flat, fixed=["roi"])


@pytest.mark.slow
def test_intervals_of_region_effects_hold_the_truth():
    rng, inside = np.random.default_rng(0), []
    for _ in range(300):
        found = mixed_effects(table_of(rng, n_subjects=20)[0], fixed=["roi"]).table.iloc[3]
        inside.append(found["ci_low"] <= 0.4 <= found["ci_high"])
    assert 0.91 <= np.mean(inside) <= 0.98
