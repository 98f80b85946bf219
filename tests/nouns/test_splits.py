import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import cross_val_score

import brainenc as be
from brainenc.core.errors import InputError


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 20), st.integers(1, 4), st.floats(0.1, 0.6), st.integers(0, 99))
def test_all_repeats_of_an_image_stay_on_one_side(n_images, n_repeats, test, seed):
    ids = np.random.default_rng(seed).permutation(np.repeat([f"i{k}" for k in range(n_images)], n_repeats))
    responses = be.Responses(np.zeros((len(ids), 2)), {"stimulus_id": ids})
    for split in (be.split.images(test=test, seed=seed), be.split.kfold(3), be.split.kfold(3, seed=seed)):
        for train, held in split.split(responses):
            assert not set(ids[train]) & set(ids[held])
            assert len(train) + len(held) == len(ids)


def test_image_split_holds_out_the_share_and_repeats_with_the_seed(responses):
    train, test = next(be.split.images(test=1 / 3, seed=0).split(responses))
    assert len(test) == 9
    again = next(be.split.images(test=1 / 3, seed=0).split(responses))[1]
    other = next(be.split.images(test=1 / 3, seed=1).split(responses))[1]
    assert test.tolist() == again.tolist() != other.tolist()
    assert len(list(be.split.images(test=0.3, n=4).split(responses))) == 4


def test_the_held_out_images_do_not_depend_on_the_number_of_repeats(responses):
    ids = responses.samples["stimulus_id"].to_numpy()
    mean = responses.average("stimulus_id")
    single = set(ids[next(be.split.images(0.3, 5).split(responses))[1]])
    assert single == set(mean.samples["stimulus_id"].to_numpy()[next(be.split.images(0.3, 5).split(mean))[1]])


def test_runs_are_left_out_one_by_one(responses):
    folds = list(be.split.runs().split(responses))
    run = responses.samples["run"].to_numpy()
    assert [set(run[test]) for _, test in folds] == [{1}, {2}, {3}]
    assert be.split.runs().get_n_splits(responses) == 3


@pytest.mark.parametrize("gap", [0, 1, 3])
def test_blocks_are_contiguous_and_keep_their_distance(gap, rng):
    series = be.Responses(rng.random((30, 2)), {"run": [1] * 30}, t_r=2.0)
    covered = []
    for train, test in be.split.blocks(4, gap).split(series):
        assert (np.diff(test) == 1).all()
        assert np.abs(train[:, None] - test[None]).min() == gap + 1
        assert len(train) == 30 - len(test) - sum(0 <= row < 30 for k in range(1, gap + 1) for row in (test[0] - k, test[-1] + k))
        covered.extend(test)
    assert sorted(covered) == list(range(30))


def test_shuffling_a_time_series_raises_unless_forced(rng):
    series = be.Responses(rng.random((30, 2)), {"run": [1] * 30}, t_r=2.0)
    for split in (be.split.kfold(5, None, seed=0), be.split.images()):
        with pytest.raises(InputError, match="both sides.*force=True"):
            list(split.split(series))
    assert len(list(be.split.kfold(5, None, seed=0, force=True).split(series))) == 5


def test_a_partition_column_is_used_as_it_stands(responses):
    from dataclasses import replace

    mine = replace(responses, samples=responses.samples.assign(split=["train"] * 20 + ["test"] * 7))
    train, test = next(be.split.column("split").split(mine))
    assert test.tolist() == list(range(20, 27)) and len(train) == 20
    with pytest.raises(InputError, match="side empty"):
        list(be.split.column("split", "validation").split(mine))


def test_inner_splits_keep_grouping_and_gap():
    assert be.split.images(seed=3).inner(4).groups == "stimulus_id"
    assert be.split.blocks(5, 7).inner(3).gap == 7
    assert be.split.runs("session").inner(3).groups == "session"
    assert not be.split.images().inner().shuffles


@pytest.mark.parametrize("bad", [lambda: be.split.images(test=1.2), lambda: be.split.kfold(1), lambda: be.split.blocks(3, -1), lambda: be.split.images(seed=-1)])
def test_meaningless_splits_are_refused(bad):
    with pytest.raises(InputError):
        bad()


def test_too_few_groups_and_missing_columns(responses, rng):
    with pytest.raises(InputError, match="expected at least 12 stimulus_ids, got 9"):
        list(be.split.kfold(12).split(responses))
    with pytest.raises(KeyError, match="session"):
        list(be.split.runs("session").split(responses))
    with pytest.raises(InputError, match="needs the column 'run'"):
        list(be.split.runs().split(rng.random((6, 2))))


def test_scikit_learn_takes_a_split(rng):
    from sklearn.linear_model import LinearRegression

    X, y = rng.random((30, 3)), rng.random(30)
    assert len(cross_val_score(LinearRegression(), X, y, cv=be.split.kfold(5))) == 5
    assert len(cross_val_score(LinearRegression(), X, y, cv=be.split.runs(), groups=np.repeat([0, 1, 2], 10))) == 3


@pytest.mark.parametrize(("n", "gap"), [(10, 3), (10, 4), (11, 6), (12, 7)])
def test_a_gap_as_long_as_half_the_series_is_kept_whole(n, gap, rng):
    series = be.Responses(rng.random((n, 2)), {"run": [1] * n}, t_r=2.0)
    train, test = next(be.split.blocks(n // 2, gap).split(series))
    np.testing.assert_array_equal(train, np.arange(test.max() + gap + 1, n))
    with pytest.raises(InputError, match="side empty"):
        list(be.split.blocks(3, n).split(series))


@pytest.mark.parametrize("split", [be.split.images(test=0.3, seed=4, n=2), be.split.kfold(3, seed=4)])
def test_a_seed_holds_out_the_same_images_in_whatever_order_they_were_shown(split):
    ids = np.array([f"image{i}" for i in range(20)])
    other = np.random.default_rng(0).permutation(np.repeat(ids, 2))
    for (_, a), (_, b) in zip(split.split(pd.DataFrame({"stimulus_id": ids})), split.split(pd.DataFrame({"stimulus_id": other})), strict=True):
        assert set(ids[a]) == set(other[b]) and 0 < len(set(ids[a])) < 20
