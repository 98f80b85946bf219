"""Every registered comparator, walked by one test: a new file is tested on arrival."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError
from brainenc.rsa._forms import FORMS, REGISTRY

NAMES = REGISTRY.names()
N, P = 9, 36


def rdms(n, seed):
    """Squared distances of patterns: every comparator takes these."""
    rng = np.random.default_rng(seed)
    return np.stack([((x[:, None] - x[None]) ** 2).mean(axis=2)[np.triu_indices(N, 1)] for x in rng.standard_normal((n, N, 15))])


def stated(values):
    return be.RDMs(values, {"condition": [f"c{i}" for i in range(N)]})


def test_the_names_of_the_brief_are_there_and_others_are_answered_with_the_nearest():
    assert set(NAMES) >= {
        "cosine_similarity", "pearson", "spearman", "rho_a", "tau_a", "tau_b", "whitened_cosine_similarity", "whitened_pearson",
        "bures_similarity", "bures_distance", "riemannian_distance",
    }  # fmt: skip
    assert set(FORMS) <= set(NAMES)
    with pytest.raises(NotFoundError, match="pearson"):
        be.rsa.compare(rdms(1, 0), rdms(1, 0), "pearsons")


@pytest.mark.parametrize("name", NAMES)
def test_a_comparator_says_what_it_is(name):
    module = REGISTRY.get(name)
    assert module.KIND in ("similarity", "distance")
    assert ("distance" in name) == (module.KIND == "distance")
    assert isinstance(module.SUMMARY, str) and module.SUMMARY and "\n" not in module.SUMMARY
    assert module.MISSING in ("pairs", "masked", "none")
    assert module.__doc__
    assert list(inspect.signature(module.compare).parameters) == ["a", "b", "sigma_k"]


@pytest.mark.parametrize("name", NAMES)
def test_an_rdm_is_like_itself(name):
    x = rdms(3, 1)
    kind = REGISTRY.get(name).KIND
    found = be.rsa.compare(x, x, name)
    np.testing.assert_allclose(np.diag(found), 1.0 if kind == "similarity" else 0.0, atol=1e-7 if kind == "distance" else 1e-10)
    off = found[~np.eye(3, dtype=bool)]
    assert (off < 1 - 1e-6).all() if kind == "similarity" else (off > 1e-3).all()


@pytest.mark.parametrize("name", NAMES)
def test_symmetry_and_scale_are_as_stated(name):
    module = REGISTRY.get(name)
    x, y = rdms(2, 2), rdms(3, 3)
    found = be.rsa.compare(x, y, name)
    assert found.shape == (2, 3)
    assert found.dtype == np.float64
    assert np.allclose(found, be.rsa.compare(y, x, name).T, rtol=1e-10) == module.SYMMETRIC
    assert np.allclose(found, be.rsa.compare(7.0 * x, 0.2 * y, name), rtol=1e-8, atol=1e-9) == module.SCALE_FREE


@pytest.mark.parametrize("name", NAMES)
def test_one_at_a_time_is_all_at_once_and_nothing_is_changed(name):
    x, y = rdms(2, 4), rdms(3, 5)
    before = x.copy(), y.copy()
    whole = be.rsa.compare(stated(x), stated(y), name)
    each = [[be.rsa.compare(a, b, name)[0, 0] for b in y] for a in x]
    np.testing.assert_allclose(whole, each, rtol=1e-10)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_conditions_means_nothing_and_other_conditions_are_refused(name):
    x, y = rdms(2, 6), rdms(2, 7)
    order = np.random.default_rng(0).permutation(N)
    square = stated(y).square()[:, order][:, :, order]
    moved = be.RDMs.from_square(square, {"condition": [f"c{i}" for i in order]})
    np.testing.assert_allclose(be.rsa.compare(stated(x), moved, name), be.rsa.compare(x, y, name), rtol=1e-9)
    with pytest.raises(InputError, match="different conditions"):
        be.rsa.compare(stated(x), be.RDMs(y, {"condition": list("abcdefghi")}), name)


@pytest.mark.parametrize("name", NAMES)
def test_missing_pairs_are_left_out_of_their_comparisons_only_or_refused(name):
    module = REGISTRY.get(name)
    x, y = rdms(3, 8), rdms(2, 9)
    whole = be.rsa.compare(x, y, name)
    gaps = x.copy()
    gaps[1, [3, 20]] = np.nan
    with pytest.raises(InputError, match="missing pairs"):
        be.rsa.compare(gaps, y, name, nan="raise")
    spread = be.rsa.compare(gaps, y, name, nan="propagate")
    assert np.isnan(spread[1]).all()
    np.testing.assert_allclose(spread[[0, 2]], whole[[0, 2]], rtol=1e-12)
    if module.MISSING == "none":
        with pytest.raises(InputError, match="needs every pair"):
            be.rsa.compare(gaps, y, name)
        return
    found = be.rsa.compare(gaps, y, name)
    np.testing.assert_allclose(found[[0, 2]], whole[[0, 2]], rtol=1e-12)
    assert np.isfinite(found[1]).all()
    assert (np.abs(found[1] - whole[1]) > 1e-6).all()
    if module.MISSING == "pairs":
        keep = ~np.isnan(gaps[1])
        np.testing.assert_allclose(found[1], module.compare(x[1:2, keep], y[:, keep])[0], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_infinite_values_and_other_sizes_are_refused(name):
    x = rdms(2, 10)
    with pytest.raises(InputError, match="infinite"):
        be.rsa.compare(np.where(x == x.max(), np.inf, x), x, name)
    with pytest.raises(InputError, match="different numbers of pairs"):
        be.rsa.compare(x, x[:, :28], name)


@pytest.mark.parametrize("name", NAMES)
def test_a_pool_is_one_rdm_that_is_like_all(name):
    rng = np.random.default_rng(11)
    shared = rng.standard_normal((N, 15))
    x = np.stack([((z[:, None] - z[None]) ** 2).mean(axis=2)[np.triu_indices(N, 1)] for z in shared + 0.4 * rng.standard_normal((6, N, 15))])
    module = REGISTRY.get(name)
    pool = module.pool(x)
    assert pool.shape == (P,)
    if module.KIND == "similarity":
        assert module.compare(pool[None], x).mean() > module.compare(x[:1], x[1:]).mean()
    one = module.pool(x[:1])
    if name != "bures_distance":
        np.testing.assert_allclose(be.rsa.compare(one, x[:1], name), 1.0 if module.KIND == "similarity" else 0.0, atol=1e-2 if "whitened" in name else 1e-6)
