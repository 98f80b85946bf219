"""Permutation p-values, half-sample intervals, subsamples and pseudo-depth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import brainenc as be
from brainenc.rsa.similarity import cka, matrix, procrustes_distance, pseudo_depth, similarity_test, subsample_stability


@pytest.fixture
def pair(rng):
    x = rng.standard_normal((24, 5))
    return x, x @ rng.standard_normal((5, 7)) + 4 * rng.standard_normal((24, 7))


def test_p_is_the_share_of_permutations(pair):
    x, y = pair
    from brainenc.metrics.resample import permutations

    row = similarity_test(x, y, n=50, n_halves=0, seed=5).iloc[0]
    null = [cka(x, y[order]) for order in permutations(24, 50, 5, "similarity")]
    assert row["value"] == pytest.approx(cka(x, y))
    assert row["p"] == (1 + sum(v >= row["value"] for v in null)) / 51
    assert row["null_mean"] == pytest.approx(np.mean(null)) and row["null_sd"] == pytest.approx(np.std(null))
    assert np.isnan(row["ci_low"])


def test_small_distances_are_the_rare_ones(pair):
    x, _ = pair
    near = similarity_test(x, x + 0.1, metric="procrustes_distance", n=99, n_halves=0).iloc[0]
    assert near["p"] == 0.01 and near["kind"] == "distance" and near["null_mean"] > near["value"]
    assert near["value"] == pytest.approx(procrustes_distance(x, x + 0.1), abs=1e-12)


def test_the_maximum_accounts_for_the_search(rng):
    y = rng.standard_normal((24, 5))
    layers = {str(i): rng.standard_normal((24, 6)) for i in range(12)}
    table = similarity_test(layers, y, n=199, n_halves=0, estimator="debiased")
    assert (table["p_max"] >= table["p"]).all() and (table["p_max"] > table["p"]).any()


def test_units_move_together(rng):
    units = np.repeat(np.arange(8), 3)
    slow = np.repeat(rng.standard_normal((8, 4)), 3, axis=0)
    noise = lambda: 0.1 * rng.standard_normal((24, 4))  # noqa: E731
    alone = similarity_test(slow + noise(), slow[rng.permutation(8).repeat(3) * 3] + noise(), n=99, n_halves=50, units=units)
    assert alone["n_samples"].item() == 24
    with pytest.raises(be.BrainencError, match="differ in number"):
        similarity_test(slow, slow, units=units[:5])


def test_seeds(pair):
    one, two, other = (similarity_test(*pair, n=40, n_halves=40, seed=s) for s in (1, 1, 2))
    assert one.equals(two) and not one.equals(other)


@pytest.mark.parametrize("metric", ["cka", "ssm", "mutual_knn", "shape_distance", "cca"])
def test_every_kind_of_measure_has_an_interval_around_its_value(pair, metric):
    x, y = pair
    row = similarity_test(x[:, :3], y[:, :4], metric=metric, n=20, n_halves=50).iloc[0]
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert row["p"] < 0.3


def test_subsets_of_kernels_are_those_of_the_data(pair):
    """The Gram matrix of half the stimuli is cut out and centred anew; that must be the kernel of half the stimuli."""
    from brainenc.linalg.device import resolve_device
    from brainenc.metrics.resample import subsets
    from brainenc.rsa.similarity.kinds import cka as kind

    x, y = pair
    for options in ({}, {"estimator": "debiased"}, {"kernel": "rbf", "sigma": 2.0}):
        for wide in (False, True):
            sides = [np.repeat(z, 9, axis=1) if wide else z for z in (x, y)]
            a, b = (kind.prepare(z, memory=2**30, device=resolve_device("cpu"), **options) for z in sides)
            for rows in subsets(24, 12, 3, 0):
                assert kind.between(kind.subset(a, rows), kind.subset(b, rows)) == pytest.approx(cka(*(z[rows] for z in sides), **options), abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "options"), [("cka", {"estimator": "debiased"}), ("cka", {}), ("ssm", {}), ("procrustes_distance", {})])
def test_p_is_uniform_under_the_null(metric, options):
    p = []
    for seed in range(400):
        rng = np.random.default_rng([17, seed])
        p.append(similarity_test(rng.standard_normal((15, 4)), rng.standard_normal((15, 6)) ** 3, metric=metric, n=99, n_halves=0, seed=seed, **options)["p"].item())
    p = np.array(p)
    assert scipy.stats.kstest(p - np.random.default_rng(0).random(400) / 100, "uniform").pvalue > 0.001
    assert 0.02 < (p <= 0.05).mean() < 0.085


@pytest.mark.slow
@pytest.mark.parametrize(("p", "least", "most"), [(2, 0.91, 0.985), (30, 0.95, 1.0)])
def test_intervals_cover_the_truth(p, least, most):
    """Debiased CKA of correlated data: the truth is the value of 20,000 stimuli. With many features for the stimuli it is conservative."""
    mix = np.random.default_rng(1).standard_normal((p, p)) / p**0.5

    def draw(rng, n):
        x = rng.standard_normal((n, p))
        return x, x @ mix + rng.standard_normal((n, p))

    truth = cka(*draw(np.random.default_rng(2), 20_000), estimator="debiased")
    covered, naive = 0, 0
    for seed in range(300):
        rng = np.random.default_rng([23, seed])
        x, y = draw(rng, 60)
        row = similarity_test(x, y, estimator="debiased", n=0, n_halves=200, seed=seed).iloc[0]
        covered += row["ci_low"] <= truth <= row["ci_high"]
        if p == 30 and seed < 60:
            rows = rng.integers(0, 60, (60, 60))
            low, high = np.quantile([cka(x[r], y[r], estimator="debiased") for r in rows], [0.025, 0.975])
            naive += low <= truth <= high
    assert least <= covered / 300 <= most
    assert naive / 60 < 0.5, "the bootstrap with replacement sees doubled stimuli as agreement"


def test_subsamples(pair):
    x, y = pair
    table = subsample_stability("cka", {"a": x, "b": x[:, :2]}, y, n_units=[3, 1.0], n_stimuli=[12, None or 24], n=4, seed=3)
    assert len(table) == 2 * 2 * 2 * 4 and set(table["n_units"]) == {3, 7} and set(table["n_stimuli"]) == {12, 24}
    whole = table[(table["n_units"] == 7) & (table["n_stimuli"] == 24)].groupby("x")["value"]
    assert whole.nunique().eq(1).all()
    assert whole.first()["a"] == pytest.approx(cka(x, y), abs=1e-12)
    small = table[(table["n_units"] == 3) & (table["n_stimuli"] == 12) & (table["x"] == "a")]["value"]
    assert small.nunique() == 4
    again = subsample_stability("cka", {"a": x}, y, n_units=3, n_stimuli=12, n=4, seed=3)["value"]
    np.testing.assert_allclose(again, small, atol=1e-12)


def test_subsamples_are_of_the_data(pair):
    from brainenc.metrics.resample import subsets

    x, y = pair
    table = subsample_stability("cka", x, y, n_units=3, n_stimuli=12, n=2, seed=3)
    key = ("stability", "Y", 3, 12)
    rows, columns = list(subsets(24, 12, 2, 3, *key, "stimuli")), list(subsets(7, 3, 2, 3, *key, "units"))
    expected = [cka(x[r], y[r][:, c]) for r, c in zip(rows, columns, strict=True)]
    np.testing.assert_allclose(table["value"], expected, atol=1e-12)
    for side in ("x", "both"):
        assert subsample_stability("cka", x, y, n_units=2, n=3, side=side)["value"].nunique() == 3


def test_more_units_vary_less(rng):
    x = rng.standard_normal((40, 6))
    y = x @ rng.standard_normal((6, 60)) + 3 * rng.standard_normal((40, 60))
    spread = subsample_stability("ssm", x, y, n_units=[5, 40], n=30).groupby("n_units")["value"].std()
    assert spread[40] < spread[5]


def test_pseudo_depth_finds_the_planted_layer(rng):
    layers = {f"layer{i}": rng.standard_normal((50, 30)) for i in range(5)}
    regions = {f"area{i}": layers[f"layer{i}"] @ rng.standard_normal((30, 25)) + 2 * rng.standard_normal((50, 25)) for i in (1, 4)}
    table = pseudo_depth(layers, regions, n=20)
    assert list(table["layer"]) == ["layer1", "layer4"] and list(table["depth"]) == [0.25, 1.0]
    assert (table["agreement"] > 0.8).all() and (table["n_units"] == 12).all() and (table["n_nan"] == 0).all()
    reverse = pseudo_depth(layers, regions, metric="shape_distance", n=5)
    assert list(reverse["layer"]) == ["layer1", "layer4"]
    assert reverse["score"].iloc[0] == pytest.approx(matrix(layers, regions, metric="shape_distance").loc["layer1", "area1"])
    unrelated = pseudo_depth(layers, rng.standard_normal((50, 25)), n=20)
    assert unrelated["agreement"].item() < 0.8 and unrelated["depth_sd"].item() > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: similarity_test(x, y, n=-1), "n is a count"),
        (lambda x, y: similarity_test(x, y, level=2), "level is a share"),
        (lambda x, y: similarity_test(x, y, seed=None), "seed"),
        (lambda x, y: subsample_stability("cka", x, y, n_units=8), "at most 7"),
        (lambda x, y: subsample_stability("cka", x, y, n_units=1.5), "share"),
        (lambda x, y: subsample_stability("cka", x, y, n=0), "count of draws"),
        (lambda x, y: pseudo_depth({"a": x}, y), "two layers"),
    ],
)
def test_messages(call, message, pair):
    with pytest.raises(be.BrainencError, match=message):
        call(*pair)
