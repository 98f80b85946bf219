"""Permutations, bootstraps and corrections against brute force and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brainenc import metrics
from brainenc.core.errors import InputError
from brainenc.metrics._null import moved_products, moves_of
from brainenc.metrics.resample import blocks_of, bootstrap_folds


def corr(a, b):
    return np.array([stats.pearsonr(x, y).statistic for x, y in zip(a.T, b.T, strict=True)])


def test_bootstrap_of_pearson_is_resampling_of_rows(rng):
    y, p = rng.standard_normal((9, 7)) + 5, rng.standard_normal((9, 7))
    weights = metrics.bootstrap_weights(9, 30, 3)
    for w, row in zip(weights, metrics.bootstrap_pearson(y, p, weights), strict=True):
        rows = np.repeat(np.arange(9), w.astype(int))
        np.testing.assert_allclose(row, corr(y[rows], p[rows]), atol=1e-10)


def test_a_draw_of_one_row_only_has_no_correlation(rng):
    y = rng.standard_normal((4, 2))
    weights = np.array([[4.0, 0, 0, 0], [1, 1, 1, 1]])
    out = metrics.bootstrap_pearson(y, y.copy(), weights)
    assert np.isnan(out[0]).all()
    np.testing.assert_allclose(out[1], 1.0)


def test_units_are_drawn_whole():
    units = np.array(["a", "b", "a", "c", "c"])
    weights = metrics.bootstrap_weights(5, 50, 0, units=units)
    assert (weights[:, 0] == weights[:, 2]).all() and (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_permutations_move_units_whole_and_in_order():
    units = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    seen = set()
    for order in metrics.permutations(9, 200, 1, units=units):
        assert sorted(order) == list(range(9))
        labels = units[order]
        starts = np.flatnonzero(np.r_[True, np.diff(labels) != 0])
        assert len(starts) == 3
        for part in np.split(order, starts[1:]):
            assert (np.diff(part) == 1).all()
        seen.add(tuple(labels[starts]))
    assert len(seen) == 6


def test_blocks_end_where_a_run_ends():
    assert blocks_of(10, 3, groups=[1] * 4 + [2] * 6).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert blocks_of(2, 5).tolist() == [0, 0]


def test_one_seed_gives_one_result():
    one, same, other = (np.stack(list(metrics.permutations(9, 4, seed, "x"))) for seed in (0, 0, 1))
    assert (one == same).all() and (one != other).any()


def test_permutation_p_converges_to_the_exact_one(rng):
    y, p = rng.standard_normal((5, 3)), rng.standard_normal((5, 3))
    every = np.stack([corr(y[list(order)], p) for order in itertools.permutations(range(5))])
    exact = (every >= corr(y, p) - 1e-12).mean(axis=0)
    np.testing.assert_allclose(metrics.permutation_p([(y, p)], n=4000, seed=0), exact, atol=0.03)


@pytest.mark.parametrize("aggregate", ["folds", "pooled"])
def test_permutation_p_of_folds_is_the_definition(rng, aggregate):
    folds = [(rng.standard_normal((9, 4)) + 2 * k, rng.standard_normal((9, 4)) + k) for k in range(2)]
    orders = [list(metrics.permutations(9, 50, 0, k)) for k in range(2)]

    def statistic(ys):
        if aggregate == "folds":
            return np.mean([corr(y, p) for y, (_, p) in zip(ys, folds, strict=True)], axis=0)
        return corr(np.concatenate(ys), np.concatenate([p for _, p in folds]))

    observed = statistic([y for y, _ in folds])
    null = np.stack([statistic([folds[0][0][a], folds[1][0][b]]) for a, b in zip(*orders, strict=True)])
    plain = (1 + (null >= observed).sum(axis=0)) / 51
    np.testing.assert_allclose(metrics.permutation_p(folds, n=50, aggregate=aggregate, crossed=False), plain)
    spread = null.mean(axis=0) + np.sqrt(2) * (null - null.mean(axis=0))
    np.testing.assert_allclose(metrics.permutation_p(folds, n=50, aggregate=aggregate), (1 + (spread >= observed).sum(axis=0)) / 51)


def test_a_constant_prediction_has_no_p(rng):
    y = rng.standard_normal((9, 2))
    p = np.column_stack([y[:, 0], np.ones(9)])
    out = metrics.permutation_p([(y, p)], n=99)
    assert out[0] == pytest.approx(0.01) and np.isnan(out[1])


def test_nothing_to_exchange_is_refused():
    with pytest.raises(InputError, match="nothing to exchange"):
        list(metrics.permutations(4, 1, 0, units=[1, 1, 1, 1]))
    with pytest.raises(InputError, match="nothing to resample"):
        metrics.bootstrap_weights(4, 1, 0, units=[1, 1, 1, 1])
    with pytest.raises(InputError, match="differ in number"):
        list(metrics.permutations(4, 1, 0, units=[1, 2]))


def test_false_discovery_rates_are_scipys(rng):
    p = rng.uniform(size=50) ** 3
    np.testing.assert_allclose(metrics.fdr_bh(p), stats.false_discovery_control(p, method="bh"))
    np.testing.assert_allclose(metrics.fdr_by(p), stats.false_discovery_control(p, method="by"))
    holed = np.insert(p, [3, 40], np.nan)
    np.testing.assert_allclose(metrics.fdr_bh(holed)[~np.isnan(holed)], metrics.fdr_bh(p))
    assert np.isnan(metrics.fdr_bh(holed)[np.isnan(holed)]).all()
    with pytest.raises(InputError, match="between 0 and 1"):
        metrics.fdr_bh([0.1, 1.2])


def test_repeats_are_exchanged_with_as_many_repeats_only(rng):
    """Images that share a signal among 1 to 7 repeats: no more than 5 % of pure noise predictions may pass."""
    units = np.repeat(np.arange(24), rng.integers(1, 8, 24))
    for order in metrics.permutations(len(units), 20, 0, units=units, alike=True):
        assert (np.diff(units[order]) != 0).sum() == 23  # units stay whole …
        np.testing.assert_array_equal(np.diff(units[order]) != 0, np.diff(units) != 0)  # … and in places of their own length
    observed = rng.standard_normal((24, 1500))[units] + 0.3 * rng.standard_normal((len(units), 1500))
    predicted = rng.standard_normal((24, 1500))[units]
    p = metrics.permutation_p([(observed, predicted)], n=199, units=[units], alike=True)
    assert (p < 0.05).mean() < 0.065
    assert (metrics.permutation_p([(observed, predicted)], n=199, units=[units]) < 0.05).mean() > 0.075  # what it is for
    with pytest.raises(InputError, match="as many rows"):
        list(metrics.permutations(3, 1, 0, units=[0, 1, 1], alike=True))


def test_folds_are_drawn_apart_unless_they_test_the_same_stimuli():
    ids = np.array([f"i{k}" for k in range(6)])
    apart = pd.DataFrame({"fold": np.repeat([0, 1], 3), "unit": [0, 1, 2] * 2, "stimulus_id": ids})
    ((rows, joint),) = bootstrap_folds(apart, 200, 0, pooled=True)
    assert rows.tolist() == list(range(6)) and (joint.reshape(200, 2, 3).sum(axis=2) == 3).all()
    assert (joint[:, :3] != joint[:, 3:]).any(axis=1).mean() > 0.5  # equal labels in two folds are two units
    again = apart.assign(stimulus_id=ids[[0, 1, 2, 2, 1, 3]])
    (_, first), (_, second) = bootstrap_folds(again, 200, 0)
    np.testing.assert_array_equal(first[:, [1, 2]], second[:, [1, 0]])
    scans = pd.DataFrame({"fold": np.repeat([0, 1], 4), "unit": [0, 0, 1, 1] * 2, "stimulus_id": list("aabbabab")})
    (_, first), (_, second) = bootstrap_folds(scans, 50, 0)
    assert (first.sum(axis=1) == 4).all() and (first[:, :2] != second[:, :2]).any()


def test_sign_flips_are_every_pattern_once_where_few_subjects_allow_it():
    exact = metrics.sign_flips(4, 15, 0)
    assert {tuple(row) for row in exact} == set(itertools.product([-1.0, 1.0], repeat=4)) - {(1.0,) * 4}
    drawn = metrics.sign_flips(9, 100, 0)
    assert drawn.shape == (100, 9) and set(np.unique(drawn)) == {-1.0, 1.0}
    np.testing.assert_array_equal(drawn, metrics.sign_flips(9, 100, 0))
    with pytest.raises(InputError, match="nothing to flip"):
        metrics.sign_flips(1, 10, 0)


def test_fold_labels_are_balanced_and_seeded():
    labels = metrics.fold_labels(11, 4, 6, 0, "conditions")
    for row in labels:
        assert sorted(np.bincount(row, minlength=4)) == [2, 3, 3, 3]
    assert (labels[0] != labels[1]).any()
    np.testing.assert_array_equal(labels, metrics.fold_labels(11, 4, 6, 0, "conditions"))
    with pytest.raises(InputError, match="folds and units"):
        metrics.fold_labels(3, 4, 1, 0)


def test_shifts_are_uniform_over_the_samples():
    drawn = metrics.shifts(5, 7, 4000, 0, "a")
    assert drawn.shape == (4000, 5) and stats.chisquare(np.bincount(drawn.ravel(), minlength=7)).pvalue > 0.001
    assert not np.array_equal(drawn, metrics.shifts(5, 7, 4000, 0, "b"))
    with pytest.raises(InputError, match="two trials"):
        metrics.shifts(1, 7, 10, 0)


def test_subsets_are_uniform_sorted_and_keep_units_whole():
    from brainenc.metrics.resample import subsets

    drawn = np.array(list(subsets(7, 3, 3000, 0)))
    assert (np.diff(drawn, axis=1) > 0).all() and stats.chisquare(np.bincount(drawn.ravel(), minlength=7)).pvalue > 0.001
    np.testing.assert_array_equal(drawn[:5], list(subsets(7, 3, 5, 0)))
    units = np.repeat([4, 2, 9], [2, 3, 2])
    for rows in subsets(7, 2, 10, 1, units=units):
        assert all(len(set(rows) & set(np.flatnonzero(units == unit))) in (0, (units == unit).sum()) for unit in (4, 2, 9))
    with pytest.raises(InputError, match="1 to 3 units"):
        next(subsets(7, 4, 1, 0, units=units))


@pytest.mark.parametrize(("length", "groups"), [(5, [1] * 60), (5, [1] * 63), (7, [1] * 40 + [2] * 23)])
def test_sums_of_block_products_are_permuted_rows(rng, length, groups):
    """Blocks of one or of several lengths, within a run or across: exactly what moving the rows gives."""
    n = len(groups)
    y, p = rng.standard_normal((n, 6)) + 3, rng.standard_normal((n, 6)) - 2
    units = blocks_of(n, length, groups=groups)
    orders = np.stack(list(metrics.permutations(n, 300, 0, units=units)))
    moves = moves_of(orders, units)
    assert moves.sums is not None
    naive = np.stack([(y[order] * p).sum(axis=0) for order in orders])
    np.testing.assert_allclose(moved_products(y, p, moves), naive, rtol=1e-12, atol=1e-12)


def test_units_that_do_not_lie_together_are_moved_like_rows(rng):
    units = np.array([0, 1, 2, 3, 4] * 8)
    y, p = rng.standard_normal((2, 40, 3))
    orders = np.stack(list(metrics.permutations(40, 200, 0, units=units)))
    moves = moves_of(orders, units)
    assert moves.sums is not None
    np.testing.assert_allclose(moved_products(y, p, moves), [(y[order] * p).sum(axis=0) for order in orders], atol=1e-12)
    assert moves_of(orders, np.arange(40)).sums is None and moves_of(orders, None).sums is None


def test_maxima_are_those_of_the_permuted_correlations(rng):
    y, p = rng.standard_normal((2, 12, 5))
    p[:, 3] = 1.0
    found = metrics.permuted([(y, p)], n=40, seed=2)
    orders = metrics.permutations(12, 40, 2, 0)
    null = np.stack([corr(y[order][:, [0, 1, 2, 4]], p[:, [0, 1, 2, 4]]) for order in orders])
    np.testing.assert_allclose(found.tops, null.max(axis=1), atol=1e-12)
    assert np.isnan(found.observed[3]) and np.isnan(found.p[3])
    np.testing.assert_allclose(found.observed[:3], corr(y[:, :3], p[:, :3]))
    np.testing.assert_array_equal(found.p, metrics.permutation_p([(y, p)], n=40, seed=2))


def test_bootstrap_of_r2_is_resampling_of_rows(rng):
    y = rng.standard_normal((9, 7)) + 5
    p = y + rng.standard_normal((9, 7))
    weights = metrics.bootstrap_weights(9, 30, 3)
    for w, row in zip(weights, metrics.bootstrap_r2(y, p, weights), strict=True):
        rows = np.repeat(np.arange(9), w.astype(int))
        np.testing.assert_allclose(row, metrics.r2(y[rows], p[rows]), atol=1e-9)
