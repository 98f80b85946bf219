"""The container of RDMs: nothing writes to it, and every change is a new object with its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import brainenc as be
from brainenc.core.errors import BrainencWarning, InputError, NotFoundError

N = 7
IDS = list("gbfadce")


@pytest.fixture
def rdms(rng):
    values = np.round(rng.normal(size=(4, 21)), 1)
    return be.RDMs(values, {"stimulus_id": IDS, "category": list("xyxyxyx")}, {"subject": list("aabb"), "roi": ["V1", "IT"] * 2, "n": [1, 1, 2, 2]}, "crossnobis")


def test_nobody_can_write_to_it(rng):
    values = rng.random((2, 21))
    table = pd.DataFrame({"condition": IDS})
    rdms = be.RDMs(values, table)
    kept = values.copy()
    values[:] = -1
    table.loc[0, "condition"] = "changed"
    np.testing.assert_array_equal(rdms.values, kept)
    assert rdms.ids[0] == "g"
    with pytest.raises(ValueError, match="read-only"):
        rdms.values[0, 0] = 1
    with pytest.raises(AttributeError):
        rdms.metric = "other"
    assert be.RDMs(np.ones((1, 21), dtype=np.int8), {"condition": IDS}).values.dtype == np.float64


@pytest.mark.parametrize("how", ["rank", "sqrt", "positive", "minmax", "zscore"])
def test_transforms_leave_the_original_alone(rdms, how):
    before = rdms.values.copy()
    found = rdms.transform(how)
    np.testing.assert_array_equal(rdms.values, before)
    expected = {
        "rank": lambda x: scipy.stats.rankdata(x),
        "sqrt": lambda x: np.sign(x) * np.sqrt(np.abs(x)),
        "positive": lambda x: np.where(x < 0, 0, x),
        "minmax": lambda x: (x - x.min()) / (x.max() - x.min()),
        "zscore": scipy.stats.zscore,
    }[how]
    np.testing.assert_allclose(found.values, [expected(row) for row in before], atol=1e-12)
    assert found.provenance["transforms"] == [how] and "transforms" not in rdms.provenance
    holes = np.where(np.arange(21) == 4, np.nan, before)
    with_holes = be.RDMs(holes, rdms.conditions).transform(how).values
    assert np.isnan(with_holes[:, 4]).all()
    np.testing.assert_allclose(np.delete(with_holes, 4, axis=1), [expected(row) for row in np.delete(before, 4, axis=1)], atol=1e-12)


def test_constant_rdms_have_no_range():
    rdms = be.RDMs(np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]), {"condition": list("abc")})
    with pytest.warns(BrainencWarning, match=r"1 of 2 RDMs are constant and have no minmax: rows '0'"):
        found = rdms.transform("minmax")
    assert np.isnan(found.values[0]).all() and found.values[1].tolist() == [0, 0.5, 1]
    with pytest.raises(InputError, match="one of 'rank'"):
        rdms.transform("ranks")


def test_conditions_are_taken_by_name_and_sorted_by_column(rdms):
    square = rdms.square()
    part = rdms.take_conditions(["f", "g", "a"])
    index = [IDS.index(i) for i in "fga"]
    np.testing.assert_array_equal(part.square(), square[:, index][:, :, index])
    assert part.ids.tolist() == ["f", "g", "a"] and part.conditions["category"].tolist() == ["x", "x", "y"]
    np.testing.assert_array_equal(rdms.where_conditions(category="y").square(), square[:, 1::2][:, :, 1::2])
    in_order = rdms.reorder("stimulus_id")
    assert in_order.ids.tolist() == sorted(IDS)
    assert rdms.reorder(["category", "stimulus_id"]).ids.tolist() == sorted(IDS[::2]) + sorted(IDS[1::2])
    np.testing.assert_array_equal(in_order.take_conditions(IDS).values, rdms.values)
    for call, error in [
        (lambda: rdms.take_conditions(["a", "z"]), "1 of 2 stimulus_ids are not"),
        (lambda: rdms.take_conditions(["a", "a"]), "duplicate"),
        (lambda: rdms.take_conditions(["a"]), "at least two"),
        (lambda: rdms.where_conditions(category="q"), "keeps 0 of 7"),
    ]:
        with pytest.raises(InputError, match=error):
            call()
    with pytest.raises(NotFoundError, match="no column 'size'"):
        rdms.reorder("size")


def test_rdms_are_taken_and_averaged(rdms):
    assert rdms.take([True, False, False, True]).rdms["roi"].tolist() == ["V1", "IT"]
    mean = rdms.average("subject")
    np.testing.assert_allclose(mean.values, [rdms.values[:2].mean(axis=0), rdms.values[2:].mean(axis=0)])
    assert mean.rdms.to_dict("list") == {"subject": ["a", "b"], "n": [1, 2], "n_rdms": [2, 2]}
    np.testing.assert_allclose(rdms.average().values[0], rdms.values.mean(axis=0))
    holes = be.RDMs(np.where(np.eye(4, 21) > 0, np.nan, rdms.values), rdms.conditions)
    assert np.isnan(holes.average().values).sum() == 4
    np.testing.assert_allclose(holes.average(nan="omit").values[0], np.nanmean(holes.values, axis=0))


def test_joins_match_conditions_by_name(rdms, rng):
    moved = rdms.take_conditions(sorted(IDS))
    both = be.RDMs.concat([rdms, moved])
    np.testing.assert_array_equal(both.values, np.tile(rdms.values, (2, 1)))
    assert both.ids.tolist() == IDS and both.conditions["category"].tolist() == list("xyxyxyx") and len(both.rdms) == 8
    fewer = rdms.take_conditions(list("abc") + ["d"])
    with pytest.raises(InputError, match=r"3 missing \('g', 'f', 'e'\), 0 others.*join"):
        be.RDMs.concat([rdms, fewer])
    assert be.RDMs.concat([rdms, fewer], join="common").ids.tolist() == [i for i in IDS if i in "abcd"]
    every = be.RDMs.concat([fewer, rdms], join="all")
    assert np.isnan(every.values[:4]).sum() == 4 * (21 - 6) and every.ids.tolist()[:4] == list("abcd")
    np.testing.assert_array_equal(every.take_conditions(IDS).values[4:], rdms.values)
    np.testing.assert_array_equal(every.take_conditions(list("abcd")).values[:4], fewer.values)
    other = be.RDMs(rdms.values, rdms.conditions.assign(category="q"), metric="crossnobis")
    assert "category" not in be.RDMs.concat([rdms, other]).conditions
    with pytest.raises(InputError, match="different metrics"):
        be.RDMs.concat([rdms, be.RDMs(rdms.values, rdms.conditions, metric="cosine")])
    with pytest.raises(InputError, match="nothing to join"):
        be.RDMs.concat([])


def test_one_row_a_pair(rdms):
    frame = rdms.to_frame()
    assert frame.columns.tolist() == ["subject", "roi", "n", "condition_a", "condition_b", "dissimilarity"] and len(frame) == 84
    row = frame.iloc[21 + 6 + 2]
    assert (row["subject"], row["roi"], row["condition_a"], row["condition_b"]) == ("a", "IT", "b", "d")
    assert row["dissimilarity"] == rdms.square()[1, 1, 4]


def test_saved_and_read(rdms, tmp_path):
    back = be.read(rdms.transform("rank").save(tmp_path / "r"))
    np.testing.assert_array_equal(back.values, rdms.transform("rank").values)
    assert back.rdms.equals(rdms.rdms) and back.conditions.equals(rdms.conditions) and not back.values.flags.writeable
    plain = be.RDMs(rdms.values, {"condition": IDS})
    assert be.read(plain.save(tmp_path / "p")).n_rdms == 4


def test_squares_with_missing_pairs():
    square = np.array([[0.0, np.nan, 2.0], [np.nan, 0.0, 1.0], [2.0, 1.0, 0.0]])
    np.testing.assert_array_equal(be.RDMs.from_square(square, {"condition": list("abc")}).values, [[np.nan, 2, 1]])
    np.testing.assert_array_equal(be.RDMs.from_square(np.where(np.isnan(square), np.inf, square), {"condition": list("abc")}).values, [[np.inf, 2, 1]])


def test_compare_asks_the_room_above(rdms):
    found = rdms.compare(rdms, "pearson")
    np.testing.assert_allclose(found, np.corrcoef(rdms.values), atol=1e-12)
