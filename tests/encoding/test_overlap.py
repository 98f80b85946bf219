"""Epochs that overlap in time never stand on both sides of a split, nor of the inner folds that choose penalties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

import brainenc as be
from brainenc.core.errors import InputError
from brainenc.encoding._rows import prepare
from brainenc.nouns.windows import Windows

pytestmark = pytest.mark.filterwarnings("ignore:targets whose penalty is at the edge")
TIMES = np.arange(-2, 9) / 20  # -0.1 to 0.4 s


def epochs(rng, onset, *, run=None, times=TIMES, provenance=None, repeats=1):
    """Noise of one channel around events at these onsets, and features of every event."""
    n = len(onset)
    samples = pd.DataFrame({"stimulus_id": [f"w{i // repeats}" for i in range(n)], "onset": onset})
    samples = samples if run is None else samples.assign(run=run)
    space = be.SensorSpace({"channel": ["Cz"]}, times)
    brain = be.Responses(rng.standard_normal((n, len(times))), samples, space=space, provenance=provenance or {})
    ids = [f"w{i}" for i in range(-(-n // repeats))]
    return be.FeatureSpace(rng.standard_normal((len(ids), 3)), {"stimulus_id": ids}, name="toy/words"), brain


def shared(onset, run, first, second, window=(-0.1, 0.4)):
    """Pairs of rows whose windows hold a common moment, one by one."""
    return sum(
        run[i] == run[j] and onset[i] + window[0] <= onset[j] + window[1] + 1e-9 and onset[j] + window[0] <= onset[i] + window[1] + 1e-9
        for i in first for j in second
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 25), st.integers(1, 25), st.integers(1, 3), st.floats(0, 2), st.integers(0, 10_000))
def test_overlaps_are_counted_like_one_by_one(n, m, n_runs, reach, seed):
    rng = np.random.default_rng(seed)
    mine, others = (
        Windows(rng.integers(0, n_runs, k), start, start + rng.uniform(0, 2, k)) for k, start in ((n, rng.uniform(-5, 20, n)), (m, rng.uniform(-5, 20, m)))
    )
    mine.start[rng.random(n) < 0.1] = np.nan
    expected = [
        sum(mine.run[i] == others.run[j] and mine.start[i] <= others.stop[j] + reach and others.start[j] <= mine.stop[i] + reach for j in range(m))
        for i in range(n)
    ]
    assert mine.touches(others, reach).tolist() == expected


def test_windows_of_epochs(rng):
    onset = np.arange(6) * 2.0
    _, brain = epochs(rng, onset, run=[1, 1, 1, 2, 2, 2])
    np.testing.assert_allclose([brain.windows.start, brain.windows.stop], [onset - 0.1, onset + 0.4])
    assert brain.windows.run.tolist() == [0, 0, 0, 1, 1, 1] and not brain.windows.crowded()
    late = brain.take_targets(np.flatnonzero(TIMES >= 0.2))
    np.testing.assert_allclose(late.windows.start, onset + 0.2)  # only what is scored counts
    based = replace(late, provenance={"baseline": [-0.1, 0.0]})
    np.testing.assert_allclose(based.windows.start, onset - 0.1)  # but a baseline is in every value
    means = replace(brain, provenance={"windows": [0.2, 0.05], "sampling_rate": 100.0})
    np.testing.assert_allclose(means.windows.stop, onset + 0.4 + 0.095)  # twenty samples span 0.19 s
    assert replace(brain, samples=brain.samples.drop(columns="onset")).windows is None  # an image set without onsets
    assert be.Responses(brain.values, brain.samples).windows is None  # betas with onsets
    scans = be.Responses(np.zeros((4, 1)), {"run": [1, 1, 2, 2]}, t_r=2.0)
    assert scans.windows.start.tolist() == [0, 2, 0, 2] and not scans.windows.crowded()


@pytest.mark.parametrize(("split", "n"), [(be.split.kfold(4), 24), (be.split.images(0.25, 1), 6), (be.split.blocks(4), 24)])
def test_shared_windows_are_refused(rng, split, n):
    onset = np.arange(24) * 0.3  # epochs of 0.5 s each 0.3 s
    features, brain = epochs(rng, onset, run=[1] * 12 + [2] * 12)
    pairs = list(split.split(brain))
    expected = sum(shared(onset, brain.samples["run"], test, train) for train, test in pairs)
    hit = sum(shared(onset, brain.samples["run"], [row], train) > 0 for train, test in pairs for row in test)
    with pytest.raises(InputError, match=f"{hit} of {n} test epochs, {expected} overlaps, windows of 0.5 s") as caught:
        be.score_layers(features, brain, split=split, ceiling=None)
    assert "blocks(n, seconds=0)" in str(caught.value) and "force=True" in str(caught.value)
    forced = replace(split, force=True)
    assert "forced" in be.score_layers(features, brain, split=forced, ceiling=None).split
    with pytest.raises(InputError, match="overlap"):
        be.encoding.partition_variance({"a": features, "b": replace(features, name="toy/b")}, brain, split=split)


def test_what_does_not_overlap_is_not_refused(rng):
    features, brain = epochs(rng, np.arange(24) * 0.3, run=[1] * 12 + [2] * 12)
    be.score_layers(features, brain, split=be.split.runs(), ceiling=None)
    be.score_layers(features, brain, split=be.split.blocks(2), ceiling=None)  # the border of the blocks is that of the runs
    with pytest.raises(InputError, match="have no column run"):
        be.score_layers(features, replace(brain, samples=brain.samples.drop(columns="run")), split=be.split.runs("stimulus_id", n=2), ceiling=None)
    slow = epochs(rng, np.arange(24) * 0.6)
    scores = be.score_layers(*slow, split=be.split.kfold(4), ceiling=None)
    assert scores.provenance["inner"] == "leave one image out"
    late = brain.take_targets(np.flatnonzero(TIMES >= 0.19))  # 0.2 s long, each 0.3 s
    be.score_layers(features, late, split=be.split.kfold(4), ceiling=None)


@pytest.mark.parametrize("seconds", [0.0, 0.75])
def test_blocks_leave_out_what_is_near(rng, seconds):
    onset = np.cumsum(rng.uniform(0.1, 0.6, 60))
    order = rng.permutation(60)  # rows need not be in the order of time
    for rows in (np.arange(60), order):
        _, brain = epochs(rng, onset[rows], run=np.repeat([1, 2], 30)[rows])
        for train, test in be.split.blocks(5, seconds=seconds).split(brain):
            run, at = brain.samples["run"].to_numpy(), brain.samples["onset"].to_numpy()
            gap = np.array([
                min([max(at[j] - 0.1 - at[i] - 0.4, at[i] - 0.1 - at[j] - 0.4) for j in test if run[i] == run[j]], default=np.inf) for i in range(60)
            ])
            assert set(train) == set(np.flatnonzero(gap > seconds)) - set(test)
    scans = be.Responses(np.zeros((30, 1)), {"run": [1] * 15 + [2] * 15}, t_r=2.0)
    train, test = next(iter(be.split.blocks(5, seconds=4.0).split(scans)))
    assert test.tolist() == list(range(6)) and train.tolist() == list(range(8, 30))  # 4 s are two scans
    with pytest.raises(InputError, match="when each row was recorded"):
        list(be.split.blocks(5, seconds=1.0).split(np.zeros((20, 2))))
    with pytest.raises(InputError, match="negative"):
        be.split.blocks(5, seconds=-1)


def inner_overlaps(responses, features, split):
    """Overlaps between the sides of all inner folds of all outer training sets."""
    subject = prepare("01", responses, split, {features.name: features}, "auto")
    at, run = responses.samples["onset"].to_numpy(), responses.samples["run"].to_numpy()
    total = 0
    for fold in subject.folds:
        assert fold.inner is not None and len(fold.train.keys) == len(fold.train.rows)  # single rows, which have windows
        for train, test in fold.inner:
            rows = fold.train.rows
            total += shared(at, run, rows[train], rows[test])
            assert len(train) >= 2 and len(test) >= 2
    return total


def test_inner_folds_follow(rng):
    """Penalties are chosen by folds of runs or of blocks with a distance, never by leaving out single epochs among their neighbours."""
    onset = np.tile(np.arange(40) * 0.3, 3)
    features, brain = epochs(rng, onset, run=np.repeat([1, 2, 3], 40))
    assert inner_overlaps(brain, features, be.split.runs()) == 0
    assert inner_overlaps(brain, features, be.split.blocks(4, seconds=0)) == 0
    two = brain.take_rows(np.arange(80))
    assert inner_overlaps(two, features, be.split.runs()) == 0  # one run is left to train on: blocks
    part = replace(brain, samples=brain.samples.assign(part=np.where(brain.samples["run"] == 2, "test", "train")))
    assert inner_overlaps(part, features, be.split.column("part")) == 0
    scores = be.score_layers(features, part, split=be.split.column("part"), ceiling=None)
    assert scores.provenance["inner"] == "2-fold over runs, in order, training windows that overlap a test window left out"
    with pytest.raises(InputError, match="neighbours in time"):
        be.score_layers(features, part, split=be.split.column("part"), encoder=be.encoding.Ridge(cv="loo"), ceiling=None)
    merged = be.score_layers(features, two, split=be.split.runs(), encoder=be.encoding.Ridge(cv=3), ceiling=None)
    assert np.isfinite(merged.values).all()


def test_repeats_that_overlap_train_as_single_rows(rng):
    """Each stimulus comes twice in a row, so that means over repeats would have no window: folds by run, and the same least squares."""
    onset = np.tile(np.arange(30) * 0.3, 4)
    features, brain = epochs(rng, onset, run=np.repeat([1, 2, 3, 4], 30), repeats=2)
    brain = replace(brain, samples=brain.samples.assign(part=np.where(brain.samples["run"] == 4, "test", "train")))
    assert inner_overlaps(brain, features, be.split.column("part")) == 0
    alone, mean = (be.encoding.Ridge(alphas=(alpha,)) for alpha in (2.0, 1.0))  # two rows a mean
    close = be.score_layers(features, brain, split=be.split.column("part"), encoder=alone, ceiling=None)
    bare = replace(brain, samples=brain.samples.drop(columns="onset"))
    apart = be.score_layers(features, bare, split=be.split.column("part"), encoder=mean, ceiling=None)
    np.testing.assert_allclose(close.values, apart.values, atol=1e-10)


def test_overlap_is_worth_a_score(rng):
    """No signal at all: slow noise under slow features, as words of a film have them. Forced folds among neighbours invent a score."""
    rate, n = 20, 300
    drift = lfilter([1.0], [1.0, -0.995], rng.standard_normal((rate * n, 8)), axis=0)
    at = np.arange(2 * rate, rate * (n - 2), rate // 4)[:1000]  # an event each 0.25 s
    windows = np.arange(len(TIMES)) - 2
    values = drift[at[:, None] + windows, 0] / drift[:, 0].std()
    ids = [f"w{i}" for i in range(len(at))]
    space = be.SensorSpace({"channel": ["Cz"]}, TIMES)
    brain = be.Responses(values, {"stimulus_id": ids, "onset": at / rate}, space=space)
    features = be.FeatureSpace(lfilter([1.0], [1.0, -0.9], rng.standard_normal((len(at), 40)), axis=0), {"stimulus_id": ids}, name="toy/slow")
    forced = be.score_layers(features, brain, split=be.split.kfold(5, seed=0, force=True), ceiling=None).mean().mean()
    honest = be.score_layers(features, brain, split=be.split.blocks(5, seconds=30.0), ceiling=None).mean().mean()
    assert forced > 0.3 and honest < 0.15


def test_splits_with_a_distance_are_kept(tmp_path):
    split = be.split.blocks(4, 2, seconds=0.5)
    assert be.read(split.save(tmp_path / "split")) == split and split.inner(3).seconds == 0.5
    assert split.describe().endswith("2 rows left out on either side, training rows within 0.5 s of a test row left out")


def test_many_epochs_take_no_time(rng):
    """Sorting, not pairs: two hundred thousand epochs within a second or so."""
    start = np.cumsum(rng.uniform(0, 0.5, 200_000))
    windows = Windows(np.repeat(np.arange(20), 10_000), start, start + 1.0)
    assert windows.take(np.arange(0, 200_000, 2)).touches(windows.take(np.arange(1, 200_000, 2))).sum() > 400_000
