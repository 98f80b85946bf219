"""Gromov-Wasserstein plans against a plain implementation without logarithms."""

import itertools

import numpy as np
import pytest
import torch

import brainenc as be
from brainenc.linalg.transport import gromov_cost, gromov_plans, sinkhorn
from brainenc.rsa.topology import gromov_wasserstein


def _square(n, seed=0, d=3):
    x = np.random.default_rng(seed).standard_normal((n, d))
    return np.linalg.norm(x[:, None] - x[None], axis=-1)


def _plain_sinkhorn(cost, p, q, epsilon, n=3000):
    kernel = np.exp(-cost / epsilon)
    v = np.ones(len(q))
    for _ in range(n):
        u = p / (kernel @ v)
        v = q / (kernel.T @ u)
    return u[:, None] * kernel * v[None]


def _plain_loss(a, b, plan):
    return sum((a[i, k] - b[j, m]) ** 2 * plan[i, j] * plan[k, m] for i, k in itertools.product(range(len(a)), repeat=2) for j, m in itertools.product(range(len(b)), repeat=2))


def test_transport_plans_are_those_of_plain_scaling():
    rng = np.random.default_rng(0)
    p, q = (one / one.sum() for one in (rng.random(7) + 0.1, rng.random(8) + 0.1))
    cost = rng.random((2, 7, 8))
    found, _ = sinkhorn(torch.from_numpy(cost), torch.from_numpy(p), torch.from_numpy(q), 0.05, n_iterations=5000)
    for one, plan in zip(cost, found.numpy(), strict=True):
        np.testing.assert_allclose(plan, _plain_sinkhorn(one, p, q, 0.05), atol=1e-9)


def test_small_epsilons_stay_finite_and_near_the_cheapest_matching():
    """Where exp(-C / ε) is 0 in plain numbers."""
    from scipy.optimize import linear_sum_assignment

    cost = np.random.default_rng(1).random((1, 9, 9)) * 10
    p = torch.full((9,), 1 / 9, dtype=torch.float64)
    plan = sinkhorn(torch.from_numpy(cost), p, p, 0.003, n_iterations=20_000)[0][0].numpy()
    rows, columns = linear_sum_assignment(cost[0])
    np.testing.assert_array_equal(plan.argmax(axis=1), columns)
    assert np.isfinite(plan).all() and (plan * cost[0]).sum() == pytest.approx(cost[0][rows, columns].mean(), rel=1e-3)


def test_cost_and_loss_are_the_fourfold_sum():
    a, b = _square(5), _square(6, 1)
    plan = np.random.default_rng(2).random((5, 6))
    cost = gromov_cost(torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(plan)[None])[0].numpy()
    brute = np.array([[((a[i][:, None] - b[j][None]) ** 2 * plan).sum() for j in range(6)] for i in range(5)])
    np.testing.assert_allclose(cost, brute, atol=1e-10)
    assert (cost * plan).sum() == pytest.approx(_plain_loss(a, b, plan))


def test_plans_are_those_of_plain_iterations():
    a, b = _square(6), _square(7, 1)
    p, q = np.full(6, 1 / 6), np.full(7, 1 / 7)
    start = np.random.default_rng(3).random((1, 6, 7))
    found = gromov_plans(torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(start), 0.3, tolerance=1e-12, n_inner=2000, n_iterations=300)
    plan = start[0]
    for _ in range(300):
        cost = np.array([[((a[i][:, None] - b[j][None]) ** 2 * plan).sum() for j in range(7)] for i in range(6)])
        plan = _plain_sinkhorn(cost, p, q, 0.3, 300)
    np.testing.assert_allclose(found.plans[0].numpy(), plan, atol=1e-7)
    assert float(found.losses[0]) == pytest.approx(_plain_loss(a, b, plan), rel=1e-6)


def test_a_shuffled_copy_is_aligned_again():
    n = 15
    square = _square(n)
    order = np.random.default_rng(1).permutation(n)
    names = [f"c{i}" for i in range(n)]
    upper = np.triu_indices(n, 1)
    first = be.RDMs(square[upper][None], {"stimulus_id": names})
    second = be.RDMs(100 * square[np.ix_(order, order)][upper][None], {"stimulus_id": [names[i] for i in order]})
    found = gromov_wasserstein(first, second, n_null=99, top_k=[1, 3], epsilon=[0.003, 0.03], seed=2)
    assert found.matching["rate"].tolist() == [1.0, 1.0] and found.matching["p"].tolist() == [0.01, 0.01]
    assert found.matching["chance"].tolist() == pytest.approx([1 / n, 3 / n])
    np.testing.assert_array_equal(order[found.plan.argmax(axis=1)], np.arange(n))
    assert found.loss == found.runs["loss"].min() == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(found.plan.sum(axis=1), 1 / n, rtol=1e-4)
    assert len(found.runs) == 21 and found.runs["loss"].max() > 10 * found.loss, "not every start ends there"
    # epsilon is relative, so scale does not matter; ranks do not see a monotone map
    quick = {"epsilon": 0.03, "n_init": 3, "n_null": 0}
    plain = gromov_wasserstein(square, square, scale="none", **quick)
    assert gromov_wasserstein(100 * square, 100 * square, scale="none", **quick).loss == pytest.approx(1e4 * plain.loss, rel=1e-6)
    assert gromov_wasserstein(square, square, **quick).loss == pytest.approx(plain.loss / square[upper].mean() ** 2, rel=1e-6)
    np.testing.assert_allclose(gromov_wasserstein(square**3, square, scale="rank", **quick).plan, gromov_wasserstein(square, square, scale="rank", **quick).plan)


def test_unrelated_rdms_match_at_chance_and_ties_share():
    found = gromov_wasserstein(np.ones((8, 8)) - np.eye(8), np.ones((8, 8)) - np.eye(8), epsilon=10.0, n_init=1, top_k=[1, 2], n_null=99)
    np.testing.assert_allclose(found.matching["rate"], [1 / 8, 2 / 8])  # every condition is like every other
    assert (found.matching["p"] == 1).all()
    apart = be.RDMs(np.random.default_rng(0).random((1, 6)), {"stimulus_id": list("abcd")}), be.RDMs(np.random.default_rng(1).random((1, 6)), {"stimulus_id": list("wxyz")})
    assert not len(gromov_wasserstein(*apart, epsilon=0.1, n_init=2).matching)


def test_what_cannot_be_aligned_is_refused():
    good = _square(4)
    for a, options, message in [
        (np.triu(good), {}, "symmetric"), (good[:3], {}, "not a square"), (np.where(good > 1, np.nan, good), {}, "missing"), (good, {"epsilon": 0.0}, "epsilon > 0"), (-good, {}, "not positive"),
        (be.RDMs(np.random.default_rng(0).random((2, 6)), {"stimulus_id": list("abcd")}), {}, "one RDM at a time"),
    ]:  # fmt: skip
        with pytest.raises(be.BrainencError, match=message):
            gromov_wasserstein(a, good, **options)
