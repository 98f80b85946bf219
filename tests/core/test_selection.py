import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainenc.core.errors import BrainencError, InputError, NotFoundError
from brainenc.core.selection import parse, select

TABLE = pd.DataFrame({"roi": ["V1", "V4", None, "V4"], "nc": [0.1, 0.5, np.nan, 0.3], "hemi": ["l", "r", "l", "r"], "good": [True, False, True, True]})


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("roi == 'V4' and nc > 0.3", [1]),
        ("roi == 'V4' or nc < 0.2", [0, 1, 3]),
        ("not roi == 'V4'", [0, 2]),
        ("roi in ['V1', 'V4'] and hemi != 'l'", [1, 3]),
        ("roi not in ('V4',)", [0, 2]),
        ("0.1 < nc <= 0.5", [1, 3]),
        ("good", [0, 2, 3]),
        ("nc > -1", [0, 1, 3]),
    ],
)
def test_selections_keep_the_right_rows(text, rows):
    assert select(TABLE, text).tolist() == rows


def test_keywords_mean_equal_or_one_of():
    assert select(TABLE, roi="V4", hemi=["r"]).tolist() == [1, 3]
    assert select(TABLE, "nc > 0.4", roi="V4").tolist() == [1]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "roi.str.len() > 1", "nc + 1 > 1", "roi[0] == 'V1'", "(lambda: 1)() > nc", "1 == 1", "[x for x in roi]",
        "roi == f'{nc}'", "nc ** 9999 > 1", "roi if nc else hemi", "nc := 1", "roi is None", "nc == None", "roi == b'V1'", "*roi", "", "nc >", "a" * 3000,
        "nc > 1j", "roi in hemi", "roi in 'V1 V4'", "@roi == 1", "good and print('x')",
    ],
)  # fmt: skip
def test_everything_else_is_refused_before_it_is_looked_at(text):
    with pytest.raises(InputError):
        parse(text)


def test_the_code_that_pandas_query_would_run_is_refused():
    with pytest.raises(InputError):
        parse("@__builtins__.__import__('os').getpid() > 0")
    assert os.getpid() > 0


def test_unknown_columns_name_the_nearest():
    with pytest.raises(NotFoundError, match="Did you mean 'roi'"):
        select(TABLE, "rio == 'V1'")
    with pytest.raises(NotFoundError):
        select(TABLE, colour="red")


def test_comparing_text_with_numbers_is_an_input_error():
    with pytest.raises(InputError, match="different kinds"):
        select(TABLE.dropna(), "roi > 3")


@given(st.text(max_size=60))
def test_no_text_ever_raises_a_foreign_error(text):
    try:
        select(TABLE, text or "x")
    except BrainencError:
        pass
