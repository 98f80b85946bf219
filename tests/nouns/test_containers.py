import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError


def test_stimuli_are_found_by_id_in_any_order():
    stimuli = be.StimulusSet({"stimulus_id": [3, 1, 2], "text": ["c", "a", "b"], "category": ["x", "y", "x"]}, kind="text")
    assert stimuli.take([1, 2]).ids.tolist() == ["1", "2"]
    assert stimuli.where(category="x").ids.tolist() == ["3", "2"]
    assert stimuli.load("1") == "a"


def test_duplicate_and_missing_stimulus_ids_are_named():
    with pytest.raises(InputError, match=r"duplicate stimulus_id.*'b'"):
        be.StimulusSet({"stimulus_id": ["a", "b", "b"]})
    with pytest.raises(InputError, match="missing in 1 of 2 rows"):
        be.StimulusSet({"stimulus_id": ["a", None]})
    with pytest.raises(InputError, match="1 of 2 stimulus_ids.*known.*'z'"):
        be.StimulusSet({"stimulus_id": ["a", "b"]}).take(["a", "z"])


def test_features_need_one_row_a_stimulus(rng):
    with pytest.raises(InputError, match="expected 7 rows, got 8 rows"):
        be.FeatureSpace(rng.random((7, 3)), {"stimulus_id": list("abcdefgh")})
    with pytest.raises(InputError, match="two-dimensional"):
        be.FeatureSpace(rng.random(7), {"stimulus_id": list("abcdefg")})
    with pytest.raises(NotFoundError, match="stimulus_id"):
        be.FeatureSpace(rng.random((7, 3)), {"stimulus": list("abcdefg")})
    space = be.FeatureSpace(rng.random((2, 3)), {"stimulus_id": ["a", "b"]}, name="timm:resnet18/layer1.0")
    assert (space.model, space.layer) == ("timm:resnet18", "layer1.0")


def test_averaging_equals_a_loop_and_counts_repeats(responses):
    mean = responses.average("stimulus_id")
    for row, name in enumerate(mean.samples["stimulus_id"]):
        mine = responses.samples["stimulus_id"].to_numpy() == name
        np.testing.assert_allclose(mean.values[row], responses.values[mine].mean(axis=0), rtol=1e-12)
    assert mean.samples["n_repeats"].tolist() == [3] * 9
    assert "run" not in mean.samples and mean.samples["subject"].tolist() == ["01"] * 9
    again = mean.average("subject")
    np.testing.assert_allclose(again.values[0], responses.values.mean(axis=0))
    assert again.samples["n_repeats"].tolist() == [27]


def test_averages_of_averages_weigh_by_count(responses):
    part = responses.take_rows(np.r_[0:9, 9:12])
    mean = part.average("stimulus_id").average("subject")
    np.testing.assert_allclose(mean.values[0], part.values.mean(axis=0))


def test_repeats_are_stacked_with_nan_where_there_are_fewer(responses):
    part = responses.take_rows(np.arange(20))
    stack, ids = part.repeats()
    assert stack.shape == (9, 3, 8)
    for row, name in enumerate(ids):
        mine = part.values[part.samples["stimulus_id"].to_numpy() == name]
        np.testing.assert_array_equal(stack[row, : len(mine)], mine)
        assert np.isnan(stack[row, len(mine) :]).all()


def test_alignment_is_order_free_and_says_what_is_missing(responses, features):
    aligned = responses.align(features)
    lookup = dict(zip(features.samples["stimulus_id"], features.values, strict=True))
    np.testing.assert_array_equal(aligned.values, [lookup[name] for name in responses.samples["stimulus_id"]])
    fewer = features.take(["s0", "s1", "s2"])
    with pytest.raises(InputError, match=r"6 of 9 stimulus_ids.*3 known ones.*'s\d'.*'s\d'"):
        responses.align(fewer)


def test_scans_against_stimuli_are_refused_with_the_way_out(rng, features):
    series = be.Responses(rng.random((20, 4)), {"run": [1] * 20}, t_r=2.5)
    with pytest.raises(InputError, match=r"20 rows, got 9 stimuli.*[Bb]uild one row per scan with brainenc\.design"):
        series.align(features)
    with pytest.raises(InputError, match="trials"):
        be.Responses(rng.random((2, 2)), {"stimulus_id": ["a", "b"]}).step  # noqa: B018
    with pytest.raises(InputError, match="cannot be averaged"):
        be.Responses(rng.random((2, 2)), {"run": [1, 1]}, t_r=1.0).average("run")


def test_selecting_targets_keeps_space_and_table_together(responses):
    part = responses.where("roi == 'V4' and noise_ceiling > 0.45")
    assert part.targets["roi"].unique().tolist() == ["V4"]
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(part.space.paint(np.ones(part.n_targets)))), [4, 5, 6, 7])
    with pytest.raises(InputError, match="keeps none of 8 targets.*roi is one of V1, V4"):
        responses.where(roi="V9")


def test_wrong_shapes_name_both_numbers(rng):
    with pytest.raises(InputError, match="expected 5 rows, got 4 rows"):
        be.Responses(rng.random((5, 3)), {"stimulus_id": list("abcd")})
    with pytest.raises(InputError, match="3 targets, got 4"):
        be.Responses(rng.random((5, 3)), {"stimulus_id": list("abcde")}, space=be.ArraySpace(4))
    with pytest.raises(InputError, match="t_r must be a positive"):
        be.Responses(rng.random((5, 3)), {"run": [1] * 5}, t_r=0)
    with pytest.raises(InputError, match=r"duplicate target_id"):
        be.Responses(rng.random((5, 2)), {"stimulus_id": list("abcde")}, {"target_id": ["a", "a"]})


def test_events_are_checked(rng):
    make = lambda **c: be.Responses(rng.random((5, 2)), {"run": [1] * 5}, t_r=2, events=pd.DataFrame(c))  # noqa: E731
    with pytest.raises(NotFoundError, match="no column 'stimulus_id'"):
        make(onset=[0.0], duration=[1.0], run=[1])
    with pytest.raises(InputError, match="not a number in 1 rows"):
        make(onset=["n/a"], duration=[1.0], run=[1], stimulus_id=["a"])
    with pytest.raises(InputError, match="negative"):
        make(onset=[1], duration=[-1.0], run=[1], stimulus_id=["a"])


def test_rows_of_a_series_take_their_events_along(rng):
    events = pd.DataFrame({"onset": [0, 0], "duration": [1, 1], "stimulus_id": ["a", "b"], "run": [1, 2]})
    series = be.Responses(rng.random((8, 2)), {"run": [1] * 4 + [2] * 4}, t_r=2, events=events)
    assert series.rows(run=2).events["stimulus_id"].tolist() == ["b"]


def test_html_shows_hostile_text_as_text(rng):
    evil = "<script>alert(1)</script>"
    noun = be.Responses(rng.random((2, 2)), {"stimulus_id": ["a", "b"]}, {"roi": [evil, evil]}, name=evil)
    stimuli = be.StimulusSet({"stimulus_id": [evil], "caption": [evil]}, name=evil)
    for html in (noun._repr_html_(), stimuli._repr_html_()):
        assert "<script" not in html and "&lt;script" in html


def test_rdms_from_squares(rng):
    square = rng.random((2, 7, 7))
    square = square + square.transpose(0, 2, 1)
    square[:, np.arange(7), np.arange(7)] = 0
    rdms = be.RDMs.from_square(square, {"stimulus_id": list("abcdefg")}, rdms={"roi": ["V1", "IT"]})
    np.testing.assert_allclose(rdms.square(), square)
    assert rdms.where(roi="IT").n_rdms == 1 and len(rdms.to_frame()) == 2 * 21
    with pytest.raises(InputError, match="symmetric"):
        be.RDMs.from_square(rng.random((7, 7)), {"stimulus_id": list("abcdefg")})
    with pytest.raises(InputError, match="21 pairs of 7 conditions"):
        be.RDMs(rng.random((2, 20)), {"stimulus_id": list("abcdefg")})
