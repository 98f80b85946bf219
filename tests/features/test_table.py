from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import brainenc as be
from brainenc.core.errors import InputError, NotFoundError


def columns(stimuli, name):
    return be.extract(stimuli, f"table:{name}")[f"table:{name}/columns"]


def test_text_becomes_one_hot_in_sorted_order(images):
    space = columns(images, "kind")
    assert list(space.features["feature"]) == ["kind=bird", "kind=cat", "kind=dog"]
    np.testing.assert_array_equal(space.values, pd.get_dummies(images.table["kind"]).to_numpy(dtype=np.float32))


def test_a_group_is_all_columns_with_its_prefix(images):
    space = columns(images, "group")
    assert list(space.features["feature"]) == ["group.size", "group.living"]
    np.testing.assert_array_equal(space.values[:, 0], np.arange(9, dtype=np.float32) / 4)
    np.testing.assert_array_equal(space.values[:, 1], [1] * 7 + [0] * 2)


def test_several_names_stand_side_by_side(images):
    assert columns(images, "kind,group.size").n_features == 4
    assert columns(images, "kind, group").n_features == 5


def test_a_column_comes_before_a_group_of_the_same_name():
    stimuli = be.StimulusSet({"stimulus_id": ["a", "b"], "x": [1, 2], "x.y": [3, 4]}, kind="none")
    assert list(columns(stimuli, "x").features["feature"]) == ["x"]


def test_categories_and_mixed_types(images):
    table = images.table.assign(cat=pd.Categorical(images.table["kind"], categories=["dog", "cat", "bird", "fish"]), mixed=[1, "a", True] * 3)
    stimuli = be.StimulusSet(table, kind="none")
    assert list(columns(stimuli, "cat").features["feature"]) == ["cat=bird", "cat=cat", "cat=dog"]
    assert columns(stimuli, "mixed").n_features == 3


def test_listing_needs_the_table(images):
    from brainenc.features import list_layers

    assert list_layers("table:kind", stimuli=images) == {"columns": 3}
    with pytest.raises(InputError, match="(?i)pass stimuli="):
        list_layers("table:kind")


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("kin", NotFoundError, "(?i)did you mean 'kind'"),
        ("", InputError, "name the columns"),
        ("kind,,group", InputError, "name the columns"),
        ("kind,kind", InputError, "named twice"),
        ("group,group.size", InputError, "selected twice"),
        ("holes", InputError, r"missing for 2 of 9 .*'s1'"),
        ("gaps", InputError, "missing for 1 of 9"),
        ("lists", InputError, "neither text nor numbers"),
        ("endless", InputError, "infinite"),
    ],
)
def test_columns_that_cannot_be_used_are_refused(images, name, error, says):
    table = images.table.assign(
        holes=["a", None, "b", None, *"aaaaa"], gaps=[np.nan, *range(8)], lists=[[1]] * 9, endless=[np.inf, *range(8)]
    )
    with pytest.raises(error, match=says):
        columns(be.StimulusSet(table, kind="none"), name)


def test_options_and_weights_are_refused(images):
    with pytest.raises(InputError, match="no weights"):
        be.extract(images, "table:kind", weights="random")
    with pytest.raises(InputError, match="no options"):
        be.extract(images, "table:kind", model_kwargs={"a": 1})


def test_the_names_of_stimuli_are_a_column():
    stimuli = be.StimulusSet({"stimulus_id": ["house", "face"]}, kind="none")
    space = columns(stimuli, "stimulus_id")
    assert list(space.features["feature"]) == ["stimulus_id=face", "stimulus_id=house"]
    assert space.values.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(NotFoundError, match="table:stimulus_id"):
        columns(stimuli, "category")
