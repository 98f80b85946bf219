"""Variance partitions: planted ones are recovered, sums are exact, every subset has its own model."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.encoding import BandedRidge, Ridge, Stacking, VariancePartition, partition_variance, product_measure
from brainenc.encoding._partition import commonality_matrix, shapley_matrix, subsets_of

N = 360
SHARES = {"a": 0.3, "a & b": 0.2, "b": 0.1}


def spaces_and_brain(n_targets: int = 24, n: int = N) -> tuple[dict[str, be.FeatureSpace], be.Responses]:
    """Latents of a, of b and of both drive the responses with known shares of the variance; c is noise."""
    rng = np.random.default_rng(0)
    ids = [f"image{i}" for i in range(n)]
    own_a, both, own_b = (rng.standard_normal((n, 5)) for _ in range(3))
    parts = {"a": np.hstack([own_a, both]), "b": np.hstack([both, own_b]), "c": rng.standard_normal((n, 8))}
    values = np.zeros((n, n_targets))
    for latent, share in zip((own_a, both, own_b), SHARES.values(), strict=True):
        signal = latent @ rng.standard_normal((5, n_targets))
        values += np.sqrt(share) * signal / signal.std(0)
    values += np.sqrt(1 - sum(SHARES.values())) * rng.standard_normal((n, n_targets))
    targets = {"target_id": np.arange(n_targets), "roi": np.repeat(["V1", "V2"], n_targets // 2)}
    return {k: be.FeatureSpace(v, {"stimulus_id": ids}, name=k) for k, v in parts.items()}, be.Responses(values, {"stimulus_id": ids}, targets, name="01")


@pytest.fixture(scope="module")
def found() -> VariancePartition:
    spaces, brain = spaces_and_brain()
    return partition_variance(spaces, brain, split=be.split.kfold(3), n=200)


def test_the_planted_partition_is_recovered(found: VariancePartition) -> None:
    table = found.to_frame(by="roi")
    parts = table[table["quantity"] == "part"]
    for _, row in parts.iterrows():
        planted = SHARES.get(row["spaces"], 0.0)
        assert row["value"] == pytest.approx(planted, abs=0.05), row["spaces"]
    r2 = table[(table["quantity"] == "r2") & (table["roi"] == "V1")].set_index("spaces")["value"]
    assert r2["a"] == pytest.approx(0.5, abs=0.06) and r2["b"] == pytest.approx(0.3, abs=0.06) and r2["c"] < 0.01
    assert (table["ci_low"] <= table["value"] + 1e-9).all() and (table["value"] <= table["ci_high"] + 1e-9).all()
    unique = parts[parts["order"] == 1].set_index(["roi", "spaces"])
    assert (unique.loc[(slice(None), ["a", "b"]), "ci_low"] > 0).all()
    assert (unique.loc[(slice(None), "c"), "ci_low"] < 0.01).all()


@pytest.mark.parametrize("encoder", [None, Stacking(), Ridge(cv="loo")], ids=["banded", "stacking", "ridge"])
def test_sums_are_exact(encoder: Any) -> None:
    spaces, brain = spaces_and_brain(n_targets=6, n=120)
    out = partition_variance(spaces, brain, split=be.split.kfold(2), encoder=encoder, n=20)
    np.testing.assert_allclose(out.parts.sum(0), out.joint, atol=1e-12)
    np.testing.assert_allclose(out.shapley.sum(0), out.joint, atol=1e-12)
    if isinstance(encoder, Ridge):
        assert out.product is None and out.terms is None
    else:
        np.testing.assert_allclose(out.product.sum(0), out.joint, atol=1e-12)  # type: ignore[union-attr]
    assert out.subsets == (("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c"))
    np.testing.assert_allclose(out.unique[0], out.joint - out.r2[out.subsets.index(("b", "c"))], atol=1e-12)
    np.testing.assert_allclose(1 - out.errors[1:].sum(1, dtype=float) / out.errors[0].sum(0, dtype=float), out.r2, atol=1e-5)


def test_each_subset_is_its_own_model() -> None:
    spaces, brain = spaces_and_brain(n_targets=4, n=120)
    split = be.split.images(test=0.25, seed=1)
    encoder = BandedRidge(search="random", n_iter=6, seed=4)
    out = partition_variance(spaces, brain, split=split, encoder=encoder, n=0)
    [(train, test)] = list(split.split(brain))
    Y = np.asarray(brain.values)
    base = ((Y[test] - Y[train].mean(0)) ** 2).sum(0)
    for names, r2 in zip(out.subsets, out.r2, strict=True):
        X = np.hstack([spaces[name].values for name in names])
        model = BandedRidge([spaces[name].n_features for name in names], search="random", n_iter=6, seed=4).fit(X[train], Y[train])
        np.testing.assert_allclose(r2, 1 - ((Y[test] - model.predict(X[test])) ** 2).sum(0) / base, atol=1e-9)
    parts = model.predict_by_space(X[test], intercept=False)
    np.testing.assert_allclose(out.product, product_measure(Y[test], parts, mean=Y[train].mean(0)), atol=1e-9)
    stacked = partition_variance(spaces, brain, split=split, encoder=Stacking(), n=0)
    for names in (("a", "c"), ("a", "b", "c")):
        X = np.hstack([spaces[name].values for name in names])
        one = Stacking([spaces[name].n_features for name in names]).fit(X[train], Y[train])
        expected = 1 - ((Y[test] - one.predict(X[test])) ** 2).sum(0) / base
        np.testing.assert_allclose(stacked.r2[stacked.subsets.index(names)], expected, atol=1e-9)
    flat = partition_variance(spaces, brain, split=split, encoder=BandedRidge(fit_intercept=False, n_iter=3), n=0)
    assert flat.product is None and np.isfinite(flat.r2).all()


def test_the_formulas_are_those_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    for k in (2, 3, 4):
        subsets = subsets_of(k)
        r2 = dict(zip(map(frozenset, subsets), rng.random(len(subsets)), strict=True)) | {frozenset(): 0.0}
        values = np.array([r2[frozenset(one)] for one in subsets])
        everything = frozenset(range(k))
        parts = dict(zip(map(frozenset, subsets), commonality_matrix(k) @ values, strict=True))
        for outside in map(frozenset, subsets):  # what is lost with a set is what its subsets... and those that touch only it explain
            lost = r2[everything] - r2[everything - outside]
            assert lost == pytest.approx(sum(part for one, part in parts.items() if one <= outside))
        orders = list(permutations(range(k)))
        gains = np.zeros(k)
        for order in orders:
            for i, j in enumerate(order):
                gains[j] += r2[frozenset(order[: i + 1])] - r2[frozenset(order[:i])]
        np.testing.assert_allclose(shapley_matrix(k) @ values, gains / len(orders))
    a, b, ab = 0.4, 0.3, 0.5
    np.testing.assert_allclose(commonality_matrix(2) @ [a, b, ab], [ab - b, ab - a, a + b - ab])


def test_intervals_are_of_the_same_resamples(found: VariancePartition) -> None:
    rows = found.rows
    from brainenc.metrics.resample import bootstrap_folds

    [(index, drawn)] = bootstrap_folds(rows, found.n, found.seed, "partition", pooled=True)
    errors = found.errors[:, index].astype(float)
    v = 3
    r2 = np.stack([1 - (drawn @ errors[s + 1, :, v]) / (drawn @ errors[0, :, v]) for s in range(7)], axis=1)
    unique = r2[:, 6] - r2[:, 5]
    table = found.to_frame()
    row = table[(table["target_id"] == str(v)) & (table["quantity"] == "part") & (table["spaces"] == "a")].iloc[0]
    np.testing.assert_allclose([row["ci_low"], row["ci_high"]], np.percentile(unique, [2.5, 97.5]), atol=1e-5)
    np.testing.assert_allclose(row["value"], found.unique[0, v])
    plain = found.to_frame(by="roi", intervals=False)
    assert plain["ci_low"].isna().all() and plain["n_targets"].eq(12).all()
    pd.testing.assert_frame_equal(found.to_frame(by="roi"), found.to_frame(by="roi"))


def test_blocks_runs_repeats_and_holes() -> None:
    spaces, brain = spaces_and_brain(n_targets=6, n=120)
    ids = list(brain.samples["stimulus_id"])
    twice = be.Responses(np.vstack([brain.values, brain.values]), {"stimulus_id": ids + ids}, brain.targets, name="01")
    values = np.array(twice.values)
    values[3, 2], values[:, 4] = np.nan, 1.0
    with_holes = be.Responses(values, twice.samples, brain.targets, name="01")
    split = be.split.images(test=0.25, seed=1)
    one, other = (partition_variance(spaces, b, split=split, encoder=BandedRidge(n_iter=4, search="random"), n=20) for b in (brain, with_holes))
    np.testing.assert_allclose(one.r2[:, [0, 1, 3, 5]], other.r2[:, [0, 1, 3, 5]], atol=1e-9)  # the means of equal repeats are the trials
    assert np.isnan(other.r2[:, [2, 4]]).all() and other.to_frame(by="roi")["n_targets"].unique().tolist() == [2]
    table = {"run": np.repeat(["a", "b", "c"], 40)}
    scans = {k: be.FeatureSpace(s.values, table, name=k, rows="sample") for k, s in spaces.items()}
    series = be.Responses(np.asarray(brain.values), table, t_r=2.0)
    out = partition_variance(scans, series, split=be.split.runs(), encoder=BandedRidge(n_iter=4), n=20)
    assert out.rows.groupby("fold")["unit"].nunique().tolist() == [4, 4, 4]  # 20 s a block
    with pytest.raises(InputError, match="no target is complete"):
        partition_variance(scans, be.Responses(np.full((120, 2), np.nan), table, t_r=2.0), split=be.split.runs())


def test_bad_input_is_named() -> None:
    spaces, brain = spaces_and_brain(n_targets=4, n=60)
    split = be.split.kfold(2)
    with pytest.raises(InputError, match="among several spaces.*got 1"):
        partition_variance({"a": spaces["a"]}, brain, split=split)
    with pytest.raises(InputError, match="no column .band."):
        partition_variance(spaces["a"], brain, split=split)
    with pytest.raises(InputError, match="bootstrap samples"):
        partition_variance(spaces, brain, split=split, n=-1)
    with pytest.raises(InputError, match="not a brainenc split"):
        partition_variance(spaces, brain, split=5)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="no column 'layer'"):
        partition_variance(spaces, brain, split=split, encoder=BandedRidge(n_iter=2), n=0).to_frame(by="layer")
    with pytest.raises(InputError, match="differ in shape"):
        product_measure(np.zeros((3, 2)), np.zeros((2, 3, 1)))
    assert np.isnan(product_measure(np.zeros((3, 1)), np.zeros((2, 3, 1)))).all()


def test_without_intervals_no_errors_of_rows_are_held() -> None:
    rng = np.random.default_rng(0)
    ids = [f"image{i}" for i in range(60)]
    spaces = {name: be.FeatureSpace(rng.standard_normal((60, 4)), {"stimulus_id": ids}, name=name) for name in ("a", "b")}
    brain = be.Responses(spaces["a"].values @ rng.standard_normal((4, 5)) + rng.standard_normal((60, 5)), {"stimulus_id": ids})
    some, none = (be.encoding.partition_variance(spaces, brain, split=be.split.kfold(3), n=n) for n in (20, 0))
    assert some.errors.shape == (4, 60, 5) and none.errors.shape == (4, 0, 5) and none.terms.shape == (2, 0, 5)
    np.testing.assert_array_equal(none.parts, some.parts)
    np.testing.assert_array_equal(none.product, some.product)
    assert none.to_frame(by="target_id")["ci_low"].isna().all() and some.to_frame()["ci_low"].notna().all()
