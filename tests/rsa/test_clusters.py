"""Cluster permutation against MNE, exact enumeration and simulated nulls."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage, sparse, stats

import brainenc as be
from brainenc.core.errors import InputError

S, T, V = 7, 40, 9


@pytest.fixture
def smooth(rng):
    def make(shape, n_subjects=S, sigma=2.0):
        return np.stack([ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap") for _ in range(n_subjects)])

    return make


def by_hand(scores, threshold, two_sided):
    """Masses of clusters along one axis by scipy.ndimage, and the exact p over all 2^S flips."""

    def masses(values):
        t = stats.ttest_1samp(values, 0).statistic
        found = []
        for sign in (1, -1) if two_sided else (1,):
            labels, n = ndimage.label(sign * t > threshold)
            found += [(labels == k).nonzero()[0].tolist() + [t[labels == k].sum()] for k in range(1, n + 1)]
        return found

    observed = masses(scores)
    tops = [max([abs(m[-1]) for m in masses(scores * np.array(f)[:, None])], default=0.0) for f in itertools.product([1, -1], repeat=len(scores))]
    return {(m[0], m[-2]): (m[-1], np.mean(np.array(tops) >= abs(m[-1]) * (1 - 1e-9))) for m in observed}


@pytest.mark.parametrize("tail", ["greater", "two-sided"])
def test_clusters_in_time_are_those_of_exact_enumeration(smooth, tail):
    scores = smooth(T)
    scores[:, 10:20] += 0.3
    scores[:, 30:33] -= 0.4
    found = be.rsa.cluster_test(scores, threshold=1.5, tail=tail)
    expected = by_hand(scores, 1.5, tail == "two-sided")
    assert found.n == 2**S - 1 and len(found.table) == len(expected)
    for row in found.table.itertuples():
        mass, p = expected[row.start, row.stop]
        assert row.mass == pytest.approx(mass) and row.p == pytest.approx(p)
        assert (found.p[row.start : row.stop + 1] == row.p).all() and (found.labels[row.start : row.stop + 1] == row.cluster).all()
    np.testing.assert_allclose(found.t, stats.ttest_1samp(scores, 0).statistic)
    assert (found.mask == (found.p <= 0.05)).all()


def one_pattern_apart(ours, theirs):
    """MNE's "all" of six subjects are 31 of the 32 patterns up to a common sign; the one it leaves out is the only difference."""
    extra = ours * 32 - theirs * 31
    assert (np.isclose(extra, 0) | np.isclose(extra, 1)).all()


@pytest.mark.parametrize("shape", [(T,), (12, 13)])
def test_clusters_and_p_are_those_of_mne(smooth, shape):
    mne_stats = pytest.importorskip("mne.stats")
    scores = smooth(shape, 6)
    scores[(slice(None), *[slice(3, 8)] * len(shape))] += 0.25
    ours = be.rsa.cluster_test(scores, threshold=1.2)
    t, clusters, p, _ = mne_stats.permutation_cluster_1samp_test(scores, threshold=1.2, n_permutations="all", tail=0, out_type="mask", verbose="error")
    np.testing.assert_allclose(ours.t, t)

    def full(cluster):
        mask = np.zeros(shape, dtype=bool)
        mask[cluster] = True
        return mask

    theirs = sorted((int(full(c).sum()), float(t[full(c)].sum()), float(q)) for c, q in zip(clusters, p, strict=True))
    mine = sorted((row.n_cells, row.mass, row.p) for row in ours.table.itertuples())
    np.testing.assert_allclose(np.array(mine)[:, :2], np.array(theirs)[:, :2], atol=1e-9)
    one_pattern_apart(np.array(mine)[:, 2], np.array(theirs)[:, 2])


def test_threshold_free_enhancement_is_that_of_mne(smooth):
    mne_stats = pytest.importorskip("mne.stats")
    scores = smooth(T, 6)
    scores[:, 5:15] += 0.2
    ours = be.rsa.cluster_test(scores, threshold="tfce", step=0.2)
    _, _, p, _ = mne_stats.permutation_cluster_1samp_test(
        scores, threshold={"start": 0, "step": 0.2}, n_permutations="all", tail=0, out_type="mask", verbose="error"
    )
    inside = ours.p < 1
    one_pattern_apart(ours.p[inside], p[inside])


def test_space_joins_through_its_neighbours_only(smooth):
    scores = np.zeros((S, 6, V)) + 1e-3 * smooth((6, V), sigma=0.5)
    scores[:, 2:4, [1, 4, 7]] += 1.0
    chain = [[v, v + 3] if v + 3 < V else [v] for v in range(V)]  # 1, 4 and 7 are neighbours, 1 and 2 are not
    found = be.rsa.cluster_test(scores, threshold=50.0, adjacency=chain, axes={"time": np.arange(6) * 10, "sensor": list("abcdefghi")})
    assert len(found.table) == 1
    row = found.table.iloc[0]
    assert (row["time_start"], row["time_stop"], row["n_sensor"], row["n_cells"]) == (20, 30, 3, 6)
    alone = be.rsa.cluster_test(scores, threshold=50.0, adjacency=sparse.eye_array(V))
    assert len(alone.table) == 3
    matrix = np.zeros((V, V))
    for v, others in enumerate(chain):
        matrix[v, others] = 1
    again = be.rsa.cluster_test(scores, threshold=50.0, adjacency=matrix)
    np.testing.assert_array_equal(again.labels, found.labels)


def test_neighbourhoods_of_a_space_are_an_adjacency(rng):
    space = be.ContactSpace(table={"x": np.arange(V) * 10.0, "y": 0.0, "z": 0.0, "channel": [str(v) for v in range(V)]})
    scores = 0.1 * rng.standard_normal((S, V)) + np.isin(np.arange(V), [2, 3, 7])
    found = be.rsa.cluster_test(scores, threshold=8.0, adjacency=space.neighbourhoods(10.0))
    assert sorted(found.table["n_cells"]) == [1, 2]
    assert found.table["n_places"].tolist() == found.table["n_cells"].tolist() and "n_time" not in found.table


def test_chunks_do_not_change_the_result_and_one_seed_gives_one(smooth):
    scores = smooth((8, 9), 15)
    one = be.rsa.cluster_test(scores, n=60, seed=1, threshold=1.0)
    cut = be.rsa.cluster_test(scores, n=60, seed=1, threshold=1.0, memory="40kB")
    other = be.rsa.cluster_test(scores, n=60, seed=2, threshold=1.0)
    np.testing.assert_array_equal(one.p, cut.p)
    assert (one.p != other.p).any()


def test_a_planted_effect_is_found_where_it_is(smooth):
    scores = smooth((20, 20), 16)
    scores[:, 8:14, 5:10] += 0.6
    for threshold in (None, "tfce"):
        found = be.rsa.cluster_test(scores, n=199, threshold=threshold, axes={"train": np.arange(20), "test": np.arange(20)}, step=0.5)
        assert found.mask[9:13, 6:9].all() and found.mask.sum() < 120
        assert found.table["p"][0] == pytest.approx(1 / 200)
        assert {"train_start", "train_stop", "test_start", "test_stop"} <= set(found.table.columns)


def test_nothing_above_the_threshold_gives_an_empty_table(rng):
    found = be.rsa.cluster_test(rng.standard_normal((S, 5)), threshold=1e3, n=20)
    assert len(found.table) == 0 and not found.mask.any() and (found.p == 1).all()


def smallest_p(rng, n_subjects, threshold, tail):
    scores = ndimage.gaussian_filter1d(rng.standard_normal((n_subjects, 60)), 3, axis=1)
    table = be.rsa.cluster_test(scores, n=99, threshold=threshold, tail=tail, seed=int(rng.integers(1 << 30)), step=0.25).table
    return table["p"].min() if len(table) else 1.0


def test_false_clusters_are_as_rare_as_said():
    rng = np.random.default_rng(1)
    hits = np.mean([smallest_p(rng, 12, None, "two-sided") <= 0.05 for _ in range(150)])
    assert hits < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)


@pytest.mark.slow
@pytest.mark.parametrize(("threshold", "tail"), [(1.0, "greater"), (1.0, "two-sided"), ("tfce", "two-sided")])
def test_family_wise_error_over_many_replicates(threshold, tail):
    rng = np.random.default_rng(2)
    p = np.array([smallest_p(rng, 12, threshold, tail) for _ in range(1000)])
    if threshold == "tfce":  # a table lists cells with p ≤ alpha only
        assert abs(np.mean(p <= 0.05) - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 1000)
    else:
        for level in (0.05, 0.2, 0.5):
            assert abs(np.mean(p <= level) - level) < 3.3 * np.sqrt(level * (1 - level) / 1000)


def test_an_evaluation_over_time_is_laid_out_on_its_axis(smooth):
    pytest.importorskip("brainenc.nouns.evaluation")
    from brainenc.nouns.evaluation import Evaluation

    scores = smooth(T)
    scores[:, 5:12] += 0.6
    order = np.arange(T)[::-1]
    evaluation = Evaluation(scores.T[order][:, :, None], {"model": ["m"]}, {"time": order / 10}, {"subject": np.arange(S)}, "pearson")
    found = be.rsa.cluster_test(evaluation)
    plain = be.rsa.cluster_test(scores, axes={"time": np.arange(T) / 10})
    np.testing.assert_array_equal(found.p, plain.p)
    assert found.table.equals(plain.table)


def test_what_cannot_be_tested_is_refused(rng):
    scores = rng.standard_normal((S, 5))
    for bad, message in [
        ({"threshold": "big"}, "unknown threshold"),
        ({"threshold": -1.0}, "positive"),
        ({"adjacency": [[0]]}, "adjacency"),
        ({"adjacency": np.eye(3)}, "adjacency"),
        ({"axes": {"time": [1, 2]}}, "axes"),
    ]:
        with pytest.raises(InputError, match=message):
            be.rsa.cluster_test(scores, **bad)
    with pytest.raises(InputError, match="missing"):
        be.rsa.cluster_test(np.where(scores > 1, np.nan, scores))
    with pytest.raises(InputError, match="same score"):
        be.rsa.cluster_test(np.ones((S, 3)))
    with pytest.raises(InputError, match="two subjects"):
        be.rsa.cluster_test(scores[:1])
